"""What all of linalg shares: checks with PyTorch's messages, the way to NumPy and back, and how a factorization is
recorded so that derivatives of every order follow from one formula."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minitorch_bn._core import Size, Tensor, attach, broadcast_shapes, from_numpy, is_grad_enabled

Gradients = tuple[Any, ...]  # one Tensor or None for each output
NAMES = {"float16": "Half", "bfloat16": "BFloat16", "float32": "Float", "float64": "Double", "int64": "Long",
         "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool"}
C_NAMES = {"float32": "float", "float64": "double", "int64": "long int", "int32": "int", "float16": "c10::Half"}


class LinAlgError(RuntimeError):
    """A matrix for which the result does not exist: singular, not positive-definite, or not finite."""


LinAlgError.__module__ = "torch.linalg"


def returned(cls: type) -> type:
    """A NamedTuple class with the name and the printed form of PyTorch's: torch.return_types.linalg_qr(Q=..., ...).
    The suffix _result, of names that are functions too, is not part of it."""

    def show(self: Any) -> str:
        fields = ",\n".join(f"{f}={v!r}" for f, v in zip(self._fields, self))
        return f"torch.return_types.{cls.__name__}(\n{fields})"

    cls.__name__, cls.__module__ = cls.__name__.removesuffix("_result"), "torch.return_types"
    cls.__repr__ = show  # type: ignore[assignment, method-assign]
    return cls


# -- checks ------------------------------------------------------------------------------------------------------------

def dtype_name(x: Tensor) -> str:
    return NAMES[x.dtype.name]


def check_float(x: Tensor, name: str, low: bool = False, kernel: str = "") -> None:
    """RuntimeError unless x is float32 or float64 (with `low`: any floating dtype). `kernel`: what PyTorch says that it
    has not for float16."""
    if not x.is_floating_point():
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {dtype_name(x)}")
    if x.dtype.itemsize < 4 and kernel:
        raise NotImplementedError(f'"{kernel}" not implemented for \'{dtype_name(x)}\'')
    if x.dtype.itemsize < 4 and not low:
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {dtype_name(x)}")


def check_dims(x: Tensor, name: str, argument: str = "A") -> None:
    if x.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")


def check_matrix(x: Tensor, name: str, argument: str = "A", kernel: str = "") -> None:
    """RuntimeError unless x is a matrix (*, m, n) of float32 or float64."""
    check_dims(x, name, argument)
    check_float(x, name, kernel=kernel)


def check_shape(x: Tensor, name: str, argument: str = "A") -> None:
    check_dims(x, name, argument)
    if x.shape[-1] != x.shape[-2]:
        raise RuntimeError(f"{name}: {argument} must be batches of square matrices, but they are {x.shape[-2]} by "
                           f"{x.shape[-1]} matrices")


def check_square(x: Tensor, name: str, argument: str = "A", kernel: str = "") -> None:
    """RuntimeError unless x is a square matrix (*, n, n) of float32 or float64."""
    check_shape(x, name, argument)
    check_float(x, name, kernel=kernel)


def check_same_dtype(a: Tensor, b: Tensor, name: str, names: tuple[str, str] = ("A", "B")) -> None:
    if a.dtype != b.dtype:
        raise RuntimeError(f"{name}: Expected {names[0]} and {names[1]} to have the same dtype, but found {names[0]} "
                           f"of type {dtype_name(a)} and {names[1]} of type {dtype_name(b)} instead")


def raise_first(info: Tensor, message: Callable[[int], str], name: str) -> None:
    """LinAlgError with the message of the first code in `info` that is not 0."""
    bad = info.reshape(-1).nonzero()
    if len(bad):
        at = int(bad[0])
        batch = f"(Batch element {at}): " if info.ndim else ""
        raise LinAlgError(f"{name}: {batch}{message(int(info.reshape(-1)[at]))}")


# -- values ------------------------------------------------------------------------------------------------------------

def array(x: Tensor) -> Any:
    """The elements as a NumPy array, of the same memory."""
    return x.detach().numpy()


def fresh(a: Any, dtype: Any = None) -> Tensor:
    """A tensor of the elements of a NumPy result."""
    return from_numpy(np.ascontiguousarray(a, dtype=dtype) if np.ndim(a) else np.array(a, dtype=dtype))


def into(out: Tensor | None, y: Tensor) -> Tensor:
    """y, or `out` resized to its shape and filled with it."""
    if out is None:
        return y
    if out.requires_grad or y.requires_grad:
        raise RuntimeError("functions with out=... arguments don't support automatic differentiation, but one of the "
                           "arguments requires grad.")
    if out.dtype != y.dtype:
        raise RuntimeError(f"Expected out tensor to have dtype {C_NAMES.get(y.dtype.name, y.dtype.name)}, but got "
                           f"{C_NAMES.get(out.dtype.name, out.dtype.name)} instead")
    if out.shape != y.shape:
        out.resize_(y.shape)
    return out.copy_(y)


def all_into(out: Any, result: Any) -> Any:
    """The named tuple `result`, or the tensors of `out` filled with its fields."""
    if out is None:
        return result
    return type(result)(*(into(o, y) for o, y in zip(out, result)))


def expand_batch(*tensors: Tensor) -> list[Tensor]:
    """The tensors with their batch dims, all but the last two, broadcast to a common shape."""
    shapes = [tuple(x.shape[:-2]) for x in tensors]
    if all(s == shapes[0] for s in shapes):
        return list(tensors)
    batch = tuple(broadcast_shapes(*shapes))
    return [x.expand((*batch, *x.shape[-2:])) for x in tensors]


def identity(n: int, like: Tensor, m: int | None = None) -> Tensor:
    """The identity matrix (n, n), or (n, m) with ones on its diagonal, in the dtype of `like`."""
    y = like.new_zeros((n, n if m is None else m))
    y.fill_diagonal_(1)
    return y


def is_vector_rhs(a: Tensor, b: Tensor) -> bool:
    """Whether b, beside matrices a (*, n, n), is a batch of vectors (*, n) instead of one of matrices (*, n, k)."""
    return b.ndim == 1 or (a.ndim - 1 == b.ndim and a.shape[:-1] == b.shape)


def batch_of(x: Tensor) -> Size:
    return x.shape[:-2]


# -- recording ---------------------------------------------------------------------------------------------------------

def record(outputs: tuple[Tensor, ...], inputs: tuple[Tensor, ...],
           backward: Callable[[tuple[Tensor, ...], Gradients], tuple[Any, ...]], name: str,
           uses: tuple[Tensor, ...] = ()) -> tuple[Tensor, ...]:
    """Put `outputs`, computed from `inputs`, into the graph; returns them.

    backward(values of the outputs, gradients) gives the gradients of the inputs, written in differentiable
    operations. Under create_graph, the values that it gets are copies recorded in the same way: so derivatives of every
    order come from the one formula, and no node refers to its own outputs. `uses`: the inputs that backward reads.
    """
    if not is_grad_enabled() or not any(x.requires_grad for x in inputs):
        return outputs
    values = tuple(y.detach() for y in outputs)
    versions = [x._version for x in inputs]

    def run(*grads: Any) -> tuple[Any, ...]:
        if not is_grad_enabled():
            return backward(values, grads)
        if [x._version for x in inputs] != versions:
            raise RuntimeError(f"one of the variables needed for gradient computation has been modified by an inplace "
                               f"operation: the input of {name}, to be differentiated twice")
        return backward(record(tuple(v.detach() for v in values), inputs, backward, name, uses), grads)

    return attach(outputs, inputs, run, name, saved=values + uses)
