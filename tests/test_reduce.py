"""Reductions against NumPy in float64: values, dtypes, errors, derivatives of every order, and the same bits always."""

import itertools

import numpy as np
import pytest
from digest import every_setting
from hypothesis import given, settings
from hypothesis import strategies as st

import minitorch_bn as torch
from minitorch_bn.autograd import gradcheck, gradgradcheck

SHAPES = [(), (1,), (7,), (3, 4), (2, 3, 4), (2, 1, 3, 2), (5, 130), (130, 5), (3, 0, 2)]
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-13}


def sample(shape, dtype=np.float64, seed=0):
    return np.asarray(np.random.default_rng(seed).standard_normal(shape) * 3 + 1, dtype)


def all_dims(ndim):
    return [None, *[d for k in range(1, ndim + 1) for d in itertools.combinations(range(ndim), k)]]


def check(result, expected, dtype=np.float64):
    result = result.detach().numpy()
    assert result.shape == np.shape(expected)
    scale = max(1.0, np.abs(expected).max(initial=0)) if np.isfinite(expected).all() else 1.0
    np.testing.assert_allclose(result, expected, rtol=TOLERANCE[dtype] * 10, atol=TOLERANCE[dtype] * 10 * scale)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_values(shape, dtype):
    a = sample(shape, dtype)
    x, wide = torch.from_numpy(a), a.astype(np.float64)
    for dim, keep in itertools.product(all_dims(a.ndim), [False, True]):
        check(x.sum(dim, keep), wide.sum(dim, keepdims=keep), dtype)
        check(x.norm(2, dim, keep), np.sqrt((wide**2).sum(dim, keepdims=keep)), dtype)
        check(x.norm(1, dim, keep), np.abs(wide).sum(dim, keepdims=keep), dtype)
        check(x.norm(3, dim, keep), (np.abs(wide) ** 3).sum(dim, keepdims=keep) ** (1 / 3), dtype)
        assert np.array_equal((x > 2).any(dim, keep).numpy(), (a > 2).any(dim, keepdims=keep))
        assert np.array_equal((x > -2).all(dim, keep).numpy(), (a > -2).all(dim, keepdims=keep))
        if a.size:
            check(x.mean(dim, keep), wide.mean(dim, keepdims=keep), dtype)
            check(x.var(dim, correction=0, keepdim=keep), wide.var(dim, keepdims=keep), dtype)
            check(x.std(dim, correction=0, keepdim=keep), wide.std(dim, keepdims=keep), dtype)
            check(x.amax(() if dim is None else dim, keep), wide.max(dim, keepdims=keep), dtype)
            check(x.amin(() if dim is None else dim, keep), wide.min(dim, keepdims=keep), dtype)
    for dim in range(a.ndim):
        if a.shape[dim] == 0:
            continue
        for name, value, index in (("max", np.max, np.argmax), ("min", np.min, np.argmin)):
            values, indices = getattr(x, name)(dim)
            assert np.array_equal(values.numpy(), value(a, dim)) and np.array_equal(indices.numpy(), index(a, dim))
            assert np.array_equal(getattr(x, "arg" + name)(dim).numpy(), index(a, dim))
        check(x.prod(dim), wide.prod(dim), dtype)
        check(x.cumsum(dim), wide.cumsum(dim), dtype)
        check(x.cumprod(dim), wide.cumprod(dim), dtype)
        assert np.array_equal(x.cummax(dim).values.numpy(), np.maximum.accumulate(a, dim))
        assert np.array_equal(x.cummin(dim).values.numpy(), np.minimum.accumulate(a, dim))


@pytest.mark.parametrize("shape", [(1000, 1000), (127, 2100), (59, 515), (3, 70, 1030), (5000, 40), (8203,), (33_001,)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_of_four_parts(shape, dtype):
    """Rows and columns that are read from four places at once, also where one row stands for all."""
    a = sample(shape, dtype)
    x, wide = torch.from_numpy(a), a.astype(np.float64)
    for dim in range(a.ndim):
        check(x.sum(dim), wide.sum(dim), dtype)
        check(x.amax(dim), wide.max(dim), dtype)
        assert np.array_equal(x.argmax(dim).numpy(), a.argmax(dim))
    check(x[:1].expand(100, *shape[1:]).sum(0), wide[0] * 100, dtype)


@pytest.mark.parametrize("shape", [(9, 300), (300, 9), (2, 1000), (70, 3, 20)])
def test_log_of_running_sums(shape):
    a = sample(shape) * 30
    a[a > 60] = np.inf
    a[a < -20] = -np.inf
    for dim in range(a.ndim):
        y = torch.from_numpy(a).logcumsumexp(dim).numpy()
        np.testing.assert_allclose(y, np.logaddexp.accumulate(a, dim), rtol=1e-13)
    x = torch.tensor([-np.inf, 1.0, np.nan, 2.0])
    assert x.logcumsumexp(0).isnan().tolist() == [False, False, True, True]
    x = torch.tensor([-np.inf, 0.0, 1.0], requires_grad=True)
    x.logcumsumexp(0).sum().backward()
    assert x.grad[0] == 0 and not x.grad.isnan().any()


def test_scans_of_nothing_read_nothing():
    """Strides of an empty array may be anything; so its dims do not look like one."""
    for shape in itertools.product((0, 2, 3), repeat=3):
        a = np.zeros(shape, np.float32)
        for order in itertools.permutations(range(3)):
            view = torch.from_numpy(a).permute(order)
            for dim in range(3):
                assert view.cumsum(dim).shape == view.shape == view.flip(0).cumprod(dim).shape
                assert view.logcumsumexp(dim).shape == view.shape


def test_strided_inputs():
    a = sample((4, 5, 6))
    x = torch.from_numpy(a)
    for order in itertools.permutations(range(3)):
        view, expected = x.permute(order), a.transpose(order)
        for dim in all_dims(3):
            check(view.sum(dim), expected.sum(dim))
            check(view.var(dim, correction=0), expected.var(dim))
            check(view.amax(() if dim is None else dim), expected.max(dim))
        assert view.argmax().item() == expected.argmax()
        assert np.array_equal(view.argmax(1).numpy(), expected.argmax(1))
        check(view[1:, ::2].sum((0, 2)), expected[1:, ::2].sum((0, 2)))
        for dim in range(3):
            check(view.cumsum(dim), expected.cumsum(dim))
            check(view[1:, ::2].cumsum(dim), expected[1:, ::2].cumsum(dim))
            check(view.logcumsumexp(dim), np.logaddexp.accumulate(expected, dim))
            assert np.array_equal(view.cummin(dim).values.numpy(), np.minimum.accumulate(expected, dim))
    check(x[:, :1].expand(4, 3, 6).sum((1, 2)), np.broadcast_to(a[:, :1], (4, 3, 6)).sum((1, 2)))


@pytest.mark.parametrize("name", ["uint8", "int8", "int16", "int32", "int64", "bool"])
def test_integers(name):
    a = np.random.default_rng(0).integers(0, 2 if name == "bool" else 100, (9, 40)).astype(name)
    x = torch.from_numpy(a)
    assert x.sum().dtype is torch.int64 and x.sum().item() == a.sum(dtype=np.int64)
    assert np.array_equal(x.sum(0).numpy(), a.sum(0, dtype=np.int64))
    assert np.array_equal(x.prod(1).numpy(), a.prod(1, dtype=np.int64))
    assert np.array_equal(x.cumsum(1).numpy(), a.cumsum(1, dtype=np.int64))
    assert x.amax(1).dtype is x.dtype and np.array_equal(x.amax(1).numpy(), a.max(1))
    assert np.array_equal(x.argmin(0).numpy(), a.argmin(0))
    assert np.array_equal(x.any(0).numpy().astype(bool), a.any(0)) and np.array_equal(
        x.all(1).numpy().astype(bool), a.all(1)
    )
    assert x.count_nonzero().item() == np.count_nonzero(a)
    assert x.sum(dtype=torch.float32).dtype is torch.float32


def test_half_precisions():
    a = sample((30, 40), np.float32)
    for dtype in (torch.float16, torch.bfloat16):
        x = torch.from_numpy(a).to(dtype)
        for f in (
            lambda t: t.sum(1),
            lambda t: t.mean(0),
            lambda t: t.var(1),
            lambda t: t.amax(0),
            lambda t: t.norm(2, 1),
        ):
            assert f(x).dtype is dtype
            np.testing.assert_array_equal(f(x).float().numpy(), f(x.float()).to(dtype).float().numpy())


@pytest.mark.parametrize("shape", [(20_000,), (3, 9000), (5005, 3), (300, 700), (7, 5000, 2)])
def test_small_floats_in_pieces(shape):
    """Small floats are widened a piece at a time: what sums and extremes see is the float32 of each."""
    x = torch.from_numpy(sample(shape, np.float32)).half()
    for dim in (*range(x.ndim), None):
        wide = x.double().numpy()
        assert torch.equal(x.sum(dim), torch.from_numpy(np.asarray(wide.sum(dim))).half())
        assert np.array_equal(x.argmax(dim).numpy(), wide.argmax(dim))
        assert np.array_equal((x.amin(dim) if dim is not None else x.min()).double().numpy(), wide.min(dim))


def test_accuracy():
    """The error of a float32 sum is that of rounding it: a running sum in float32 would lose four digits here."""
    a = (np.random.default_rng(1).random(3_000_000) + 1).astype(np.float32)
    exact = a.sum(dtype=np.float64)
    assert abs(torch.from_numpy(a).sum().item() - exact) <= 2**-24 * exact
    columns = a.reshape(-1, 100)
    result = torch.from_numpy(columns).sum(0).numpy()
    assert (np.abs(result - columns.sum(0, dtype=np.float64)) <= 2**-23 * result).all()
    far = (np.random.default_rng(2).standard_normal(100_000) + 1e6).astype(np.float32)
    assert torch.from_numpy(far).var().item() == pytest.approx(far.astype(np.float64).var(ddof=1), rel=1e-6)
    assert torch.full((1000,), 1e37).mean().item() == np.float32(1e37)  # the sum is beyond float32
    assert torch.full((1000,), 1e30).norm().item() == pytest.approx(1e30 * 1000**0.5, rel=1e-6)
    assert torch.full((12345,), 0.1).var().item() == 0


def test_nan_and_ties():
    x = torch.tensor([[1.0, 3, 3], [float("nan"), 2, float("nan")]])
    assert x.max(1).indices.tolist() == [1, 0] and x.argmin(1).tolist() == [0, 0]
    assert x.amax(1)[0].item() == 3 and x.amax().isnan().item() and x.sum().isnan().item()
    assert x.nansum().item() == 9 and x.nanmean(0).tolist() == [1, 2.5, 3]
    long = torch.zeros(40000)
    long[39999] = long[17000] = 1
    assert long.argmax().item() == 17000
    long[3] = long[20000] = float("nan")
    assert long.argmax().item() == 3 and long.max().isnan().item()
    assert torch.tensor([1, 2, 2, 1]).cummax(0).indices.tolist() == [0, 1, 2, 2]
    for n, at in itertools.product((64, 71, 72, 200), (0, 7, 8, 63)):
        for value in (2.0, float("nan")):
            row = torch.zeros(2, n)
            row[:, at] = row[1, n - 1] = value
            assert row.max(1)[1].tolist() == [at, at]
            assert value != 2 or row.long().argmax(1).tolist() == [at, at]


def test_empty():
    x = torch.zeros(0, 3)
    assert x.sum().item() == 0 and x.prod().item() == 1 and x.sum(0).tolist() == [0, 0, 0] and x.sum(1).shape == (0,)
    assert x.mean().isnan().item() and x.var(0).isnan().all().item() and x.norm().item() == 0
    assert not x.any().item() and x.all().item() and x.cumsum(0).shape == (0, 3)
    with pytest.raises(IndexError, match="non-zero size"):
        x.amax(0)
    with pytest.raises(IndexError, match="non-zero size"):
        x.argmax(0)
    with pytest.raises(RuntimeError, match="numel"):
        x.max()
    assert x.amax(1).shape == (0,)


def test_errors():
    x = torch.ones(2, 3)
    with pytest.raises(IndexError, match="Dimension out of range"):
        x.sum(2)
    with pytest.raises(RuntimeError, match="multiple times"):
        x.sum((0, 0))
    with pytest.raises(RuntimeError, match="floating point"):
        torch.ones(3, dtype=torch.int64).mean()
    with pytest.raises(TypeError):
        x.sum("a")
    with pytest.raises(RuntimeError, match="floating"):
        torch.ones(3, dtype=torch.int64).var()


def test_signatures():
    x = torch.tensor([[1.0, 2], [3, 5]])
    assert x.sum(axis=1, keepdims=True).shape == (2, 1) and torch.max(x, x * 0 + 2.5).tolist() == [[2.5, 2.5], [3, 5]]
    assert x.var(unbiased=False).item() == pytest.approx(2.1875) and x.var(0, False).tolist() == [1, 2.25]
    assert torch.var(x, dim=0, correction=0).tolist() == [1, 2.25] and x.var(False).item() == pytest.approx(2.1875)
    variance, mean = torch.var_mean(x, 1)
    assert variance.tolist() == [0.5, 2] and mean.tolist() == [1.5, 4]
    values, indices = x.max(dim=1, keepdim=True)
    assert values.tolist() == [[2], [5]] and indices.tolist() == [[1], [1]] and x.max(1).values.tolist() == [2, 5]
    low, high = x.aminmax(dim=0)
    assert low.tolist() == [1, 2] and high.tolist() == [3, 5]
    out = torch.zeros(2)
    assert torch.sum(x, 0, out=out) is out and out.tolist() == [4, 7]


REDUCTIONS = {
    "sum": lambda x: x.sum(1),
    "mean": lambda x: x.mean((0, 2), True),
    "prod": lambda x: x.prod(1),
    "prod_all": lambda x: (x / 2).prod(),  # a product of thousands would drown the differences in rounding
    "var": lambda x: x.var((0, 1)),
    "std": lambda x: x.std(2, correction=0),
    "var_mean": lambda x: torch.var_mean(x, 1),
    "std_mean": lambda x: torch.std_mean(x, (0, 2)),
    "norm": lambda x: x.norm(2, 1),
    "norm1": lambda x: x.norm(1, (0, 2)),
    "norm3": lambda x: x.norm(3, 0),
    "amax": lambda x: x.amax((0, 1)),
    "min": lambda x: x.min(2).values,
    "max": lambda x: x.max(),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(2),
    "cummax": lambda x: x.cummax(1).values,
    "nansum": lambda x: x.nansum(0),
    "logcumsumexp": lambda x: x.logcumsumexp(1),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_derivatives(name):
    x = torch.from_numpy(sample((2, 3, 4), seed=5)).requires_grad_()
    assert gradcheck(REDUCTIONS[name], (x,))
    assert gradgradcheck(REDUCTIONS[name], (x,))


@pytest.mark.parametrize("name", ["prod", "prod_all", "cumprod"])
@pytest.mark.parametrize("zeros", [1, 2, 3])
def test_derivatives_of_products_with_zeros(name, zeros):
    a = sample((2, 3, 2), seed=6)
    a.reshape(-1)[:zeros] = 0
    x = torch.from_numpy(a).requires_grad_()
    assert gradcheck(REDUCTIONS[name], (x,))
    assert gradgradcheck(REDUCTIONS[name], (x,))


def test_gradients_at_ties_and_zero():
    x = torch.tensor([1.0, 3, 3, 2], requires_grad=True)
    assert torch.autograd.grad(x.amax(), x)[0].tolist() == [0, 0.5, 0.5, 0]
    assert torch.autograd.grad(x.max(), x)[0].tolist() == [0, 0.5, 0.5, 0]
    assert torch.autograd.grad(x.max(0).values, x)[0].tolist() == [0, 1, 0, 0]
    zero = torch.zeros(3, requires_grad=True)
    assert torch.autograd.grad(zero.norm(), zero)[0].tolist() == [0, 0, 0]
    assert torch.autograd.grad(zero.std(), zero)[0].tolist() == [0, 0, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.data())
def test_any_shape(shape, data):
    a = sample(shape, np.float32, seed=len(shape))
    dims = tuple(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    x = torch.from_numpy(a)
    check(x.sum(dims), a.astype(np.float64).sum(dims), np.float32)
    check(x.var(dims, correction=0), a.astype(np.float64).var(dims), np.float32)
    assert np.array_equal(x.amax(dims).numpy(), a.max(dims))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2, 3, 5, 17, 40]), min_size=1, max_size=4), st.data())
def test_any_strides(shape, data):
    """Permuted, sliced, repeated: as NumPy says."""
    dtype = data.draw(st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_]))
    a = (sample(shape) * 20).astype(dtype)
    x = torch.from_numpy(a)
    for _ in range(data.draw(st.integers(1, 3))):
        dim, kind = data.draw(st.integers(0, x.ndim - 1)), data.draw(st.sampled_from(["turn", "step", "cut", "repeat"]))
        if kind == "turn":
            x, a = x.movedim(dim, 0), np.moveaxis(a, dim, 0)
        elif kind == "repeat":
            x, a = x.unsqueeze(dim).expand(*x.shape[:dim], 3, *x.shape[dim:]), np.repeat(np.expand_dims(a, dim), 3, dim)
        else:
            cut = slice(None, None, 2) if kind == "step" else slice(1, -1)
            x, a = x[(slice(None),) * dim + (cut,)], a[(slice(None),) * dim + (cut,)]
    dims = tuple(sorted(data.draw(st.sets(st.integers(0, x.ndim - 1), min_size=1))))
    wide = a.astype(np.int64 if a.dtype.kind in "bui" else np.float64)
    tolerance = {"rtol": 1e-5, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-9}
    np.testing.assert_allclose(x.sum(dims).numpy(), wide.sum(dims), **tolerance)
    if all(a.shape[d] for d in dims):
        for keep in (False, True):
            assert np.array_equal(x.amax(dims, keep).numpy(), a.max(dims, keepdims=keep))
        assert np.array_equal(x.min(dims[0]).indices.numpy(), a.argmin(dims[0]))
        assert np.array_equal(x.any(dims[-1]).numpy(), a.any(dims[-1]))
    if a.dtype.kind == "f":
        gaps = torch.where(x < 5, x, float("nan"))
        np.testing.assert_allclose(gaps.nansum(dims).numpy(), np.where(wide < 5, wide, 0).sum(dims), **tolerance)
        np.testing.assert_allclose(x.nansum(dims).numpy(), x.sum(dims).numpy(), **tolerance)


@pytest.mark.parametrize("shape", [(60, 700), (700, 60), (3, 20000), (5, 40, 90)])
def test_elements_apart_have_the_bits_of_neighbours(shape):
    wide = torch.from_numpy(sample((*shape[:-1], 2 * shape[-1]), np.float32))
    half = torch.from_numpy(sample(shape, np.float32)).bfloat16()
    for x, same in ((wide[..., ::2], wide[..., ::2].contiguous()), (half, half.float())):
        for dim in (*range(x.ndim), None):
            assert torch.equal(x.sum(dim).float(), same.sum(dim).to(x.dtype).float())
            assert torch.equal(x.norm(dim=dim).float(), same.norm(dim=dim).to(x.dtype).float())


def test_same_bits_for_every_thread_count_and_level():
    shapes = [
        ((70000,), (0,)),
        ((3, 40000), (1,)),
        ((5000, 40), (0,)),
        ((100, 3, 500), (0, 2)),
        ((3000, 3), (0,)),
        ((64, 49), (1,)),
    ]
    inputs = [
        (torch.from_numpy(sample(shape, dtype)), dims) for shape, dims in shapes for dtype in (np.float32, np.float64)
    ]
    inputs += [(x[..., ::2], dims) for x, dims in inputs]
    inputs += [(x.movedim(0, -1), (0,)) for x, _ in inputs if x.ndim > 1]

    def results():
        return [
            t.numpy().tobytes()
            for x, dims in inputs
            for t in (
                x.sum(dims),
                x.mean(dims),
                x.var(dims),
                x.norm(2, dims),
                x.amax(dims),
                x.prod(dims[0]),
                x.max(dims[-1]).indices,
                x.cumsum(dims[-1]),
                x.logcumsumexp(dims[-1]),
                x.nansum(dims),
            )
        ]

    expected = results()
    for setting in every_setting():
        assert results() == expected, setting
