"""torch.func: transforms against closed forms, finite differences, each other, and PyTorch where it is installed."""
import math

import pytest

import minitorch_bn as torch
from minitorch_bn import func, nn
from minitorch_bn.func import functional_call, grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap
from minitorch_bn.utils._pytree import broadcast_prefix, tree_flatten, tree_leaves, tree_map, tree_unflatten


def matrix(rows, columns):
    return torch.arange(rows * columns, dtype=torch.float64).reshape(rows, columns).sin()


X, W, Y = matrix(4, 3), matrix(1, 3)[0] + 0.5, matrix(1, 4)[0]


def close(a, b):
    a, b = tree_leaves(a), tree_leaves(b)
    assert len(a) == len(b)
    for x, y in zip(a, b):
        torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-12)


def test_grad_of_grad_of_grad():
    f = torch.sin
    for expected in (math.cos(0.7), -math.sin(0.7), -math.cos(0.7)):
        f = grad(f)
        assert f(torch.tensor(0.7, dtype=torch.float64)).item() == pytest.approx(expected, rel=1e-12)


def test_grad_forms():
    def loss(w, x, scale=1.0):
        return scale * (x @ w).tanh().sum()
    by_hand = X.T @ (1 - (X @ W).tanh() ** 2)
    close(grad(loss)(W, X), by_hand)
    close(grad(loss)(W, X, scale=3.0), 3 * by_hand)
    close(grad(loss, argnums=(0, 1))(W, X)[0], by_hand)
    close(grad(loss, argnums=-2)(W, X), by_hand)
    gradient, value = grad_and_value(loss)(W, X)
    close((gradient, value), (by_hand, loss(W, X)))
    gradient, aux = grad(lambda w: (loss(w, X), w * 2), has_aux=True)(W)
    close((gradient, aux), (by_hand, W * 2))
    tree = grad(lambda p: loss(p["w"], X) + p["b"][0])({"w": W, "b": [torch.zeros((), dtype=torch.float64)]})
    close(tree, {"w": by_hand, "b": [torch.ones((), dtype=torch.float64)]})
    close(grad(lambda x, y: (y * 2).sum())(W, W), torch.zeros_like(W))  # no dependence


def test_results_have_history_only_where_something_outside_goes_on():
    def f(x):
        return (x ** 3).sum()
    assert not grad(f)(W).requires_grad and not grad_and_value(f)(W)[1].requires_grad
    outside = W.clone().requires_grad_()
    result = grad(f)(outside)
    close(torch.autograd.grad(result.sum(), outside)[0], 6 * W)
    with torch.no_grad():
        assert not grad(f)(outside).requires_grad
        close(grad(f)(outside), 3 * W ** 2)
    result = grad(lambda x: (x @ outside) ** 2)(Y[:3])  # what a closure brings counts too
    close(torch.autograd.grad(result.sum(), outside)[0],
          torch.autograd.functional.jacobian(lambda w: (2 * (Y[:3] @ w) * w).sum(), W))
    assert outside.grad is None


def test_jacobians_and_hessian():
    def f(x):
        return x.sin() @ x.T
    expected = torch.autograd.functional.jacobian(f, X)
    close(jacrev(f)(X), expected)
    close(jacfwd(f)(X), expected)
    result = jacrev(lambda x, w: {"a": x @ w, "b": w.exp()}, argnums=(0, 1))(X, W)
    assert result["a"][0].shape == (4, 4, 3) and result["a"][1].shape == (4, 3) and result["b"][0].shape == (3, 4, 3)
    close(result["b"][1], W.exp().diag())
    close(result["a"][1], X)
    close(hessian(lambda w: (w ** 3).sum())(W), (6 * W).diag())
    close(hessian(lambda w, v: (w * v).sum(), argnums=(0, 1))(W, W)[0][1], torch.eye(3, dtype=torch.float64))
    assert jacrev(lambda x: x[:0])(W).shape == (0, 3)
    close(jacrev(lambda x: (x * 2, x), has_aux=True)(W), (2 * torch.eye(3, dtype=torch.float64), W))


def test_products():
    def f(x, w):
        return x.sin() @ w
    dx, dw = X * 2, W + 1
    output, tangent = jvp(f, (X, W), (dx, dw))
    close((output, tangent), (f(X, W), (X.cos() * dx) @ W + X.sin() @ dw))
    output, push = linearize(f, X, W)
    close((output, push(dx, dw)), (f(X, W), tangent))
    close(push(2 * dx, 2 * dw), 2 * tangent)
    output, pull = vjp(f, X, W)
    gx, gw = pull(Y)
    close((output, gx, gw), (f(X, W), X.cos() * Y.outer(W), X.sin().T @ Y))
    assert (tangent @ Y).item() == pytest.approx(((gx * dx).sum() + (gw * dw).sum()).item(), rel=1e-12)
    close(jvp(lambda x: (x, x * 2), (W,), (W,), has_aux=True)[2], W * 2)
    close(vjp(lambda x: (x, x * 2), W, has_aux=True)[2], W * 2)
    close(grad(lambda x: jvp(torch.sin, (x,), (x * 2,))[1].sum())(W), -W.sin() * W * 2 + 2 * W.cos())


def test_vmap():
    close(vmap(lambda x: x * 2)(X), X * 2)
    close(vmap(torch.dot)(X, X), (X * X).sum(1))
    close(vmap(torch.dot, in_dims=(0, None))(X, W), X @ W)
    close(vmap(lambda x: (x * 2, x.sum()), in_dims=1, out_dims=(1, 0))(X), (X * 2, X.sum(0)))
    close(vmap(lambda x: x, in_dims=-1, out_dims=-1, chunk_size=2)(X), X)
    close(vmap(vmap(torch.mul, in_dims=(0, None)), in_dims=(None, 0))(W, Y), Y.outer(W))
    close(vmap(lambda d: d["a"] + d["b"], in_dims=({"a": 0, "b": None},))({"a": X, "b": W}), X + W)
    close(vmap(lambda x, y=None: x + y)(X, y=X), X * 2)
    close(torch.vmap(lambda x: W, out_dims=None)(X), W)
    leaf = X.clone().requires_grad_()
    close(torch.autograd.grad(vmap(lambda x: x.exp().sum())(leaf).sum(), leaf)[0], X.exp())


def test_vmap_of_transforms():
    def loss(w, x, y):
        return (x @ w - y) ** 2
    close(vmap(grad(loss), in_dims=(None, 0, 0))(W, X, Y), (2 * (X @ W - Y))[:, None] * X)
    close(vmap(hessian(lambda w: (w ** 3).sum()))(X), (6 * X).diag_embed())
    close(vmap(jacrev(torch.sin))(X), X.cos().diag_embed())


def test_vmap_randomness():
    x = torch.zeros(3, 5)
    same = vmap(lambda x: x + torch.rand(5), randomness="same")(x)
    assert torch.equal(same[0], same[1]) and torch.equal(same[0], same[2])
    different = vmap(lambda x: x + torch.rand(5), randomness="different")(x)
    assert not torch.equal(different[0], different[1])
    with pytest.raises(RuntimeError, match="drew random numbers"):
        vmap(lambda x: x + torch.rand(5))(x)


@pytest.mark.parametrize("call, error, message", [
    (lambda: grad(lambda x: x * 2)(W), RuntimeError, "return a scalar"),
    (lambda: grad(lambda x: 1.0)(W), RuntimeError, "return a Tensor"),
    (lambda: grad(torch.sum, argnums=2)(W), RuntimeError, "argnums=2"),
    (lambda: grad(torch.sum)(torch.arange(3)), RuntimeError, "floating point"),
    (lambda: grad(lambda x: x)(1.0), RuntimeError, "to be Tensors"),
    (lambda: grad(torch.sum, has_aux=True)(W), RuntimeError, "has_aux"),
    (lambda: vjp(torch.sin, W)[1](X), RuntimeError, "shapes"),
    (lambda: jvp(torch.sin, (W,), (X,)), RuntimeError, "shapes"),
    (lambda: vmap(torch.dot)(X, X[:2]), ValueError, "same size"),
    (lambda: vmap(torch.sin, in_dims=None)(X), ValueError, "at least one"),
    (lambda: vmap(torch.sin, in_dims=(0, 0))(X), ValueError, "not compatible"),
    (lambda: vmap(torch.sin, in_dims=2)(X), ValueError, "2 dims"),
    (lambda: vmap(torch.sin)(1.0), ValueError, "must be None"),
    (lambda: vmap(lambda x: x.sum().item())(X), ValueError, "Tensors only"),
    (lambda: vmap(torch.sin)(X[:0]), ValueError, "no slices"),
    (lambda: vmap(torch.sin, randomness="often"), RuntimeError, "randomness"),
    (lambda: vmap(torch.sin, chunk_size=0), ValueError, "chunk_size"),
    (lambda: functional_call(nn.Linear(1, 1), {"nothing": W}, W), AttributeError, "nothing"),
    (lambda: functional_call(nn.Linear(1, 1), {"weight": W}, W, strict=True), RuntimeError, "bias"),
    (lambda: functional_call(nn.Linear(1, 1), [{"bias": W}, {"bias": W}], W), ValueError, "more than one"),
    (lambda: func.stack_module_state([]), RuntimeError, "at least one"),
    (lambda: func.stack_module_state([nn.Linear(1, 1), nn.ReLU()]), RuntimeError, "same class"),
])
def test_bad_use(call, error, message):
    with pytest.raises(error, match=message):
        call()


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()


def test_functional_call_leaves_the_module_as_it_was():
    net = network().eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    zeros = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    assert functional_call(net, zeros, X).abs().sum() == 0
    assert functional_call(net, (zeros, dict(net.named_buffers())), (X,)).abs().sum() == 0
    close(net.state_dict(), before)
    parameter = next(net.parameters())
    with pytest.raises(RuntimeError):
        functional_call(net, zeros, torch.ones(2, 7, dtype=torch.float64))
    assert next(net.parameters()) is parameter


def test_batch_norm_without_statistics_is_a_function():
    net = func.replace_all_batch_norm_modules_(network())
    assert "2.running_mean" not in net.state_dict() and net[2].running_mean is None
    close(net(X), net.eval()(X))
    assert func.functionalize(net) is net


def test_functional_call_ties_weights():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    eye = torch.eye(2)
    assert torch.equal(functional_call(net, {"0.weight": 2 * eye}, eye), 4 * eye)
    own = functional_call(net, {"0.weight": eye}, eye, tie_weights=False)
    assert torch.equal(own, net[1].weight.T)


def test_per_sample_gradients_and_ensembles():
    net = network().eval()
    parameters = {name: p.detach() for name, p in net.named_parameters()}

    def loss(p, x):
        return functional_call(net, p, (x[None],)).pow(2).sum()
    each = vmap(grad(loss), in_dims=(None, 0))(parameters, X)
    net(X).pow(2).sum().backward()
    for name, p in net.named_parameters():
        assert each[name].shape == (4, *p.shape)
        close(each[name].sum(0), p.grad)
    nets = [network().eval() for _ in range(3)]
    with torch.no_grad():
        nets[1][0].weight.mul_(2)
    params, buffers = func.stack_module_state(nets)
    assert params["0.weight"].requires_grad and params["0.weight"].is_leaf
    out = vmap(lambda p, b: functional_call(nets[0], (p, b), (X,)))(params, buffers)
    close(out, torch.stack([n(X) for n in nets]))


def test_trees():
    from collections import OrderedDict, namedtuple
    Pair = namedtuple("Pair", "a b")
    tree = {"x": [1, (2, Pair(3, [4]))], "y": OrderedDict(z=5)}
    leaves, spec = tree_flatten(tree)
    assert leaves == [1, 2, 3, 4, 5] and spec.num_leaves == 5
    again = tree_unflatten(leaves, spec)
    assert again == tree and type(again["x"][1][1]) is Pair and type(again["y"]) is OrderedDict
    assert tree_map(lambda a, b: a + b, tree, tree)["x"][1][1] == Pair(6, [8])
    assert broadcast_prefix({"x": 0, "y": None}, tree) == [0, 0, 0, 0, None]
    with pytest.raises(ValueError):
        broadcast_prefix([1], 2)


@pytest.mark.filterwarnings("ignore")  # its own
def test_as_pytorch():
    real = pytest.importorskip("torch")
    import numpy as np

    def run(lib, transforms):
        x, w = lib.tensor(X.numpy()), lib.tensor(W.numpy())
        f = lambda x, w: (x.sin() @ w).exp()  # noqa: E731
        yield transforms.jacrev(f, argnums=(0, 1))(x, w)
        yield transforms.hessian(lambda w: f(x, w).sum())(w)
        yield transforms.vmap(transforms.grad(lambda x, w: f(x[None], w).sum()), in_dims=(0, None))(x, w)
        yield transforms.jvp(f, (x, w), (x, w))
        yield transforms.vjp(f, x, w)[1](w[:1].expand(4))
        yield transforms.linearize(f, x, w)[1](x, w)
        yield transforms.grad(lambda x: transforms.grad(lambda y: (x * y * y).sum())(x).sum())(x)
    for ours, theirs in zip(run(torch, func), run(real, real.func)):
        for a, b in zip(tree_leaves(ours), tree_leaves(theirs)):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)
