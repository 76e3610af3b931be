"""What every policy of batch normalization is made of: count, mean and M2 of a batch, their merging, running values.

M2 is the sum of squared deviations from the mean. (n, mean, M2) of two batches gives that of both (Chan, Golub &
LeVeque 1983), so ghosts, shards of a synchronized batch and whole epochs are counted by one rule, whatever their sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import minitorch_bn as torch
from minitorch_bn.nn import functional as F

Tensor = torch.Tensor


class Moments(NamedTuple):
    """Count of values, mean and sum of squared deviations of every channel; mean and m2 have shape (C,)."""

    n: int
    mean: Tensor
    m2: Tensor

    @property
    def var(self) -> Tensor:
        """The biased variance m2 / n."""
        return self.m2 / max(self.n, 1)

    @property
    def unbiased(self) -> Tensor:
        """The unbiased variance m2 / (n - 1); of a single value, m2."""
        return self.m2 / max(self.n - 1, 1)


def dims_of(x: Tensor) -> list[int]:
    """All axes of (N, C, *size) but the channels."""
    return [0, *range(2, x.dim())]


def over_channels(value: Tensor, x: Tensor) -> Tensor:
    """(C,) with axes of size 1, to broadcast against (N, C, *size)."""
    return value.reshape([1, -1] + [1] * (x.dim() - 2))


def moments(x: Tensor) -> Moments:
    """The moments of (N, C, *size), differentiable to any order, in float64."""
    dims, x = dims_of(x), x.double()
    if x.numel() == 0:
        zero = torch.zeros(x.size(1), dtype=torch.float64)
        return Moments(0, zero, zero)
    mean = x.mean(dims)
    return Moments(x.numel() // x.size(1), mean, (x - over_channels(mean, x)).square().sum(dims))


def merge(parts: Iterable[Moments]) -> Moments:
    """The moments of all parts together, merged in their order; parts of no values do not count. Differentiable."""
    total: Moments | None = None
    for part in parts:
        if total is None or total.n == 0:
            total = part
        elif part.n:
            n = total.n + part.n
            delta = part.mean - total.mean
            total = Moments(n, total.mean + delta * (part.n / n),
                            total.m2 + part.m2 + delta.square() * (total.n * part.n / n))
    if total is None:
        raise ValueError("merge: expected the moments of at least one part")
    return total


def normalize(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, Moments]:
    """Batch norm of (N, C, *size) by its own statistics, in the kernel; and these, in float64, without history.

    ValueError: there is one value for each channel.
    """
    mean, unbiased = (torch.zeros(x.size(1), dtype=torch.float64) for _ in range(2))
    y = F.batch_norm(x, mean, unbiased, weight, bias, True, 1.0, eps)
    n = x.numel() // max(x.size(1), 1)
    return y, Moments(n, mean, unbiased * max(n - 1, 1) if n else unbiased)


def synchronized(shards: Sequence[Tensor], weight: Tensor | None, bias: Tensor | None,
                 eps: float) -> tuple[list[Tensor], Moments]:
    """Batch norm of shards (N_i, C, *size) by the statistics of all: each worker's moments, merged in their order.

    Shards may differ in size and be empty. In float64 operations, so that every derivative is that of the whole batch.
    """
    total = merge(moments(shard) for shard in shards)
    if total.n == 1:
        raise ValueError("Expected more than 1 value per channel when training, got input sizes "
                         f"{[tuple(shard.shape) for shard in shards]}")
    scale = (total.var + eps).rsqrt()
    if weight is not None:
        scale = scale * weight.double()

    def apply(x: Tensor) -> Tensor:
        y = (x.double() - over_channels(total.mean, x)) * over_channels(scale, x)
        return (y if bias is None else y + over_channels(bias.double(), x)).to(x.dtype)

    return [apply(shard) for shard in shards], Moments(total.n, total.mean.detach(), total.m2.detach())


def move(running: Tensor, value: Tensor, momentum: float) -> None:
    """running = (1 - momentum) running + momentum value, in float64, in place."""
    with torch.no_grad():
        running.copy_((1 - momentum) * running.double() + momentum * value)


def step(tracked: Tensor | None, momentum: float | None) -> float:
    """The weight of the next batch: `momentum`, or for None what makes the running values a plain average."""
    return momentum if momentum is not None else 0.0 if tracked is None else 1.0 / (tracked.item() + 1)


def update(mean: Tensor | None, var: Tensor | None, tracked: Tensor | None, found: Moments, momentum: float | None,
           unbiased: bool = True) -> None:
    """Count a batch, and move running statistics towards its own; a batch of no values leaves all as it is.

    `momentum` is the weight of the new value; None: the plain average of all batches so far.
    """
    if found.n == 0:
        return
    weight = step(tracked, momentum)
    for running, value in (mean, found.mean), (var, found.unbiased if unbiased else found.var):
        if running is not None:
            move(running, value, weight)
    if tracked is not None:
        tracked.add_(1)
