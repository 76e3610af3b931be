"""In-place writes and views inside a graph: versions, history, gradients, and a random machine that checks them."""
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import minitorch_bn as torch
from minitorch_bn.autograd import gradcheck, gradgradcheck


def leaf(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_saved_tensors_are_guarded():
    x = leaf(1.0, 2.0)
    for spoil in (lambda y: y.add_(1), lambda y: y.detach().zero_(), lambda y: y[0].fill_(3)):
        y = x.exp()
        z = y.sum()
        spoil(y)
        with pytest.raises(RuntimeError, match=r"modified by an inplace operation.*ExpBackward0.*version 1; expected "
                                               r"version 0"):
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
    lambda x: x.reshape(3, 2), lambda x: x.t(), lambda x: x.unsqueeze(1), lambda x: x[1], lambda x: x[:, ::2],
    lambda x: x[None, ..., 1:], lambda x: x.expand(2, 2, 3), lambda x: x.diagonal(), lambda x: x.unfold(1, 2, 1),
    lambda x: x.flatten(), lambda x: x.permute(1, 0), lambda x: x.as_strided((2, 2), (1, 1)),
    lambda x: x.as_strided((3,), (2,), 1), lambda x: x.narrow(1, 1, 2), lambda x: x.squeeze(), lambda x: x.contiguous(),
    lambda x: x.clone(), lambda x: x.double().float().double(), lambda x: x.mT, lambda x: x.movedim(0, 1),
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
