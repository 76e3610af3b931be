"""Activation functions as layers."""

from __future__ import annotations

import warnings
from typing import Any

import minitorch_bn as torch

from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class _Plain(Module):
    """An activation without options."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self._function(input)


class Sigmoid(_Plain):
    """1 / (1 + e^-x)"""

    _function = staticmethod(F.sigmoid)


class Tanh(_Plain):
    """(e^x - e^-x) / (e^x + e^-x)"""

    _function = staticmethod(F.tanh)


class LogSigmoid(_Plain):
    """log(sigmoid(x))"""

    _function = staticmethod(F.logsigmoid)


class Softsign(_Plain):
    """x / (1 + |x|)"""

    _function = staticmethod(F.softsign)


class Tanhshrink(_Plain):
    """x - tanh(x)"""

    _function = staticmethod(F.tanhshrink)


class _MayBeInPlace(Module):
    """An activation whose only option is to write over its input."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self._function(input, inplace=self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_MayBeInPlace):
    """max(x, 0)"""

    _function = staticmethod(F.relu)


class SELU(_MayBeInPlace):
    """scale * elu(x) with the constants that keep mean 0 and variance 1 (Klambauer et al. 2017)"""

    _function = staticmethod(F.selu)


class SiLU(_MayBeInPlace):
    """x * sigmoid(x)"""

    _function = staticmethod(F.silu)


class Mish(_MayBeInPlace):
    """x * tanh(softplus(x))"""

    _function = staticmethod(F.mish)


class _Hard(_MayBeInPlace):
    """Hardsigmoid and Hardswish, which print no options."""

    def extra_repr(self) -> str:
        return ""


class Hardsigmoid(_Hard):
    """relu6(x + 3) / 6"""

    _function = staticmethod(F.hardsigmoid)


class Hardswish(_Hard):
    """x * relu6(x + 3) / 6"""

    _function = staticmethod(F.hardswish)


class Hardtanh(Module):
    """x clamped to [min_val, max_val]"""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False,
                 min_value: float | None = None, max_value: float | None = None) -> None:
        super().__init__()
        for old, new, value in ("min_value", "min_val", min_value), ("max_value", "max_val", max_value):
            if value is not None:
                warnings.warn(f"keyword argument `{old}` is deprecated and rename to `{new}`", FutureWarning,
                              stacklevel=2)
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        self.inplace = inplace
        if self.max_val <= self.min_val:
            raise AssertionError(f"max_val must be larger than min_val, but got max_val={self.max_val} and "
                                 f"min_val={self.min_val}")

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class ReLU6(Hardtanh):
    """min(max(x, 0), 6)"""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class _Exponential(Module):
    """ELU and CELU: both have one option, alpha."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self._function(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class ELU(_Exponential):
    """x where positive, alpha * (e^x - 1) elsewhere"""

    _function = staticmethod(F.elu)


class CELU(_Exponential):
    """max(x, 0) + min(alpha * (e^(x / alpha) - 1), 0)"""

    _function = staticmethod(F.celu)


class LeakyReLU(Module):
    """x where positive, negative_slope * x elsewhere"""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class RReLU(Module):
    """leaky_relu whose slope is drawn from [lower, upper) in training and is their mean otherwise"""

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


class Threshold(Module):
    """x where x > threshold, value elsewhere"""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """leaky_relu with a learned slope: one for all, or one for each of `num_parameters` channels (He et al. 2015)"""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None,
                 dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(torch.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set every slope to `init`."""
        init.constant_(self.weight, self.init)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class GELU(Module):
    """x * Phi(x), Phi the normal distribution function; approximate='tanh' for the usual approximation"""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """log(1 + e^(beta x)) / beta, and x itself where beta x > threshold"""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class _Shrink(Module):
    """Hardshrink and Softshrink: both have one option, lambd."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self._function(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(_Shrink):
    """x where |x| > lambd, 0 elsewhere"""

    _function = staticmethod(F.hardshrink)


class Softshrink(_Shrink):
    """x moved towards 0 by lambd, 0 where |x| <= lambd"""

    _function = staticmethod(F.softshrink)


class GLU(Module):
    """a * sigmoid(b), a and b the halves of x along `dim` (Dauphin et al. 2016)"""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class _SoftmaxAlong(Module):
    """Softmax, LogSoftmax and Softmin: all have one option, dim."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self._function(input, self.dim, _stacklevel=5)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_SoftmaxAlong):
    """e^x / sum(e^x) along `dim`"""

    _function = staticmethod(F.softmax)


class LogSoftmax(_SoftmaxAlong):
    """log(softmax(x)) along `dim`"""

    _function = staticmethod(F.log_softmax)


class Softmin(_SoftmaxAlong):
    """softmax(-x) along `dim`"""

    _function = staticmethod(F.softmin)


class Softmax2d(_Plain):
    """softmax over the channels of (N, C, H, W) or (C, H, W)"""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if input.dim() not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead")
        return F.softmax(input, -3)
