"""Factorizations of matrices (*, m, n): Cholesky, QR, LU, eigenvalues of symmetric matrices, singular values."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minitorch_bn._core import Tensor, zeros
from minitorch_bn.linalg.common import (
    Gradients,
    LinAlgError,
    all_into,
    array,
    batch_of,
    check_matrix,
    check_square,
    fresh,
    identity,
    into,
    raise_first,
    record,
    returned,
)
from minitorch_bn.linalg.triangular import solve_triangular
from minitorch_bn.ops import cat


@returned
class linalg_cholesky_ex(NamedTuple):
    L: Tensor
    info: Tensor


@returned
class linalg_qr(NamedTuple):
    Q: Tensor
    R: Tensor


@returned
class linalg_eigh(NamedTuple):
    eigenvalues: Tensor
    eigenvectors: Tensor


@returned
class linalg_svd(NamedTuple):
    U: Tensor
    S: Tensor
    Vh: Tensor


# -- Cholesky ----------------------------------------------------------------------------------------------------------

@np.errstate(all="ignore")
def _raw_cholesky(a: Any) -> tuple[Any, Any]:
    """(L, info) of an array: info is 0, or the order of the first leading minor that is not positive."""
    info = np.zeros(a.shape[:-2], dtype=np.int32)
    try:
        return np.linalg.cholesky(a), info
    except np.linalg.LinAlgError:
        pass
    lower = np.tril(a)
    for at in np.ndindex(*a.shape[:-2]):
        x = lower[at]
        for k in range(x.shape[0]):
            x[k, k] -= x[k, :k] @ x[k, :k]
            if not x[k, k] > 0:
                info[at] = k + 1
                break
            x[k, k] = np.sqrt(x[k, k])
            x[k + 1:, k] = (x[k + 1:, k] - x[k + 1:, :k] @ x[k, :k]) / x[k, k]
    return lower, info


def _cholesky_vjp(values: tuple[Tensor, ...], grads: Gradients) -> tuple[Tensor]:
    """dL = L phi(L^-1 dA L^-T), where phi takes the lower triangle and half of the diagonal."""
    L, = values
    phi = (L.mT @ grads[0]).tril()
    phi = phi - phi.diagonal(0, -2, -1).diag_embed() / 2
    phi = (phi + phi.mT) / 2
    half = solve_triangular(L.mT, phi, upper=True)
    return (solve_triangular(L, half, upper=False, left=False),)


def _cholesky(A: Tensor, upper: bool, check_errors: bool, name: str) -> linalg_cholesky_ex:
    check_square(A, name, kernel="cholesky_cpu")
    lower, codes = _raw_cholesky(array(A.mT if upper else A))
    info = fresh(codes)
    if check_errors:
        raise_first(info, lambda k: "The factorization could not be completed because the input is not "
                    f"positive-definite (the leading minor of order {k} is not positive-definite).", name)
    L, = record((fresh(lower),), (A,), _cholesky_vjp, "LinalgCholeskyExBackward0")
    return linalg_cholesky_ex(L.mT if upper else L, info)


def cholesky_ex(input: Tensor, *, upper: bool = False, check_errors: bool = False,
                out: Any = None) -> linalg_cholesky_ex:
    """:func:`cholesky` that reports instead of raising: (L, info), info (int32) is 0, or the order of the first leading
    minor that is not positive-definite."""
    return all_into(out, _cholesky(input, upper, check_errors, "linalg.cholesky_ex"))


def cholesky(input: Tensor, *, upper: bool = False, out: Tensor | None = None) -> Tensor:
    """The lower triangular L with L L^T = input for a symmetric positive-definite input (*, n, n), of which one
    triangle is read; with `upper` the transpose of L. LinAlgError if the input is not positive-definite."""
    return into(out, _cholesky(input, upper, True, "linalg.cholesky").L)


# -- QR ----------------------------------------------------------------------------------------------------------------

def _qr_vjp(A: Tensor, mode: str, values: tuple[Tensor, ...], grads: Gradients) -> tuple[Tensor]:
    Q, R = values
    m, n = A.shape[-2:]
    if mode == "r":
        raise RuntimeError("The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use "
                           "linalg.qr(A, mode='reduced') if you are going to require gradients.")
    if mode == "complete" and m > n:
        raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and nrows > ncols.")
    gQ = Q.new_zeros(Q.shape) if grads[0] is None else grads[0]
    gR = R.new_zeros(R.shape) if grads[1] is None else grads[1]
    rest = None
    if m < n:  # A = [X | Y]: X = Q R1 is factored, and R2 = Q^T Y
        gR2, R2 = gR[..., m:], R[..., m:]
        rest = Q @ gR2
        gQ = gQ + Q @ (R2 @ gR2.mT)
        R, gR = R[..., :m], gR[..., :m]
    M = R @ gR.mT - gQ.mT @ Q
    M = M.tril() + M.tril(-1).mT
    gX = solve_triangular(R.mT, gQ + Q @ M, upper=False, left=False)
    return (gX if rest is None else cat([gX, rest], -1),)


def qr(A: Tensor, mode: str = "reduced", *, out: Any = None) -> linalg_qr:
    """A = Q R with orthonormal columns in Q and upper triangular R, for A (*, m, n) and k = min(m, n). `mode`:
    "reduced", Q (*, m, k), R (*, k, n); "complete", Q (*, m, m), R (*, m, n); "r", R of the reduced form, no Q."""
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or "
                           "'complete'")
    check_matrix(A, "linalg.qr", kernel="geqrf_cpu")
    if mode == "r":
        Q, R = A.new_empty((0,)), fresh(np.linalg.qr(array(A), "r"))
    else:
        lapack: Any = np.linalg
        Q, R = (fresh(x) for x in lapack.qr(array(A), mode))
    Q, R = record((Q, R), (A,), lambda values, grads: _qr_vjp(A, mode, values, grads), "LinalgQrBackward0")
    return all_into(out, linalg_qr(Q, R))


# -- symmetric eigenvalues ---------------------------------------------------------------------------------------------

def _gaps(x: Tensor) -> Tensor:
    """E[i, j] = x[j] - x[i], and 1 on the diagonal."""
    return x.unsqueeze(-2) - x.unsqueeze(-1) + identity(x.shape[-1], x)


def _eigh_vjp(values: tuple[Tensor, ...], grads: Gradients) -> tuple[Tensor]:
    """V (diag(gL) + (V^T gV) / gaps) V^T, the quotient off the diagonal."""
    L, V = values
    gL, gV = grads
    if gV is None:
        return ((V * gL.unsqueeze(-2)) @ V.mT,)
    M = V.mT @ gV
    M = (M - M.diagonal(0, -2, -1).diag_embed()) / _gaps(L)
    if gL is not None:
        M = M + gL.diag_embed()
    return (V @ M @ V.mT,)


def _check_uplo(UPLO: str) -> Any:
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return UPLO.upper()


def _finite(a: Any) -> Any:
    return np.isfinite(a).all((-2, -1))


def eigh(input: Tensor, UPLO: str = "L", *, out: Any = None) -> linalg_eigh:
    """Eigenvalues (*, n), in ascending order, and eigenvectors (*, n, n), as columns, of a symmetric input (*, n, n),
    of which the lower ("L") or upper ("U") triangle is read. Gradients of the vectors want distinct eigenvalues; the
    sign of each is not determined."""
    side = _check_uplo(UPLO)
    check_square(input, "linalg.eigh", kernel="linalg_eigh_cpu")
    a = array(input)
    good = _finite(a)
    try:
        values, vectors = np.linalg.eigh(np.where(good[..., None, None], a, 0), side)
    except np.linalg.LinAlgError as error:
        raise LinAlgError("linalg.eigh: The algorithm failed to converge because the input matrix is ill-conditioned "
                          "or has too many repeated eigenvalues") from error
    if not good.all():
        values = np.where(good[..., None], values, np.nan)
        vectors = np.where(good[..., None, None], vectors, np.nan)
    L, V = record((fresh(values, a.dtype), fresh(vectors, a.dtype)), (input,), _eigh_vjp, "LinalgEighBackward0")
    return all_into(out, linalg_eigh(L, V))


def eigvalsh(input: Tensor, UPLO: str = "L", *, out: Tensor | None = None) -> Tensor:
    """The eigenvalues of :func:`eigh`."""
    if input.requires_grad:
        return into(out, eigh(input, UPLO)[0])
    side = _check_uplo(UPLO)
    check_square(input, "linalg.eigvalsh", kernel="linalg_eigh_cpu")
    a = array(input)
    good = _finite(a)
    values = np.linalg.eigvalsh(np.where(good[..., None, None], a, 0), side)
    return into(out, fresh(np.where(good[..., None], values, np.nan), a.dtype))


def _complex(name: str, A: Tensor) -> RuntimeError:
    return RuntimeError(f"{name}: the eigenvalues of a general matrix are complex numbers, which minitorch_bn does not "
                        f"have. For a symmetric matrix use linalg.{'eigh' if name.endswith('eig') else 'eigvalsh'}; "
                        f"for their sizes, linalg.svdvals")


def eig(input: Tensor, *, out: Any = None) -> Any:
    """RuntimeError: the result is complex. :func:`eigh` is for symmetric matrices."""
    check_square(input, "linalg.eig")
    raise _complex("linalg.eig", input)


def eigvals(input: Tensor, *, out: Any = None) -> Any:
    """RuntimeError: the result is complex. :func:`eigvalsh` is for symmetric matrices."""
    check_square(input, "linalg.eigvals")
    raise _complex("linalg.eigvals", input)


# -- singular values ---------------------------------------------------------------------------------------------------

def _svd_vjp(values: tuple[Tensor, ...], grads: Gradients) -> tuple[Tensor]:
    """U ([(skew U^T gU) / E] S + S [(skew V^T gV) / E] + diag gS) V^T, with E[i, j] = S_j^2 - S_i^2, and what gU and gV
    have outside the spans of U and V."""
    U, S, Vh = values
    k = S.shape[-1]
    gU, gS, gVh = grads
    m, n = U.shape[-2], Vh.shape[-1]
    U, Vh = U[..., :k], Vh[..., :k, :]
    if gU is None and gVh is None:
        return ((U * gS.unsqueeze(-2)) @ Vh,)
    row, column = S.unsqueeze(-2), S.unsqueeze(-1)
    E = (row - column) * (row + column) + identity(k, S)
    inner = Vh.new_zeros((*S.shape, k)) if gS is None else gS.diag_embed()
    if gU is not None:
        gU = gU[..., :k]
        M = U.mT @ gU
        inner = inner + (M - M.mT) / E * row
    if gVh is not None:
        gVh = gVh[..., :k, :]
        M = Vh @ gVh.mT
        inner = inner + column * ((M - M.mT) / E)
    gA = U @ inner @ Vh
    if gU is not None and m > k:
        gA = gA + ((gU - U @ (U.mT @ gU)) / row) @ Vh
    if gVh is not None and n > k:
        gA = gA + U @ ((gVh - (gVh @ Vh.mT) @ Vh) / column)
    return (gA,)


def _raw_svd(a: Any, full: bool, vectors: bool, name: str) -> Any:
    if not np.isfinite(a).all():
        raise LinAlgError(f"{name}: The algorithm failed to converge because the input matrix contained non-finite "
                          "values.")
    lapack: Any = np.linalg
    try:
        return lapack.svd(a, full_matrices=full, compute_uv=vectors)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"{name}: The algorithm failed to converge because the input matrix is ill-conditioned or "
                          "has too many repeated singular values") from error


def _check_driver(driver: str | None, name: str) -> None:
    if driver is not None:
        raise RuntimeError(f"torch.{name}: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER "
                           "backend.")


def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None, out: Any = None) -> linalg_svd:
    """A = U diag(S) Vh for A (*, m, n), k = min(m, n): S (*, k) in descending order, U (*, m, m) and Vh (*, n, n), or
    (*, m, k) and (*, k, n) without full_matrices. Gradients of U and Vh want distinct singular values, and the loss
    must not depend on the signs of the vectors."""
    _check_driver(driver, "linalg.svd")
    check_matrix(A, "linalg.svd", kernel="linalg_svd_cpu")
    U, S, Vh = (fresh(x, array(A).dtype) for x in _raw_svd(array(A), full_matrices, True, "linalg.svd"))
    return all_into(out, linalg_svd(*record((U, S, Vh), (A,), _svd_vjp, "LinalgSvdBackward0")))


def svdvals(A: Tensor, *, driver: str | None = None, out: Tensor | None = None) -> Tensor:
    """The singular values (*, min(m, n)) of A (*, m, n), in descending order."""
    if A.requires_grad:
        return into(out, svd(A, False, driver=driver)[1])
    _check_driver(driver, "linalg.svdvals")
    check_matrix(A, "linalg.svd", kernel="linalg_svd_cpu")
    if A.numel() == 0:
        return into(out, zeros((*batch_of(A), min(A.shape[-2:])), dtype=A.dtype))
    return into(out, fresh(_raw_svd(array(A), False, False, "linalg.svd"), array(A).dtype))
