"""What the half-normal and the half-Cauchy distribution share: the absolute value of a number of a symmetric law."""
from __future__ import annotations

from typing import ClassVar

import minitorch_bn as torch
from minitorch_bn import Tensor
from minitorch_bn.distributions import constraints
from minitorch_bn.distributions.distribution import Distribution
from minitorch_bn.distributions.transformed_distribution import TransformedDistribution
from minitorch_bn.distributions.transforms import AbsTransform
from minitorch_bn.distributions.utils import LOG_2


class Half(TransformedDistribution):
    """|x| for x of law `full`(0, scale)."""

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    full: ClassVar[type[Distribution]]

    def __init__(self, scale: Tensor | float, validate_args: bool | None = None) -> None:
        whole = self.full(0, scale, validate_args=False)  # type: ignore[arg-type]
        super().__init__(whole, AbsTransform(), validate_args=validate_args)

    @property
    def scale(self) -> Tensor:
        """The scale of the full distribution."""
        return self.base_dist.scale

    @property
    def mode(self) -> Tensor:
        return torch.zeros_like(self.scale)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        value = torch.as_tensor(value, dtype=self.scale.dtype)
        return torch.where(value >= 0, self.base_dist.log_prob(value) + LOG_2, -torch.inf)

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, value: Tensor) -> Tensor:
        return self.base_dist.icdf((value + 1) / 2)

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() - LOG_2
