"""Convolutions and their transposes over one, two or three axes: one class each, the variants set `_ndim` only."""

from __future__ import annotations

import math
from typing import Any

import minitorch_bn as torch

from . import functional as F
from . import init
from ._sizes import ntuple, reversed_twice, same_padding
from .module import Module
from .parameter import Parameter

Size = int | tuple[int, ...]
_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What all six share: sizes, weights (out, in / groups, *kernel), the printed form."""

    _ndim: int
    _transposed = False

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size, padding: Size | str,
                 dilation: Size, output_padding: Size, groups: int, bias: bool, padding_mode: str, device: Any,
                 dtype: torch.dtype | None) -> None:
        super().__init__()
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ValueError("out_channels must be divisible by groups")
        if padding_mode not in _PADDING_MODES:
            raise ValueError(f"padding_mode must be one of {set(_PADDING_MODES)}, but got "
                             f"padding_mode='{padding_mode}'")
        n = self._ndim
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = ntuple(kernel_size, n)
        self.stride = ntuple(stride, n)
        self.padding: Any = padding if isinstance(padding, str) else ntuple(padding, n)
        self.dilation = ntuple(dilation, n)
        self.output_padding = ntuple(output_padding, n)
        self.groups = groups
        self.padding_mode = padding_mode
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"Invalid padding string '{padding}', should be one of {{'valid', 'same'}}")
            if padding == "same" and any(step != 1 for step in self.stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        first, second = (in_channels, out_channels) if self._transposed else (out_channels, in_channels)
        self.weight = Parameter(
            torch.empty((first, second // groups, *self.kernel_size), device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(torch.empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew: uniform in +-1/sqrt(fan_in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if fan_in != 0:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        n = self._ndim
        if self.padding != (0,) * n:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * n:
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * n:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _Conv(_ConvNd):
    """Cross-correlation of (N, in_channels, *size) or (in_channels, *size) with the weight.

    `padding` is a number, one per axis, 'same' (output as large as input, stride 1) or 'valid' (none);
    `padding_mode` 'zeros', 'reflect', 'replicate' or 'circular'.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1,
                 padding: Size | str = 0, dilation: Size = 1, groups: int = 1, bias: bool = True,
                 padding_mode: str = "zeros", device: Any = None, dtype: torch.dtype | None = None) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias,
                         padding_mode, device, dtype)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self._conv_forward(input, self.weight, self.bias)

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """The convolution with any weight: for subclasses that change theirs first."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._pad_amounts(), mode=self.padding_mode)
            padding = 0
        return self._function(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def _pad_amounts(self) -> list[int]:
        if self.padding == "same":
            return same_padding(self.kernel_size, self.dilation)
        return reversed_twice((0,) * self._ndim if self.padding == "valid" else self.padding)


class Conv1d(_Conv):
    __doc__ = _Conv.__doc__
    _ndim = 1
    _function = staticmethod(F.conv1d)


class Conv2d(_Conv):
    __doc__ = _Conv.__doc__
    _ndim = 2
    _function = staticmethod(F.conv2d)


class Conv3d(_Conv):
    __doc__ = _Conv.__doc__
    _ndim = 3
    _function = staticmethod(F.conv3d)


class _ConvTranspose(_ConvNd):
    """The gradient of a convolution with respect to its input, as a layer that enlarges.

    Weight (in_channels, out_channels / groups, *kernel). Output size per axis:
    (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1.
    """

    _transposed = True

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size = 0,
                 output_padding: Size = 0, groups: int = 1, bias: bool = True, dilation: Size = 1,
                 padding_mode: str = "zeros", device: Any = None, dtype: torch.dtype | None = None) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups,
                         bias, padding_mode, device, dtype)

    def forward(self, input: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        extra = self.output_padding if output_size is None else self._extra_for(input, list(output_size))
        return self._function(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups,
                              self.dilation)

    def _extra_for(self, input: torch.Tensor, output_size: list[int]) -> tuple[int, ...]:
        """The output_padding that gives `output_size`, among the sizes that one stride can tell apart."""
        n = self._ndim
        leading = input.dim() - n
        if len(output_size) == leading + n:
            output_size = output_size[leading:]
        if len(output_size) != n:
            raise ValueError(f"ConvTranspose{n}D: for {input.dim()}D input, output_size must have {n} or "
                             f"{leading + n} elements (got {len(output_size)})")
        smallest = [(size - 1) * step - 2 * pad + dilation * (kernel - 1) + 1 for size, step, pad, dilation, kernel
                    in zip(input.shape[leading:], self.stride, self.padding, self.dilation, self.kernel_size)]
        largest = [size + step - 1 for size, step in zip(smallest, self.stride)]
        if any(not low <= size <= high for size, low, high in zip(output_size, smallest, largest)):
            raise ValueError(f"requested an output size of {output_size}, but valid sizes range from {smallest} to "
                             f"{largest} (for an input of {input.size()[2:]})")
        return tuple(size - low for size, low in zip(output_size, smallest))


class ConvTranspose1d(_ConvTranspose):
    __doc__ = _ConvTranspose.__doc__
    _ndim = 1
    _function = staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    __doc__ = _ConvTranspose.__doc__
    _ndim = 2
    _function = staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    __doc__ = _ConvTranspose.__doc__
    _ndim = 3
    _function = staticmethod(F.conv_transpose3d)
