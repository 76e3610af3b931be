"""The memory layout of convolution weights: channels last, or contiguous."""

from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn.nn.conv import _ConvNd
from minitorch_bn.nn.module import Module


def _convert(module: Module, memory_format: Any, ndim: int) -> Module:
    for part in module.modules():
        if isinstance(part, _ConvNd) and part.weight.dim() == ndim:
            part.weight.data = part.weight.detach().clone().contiguous(memory_format=memory_format)
    return module


def convert_conv2d_weight_memory_format(module: Module, memory_format: torch.memory_format) -> Module:
    """Give the weights of 2-d convolutions in `module` this layout."""
    return _convert(module, memory_format, 4)


def convert_conv3d_weight_memory_format(module: Module, memory_format: torch.memory_format) -> Module:
    """Give the weights of 3-d convolutions in `module` this layout."""
    return _convert(module, memory_format, 5)
