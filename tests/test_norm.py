"""Batch, instance, group, layer and RMS norm: values, statistics, derivatives of any order, layouts, accuracy, bits."""

import numpy as np
import pytest
from digest import every_setting
from hypothesis import given, settings
from hypothesis import strategies as st

import minitorch_bn as torch
import minitorch_bn.nn.functional as F
from minitorch_bn import ops
from minitorch_bn.autograd import gradcheck, gradgradcheck

SHAPES = [
    (4, 3),
    (64, 7),
    (4, 3, 5),
    (3, 2, 40),
    (8, 3, 6, 6),
    (2, 3, 2, 3, 4),
    (600, 64),
    (1030, 3),
    (3, 1, 17000),
    (2, 20, 16),
]


def sample(shape, dtype=np.float64, seed=0):
    return np.asarray(np.random.default_rng(seed).standard_normal(shape) * 2 + 3, dtype)


def leaf(shape, seed=0):
    return torch.from_numpy(sample(shape, seed=seed)).requires_grad_()


def along(value, ndim):
    """A value for each channel, ready to broadcast."""
    return value.reshape(-1, *[1] * (ndim - 2))


def reference(a, dims, weight, bias, g, eps=1e-5, centered=True):
    """y, mean, var and the gradients of x, and of weight and bias before they are summed, in NumPy float64."""
    a, g = a.astype(np.float64), g.astype(np.float64)
    mean = a.mean(dims, keepdims=True) if centered else 0.0
    var = ((a - mean) ** 2).mean(dims, keepdims=True)
    xhat = (a - mean) / np.sqrt(var + eps)
    wg = g * weight
    dx = wg - xhat * (wg * xhat).mean(dims, keepdims=True)
    if centered:
        dx = dx - wg.mean(dims, keepdims=True)
    return xhat * weight + bias, mean, var, dx / np.sqrt(var + eps), g * xhat, g


def check(result, expected, dtype):
    scale = max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(
        result.detach().numpy(), expected, rtol=0, atol=scale * (4e-6 if dtype == np.float32 else 1e-12)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm(shape, affine, dtype):
    a, g, c = sample(shape, dtype), sample(shape, dtype, 1) - 3, shape[1]
    dims, rest = (0, *range(2, len(shape))), a.size // c
    weight, bias = sample(c, dtype, 2), sample(c, dtype, 3)
    w, b = (along(weight, a.ndim), along(bias, a.ndim)) if affine else (1.0, 0.0)
    y, mean, var, dx, gx, gs = reference(a, dims, w, b, g)
    x = torch.from_numpy(a).requires_grad_()
    params = [torch.from_numpy(p).requires_grad_() for p in (weight, bias)] if affine else [None, None]
    running = torch.zeros(c, dtype=x.dtype), torch.ones(c, dtype=x.dtype)
    result = F.batch_norm(x, *running, *params, training=True, momentum=0.25)
    check(result, y, dtype)
    check(running[0], 0.25 * mean.ravel(), dtype)
    check(running[1], 0.75 + 0.25 * var.ravel() * rest / (rest - 1), dtype)
    grads = torch.autograd.grad(result, [x, *[p for p in params if p is not None]], torch.from_numpy(g))
    check(grads[0], dx, dtype)
    if affine:
        check(grads[1], gx.sum(dims), dtype)
        check(grads[2], gs.sum(dims), dtype)


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_in_eval_mode(shape):
    a, c = sample(shape, np.float32), shape[1]
    dims = (0, *range(2, len(shape)))
    mean, var, weight, bias = (
        sample(c, np.float32, 1),
        np.abs(sample(c, np.float32, 2)),
        sample(c, np.float32, 3),
        sample(c, np.float32, 4),
    )
    scale = 1 / np.sqrt(var.astype(np.float64) + 1e-5)
    xhat = (a - along(mean.astype(np.float64), a.ndim)) * along(scale, a.ndim)
    x, w, b = (torch.from_numpy(t).requires_grad_() for t in (a, weight, bias))
    running = torch.from_numpy(mean), torch.from_numpy(var)
    y = F.batch_norm(x, *running, w, b)
    check(y, xhat * along(weight, a.ndim) + along(bias, a.ndim), np.float32)
    assert np.array_equal(running[0].numpy(), mean) and np.array_equal(running[1].numpy(), var)
    g = sample(shape, np.float32, 5)
    dx, dw, db = torch.autograd.grad(y, (x, w, b), torch.from_numpy(g))
    check(dx, g * along(weight * scale, a.ndim), np.float32)
    check(dw, (g * xhat).sum(dims), np.float32)
    check(db, g.astype(np.float64).sum(dims), np.float32)
    half = F.batch_norm(torch.from_numpy(a[:1]), *running, w, b)  # a sample alone has the bits that it has in a batch
    assert np.array_equal(half.detach().numpy(), y.detach().numpy()[:1])


@pytest.mark.parametrize("shape", [(4, 3, 5, 6), (2, 40, 3, 3), (3, 20, 9, 1), (2, 3, 2, 3, 4)])
def test_channels_last(shape):
    a, g = sample(shape, np.float32), sample(shape, np.float32, 1)
    order = (0, *range(2, len(shape)), 1)
    back = (0, len(shape) - 1, *range(1, len(shape) - 1))
    plain = torch.from_numpy(a).requires_grad_()
    last = torch.from_numpy(np.ascontiguousarray(a.transpose(order))).permute(back).requires_grad_()
    w, b = torch.from_numpy(sample(shape[1], np.float32, 2)), torch.from_numpy(sample(shape[1], np.float32, 3))
    y, z = (F.batch_norm(t, None, None, w, b, training=True) for t in (plain, last))
    assert z.stride() == last.stride()
    check(z, y.detach().numpy(), np.float32)
    (dy,), (dz,) = (torch.autograd.grad(r, t, torch.from_numpy(g)) for r, t in ((y, plain), (z, last)))
    check(dz, dy.numpy(), np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "trailing"),
    [((4, 6), 1), ((2, 3, 5), 2), ((7,), 1), ((100, 33), 1), ((40, 768), 1), ((3, 20000), 1), ((5, 1), 1)],
)
def test_layer_and_rms_norm(shape, trailing, dtype):
    a, g = sample(shape, dtype), sample(shape, dtype, 1) - 3
    size, dims, lead = shape[-trailing:], tuple(range(-trailing, 0)), tuple(range(len(shape) - trailing))
    weight, bias = sample(size, dtype, 2), sample(size, dtype, 3)
    for centered, f in (
        (True, lambda x, w, b: F.layer_norm(x, size, w, b)),
        (False, lambda x, w, b: F.rms_norm(x, size, w, 1e-5)),
    ):
        y, _, _, dx, gx, gs = reference(a, dims, weight, bias if centered else 0.0, g, centered=centered)
        x, w, b = (torch.from_numpy(t).requires_grad_() for t in (a, weight, bias))
        result = f(x, w, b)
        check(result, y, dtype)
        grads = torch.autograd.grad(result, (x, w, b), torch.from_numpy(g), allow_unused=True)
        check(grads[0], dx, dtype)
        check(grads[1], gx.sum(lead), dtype)
        if centered:
            check(grads[2], gs.sum(lead), dtype)
        check(f(x, None, None), (y - (bias if centered else 0)) / weight, dtype)
        if len(shape) == 2:
            assert np.array_equal(f(x[-1:], w, b).detach().numpy(), result.detach().numpy()[-1:])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "groups"),
    [((2, 6, 4), 3), ((2, 6, 4, 8), 2), ((3, 4), 2), ((5, 4, 1, 3), 4), ((2, 4, 40), 1), ((2, 4, 9000), 2)],
)
def test_group_and_instance_norm(shape, groups, dtype):
    a, g, c = sample(shape, dtype), sample(shape, dtype, 1) - 3, shape[1]
    weight, bias = sample(c, dtype, 2), sample(c, dtype, 3)
    for count in {groups, c} if len(shape) > 2 else {groups}:
        split = (shape[0], count, c // count, *shape[2:])
        w, b = (along(p, a.ndim).reshape(1, count, c // count, *[1] * (a.ndim - 2)) for p in (weight, bias))
        y, _, _, dx, gx, gs = (
            np.reshape(t, shape) if np.size(t) == a.size else t
            for t in reference(a.reshape(split), tuple(range(2, a.ndim + 1)), w, b, g.reshape(split))
        )
        dims = (0, *range(2, a.ndim))
        functions = [lambda x, w, b, n=count: F.group_norm(x, n, w, b)]
        if count == c and np.prod(shape[2:]) > 1:
            functions.append(lambda x, w, b: F.instance_norm(x, None, None, w, b))
        for f in functions:
            x, p, q = (torch.from_numpy(t).requires_grad_() for t in (a, weight, bias))
            result = f(x, p, q)
            check(result, y, dtype)
            grads = torch.autograd.grad(result, (x, p, q), torch.from_numpy(g))
            for got, expected in zip(grads, (dx, gx.sum(dims), gs.sum(dims)), strict=True):
                check(got, expected, dtype)


def test_instance_norm_running_statistics():
    a = sample((3, 2, 50))
    mean, var = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    F.instance_norm(torch.from_numpy(a), mean, var, momentum=0.5)
    check(mean, 0.5 * a.mean((0, 2)), np.float64)
    check(var, 0.5 + 0.5 * a.var(2, ddof=1).mean(0), np.float64)


# -- accuracy ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("ratio", [0, 1, 1e2, 1e4, 1e6])
def test_error_does_not_grow_with_the_mean(ratio, last):
    a = (np.random.default_rng(0).standard_normal((64, 4, 784)) + ratio).astype(np.float32)
    wide = a.astype(np.float64)
    expected = (wide - wide.mean((0, 2), keepdims=True)) / np.sqrt(wide.var((0, 2), keepdims=True) + 1e-5)
    var = torch.zeros(4)
    x = torch.from_numpy(np.ascontiguousarray(a.transpose(0, 2, 1))).permute(0, 2, 1) if last else torch.from_numpy(a)
    y = F.batch_norm(x, torch.zeros(4), var, training=True, momentum=1.0).numpy()
    np.testing.assert_allclose(y, expected, rtol=0, atol=8e-7)
    np.testing.assert_allclose(var.numpy(), wide.var((0, 2), ddof=1), rtol=2e-7)


@pytest.mark.parametrize("value", [0, 0.1, 100, 3e7, 1e30, -5e-30])
def test_constant_channels_give_exactly_zero(value):
    x = torch.full((4, 8, 100), float(value))
    for t in (x, x.permute(0, 2, 1)[:, :8], x.reshape(-1, 8)):
        assert (F.batch_norm(t, None, None, training=True) == 0).all().item()
    assert (F.layer_norm(x, (100,)) == 0).all().item() and (F.group_norm(x, 2) == 0).all().item()


def test_huge_values_and_outliers():
    a = np.random.default_rng(0).standard_normal((4, 8, 100))
    for t in (
        torch.from_numpy((a * 1e30).astype(np.float32)),
        torch.from_numpy((a * 1e30).astype(np.float32)).permute(0, 2, 1).reshape(-1, 8),
    ):
        y = F.batch_norm(t, None, None, training=True)
        assert abs(y.std().item() - 1) < 1e-2
    a = a.astype(np.float32)
    a[0, :, 0] = 1e6  # the value that the statistics are shifted by
    var = torch.zeros(8)
    F.batch_norm(torch.from_numpy(a), torch.zeros(8), var, training=True, momentum=1.0)
    np.testing.assert_allclose(var.numpy(), a.astype(np.float64).var((0, 2), ddof=1), rtol=1e-6)
    ends = torch.tensor([3e38, -3e38] * 24).reshape(2, 1, 24)  # differences that float32 does not hold
    for y in F.batch_norm(ends, None, None, training=True), F.layer_norm(ends, (24,)), F.group_norm(ends, 1):
        np.testing.assert_allclose(y.numpy().ravel(), [1, -1] * 24, rtol=1e-6)


# -- derivatives ---------------------------------------------------------------------------------------------------

NORMS = {
    "batch": lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
    "batch_eval": lambda x, w, b: F.batch_norm(x, torch.arange(3.0).double(), torch.arange(1.0, 4).double(), w, b),
    "instance": lambda x, w, b: F.instance_norm(x, None, None, w, b),
    "group": lambda x, w, b: F.group_norm(x, 3, w, b),
    "group1": lambda x, w, b: F.group_norm(x, 1, w, b),
}


@pytest.mark.parametrize("shape", [(4, 3, 2), (2, 3, 17)])
@pytest.mark.parametrize("name", NORMS)
def test_derivatives(name, shape):
    inputs = leaf(shape), leaf(3, 1), leaf(3, 2)
    assert gradcheck(NORMS[name], inputs)
    assert gradgradcheck(NORMS[name], inputs)


def test_derivatives_of_row_norms():
    inputs = leaf((3, 5)), leaf(5, 1), leaf(5, 2)
    for f in (lambda x, w, b: F.layer_norm(x, (5,), w, b), lambda x, w, b: F.rms_norm(x, (5,), w, 1e-3) + b):
        assert gradcheck(f, inputs)
        assert gradgradcheck(f, inputs)


@pytest.mark.parametrize("shape", [(6, 3), (3, 3, 20), (2, 3, 2, 2)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("added", [True, False])
def test_batch_norm_with_addition_and_relu(shape, training, added):
    inputs = [leaf(shape), leaf(3, 1), leaf(3, 2), leaf(shape, 3)][: 4 if added else 3]
    running = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)

    def fused(x, w, b, residual=None):
        return ops.batch_norm_relu(x, *running, w, b, training, 0.0, 1e-5, residual)

    def plain(x, w, b, residual=None):
        y = F.batch_norm(x, *running, w, b, training, 0.0)
        return F.relu(y if residual is None else y + residual)

    g = torch.from_numpy(sample(shape, seed=4))
    y, z = fused(*inputs), plain(*inputs)
    check(y, z.detach().numpy(), np.float64)
    for got, expected in zip(torch.autograd.grad(y, inputs, g), torch.autograd.grad(z, inputs, g), strict=True):
        check(got, expected.numpy(), np.float64)
    assert gradcheck(fused, inputs)
    assert gradgradcheck(fused, inputs)


@pytest.mark.parametrize("params", ["wb", "w", "b", ""])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("shape", [s for s in SHAPES if len(s) < 5])
def test_second_derivative_is_that_of_the_composition(shape, last, params):
    def composed(x, w=None, b=None):
        dims = [0, *range(2, x.dim())]
        deviation = x - x.mean(dims, True)
        xhat = deviation / (deviation.square().mean(dims, True) + 1e-5).sqrt()
        xhat = xhat if w is None else xhat * w.reshape(across)
        return xhat if b is None else xhat + b.reshape(across)

    a, c, across = sample(shape), shape[1], [1, -1] + [1] * (len(shape) - 2)
    x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(a, 1, -1))).movedim(-1, 1) if last else torch.from_numpy(a)
    inputs = {"x": x.detach().requires_grad_()} | {name: leaf(c, i) for i, name in enumerate("wb", 1) if name in params}
    g, leaves = leaf(shape, 3), tuple(inputs.values())
    cotangents = [torch.from_numpy(sample(t.shape, seed=4 + i)) for i, t in enumerate(leaves)]
    results = []
    for f in (lambda x, w=None, b=None: F.batch_norm(x, None, None, w, b, training=True), composed):
        first = torch.autograd.grad(f(**inputs), leaves, g, create_graph=True)
        results.append(torch.autograd.grad(first, (*leaves, g), cotangents, retain_graph=True, allow_unused=True))
        results.append(torch.autograd.grad(first[0], (*leaves, g), cotangents[0], allow_unused=True))
    for got, expected in ((results[0], results[2]), (results[1], results[3])):
        for t, r in zip(got, expected, strict=True):
            t, r = (np.zeros(1) if v is None else v.numpy() for v in (t, r))
            np.testing.assert_allclose(t, r, rtol=0, atol=1e-10 * max(1, np.abs(r).max()))


@pytest.mark.parametrize("training", [True, False])
def test_third_derivative(training):
    """The statistics stay functions of the input at every order: d3 by differences of d2."""
    rng = np.random.default_rng(0)
    u, v, w, point = (torch.from_numpy(rng.standard_normal((5, 2))) for _ in range(4))
    running = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)

    def second(x):
        x = x.detach().requires_grad_()
        f = (F.batch_norm(x, *running, training=training, momentum=0.0) ** 3 * u).sum()
        (first,) = torch.autograd.grad(f, x, create_graph=True)
        (result,) = torch.autograd.grad((first * v).sum(), x, create_graph=True)
        return x, result

    x, d2 = second(point)
    (d3,) = torch.autograd.grad((d2 * w).sum(), x)
    direction, h = torch.from_numpy(rng.standard_normal((5, 2))), 1e-5
    numeric = ((second(point + h * direction)[1] - second(point - h * direction)[1]) * w).sum() / (2 * h)
    assert (d3 * direction).sum().item() == pytest.approx(numeric.item(), rel=1e-6, abs=1e-6)


def test_invariants():
    """The input's gradient is orthogonal to constants and to xhat; the batch of two has none (rank m - 2 = 0)."""
    x, g = leaf((16, 4, 9)), torch.from_numpy(sample((16, 4, 9), seed=1))
    y = F.batch_norm(x, None, None, training=True, eps=1e-30)
    (dx,) = torch.autograd.grad(y, x, g)
    assert dx.sum((0, 2)).abs().amax().item() < 1e-11 and (dx * y).sum((0, 2)).abs().amax().item() < 1e-11
    scaled = F.batch_norm(x * 5 - 3, None, None, training=True, eps=1e-30)
    check(scaled, y.detach().numpy(), np.float64)
    two = leaf((2, 3), 4)
    (dx,) = torch.autograd.grad(
        F.batch_norm(two, None, None, training=True), two, torch.from_numpy(sample((2, 3), seed=5))
    )
    assert dx.abs().amax().item() < 1e-4


# -- arguments -----------------------------------------------------------------------------------------------------


def test_errors():
    x = torch.randn(4, 3, 5)
    with pytest.raises(RuntimeError, match="weight should contain 3 elements not 4"):
        F.batch_norm(x, None, None, torch.ones(4), training=True)
    with pytest.raises(RuntimeError, match="running_mean should contain 3 elements not 2"):
        F.batch_norm(x, torch.zeros(2), torch.ones(3))
    with pytest.raises(RuntimeError, match="to be defined when training=False"):
        F.batch_norm(x, None, None)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        F.batch_norm(torch.randn(1, 3), None, None, training=True)
    with pytest.raises(RuntimeError, match=r"expected input with shape \[\*, 4\]"):
        F.layer_norm(x, (4,))
    with pytest.raises(RuntimeError, match="Expected weight to be of same shape"):
        F.layer_norm(x, (5,), torch.ones(4))
    with pytest.raises(RuntimeError, match="divisible by num_groups"):
        F.group_norm(x, 2)
    with pytest.raises(RuntimeError, match="floating"):
        F.batch_norm(torch.ones(2, 3, dtype=torch.int64), None, None, training=True)


def test_empty_batches_leave_the_statistics_alone():
    mean, var = torch.zeros(3), torch.ones(3)
    for shape in ((0, 3), (0, 3, 4, 4), (2, 3, 0)):
        x = torch.zeros(shape, requires_grad=True)
        y = F.batch_norm(x, mean, var, torch.ones(3, requires_grad=True), training=True)
        assert y.shape == shape
        y.sum().backward()
        assert x.grad.shape == shape
    assert mean.tolist() == [0, 0, 0] and var.tolist() == [1, 1, 1]
    assert F.layer_norm(torch.zeros(0, 4), (4,)).shape == (0, 4) and F.layer_norm(torch.zeros(2, 0), (0,)).shape == (
        2,
        0,
    )


def test_half_precisions():
    a = sample((6, 4, 10), np.float32)
    for dtype in (torch.float16, torch.bfloat16):
        x, w = torch.from_numpy(a).to(dtype).requires_grad_(), torch.ones(4, requires_grad=True)
        functions = [
            lambda t, w=w: F.batch_norm(t, None, None, w, training=True),
            lambda t, w=w: F.group_norm(t, 2, w),
            lambda t: F.layer_norm(t, (10,)),
        ]
        for f in functions:
            y = f(x)
            assert y.dtype is dtype
            assert np.array_equal(y.float().detach().numpy(), f(x.float()).to(dtype).float().detach().numpy())
            assert torch.autograd.grad(y.sum(), x)[0].dtype is dtype
    mean = torch.zeros(4)
    F.batch_norm(torch.full((4, 4), 60000.0, dtype=torch.float16), mean, torch.ones(4), training=True, momentum=1.0)
    assert mean.tolist() == [60000.0] * 4


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 20), st.integers(1, 40), st.lists(st.integers(1, 12), max_size=2), st.booleans())
def test_any_shape(n, c, size, last):
    shape = (n + 1, c, *size)
    a = sample(shape, np.float32, n)
    x = torch.from_numpy(a)
    if last:
        x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(a, 1, -1))).movedim(-1, 1)
    y, *_ = reference(a, (0, *range(2, a.ndim)), 1.0, 0.0, a)
    np.testing.assert_allclose(F.batch_norm(x, None, None, training=True).numpy(), y, atol=1e-5)


def test_same_bits_for_every_thread_count_and_level():
    rng = np.random.default_rng(0)
    cases = [
        (rng.standard_normal(s).astype(d), rng.standard_normal(s).astype(d))
        for s in SHAPES + [(40, 12, 300), (3, 8, 2000)]
        for d in (np.float32, np.float64)
    ]

    def results():
        out = []
        for a, g in cases:
            c = a.shape[1]
            functions = [
                lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
                lambda x, w, b, c=c: F.group_norm(x, c, w, b) if x.dim() > 2 else F.layer_norm(x, (c,), w, b),
                lambda x, w, b: F.group_norm(x, 1, w, b),
                lambda x, w, b: F.rms_norm(x, x.shape[1:]) * b.sum() + w.sum(),
            ]
            for f in functions:
                x, w, b = (
                    torch.from_numpy(t).requires_grad_() for t in (a, sample(c, a.dtype, 1), sample(c, a.dtype, 2))
                )
                y = f(x, w, b)
                first = torch.autograd.grad(y, (x, w, b), torch.from_numpy(g), create_graph=f is functions[0])
                second = torch.autograd.grad((first[0] * y.detach()).sum(), (x, w)) if f is functions[0] else ()
                out += [t.detach().numpy().tobytes() for t in (y, *first, *second)]
        return out

    expected = results()
    for setting in every_setting():
        assert results() == expected, setting
