"""The half-normal distribution: the absolute value of a centred normal number."""
from __future__ import annotations

import math

from minitorch_bn import Tensor
from minitorch_bn.distributions._half import Half
from minitorch_bn.distributions.normal import Normal


class HalfNormal(Half):
    """|x| for x of law Normal(0, scale)."""

    full = Normal

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Tensor:
        return self.scale.pow(2) * (1 - 2 / math.pi)
