"""Exponential families: densities exp(<t(x), parameters> - F(parameters) + k(x))."""
from __future__ import annotations

from minitorch_bn import Tensor
from minitorch_bn.autograd import grad
from minitorch_bn.distributions.distribution import Distribution


class ExponentialFamily(Distribution):
    """A distribution given by its natural parameters and the log normalizer F; entropy follows from them."""

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> float:
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """F - <parameters, grad F> - E[k] (Nielsen and Nock 2010, Entropies and cross-entropies of exponential
        families)."""
        params = [p.detach().requires_grad_() for p in self._natural_params]
        normalizer = self._log_normalizer(*params)
        result = normalizer - self._mean_carrier_measure
        for p, g in zip(params, grad(normalizer.sum(), params, create_graph=True)):
            result = result - (p * g).reshape((*self._batch_shape, -1)).sum(-1)
        return result
