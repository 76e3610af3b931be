"""One file for each experiment; it reads like a recipe: the claim, the settings, the measurement, figures, verdict.

A module has the text's sentence in `KOREAN` and `ENGLISH`; `DID`, what is done; `PAPER`, the figure that it mirrors and
its numbers; `settings(run)`, a list of keyword arguments; `measure(run, seed, **setting)`, which gives a dict of
numbers and lists; `figures(results)` and `verdict(results)`, which see nothing but measured numbers.
"""

NAMES = ("scaling", "speed", "learning_rate", "vanishing", "exploding", "initialization", "overfitting", "placement",
         "recurrent", "small_batch", "large_batch", "landscape", "evaluation")
