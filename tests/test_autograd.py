"""The engine, in one file: backward, grad, any order, hooks, modes, in-place writes, views, deep graphs, threads."""
import contextlib
import gc
import threading

import pytest

import minitorch_bn as torch
from minitorch_bn.autograd import Function, gradcheck, gradgradcheck
from minitorch_bn.autograd.gradcheck import GradcheckError
from minitorch_bn.utils.checkpoint import checkpoint


def leaf(*values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype, requires_grad=True)


# -- backward and grad -------------------------------------------------------------------------------------------------

def test_backward_accumulates():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    (3 * x).sum().backward()
    assert x.grad.tolist() == [5, 7]


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)])
def test_a_gradient_that_nobody_else_holds_is_not_copied(order):
    seen = []

    class Triple(Function):
        @staticmethod
        def forward(ctx, x):
            return 3 * x

        @staticmethod
        def backward(ctx, g):
            made = 3 * g
            seen.append(made.data_ptr())
            return made

    x = torch.randn(4, 5, 6).permute(order).requires_grad_()
    held = torch.ones_like(x)
    Triple.apply(x).backward(held)
    assert x.grad.data_ptr() == seen[0] and x.grad.stride() == x.stride()
    for f in (lambda x: x.view(x.shape), lambda x: x + 0, torch.clone):
        x.grad = None
        f(x).backward(held)
        x.grad.mul_(2)
        assert (held == 1).all().item()


def test_used_twice():
    x = leaf(3.0)
    y = x * x
    z = y * y + y
    z.backward()
    assert x.grad.item() == 4 * 27 + 2 * 3


def test_any_order():
    x = leaf(2.0)
    y = x ** 5
    for want in (80, 160, 240, 240, 120):
        y, = torch.autograd.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(want)


def test_grad_of_several():
    a, b, c = leaf(1.0), leaf(2.0), leaf(3.0)
    y = a * b
    assert [g.item() for g in torch.autograd.grad(y, (a, b), retain_graph=True)] == [2, 1]
    assert torch.autograd.grad(y, (a, c), allow_unused=True, retain_graph=True)[1] is None
    assert torch.autograd.grad(y, (a, c), materialize_grads=True, retain_graph=True)[1].item() == 0
    with pytest.raises(RuntimeError, match="not have been used in the graph"):
        torch.autograd.grad(y, (a, c))
    assert a.grad is None


def test_grad_of_an_inner_tensor():
    x = leaf(2.0)
    y = x * x
    z = y * 3 + x
    gy, gx = torch.autograd.grad(z, (y, x))
    assert (gy.item(), gx.item()) == (3, 13)


def test_backward_inputs_only():
    a, b = leaf(1.0), leaf(2.0)
    (a * b).backward(inputs=[a])
    assert a.grad.item() == 2 and b.grad is None


def test_graph_is_freed():
    x = leaf(1.0)
    y = x.exp()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


@pytest.mark.parametrize("f, refused", [(lambda x: x * 2, True), (lambda x: 2 / x, True), (lambda x: x / 2, True),
                                        (lambda x: x + 2, False), (lambda x: -x, False)])
def test_a_factor_counts_as_saved(f, refused):
    x = leaf(1.0)
    y = f(x)
    y.backward()
    with pytest.raises(RuntimeError, match="second time") if refused else contextlib.nullcontext():
        y.backward()


@pytest.mark.parametrize("call, words", [
    (lambda: torch.ones(2).sum().backward(), "does not require grad"),
    (lambda: (leaf(1.0, 2.0) * 2).backward(), "only for scalar outputs"),
    (lambda: (leaf(1.0, 2.0) * 2).backward(torch.ones(3, dtype=torch.float64)), "Mismatch in shape"),
    (lambda: leaf(1.0).add_(1), "a leaf Variable that requires grad"),
    (lambda: leaf(1.0, 2.0)[0].add_(1), "a view of a leaf Variable"),
    (lambda: leaf(1.0).mul(2).requires_grad_(False), "leaf variables"),
])
def test_errors(call, words):
    with pytest.raises(RuntimeError, match=words):
        call()


def test_gradient_is_not_shared():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (x + y).sum().backward()
    x.grad.add_(1)
    assert y.grad.tolist() == [1, 1]


def test_broadcasting_is_undone():
    a, b = torch.ones(3, 1, 2, requires_grad=True), torch.ones(4, 1, requires_grad=True)
    (a * b + 2 * b).sum().backward()
    assert a.grad.tolist() == [[[4, 4]]] * 3
    assert b.grad.tolist() == [[18]] * 4


def test_dtypes_mix():
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, dtype=torch.float64, requires_grad=True)
    (a * b).sum().backward()
    assert a.grad.dtype is torch.float32 and b.grad.dtype is torch.float64
    h = torch.ones(2, dtype=torch.bfloat16, requires_grad=True)
    (h * 3).float().sum().backward()
    assert h.grad.dtype is torch.bfloat16 and h.grad.tolist() == [3, 3]


# -- modes -------------------------------------------------------------------------------------------------------------

def test_modes():
    x = leaf(1.0)
    with torch.no_grad():
        assert not (x * 2).requires_grad
        with torch.enable_grad():
            assert (x * 2).requires_grad

    @torch.no_grad()
    def f():
        return x * 2

    @torch.no_grad
    def g():
        return x * 2

    @torch.inference_mode()
    def h():
        return x * 2

    assert not f().requires_grad and not g().requires_grad
    assert h().is_inference()
    with pytest.raises(RuntimeError, match=r"[Ii]nference"):
        h() * x
    with torch.set_grad_enabled(False):
        assert not torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    assert not torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    assert torch.is_grad_enabled()


def test_modes_belong_to_a_thread():
    seen = []
    with torch.no_grad():
        thread = threading.Thread(target=lambda: seen.append(torch.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


# -- hooks -------------------------------------------------------------------------------------------------------------

def test_tensor_hooks():
    x = leaf(1.0)
    y = x * 3
    seen = []
    handle = y.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: seen.append(g.item()))
    y.retain_grad()
    y.backward(retain_graph=True)
    assert seen == [6] and x.grad.item() == 6 and y.grad.item() == 2
    handle.remove()
    y.backward()
    assert seen == [6, 3]


def test_node_hooks():
    x = leaf(1.0)
    y = x * 3
    y.grad_fn.register_hook(lambda grads, outs: tuple(g if g is None else g * 10 for g in grads))
    y.grad_fn.register_prehook(lambda outs: (outs[0] * 2,))
    y.backward()
    assert x.grad.item() == 60
    assert y.grad_fn.name() == "MulBackward0"
    assert (x * 2 + 1).grad_fn.next_functions[0][0].name() == "MulBackward0"


def test_post_accumulate_hook():
    x = leaf(1.0)
    seen = []
    x.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.item()))
    (x * 2).backward()
    assert seen == [2]


def test_hook_may_run_backward():
    x, y = leaf(1.0), leaf(2.0)
    z = x * 3

    def hook(g):
        with torch.enable_grad():   # hooks run in the mode of the backward that calls them
            (y * y).backward()
    z.register_hook(hook)
    z.backward()
    assert x.grad.item() == 3 and y.grad.item() == 4


# -- functions written in Python ---------------------------------------------------------------------------------------

class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return 3 * x * x * g


class Exp(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        y, = ctx.saved_tensors
        return g * y


class SumAndScale(Function):
    @staticmethod
    def forward(ctx, x, factor, w):
        ctx.factor = factor
        return x + w, x * factor

    @staticmethod
    def backward(ctx, g_sum, g_scaled):
        return g_sum + g_scaled * ctx.factor, None, g_sum


def test_function():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    assert gradcheck(Cube.apply, (x,)) and gradgradcheck(Cube.apply, (x,))
    assert gradcheck(Exp.apply, (x,))
    assert gradcheck(lambda a, b: SumAndScale.apply(a, 2.0, b), (x, w))
    a, _ = SumAndScale.apply(x, 2.0, w)
    a.sum().backward()
    assert x.grad.tolist() == [1, 1]
    assert (Cube.apply(x)).grad_fn.name() == "CubeBackward"


def test_what_a_function_may_not_do():
    class Seven(Cube):
        @staticmethod
        def backward(ctx, g):
            return torch.ones(7)

    class InPlace(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.add_(1)

    with pytest.raises(RuntimeError, match=r"invalid gradient at index 0 - got \[7\] but expected shape .* \[2\]"):
        Seven.apply(leaf(1.0, 2.0)).sum().backward()
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad has been used in an in-place operation"):
        InPlace.apply(leaf(1.0))


def test_gradcheck_finds_a_wrong_gradient():
    class Wrong(Cube):
        @staticmethod
        def backward(ctx, g):
            x, = ctx.saved_tensors
            return 2 * x * x * g
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        gradcheck(Wrong.apply, (leaf(1.0, 2.0),))


def test_anomaly_names_the_forward_line():
    x = leaf(0.0)
    with pytest.warns(UserWarning, match="test_anomaly_names_the_forward_line"), \
            pytest.raises(RuntimeError, match="returned nan values"), torch.autograd.detect_anomaly():
        (x * torch.tensor(float("inf"), dtype=torch.float64)).sum().backward(torch.zeros((), dtype=torch.float64))


def test_functional():
    from minitorch_bn.autograd import functional as AF

    def f(x, y):
        return (x * x).sum() * y
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([3.0])
    jx, jy = AF.jacobian(f, (x, y))
    assert jx.tolist() == [[6, 12]] and jy.tolist() == [[5]]
    assert AF.hessian(lambda t: (t ** 3).sum(), x).tolist() == [[6, 0], [0, 12]]
    assert AF.vjp(lambda t: t * t, x, torch.tensor([1.0, 10.0]))[1].tolist() == [2, 40]
    assert AF.jvp(lambda t: t * t, x, torch.tensor([1.0, 10.0]))[1].tolist() == [2, 40]
    assert AF.hvp(lambda t: (t ** 3).sum(), x, torch.tensor([1.0, 10.0]))[1].tolist() == [6, 120]


def test_checkpoint():
    w = leaf(2.0, 3.0)
    runs = []

    def segment(x):
        runs.append(1)
        return (x * w).exp()
    x = leaf(0.1, 0.2)
    y = checkpoint(segment, x, use_reentrant=False)
    g = torch.autograd.grad(y.sum(), (x, w))
    want = torch.autograd.grad(segment(x).sum(), (x, w))
    assert [t.tolist() for t in g] == [t.tolist() for t in want]
    assert len(runs) == 3
    assert gradgradcheck(lambda t: checkpoint(segment, t, use_reentrant=False), (x,))


# -- size and threads --------------------------------------------------------------------------------------------------

def test_a_million_nodes():
    x = leaf(1.0, dtype=torch.float32)
    y = x
    for _ in range(1_000_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1
    del y
    z = x * 1
    for _ in range(200_000):   # released without ever running backward, inputs saved
        z = z * x
    del z
    gc.collect()


def test_threads_share_a_model():
    w = torch.ones(50, 50, requires_grad=True)
    results = [None] * 4

    def work(k):
        x = torch.full((50, 50), float(k))
        for _ in range(20):
            y = ((w * x).exp().sum() + (w * w).sum())
            results[k] = torch.autograd.grad(y, w)[0]
    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k in range(4):
        x = torch.full((50, 50), float(k))
        want, = torch.autograd.grad((w * x).exp().sum() + (w * w).sum(), w)
        assert torch.equal(results[k], want)


def test_no_leak():
    before = torch.memory_stats()["allocated_bytes"]
    for _ in range(50):
        x = torch.ones(100, 100, requires_grad=True)
        y = (x * x).exp()
        y.retain_grad()
        (y * y).sum().backward(create_graph=False)
    del x, y
    gc.collect()
    assert torch.memory_stats()["allocated_bytes"] == before


def test_gradgradcheck_can_fail():
    class HalfWrong(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            return g * 3 * ctx.saved_tensors[0].detach() ** 2  # the gradient is right, its derivative is not

    x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(HalfWrong.apply, (x,))
    with pytest.raises(GradcheckError, match="Jacobian mismatch"):
        gradgradcheck(HalfWrong.apply, (x,))
