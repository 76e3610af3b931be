"""Scaling features (columns) with statistics of a training set; the results are scikit-learn's, bit for bit in float64.

NaN values are left out of the statistics and stay NaN. NumPy arrays and tensors are accepted; what comes back is of the
same kind. The statistics (`mean_`, `scale_`, ...) are NumPy float64 arrays under scikit-learn's names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import minitorch_bn as torch

Self = TypeVar("Self", bound="_Scaler")


class NotFittedError(ValueError, AttributeError):
    """A scaler was used before it was fitted."""


def _numpy():
    import numpy  # here, not above: importing the package must not load NumPy

    return numpy


class _Scaler:
    """What both scalers share: checking the input, and giving back the kind of array that came in."""

    n_features_in_: int
    n_samples_seen_: Any

    def fit(self: Self, X: Any, y: Any = None) -> Self:
        """Take the statistics of X (samples, features), forgetting those from before. `y` is ignored."""
        for name in [name for name in self.__dict__ if name.endswith("_")]:
            delattr(self, name)
        return self.partial_fit(X)

    def partial_fit(self: Self, X: Any, y: Any = None) -> Self:
        """Take more samples into the statistics."""
        raise NotImplementedError

    def transform(self, X: Any) -> Any:
        """X, scaled."""
        raise NotImplementedError

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """`fit(X)`, then `transform(X)`."""
        return self.fit(X).transform(X)

    def _array(self, X: Any) -> Any:
        """X as a NumPy array of floats, checked."""
        np = _numpy()
        array = X.detach().numpy() if isinstance(X, torch.Tensor) else np.asarray(X)
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{type(self).__name__}: expected an array of numbers, got dtype {array.dtype}")
        if array.dtype not in (np.float64, np.float32, np.float16):
            array = array.astype(np.float64)
        if array.ndim != 2:
            raise ValueError(f"Expected 2D array, got {array.ndim}D array instead: reshape your data either using "
                             "array.reshape(-1, 1) if it has a single feature or array.reshape(1, -1) if it is a "
                             "single sample.")
        if array.shape[0] == 0:
            raise ValueError(f"Found array with 0 sample(s) (shape={array.shape}) while a minimum of 1 is required by "
                             f"{type(self).__name__}.")
        if np.isinf(array).any():
            raise ValueError(f"Input X contains infinity or a value too large for {array.dtype!r}.")
        known = getattr(self, "n_features_in_", None)
        if known is not None and known != array.shape[1]:
            raise ValueError(f"X has {array.shape[1]} features, but {type(self).__name__} is expecting {known} "
                             "features as input.")
        return array

    def _start(self, X: Any) -> tuple[Any, bool]:
        """The array to take statistics of, and whether it is the first."""
        first = not hasattr(self, "n_features_in_")
        array = self._array(X)
        self.n_features_in_ = array.shape[1]
        return array, first

    def _mapped(self, X: Any, change: Callable[[Any], None]) -> Any:
        """A copy of X, changed in place as a NumPy array, as what X was: tensor or array."""
        if not hasattr(self, "n_features_in_"):
            raise NotFittedError(f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with appropriate "
                                 "arguments before using this estimator.")
        array = self._array(X).copy()
        change(array)
        return torch.from_numpy(array) if isinstance(X, torch.Tensor) else array


def _nonzero_scale(scale: Any, constant: Any) -> Any:
    """`scale` with 1 for the features that are constant: these are only shifted."""
    scale = scale.copy()
    scale[constant] = 1.0
    return scale


def _column_sums(array: Any) -> Any:
    """Sums over the samples without the NaNs, in float64."""
    np = _numpy()
    return np.nansum(array, axis=0, dtype=np.float64 if array.dtype.itemsize < 8 else None)


class StandardScaler(_Scaler):
    """(x - mean) / std of every feature.

    Batches are merged by the rule of Youngs & Cramer (1971), so `partial_fit` in parts gives the statistics of the
    whole. A feature whose variance is rounding noise counts as constant, and is only centered.
    """

    mean_: Any
    var_: Any
    scale_: Any
    _counts: Any

    def __init__(self, *, copy: bool = True, with_mean: bool = True, with_std: bool = True) -> None:
        self.copy = copy
        self.with_mean = with_mean
        self.with_std = with_std

    def partial_fit(self, X: Any, y: Any = None) -> StandardScaler:
        """Take more samples into mean and variance."""
        np = _numpy()
        array, first = self._start(X)
        count = np.sum(~np.isnan(array), axis=0).astype(np.int64)
        if not self.with_mean and not self.with_std:
            self.mean_ = self.var_ = self.scale_ = None
            self.n_samples_seen_ = count + (0 if first else self.n_samples_seen_)
            return self
        old_count, old_mean, old_var = (0, 0.0, 0.0) if first else (self._counts, self.mean_, self.var_)
        old_sum = old_mean * old_count
        new_sum = _column_sums(array)
        total = old_count + count
        with np.errstate(divide="ignore", invalid="ignore"):
            self.mean_ = (old_sum + new_sum) / total
            self.var_ = self._merged_variance(array, count, new_sum, old_count, old_sum, old_var, total) \
                if self.with_std else None
        self._counts = total
        self.n_samples_seen_ = total[0] if np.ptp(total) == 0 else total
        self.scale_ = None
        if self.with_std:
            noise = total * np.finfo(np.float64).eps * self.var_ + (total * self.mean_ * np.finfo(np.float64).eps) ** 2
            self.scale_ = _nonzero_scale(np.sqrt(self.var_), self.var_ <= noise)
        return self

    @staticmethod
    def _merged_variance(array: Any, count: Any, new_sum: Any, old_count: Any, old_sum: Any, old_var: Any,
                         total: Any) -> Any:
        np = _numpy()
        deviations = array - new_sum / count
        correction = _column_sums(deviations)  # zero but for rounding: makes the sum of squares exact to second order
        unnormalized = _column_sums(deviations**2) - correction**2 / count
        if np.any(old_count):
            ratio = old_count / count
            merged = (old_var * old_count + unnormalized
                      + ratio / total * (old_sum / ratio - new_sum) ** 2)
            unnormalized = np.where(old_count == 0, unnormalized, merged)
        return unnormalized / total

    def transform(self, X: Any) -> Any:
        """(X - mean) / std."""
        def change(array: Any) -> None:
            if self.with_mean:
                array -= self.mean_.astype(array.dtype)
            if self.with_std:
                array /= self.scale_.astype(array.dtype)

        return self._mapped(X, change)

    def inverse_transform(self, X: Any) -> Any:
        """X * std + mean."""
        def change(array: Any) -> None:
            if self.with_std:
                array *= self.scale_.astype(array.dtype)
            if self.with_mean:
                array += self.mean_.astype(array.dtype)

        return self._mapped(X, change)


class MinMaxScaler(_Scaler):
    """Every feature moved and scaled so that its least and greatest value become the ends of `feature_range`.

    `clip` cuts what new data has outside of it. A constant feature becomes the lower end.
    """

    data_min_: Any
    data_max_: Any

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
        array, first = self._start(X)
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

    def transform(self, X: Any) -> Any:
        """X * scale_ + min_."""
        def change(array: Any) -> None:
            array *= self.scale_
            array += self.min_
            if self.clip:
                _numpy().clip(array, *self.feature_range, out=array)

        return self._mapped(X, change)

    def inverse_transform(self, X: Any) -> Any:
        """(X - min_) / scale_."""
        def change(array: Any) -> None:
            array -= self.min_
            array /= self.scale_

        return self._mapped(X, change)
