"""Normalization functions whose argument order differs between PyTorch's API and the operations layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import minitorch_bn as torch
from minitorch_bn import ops
from minitorch_bn._modes import recomputing

Tensor = torch.Tensor


def _too_few(input: Tensor, what: str) -> ValueError:
    return ValueError(f"Expected more than 1 {what} when training, got input size {input.shape}")


def batch_norm(input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
               bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias per channel of (N, C, ...) (Ioffe & Szegedy 2015).

    In training the batch's statistics are used, and the running ones, where given, moved towards them by `momentum`.
    """
    if input.dim() == 1 and input.numel() == 0:
        return input.clone()
    return ops.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
                  weight: Tensor | None = None, bias: Tensor | None = None, use_input_stats: bool = True,
                  momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """batch_norm of every sample for itself (Ulyanov et al. 2016)."""
    if use_input_stats and math.prod(input.shape[2:]) == 1:
        raise _too_few(input, "spatial element")
    if use_input_stats and recomputing.on:
        running_mean = running_var = None
    return ops.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def layer_norm(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
               bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Mean 0 and variance 1 over the last axes, which have the sizes `normalized_shape` (Ba et al. 2016)."""
    return ops.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None,
               eps: float = 1e-5) -> Tensor:
    """Mean 0 and variance 1 over each group of channels of each sample (Wu & He 2018)."""
    if input.dim() < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.dim()}")
    if 0 < input.numel() == num_groups:
        raise _too_few(input, "value per channel")
    return ops.group_norm(input, num_groups, weight, bias, eps)


def rms_norm(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
             eps: float | None = None) -> Tensor:
    """x / sqrt(mean(x**2) + eps) over the last axes (Zhang & Sennrich 2019); eps defaults to the dtype's."""
    return ops.rms_norm(input, normalized_shape, weight, eps)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha * mean of x**2 over `size` neighboring channels)**beta (Krizhevsky et al. 2012)."""
    if input.dim() < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {input.dim()} dimensions)")
    if input.numel() == 0:
        return input
    squares = input.square().flatten(2).unsqueeze(1)  # N, 1, C, S
    squares = ops.pad(squares, (0, 0, size // 2, (size - 1) // 2))
    mean = ops.avg_pool2d(squares, (size, 1), 1).squeeze(1).reshape(input.shape)
    return input / (mean * alpha + k).pow(beta)
