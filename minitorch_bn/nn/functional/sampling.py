"""Reading images at any coordinates (grid_sample), at those of an affine map, and pooling over random windows."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias

import minitorch_bn as torch

from .._sizes import ntuple

Tensor = torch.Tensor
Size: TypeAlias = int | Sequence[int]
Tap: TypeAlias = tuple[torch.Tensor, torch.Tensor]


def _align_default(align_corners: bool | None) -> bool:
    if align_corners is None:
        warnings.warn("Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. "
                      "Please specify align_corners=True if the old behavior is desired.", stacklevel=3)
    return bool(align_corners)


# -- grid_sample -----------------------------------------------------------------------------------------------------


def _reflected(position: Tensor, low2: int, high2: int) -> Tensor:
    """Coordinates mirrored at low2 / 2 and high2 / 2 as often as it takes."""
    if low2 == high2:
        return torch.zeros_like(position)
    low, span = low2 / 2, (high2 - low2) / 2
    distance = (position - low).abs()
    flips = (distance.detach() / span).floor()
    rest = distance - flips * span
    return torch.where(flips % 2 == 0, rest + low, span - rest + low)


def _kept_inside(position: Tensor, size: int, padding_mode: str, align_corners: bool) -> Tensor:
    """Coordinates as the padding mode moves them into the image ('zeros' leaves them)."""
    if padding_mode == "reflection":
        low2, high2 = (0, 2 * (size - 1)) if align_corners else (-1, 2 * size - 1)
        position = _reflected(position, low2, high2)
    if padding_mode != "zeros":
        position = position.clamp(0, size - 1)
    return position


def _axis_taps(position: Tensor, size: int, mode: str, padding_mode: str, align_corners: bool) -> list[Tap]:
    """Along one axis, the coordinates (whole numbers) that count and their weights."""
    if mode == "bicubic":
        first = position.detach().floor()
        t = position - first
        a = -0.75
        weights = [a * t * (1 - t) ** 2, ((a + 2) * t - (a + 3)) * t * t + 1,
                   ((a + 2) * (1 - t) - (a + 3)) * (1 - t) ** 2 + 1, a * (1 - t) * t * t]
        return [(_kept_inside(first + shift, size, padding_mode, align_corners), weight)
                for shift, weight in zip((-1, 0, 1, 2), weights)]
    position = _kept_inside(position, size, padding_mode, align_corners)
    if mode == "nearest":
        return [(position.detach().round(), position.sign() * 0 + 1)]  # a gradient of zero, as PyTorch's
    first = position.detach().floor()
    return [(first, first + 1 - position), (first + 1, position - first)]


def grid_sample(input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros",
                align_corners: bool | None = None) -> Tensor:
    """The values of `input` at the coordinates `grid`, which run from -1 to 1 over each axis, x first.

    Shapes: input (N, C, H, W) with grid (N, Ho, Wo, 2), or (N, C, D, H, W) with (N, Do, Ho, Wo, 3) -> (N, C, *out).
    Modes: 'bilinear' (trilinear in 3-d), 'nearest', 'bicubic' (2-d). Outside: 'zeros', 'border' or 'reflection'; with
    `align_corners` -1 and 1 are the centers of the outermost elements, otherwise their outer edges.
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError("nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but "
                         f"got: '{mode}'")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError("nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
                         f"'reflection', but got: '{padding_mode}'")
    align_corners = _align_default(align_corners)
    n = input.dim() - 2
    if n not in (2, 3) or grid.dim() != input.dim():
        raise RuntimeError("grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got "
                           f"input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}")
    if input.size(0) != grid.size(0):
        raise RuntimeError("grid_sampler(): expected grid and input to have same batch size, but got input with sizes "
                           f"{list(input.shape)} and grid with sizes {list(grid.shape)}")
    if grid.size(-1) != n:
        raise RuntimeError(f"grid_sampler(): expected grid to have size {n} in last dimension, but got grid with "
                           f"sizes {list(grid.shape)}")
    if input.dtype != grid.dtype:
        raise RuntimeError(f"grid_sampler(): expected input and grid to have the same dtype, but input has "
                           f"{input.dtype} and grid has {grid.dtype}")
    sizes = tuple(input.shape[2:])
    if 0 in sizes:
        raise RuntimeError("grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
                           f"{list(input.shape)}")
    if mode == "bicubic" and n == 3:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    taps = []
    for axis, size in enumerate(sizes):
        at = grid.select(-1, n - 1 - axis)
        position = (at + 1) * ((size - 1) / 2) if align_corners else ((at + 1) * size - 1) / 2
        taps.append(_axis_taps(position, size, mode, padding_mode, align_corners))
    batch, channels = input.shape[:2]
    flat = input.flatten(2)
    result: Any = None
    for corner in itertools.product(*taps):
        index = torch.zeros(corner[0][0].shape, dtype=torch.int64)
        inside: Any = None
        weight: Any = None
        for (coordinate, share), size in zip(corner, sizes):
            index = index * size + coordinate.clamp(0, size - 1).nan_to_num(0.0).long()
            here = (coordinate >= 0) & (coordinate <= size - 1)
            inside = here if inside is None else inside & here
            weight = share if weight is None else weight * share
        values = flat.gather(2, index.reshape(batch, 1, -1).expand(batch, channels, -1))
        part = values * torch.where(inside, weight, 0).reshape(batch, 1, -1)
        result = part if result is None else result + part
    return result.reshape(batch, channels, *grid.shape[1:-1])


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid, for `grid_sample`, of affine maps theta (N, 2, 3) or (N, 3, 4), for images of `size` (N, C, ...)."""
    align_corners = _align_default(align_corners)
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    n = len(size) - 2
    if n not in (2, 3):
        raise NotImplementedError("affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
                                  f"respectively. Got size {size}.")
    if theta.dim() != 3 or tuple(theta.shape[1:]) != (n, n + 1):
        raise ValueError(f"Expected a batch of {n}D affine matrices of shape Nx{n}x{n + 1} for size {size}. Got "
                         f"{theta.shape}.")
    if align_corners and min(size[2:]) == 1:
        warnings.warn("Since version 1.3.0, affine_grid behavior has changed for unit-size grids when "
                      "align_corners=True. This is not an intended use case of affine_grid.", stacklevel=2)
    elif min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    axes = []
    for length in size[2:]:
        steps = torch.linspace(-1, 1, length, dtype=theta.dtype) if length > 1 else theta.new_zeros(1)
        axes.append(steps if align_corners else steps * (length - 1) / length)
    columns = [axes[i].reshape([-1 if j == i else 1 for j in range(n)]).expand(*size[2:]) for i in reversed(range(n))]
    base = torch.stack([*columns, theta.new_ones(()).expand(*size[2:])], -1).reshape(1, -1, n + 1)
    grid = base.expand(theta.size(0), -1, -1).bmm(theta.transpose(1, 2))
    return grid.reshape(theta.size(0), *size[2:], n)


# -- fractional pooling ----------------------------------------------------------------------------------------------


def _window_starts(sample: Tensor, size: int, out_size: int, kernel: int) -> Tensor:
    """Where the windows along one axis begin, from one random number per channel: (..., out_size)."""
    last = size - kernel
    if out_size == 1:
        return torch.full((*sample.shape, 1), last)
    step = last / (out_size - 1)
    sample = sample.unsqueeze(-1)
    starts = ((torch.arange(out_size - 1) + sample) * step).long() - (sample * step).long()
    return torch.cat([starts, torch.full((*sample.shape[:-1], 1), last)], -1)


def _fractional_max_pool(ndim: int):
    name = f"fractional_max_pool{ndim}d"

    def with_indices(input: Tensor, kernel_size: Size, output_size: Size | None = None,
                     output_ratio: float | Sequence[float] | None = None, return_indices: bool = False,
                     _random_samples: Tensor | None = None) -> tuple[Tensor, Tensor]:
        sizes = input.shape[-ndim:]
        if input.dim() not in (ndim + 1, ndim + 2):
            raise RuntimeError(f"{name}: Expected {ndim + 1}D or {ndim + 2}D tensor, but got {list(input.shape)}")
        if output_size is None:
            if output_ratio is None:
                raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
            ratios = ntuple(output_ratio, ndim)
            if len(ratios) > ndim:
                raise ValueError(f"{name} requires output_ratio to either be a single Int or tuple of Ints.")
            output_size = [int(size * ratio) for size, ratio in zip(sizes, ratios)]
        kernel, out = ntuple(kernel_size, ndim), ntuple(output_size, ndim)
        if len(kernel) != ndim or len(out) != ndim:
            raise RuntimeError(f"{name}: kernel_size and output_size must be a single Int or have {ndim} of them")
        for size, k, o in zip(sizes, kernel, out):
            if o < 1 or k < 1 or o + k - 1 > size:
                raise RuntimeError(f"{name}: pool size {k} and output size {o} are too large for, or no windows in, "
                                   f"an input axis of size {size}")
        batched = input if input.dim() == ndim + 2 else input.unsqueeze(0)
        batch, channels = batched.shape[:2]
        if _random_samples is None:
            _random_samples = torch.rand((batch, channels, ndim), dtype=input.dtype)
        wanted = (batch, channels, ndim)
        if _random_samples.dim() != 3 or any(a < b for a, b in zip(_random_samples.shape, wanted)):
            raise RuntimeError(f"{name}: expected _random_samples of size {wanted}, but got "
                               f"{tuple(_random_samples.shape)}")
        _random_samples = _random_samples[:batch, :channels, :ndim]
        if _random_samples.dtype != input.dtype:
            raise RuntimeError("Expect _random_samples to have the same dtype as input")
        with torch.no_grad():
            index = _largest(batched, kernel, out, _random_samples)
        pooled = batched.flatten(2).gather(2, index.flatten(2)).reshape(index.shape)
        return (pooled, index) if input.dim() == ndim + 2 else (pooled.squeeze(0), index.squeeze(0))

    def _largest(input: Tensor, kernel: tuple, out: tuple, samples: Tensor) -> Tensor:
        """Where, counted within the channel, the maximum of every window is: (N, C, *out)."""
        sizes = input.shape[2:]
        order = range(ndim) if ndim == 3 else reversed(range(ndim))  # which random number is for which axis
        flat = torch.zeros((1,) * (2 + 2 * ndim), dtype=torch.int64)
        for axis, place in enumerate(order):
            starts = _window_starts(samples[..., place], sizes[axis], out[axis], kernel[axis])
            taps = starts.unsqueeze(-1) + torch.arange(kernel[axis])
            shape = [*input.shape[:2], *[1] * (2 * ndim)]
            shape[2 + axis], shape[2 + ndim + axis] = out[axis], kernel[axis]
            flat = flat * sizes[axis] + taps.reshape(shape)
        windows = flat.flatten(2 + ndim)
        values = input.flatten(2).gather(2, windows.flatten(2)).reshape(windows.shape)
        return windows.gather(-1, values.argmax(-1, keepdim=True)).squeeze(-1)

    def pool(input: Tensor, kernel_size: Size, output_size: Size | None = None,
             output_ratio: float | Sequence[float] | None = None, return_indices: bool = False,
             _random_samples: Tensor | None = None):
        result = with_indices(input, kernel_size, output_size, output_ratio, return_indices, _random_samples)
        return result if return_indices else result[0]

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = (f"The maximum of windows at random places over the last {ndim} axes, which become `output_size` "
                    "(Graham 2014).")
    with_indices.__name__ = with_indices.__qualname__ = f"{name}_with_indices"
    with_indices.__doc__ = f"`{name}`, and where the maxima are."
    return pool, with_indices


fractional_max_pool2d, fractional_max_pool2d_with_indices = _fractional_max_pool(2)
fractional_max_pool3d, fractional_max_pool3d_with_indices = _fractional_max_pool(3)
