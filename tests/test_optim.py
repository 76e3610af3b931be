"""Optimizers and schedules: trajectories, checkpoints and printed forms are PyTorch's; rules of the base classes."""

import copy
import math
import pickle
import warnings

import numpy as np
import pytest

import minitorch_bn as mt
from minitorch_bn import nn, optim
from minitorch_bn.optim import lr_scheduler

OPTIMIZERS = [
    "SGD(ps, lr=0.1)",
    "SGD(ps, lr=0.1, momentum=0.9, weight_decay=0.01)",
    "SGD(ps, lr=0.1, momentum=0.9, dampening=0.3, maximize=True)",
    "SGD(ps, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)",
    "SGD([{'params': ps[:1]}, {'params': ps[1:], 'lr': 0.3}], lr=0.01, momentum=0.5)",
    "Adam(ps)",
    "Adam(ps, lr=0.1, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.1)",
    "Adam(ps, lr=0.1, amsgrad=True, maximize=True)",
    "Adam(ps, lr=0.1, weight_decay=0.1, decoupled_weight_decay=True)",
    "AdamW(ps, lr=0.05)",
    "AdamW(ps, lr=0.05, weight_decay=0.5, amsgrad=True)",
    "RMSprop(ps, lr=0.05)",
    "RMSprop(ps, lr=0.05, momentum=0.9, centered=True, weight_decay=0.1)",
    "Adagrad(ps, lr=0.1, lr_decay=0.1, initial_accumulator_value=0.2, weight_decay=0.1)",
    "Adadelta(ps, weight_decay=0.1)",
    "Adamax(ps, lr=0.05, weight_decay=0.1)",
    "NAdam(ps, lr=0.05, weight_decay=0.1)",
    "NAdam(ps, lr=0.05, weight_decay=0.1, decoupled_weight_decay=True)",
    "RAdam(ps, lr=0.05, weight_decay=0.1)",
]


def _start(lib):
    return [lib.nn.Parameter(lib.from_numpy(np.random.default_rng(i).normal(size=shape)))
            for i, shape in enumerate([(3, 4), (4,), ()])]


def _train(lib, params, optimizer, steps, first=0):
    """Steps with made-up gradients; the last parameter has none in the first two."""
    for step in range(first, first + steps):
        rng = np.random.default_rng(100 + step)
        for i, param in enumerate(params):
            grad = lib.from_numpy(np.asarray(rng.normal(size=tuple(param.shape))))
            param.grad = None if i == 2 and step < 2 else grad
        optimizer.step()
    return [param.detach().numpy().copy() for param in params]


def _make(lib, expression, params):
    return eval("optim." + expression, {"optim": lib.optim, "ps": params})


@pytest.mark.parametrize("expression", OPTIMIZERS)
def test_trajectory_and_checkpoint_match_pytorch(expression):
    torch = pytest.importorskip("torch")
    ours, theirs = _start(mt), _start(torch)
    my_optimizer, optimizer = _make(mt, expression, ours), _make(torch, expression, theirs)
    assert repr(my_optimizer) == repr(optimizer)
    for a, b in zip(_train(mt, ours, my_optimizer, 20), _train(torch, theirs, optimizer, 20)):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)

    mine, state = my_optimizer.state_dict(), optimizer.state_dict()
    assert mine["param_groups"] == state["param_groups"]
    assert {k: list(v) for k, v in mine["state"].items()} == {k: list(v) for k, v in state["state"].items()}

    def converted(value):
        if isinstance(value, torch.Tensor):
            return mt.from_numpy(value.numpy().copy())
        return {k: converted(v) for k, v in value.items()} if isinstance(value, dict) else value

    resumed = _make(mt, expression, ours)  # goes on from PyTorch's checkpoint
    resumed.load_state_dict({"state": converted(state["state"]), "param_groups": state["param_groups"]})
    for a, b in zip(_train(mt, ours, resumed, 5, 20), _train(torch, theirs, optimizer, 5, 20)):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


SCHEDULES = [
    "StepLR(opt, 3, 0.5)",
    "MultiStepLR(opt, [2, 5, 5, 9], 0.3)",
    "ConstantLR(opt, 0.25, 4)",
    "LinearLR(opt, 0.25, 0.75, 6)",
    "ExponentialLR(opt, 0.9)",
    "PolynomialLR(opt, 8, 2.0)",
    "CosineAnnealingLR(opt, 5, 0.001)",
    "CosineAnnealingWarmRestarts(opt, 3, 2, 0.001)",
    "OneCycleLR(opt, 0.5, total_steps=25)",
    "OneCycleLR(opt, [0.5, 0.2], epochs=5, steps_per_epoch=5, anneal_strategy='linear', three_phase=True)",
    "LambdaLR(opt, lambda epoch: 0.9 ** epoch)",
    "LambdaLR(opt, [lambda epoch: 0.9 ** epoch, lambda epoch: 1 / (1 + epoch)])",
    "MultiplicativeLR(opt, lambda epoch: 0.95)",
    "SequentialLR(opt, [LinearLR(opt, 0.1, total_iters=4), CosineAnnealingLR(opt, 10), ExponentialLR(opt, 0.9)], "
    "[4, 12])",
    "ChainedScheduler([ConstantLR(opt, 0.1, 3), ExponentialLR(opt, 0.9)])",
    "SequentialLR(opt, [ChainedScheduler([StepLR(opt, 2), ExponentialLR(opt, 0.9)]), StepLR(opt, 2)], [5])",
]


def _two_groups(lib, name):
    a, b = (lib.nn.Parameter(lib.zeros(1)) for _ in range(2))
    return getattr(lib.optim, name)([{"params": [a]}, {"params": [b], "lr": 0.02}], lr=0.1)


def _rates(lib, expression, optimizer="SGD", steps=20, scheduler=None):
    opt = _two_groups(lib, optimizer)
    scheduler = eval(expression, {**vars(lib.optim.lr_scheduler), "opt": opt})
    rates = []
    for _ in range(steps):
        group = opt.param_groups[0]
        rates.append((*(g["lr"] for g in opt.param_groups), *scheduler.get_last_lr(), group.get("momentum"),
                      group.get("betas")))
        opt.step()
        scheduler.step()
    return rates


@pytest.mark.filterwarnings("ignore:Detected call")  # PyTorch's warning too, where a chain is part of a sequence
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("expression", SCHEDULES)
def test_schedule_is_exactly_pytorchs(expression, optimizer):
    torch = pytest.importorskip("torch")
    assert _rates(mt, expression, optimizer) == _rates(torch, expression, optimizer)


@pytest.mark.parametrize("options", [
    {}, {"patience": 1, "factor": 0.5, "cooldown": 2}, {"mode": "max", "threshold": 0.1, "patience": 0},
    {"threshold_mode": "abs", "threshold": 0.5, "patience": 2, "min_lr": [0.05, 0.001]},
    {"mode": "max", "threshold_mode": "abs", "patience": 1}])
def test_plateau_is_exactly_pytorchs(options):
    torch = pytest.importorskip("torch")
    metrics = np.random.default_rng(0).normal(size=40).cumsum() / 10

    def rates(lib):
        opt = _two_groups(lib, "SGD")
        scheduler = lib.optim.lr_scheduler.ReduceLROnPlateau(opt, **options)
        seen = []
        for metric in metrics:
            scheduler.step(metric)
            seen.append(list(scheduler.get_last_lr()))
        return seen

    assert rates(mt) == rates(torch)


@pytest.mark.filterwarnings("ignore:Detected call")
@pytest.mark.parametrize("expression", [s for s in SCHEDULES if "lambda" not in s])
def test_schedule_resumes_from_its_checkpoint(expression):
    names = {**vars(lr_scheduler)}
    opt = _two_groups(mt, "SGD")
    scheduler = eval(expression, {**names, "opt": opt})
    for _ in range(6):
        opt.step()
        scheduler.step()
    other = _two_groups(mt, "SGD")
    resumed = eval(expression, {**names, "opt": other})
    other.load_state_dict(copy.deepcopy(opt.state_dict()))
    resumed.load_state_dict(pickle.loads(pickle.dumps(scheduler.state_dict())))
    for _ in range(6):
        for o, s in (opt, scheduler), (other, resumed):
            o.step()
            s.step()
        assert [g["lr"] for g in other.param_groups] == [g["lr"] for g in opt.param_groups]


def test_schedule_continues_from_last_epoch_and_jumps():
    torch = pytest.importorskip("torch")
    for expression in ("StepLR(opt, 3, 0.5, last_epoch=4)", "CosineAnnealingLR(opt, 7, last_epoch=3)",
                       "LinearLR(opt, last_epoch=2)", "ExponentialLR(opt, 0.5, last_epoch=1)"):
        seen = []
        for lib in (mt, torch):
            opt = _two_groups(lib, "SGD")
            for group in opt.param_groups:
                group["initial_lr"] = 0.5
            scheduler = eval(expression, {**vars(lib.optim.lr_scheduler), "opt": opt})
            rates = [scheduler.get_last_lr()]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for epoch in (None, 7, None):
                    scheduler.step(epoch)
                    rates.append(scheduler.get_last_lr())
            seen.append(rates)
        assert seen[0] == seen[1]
    with pytest.raises(KeyError, match="initial_lr"):
        lr_scheduler.StepLR(_two_groups(mt, "SGD"), 3, last_epoch=2)


def test_schedule_warns():
    opt = _two_groups(mt, "SGD")
    scheduler = lr_scheduler.StepLR(opt, 3)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()
    with pytest.warns(UserWarning, match="epoch parameter"):
        scheduler.step(5)
    with pytest.raises(TypeError, match="is not an Optimizer"):
        lr_scheduler.StepLR(5, 3)


ERRORS = [
    "optim.SGD([], lr=0.1)",
    "optim.SGD(torch.zeros(2), lr=0.1)",
    "optim.SGD([1], lr=0.1)",
    "optim.SGD([p], lr=-1.0)",
    "optim.SGD([p], lr=0.1, nesterov=True)",
    "optim.SGD([p * 2], lr=0.1)",
    "optim.SGD([{'params': [p]}, {'params': [p]}], lr=0.1)",
    "optim.SGD([{'params': {p}}], lr=0.1)",
    "optim.Adam([p], betas=(1.0, 0.9))",
    "optim.Adam([p], eps=-1.0)",
    "optim.Adam([p], weight_decay=-1.0)",
    "optim.SGD([p]).load_state_dict({'state': {}, 'param_groups': []})",
    "optim.SGD([p]).load_state_dict({'state': {}, 'param_groups': [{'params': [0, 1]}]})",
    "optim.SGD([p]).add_param_group(5)",
    "optim.lr_scheduler.LambdaLR(optim.SGD([p]), [len, len])",
    "optim.lr_scheduler.OneCycleLR(optim.SGD([p]), 0.1)",
    "optim.lr_scheduler.OneCycleLR(optim.Adagrad([p]), 0.1, 5)",
    "optim.lr_scheduler.LinearLR(optim.SGD([p]), 0)",
    "optim.lr_scheduler.ReduceLROnPlateau(optim.SGD([p]), 'least')",
    "optim.lr_scheduler.SequentialLR(optim.SGD([p]), [], [])",
    "optim.lr_scheduler.CosineAnnealingWarmRestarts(optim.SGD([p]), 0)",
]


@pytest.mark.parametrize("expression", ERRORS)
def test_errors_are_pytorchs(expression):
    torch = pytest.importorskip("torch")
    raised = []
    for lib in (torch, mt):
        with pytest.raises(Exception) as info:
            eval(expression, {"optim": lib.optim, "torch": lib, "p": lib.nn.Parameter(lib.zeros(2))})
        raised.append(info.value)
    assert type(raised[0]) is type(raised[1])
    assert str(raised[1])[:60] == str(raised[0])[:60]


def test_minimizes_with_closure():
    x = nn.Parameter(mt.tensor([3.0, -2.0]))
    optimizer = optim.Adam([x], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (x**2).sum()
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(200)]
    assert losses[0] == 13.0 and losses[-1] < 1e-3


def test_groups_names_and_zero_grad():
    layer = nn.Linear(2, 2)
    optimizer = optim.SGD(layer.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    optimizer.add_param_group({"params": [("extra", nn.Parameter(mt.zeros(1)))], "lr": 1.0})
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 1.0]
    layer(mt.ones(1, 2)).sum().backward()
    grad = layer.weight.grad
    optimizer.zero_grad(set_to_none=False)
    assert layer.weight.grad is not None and float(grad.sum()) == 0
    optimizer.zero_grad()
    assert layer.weight.grad is None
    optimizer.step()  # nothing to do


def test_hooks_copies_and_user_optimizers():
    class Sign(optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.data.add_(p.grad.sign(), alpha=-group["lr"])

    p = nn.Parameter(mt.zeros(1))
    p.grad = mt.ones(1)
    optimizer = Sign([p], 0.5)
    calls = []
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: calls.append("before"))
    optimizer.register_step_post_hook(lambda opt, args, kwargs: calls.append("after"))
    optimizer.register_state_dict_post_hook(lambda opt, state: {**state, "note": 1})
    optimizer.step()
    assert p.item() == -0.5 and calls == ["before", "after"] and optimizer.state_dict()["note"] == 1
    twin = copy.deepcopy(optimizer)
    assert twin.param_groups[0]["params"][0] is not p and twin.param_groups[0]["lr"] == 0.5


def test_learning_rate_may_be_a_tensor():
    p = nn.Parameter(mt.ones(1))
    p.grad = mt.ones(1)
    optimizer = optim.SGD([p], lr=mt.tensor(0.5))
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    lr = optimizer.param_groups[0]["lr"]
    optimizer.step()
    scheduler.step()
    assert p.item() == 0.5 and optimizer.param_groups[0]["lr"] is lr and math.isclose(float(lr), 0.25)
