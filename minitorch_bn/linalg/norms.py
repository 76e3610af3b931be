"""Norms of vectors and matrices, and what is counted or compared by them: ranks, condition numbers."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minitorch_bn._core import Tensor, from_numpy, promote_types, where
from minitorch_bn._core import dtype as dtype_type
from minitorch_bn.linalg.common import NAMES, check_dims, check_float, check_shape, dtype_name, into
from minitorch_bn.linalg.factorizations import eigvalsh, svdvals
from minitorch_bn.linalg.solving import _column, _inverse, tolerance
from minitorch_bn.ops.reduce import vector_norm as _vector_norm

MATRIX_ORDERS = ("fro", "nuc", 2.0, -2.0, 1.0, -1.0, math.inf, -math.inf)


def _wrap(d: int, ndim: int) -> int:
    if not -max(ndim, 1) <= d < max(ndim, 1):
        raise IndexError(f"Dimension out of range (expected to be in range of [{-max(ndim, 1)}, {max(ndim, 1) - 1}], "
                         f"but got {d})")
    return d % max(ndim, 1)


def _in_dtype(x: Tensor, dtype: dtype_type | None, name: str) -> Tensor:
    if dtype is None:
        return x
    if not dtype.is_floating_point:
        raise RuntimeError(f"{name}: dtype should be floating point or complex, but got {NAMES[dtype.name]}")
    if promote_types(x.dtype, dtype) != dtype:
        raise RuntimeError(f"{name}: the dtype of the input ({dtype_name(x)}) should be convertible without narrowing "
                           f"to the specified dtype ({NAMES[dtype.name]})")
    return x.to(dtype)


def vector_norm(input: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: dtype_type | None = None,
                out: Tensor | None = None) -> Tensor:
    """(sum |x|**ord)**(1/ord) over `dim` (an int, a tuple, or all); inf, -inf: the largest, smallest |x|; 0: how many
    are not 0."""
    check_float(input, "linalg.vector_norm", True)
    if isinstance(ord, str):
        raise TypeError("linalg_vector_norm(): argument 'ord' (position 2) must be Number, not str")
    input = _in_dtype(input, dtype, "linalg.vector_norm")
    return into(out, _vector_norm(input, ord, dim, keepdim))


def matrix_norm(input: Tensor, ord: Any = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False, *,
                dtype: dtype_type | None = None, out: Tensor | None = None) -> Tensor:
    """The norm of the matrices in two dims of A: "fro"; "nuc", the sum of singular values; 2, -2: the largest, smallest
    singular value; 1, -1: the largest, smallest sum of |column|; inf, -inf: the same of rows."""
    name = "linalg.matrix_norm"
    check_dims(input, name)
    check_float(input, name, True)
    if isinstance(dim, int) or len(dim) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {dim}")
    rows, columns = (_wrap(d, input.ndim) for d in dim)
    if rows == columns:
        raise RuntimeError(f"{name}: dims must be different. Got ({dim[0]}, {dim[1]})")
    order: Any = ord if isinstance(ord, str) else float(ord)
    if order not in MATRIX_ORDERS:
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    if order in ("nuc", 2.0, -2.0):
        check_float(input, name)
    input = _in_dtype(input, dtype, name)
    if order == "fro":
        return into(out, _vector_norm(input, 2, (rows, columns), keepdim))
    if order in ("nuc", 2.0, -2.0):
        S = svdvals(input.movedim((rows, columns), (-2, -1)))
        y = S.sum(-1) if order == "nuc" else _extreme(S, -1, order > 0)
        first, second = columns, rows
    else:
        first, second = (rows, columns) if order in (1.0, -1.0) else (columns, rows)
        sums = _vector_norm(input, 1, first, True)
        y = _extreme(sums, second, order > 0).squeeze(first if first < second else first - 1)
    if keepdim:
        for d in sorted((first, second)):
            y = y.unsqueeze(d)
    return into(out, y)


def _extreme(x: Tensor, d: int, largest: bool) -> Tensor:
    """amax or amin along d; the largest of nothing is 0, as of norms."""
    if x.shape[d] == 0 and largest:
        return x.sum(d)
    return x.amax(d) if largest else x.amin(d)


def norm(input: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None,
         dtype: dtype_type | None = None) -> Tensor:
    """:func:`matrix_norm` if `ord` is given and there are two dims; :func:`vector_norm` (by default 2) otherwise."""
    if dim is not None:
        dims = [dim] if isinstance(dim, int) else list(dim)
        if len(dims) not in (1, 2):
            raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {dims}")
    else:
        dims = list(range(input.ndim))
        if ord is not None and input.ndim not in (1, 2):
            raise RuntimeError("linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
                               f"{input.ndim}D.")
    if isinstance(ord, str) or ord is not None and len(dims) == 2:
        if len(dims) == 1 and dim is not None:
            raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {dims[0]}")
        return matrix_norm(input, ord, dims if len(dims) == 2 else (-2, -1), keepdim, dtype=dtype, out=out)
    return vector_norm(input, 2 if ord is None else ord, None if dim is None else dims, keepdim, dtype=dtype, out=out)


def cond(input: Tensor, p: Any = None, *, out: Tensor | None = None) -> Tensor:
    """The condition number norm(A, p) * norm(inv(A), p), inf for singular A; by default of p = 2, also of A that is not
    square: the ratio of the largest to the smallest singular value."""
    if input.ndim < 2:
        raise RuntimeError("linalg.cond: The input tensor must have at least 2 dimensions.")
    order = 2.0 if p is None else p if isinstance(p, str) else float(p)
    if order not in MATRIX_ORDERS:
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if order in (2.0, -2.0):
        check_float(input, "linalg.svd", kernel="linalg_svd_cpu")
    else:
        check_float(input, "linalg.inv")
    if input.numel() == 0:
        return into(out, input.new_zeros(input.shape[:-2]))
    if order in (2.0, -2.0):
        S = svdvals(input)
        return into(out, S[..., -1] / S[..., 0] if order == -2.0 else S[..., 0] / S[..., -1])
    check_shape(input, f"linalg.cond(ord={p})")
    inverse, info = _inverse(input)
    if not info.any():
        return into(out, matrix_norm(input, order) * matrix_norm(inverse, order))
    y = matrix_norm(input, order) * matrix_norm(inverse.nan_to_num(0.0), order)
    return into(out, where(from_numpy(info != 0), math.inf, y))


def matrix_rank(input: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None,
                out: Tensor | None = None) -> Tensor:
    """How many singular values (with `hermitian`: sizes of eigenvalues) exceed max(atol, rtol * largest), int64."""
    if not input.is_floating_point() or input.dtype.itemsize < 4:
        raise RuntimeError("This function doesn't handle types other than float and double")
    check_dims(input, "torch.linalg.matrix_rank", "input")
    atol = tol if atol is None else atol
    rtol = 0.0 if tol is not None else rtol
    if input.numel() == 0:
        return into(out, input.new_zeros(input.shape[:-2]).long())
    if hermitian:
        check_shape(input, "linalg.eigh")
        S = eigvalsh(input.detach()).abs()
    else:
        S = svdvals(input.detach())
    limit = tolerance(S.amax(-1, True), input.shape, *(_column(t) for t in (atol, rtol)))
    return into(out, (S > limit).sum(-1))
