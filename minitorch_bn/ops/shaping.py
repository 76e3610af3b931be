"""Rearranging: roll, repeat, tile, pad, diagonals, grids. Compositions of views, copies and index_select."""
from __future__ import annotations

import functools
import itertools

from minitorch_bn._core import Tensor, arange, attach, broadcast_shapes, empty, full, where, zeros
from minitorch_bn._modes import inference_mode
from minitorch_bn.ops.indexing import index_select
from minitorch_bn.ops.joining import cat, flip, stack
from minitorch_bn.ops.triangles import bordered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def _several(value: Any) -> tuple:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _wrap(dim: int, ndim: int) -> int:
    bound = max(ndim, 1)
    if not -bound <= dim < bound:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {dim})")
    return dim % bound


# -- order -------------------------------------------------------------------------------------------------------------

def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Elements moved by `shifts` places along dims, those that leave at the end coming back at the start."""
    if dims is None or dims == ():
        if len(_several(shifts)) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(_several(shifts))}, dims:0")
        return roll(input.reshape(-1), shifts, 0).reshape(input.shape)
    shifts, dims = _several(shifts), _several(dims)
    if len(shifts) != len(dims):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    result = source = input.detach()
    for shift, dim in zip(shifts, dims):
        if input.ndim == 0:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        n = input.shape[_wrap(dim, input.ndim)]
        if n and shift % n:
            result = cat((result.narrow(dim, n - shift % n, shift % n), result.narrow(dim, 0, n - shift % n)), dim)
    result = source.clone() if result is source else result
    return attach(result, (input,), lambda g: roll(g, tuple(-shift for shift in shifts), dims), "RollBackward0")


def fliplr(input: Tensor) -> Tensor:
    """Columns in reversed order."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    """Rows in reversed order."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """The plane of two dims turned k times by 90 degrees, from the first towards the second."""
    if input.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    if len(dims) != 2 or _wrap(dims[0], input.ndim) == _wrap(dims[1], input.ndim):
        raise RuntimeError(f"expected total rotation dims == 2, both different, but got dims = {list(dims)}")
    a, b = dims
    return (input.clone, lambda: flip(input, b).transpose(a, b), lambda: flip(input, a, b),
            lambda: flip(input.transpose(a, b), b))[k % 4]()


# -- repetition --------------------------------------------------------------------------------------------------------

def repeat(self: Tensor, *sizes: Any, repeats: Any = None) -> Tensor:
    """The tensor, with leading dims of size 1 if needed, repeated sizes[d] times along each dim d."""
    sizes = sizes if repeats is None else (repeats,)
    counts = _several(sizes[0]) if len(sizes) == 1 else sizes
    if len(counts) < self.ndim:
        raise (RuntimeError if sizes else TypeError)(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    if any(count < 0 for count in counts):
        raise RuntimeError(f"Trying to create tensor with negative dimension: repeat by {list(counts)}")
    result = self.reshape((1,) * (len(counts) - self.ndim) + tuple(self.shape))
    if result.ndim + sum(count != 1 for count in counts) <= 8:  # one copy of one expanded view
        split, wide = list[int](), list[int]()
        for count, size in zip(counts, result.shape):
            split += [size] if count == 1 else [1, size]
            wide += [size] if count == 1 else [count, size]
        result = result.reshape(split).expand(wide).reshape([n * size for n, size in zip(counts, result.shape)])
    else:
        for dim, count in enumerate(counts):
            shape = tuple(result.shape)
            copies = result.unsqueeze(dim).expand((*shape[:dim], count, *shape[dim:]))
            result = copies.reshape((*shape[:dim], count * shape[dim], *shape[dim + 1:]))
    return _own(self, result)


def _own(input: Tensor, result: Tensor) -> Tensor:
    """The result, copied if it is a view of the input (of one element, repeated)."""
    return result.clone() if result.data_ptr() == input.data_ptr() else result


def tile(input: Tensor, *args: Any, dims: Any = None) -> Tensor:
    """repeat, with leading ones added to dims if needed."""
    args = args if dims is None else (dims,)
    counts = _several(args[0]) if len(args) == 1 else args
    return repeat(input, *((1,) * (input.ndim - len(counts)) + tuple(counts)))


def repeat_interleave(input: Tensor, repeats: Any = None, dim: int | None = None, *,
                      output_size: int | None = None) -> Tensor:
    """Each element (or slice along dim) repeated in its place, `repeats` times or as often as its entry says."""
    if repeats is None:  # repeats alone: the indices
        return repeat_interleave(arange(input.numel()), input, 0)
    if dim is None:
        input, dim = input.reshape(-1), 0
    dim = _wrap(dim, input.ndim)
    input = input.reshape(1) if input.ndim == 0 else input
    n = input.shape[dim]
    if not isinstance(repeats, Tensor):
        if repeats < 0:
            raise RuntimeError("Repeats must be non-negative")
        shape = tuple(input.shape)
        wide = input.unsqueeze(dim + 1).expand((*shape[:dim + 1], repeats, *shape[dim + 1:]))
        return _own(input, wide.reshape((*shape[:dim], n * repeats, *shape[dim + 1:])))
    if repeats.is_floating_point() or repeats.ndim > 1 or repeats.numel() not in (1, n):
        raise RuntimeError("repeats must be an int64 or int32 vector with one entry, or one for each of the "
                           f"{n} slices, got {repeats.dtype} of shape {list(repeats.shape)}")
    if repeats.numel() and bool((repeats < 0).any()):
        raise RuntimeError("repeats can not be negative")
    from minitorch_bn.ops.sorting import searchsorted
    ends = repeats.reshape(-1).expand(n).to(arange(0).dtype).cumsum(0)
    total = int(ends[-1]) if n else 0
    if output_size is not None and output_size != total:
        raise RuntimeError(f"allocated size does not match required size: output_size={output_size}, repeats sum to "
                           f"{total}")
    return index_select(input, dim, searchsorted(ends, arange(total), right=True))


# -- padding -----------------------------------------------------------------------------------------------------------

def _constant_pad(input: Tensor, amounts: Sequence[int], value: float) -> Tensor:
    """Negative amounts crop. The gradient of a pad is the crop that undoes it, and the other way."""
    before, after = [0] * input.ndim, [0] * input.ndim
    for i in range(len(amounts) // 2):
        before[-1 - i], after[-1 - i] = amounts[2 * i], amounts[2 * i + 1]
    sizes = [n + a + b for n, a, b in zip(input.shape, before, after)]
    if any(size < 0 for size in sizes):
        raise RuntimeError(f"The input size {list(input.shape)}, plus negative padding {list(amounts)}, resulted in a "
                           "negative output size, which is invalid.")
    source = input.detach()
    result = target = full(tuple(sizes), value, dtype=input.dtype)
    for dim, (a, b) in enumerate(zip(before, after)):
        length = max(source.shape[dim] + min(a, 0) + min(b, 0), 0)
        source = source.narrow(dim, max(-a, 0) if length else 0, length)
        target = target.narrow(dim, max(a, 0) if length else 0, length)
    target.copy_(source)
    return attach(result, (input,), lambda g: (_constant_pad(g, [-n for n in amounts], 0),), "ConstantPadNdBackward0")


@functools.lru_cache(maxsize=64)
def _outside(mode: str, n: int, before: int, after: int) -> Tensor:
    """For each position of the padded dim, the input position that it shows. Kept: to be read only."""
    if mode == "circular" and max(before, after) > n:
        raise RuntimeError(f"Padding value causes wrapping around more than once: ({before}, {after}) at size {n}")
    with inference_mode(False):
        places = arange(-before, n + after)
        if mode != "reflect":
            return places.clamp(0, n - 1) if mode == "replicate" else places.remainder(n)
        return where(places.abs() < n, places.abs(), 2 * (n - 1) - places)


def _bordered(input: Tensor, amounts: Sequence[int], places: dict[int, Tensor]) -> Tensor:
    """The last two dims of a padding, in one pass."""
    h, w = input.shape[-2:]
    rows, columns = (places.get(input.ndim - i, _outside("circular", n, 0, 0)) for i, n in ((2, h), (1, w)))
    before = amounts[0] if input.ndim - 1 in places else 0

    def forward(x: Tensor) -> Tensor:
        return attach(bordered(x.detach(), rows, columns, before), (x,), backward, "PadBackward0")

    def backward(g: Tensor) -> Tensor:
        wide = g if g.dtype.itemsize > 2 else g.float()  # small floats are added in float32
        return attach(bordered(wide.detach(), rows, columns, before, (h, w)).to(g.dtype), (g,), forward, "PadBackward0")

    return forward(input)


def _mirrored_pad(input: Tensor, amounts: Sequence[int], places: dict[int, Tensor]) -> Tensor:
    """The input in the middle, then the borders of each dim in `places`, a slice at a time, from what is there."""
    if any(dim >= input.ndim - 2 for dim in places):
        input = _bordered(input, amounts, places)
        places = {dim: shown for dim, shown in places.items() if dim < input.ndim - 2}
        if not places:
            return input
    sizes = list(input.shape)
    for dim, shown in places.items():
        sizes[dim] = shown.numel()
    result = center = empty(sizes, dtype=input.dtype)
    for dim in places:
        center = center.narrow(dim, amounts[2 * (input.ndim - 1 - dim)], input.shape[dim])
    center.copy_(input.detach())
    for dim, shown in places.items():
        before = amounts[2 * (input.ndim - 1 - dim)]
        for i, j in enumerate(shown.tolist()):
            if i < before or i >= before + input.shape[dim]:
                result.select(dim, i).copy_(result.select(dim, before + j))

    def backward(g: Tensor) -> tuple[Tensor]:
        """The adjoint: border slices are added to those that they show."""
        for dim, shown in reversed(places.items()):
            sizes = list(g.shape)
            sizes[dim] = input.shape[dim]
            g = g.new_zeros(sizes).index_add(dim, shown, g)
        return (g,)

    return attach(result, (input,), backward, "PadBackward0")


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Rows added at both ends of the last dims: pad = (before last, after last, before last but one, ...).

    mode: 'constant' (of `value`, 0), 'reflect', 'replicate' or 'circular'; the last three for the last 1 to 3 dims of
    an input with 1 or 2 dims more. Negative amounts crop.
    """
    amounts = [int(amount) for amount in (pad.tolist() if isinstance(pad, Tensor) else pad)]
    if len(amounts) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(amounts) > 2 * input.ndim:
        raise RuntimeError("Padding length should be less than or equal to two times the input dimension but got "
                           f"padding length {len(amounts)} and input of dimension {input.ndim}")
    if mode == "constant":
        return _constant_pad(input, amounts, 0 if value is None else value)
    if value is not None and value != 0:
        raise ValueError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    dims = len(amounts) // 2
    if input.ndim not in (dims + 1, dims + 2) or dims > 3:
        raise NotImplementedError("Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now: "
                                  f"{mode} of {dims} dims for an input of shape {list(input.shape)}")
    if mode == "circular" and min(amounts, default=0) < 0:  # what is left after cropping comes round again
        input, amounts = _constant_pad(input, [min(n, 0) for n in amounts], 0), [max(n, 0) for n in amounts]
    places = {}
    for i in range(dims):
        before, after = amounts[2 * i], amounts[2 * i + 1]
        dim = input.ndim - 1 - i
        if before or after:
            if input.shape[dim] == 0 or input.shape[dim] + before + after <= 0:
                raise RuntimeError(f"{mode} padding ({before}, {after}) of a dimension of size {input.shape[dim]}")
            if mode == "reflect" and max(before, after) >= input.shape[dim]:
                raise RuntimeError("Argument #4: Padding size should be less than the corresponding input dimension, "
                                   f"but got: padding ({before}, {after}) at a dimension of size {input.shape[dim]} of "
                                   f"input {list(input.shape)}")
            places[dim] = _outside(mode, input.shape[dim], before, after)
    if min(amounts, default=0) < 0:  # cropping: one dim after the other
        result = input
        for dim, shown in places.items():
            result = index_select(result, dim, shown)
        return result
    return _mirrored_pad(input, amounts, places)


# -- diagonals ----------------------------------------------------------------------------------------------

def _offsets(rows: int, columns: int) -> Tensor:
    return arange(columns) - arange(rows).unsqueeze(1)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None,
                 layout: Any = None) -> Tensor:
    """The positions of the lower triangle: (2, count)."""
    return stack((_offsets(row, col) <= offset).nonzero(as_tuple=True)).to(dtype or arange(0).dtype)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None,
                 layout: Any = None) -> Tensor:
    """The positions of the upper triangle: (2, count)."""
    return stack((_offsets(row, col) >= offset).nonzero(as_tuple=True)).to(dtype or arange(0).dtype)


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Zeros with the last dim of the input on a diagonal of the two dims."""
    n = input.shape[-1] + abs(offset)
    a, b = _wrap(dim1, input.ndim + 1), _wrap(dim2, input.ndim + 1)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    sizes = list(input.shape[:-1])
    for dim in sorted((a, b)):
        sizes.insert(dim, n)
    result = zeros(tuple(sizes), dtype=input.dtype)
    result.diagonal(offset, a, b).copy_(input.detach())
    return attach(result, (input,), lambda g: (g.diagonal(offset, a, b),), "DiagEmbedBackward0")


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A matrix with the vector on that diagonal, or that diagonal of a matrix."""
    if input.ndim not in (1, 2):
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    return diag_embed(input, diagonal) if input.ndim == 1 else input.diagonal(diagonal).clone()


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with the flattened input on a diagonal."""
    return diag_embed(input.reshape(-1), offset)


def block_diag(*tensors: Tensor) -> Tensor:
    """The matrices (vectors as rows) along the diagonal of a larger one."""
    blocks = [t.reshape(1, -1) if t.ndim < 2 else t for t in tensors]
    if any(block.ndim != 2 for block in blocks):
        raise RuntimeError("torch.block_diag: Input tensors must have 2 or fewer dimensions")
    width, rows, left = sum(block.shape[1] for block in blocks), [], 0
    for block in blocks:
        rows.append(pad(block, (left, width - left - block.shape[1])))
        left += block.shape[1]
    return cat(rows)


def _written(input: Tensor, src: Tensor, place: Any) -> Tensor:
    """A copy of the input with src written through a view of it."""
    result = input.clone()
    window = place(result)
    if window.shape != src.shape:
        raise RuntimeError(f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, "
                           f"slice size = {list(window.shape)}")
    window.copy_(src)
    return result


def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """The input with src in place of one slice."""
    return _written(input, src, lambda x: x.select(dim, index))


def slice_scatter(input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None,
                  step: int = 1) -> Tensor:
    """The input with src in place of input[start:end:step] along dim."""
    return _written(input, src, lambda x: x[(slice(None),) * _wrap(dim, x.ndim) + (slice(start, end, step),)])


def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The input with src on a diagonal."""
    return _written(input, src, lambda x: x.diagonal(offset, dim1, dim2))


def fill_diagonal_(self: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Write one number on the main diagonal; with `wrap`, it starts again below the end of a tall matrix."""
    if self.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.ndim > 2 and len(set(self.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    if wrap and self.ndim == 2 and self.shape[0] > self.shape[1]:
        for start in range(0, self.shape[0], self.shape[1] + 1):
            self[start:start + self.shape[1]].diagonal().fill_(fill_value)
    elif self.numel():
        self.as_strided((min(self.shape),), (sum(self.stride()),), self.storage_offset()).fill_(fill_value)
    return self


# -- grids -------------------------------------------------------------------------------------------------------------

def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Expanded views of vectors over the grid that they span; 'ij', or 'xy' with the first two dims exchanged."""
    axes = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else list(tensors)
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    if any(t.ndim > 1 for t in axes):
        raise RuntimeError(f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: "
                           f"{next(list(t.shape) for t in axes if t.ndim > 1)}")
    swap = indexing == "xy" and len(axes) >= 2
    if swap:
        axes[:2] = axes[1::-1]
    shape = tuple(t.numel() for t in axes)
    grids = [t.reshape((1,) * i + (-1,) + (1,) * (len(axes) - 1 - i)).expand(shape) for i, t in enumerate(axes)]
    if swap:
        grids[:2] = grids[1::-1]
    return tuple(grids)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All tuples of one element of each vector, as rows."""
    if len(tensors) == 1:
        return tensors[0]
    return stack([grid.reshape(-1) for grid in meshgrid(*tensors)], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of r elements of a vector, as rows."""
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = list(choose(range(input.shape[0]), r))
    if not places or r == 0:
        return input[:0].reshape(0, r) if r else input[:0]
    from minitorch_bn._core import tensor
    return index_select(input, 0, tensor(places).reshape(-1)).reshape(-1, r)


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Views of the tensors, all expanded to their common shape."""
    items = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    shape = broadcast_shapes(*[tuple(t.shape) for t in items])
    return tuple(t.expand(shape) for t in items)


def _at_least(ndim: int):
    def at_least(*tensors: Any) -> Any:
        items = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
        grown = tuple(_grow(t, ndim) for t in items)
        return grown[0] if len(tensors) == 1 and isinstance(tensors[0], Tensor) else grown

    at_least.__name__ = at_least.__qualname__ = f"atleast_{ndim}d"
    at_least.__doc__ = f"The tensors with at least {ndim} dims: dims of size 1 are added."
    return at_least


def _grow(t: Tensor, ndim: int) -> Tensor:
    if t.ndim >= ndim:
        return t
    if ndim == 3:
        return t.reshape(1, -1, 1) if t.ndim < 2 else t.unsqueeze(2)
    return t.reshape((1,) * (ndim - t.ndim) + tuple(t.shape))


atleast_1d, atleast_2d, atleast_3d = map(_at_least, (1, 2, 3))


_FOR_BOTH = (roll, fliplr, flipud, rot90, tile, repeat_interleave, diag, diag_embed, diagflat, select_scatter,
             slice_scatter, diagonal_scatter)
# The view methods of Tensor as functions.
_VIEWS = {name: getattr(Tensor, name) for name in (
    "reshape", "flatten", "unflatten", "ravel", "squeeze", "unsqueeze", "permute", "transpose", "t", "movedim",
    "moveaxis",
    "swapaxes", "swapdims", "broadcast_to", "select", "narrow", "diagonal", "as_strided", "detach", "clone")}
globals().update(_VIEWS)

METHODS = {f.__name__: f for f in (*_FOR_BOTH, repeat, fill_diagonal_)}
FUNCTIONS = _VIEWS | {f.__name__: f for f in (*_FOR_BOTH, tril_indices, triu_indices, block_diag, meshgrid,
                                              cartesian_prod, combinations,
                                     broadcast_tensors, atleast_1d, atleast_2d, atleast_3d)}
PRIMITIVES = {"pad": pad}
