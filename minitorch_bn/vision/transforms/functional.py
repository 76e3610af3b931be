"""The transforms as functions with explicit parameters, each for tensors, images of Pillow and arrays."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from enum import Enum
from typing import Any

import minitorch_bn as torch
from minitorch_bn.preprocessing import transforms as _simple

from .._pillow import is_array, is_image, need_pillow
from . import _images, _tensors


class InterpolationMode(Enum):
    """How values between pixels are found."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


def mode_of(interpolation: InterpolationMode | int) -> InterpolationMode:
    """The mode, also from one of Pillow's numbers."""
    if isinstance(interpolation, int):
        return InterpolationMode({number: name for name, number in _images._FILTERS.items()}[int(interpolation)])
    if not isinstance(interpolation, InterpolationMode):
        raise TypeError("Argument interpolation should be a InterpolationMode or a corresponding Pillow integer "
                        "constant")
    return interpolation


def _array_to_tensor(array: Any) -> torch.Tensor:
    """(H, W) or (H, W, C) as (C, H, W)."""
    if array.ndim not in (2, 3):
        raise ValueError(f"pic should be 2/3 dimensional. Got {array.ndim} dimensions.")
    tensor = torch.from_numpy(array.copy())
    return tensor.unsqueeze(0) if array.ndim == 2 else tensor.permute(2, 0, 1)


def _on(img: Any, name: str, *args: Any) -> Any:
    """The function of this name for this kind of image."""
    if isinstance(img, torch.Tensor):
        return getattr(_tensors, name)(img, *args)
    if is_image(img):
        return getattr(_images, name)(img, *args)
    if is_array(img):  # an image where Pillow is not installed
        result = getattr(_tensors, name)(_array_to_tensor(img), *args)
        if isinstance(result, list):
            return result
        return (result.squeeze(0) if result.size(0) == 1 else result.permute(1, 2, 0).contiguous()).numpy()
    raise TypeError(f"img should be PIL Image or Tensor. Got {type(img)}")


# -- conversion ------------------------------------------------------------------------------------------------------


def to_tensor(pic: Any) -> torch.Tensor:
    """An image of Pillow or an array (H, W[, C]) as a tensor (C, H, W); bytes 0 .. 255 become floats 0 .. 1."""
    if is_image(pic):
        tensor = pil_to_tensor(pic)
        if pic.mode == "1":
            tensor = tensor.to(torch.uint8) * 255
    elif is_array(pic):
        tensor = _array_to_tensor(pic)
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    tensor = tensor.contiguous()
    return _simple.Scale255()(tensor) if tensor.dtype == torch.uint8 else tensor


def pil_to_tensor(pic: Any) -> torch.Tensor:
    """An image of Pillow as a tensor (C, H, W) of the same values and type."""
    import numpy

    if not is_image(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    dtype = {"I": numpy.int32, "F": numpy.float32, "I;16": numpy.int16, "1": numpy.uint8}.get(pic.mode)
    tensor = _array_to_tensor(numpy.array(pic, dtype))
    return tensor.to(torch.bool) if pic.mode == "1" else tensor


_MODES: dict[int, tuple[str, ...]] = {2: ("LA",), 3: ("RGB", "YCbCr", "HSV"), 4: ("RGBA", "CMYK", "RGBX")}


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor (C, H, W) or (H, W), or an array (H, W[, C]), as an image of Pillow; floats 0 .. 1 become bytes."""
    import numpy

    Image = need_pillow("to_pil_image")
    if isinstance(pic, torch.Tensor):
        pic = pic.detach()
        array = (pic.permute(1, 2, 0) if pic.dim() == 3 else pic).numpy()
    elif is_array(pic):
        array = pic
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if array.ndim not in (2, 3):
        raise ValueError(f"pic should be 2/3 dimensional. Got {array.ndim} dimensions.")
    channels = array.shape[2] if array.ndim == 3 else 1
    if channels > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {channels} channels.")
    if array.dtype.kind == "f" and mode != "F":
        with numpy.errstate(invalid="ignore"):
            array = (array * 255).astype(numpy.uint8)
    name = array.dtype.name
    if channels == 1:
        array = array.reshape(array.shape[:2])
        own = {"uint8": "L", "int16": "I;16", "int32": "I", "float32": "F"}.get(name)
        if mode is not None and mode != own:
            raise ValueError(f"Incorrect mode ({mode}) supplied for input type {name}. Should be {own}")
    else:
        if mode is not None and mode not in _MODES[channels]:
            raise ValueError(f"Only modes {list(_MODES[channels])} are supported for {channels}D inputs")
        own = mode or (_MODES[channels][0] if name == "uint8" else None)
    if own is None:
        raise TypeError(f"Input type {name} is not supported")
    array = numpy.ascontiguousarray(array)
    return Image.frombytes(own, array.shape[1::-1], array.tobytes())


def convert_image_dtype(image: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Values from the whole range of one dtype to that of another. RuntimeError: the other cannot hold them."""
    if not isinstance(image, torch.Tensor):
        raise TypeError("Input img should be Tensor Image")
    return _tensors.convert_dtype(image, dtype)


def normalize(tensor: torch.Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> torch.Tensor:
    """(x - mean) / std per channel of a float image (..., C, H, W)."""
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    return _simple.Normalize(mean, std, inplace)(tensor)


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width]."""
    if is_array(img):
        return [1 if img.ndim == 2 else img.shape[2], *img.shape[:2]]
    return _on(img, "dimensions")


def get_image_size(img: Any) -> list[int]:
    """[width, height]."""
    return get_dimensions(img)[:0:-1]


def get_image_num_channels(img: Any) -> int:
    """How many channels."""
    return get_dimensions(img)[0]


# -- geometry --------------------------------------------------------------------------------------------------------


def hflip(img: Any) -> Any:
    """Left becomes right."""
    return _on(img, "hflip")


def vflip(img: Any) -> Any:
    """Top becomes bottom."""
    return _on(img, "vflip")


def pad(img: Any, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant") -> Any:
    """Widen by `padding`: one number, (left and right, top and bottom), or (left, top, right, bottom).

    `padding_mode` is constant, edge, reflect (the edge once) or symmetric (the edge twice).
    """
    if not isinstance(padding, (int, tuple, list)):
        raise TypeError("Got inappropriate padding arg")
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    sides = [padding] if isinstance(padding, int) else list(padding)
    if len(sides) not in (1, 2, 4):
        raise ValueError(f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(sides)} element tuple")
    return _on(img, "pad", sides * (4 // len(sides)), 0 if fill is None else fill, padding_mode)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The part at this place; zeros where it reaches beyond the image."""
    return _on(img, "crop", top, left, height, width)


def pair_of(size: Any, message: str = "Please provide only two dimensions (h, w) for size.") -> tuple[int, int]:
    """(height, width) from one number or a sequence of one or two."""
    if isinstance(size, (int, float)):
        return int(size), int(size)
    if len(size) not in (1, 2):
        raise ValueError(message)
    return (size[0], size[-1])


def center_crop(img: Any, output_size: int | Sequence[int]) -> Any:
    """The middle part, padded with zeros if the image is smaller."""
    height, width = pair_of(output_size)
    _, own_height, own_width = get_dimensions(img)
    more_rows, more_columns = max(height - own_height, 0), max(width - own_width, 0)
    if more_rows or more_columns:
        img = pad(img, [more_columns // 2, more_rows // 2, (more_columns + 1) // 2, (more_rows + 1) // 2])
        _, own_height, own_width = get_dimensions(img)
    return crop(img, round((own_height - height) / 2), round((own_width - width) / 2), height, width)


def _resized(height: int, width: int, size: Sequence[int], max_size: int | None) -> list[int]:
    """[height, width] for `size`: both, or the length of the smaller edge."""
    if len(size) == 2:
        return list(size)
    short, long = min(height, width), max(height, width)
    new_short, new_long = size[0], int(size[0] * long / short)
    if max_size is not None:
        if max_size <= size[0]:
            raise ValueError(f"max_size = {max_size} must be strictly greater than the requested size for the smaller "
                             f"edge size = {size}")
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return [new_long, new_short] if width <= height else [new_short, new_long]


def resize(img: Any, size: int | Sequence[int], interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
           max_size: int | None = None, antialias: bool | None = True) -> Any:
    """To `size` (h, w), or so that the smaller edge is `size` and the larger at most `max_size`.

    Pillow smooths what it makes smaller always, tensors with `antialias`.
    """
    mode = mode_of(interpolation)
    wanted = [size] if isinstance(size, int) else list(size)
    if len(wanted) not in (1, 2):
        raise ValueError(f"Size must be an int or a 1 or 2 element tuple/list, not a {len(wanted)} element tuple/list")
    if max_size is not None and len(wanted) != 1:
        raise ValueError("max_size should only be passed if size specifies the length of the smaller edge, i.e. size "
                         "should be an int or a sequence of length 1 in torchscript mode.")
    _, height, width = get_dimensions(img)
    output = _resized(height, width, wanted, max_size)
    if [height, width] == output:
        return img
    if is_image(img) and antialias is False:
        warnings.warn("Anti-alias option is always applied for PIL Image input. Argument antialias is ignored.",
                      stacklevel=2)
    return _on(img, "resize", output, mode.value, antialias)


def resized_crop(img: Any, top: int, left: int, height: int, width: int, size: int | Sequence[int],
                 interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
                 antialias: bool | None = True) -> Any:
    """A part, resized."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def five_crop(img: Any, size: int | Sequence[int]) -> tuple[Any, ...]:
    """The four corners (upper left, upper right, lower left, lower right) and the middle."""
    height, width = pair_of(size)
    _, own_height, own_width = get_dimensions(img)
    if width > own_width or height > own_height:
        raise ValueError(f"Requested crop size {(height, width)} is bigger than input size {(own_height, own_width)}")
    corners = [crop(img, top, left, height, width)
               for top in (0, own_height - height) for left in (0, own_width - width)]
    return (*corners, center_crop(img, [height, width]))


def ten_crop(img: Any, size: int | Sequence[int], vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of the image and of its mirror image."""
    return five_crop(img, size) + five_crop((vflip if vertical_flip else hflip)(img), size)


def _inverse_affine(center: Sequence[float], angle: float, translate: Sequence[float], scale: float,
                    shear: Sequence[float]) -> list[float]:
    """Where an output point comes from, six numbers (rows of 2 x 3), when the image is sheared, rotated by `angle`
    degrees and scaled about `center`, then moved."""
    turn, (sx, sy) = math.radians(angle), (math.radians(value) for value in shear)
    a = math.cos(turn - sy) / math.cos(sy)
    b = -math.cos(turn - sy) * math.tan(sx) / math.cos(sy) - math.sin(turn)
    c = math.sin(turn - sy) / math.cos(sy)
    d = -math.sin(turn - sy) * math.tan(sx) / math.cos(sy) + math.cos(turn)
    (cx, cy), (tx, ty) = center, translate
    p, q, r, s = d / scale, -b / scale, -c / scale, a / scale  # the inverse of (a, b; c, d), whose determinant is 1
    return [p, q, cx - p * (cx + tx) - q * (cy + ty), r, s, cy - r * (cx + tx) - s * (cy + ty)]


def _expanded_size(matrix: Sequence[float], width: int, height: int) -> tuple[int, int]:
    """(width, height) of the box around the rotated image."""
    a, b, _, d, e, _ = matrix
    corners = [(x * width * 0.5, y * height * 0.5) for x in (-1, 1) for y in (-1, 1)]
    sizes = []
    for values, half in (([a * x + b * y for x, y in corners], width * 0.5),
                         ([d * x + e * y for x, y in corners], height * 0.5)):
        low, high = (math.trunc((value + half) / 1e-4) * 1e-4 for value in (min(values), max(values)))
        sizes.append(math.ceil(high) - math.floor(low))
    return sizes[0], sizes[1]


def rotate(img: Any, angle: float, interpolation: InterpolationMode | int = InterpolationMode.NEAREST,
           expand: bool = False, center: Sequence[float] | None = None, fill: Any = None) -> Any:
    """Counter-clockwise by `angle` degrees about `center` (x, y); `expand`: large enough for the whole image."""
    mode = mode_of(interpolation)
    if is_image(img):
        return _images.rotate(img, angle, mode.value, expand, center, fill)
    _, height, width = get_dimensions(img)
    middle = [0.0, 0.0] if center is None else [center[0] - width * 0.5, center[1] - height * 0.5]
    matrix = _inverse_affine(middle, -angle, [0.0, 0.0], 1.0, [0.0, 0.0])
    size = _expanded_size(matrix, width, height) if expand else None
    return _on(img, "affine", matrix, mode.value, fill, size)


def affine(img: Any, angle: float, translate: Sequence[int], scale: float, shear: float | Sequence[float],
           interpolation: InterpolationMode | int = InterpolationMode.NEAREST, fill: Any = None,
           center: Sequence[float] | None = None) -> Any:
    """Shear, rotate clockwise by `angle` degrees, scale about `center` (x, y) and move, keeping the size."""
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    mode = mode_of(interpolation)
    skew = [float(shear), 0.0] if isinstance(shear, (int, float)) else [shear[0], shear[1] if len(shear) > 1 else 0.0]
    _, height, width = get_dimensions(img)
    if is_image(img):
        middle: Sequence[float] = [width * 0.5, height * 0.5] if center is None else center
        return _images.affine(img, _inverse_affine(middle, angle, translate, scale, skew), mode.value, fill)
    middle = [0.0, 0.0] if center is None else [center[0] - width * 0.5, center[1] - height * 0.5]
    return _on(img, "affine", _inverse_affine(middle, angle, translate, scale, skew), mode.value, fill, None)


# -- colours ---------------------------------------------------------------------------------------------------------


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """The luma of ITU-R BT.601, in one channel or three equal ones."""
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    return _on(img, "grayscale", num_output_channels)


to_grayscale = rgb_to_grayscale


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """0 is black, 1 the image."""
    return _on(img, "brightness", brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """0 is gray, 1 the image."""
    return _on(img, "contrast", contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """0 is black and white, 1 the image."""
    return _on(img, "saturation", saturation_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Turn the hue by -0.5 .. 0.5 of the circle."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    return _on(img, "hue", hue_factor)


def invert(img: Any) -> Any:
    """The negative."""
    return _on(img, "invert")


def gaussian_blur(img: Any, kernel_size: int | Sequence[int], sigma: float | Sequence[float] | None = None) -> Any:
    """Weighted by a Gaussian over kernel_size (x, y) pixels, odd; sigma defaults to 0.15 kernel_size + 0.35."""
    size = pair_of(kernel_size, "kernel_size should be one or two integers")
    if any(k % 2 == 0 or k < 0 for k in size):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {list(size)}")
    widths = [0.15 * k + 0.35 for k in size] if sigma is None else (
        [float(sigma)] * 2 if isinstance(sigma, (int, float)) else [sigma[0], sigma[-1]])
    if any(s <= 0 for s in widths):
        raise ValueError(f"sigma should have positive values. Got {widths}")
    if is_image(img):  # Pillow's own blur approximates; ours is the one of tensors
        return to_pil_image(_tensors.gaussian_blur(pil_to_tensor(img), size, widths), img.mode)
    return _on(img, "gaussian_blur", size, widths)


def erase(img: torch.Tensor, i: int, j: int, h: int, w: int, v: torch.Tensor, inplace: bool = False) -> torch.Tensor:
    """The rectangle at row i, column j, of h rows and w columns, set to v."""
    if not isinstance(img, torch.Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(img)}")
    return _tensors.erase(img, i, j, h, w, v, inplace)
