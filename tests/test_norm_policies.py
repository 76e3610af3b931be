"""Each policy of batch normalization against an independent NumPy float64 reference, and PyTorch where it has it."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from norm_references import (
    KINDS,
    MOMENTA,
    SEEDS,
    SHAPES,
    Reference,
    close,
    randomized,
    rows_of,
    sample,
    tensor,
    unrowed,
    usable,
)

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn.nn import norms


@settings(max_examples=40)
@given(SHAPES, SEEDS, MOMENTA, st.booleans(), st.integers(-4, 4))
def test_axis_and_layout(shape, seed, momentum, unbiased, axis):
    axis = max(-len(shape), min(axis, len(shape) - 1))
    position = axis % len(shape)
    a = sample(shape, seed)  # channels at 1
    moved = np.moveaxis(a, 1, position)
    layer = randomized(KINDS[len(shape)](shape[1], momentum=momentum, axis=axis, unbiased_running=unbiased), seed)
    reference = Reference(layer)
    close(layer(tensor(np.ascontiguousarray(moved))), np.moveaxis(unrowed(reference.train(rows_of(a), unbiased), shape),
                                                                 1, position))
    reference.check(layer)
    layer.eval()
    close(layer(tensor(moved)), np.moveaxis(unrowed(reference.evaluate(rows_of(a)), shape), 1, position))
    reference.check(layer)


@settings(max_examples=40)
@given(SHAPES, SEEDS, MOMENTA, st.floats(0, 1), st.booleans())
def test_masked(shape, seed, momentum, share, as_floats):
    a = sample(shape, seed)
    mask = np.random.default_rng(seed).random((shape[0], *shape[2:])) < share
    if mask.sum() == 1:
        mask[...] = False
    layer = randomized(KINDS[len(shape)](shape[1], momentum=momentum), seed)
    reference = Reference(layer)
    padded = np.where(np.expand_dims(mask, 1), a, np.nan)  # what does not count cannot be seen
    given_mask = torch.from_numpy(mask)
    given_mask = given_mask.double().unsqueeze(1) if as_floats else given_mask
    for evaluate in (False, True):
        layer.train(not evaluate)
        x = tensor(padded).requires_grad_()
        y = layer(x, mask=given_mask)
        expected = np.zeros_like(rows_of(a))
        expected[mask.ravel()] = (reference.evaluate if evaluate else reference.train)(rows_of(a)[mask.ravel()])
        close(y, unrowed(expected, shape))
        reference.check(layer)
        g, = torch.autograd.grad(y, x, tensor(sample(shape, seed + 1)))
        outside = np.moveaxis(g.numpy(), 1, -1)[~mask]
        assert not outside.any() and np.isfinite(g.numpy()).all()


def test_a_mask_that_fits_no_position_is_explained():
    with pytest.raises(ValueError, match=r"expected a mask of shape \(2, 4, 5\).*got \(2, 4\)"):
        nn.BatchNorm2d(3)(torch.zeros(2, 3, 4, 5), mask=torch.ones(2, 4))
    with pytest.raises(ValueError, match="same for all channels"):
        nn.BatchNorm2d(3)(torch.zeros(2, 3, 4, 5), mask=torch.ones(2, 3, 4, 5))


def ghosts(n, size):
    """The rule again: whole ghosts from the left; a rest of more than half a ghost stands alone, or joins the last."""
    edges = list(range(0, n, size)) + [n]
    if len(edges) > 2 and 2 * (edges[-1] - edges[-2]) <= size:
        del edges[-2]
    return list(pairwise(edges))


@settings(max_examples=50)
@given(st.integers(2, 40), st.integers(2, 9), st.integers(1, 3), st.integers(1, 3), SEEDS, MOMENTA)
def test_ghost(n, size, channels, positions, seed, momentum):
    shape = (n, channels, positions)
    a = sample(shape, seed)
    layer = randomized(nn.BatchNorm1d(channels, momentum=momentum, ghost=size), seed)
    reference = Reference(layer)
    assert sum(stop - start for start, stop in ghosts(n, size)) == n
    expected = np.concatenate([unrowed(reference.train(rows_of(a[i:j])), (j - i, *shape[1:]))
                               for i, j in ghosts(n, size)])
    close(layer(tensor(a)), expected)
    reference.check(layer)  # each ghost moved them in its turn
    layer.eval()
    close(layer(tensor(a)), unrowed(reference.evaluate(rows_of(a)), shape))


@settings(max_examples=40)
@given(SHAPES.filter(usable), SEEDS, MOMENTA, st.integers(0, 40), st.sampled_from([(0, 0, 0), (5, 40, 25), (5, 5, 9)]))
def test_renorm(shape, seed, momentum, seen, schedule):
    policy = norms.Renorm(3.0, 5.0, *schedule)
    a = sample(shape, seed)
    layer = randomized(KINDS[len(shape)](shape[1], momentum=momentum, renorm=policy), seed)
    layer.num_batches_tracked.fill_(seen)
    reference = Reference(layer)
    warmup, r_end, d_end = schedule
    r_max = 1 + 2 * np.clip((seen - warmup) / (r_end - warmup), 0, 1) if r_end > warmup else 1 + 2 * (seen >= warmup)
    d_max = 5 * np.clip((seen - warmup) / (d_end - warmup), 0, 1) if d_end > warmup else 5 * (seen >= warmup)
    rows = rows_of(a)
    mean, sigma = rows.mean(0), np.sqrt(rows.var(0) + layer.eps)
    old = np.sqrt(reference.var + layer.eps)
    r = np.clip(sigma / old, 1 / r_max, r_max)
    d = np.clip((mean - reference.mean) / old, -d_max, d_max)
    expected = ((rows - mean) / sigma * r + d) * reference.w + reference.b
    step = 1 / (seen + 1) if momentum is None else momentum
    x = tensor(a).requires_grad_()
    y = layer(x)
    close(y, unrowed(expected, shape))
    reference.mean = (1 - step) * reference.mean + step * mean
    reference.var = ((1 - step) * old + step * sigma) ** 2 - layer.eps  # the paper moves sigma
    reference.seen = seen + 1
    reference.check(layer)
    g = sample(shape, seed + 1)
    dx, dw, db = torch.autograd.grad(y, [x, layer.weight, layer.bias], tensor(g))
    g_rows, xhat = rows_of(g), (rows - mean) / sigma
    close(dw, (g_rows * (xhat * r + d)).sum(0))
    close(db, g_rows.sum(0))
    close(dx, unrowed((g_rows - g_rows.mean(0) - xhat * (g_rows * xhat).mean(0)) * reference.w * r / sigma, shape))


def test_renorm_with_wide_limits_is_evaluation_of_the_running_statistics():
    layer = randomized(nn.BatchNorm1d(3, renorm=norms.Renorm(1e9, 1e9, 0, 0, 0)), 0)
    x = tensor(sample((6, 3), 1))
    with nn.stats_frozen(layer):
        y = layer(x)
    np.testing.assert_allclose(y.detach().numpy(), layer.eval()(x).detach().numpy(), rtol=1e-11)


def test_the_papers_schedule_in_proportion():
    assert norms.Renorm.over(130_000) == norms.Renorm()
    assert norms.Renorm().limits(4999) == (1, 0) and norms.Renorm().limits(10**6) == (3, 5)
    assert norms.Renorm().limits(22_500) == (2, 5 * 17_500 / 20_000)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(lambda sizes: sum(sizes) > 1), st.integers(1, 4),
       SEEDS)
def test_shards_of_any_size_make_the_whole_batch(sizes, channels, seed):
    a = sample((sum(sizes), channels, 2), seed)
    plain = randomized(nn.BatchNorm1d(channels), seed)
    reference = Reference(plain)
    x = tensor(a).requires_grad_()
    parts, found = norms.synchronized(x.split(sizes), plain.weight, plain.bias, plain.eps)
    y = torch.cat(parts)
    close(y, unrowed(reference.train(rows_of(a)), a.shape))
    assert found.n == sum(sizes) * 2
    close(found.mean, rows_of(a).mean(0))
    close(found.var, rows_of(a).var(0))
    g = tensor(sample(a.shape, seed + 1))
    inputs = [x, plain.weight, plain.bias]
    for mine, whole in zip(torch.autograd.grad(y, inputs, g), torch.autograd.grad(plain(x), inputs, g)):
        close(mine, whole.numpy())


@settings(max_examples=25)
@given(SHAPES.filter(usable), SEEDS, MOMENTA, st.integers(1, 9))
def test_virtual_workers(shape, seed, momentum, workers):
    a = sample(shape, seed)
    for kind in KINDS[len(shape)], nn.SyncBatchNorm:
        layer = randomized(kind(shape[1], momentum=momentum, virtual_workers=workers), seed)
        reference = Reference(layer)
        close(layer(tensor(a)), unrowed(reference.train(rows_of(a)), shape))
        reference.check(layer)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=8), SEEDS, st.floats(0, 1e6))
def test_merging_is_that_of_all_values_in_any_order(sizes, seed, offset):
    parts = [sample((n, 3), seed + i) + offset for i, n in enumerate(sizes)]
    whole = np.concatenate(parts)
    for order in (parts, parts[::-1]):
        total = norms.merge(norms.moments(tensor(part)) for part in order)
        assert total.n == len(whole)
        if total.n:
            np.testing.assert_allclose(total.mean.numpy(), whole.mean(0), rtol=1e-12)
            np.testing.assert_allclose(total.var.numpy(), whole.var(0), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("theirs", ["BatchNorm1d", "BatchNorm2d"])
def test_as_pytorch(theirs):
    """SyncBatchNorm's numbers, and those of eval after training with momentum None."""
    pytorch = pytest.importorskip("torch")
    shape = (7, 3) if theirs == "BatchNorm1d" else (7, 3, 2, 2)
    for options in {}, {"virtual_workers": 3}, {"ghost": 7}:
        for momentum in 0.3, None:
            mine = getattr(nn, theirs)(3, momentum=momentum, **options).double()
            other = getattr(pytorch.nn, theirs)(3, momentum=momentum).double()
            for seed in range(3):
                a = sample(shape, seed)
                np.testing.assert_allclose(mine(tensor(a)).detach().numpy(),
                                           other(pytorch.from_numpy(a)).detach().numpy(), rtol=1e-9, atol=1e-11)
            for name, value in other.state_dict().items():
                np.testing.assert_allclose(mine.state_dict()[name].numpy(), value.numpy(), rtol=1e-11)
