"""The half-Cauchy distribution: the absolute value of a centred Cauchy number."""
from __future__ import annotations

import minitorch_bn as torch
from minitorch_bn import Tensor
from minitorch_bn.distributions._half import Half
from minitorch_bn.distributions.cauchy import Cauchy


class HalfCauchy(Half):
    """|x| for x of law Cauchy(0, scale)."""

    full = Cauchy

    @property
    def mean(self) -> Tensor:
        return torch.full(self._extended_shape(), torch.inf, dtype=self.scale.dtype)

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance
