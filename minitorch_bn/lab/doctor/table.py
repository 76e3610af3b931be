"""The twenty rules of the doctor: what each finds, its threshold and why that, why it matters, and the way out."""
from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """One rule. `threshold` is in the unit of `measures`; `reason` tells where it comes from."""

    title: str
    severity: str  # error: wrong numbers or a crash; warning: worse training; note: to know, no finding for CI
    measures: str
    threshold: float
    reason: str
    why: str
    fix: str


RULES: dict[str, Rule] = {
    "BN101": Rule(
        "few values per channel", "warning", "values per channel m", 8,
        "the Jacobian of batch norm has rank m - 2 per channel: at m = 8 a quarter of the gradient's directions is "
        "lost, at m = 2 all; 1 is an error, below 32 a note (6 % lost)",
        "Mean and variance are estimated from m values: their noise is 1/sqrt(m), and only (m-2)/m of the directions "
        "of the gradient pass.",
        "A larger batch, nn.convert_norm(model, 'group'), or batch renormalization (renorm=nn.Renorm())."),
    "BN102": Rule(
        "training and evaluation differ", "warning", "distance of the running statistics from the data's", 0.5,
        "an average with momentum 0.1 over independent batches of 4 strays by 0.11 standard deviations: 0.5 is not "
        "chance; the logarithm of the variances' ratio has the threshold ln 2",
        "Evaluation normalizes by statistics that the data does not have, so each layer above gets shifted inputs.",
        "Recalibrate on training data (report.fix), shuffle, or see whether the data is prepared in the same way."),
    "BN103": Rule(
        "immature running statistics", "warning", "share of their start values in the running statistics", 0.05,
        "(1 - momentum)^updates; 5 % are left after 29 updates at momentum 0.1",
        "Evaluation still normalizes in part by mean 0 and variance 1, which no data had.",
        "More steps, momentum=None (the plain average), or recalibrate on training data (report.fix)."),
    "BN104": Rule(
        "dead channels", "warning", "share of channels that carry nothing", 0.0,
        "a channel counts if its variance is below 10 eps, its weight below 1/1000 of the layer's median, or its "
        "gradient exactly zero at 99.9 % of all positions (a ReLU that never opens), where the layer's median is not",
        "The channels cost time and memory and learn nothing; many of them mean that a learning rate was too high.",
        "Prune or re-initialize them; a lower learning rate, or no weight decay on the weight of batch norm."),
    "BN105": Rule(
        "eps rules the variance", "warning", "median of v / (v + eps)", 0.5,
        "below one half, eps is the larger part of what is divided by",
        "The output's variance is v/(v+eps) rather than 1, and depends on the scale of the input again.",
        "Scale the input to variance 1, or a smaller eps."),
    "BN106": Rule(
        "mean far larger than spread", "warning", "largest |mean| / standard deviation", 1e3,
        "float32 has 24 bits: at 1e3, ten of them describe the mean, and the spread has 14",
        "The digits that would tell the values apart are not in the input any more: no formula for the variance can "
        "bring them back.",
        "Center the input in float64, before it becomes float32 (StandardScaler); at worst, "
        "run this layer in float64."),
    "BN107": Rule(
        "redundant bias", "warning", "gradient of the bias, as share of the gradient it is the sum of", 1e-4,
        "in exact arithmetic it is 0, in float32 about 1e-7 of the sum of magnitudes",
        "Batch norm subtracts the mean, and the bias with it: it costs memory and time in every step, and changes "
        "nothing.",
        "bias=False in the layer before (report.fix removes it and corrects the running mean)."),
    "BN108": Rule(
        "weight decay on batch norm", "warning", "weight decay of a batch norm's weight or bias", 0.0,
        "the decay that these parameters should have",
        "Decay of the layers before only changes their effective learning rate (their scale cancels), but decay of "
        "these parameters shrinks the output itself.",
        "Two parameter groups: optim.param_groups(model) (report.fix splits those that are there)."),
    "BN109": Rule(
        "frozen, but moving", "warning", "change of the running mean in one step, in standard deviations", 1e-6,
        "a frozen layer must not move: the threshold is rounding",
        "requires_grad=False stops the weight and bias, not the statistics: the layer normalizes by the new batches, "
        "and its running statistics are overwritten.",
        "nn.freeze_bn(part of the model), which holds in training too (report.fix)."),
    "BN110": Rule(
        "several updates a step", "warning", "updates of the running statistics in one step", 1,
        "one batch, one update",
        "A second forward in a step (of a penalty, of another kind of data) counts as another batch: the momentum is "
        "not the one you set, or two kinds of data share one average.",
        "with nn.stats_frozen(model) around the extra forward, or a batch norm for each kind of data."),
    "BN111": Rule(
        "dropout before batch norm", "warning", "variance with dropout / variance without, at batch norm's input", 1.1,
        "dropout after the last batch norm gives exactly 1; at 1.1, outputs in evaluation are 5 % too small",
        "Dropout raises the variance in training and not in evaluation, so the running variance is wrong there "
        "(Li et al. 2018).",
        "Move dropout behind the last batch norm, or make it weaker."),
    "BN112": Rule(
        "a small last batch", "warning", "size of the last batch / batch size", 0.25,
        "it has the weight of a full batch in the running statistics, at four times the noise or more; with one value "
        "per channel, training stops with an error",
        "Once an epoch, the statistics are those of a few samples.",
        "drop_last=True in the DataLoader, or a batch size that divides the data."),
    "BN113": Rule(
        "accumulated micro-batches", "warning", "values per channel m of one micro-batch", 32,
        "the threshold of few values per channel, for those who meant a larger batch",
        "Gradients are summed over the micro-batches, statistics are not: for batch norm the batch is the micro-batch.",
        "Larger micro-batches, batch renormalization (renorm=nn.Renorm()), GroupNorm."),
    "BN114": Rule(
        "padding in the statistics", "warning", "share of positions that are padding", 0.1,
        "at a tenth, the variance of a centered channel is off by 10 %",
        "Constant positions at the end of sequences count like data in mean and variance, so the same sample gets "
        "another output in another batch.",
        "norm(x, mask=...), batches of similar lengths, or LayerNorm."),
    "BN115": Rule(
        "batches are not alike", "warning", "variance between batches / that of random batches", 4,
        "the F statistic; 4 with 8 batches or more, higher with fewer, at 3.5 standard deviations of chance",
        "Each batch is normalized by a mean of its own kind (sorted classes, one source a batch): the label leaks "
        "through the statistics, and evaluation collapses.",
        "Shuffle; if batches must differ, batch renormalization or one batch norm per kind."),
    "BN116": Rule(
        "gradients grow or shrink with depth", "warning",
        "slope of the log of the norm of weights' gradients per layer", 0.1,
        "and at least a factor 10 in all, over 8 layers or more: one learning rate cannot suit both ends. Batch norm "
        "with ReLU and no skip connections grows by 0.16 to 0.19 a layer (Yang et al. 2019)",
        "The first layers get steps of another size than the last.",
        "Skip connections, fewer batch norms, or an initialization for the depth."),
    "BN117": Rule(
        "broken running statistics", "error", "values that are not finite or negative, or stored in half precision", 0,
        "none is right",
        "Evaluation gives NaN, or half precision has swallowed the small updates of the average.",
        "float32 buffers, and statistics taken again (report.fix)."),
    "BN118": Rule(
        "options of another library", "warning", "momentum as the weight of the new batch, or effect of eps", 0.5,
        "momentum 0.9 or 0.99 elsewhere is the weight of the old value; for an eps unlike the other layers', 1 % of "
        "change in the output of a channel",
        "The running statistics are those of the last batch, or the imported weights meet another eps.",
        "nn.import_bn; momentum = 1 - that of Keras or Flax (report.fix), and the eps of the training."),
    "BN119": Rule(
        "unsafe to fold", "warning", "change of the output when folded, relative to the largest output", 1e-3,
        "folding is exact but for rounding, about 1e-6 in float32",
        "The batch norm looks like the layer's only reader, and is not: folding it into the weights changes what "
        "others read.",
        "nn.utils.fold(model, input), which sees who reads what, and keeps this pair."),
    "BN120": Rule(
        "the loss is blind to batch norm", "warning", "spread of the gradient over a channel, relative to its size",
        1e-3,
        "a gradient that is equal for all values of a channel, but for rounding",
        "The sum of a normalized channel is constant: the gradient of everything before it is 0, and a test with such "
        "a loss passes whatever the backward does.",
        "A loss that weighs the outputs differently; in tests, a random cotangent."),
}

# What explains what: a finding on the right is dropped (and mentioned) when one on the left was made.
CAUSES = {
    "BN101": ("BN116",),
    "BN106": ("BN119",),
    "BN113": ("BN101",),
    "BN115": ("BN102",),
    "BN118": ("BN102",),
    "BN120": ("BN116",),
}
