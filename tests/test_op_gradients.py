"""Gradients of every row of the op table: finite differences, fused loops against tensor algebra, broadcasting."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from references import REFERENCES, call, domains, numbers, points, tensor

import minitorch_bn as torch
from minitorch_bn._optable import ROWS
from minitorch_bn.autograd import gradcheck, gradgradcheck
from minitorch_bn.ops import elementwise as functions

differentiable = [row for row in ROWS if any(row.grads)]
by_differentiable = pytest.mark.parametrize("row", differentiable, ids=[row.name for row in differentiable])


def leaves(row, shape, seed=0):
    return [tensor(a, "float64").requires_grad_(grad is not None)
            for a, grad in zip(points(row, "float64", shape, seed), row.grads)]


@by_differentiable
def test_gradients_by_finite_differences(row):
    f = lambda *inputs: call(row, *inputs)  # noqa: E731
    inputs = leaves(row, (3,))
    assert gradcheck(f, inputs, atol=1e-6, rtol=1e-5)
    torch.manual_seed(0)
    assert gradgradcheck(f, leaves(row, (2,), seed=1), atol=1e-5, rtol=1e-4)


@by_differentiable
def test_fused_gradients_are_the_algebra(row):
    """The C loop of a gradient and the same string as tensor algebra, also at kinks and ties, and broadcast."""
    rng = np.random.default_rng(1)
    kinks = np.array(sorted({-3.0, -1.0, 0.0, 0.5, 1.0, 1.75, 3.0, *points(row, "float64", (9,))[0]}))
    grids = [a.ravel() for a in np.meshgrid(*[[v for v in kinks if low <= v <= high] for low, high in domains(row)])]
    crossed = [a[..., None] if i else a for i, a in enumerate(points(row, "float64", (4,)))]
    for arrays in (grids, points(row, "float64", (50,)), crossed):
        inputs = [tensor(a, "float64").requires_grad_(grad is not None) for a, grad in zip(arrays, row.grads)]
        wanted = [x for x in inputs if x.requires_grad]
        y = call(row, *inputs)
        cotangent = tensor(rng.normal(size=tuple(y.shape)), "float64")
        fused = torch.autograd.grad(y, wanted, cotangent, retain_graph=True)
        algebra = torch.autograd.grad(y, wanted, cotangent, create_graph=True)
        for x, a, b in zip(wanted, fused, algebra):
            assert a.shape == x.shape == b.shape and not a.requires_grad
            np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-12)


@by_differentiable
def test_gradients_in_small_floats(row):
    """float16 and bfloat16: the gradient has the input's dtype, and is the float32 one rounded."""
    for dtype in ("bfloat16", "float16"):
        arrays = points(row, dtype)
        inputs = [tensor(a, dtype).requires_grad_(grad is not None) for a, grad in zip(arrays, row.grads)]
        wide = [x.detach().float().requires_grad_(x.requires_grad) for x in inputs]
        call(row, *inputs).sum().backward()
        call(row, *wide).sum().backward()
        for x, w in zip(inputs, wide):
            if x.requires_grad:
                assert x.grad.dtype is x.dtype
                np.testing.assert_allclose(numbers(x.grad), w.grad.numpy(), rtol=0.03, atol=0.03)


def test_zero_gradients_are_exact():
    """Flat functions give 0, whatever comes from above."""
    for name in ("floor", "ceil", "trunc", "round", "sign"):
        x = torch.tensor([0.3, -1.2], requires_grad=True)
        for graph in (False, True):
            y = getattr(torch, name)(x)
            g, = torch.autograd.grad(y, x, torch.tensor([np.inf, np.nan]), create_graph=graph)
            assert g.tolist() == [0, 0], name


def test_gradients_at_special_points():
    def at(f, *values):
        x = torch.tensor(values, requires_grad=True)
        return torch.autograd.grad(f(x).sum(), x)[0].tolist()

    assert at(torch.abs, 0.0, -0.0) == [0, 0] and at(torch.relu, 0.0, -1.0, 1.0) == [0, 0, 1]
    assert at(lambda x: x**0, 0.0, 3.0) == [0, 0] and at(lambda x: x**2, 0.0) == [0]
    assert at(lambda x: torch.clamp(x, -1, 1), -1.0, 1.0, 2.0) == [1, 1, 0]
    assert at(lambda x: torch.maximum(x, torch.ones(2)), 1.0, 2.0) == [0.5, 1]
    assert at(lambda x: torch.where(x > 0, x, 0.0), -1.0, np.nan, 2.0) == [0, 0, 1]
    assert at(torch.sqrt, 0.0) == [np.inf] and at(torch.atan, np.inf) == [0]
    assert at(lambda x: torch.pow(torch.zeros(3), x), 0.0, 1.0, 2.0) == [0, 0, 0]


# -- broadcasting -----------------------------------------------------------------------------------------------------

@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(["add", "mul", "div", "pow", "maximum", "atan2", "eq", "addcmul", "lerp", "where"]), st.data())
def test_broadcasting(name, data):
    """Values as NumPy's; gradients as those of the expanded inputs, summed."""
    arity = 3 if name in ("addcmul", "lerp", "where") else 2
    shapes = data.draw(mutually_broadcastable_shapes(num_shapes=arity, max_dims=4, max_side=4, min_side=0))
    rng = np.random.default_rng(len(name))
    arrays = [rng.uniform(0.3, 2, shape) for shape in shapes.input_shapes]
    if name == "where":
        arrays[0] = arrays[0] > 1
    f = {"where": torch.where, "addcmul": torch.addcmul, "lerp": torch.lerp}.get(name) or getattr(functions, name)
    inputs = [torch.tensor(a) for a in arrays]
    y = f(*inputs)
    with np.errstate(all="ignore"):
        more = {"value": 1} if name == "addcmul" else {}
        want = np.where(*arrays) if name == "where" else REFERENCES[name](*arrays, **more)
    assert y.shape == shapes.result_shape
    np.testing.assert_allclose(y.numpy(), want, rtol=1e-14, atol=1e-15)
    if name == "eq":
        return
    first = int(name == "where")
    full = [torch.tensor(np.broadcast_to(a, shapes.result_shape).copy()) for a in arrays]
    for x in inputs[first:] + full[first:]:
        x.requires_grad_()
    cotangent = torch.tensor(rng.normal(size=shapes.result_shape))
    grads = torch.autograd.grad(f(*inputs), inputs[first:], cotangent)
    wide = torch.autograd.grad(f(*full), full[first:], cotangent)
    for x, g, w in zip(inputs[first:], grads, wide):
        assert g.shape == x.shape
        summed, extra = w.numpy(), w.dim() - x.dim()
        summed = summed.sum(axis=tuple(range(extra)))
        summed = summed.sum(axis=tuple(d for d in range(x.dim()) if x.shape[d] == 1), keepdims=True)
        np.testing.assert_allclose(g.numpy(), summed, rtol=1e-12, atol=1e-12)
