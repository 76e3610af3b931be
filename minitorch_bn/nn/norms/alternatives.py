"""Normalizations for small batches: filter response, EvoNorm-S0, switchable; and whitening of the channels."""

from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn.nn.module import Module
from minitorch_bn.nn.parameter import Parameter

from . import core
from .core import over_channels
from .policy import held

Tensor = torch.Tensor


class _PerChannel(Module):
    """Weight 1 and bias 0 for each channel of (N, C, *size)."""

    def __init__(self, num_features: int, eps: float, affine: bool, device: Any, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.num_features, self.eps, self.affine = num_features, eps, affine
        for name, value in ("weight", 1.0), ("bias", 0.0):
            self.register_parameter(name, self._parameter(value, device, dtype) if affine else None)

    def _parameter(self, value: float, device: Any = None, dtype: torch.dtype | None = None) -> Parameter:
        return Parameter(torch.full((self.num_features,), value, device=device, dtype=dtype))

    def _affine(self, x: Tensor) -> Tensor:
        return x if self.weight is None else x * over_channels(self.weight, x) + over_channels(self.bias, x)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, affine={self.affine}"


class TLU(Module):
    """max(x, tau), tau learned for each channel and 0 at first (Singh & Krishnan 2020)."""

    def __init__(self, num_features: int, device: Any = None, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.num_features = num_features
        self.tau = Parameter(torch.zeros(num_features, device=device, dtype=dtype))

    def forward(self, input: Tensor) -> Tensor:
        return torch.maximum(input, over_channels(self.tau, input))

    def extra_repr(self) -> str:
        return f"{self.num_features}"


class FilterResponseNorm(_PerChannel):
    """x / sqrt(mean(x**2) + |eps|) of each channel of each sample, weight and bias, TLU (Singh & Krishnan 2020).

    Args:
        learn_eps: eps is a parameter, for maps of few positions (1e-4 is the paper's start for it).
        tlu: the activation that belongs to it; False leaves it out.
    """

    def __init__(self, num_features: int, eps: float = 1e-6, affine: bool = True, learn_eps: bool = False,
                 tlu: bool = True, device: Any = None, dtype: torch.dtype | None = None) -> None:
        super().__init__(num_features, eps, affine, device, dtype)
        self.register_parameter("learned_eps", self._parameter(eps, device, dtype) if learn_eps else None)
        self.tlu = TLU(num_features, device, dtype) if tlu else None

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() < 3:
            raise ValueError(f"FilterResponseNorm: expected (N, C, *size), got {tuple(input.shape)}")
        power = input.square().mean(list(range(2, input.dim())), True)
        eps = self.eps if self.learned_eps is None else over_channels(self.learned_eps.abs(), input)
        y = self._affine(input * (power + eps).rsqrt())
        return y if self.tlu is None else self.tlu(y)


class EvoNormS0(_PerChannel):
    """x sigmoid(v x) / sqrt(variance of the group + eps), then weight and bias: norm and activation (Liu et al. 2020).

    (N, C, *size); the variance is over each of `groups` groups of channels of each sample.
    """

    def __init__(self, num_features: int, groups: int = 32, eps: float = 1e-5, affine: bool = True, device: Any = None,
                 dtype: torch.dtype | None = None) -> None:
        super().__init__(num_features, eps, affine, device, dtype)
        if num_features % groups:
            raise ValueError(f"num_features ({num_features}) must be divisible by groups ({groups})")
        self.groups = groups
        self.v = self._parameter(1.0, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        grouped = input.reshape(input.size(0), self.groups, -1)
        var = (grouped - grouped.mean(2, True)).square().mean(2, True)
        scale = (var + self.eps).rsqrt().expand(-1, -1, self.num_features // self.groups)
        scale = scale.reshape([input.size(0), -1] + [1] * (input.dim() - 2))
        return self._affine(input * (input * over_channels(self.v, input)).sigmoid() * scale)

    def extra_repr(self) -> str:
        return f"{self.num_features}, groups={self.groups}, eps={self.eps}, affine={self.affine}"


class SwitchNorm(_PerChannel):
    """Normalizes by learned mixtures of the means and variances of instance, layer and batch norm (Luo et al. 2019).

    (N, C, *size). All are made of those of each channel of each sample; batch norm's have running values.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 device: Any = None, dtype: torch.dtype | None = None) -> None:
        super().__init__(num_features, eps, affine, device, dtype)
        self.momentum = momentum
        self.mean_weight = Parameter(torch.ones(3, device=device, dtype=dtype))
        self.var_weight = Parameter(torch.ones(3, device=device, dtype=dtype))
        self.register_buffer("running_mean", torch.zeros(num_features, device=device, dtype=dtype))
        self.register_buffer("running_var", torch.ones(num_features, device=device, dtype=dtype))
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long))

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() < 3:
            raise ValueError(f"SwitchNorm: expected (N, C, *size), got {tuple(input.shape)}")
        x = input.flatten(2)
        mean = x.mean(2)
        var = (x - mean.unsqueeze(2)).square().mean(2)

        def pooled(dim: int) -> tuple[Tensor, Tensor]:
            middle = mean.mean(dim, True)
            return middle, var.mean(dim, True) + (mean - middle).square().mean(dim, True)

        means, variances = zip((mean, var), pooled(1), self._of_batch(x, *pooled(0)))
        a, b = self.mean_weight.softmax(0), self.var_weight.softmax(0)
        center = sum(a[k] * means[k] for k in range(3)).unsqueeze(2)  # type: ignore[union-attr]
        spread = sum(b[k] * variances[k] for k in range(3)).unsqueeze(2)  # type: ignore[union-attr]
        return self._affine((x - center) * (spread + self.eps).rsqrt()).reshape(input.shape)

    def _of_batch(self, x: Tensor, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training:
            return self.running_mean, self.running_var
        if not held(self):
            n = x.numel() // max(x.size(1), 1)
            found = core.Moments(n, mean.detach().reshape(-1), n * var.detach().reshape(-1))
            core.update(self.running_mean, self.running_var, self.num_batches_tracked, found, self.momentum)
        return mean, var


class IterNorm(_PerChannel):
    """Whitens the channels of (N, C, *size): the covariance's inverse root by Newton's method (Huang et al. 2019).

    Args:
        groups: the channels are whitened in so many groups of neighbors; of fewer values than channels in a group the
            covariance is singular.
        iterations: of Newton's method; few leave the weak directions below unit variance, which is a mild whitening.
    """

    def __init__(self, num_features: int, groups: int = 1, iterations: int = 5, eps: float = 1e-5,
                 momentum: float = 0.1, affine: bool = True, device: Any = None,
                 dtype: torch.dtype | None = None) -> None:
        super().__init__(num_features, eps, affine, device, dtype)
        if num_features % groups:
            raise ValueError(f"num_features ({num_features}) must be divisible by groups ({groups})")
        self.groups, self.iterations, self.momentum = groups, iterations, momentum
        size = num_features // groups
        self.register_buffer("running_mean", torch.zeros(groups, size, 1, device=device, dtype=dtype))
        self.register_buffer("running_whitening", torch.eye(size, device=device, dtype=dtype).repeat(groups, 1, 1))
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long))

    def whitening(self, covariance: Tensor) -> Tensor:
        """The inverse square root of each matrix of (groups, size, size), after `iterations` steps."""
        eye = torch.eye(covariance.size(1), dtype=covariance.dtype)
        trace = (covariance * eye).sum((1, 2), True)
        rest, root = covariance / trace, eye.expand(covariance.shape)
        for _ in range(self.iterations):  # the paper's steps, in the form that does not gather rounding errors
            step = 1.5 * eye - 0.5 * (root @ rest)
            rest, root = rest @ step, step @ root
        return root * trace.rsqrt()

    def forward(self, input: Tensor) -> Tensor:
        rows = input.movedim(1, 0).reshape(self.groups, self.num_features // self.groups, -1)
        if not self.training or rows.size(2) == 0:
            mean, white = self.running_mean, self.running_whitening
            y = white @ (rows - mean)
        else:
            if rows.size(2) == 1:
                raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
            mean = rows.mean(2, True)
            centered = rows - mean
            covariance = centered @ centered.transpose(1, 2) / rows.size(2)
            white = self.whitening(covariance + self.eps * torch.eye(rows.size(1), dtype=rows.dtype))
            if not held(self):
                self.num_batches_tracked.add_(1)
                core.move(self.running_mean, mean.detach(), self.momentum)
                core.move(self.running_whitening, white.detach(), self.momentum)
            y = white @ centered
        shape = [self.num_features, input.size(0), *input.shape[2:]]
        return self._affine(y.reshape(shape).movedim(0, 1))

    def extra_repr(self) -> str:
        return f"{self.num_features}, groups={self.groups}, iterations={self.iterations}, eps={self.eps}"
