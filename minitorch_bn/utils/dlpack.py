"""Tensors of other libraries without a copy, under PyTorch's names."""

from __future__ import annotations

import enum
from typing import Any

import minitorch_bn as torch
from minitorch_bn import from_dlpack

__all__ = ["DLDeviceType", "from_dlpack", "to_dlpack"]


class DLDeviceType(enum.IntEnum):
    """The numbers of devices in the DLPack standard."""

    kDLCPU = 1
    kDLCUDA = 2
    kDLCUDAHost = 3
    kDLOpenCL = 4
    kDLVulkan = 7
    kDLMetal = 8
    kDLVPI = 9
    kDLROCM = 10
    kDLROCMHost = 11
    kDLExtDev = 12
    kDLCUDAManaged = 13
    kDLOneAPI = 14
    kDLWebGPU = 15
    kDLHexagon = 16
    kDLMAIA = 17


def to_dlpack(tensor: torch.Tensor) -> Any:
    """A capsule that `from_dlpack`, of this or another library, takes once."""
    return tensor.__dlpack__()
