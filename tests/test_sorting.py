"""Sorting and order statistics against NumPy: every dtype, stability, NaN, gradients, errors."""
import numpy as np
import pytest
from digest import at, settings

import minitorch_bn as torch
from minitorch_bn.autograd import gradcheck, gradgradcheck

RNG = np.random.default_rng(0)
DTYPES = list(torch._core.DTYPES.values())


def sample(shape, dtype):
    return torch.tensor(RNG.standard_normal(shape) * 40).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, dim", [((), 0), ((0,), 0), ((1,), 0), ((64,), 0), ((65,), 0), ((5000,), 0),
                                        ((7, 90, 3), 1),
                                        ((200, 20), 0), ((3, 0, 2), 1)])
def test_sort(shape, dim, dtype):
    x = sample(shape, dtype)
    values, order = x.sort(dim)
    want = np.argsort(np.atleast_1d(x.double().numpy()), axis=dim, kind="stable").reshape(shape)
    assert np.array_equal(order.numpy(), want) and values.dtype == dtype
    if shape:
        assert torch.equal(values, x.gather(dim, order))
        down = np.argsort(-np.atleast_1d(x.double().numpy()), axis=dim, kind="stable")
        assert np.array_equal(x.argsort(dim, descending=True).numpy(), down)
        for k in {0, 1, x.shape[dim] // 3, x.shape[dim]} if x.shape[dim] else {0}:
            top, where = x.topk(k, dim)
            assert np.array_equal(where.numpy(), np.take(down, range(k), dim))
            assert torch.equal(top, x.gather(dim, where))
            _, where = x.topk(k, dim, largest=False)
            assert np.array_equal(where.numpy(), np.take(want, range(k), dim))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_neighbours_differ_in_their_last_bit(dtype):
    x = torch.cat([torch.arange(1, 200), -torch.arange(1, 200)]).double()
    x = (x.sign() + x * torch.finfo(dtype).eps).to(dtype)  # 1 + k eps and -(1 + k eps)
    shuffled = x[torch.tensor(RNG.permutation(len(x)))]
    for descending in (False, True):
        want = np.sort(x.numpy())[::-1 if descending else 1]
        assert np.array_equal(shuffled.sort(descending=descending)[0].numpy(), want)
        assert np.array_equal(shuffled.topk(50, largest=descending)[0].numpy(), want[:50])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nan_infinity_and_both_zeros(dtype):
    x = torch.tensor([1.0, float("nan"), -0.0, float("inf"), 0.0, float("-inf"), float("nan"), -1.0] * 20, dtype=dtype)
    values, order = x.sort()
    assert values[-40:].isnan().all() and values[:20].tolist() == [-float("inf")] * 20
    zeros = values[40:80]
    assert (zeros == 0).all() and zeros.signbit().tolist() == [True, False] * 20  # equal: they keep their order
    assert order[-40:].tolist() == sorted(order[-40:].tolist())
    assert x.sort(descending=True)[0][:40].isnan().all()
    assert x.topk(3)[0].isnan().all() and x.median().isnan()


def test_extreme_integers():
    x = torch.tensor([2 ** 63 - 1, -2 ** 63, 0, -1, 1] * 30)
    assert x.sort()[0].tolist() == sorted(x.tolist())


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_order_statistics(dim):
    x = RNG.standard_normal((4, 5, 7))
    t = torch.tensor(x)
    rows = np.sort(x, dim)
    n = x.shape[dim]
    assert np.array_equal(t.median(dim)[0].numpy(), np.take(rows, (n - 1) // 2, dim))
    assert np.array_equal(t.kthvalue(2, dim, keepdim=True)[0].numpy(), np.take(rows, [1], dim))
    assert t.median().item() == np.sort(x.reshape(-1))[(x.size - 1) // 2]
    x[1, 2, 3] = np.nan
    x[0] = np.nan
    t = torch.tensor(x)
    assert np.array_equal(t.median(dim)[0].isnan().numpy(), np.isnan(x).any(dim))
    counts = (~np.isnan(x)).sum(dim, keepdims=True)
    want = np.take_along_axis(np.sort(x, dim), np.maximum(counts - 1, 0) // 2, dim).squeeze(dim)
    assert np.array_equal(t.nanmedian(dim)[0].numpy(), want, equal_nan=True)


def test_mode():
    x = RNG.integers(0, 4, (6, 30, 2))
    values, where = torch.tensor(x).mode(1)
    for i in range(6):
        for j in range(2):
            counts = np.bincount(x[i, :, j], minlength=4)
            assert values[i, j] == counts.argmax() and where[i, j] == np.flatnonzero(x[i, :, j] == counts.argmax())[-1]
    nan, many = float("nan"), torch.tensor(RNG.integers(0, 9, 500))
    assert torch.tensor([2.0, nan, 1, nan, 2, -0.0, nan]).mode().indices.item() == 6  # a NaN equals a NaN here
    assert torch.tensor([0.0, 3, -0.0, 3, 0]).mode()[1].item() == 4
    for dtype in (torch.uint8, torch.int32, torch.float64, torch.bfloat16):
        assert many.to(dtype).mode()[0].item() == many.bincount().argmax().item()
    assert torch.tensor([True, False, True]).mode()[0].item() is True


def test_unique():
    x = RNG.integers(-3, 4, (6, 7))
    values, inverse, counts = torch.tensor(x).unique(return_inverse=True, return_counts=True)
    want = np.unique(x, return_counts=True)
    assert np.array_equal(values.numpy(), want[0]) and np.array_equal(counts.numpy(), want[1])
    assert np.array_equal(values[inverse].numpy(), x)
    y = RNG.integers(0, 2, (40, 3))
    values, inverse, counts = torch.tensor(y).unique(dim=0, return_inverse=True, return_counts=True)
    want = np.unique(y, axis=0, return_counts=True)
    assert np.array_equal(values.numpy(), want[0]) and np.array_equal(counts.numpy(), want[1])
    assert np.array_equal(values[inverse].numpy(), y)
    values, inverse, counts = torch.unique_consecutive(torch.tensor([1, 1, 2, 2, 2, 1]), return_inverse=True,
                                                       return_counts=True)
    assert (values.tolist(), inverse.tolist(), counts.tolist()) == ([1, 2, 1], [0, 0, 1, 1, 1, 2], [2, 3, 1])
    assert torch.zeros(0).unique().shape == (0,)
    assert torch.isin(torch.tensor([1, 2, 3]), torch.tensor([3, 1])).tolist() == [True, False, True]


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.uint8])
def test_searchsorted(right, dtype):
    rows, values = sample((4, 50), dtype).sort()[0], sample((4, 300), dtype)
    side = "right" if right else "left"
    want = np.stack([np.searchsorted(r, v, side) for r, v in zip(rows.numpy(), values.numpy())])
    assert np.array_equal(torch.searchsorted(rows, values, right=right).numpy(), want)
    assert np.array_equal(torch.searchsorted(rows[0], values, side=side).numpy(),
                          np.searchsorted(rows[0].numpy(), values.numpy(), side))
    assert torch.equal(torch.bucketize(values, rows[0], right=right), torch.searchsorted(rows[0], values, right=right))
    if dtype.is_floating_point:             # NaN is last, also among what is looked for
        rows[0, -3:] = values[0, :5] = float("nan")
        assert torch.searchsorted(rows[0], values[0, :5], right=right).tolist() == [50 if right else 47] * 5
        assert torch.searchsorted(rows[0], torch.full((9,), float("inf"), dtype=dtype), right=True).tolist() == [47] * 9
    assert torch.searchsorted(rows[0, :0], values[0], right=right).eq(0).all()
    shuffled = torch.randperm(50)
    back = rows[0][shuffled]
    assert torch.equal(torch.searchsorted(back, values[0], sorter=back.argsort(), right=right),
                       torch.searchsorted(rows[0], values[0], right=right))


def test_gradients():
    x = torch.tensor(RNG.standard_normal((3, 5)), requires_grad=True)
    for f in (lambda x: x.sort(0)[0], lambda x: x.topk(2, 1)[0], lambda x: x.kthvalue(2, 1)[0],
              lambda x: x.median(1)[0],
              lambda x: x.median()):
        assert gradcheck(f, (x,))
        assert gradgradcheck(f, (x,))


@pytest.mark.parametrize("error, call", [
    (RuntimeError, lambda x: x.topk(6, 1)), (RuntimeError, lambda x: x.kthvalue(0)), (IndexError, lambda x: x.sort(2)),
    (IndexError, lambda x: x[:, :0].median(1)), (RuntimeError, lambda x: torch.searchsorted(x, x[0])),
    (RuntimeError, lambda x: torch.searchsorted(x[0], x.double())), (RuntimeError, lambda x: torch.bucketize(x, x)),
    (RuntimeError, lambda x: torch.searchsorted(x[0], x, sorter=torch.full((5,), 9))),
])
def test_errors(error, call):
    with pytest.raises(error):
        call(torch.zeros(3, 5))


def test_same_bits_everywhere():
    x = sample((300, 400), torch.float32)
    seen = set()
    for level, threads in settings():
        with at(level, threads):
            seen.add(b"".join(r.numpy().tobytes() for r in (*x.sort(1), *x.sort(0), *x.topk(7, 1), *x.topk(50, 0))))
    assert len(seen) == 1
