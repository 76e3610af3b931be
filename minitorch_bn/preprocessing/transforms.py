"""Transforms of single samples, for datasets that take a `transform`: ToTensor, Normalize and their kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import minitorch_bn as torch

from .scalers import Scale255


class Compose:
    """Several transforms, one after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, sample: Any) -> Any:
        for transform in self.transforms:
            sample = transform(sample)
        return sample

    def fold_into(self, layer: Any) -> Any:
        """A copy of `layer` that includes these transforms, if each has a `fold_into`: the last first."""
        for transform in reversed(self.transforms):
            if not hasattr(transform, "fold_into"):
                raise ValueError(f"fold_into: {transform} cannot become part of a layer")
            layer = transform.fold_into(layer)
        return layer

    def __repr__(self) -> str:
        return "Compose(" + "".join(f"\n    {transform}" for transform in self.transforms) + "\n)"


class Lambda:
    """A transform made of any function."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, sample: Any) -> Any:
        return self.lambd(sample)

    def __repr__(self) -> str:
        return "Lambda()"


class ToTensor:
    """An image (H, W) or (H, W, C), an array or anything that NumPy reads as one, as a tensor (C, H, W).

    Bytes 0 .. 255 become floats 0 .. 1; other dtypes keep their values and type.
    """

    def __call__(self, image: Any) -> torch.Tensor:
        import numpy

        array = numpy.asarray(image)
        if array.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {array.ndim} dimensions.")
        if array.ndim == 2:
            array = array[:, :, None]
        tensor = torch.from_numpy(numpy.ascontiguousarray(array.transpose(2, 0, 1)))
        return Scale255()(tensor) if array.dtype == numpy.uint8 else tensor

    def __repr__(self) -> str:
        return "ToTensor()"


class ToFloat(Scale255):
    """The same under a name that says what comes out."""


class Normalize:
    """(x - mean) / std per channel of a float image (*, C, H, W)."""

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float], inplace: bool = False) -> None:
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_floating_point():
            raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
        if tensor.dim() < 3:
            raise ValueError("Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = "
                             f"{tensor.size()}")
        mean, std = (torch.as_tensor(value, dtype=tensor.dtype) for value in (self.mean, self.std))
        if bool((std == 0).any()):
            raise ValueError(f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by zero.")
        mean, std = (value.reshape(-1, 1, 1) for value in (mean, std))
        if not self.inplace:
            return (tensor - mean) / std
        return tensor.sub_(mean).div_(std)

    def fold_into(self, layer: Any) -> Any:
        """A copy of a convolution that takes images which are not normalized; see `StandardScaler.fold_into`."""
        import numpy as np

        from .folding import folded

        mean, std = (np.asarray(value, dtype=np.float64).reshape(-1) for value in (self.mean, self.std))
        return folded(layer, 1 / std, -mean / std)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"
