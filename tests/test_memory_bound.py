"""The ways through memory that element-wise loops, copies, sums and extremes choose by shape, against NumPy."""

import numpy as np
import pytest

import minitorch_bn as torch
from minitorch_bn.kernels import runtime

rng = np.random.default_rng(0)


def tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array))


def array(*shape, dtype="float32"):
    return (rng.standard_normal(shape) * 50).astype(dtype)


DTYPES = ["float32", "float64", "int16", "uint8", "int64"]
ACROSS = [  # shape, permutation: what then lies across a contiguous result
    ((5, 7), (1, 0)), ((4, 4), (1, 0)), ((300, 65), (1, 0)), ((64, 1030), (1, 0)), ((33, 4, 70), (2, 0, 1)),
    ((6, 50, 9), (0, 2, 1)), ((3, 5, 40, 17), (0, 2, 3, 1)), ((2, 40, 8, 16), (2, 3, 0, 1)), ((700, 16), (1, 0)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, order", ACROSS)
def test_an_operand_across(shape, order, dtype):
    """Copies, sums with a contiguous operand, other dtypes, broadcasts beside it, and writes to a part."""
    x = array(*shape, dtype=dtype)
    turned = x.transpose(order)
    y, t = array(*turned.shape, dtype=dtype), tensor(x).permute(order)
    assert np.array_equal(t.contiguous().numpy(), turned)
    assert np.array_equal((tensor(y) + t).numpy(), y + turned)
    assert np.array_equal(torch.empty(turned.shape, dtype=torch.float64).copy_(t).numpy(), turned.astype("float64"))
    assert np.array_equal((tensor(y.astype("float64")) - t).numpy(), y.astype("float64") - turned)
    column = array(*turned.shape[:-1], 1, dtype=dtype)
    out = torch.empty(turned.shape, dtype=tensor(x).dtype)
    assert np.array_equal(torch.where(tensor(y) > 0, t, tensor(column), out=out).numpy(),
                          np.where(y > 0, turned, column))
    part = np.zeros((turned.shape[0] + 2, *turned.shape[1:-1], turned.shape[-1] + 3), dtype)
    inside = torch.from_numpy(part)[1:-1, ..., 2:-1]
    inside.copy_(t)
    inside += t
    assert np.array_equal(part[1:-1, ..., 2:-1], turned + turned) and part[0].sum() == 0 == part[..., :2].sum()


@pytest.mark.parametrize("shape", [(5, 3), (700, 10), (900, 64), (40, 300), (7, 2000), (3, 50, 49), (20, 6, 7, 7)])
def test_broadcasts(shape):
    """Rows that repeat, columns, numbers, channels: alone, converted, and two at once."""
    x = array(*shape)
    last, column = array(shape[-1]), array(*shape[:-1], 1)
    tail, wide = array(1, *shape[1:]), array(shape[-1], dtype="int64")
    a = tensor(x)
    for other in (last, column, tail, x[:1, ..., :1], wide):
        assert np.array_equal((a * tensor(other)).numpy(), x * other.astype("float32"))
    assert np.array_equal(torch.where(a > 0, tensor(last), tensor(column)).numpy(), np.where(x > 0, last, column))
    assert np.array_equal((tensor(column) - tensor(last)).numpy(), column - last)
    assert np.array_equal(tensor(last).expand(shape).contiguous().numpy(), np.broadcast_to(last, shape))
    assert np.array_equal(tensor(column).expand(shape).contiguous().numpy(), np.broadcast_to(column, shape))
    step = array(*shape[:-1], 2 * shape[-1])[..., ::2]
    assert np.array_equal((a + torch.from_numpy(step)).numpy(), x + step)


def test_past_the_caches():
    """Results larger than the caches: a vector, with a number, copied, converted, in place."""
    n = 12_000_003
    x, y = rng.standard_normal(n, "float32"), rng.standard_normal(n, "float32")
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    assert np.array_equal((a + b).numpy(), x + y)
    assert np.array_equal((a[1:] * 2).numpy(), x[1:] * 2)
    assert np.array_equal(a.clone().numpy(), x)
    assert np.array_equal(a.double().numpy(), x.astype("float64"))
    assert np.array_equal((a < b).numpy(), x < y)
    assert np.array_equal(torch.full((n,), 3.0).numpy(), np.full(n, 3, "float32"))
    assert np.array_equal(a.add_(b).numpy(), x)  # x is a's memory
    assert np.array_equal((a[:-2].reshape(-1, 1) + torch.zeros(1)).numpy()[:, 0], x[:-2])


@pytest.mark.parametrize("n", [1, 9, 10, 16, 31, 47, 48, 63, 64, 100, 255, 256, 300, 600, 20_000])
@pytest.mark.parametrize("rows", [1, 15, 70])
def test_rows_of_every_length(rows, n):
    """Sums and extremes of rows, alone and among others; ties and NaN."""
    x = array(rows, n)
    a = tensor(x)
    assert np.allclose(a.sum(1).numpy(), x.sum(1, dtype="float64"), rtol=1e-6, atol=2e-6 * np.abs(x).sum(1).max())
    assert torch.equal(a.sum(1)[:1], a[:1].sum(1))
    ties = np.round(x / 40)
    if n > 5:
        ties[0, n // 2] = np.nan
    t = tensor(ties)
    for extreme, arg in ((t.max(1), np.argmax), (t.min(1), np.argmin)):
        assert np.array_equal(extreme.indices.numpy(), arg(ties, 1))
        assert np.array_equal(extreme.values.numpy(), np.take_along_axis(ties, arg(ties, 1)[:, None], 1)[:, 0],
                              equal_nan=True)
    assert np.array_equal(t.amax(1).numpy(), ties.max(1), equal_nan=True)
    assert np.array_equal(t.t().contiguous().max(0).indices.numpy(), np.argmax(ties, 1))


def test_powers_of_their_own():
    """x ** 3, 1 / x and 1 / sqrt(x) have loops of their own: values at the ends of the range, and every derivative."""
    x = torch.tensor([0.0, -0.0, 1.5, -2.0, 1e13, 1e30, -1e30, float("inf"), -float("inf"), float("nan"), 3e-14])
    want = x.double().numpy() ** 3
    with np.errstate(over="ignore"):
        assert np.allclose((x**3).numpy(), want.astype("float32"), rtol=1e-7, atol=0, equal_nan=True)
    for exponent, dtype in ((3, torch.int64), (3, torch.float64)):
        v = torch.arange(-5, 6).to(dtype)
        assert np.array_equal((v**exponent).numpy(), v.numpy() ** exponent)
    v = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    for exponent in (3, -1, -0.5, 3.0, 2.5, -2):
        assert torch.autograd.gradcheck(lambda x, e=exponent: x**e, (v,))
        assert torch.autograd.gradgradcheck(lambda x, e=exponent: x**e, (v,))


@pytest.mark.parametrize("shape, other", [
    ((700, 16), (700, 1)), ((5, 3, 20), (5, 3, 1)), ((5, 3, 20), (3, 1)), ((40, 300), (40, 1)), ((9, 2000), (9, 1)),
    ((300, 1), (200,)), ((6, 20, 56), (6, 1, 56)), ((6, 20, 56), (20, 1)), ((4000, 3), (4000, 1)),
    ((50, 65, 7), (50, 1, 7)), ((20, 1, 40), (1, 30, 40)), ((3, 5, 8, 64), (3, 1, 1, 64)), ((100_000,), ()),
    ((30, 40), (1, 1)), ((1, 300), (70, 300)),
])
def test_one_number_a_row_and_rows_that_come_again(shape, other):
    """Each operation with a loop for a number, and one without, either way round, in place, and its gradient."""
    for dtype in ("float32", "float64", "int32"):
        x, y = array(*shape, dtype=dtype), array(*other, dtype=dtype)
        y = np.where(y == 0, 1, y).astype(dtype)
        x = np.where(x == 0, 1, x).astype(dtype)
        a, b = tensor(x), tensor(y)
        for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum", "less"):
            f = getattr(np, name)
            kind = bool if name == "less" else "float32" if name == "divide" and dtype == "int32" else dtype
            mine = getattr(torch, {"less": "lt"}.get(name, name))
            if name == "divide" and dtype == "int32":
                p, q = x.astype(kind), y.astype(kind)
            else:
                p, q = x, y
            assert np.array_equal(mine(a, b).numpy(), f(p, q).astype(kind)), (name, dtype)
            assert np.array_equal(mine(b, a).numpy(), f(q, p).astype(kind)), (name, dtype)
    full = np.broadcast_shapes(shape, other)
    p, q = tensor(x.astype("float32")).requires_grad_(), tensor(y.astype("float32")).requires_grad_()
    g = rng.integers(-4, 5, full).astype("float32")
    (p * q).backward(tensor(g))
    for t, factor in ((p, y), (q, x)):
        want = (g * factor).astype("float64")
        missing = want.ndim - t.ndim
        want = want.sum(tuple(range(missing))) if missing else want
        want = want.sum(tuple(d for d in range(t.ndim) if t.shape[d] == 1), keepdims=True)
        np.testing.assert_allclose(t.grad.numpy(), want.reshape(t.shape), rtol=1e-6)
    part = np.zeros((2, *full), "float32")
    inside = torch.from_numpy(part)[1]
    inside.copy_(tensor(x.astype("float32")).expand(full))
    inside.sub_(tensor(y.astype("float32")))
    assert np.array_equal(part[1], np.broadcast_to(x, full).astype("float32") - y.astype("float32"))
    assert not part[0].any()


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint8"])
@pytest.mark.parametrize("shape", [(7,), (3, 5), (40, 33), (2, 3, 300), (5, 6, 7, 3), (3, 5000)])
def test_flip_and_roll(shape, dtype):
    x = array(*shape, dtype=dtype)
    a = tensor(x)
    for d in range(x.ndim):
        assert np.array_equal(a.flip(d).numpy(), np.flip(x, d))
        for shift in (1, -2, 3):
            assert np.array_equal(a.roll(shift, d).numpy(), np.roll(x, shift, d))
    assert np.array_equal(a.flip(tuple(range(x.ndim))).numpy(), np.flip(x))
    assert np.array_equal(a.roll(5).numpy(), np.roll(x, 5))


@pytest.mark.parametrize("n", [1, 2, 7, 1023, 1024, 1025, 5000, 100_001])
def test_numbers_counted_by_blocks(n):
    for dtype in ("int64", "int32", "float32", "float64"):
        assert np.array_equal(torch.arange(n, dtype=getattr(torch, dtype)).numpy(), np.arange(n, dtype=dtype))
    assert np.array_equal(torch.arange(3, 3 - 2 * n, -2).numpy(), np.arange(3, 3 - 2 * n, -2))
    assert np.array_equal(torch.arange(0.5, 0.5 + n * 0.1, 0.1, dtype=torch.float64)[:n].numpy(),
                          (0.5 + np.arange(n) * 0.1)[:n])
    x = torch.linspace(-1, 3, n, dtype=torch.float64).numpy()
    np.testing.assert_allclose(x, np.linspace(-1, 3, n), rtol=1e-15, atol=1e-15)
    assert x[0] == -1 and (n == 1 or x[-1] == 3)


def test_every_half_number():
    """All float16 there are, and float32 around each of them, through the casts; NaN stays NaN with its sign."""
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    wide = torch.from_numpy(halves.copy()).float().numpy()
    assert np.array_equal(wide, halves.astype("float32"), equal_nan=True)
    assert np.array_equal(np.signbit(wide), np.signbit(halves))
    with np.errstate(all="ignore"):
        near = np.concatenate([wide * np.float32(1 + s) for s in (-2**-11, -2**-12, 0, 2**-13, 2**-11)])
        want = near.astype(np.float16)
    got = torch.from_numpy(near).half().numpy()
    assert np.array_equal(got, want, equal_nan=True) and np.array_equal(np.signbit(got), np.signbit(want))


def same(got, want):
    assert got.dtype == want.dtype and got.shape == want.shape
    assert torch.equal(got.float().nan_to_num(7, 8, 9), want.float().nan_to_num(7, 8, 9))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1,), (15,), (16,), (17,), (1000,), (9, 31), (300, 500), (7, 1, 40), (0, 3)])
def test_arithmetic_of_small_floats_is_that_of_float32_rounded_once(shape, dtype):
    a, b = tensor(array(*shape)).to(dtype), tensor(array(*shape)).to(dtype)
    a.view(-1)[-1:], b.view(-1)[:1] = float("nan"), -0.0
    x, y = a.float(), b.float()
    for f in (torch.add, torch.sub, torch.rsub, torch.mul, torch.div, torch.maximum, torch.minimum):
        same(f(a, b), f(x, y).to(dtype))
        same(f(a, b, out=torch.empty_like(a)), f(x, y).to(dtype))
        same(f(a[..., ::2], b[..., ::2]), f(x[..., ::2], y[..., ::2]).to(dtype))
        same(f(a.mT if a.ndim > 1 else a, b.mT if a.ndim > 1 else b).contiguous(), f(x.mT, y.mT).to(dtype)
             if a.ndim > 1 else f(x, y).to(dtype))
        same(f(a, b[..., :1]), f(x, y[..., :1]).to(dtype))
        same(f(a[:1], b), f(x[:1], y).to(dtype))
    for f in (lambda t: t + 0.3, lambda t: 0.3 - t, lambda t: t * 3, lambda t: 3 / t, lambda t: t / 3, torch.square,
              torch.sqrt, torch.reciprocal, torch.round, torch.floor, torch.ceil, torch.trunc, torch.relu,
              lambda t: torch.nn.functional.leaky_relu(t, 0.3), lambda t: t.clone().add_(1.5)):
        same(f(a), f(x).to(dtype))
        same(f(a[..., ::3]), f(x[..., ::3]).to(dtype))
    a.requires_grad_()
    x.requires_grad_()
    g = torch.autograd.grad(a.relu() * b, a, b)[0]
    same(g, torch.where(x.detach() <= 0, 0.0, (y * y).to(dtype).float()).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_sums_with_a_multiple_are_one_pass(dtype):
    a, b = tensor(array(70, 90)).to(dtype), tensor(array(70, 90)).to(dtype)
    want = (a.double() + 0.3 * b.double()).to(dtype).float()
    for got in (a.add(b, alpha=0.3), b.mul(1).rsub(a, alpha=-1).sub(b, alpha=0.7), a.clone().add_(b, alpha=0.3),
                a.clone().sub_(b, alpha=-0.3), torch.add(a, b, alpha=0.3, out=torch.empty_like(a))):
        tolerance = {torch.float32: 1e-6, torch.float64: 1e-6, torch.bfloat16: 2**-6}[dtype]
        assert torch.allclose(got.float(), want, rtol=tolerance, atol=100 * tolerance)
    assert torch.equal(torch.rsub(a, b, alpha=0.5), torch.add(b, a, alpha=-0.5))
    a.requires_grad_()
    assert torch.equal(torch.autograd.grad(b.add(a, alpha=0.5).sum(), a)[0], torch.full_like(a, 0.5))



def test_blocks_of_old_sizes_make_room_for_new_ones():
    """A cache full of sizes that nobody wants any more would be of no use to those that are wanted now."""
    limit = runtime.memory_stats()["cache_limit_bytes"]
    runtime.empty_cache()
    runtime.set_cache_limit(1 << 20)
    try:
        old = [torch.empty(200_000, dtype=torch.uint8) for _ in range(5)]
        del old
        assert runtime.memory_stats()["cached_bytes"] > 800_000
        for _ in range(1100):
            torch.empty(400_000, dtype=torch.uint8)
        before = runtime.memory_stats()
        for _ in range(20):
            torch.empty(400_000, dtype=torch.uint8)
        after = runtime.memory_stats()
        assert after["reused"] - before["reused"] == after["requests"] - before["requests"]
        assert after["cached_bytes"] <= 1 << 20
    finally:
        runtime.set_cache_limit(limit)
