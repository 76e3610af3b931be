"""Batch norm in evaluation is linear: it can become part of the weights of the layer before it."""

from __future__ import annotations

import copy
from typing import Any

import minitorch_bn as torch
from minitorch_bn.nn.parameter import Parameter

Tensor = torch.Tensor


def _fuse(weight: Tensor, bias: Tensor | None, mean: Tensor, var: Tensor, eps: float, bn_weight: Tensor | None,
          bn_bias: Tensor | None, channel_axis: int) -> tuple[Parameter, Parameter]:
    bias_dtype = weight.dtype if bias is None else bias.dtype
    bias = torch.zeros_like(mean) if bias is None else bias
    scale = torch.rsqrt(var + eps) * (1 if bn_weight is None else bn_weight)
    shape = [-1 if axis == channel_axis else 1 for axis in range(weight.dim())]
    grouped = weight
    if channel_axis == 1:  # of a transposed convolution: (in, out / groups, *kernel)
        grouped = weight.reshape(scale.numel() // weight.size(1), -1, *weight.shape[1:])
        shape = [grouped.size(0), 1, -1] + [1] * (weight.dim() - 2)
    fused_bias = (bias - mean) * scale + (0 if bn_bias is None else bn_bias)
    fused = (grouped * scale.reshape(shape)).reshape(weight.shape)
    return (Parameter(fused.to(weight.dtype).detach(), weight.requires_grad),
            Parameter(fused_bias.to(bias_dtype).detach(), bias.requires_grad))


def fuse_conv_bn_weights(conv_w: Tensor, conv_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float,
                         bn_w: Tensor | None, bn_b: Tensor | None,
                         transpose: bool = False) -> tuple[Parameter, Parameter]:
    """Weight and bias of a convolution that does what it and a batch norm after it did."""
    return _fuse(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 1 if transpose else 0)


def fuse_linear_bn_weights(linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float,
                           bn_w: Tensor | None, bn_b: Tensor | None) -> tuple[Parameter, Parameter]:
    """Weight and bias of a linear layer that does what it and a batch norm after it did."""
    return _fuse(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def _fused(layer: Any, bn: Any, channel_axis: int) -> Any:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    fused = copy.deepcopy(layer)
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    fused.weight, fused.bias = _fuse(fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight,
                                     bn.bias, channel_axis)
    return fused


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A copy of a convolution (transposed: `transpose`) that includes the batch norm after it; both in evaluation."""
    return _fused(conv, bn, 1 if transpose else 0)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A copy of a linear layer that includes the batch norm after it; both in evaluation."""
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError("To fuse, linear.out_features == bn.num_features or bn.num_features == 1")
    return _fused(linear, bn, 0)
