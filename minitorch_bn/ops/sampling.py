"""Random numbers of distributions that few scripts draw from, in place or new; and sampling of indices.

Imported when one of its names is first used.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any

from minitorch_bn import _core
from minitorch_bn._core import Tensor, dtype, empty, empty_like, get_default_dtype
from minitorch_bn.ops.generator import Generator, stream_of
from minitorch_bn.ops.outs import filled
from minitorch_bn.ops.random import constant_in, normal_, overwrite, rand, randint, randn, random_, writable
from minitorch_bn.ops.sorting import searchsorted

DOUBLE, FLOAT, LONG = (_core.DTYPES[name] for name in ("float64", "float32", "int64"))


def _computed(x: Tensor) -> dtype:
    """The dtype in which numbers for x are computed."""
    return DOUBLE if x.dtype == DOUBLE else FLOAT


def _unit_exponential(like: Tensor, generator: Generator | None) -> Tensor:
    """-log(1 - u), of like's shape, in float32 or float64."""
    return (-rand(like.shape, dtype=_computed(like), generator=generator)).log1p().neg()


def _begin(self: Tensor, op: str, name: str, value: float, generator: Generator | None) -> Any:
    """The stream that draws as PyTorch does, or None: after a look at a parameter, which is positive, and at self."""
    if not value > 0:
        raise RuntimeError(f"{op} expects {name} > 0.0, but found {name}={value}")
    writable(self, op)
    return stream_of(generator)


def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with numbers of density lambd * exp(-lambd * x)."""
    stream = _begin(self, "exponential_", "lambda", lambd, generator)
    drawn = _unit_exponential(self, generator) / lambd if stream is None else stream.exponential(self, lambd)
    return overwrite(self, drawn, "ExponentialBackward0")


def log_normal_(self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with exp(z), z from N(mean, std**2)."""
    stream = _begin(self, "log_normal_", "std", std, generator)
    if stream is not None:
        return overwrite(self, stream.log_normal(self, mean, std), "LogNormalBackward0")
    z = normal_(empty(self.shape, dtype=_computed(self)), mean, std, generator=generator)
    return overwrite(self, z.exp(), "LogNormalBackward0")


def cauchy_(self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with median + sigma * tan(pi * (u - 1/2))."""
    stream = _begin(self, "cauchy_", "sigma", sigma, generator)
    if stream is not None:
        return overwrite(self, stream.cauchy(self, median, sigma), "CauchyBackward0")
    u = empty(self.shape, dtype=DOUBLE).uniform_(-0.5, 0.5, generator=generator)
    return overwrite(self, (u * math.pi).tan() * sigma + median, "CauchyBackward0")


def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Fill with the number of coin tosses up to the first success, of probability p."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    writable(self, None)
    stream = stream_of(generator)
    if stream is not None:
        return overwrite(self, stream.geometric(self, p), "GeometricBackward0")
    trials = (_unit_exponential(self, generator) / -math.log1p(-p)).ceil().clamp(min=1)
    return overwrite(self, trials, "GeometricBackward0")


def randint_like(input: Tensor, low: int, high: int | None = None, *, dtype: dtype | None = None, layout: Any = None,
                 device: Any = None, requires_grad: bool = False, memory_format: Any = None) -> Tensor:
    """randint_like(input, high) or (input, low, high): integers of [low, high), of the input's shape and dtype."""
    if high is None:
        low, high = 0, low
    if stream_of(None) is not None:
        return random_(empty_like(input, dtype=dtype, device=device, memory_format=memory_format), low,
                       high).requires_grad_(requires_grad)
    return randint(low, high, input.shape, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def normal(mean: float | Tensor = 0.0, std: float | Tensor = 1.0, size: Sequence[int] | None = None, *,
           generator: Generator | None = None, out: Tensor | None = None, dtype: dtype | None = None,
           layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """Numbers from N(mean, std**2): normal(mean, std) with tensors of means or deviations, or normal(m, s, size)."""
    if size is not None:
        z = empty(size, dtype=dtype, device=device)
        normal_(z, mean, std, generator=generator)  # type: ignore[arg-type]
        return (z if out is None else filled(out, z)).requires_grad_(requires_grad)
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        raise TypeError("normal() needs a size where neither mean nor std is a tensor")
    if isinstance(std, Tensor) and std.numel() and bool((std < 0).any()) or not isinstance(std, Tensor) and std < 0:
        raise RuntimeError("normal expects all elements of std >= 0.0")
    like: Any = mean + 0 * std if isinstance(mean, Tensor) else std
    z = randn(like.shape, generator=generator, dtype=like.dtype if like.is_floating_point() else get_default_dtype())
    z = z * (std.detach() if isinstance(std, Tensor) else std) + (mean.detach() if isinstance(mean, Tensor) else mean)
    z = constant_in(tuple([x for x in (mean, std) if isinstance(x, Tensor)]), z)
    return z if out is None else filled(out, z)


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None,
                out: Tensor | None = None) -> Tensor:
    """Indices drawn with probabilities proportional to the rows of `input`: (C,) or (N, C) -> (..., num_samples)."""
    count = index(num_samples)
    if out is not None and out.dtype != LONG:
        raise RuntimeError(f"multinomial expects Long tensor out, got: {out.dtype}")
    if input.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if not input.is_floating_point():
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {input.dtype}")
    if count <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and count > input.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    drawn = _indices(input.detach(), count, replacement, generator)
    return drawn if out is None else filled(out, drawn)


def _indices(weights: Tensor, count: int, replacement: bool, generator: Generator | None) -> Tensor:
    p = weights.to(DOUBLE)
    low, high = (float(end) for end in p.aminmax()) if p.numel() else (0.0, 0.0)
    if not (low >= 0 and high < math.inf):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    single = (replacement or count == 1) and p.numel() > 0
    edges = p.cumsum(-1).contiguous() if single else None
    total = p.sum(-1, True) if edges is None else edges[..., -1:]
    if not bool((total > 0).all()):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    if not replacement and count > 1 and bool(((p > 0).sum(-1) < count).any()):
        raise RuntimeError("invalid multinomial distribution (with replacement=False, not enough non-negative "
                           "category to sample)")
    stream = stream_of(generator)
    if stream is not None:
        return stream.multinomial(weights, count, bool(replacement))
    if edges is not None:
        u = rand(*p.shape[:-1], count, dtype=DOUBLE, generator=generator) * total
        chosen = searchsorted(edges, u.contiguous(), right=True)
        if int(chosen.max()) == p.shape[-1]:  # rounding has reached past the last edge: it must not
            chosen = chosen.minimum((p > 0).to(LONG).cumsum(-1).argmax(-1, True))
        return chosen
    race = p / _unit_exponential(p, generator).clamp(min=1e-300)  # the first finishers of exponential clocks
    return race.topk(count, -1)[1]
