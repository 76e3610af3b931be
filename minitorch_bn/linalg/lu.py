"""LU factorization with row exchanges, A = P L U, and what solves equations by it."""
from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minitorch_bn._core import Tensor
from minitorch_bn.linalg.common import (
    Gradients,
    all_into,
    array,
    check_dims,
    check_float,
    check_matrix,
    check_same_dtype,
    check_shape,
    expand_batch,
    fresh,
    identity,
    into,
    record,
    returned,
)
from minitorch_bn.linalg.triangular import solve_triangular
from minitorch_bn.ops import cat, gather


@returned
class linalg_lu(NamedTuple):
    P: Tensor
    L: Tensor
    U: Tensor


@returned
class linalg_lu_factor(NamedTuple):
    LU: Tensor
    pivots: Tensor


@returned
class linalg_lu_factor_ex(NamedTuple):
    LU: Tensor
    pivots: Tensor
    info: Tensor


@returned
class lu_unpack_result(NamedTuple):
    P: Tensor
    L: Tensor
    U: Tensor


BLOCK = 32


@np.errstate(all="ignore")
def raw_lu(a: Any) -> tuple[Any, Any, Any]:
    """(LU, pivots, info) of an array (*, m, n): L below the diagonal and U in one array; pivots[k] (int32, from 1) is
    the row exchanged with row k; info is 0, or the place, from 1, of the first zero on U's diagonal. BLOCK columns are
    eliminated one by one, and then, as a matrix product, from what is to their right."""
    batch, (m, n) = a.shape[:-2], a.shape[-2:]
    x = np.array(a.reshape((math.prod(batch), m, n)))
    every = np.arange(len(x))
    pivots = np.empty((len(x), min(m, n)), dtype=np.int32)
    info = np.zeros(len(x), dtype=np.int32)
    for start in range(0, min(m, n), BLOCK):
        end = min(start + BLOCK, m, n)
        for k in range(start, end):
            at = np.abs(x[:, k:, k]).argmax(1) + k
            pivots[:, k] = at + 1
            x[every, k], x[every, at] = x[every, at], x[every, k]
            top = x[:, k, k]
            info[(top == 0) & (info == 0)] = k + 1
            x[:, k + 1:, k] /= np.where(top == 0, 1, top)[:, None]
            x[:, k + 1:, k + 1:end] -= x[:, k + 1:, k, None] * x[:, k, None, k + 1:end]
        for k in range(start + 1, end):
            x[:, k, None, end:] -= x[:, k, None, start:k] @ x[:, start:k, end:]
        x[:, end:, end:] -= x[:, end:, start:end] @ x[:, start:end, end:]
    return x.reshape(a.shape), pivots.reshape((*batch, min(m, n))), info.reshape(batch)


def permutation(pivots: Tensor, m: int) -> Tensor:
    """The rows (*, m) of A in the order in which L U has them, from the exchanges."""
    p = array(pivots).reshape((math.prod(pivots.shape[:-1]), pivots.shape[-1]))
    order = np.tile(np.arange(m), (len(p), 1))
    every = np.arange(len(p))
    for k in range(p.shape[1]):
        at = p[:, k] - 1
        order[every, k], order[every, at] = order[every, at], order[every, k]
    return fresh(order.reshape((*pivots.shape[:-1], m)))


def take_rows(x: Tensor, order: Tensor) -> Tensor:
    """Row order[i] of x (*, m, k) as row i."""
    x, at = expand_batch(x, order.unsqueeze(-1))
    return gather(x, -2, at.expand(x.shape))


def permutation_matrix(pivots: Tensor, m: int, like: Tensor) -> Tensor:
    """P with P L U = A: its column i has a one in row order[i]."""
    order = permutation(pivots, m)
    eye = identity(m, like)
    return eye.expand((*order.shape[:-1], m, m)).contiguous() if m == 0 else eye[order].mT.contiguous()


def _lu_vjp(pivots: Tensor, values: tuple[Tensor, ...], grads: Gradients) -> tuple[Tensor]:
    """Of the square part, P L^-T [tril_(L^T gL) + triu(gU U^T)] U^-T, once the rest has been led back to it."""
    LU, = values
    m, n = LU.shape[-2:]
    k = min(m, n)
    top = LU[..., :k, :k]
    gL, gU = grads[0][..., :k, :k].tril(-1), grads[0][..., :k, :k].triu()
    rest = None
    if m < n:  # U2 = L^-1 B2
        rest = solve_triangular(top.mT, grads[0][..., k:], upper=True, unitriangular=True)
        gL = gL - (rest @ LU[..., k:].mT).tril(-1)
    elif m > n:  # L2 = B2 U^-1
        rest = solve_triangular(top.mT, grads[0][..., k:, :], upper=False, left=False)
        gU = gU - (LU[..., k:, :].mT @ rest).triu()
    L = top.tril(-1) + identity(k, LU)
    inner = (L.mT @ gL).tril(-1) + (gU @ top.triu().mT).triu()
    inner = solve_triangular(top.mT, inner, upper=True, unitriangular=True)
    g = solve_triangular(top.mT, inner, upper=False, left=False)
    if rest is not None:
        g = cat([g, rest], -1 if m < n else -2)
    order = permutation(pivots, m)
    return (take_rows(g, order.argsort(-1)),)


def _factor(A: Tensor, pivot: bool, name: str) -> linalg_lu_factor_ex:
    check_matrix(A, name, kernel="lu_cpu")
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")
    lu_, pivots_, info = raw_lu(array(A))
    pivots = fresh(pivots_)
    LU, = record((fresh(lu_),), (A,), lambda values, grads: _lu_vjp(pivots, values, grads),
                 "LinalgLuFactorExBackward0")
    return linalg_lu_factor_ex(LU, pivots, fresh(info))


def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False, out: Any = None) -> linalg_lu_factor_ex:
    """(LU, pivots, info): :func:`lu_factor` that reports instead of raising: info (int32) is 0, or the place, from 1,
    of the first zero on the diagonal of U."""
    result = _factor(A, pivot, "linalg.lu_factor_ex")
    if check_errors:
        _check_info(result.info, "linalg.lu_factor_ex")
    return all_into(out, result)


def _check_info(info: Tensor, name: str) -> None:
    bad = info.reshape(-1).nonzero()
    if len(bad):
        k = int(info.reshape(-1)[int(bad[0])])
        batch = f"(Batch element {int(bad[0])}): " if info.ndim else ""
        raise RuntimeError(f"torch.{name}: {batch}U[{k},{k}] is zero and using it on lu_solve would result in a "
                           "division by zero. If you still want to perform the factorization, consider calling "
                           "linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)")


def lu_factor(A: Tensor, *, pivot: bool = True, out: Any = None) -> linalg_lu_factor:
    """(LU, pivots) of A (*, m, n): L without its diagonal of ones and U in one matrix, and the exchanged rows (*, k),
    int32, counted from 1. RuntimeError if U has a zero on its diagonal."""
    LU, pivots, info = _factor(A, pivot, "linalg.lu_factor")
    _check_info(info, "linalg.lu_factor")
    return all_into(out, linalg_lu_factor(LU, pivots))


def split_lu(LU: Tensor) -> tuple[Tensor, Tensor]:
    """(L, U) of the compact form (*, m, n): (*, m, k) and (*, k, n)."""
    k = min(LU.shape[-2:])
    return LU[..., :k].tril(-1) + identity(LU.shape[-2], LU, k), LU[..., :k, :].triu()


def lu(A: Tensor, *, pivot: bool = True, out: Any = None) -> linalg_lu:
    """A = P L U for A (*, m, n), k = min(m, n): a permutation P (*, m, m), L (*, m, k) lower triangular with ones on
    the diagonal, U (*, k, n) upper triangular."""
    LU, pivots, _ = _factor(A, pivot, "linalg.lu")
    L, U = split_lu(LU)
    return all_into(out, linalg_lu(permutation_matrix(pivots, A.shape[-2], LU.detach()), L, U))


def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True, *,
              out: Any = None) -> lu_unpack_result:
    """(P, L, U) from the compact form of :func:`lu_factor`; what is not asked for is empty."""
    check_dims(LU_data, "torch.lu_unpack", "LU_data")
    if unpack_pivots and LU_pivots.dtype.name != "int32":
        raise RuntimeError("torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype.\n"
                           "Note: this function is intended to be used with the output produced by "
                           "torch.linalg.lu_factor")
    L, U = split_lu(LU_data) if unpack_data else (LU_data.new_empty((0,)), LU_data.new_empty((0,)))
    P = permutation_matrix(LU_pivots, LU_data.shape[-2], LU_data.detach()) if unpack_pivots else \
        LU_data.new_empty((0,))
    return all_into(out, lu_unpack_result(P, L, U))


def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False,
             out: Tensor | None = None) -> Tensor:
    """The solution X of A X = B (left) or X A = B, with the :func:`lu_factor` of A; of A^T with `adjoint`."""
    name = "linalg.lu_solve"
    check_same_dtype(LU, B, name, ("LU", "B"))
    if pivots.dtype.name != "int32":
        raise RuntimeError(f"{name}: pivots should be a Tensor of scalar type torch.int32")
    check_shape(LU, name, "LU")
    check_float(LU, name)
    check_dims(B, name, "B")
    if (B.shape[-2] if left else B.shape[-1]) != LU.shape[-1]:
        raise RuntimeError(f"{name}: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} ("
                           f"{LU.shape[-2]}x{LU.shape[-1]} and {B.shape[-2]}x{B.shape[-1]})")
    if pivots.shape != LU.shape[:-1]:
        raise RuntimeError(f"{name}: Number of pivots per batch should be same as the dimension of the matrix")
    x = B if left else B.mT
    order = permutation(pivots, LU.shape[-2])
    if adjoint == left:  # with the transpose of A: U^T, then L^T, then the rows back
        x = solve_triangular(LU.mT, x, upper=False)
        x = solve_triangular(LU.mT, x, upper=True, unitriangular=True)
        x = take_rows(x, order.argsort(-1))
    else:
        x = solve_triangular(LU, take_rows(x, order), upper=False, unitriangular=True)
        x = solve_triangular(LU, x, upper=True)
    return into(out, x if left else x.mT)
