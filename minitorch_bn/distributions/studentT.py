"""Student's t distribution."""
from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn import Tensor
from minitorch_bn.distributions import constraints
from minitorch_bn.distributions.chi2 import Chi2
from minitorch_bn.distributions.distribution import Distribution
from minitorch_bn.distributions.utils import LOG_PI, _standard_normal, broadcast_all


class StudentT(Distribution):
    """loc + scale * t, t of df degrees of freedom."""

    arg_constraints = {"df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, df: Tensor | float, loc: Tensor | float = 0.0, scale: Tensor | float = 1.0,
                 validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        super().__init__(self.df.size(), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return torch.where(self.df <= 1, torch.nan, self.loc)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        finite = torch.where(self.df > 2, self.df, 3.0)
        value = torch.where(self.df > 2, self.scale.pow(2) * finite / (finite - 2), torch.inf)
        return torch.where(self.df <= 1, torch.nan, value)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """A normal number over the root of a chi-squared one divided by df."""
        shape = self._extended_shape(sample_shape)
        x = _standard_normal(shape, self.df.dtype, self.df.device)
        z = Chi2(self.df, validate_args=False).rsample(sample_shape)
        return self.loc + self.scale * (x * torch.rsqrt(z / self.df))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        y = (value - self.loc) / self.scale
        half = 0.5 * self.df
        normalizer = (self.scale.log() + 0.5 * self.df.log() + 0.5 * LOG_PI + torch.lgamma(half)
                      - torch.lgamma(half + 0.5))
        return -(half + 0.5) * torch.log1p(y * y / self.df) - normalizer

    def entropy(self) -> Tensor:
        half = 0.5 * self.df
        log_beta = torch.lgamma(half) + 0.5 * LOG_PI - torch.lgamma(half + 0.5)
        return (self.scale.log() + (half + 0.5) * (torch.digamma(half + 0.5) - torch.digamma(half))
                + 0.5 * self.df.log() + log_beta)
