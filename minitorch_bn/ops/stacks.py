"""Joining and cutting by NumPy's names: hstack and its kind, tensor_split, hsplit and its kind.

Imported when one of its names is first used.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import index

from minitorch_bn._core import Tensor
from minitorch_bn.ops.joining import cat, split


def _tensors(tensors: Iterable[Tensor], op: str) -> list[Tensor]:
    items = [] if isinstance(tensors, Tensor) else list(tensors)
    if not items or not all(isinstance(t, Tensor) for t in items):
        raise TypeError(f"{op}() expects a non-empty list or tuple of tensors, got {tensors!r}")
    return items


def hstack(tensors: Iterable[Tensor], *, out: Tensor | None = None) -> Tensor:
    """cat along the second dim (of vectors, the first)."""
    items = [t.reshape(1) if t.ndim == 0 else t for t in _tensors(tensors, "hstack")]
    return cat(items, 0 if items[0].ndim == 1 else 1, out=out)


def vstack(tensors: Iterable[Tensor], *, out: Tensor | None = None) -> Tensor:
    """cat along the first dim, vectors as rows."""
    return cat([t.reshape(1, -1) if t.ndim < 2 else t for t in _tensors(tensors, "vstack")], 0, out=out)


def dstack(tensors: Iterable[Tensor], *, out: Tensor | None = None) -> Tensor:
    """cat along the third dim."""
    return cat([t.reshape(1, -1, 1) if t.ndim < 2 else t.unsqueeze(2) if t.ndim == 2 else t
                for t in _tensors(tensors, "dstack")], 2, out=out)


def column_stack(tensors: Iterable[Tensor], *, out: Tensor | None = None) -> Tensor:
    """cat along the second dim, vectors as columns."""
    return cat([t.reshape(-1, 1) if t.ndim < 2 else t for t in _tensors(tensors, "column_stack")], 1, out=out)


row_stack = vstack


def tensor_split(input: Tensor, indices_or_sections: int | Sequence[int] | Tensor, dim: int = 0, *,
                 axis: int | None = None) -> tuple[Tensor, ...]:
    """Views along dim: a number of nearly equal pieces, or cut before the indices listed."""
    dim = dim if axis is None else axis
    if input.ndim == 0:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    n = input.size(dim)
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, (tuple, list)):
        cuts = [0] + [slice(None, i).indices(n)[1] for i in indices_or_sections] + [n]
        return tuple([input.narrow(dim, a, max(b - a, 0)) for a, b in pairwise(cuts)])
    count = index(indices_or_sections)  # type: ignore[arg-type]
    if count <= 0:
        raise RuntimeError(f"number of sections must be larger than 0, got {count}")
    least, more = divmod(n, count)
    return split(input, [least + 1] * more + [least] * (count - more), dim)


def hsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """tensor_split along the second dim (of a vector, the first)."""
    return _even_split(input, indices_or_sections, 0 if input.ndim == 1 else 1, 1, "hsplit")


def vsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """tensor_split along the first dim."""
    return _even_split(input, indices_or_sections, 0, 2, "vsplit")


def dsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """tensor_split along the third dim."""
    return _even_split(input, indices_or_sections, 2, 3, "dsplit")


def _even_split(x: Tensor, sections: int | Sequence[int], dim: int, least: int, op: str) -> tuple[Tensor, ...]:
    if x.ndim < least:
        raise RuntimeError(f"torch.{op} requires a tensor with at least {least} dimension, but got a tensor with "
                           f"{x.ndim} dimensions!")
    if isinstance(sections, int) and (sections <= 0 or x.shape[dim] % sections):
        raise RuntimeError(f"torch.{op} attempted to split along dimension {dim}, but the size of the dimension "
                           f"{x.shape[dim]} is not divisible by the split_size {sections}!")
    return tensor_split(x, sections, dim)
