"""The normal distribution of vectors whose covariance is a diagonal and a matrix of low rank."""
from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn import Tensor
from minitorch_bn.distributions import constraints
from minitorch_bn.distributions.distribution import Distribution
from minitorch_bn.distributions.multivariate_normal import _batch_mahalanobis
from minitorch_bn.distributions.utils import LOG_2PI, _standard_normal, lazy_property


class LowRankMultivariateNormal(Distribution):
    """Mean `loc` (..., n), covariance W W' + diag(D): W = cov_factor (..., n, m), D = cov_diag (..., n).

    With C = 1 + W' D^-1 W, of size m, Woodbury's identity gives the inverse, and det = det(C) prod(D).
    """

    arg_constraints = {"loc": constraints.real_vector, "cov_factor": constraints.independent(constraints.real, 2),
                       "cov_diag": constraints.independent(constraints.positive, 1)}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, cov_factor: Tensor, cov_diag: Tensor, validate_args: bool | None = None) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event_shape = loc.shape[-1:]
        if cov_factor.dim() < 2:
            raise ValueError("cov_factor must be at least two-dimensional, with optional leading batch dimensions")
        if cov_factor.shape[-2:-1] != event_shape:
            raise ValueError(f"cov_factor must be a batch of matrices with shape {event_shape[0]} x m")
        if cov_diag.shape[-1:] != event_shape:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {event_shape}")
        try:
            batch = torch.broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        except RuntimeError as error:
            raise ValueError(f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, cov_diag "
                             f"{cov_diag.shape}") from error
        self.loc, self.cov_diag = loc.expand((*batch, -1)), cov_diag.expand((*batch, -1))
        self.cov_factor = cov_factor.expand((*batch, -1, -1))
        self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag = cov_factor, cov_diag
        self._over = cov_factor.mT / cov_diag.unsqueeze(-2)  # W' D^-1
        capacitance = self._over @ cov_factor
        self._capacitance_tril = torch.linalg.cholesky(capacitance + torch.eye(capacitance.shape[-1], dtype=loc.dtype))
        super().__init__(batch, event_shape, validate_args=validate_args)

    def _full(self, matrix: Tensor) -> Tensor:
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:
        """The diagonal of the covariance."""
        return self.cov_factor.square().sum(-1) + self.cov_diag

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """W W' + diag(D)"""
        w = self._unbroadcasted_cov_factor
        return self._full(w @ w.mT + torch.diag_embed(self._unbroadcasted_cov_diag))

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance."""
        root = self._unbroadcasted_cov_diag.sqrt().unsqueeze(-1)
        w = self._unbroadcasted_cov_factor / root
        return self._full(root * torch.linalg.cholesky(w @ w.mT + torch.eye(w.shape[-2], dtype=w.dtype)))

    @property
    def _unbroadcasted_scale_tril(self) -> Tensor:
        return self.scale_tril

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """D^-1 - D^-1 W C^-1 W' D^-1"""
        a = torch.linalg.solve_triangular(self._capacitance_tril, self._over, upper=False)
        return self._full(torch.diag_embed(self._unbroadcasted_cov_diag.reciprocal()) - a.mT @ a)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        a = _standard_normal((*shape[:-1], self.cov_factor.shape[-1]), self.loc.dtype, self.loc.device)
        b = _standard_normal(shape, self.loc.dtype, self.loc.device)
        low = (self._unbroadcasted_cov_factor @ a.unsqueeze(-1)).squeeze(-1)
        return self.loc + low + self._unbroadcasted_cov_diag.sqrt() * b

    def _half_log_det(self) -> Tensor:
        return (self._capacitance_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
                + 0.5 * self._unbroadcasted_cov_diag.log().sum(-1))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        diff = value - self.loc
        low = (self._over @ diff.unsqueeze(-1)).squeeze(-1)
        distance = (diff.square() / self._unbroadcasted_cov_diag).sum(-1) - _batch_mahalanobis(self._capacitance_tril,
                                                                                             low)
        return -0.5 * (self._event_shape[0] * LOG_2PI + distance) - self._half_log_det()

    def entropy(self) -> Tensor:
        result = 0.5 * self._event_shape[0] * (1 + LOG_2PI) + self._half_log_det()
        return result.expand(self._batch_shape)
