"""Image functions on images of Pillow: what `functional` does when it is given one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import _tensors

_FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}


def _filter(interpolation: str) -> int:
    return _FILTERS["nearest" if interpolation == "nearest-exact" else interpolation]


def dimensions(img: Any) -> list[int]:
    """[channels, height, width]."""
    return [len(img.getbands()), img.size[1], img.size[0]]


def _fill_color(fill: Any, img: Any) -> Any:
    """What Pillow wants for this mode: a number, or one number per band."""
    bands = len(img.getbands())
    fill = 0 if fill is None else fill
    if isinstance(fill, (int, float)):
        fill = (fill,) * bands
    if len(fill) not in (1, bands):
        raise ValueError("The number of elements in 'fill' does not match the number of channels of the image "
                         f"({len(fill)} != {bands})")
    fill = tuple(fill) * (bands if len(fill) == 1 else 1)
    if img.mode != "F":
        fill = tuple(int(value) for value in fill)
    return fill[0] if bands == 1 else fill


def hflip(img: Any) -> Any:
    return img.transpose(0)


def vflip(img: Any) -> Any:
    return img.transpose(1)


def pad(img: Any, padding: Sequence[int], fill: Any = 0, mode: str = "constant") -> Any:
    """`padding` is left, top, right, bottom."""
    import numpy
    from PIL import Image

    left, top, right, bottom = padding
    if mode == "constant":
        result = Image.new(img.mode, (img.width + left + right, img.height + top + bottom), _fill_color(fill, img))
        if img.mode == "P":
            result.putpalette(img.getpalette())
        result.paste(img, (left, top))
        return result
    rows = _tensors._border_index(img.height, top, bottom, mode).numpy()
    columns = _tensors._border_index(img.width, left, right, mode).numpy()
    result = Image.fromarray(numpy.asarray(img)[rows[:, None], columns])
    if img.mode == "P":
        result.putpalette(img.getpalette())
    return result


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    return img.crop((left, top, left + width, top + height))


def resize(img: Any, size: Sequence[int], interpolation: str, antialias: bool | None) -> Any:
    return img.resize((size[1], size[0]), _filter(interpolation))


def rotate(img: Any, angle: float, interpolation: str, expand: bool, center: Any, fill: Any) -> Any:
    return img.rotate(angle, _filter(interpolation), expand, center, fillcolor=_fill_color(fill, img))


def affine(img: Any, matrix: Sequence[float], interpolation: str, fill: Any) -> Any:
    """The output pixel at (x, y), from the upper left corner, shows the input at matrix @ (x, y, 1)."""
    return img.transform(img.size, 0, tuple(matrix), _filter(interpolation), fillcolor=_fill_color(fill, img))


def grayscale(img: Any, num_output_channels: int = 1) -> Any:
    from PIL import Image

    gray = img.convert("L")
    return gray if num_output_channels == 1 else Image.merge("RGB", (gray, gray, gray))


def _enhanced(kind: str, img: Any, factor: float) -> Any:
    from PIL import ImageEnhance

    return getattr(ImageEnhance, kind)(img).enhance(factor)


def brightness(img: Any, factor: float) -> Any:
    return _enhanced("Brightness", img, factor)


def contrast(img: Any, factor: float) -> Any:
    return _enhanced("Contrast", img, factor)


def saturation(img: Any, factor: float) -> Any:
    return _enhanced("Color", img, factor)


def hue(img: Any, shift: float) -> Any:
    from PIL import Image

    if img.mode in ("L", "1", "I", "F"):
        return img
    h, s, v = img.convert("HSV").split()
    step = int(shift * 255)
    h = h.point([(level + step) & 255 for level in range(256)])
    return Image.merge("HSV", (h, s, v)).convert(img.mode)


def invert(img: Any) -> Any:
    from PIL import ImageOps

    return ImageOps.invert(img)
