"""Where images meet Pillow, which is optional: without it, an image is a uint8 NumPy array (H, W) or (H, W, C)."""

from __future__ import annotations

import sys
from typing import Any

MISSING = "needs Pillow: install it, or minitorch_bn with its extra `vision` (pip install 'minitorch_bn[vision]')"


def pillow() -> Any:
    """Pillow's module Image, or None."""
    try:
        from PIL import Image
    except ImportError:
        return None
    return Image


def need_pillow(what: str) -> Any:
    """Pillow's module Image, or an ImportError that says what for."""
    module = pillow()
    if module is None:
        raise ImportError(f"{what} {MISSING}")
    return module


def is_image(value: Any) -> bool:
    """Whether this is Pillow's; asked without importing it, as nobody can have an image who has not."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def is_array(value: Any) -> bool:
    """Whether this is a NumPy array."""
    module = sys.modules.get("numpy")
    return module is not None and isinstance(value, module.ndarray)


def image_of(array: Any) -> Any:
    """A uint8 array (H, W) or (H, W, 3) as an image of Pillow; without Pillow, the array itself."""
    module = pillow()
    return array if module is None else module.fromarray(array)
