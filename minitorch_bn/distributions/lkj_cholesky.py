"""The distribution of Lewandowski, Kurowicka and Joe (2009) on Cholesky factors of correlation matrices."""
from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn import Tensor
from minitorch_bn.distributions import constraints
from minitorch_bn.distributions.beta import Beta
from minitorch_bn.distributions.distribution import Distribution
from minitorch_bn.distributions.utils import LOG_PI, broadcast_all


class LKJCholesky(Distribution):
    """Factors L of dim x dim correlation matrices M = L L'; M has a density like det(M)^(concentration - 1)."""

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(self, dim: int, concentration: Tensor | float = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        super().__init__(self.concentration.size(), (dim, dim), validate_args)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """The onion method: row i is a direction times the square root of a beta number."""
        with torch.no_grad():
            kind = self.concentration.dtype
            offset = torch.arange(self.dim - 1, dtype=kind)
            offset = torch.cat([offset.new_zeros(1), offset])
            rest = self.concentration.unsqueeze(-1) + 0.5 * (self.dim - 2) - 0.5 * offset
            y = Beta(offset + 0.5, rest, validate_args=False).sample(sample_shape).unsqueeze(-1)
            z = torch.randn(self._extended_shape(sample_shape), dtype=kind).tril(-1)
            length = z.square().sum(-1, True).sqrt()
            w = y.sqrt() * torch.where(length == 0, 0.0, z / torch.where(length == 0, 1.0, length))
            diagonal = (1 - w.square().sum(-1)).clamp(min=torch.finfo(kind).tiny).sqrt()
            return w + torch.diag_embed(diagonal)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n = self.dim
        order = 2 * (self.concentration - 1).unsqueeze(-1) + n - torch.arange(2, n + 1)
        plain = (order * value.diagonal(dim1=-1, dim2=-2)[..., 1:].log()).sum(-1)
        a = self.concentration + 0.5 * (n - 1)
        return plain - (0.5 * (n - 1) * LOG_PI + torch.mvlgamma(a - 0.5, n - 1) - torch.lgamma(a) * (n - 1))
