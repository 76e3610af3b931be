"""linalg: what factorizations promise, solutions put into their equations, derivatives of orders 1 and 2, errors."""
import itertools

import numpy as np
import pytest

import minitorch_bn as torch
from minitorch_bn import linalg
from minitorch_bn.autograd import gradcheck, gradgradcheck

F64 = torch.float64
SHAPES = [(40, 40), (70, 40), (40, 70),
          (3, 3), (5, 3), (3, 5), (2, 4, 4), (2, 5, 3), (2, 1, 3, 5), (1, 1), (0, 0), (0, 3), (3, 0), (0, 3, 3)]


def matrix(*shape, seed=0, grad=False):
    x = torch.from_numpy(np.random.default_rng((seed, *shape)).standard_normal(shape))
    return x.requires_grad_(grad)


def regular(*shape, seed=0, grad=False):
    """Matrices far from singular."""
    x = matrix(*shape, seed=seed) * 0.3 + torch.eye(shape[-1], dtype=F64)
    return x.requires_grad_(grad)


def positive(*shape, seed=0):
    x = matrix(*shape, seed=seed)
    return x @ x.mT + shape[-1] * torch.eye(shape[-1], dtype=F64)


def close(a, b, tolerance=1e-10):
    assert tuple(a.shape) == tuple(b.shape)
    assert a.dtype == b.dtype
    scale = max(float(b.abs().max()), 1.0) if b.numel() else 1.0
    assert not a.numel() or float((a - b).abs().max()) <= tolerance * scale


def eye_like(x):
    return torch.eye(x.shape[-1], dtype=x.dtype).expand(x.shape)


# -- values ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("shape", SHAPES)
def test_qr(shape):
    A = matrix(*shape)
    for mode in ("reduced", "complete"):
        Q, R = linalg.qr(A, mode)
        close(Q @ R, A)
        close(Q.mT @ Q, eye_like(Q.mT @ Q))
        close(R.triu(), R)
    close(linalg.qr(A, "r").R, linalg.qr(A).R)
    assert linalg.qr(A, "r").Q.shape == (0,)
    close(torch.qr(A, some=False).Q, linalg.qr(A, "complete").Q)


@pytest.mark.parametrize("shape", SHAPES)
def test_svd(shape):
    A = matrix(*shape)
    U, S, Vh = linalg.svd(A, full_matrices=False)
    close((U * S.unsqueeze(-2)) @ Vh, A)
    close(linalg.svdvals(A), S)
    full = linalg.svd(A)
    close(full.U.mT @ full.U, eye_like(full.U))
    close(full.Vh.mT @ full.Vh, eye_like(full.Vh))
    old = torch.svd(A)
    close(old.V.mT, Vh)
    assert bool((S.diff() <= 0).all())


@pytest.mark.parametrize("shape", SHAPES)
def test_lu(shape):
    A = matrix(*shape)
    P, L, U = linalg.lu(A)
    close(P @ L @ U, A)
    close(L.tril(), L)
    close(U.triu(), U)
    LU, pivots = torch.lu(A)
    assert pivots.dtype == torch.int32
    for a, b in zip(torch.lu_unpack(LU, pivots), (P, L, U)):
        close(a, b)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4, 4), (20, 20), (0, 0), (0, 3, 3), (3, 0, 0), (1, 1)])
def test_symmetric_factorizations(shape):
    A = positive(*shape)
    L = linalg.cholesky(A)
    close(L @ L.mT, A)
    close(linalg.cholesky(A, upper=True), L.mT)
    values, vectors = linalg.eigh(A)
    close((vectors * values.unsqueeze(-2)) @ vectors.mT, A)
    close(linalg.eigvalsh(A, "U"), values)
    B = matrix(*shape[:-1], 2)
    close(torch.cholesky_solve(B, L), linalg.solve(A, B))
    close(torch.cholesky_inverse(L.mT, upper=True), linalg.inv(A))
    indefinite = A - 2 * shape[-1] * torch.eye(shape[-1], dtype=F64)
    close(indefinite @ linalg.ldl_solve(*linalg.ldl_factor(indefinite), B), B, 1e-8)


def test_triangles_are_read_from_the_named_side():
    A = positive(4, 4)
    for side, half in (("L", A.tril()), ("U", A.triu())):
        close(linalg.eigh(half, side)[0], linalg.eigh(A)[0])
    close(linalg.cholesky(A.tril()), linalg.cholesky(A))
    close(linalg.cholesky(A.triu(), upper=True), linalg.cholesky(A).mT)


@pytest.mark.parametrize("n", [1, 5, 16, 17, 50])
@pytest.mark.parametrize("upper, left, unit", list(itertools.product([False, True], repeat=3)))
def test_solve_triangular(n, upper, left, unit):
    A = regular(2, n, n) / (n if unit else 1)
    B = matrix(3, 1, n, 4) if left else matrix(3, 1, 4, n)
    X = linalg.solve_triangular(A, B, upper=upper, left=left, unitriangular=unit)
    T = A.triu() if upper else A.tril()
    if unit:
        T = T - T.diagonal(0, -2, -1).diag_embed() + torch.eye(n, dtype=F64)
    close(T @ X if left else X @ T, B.expand(X.shape), 1e-8)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4, 4), (0, 0), (0, 3, 3), (30, 30)])
def test_solutions(shape):
    A, B = regular(*shape), matrix(*shape[:-1], 2)
    close(A @ linalg.solve(A, B), B)
    close(linalg.solve(A, B.mT, left=False) @ A, B.mT)
    close((A @ linalg.solve(A, B[..., 0]).unsqueeze(-1)).squeeze(-1), B[..., 0])
    close(A @ linalg.inv(A), eye_like(A))
    LU, pivots = linalg.lu_factor(A)
    close(torch.lu_solve(B, LU, pivots), linalg.solve(A, B))
    close(linalg.lu_solve(LU, pivots, B, adjoint=True), linalg.solve(A.mT, B))
    close(linalg.lu_solve(LU, pivots, B.mT, left=False), linalg.solve(A, B.mT, left=False))
    close(linalg.lu_solve(LU, pivots, B.mT, left=False, adjoint=True), linalg.solve(A.mT, B.mT, left=False))
    assert torch.triangular_solve(B, A).cloned_coefficient.shape == A.shape
    sign, logarithm = linalg.slogdet(A)
    close(sign * logarithm.exp(), linalg.det(A))


def test_broadcast_batches():
    A, B = regular(3, 1, 4, 4), matrix(2, 4, 2)
    X = linalg.solve(A, B)
    assert X.shape == (3, 2, 4, 2)
    close(A @ X, B.expand(X.shape))
    LU, pivots = linalg.lu_factor(A)
    close(linalg.lu_solve(LU, pivots, B), X)


@pytest.mark.parametrize("shape", SHAPES)
def test_pinv_and_lstsq(shape):
    A = matrix(*shape)
    P = linalg.pinv(A)
    close(A @ P @ A, A)
    close((A @ P).mT, A @ P)
    B = matrix(*shape[:-1], 2)
    X = linalg.lstsq(A, B)
    close(X.solution, P @ B)
    assert torch.equal(X.rank, linalg.matrix_rank(A))
    if A.numel() and shape[-2] > shape[-1]:
        other = linalg.lstsq(A, B, driver="gelsd")
        close(other.residuals, (A @ X.solution - B).square().sum(-2))
        close(other.singular_values, linalg.svdvals(A))


def test_deficient_rank():
    A = matrix(5, 2) @ matrix(2, 4)
    assert int(linalg.matrix_rank(A)) == 2 == int(linalg.lstsq(A, matrix(5, 1)).rank)
    assert int(linalg.matrix_rank(A @ A.mT, hermitian=True)) == 2
    assert int(linalg.matrix_rank(torch.diag(torch.tensor([1.0, 0.1, 0.01])), atol=0.05)) == 2
    close(linalg.pinv(A @ A.mT, hermitian=True), linalg.pinv(A @ A.mT), 1e-8)
    stretched = torch.diag(torch.tensor([1.0, 0.1]))
    close(linalg.pinv(stretched, rtol=0.5), torch.tensor([[1.0, 0], [0, 0]]))


@pytest.mark.parametrize("order", ["fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf")])
def test_matrix_norms_are_numpys(order):
    A = matrix(2, 3, 4)
    expected = [np.linalg.norm(a.numpy(), order) for a in A]
    close(linalg.matrix_norm(A, order), torch.tensor(expected, dtype=F64))
    kept = linalg.norm(A.permute(1, 0, 2), order, (0, 2), keepdim=True)
    close(kept, torch.tensor(expected, dtype=F64).reshape(1, 2, 1))
    conditions = [np.linalg.cond(a.numpy()[:, :3], order) for a in A]
    close(linalg.cond(A[:, :, :3], order), torch.tensor(conditions, dtype=F64), 1e-8)


def test_vector_norms_are_numpys():
    x = matrix(7)
    for order in (2, 1, 0, 3, 0.5, -1, float("inf"), -float("inf")):
        close(linalg.vector_norm(x, order), torch.tensor(np.linalg.norm(x.numpy(), order), dtype=F64))
    close(linalg.norm(matrix(2, 3, 4)), torch.tensor(np.linalg.norm(matrix(2, 3, 4).numpy()), dtype=F64))
    for order in (0.5, 1, 1.5, 2, 3, -1):
        zero = torch.zeros(3, dtype=F64, requires_grad=True)
        gradient, = torch.autograd.grad(linalg.vector_norm(zero, order), zero, create_graph=True)
        assert torch.equal(gradient, torch.zeros(3, dtype=F64))
        if gradient.requires_grad:
            gradient.sum().backward()
            assert bool(zero.grad.isfinite().all())


def test_products():
    A, B, C = matrix(3, 5), matrix(5, 2), matrix(2, 4)
    close(linalg.multi_dot([A, B, C]), A @ B @ C)
    close(torch.chain_matmul(A, B, C), A @ B @ C)
    close(linalg.multi_dot([A[0], B, C[:, 0]]), A[0] @ B @ C[:, 0])
    square = regular(2, 3, 3)
    close(linalg.matrix_power(square, 5), square @ square @ square @ square @ square)
    close(linalg.matrix_power(square, -2) @ square @ square, eye_like(square))
    close(linalg.matrix_power(square, 0), eye_like(square).contiguous())
    x, y = matrix(4, 3), matrix(4, 3, seed=1)
    close(linalg.cross(x, y), torch.from_numpy(np.cross(x.numpy(), y.numpy())))
    close(torch.cross(x.mT, y.mT), linalg.cross(x, y).mT)
    close(linalg.vecdot(x, y), (x * y).sum(-1))
    close(linalg.vander(x[0], N=4), torch.from_numpy(np.vander(x[0].numpy(), 4, increasing=True)))
    close(linalg.diagonal(square, offset=1), square.diagonal(1, 1, 2))


def test_tensor_equations():
    A = matrix(2, 3, 6)
    X = linalg.tensorsolve(A, matrix(2, 3))
    close(torch.tensordot(A, X, 1), matrix(2, 3))
    close(torch.tensordot(linalg.tensorinv(A, 2), matrix(2, 3), 2), X)
    moved = linalg.tensorsolve(A.movedim(2, 0), matrix(2, 3), dims=(0,))
    close(moved, X)


def test_reflections():
    A = matrix(2, 5, 3)
    a, tau = torch.geqrf(A)
    Q = linalg.householder_product(a, tau)
    close(Q @ a.triu()[..., :3, :], A)
    full = linalg.qr(A, "complete").Q
    B = matrix(2, 5, 4)
    close(torch.ormqr(a, tau, B), full @ B)
    close(torch.ormqr(a, tau, B, transpose=True), full.mT @ B)
    close(torch.ormqr(a, tau, B.mT, left=False), B.mT @ full)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_matrix_exp(scale):
    A = matrix(4, 4) * scale
    symmetric = A + A.mT
    values, vectors = linalg.eigh(symmetric)
    close(linalg.matrix_exp(symmetric), (vectors * values.exp()) @ vectors.mT, 1e-11)
    close(torch.matrix_exp(A) @ torch.matrix_exp(A * 0.5), torch.matrix_exp(A * 1.5), 1e-9)
    nilpotent = torch.tensor([[0.0, 1e6], [0, 0]], dtype=F64)
    close(linalg.matrix_exp(nilpotent), nilpotent + torch.eye(2, dtype=F64))


def test_low_rank():
    torch.manual_seed(0)
    A = matrix(40, 3) @ matrix(3, 20)
    for tall in (A, A.mT):
        U, S, V = torch.svd_lowrank(tall, q=3)
        close((U * S) @ V.mT, tall, 1e-9)
        U, S, V = torch.pca_lowrank(tall, q=4)
        close((U * S) @ V.mT, tall - tall.mean(0, keepdim=True), 1e-9)


def test_float32_and_methods():
    A = regular(3, 3).float()
    for y in (A.inverse(), A.det(), A.slogdet()[1], A.svd()[1], A.qr()[0], A.pinverse(), A.matrix_exp(),
              A.matrix_power(2), A.lu()[0], (A @ A.mT).cholesky(), A.cross(A), A.geqrf()[0], (A @ A.mT).logdet(),
              linalg.eigh(A)[1], linalg.lstsq(A, A)[0]):
        assert y.dtype == torch.float32
    close(A.inverse() @ A, eye_like(A), 1e-5)


def test_out():
    A = positive(3, 3)
    out = torch.empty(0, dtype=F64)
    assert linalg.inv(A, out=out) is out
    close(out, linalg.inv(A))
    Q, R = torch.empty(0, dtype=F64), torch.empty(0, dtype=F64)
    result = linalg.qr(A, out=(Q, R))
    assert result.Q is Q
    close(Q @ R, A)
    with pytest.raises(RuntimeError, match="Expected out tensor to have dtype double, but got long int"):
        linalg.det(A, out=torch.empty(0, dtype=torch.int64))
    with pytest.raises(RuntimeError, match="automatic differentiation"):
        linalg.det(A.clone().requires_grad_(), out=torch.empty(0, dtype=F64))


def test_named_results():
    A = positive(2, 2)
    assert repr(linalg.slogdet(A)).startswith("torch.return_types.linalg_slogdet(\nsign=tensor(1., dtype=")
    assert repr(torch.svd(A)).startswith("torch.return_types.svd(\nU=tensor(")
    assert linalg.eigh(A)._fields == ("eigenvalues", "eigenvectors")
    assert linalg.inv_ex(A)._fields == ("inverse", "info")


# -- derivatives -------------------------------------------------------------------------------------------------------

def symmetric(f):
    return lambda A: f((A + A.mT) / 2)


def unsigned(f):
    """Factors whose signs are free, in products where they cancel."""
    def g(A):
        Q, R = f(A)[:2]
        return (Q.unsqueeze(-2) * Q.unsqueeze(-3)).sum(-1), R.square()
    return g


DERIVATIVES = {
    "inv": (linalg.inv, [regular(2, 3, 3)]),
    "det": (linalg.det, [matrix(2, 3, 3)]),
    "det of rank 2": (linalg.det, [matrix(3, 2) @ matrix(2, 3)]),
    "det of rank 1": (linalg.det, [matrix(3, 1) @ matrix(1, 3)]),
    "det of large rank 19": (linalg.det, [matrix(19, 18) @ matrix(18, 19)]),
    "slogdet": (lambda A: linalg.slogdet(A)[1], [matrix(2, 3, 3)]),
    "logdet": (torch.logdet, [positive(2, 3, 3)]),
    "solve": (linalg.solve, [regular(2, 1, 3, 3), matrix(2, 3, 2)]),
    "solve right": (lambda A, B: linalg.solve(A, B, left=False), [regular(3, 3), matrix(2, 2, 3)]),
    "solve vector": (linalg.solve, [regular(3, 3), matrix(3)]),
    "solve_triangular": (lambda A, B: linalg.solve_triangular(A, B, upper=True), [regular(3, 3), matrix(2, 3, 2)]),
    "unitriangular": (lambda A, B: linalg.solve_triangular(A, B, upper=False, left=False, unitriangular=True),
                      [regular(3, 3), matrix(2, 3)]),
    "cholesky": (symmetric(linalg.cholesky), [positive(2, 3, 3)]),
    "cholesky upper": (symmetric(lambda A: linalg.cholesky(A, upper=True)), [positive(3, 3)]),
    "cholesky_solve": (torch.cholesky_solve, [matrix(3, 2), regular(3, 3)]),
    "qr tall": (linalg.qr, [matrix(4, 2)]),
    "qr wide": (linalg.qr, [matrix(2, 2, 4)]),
    "qr complete": (lambda A: linalg.qr(A, "complete"), [matrix(3, 3)]),
    "lu": (lambda A: linalg.lu(A)[1:], [matrix(2, 3, 3)]),
    "lu tall": (lambda A: linalg.lu(A)[1:], [matrix(4, 2)]),
    "lu wide": (lambda A: linalg.lu(A)[1:], [matrix(2, 4)]),
    "lu_solve": (lambda A, B: linalg.lu_solve(*linalg.lu_factor(A), B, adjoint=True), [regular(3, 3), matrix(3, 2)]),
    "eigvalsh": (symmetric(linalg.eigvalsh), [matrix(2, 3, 3)]),
    "eigh": (symmetric(unsigned(lambda A: linalg.eigh(A)[::-1])), [matrix(3, 3)]),
    "svdvals": (linalg.svdvals, [matrix(2, 3, 4)]),
    "svd tall": (unsigned(lambda A: linalg.svd(A, False)), [matrix(4, 3)]),
    "svd wide": (lambda A: (lambda U, S, Vh: (Vh.mT @ Vh, S))(*linalg.svd(A, False)), [matrix(2, 4)]),
    "pinv tall": (linalg.pinv, [matrix(4, 2)]),
    "pinv wide": (linalg.pinv, [matrix(2, 2, 3)]),
    "pinv symmetric": (symmetric(lambda A: linalg.pinv(A, hermitian=True)), [positive(3, 3)]),
    "lstsq": (lambda A, B: linalg.lstsq(A, B)[0], [matrix(4, 2), matrix(4, 2)]),
    "lstsq residuals": (lambda A, B: linalg.lstsq(A, B, driver="gelsd")[1], [matrix(4, 2), matrix(4, 2)]),
    "matrix_exp": (linalg.matrix_exp, [matrix(2, 2, 2)]),
    "matrix_power": (lambda A: linalg.matrix_power(A, -3), [regular(3, 3)]),
    "multi_dot": (lambda *x: linalg.multi_dot(x), [matrix(2, 3), matrix(3, 2), matrix(2, 2)]),
    "cross": (linalg.cross, [matrix(2, 3), matrix(1, 3)]),
    "householder_product": (linalg.householder_product, [matrix(4, 2), matrix(2)]),
    "ormqr": (torch.ormqr, [matrix(3, 2), matrix(2), matrix(3, 2)]),
    "nuc": (lambda A: linalg.matrix_norm(A, "nuc"), [matrix(2, 3)]),
    "spectral": (lambda A: linalg.matrix_norm(A, 2), [matrix(2, 3)]),
    "cond": (lambda A: linalg.cond(A, 1), [regular(3, 3)]),
    "norm 1.5": (lambda x: linalg.vector_norm(x, 1.5, 0), [matrix(3, 2)]),
    "tensorsolve": (linalg.tensorsolve, [matrix(2, 2, 4), matrix(2, 2)]),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives(name):
    function, inputs = DERIVATIVES[name]
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    if inputs[0].shape[-1] < 10:
        assert gradcheck(function, inputs)
        assert gradgradcheck(function, inputs, atol=1e-4)
    else:  # by the cofactors, of which a few are computed as minors
        gradient, = torch.autograd.grad(function(*inputs), inputs)
        a = inputs[0].detach().numpy()
        for i, j in ((0, 0), (3, 7)):
            minor = np.linalg.det(np.delete(np.delete(a, i, 0), j, 1)) * (-1) ** (i + j)
            assert float(gradient[i, j]) == pytest.approx(minor, rel=1e-6)


def test_second_derivative_notices_a_changed_input():
    A = regular(3, 3)
    x = A.requires_grad_() * 1
    y = linalg.cholesky(x @ x.mT + torch.eye(3, dtype=F64))
    y.sum().backward()
    x = A * 1
    Q, _ = linalg.qr(x)
    x.mul_(2)
    g, = torch.autograd.grad(Q.sum(), A, retain_graph=True)  # needs Q and R alone
    assert bool(g.isfinite().all())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(Q.sum(), A, create_graph=True)


# -- errors ------------------------------------------------------------------------------------------------------------

def test_singular_matrices():
    S = torch.tensor([[1.0, 2], [2, 4]])
    batch = torch.stack([torch.eye(2), S])
    assert issubclass(linalg.LinAlgError, RuntimeError)
    with pytest.raises(linalg.LinAlgError, match=r"linalg.inv: The diagonal element 2 is zero"):
        linalg.inv(S)
    with pytest.raises(linalg.LinAlgError, match=r"linalg.inv: \(Batch element 1\): The diagonal element 2 is zero"):
        linalg.inv(batch)
    with pytest.raises(linalg.LinAlgError, match="The solver failed because the input matrix is singular"):
        linalg.solve(S, torch.ones(2))
    inverse, info = linalg.inv_ex(batch)
    assert info.tolist() == [0, 2] and torch.equal(inverse[0], torch.eye(2))
    assert int(linalg.solve_ex(S, torch.ones(2)).info) == 2
    assert float(linalg.cond(S, "fro")) == float("inf")
    with pytest.raises(linalg.LinAlgError, match=r"leading minor of order 2 is not positive-definite"):
        linalg.cholesky(torch.tensor([[1.0, 2], [2, 1]]))
    L, info = linalg.cholesky_ex(torch.stack([torch.eye(2), -torch.eye(2)]))
    assert info.tolist() == [0, 1] and torch.equal(L[0], torch.eye(2))
    with pytest.raises(RuntimeError, match=r"U\[2,2\] is zero"):
        linalg.lu_factor(S)
    assert linalg.slogdet(S).logabsdet == -float("inf")
    with pytest.raises(linalg.LinAlgError, match="non-finite values"):
        linalg.svd(S * float("nan"))
    assert bool(linalg.eigvalsh(S * float("nan")).isnan().all())


@pytest.mark.parametrize("function, message", [
    (lambda: linalg.inv(torch.ones(2, 3)), "linalg.inv: A must be batches of square matrices, but they are 2 by 3"),
    (lambda: linalg.inv(torch.ones(3)), "linalg.inv: The input tensor A must have at least 2 dimensions"),
    (lambda: linalg.inv(torch.ones(2, 2).long()), "Expected a floating point or complex tensor as input. Got Long"),
    (lambda: linalg.inv(torch.ones(2, 2).half()), "Low precision dtypes not supported. Got Half"),
    (lambda: linalg.svd(torch.ones(2, 2).half()), "\"linalg_svd_cpu\" not implemented for 'Half'"),
    (lambda: linalg.solve(torch.eye(2), torch.ones(3)), r"Incompatible shapes of A and B .*\(2x2 and 3x1\)"),
    (lambda: linalg.solve(torch.eye(2), torch.ones(2).double()), "A of type Float and B of type Double"),
    (lambda: linalg.inv(3), r"linalg_inv\(\): argument 'A' \(position 1\) must be Tensor, not int"),
    (lambda: linalg.solve(torch.eye(2), B=2), r"linalg_solve\(\): argument 'B' \(position 2\) must be Tensor"),
    (lambda: linalg.matrix_power(torch.eye(2), 1.5), "argument 'n' .* must be int, not float"),
    (lambda: torch.chain_matmul(torch.eye(2), 3), "must be Tensor, not int"),
    (lambda: linalg.multi_dot([torch.eye(2), 3]), "expected Tensor as element 1"),
    (lambda: linalg.qr(torch.eye(2), "raw"), "unrecognized mode 'raw'"),
    (lambda: linalg.eigh(torch.eye(2), "X"), "UPLO"),
    (lambda: linalg.eig(torch.eye(2)), "complex.*linalg.eigh"),
    (lambda: linalg.eigvals(torch.eye(2)), "complex.*linalg.eigvalsh"),
    (lambda: linalg.matrix_norm(torch.eye(2), 3), "Order 3 not supported"),
    (lambda: linalg.matrix_norm(torch.eye(2), dim=(0, 0)), "dims must be different"),
    (lambda: linalg.norm(torch.ones(2, 2, 2), 2), "the input must be 1D or 2D"),
    (lambda: linalg.cond(torch.eye(2), 3), "invalid norm type"),
    (lambda: linalg.multi_dot([torch.eye(2)]), "expected at least 2 tensors but got 1"),
    (lambda: linalg.multi_dot([torch.ones(2, 3), torch.ones(2, 3)]), "cannot be multiplied"),
    (lambda: linalg.cross(torch.ones(4), torch.ones(4)), "must have length 3. Got 4 and 4"),
    (lambda: torch.cross(torch.ones(2, 4), torch.ones(2, 4)), "no dimension of size 3 in input"),
    (lambda: linalg.lstsq(torch.eye(2), torch.eye(2), driver="x"), "parameter `driver`"),
    (lambda: linalg.tensorinv(torch.ones(2, 3), ind=1), "but got 3 != 2"),
    (lambda: linalg.vander(torch.ones(3), N=1), "N must be greater than 1"),
    (lambda: torch.pca_lowrank(torch.ones(3, 4), q=5), "must be non-negative integer"),
    (lambda: linalg.qr(torch.ones(3, 2, requires_grad=True), "complete")[1].sum().backward(), "nrows > ncols"),
    (lambda: linalg.qr(torch.ones(3, 2, requires_grad=True), "r")[1].sum().backward(), "depends on Q"),
    (lambda: torch.geqrf(torch.ones(2, 2, requires_grad=True))[0].sum().backward(), "not implemented"),
])
def test_errors(function, message):
    with pytest.raises((RuntimeError, ValueError, TypeError), match=message):
        function()
