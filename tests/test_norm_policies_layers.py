"""Layers of batch normalization with a state of their own, and its relatives, against independent NumPy references."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from norm_references import SEEDS, SHAPES, Reference, close, randomized, rows_of, sample, tensor, unrowed, usable

import minitorch_bn as torch
from minitorch_bn import nn


@settings(max_examples=30)
@given(st.integers(1, 4), st.lists(st.integers(0, 3), min_size=1, max_size=12), SEEDS,
       st.sampled_from(["domain", "shared"]), st.sampled_from(["domain", "shared", None]))
def test_domains(channels, domains, seed, stats, affine):
    domains = np.array(domains)
    a = sample((len(domains), channels, 2), seed)
    layer = randomized(nn.DomainBatchNorm(channels, 4, stats=stats, affine=affine), seed)
    w, b = (np.ones((4, channels)), np.zeros((4, channels))) if affine is None else [
        np.broadcast_to(p.detach().numpy(), (4, channels)) for p in (layer.weight, layer.bias)]
    mean, var = layer.running_mean.numpy().copy(), layer.running_var.numpy().copy()
    for evaluate in (False, True):
        layer.train(not evaluate)
        expected = np.empty_like(a)
        for d in sorted(set(domains)) if stats == "domain" else [None]:
            chosen = domains == d if d is not None else np.ones(len(a), bool)
            rows, row = rows_of(a[chosen]), d or 0
            m, v = (mean[row], var[row]) if evaluate else (rows.mean(0), rows.var(0))
            xhat = unrowed((rows - m) / np.sqrt(v + 1e-5), (chosen.sum(), channels, 2))
            expected[chosen] = xhat * w[domains[chosen]][:, :, None] + b[domains[chosen]][:, :, None]
            if not evaluate:
                mean[row] = 0.9 * mean[row] + 0.1 * rows.mean(0)
                var[row] = 0.9 * var[row] + 0.1 * rows.var(0, ddof=1)
        close(layer(tensor(a), torch.from_numpy(domains)), expected)
        np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-12)
        np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-10)
    assert layer.num_batches_tracked.sum().item() == (len(set(domains)) if stats == "domain" else 1)


@settings(max_examples=25)
@given(st.integers(2, 6), st.integers(1, 7), st.integers(1, 3), st.integers(1, 5), SEEDS)
def test_recurrent_statistics_of_each_step(n, steps, channels, longest, seed):
    layer = randomized(nn.RecurrentBatchNorm(channels, longest), seed)
    other = randomized(nn.RecurrentBatchNorm(channels, longest), seed)
    w, b = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    a = sample((n, steps, channels), seed)
    mean, var = layer.running_mean.numpy().copy(), layer.running_var.numpy().copy()
    expected = np.empty_like(a)
    for t in range(steps):
        rows, row = a[:, t], min(t, longest - 1)
        expected[:, t] = (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5) * w + b
        mean[row] = 0.9 * mean[row] + 0.1 * rows.mean(0)
        var[row] = 0.9 * var[row] + 0.1 * rows.var(0, ddof=1)
    close(layer.sequence(tensor(a)), expected)
    for t in range(steps):
        close(other(tensor(a[:, t]), t), expected[:, t])
    for each in layer, other:
        np.testing.assert_allclose(each.running_mean.numpy(), mean, rtol=1e-11)
        np.testing.assert_allclose(each.running_var.numpy(), var, rtol=1e-10)
    rows = np.minimum(np.arange(steps), longest - 1)
    close(layer.eval().sequence(tensor(a)), (a - mean[rows]) / np.sqrt(var[rows] + 1e-5) * w + b)


def test_bnlstm_is_its_cell_step_by_step():
    lstm = randomized(nn.BNLSTM(3, 4, 5), 0)
    cell, x = lstm.layers[0], tensor(sample((6, 7, 3), 1))  # (T, N, input)

    def one_by_one(state=None):
        outputs = []
        for t, step in enumerate(x):
            state = cell(step, state, t)
            outputs.append(state[0])
        return torch.stack(outputs), state

    with nn.stats_frozen(lstm):
        y, (h, c) = lstm(x)
        expected, (h_last, c_last) = one_by_one()
    for mine, theirs in (y, expected), (h[0], h_last), (c[0], c_last):
        close(mine, theirs.detach().numpy())
    lstm.batch_first = True
    close(lstm.eval()(x.transpose(0, 1))[0], one_by_one()[0].transpose(0, 1).detach().numpy())
    with pytest.raises(ValueError, match="at least one step"):
        lstm(torch.zeros(3, 0, 3))


def test_bnlstm_without_normalization_is_lstm():
    """With identity in place of the norms it computes what nn.LSTM does."""
    lstm, plain = nn.BNLSTM(3, 4, 5).double(), nn.LSTM(3, 4).double()
    cell = lstm.layers[0]
    with torch.no_grad():
        cell.weight_ih.copy_(plain.weight_ih_l0)
        cell.weight_hh.copy_(plain.weight_hh_l0)
        cell.bias.copy_(plain.bias_ih_l0 + plain.bias_hh_l0)
        for norm in cell.bn_ih, cell.bn_hh, cell.bn_c:
            norm.weight.fill_(1)
            norm.eps = 0.0
    x = tensor(sample((5, 2, 3), 1))
    close(lstm.eval()(x)[0], plain(x)[0].detach().numpy())


def softmax(a):
    return np.exp(a) / np.exp(a).sum()


@settings(max_examples=25)
@given(st.integers(2, 5), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), SEEDS)
def test_alternatives(n, groups, width, height, seed):
    channels = 2 * groups
    a = sample((n, channels, height, width), seed)
    x = tensor(a)

    def affine(layer, y):
        w, b = (p.detach().numpy()[:, None, None] for p in (layer.weight, layer.bias))
        return y * w + b

    frn = randomized(nn.FilterResponseNorm(channels, learn_eps=True), seed)
    power = (a**2).mean((2, 3), keepdims=True) + np.abs(frn.learned_eps.detach().numpy())[:, None, None]
    close(frn(x), np.maximum(affine(frn, a / np.sqrt(power)), frn.tlu.tau.detach().numpy()[:, None, None]))

    evo = randomized(nn.EvoNormS0(channels, groups), seed)
    var = np.repeat(a.reshape(n, groups, -1).var(2), 2, 1)[:, :, None, None]
    gate = 1 / (1 + np.exp(-a * evo.v.detach().numpy()[:, None, None]))
    close(evo(x), affine(evo, a * gate / np.sqrt(var + 1e-5)))

    switch = randomized(nn.SwitchNorm(channels), seed)
    mean, var = switch.running_mean.numpy().copy(), switch.running_var.numpy().copy()
    p, q = (softmax(w.detach().numpy()) for w in (switch.mean_weight, switch.var_weight))
    batch = a.mean((0, 2, 3)), a.var((0, 2, 3))

    def switched(batch):
        means = [a.mean((2, 3)), a.mean((1, 2, 3))[:, None], batch[0][None]]
        variances = [a.var((2, 3)), a.var((1, 2, 3))[:, None], batch[1][None]]
        center, spread = (sum(k * v for k, v in zip(*pair)) for pair in ((p, means), (q, variances)))
        return affine(switch, (a - center[:, :, None, None]) / np.sqrt(spread[:, :, None, None] + 1e-5))

    close(switch(x), switched(batch))
    m = n * height * width
    mean, var = 0.9 * mean + 0.1 * batch[0], 0.9 * var + 0.1 * batch[1] * m / (m - 1)
    np.testing.assert_allclose(switch.running_mean.numpy(), mean, rtol=1e-11)
    close(switch.eval()(x), switched((mean, var)))


def test_iterative_whitening_whitens():
    a = sample((200, 6, 3), 0)
    a[:, 1] += 3 * a[:, 0]
    layer = nn.IterNorm(6, groups=2, iterations=30, eps=1e-9).double()
    y = rows_of(layer(tensor(a)).detach().numpy())
    for group in y[:, :3], y[:, 3:]:
        np.testing.assert_allclose(np.cov(group.T, bias=True), np.eye(3), atol=1e-8)
    exact, vectors = np.linalg.eigh(np.cov(rows_of(a)[:, :3].T, bias=True) + 1e-9 * np.eye(3))
    root = (vectors / np.sqrt(exact)) @ vectors.T
    np.testing.assert_allclose(0.1 * root + 0.9 * np.eye(3), layer.running_whitening[0].numpy(), rtol=1e-6, atol=1e-8)
    covariance = np.cov(rows_of(a)[:, :3].T, bias=True) + 1e-5 * np.eye(3)
    p, normed = np.eye(3), covariance / np.trace(covariance)
    for _ in range(5):
        p = 1.5 * p - 0.5 * p @ p @ p @ normed
    five = nn.IterNorm(3).double()
    close(five.whitening(tensor(covariance[None]))[0], p / np.sqrt(np.trace(covariance)))
    five.eval()
    close(five(tensor(a[:, :3])), a[:, :3])  # before training it is the identity


@settings(max_examples=40)
@given(SHAPES.filter(usable), SEEDS, st.sampled_from([None, "relu", ("leaky_relu", 0.2), "elu", "silu"]), st.booleans(),
       st.booleans())
def test_batch_norm_with_activation(shape, seed, act, inplace, residual):
    inplace = inplace and act not in ("relu", "silu")
    residual = residual and not inplace
    kind = {2: nn.BatchNormAct1d, 3: nn.BatchNormAct1d, 4: nn.BatchNormAct2d, 5: nn.BatchNormAct3d}[len(shape)]
    layer = randomized(kind(shape[1], act=act, inplace=inplace), seed)
    with torch.no_grad():
        layer.weight[0] = [0.0, 1e-4, -1e-3, -2.0][seed % 4]
    reference = Reference(layer)
    a, r, g = (sample(shape, seed + k) for k in range(3))
    x, rest = tensor(a).requires_grad_(), tensor(r).requires_grad_()
    y = layer(x, rest) if residual else layer(x)
    before = unrowed(reference.train(rows_of(a)), shape) + (r if residual else 0)
    slope = {"relu": 0.0, None: 1.0}.get(act, 0.2)
    sigmoid = 1 / (1 + np.exp(-before))
    value, derivative = {"elu": (np.where(before > 0, before, np.expm1(np.minimum(before, 0))),
                                 np.where(before > 0, 1, np.exp(np.minimum(before, 0)))),
                         "silu": (before * sigmoid, sigmoid * (1 + before * (1 - sigmoid)))}.get(
        act, (np.where(before > 0, before, slope * before), np.where(before > 0, 1, slope)))
    close(y, value)
    reference.check(layer)
    grads = torch.autograd.grad(y, [x, layer.weight, layer.bias, *[rest] * residual], tensor(g))
    dy, rows = rows_of(g * derivative), rows_of(a)
    sigma = np.sqrt(rows.var(0) + 1e-5)
    xhat = (rows - rows.mean(0)) / sigma
    expected = [unrowed((dy - dy.mean(0) - xhat * (dy * xhat).mean(0)) * reference.w / sigma, shape),
                (dy * xhat).sum(0), dy.sum(0), g * derivative]
    for mine, theirs in zip(grads, expected):
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=0, atol=1e-9 * max(1, np.abs(theirs).max()))


def test_inplace_keeps_no_input():
    big = 64 * 1000 * 4

    def kept(inplace):
        layer = nn.BatchNormAct1d(64, act=("leaky_relu", 0.01), inplace=inplace)
        z = layer(torch.randn(1000, 64).requires_grad_() * 2)
        before = torch.memory_stats()["allocated_bytes"] if hasattr(torch, "memory_stats") else 0
        return z, before

    empty = torch.memory_stats()["allocated_bytes"]
    y, plain = kept(False)
    del y
    z, small = kept(True)
    assert plain - small > 0.9 * big and z.requires_grad and empty >= 0
