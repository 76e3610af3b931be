"""Which normalization for which batch, network and task: a few rules, each with its source."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import minitorch_bn as torch

from ._watch import first_input, is_batch_norm, split_batch, untouched, watching


class Recommendation(NamedTuple):
    """A layer to use, and why."""

    layer: str
    why: str
    source: str
    otherwise: str = ""

    def __str__(self) -> str:
        rest = f"\n  or    {self.otherwise}" if self.otherwise else ""
        return f"{self.layer}\n  why   {self.why}\n  from  {self.source}{rest}"


TASKS: dict[str, Recommendation] = {
    "rnn": Recommendation(
        "nn.LayerNorm", "the statistics of a recurrent state differ from step to step, so one running average for all "
        "steps fits none; LayerNorm has no running statistics", "Ba, Kiros & Hinton 2016 (arXiv 1607.06450)",
        "batch norm with statistics of each step and a weight of 0.1 (Cooijmans et al. 2016, arXiv 1603.09025)"),
    "transformer": Recommendation(
        "nn.LayerNorm before each sublayer", "sequences of several lengths and padding make statistics over the batch "
        "unsteady; before the sublayer, training needs no warm-up", "Xiong et al. 2020 (arXiv 2002.04745)",
        "nn.RMSNorm, which leaves out the mean (Zhang & Sennrich 2019, arXiv 1910.07467)"),
    "style": Recommendation(
        "nn.InstanceNorm2d", "the contrast of each image for itself is what is to be taken away",
        "Ulyanov, Vedaldi & Lempitsky 2016 (arXiv 1607.08022)"),
    "gan": Recommendation(
        "nn.BatchNorm2d in the generator, nn.utils.spectral_norm in the discriminator", "the discriminator sees real "
        "and generated batches, whose statistics differ; its Lipschitz constant is what matters",
        "Miyato et al. 2018 (arXiv 1802.05957)",
        "LayerNorm in a discriminator with a gradient penalty, which is per sample (Gulrajani et al. 2017, "
        "arXiv 1704.00028)"),
    "fine-tuning": Recommendation(
        "the batch norms of the trained network, in eval()", "their statistics come from far more data than yours; "
        "requires_grad=False alone does not hold them (rule BN109)", "Wu & Johnson 2021 (arXiv 2105.07576)"),
    "privacy": Recommendation(
        "nn.GroupNorm", "batch norm mixes the samples of a batch, so there is no gradient of one sample",
        "De et al. 2022 (arXiv 2204.13650)"),
}
TASKS.update(detection=Recommendation(
    "nn.GroupNorm(32, channels)", "large images allow a few per batch, too few for statistics over it",
    "Wu & He 2018 (arXiv 1803.08494)", "frozen batch norms, if the network was trained on much data"))
TASKS["segmentation"] = TASKS["detection"]

SMALL, MIDDLE, LARGE = 8, 32, 4096  # the doctor's thresholds for values per channel, and a batch that is large
BY_VALUES: list[tuple[Callable[[int, int], bool], Recommendation]] = [
    (lambda m, n: m < SMALL, Recommendation(
        "nn.GroupNorm", "of the gradient's directions (m - 2) / m pass batch norm, and the noise of its mean is "
        "1 / sqrt(m)", "Wu & He 2018 (arXiv 1803.08494)", "nn.LayerNorm in fully connected networks")),
    (lambda m, n: m < MIDDLE, Recommendation(
        "batch renormalization", "statistics of few values, corrected towards the running ones: training sees what "
        "evaluation will", "Ioffe 2017 (arXiv 1702.03275)", "nn.GroupNorm, or a larger batch")),
    (lambda m, n: n >= LARGE, Recommendation(
        "ghost batch norm, over parts of 32 to 256 samples", "the noise of small statistics regularizes; a large "
        "batch has none", "Hoffer, Hubara & Soudry 2017 (arXiv 1705.08741)", "batch norm and more steps")),
    (lambda m, n: True, Recommendation(
        "nn.BatchNorm", "enough values for its statistics, and it folds into the layer before it",
        "Ioffe & Szegedy 2015 (arXiv 1502.03167)")),
]


def _least(model: Any, batch: Any) -> tuple[int, int]:
    """(values per channel, samples): the fewest that a batch norm of the model gets."""
    found: list[int] = []

    def entering(path: str, module: Any, x: Any, _: Any) -> None:
        if is_batch_norm(module):
            found.append(x.numel() // x.shape[1])

    inputs, _ = split_batch(batch)
    with untouched(model), torch.no_grad(), watching(model, before=entering):
        model.eval()
        model(*inputs)
    size = first_input(inputs, {}).shape[0]
    return min(found, default=size), size


def recommend(batch: Any = None, model: Any = None, task: str | None = None) -> Recommendation:
    """Which normalization to use, by rules from the literature.

    Args:
        batch: how many values per channel a layer normalizes: the batch size, for fully connected layers. Or with
            `model`, a batch (input, or input and target): then it is measured.
        model: a network whose batch norms are asked about.
        task: "rnn", "transformer", "style", "gan", "fine-tuning", "privacy", "detection" or "segmentation"; None for
            classification and regression.
    """
    if task is not None:
        if task not in TASKS:
            raise ValueError(f"recommend: task must be one of {', '.join(sorted(TASKS))}, or None; got {task!r}")
        return TASKS[task]
    if batch is None:
        raise ValueError("recommend: needs the batch, or the task")
    if isinstance(batch, int):
        m = n = batch
    elif model is None:
        raise ValueError("recommend: a batch of data needs the model that it goes through; or pass the batch size")
    else:
        m, n = _least(model, batch)
    found = next(answer for applies, answer in BY_VALUES if applies(m, n))
    return found._replace(why=f"m = {m} values per channel: {found.why}")
