"""torch.types: the names that annotations use."""
from collections.abc import Sequence
from os import PathLike
from typing import Any, TypeAlias

from minitorch_bn import Generator, Size, Tensor
from minitorch_bn._core import _Singleton
from minitorch_bn._core import device as _device_type
from minitorch_bn._core import dtype as _dtype_type
from minitorch_bn.storage import TypedStorage, UntypedStorage

_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
_dtype: TypeAlias = _dtype_type
_device: TypeAlias = _device_type
_layout: TypeAlias = _Singleton
_size: TypeAlias = Size | list[int] | tuple[int, ...]
_int, _float, _bool = int, float, bool
Device: TypeAlias = _device_type | str | int | None
DeviceLikeType: TypeAlias = _device_type | str | int
FileLike: TypeAlias = str | PathLike | Any
Number: TypeAlias = int | float | bool
Storage: TypeAlias = UntypedStorage | TypedStorage

__all__ = ["Device", "DeviceLikeType", "FileLike", "Generator", "Number", "Size", "Storage", "Tensor"]
