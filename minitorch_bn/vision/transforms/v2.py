"""The second version of the transforms, for single images: the names of the first, ToImage and ToDtype."""

# ruff: noqa: F405

from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn import nn

from .._pillow import is_array, is_image
from . import *  # noqa: F403
from . import functional as functional

__all__ = [
    "CenterCrop", "ColorJitter", "Compose", "ConvertImageDtype", "FiveCrop", "GaussianBlur", "Grayscale",
    "Identity", "InterpolationMode", "Lambda", "Normalize", "PILToTensor", "Pad", "RandomAffine", "RandomApply",
    "RandomChoice", "RandomCrop", "RandomErasing", "RandomGrayscale", "RandomHorizontalFlip", "RandomInvert",
    "RandomOrder", "RandomResizedCrop", "RandomRotation", "RandomVerticalFlip", "Resize", "TenCrop", "ToDtype",
    "ToImage", "ToPILImage", "ToPureTensor", "ToTensor", "functional",
]


class ToImage(nn.Module):
    """An image of Pillow, an array (H, W[, C]) or a tensor as a tensor (C, H, W) of the same values."""

    def forward(self, image: Any) -> torch.Tensor:
        if isinstance(image, torch.Tensor):
            return image
        if is_image(image):
            return functional.pil_to_tensor(image)
        if is_array(image):
            tensor = torch.from_numpy(image.copy())
            return tensor.unsqueeze(0) if tensor.dim() == 2 else tensor.permute(2, 0, 1)
        raise TypeError(f"Input can either be a pure Tensor, a numpy array, or a PIL image, but got {type(image)} "
                        "instead.")


class ToDtype(nn.Module):
    """A tensor in this dtype; with `scale`, from the whole range of its own to that of the other."""

    def __init__(self, dtype: torch.dtype, scale: bool = False) -> None:
        super().__init__()
        self.dtype = dtype
        self.scale = scale

    def forward(self, image: Any) -> Any:
        if not isinstance(image, torch.Tensor):
            return image
        return functional.convert_image_dtype(image, self.dtype) if self.scale else image.to(self.dtype)

    def extra_repr(self) -> str:
        return f"scale={self.scale}"


class ToPureTensor(nn.Module):
    """Nothing: tensors are pure here."""

    def forward(self, image: Any) -> Any:
        return image


class Identity(ToPureTensor):
    """Nothing."""
