"""Solving systems of equations: inverses, solve, pseudoinverses, least squares."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minitorch_bn._core import Tensor, as_tensor_, finfo, where, zeros
from minitorch_bn.linalg.common import (
    Gradients,
    LinAlgError,
    all_into,
    array,
    batch_of,
    check_dims,
    check_float,
    check_same_dtype,
    check_shape,
    check_square,
    dtype_name,
    expand_batch,
    fresh,
    into,
    is_vector_rhs,
    raise_first,
    record,
    returned,
)
from minitorch_bn.linalg.factorizations import _raw_svd, eigh
from minitorch_bn.linalg.lu import raw_lu
from minitorch_bn.ops import maximum


@returned
class linalg_inv_ex(NamedTuple):
    inverse: Tensor
    info: Tensor


@returned
class linalg_solve_ex(NamedTuple):
    result: Tensor
    info: Tensor


@returned
class linalg_lstsq(NamedTuple):
    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


# -- inverses and solutions --------------------------------------------------------------------------------------------

def _one_by_one(function: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """(result, info) of a batch where NumPy finds a singular matrix: NaN and the place of the zero pivot there."""
    result = np.full(a.shape if b is None else (*a.shape[:-1], b.shape[-1]), np.nan, dtype=a.dtype)
    info = np.zeros(a.shape[:-2], dtype=np.int32)
    for at in np.ndindex(*a.shape[:-2]):
        try:
            result[at] = function(a[at]) if b is None else function(a[at], b[at])
        except np.linalg.LinAlgError:
            info[at] = int(raw_lu(a[at])[2]) or a.shape[-1]
    return result, info


def _inverse(A: Tensor) -> tuple[Tensor, Any]:
    a = array(A)
    try:
        x, info = np.linalg.inv(a), np.zeros(a.shape[:-2], dtype=np.int32)
    except np.linalg.LinAlgError:
        x, info = _one_by_one(np.linalg.inv, a, None)

    def backward(values: tuple[Tensor, ...], grads: Gradients) -> tuple[Tensor]:
        xt = values[0].mT
        return (-(xt @ (grads[0] @ xt)),)

    return record((fresh(x),), (A,), backward, "LinalgInvExBackward0")[0], info


def _inv(A: Tensor, check_errors: bool, name: str) -> linalg_inv_ex:
    check_square(A, name)
    x, codes = _inverse(A)
    info = fresh(codes)
    if check_errors:
        raise_first(info, lambda k: f"The diagonal element {k} is zero, the inversion could not be completed because "
                    "the input matrix is singular.", name)
    return linalg_inv_ex(x, info)


def inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> linalg_inv_ex:
    """:func:`inv` that reports instead of raising: (inverse, info), where info (int32) is 0, or the place, from 1, of
    the zero pivot of a singular matrix, the inverse of which is NaN."""
    return all_into(out, _inv(A, check_errors, "linalg.inv_ex"))


def inv(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse of A (*, n, n). LinAlgError if it is singular."""
    return into(out, _inv(A, True, "linalg.inv").inverse)


def _solution(A: Tensor, B: Tensor) -> tuple[Tensor, Any]:
    """(X, info) with A X = B, for batches of the same shape."""
    a, b = array(A), array(B)
    try:
        x, info = np.linalg.solve(a, b), np.zeros(a.shape[:-2], dtype=np.int32)
    except np.linalg.LinAlgError:
        x, info = _one_by_one(np.linalg.solve, a, b)

    def backward(values: tuple[Tensor, ...], grads: Gradients) -> tuple[Tensor | None, ...]:
        gB = _solution(A.mT, grads[0])[0]
        return -(gB @ values[0].mT) if A.requires_grad else None, gB

    return record((fresh(x),), (A, B), backward, "LinalgSolveExBackward0", (A,))[0], info


def _solve(A: Tensor, B: Tensor, left: bool, check_errors: bool) -> linalg_solve_ex:
    name = "linalg.solve"
    check_square(A, name)
    check_same_dtype(A, B, name)
    vector = is_vector_rhs(A, B)
    b = B.unsqueeze(-1) if vector else B
    check_dims(b, name, "B")
    if (b.shape[-2] if left else b.shape[-1]) != A.shape[-1]:
        raise RuntimeError(f"{name}: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} ("
                           f"{A.shape[-2]}x{A.shape[-1]} and {b.shape[-2]}x{b.shape[-1]})")
    a, b = expand_batch(A, b)
    x, codes = _solution(a, b) if left else _solution(a.mT, b.mT)
    info = fresh(codes)
    if check_errors and bool(info.any()):
        at = int(info.reshape(-1).nonzero()[0])
        raise LinAlgError("torch.linalg.solve: " + (f"(Batch element {at}): " if info.ndim else "")
                          + "The solver failed because the input matrix is singular.")
    x = x if left else x.mT
    return linalg_solve_ex(x.squeeze(-1) if vector else x, info)


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False,
             out: Any = None) -> linalg_solve_ex:
    """:func:`solve` that reports instead of raising: (result, info), with NaN and info > 0 for singular matrices."""
    return all_into(out, _solve(A, B, left, check_errors))


def solve(A: Tensor, B: Tensor, *, left: bool = True, out: Tensor | None = None) -> Tensor:
    """The solution X of A X = B (left) or X A = B for A (*, n, n) and B (*, n, k), or vectors (n) or (*, n).
    LinAlgError if A is singular."""
    return into(out, _solve(A, B, left, True).result)


def tensorinv(input: Tensor, ind: int = 2, *, out: Tensor | None = None) -> Tensor:
    """The inverse of A as a linear map from its dims [ind:] to its dims [:ind], for tensordot over `ind` dims."""
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    check_float(input, "linalg.tensorinv")
    rows, columns = math.prod(input.shape[:ind]), math.prod(input.shape[ind:])
    if rows != columns:
        raise RuntimeError("Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), "
                           f"but got {columns} != {rows}")
    shape = [*input.shape[ind:], *input.shape[:ind]]
    return into(out, inv(input.reshape([rows, columns])).reshape(shape))


def tensorsolve(input: Tensor, other: Tensor, dims: Sequence[int] | None = None, *,
                out: Tensor | None = None) -> Tensor:
    """The X with tensordot(input, X, X.ndim) == other; the dims in `dims` of the input are moved to its end first."""
    if dims is not None:
        input = input.movedim(list(dims), list(range(input.ndim - len(dims), input.ndim)))
    shape = input.shape[other.ndim:]
    if math.prod(shape) != other.numel():
        raise RuntimeError("Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
                           f"prod(self.shape[:other.ndim]), but got {math.prod(shape)} != {other.numel()}")
    size = other.numel()
    return into(out, solve(input.reshape([size, size]), other.reshape([size])).reshape(shape))


# -- pseudoinverses ----------------------------------------------------------------------------------------------------

def tolerance(largest: Tensor, shape: Sequence[int], atol: Any, rtol: Any) -> Tensor:
    """max(atol, rtol * largest); rtol is by default eps * max(m, n), or 0 where a positive atol is given."""
    default = finfo(largest.dtype).eps * max(shape[-2:])
    if rtol is None:
        rtol = default if atol is None else where(as_tensor_(atol) > 0, 0.0, default)
    limit = as_tensor_(rtol).to(largest.dtype) * largest
    return limit if atol is None else maximum(as_tensor_(atol).to(largest.dtype), limit)


def pinv_vjp(A: Tensor, P: Tensor, g: Tensor) -> Tensor:
    """The gradient of A from that of its pseudoinverse P: -P^T g P^T + (I - A P) g^T P P^T + P^T P g^T (I - P A)."""
    Pt, gt = P.mT, g.mT
    first = gt @ P  # (m, m)
    second = P @ gt  # (n, n)
    return (-(Pt @ g @ Pt) + (first - A @ (P @ first)) @ Pt + Pt @ (second - (second @ P) @ A))


def pinv(input: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None,
         out: Tensor | None = None) -> Tensor:
    """The pseudoinverse (*, n, m) of the input (*, m, n). Singular values up to max(atol, rtol * largest) count as 0.
    With `hermitian`, the input is symmetric and its eigenvalues are used."""
    if input.ndim < 2 or not input.is_floating_point() or input.dtype.itemsize < 4:
        raise RuntimeError(f"linalg.pinv({dtype_name(input)}{{{list(input.shape)}}}): expected a tensor with 2 or more "
                           "dimensions of float, double, cfloat or cdouble types")
    rtol = rcond if rtol is None else rtol
    if input.numel() == 0:
        return into(out, input.mT.clone())
    if hermitian:
        check_shape(input, "linalg.pinv")
        L, V = eigh(input)
        size = L.detach().abs()
        keep = size > tolerance(size.amax(-1, True), input.shape, *(_column(t) for t in (atol, rtol)))
        scale = where(keep, 1 / where(keep, L, 1.0), 0.0)
        return into(out, (V * scale.unsqueeze(-2)) @ V.mT)
    U, S, Vh = (fresh(x, array(input).dtype) for x in _raw_svd(array(input), False, True, "linalg.svd"))
    keep = S > tolerance(S[..., :1], input.shape, *(_column(t) for t in (atol, rtol)))
    scale = where(keep, 1 / S, 0.0)
    P = Vh.mT @ (U * scale.unsqueeze(-2)).mT
    return into(out, record((P,), (input,), lambda values, grads: (pinv_vjp(input, values[0], grads[0]),),
                            "PinvBackward0", (input,))[0])


def _column(tol: Any) -> Any:
    """A tolerance for each matrix of a batch, beside its singular values."""
    return tol.unsqueeze(-1) if isinstance(tol, Tensor) and tol.ndim else tol


# -- least squares -----------------------------------------------------------------------------------------------------

def lstsq(input: Tensor, b: Tensor, rcond: float | None = None, *, driver: str | None = None,
          out: Any = None) -> linalg_lstsq:
    """The X (*, n, k) of least |A X - b| for A = input (*, m, n), b (*, m, k) or (*, m); of several, the smallest.

    Returns (solution, residuals, rank, singular_values). Singular values up to rcond (eps * max(m, n)) times the
    largest count as 0. `driver`, "gelsy" by default, decides which fields are filled, as in PyTorch; the method is
    one."""
    name = "torch.linalg.lstsq"
    check_float(input, "linalg.lstsq")
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if b.ndim < 1:
        raise RuntimeError(f"{name}: other must have at least 1 dimension.")
    if input.dtype != b.dtype:
        raise RuntimeError(f"{name}: Expected input and other to have the same dtype, but got input's dtype "
                           f"{dtype_name(input)} and other's dtype {dtype_name(b)}")
    driver = "gelsy" if driver is None else driver
    if driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(f"{name}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)")
    if not 0 <= input.ndim - b.ndim <= 1:
        raise RuntimeError(f"{name}: input.dim() must be greater or equal to other.dim() and (input.dim() - "
                           "other.dim()) <= 1")
    rhs = b.unsqueeze(-1) if b.ndim == input.ndim - 1 else b
    if input.shape[-2] != rhs.shape[-2]:
        raise RuntimeError(f"{name}: input.size(-2) should match other.size({-2 if rhs is b else -1})")
    vector = rhs is not b
    a, rhs = expand_batch(input, rhs)
    m, n = a.shape[-2:]
    none = input.new_empty((0,))
    X, S, rank = _least(a, rhs, None if driver == "gels" else rcond)
    residuals = a.reshape([-1])[:0] + rhs.reshape([-1])[:0]
    if m > n and driver != "gelsy" and bool((rank == n).all()):
        residuals = (a @ X - rhs).square().sum(-2)
    return all_into(out, linalg_lstsq(X.squeeze(-1) if vector else X, residuals,
                                      none.long() if driver == "gels" else rank,
                                      S if driver in ("gelsd", "gelss") else none))


def _least(a: Tensor, b: Tensor, rcond: float | None) -> tuple[Tensor, Tensor, Tensor]:
    """(solution, singular values, rank)."""
    m, n = a.shape[-2:]
    if a.numel() == 0:
        return a.mT @ b, zeros((*batch_of(a), min(m, n)), dtype=a.dtype), a.new_zeros(batch_of(a)).long()
    U, S, Vh = (fresh(x, array(a).dtype) for x in _raw_svd(array(a), False, True, "linalg.lstsq"))
    keep = S > (finfo(a.dtype).eps * max(m, n) if rcond is None or rcond < 0 else rcond) * S[..., :1]
    scale = where(keep, 1 / S, 0.0)
    solution = Vh.mT @ ((U.mT @ b.detach()) * scale.unsqueeze(-1))

    def backward(values: tuple[Tensor, ...], grads: Gradients) -> tuple[Tensor | None, ...]:
        P = pinv(a, rcond)
        return (pinv_vjp(a, P, grads[0] @ b.mT) if a.requires_grad else None,
                P.mT @ grads[0] if b.requires_grad else None)

    return record((solution,), (a, b), backward, "LinalgLstsqBackward0", (a, b))[0], S, keep.sum(-1)
