"""The multinomial distribution: how often each of K outcomes occurs in a number of draws."""
from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn import Size, Tensor
from minitorch_bn.distributions import constraints
from minitorch_bn.distributions._logits import VectorDistribution
from minitorch_bn.distributions.binomial import Binomial
from minitorch_bn.distributions.categorical import Categorical
from minitorch_bn.distributions.utils import broadcast_all


class Multinomial(VectorDistribution):
    """Counts (..., K) of total_count draws with probabilities `probs` (..., K) or softmax(`logits`)."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    total_count: int

    def __init__(self, total_count: int = 1, probs: Tensor | None = None, logits: Tensor | None = None,
                 validate_args: bool | None = None) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        super().__init__(probs, logits, validate_args)

    def _events(self, given: Tensor) -> Size:
        return given.size()[-1:]

    def __repr__(self) -> str:
        return "Multinomial()"

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> constraints.Constraint:
        """Counts of sum total_count."""
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        draws = Categorical(self.probs.detach(), validate_args=False).sample((self.total_count, *sample_shape))
        draws = draws.movedim(0, -1)
        counts = torch.zeros(shape, dtype=self.probs.dtype)
        return counts.scatter_add(-1, draws, torch.ones_like(draws, dtype=self.probs.dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        logits = torch.where((value == 0) & (logits == -torch.inf), torch.zeros_like(logits), logits)
        return torch.lgamma(value.sum(-1) + 1) - torch.lgamma(value + 1).sum(-1) + (logits * value).sum(-1)

    def entropy(self) -> Tensor:
        n = torch.tensor(self.total_count, dtype=self._param.dtype)
        own = n * (-(self.logits.clamp(min=torch.finfo(self.logits.dtype).min) * self.probs).sum(-1))
        counts = Binomial(self.total_count, probs=self.probs)
        k = counts.enumerate_support(expand=False)[1:]
        weights = torch.exp(counts.log_prob(k))
        return own - torch.lgamma(n + 1) + (weights * torch.lgamma(k + 1)).sum(0).sum(-1)
