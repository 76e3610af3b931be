"""The generalized Pareto distribution."""
from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn import Tensor
from minitorch_bn.distributions import constraints
from minitorch_bn.distributions.distribution import Distribution
from minitorch_bn.distributions.utils import broadcast_all


class GeneralizedPareto(Distribution):
    """P(X > x) = (1 + c z)^(-1 / c), z = (x - loc) / scale, c = concentration; exp(-z) where c is 0."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive, "concentration": constraints.real}
    has_rsample = True

    def __init__(self, loc: Tensor | float, scale: Tensor | float, concentration: Tensor | float,
                 validate_args: bool | None = None) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.size(), validate_args=validate_args)

    def _parts(self) -> tuple[Tensor, Tensor]:
        """(where the concentration is 0, the concentration with 1 there)."""
        zero = torch.isclose(self.concentration, torch.zeros_like(self.concentration))
        return zero, torch.where(zero, 1.0, self.concentration)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.icdf(torch.rand(self._extended_shape(sample_shape), dtype=self.loc.dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        zero, c = self._parts()
        z, power = (value - self.loc) / self.scale, 1 / c + 1
        return -self.scale.log() - torch.where(zero, z, torch.where(power == 0, 0.0, power * torch.log1p(c * z)))

    def log_survival_function(self, value: Tensor) -> Tensor:
        """log(1 - cdf)"""
        if self._validate_args:
            self._validate_sample(value)
        zero, c = self._parts()
        z = (value - self.loc) / self.scale
        return -torch.where(zero, z, torch.log1p(c * z) / c)

    def log_cdf(self, value: Tensor) -> Tensor:
        """The logarithm of cdf."""
        return torch.log1p(-torch.exp(self.log_survival_function(value)))

    def cdf(self, value: Tensor) -> Tensor:
        return -torch.expm1(self.log_survival_function(value))

    def icdf(self, value: Tensor) -> Tensor:
        zero, c = self._parts()
        log_left = torch.log1p(-value)
        return self.loc + self.scale * torch.where(zero, -log_left, torch.expm1(-c * log_left) / c)

    @property
    def mean(self) -> Tensor:
        c = torch.where(self.concentration < 1, self.concentration, torch.nan)
        return self.loc + self.scale / (1 - c)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        c = torch.where(self.concentration < 0.5, self.concentration, torch.nan)
        return self.scale.square() / ((1 - c).square() * (1 - 2 * c))

    def entropy(self) -> Tensor:
        return (torch.log(self.scale) + self.concentration + 1).expand(self._batch_shape)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        """From loc on; for a negative concentration up to loc - scale / concentration."""
        top = torch.where(self.concentration < 0, self.loc - self.scale / self.concentration, torch.inf)
        return constraints.interval(self.loc, top)
