"""Checkpointed segments have the gradients of plain ones, in every shape of arguments; the small parts of `utils`."""

import gc

import numpy as np
import pytest

import minitorch_bn as mt
from minitorch_bn import nn
from minitorch_bn.utils import checkpoint as cp
from minitorch_bn.utils.checkpoint import checkpoint, checkpoint_sequential


def _model():
    mt.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(),
                         nn.Linear(8, 2)).double()


def _grads(run, reentrant):
    model = _model()
    x = mt.arange(20.0, dtype=mt.float64).reshape(5, 4).requires_grad_()
    mt.manual_seed(1)
    loss = run(model, x, reentrant).square().sum()
    loss.backward()
    return loss.item(), x.grad.tolist(), [p.grad.tolist() for p in model.parameters()]


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradients_and_random_numbers_are_those_of_a_plain_run(reentrant):
    plain = _grads(lambda model, x, _: model(x), reentrant)
    assert _grads(lambda model, x, r: checkpoint(model, x, use_reentrant=r), reentrant) == plain
    for segments in (1, 2, 3, 7):
        assert _grads(lambda model, x, r, n=segments: checkpoint_sequential(model, n, x, use_reentrant=r),
                      reentrant) == plain
    nested = _grads(lambda model, x, r: checkpoint(
        lambda t: checkpoint(model[3:], checkpoint(model[:3], t, use_reentrant=r), use_reentrant=r), x,
        use_reentrant=r), reentrant)
    assert nested == plain


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_batch_counts_once_in_running_statistics(reentrant):
    plain, twin = (nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2)).double() for _ in range(2))
    x = mt.arange(8.0, dtype=mt.float64).reshape(4, 2).requires_grad_()
    plain(x)
    checkpoint(lambda t: checkpoint(twin, t, use_reentrant=reentrant), x,
               use_reentrant=reentrant).square().sum().backward()
    assert [value.tolist() for value in twin.buffers()] == [value.tolist() for value in plain.buffers()]
    F = nn.functional  # where PyTorch counts it twice; the function knows too, and only during a second run
    running = mt.zeros(2, dtype=mt.float64), mt.ones(2, dtype=mt.float64)
    checkpoint(lambda t: F.batch_norm(t, *running, training=True, momentum=1.0) + running[0], x,
               use_reentrant=reentrant).square().sum().backward()
    assert running[0].tolist() == [3.0, 4.0]


def test_values_in_containers_and_by_keyword():
    w = nn.Parameter(mt.tensor([2.0, 3.0]))

    def segment(pair, *, scale, note=None):
        a, rest = pair
        return {"y": a * w * scale["s"], "same": (a + rest[0], note, mt.tensor([1, 2]))}

    def run(how):
        leaves = [mt.tensor([1.0, 2.0], requires_grad=True) for _ in range(3)]
        a, b, s = (leaf * 1 for leaf in leaves)  # not leaves themselves
        w.grad = None
        result = how(segment, (a, [b]), scale={"s": s}, note="n")
        assert result["same"][1] == "n" and not result["same"][2].requires_grad
        (result["y"] ** 2 + result["same"][0]).sum().backward()
        return [leaf.grad.tolist() for leaf in leaves] + [w.grad.tolist()]

    assert run(lambda f, *a, **k: checkpoint(f, *a, use_reentrant=False, **k)) == run(lambda f, *a, **k: f(*a, **k))


def test_the_inside_is_not_kept():
    size = 1000
    x = mt.ones(size, size, requires_grad=True)

    def segment(t):
        for _ in range(8):
            t = t.sin()
        return t

    def held(run):
        gc.collect()
        before = mt.memory_stats()["allocated_bytes"]
        y = run()
        now = mt.memory_stats()["allocated_bytes"]
        del y
        return (now - before) / (4 * size * size)

    assert held(lambda: segment(x)) > 6
    assert held(lambda: checkpoint(segment, x, use_reentrant=False)) < 2


def test_contexts_of_both_runs():
    seen = []

    class Note:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            seen.append(self.name)

        def __exit__(self, *error):
            seen.append("end " + self.name)

    x = mt.ones(2, requires_grad=True)
    y = checkpoint(mt.exp, x, use_reentrant=False, context_fn=lambda: (Note("first"), Note("second")))
    assert seen == ["first", "end first"]
    y.sum().backward()
    assert seen == ["first", "end first", "second", "end second"] and mt.equal(x.grad, x.exp())
    y = checkpoint(mt.exp, x, use_reentrant=False,
                   context_fn=lambda: cp.create_selective_checkpoint_contexts([mt.exp]))
    with cp.set_checkpoint_early_stop(False), cp.set_checkpoint_debug_enabled(True):
        y.sum().backward()


def test_second_run_that_differs_is_an_error():
    lengths = iter([2, 3, 2, 3])
    x = mt.ones(4, requires_grad=True)
    y = checkpoint(lambda t: t[:next(lengths)] * 2, x, use_reentrant=False)
    with pytest.raises(cp.CheckpointError, match="different metadata"):
        y.sum().backward()
    state = mt.get_rng_state()
    y = checkpoint(lambda t: t * mt.rand(4), x, use_reentrant=False, preserve_rng_state=False)
    mt.set_rng_state(state)
    y.sum().backward()
    assert mt.equal(x.grad, y.detach())  # drew the same numbers only because the state was set


def test_options_are_pytorchs():
    torch = pytest.importorskip("torch")
    cases = [
        "checkpoint(lambda x: x, x, use_reentrant=True, a=1)",
        "checkpoint(lambda x: x, x, use_reentrant=True, debug=True)",
        "checkpoint(lambda x: x * 2, x, use_reentrant=False, determinism_check='no')",
        "checkpoint_sequential([abs], 1, x, use_reentrant=True, a=1)",
        "detach_variable([x])",
    ]
    for case in cases:
        raised = []
        for lib in (torch, mt):
            from importlib import import_module
            names = vars(import_module(f"{lib.__name__}.utils.checkpoint"))
            with pytest.raises(Exception) as info:
                eval(case, {**names, "x": lib.ones(2, requires_grad=True)})
            raised.append(info.value)
        assert type(raised[0]) is type(raised[1]) and str(raised[0])[:60] == str(raised[1])[:60], case


def test_reentrant_needs_an_input_with_gradient():
    layer = nn.Linear(2, 2)
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        y = checkpoint(layer, mt.ones(1, 2), use_reentrant=True)
    assert not y.requires_grad
    assert checkpoint(layer, mt.ones(1, 2), use_reentrant=False).requires_grad
    with pytest.warns(UserWarning, match="use_reentrant parameter should be passed explicitly"):
        checkpoint(layer, mt.ones(1, 2, requires_grad=True))
    with mt.no_grad():
        assert not checkpoint(layer, mt.ones(1, 2), use_reentrant=False).requires_grad
    x = mt.ones(1, 2, requires_grad=True)
    cp.CheckpointFunction.apply(layer, True, x).sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), [layer.weight.detach().sum(0).tolist()], rtol=1e-6)


def test_small_parts_of_utils(capsys):
    from minitorch_bn.utils import collect_env, dlpack, hooks

    x = mt.arange(4)
    y = dlpack.from_dlpack(dlpack.to_dlpack(x))
    y[0] = 7
    assert x[0] == 7
    collect_env.main()
    assert mt.__version__ in capsys.readouterr().out
    assert hooks.RemovableHandle is mt.RemovableHandle

    @hooks.unserializable_hook
    def hook(g):
        return None

    assert hook.__torch_unserializable__
