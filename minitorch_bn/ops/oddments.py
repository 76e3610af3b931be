"""Small functions and methods of PyTorch that are rarely used: old norms, in-place dropouts, element-wise Python.

Imported when one of its names is first used.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minitorch_bn import _core
from minitorch_bn._core import Tensor

Number = int | float


# -- dropout with p and train in this order ----------------------------------------------------------------------------

def _dropout(name: str, inplace: bool = False) -> Callable[..., Tensor]:
    def dropped(input: Tensor, p: float, train: bool) -> Tensor:
        from minitorch_bn.nn import functional
        return getattr(functional, name)(input, p, train, inplace)

    dropped.__name__ = dropped.__qualname__ = name + "_" * inplace
    dropped.__doc__ = f"nn.functional.{name}{', in place' * inplace}."
    return dropped


alpha_dropout_ = _dropout("alpha_dropout", True)
feature_alpha_dropout = _dropout("feature_alpha_dropout")
feature_alpha_dropout_ = _dropout("feature_alpha_dropout", True)


# -- small ones --------------------------------------------------------------------------------------------------------

def is_distributed(input: Tensor) -> bool:
    """False: a tensor is in one process."""
    return False


def frobenius_norm(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The square root of the sum of squares over dims (all by default)."""
    return input.norm(2, dim if dim != () else None, keepdim)


def nuclear_norm(input: Tensor, dim: Any = (-2, -1), keepdim: bool = False) -> Tensor:
    """The sum of the singular values."""
    from minitorch_bn import linalg
    return linalg.matrix_norm(input, "nuc", dim, keepdim)


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The norm over all dims but one, which is kept; over all dims for dim=-1."""
    if dim == -1:
        return v.norm(pow)
    return v.norm(pow, [d for d, _ in enumerate(v.shape) if d != dim % v.ndim], keepdim=True)


def to_dlpack(tensor: Tensor) -> Any:
    """A DLPack capsule of the tensor's memory."""
    return tensor.__dlpack__()


def apply_(self: Tensor, callable: Callable[[Number], Number]) -> Tensor:
    """Every element replaced by the function's value of it; slow."""
    values = [callable(x) for x in self.reshape(-1).tolist()]
    return self.copy_(_core.tensor(values, dtype=self.dtype).reshape(self.shape))


def map_(self: Tensor, tensor: Tensor, callable: Callable[[Number, Number], Number]) -> Tensor:
    """Every element replaced by the function's value of it and the other tensor's element; slow."""
    pairs = zip(self.reshape(-1).tolist(), tensor.expand(self.shape).reshape(-1).tolist())
    return self.copy_(_core.tensor([callable(a, b) for a, b in pairs], dtype=self.dtype).reshape(self.shape))


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """self where positive, else self times weight: shape (1,), or one for each channel (dim 1)."""
    from minitorch_bn.nn import functional
    return functional.prelu(input, weight)


def dim_order(self: Tensor) -> tuple[int, ...]:
    """The dims in the order in which they lie in memory, outermost first."""
    steps = self.stride()
    return tuple(sorted(range(self.ndim), key=lambda d: (-steps[d], d)))


def _in_place(name: str) -> Callable[..., Tensor]:
    method = getattr(Tensor, name)

    def function(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return method(input, *args, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Tensor.{name} as a function."
    return function


addmv_, detach_, fill_, ldexp_, zero_ = map(_in_place, ("addmv_", "detach_", "fill_", "ldexp_", "zero_"))
