"""Rearranging images: pixel shuffle, patches (unfold, fold) and resizing (interpolate)."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence

import minitorch_bn as torch
from minitorch_bn.ops import pad

from .._sizes import ntuple, reversed_twice
from .pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

Tensor = torch.Tensor
Size = int | Sequence[int]


# -- pixel shuffle ---------------------------------------------------------------------------------------------------


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(*, C r**2, H, W) -> (*, C, H r, W r), r the factor (Shi et al. 2016)."""
    r = upscale_factor
    *leading, channels, height, width = input.shape
    if channels % (r * r):
        raise RuntimeError("pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of "
                           f"upscale_factor, but input.size(-3)={channels} is not divisible by {r * r}")
    k = len(leading)
    split = input.reshape(*leading, channels // (r * r), r, r, height, width)
    moved = split.permute(*range(k), k, k + 3, k + 1, k + 4, k + 2)
    return moved.clone(memory_format=torch.contiguous_format).view(*leading, channels // (r * r), height * r, width * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(*, C, H r, W r) -> (*, C r**2, H, W): the inverse of pixel_shuffle."""
    r = downscale_factor
    *leading, channels, height, width = input.shape
    if height % r or width % r:
        raise RuntimeError(f"pixel_unshuffle expects height and width to be divisible by downscale_factor, but "
                           f"input.size(-2)={height} and input.size(-1)={width} are not divisible by {r}")
    k = len(leading)
    split = input.reshape(*leading, channels, height // r, r, width // r, r)
    moved = split.permute(*range(k), k, k + 2, k + 4, k + 1, k + 3)
    return moved.clone(memory_format=torch.contiguous_format).view(*leading, channels * r * r, height // r, width // r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """(N, groups * c, ...) -> the channels of the groups in turn (Zhang et al. 2018)."""
    batch, channels, *sizes = input.shape
    if channels % groups:
        raise RuntimeError(f"Number of channels must be divisible by groups. Got {channels} channels and {groups} "
                           "groups.")
    return input.reshape(batch, groups, channels // groups, *sizes).transpose(1, 2).reshape(input.shape)


# -- patches ---------------------------------------------------------------------------------------------------------


def _patch_positions(size: int, kernel: int, dilation: int, padding: int, stride: int) -> Tensor:
    """Where along one padded axis element k of patch p lies: (kernel, patches)."""
    patches = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    if patches < 1:
        raise RuntimeError(f"the sliding blocks of kernel size {kernel} and dilation {dilation} do not fit in an axis "
                           f"of size {size} with padding {padding}")
    return torch.arange(kernel).mul(dilation).unsqueeze(1) + torch.arange(patches).mul(stride)


def _patch_index(size: Sequence[int], kernel_size: Size, dilation: Size, padding: Size,
                 stride: Size) -> tuple[Tensor, Tensor]:
    """Row and column, in the padded image, of each element of each patch: (kh, 1, ph, 1) and (1, kw, 1, pw)."""
    options = zip(size, *(ntuple(option, 2) for option in (kernel_size, dilation, padding, stride)))
    rows, columns = (_patch_positions(*option) for option in options)
    return rows[:, None, :, None], columns[None, :, None, :]


def unfold(input: Tensor, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> Tensor:
    """Patches as columns: (N, C, H, W) -> (N, C kh kw, number of patches); without N likewise."""
    if input.dim() == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    if input.dim() != 4:
        raise RuntimeError("Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
                           f"dimensions for input, but got: {list(input.shape)}")
    rows, columns = _patch_index(input.shape[2:], kernel_size, dilation, padding, stride)
    patches = pad(input, reversed_twice(ntuple(padding, 2)))[:, :, rows, columns]  # N, C, kh, kw, ph, pw
    return patches.flatten(4).flatten(1, 3)


def fold(input: Tensor, output_size: Size, kernel_size: Size, dilation: Size = 1, padding: Size = 0,
         stride: Size = 1) -> Tensor:
    """The sum of patches at their places: (N, C kh kw, number of patches) -> (N, C, *output_size)."""
    if input.dim() == 2:
        return fold(input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride).squeeze(0)
    height, width = ntuple(output_size, 2)
    pad_rows, pad_columns = ntuple(padding, 2)
    rows, columns = _patch_index((height, width), kernel_size, dilation, padding, stride)
    padded_width = width + 2 * pad_columns
    index = rows * padded_width + columns  # kh, kw, ph, pw
    kernel_area, patches = index.shape[0] * index.shape[1], index.shape[2] * index.shape[3]
    if input.size(1) % kernel_area:
        raise RuntimeError("Expected size of input's dimension 1 to be divisible by the product of kernel_size, but "
                           f"got input.size(1)={input.size(1)} and kernel_size={ntuple(kernel_size, 2)}.")
    if input.size(2) != patches:
        raise RuntimeError(f"Given output_size={(height, width)}, kernel_size={ntuple(kernel_size, 2)}, expected size "
                           f"of input's dimension 2 to match the calculated number of sliding blocks {patches}, but "
                           f"got input.size(2)={input.size(2)}.")
    batch, channels = input.size(0), input.size(1) // kernel_area
    image = input.new_zeros((batch, channels, (height + 2 * pad_rows) * padded_width))
    image = image.index_add(2, index.reshape(-1), input.reshape(batch, channels, -1))
    image = image.reshape(batch, channels, height + 2 * pad_rows, padded_width)
    return image[:, :, pad_rows:pad_rows + height, pad_columns:pad_columns + width]


# -- resizing --------------------------------------------------------------------------------------------------------


def _cubic(distance: Tensor, a: float) -> Tensor:
    """The cubic convolution kernel at this distance (Keys 1981)."""
    d = distance.abs()
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return torch.where(d <= 1, near, torch.where(d < 2, far, 0))


def _triangle(distance: Tensor) -> Tensor:
    return (1 - distance.abs()).clamp(min=0)


@functools.lru_cache(maxsize=64)
def _resize_taps(mode: str, size: int, out_size: int, scale: float, align_corners: bool,
                 antialias: bool) -> tuple[Tensor, Tensor | None]:
    """Which elements of one axis each output element is made of, and their weights: (taps, out_size) twice.

    `scale` is the input step per output step. No weights: the one tap itself (mode 'nearest').
    """
    out = torch.arange(out_size, dtype=torch.float64)
    if mode in ("nearest", "nearest-exact"):
        position = (out if mode == "nearest" else out + 0.5) * scale
        return position.floor().long().clamp(max=size - 1).unsqueeze(0), None
    kernel, reach = (_triangle, 1) if mode == "linear" else ((lambda d: _cubic(d, -0.5 if antialias else -0.75)), 2)
    center = out * scale if align_corners else (out + 0.5) * scale - 0.5
    if mode == "linear" and not antialias:
        center = center.clamp(min=0)
    width = max(scale, 1.0) if antialias else 1.0
    first = (center - reach * width).floor() + 1
    count = math.ceil(2 * reach * width) + (1 if antialias else 0)
    taps = first + torch.arange(count, dtype=torch.float64).unsqueeze(1)
    weights = kernel((taps - center) / width)
    if antialias:
        weights = weights * ((taps >= 0) & (taps < size))
        weights = weights / weights.sum(0)
    return taps.long().clamp(0, size - 1), weights


def _resize_axis(input: Tensor, axis: int, taps: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return input.index_select(axis, taps[0])
    shape = [-1 if i == axis else 1 for i in range(input.dim())]
    parts = [input.index_select(axis, index) * weight.to(input.dtype).reshape(shape)
             for index, weight in zip(taps, weights)]
    return sum(parts[1:], parts[0])


_MODES = {"nearest": (3, 4, 5), "nearest-exact": (3, 4, 5), "area": (3, 4, 5),
          "linear": (3,), "bilinear": (4,), "bicubic": (4,), "trilinear": (5,)}


def interpolate(input: Tensor, size: Size | None = None, scale_factor: float | Sequence[float] | None = None,
                mode: str = "nearest", align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
                antialias: bool = False) -> Tensor:
    """Resize the axes after the second of (N, C, ...) to `size`, or by `scale_factor`.

    Modes: 'nearest', 'nearest-exact', 'area' (any number of axes), 'linear' (3-d), 'bilinear', 'bicubic' (4-d),
    'trilinear' (5-d). The resizing is one axis after the other; the coordinates are in double precision.
    """
    smooth = mode in ("linear", "bilinear", "bicubic", "trilinear")
    if align_corners is not None and not smooth:
        raise ValueError("align_corners option can only be set with the interpolating modes: "
                         "linear | bilinear | bicubic | trilinear")
    if input.dim() in (3, 4, 5) and mode in _MODES and input.dim() not in _MODES[mode]:
        raise NotImplementedError(f"Got {input.dim()}D input, but {mode} mode needs {_MODES[mode][0]}D input")
    if input.dim() not in (3, 4, 5) or mode not in _MODES:
        raise NotImplementedError("Input Error: Only 3D, 4D and 5D input Tensors supported "
                                  f"(got {input.dim()}D) for the modes: nearest | linear | bilinear | bicubic | "
                                  f"trilinear | area | nearest-exact (got {mode})")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError("Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as "
                         "input")
    if (size is None) == (scale_factor is None):
        raise ValueError("either size or scale_factor should be defined" if size is None else
                         "only one of size or scale_factor should be defined")
    own = input.shape[2:]
    n = len(own)
    if size is not None:
        if recompute_scale_factor:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        size, factors = ntuple(size, n), None
    else:
        factors = ntuple(scale_factor, n)
        if len(factors) != n:
            raise ValueError(f"Input and scale_factor must have the same number of spatial dimensions, but got input "
                             f"with spatial dimensions of {list(own)} and scale_factor of shape {scale_factor}.")
        size = tuple(math.floor(length * factor) for length, factor in zip(own, factors))
        if recompute_scale_factor:
            factors = None
    if len(size) != n:
        raise ValueError(f"Input and output must have the same number of spatial dimensions, but got input with "
                         f"spatial dimensions of {list(own)} and output size of {size}.")
    if mode == "area":
        return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[n - 1](input, size)
    per_axis = "linear" if mode.endswith("linear") else mode.removeprefix("bi")
    for i, (length, out_length) in enumerate(zip(own, size)):
        if align_corners:
            scale = (length - 1) / (out_length - 1) if out_length > 1 else 0.0
        else:
            scale = length / out_length if factors is None else 1.0 / factors[i]
        if scale != 1.0 or length != out_length:
            with torch.inference_mode(False):  # they are kept, and may be wanted outside of it
                taps = _resize_taps(per_axis, length, out_length, scale, bool(align_corners), antialias)
            input = _resize_axis(input, 2 + i, *taps)
    return input


def upsample(input: Tensor, size: Size | None = None, scale_factor: float | None = None, mode: str = "nearest",
             align_corners: bool | None = None) -> Tensor:
    """The older name of `interpolate`."""
    warnings.warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2)
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Size | None = None, scale_factor: float | None = None) -> Tensor:
    """The older name of `interpolate` with mode 'nearest'."""
    warnings.warn("`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.",
                  stacklevel=2)
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Size | None = None, scale_factor: float | None = None) -> Tensor:
    """The older name of `interpolate` with mode 'bilinear' and align_corners=True."""
    warnings.warn("`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.",
                  stacklevel=2)
    return interpolate(input, size, scale_factor, "bilinear", True)
