"""Matrix products: values against NumPy in float64, derivatives of order one and two, PyTorch's errors, and the same
bits for any number of threads, any instruction-set level, and a row or column alone."""

import itertools

import numpy as np
import pytest
from digest import every_setting
from hypothesis import given, settings
from hypothesis import strategies as st

import minitorch_bn as mt
from minitorch_bn.autograd import gradcheck, gradgradcheck
from minitorch_bn.ops import linear


def normal(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


LAYOUTS = {
    "contiguous": lambda x: mt.tensor(x),
    "transposed": lambda x: mt.tensor(np.ascontiguousarray(np.swapaxes(x, -1, -2))).transpose(-1, -2),
    "strided": lambda x: mt.tensor(np.repeat(np.repeat(x, 2, -1), 3, -2))[..., ::3, ::2],
    "window": lambda x: mt.tensor(np.pad(x, [(0, 0)] * (x.ndim - 2) + [(1, 1), (2, 3)]))[..., 1:-1, 2:-3],
}

# Around every size where a path changes: one row, one column, a tile, a vector, a K block, packing, several tasks.
PRODUCTS = [
    (1, 1, 1), (1, 1, 700), (2, 2, 1100), (1, 1, 9000), (1, 7, 300), (7, 1, 300), (3, 5, 0), (13, 33, 257),
    (12, 32, 256), (64, 64, 64), (100, 10, 64), (49, 100, 513), (1, 1000, 64), (2, 130, 70), (300, 5, 40),
    (500, 3, 700), (0, 4, 3), (4, 0, 3), (0, 0, 0), (200, 150, 300), (5, 300, 33), (61, 62, 63),
    (70, 1, 20), (131, 1, 9001), (1, 1, 17000), (3, 2, 9000), (64, 70, 2100), (129, 131, 130), (390, 70, 3),
    (65, 530, 260), (77, 1, 5), (41, 1, 8), (30, 1, 31), (11, 1, 32), (19, 1, 33), (2500, 1, 300), (5, 1, 130),
    (1, 100, 1024), (24, 256, 300), (40, 100, 200), (90, 8, 2100), (70, 2, 16), (9, 20, 96), (130, 30, 3),
    (376, 1, 1030), (54, 1, 2573), (3, 1, 4000), (1500, 1, 12),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m,n,k", PRODUCTS)
def test_value_and_bits(m, n, k, dtype):
    a, b = normal(m, k, dtype=dtype), normal(k, n, dtype=dtype)
    expected = a.astype(np.float64) @ b.astype(np.float64)
    scale = np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)  # of the rounding errors, in the worst case
    first = None
    for one, other in itertools.product(LAYOUTS, LAYOUTS):
        y = mt.mm(LAYOUTS[one](a), LAYOUTS[other](b)).numpy()
        assert y.shape == (m, n) and y.dtype == dtype and y.flags.c_contiguous
        assert (np.abs(y - expected) <= scale * np.finfo(dtype).eps * (8 + np.sqrt(k))).all(), (one, other)
        first = y if first is None else first
        assert y.tobytes() == first.tobytes(), (one, other)
    x, w = mt.tensor(a), mt.tensor(b)
    for setting in every_setting(m * n * k):
        assert (x @ w).numpy().tobytes() == first.tobytes(), setting


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m,n,k", [p for p in PRODUCTS if min(p) > 0])
def test_rows_and_columns_alone(m, n, k, dtype):
    x, w, bias = (mt.tensor(normal(*s, dtype=dtype)) for s in ((m, k), (n, k), (n,)))
    y = linear(x, w, bias)
    plain = mt.mm(x, w.t())
    for i in {0, m // 2, m - 1}:
        assert linear(x[i : i + 1], w, bias).numpy().tobytes() == y[i : i + 1].numpy().tobytes()
        assert linear(x[i], w, bias).numpy().tobytes() == y[i].numpy().tobytes()
        assert mt.matmul(x[i], w.t()).numpy().tobytes() == plain[i].numpy().tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m,n,k", [p for p in PRODUCTS if min(p) > 0])
def test_one_column_alone(m, n, k, dtype):
    """A product with a vector has an order of additions of its own: one for all who ask for it, and for every row."""
    x, v, bias = (mt.tensor(normal(*s, dtype=dtype)) for s in ((m, k), (k,), (1,)))
    y = mt.mv(x, v)
    assert mt.mm(x, v[:, None]).numpy().tobytes() == y.numpy().tobytes()
    assert (x @ v.repeat(2).reshape(2, k, 1)).numpy().tobytes() == y.numpy().tobytes() * 2
    assert linear(x, v[None], bias).numpy().tobytes() == (y + bias).numpy().tobytes()
    assert linear(x.repeat(3, 1), v[None]).numpy().tobytes() == y.numpy().tobytes() * 3
    for i in {0, m // 2, m - 1}:
        assert mt.dot(x[i], v).numpy().tobytes() == y[i].numpy().tobytes()
        assert linear(x[i], v[None], bias).numpy().tobytes() == (y[i] + bias).numpy().tobytes()


SHAPES = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((5, 2, 3), (3,)), ((3,), (5, 3, 4)), ((5, 2, 3), (3, 4)),
    ((5, 2, 3), (5, 3, 4)), ((2, 1, 2, 3), (5, 3, 4)), ((2, 3), (5, 3, 4)), ((2, 0), (0, 4)), ((5, 2, 3), (1, 3, 4)),
    ((2, 5, 0, 3), (3, 4)), ((0, 2, 3), (3, 2)), ((4, 1, 70, 30), (3, 30, 50)),
]  # fmt: skip


@pytest.mark.parametrize("a,b", SHAPES)
def test_matmul_broadcasts(a, b):
    x, y = normal(*a), normal(*b, seed=1)
    assert np.allclose(mt.matmul(mt.tensor(x), mt.tensor(y)).numpy(), x @ y)
    whole = (np.round(x * 1e9).astype(np.int64), np.round(y * 1e9).astype(np.int64))
    for dtype in (np.int64, np.int32, np.int16, np.int8, np.uint8):
        p, q = (v.astype(dtype) for v in whole)
        got = (mt.tensor(p) @ mt.tensor(q)).numpy()
        assert got.dtype == dtype and (got == np.matmul(p, q, dtype=dtype)).all()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_shapes(data):
    size = st.integers(0, 40)
    m, n, k = data.draw(size), data.draw(size), data.draw(size)
    batch = data.draw(st.lists(st.integers(0, 3), max_size=2))
    stretch = [[1 if data.draw(st.booleans()) else s for s in batch] for _ in range(2)]
    dropped = data.draw(st.integers(0, len(batch)))
    a = normal(*stretch[0], m, k)
    b = normal(*stretch[1][dropped:], k, n, seed=1)
    layout = st.sampled_from(sorted(LAYOUTS))
    x, y = LAYOUTS[data.draw(layout)](a), LAYOUTS[data.draw(layout)](b)
    assert np.allclose((x @ y).numpy(), a @ b, atol=1e-12)


@pytest.mark.parametrize("dtype,eps", [(mt.float16, 2**-10), (mt.bfloat16, 2**-7)])
def test_half_precision(dtype, eps):
    a, b = normal(9, 40), normal(40, 17)
    x, y = mt.tensor(a).to(dtype), mt.tensor(b).to(dtype)
    exact = x.double().numpy() @ y.double().numpy()
    assert (x @ y).dtype == dtype
    assert np.allclose((x @ y).double().numpy(), exact, rtol=eps, atol=eps)


def leaf(*shape, seed=0):
    return mt.tensor(normal(*shape, seed=seed), requires_grad=True)


@pytest.mark.parametrize("a,b", [s for s in SHAPES if s[0] != (4, 1, 70, 30)])
def test_matmul_derivatives(a, b):
    assert gradcheck(mt.matmul, (leaf(*a), leaf(*b, seed=1)))
    assert gradgradcheck(mt.matmul, (leaf(*a), leaf(*b, seed=1)))


@pytest.mark.parametrize("rows", [(), (5,), (2, 3), (0,)])
def test_linear_derivatives(rows):
    inputs = leaf(*rows, 3), leaf(4, 3, seed=1), leaf(4, seed=2)
    x, w, b = (v.detach().numpy() for v in inputs)
    assert np.allclose(linear(*inputs).detach().numpy(), x @ w.T + b)
    assert gradcheck(linear, inputs)
    assert gradgradcheck(linear, inputs)


FUNCTIONS = [
    (mt.mm, [(2, 3), (3, 4)], lambda a, b: a @ b),
    (mt.bmm, [(5, 2, 3), (5, 3, 4)], lambda a, b: a @ b),
    (mt.mv, [(2, 3), (3,)], lambda a, b: a @ b),
    (mt.dot, [(3,), (3,)], lambda a, b: a @ b),
    (mt.outer, [(3,), (4,)], np.outer),
    (mt.inner, [(2, 3), (4, 3)], np.inner),
    (mt.kron, [(2, 3), (4, 1)], np.kron),
    (lambda c, a, b: mt.addmm(c, a, b, beta=0.5, alpha=2), [(2, 4), (2, 3), (3, 4)], lambda c, a, b: c / 2 + 2 * a @ b),
    (mt.addmm, [(4,), (2, 3), (3, 4)], lambda c, a, b: c + a @ b),
    (mt.addmm, [(2, 1), (2, 3), (3, 4)], lambda c, a, b: c + a @ b),
    (lambda c, a, b: mt.addmv(c, a, b, alpha=-1), [(2,), (2, 3), (3,)], lambda c, a, b: c - a @ b),
    (lambda c, a, b: mt.baddbmm(c, a, b, beta=3), [(2, 4), (5, 2, 3), (5, 3, 4)], lambda c, a, b: 3 * c + a @ b),
    (mt.addbmm, [(2, 4), (5, 2, 3), (5, 3, 4)], lambda c, a, b: c + (a @ b).sum(0)),
    (mt.addr, [(2, 3), (2,), (3,)], lambda c, a, b: c + np.outer(a, b)),
    (lambda a, b: mt.tensordot(a, b, 2), [(2, 3, 4), (3, 4, 5)], lambda a, b: np.tensordot(a, b, 2)),
    (lambda a, b: mt.tensordot(a, b, ([0, 2], [1, 0])), [(2, 3, 4), (4, 2, 5)],
     lambda a, b: np.tensordot(a, b, ([0, 2], [1, 0]))),
    (mt.ops.bilinear, [(5, 2), (5, 3), (4, 2, 3), (4,)], lambda x, y, w, b: np.einsum("ni,oij,nj->no", x, w, y) + b),
]  # fmt: skip


@pytest.mark.parametrize("function,shapes,reference", FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_functions(function, shapes, reference):
    inputs = [leaf(*s, seed=i) for i, s in enumerate(shapes)]
    assert np.allclose(function(*inputs).detach().numpy(), reference(*(x.detach().numpy() for x in inputs)))
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


def test_beta_zero_ignores_the_input():
    y = mt.addmm(mt.full((2, 4), float("nan")), mt.ones(2, 3), mt.ones(3, 4), beta=0)
    assert (y.numpy() == 3).all()


@pytest.mark.parametrize("dtype", [mt.bfloat16, mt.float16])
def test_half_precision_is_rounded_once(dtype):
    rng = np.random.default_rng(0)
    c, a, b = (mt.tensor(rng.normal(size=s)).to(dtype).requires_grad_() for s in ((5, 7), (5, 6), (6, 7)))
    y = mt.addmm(c, a, b, beta=-4.7, alpha=2.3)
    wide = -4.7 * c.double() + 2.3 * (a.double() @ b.double())
    assert y.dtype == dtype and mt.equal(y, wide.float().to(dtype))
    y.sum().backward()
    assert c.grad.dtype == dtype and (c.grad == mt.tensor(-4.7).to(dtype)).all()
    assert mt.equal(mt.baddbmm(c[None], a[None], b[None], beta=-4.7, alpha=2.3)[0], y)


EQUATIONS = [
    ("ij,jk->ik", [(2, 3), (3, 4)]), ("ij,jk", [(2, 3), (3, 4)]), ("bij,bjk->bik", [(5, 2, 3), (5, 3, 4)]),
    ("i,j->ij", [(2,), (3,)]), ("ii->i", [(3, 3)]), ("ii", [(3, 3)]), ("ij->ji", [(2, 3)]), ("ijk->", [(2, 3, 4)]),
    ("...ij,...jk->...ik", [(5, 2, 3), (3, 4)]), ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
    ("i,i,i->i", [(3,), (3,), (3,)]), ("ij,kj,lj->ikl", [(2, 3), (4, 3), (5, 3)]), ("ij,ij->", [(2, 3), (2, 3)]),
    ("ij,j", [(2, 3), (3,)]), ("...,...", [(2, 3), (3,)]), ("a...b->b...a", [(2, 3, 4)]), ("ijij->ij", [(2, 3, 2, 3)]),
    ("bn,anm,bm->ba", [(2, 5), (3, 5, 4), (2, 4)]), ("i->", [(0,)]), ("ij,jk->ik", [(2, 0), (0, 4)]),
    (" i j , j -> i ", [(2, 3), (3,)]), ("bi,bi->b", [(4, 5), (4, 5)]), ("abi,bai->ab", [(3, 4, 6), (4, 3, 6)]),
    ("bi,cj,bc->ij", [(2, 3), (4, 5), (2, 4)]), ("bi,bi->b", [(2, 5000), (2, 5000)]), ("bi,bi->b", [(3, 0), (3, 0)]),
    ("ij->ij", [(2, 3)]), ("b,b->b", [(0,), (0,)]),
]  # fmt: skip


@pytest.mark.parametrize("equation,shapes", EQUATIONS)
def test_einsum(equation, shapes):
    inputs = [leaf(*s, seed=i) for i, s in enumerate(shapes)]
    reference = np.einsum(equation.replace(" ", ""), *(x.detach().numpy() for x in inputs))
    y = mt.einsum(equation, *inputs)
    assert y.shape == reference.shape and np.allclose(y.detach().numpy(), reference)
    if max(map(max, shapes)) < 100:
        assert gradcheck(lambda *x: mt.einsum(equation, *x), inputs)


def test_einsum_plans_anew_for_other_shapes_and_keeps_dtypes():
    for b, i in ((2, 3), (3, 2), (1, 4), (2, 3)):
        for dtype in (np.int32, np.float32):
            x, y = (normal(b, i, seed=seed) * 9 for seed in (1, 2))
            x, y = x.astype(dtype), y.astype(dtype)
            z = mt.einsum("bi,bi->b", mt.tensor(x), mt.tensor(y)).numpy()
            assert z.dtype == dtype and np.allclose(z, np.einsum("bi,bi->b", x, y), rtol=1e-5)
    x = mt.ones(1, 3000).bfloat16() * 1.0078125
    assert mt.einsum("bi,bi->b", x, x).item() == 3040  # the products are exact


def test_einsum_stretches_size_one():
    a, b = normal(1, 3), normal(2, 3, seed=1)
    assert np.allclose(mt.einsum("ij,ij->ij", mt.tensor(a), mt.tensor(b)).numpy(), a * b)
    assert np.allclose(mt.einsum("ij,ij->j", mt.tensor(a), mt.tensor(b)).numpy(), (a * b).sum(0))


zeros = mt.zeros
ERRORS = [
    (lambda: zeros(2, 3) @ zeros(4, 5), RuntimeError, r"cannot be multiplied \(2x3 and 4x5\)"),
    (lambda: mt.mm(zeros(2), zeros(4, 5)), RuntimeError, "self must be a matrix"),
    (lambda: mt.mm(zeros(2, 3), zeros(4)), RuntimeError, "mat2 must be a matrix"),
    (lambda: zeros(2) @ zeros(3), RuntimeError, "inconsistent tensor size"),
    (lambda: zeros(2, 3) @ zeros(4), RuntimeError, r"size mismatch, got input \(2\), mat \(2x3\), vec \(4\)"),
    (lambda: zeros(2, 3, 4) @ zeros(2, 5, 4), RuntimeError, r"Expected size for first two dimensions .* \[2, 4\]"),
    (lambda: zeros(2, 3, 4) @ zeros(3, 4, 5), RuntimeError, "non-singleton dimension 0"),
    (lambda: mt.matmul(zeros(()), zeros(3)), RuntimeError, "at least 1D, but they are 0D and 1D"),
    (lambda: mt.bmm(zeros(2, 3), zeros(2, 3, 4)), RuntimeError, "batch1 must be a 3D tensor"),
    (lambda: zeros(2, 3) @ zeros(3, 4).double(), RuntimeError, "same dtype, but got: float != double"),
    (lambda: mt.dot(zeros(2), zeros(2).double()), RuntimeError, "Float and Double"),
    (lambda: zeros(2, 3).bool() @ zeros(3, 4).bool(), NotImplementedError, "'Bool'"),
    (lambda: linear(zeros(2, 3), zeros(4, 5)), RuntimeError, r"\(2x3 and 5x4\)"),
    (lambda: linear(zeros(2, 3), zeros(4, 3), zeros(5)), RuntimeError, "expanded size"),
    (lambda: mt.addmm(zeros(3), zeros(2, 3), zeros(3, 4)), RuntimeError, "expanded size"),
    (lambda: zeros(2, 3) @ 3, TypeError, "@"),
    (lambda: mt.mm(zeros(2, 3), None), TypeError, "None"),
    (lambda: mt.einsum("ij,jk->ik", zeros(2, 3), zeros(4, 5)), RuntimeError, "subscript j has size 4 for operand 1"),
    (lambda: mt.einsum("ij", zeros(2, 3), zeros(2, 3)), RuntimeError, "more operands"),
    (lambda: mt.einsum("ijk", zeros(2, 3)), RuntimeError, "number of subscripts"),
    (lambda: mt.einsum("ij->ijz", zeros(2, 3)), RuntimeError, "output subscript z"),
    (lambda: mt.einsum("ij->ii", zeros(2, 3)), RuntimeError, "more than once"),
    (lambda: mt.einsum("ii->i", zeros(2, 3)), RuntimeError, "repeated"),
    (lambda: mt.einsum("i1,j", zeros(2, 3), zeros(3)), RuntimeError, "invalid subscript"),
    (lambda: mt.tensordot(zeros(2, 3), zeros(4, 3), 1), RuntimeError, "contracted dimensions"),
    (lambda: mt.inner(zeros(2, 3), zeros(4, 2)), RuntimeError, "last dimension must match"),
]


@pytest.mark.parametrize("call,error,message", ERRORS, ids=range(len(ERRORS)))
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_out():
    y = zeros(2, 4)
    assert mt.mm(mt.ones(2, 3), mt.ones(3, 4), out=y) is y and (y.numpy() == 3).all()
    y = zeros(3, 3)
    assert mt.mm(mt.ones(2, 3), mt.ones(3, 4), out=y) is y and y.shape == (2, 4)


def test_expanded_operands():
    row = mt.tensor(normal(1, 40))
    x = row.expand(30, 40)
    y = mt.tensor(normal(40, 20, seed=1))
    assert np.allclose((x @ y).numpy(), np.broadcast_to(row.numpy(), (30, 40)) @ y.numpy())
    a = leaf(3, 4)
    (a @ mt.ones(4, 5).double()).sum().backward()  # the cotangent is an expanded scalar
    assert np.allclose(a.grad.numpy(), 5)


@pytest.mark.parametrize("rows", [1, 20, 64, 65])
def test_a_batch_of_rows_meets_one_matrix(rows):
    """The same bits, however the batch lies in memory."""
    x, weight, bias = mt.randn(rows, 7, 33), mt.randn(40, 33), mt.randn(40)
    turned = mt.nn.functional.linear(x.transpose(0, 1), weight, bias)
    assert turned.equal(mt.nn.functional.linear(x, weight, bias).transpose(0, 1))
