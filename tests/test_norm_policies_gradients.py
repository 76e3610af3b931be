"""Derivatives of every policy of batch norm: to third order against differences; forward mode against reverse."""

import numpy as np
import pytest

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn.autograd import gradcheck
from minitorch_bn.func import functional_call, jvp
from minitorch_bn.nn import norms
from minitorch_bn.nn.norms import policy

MASK = torch.tensor([[True, True], [False, True], [True, False], [True, True], [True, True]])
LABELS = torch.tensor([0, 1, 1, 0, 1])
WIDE = norms.Renorm(1.3, 0.4, 0, 0, 0)  # some of r and d are clipped, others are not


def sequence(layer, x):
    y = layer.sequence(x)
    return torch.cat([y[0].reshape(-1), *[s.reshape(-1) for s in y[1]]]) if isinstance(y, tuple) else y


# name: (layer, how it is called, shape of the input)
CASES = {
    "plain": (nn.BatchNorm1d(2), None, (5, 2, 2)),
    "axis": (nn.BatchNorm1d(2, axis=-1), None, (4, 3, 2)),
    "ghost": (nn.BatchNorm1d(2, ghost=3), None, (5, 2, 2)),
    "renorm": (nn.BatchNorm1d(3, renorm=WIDE), None, (4, 3, 2)),
    "ghost and renorm": (nn.BatchNorm1d(2, ghost=3, renorm=WIDE), None, (5, 2, 2)),
    "workers": (nn.BatchNorm1d(2, virtual_workers=3), None, (5, 2, 2)),
    "masked": (nn.BatchNorm1d(2), lambda layer, x: layer(x, mask=MASK), (5, 2, 2)),
    "masked ghost": (nn.BatchNorm1d(2, ghost=2), lambda layer, x: layer(x, mask=MASK), (5, 2, 2)),
    "frozen": (nn.freeze_bn(nn.BatchNorm1d(2)), None, (3, 2, 2)),
    "relu": (nn.BatchNormAct1d(2), None, (5, 2, 2)),
    "relu and residual": (nn.BatchNormAct1d(2), lambda layer, x: layer(x, x.flip(0).square()), (4, 2, 2)),
    "inplace": (nn.BatchNormAct1d(2, act=None, inplace=True), None, (5, 2, 2)),
    "inplace leaky": (nn.BatchNormAct1d(3, act=("leaky_relu", 0.3), inplace=True), None, (4, 3, 2)),
    "inplace elu": (nn.BatchNormAct1d(2, act="elu", inplace=True), None, (4, 2, 2)),
    "domain": (nn.DomainBatchNorm(2, 2), lambda layer, x: layer(x, LABELS), (5, 2, 2)),
    "domain, shared affine": (nn.DomainBatchNorm(2, 2, affine="shared"), lambda layer, x: layer(x, LABELS), (5, 2, 2)),
    "conditional": (nn.ConditionalBatchNorm(2, 2), lambda layer, x: layer(x, LABELS), (5, 2, 2)),
    "recurrent": (nn.RecurrentBatchNorm(2, 2), sequence, (4, 3, 2)),
    "lstm cell": (nn.BNLSTMCell(2, 1, 3), sequence, (3, 2, 2)),
    "filter response": (nn.FilterResponseNorm(2, learn_eps=True), None, (2, 2, 3)),
    "evonorm": (nn.EvoNormS0(2, 1), None, (3, 2, 2)),
    "switch": (nn.SwitchNorm(2), None, (3, 2, 2)),
    "whitening": (nn.IterNorm(2, iterations=3), None, (3, 2, 3)),
}


@pytest.fixture(autouse=True)
def constant_factors(monkeypatch):
    """r and d of batch renormalization are constants to a derivative: each layer's are those of its first calls."""
    found, real = [], policy._factors

    def factors(*arguments):
        if factors.call == len(found):
            found.append(real(*arguments))
        factors.call += 1
        return found[factors.call - 1]

    factors.call = 0
    monkeypatch.setattr(policy, "_factors", factors)
    return factors


def case(name):
    """f(x, *parameters) of a layer in training whose statistics are held, and float64 values for them."""
    layer, call, shape = CASES[name]
    rng = np.random.default_rng(sum(map(ord, name)))

    def draw(size):
        return torch.from_numpy(np.asarray(rng.standard_normal(tuple(size)))).requires_grad_()

    layer.double()
    x, params = draw(shape), [draw(p.shape) for p in layer.parameters()]
    if "inplace" in name and "elu" not in name:
        with torch.no_grad():
            params[0][0] = 0.004  # a small weight, whose xhat is kept
    with torch.no_grad():
        for buffer in layer.buffers():
            if buffer.is_floating_point() and "whitening" not in name:
                buffer.copy_(draw(buffer.shape).abs() + 0.3)
    names = [key for key, _ in layer.named_parameters()]

    def f(x, *params):
        policy._factors.call = 0
        with nn.stats_frozen(layer):
            return functional_call(Caller(layer, call), {f"layer.{n}": p for n, p in zip(names, params)}, (x,))

    return f, (x, *params), draw


class Caller(nn.Module):
    def __init__(self, layer, call):
        super().__init__()
        self.layer, self.call = layer, call

    def forward(self, x):
        return self.layer(x) if self.call is None else self.call(self.layer, x)


def derivative(f, inputs, draw):
    """The function of the inputs that gives all gradients of f for random cotangents, which are constants."""
    cotangents = [draw(y.shape).detach() for y in outputs(f, inputs)]

    def gradients(*inputs):
        ys = [(y, v) for y, v in zip(outputs(f, inputs), cotangents) if y.requires_grad]
        found = torch.autograd.grad([y for y, _ in ys], inputs, [v for _, v in ys], create_graph=True,
                                    allow_unused=True)
        return tuple(torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found))

    return gradients


def outputs(f, inputs):
    result = f(*inputs)
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("name", CASES)
def test_three_orders(name):
    f, inputs, draw = case(name)
    assert gradcheck(f, inputs, atol=1e-6, rtol=1e-5)
    first = derivative(f, inputs, draw)
    assert gradcheck(first, inputs, atol=2e-6, rtol=1e-5)
    assert gradcheck(derivative(first, inputs, draw), inputs, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_forward_mode_is_reverse_mode(name):
    f, inputs, draw = case(name)
    tangents = tuple(draw(x.shape).detach() for x in inputs)
    y, moved = jvp(f, tuple(x.detach() for x in inputs), tangents)
    v = draw(y.shape).detach()
    reverse = torch.autograd.grad(f(*inputs), inputs, v, allow_unused=True)
    expected = sum((g * t).sum() for g, t in zip(reverse, tangents) if g is not None)
    np.testing.assert_allclose((moved * v).sum().item(), expected.item(), rtol=1e-9)
    with torch.no_grad():
        up, down = (f(*(x + h * t for x, t in zip(inputs, tangents))) for h in (1e-6, -1e-6))
    np.testing.assert_allclose(moved.numpy(), ((up - down) / 2e-6).numpy(), rtol=1e-5, atol=1e-6)


def test_outputs_that_a_function_saves_are_part_of_the_graph():
    class Exp(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    x = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    y = Exp.apply(x)
    for _ in range(4):
        y, = torch.autograd.grad(y, x, create_graph=True)
        assert y.item() == np.exp(0.5) or abs(y.item() / np.exp(0.5) - 1) < 1e-15
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        y = Exp.apply(x)
        y.mul_(2)
        y.backward()
