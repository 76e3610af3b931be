"""The von Mises distribution of angles."""
from __future__ import annotations

import math
from typing import Any

import minitorch_bn as torch
from minitorch_bn import Tensor
from minitorch_bn.distributions import constraints
from minitorch_bn.distributions.distribution import Distribution
from minitorch_bn.distributions.utils import LOG_2PI, broadcast_all


class VonMises(Distribution):
    """Density proportional to exp(concentration cos(x - loc)) for angles x in radians."""

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real

    def __init__(self, loc: Tensor, concentration: Tensor, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The circular variance, 1 - I1 / I0."""
        return 1 - torch.special.i1e(self.concentration) / torch.special.i0e(self.concentration)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        k = self.concentration
        return k * (torch.cos(value - self.loc) - 1) - LOG_2PI - torch.special.i0e(k).log()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """By rejection from a wrapped Cauchy law (Best and Fisher 1979)."""
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            k = self.concentration.double()
            tau = 1 + (1 + 4 * k * k).sqrt()
            rho = (tau - (2 * tau).sqrt()) / (2 * k)
            r = torch.where(k < 1e-5, 1 / k + k, (1 + rho * rho) / (2 * rho))
            x = torch.zeros(shape, dtype=torch.float64)
            done = torch.zeros(shape, dtype=torch.bool)
            while not bool(done.all()):
                u1, u2, u3 = torch.rand((3, *shape), dtype=torch.float64).unbind()
                z = torch.cos(math.pi * u1)
                f = (1 + r * z) / (r + z)
                c = k * (r - f)
                accepted = (c * (2 - c) > u2) | ((c / u2).log() + 1 - c >= 0)
                x = torch.where(accepted, (u3 - 0.5).sign() * f.clamp(-1, 1).acos(), x)
                done = done | accepted
            return ((x + math.pi + self.loc) % (2 * math.pi) - math.pi).to(self.loc.dtype)
