"""The continuous Bernoulli distribution on [0, 1]."""
from __future__ import annotations

from typing import Any

import minitorch_bn as torch
import minitorch_bn.nn.functional as F
from minitorch_bn import Tensor
from minitorch_bn.distributions import constraints
from minitorch_bn.distributions._logits import OddsDistribution, one_of
from minitorch_bn.distributions.exp_family import ExponentialFamily
from minitorch_bn.distributions.utils import broadcast_all, clamp_probs, lazy_property, logits_to_probs


class ContinuousBernoulli(OddsDistribution, ExponentialFamily):
    """Density proportional to probs^x (1 - probs)^(1 - x) (Loaiza-Ganem and Cunningham 2019).

    All is written in n = log(probs / (1 - probs)); where probs lies between `lims`, by Taylor's series at n = 0.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0.0

    def __init__(self, probs: Tensor | float | None = None, logits: Tensor | float | None = None,
                 lims: tuple[float, float] = (0.499, 0.501), validate_args: bool | None = None) -> None:
        one_of(probs, logits)
        self._lims = lims
        if probs is not None and validate_args is not None:
            (given,) = broadcast_all(probs)
            if not bool(constraints.unit_interval.check(given).all()):
                raise ValueError("The parameter probs has invalid values")
        super().__init__(probs, logits, validate_args)
        if probs is not None:
            self.probs = self._param = clamp_probs(self._param)

    @lazy_property
    def probs(self) -> Tensor:
        """sigmoid(logits), kept off 0 and 1."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """(where n is far from 0, n there and 1 elsewhere, n)."""
        n = torch.log(self.probs) - torch.log1p(-self.probs)
        far = (self.probs <= self._lims[0]) | (self.probs > self._lims[1])
        return far, torch.where(far, n, 1.0), n

    def _cont_bern_log_norm(self) -> Tensor:
        """The logarithm of n coth(n / 2), which makes the density's integral 1."""
        far, n, near = self._parts()
        w = near * near
        return torch.log(torch.where(far, n / torch.tanh(0.5 * n), 2 + w * (1 / 6 - w / 360)))

    @property
    def mean(self) -> Tensor:
        far, n, near = self._parts()
        return torch.where(far, 0.5 + 0.5 / torch.tanh(0.5 * n) - 1 / n, 0.5 + near * (1 / 12 - near * near / 720))

    @property
    def variance(self) -> Tensor:
        far, n, near = self._parts()
        w = near * near
        return torch.where(far, 1 / (n * n) - 0.25 / torch.sinh(0.5 * n).square(), 1 / 12 - w * (1 / 240 - w / 6048))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.icdf(torch.rand(self._extended_shape(sample_shape), dtype=self.probs.dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return self._cont_bern_log_norm() - F.binary_cross_entropy_with_logits(logits, value, reduction="none")

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        far, n, _ = self._parts()
        return torch.where(far, torch.expm1(n * value) / torch.expm1(n), value).clamp(min=0, max=1)

    def icdf(self, value: Tensor) -> Tensor:
        far, n, _ = self._parts()
        return torch.where(far, torch.log1p(value * torch.expm1(n)) / n, value)

    def entropy(self) -> Tensor:
        low = torch.log1p(-self.probs)
        return self.mean * (low - torch.log(self.probs)) - self._cont_bern_log_norm() - low
