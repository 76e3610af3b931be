"""Pooling over one, two or three axes: the windows' maximum or average; un-pooling; power averages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import minitorch_bn as torch
from minitorch_bn import ops

from .._sizes import ntuple

Tensor = torch.Tensor
Size = int | Sequence[int]
Pooled: TypeAlias = torch.Tensor | tuple[torch.Tensor, torch.Tensor]

avg_pool1d, avg_pool2d, avg_pool3d = ops.avg_pool1d, ops.avg_pool2d, ops.avg_pool3d


def _max_pool(ndim: int):
    def max_pool(input: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
                 ceil_mode: bool = False, return_indices: bool = False) -> Pooled:
        return pool(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)

    pool = getattr(ops, f"max_pool{ndim}d")
    max_pool.__name__ = max_pool.__qualname__ = f"max_pool{ndim}d"
    max_pool.__doc__ = (f"The maximum of every window over the last {ndim} axes; with `return_indices` also where, "
                        "counted within the channel.")
    return max_pool


def _adaptive_pool(kind: str, ndim: int):
    def open_sizes(input: Tensor, output_size: Size) -> list[int]:
        """The output size with every None replaced by the input's."""
        if not isinstance(output_size, int) and input.dim() <= len(output_size):
            raise ValueError(f"Input dimension should be at least {len(output_size) + 1}")
        return [own if size is None else size for size, own in zip(ntuple(output_size, ndim), input.shape[-ndim:])]

    def adaptive_avg_pool(input: Tensor, output_size: Size) -> Tensor:
        return pool(input, open_sizes(input, output_size))

    def adaptive_max_pool(input: Tensor, output_size: Size, return_indices: bool = False) -> Pooled:
        return pool(input, open_sizes(input, output_size), return_indices)

    pool = getattr(ops, f"adaptive_{kind}_pool{ndim}d")
    function = adaptive_avg_pool if kind == "avg" else adaptive_max_pool
    function.__name__ = function.__qualname__ = f"adaptive_{kind}_pool{ndim}d"
    function.__doc__ = f"Pooling whose windows are chosen so that the last {ndim} axes become `output_size`."
    return function


max_pool1d, max_pool2d, max_pool3d = map(_max_pool, (1, 2, 3))
adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = (_adaptive_pool("avg", n) for n in (1, 2, 3))
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = (_adaptive_pool("max", n) for n in (1, 2, 3))


def _with_indices(pool):
    def function(input: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        return pool(input, *args, **{**kwargs, "return_indices": True})

    with_indices: Any = function
    with_indices.__wrapped__ = pool  # its arguments
    with_indices.__name__ = with_indices.__qualname__ = f"{pool.__name__}_with_indices"
    with_indices.__doc__ = f"`{pool.__name__}`, and where the maxima are, counted within the channel."
    return with_indices


max_pool1d_with_indices, max_pool2d_with_indices, max_pool3d_with_indices = map(
    _with_indices, (max_pool1d, max_pool2d, max_pool3d))
adaptive_max_pool1d_with_indices, adaptive_max_pool2d_with_indices, adaptive_max_pool3d_with_indices = map(
    _with_indices, (adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d))


def _max_unpool(ndim: int):
    def max_unpool(input: Tensor, indices: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0,
                   output_size: Sequence[int] | None = None) -> Tensor:
        sizes = _unpooled_size(input, ntuple(kernel_size, ndim), stride, ntuple(padding, ndim), output_size)
        if indices.shape != input.shape:
            raise RuntimeError(f"Expected shape of indices to be same as that of the input tensor ({list(input.shape)})"
                               f" but got indices tensor with shape: {list(indices.shape)}")
        leading = input.shape[:-ndim]
        flat = input.new_zeros((*leading, math.prod(sizes)))
        flat = flat.scatter(-1, indices.reshape(*leading, -1), input.reshape(*leading, -1))
        return flat.reshape(*leading, *sizes)

    max_unpool.__name__ = max_unpool.__qualname__ = f"max_unpool{ndim}d"
    max_unpool.__doc__ = f"Zeros, with the values that max_pool{ndim}d gave put back where its indices say."
    return max_unpool


def _unpooled_size(input: Tensor, kernel: tuple, stride: Size | None, padding: tuple,
                   output_size: Sequence[int] | None) -> list[int]:
    n = len(kernel)
    stride = kernel if stride is None else ntuple(stride, n)
    default = [(size - 1) * s + k - 2 * p for size, s, k, p in zip(input.shape[-n:], stride, kernel, padding)]
    if output_size is None:
        return default
    sizes = list(output_size)[-n:]
    if any(not d - s < size < d + s for size, d, s in zip(sizes, default, stride)):
        raise ValueError(f"invalid output_size {list(output_size)}: each of {sizes} must be less than the stride "
                         f"{list(stride)} away from {default}")
    return sizes


max_unpool1d, max_unpool2d, max_unpool3d = map(_max_unpool, (1, 2, 3))


def _lp_pool(ndim: int):
    def lp_pool(input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None,
                ceil_mode: bool = False) -> Tensor:
        mean = average(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
        total = mean * math.prod(ntuple(kernel_size, ndim))
        return torch.sign(mean).mul(torch.relu(total.abs())).pow(1.0 / norm_type)

    average = getattr(ops, f"avg_pool{ndim}d")
    lp_pool.__name__ = lp_pool.__qualname__ = f"lp_pool{ndim}d"
    lp_pool.__doc__ = f"(sum of x**norm_type)**(1 / norm_type) of every window over the last {ndim} axes."
    return lp_pool


lp_pool1d, lp_pool2d, lp_pool3d = map(_lp_pool, (1, 2, 3))
