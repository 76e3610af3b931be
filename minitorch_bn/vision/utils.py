"""Grids of images, and PNG files of them without any further package."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import minitorch_bn as torch

from ._pillow import need_pillow

__all__ = ["make_grid", "save_image"]


def _normalized(images: torch.Tensor, value_range: Sequence[float] | None) -> torch.Tensor:
    low, high = value_range or (float(images.min()), float(images.max()))
    return images.clamp(low, high).sub(low).div(max(high - low, 1e-5))


@torch.no_grad()
def make_grid(tensor: torch.Tensor | list[torch.Tensor], nrow: int = 8, padding: int = 2, normalize: bool = False,
              value_range: tuple[float, float] | None = None, scale_each: bool = False,
              pad_value: float = 0.0) -> torch.Tensor:
    """Images (B, C, H, W), or a list of (C, H, W), as one (C, rows, columns), `nrow` images to a row.

    One channel becomes three. `normalize` maps `value_range` (default: from the smallest to the largest value; with
    `scale_each`, of each image) to 0 .. 1.
    """
    listed = tensor if isinstance(tensor, list) else [tensor]
    if not all(isinstance(image, torch.Tensor) for image in listed):
        raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
    images = torch.stack(listed) if isinstance(tensor, list) else tensor
    if images.dim() == 2:
        images = images.unsqueeze(0)
    if images.dim() == 3:
        images = images.unsqueeze(0)
    if images.size(1) == 1:
        images = images.expand(-1, 3, -1, -1)
    if normalize:
        if value_range is not None and not isinstance(value_range, tuple):
            raise TypeError("value_range has to be a tuple (min, max) if specified. min and max are numbers")
        images = (torch.stack([_normalized(image, value_range) for image in images]) if scale_each
                  else _normalized(images, value_range))
    count, channels, height, width = images.shape
    if count == 1:
        return images.squeeze(0)
    columns = min(nrow, count)
    rows = -(-count // columns)
    grid = images.new_full((channels, (height + padding) * rows + padding, (width + padding) * columns + padding),
                           pad_value)
    for k, image in enumerate(images):
        top, left = (k // columns) * (height + padding) + padding, (k % columns) * (width + padding) + padding
        grid[:, top:top + height, left:left + width] = image
    return grid


def png_bytes(pixels: Any, level: int = 6) -> bytes:
    """A PNG file of a uint8 array (H, W, C), C = 1, 2, 3 or 4 (W3C, Portable Network Graphics, third edition)."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + pixels[i].tobytes() for i in range(height))  # each row: filter 0, then its bytes

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, level))
            + chunk(b"IEND", b""))


@torch.no_grad()
def save_image(tensor: torch.Tensor | list[torch.Tensor], fp: str | Path | BinaryIO, format: str | None = None,
               **kwargs: Any) -> None:
    """`make_grid(tensor, **kwargs)`, values 0 .. 1, as an image file: PNG, and with Pillow whatever it writes."""
    grid = make_grid(tensor, **kwargs)
    pixels = grid.mul(255).add(0.5).clamp(0, 255).permute(1, 2, 0).to(torch.uint8).contiguous().numpy()
    path = fp if isinstance(fp, (str, os.PathLike)) else None
    kind = format or (os.path.splitext(path)[1][1:] if path is not None else "png")
    if kind.lower() != "png":
        need_pillow(f"saving an image as {kind!r}").fromarray(pixels).save(fp, format=format)
    elif path is not None:
        Path(path).write_bytes(png_bytes(pixels))
    else:
        fp.write(png_bytes(pixels))  # type: ignore[union-attr]
