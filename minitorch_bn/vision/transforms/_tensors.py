"""Image functions on tensors (..., C, H, W): what `functional` does when it is given a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import minitorch_bn as torch
from minitorch_bn.nn import functional as F

Tensor = torch.Tensor
_MAXIMA = {torch.uint8: 255, torch.int8: 127, torch.int16: 32767, torch.int32: 2**31 - 1, torch.int64: 2**63 - 1}


def dimensions(img: Tensor) -> list[int]:
    """[channels, height, width]."""
    if img.dim() < 2:
        raise TypeError("Tensor is not a torch image.")
    return [1 if img.dim() == 2 else img.shape[-3], *img.shape[-2:]]


def _need_channels(img: Tensor) -> int:
    channels = dimensions(img)[0]
    if channels not in (1, 3):
        raise TypeError(f"Input image tensor permitted channel values are [1, 3], but found {channels}")
    return channels


def _need_non_negative(name: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")


def convert_dtype(image: Tensor, dtype: torch.dtype) -> Tensor:
    """Values from the whole range of one dtype to the whole range of another; a float's range is 0 .. 1."""
    if image.dtype == dtype:
        return image
    if dtype.is_floating_point:
        converted = image.to(dtype)
        return converted if image.is_floating_point() else converted / _MAXIMA[image.dtype]
    if image.is_floating_point():
        if dtype == torch.int64 or (dtype == torch.int32 and image.dtype == torch.float32):
            raise RuntimeError(f"The cast from {image.dtype} to {dtype} cannot be performed safely.")
        return image.mul(_MAXIMA[dtype] + 1 - 1e-3).to(dtype)  # each integer gets an equal share of 0 .. 1
    own, new = _MAXIMA[image.dtype] + 1, _MAXIMA[dtype] + 1
    return image.div(own // new, rounding_mode="floor").to(dtype) if own > new else image.to(dtype) * (new // own)


def hflip(img: Tensor) -> Tensor:
    return img.flip(-1)


def vflip(img: Tensor) -> Tensor:
    return img.flip(-2)


# -- borders and sizes -----------------------------------------------------------------------------------------------


def _border_index(size: int, before: int, after: int, mode: str) -> Tensor:
    """Which row (or column) of an image of `size` each row of the padded image shows."""
    position = torch.arange(-before, size + after)
    if mode == "edge":
        return position.clamp(0, size - 1)
    if mode == "reflect":
        period = max(2 * size - 2, 1)
        position = position.remainder(period)
        return torch.where(position < size, position, period - position)
    position = position.remainder(2 * size)
    return torch.where(position < size, position, 2 * size - 1 - position)


def pad(img: Tensor, padding: Sequence[int], fill: float = 0, mode: str = "constant") -> Tensor:
    """`padding` is left, top, right, bottom."""
    left, top, right, bottom = padding
    if not isinstance(fill, (int, float)):
        raise TypeError("Got inappropriate fill arg")
    if mode == "constant":
        return F.pad(img, [left, right, top, bottom], value=fill)
    _, height, width = dimensions(img)
    rows, columns = _border_index(height, top, bottom, mode), _border_index(width, left, right, mode)
    return img.index_select(-2, rows).index_select(-1, columns)


def crop(img: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    _, h, w = dimensions(img)
    if left < 0 or top < 0 or left + width > w or top + height > h:
        return pad(img, [-left, -top, left + width - w, top + height - h])
    return img[..., top:top + height, left:left + width]


def _as_batch(img: Tensor) -> Tensor:
    """(N, C, H, W), float, for an operation that rounds its result with `_as_before`."""
    batch = img if img.dim() >= 4 else img.unsqueeze(0)
    return batch if img.dtype in (torch.float32, torch.float64) else batch.to(torch.float32)


def _as_before(result: Tensor, img: Tensor) -> Tensor:
    result = result if img.dim() >= 4 else result.squeeze(0)
    if img.dtype == result.dtype:
        return result
    return (result if img.is_floating_point() else result.round()).to(img.dtype)


def resize(img: Tensor, size: Sequence[int], interpolation: str, antialias: bool | None) -> Tensor:
    smooth = interpolation in ("bilinear", "bicubic")
    result = F.interpolate(_as_batch(img), size=tuple(size), mode=interpolation,
                           align_corners=False if smooth else None, antialias=bool(antialias) and smooth)
    if interpolation == "bicubic" and img.dtype == torch.uint8:
        result = result.clamp(0, 255)
    return _as_before(result, img)


def affine(img: Tensor, matrix: Sequence[float], interpolation: str, fill: Any, size: Sequence[int] | None) -> Tensor:
    """The output pixel at (x, y), from the image's middle, shows the input at matrix @ (x, y, 1); `size` (w, h)."""
    if interpolation not in ("nearest", "bilinear"):
        raise ValueError(f"Interpolation mode '{interpolation}' is unsupported with Tensor input")
    batch = _as_batch(img)
    channels, h, w = dimensions(batch)
    out_w, out_h = size or (w, h)
    x = torch.linspace(0.5 - out_w * 0.5, out_w * 0.5 - 0.5, out_w, dtype=batch.dtype)
    y = torch.linspace(0.5 - out_h * 0.5, out_h * 0.5 - 0.5, out_h, dtype=batch.dtype).unsqueeze(1)
    a, b, c, d, e, f = matrix
    grid = torch.stack([(a * x + b * y + c) / (0.5 * w), (d * x + e * y + f) / (0.5 * h)], dim=-1)
    grid = grid.unsqueeze(0).expand(batch.size(0), -1, -1, -1)
    inside = batch.new_ones(batch.size(0), 1, h, w)
    sampled = F.grid_sample(torch.cat([batch, inside], 1), grid, mode=interpolation, align_corners=False)
    result, inside = sampled[:, :-1], sampled[:, -1:]
    if fill is not None:
        values = list(fill) if isinstance(fill, (tuple, list)) else [fill]
        if len(values) not in (1, channels):
            raise ValueError("The number of elements in 'fill' cannot broadcast to match the number of channels of the "
                             f"image ({len(values)} != {channels})")
        color = torch.tensor([float(value) for value in values], dtype=batch.dtype).reshape(1, -1, 1, 1)
        if interpolation == "nearest":
            result = torch.where(inside < 0.5, color, result)
        else:
            result = result * inside + (1 - inside) * color
    return _as_before(result, img)


# -- colours ---------------------------------------------------------------------------------------------------------


def grayscale(img: Tensor, num_output_channels: int = 1) -> Tensor:
    if img.dim() < 3:
        raise TypeError(f"Input image tensor should have at least 3 dimensions, but found {img.dim()}")
    if _need_channels(img) == 3:
        red, green, blue = img.unbind(-3)
        gray = (0.2989 * red + 0.587 * green + 0.114 * blue).to(img.dtype).unsqueeze(-3)  # ITU-R BT.601
    else:
        gray = img.clone()
    return gray if num_output_channels == 1 else gray.expand(*img.shape[:-3], 3, *img.shape[-2:])


def _blend(img: Tensor, other: Tensor, ratio: float) -> Tensor:
    return (ratio * img + (1.0 - ratio) * other).clamp(0, _MAXIMA.get(img.dtype, 1)).to(img.dtype)


def brightness(img: Tensor, factor: float) -> Tensor:
    _need_non_negative("brightness_factor", factor)
    _need_channels(img)
    return _blend(img, torch.zeros_like(img), factor)


def contrast(img: Tensor, factor: float) -> Tensor:
    _need_non_negative("contrast_factor", factor)
    gray = grayscale(img) if _need_channels(img) == 3 else img
    dtype = img.dtype if img.is_floating_point() else torch.float32
    return _blend(img, gray.to(dtype).mean(dim=(-3, -2, -1), keepdim=True), factor)


def saturation(img: Tensor, factor: float) -> Tensor:
    _need_non_negative("saturation_factor", factor)
    return img if _need_channels(img) == 1 else _blend(img, grayscale(img), factor)


def hue(img: Tensor, shift: float) -> Tensor:
    """Turn the hue of HSV (Smith 1978, Color gamut transform pairs) by `shift` of a whole turn."""
    if _need_channels(img) == 1:
        return img
    red, green, blue = convert_dtype(img, torch.float32).unbind(-3)
    value = torch.maximum(torch.maximum(red, green), blue)
    spread = value - torch.minimum(torch.minimum(red, green), blue)
    safe = torch.where(spread == 0, 1.0, spread)
    turn = torch.where(value == red, (green - blue) / safe,
                       torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe))
    sixth = ((turn / 6 + shift).remainder(1.0)) * 6
    channels = []
    for start in (5, 3, 1):  # how far along the circle red, green and blue start to fall
        k = (sixth + start).remainder(6)
        channels.append(value - spread * torch.minimum(k, 4 - k).clamp(0, 1))
    return convert_dtype(torch.stack(channels, dim=-3), img.dtype)


def invert(img: Tensor) -> Tensor:
    _need_channels(img)
    return _MAXIMA.get(img.dtype, 1) - img


def _gaussian(size: int, sigma: float, dtype: torch.dtype) -> Tensor:
    x = torch.linspace(-(size - 1) * 0.5, (size - 1) * 0.5, size, dtype=dtype)
    weight = (-0.5 * (x / sigma).pow(2)).exp()
    return weight / weight.sum()


def gaussian_blur(img: Tensor, kernel_size: Sequence[int], sigma: Sequence[float]) -> Tensor:
    """`kernel_size` and `sigma` are (x, y)."""
    batch = _as_batch(img)
    (kx, ky), channels = kernel_size, batch.shape[-3]
    kernel = _gaussian(ky, sigma[1], batch.dtype).unsqueeze(1) * _gaussian(kx, sigma[0], batch.dtype)
    padded = pad(batch, [kx // 2, ky // 2, kx // 2, ky // 2], mode="reflect")
    return _as_before(F.conv2d(padded, kernel.expand(channels, 1, ky, kx).contiguous(), groups=channels), img)


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool) -> Tensor:
    img = img if inplace else img.clone()
    img[..., i:i + h, j:j + w] = v
    return img
