"""The relaxed categorical distribution (Gumbel softmax): a point of the simplex near a corner."""
from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn import Size, Tensor
from minitorch_bn.distributions import constraints
from minitorch_bn.distributions._logits import VectorDistribution
from minitorch_bn.distributions.transformed_distribution import TransformedDistribution
from minitorch_bn.distributions.transforms import ExpTransform
from minitorch_bn.distributions.utils import broadcast_all, clamp_probs


class ExpRelaxedCategorical(VectorDistribution):
    """The logarithm of a relaxed one-hot vector (Maddison et al. 2017, The Concrete distribution)."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, temperature: Tensor, probs: Tensor | None = None, logits: Tensor | None = None,
                 validate_args: bool | None = None) -> None:
        self.temperature = temperature
        super().__init__(probs, logits, validate_args)

    def _events(self, given: Tensor) -> Size:
        return given.size()[-1:]

    def __repr__(self) -> str:
        return "ExpRelaxedCategorical()"

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        u = clamp_probs(torch.rand(shape, dtype=self.logits.dtype))
        scores = (self.logits - (-u.log()).log()) / self.temperature
        return scores - scores.logsumexp(dim=-1, keepdim=True)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        k = self._num_events
        logits, value = broadcast_all(self.logits, value)
        scale = (torch.full_like(torch.as_tensor(self.temperature, dtype=logits.dtype), float(k)).lgamma()
                 + torch.as_tensor(self.temperature).log() * (k - 1))
        score = logits - value * self.temperature
        score = (score - score.logsumexp(dim=-1, keepdim=True)).sum(-1)
        return score + scale


class RelaxedOneHotCategorical(TransformedDistribution):
    """exp of an ExpRelaxedCategorical vector; the lower the temperature, the nearer to a one-hot vector."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, temperature: Tensor, probs: Tensor | None = None, logits: Tensor | None = None,
                 validate_args: bool | None = None) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)

    @property
    def temperature(self) -> Tensor:
        """How far from a corner of the simplex."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Tensor:
        """Log probabilities."""
        return self.base_dist.logits

    @property
    def probs(self) -> Tensor:
        """Probabilities."""
        return self.base_dist.probs
