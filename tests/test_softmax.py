"""Softmax, logsumexp, cross entropy, negative log-likelihood: against NumPy in float64; derivatives; errors; bits."""

import itertools

import numpy as np
import pytest
from digest import every_setting
from hypothesis import given, settings
from hypothesis import strategies as st

import minitorch_bn as torch
import minitorch_bn.nn.functional as F
from minitorch_bn.autograd import gradcheck, gradgradcheck

SHAPES = [
    (),
    (6,),
    (4, 5),
    (2, 3, 4),
    (7, 31),
    (7, 32),
    (3, 1000),
    (200, 10),
    (3, 70, 130),
    (2, 300, 3),
    (0, 3),
    (3, 0),
]


def sample(shape, dtype=np.float64, seed=0, scale=4.0):
    return np.asarray(np.random.default_rng(seed).standard_normal(shape) * scale, dtype)


def lse(a, dim, keepdims=False):
    if a.shape and a.shape[dim] == 0:
        return np.full(np.sum(a, dim, keepdims=keepdims).shape, -np.inf)
    top = a.max(dim, keepdims=True)
    result = np.log(np.exp(a - top).sum(dim, keepdims=True)) + top
    return result if keepdims else result.squeeze(dim)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients(shape, dtype):
    a, g = sample(shape, dtype), sample(shape, dtype, 1)
    wide, eps = a.astype(np.float64), 5e-6 if dtype == np.float32 else 1e-12
    for dim in range(len(shape)) if shape else [0]:
        if not shape:
            wide, g = wide.reshape(1), g.reshape(1)
        x = torch.from_numpy(a).requires_grad_()
        log = wide - lse(wide, dim, keepdims=True)
        y, z, s = F.softmax(x, dim), F.log_softmax(x, dim), torch.logsumexp(x, dim)
        np.testing.assert_allclose(y.detach().numpy().reshape(log.shape), np.exp(log), rtol=eps, atol=eps / 50)
        np.testing.assert_allclose(z.detach().numpy().reshape(log.shape), log, rtol=eps / 5, atol=eps)
        np.testing.assert_allclose(
            s.detach().numpy().reshape(lse(wide, dim).shape), lse(wide, dim), rtol=eps / 5, atol=eps / 5
        )
        p, cotangent = np.exp(log), torch.from_numpy(g.reshape(shape))
        for result, expected in (
            (y, p * (g - (g * p).sum(dim, keepdims=True))),
            (z, g - p * g.sum(dim, keepdims=True)),
        ):
            (dx,) = torch.autograd.grad(result, x, cotangent)
            np.testing.assert_allclose(
                dx.numpy().reshape(log.shape), expected, rtol=0, atol=eps * (1 + np.abs(g).sum(dim).max(initial=0) / 4)
            )
        (dx,) = torch.autograd.grad(s.sum(), x)
        np.testing.assert_allclose(dx.numpy().reshape(log.shape), p, rtol=0, atol=eps)


@pytest.mark.parametrize(
    ("shape", "target_shape"),
    [
        ((5, 4), (5,)), ((4,), ()), ((2, 4, 3), (2, 3)), ((2, 4, 3, 2), (2, 3, 2)), ((200, 10), (200,)),
        ((6, 500), (6,)),
        ((2, 4, 20), (2, 20)), ((3, 7, 11, 13), (3, 11, 13)),
    ],
)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_losses(shape, target_shape, reduction):
    rng, dim = np.random.default_rng(0), min(len(shape), 2) - 1
    classes = shape[dim]
    target = np.asarray(rng.integers(0, classes, target_shape))
    if target.ndim:
        target.flat[0] = -100
    a, weights = sample(shape), rng.random(classes) + 0.1
    log = a - lse(a, dim, keepdims=True)
    valid, clean = target != -100, np.where(target == -100, 0, target)
    for weight, smoothing in itertools.product((None, weights), (0.0, 0.1)):
        w = np.ones(classes) if weight is None else weight
        own = w[clean] * valid
        picked = -np.take_along_axis(log, np.expand_dims(clean, dim), dim).squeeze(dim) * own
        all_classes = -(log * w.reshape([-1] + [1] * (a.ndim - 1 - dim))).sum(dim) * valid
        nll = picked
        smooth = (1 - smoothing) * picked + smoothing / classes * all_classes
        kwargs = {"weight": None if weight is None else torch.from_numpy(weight), "reduction": reduction}
        for loss, expected in (
            (
                F.cross_entropy(torch.from_numpy(a), torch.from_numpy(target), label_smoothing=smoothing, **kwargs),
                smooth,
            ),
            (F.nll_loss(torch.from_numpy(log), torch.from_numpy(target), **kwargs), nll),
        ):
            total = {"none": lambda v: v, "sum": np.sum, "mean": lambda v, o=own: v.sum() / o.sum()}[reduction](
                expected
            )
            np.testing.assert_allclose(loss.numpy(), total, rtol=1e-12, atol=1e-12)
    p = np.moveaxis(rng.dirichlet(np.ones(classes), shape[:dim] + shape[dim + 1 :]), -1, dim)
    loss = F.cross_entropy(torch.from_numpy(a), torch.from_numpy(p), reduction=reduction)
    each = -(p * log).sum(dim)
    np.testing.assert_allclose(
        loss.numpy(), {"none": lambda v: v, "sum": np.sum, "mean": np.mean}[reduction](each), rtol=1e-12
    )


def losses():
    target = torch.tensor([1, -100, 3, 0, 2])
    weight = torch.tensor([0.5, 1, 2, 0.7], dtype=torch.float64)
    for reduction in ("none", "mean", "sum"):
        for w, smoothing in ((None, 0.0), (weight, 0.0), (weight, 0.2), (None, 0.2)):
            yield (
                f"{reduction} {w is not None} {smoothing}",
                lambda x, w=w, s=smoothing, r=reduction: F.cross_entropy(x, target, w, reduction=r, label_smoothing=s),
            )
        yield f"nll {reduction}", lambda x, r=reduction: F.nll_loss(x, target, weight, reduction=r)
    yield "softmax", lambda x: F.softmax(x, 1)
    yield "softmax of narrow columns", lambda x: F.softmax(x.reshape(2, 5, 2), 1)
    yield "log_softmax", lambda x: F.log_softmax(x, 0)
    yield "logsumexp", lambda x: torch.logsumexp(x, (0, 1), keepdim=True)
    yield "maps", lambda x: F.cross_entropy(x.reshape(1, 4, 5), torch.tensor([[0, 3, 1, -100, 2]]))
    stretch, labels = torch.linspace(-1, 1, 20, dtype=torch.float64), torch.arange(20).reshape(1, 20) * 7 % 5 - 1
    for reduction, smoothing in (("none", 0.2), ("mean", 0.0), ("sum", 0.2)):
        for w in (weight, None):
            yield (
                f"columns {reduction} {w is not None}",
                lambda x, w=w, r=reduction, s=smoothing: F.cross_entropy(
                    x[:, :, None] * stretch, labels.expand(5, 20), w, ignore_index=-1, reduction=r, label_smoothing=s
                ),
            )
        yield (
            f"nll of columns {reduction}",
            lambda x, r=reduction: F.nll_loss(
                x[:, :, None] * stretch, labels.expand(5, 20), weight, ignore_index=-1, reduction=r
            ),
        )


@pytest.mark.parametrize(("name", "f"), list(losses()))
def test_derivatives(name, f):
    x = torch.from_numpy(sample((5, 4), seed=3, scale=1.0)).requires_grad_()
    assert gradcheck(f, (x,))
    assert gradgradcheck(f, (x,))


def test_extreme_inputs():
    x = torch.tensor([[1e30, -1e30, 0.0], [-1e4, -1e4, -2e4], [float("-inf"), 0.0, 0.0]])
    assert F.softmax(x, 1).tolist() == [[1, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5]]
    assert F.log_softmax(x, 1)[1].tolist() == pytest.approx([-np.log(2), -np.log(2), -1e4 - np.log(2)])
    nothing = torch.full((2, 50), float("-inf"))
    assert torch.logsumexp(nothing, 1).tolist() == [float("-inf")] * 2 and F.softmax(nothing, 1).isnan().all().item()
    assert torch.logsumexp(torch.tensor([float("inf"), 1.0]), 0).item() == float("inf")
    assert F.softmax(torch.tensor([float("nan"), 1.0]), 0).isnan().all().item()
    y = torch.tensor([[0.0, -200.0]], requires_grad=True)
    loss = F.cross_entropy(y, torch.tensor([1]))
    assert loss.item() == 200 and torch.autograd.grad(loss, y)[0].tolist() == [[1, -1]]


def test_all_ignored():
    x = torch.zeros(2, 3, requires_grad=True)
    target = torch.tensor([-100, -100])
    assert F.cross_entropy(x, target).isnan().item() and F.nll_loss(x, target).isnan().item()
    loss = F.cross_entropy(x, target, reduction="sum")
    assert loss.item() == 0 and torch.autograd.grad(loss, x)[0].abs().sum().item() == 0
    assert F.cross_entropy(x, torch.tensor([1, 7]), ignore_index=7).item() == pytest.approx(np.log(3))


def test_errors():
    x = torch.zeros(4, 3)
    with pytest.raises(IndexError, match="Target 3 is out of bounds"):
        F.cross_entropy(x, torch.tensor([0, 1, 2, 3]))
    with pytest.raises(IndexError, match="Target -1 is out of bounds"):
        F.nll_loss(x, torch.tensor([0, 1, 2, -1]))
    many = torch.arange(50_000) % 3
    many[49_000] = 7
    with pytest.raises(IndexError, match="Target 7 is out of bounds"):
        F.nll_loss(torch.zeros(50_000, 3), many)
    assert F.nll_loss(torch.ones(50_000, 3), many, ignore_index=7).item() == -1
    with pytest.raises(ValueError, match=r"input batch_size \(4\) to match target batch_size \(3\)"):
        F.cross_entropy(x, torch.tensor([0, 1, 2]))
    with pytest.raises(RuntimeError, match="Long"):
        F.cross_entropy(x, torch.zeros(4))
    with pytest.raises(RuntimeError, match="3 classes"):
        F.cross_entropy(x, torch.tensor([0, 1, 2, 0]), torch.ones(4))
    with pytest.raises(ValueError, match="not a valid value for reduction"):
        F.cross_entropy(x, torch.tensor([0, 1, 2, 0]), reduction="max")
    with pytest.raises(IndexError, match="Dimension out of range"):
        F.softmax(x, 2)
    with pytest.raises(RuntimeError, match="label_smoothing"):
        F.cross_entropy(x, torch.tensor([0, 1, 2, 0]), label_smoothing=1.5)


def test_dtypes():
    x = torch.zeros(2, 4, dtype=torch.int64)
    assert F.softmax(x, 1, dtype=torch.float32).tolist() == [[0.25] * 4] * 2
    half = torch.randn(3, 40).to(torch.bfloat16).requires_grad_()
    for y in (
        F.softmax(half, 1),
        F.log_softmax(half, 1),
        torch.logsumexp(half, 1),
        F.cross_entropy(half, torch.tensor([1, 2, 3])),
    ):
        assert y.dtype is torch.bfloat16 and torch.autograd.grad(y.sum(), half)[0].dtype is torch.bfloat16


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(1, 80), st.integers(0, 69))
def test_a_row_does_not_see_the_others(rows, n, row):
    row %= rows
    x = torch.from_numpy(sample((rows, n), np.float32, rows))
    for f in (
        lambda t: F.softmax(t, 1),
        lambda t: F.log_softmax(t, 1),
        lambda t: torch.logsumexp(t, 1),
        lambda t: F.softmax(t.unsqueeze(2).expand(-1, -1, 3), 1),
    ):
        assert np.array_equal(f(x[row : row + 1]).numpy()[0], f(x).numpy()[row])


def test_same_bits_for_every_thread_count_and_level():
    inputs = [
        (sample(s, d), sample(s, d, 1))
        for s in SHAPES[1:10] + [(300, 700), (5000, 10)]
        for d in (np.float32, np.float64)
    ]

    def results():
        out = []
        for a, g in inputs:
            x = torch.from_numpy(a).requires_grad_()
            dim = min(1, a.ndim - 1)
            for y in (F.softmax(x, dim), F.log_softmax(x, dim)):
                out += [
                    y.detach().numpy().tobytes(),
                    torch.autograd.grad(y, x, torch.from_numpy(g))[0].numpy().tobytes(),
                ]
            out.append(torch.logsumexp(x, dim).detach().numpy().tobytes())
            if a.ndim == 2:
                loss = F.cross_entropy(x, torch.arange(a.shape[0]) % a.shape[1], label_smoothing=0.1)
                out += [loss.detach().numpy().tobytes(), torch.autograd.grad(loss, x)[0].numpy().tobytes()]
        return out

    expected = results()
    for setting in every_setting():
        assert results() == expected, setting


@pytest.mark.parametrize("loss", [F.nll_loss, F.cross_entropy])
def test_class_weights_that_change_after_forward(loss):
    x, target = torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 2, 1])
    grads = []
    for factor in (1, 10):
        weight, leaf = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), x.clone().requires_grad_()
        result = loss(leaf, target, weight, reduction="sum")
        weight.mul_(factor)
        result.backward()
        grads.append(leaf.grad)
    assert torch.equal(*grads)
