"""The engine: backward and grad of any order, hooks, modes, in-place writes and views inside a graph, deep graphs, threads."""
import gc
import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import minitorch_bn as torch
from minitorch_bn.autograd import Function, gradcheck, gradgradcheck
from minitorch_bn.utils.checkpoint import checkpoint


def leaf(*values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype, requires_grad=True)


# -- backward and grad --------------------------------------------------------------------------------------------------------

def test_backward_accumulates():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    (3 * x).sum().backward()
    assert x.grad.tolist() == [5, 7]


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


# -- modes ----------------------------------------------------------------------------------------------------------------------

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
    with pytest.raises(RuntimeError, match="[Ii]nference"):
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


# -- hooks ------------------------------------------------------------------------------------------------------------------------

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


# -- in-place writes and versions -----------------------------------------------------------------------------------------------------

def test_saved_tensors_are_guarded():
    x = leaf(1.0, 2.0)
    for spoil in (lambda y: y.add_(1), lambda y: y.detach().zero_(), lambda y: y[0].fill_(3)):
        y = x.exp()
        z = y.sum()
        spoil(y)
        with pytest.raises(RuntimeError, match=r"modified by an inplace operation.*ExpBackward0.*version 1; expected version 0"):
            z.backward()


def test_inplace_chain():
    x = leaf(1.0, 2.0)
    y = x * 2
    y += 1
    y *= x
    y.sum().backward()
    assert x.grad.tolist() == [5, 9]


def test_write_to_a_view_of_a_graph():
    x = leaf(1.0, 2.0, 3.0, 4.0)
    y = x.reshape(2, 2) * 1
    row = y[0]
    row *= 10
    y[:, 1] = x[:2] * 5
    (y * torch.arange(4.0, dtype=torch.float64).reshape(2, 2)).sum().backward()
    assert x.grad.tolist() == [5, 15, 2, 0]


def test_view_follows_its_base():
    x = leaf(1.0, 2.0)
    y = x * 1
    view = y[1]
    y.mul_(3)
    assert view.grad_fn.name() == "AsStridedBackward0"
    view.backward()
    assert x.grad.tolist() == [0, 3]


def test_second_order_through_a_written_view():
    def f(x, w):
        y = x * x
        y[1:] = w * x[:-1]
        y.t()[0] *= x[:, 1]
        return y.reshape(-1) * 2
    x = torch.arange(1.0, 7.0, dtype=torch.float64).reshape(3, 2).requires_grad_()
    w = torch.tensor([[0.5, 2.0], [3.0, -1.0]], dtype=torch.float64, requires_grad=True)
    assert gradcheck(f, (x, w)) and gradgradcheck(f, (x, w))


VIEWS = [
    lambda x: x.reshape(3, 2), lambda x: x.t(), lambda x: x.unsqueeze(1), lambda x: x[1], lambda x: x[:, ::2], lambda x: x[None, ..., 1:],
    lambda x: x.expand(2, 2, 3), lambda x: x.diagonal(), lambda x: x.unfold(1, 2, 1), lambda x: x.flatten(), lambda x: x.permute(1, 0),
    lambda x: x.as_strided((2, 2), (1, 1)), lambda x: x.as_strided((3,), (2,), 1), lambda x: x.narrow(1, 1, 2), lambda x: x.squeeze(),
    lambda x: x.contiguous(), lambda x: x.clone(), lambda x: x.double().float().double(), lambda x: x.mT, lambda x: x.movedim(0, 1),
    lambda x: x[torch.tensor([1, 0, 1])], lambda x: x[:, [0, 2]], lambda x: x[x.detach() > 0],
]


@pytest.mark.parametrize("view", VIEWS, ids=range(len(VIEWS)))
def test_gradients_of_views(view):
    x = torch.tensor([[0.3, -1.2, 0.7], [2.1, 0.4, -0.6]], dtype=torch.float64, requires_grad=True)
    if view is not VIEWS[17]:
        assert gradcheck(lambda t: view(t) * 2, (x,))
    assert gradgradcheck(lambda t: view(t * t * t), (x,), eps=1e-4, rtol=1e-2, atol=1e-3)


class Model(RuleBasedStateMachine):
    """Views, in-place ops and versions against a model that knows memory only as a list and a history as functions."""

    def __init__(self):
        super().__init__()
        self.x = torch.arange(1.0, 7.0, dtype=torch.float64).requires_grad_()
        self.base = self.x * 1
        self.memory = [[(i, 1.0)] for i in range(6)]   # each element as a sum of factor * x[i]
        self.views = [(self.base, list(range(6)))]
        self.writes = 0

    def value(self, cell):
        return sum(factor * (i + 1) for i, factor in self.memory[cell])

    @rule(a=st.integers(0, 4), n=st.integers(1, 6), step=st.integers(1, 2), which=st.integers(0, 99))
    def slice(self, a, n, step, which):
        view, cells = self.views[which % len(self.views)]
        if len(self.views) < 8:
            self.views.append((view[a:a + n:step], cells[a:a + n:step]))

    @rule(factor=st.sampled_from([-1.0, 0.5, 2.0]), which=st.integers(0, 99))
    def scale(self, factor, which):
        view, cells = self.views[which % len(self.views)]
        view.mul_(factor)
        for c in cells:
            self.memory[c] = [(i, f * factor) for i, f in self.memory[c]]
        self.writes += 1

    @rule(which=st.integers(0, 99), source=st.integers(0, 99))
    def copy(self, which, source):
        (view, cells), (other, others) = self.views[which % len(self.views)], self.views[source % len(self.views)]
        if len(cells) == len(others):
            view.copy_(other)
            values = [self.memory[c] for c in others]
            for c, v in zip(cells, values):
                self.memory[c] = v
            self.writes += 1

    @rule(which=st.integers(0, 99))
    def zero(self, which):
        view, cells = self.views[which % len(self.views)]
        view.zero_()
        for c in cells:
            self.memory[c] = []
        self.writes += 1

    @invariant()
    def values_agree(self):
        for view, cells in self.views:
            assert view.tolist() == [self.value(c) for c in cells]
        assert self.base._version == self.writes

    @precondition(lambda self: self.writes)
    @rule(which=st.integers(0, 99))
    def gradients_agree(self, which):
        view, cells = self.views[which % len(self.views)]
        weights = torch.arange(1.0, len(cells) + 1.0, dtype=torch.float64)
        want = [0.0] * 6
        for w, c in zip(weights.tolist(), cells):
            for i, factor in self.memory[c]:
                want[i] += w * factor
        got, = torch.autograd.grad((view * weights).sum(), self.x, retain_graph=True, materialize_grads=True)
        assert got.tolist() == want


TestViewsAndWrites = Model.TestCase
TestViewsAndWrites.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)


# -- functions written in Python -----------------------------------------------------------------------------------------------------

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


# -- size and threads ---------------------------------------------------------------------------------------------------------------------

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
