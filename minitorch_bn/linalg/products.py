"""Products: powers and exponentials of matrices, chains, cross and dot products, Householder reflections."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minitorch_bn._core import Tensor, attach, broadcast_shapes
from minitorch_bn.linalg.common import (
    array,
    check_dims,
    check_float,
    check_shape,
    dtype_name,
    fresh,
    identity,
    into,
)
from minitorch_bn.linalg.solving import inv
from minitorch_bn.ops import cat, stack
from minitorch_bn.ops import matmul as matmul

PADE = (64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
        10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0)


def matrix_power(input: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """The n-th power of A = input (*, k, k): of its inverse if n < 0, the identity if n = 0."""
    check_shape(input, "linalg.matrix_power")
    if n < 0:
        input, n = inv(input), -n
    if n == 0:
        return into(out, input * 0 + identity(input.shape[-1], input.detach()) if input.requires_grad else
                    identity(input.shape[-1], input).expand(input.shape).contiguous())
    y: Tensor | None = None
    while True:
        if n & 1:
            y = input.clone() if y is None else y @ input
        n >>= 1
        if not n and y is not None:
            return into(out, y)
        input = input @ input


@np.errstate(all="ignore")
def _raw_exp(a: Any) -> Any:
    """The exponential in float64: halved until its norm is below 5.37, a Pade fraction of order 13, squared again
    (N. Higham, The scaling and squaring method for the matrix exponential revisited, 2005)."""
    n = a.shape[-1]
    x = np.array(a.reshape((-1, n, n)), dtype=np.float64)
    size = np.abs(x).sum(1).max(1)
    finite = np.isfinite(size)
    halvings = np.zeros(len(x), dtype=np.int64)
    large = finite & (size > 5.37)
    halvings[large] = np.ceil(np.log2(size[large] / 5.37)).astype(np.int64)
    x[~finite] = 0
    x *= np.ldexp(1.0, -halvings)[:, None, None]
    eye, c = np.eye(n), PADE
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x4 @ x2
    odd = x @ (x6 @ (c[13] * x6 + c[11] * x4 + c[9] * x2) + c[7] * x6 + c[5] * x4 + c[3] * x2 + c[1] * eye)
    even = x6 @ (c[12] * x6 + c[10] * x4 + c[8] * x2) + c[6] * x6 + c[4] * x4 + c[2] * x2 + c[0] * eye
    y = np.linalg.solve(even - odd, even + odd)
    for step in range(int(halvings.max(initial=0))):
        more = halvings > step
        y[more] = y[more] @ y[more]
    y[~finite] = np.nan
    return y.reshape(a.shape)


def matrix_exp(input: Tensor) -> Tensor:
    """The exponential sum A^k / k! of A = input (*, n, n), computed in float64."""
    check_shape(input, "linalg.matrix_exp")
    check_float(input, "linalg.matrix_exp", True)
    if input.numel() == 0:
        return input.clone()
    y = fresh(_raw_exp(array(input.double()))).to(input.dtype)

    def backward(g: Tensor) -> tuple[Tensor]:
        """The upper right block of exp [[A^T, g], [0, A^T]] is the adjoint of the derivative, applied to g."""
        n, at = input.shape[-1], input.mT
        block = cat([cat([at, g], -1), cat([at.new_zeros(at.shape), at], -1)], -2)
        return (matrix_exp(block)[..., :n, n:],)

    return attach(y, (input,), backward, "LinalgMatrixExpBackward0", saved=(input,))


def _best_order(sizes: Sequence[int]) -> list[list[int]]:
    """Where to split the product of matrices i..j for the fewest multiplications; matrix i: (sizes[i], sizes[i+1])."""
    n = len(sizes) - 1
    cost = [[0] * n for _ in range(n)]
    split = [[0] * n for _ in range(n)]
    for length in range(2, n + 1):
        for i in range(n - length + 1):
            j = i + length - 1
            cost[i][j], split[i][j] = min((cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                                          for k in range(i, j))
    return split


def multi_dot(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """The product of two or more matrices in the order of fewest multiplications; the first may be a row vector, the
    last a column vector."""
    name = "multi_dot"
    n = len(tensors)
    if n < 2:
        raise RuntimeError(f"{name}(): expected at least 2 tensors but got {n}")
    for i, x in enumerate(tensors):
        if not isinstance(x, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(x).__name__}")
    for i, x in ((0, tensors[0]), (n - 1, tensors[-1])):
        if x.ndim not in (1, 2):
            raise RuntimeError(f"{name}(): the {'last' if i else 'first'} tensor must be 1D or 2D but got {x.ndim}D")
    for i, x in enumerate(tensors):
        if 0 < i < n - 1 and x.ndim != 2:
            raise RuntimeError(f"{name}(): tensor {i} must be 2D but got {x.ndim}D")
        if x.dtype != tensors[0].dtype:
            raise RuntimeError(f"{name}(): all tensors must have be the same dtype but tensor 0 is "
                               f"{dtype_name(tensors[0]).lower()} and tensor {i} {dtype_name(x).lower()}")
    chain = list(tensors)
    row, column = chain[0].ndim == 1, chain[-1].ndim == 1
    if row:
        chain[0] = chain[0].unsqueeze(0)
    if column:
        chain[-1] = chain[-1].unsqueeze(1)
    for i in range(n - 1):
        if chain[i].shape[1] != chain[i + 1].shape[0]:
            raise RuntimeError(f"{name}(): tensors {i} and {i + 1} with shapes {list(chain[i].shape)} and "
                               f"{list(chain[i + 1].shape)} cannot be multiplied")
    split = _best_order([chain[0].shape[0], *(x.shape[1] for x in chain)])

    def product(i: int, j: int) -> Tensor:
        return chain[i] if i == j else product(i, split[i][j]) @ product(split[i][j] + 1, j)

    y = product(0, n - 1)
    y = y.squeeze(-1) if column else y
    return into(out, y.squeeze(0) if row else y)


def cross(input: Tensor, other: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """The cross products of vectors of 3 elements along dim; the other dims broadcast."""
    if input.ndim != other.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    if input.ndim == 0 or input.shape[dim] != 3 or other.shape[dim] != 3:
        got = [x.shape[dim] if x.ndim else 1 for x in (input, other)]
        raise RuntimeError(f"linalg.cross: inputs dimension {dim} must have length 3. Got {got[0]} and {got[1]}")
    if input.dtype != other.dtype:
        raise RuntimeError(f"expected scalar type {dtype_name(input)} but found {dtype_name(other)}")
    shape = broadcast_shapes(input.shape, other.shape)
    a, b = input.expand(shape).unbind(dim), other.expand(shape).unbind(dim)
    return into(out, stack([a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)], dim))


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """The dot products of the vectors along dim; the other dims broadcast."""
    check_float(x, "linalg.vecdot", True)
    if x.dtype != y.dtype:
        raise RuntimeError(f"linalg.vecdot: Expected vectors of same dtype, but found {dtype_name(x)} and "
                           f"{dtype_name(y)}")
    if x.ndim == 1 and y.ndim == 1:
        return into(out, x.dot(y))
    return into(out, (x * y).sum(dim))


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The powers x**0 ... x**(N-1) of each element of x (*, n) as rows: (*, n, N); N is n by default."""
    if x.dtype.name == "bool":
        raise RuntimeError("linalg.vander supports floating point, complex, and integer tensors, but got Bool")
    n = N if N is not None else x.shape[-1] if x.ndim else 1
    if n <= 1:
        raise RuntimeError("N must be greater than 1.")
    x = (x if x.is_floating_point() else x.long()).reshape(x.shape or [1]).unsqueeze(-1)
    powers = x.expand((*x.shape[:-1], n - 1)).cumprod(-1)
    return cat([x.new_ones(x.shape), powers], -1)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonal of the matrices in the last two dims, a view."""
    return A.diagonal(offset, dim1, dim2)


def check_reflectors(input: Tensor, tau: Tensor, name: str) -> None:
    check_dims(input, name, "input")
    if input.shape[-1] > input.shape[-2] and name.endswith("product"):
        raise RuntimeError(f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]")
    if tau.shape[-1:] > input.shape[-1:]:
        raise RuntimeError(f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]")
    if input.ndim - tau.ndim != 1:
        raise RuntimeError(f"{name}: Expected tau to have one dimension less than input, but got tau.ndim equal to "
                           f"{tau.ndim} and input.ndim is equal to {input.ndim}")
    if tau.shape[:-1] != input.shape[:-2]:
        raise RuntimeError(f"{name}: Expected batch dimensions of tau to be equal to input.shape[:-2], but got "
                           f"{list(tau.shape[:-1])}")
    if tau.dtype != input.dtype:
        raise RuntimeError(f"{name}: tau dtype {dtype_name(tau)} does not match input dtype {dtype_name(input)}")


def reflect(A: Tensor, tau: Tensor, x: Tensor, transpose: bool) -> Tensor:
    """H_1 ... H_k x, with transpose H_k ... H_1 x, where H_i = I - tau_i v v^T, and v is (0, ..., 0, 1, A[i+1:, i])."""
    m, k = A.shape[-2], tau.shape[-1]
    eye = identity(m, A.detach(), k)
    vectors = A[..., :k].tril(-1) + eye
    for i in range(k) if transpose else range(k - 1, -1, -1):
        v = vectors[..., i:i + 1]
        x = x - (tau[..., i:i + 1].unsqueeze(-1) * v) @ (v.mT @ x)
    return x


def householder_product(input: Tensor, tau: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The first n columns of the product of the k reflections that the columns of the input (*, m, n) below its
    diagonal and tau (*, k) describe, as :func:`torch.geqrf` gives them."""
    check_reflectors(input, tau, "torch.linalg.householder_product")
    check_float(input, "torch.linalg.householder_product")
    start = identity(input.shape[-2], input.detach(), input.shape[-1]).expand(input.shape)
    if tau.shape[-1] == 0:
        start = start + input * 0
    return into(out, reflect(input, tau, start, False))
