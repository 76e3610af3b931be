"""Convolutions: values against sliding windows in NumPy float64, derivatives of order one and two, PyTorch's errors,
and the same bits for any number of threads, any instruction-set level, and an item of a batch alone."""

import itertools

import numpy as np
import pytest
from digest import every_setting
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

import minitorch_bn as mt
from minitorch_bn import ops
from minitorch_bn.autograd import gradcheck, gradgradcheck

CONV = {1: ops.conv1d, 2: ops.conv2d, 3: ops.conv3d}
TRANSPOSED = {1: ops.conv_transpose1d, 2: ops.conv_transpose2d, 3: ops.conv_transpose3d}


def normal(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def spread(value, n):
    return (value,) * n if isinstance(value, int) else tuple(value)


def reference(x, w, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """A convolution as windows of the padded input, one group and one tensor product at a time."""
    n = x.ndim - 2
    stride, dilation = spread(stride, n), spread(dilation, n)
    reach = [d * (k - 1) for d, k in zip(dilation, w.shape[2:], strict=True)]
    if padding == "same":
        pads = [(r // 2, r - r // 2) for r in reach]
    else:
        pads = [(p, p) for p in spread(0 if padding == "valid" else padding, n)]
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    windows = sliding_window_view(x, [r + 1 for r in reach], tuple(range(2, 2 + n)))
    windows = windows[(..., *(slice(None, None, s) for s in stride), *(slice(None, None, d) for d in dilation))]
    outs, ins = w.shape[0] // groups, w.shape[1]
    axes = "xyz"[:n], "abc"[:n]
    parts = [np.einsum(f"ni{axes[0]}{axes[1]},oi{axes[1]}->no{axes[0]}", windows[:, g * ins : (g + 1) * ins],
                       w[g * outs : (g + 1) * outs]) for g in range(groups)]  # fmt: skip
    y = np.concatenate(parts, 1)
    return y if bias is None else y + bias.reshape(-1, *(1,) * n)


def transposed_reference(x, w, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Each input element adds a scaled copy of the kernel to the output."""
    n = x.ndim - 2
    stride, padding, dilation = spread(stride, n), spread(padding, n), spread(dilation, n)
    extra = spread(output_padding, n)
    sizes = zip(x.shape[2:], stride, dilation, w.shape[2:], strict=True)
    full = [(i - 1) * s + d * (k - 1) + 1 for i, s, d, k in sizes]
    outs, ins = w.shape[1], w.shape[0] // groups
    y = np.zeros((x.shape[0], outs * groups, *(f + e for f, e in zip(full, extra, strict=True))))
    for tap in itertools.product(*(range(k) for k in w.shape[2:])):
        at = tuple(slice(t * d, t * d + (i - 1) * s + 1, s)
                   for t, d, i, s in zip(tap, dilation, x.shape[2:], stride, strict=True))  # fmt: skip
        for g in range(groups):
            here = slice(g * outs, (g + 1) * outs)
            y[(slice(None), here, *at)] += np.einsum(
                "ni...,io->no...", x[:, g * ins : (g + 1) * ins], w[(slice(g * ins, (g + 1) * ins), slice(None), *tap)])
    y = y[(..., *(slice(p, size - p) for p, size in zip(padding, y.shape[2:], strict=True)))]
    return y if bias is None else y + bias.reshape(-1, *(1,) * n)


# (input, weight, arguments): each path of the driver - blocks of images, of rows, of one long row; with and without
# panels; strides that sort the input by phase; depthwise; several K blocks; more padding than kernel; empty batches
# and channels.
CASES = [
    ((2, 3, 6, 7), (5, 3, 3, 3), {"padding": 1}),
    ((9, 8, 8, 8), (16, 8, 3, 3), {"padding": "same"}),
    ((3, 4, 9, 11), (6, 2, 3, 2), {"stride": (2, 3), "padding": (2, 1), "dilation": (2, 1), "groups": 2}),
    ((2, 5, 5, 5), (7, 5, 1, 1), {}),
    ((4, 6, 9, 9), (8, 6, 1, 1), {"stride": 2}),
    ((2, 12, 10, 13), (12, 1, 3, 3), {"padding": 1, "groups": 12}),
    ((2, 6, 10, 8), (12, 1, 5, 3), {"stride": (2, 1), "padding": (2, 0), "groups": 6}),
    ((2, 3, 5, 6, 7), (4, 3, 2, 3, 3), {"stride": (2, 1, 2), "padding": (1, 1, 0), "dilation": (1, 2, 1)}),
    ((2, 4, 3, 8, 8), (4, 2, 3, 3, 3), {"padding": 1, "groups": 2}),
    ((1, 4, 700), (40, 4, 7), {"padding": 3}),
    ((2, 4, 600), (4, 1, 5), {"stride": 2, "padding": 2, "groups": 4}),
    ((2, 3, 40), (4, 3, 4), {"padding": "same", "dilation": 3}),
    ((2, 40, 12, 12), (33, 40, 3, 3), {"padding": 1}),
    ((5, 3, 32, 32), (16, 3, 4, 4), {"stride": 4}),
    ((40, 2, 1, 1), (3, 2, 1, 1), {}),
    ((37, 3, 2, 2), (3, 3, 3, 3), {"padding": 1}),
    ((20, 32, 7, 7), (32, 32, 3, 3), {"padding": 1}),
    ((2, 2, 3, 3), (2, 2, 3, 3), {"padding": 3}),
    ((1, 3, 64, 200), (8, 3, 3, 3), {"padding": 1}),
    ((2, 3, 10, 10), (2, 3, 2, 2), {"stride": 3}),
    ((2, 300, 4, 4), (3, 300, 3, 3), {"padding": 1}),
    # outputs that see little of the input: what they give each tap is spread
    ((3, 5, 20, 21), (32, 5, 5, 5), {"dilation": (4, 5)}),
    ((2, 6, 9, 10), (48, 3, 5, 4), {"stride": (2, 3), "padding": (1, 0), "groups": 2}),
    ((40, 16, 6, 6, 6), (24, 16, 5, 5, 5), {}),
    ((2, 4, 50), (40, 4, 15), {"dilation": 3, "padding": 2}),
    # few output channels; a source that is read as it is; strides larger than the input; phases without a tap
    ((2, 70, 9, 21), (3, 70, 3, 3), {"padding": 1}),
    ((3, 4, 13, 40), (8, 2, 5, 5), {"stride": 2, "padding": 2, "groups": 2, "dilation": 2}),
    ((3, 33, 7, 9), (130, 33, 1, 1), {}),
    ((2, 5, 3, 4), (6, 5, 2, 2), {"stride": (9, 12), "padding": 1}),
    ((2, 9, 16, 31), (20, 9, 1, 1), {"stride": (3, 2)}),
    ((3, 4, 2, 152), (128, 2, 1, 1), {"stride": 3, "padding": 1, "groups": 2}),
    ((2, 8, 1, 18), (3, 8, 3, 3), {"stride": (3, 1), "padding": (3, 0)}),
    # both phases of a row at once, in several vectors; planes outside of the source
    ((3, 6, 15, 45), (6, 1, 3, 3), {"stride": 2, "padding": 1, "groups": 6}),
    ((2, 3, 20, 50), (8, 3, 7, 7), {"stride": 2, "padding": (3, 2)}),
    ((2, 3, 3, 7, 8), (4, 3, 1, 3, 3), {"stride": (2, 1, 1), "padding": 1}),
    # the source read in place for several tiles of channels and blocks of K; weights that are not packed
    ((2, 40, 12, 32), (30, 40, 3, 3), {"stride": 2, "padding": 1}),
    ((2, 6, 20, 34), (26, 3, 5, 5), {"padding": (2, 1), "groups": 2, "stride": (1, 2)}),
    ((3, 2, 403), (150, 2, 9), {"stride": 4}),
    ((2, 300, 5, 5), (40, 150, 3, 3), {"stride": 2, "groups": 2}),
    # the kernel covers the input; few positions and many outputs, for the weight
    ((7, 20, 3, 5), (30, 20, 3, 5), {}),
    ((7, 20, 7, 7), (130, 20, 1, 1), {}),
    ((1, 20, 17, 16), (200, 20, 1, 1), {}),
    ((0, 3, 6, 7), (4, 3, 3, 3), {}),
    ((2, 0, 6, 7), (4, 0, 3, 3), {}),
    # by transformed tiles: blocks of images, rows and columns; more output channels than tiles; several K blocks;
    # parts and chunks of the batch, for the weight
    ((2, 8, 9, 33), (12, 8, 3, 3), {}),
    ((3, 16, 8, 8), (9, 16, 3, 3), {"padding": (0, 2)}),
    ((1, 8, 4, 4), (40, 8, 3, 3), {"padding": 1}),
    ((2, 136, 5, 6), (17, 136, 3, 3), {"padding": 1}),
    ((1, 9, 7, 130), (8, 9, 3, 3), {"padding": 1}),
    ((2, 32, 9, 9), (16, 16, 3, 3), {"padding": 1, "groups": 2}),
    ((24, 8, 24, 20), (8, 8, 3, 3), {"padding": 1}),
    ((26, 160, 14, 15), (168, 160, 3, 3), {"padding": 1}),
    ((0, 8, 6, 7), (8, 8, 3, 3), {}),
    ((2, 8, 13, 18), (12, 8, 5, 5), {"padding": 2}),
    ((2, 9, 17, 12), (10, 9, 3, 3), {"padding": (2, 3), "dilation": (2, 3)}),
    ((1, 16, 25, 24), (10, 8, 5, 5), {"padding": 4, "dilation": 2, "groups": 2}),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size,kernel,options", CASES, ids=range(len(CASES)))
def test_values_and_bits(size, kernel, options, dtype):
    """Forward and both gradients, at every level and number of threads; and each item alone."""
    function = CONV[len(size) - 2]
    x, w, bias = (normal(*s, seed=i, dtype=dtype) for i, s in enumerate((size, kernel, kernel[:1])))
    expected = reference(x.astype(float), w.astype(float), bias.astype(float), **options)
    dy = normal(*expected.shape, seed=3, dtype=dtype)

    def run(x, dy):
        x, v, b = (mt.tensor(a, requires_grad=True) for a in (x, w, bias))
        y = function(x, v, b, **options)
        return [t.detach().numpy() for t in (y, *mt.autograd.grad(y, (x, v, b), mt.tensor(dy)))]

    first = run(x, dy)
    taps = np.prod(kernel[1:])
    assert first[0].shape == expected.shape and first[0].dtype == dtype
    scale = reference(*(np.abs(a).astype(float) for a in (x, w, bias)), **options)  # of the rounding errors, at worst
    assert (np.abs(first[0] - expected) <= scale * np.finfo(dtype).eps * (8 + np.sqrt(taps))).all()
    for setting in every_setting(expected.size * taps):
        for name, got, want in zip(("y", "dx", "dw", "db"), run(x, dy), first, strict=True):
            assert got.tobytes() == want.tobytes(), (name, *setting)
    for i in {0, size[0] // 2} if size[0] else ():
        alone = run(x[i : i + 1], dy[i : i + 1])
        assert alone[0].tobytes() == first[0][i : i + 1].tobytes()
        assert alone[1].tobytes() == first[1][i : i + 1].tobytes()


def gradients(x, w, dy, **options):
    x, w = (mt.tensor(a, requires_grad=True) for a in (x, w))
    y = ops.conv2d(x, w, **options)
    return [t.detach().numpy() for t in (y, *mt.autograd.grad(y, (x, w), mt.tensor(dy)))]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_tiles(data):
    """3 x 3 and 5 x 5 with stride 1, in float32, go through transformed tiles: errors of 4e-6 of the largest value."""

    def draw(low, high):
        return data.draw(st.integers(low, high))

    kernel, groups = draw(1, 2) * 2 + 1, draw(1, 2)
    dilation, padding = (draw(1, 3), draw(1, 2)), (draw(0, 4), draw(0, 4))
    reach = [d * (kernel - 1) for d in dilation]
    size = [max(1, r + 1 - 2 * p) + draw(0, 13) for p, r in zip(padding, reach, strict=True)]
    x = normal(draw(1, 5), groups * draw(8, 40), *size, dtype=np.float32)
    w = normal(groups * draw(8, 40), x.shape[1] // groups, kernel, kernel, seed=1, dtype=np.float32)
    options = {"padding": padding, "groups": groups, "dilation": dilation}
    dy = normal(*ops.conv2d(mt.tensor(x), mt.tensor(w), **options).shape, seed=2, dtype=np.float32)
    for got, want in zip(gradients(x, w, dy, **options), gradients(*(a.astype(float) for a in (x, w, dy)), **options),
                         strict=True):  # fmt: skip
        assert np.abs(got - want).max() <= 4e-6 * np.abs(want).max()


@pytest.mark.parametrize("value", [np.inf, np.nan, 3e38])
@pytest.mark.parametrize("size", [(3, 16, 12, 12), (3, 16, 4, 4)])
def test_infinities_stay_where_they_belong(size, value):
    """Tiles mix their values; so what has an infinity or a NaN in it is computed by the plain sum."""
    x, w, dy = (normal(*s, seed=i, dtype=np.float32) for i, s in enumerate((size, (40, 16, 3, 3), (3, 40, *size[2:]))))
    ours = [a.copy() for a in (x, w, dy)]
    ours[0][1, 3, 2, 2] = value
    with np.errstate(all="ignore"):
        plain = gradients(*(a.astype(float) for a in ours), padding=1)
        for got, want in zip(gradients(*ours, padding=1), plain, strict=True):
            want = want.astype(np.float32)
            assert np.allclose(got, want, rtol=1e-4, atol=1e-4, equal_nan=True)
            assert np.isfinite(want).mean() > 0.5
        first = gradients(x, w, dy, padding=1)
    assert gradients(*ours, padding=1)[0][[0, 2]].tobytes() == first[0][[0, 2]].tobytes()


@pytest.mark.parametrize("size,kernel,options", CASES, ids=range(len(CASES)))
def test_gradients_are_the_transposes(size, kernel, options):
    """The convolution is linear in x and in w: <conv(x, w), dy> = <x, dx> = <w, dw>."""
    x, w = (mt.tensor(normal(*s, seed=i), requires_grad=True) for i, s in enumerate((size, kernel)))
    y = CONV[len(size) - 2](x, w, **options)
    dy = normal(*y.shape, seed=3)
    dx, dw = mt.autograd.grad(y, (x, w), mt.tensor(dy))
    product = (y.detach().numpy() * dy).sum()
    assert np.isclose((x.detach().numpy() * dx.numpy()).sum(), product)
    assert np.isclose((w.detach().numpy() * dw.numpy()).sum(), product)


SMALL = [
    ((2, 3, 5), (4, 3, 3), {"padding": 1}),
    ((2, 4, 6), (6, 2, 2), {"stride": 2, "groups": 2}),
    ((1, 2, 4, 5), (3, 2, 2, 3), {"stride": (1, 2), "padding": (0, 1), "dilation": (2, 1)}),
    ((2, 3, 4, 4), (3, 1, 3, 3), {"padding": "same", "groups": 3}),
    ((1, 2, 3, 3, 3), (2, 2, 2, 2, 2), {"padding": 1, "stride": 2}),
]


@pytest.mark.parametrize("size,kernel,options", SMALL, ids=range(len(SMALL)))
def test_derivatives(size, kernel, options):
    inputs = [mt.tensor(normal(*s, seed=i), requires_grad=True) for i, s in enumerate((size, kernel, kernel[:1]))]
    function = CONV[len(size) - 2]
    assert gradcheck(lambda x, w, b: function(x, w, b, **options), inputs)
    assert gradgradcheck(lambda x, w, b: function(x, w, b, **options), inputs)


TRANSPOSES = [
    ((2, 4, 9), (4, 6, 3), {}),
    ((3, 4, 5), (4, 3, 4), {"stride": 2, "output_padding": 1, "padding": 1}),
    ((2, 4, 5, 6), (4, 3, 3, 2), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}),
    ((2, 3, 2, 3, 4), (3, 2, 2, 3, 3), {"stride": 2, "padding": 1}),
    ((1, 4, 3, 3), (4, 3, 1, 1), {"stride": 3, "output_padding": 2}),
    ((1, 2, 3, 3), (2, 3, 5, 5), {"stride": 3, "padding": 4}),
    ((2, 4, 4, 4), (4, 1, 3, 3), {"stride": 2, "groups": 4}),
    ((0, 3, 4, 4), (3, 2, 3, 3), {}),
]


@pytest.mark.parametrize("size,kernel,options", TRANSPOSES, ids=range(len(TRANSPOSES)))
def test_transposed(size, kernel, options):
    channels = kernel[1] * options.get("groups", 1)
    inputs = [mt.tensor(normal(*s, seed=i), requires_grad=True) for i, s in enumerate((size, kernel, (channels,)))]
    function = TRANSPOSED[len(size) - 2]
    expected = transposed_reference(*(x.detach().numpy() for x in inputs), **options)
    y = function(*inputs, **options)
    assert y.shape == expected.shape and np.allclose(y.detach().numpy(), expected)
    assert gradcheck(lambda x, w, b: function(x, w, b, **options), inputs)
    assert gradgradcheck(lambda x, w, b: function(x, w, b, **options), inputs)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_geometry(data):
    def draw(low, high):
        return data.draw(st.integers(low, high))

    n, groups = draw(1, 3), draw(1, 3)
    kernel = [draw(1, 4) for _ in range(n)]
    lowest = {"stride": 1, "padding": 0, "dilation": 1}
    options = {name: tuple(draw(low, 3) for _ in range(n)) for name, low in lowest.items()}
    x = normal(draw(1, 3), groups * draw(1, 4), *(
        max(1, d * (k - 1) + 1 - 2 * p) + draw(0, 12)
        for k, p, d in zip(kernel, options["padding"], options["dilation"], strict=True)))  # fmt: skip
    w = normal(groups * draw(1, 14), x.shape[1] // groups, *kernel, seed=1)
    y = CONV[n](mt.tensor(x), mt.tensor(w), groups=groups, **options)
    expected = reference(x, w, groups=groups, **options)
    assert y.shape == expected.shape and np.allclose(y.numpy(), expected)
    sizes = zip(y.shape[2:], kernel, *(options[name] for name in ("stride", "padding", "dilation")), strict=True)
    if any((o - 1) * s - 2 * p + d * (k - 1) < 0 for o, k, s, p, d in sizes):
        return
    back = TRANSPOSED[n](y, mt.tensor(w), groups=groups, **options)
    assert np.allclose(back.numpy(), transposed_reference(expected, w, groups=groups, **options))


def test_unbatched_and_layouts():
    x, w = normal(3, 8, 8), normal(4, 3, 3, 3)
    y = ops.conv2d(mt.tensor(x), mt.tensor(w))
    assert np.allclose(y.numpy(), reference(x[None], w)[0])
    last = mt.tensor(np.ascontiguousarray(x.transpose(1, 2, 0))).permute(2, 0, 1)
    assert (ops.conv2d(last, mt.tensor(w)).numpy() == y.numpy()).all()
    assert np.allclose(ops.conv2d(mt.tensor(x[:, :1]).expand(3, 8, 8), mt.tensor(w)).numpy(),
                       reference(np.broadcast_to(x[:, :1], x.shape)[None], w)[0])  # fmt: skip


@pytest.mark.parametrize("dtype,eps", [(mt.float16, 2**-9), (mt.bfloat16, 2**-6)])
def test_half_precision(dtype, eps):
    x, w = (mt.tensor(normal(*s)).to(dtype) for s in ((2, 3, 8, 8), (4, 3, 3, 3)))
    y = ops.conv2d(x, w, padding=1)
    assert y.dtype == dtype
    expected = reference(x.double().numpy(), w.double().numpy(), padding=1)
    assert np.allclose(y.double().numpy(), expected, rtol=eps, atol=eps * 4)


def test_int64():
    x, w = (mt.randint(-9, 10, s) for s in ((2, 4, 7, 8), (6, 2, 3, 3)))
    for function in (ops.conv2d, ops.conv_transpose2d):
        w_ = w if function is ops.conv2d else w[:4]
        y = function(x, w_, stride=2, padding=1, groups=2)
        assert y.dtype == mt.int64
        assert mt.equal(y, function(x.double(), w_.double(), stride=2, padding=1, groups=2).long())


zeros = mt.zeros
X, W = (2, 3, 8, 8), (6, 3, 3, 3)
ERRORS = [
    (lambda: ops.conv2d(zeros(2, 4, 8, 8), zeros(W)), r"expected input\[2, 4, 8, 8\] to have 3 channels, but got 4"),
    (lambda: ops.conv2d(zeros(2, 3, 2, 2), zeros(W)), r"input size per channel: \(2 x 2\). Kernel size: \(3 x 3\)"),
    (lambda: ops.conv2d(zeros(2, 3, 0, 8), zeros(6, 3, 1, 1)), "can't be greater than actual input size"),
    (lambda: ops.conv2d(zeros(3, 4), zeros(W)), r"Expected 3D \(unbatched\) or 4D \(batched\) input to conv2d"),
    (lambda: ops.conv2d(zeros(X), zeros(6, 3, 3)), "weight"),
    (lambda: ops.conv2d(zeros(X), zeros(W), zeros(4)), "expected bias to be 1-dimensional with 6 elements"),
    (lambda: ops.conv2d(zeros(X), zeros(W), stride=(1, 1, 1)), r"expected stride .* list of 2 .* stride=\[1, 1, 1\]"),
    (lambda: ops.conv2d(zeros(X), zeros(W), stride=0), "non-positive stride is not supported"),
    (lambda: ops.conv2d(zeros(X), zeros(W), padding=-1), "negative padding is not supported"),
    (lambda: ops.conv2d(zeros(X), zeros(W), dilation=0), "non-positive dilation is not supported"),
    (lambda: ops.conv2d(zeros(X), zeros(W), padding="same", stride=2), "not supported for strided"),
    (lambda: ops.conv2d(zeros(X), zeros(W), padding="full"), "Invalid padding string: 'full'"),
    (lambda: ops.conv2d(zeros(2, 4, 8, 8), zeros(5, 2, 3, 3), groups=2), "divisible by 2 at dimension 0"),
    (lambda: ops.conv2d(zeros(2, 4, 8, 8), zeros(1, 2, 3, 3), groups=2), "at least 2 at dimension 0"),
    (lambda: ops.conv2d(zeros(X), zeros(W), groups=0), "non-positive groups"),
    (lambda: ops.conv2d(zeros(X), zeros(6, 3, 0, 3)), "kernel sizes must be positive"),
    (lambda: ops.conv2d(zeros(X), zeros(W).double()), r"Input type \(float\) and weight type \(double\)"),
    (lambda: ops.conv2d(zeros(X), zeros(W), zeros(6).double()), r"Input type \(float\) and bias type \(double\)"),
    (lambda: ops.conv2d(zeros(X).bool(), zeros(W).bool()), "not implemented for"),
    (lambda: ops.conv2d(zeros(X), zeros(W), padding=2**40), "padding is too large"),
    (lambda: ops.conv_transpose1d(zeros(1, 5, 8), zeros(4, 3, 3)), r"transposed=1.*to have 4 channels, but got 5"),
    (lambda: ops.conv_transpose2d(zeros(1, 4, 8, 8), zeros(4, 3, 3, 3), output_padding=1), "output padding must be"),
    (lambda: ops.conv_transpose2d(zeros(1, 4, 1, 1), zeros(4, 3, 3, 3), padding=2), "Output size is too small"),
]  # fmt: skip


@pytest.mark.parametrize("call,message", ERRORS, ids=range(len(ERRORS)))
def test_errors(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()


def test_huge_padding_is_a_memory_error():
    with pytest.raises((MemoryError, RuntimeError)):
        ops.conv3d(zeros(1, 1, 2, 2, 2), zeros(1, 1, 2, 2, 2), padding=2**30, dilation=2**30)
