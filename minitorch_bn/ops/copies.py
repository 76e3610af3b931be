"""Views as copies, writes into a copy of what a view shows, views taken in place, and the parts of a real number.

Imported when one of its names is first used.
"""
from __future__ import annotations

from typing import Any

from minitorch_bn import _core
from minitorch_bn._core import Tensor, attach, become, zeros_like
from minitorch_bn.ops import elementwise as ew
from minitorch_bn.ops.joining import split
from minitorch_bn.ops.outs import filled, with_out

CONTIGUOUS = _core._singleton("contiguous_format")


# -- copies ------------------------------------------------------------------------------------------------------------

def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone(memory_format=CONTIGUOUS)
    return tuple(map(_copied, value))


def _copy_of(name: str) -> Any:
    view = getattr(Tensor, name)

    def copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        result = _copied(view(input, *args, **kwargs))
        return result if out is None else filled(out, result)

    copy.__name__ = copy.__qualname__ = f"{name}_copy"
    copy.__doc__ = f"What Tensor.{name} shows, in memory of its own."
    return copy


(as_strided_copy, detach_copy, diagonal_copy, expand_copy, narrow_copy, permute_copy, select_copy, squeeze_copy, t_copy,
 transpose_copy, unbind_copy, unfold_copy, unsqueeze_copy, view_copy) = map(_copy_of, (
     "as_strided", "detach", "diagonal", "expand", "narrow", "permute", "select", "squeeze", "t", "transpose", "unbind",
     "unfold", "unsqueeze", "view"))


def alias_copy(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The same values in memory of their own."""
    return _copied(input) if out is None else filled(out, input)


def slice_copy(input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    """input[start:end:step] along dim, in memory of its own."""
    dim = dim % max(input.ndim, 1)
    return _copied(input[(slice(None),) * dim + (slice(start, end, step),)])


def split_copy(input: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """split, each part in memory of its own."""
    return _copied(split(input, split_size, dim))


def split_with_sizes_copy(input: Tensor, split_sizes: list[int], dim: int = 0, *, out: Any = None) -> Any:
    """split by a list of sizes, each part in memory of its own (or in that of the tensors `out`)."""
    parts = _copied(split(input, split_sizes, dim))
    if out is None:
        return parts
    for target, part in zip(out, parts):
        target.resize_(part.shape).copy_(part)
    return None


def unsafe_split(input: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """:func:`split`; here, in-place writes to the parts are always tracked."""
    return split(input, split_size, dim)


def unsafe_split_with_sizes(input: Tensor, split_sizes: list[int], dim: int = 0) -> tuple[Tensor, ...]:
    """:func:`split` by a list of sizes."""
    return split(input, split_sizes, dim)


def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """:func:`chunk`."""
    return input.chunk(chunks, dim)


def as_strided_scatter(input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A copy of the input with src written where the strided view looks."""
    result = input.clone() if input.is_contiguous() else input.clone(memory_format=CONTIGUOUS)
    window = result.as_strided(size, stride, storage_offset)
    if window.shape != src.shape:
        raise RuntimeError(f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, "
                           f"slice size = {list(window.shape)}")
    window.copy_(src)
    return result


def fill(input: Tensor, value: Any) -> Tensor:
    """A copy of the input, filled with one number."""
    return input.clone().fill_(value)


def constant_pad_nd(input: Tensor, pad: Any, value: float = 0) -> Tensor:
    """nn.functional.pad with a constant."""
    from minitorch_bn.ops.shaping import pad as padded
    return padded(input, pad, "constant", value)


# -- views taken in place ----------------------------------------------------------------------------------------------

def _inplace(name: str) -> Any:
    view = getattr(Tensor, name)

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return become(self, view(self, *args, **kwargs))

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"In-place version of Tensor.{name}: this tensor looks at its memory that way from now on."
    return method


as_strided_, squeeze_, swapaxes_, swapdims_, t_, transpose_, unsqueeze_ = map(_inplace, (
    "as_strided", "squeeze", "swapaxes", "swapdims", "t", "transpose", "unsqueeze"))


def resize_as_(self: Tensor, the_template: Tensor, *, memory_format: Any = None) -> Tensor:
    """resize_ to the shape of another tensor."""
    return self.resize_(the_template.shape, memory_format=memory_format)


# -- shape -------------------------------------------------------------------------------------------------------------

def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """The sum over the dims by which this tensor was expanded from `size`: the gradient of that expansion."""
    sizes = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    if not sizes:
        return self.sum()
    lead = self.ndim - len(sizes)
    if lead < 0 or any(want not in (1, have) for want, have in zip(sizes, self.shape[lead:])):
        raise RuntimeError(f"size {{{list(sizes)}}} is not expandable to size {{{list(self.shape)}}}.")
    dims = [d for d in range(self.ndim) if d < lead or sizes[d - lead] == 1 != self.shape[d]]
    return self.sum(dims, keepdim=True).reshape(sizes) if dims else self


def empty_strided(size: Any, stride: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
                  requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """A tensor of that size with these strides, not initialized."""
    if len(size) != len(stride):
        raise RuntimeError(f"dimensionality of sizes ({len(size)}) must match dimensionality of strides "
                           f"({len(stride)})")
    reach = 0 if 0 in size else 1 + sum((n - 1) * step for n, step in zip(size, stride))
    memory = _core.empty(reach, dtype=dtype, device=device)
    return memory.as_strided(size, stride).detach().requires_grad_(requires_grad)


def new_empty_strided(self: Tensor, size: Any, stride: Any, dtype: Any = None, layout: Any = None, device: Any = None,
                      requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """:func:`empty_strided` with this tensor's dtype unless another is given."""
    return empty_strided(size, stride, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def empty_permuted(size: Any, physical_layout: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
                   requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """A dense tensor of that size whose dims lie in memory in the order `physical_layout`, outermost first."""
    order = [int(d) for d in physical_layout]
    if len(order) != len(size):
        raise RuntimeError("Number of dimensions in size does not match the length of the physical_layout; i.e. "
                           f"len(size) = {len(size)} is not equal to len(physical_layout) = {len(order)}")
    for d in order:
        if not 0 <= d < len(size):
            raise RuntimeError(f"Dimension out of range (expected to be between 0 and {len(size) - 1}, but got {d})")
    if len(set(order)) != len(order):
        raise RuntimeError("Duplicate dim not allowed")
    strides, step = [0] * len(order), 1
    for d in reversed(order):
        strides[d] = step
        step *= max(size[d], 1)
    return empty_strided(size, strides, dtype=dtype, device=device, requires_grad=requires_grad)


# -- real numbers among the complex ones -------------------------------------------------------------------------------

def real(input: Tensor) -> Tensor:
    """The real part: the input itself."""
    return input


def imag(input: Tensor) -> Tensor:
    """An error: real tensors have no imaginary part."""
    raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")


conj = resolve_conj = resolve_neg = real
conj_physical = with_out(real)


def conj_physical_(self: Tensor) -> Tensor:
    """This tensor: a real number is its own conjugate."""
    return self


def isreal(input: Tensor) -> Tensor:
    """True for every element of a real tensor."""
    return _core.ones_like(input, dtype=_core.DTYPES["bool"])


def is_conj(input: Tensor) -> bool:
    """False: real tensors are never kept as conjugates."""
    return False


is_neg = is_conj


def angle(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """pi for negative numbers, 0 for others, NaN for NaN."""
    x = input.detach() if input.is_floating_point() else input.to(_core.get_default_dtype())
    y = zeros_like(x).masked_fill_(x < 0, 3.141592653589793).masked_fill_(ew.isnan(x), float("nan"))
    if out is not None:
        return out.resize_(y.shape).copy_(y)
    return attach(y, (input,), lambda g: (zeros_like(g),), "AngleBackward0")

