"""What the distributions share: broadcasting of parameters, probabilities and logits, properties computed once."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Number
from typing import Any

import minitorch_bn as torch
import minitorch_bn.nn.functional as F
from minitorch_bn import Tensor

euler_constant = 0.5772156649015329
# Written out: the logarithm of the C library may round another way on another machine.
LOG_2, LOG_PI, LOG_2PI, LOG_4PI = 0.6931471805599453, 1.1447298858494002, 1.8378770664093453, 2.5310242469692907


def broadcast_all(*values: Tensor | float) -> tuple[Tensor, ...]:
    """The values as tensors of one shape; numbers take the dtype of the first tensor, or the default dtype."""
    if not all(isinstance(v, (Tensor, Number)) for v in values):
        raise ValueError("Input arguments must all be instances of Number, torch.Tensor or objects implementing "
                         "__torch_function__.")
    dtype = next((v.dtype for v in values if isinstance(v, Tensor)), torch.get_default_dtype())
    return tuple(torch.broadcast_tensors(*[v if isinstance(v, Tensor) else torch.tensor(v, dtype=dtype)
                                           for v in values]))


def _standard_normal(shape: Sequence[int], dtype: Any, device: Any) -> Tensor:
    return torch.empty(shape, dtype=dtype, device=device).normal_()


def _sum_rightmost(value: Tensor, dim: int) -> Tensor:
    """value summed over its last `dim` dims."""
    return value if dim == 0 else value.reshape((*value.shape[:value.dim() - dim], -1)).sum(-1)


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Log odds -> probabilities (binary), or log weights along the last dim -> probabilities."""
    return torch.sigmoid(logits) if is_binary else F.softmax(logits, dim=-1)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept eps away from 0 and 1, so that their logarithms are finite."""
    eps = torch.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities -> log odds (binary) or log probabilities, after clamp_probs."""
    p = clamp_probs(probs)
    return torch.log(p) - torch.log1p(-p) if is_binary else torch.log(p)


class lazy_property:
    """A property computed, with gradients, when first asked for; then an attribute of the instance."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        self.__doc__ = wrapped.__doc__
        self.__name__ = wrapped.__name__

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        with torch.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.__name__, value)
        return value


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """(..., n, n) -> the elements on and below the diagonal `diag`, row by row."""
    n = mat.shape[-1]
    if not -n <= diag < n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    index = torch.tril_indices(n, n, diag)
    return mat[..., index[0], index[1]]


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """The inverse of :func:`tril_matrix_to_vec`: a vector -> (..., n, n), 0 above the diagonal `diag`."""
    length = vec.shape[-1]
    n = next((n for n in range(1, length + abs(diag) + 2)
              if torch.tril_indices(n, n, diag).shape[1] == length and diag >= -n), 0)
    if n == 0:
        raise ValueError(f"The size of last dimension is {length} which cannot be expressed as the lower triangular "
                         "part of a square D x D matrix.")
    index = torch.tril_indices(n, n, diag)
    flat = vec.new_zeros((*vec.shape[:-1], n * n))
    return flat.index_copy(-1, index[0] * n + index[1], vec).reshape((*vec.shape[:-1], n, n))
