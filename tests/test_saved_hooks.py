"""Hooks on what the graph saves, and gradients that a user hands to a node of the graph."""
import pytest

import minitorch_bn as torch
import minitorch_bn.nn.functional as F
from minitorch_bn.autograd import Function
from minitorch_bn.autograd.graph import disable_saved_tensors_hooks, save_on_cpu, saved_tensors_hooks


class Exp(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0].exp()


def written_inside(x):
    y = x * 1
    y[0].mul_(x[1])
    return y.exp_()


CASES = {
    "exp": (lambda x: x.exp(), (3, 4)),
    "mul": (lambda x, y: x.T * y.T.exp(), (3, 4), (3, 4)),
    "matmul": (lambda x, y: (x @ y).tanh(), (3, 4), (4, 2)),
    "softmax": (lambda x: x.softmax(0) * x, (3, 4)),
    "norm": (lambda x, w: F.relu(F.batch_norm(F.conv2d(x, w, padding=1), None, None, training=True) + 1),
             (2, 3, 6, 6), (4, 3, 3, 3)),
    "layer_norm": (lambda x: F.layer_norm(x.T, (3,)), (3, 4)),
    "var": (lambda x: torch.std_mean(x, 0)[0] * x.prod(0), (3, 4)),
    "function": (Exp.apply, (3, 4)),
    "inplace": (written_inside, (3, 4)),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_through_packed_tensors(name):
    function, *shapes = CASES[name]
    torch.manual_seed(0)
    xs = [torch.randn(*shape, dtype=torch.float64).requires_grad_() for shape in shapes]
    packed, unpacked = [], []

    def pack(x):
        packed.append(x)
        return x.detach().numpy().copy()

    def unpack(array):
        unpacked.append(array)
        return torch.from_numpy(array)

    def gradients(hooked):
        if hooked:
            with saved_tensors_hooks(pack, unpack):
                y = function(*xs)
        else:
            y = function(*xs)
        first = torch.autograd.grad((y * y).sum(), xs, create_graph=True)
        second = torch.autograd.grad(sum((g * g).sum() for g in first), xs)
        return first, second

    for plain, hooked in zip(gradients(False), gradients(True)):
        for a, b in zip(plain, hooked):
            torch.testing.assert_close(a, b)
    assert packed and unpacked


def test_the_last_hooks_count_and_end_with_their_block():
    seen = []
    x = torch.ones(2, requires_grad=True)
    with saved_tensors_hooks(lambda t: seen.append("outer") or t, lambda t: t):
        with saved_tensors_hooks(lambda t: seen.append("inner") or t, lambda t: t):
            x.exp()
        x.exp()
    x.exp()
    assert seen == ["inner", "outer"]
    with save_on_cpu():
        y = x.exp()
    y.sum().backward()
    assert torch.equal(x.grad, y)


def test_what_hooks_may_not_do():
    x = torch.ones(3, requires_grad=True)
    for unpack, error in ((lambda t: 3, TypeError), (lambda t: torch.ones(4), RuntimeError),
                          (lambda t: torch.ones(3).double(), RuntimeError), (lambda t: None, TypeError)):
        with saved_tensors_hooks(lambda t: t, unpack):
            y = x.exp()
        with pytest.raises(error, match="unpack"):
            y.sum().backward()
    with pytest.raises(RuntimeError, match="modifying its input in place"):
        with saved_tensors_hooks(lambda t: t.mul_(2), lambda t: t):
            (x * 1).exp()
    with pytest.raises(RuntimeError, match="not today"), disable_saved_tensors_hooks("not today"):
        with saved_tensors_hooks(lambda t: t, lambda t: t):
            pass
    x.exp().sum().backward()
    assert torch.equal(x.grad, x.exp())


def test_saved_names():
    x, w = torch.ones(3, requires_grad=True), torch.full((3,), 2.0, requires_grad=True)
    y = x.exp()
    assert torch.equal(y.grad_fn._saved_result, y) and not hasattr(y.grad_fn, "_saved_self")
    assert torch.equal((x * w).grad_fn._saved_other, w)


MAKERS = [lambda x: x * 2, lambda x: x @ torch.ones(4, 2), lambda x: x.sum(0), lambda x: x.softmax(1), lambda x: x[1:],
          lambda x: F.layer_norm(x, (4,)), lambda x: torch.cat([x, x]), lambda x: x.max(1)[0], lambda x: x.cumsum(0),
          lambda x: F.batch_norm(x, None, None, training=True), lambda x: x.expand(2, 3, 4), lambda x: x.unbind()[0],
          lambda x: F.conv1d(x[None], torch.ones(2, 3, 1)), lambda x: torch.std_mean(x)[0], lambda x: x.exp().sum()]


@pytest.mark.parametrize("i", range(len(MAKERS)))
def test_a_node_checks_the_gradient_it_is_given(i):
    x = torch.arange(12.0).reshape(3, 4).requires_grad_()
    y = MAKERS[i](x)
    nodes = [y.grad_fn, *(node for node, _ in y.grad_fn.next_functions if node is not None)]
    for node in nodes:
        for wrong in (torch.ones(100), torch.ones(0), torch.ones(1, 1, 1, 1, 1), None, 3, "g"):
            with pytest.raises((RuntimeError, TypeError)):
                node(wrong)
        with pytest.raises(TypeError):
            node()
    assert x.grad is None


def test_a_node_can_be_called():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    loss = (x * x).exp().sum()
    g = loss.grad_fn(torch.tensor(1.0))
    square = (x * x)
    for g_x in square.grad_fn(torch.tensor([1.0, 3.0]).double()):
        assert torch.equal(g_x, torch.tensor([1.0, 6.0]))
    assert torch.equal(g, torch.ones(2))
    leaf = square.grad_fn.next_functions[0][0]
    leaf(torch.ones(2))
    leaf(torch.ones(2))
    assert x.grad.tolist() == [2, 2]
