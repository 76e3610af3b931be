"""What makes a class an estimator to scikit-learn (parameters, tags, checks of the input), without importing it.

scikit-learn itself is used where it is loaded already, or where the input is of a kind that only it knows.
"""
from __future__ import annotations

import sys
from typing import Any, TypeVar

import minitorch_bn as torch

Self = TypeVar("Self", bound="Estimator")


class NotFittedError(ValueError, AttributeError):
    """A scaler was used before it was fitted."""


def numpy_() -> Any:
    """NumPy, imported here and not above: importing the package must not load it."""
    import numpy

    return numpy


def is_sparse(X: Any) -> bool:
    """Whether X is a sparse matrix or array of SciPy."""
    scipy = sys.modules.get("scipy.sparse")
    return scipy is not None and bool(scipy.issparse(X))


class Estimator:
    """Parameters as scikit-learn reads and sets them, and arrays checked as it checks them."""

    n_features_in_: int
    feature_names_in_: Any
    copy: bool
    _sparse_formats: Any = False  # for transform

    @classmethod
    def _names(cls) -> list[str]:
        """The constructor's parameters."""
        code = cls.__init__.__code__ if "__code__" in dir(cls.__init__) else None
        if code is None:  # object's own constructor
            return []
        return sorted(code.co_varnames[1:code.co_argcount + code.co_kwonlyargcount])

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's parameters by name. `deep` changes nothing: none is an estimator."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self: Self, **params: Any) -> Self:
        """Set parameters by name."""
        for name, value in params.items():
            if name not in self._names():
                raise ValueError(f"Invalid parameter {name!r} for estimator {self}. Valid parameters are: "
                                 f"{self._names()}.")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = type(self)().get_params()
        changed = [f"{name}={value!r}" for name, value in self.get_params().items() if defaults[name] != value]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False),
                    transformer_tags=TransformerTags(preserves_dtype=["float64", "float32", "float16"]),
                    input_tags=InputTags(allow_nan=True, sparse=bool(self._sparse_formats)))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")

    def _check_fitted(self) -> None:
        if self.__sklearn_is_fitted__():
            return
        kind: Any = NotFittedError
        if "sklearn" in sys.modules:
            from sklearn.exceptions import NotFittedError as Theirs

            kind = type("NotFittedError", (NotFittedError, Theirs), {})
        raise kind(f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with appropriate arguments "
                   "before using this estimator.")

    def fit(self: Self, X: Any, y: Any = None) -> Self:
        """Look at X (samples, features). `y` is ignored."""
        self._array(X, first=True)
        return self

    def transform(self, X: Any) -> Any:
        """X, changed; of the kind that X is."""
        raise NotImplementedError

    def fit_transform(self, X: Any, y: Any = None, **options: Any) -> Any:
        """`fit(X)`, then `transform(X)`."""
        return self.fit(X, **options).transform(X)

    def _array(self, X: Any, first: bool = False, sparse: Any = False) -> Any:
        """X as a NumPy array of floats (or sparse), checked; `first` has the number and names of features noted."""
        np = numpy_()
        floats = [np.float64, np.float32, np.float16]
        if isinstance(X, np.ndarray) and X.dtype.kind in "USMm":
            raise ValueError(f"{type(self).__name__}: expected an array of numbers, got dtype {X.dtype}")
        if not isinstance(X, torch.Tensor) and ("sklearn" in sys.modules or is_sparse(X)):
            from sklearn.utils.validation import validate_data

            return validate_data(self, X, reset=first, accept_sparse=sparse, dtype=floats,
                                 ensure_all_finite="allow-nan")
        array = X.detach().numpy() if isinstance(X, torch.Tensor) else np.asarray(X)
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{type(self).__name__}: expected an array of numbers, got dtype {array.dtype}")
        if array.dtype not in floats:
            array = array.astype(np.float64)
        if array.ndim != 2:
            raise ValueError(f"Expected 2D array, got {array.ndim}D array instead: reshape your data either using "
                             "array.reshape(-1, 1) if it has a single feature or array.reshape(1, -1) if it is a "
                             "single sample.")
        for axis, what in enumerate(("sample", "feature")):
            if array.shape[axis] == 0:
                raise ValueError(f"Found array with 0 {what}(s) (shape={array.shape}) while a minimum of 1 is required "
                                 f"by {type(self).__name__}.")
        if np.isinf(array).any():
            raise ValueError(f"Input X contains infinity or a value too large for {array.dtype!r}.")
        if first:
            self.n_features_in_ = array.shape[1]
            names = getattr(X, "columns", None)
            if names is not None and all(isinstance(name, str) for name in names):
                self.feature_names_in_ = np.asarray(names, dtype=object)
        elif self.n_features_in_ != array.shape[1]:
            raise ValueError(f"X has {array.shape[1]} features, but {type(self).__name__} is expecting "
                             f"{self.n_features_in_} features as input.")
        return array

    def _own_copy(self, X: Any, sparse: Any = False) -> Any:
        """The checked array of X, to be written to: X's own memory only under `copy=False`."""
        self._check_fitted()
        array = self._array(X, sparse=sparse)
        return array.copy() if self.copy or not is_sparse(array) and not array.flags.writeable else array

    def _like(self, array: Any, X: Any) -> Any:
        """A result as what the input was, tensor or array; or as what `set_output` asked for."""
        if isinstance(X, torch.Tensor):
            return torch.from_numpy(array)
        if "sklearn" in sys.modules and not is_sparse(array):
            from sklearn.utils._set_output import _wrap_data_with_container

            return _wrap_data_with_container("transform", array, X, self)
        return array

    # -- names and kinds of what comes out -------------------------------------------------------------------------

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """The features' names, which stay what they are: those of the data, or x0, x1, ..."""
        self._check_fitted()
        np = numpy_()
        names = getattr(self, "feature_names_in_", None)
        if input_features is None:
            return np.asarray([f"x{i}" for i in range(self.n_features_in_)], dtype=object) if names is None else names
        given = np.asarray(input_features, dtype=object)
        if names is not None and not np.array_equal(names, given):
            raise ValueError("input_features is not equal to feature_names_in_")
        if len(given) != self.n_features_in_:
            raise ValueError(f"input_features should have length equal to number of features ({self.n_features_in_}), "
                             f"got {len(given)}")
        return given

    _sklearn_auto_wrap_output_keys = frozenset({"transform"})

    def set_output(self: Self, *, transform: str | None = None) -> Self:
        """What `transform` makes of arrays and data frames: "default", "pandas" or "polars"; None changes nothing."""
        if transform is not None:
            self.__dict__.setdefault("_sklearn_output_config", {})["transform"] = transform
        return self
