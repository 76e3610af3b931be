"""Statistics made of sorting and counting: bincount, histc, quantiles, differences."""
from __future__ import annotations

from minitorch_bn._core import DTYPES, Tensor, arange, as_tensor_, where, zeros
from minitorch_bn.ops.gathering import counts, gather, scatter_add
from minitorch_bn.ops.joining import cat, stack
from minitorch_bn.ops.sorting import sort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, ... is in a vector of integers; with weights, the sum of theirs."""
    if input.ndim != 1 or input.is_floating_point():
        raise RuntimeError(f"bincount only supports 1-d non-negative integral inputs, got {input.dtype} of shape "
                           f"{list(input.shape)}")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    low, high = (int(end) for end in input.aminmax()) if input.numel() else (0, -1)
    if low < 0:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is not None and weights.shape != input.shape:
        raise RuntimeError(f"weights should be 1-d and have the same length as input: {list(weights.shape)} for "
                           f"{list(input.shape)}")
    length = max(high + 1, minlength)
    kind = arange(0).dtype
    if weights is None:
        return counts(input.to(kind), length)
    if not weights.is_floating_point():
        weights = weights.double()
    return scatter_add(zeros(length, dtype=weights.dtype), 0, input.to(kind), weights.detach())


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements are in each of `bins` equal cells of [min, max] (by default the range of the input)."""
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    x = input.detach().reshape(-1)
    low, high = float(min), float(max)
    if low == high and x.numel():
        low, high = float(x.min()), float(x.max())
    if low == high:
        low, high = low - 1, high + 1
    if not low < high or high - low in (float("inf"), float("nan")):
        raise RuntimeError(f"histc: range of [{low}, {high}] is not finite or max is less than min")
    x = x[(x >= low) & (x <= high)]
    cells = ((x.double() - low) * (bins / (high - low))).long().clamp(max=bins - 1)
    return scatter_add(zeros(bins, dtype=input.dtype), 0, cells, x.new_ones(x.shape))


def _quantile(input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip_nan: bool) -> Tensor:
    name = "nanquantile" if skip_nan else "quantile"
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got "
                           f"{interpolation}")
    if not input.is_floating_point():
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if input.numel() == 0:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    q = as_tensor_(q, dtype=input.dtype)
    if q.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if not bool(((q >= 0) & (q <= 1)).all()):
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    shape = [1] * input.ndim if dim is None else list(input.shape)
    rows = input.reshape(-1) if dim is None or not input.ndim else input.movedim(dim, -1)
    if dim is not None and input.ndim:
        shape[dim] = 1
    values = sort(rows, -1)[0]
    nans = (values != values).sum(-1, keepdim=True)
    last = values.shape[-1] - 1
    rank = q.reshape(-1) * ((last - nans).clamp(min=0) if skip_nan else last)
    if not skip_nan:  # NaN is sorted last: a row with any gives NaN
        rank = where(nans > 0, last, rank)
    rank = rank.expand((*values.shape[:-1], q.numel()))
    if interpolation == "nearest":
        rank = rank.round()
    below = rank.ceil() if interpolation == "higher" else rank.floor()
    result = gather(values, -1, below.long())
    if interpolation in ("linear", "midpoint"):
        weight = rank - below if interpolation == "linear" else where(rank > below, 0.5, 0.0).to(input.dtype)
        result = result + (gather(values, -1, rank.ceil().long()) - result) * weight
    result = result.movedim(-1, 0)
    if keepdim:
        result = result.reshape([q.numel(), *shape])
    return result.squeeze(0) if q.ndim == 0 else result


def quantile(input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *,
             interpolation: str = "linear") -> Tensor:
    """The q-quantiles along dim (or of all elements), between neighbors by `interpolation`; a vector q gives dim 0."""
    return _quantile(input, q, dim, keepdim, interpolation, False)


def nanquantile(input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *,
                interpolation: str = "linear") -> Tensor:
    """quantile of the elements that are not NaN."""
    return _quantile(input, q, dim, keepdim, interpolation, True)


def diff(input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None,
         append: Tensor | None = None) -> Tensor:
    """Differences of neighbors along dim, n times."""
    if input.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    if n == 0:
        return input.clone()
    parts = [part for part in (prepend, input, append) if part is not None]
    result = cat(parts, dim) if len(parts) > 1 else input
    for _ in range(min(n, result.shape[dim])):  # nothing is left after as many
        size = max(result.shape[dim] - 1, 0)
        later, earlier = result.narrow(dim, result.shape[dim] - size, size), result.narrow(dim, 0, size)
        result = later ^ earlier if later.dtype is DTYPES["bool"] else later - earlier
    return result


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The integral of y along dim by the trapezoidal rule: at the points x, or `dx` apart."""
    size = y.shape[dim] - 1
    if x is None:
        return ((y.narrow(dim, 0, size).sum(dim) + y.narrow(dim, 1, size).sum(dim)) / 2) * dx
    middle = (y.narrow(dim, 0, size) + y.narrow(dim, 1, size)) / 2
    if x.ndim == 1:
        x = x.reshape([-1] + [1] * (y.ndim - 1 - dim % y.ndim))
        return (middle * diff(x, dim=0)).sum(dim)
    return (middle * diff(x, dim=dim)).sum(dim)


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The integrals of y along dim from its first point to each later one: :func:`trapezoid` of each beginning."""
    size = y.shape[dim] - 1
    middle = (y.narrow(dim, 0, size) + y.narrow(dim, 1, size)) / 2
    if x is None:
        return (middle * dx).cumsum(dim)
    if x.ndim == 1:
        x = x.reshape([-1] + [1] * (y.ndim - 1 - dim % y.ndim))
        return (middle * diff(x, dim=0)).cumsum(dim)
    return (middle * diff(x, dim=dim)).cumsum(dim)


def unravel_index(indices: Tensor, shape: int | Sequence[int]) -> tuple[Tensor, ...]:
    """The coordinates, one tensor a dim, of flat positions in an array of that shape."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    total = 1
    for size in sizes:
        total *= size
    if indices.numel() and not bool(((indices >= -total) & (indices < total)).all()):
        raise ValueError(f"'indices' must be within an array of shape {list(sizes)}")
    rest, places = indices.remainder(max(total, 1)), []
    for size in reversed(sizes):
        places.append(rest.remainder(max(size, 1)))
        rest = rest.div(max(size, 1), rounding_mode="floor")
    return tuple(reversed(places))


def vander(x: Tensor, N: int | None = None, *, increasing: bool = False) -> Tensor:
    """The matrix of powers x**0 ... x**(N-1) of a vector, as columns; the highest first unless `increasing`."""
    powers = [x ** k for k in range(x.shape[0] if N is None else N)]
    return stack(powers if increasing else powers[::-1], 1)


METHODS = {f.__name__: f for f in (bincount, histc, quantile, nanquantile, diff)}
FUNCTIONS = METHODS | {"trapezoid": trapezoid, "trapz": trapezoid, "cumulative_trapezoid": cumulative_trapezoid,
                       "unravel_index": unravel_index, "vander": vander}
trapz = trapezoid
