"""What is promised of batch norm on any input: accuracy, exact constants, poison that stays in its channel, fused and
unfused the same bits; and derivatives of every norm up to the third order, forward mode included."""

import itertools

import numpy as np
import pytest
from digest import every_setting
from hypothesis import given, settings
from hypothesis import strategies as st

import minitorch_bn as torch
import minitorch_bn.nn.functional as F
from minitorch_bn import ops
from minitorch_bn.autograd import gradcheck, gradgradcheck

LAYOUTS = [((16, 4, 9, 9), False), ((16, 4, 9, 9), True), ((1500, 5), False), ((9, 3, 211), False),
           ((3, 3, 5, 6, 7), False), ((3, 3, 5, 6, 7), True), ((6, 20, 7, 7), True), ((4, 40, 3, 3), False)]


def as_layout(a, last):
    """The array as a tensor, channels last in memory or not."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(a, 1, -1))).movedim(-1, 1) if last else torch.from_numpy(a)


def over(shape):
    """The dims of the statistics, and the shape of a channel's value."""
    return (0, *range(2, len(shape))), [1, -1] + [1] * (len(shape) - 2)


# -- accuracy ----------------------------------------------------------------------------------------------------------

@settings(max_examples=60, deadline=None)
@given(st.sampled_from(LAYOUTS), st.floats(0, 6), st.floats(-12, 12), st.sampled_from([1, -1]), st.integers(0, 999))
def test_variance_and_output_are_accurate_however_large_the_mean(layout, decades, scale, sign, seed):
    """Relative error of the variance below 1e-6, of the output below 5e-6, for |mean| / std up to 1e6, at any scale."""
    shape, last = layout
    dims, across = over(shape)
    a = np.random.default_rng(seed).standard_normal(shape) + sign * 10**decades
    a = (a * 10**scale).astype(np.float32)
    wide, c, m = a.astype(np.float64), shape[1], a.size // shape[1]
    mean, var, eps = wide.mean(dims), wide.var(dims), 1e-5 * 10 ** (2 * scale)
    expected = (wide - mean.reshape(across)) / np.sqrt(var.reshape(across) + eps)
    running = torch.zeros(c, dtype=torch.float64), torch.ones(c, dtype=torch.float64)
    y = F.batch_norm(as_layout(a, last), *running, training=True, momentum=1.0, eps=eps)
    np.testing.assert_allclose(running[1].numpy() * (m - 1) / m, var, rtol=1e-6)
    np.testing.assert_allclose(running[0].numpy(), mean, rtol=0, atol=1e-6 * 10**scale)
    np.testing.assert_allclose(y.numpy(), expected, rtol=0, atol=5e-6)


@pytest.mark.parametrize("outlier", [1e3, 1e6, -3e9])
@pytest.mark.parametrize(("shape", "last"), LAYOUTS)
def test_an_outlier_in_first_place(shape, last, outlier):
    """The statistics are shifted by the first value of a channel: it may lie anywhere."""
    dims, _ = over(shape)
    a = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    a[(0, slice(None), *(0,) * (len(shape) - 2))] = outlier
    var = torch.zeros(shape[1], dtype=torch.float64)
    F.batch_norm(as_layout(a, last), torch.zeros(shape[1]), var, training=True, momentum=1.0)
    np.testing.assert_allclose(var.numpy(), a.astype(np.float64).var(dims, ddof=1), rtol=1e-6)


@pytest.mark.parametrize(("shape", "last"), LAYOUTS)
def test_constant_channels_give_exactly_beta(shape, last):
    values = np.resize(np.float32([0, 0.1, 100, -3e7, 1e30, 5e-30, 3.4e38, 1e-45]), shape[1])
    bias = torch.randn(shape[1])
    x = as_layout(np.broadcast_to(values.reshape(over(shape)[1]), shape).astype(np.float32), last)
    y = F.batch_norm(x, None, None, torch.randn(shape[1]), bias, training=True)
    assert (y == bias.reshape(over(shape)[1])).all().item()


@pytest.mark.parametrize("scale", [1e30, 1e37, 1e-18])
@pytest.mark.parametrize(("shape", "last"), LAYOUTS)
def test_neither_overflow_nor_underflow(shape, last, scale):
    dims, across = over(shape)
    a = (np.random.default_rng(0).standard_normal(shape) * scale).astype(np.float32)
    wide = a.astype(np.float64)
    mean, var = wide.mean(dims).reshape(across), wide.var(dims).reshape(across)
    y = F.batch_norm(as_layout(a, last), None, None, training=True, eps=1e-5 * scale**2)
    np.testing.assert_allclose(y.numpy(), (wide - mean) / np.sqrt(var + 1e-5 * scale**2), rtol=0, atol=5e-6)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("shape", "last"), LAYOUTS)
def test_poison_stays_in_its_channel(shape, last, poison):
    rng = np.random.default_rng(0)
    a, g = rng.standard_normal((2, *shape)).astype(np.float32)
    weight, bias = torch.randn(shape[1]), torch.randn(shape[1])
    results = []
    for bad in (False, True):
        if bad:
            a[(-1, 1, *(-1,) * (len(shape) - 2))] = poison
        x, w = as_layout(a.copy(), last).requires_grad_(), weight.clone().requires_grad_()
        running = torch.zeros(shape[1]), torch.ones(shape[1])
        y = F.batch_norm(x, *running, w, bias, training=True)
        grads = torch.autograd.grad(y, (x, w), as_layout(g, last))
        results.append([t.detach().numpy() for t in (y, *grads, *running)])
    for clean, bad in zip(*results, strict=True):
        axis = 1 if clean.ndim > 1 else 0
        assert np.array_equal(np.delete(clean, 1, axis), np.delete(bad, 1, axis))
        if clean.ndim > 1:
            assert np.isnan(bad.take(1, axis)).any()


# -- fused ---------------------------------------------------------------------------------------------------------

def special_values(shape):
    """Normal numbers, and channels whose output is 0, -0, never or always above 0, or NaN."""
    a = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    weight, bias = np.ones(shape[1], np.float32), np.zeros(shape[1], np.float32)
    for c, (w, b) in enumerate([(1, 0), (0, -0.0), (-2, 1), (0.5, -20), (0.5, 20), (0, 0), (3, 0.3)]):
        if c < shape[1]:
            weight[c], bias[c] = w, b
    a[(0, shape[1] - 1, *(0,) * (len(shape) - 2))] = np.nan
    return a, weight, bias


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("added", [True, False])
@pytest.mark.parametrize(("shape", "last"), [*LAYOUTS, ((40, 8, 300), False), ((2, 2, 20000), False)])
def test_fused_has_the_bits_of_the_composition(shape, last, added, training):
    a, weight, bias = special_values(shape)
    rng = np.random.default_rng(1)
    r, g = (as_layout(rng.standard_normal(shape).astype(np.float32), last) for _ in range(2))

    def plain(x, w, b, residual=None):
        y = F.batch_norm(x, *running, w, b, training)
        return F.relu(y if residual is None else y + residual)

    def fused(x, w, b, residual=None):
        return ops.batch_norm_relu(x, *running, w, b, training, 0.1, 1e-5, residual)

    outcomes = []
    for f in (plain, fused):
        running = torch.zeros(shape[1]), torch.ones(shape[1])
        inputs = [as_layout(a, last), torch.from_numpy(weight), torch.from_numpy(bias), r.clone()][: 4 if added else 3]
        inputs = [t.detach().requires_grad_() for t in inputs]
        y = f(*inputs)
        outcomes.append([t.detach().numpy() for t in (y, *running, *torch.autograd.grad(y, inputs, g))])
    for expected, got in zip(*outcomes, strict=True):
        assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize("last", [False, True])
def test_results_larger_than_the_caches(last):
    """These are written past the caches: the same bits as in parts that are not."""
    shape = (5, 24, 191, 191)
    assert np.prod(shape) * 4 > 1 << 24
    rng = np.random.default_rng(0)
    x, r, g = (as_layout(rng.standard_normal(shape, dtype=np.float32), last) for _ in range(3))
    w, b, mean, var = (torch.rand(24) + 0.5 for _ in range(4))

    def evaluated(x, r, g):
        x, r = x.detach().requires_grad_(), r.detach().requires_grad_()
        y = ops.batch_norm_relu(x, mean, var, w, b, False, 0.1, 1e-5, r)
        return [y.detach(), *torch.autograd.grad(y, (x, r), g)]

    for whole, *parts in zip(evaluated(x, r, g), *(evaluated(x[i:i + 1], r[i:i + 1], g[i:i + 1]) for i in range(5)),
                             strict=True):
        assert whole.numpy().tobytes() == np.concatenate([p.numpy() for p in parts]).tobytes()
    x.requires_grad_()
    trained = []
    for _ in every_setting():
        y = F.batch_norm(x, None, None, w, b, training=True)
        trained.append([y.detach().numpy().tobytes(), torch.autograd.grad(y, x, g)[0].numpy().tobytes()])
    assert all(bits == trained[0] for bits in trained)
    mean, var = x.detach().mean((0, 2, 3)), x.detach().var((0, 2, 3), unbiased=False)
    np.testing.assert_allclose(y.detach().numpy(), F.batch_norm(x.detach(), mean, var, w, b).numpy(), atol=5e-6)


# -- derivatives -----------------------------------------------------------------------------------------------------

NORMS = {
    "batch": lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True, eps=1e-2),
    "batch_eval": lambda x, w, b: F.batch_norm(x, torch.arange(4.0).double(), torch.arange(1.0, 5).double(), w, b),
    "layer": lambda x, w, b: F.layer_norm(x * b[0], x.shape[1:], eps=1e-2) * w.reshape(across(x)),
    "layer_affine": lambda x, w, b: F.layer_norm(x.movedim(1, -1), (4,), w, b, eps=1e-2),
    "group": lambda x, w, b: F.group_norm(x, 2, w, b, eps=1e-2),
    "instance": lambda x, w, b: F.instance_norm(x, None, None, w, b, eps=1e-2),
    "rms": lambda x, w, b: F.rms_norm(x.movedim(1, -1) + b, (4,), w, eps=1e-2),
    "batch_relu": lambda x, w, b: ops.batch_norm_relu(x, None, None, w, b, True, 0.1, 1e-2),
    "batch_relu_add": lambda x, w, b: ops.batch_norm_relu(x, None, None, w, b, True, 0.1, 1e-2, 2 * x),
}


def across(x):
    return over(x.shape)[1]


def draw(rng, *shapes):
    return [torch.from_numpy(rng.standard_normal(shape)).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("name", NORMS)
def test_first_and_second_order(name, last):
    x, w, b = draw(np.random.default_rng(3), (3, 4, 3, 2), (4,), (4,))
    if last:
        x = as_layout(x.detach().numpy(), True).requires_grad_()
    assert gradcheck(NORMS[name], (x, w, b))
    assert gradgradcheck(NORMS[name], (x, w, b))


@pytest.mark.parametrize("name", NORMS)
def test_third_order(name):
    """The third derivative along random directions, against differences of the second."""
    rng = np.random.default_rng(4)
    shapes = (3, 4, 2, 2), (4,), (4,)
    point, first, second, step = (draw(rng, *shapes) for _ in range(4))
    (cotangent,) = draw(rng, (3, 4, 2, 2))

    def second_derivative(inputs):
        y = NORMS[name](*inputs)
        f = (y**2 * cotangent.detach().reshape(y.shape)).sum()
        for direction in (first, second):
            grads = torch.autograd.grad(f, inputs, create_graph=True)
            f = sum((g * d.detach()).sum() for g, d in zip(grads, direction, strict=True))
        return f

    third = torch.autograd.grad(second_derivative(point), point)
    got = sum((g * d.detach()).sum() for g, d in zip(third, step, strict=True)).item()
    h, values = 1e-5, []
    for sign in (1, -1):
        moved = [(p + sign * h * d).detach().requires_grad_() for p, d in zip(point, step, strict=True)]
        values.append(second_derivative(moved).item())
    assert got == pytest.approx((values[0] - values[1]) / (2 * h), rel=2e-6, abs=1e-6)


@pytest.mark.parametrize("name", NORMS)
def test_forward_mode_is_the_transpose_of_reverse_mode(name):
    """<u, J v> by jvp equals <J' u, v> by vjp, and J v is the difference quotient."""
    rng = np.random.default_rng(5)
    shapes = (5, 4, 3, 2), (4,), (4,)
    point, v = ([t.detach() for t in draw(rng, *shapes)] for _ in range(2))
    y, tangent = torch.func.jvp(NORMS[name], tuple(point), tuple(v))
    u = torch.from_numpy(rng.standard_normal(y.shape))
    inputs = [p.clone().requires_grad_() for p in point]
    grads = torch.autograd.grad(NORMS[name](*inputs), inputs, u)
    reverse = sum((g * d).sum() for g, d in zip(grads, v, strict=True)).item()
    assert (u * tangent).sum().item() == pytest.approx(reverse, rel=1e-10)
    h = 1e-6
    ahead, behind = (NORMS[name](*(p + s * h * d for p, d in zip(point, v, strict=True))) for s in (1, -1))
    np.testing.assert_allclose(tangent.numpy(), ((ahead - behind) / (2 * h)).numpy(), rtol=1e-6, atol=1e-6)


def test_jvp_of_batch_norm_in_closed_form():
    """y' = weight / std P(x') + weight' xhat + bias', P the projection that takes mean and xhat out (eps = 0)."""
    rng = np.random.default_rng(6)
    x, dx = rng.standard_normal((2, 7, 3, 4))
    w, b, dw, db = (t.reshape(1, 3, 1) for t in rng.standard_normal((4, 3)))
    std = x.std((0, 2), keepdims=True)
    xhat = (x - x.mean((0, 2), keepdims=True)) / std
    projected = dx - dx.mean((0, 2), keepdims=True) - xhat * (dx * xhat).mean((0, 2), keepdims=True)
    point = [torch.from_numpy(t) for t in (x, w.ravel(), b.ravel())]
    v = [torch.from_numpy(t) for t in (dx, dw.ravel(), db.ravel())]
    _, tangent = torch.func.jvp(lambda *p: F.batch_norm(p[0], None, None, *p[1:], training=True, eps=1e-300),
                                tuple(point), tuple(v))
    np.testing.assert_allclose(tangent.numpy(), w / std * projected + dw * xhat + db, rtol=1e-10, atol=1e-10)


# -- empty ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 4), (2, 3, 0), (0, 3, 4, 4), (2, 3, 0, 5), (0, 3, 2, 2, 2)])
def test_empty_batches_leave_running_statistics_alone(shape, fused):
    running = torch.arange(3.0), torch.arange(1.0, 4)
    before = [t.tolist() for t in running]
    x, w = torch.zeros(shape, requires_grad=True), torch.ones(3, requires_grad=True)
    for momentum, training in itertools.product((0.1, 1.0), (True, False)):
        if fused:
            y = ops.batch_norm_relu(x, *running, w, None, training, momentum, 1e-5)
        else:
            y = F.batch_norm(x, *running, w, None, training, momentum)
        y.sum().backward()
        assert y.shape == shape and x.grad.shape == shape and w.grad.tolist() == [0, 0, 0]
    assert [t.tolist() for t in running] == before
