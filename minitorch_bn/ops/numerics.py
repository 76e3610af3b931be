"""Numerical operations that few scripts call: finite differences, parts of floats, limited norms, and others.

Imported when one of its names is first used.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minitorch_bn import _core
from minitorch_bn._core import Tensor, attach, full, linspace, where
from minitorch_bn.ops import elementwise as ew
from minitorch_bn.ops.arithmetic import kept
from minitorch_bn.ops.extremes import result_type_of
from minitorch_bn.ops.gathering import scatter_reduce
from minitorch_bn.ops.joining import cat
from minitorch_bn.ops.outs import filled, with_out

FREXP = result_type_of("frexp", ["mantissa", "exponent"])
Number = int | float


def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    return input.diagonal().sum()


def frexp(input: Tensor, *, out: Any = None) -> Any:
    """(mantissa, exponent) with input = mantissa * 2 ** exponent and 0.5 <= |mantissa| < 1; exponents are int32."""
    if not input.is_floating_point():
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    double = input.dtype is _core.DTYPES["float64"]
    bits, bias, kind = (52, 1022, "int64") if double else (23, 126, "int32")
    x = input.detach().to(_core.DTYPES["float64" if double else "float32"])
    plain = (x != 0) & ew.isfinite(x)
    small = plain & (ew.abs(x) < 2.0 ** (2 - bias))  # numbers with fewer bits: scaled up first
    scaled = where(small, x * 2.0 ** 64, x)
    exponent = ((scaled.contiguous().view(_core.DTYPES[kind]) >> bits) & (2 * bias + 3)) - bias - small.to(
        _core.DTYPES[kind]) * 64
    exponent = where(plain, exponent, 0).to(_core.DTYPES["int32"])
    half = exponent.div(2, rounding_mode="floor")  # in two steps: 2 ** -exponent alone may overflow
    mantissa = (ew.exp2((half - exponent).to(x.dtype)) * (x * ew.exp2(-half.to(x.dtype)))).to(input.dtype)
    shift = exponent.to(input.dtype)
    mantissa = attach(mantissa, (input,), lambda g: (g / ew.exp2(shift),), "FrexpBackward0")
    return FREXP(mantissa, exponent) if out is None else filled(out, FREXP(mantissa, exponent))


@with_out
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Each slice along dim, scaled down to the p-norm `maxnorm` where its norm is greater."""
    if not p > 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if not maxnorm >= 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if input.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions")
    if not -input.ndim <= dim < input.ndim:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-input.ndim}, {input.ndim - 1}], but "
                         f"got {dim})")
    norm = input.norm(p, [d for d in range(input.ndim) if d != dim % input.ndim], keepdim=True)
    return input * where(norm > maxnorm, maxnorm / (norm + 1e-7), 1.0).to(input.dtype)


def renorm_(self: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """In-place version of :func:`renorm`."""
    return self.copy_(renorm(kept(self), p, dim, maxnorm))


@with_out
def index_reduce(input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *,
                 include_self: bool = True) -> Tensor:
    """The input with the slices of `source` reduced into it at `index` along dim: 'prod', 'mean', 'amax', 'amin'."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.")
    if index.ndim > 1 or index.is_floating_point():
        raise RuntimeError(f"index_reduce(): Expected a vector of integers as index, got {index.dtype} of shape "
                           f"{list(index.shape)}")
    if input.ndim == 0:
        return index_reduce(input.reshape(1), 0, index.reshape(-1), source.reshape(-1), reduce,
                            include_self=include_self).reshape(())
    dim = dim % input.ndim
    if index.numel() != (source.shape[dim] if source.ndim else 1):
        raise RuntimeError(f"index_reduce(): Number of indices ({index.numel()}) should be equal to source.size(dim) "
                           f"({source.shape[dim] if source.ndim else 1})")
    wide = index.long().reshape([-1 if d == dim else 1 for d in range(source.ndim)]).expand(source.shape)
    return scatter_reduce(input, dim, wide, source, reduce, include_self=include_self)


def index_reduce_(self: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *,
                  include_self: bool = True) -> Tensor:
    """In-place version of :func:`index_reduce`."""
    return self.copy_(index_reduce(kept(self), dim, index, source, reduce, include_self=include_self))


def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1, out: Tensor | None = None) -> Tensor:
    """The positions of the first `size` nonzero elements, as rows; rows of fill_value after the last."""
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    rows = input.nonzero()[:size]
    more = full((size - rows.shape[0], input.ndim), fill_value, dtype=rows.dtype)
    y = cat((rows, more))
    return y if out is None else out.resize_(y.shape).copy_(y)


def logspace(start: Any, end: Any, steps: int, base: float = 10.0, *, out: Tensor | None = None, dtype: Any = None,
             layout: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """base to the powers linspace(start, end, steps)."""
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    target = dtype or (out.dtype if out is not None else _core.get_default_dtype())
    start, end = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    if not target.is_floating_point:
        start, end = int(start), int(end)
    powers = linspace(start, end, steps, dtype=_core.DTYPES["float64"], device=device)
    y = ew.pow(float(base), powers).to(target)
    return out.resize_(y.shape).copy_(y) if out is not None else y.requires_grad_(requires_grad)


# -- finite differences ------------------------------------------------------------------------------------------------

def _slope(y: Tensor, dim: int, step: Any, edge_order: int) -> Tensor:
    """dy/dx along dim at points `step` apart, or at the points of a vector `step`: second order inside, and
    edge_order at both ends."""
    def at(a: int, b: int) -> Tensor:
        """y[a : size + b] along dim."""
        return y.narrow(dim, a, y.shape[dim] + b - a)

    n = y.shape[dim]
    if isinstance(step, Tensor):
        gaps = (step[1:] - step[:-1]).reshape([-1 if d == dim % y.ndim else 1 for d in range(y.ndim)])
        h1, h2 = gaps.narrow(dim, 0, n - 2), gaps.narrow(dim, 1, n - 2)
        first, last = gaps.narrow(dim, 0, 1), gaps.narrow(dim, n - 2, 1)
    else:
        h1 = h2 = first = last = step

    def ends(a: int, h1: Any, h2: Any, left: bool) -> Tensor:
        """The slope of the parabola through three points, at the first or the last of them."""
        y0, y1, y2 = (y.narrow(dim, a + i, 1) for i in range(3))
        if left:
            return (-(2 * h1 + h2) / (h1 * (h1 + h2)) * y0 + (h1 + h2) / (h1 * h2) * y1 - h1 / (h2 * (h1 + h2)) * y2)
        return (h2 / (h1 * (h1 + h2)) * y0 - (h2 + h1) / (h1 * h2) * y1 + (2 * h2 + h1) / (h2 * (h1 + h2)) * y2)

    inside = (-h2 / (h1 * (h1 + h2)) * at(0, -2) + (h2 - h1) / (h1 * h2) * at(1, -1) + h1 / (h2 * (h1 + h2)) * at(2, 0))
    if edge_order == 1:
        head = (y.narrow(dim, 1, 1) - y.narrow(dim, 0, 1)) / first
        tail = (y.narrow(dim, n - 1, 1) - y.narrow(dim, n - 2, 1)) / last
    elif isinstance(step, Tensor):
        head = ends(0, first, gaps.narrow(dim, 1, 1), True)
        tail = ends(n - 3, gaps.narrow(dim, n - 3, 1), last, False)
    else:
        head, tail = ends(0, step, step, True), ends(n - 3, step, step, False)
    return cat((head, inside, tail), dim)


def gradient(input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """Estimates of the derivative along each dim (or those of `dim`), of the input's shape.

    spacing: the distance of neighbors, for all dims or a list with one for each; or a list of vectors of coordinates.
    edge_order: 1 or 2, the order of the estimate at both ends; inside it is 2. (Fornberg 1988.)
    """
    dims = ([dim] if isinstance(dim, int) else list(range(input.ndim)) if dim is None else list(dim))
    dims = [d % input.ndim if -input.ndim <= d < input.ndim else d for d in dims]
    for d in dims:
        if not 0 <= d < max(input.ndim, 1):
            raise IndexError(f"Dimension out of range (expected to be in range of [{-input.ndim}, {input.ndim - 1}], "
                             f"but got {d})")
    if len(set(dims)) != len(dims):
        raise RuntimeError("torch.gradient expected dim to name each dimension once")
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    spacing = 1 if spacing is None else spacing
    several = isinstance(spacing, Sequence)
    if isinstance(spacing, Tensor) and spacing.ndim == 0:
        spacing = spacing.item()
    steps = list(spacing) if several else [spacing] * len(dims)
    if len(steps) != len(dims):
        raise RuntimeError(f"torch.gradient expected spacing to be unspecified, a scalar, or a list of length equal to "
                           f"'self.dim() = {input.ndim}' or to the given dims, but got a list of length {len(steps)}")
    for d, step in zip(dims, steps):
        size = input.shape[d]
        if size < edge_order + 1:
            raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")
        if isinstance(step, Tensor) and (step.ndim != 1 or step.shape[0] != size):
            raise RuntimeError(f"torch.gradient expected each element of spacing to have one dimension of size {size}, "
                               f"but got shape {list(step.shape)}")
    x = input if input.is_floating_point() else input.to(_core.get_default_dtype())
    return tuple(_slope(x, d, step, edge_order) for d, step in zip(dims, steps))


# -- normalization with its statistics ---------------------------------------------------------------------------------

def native_layer_norm(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None,
                      eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """(layer_norm, the means, the reciprocal standard deviations)."""
    from minitorch_bn.ops import layer_norm
    y = layer_norm(input, normalized_shape, weight, bias, eps)
    dims = list(range(input.ndim - len(normalized_shape), input.ndim))
    return (y, *_moments(input, dims, eps))


def native_group_norm(input: Tensor, weight: Tensor | None, bias: Tensor | None, N: int, C: int, HxW: int, group: int,
                      eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """(group_norm, the means, the reciprocal standard deviations), the last two of shape (N, group)."""
    from minitorch_bn.ops import group_norm
    y = group_norm(input, group, weight, bias, eps)
    mean, rstd = _moments(input.reshape(N, group, C // group * HxW), [2], eps)
    return y, mean.reshape(N, group), rstd.reshape(N, group)


@with_out
def native_batch_norm(input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None,
                      running_var: Tensor | None, training: bool, momentum: float,
                      eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """(batch_norm, the means, the reciprocal standard deviations of the channels; these are empty in evaluation)."""
    from minitorch_bn.ops import batch_norm
    y = batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if not training:
        return y, input.new_empty(0), input.new_empty(0)
    mean, rstd = _moments(input, [d for d in range(input.ndim) if d != 1], eps)
    return y, mean.reshape(-1), rstd.reshape(-1)


def _moments(x: Tensor, dims: list[int], eps: float) -> tuple[Tensor, Tensor]:
    with_count = math.prod(x.shape[d] for d in dims)
    if not with_count:
        shape = [1 if d in dims else n for d, n in enumerate(x.shape)]
        return x.new_zeros(shape), x.new_zeros(shape)
    x = x.float() if x.element_size() < 4 else x
    return x.mean(dims, keepdim=True), (x.var(dims, unbiased=False, keepdim=True) + eps).rsqrt()
