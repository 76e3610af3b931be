"""LDL factorization of symmetric matrices that need not be definite, with Bunch and Kaufman's pivots, stored as by
LAPACK."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minitorch_bn._core import Tensor
from minitorch_bn.linalg.common import (
    all_into,
    array,
    check_same_dtype,
    check_shape,
    check_square,
    dtype_name,
    expand_batch,
    fresh,
    into,
    raise_first,
    returned,
)

ALPHA = (1 + 17 ** 0.5) / 8  # balances the growth of one 2 by 2 pivot against that of two single ones


@returned
class linalg_ldl_factor(NamedTuple):
    LD: Tensor
    pivots: Tensor


@returned
class linalg_ldl_factor_ex(NamedTuple):
    LD: Tensor
    pivots: Tensor
    info: Tensor


def _choose(a: Any, k: int) -> tuple[int, int]:
    """(row to exchange, 1 or 2): the pivot at step k of what is left of one matrix."""
    n = a.shape[0]
    here = abs(a[k, k])
    if k == n - 1:
        return k, 1
    far = k + 1 + int(np.abs(a[k + 1:, k]).argmax())
    column = abs(a[far, k])
    if column == 0 or here >= ALPHA * column:
        return k, 1
    row = max(np.abs(a[far, k:far]).max(), np.abs(a[far + 1:, far]).max(initial=0))
    if here >= ALPHA * column * (column / row):
        return k, 1
    return (far, 1) if abs(a[far, far]) >= ALPHA * row else (far, 2)


def _divide(a: Any, k: int, x: Any) -> Any:
    """The solution y (2, m) of D y = x, where D is the symmetric block of 2 rows at k."""
    off = a[k + 1, k]
    first, second = a[k, k] / off, a[k + 1, k + 1] / off
    return np.stack([second * x[0] - x[1], first * x[1] - x[0]]) / (off * (first * second - 1))


@np.errstate(all="ignore")
def _factor_one(a: Any, pivots: Any) -> int:
    """Overwrites the lower triangle of a with L and D, pivots with the exchanges; the place of the first zero pivot."""
    n, k, info = a.shape[0], 0, 0
    while k < n:
        p, step = _choose(a, k)
        kk = k + step - 1
        if p != kk:
            a[p + 1:, [kk, p]] = a[p + 1:, [p, kk]]
            middle = a[kk + 1:p, kk].copy()
            a[kk + 1:p, kk], a[p, kk + 1:p] = a[p, kk + 1:p], middle
            a[kk, kk], a[p, p] = a[p, p], a[kk, kk]
            if step == 2:
                a[k + 1, k], a[p, k] = a[p, k], a[k + 1, k]
        pivots[k:k + step] = p + 1 if step == 1 else -(p + 1)
        rest = a[k + step:, k:k + step].copy()
        if step == 1:
            if a[k, k] == 0:
                info = info or k + 1
            else:
                a[k + 1:, k] /= a[k, k]
        else:
            a[k + 2:, k:k + 2] = _divide(a, k, rest.T).T
        if not (step == 1 and a[k, k] == 0):
            a[k + step:, k + step:] -= np.tril(a[k + step:, k:k + step] @ rest.T)
        k += step
    return info


def _factor(A: Tensor, name: str) -> linalg_ldl_factor_ex:
    check_square(A, name)
    if A.requires_grad:
        A = A.detach()  # PyTorch has no derivative of it either
    ld = np.tril(array(A))
    pivots = np.empty(A.shape[:-1], dtype=np.int32)
    info = np.zeros(A.shape[:-2], dtype=np.int32)
    for at in np.ndindex(*A.shape[:-2]):
        info[at] = _factor_one(ld[at], pivots[at])
    return linalg_ldl_factor_ex(fresh(ld), fresh(pivots), fresh(info))


def ldl_factor_ex(input: Tensor, *, hermitian: bool = False, check_errors: bool = False,
                  out: Any = None) -> linalg_ldl_factor_ex:
    """:func:`ldl_factor` that reports instead of raising: (LD, pivots, info), info is 0, or the place of a zero in
    D."""
    result = _factor(input, "torch.linalg.ldl_factor_ex")
    if check_errors:
        _check(result.info, "torch.linalg.ldl_factor_ex")
    return all_into(out, result)


def _check(info: Tensor, name: str) -> None:
    raise_first(info, lambda k: f"The factorization has been completed, but the D[{k},{k}] is exactly zero, and it "
                "cannot be used to solve a system of equations.", name)


def ldl_factor(input: Tensor, *, hermitian: bool = False, out: Any = None) -> linalg_ldl_factor:
    """(LD, pivots) of a symmetric input (*, n, n), of which the lower triangle is read: L below D, with blocks of 1 or
    2 on its diagonal; negative pivots mark the blocks of 2. No derivatives."""
    LD, pivots, info = _factor(input, "torch.linalg.ldl_factor_ex")
    _check(info, "torch.linalg.ldl_factor")
    return all_into(out, linalg_ldl_factor(LD, pivots))


@np.errstate(all="ignore")
def _solve_one(a: Any, pivots: Any, x: Any) -> None:
    """Overwrites x with the solution: with L step by step, with D, then with L^T in the opposite order."""
    n, k = a.shape[0], 0
    starts = []
    while k < n:
        step = 1 if pivots[k] > 0 else 2
        starts.append((k, step))
        at, p = k + step - 1, abs(int(pivots[k])) - 1
        x[[at, p]] = x[[p, at]]
        x[k + step:] -= a[k + step:, k:k + step] @ x[k:k + step]
        if step == 1:
            x[k] /= a[k, k]
        else:
            x[k:k + 2] = _divide(a, k, x[k:k + 2])
        k += step
    for k, step in reversed(starts):
        x[k:k + step] -= a[k + step:, k:k + step].T @ x[k + step:]
        at, p = k + step - 1, abs(int(pivots[k])) - 1
        x[[at, p]] = x[[p, at]]


def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False, out: Tensor | None = None) -> Tensor:
    """The solution X (*, n, k) of A X = B from the :func:`ldl_factor` of A. No derivatives."""
    name = "torch.linalg.ldl_solve"
    check_shape(LD, name, "LD")
    if B.ndim < 2:
        raise RuntimeError(f"{name}: Expected B to have at least 2 dimensions, but it has {B.ndim} dimensions instead")
    if B.shape[-2] != LD.shape[-1]:
        raise RuntimeError(f"Incompatible matrix sizes for {name}: each A matrix is {LD.shape[-1]} by {LD.shape[-1]} "
                           f"but each b matrix is {B.shape[-2]} by {B.shape[-1]}")
    if pivots.is_floating_point() or pivots.dtype.name == "bool":
        raise RuntimeError(f"{name}: Expected pivots to be integers. Got {dtype_name(pivots)}")
    check_same_dtype(LD, B, name, ("LD", "B"))
    ld, b, p = expand_batch(LD.detach(), B.detach(), pivots.unsqueeze(-1))
    x = np.array(array(b))
    for at in np.ndindex(*x.shape[:-2]):
        _solve_one(array(ld)[at], array(p)[at][:, 0], x[at])
    return into(out, fresh(x))
