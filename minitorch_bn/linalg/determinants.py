"""Determinants of matrices (*, n, n), and their logarithms."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minitorch_bn._core import Tensor, arange, finfo, where
from minitorch_bn.linalg.common import (
    Gradients,
    all_into,
    array,
    check_square,
    fresh,
    identity,
    into,
    record,
    returned,
)
from minitorch_bn.linalg.factorizations import svd
from minitorch_bn.linalg.solving import _inverse


@returned
class linalg_slogdet(NamedTuple):
    sign: Tensor
    logabsdet: Tensor


@returned
class slogdet_result(NamedTuple):
    sign: Tensor
    logabsdet: Tensor


SMALL = 16  # up to this size, the cofactors of a singular matrix are determinants of minors


def _cofactors(A: Tensor) -> Tensor:
    """The derivative of det A, also where A is singular: signed minors; for large A from its singular values, which is
    as exact, but cannot be differentiated once more where two of them are equal."""
    n = A.shape[-1]
    if n <= SMALL:
        rest = arange(n - 1)
        others = rest + (rest >= arange(n).unsqueeze(1)).long()  # row i: all indices but i
        minors = A[..., others.reshape(n, 1, n - 1, 1), others.reshape(1, n, 1, n - 1)]
        signs = (1 - 2 * ((arange(n).unsqueeze(1) + arange(n)) % 2)).to(A.dtype)
        return det(minors) * signs
    U, S, Vh = svd(A)
    eye = identity(n, S)
    others = (S.unsqueeze(-2) * (1 - eye) + eye).prod(-1)
    sign = (det(U.detach()) * det(Vh.detach())).unsqueeze(-1).unsqueeze(-1)
    return sign * ((U * others.unsqueeze(-2)) @ Vh)


def det(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The determinants (*) of A (*, n, n)."""
    check_square(A, "linalg.det", kernel="lu_cpu")
    with np.errstate(all="ignore"):
        y = fresh(np.linalg.det(array(A)), array(A).dtype)

    def backward(values: tuple[Tensor, ...], grads: Gradients) -> tuple[Tensor]:
        g = grads[0].unsqueeze(-1).unsqueeze(-1)
        n = A.shape[-1]
        if n == 1:
            return (g,)
        a = array(A)
        inverse = array(_inverse(A.detach())[0])
        with np.errstate(all="ignore"):  # the condition number tells whether the inverse is worth anything
            condition = np.linalg.norm(a, 1, (-2, -1)) * np.linalg.norm(inverse, 1, (-2, -1)) if a.size else np.zeros(1)
            regular = bool((condition * finfo(A.dtype).eps * n < 1e-2).all())
        if regular:
            return (g * values[0].unsqueeze(-1).unsqueeze(-1) * _inverse(A)[0].mT,)
        return (g * _cofactors(A),)

    return into(out, record((y,), (A,), backward, "LinalgDetBackward0", (A,))[0])


def _slogdet(A: Tensor, name: str) -> tuple[Tensor, Tensor]:
    check_square(A, name)
    with np.errstate(all="ignore"):
        sign, value = (fresh(x, array(A).dtype) for x in np.linalg.slogdet(array(A)))

    def backward(values: tuple[Tensor, ...], grads: Gradients) -> tuple[Tensor]:
        if grads[1] is None:  # the sign is constant
            return (A.new_zeros(A.shape),)
        return (grads[1].unsqueeze(-1).unsqueeze(-1) * _inverse(A)[0].mT,)

    return record((sign, value), (A,), backward, "LinalgSlogdetBackward0", (A,))  # type: ignore[return-value]


def slogdet(A: Tensor, *, out: Any = None) -> linalg_slogdet:
    """(sign, log |det|) of A (*, n, n); (0, -inf) if it is singular."""
    return all_into(out, linalg_slogdet(*_slogdet(A, "linalg.slogdet")))


def logdet(input: Tensor) -> Tensor:
    """log(det) of matrices (*, n, n): -inf if it is zero, NaN if it is negative."""
    sign, value = _slogdet(input, "logdet")
    return where(sign < 0, float("nan"), value)
