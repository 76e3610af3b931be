"""The logistic normal distribution on the simplex."""
from __future__ import annotations

from minitorch_bn import Tensor
from minitorch_bn.distributions import constraints
from minitorch_bn.distributions.normal import Normal
from minitorch_bn.distributions.transformed_distribution import TransformedDistribution
from minitorch_bn.distributions.transforms import StickBreakingTransform


class LogisticNormal(TransformedDistribution):
    """Normal numbers sent to the simplex by StickBreakingTransform: K of them give K + 1 probabilities."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, loc: Tensor | float, scale: Tensor | float, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args=validate_args)
        super().__init__(base if base.batch_shape else base.expand([1]), StickBreakingTransform(),
                         validate_args=validate_args)

    @property
    def loc(self) -> Tensor:
        """The means of the normal numbers."""
        return self.base_dist.base_dist.loc

    @property
    def scale(self) -> Tensor:
        """Their standard deviations."""
        return self.base_dist.base_dist.scale
