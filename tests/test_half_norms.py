"""Norms of float16 and bfloat16: what float32 gives for the same values, rounded, whichever way the driver takes."""

import pytest

import minitorch_bn as torch
import minitorch_bn.nn.functional as F

LAST = torch.channels_last
# (n, c, ...): channels gathered one or several at a time, with a rest; few channels; columns of every kind; one row
CHANNELS = [((8, 16, 12, 12), None), ((8, 16, 12, 12), LAST), ((5, 19, 16), None), ((3, 5, 7, 7), None),
            ((33, 70), None), ((2, 9, 200, 200), None), ((9, 3, 5, 5), None), ((100, 2100), None),
            ((40, 3, 3, 3), None), ((64, 33, 17), None), ((2, 8, 400, 400), None), ((1, 12, 70), None),
            ((301, 3, 2, 2), LAST)]
ROWS = [(7, 33), (64, 100), (300, 768), (5, 1), (3, 5, 2000)]


def norms(shape):
    c = shape[1]
    yield "batch", lambda x, w, b: F.batch_norm(x, None, None, w, b, True)
    yield "batch eval", lambda x, w, b: F.batch_norm(x, torch.full((c,), 2.0), torch.full((c,), 3.0), w, b)
    yield "batch relu", lambda x, w, b: F.relu(F.batch_norm(x, None, None, w, b, True))
    if len(shape) > 2:
        yield "instance", lambda x, w, b: F.instance_norm(x, None, None, w, b)
        yield "group", lambda x, w, b: F.group_norm(x, c if c % 4 else 4, w, b)


def check(f, x, g, *params):
    """All results and gradients are those of float32, rounded to x's dtype."""
    found = []
    for compute in (f, lambda x, *p: f(x.float(), *[t.float() for t in p]).to(x.dtype)):
        inputs = [t.detach().clone(memory_format=torch.preserve_format).requires_grad_() for t in (x, *params)]
        y = compute(*inputs)
        y.backward(g)
        found.append([y, *[t.grad for t in inputs]])
    for a, b in zip(*found):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)
    assert found[0][0].dtype == x.dtype
    assert found[0][1].stride() == x.stride()
    return found[0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("shape", "memory"), CHANNELS)
def test_channels(shape, memory, dtype):
    torch.manual_seed(0)
    x, g = (torch.randn(*shape) * 2 + 3).to(dtype), torch.randn(*shape).to(dtype)
    if memory is not None:
        x = x.contiguous(memory_format=memory)
    for name, f in norms(shape):
        for kind in (torch.float32, dtype) if name in ("batch", "group") else (torch.float32,):
            params = [torch.randn(shape[1]).to(kind) for _ in range(2)]
            before = torch.get_num_threads()
            try:
                bits = []
                for threads in (1, 2, 3):
                    torch.set_num_threads(threads)
                    bits.append(check(f, x, g, *params))
            finally:
                torch.set_num_threads(before)
            for other in bits[1:]:
                assert all(torch.equal(a, b) for a, b in zip(bits[0], other)), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", ROWS)
def test_rows(shape, dtype):
    torch.manual_seed(0)
    n, x, g = shape[-1], (torch.randn(*shape) * 2 + 3).to(dtype), torch.randn(*shape).to(dtype)
    w, b = torch.randn(n), torch.randn(n)
    check(lambda x, w, b: F.layer_norm(x, (n,), w, b), x, g, w, b)
    check(lambda x, w, b: F.layer_norm(x, (n,), w, b), x, g, w.to(dtype), b.to(dtype))
    check(lambda x: F.layer_norm(x, (n,)), x, g)
    check(lambda x, w: F.rms_norm(x, (n,), w, 1e-6), x, g, w)


def test_long_rows():
    """Rows beyond a block go one at a time: their parameters' gradients add in another order."""
    x, g = torch.randn(5, 20011).bfloat16(), torch.randn(5, 20011).bfloat16()
    found = []
    for wide in (False, True):
        a, w = x.clone().requires_grad_(), torch.ones(20011, requires_grad=True)
        y = F.layer_norm(a.float() if wide else a, (20011,), w).to(torch.bfloat16)
        y.backward(g)
        found.append((y, a.grad, w.grad))
    (y, dx, dw), (y2, dx2, dw2) = found
    assert torch.equal(y, y2)
    assert torch.equal(dx, dx2)
    torch.testing.assert_close(dw, dw2, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["batch", "eval", "layer", "rms", "group"])
def test_second_order(name):
    """The gradient of a gradient is that of float32."""
    torch.manual_seed(1)
    x, w = torch.randn(6, 8, 70).bfloat16(), torch.randn(70 if name in ("layer", "rms") else 8)
    f = {"batch": lambda x, w: F.batch_norm(x, None, None, w, None, True),
         "eval": lambda x, w: F.batch_norm(x, torch.zeros(8), torch.ones(8), w, None),
         "layer": lambda x, w: F.layer_norm(x, (70,), w), "rms": lambda x, w: F.rms_norm(x, (70,), w),
         "group": lambda x, w: F.group_norm(x, 2, w)}[name]
    found = []
    for compute in (f, lambda x, w: f(x.float(), w).bfloat16()):
        a, p = x.clone().requires_grad_(), w.clone().requires_grad_()
        dx, dw = torch.autograd.grad(compute(a, p).float().pow(3).sum(), (a, p), create_graph=True)
        (dx.float().square().sum() + dw.square().sum()).backward()
        found.append((a.grad, p.grad))
    for a, b in zip(*found):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a.float(), b.float(), rtol=2e-2, atol=2e-2 * b.float().abs().max().item())


def test_empty():
    for shape in [(0, 4, 9), (3, 4, 0), (0, 8)]:
        x = torch.zeros(*shape, dtype=torch.bfloat16, requires_grad=True)
        y = F.layer_norm(x, shape[1:]) if 0 not in shape[1:] else F.group_norm(x, 2)
        y.sum().backward()
        assert y.dtype == x.grad.dtype == torch.bfloat16
        assert y.shape == shape
