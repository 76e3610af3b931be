"""The normal distribution of vectors."""
from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn import Tensor
from minitorch_bn.distributions import constraints
from minitorch_bn.distributions.distribution import Distribution
from minitorch_bn.distributions.utils import LOG_2PI, _standard_normal, lazy_property


def _batch_mahalanobis(factor: Tensor, x: Tensor) -> Tensor:
    """x' (L L')^-1 x for L of shape (..., n, n) and x of shape (..., n), batch dims broadcast together."""
    n = x.shape[-1]
    batch = factor.shape[:-2]
    if x.dim() - 1 <= len(batch):
        return torch.linalg.solve_triangular(factor, x.unsqueeze(-1), upper=False).square().sum((-2, -1))
    extra = x.dim() - 1 - len(batch)  # the sample dims become columns of one right-hand side
    x = x.expand((*x.shape[:extra], *torch.broadcast_shapes(batch, x.shape[extra:-1]), n))
    columns = x.movedim(tuple(range(extra)), tuple(range(-extra, 0))).flatten(-extra)  # (batch, n, samples)
    squares = torch.linalg.solve_triangular(factor, columns, upper=False).square().sum(-2)
    squares = squares.unflatten(-1, x.shape[:extra])
    return squares.movedim(tuple(range(-extra, 0)), tuple(range(extra)))


def _precision_to_scale_tril(precision: Tensor) -> Tensor:
    """The L of covariance = L L': with the axes reversed, the inverse of the precision's factor is lower again."""
    reverse = torch.linalg.cholesky(precision.flip((-2, -1))).flip((-2, -1)).mT
    eye = torch.eye(precision.shape[-1], dtype=precision.dtype)
    return torch.linalg.solve_triangular(reverse, eye.expand(precision.shape), upper=False)


class MultivariateNormal(Distribution):
    """Mean `loc` (..., n) and one of covariance_matrix, precision_matrix (its inverse), scale_tril (its Cholesky
    factor), each (..., n, n)."""

    arg_constraints = {"loc": constraints.real_vector, "covariance_matrix": constraints.positive_definite,
                       "precision_matrix": constraints.positive_definite, "scale_tril": constraints.lower_cholesky}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, covariance_matrix: Tensor | None = None, precision_matrix: Tensor | None = None,
                 scale_tril: Tensor | None = None, validate_args: bool | None = None) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = [(name, m) for name, m in (("covariance_matrix", covariance_matrix),
                                           ("precision_matrix", precision_matrix), ("scale_tril", scale_tril))
                 if m is not None]
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        name, matrix = given[0]
        if matrix.dim() < 2:
            raise ValueError(f"{name} {'matrix ' if name == 'scale_tril' else ''}must be at least two-dimensional, "
                             "with optional leading batch dimensions")
        batch_shape = torch.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        setattr(self, name, matrix.expand((*batch_shape, -1, -1)))
        self.loc = loc.expand((*batch_shape, -1))
        super().__init__(batch_shape, self.loc.shape[-1:], validate_args=validate_args)
        if name == "scale_tril":
            self._unbroadcasted_scale_tril = matrix
        elif name == "covariance_matrix":
            self._unbroadcasted_scale_tril = torch.linalg.cholesky(matrix)
        else:
            self._unbroadcasted_scale_tril = _precision_to_scale_tril(matrix)

    def _full(self, matrix: Tensor) -> Tensor:
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance."""
        return self._full(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        return self._full(self._unbroadcasted_scale_tril @ self._unbroadcasted_scale_tril.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        factor = self._unbroadcasted_scale_tril
        eye = torch.eye(factor.shape[-1], dtype=factor.dtype).expand(factor.shape)
        inverse = torch.linalg.solve_triangular(factor, eye, upper=False)
        return self._full(inverse.mT @ inverse)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self._unbroadcasted_scale_tril.pow(2).sum(-1).expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        z = _standard_normal(self._extended_shape(sample_shape), self.loc.dtype, self.loc.device)
        return self.loc + (self._unbroadcasted_scale_tril @ z.unsqueeze(-1)).squeeze(-1)

    def _half_log_det(self) -> Tensor:
        return self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        distance = _batch_mahalanobis(self._unbroadcasted_scale_tril, value - self.loc)
        return -0.5 * (self._event_shape[0] * LOG_2PI + distance) - self._half_log_det()

    def entropy(self) -> Tensor:
        result = 0.5 * self._event_shape[0] * (1 + LOG_2PI) + self._half_log_det()
        return result.expand(self._batch_shape)
