"""Scaling features (columns) with statistics of a training set; the results are scikit-learn's, bit for bit in float64.

NaN values are left out of the statistics and stay NaN. Tensors, NumPy arrays and all that scikit-learn reads are
accepted; a tensor gives a tensor. The statistics (`mean_`, `scale_`, ...) are NumPy float64 arrays under scikit-learn's
names. A scaler is also a transform of single samples, and can become part of the first layer of a network.
"""

from __future__ import annotations

from typing import Any, TypeVar

import minitorch_bn as torch

from .estimator import Estimator, NotFittedError, is_sparse
from .estimator import numpy_ as _numpy

__all__ = ["MinMaxScaler", "NotFittedError", "Scale255", "StandardScaler"]

Self = TypeVar("Self", bound="_Scaler")


class _Scaler(Estimator):
    """What the scalers share: they map every feature by x * scale + shift."""

    n_samples_seen_: Any

    def _affine(self) -> tuple[Any, Any]:
        """(scale, shift), each a float64 array of one value per feature, or of one for all."""
        raise NotImplementedError

    def __call__(self, sample: Any) -> Any:
        """One sample, or several, of any shape in which the features are the last axis, or the whole sample."""
        self._check_fitted()
        shape = tuple(sample.shape)
        rows = -1 if shape and shape[-1] == self.n_features_in_ else 1
        flat = self.transform(sample.reshape(rows, self.n_features_in_))
        return flat.reshape(shape)

    def fold_into(self, layer: Any) -> Any:
        """A copy of `layer` that takes unscaled input: the layer of the scaled input, in one.

        For a linear layer, features are its inputs; for a convolution, its channels. Evaluation costs nothing more,
        and no statistics need to be kept beside the network.

        Raises:
            ValueError: what this scaler does is no part of such a layer: it clips; it shifts, and the convolution pads
                with zeros; the numbers of features differ.
        """
        from .folding import folded  # the layers are not needed before

        self._check_fitted()
        return folded(layer, *self._affine())


class _Fitted(_Scaler):
    """A scaler with statistics that more data can be taken into."""

    def _reset(self) -> None:
        for name in [name for name in self.__dict__ if name.endswith("_")]:
            delattr(self, name)

    def fit(self: Any, X: Any, y: Any = None) -> Any:
        """Take the statistics of X (samples, features), forgetting those from before. `y` is ignored."""
        self._reset()
        return self.partial_fit(X)

    def partial_fit(self: Any, X: Any, y: Any = None) -> Any:
        """Take more samples into the statistics."""
        raise NotImplementedError


def _nonzero_scale(scale: Any, constant: Any) -> Any:
    """`scale` with 1 for the features that are constant: these are only shifted."""
    scale = scale.copy()
    scale[constant] = 1.0
    return scale


def _sums(array: Any, weights: Any) -> Any:
    """Sums over the samples without the NaNs, in float64; weighted if there are weights."""
    np = _numpy()
    if weights is not None:
        return np.matmul(weights, np.where(np.isnan(array), 0, array), dtype=np.float64)
    return np.nansum(array, axis=0, dtype=np.float64 if array.dtype.itemsize < 8 else None)


class StandardScaler(_Fitted):
    """(x - mean) / std of every feature.

    Batches are merged by the rule of Youngs & Cramer (1971), so `partial_fit` in parts gives the statistics of the
    whole. A feature whose variance is rounding noise counts as constant, and is only centered. Sparse input needs
    `with_mean=False`: centering would fill it.
    """

    mean_: Any
    var_: Any
    scale_: Any
    _counts: Any

    def __init__(self, *, copy: bool = True, with_mean: bool = True, with_std: bool = True) -> None:
        self.copy = copy
        self.with_mean = with_mean
        self.with_std = with_std

    @property
    def _sparse_formats(self) -> Any:
        return False if self.with_mean else ("csr", "csc")

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> StandardScaler:
        """Take the statistics of X, in which `sample_weight` says how often each sample counts."""
        self._reset()
        return self.partial_fit(X, sample_weight=sample_weight)

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> StandardScaler:
        """Take more samples into mean and variance."""
        np = _numpy()
        first = not hasattr(self, "n_samples_seen_")
        array = self._array(X, first, ("csr", "csc"))
        sparse = is_sparse(array)
        if sparse and self.with_mean:
            raise ValueError("Cannot center sparse matrices: pass `with_mean=False` instead.")
        weights = None
        if sample_weight is not None:
            weights = np.asarray(sample_weight, dtype=np.float64)
            if weights.ndim > 1 or weights.ndim and weights.shape != array.shape[:1]:
                raise ValueError(f"sample_weight has shape {weights.shape}, expected {array.shape[:1]}")
            if not np.isfinite(weights).all() or not weights.any():
                raise ValueError("Sample weights must be finite, and contain at least one non-zero number.")
            weights = np.broadcast_to(weights, array.shape[:1])
        columns = array.tocsc() if sparse else array
        present = ~np.isnan(columns.data if sparse else array)
        if sparse:
            count, new_sum, squares = _sparse_sums(columns, present, weights)
        else:
            count = np.sum(present, axis=0).astype(np.int64) if weights is None else np.matmul(weights, present)
            new_sum = squares = None
        self._counts = total = count + (0 if first else self._counts)
        if not self.with_mean and not self.with_std:
            self.mean_ = self.var_ = None
        else:
            self._merge(array, weights, count, new_sum, squares, total, first)
        self.n_samples_seen_ = total[0] if np.ptp(total) == 0 else total
        self.scale_ = None
        if self.with_std:
            eps = np.finfo(np.float64).eps
            noise = total * eps * self.var_ + (total * self.mean_ * eps) ** 2
            self.scale_ = _nonzero_scale(np.sqrt(self.var_), self.var_ <= noise)
        return self

    def _merge(self, array: Any, weights: Any, count: Any, new_sum: Any, squares: Any, total: Any, first: bool) -> None:
        """Mean and variance with new samples; `squares` are their squared deviations, if known."""
        np = _numpy()
        old_count, old_mean, old_var = (0, 0.0, 0.0) if first else (total - count, self.mean_, self.var_)
        old_sum = old_mean * old_count
        if new_sum is None:
            new_sum = _sums(array, weights)
        with np.errstate(divide="ignore", invalid="ignore"):
            self.mean_ = (old_sum + new_sum) / total
            if not self.with_std:
                self.var_ = None
                return
            if squares is None:
                deviations = array - new_sum / count
                correction = _sums(deviations, weights)  # zero but for rounding: exact to second order
                squares = _sums(deviations ** 2, weights) - correction ** 2 / count
            if np.any(old_count):
                ratio = old_count / count
                merged = old_var * old_count + squares + ratio / total * (old_sum / ratio - new_sum) ** 2
                squares = np.where(old_count == 0, squares, merged)
            self.var_ = squares / total

    def _affine(self) -> tuple[Any, Any]:
        np = _numpy()
        scale = 1 / self.scale_ if self.with_std else np.ones(self.n_features_in_)
        return scale, -self.mean_ * scale if self.with_mean else np.zeros(self.n_features_in_)

    def transform(self, X: Any) -> Any:
        """(X - mean) / std."""
        array = self._own_copy(X, self._sparse_formats)
        if is_sparse(array):
            return self._scaled_sparse(array, 1 / self.scale_) if self.with_std else array
        if self.with_mean:
            array -= self.mean_.astype(array.dtype)
        if self.with_std:
            array /= self.scale_.astype(array.dtype)
        return self._like(array, X)

    def inverse_transform(self, X: Any) -> Any:
        """X * std + mean."""
        array = self._own_copy(X, self._sparse_formats)
        if is_sparse(array):
            return self._scaled_sparse(array, self.scale_) if self.with_std else array
        if self.with_std:
            array *= self.scale_.astype(array.dtype)
        if self.with_mean:
            array += self.mean_.astype(array.dtype)
        return torch.from_numpy(array) if isinstance(X, torch.Tensor) else array

    @staticmethod
    def _scaled_sparse(array: Any, scale: Any) -> Any:
        np = _numpy()
        of = np.arange(array.shape[1])
        columns = array.indices if array.format == "csr" else np.repeat(of, np.diff(array.indptr))
        array.data *= scale[columns].astype(array.dtype)
        return array


def _sparse_sums(columns: Any, present: Any, weights: Any) -> tuple[Any, Any, Any]:
    """(count, sum, squared deviations) of each column of a CSC matrix, with its zeros and without its NaNs."""
    np = _numpy()
    rows, width = columns.shape
    of = np.repeat(np.arange(width), np.diff(columns.indptr))[present]
    data = columns.data[present].astype(np.float64)
    share = np.ones(len(data)) if weights is None else weights[columns.indices[present]]
    missing = np.bincount(np.repeat(np.arange(width), np.diff(columns.indptr))[~present], minlength=width,
                          weights=None if weights is None else weights[columns.indices[~present]])
    count = (rows if weights is None else weights.sum()) - missing
    total = np.bincount(of, weights=data * share, minlength=width)
    zeros = count - np.bincount(of, weights=share, minlength=width)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / count
    squares = np.bincount(of, weights=(data - mean[of]) ** 2 * share, minlength=width) + zeros * mean ** 2
    return count, total, squares


class MinMaxScaler(_Fitted):
    """Every feature moved and scaled so that its least and greatest value become the ends of `feature_range`.

    `clip` cuts what new data has outside of it. A constant feature becomes the lower end.
    """

    data_min_: Any
    data_max_: Any
    data_range_: Any
    min_: Any
    scale_: Any

    def __init__(self, feature_range: tuple[float, float] = (0, 1), *, copy: bool = True, clip: bool = False) -> None:
        self.feature_range = feature_range
        self.copy = copy
        self.clip = clip

    def partial_fit(self, X: Any, y: Any = None) -> MinMaxScaler:
        """Take more samples into minimum and maximum."""
        np = _numpy()
        low, high = self.feature_range
        if low >= high:
            raise ValueError("Minimum of desired feature range must be smaller than maximum. Got "
                             f"{self.feature_range}.")
        if is_sparse(X):
            raise TypeError("MinMaxScaler does not support sparse input. Consider using MaxAbsScaler instead.")
        first = not hasattr(self, "n_samples_seen_")
        array = self._array(X, first)
        least, greatest = np.fmin.reduce(array, axis=0), np.fmax.reduce(array, axis=0)
        if first:
            self.n_samples_seen_ = array.shape[0]
        else:
            least, greatest = np.minimum(self.data_min_, least), np.maximum(self.data_max_, greatest)
            self.n_samples_seen_ += array.shape[0]
        spread = greatest - least
        self.data_min_, self.data_max_, self.data_range_ = least, greatest, spread
        self.scale_ = (high - low) / _nonzero_scale(spread, spread < 10 * np.finfo(spread.dtype).eps)
        self.min_ = low - least * self.scale_
        return self

    def _affine(self) -> tuple[Any, Any]:
        if self.clip:
            raise ValueError("fold_into: a layer cannot clip; use MinMaxScaler(clip=False)")
        return self.scale_, self.min_

    def transform(self, X: Any) -> Any:
        """X * scale_ + min_."""
        array = self._own_copy(X)
        array *= self.scale_
        array += self.min_
        if self.clip:
            _numpy().clip(array, *self.feature_range, out=array)
        return self._like(array, X)

    def inverse_transform(self, X: Any) -> Any:
        """(X - min_) / scale_."""
        array = self._own_copy(X)
        array -= self.min_
        array /= self.scale_
        return torch.from_numpy(array) if isinstance(X, torch.Tensor) else array


class Scale255(_Scaler):
    """Byte values 0 .. 255 as floats 0 .. 1: integers give the default dtype (arrays: float64), floats their own.

    As a function, of a tensor or array of any shape. As an estimator it has nothing to learn.
    """

    copy = True

    def __call__(self, sample: Any) -> Any:
        """`sample` / 255."""
        if isinstance(sample, torch.Tensor):
            return (sample if sample.is_floating_point() else sample.to(torch.get_default_dtype())) / 255
        return _numpy().true_divide(sample, 255)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _affine(self) -> tuple[Any, Any]:
        np = _numpy()
        return np.full(1, 1 / 255), np.zeros(1)

    def transform(self, X: Any) -> Any:
        """X / 255."""
        if not hasattr(self, "n_features_in_"):  # fit only notes it
            return self._like(type(self)().fit(X)._array(X) / 255, X)
        return self._like(self._array(X) / 255, X)

    def inverse_transform(self, X: Any) -> Any:
        """X * 255."""
        array = (self if hasattr(self, "n_features_in_") else type(self)().fit(X))._array(X) * 255
        return torch.from_numpy(array) if isinstance(X, torch.Tensor) else array
