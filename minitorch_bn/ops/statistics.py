"""Covariances, histograms of several dims, and distances between points."""
from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from minitorch_bn._core import DTYPES, Tensor, attach, broadcast_shapes, linspace, promote_types, where, zeros
from minitorch_bn.ops.arithmetic import clamp
from minitorch_bn.ops.extremes import result_type_of
from minitorch_bn.ops.gathering import scatter_add
from minitorch_bn.ops.linalg import matmul
from minitorch_bn.ops.reduce import norm
from minitorch_bn.ops.sorting import searchsorted

HISTOGRAM = result_type_of("histogram", ["hist", "bin_edges"])
HISTOGRAMDD = result_type_of("histogramdd", ["hist", "bin_edges"])


def _weights(w: Tensor | None, count: int, kind: str) -> Tensor | None:
    if w is None:
        return None
    if w.ndim > 1:
        raise RuntimeError(f"cov(): expected {kind} to have one or fewer dimensions but got {kind} with {w.ndim} "
                           "dimensions")
    if w.is_floating_point() != (kind == "aweights") or w.dtype is DTYPES["bool"]:
        raise RuntimeError(f"cov(): expected {kind} to have {'floating point' if kind == 'aweights' else 'integral'} "
                           f"dtype but got {kind} with {w.dtype} dtype")
    if w.numel() != count:
        raise RuntimeError(f"cov(): expected {kind} to have the same numel as there are observations in the input but "
                           f"got {w.numel()} != {count}")
    if count and bool((w.detach() < 0).any()):
        raise RuntimeError(f"cov(): {kind} cannot be negative")
    return w.reshape(-1)


def cov(input: Tensor, *, correction: int = 1, fweights: Tensor | None = None,
        aweights: Tensor | None = None) -> Tensor:
    """The covariance matrix of the rows of `input` (variables, observations), or the variance of a vector.

    fweights count repetitions of an observation, aweights give its importance.
    """
    if input.ndim > 2:
        raise RuntimeError("cov(): expected input to have two or fewer dimensions but got an input with "
                           f"{input.ndim} dimensions")
    if input.dtype is DTYPES["bool"]:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = input if input.ndim == 2 else input.reshape(1, -1)
    count = x.shape[1]
    f, a = _weights(fweights, count, "fweights"), _weights(aweights, count, "aweights")
    w = f if a is None else a if f is None else f * a
    total = count if w is None else w.sum()
    if w is not None and float(total) == 0:
        raise RuntimeError("cov(): weights sum to zero, can't be normalized")
    mean = (x if w is None else x * w).sum(1, True) / total
    if w is None or a is None or correction == 0:
        freedom = total - correction
    else:
        freedom = total - correction * (w * a).sum() / total
    if float(freedom) <= 0:
        warnings.warn("cov(): degrees of freedom is <= 0. Correction should be strictly less than the number of "
                      "observations.", UserWarning, stacklevel=2)
        freedom = freedom * 0
    x = x - mean
    c = matmul(x, (x if w is None else x * w).t())
    return (c / freedom).squeeze()


def corrcoef(input: Tensor) -> Tensor:
    """Pearson's correlation coefficients of the rows of `input`: cov / (deviation x deviation'), within [-1, 1]."""
    if input.ndim > 2:
        raise RuntimeError("corrcoef(): expected input to have two or fewer dimensions but got an input with "
                           f"{input.ndim} dimensions")
    c = cov(input)
    if c.ndim == 0:
        return c / c
    d = c.diagonal().sqrt()
    return clamp(c / d.unsqueeze(1) / d, -1, 1)


# -- histograms --------------------------------------------------------------------------------------------------------

def _edges(x: Tensor, bins: Sequence[Any], limits: Sequence[float] | None) -> list[Tensor]:
    """The edges of the cells along each column of x (observations, dims)."""
    edges = []
    for d, n in enumerate(bins):
        if isinstance(n, Tensor):
            if n.ndim != 1:
                raise RuntimeError("torch.histogramdd: bins tensor should have one dimension, but got "
                                   f"{n.ndim} dimensions in the bins tensor for dimension {d}")
            if n.dtype is not x.dtype:
                raise RuntimeError("torch.histogramdd: input tensor and bins tensors should have the same dtype, but "
                                   f"got input with dtype {x.dtype} and bins for dimension {d} with dtype {n.dtype}")
            if n.numel() == 0:
                raise RuntimeError("torch.histogramdd: bins tensor should have at least 1 element, but got 0 elements "
                                   f"in the bins tensor for dimension {d}")
            edges.append(n.detach())
            continue
        if n <= 0:
            raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {n} for dimension {d}")
        if limits is not None:
            low, high = float(limits[2 * d]), float(limits[2 * d + 1])
        else:
            low, high = (float(x[:, d].min()), float(x[:, d].max())) if x.shape[0] else (0.0, 1.0)
        if not (math.isfinite(low) and math.isfinite(high)):
            raise RuntimeError(f"torch.histogramdd: dimension {d}'s range [{low}, {high}] is not finite")
        if low > high:
            raise RuntimeError(f"torch.histogramdd: min should not exceed max, but got min {low} max {high} for "
                               f"dimension {d}")
        if low == high:
            low, high = low - 0.5, high + 0.5
        edges.append(linspace(low, high, n + 1, dtype=x.dtype))
    return edges


def histogramdd(input: Tensor, bins: Any, *, range: Sequence[float] | None = None, weight: Tensor | None = None,
                density: bool = False) -> Any:
    """(hist, bin_edges): how many points (..., D), or how much weight, lie in each cell of a grid of D dims.

    bins: cells a dim (one number for all, or D), or D vectors of edges. Points outside the range are left out; the
    last cells hold their right edge too. density: divided by the total and by the volume of the cell.
    """
    if input.ndim < 2:
        raise RuntimeError(f"torch.histogramdd: input tensor should have at least 2 dimensions, but got {input.ndim}")
    if not input.is_floating_point():
        raise NotImplementedError(f"\"histogramdd\" not implemented for {input.dtype}")
    dims = input.shape[-1]
    bins = [bins] * dims if isinstance(bins, int) else list(bins)
    if len(bins) != dims:
        raise RuntimeError("histogramdd: The size of bins must be equal to the innermost dimension of the input.")
    if range is not None and len(range) != 2 * dims:
        raise RuntimeError(f"torch.histogramdd: for a {dims}-dimensional histogram range should have {2 * dims} "
                           f"elements, but got {len(range)}")
    if weight is not None:
        if weight.shape != input.shape[:-1]:
            raise RuntimeError("torch.histogramdd: if weight tensor is provided it should have the same shape as the "
                               "input tensor excluding its innermost dimension, but got input with shape "
                               f"{list(input.shape)} and weight with shape {list(weight.shape)}")
        if weight.dtype is not input.dtype:
            raise RuntimeError("torch.histogramdd: if weight tensor is provided, input tensor and weight tensor should "
                               f"have the same dtype, but got input({input.dtype}), and weight({weight.dtype})")
    x = input.detach().reshape(-1, dims)
    edges = _edges(x, bins, range)
    sizes = [e.numel() - 1 for e in edges]
    cell = zeros(x.shape[0], dtype=DTYPES["int64"])
    inside = zeros(x.shape[0], dtype=DTYPES["bool"]) == 0
    for d, e in enumerate(edges):
        column = x[:, d].contiguous()
        inside = inside & (column >= e[0]) & (column <= e[-1])
        cell = cell * sizes[d] + clamp(searchsorted(e, column, right=True) - 1, 0, max(sizes[d] - 1, 0))
    kept = inside.nonzero().reshape(-1)
    w = x.new_ones(kept.shape) if weight is None else weight.detach().reshape(-1)[kept]
    hist = scatter_add(zeros(math.prod(sizes), dtype=x.dtype), 0, cell[kept], w).reshape(sizes)
    if density:
        hist = hist / hist.sum()
        for d, e in enumerate(edges):
            hist = hist / (e[1:] - e[:-1]).reshape(-1, *[1] * (dims - 1 - d))
    return HISTOGRAMDD(hist, tuple(n if isinstance(n, Tensor) else e for n, e in zip(bins, edges)))


def histogram(input: Tensor, bins: Any = 100, *, range: Sequence[float] | None = None, weight: Tensor | None = None,
              density: bool = False, out: Any = None) -> Any:
    """(hist, bin_edges) of all elements of input: :func:`histogramdd` of one dim."""
    if weight is not None and weight.shape != input.shape:
        raise RuntimeError("torch.histogramdd: if weight tensor is provided it should have the same shape as the input "
                           "tensor excluding its innermost dimension, but got input with shape "
                           f"{list(input.shape)} and weight with shape {list(weight.shape)}")
    hist, edges = histogramdd(input.reshape(-1, 1), [bins], range=range, density=density,
                              weight=None if weight is None else weight.reshape(-1))
    if out is not None:
        return HISTOGRAM(out[0].resize_(hist.shape).copy_(hist), out[1].resize_(edges[0].shape).copy_(edges[0]))
    return HISTOGRAM(hist, edges[0].clone() if edges[0] is bins else edges[0])


# -- distances ---------------------------------------------------------------------------------------------------------

def _length(d: Tensor, p: float) -> Tensor:
    """The p-norm of d along the last dim; where a derivative does not exist, it is 0."""
    if p == 0:
        count = (d.detach() != 0).to(d.dtype).sum(-1)
        return attach(count, (d,), lambda g: (g.unsqueeze(-1) * (d * 0),), "CountBackward0")
    if p == 1:
        return d.abs().sum(-1)
    if p == math.inf:
        longest = d.detach().abs().amax(-1) if d.shape[-1] else d.detach().sum(-1)

        def backward(g: Tensor) -> tuple[Tensor]:
            return (g.unsqueeze(-1) * d.sign() * (d.abs() == longest.unsqueeze(-1)),)
        return attach(longest, (d,), backward, "MaximumNormBackward0")
    there = d != 0
    powers = where(there, d.square() if p == 2 else where(there, d.abs(), 1.0).pow(p), 0.0)
    total = powers.sum(-1)
    apart = total != 0
    root = where(apart, total, 1.0)
    return where(apart, root.sqrt() if p == 2 else root.pow(1 / p), 0.0)


def _euclidean(x: Tensor, y: Tensor) -> Tensor:
    """Distances by one product of matrices, |x|^2 + |y|^2 - 2 x y': fast, but small ones have half the digits."""
    a, b = x.detach(), y.detach()
    d = a.square().sum(-1, True) + b.square().sum(-1).unsqueeze(-2) - 2 * matmul(a, b.mT)
    d = clamp(d, min=0).sqrt()

    def backward(g: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        apart = d != 0
        w = where(apart, g / where(apart, d, 1.0), 0.0)
        return (x * w.sum(-1, True) - matmul(w, y), y * w.sum(-2).unsqueeze(-1) - matmul(w.mT, x))
    return attach(d, (x, y), backward, "EuclideanDistBackward0", save_output=True)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0,
          compute_mode: str | None = "use_mm_for_euclid_dist_if_necessary") -> Tensor:
    """The p-norms between all rows: (..., P, M), (..., R, M) -> (..., P, R).

    p = 2 goes through a product of matrices where P or R is above 25 or compute_mode says so.
    """
    for name, x in (("X1", x1), ("X2", x2)):
        if not x.is_floating_point():
            raise RuntimeError(f"cdist only supports floating-point dtypes, {name} got: {x.dtype}")
    for name, x in (("X1", x1), ("X2", x2)):
        if x.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {x.ndim}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
    if not p >= 0:
        raise RuntimeError("cdist only supports non-negative p values")
    modes: tuple[Any, ...] = (None, 0, "use_mm_for_euclid_dist_if_necessary", 1, "use_mm_for_euclid_dist", 2,
                              "donot_use_mm_for_euclid_dist")
    if compute_mode not in modes:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    kind = promote_types(x1.dtype, x2.dtype)
    batch = broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    x = x1.to(kind).expand((*batch, *x1.shape[-2:]))
    y = x2.to(kind).expand((*batch, *x2.shape[-2:]))
    many = compute_mode in modes[:3] and (x.shape[-2] > 25 or y.shape[-2] > 25)
    if p == 2 and x.shape[-1] and (many or compute_mode in modes[3:5]):
        return _euclidean(x, y)
    return _length(x.unsqueeze(-2) - y.unsqueeze(-3), float(p))


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of input - other, all elements taken as one vector."""
    return norm(input - other, p)
