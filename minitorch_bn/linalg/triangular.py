"""Systems of equations with a triangular matrix, solved by substitution."""
from __future__ import annotations

from minitorch_bn._core import Tensor
from minitorch_bn._modes import no_grad
from minitorch_bn.linalg.common import (
    Gradients,
    check_dims,
    check_float,
    check_same_dtype,
    check_shape,
    expand_batch,
    into,
    record,
)
from minitorch_bn.ops import cat

BLOCK = 16  # rows that are solved one by one; larger systems are halved, and most of the work is matrix products


def _substitute(a: Tensor, b: Tensor, upper: bool, unit: bool) -> Tensor:
    n = a.shape[-1]
    if n > BLOCK:
        h = n // 2
        if upper:
            low = _substitute(a[..., h:, h:], b[..., h:, :], upper, unit)
            high = _substitute(a[..., :h, :h], b[..., :h, :] - a[..., :h, h:] @ low, upper, unit)
        else:
            high = _substitute(a[..., :h, :h], b[..., :h, :], upper, unit)
            low = _substitute(a[..., h:, h:], b[..., h:, :] - a[..., h:, :h] @ high, upper, unit)
        return cat([high, low], -2)
    x = b.clone()
    for i in range(n - 1, -1, -1) if upper else range(n):
        done = slice(i + 1, n) if upper else slice(0, i)
        row = x[..., i:i + 1, :]
        if done.start != done.stop:
            row -= a[..., i:i + 1, done] @ x[..., done, :]
        if not unit:
            row /= a[..., i:i + 1, i:i + 1]
    return x


def raw_solve_triangular(a: Tensor, b: Tensor, upper: bool, unit: bool = False) -> Tensor:
    """The solution x (*, n, k) of a x = b, without history. The batch dims are equal; reads one triangle of a."""
    with no_grad():
        return _substitute(a, b, upper, unit)


def solve_triangular(input: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False,
                     out: Tensor | None = None) -> Tensor:
    """The solution X of A X = B (left) or X A = B, for A = input (*, n, n) of which one triangle is read, B (*, n, k)
    or (*, k, n). With `unitriangular`, the diagonal counts as ones. Zeros on the diagonal give inf and NaN, no
    error."""
    name = "linalg.solve_triangular"
    check_same_dtype(input, B, name)
    check_shape(input, name)
    check_dims(B, name, "B")
    check_float(input, name, kernel="triangular_solve_cpu")
    if (B.shape[-2] if left else B.shape[-1]) != input.shape[-1]:
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(f"{name}: Incompatible shapes of A and B for the equation {equation} ({input.shape[-2]}x"
                           f"{input.shape[-1]} and {B.shape[-2]}x{B.shape[-1]})")
    a, b = expand_batch(input, B)
    if left:
        x = raw_solve_triangular(a, b, upper, unitriangular)
    else:
        x = raw_solve_triangular(a.mT, b.mT, not upper, unitriangular).mT.contiguous()

    def backward(values: tuple[Tensor, ...], grads: Gradients) -> tuple[Tensor | None, ...]:
        X, = values
        gB = solve_triangular(a.mT, grads[0], upper=not upper, left=left, unitriangular=unitriangular)
        if not a.requires_grad:
            return None, gB
        gA = -(gB @ X.mT if left else X.mT @ gB)
        return (gA.triu(1 if unitriangular else 0) if upper else gA.tril(-1 if unitriangular else 0)), gB

    return into(out, record((x,), (a, b), backward, "LinalgSolveTriangularBackward0", (a,))[0])
