"""Activation functions, each with PyTorch's arguments; with `inplace=True` they write over their input."""

from __future__ import annotations

import warnings

import minitorch_bn as torch
from minitorch_bn import ops


def relu(input: torch.Tensor, inplace: bool = False) -> torch.Tensor:
    """max(x, 0)"""
    return ops.relu_(input) if inplace else ops.relu(input)


def _clamped(input: torch.Tensor, low: int, high: int, inplace: bool) -> torch.Tensor:
    """An integer tensor clamped, which leaves it one."""
    if input.dtype == torch.bool:
        raise RuntimeError("Bool inputs not supported for hardtanh")
    return input.clamp_(low, high) if inplace else input.clamp(low, high)


def relu6(input: torch.Tensor, inplace: bool = False) -> torch.Tensor:
    """min(max(x, 0), 6)"""
    if not input.is_floating_point():
        return _clamped(input, 0, 6, inplace)
    return ops.relu6_(input) if inplace else ops.relu6(input)


def leaky_relu(input: torch.Tensor, negative_slope: float = 0.01, inplace: bool = False) -> torch.Tensor:
    """x where positive, negative_slope * x elsewhere"""
    return ops.leaky_relu_(input, negative_slope) if inplace else ops.leaky_relu(input, negative_slope)


def elu(input: torch.Tensor, alpha: float = 1.0, inplace: bool = False) -> torch.Tensor:
    """x where positive, alpha * (e^x - 1) elsewhere"""
    return ops.elu_(input, alpha) if inplace else ops.elu(input, alpha)


def selu(input: torch.Tensor, inplace: bool = False) -> torch.Tensor:
    """scale * elu(x) with the constants that keep mean 0 and variance 1 (Klambauer et al. 2017)"""
    return ops.selu_(input) if inplace else ops.selu(input)


def celu(input: torch.Tensor, alpha: float = 1.0, inplace: bool = False) -> torch.Tensor:
    """max(x, 0) + min(alpha * (e^(x / alpha) - 1), 0)"""
    return ops.celu_(input, alpha) if inplace else ops.celu(input, alpha)


def gelu(input: torch.Tensor, approximate: str = "none") -> torch.Tensor:
    """x * Phi(x), Phi the normal distribution function, or with approximate='tanh' the usual approximation of it"""
    if approximate == "none":
        return ops.gelu(input)
    if approximate == "tanh":
        return ops._gelu_tanh(input)
    raise RuntimeError(f"approximate argument must be either none or tanh, got '{approximate}'")


def silu(input: torch.Tensor, inplace: bool = False) -> torch.Tensor:
    """x * sigmoid(x)"""
    return ops.silu_(input) if inplace else ops.silu(input)


def mish(input: torch.Tensor, inplace: bool = False) -> torch.Tensor:
    """x * tanh(softplus(x))"""
    return ops.mish_(input) if inplace else ops.mish(input)


def softplus(input: torch.Tensor, beta: float = 1.0, threshold: float = 20.0) -> torch.Tensor:
    """log(1 + e^(beta x)) / beta, and x itself where beta x > threshold"""
    return ops.softplus(input, beta, threshold)


def hardtanh(input: torch.Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> torch.Tensor:
    """x clamped to [min_val, max_val]"""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if not input.is_floating_point():
        return _clamped(input, int(min_val), int(max_val), inplace)
    return ops.hardtanh_(input, min_val, max_val) if inplace else ops.hardtanh(input, min_val, max_val)


def hardswish(input: torch.Tensor, inplace: bool = False) -> torch.Tensor:
    """x * relu6(x + 3) / 6"""
    return ops.hardswish_(input) if inplace else ops.hardswish(input)


def hardsigmoid(input: torch.Tensor, inplace: bool = False) -> torch.Tensor:
    """relu6(x + 3) / 6"""
    return ops.hardsigmoid_(input) if inplace else ops.hardsigmoid(input)


def hardshrink(input: torch.Tensor, lambd: float = 0.5) -> torch.Tensor:
    """x where |x| > lambd, 0 elsewhere"""
    return ops.hardshrink(input, lambd)


def softshrink(input: torch.Tensor, lambd: float = 0.5) -> torch.Tensor:
    """x moved towards 0 by lambd, 0 where |x| <= lambd"""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    return ops.softshrink(input, lambd)


def tanhshrink(input: torch.Tensor) -> torch.Tensor:
    """x - tanh(x)"""
    return ops.tanhshrink(input)


def softsign(input: torch.Tensor) -> torch.Tensor:
    """x / (1 + |x|)"""
    return ops.softsign(input)


def logsigmoid(input: torch.Tensor) -> torch.Tensor:
    """log(sigmoid(x))"""
    return ops.logsigmoid(input)


def sigmoid(input: torch.Tensor) -> torch.Tensor:
    """1 / (1 + e^-x)"""
    return ops.sigmoid(input)


def tanh(input: torch.Tensor) -> torch.Tensor:
    """(e^x - e^-x) / (e^x + e^-x)"""
    return ops.tanh(input)


def threshold(input: torch.Tensor, threshold: float, value: float, inplace: bool = False) -> torch.Tensor:
    """x where x > threshold, value elsewhere"""
    return ops.threshold_(input, threshold, value) if inplace else ops.threshold(input, threshold, value)


def prelu(input: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """leaky_relu with a learned slope: weight of shape (1,) for all, or (C,) for the channels (axis 1)"""
    if weight.numel() != 1:
        if weight.dim() != 1:
            raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.dim()}")
        channels = input.size(1) if input.dim() > 1 else 1
        if weight.numel() != channels:
            raise RuntimeError(f"Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                               f"{weight.numel()} and channel size = {channels}.")
        weight = weight.reshape([-1 if axis == 1 else 1 for axis in range(input.dim())])
    elif weight.dim() > input.dim():
        weight = weight.reshape(())
    return ops._prelu(input, weight)


def rrelu(input: torch.Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False,
          inplace: bool = False) -> torch.Tensor:
    """leaky_relu whose slope is drawn from [lower, upper) in training and is their mean otherwise"""
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    slope = torch.empty_like(input).uniform_(lower, upper)
    return ops._prelu_(input, slope) if inplace else ops._prelu(input, slope)


def glu(input: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """a * sigmoid(b), a and b the halves of x along `dim` (Dauphin et al. 2016)"""
    if input.dim() == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    if input.size(dim) % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim % input.dim()} is size "
                           f"{input.size(dim)}")
    value, gate = input.chunk(2, dim)
    return value * torch.sigmoid(gate)


def _implicit_dim(name: str, ndim: int, stacklevel: int) -> int:
    warnings.warn(f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an "
                  "argument.", stacklevel=stacklevel + 1)
    return 0 if ndim in (0, 1, 3) else 1


def softmax(input: torch.Tensor, dim: int | None = None, _stacklevel: int = 3,
            dtype: torch.dtype | None = None) -> torch.Tensor:
    """e^x / sum(e^x) along `dim`; the input is first converted to `dtype` if given"""
    return ops.softmax(input, _implicit_dim("softmax", input.dim(), _stacklevel) if dim is None else dim, dtype)


def softmin(input: torch.Tensor, dim: int | None = None, _stacklevel: int = 3,
            dtype: torch.dtype | None = None) -> torch.Tensor:
    """softmax(-x)"""
    return ops.softmax(-input, _implicit_dim("softmin", input.dim(), _stacklevel) if dim is None else dim, dtype)


def log_softmax(input: torch.Tensor, dim: int | None = None, _stacklevel: int = 3,
                dtype: torch.dtype | None = None) -> torch.Tensor:
    """log(softmax(x)), computed without the exponentials' overflow"""
    return ops.log_softmax(input, _implicit_dim("log_softmax", input.dim(), _stacklevel) if dim is None else dim, dtype)


def gumbel_softmax(logits: torch.Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10,
                   dim: int = -1) -> torch.Tensor:
    """A differentiable draw from a categorical distribution (Jang et al. 2017).

    With `hard` the value is one-hot and the gradient that of the soft sample. `eps` is ignored.
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    gumbels = -torch.empty_like(logits).exponential_().log()
    soft = ops.softmax((logits + gumbels) / tau, dim, None)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    return torch.zeros_like(logits).scatter_(dim, index, 1.0) - soft.detach() + soft
