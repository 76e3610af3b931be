"""torch.masked: reductions and normalizations that leave out the elements where `mask` is False.

A mask broadcasts to the input's shape and counts as bool. An element left out is replaced by what does not change the
result (0 for a sum, -inf for a maximum); where all are left out, that is the result, or NaN for means and variances.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import minitorch_bn as torch
import minitorch_bn.nn.functional as F
from minitorch_bn import Tensor
from minitorch_bn.ops import vector_norm

_Dims = int | Sequence[int] | None
__all__ = ["amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp", "logsumexp", "mean",
           "median", "norm", "normalize", "prod", "softmax", "softmin", "std", "sum", "var"]


def _full_mask(input: Tensor, mask: Tensor) -> Tensor:
    """The mask as bools of the input's shape."""
    if mask.ndim > input.ndim:
        raise IndexError("_input_mask expected broadcastable mask (got mask dimensionality higher than of the input)")
    return torch.broadcast_to(mask.bool(), input.shape)


def _input_mask(input: Tensor, *args: Any, mask: Tensor | None = None, **kwargs: Any) -> Tensor:
    """PyTorch's name of the mask as it is used; it must be given."""
    if mask is None:
        raise ValueError("_input_mask requires explicit mask")
    return _full_mask(input, mask)


def _output_mask(op: Any, input: Tensor, *args: Any, mask: Tensor | None = None, dim: _Dims = None,
                 keepdim: bool = False, **kwargs: Any) -> Tensor:
    """Where a result of `op`, of this module, called with these arguments, comes from some element."""
    full = _input_mask(input, mask=mask)
    if op.__name__ in ("softmax", "log_softmax", "softmin", "normalize", "cumsum", "cumprod"):
        return full
    rest = args[1:] if op.__name__ == "norm" else args
    dims = _dims(rest[0] if rest else -1 if op.__name__ == "median" and dim is None else dim, input.ndim)
    return full.any(dims, keepdim) if full.ndim else full


def _filled(input: Tensor, mask: Tensor | None, value: float) -> Tensor:
    """The input with `value` where the mask is False."""
    if mask is None:
        return input
    return torch.where(_full_mask(input, mask), input, torch.full((), value, dtype=input.dtype))


def _lowest(input: Tensor, name: str) -> Any:
    """What a maximum starts from."""
    if input.dtype is torch.bool:
        raise NotImplementedError(f"identity of {name} on {input.dtype} input")
    return -math.inf if input.is_floating_point() else torch.iinfo(input.dtype).min


def _highest(input: Tensor, name: str) -> Any:
    """What a minimum starts from."""
    if input.dtype is torch.bool:
        raise NotImplementedError(f"identity of {name} on {input.dtype} input")
    return math.inf if input.is_floating_point() else torch.iinfo(input.dtype).max


def _dims(dim: _Dims, ndim: int) -> tuple[int, ...]:
    """The dims to reduce, sorted; None and () mean all."""
    if dim is None or isinstance(dim, (tuple, list)) and not dim:
        return tuple(range(ndim))
    n = max(ndim, 1)
    result: list[int] = []
    for d in (dim,) if isinstance(dim, int) else dim:
        if not -n <= d < n:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {d})")
        if d % n in result:
            raise RuntimeError(f"dim={d} appears multiple times in the list of dims")
        result.append(d % n)
    return tuple(sorted(result))


def _accumulating(input: Tensor, dtype: Any) -> Any:
    if dtype is None:
        return input.dtype if input.is_floating_point() else torch.int64
    return dtype


def sum(input: Tensor, dim: _Dims = None, *, keepdim: bool | None = False, dtype: Any = None,
        mask: Tensor | None = None) -> Tensor:
    """The sum of the elements that are not masked out."""
    return torch.sum(_filled(input, mask, 0), _dims(dim, input.ndim), bool(keepdim),
                     dtype=_accumulating(input, dtype))


def prod(input: Tensor, dim: _Dims = None, *, keepdim: bool | None = False, dtype: Any = None,
         mask: Tensor | None = None) -> Tensor:
    """The product of the elements that are not masked out."""
    x, kind = _filled(input, mask, 1), _accumulating(input, dtype)
    dims = _dims(dim, input.ndim)
    x = x.to(kind)
    for d in reversed(dims) if x.ndim else ():
        x = x.prod(d, bool(keepdim))
    return x.clone() if x is input and dim is not None else x


def cumsum(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Sums of the elements so far, those masked out left out."""
    dtype = input.dtype if dtype is None else dtype
    return torch.cumsum(_filled(input, mask, 0), _dims(dim, input.ndim)[0], dtype=dtype).to(dtype)


def cumprod(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Products of the elements so far, those masked out left out."""
    dtype = input.dtype if dtype is None else dtype
    return torch.cumprod(_filled(input, mask, 1), _dims(dim, input.ndim)[0], dtype=dtype).to(dtype)


def amax(input: Tensor, dim: _Dims = None, *, keepdim: bool | None = False, dtype: Any = None,
         mask: Tensor | None = None) -> Tensor:
    """The greatest of the elements that are not masked out."""
    x = _filled(input, mask, 0 if mask is None else _lowest(input, "amax"))
    return torch.amax(x, _dims(dim, input.ndim), bool(keepdim)).to(input.dtype if dtype is None else dtype)


def amin(input: Tensor, dim: _Dims = None, *, keepdim: bool | None = False, dtype: Any = None,
         mask: Tensor | None = None) -> Tensor:
    """The least of the elements that are not masked out."""
    x = _filled(input, mask, 0 if mask is None else _highest(input, "amin"))
    return torch.amin(x, _dims(dim, input.ndim), bool(keepdim)).to(input.dtype if dtype is None else dtype)


def argmax(input: Tensor, dim: int | None = None, *, keepdim: bool | None = False, dtype: Any = None,
           mask: Tensor | None = None) -> Tensor:
    """The index of the greatest element that is not masked out, in the input's dtype unless one is given."""
    x = _filled(input, mask, 0 if mask is None else _lowest(input, "argmax"))
    return torch.argmax(x, dim, bool(keepdim)).to(input.dtype if dtype is None else dtype)


def argmin(input: Tensor, dim: int | None = None, *, keepdim: bool | None = False, dtype: Any = None,
           mask: Tensor | None = None) -> Tensor:
    """The index of the least element that is not masked out, in the input's dtype unless one is given."""
    x = _filled(input, mask, 0 if mask is None else _highest(input, "argmin"))
    return torch.argmin(x, dim, bool(keepdim)).to(input.dtype if dtype is None else dtype)


def _count(input: Tensor, mask: Tensor | None, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    """How many elements each result comes from."""
    if mask is None:
        mask = torch.ones(input.shape, dtype=torch.bool)
    return _full_mask(input, mask).sum(dims, keepdim) if dims else _full_mask(input, mask).long()


def mean(input: Tensor, dim: _Dims = None, *, keepdim: bool | None = False, dtype: Any = None,
         mask: Tensor | None = None) -> Tensor:
    """The mean of the elements that are not masked out; NaN where all are."""
    kind = input.dtype if dtype is None else dtype
    if not kind.is_floating_point:
        raise ValueError(f"mean(): Could not infer output dtype. {'Input' if dtype is None else 'Optional'} dtype must "
                         f"be either a floating point or complex dtype. Got: {kind}")
    total = sum(input, dim, keepdim=keepdim, dtype=kind, mask=mask)
    return total / _count(input, mask, _dims(dim, input.ndim), bool(keepdim))


def median(input: Tensor, dim: int = -1, *, keepdim: bool = False, dtype: Any = None,
           mask: Tensor | None = None) -> Tensor:
    """The median (the lower of two) of the elements that are not masked out; NaN where all are."""
    d = _dims(dim, input.ndim)[0]
    x = input if input.is_floating_point() else input.float()
    result = torch.nanmedian(_filled(x, mask, math.nan), d, keepdim).values
    if input.is_floating_point():
        return result
    if bool(result.isnan().any()):
        raise ValueError("masked median expects no fully masked out rows if dtype is not floating point")
    return result.to(input.dtype if dtype is None else dtype)


def logsumexp(input: Tensor, dim: _Dims = None, *, keepdim: bool = False, dtype: Any = None,
              mask: Tensor | None = None) -> Tensor:
    """log(sum(exp(x))) of the elements that are not masked out."""
    x = _filled(input, mask, 0 if mask is None else _lowest(input, "logsumexp"))
    return torch.logsumexp(x, _dims(dim, input.ndim), keepdim=keepdim).to(input.dtype if dtype is None else dtype)


def logaddexp(input: Tensor, other: Tensor, *, dtype: Any = None, input_mask: Tensor | None = None,
              other_mask: Tensor | None = None) -> Tensor:
    """log(exp(input) + exp(other)); an element masked out counts as -inf."""
    a = _filled(input, input_mask, 0 if input_mask is None else _lowest(input, "logaddexp"))
    b = _filled(other, other_mask, 0 if other_mask is None else _lowest(other, "logaddexp"))
    return torch.logaddexp(a, b).to(input.dtype if dtype is None else dtype)


def norm(input: Tensor, ord: float | None = 2.0, dim: _Dims = None, *, keepdim: bool | None = False,
         dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """The vector norm of order `ord` of the elements that are not masked out."""
    order = 2.0 if ord is None else float(ord)
    x = _filled(input, mask, math.inf if order == -math.inf else 0)
    return vector_norm(x, order, _dims(dim, input.ndim), bool(keepdim), dtype=dtype)


def _spread(input: Tensor, dim: _Dims, unbiased: bool | None, correction: float | None, keepdim: bool | None,
            dtype: Any, mask: Tensor | None) -> Tensor:
    """The variance."""
    if unbiased is not None and correction is not None:
        raise AssertionError("Only one of unbiased and correction may be given")
    less = float(correction) if correction is not None else float(unbiased is not False)
    if dtype is None:
        dtype = input.dtype if input.is_floating_point() else torch.float32
    work = dtype if dtype.is_floating_point else torch.float32
    dims = _dims(dim, input.ndim)
    count = _count(input, mask, dims, True)
    x = input - sum(input, dims, keepdim=True, dtype=dtype, mask=mask) / count
    total = sum(x * x, dims, keepdim=keepdim, dtype=work, mask=mask)
    freedom = (count.reshape(total.shape).to(work) - less).clamp(min=0)
    return (total / freedom).to(dtype)


def var(input: Tensor, dim: _Dims = None, unbiased: bool | None = None, *, correction: float | None = None,
        keepdim: bool | None = False, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """The variance of the elements that are not masked out: divided by their number less `correction` (1)."""
    return _spread(input, dim, unbiased, correction, keepdim, dtype, mask)


def std(input: Tensor, dim: _Dims = None, unbiased: bool | None = None, *, correction: float | None = None,
        keepdim: bool | None = False, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """The square root of :func:`var`."""
    return _spread(input, dim, unbiased, correction, keepdim, dtype, mask).sqrt()


def softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """softmax in which an element masked out has weight 0."""
    x = _filled(input, mask, 0 if mask is None else _lowest(input, "amax"))
    return F.softmax(x, _dims(dim, input.ndim)[0], dtype=input.dtype if dtype is None else dtype)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """The logarithm of :func:`softmax`."""
    x = _filled(input, mask, 0 if mask is None else _lowest(input, "amax"))
    return F.log_softmax(x, _dims(dim, input.ndim)[0], dtype=input.dtype if dtype is None else dtype)


def softmin(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """softmax of -input in which an element masked out has weight 0."""
    x = _filled(input, mask, 0 if mask is None else _highest(input, "amin"))
    return F.softmin(x, _dims(dim, input.ndim)[0], dtype=input.dtype if dtype is None else dtype)


def normalize(input: Tensor, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None,
              mask: Tensor | None = None) -> Tensor:
    """The elements that are not masked out, divided by the greater of eps and their norm; else 0."""
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return _filled(input, mask, 0) / torch.maximum(length, length.new_full((), eps))
