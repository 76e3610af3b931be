"""Pooling against plain loops in NumPy, gradients of order one and two, NaN, indices, errors, and bits."""
import itertools

import numpy as np
import pytest
from digest import at, settings

import minitorch_bn as torch
import minitorch_bn.nn.functional as F
from minitorch_bn.autograd import gradcheck, gradgradcheck

RNG = np.random.default_rng(0)


def windows(x, nd, k, s, p, dil, ceil):
    """Yield (output position, elements, their flat positions, size with padding) of each window of a plane."""
    shape = x.shape
    span = (k - 1) * dil + 1
    outs = []
    for n in shape:
        room = n + 2 * p - span
        out = (-(-room // s) if ceil else room // s) + 1
        if ceil and (out - 1) * s >= n + p:
            out -= 1
        outs.append(out)
    for cell in itertools.product(*map(range, outs)):
        starts = [c * s - p for c in cell]
        places = [[i for i in range(a, a + span, dil) if 0 <= i < n] for a, n in zip(starts, shape)]
        positions = [np.ravel_multi_index(q, shape) for q in itertools.product(*places)]
        padded = np.prod([min(a + span, n + p) - a for a, n in zip(starts, shape)])
        yield outs, cell, x.reshape(-1)[positions], np.array(positions), padded


def reference(x, nd, k, s, p, dil, ceil, reduce):
    """reduce(elements, positions, padded size) of every window of every plane."""
    planes = x.reshape(-1, *x.shape[-nd:])
    results = []
    for plane in planes:
        out = None
        for outs, cell, values, positions, padded in windows(plane, nd, k, s, p, dil, ceil):
            out = np.zeros(outs) if out is None else out
            out[cell] = reduce(values, positions, padded)
        results.append(out)
    return np.stack(results).reshape(*x.shape[:-nd], *results[0].shape)


CASES = [(2, 2, 0, 1, False), (3, 2, 1, 1, False), (3, 1, 1, 1, False), (3, 2, 1, 2, True), (2, 3, 1, 1, True),
         (1, 1, 0, 1, False)]
SIZES = {1: [(2, 3, 23), (1, 40), (41, 5, 23)], 2: [(2, 2, 9, 8), (1, 5, 70)], 3: [(1, 2, 5, 4, 6)]}
NUMBERED = [(nd, shape, case) for nd in SIZES for shape in SIZES[nd] for case in CASES]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("nd, shape, case", NUMBERED)
def test_max_pool(nd, shape, case, dtype):
    k, s, p, dil, ceil = case
    x = np.round(RNG.standard_normal(shape) * 2)  # ties
    x.reshape(-1)[:2] = -np.inf
    y, where = getattr(F, f"max_pool{nd}d")(torch.tensor(x, dtype=dtype), k, s, p, dil, ceil, return_indices=True)
    assert np.array_equal(y.numpy(), reference(x, nd, *case, lambda v, at, n: v.max()))
    assert np.array_equal(where.numpy(), reference(x, nd, *case, lambda v, at, n: at[v.argmax()]))
    assert torch.equal(y, getattr(F, f"max_pool{nd}d")(torch.tensor(x, dtype=dtype), k, s, p, dil, ceil))


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("nd, shape, case", [c for c in NUMBERED if c[2][3] == 1])
def test_avg_pool(nd, shape, case, include):
    k, s, p, _, ceil = case
    x = RNG.standard_normal(shape)
    y = getattr(F, f"avg_pool{nd}d")(torch.tensor(x), k, s, p, ceil, include)
    want = reference(x, nd, *case, lambda v, at, padded: v.sum() / (padded if include else len(v)))
    np.testing.assert_allclose(y.numpy(), want, rtol=1e-13, atol=1e-15)
    if nd > 1:
        y = getattr(F, f"avg_pool{nd}d")(torch.tensor(x), k, s, p, ceil, include, 5)
        np.testing.assert_allclose(y.numpy(), reference(x, nd, *case, lambda v, at, n: v.sum() / 5), rtol=1e-13,
                                   atol=1e-15)


@pytest.mark.parametrize("nd", [1, 2, 3])
@pytest.mark.parametrize("out", [1, 2, 3, 7])
def test_adaptive(nd, out):
    shape = (2, 3, *(9, 4, 5)[:nd])
    x = RNG.standard_normal(shape)
    mean = getattr(F, f"adaptive_avg_pool{nd}d")(torch.tensor(x), out).numpy()
    top, where = getattr(F, f"adaptive_max_pool{nd}d")(torch.tensor(x), out, return_indices=True)
    flat = x.reshape(2, 3, -1)
    for cell in itertools.product(range(out), repeat=nd):
        box = tuple(slice(c * n // out, -(-(c + 1) * n // out)) for c, n in zip(cell, shape[2:]))
        part = x[(slice(None), slice(None), *box)].reshape(2, 3, -1)
        here = (slice(None), slice(None), *cell)
        np.testing.assert_allclose(mean[here], part.mean(-1), rtol=1e-12, atol=1e-15)
        assert np.array_equal(top.numpy()[here], part.max(-1))
        assert np.array_equal(np.take_along_axis(flat, where.numpy()[here][..., None], -1)[..., 0], part.max(-1))


def test_pad_in_inference_mode_and_after():
    x = torch.tensor(RNG.standard_normal((2, 3, 5, 6)), requires_grad=True)
    for mode in ("reflect", "replicate", "circular"):
        with torch.inference_mode():
            want = F.pad(x, (2, 1, 3, 0), mode)
        y = F.pad(x, (2, 1, 3, 0), mode)
        assert torch.equal(y, want)
        assert gradcheck(lambda x: F.pad(x, (2, 1, 3, 0), mode), (x,))  # noqa: B023


def test_bags_with_weights():
    w = torch.tensor(RNG.standard_normal((11, 6)), requires_grad=True)
    s = torch.tensor(RNG.standard_normal((4, 5)), requires_grad=True)
    at = torch.tensor(RNG.integers(0, 11, (4, 5)))
    y = F.embedding_bag(at, w, mode="sum", per_sample_weights=s)
    np.testing.assert_allclose(y.numpy(force=True), np.einsum("bl,bld->bd", s.numpy(force=True),
                                                              w.numpy(force=True)[at.numpy()]), rtol=1e-13)
    assert gradcheck(lambda w, s: F.embedding_bag(at, w, mode="sum", per_sample_weights=s), (w, s))


@pytest.mark.parametrize("mode", ["sum", "mean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bags(mode, dtype):
    table, at = RNG.standard_normal((50, 130)), RNG.integers(0, 50, (300, 7))
    w, places = torch.tensor(table, dtype=dtype, requires_grad=True), torch.tensor(at)
    want = table[at].sum(1) if mode == "sum" else table[at].mean(1)
    tolerance = {"rtol": 1e-5, "atol": 2e-6} if dtype is torch.float32 else {"rtol": 1e-12, "atol": 1e-14}
    for y in (F.embedding_bag(places, w, mode=mode), F.embedding_bag(places.int(), w, mode=mode),
              F.embedding_bag(places.reshape(-1), w, torch.arange(300) * 7, mode=mode)):
        np.testing.assert_allclose(y.numpy(force=True), want, **tolerance)
    g = RNG.standard_normal((300, 130))
    dw, = torch.autograd.grad(y, (w,), torch.tensor(g, dtype=dtype))
    expect = np.zeros_like(table)
    np.add.at(expect, at.reshape(-1), np.repeat(g / (1 if mode == "sum" else 7), 7, 0))
    np.testing.assert_allclose(dw.numpy(), expect, **{**tolerance, "atol": 2e-5 if dtype is torch.float32 else 1e-13})
    small = torch.tensor(table[:5, :3], requires_grad=True)
    few = torch.tensor([[0, 1, 1], [4, 2, 0]])
    assert gradcheck(lambda w: F.embedding_bag(few, w, mode=mode), (small,))
    assert gradgradcheck(lambda w: F.embedding_bag(few, w, mode=mode).square(), (small,))
    with pytest.raises(IndexError):
        F.embedding_bag(torch.tensor([[0, 50]]), w, mode=mode)


def test_adaptive_keeps_a_dim_with_none():
    assert F.adaptive_avg_pool2d(torch.zeros(1, 2, 5, 7), (None, 3)).shape == (1, 2, 5, 3)


@pytest.mark.parametrize("nd", [1, 2, 3])
def test_gradients(nd):
    x = torch.tensor(RNG.permutation(2 * 2 * 4 ** nd).reshape(2, 2, *[4] * nd) / 7.0, requires_grad=True)  # no ties
    for name, args in (("max_pool", (3, 2, 1)), ("avg_pool", (3, 2, 1)), ("adaptive_avg_pool", (3,)),
                       ("adaptive_max_pool", (3,)),
                       ("adaptive_avg_pool", (1,))):
        function = getattr(F, f"{name}{nd}d")
        assert gradcheck(lambda x: function(x, *args), (x,))  # noqa: B023
        assert gradgradcheck(lambda x: function(x, *args), (x,))  # noqa: B023


def test_adaptive_wide_cells_and_nan():
    x = RNG.standard_normal((3, 2, 7, 700))
    x[0, 1, 5, 350] = np.nan
    for out in ((2, 2), (3, 1), (2, 50)):
        cells = [[slice(i * n // o, -(-(i + 1) * n // o)) for i in range(o)] for o, n in zip(out, x.shape[2:])]
        for pool, reduce in ((F.adaptive_max_pool2d, np.max), (F.adaptive_avg_pool2d, np.mean)):
            want = [[reduce(x[:, :, a, b], (2, 3)) for b in cells[1]] for a in cells[0]]
            y = pool(torch.tensor(x), out).numpy()
            np.testing.assert_allclose(y, np.moveaxis(np.array(want), (0, 1), (2, 3)), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape, case", [((2, 5, 9), (3, 2, 1)), ((3, 8, 12), (2, 2, 0)), ((2, 7, 6), (4, 4, 0))])
def test_maxima_alone_with_nan(shape, case):
    x = RNG.standard_normal(shape)
    x[0, 2, 3] = x[-1, 0, -1] = np.nan
    x[1, :3, :3] = -np.inf
    alone, (both, _) = F.max_pool2d(torch.tensor(x), *case), F.max_pool2d(torch.tensor(x), *case, return_indices=True)
    assert np.array_equal(alone.numpy(), both.numpy(), equal_nan=True)


def test_max_unpool_is_the_inverse():
    x = torch.tensor(RNG.standard_normal((1, 2, 6, 6)))
    y, where = F.max_pool2d(x, 2, return_indices=True)
    z = F.max_unpool2d(y, where, 2)
    assert z.shape == x.shape and torch.equal(z[z != 0], x[z != 0]) and (z != 0).sum() == y.numel()


def test_nan_wins():
    x = torch.zeros(1, 4, 4)
    x[0, 1, 1] = float("nan")
    y, where = F.max_pool2d(x, 2, return_indices=True)
    assert y.isnan().tolist() == [[[True, False], [False, False]]] and where[0, 0, 0].item() == 5
    rows = torch.zeros(3, 4, 60)
    rows[1, 2, 31] = float("nan")
    for k in (2, 3, 4):                     # the rows are one to the kernel, or not
        for x in (rows, rows[..., :59]):
            assert F.max_pool1d(x, k).isnan().nonzero().tolist() == [[1, 2, 31 // k]]
    for cells in (1, 4, 7):
        y, where = F.adaptive_max_pool1d(rows, cells, return_indices=True)
        assert y.isnan().nonzero().tolist() == [[1, 2, 31 * cells // 60]] and where[1, 2, 31 * cells // 60].item() == 31


@pytest.mark.parametrize("shape, k", [((2, 6, 36), 3), ((5, 7, 12), 2), ((3, 1, 100), 5), ((1, 2, 4096), 4),
                                      ((0, 3, 8), 2)])
def test_rows_side_by_side(shape, k):
    """Rows that windows divide without a rest are taken several at once: the same maxima as with a rest."""
    x = torch.tensor(RNG.standard_normal(shape))
    assert torch.equal(F.max_pool1d(x, k), x.unflatten(-1, (-1, k)).amax(-1))
    assert torch.equal(F.max_pool1d(torch.cat([x, x[..., :1]], -1), k), F.max_pool1d(x, k))


def test_channels_last_and_strided_inputs():
    x = torch.tensor(RNG.standard_normal((2, 3, 8, 8)))
    for other in (x.contiguous(memory_format=torch.channels_last),
                  x.permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1)):
        for f in (F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d):
            assert torch.equal(f(other, 3), f(x, 3))


def test_half_precision_and_empty_batches():
    x = torch.tensor(RNG.standard_normal((2, 3, 8, 8)))
    assert F.max_pool2d(x.half(), 2).dtype == torch.float16
    assert torch.equal(F.max_pool2d(x.bfloat16(), 2), F.max_pool2d(x.bfloat16().float(), 2).bfloat16())
    assert F.max_pool2d(x[:0], 2).shape == (0, 3, 4, 4) and F.avg_pool2d(x[:0], 2).shape == (0, 3, 4, 4)


@pytest.mark.parametrize("shape, args, message", [
    ((3, 4), (2,), "3D or 4D"),
    ((1, 3, 4), (0,), "kernel size should be greater than zero"),
    ((1, 3, 4), (2, 0), "stride should not be zero"),
    ((1, 3, 4), (2, 1, 2), "pad should be at most half of effective kernel size"),
    ((1, 3, 4), (2, 1, -1), "must not be negative"),
    ((1, 3, 4), (9,), "output size is too small"),
    ((1, 3, 4), (1 << 62,), "below 2\\*\\*31"),
    ((1, 3, 4), ((2, 2, 2),), "must either be a single int"),
    ((1, 0, 4), (1,), "3D or 4D"),
])
def test_errors(shape, args, message):
    for f in (F.max_pool2d, F.avg_pool2d):
        with pytest.raises(RuntimeError, match=message):
            f(torch.zeros(shape), *args)


def test_integers_and_what_is_refused():
    x = torch.randint(-50, 50, (2, 3, 9, 8))
    y, at = F.max_pool2d(x, 3, 2, 1, return_indices=True)
    assert y.dtype == torch.int64 and torch.equal(y, F.max_pool2d(x.double(), 3, 2, 1).long())
    assert torch.equal(x.flatten(2).gather(2, at.flatten(2)), y.flatten(2))
    with pytest.raises(RuntimeError, match="not implemented"):
        F.max_pool2d(torch.zeros(1, 4, 4, dtype=torch.bool), 2)
    with pytest.raises(RuntimeError, match="divisor"):
        F.avg_pool2d(torch.zeros(1, 4, 4), 2, divisor_override=0)


def test_same_bits_everywhere():
    x = torch.tensor(RNG.standard_normal((8, 8, 33, 41)), dtype=torch.float32, requires_grad=True)
    seen = set()
    for level, threads in settings():
        with at(level, threads):
            parts = []
            for y in (F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1), F.adaptive_avg_pool2d(x, 5),
                      F.adaptive_avg_pool2d(x, 1)):
                parts += [y.detach(), torch.autograd.grad(y, x, torch.ones_like(y))[0]]
            seen.add(b"".join(p.numpy().tobytes() for p in parts))
    assert len(seen) == 1
