"""Images in files as tensors (C, H, W) of bytes: reading through Pillow, writing PNG without it."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import minitorch_bn as torch

from ._pillow import need_pillow
from .transforms.functional import pil_to_tensor
from .utils import png_bytes


class ImageReadMode(Enum):
    """Which channels to read; UNCHANGED: those of the file."""

    UNCHANGED = None
    GRAY = "L"
    GRAY_ALPHA = "LA"
    RGB = "RGB"
    RGB_ALPHA = "RGBA"


def read_image(path: str | Path, mode: ImageReadMode | str = ImageReadMode.UNCHANGED) -> torch.Tensor:
    """The image in a file, uint8 (C, H, W)."""
    wanted = ImageReadMode[mode.upper()] if isinstance(mode, str) else mode
    with need_pillow("reading an image file").open(path) as image:
        if wanted.value is not None:
            image = image.convert(wanted.value)
        elif image.mode in ("1", "P"):
            image = image.convert("L" if image.mode == "1" else "RGB")
        return pil_to_tensor(image).contiguous()


def encode_png(input: torch.Tensor, compression_level: int = 6) -> torch.Tensor:
    """A PNG file, as uint8 (bytes,), of uint8 pixels (C, H, W)."""
    if input.dtype != torch.uint8 or input.dim() != 3 or input.size(0) not in (1, 2, 3, 4):
        raise ValueError(f"expected uint8 pixels (C, H, W) with up to 4 channels, got {input.dtype} "
                         f"{tuple(input.shape)}")
    pixels = input.permute(1, 2, 0).contiguous().numpy()
    return torch.frombuffer(bytearray(png_bytes(pixels, compression_level)), dtype=torch.uint8)


def write_png(input: torch.Tensor, filename: str | Path, compression_level: int = 6) -> None:
    """Write uint8 pixels (C, H, W) as a PNG file."""
    Path(filename).write_bytes(encode_png(input, compression_level).numpy().tobytes())
