"""The gradients of convolutions with respect to input and weight, as functions (torch.nn.grad)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import minitorch_bn as torch

from . import functional as F

Tensor = torch.Tensor


def _gradient(convolve: Callable[[Tensor], Tensor], size: Sequence[int], grad_output: Tensor, other: Tensor) -> Tensor:
    """The gradient of `convolve` at any point of this size: it is linear, so that zeros will do."""
    with torch.enable_grad():
        point = torch.zeros(tuple(size), dtype=grad_output.dtype, requires_grad=True)
        output = convolve(point)
    further = torch.is_grad_enabled() and (grad_output.requires_grad or other.requires_grad)
    return torch.autograd.grad(output, point, grad_output, create_graph=further)[0]


def _functions(ndim: int) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    convolution = getattr(F, f"conv{ndim}d")

    def conv_input(input_size: Sequence[int], weight: Tensor, grad_output: Tensor, stride: Any = 1, padding: Any = 0,
                   dilation: Any = 1, groups: int = 1) -> Tensor:
        return _gradient(lambda x: convolution(x, weight, None, stride, padding, dilation, groups), input_size,
                         grad_output, weight)

    def conv_weight(input: Tensor, weight_size: Sequence[int], grad_output: Tensor, stride: Any = 1, padding: Any = 0,
                    dilation: Any = 1, groups: int = 1) -> Tensor:
        return _gradient(lambda w: convolution(input, w, None, stride, padding, dilation, groups), weight_size,
                         grad_output, input)

    for function, what in (conv_input, "input"), (conv_weight, "weight"):
        function.__name__ = function.__qualname__ = f"conv{ndim}d_{what}"
        function.__doc__ = f"The gradient of conv{ndim}d with respect to its {what}, which has the given size."
    return conv_input, conv_weight


conv1d_input, conv1d_weight = _functions(1)
conv2d_input, conv2d_weight = _functions(2)
conv3d_input, conv3d_weight = _functions(3)
