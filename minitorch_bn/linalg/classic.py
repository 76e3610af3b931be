"""The linear algebra of torch's top level, older than torch.linalg and with other defaults: svd, qr, lu, cholesky..."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minitorch_bn._arguments import explain
from minitorch_bn._core import Tensor, attach
from minitorch_bn.linalg.common import (
    all_into,
    array,
    check_float,
    check_matrix,
    check_square,
    fresh,
    identity,
    into,
    returned,
)
from minitorch_bn.linalg.determinants import _slogdet, slogdet_result
from minitorch_bn.linalg.determinants import det as _det
from minitorch_bn.linalg.determinants import logdet as logdet
from minitorch_bn.linalg.factorizations import _cholesky
from minitorch_bn.linalg.factorizations import qr as _qr
from minitorch_bn.linalg.factorizations import svd as _svd
from minitorch_bn.linalg.lu import _factor
from minitorch_bn.linalg.lu import lu_solve as _lu_solve
from minitorch_bn.linalg.lu import lu_unpack as lu_unpack
from minitorch_bn.linalg.products import (
    check_reflectors,
    householder_product,
    multi_dot,
    reflect,
)
from minitorch_bn.linalg.products import (
    cross as _cross,
)
from minitorch_bn.linalg.products import (
    matrix_exp as matrix_exp,
)
from minitorch_bn.linalg.products import (
    matrix_power as matrix_power,
)
from minitorch_bn.linalg.solving import inv, pinv
from minitorch_bn.linalg.triangular import solve_triangular
from minitorch_bn.ops import randn


@returned
class svd_result(NamedTuple):
    U: Tensor
    S: Tensor
    V: Tensor


@returned
class qr_result(NamedTuple):
    Q: Tensor
    R: Tensor


@returned
class geqrf_result(NamedTuple):
    a: Tensor
    tau: Tensor


@returned
class triangular_solve_result(NamedTuple):
    solution: Tensor
    cloned_coefficient: Tensor


@returned
class _lu_with_info(NamedTuple):
    LU: Tensor
    pivots: Tensor
    info: Tensor


def slogdet(input: Tensor, *, out: Any = None) -> slogdet_result:
    """(sign, logabsdet) (*) of the determinants of the input (*, n, n); (0, -inf) where it is singular."""
    return all_into(out, slogdet_result(*_slogdet(input, "linalg.slogdet")))


def det(input: Tensor) -> Tensor:
    """The determinants (*) of the input (*, n, n)."""
    return _det(input)


def inverse(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse of the input (*, n, n). LinAlgError if it is singular."""
    return inv(input, out=out)


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudoinverse (*, n, m) of the input (*, m, n); singular values up to rcond times the largest count as 0."""
    return pinv(input, rcond)


def cholesky(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The lower triangular L with L L^T = input (*, n, n), or with `upper` its transpose. LinAlgError: not
    positive-definite."""
    return into(out, _cholesky(input, upper, True, "cholesky").L)


def cholesky_solve(input: Tensor, input2: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The solution X (*, n, k) of A X = B = `input` with A = L L^T (upper: L^T L)."""
    for x, name in ((input, "b"), (input2, "u")):
        if x.ndim < 2:
            raise RuntimeError(f"{name} should have at least 2 dimensions, but has {x.ndim} dimensions instead")
    if input2.shape[-1] != input2.shape[-2]:
        raise RuntimeError(f"A must be batches of square matrices, but they are {input2.shape[-2]} by "
                           f"{input2.shape[-1]} matrices")
    if input.dtype != input2.dtype:
        raise RuntimeError("Expected b and A to have the same dtype, but found b of type "
                           f"{input.dtype} and A of type {input2.dtype} instead.")
    if input2.shape[-1] != input.shape[-2]:
        raise RuntimeError(f"Incompatible matrix sizes for cholesky_solve: each A matrix is {input2.shape[-1]} by "
                           f"{input2.shape[-1]} but each b matrix is {input.shape[-2]} by {input.shape[-1]}")
    lower = input2.mT if upper else input2
    half = solve_triangular(lower, input, upper=False)
    return into(out, solve_triangular(lower.mT, half, upper=True))


def cholesky_inverse(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The inverse of A = L L^T (upper: L^T L)."""
    check_square(input, "cholesky_inverse")
    eye = identity(input.shape[-1], input.detach()).expand(input.shape)
    return into(out, cholesky_solve(eye, input, upper))


def qr(input: Tensor, some: bool = True, *, out: Any = None) -> qr_result:
    """linalg.qr, "reduced" if `some`, otherwise "complete"."""
    return all_into(out, qr_result(*_qr(input, "reduced" if some else "complete")))


def svd(input: Tensor, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> svd_result:
    """input = U diag(S) V^T; `some`: U and V have min(m, n) columns. Without compute_uv, U and V are zeros."""
    if not compute_uv:
        check_matrix(input, "linalg.svd")
        (m, n), batch = input.shape[-2:], tuple(input.shape[:-2])
        S = _svd(input, False)[1]
        return all_into(out, svd_result(input.new_zeros((*batch, m, m)), S, input.new_zeros((*batch, n, n))))
    U, S, Vh = _svd(input, not some)
    return all_into(out, svd_result(U, S, Vh.mT))


def lu(A: Tensor, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """(LU, pivots), or (LU, pivots, info): linalg.lu_factor_ex."""
    LU, pivots, info = _factor(A, pivot, "linalg.lu_factor")
    result = _lu_with_info(LU, pivots, info) if get_infos else (LU, pivots)
    return result if out is None else tuple(into(o, y) for o, y in zip(out, result))


def lu_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The solution X of A X = `input` from the LU factorization of A."""
    return _lu_solve(LU_data, LU_pivots, input, out=out)


def triangular_solve(input: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False,
                     *, out: Any = None) -> triangular_solve_result:
    """The solution X of A X = `input` (transpose: A^T X) for triangular A, and a copy of A."""
    if input.ndim < 2 or A.ndim < 2:
        name, x = ("b", input) if input.ndim < 2 else ("A", A)
        raise RuntimeError(f"torch.triangular_solve: Expected {name} to have at least 2 dimensions, but it has "
                           f"{x.ndim} dimensions instead")
    X = solve_triangular(A.mT if transpose else A, input, upper=upper != transpose, unitriangular=unitriangular)
    return all_into(out, triangular_solve_result(X, A.expand((*X.shape[:-2], *A.shape[-2:])).clone()))


def cross(input: Tensor, other: Tensor, dim: int | None = None, *, out: Tensor | None = None) -> Tensor:
    """The cross product of vectors along dim, by default the first one of size 3."""
    if dim is None:
        if 3 not in input.shape:
            raise RuntimeError("no dimension of size 3 in input")
        dim = list(input.shape).index(3)
    return _cross(input, other, dim=dim, out=out)


def geqrf(input: Tensor, *, out: Any = None) -> geqrf_result:
    """(a, tau): R in the upper triangle of a, the Householder reflections whose product is Q below it and in tau."""
    if input.ndim < 2:
        raise RuntimeError("torch.geqrf: input must have at least 2 dimensions.")
    check_float(input, "torch.geqrf")
    h, tau = np.linalg.qr(array(input), "raw")
    a, t = fresh(np.swapaxes(h, -2, -1), array(input).dtype), fresh(tau, array(input).dtype)

    def refuse(*grads: Any) -> Any:
        raise RuntimeError("the derivative for 'geqrf' is not implemented.")

    return all_into(out, geqrf_result(*attach((a, t), (input,), refuse, "GeqrfBackward0")))


def orgqr(input: Tensor, input2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The first columns of the product of the reflections that :func:`geqrf` gives: linalg.householder_product."""
    return householder_product(input, input2, out=out)


def ormqr(input: Tensor, input2: Tensor, input3: Tensor, left: bool = True, transpose: bool = False, *,
          out: Tensor | None = None) -> Tensor:
    """Q other, other Q, or with Q^T, where Q (m, m) is the product of the reflections of :func:`geqrf`."""
    if input.ndim < 2 or input3.ndim < 2:
        raise RuntimeError(f"torch.ormqr: {'input' if input.ndim < 2 else 'other'} must have at least 2 dimensions.")
    side = -2 if left else -1
    if input3.shape[side] != input.shape[-2]:
        raise RuntimeError(f"torch.ormqr: other.shape[{side}] must be equal to input.shape[-2]")
    if input2.shape[-1] != min(input3.shape[side], input.shape[-1]):
        raise RuntimeError(f"torch.ormqr: tau.shape[-1] must be equal to min(other.shape[{side}], input.shape[-1])")
    check_reflectors(input, input2, "torch.ormqr")
    if left:
        return into(out, reflect(input, input2, input3, transpose))
    return into(out, reflect(input, input2, input3.mT, not transpose).mT)


def chain_matmul(*matrices: Tensor, out: Tensor | None = None) -> Tensor:
    """The product of matrices, in the cheapest order: linalg.multi_dot."""
    if not matrices:
        raise RuntimeError("chain_matmul(): Expected one or more matrices")
    for x in matrices:
        if x.ndim != 2:
            raise RuntimeError(f"Tensor dimension is {x.ndim}, expected 2 instead.")
    return into(out, matrices[0]) if len(matrices) == 1 else multi_dot(matrices, out=out)


# -- approximate singular values of large matrices ---------------------------------------------------------------------

def svd_lowrank(A: Tensor, q: int | None = 6, niter: int | None = 2,
                M: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """(U, S, V) of the q largest singular values of A (*, m, n) (minus M), approximately: A is projected on the range
    of its product with q random vectors, refined `niter` times (N. Halko et al., Finding structure with randomness,
    2009, algorithm 5.1)."""
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    if M is not None:
        A = A - M
    m, n = A.shape[-2:]
    tall = A if m >= n else A.mT
    Q = _qr(tall @ randn(tall.shape[-1], q, dtype=A.dtype))[0]
    for _ in range(niter):
        Q = _qr(tall.mT @ Q)[0]
        Q = _qr(tall @ Q)[0]
    U, S, Vh = _svd(Q.mT @ tall, False)
    U, V = Q @ U, Vh.mT
    return (U, S, V) if m >= n else (V, S, U)


def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True,
                niter: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`svd_lowrank` of A with the mean row subtracted: V has the principal directions as columns."""
    m, n = A.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, True) if center else A, q, niter)


explain(globals(), ["det", "logdet", "slogdet", "inverse", "pinverse", "cholesky", "cholesky_solve", "cholesky_inverse",
                    "qr", "svd", "svd_lowrank", "pca_lowrank", "geqrf", "orgqr", "ormqr", "lu", "lu_solve", "lu_unpack",
                    "matrix_exp", "matrix_power", "triangular_solve", "cross", "chain_matmul"])
