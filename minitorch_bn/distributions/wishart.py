"""The Wishart distribution of positive definite matrices."""
from __future__ import annotations

import warnings
from typing import Any

import minitorch_bn as torch
from minitorch_bn import Tensor
from minitorch_bn.distributions import constraints
from minitorch_bn.distributions.chi2 import Chi2
from minitorch_bn.distributions.exp_family import ExponentialFamily
from minitorch_bn.distributions.multivariate_normal import _precision_to_scale_tril
from minitorch_bn.distributions.utils import LOG_2, lazy_property, vec_to_tril_matrix


class Wishart(ExponentialFamily):
    """X X' for df columns X of law MultivariateNormal(0, covariance_matrix); df > n - 1 need not be an integer."""

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0.0

    def __init__(self, df: Tensor | float, covariance_matrix: Tensor | None = None,
                 precision_matrix: Tensor | None = None, scale_tril: Tensor | None = None,
                 validate_args: bool | None = None) -> None:
        given = [(name, m) for name, m in (("covariance_matrix", covariance_matrix),
                                           ("precision_matrix", precision_matrix), ("scale_tril", scale_tril))
                 if m is not None]
        if len(given) != 1:
            raise AssertionError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        name, matrix = given[0]
        if matrix.dim() < 2:
            raise ValueError("scale_tril must be at least two-dimensional, with optional leading batch dimensions")
        degrees = df if isinstance(df, Tensor) else torch.tensor(df, dtype=matrix.dtype)
        batch = torch.broadcast_shapes(matrix.shape[:-2], degrees.shape)
        self.df = degrees.expand(batch) if isinstance(df, Tensor) else degrees
        n = matrix.shape[-1]
        if bool((self.df <= n - 1).any()):
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {n - 1}.")
        if bool((self.df < n).any()):
            warnings.warn("Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < "
                          "ndim.", stacklevel=2)
        setattr(self, name, matrix.expand((*batch, -1, -1)))
        super().__init__(batch, matrix.shape[-2:], validate_args=validate_args)
        if name == "scale_tril":
            self._unbroadcasted_scale_tril = matrix
        elif name == "covariance_matrix":
            self._unbroadcasted_scale_tril = torch.linalg.cholesky(matrix)
        else:
            self._unbroadcasted_scale_tril = _precision_to_scale_tril(matrix)

    @property
    def arg_constraints(self) -> Any:
        """df above n - 1"""
        return {"covariance_matrix": constraints.positive_definite, "precision_matrix": constraints.positive_definite,
                "scale_tril": constraints.lower_cholesky, "df": constraints.greater_than(self.event_shape[-1] - 1)}

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance of the columns."""
        return self._unbroadcasted_scale_tril.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance of the columns."""
        factor = self._unbroadcasted_scale_tril
        return (factor @ factor.mT).expand(self._batch_shape + self._event_shape)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """Its inverse."""
        eye = torch.eye(self._event_shape[-1], dtype=self._unbroadcasted_scale_tril.dtype)
        inverse = self._solve(eye)
        return (inverse.mT @ inverse).expand(self._batch_shape + self._event_shape)

    def _solve(self, matrix: Tensor) -> Tensor:
        """L^-1 matrix"""
        factor = self._unbroadcasted_scale_tril
        batch = torch.broadcast_shapes(factor.shape[:-2], matrix.shape[:-2])
        return torch.linalg.solve_triangular(factor.expand((*batch, -1, -1)), matrix.expand((*batch, -1, -1)),
                                             upper=False)

    def _degrees(self) -> Tensor:
        return self.df.expand(self._batch_shape).reshape((*self._batch_shape, 1, 1))

    @property
    def mean(self) -> Tensor:
        return self._degrees() * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        """NaN for df <= n + 1."""
        factor = self._degrees() - self._event_shape[-1] - 1
        return torch.where(factor <= 0, torch.nan, factor) * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        d = v.diagonal(dim1=-2, dim2=-1)
        return self._degrees() * (v.square() + d.unsqueeze(-1) * d.unsqueeze(-2))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """L A A' L', A lower triangular of normal numbers and roots of chi-squared ones (Bartlett 1933)."""
        n = self._event_shape[-1]
        kind = self._unbroadcasted_scale_tril.dtype
        degrees = self.df.unsqueeze(-1) - torch.arange(n, dtype=kind)
        roots = Chi2(degrees.expand((*self._batch_shape, n)), validate_args=False).rsample(sample_shape).sqrt()
        below = torch.randn((*sample_shape, *self._batch_shape, n * (n - 1) // 2), dtype=kind)
        noise = torch.diag_embed(roots.clamp(min=torch.finfo(kind).eps)) + vec_to_tril_matrix(below, -1)
        factor = self._unbroadcasted_scale_tril @ noise
        return factor @ factor.mT

    def _half_log_det(self) -> Tensor:
        return self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n, nu = self._event_shape[-1], self.df
        trace = self._solve(self._solve(value).mT).diagonal(dim1=-2, dim2=-1).sum(-1)
        return (-nu * (n * LOG_2 / 2 + self._half_log_det()) - torch.mvlgamma(nu / 2, n)
                + (nu - n - 1) / 2 * torch.linalg.slogdet(value)[1] - trace / 2)

    def entropy(self) -> Tensor:
        n, nu = self._event_shape[-1], self.df
        digammas = torch.digamma(nu.unsqueeze(-1) / 2 - torch.arange(n, dtype=nu.dtype) / 2).sum(-1)
        return ((n + 1) * (n * LOG_2 / 2 + self._half_log_det()) + torch.mvlgamma(nu / 2, n)
                - (nu - n - 1) / 2 * digammas + nu * n / 2)
