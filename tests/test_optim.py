"""Optimizers and schedules: trajectories, checkpoints and printed forms are PyTorch's; rules of the base classes."""

import copy
import math
import pickle

import numpy as np
import pytest
from errors import both_raise

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
    "Adam(ps, lr=0.1, betas=(0.3, 0.99))",  # below a half, lerp goes from the other end
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
    "optim.lr_scheduler.CyclicLR(optim.SGD([p]), 0.1, 0.2, mode='square')",
    "optim.lr_scheduler.CyclicLR(optim.Adagrad([p]), 0.1, 0.2)",
    "optim.lr_scheduler.CyclicLR(optim.SGD([p]), [0.1, 0.2], 0.2)",
    "optim.lr_scheduler.MultiplicativeLR(optim.SGD([p]), 0.1)",
    "optim.lr_scheduler.ChainedScheduler([])",
    "optim.swa_utils.SWALR(optim.SGD([p]), 0.1, anneal_strategy='exp')",
    "optim.swa_utils.SWALR(optim.SGD([p]), 0.1, anneal_epochs=-1)",
    "optim.Adam([p], betas=(0.9, torch.tensor(0.99)))",
    "optim.Adam([p], betas=(0, 0.99))",
    "optim.Rprop([p], etas=(1.5, 1.2))",
    "optim.Muon([p])",
    "optim.SGD([('a', p), torch.nn.Parameter(torch.zeros(1))])",
    "optim.SGD([{'params': [('a', p)]}, {'params': [torch.nn.Parameter(torch.zeros(1))]}])",
    "optim.SGD([None])",
]


@pytest.mark.parametrize("expression", ERRORS)
def test_errors_are_pytorchs(expression):
    theirs, ours = both_raise(expression, lambda lib: {"optim": lib.optim, "p": lib.nn.Parameter(lib.zeros(2))})
    assert ours[:60] == theirs[:60]


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


def test_averaged_models_are_pytorchs():
    torch = pytest.importorskip("torch")
    for options in ("", "use_buffers=True", "avg_fn=get_ema_avg_fn(0.8)", "multi_avg_fn=get_ema_multi_avg_fn(0.7)",
                    "multi_avg_fn=get_swa_multi_avg_fn()", "avg_fn=get_swa_avg_fn(), use_buffers=True",
                    "multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=True"):
        seen = []
        for lib in (mt, torch):
            model = lib.nn.Sequential(lib.nn.Linear(3, 2).double(), lib.nn.BatchNorm1d(2).double())
            averaged = eval(f"AveragedModel(model, {options})", {**vars(lib.optim.swa_utils), "model": model})
            for step in range(4):
                rng = np.random.default_rng(step)
                with lib.no_grad():
                    for t in (*model.parameters(), *model.buffers()):
                        t.copy_(lib.from_numpy(np.asarray(rng.uniform(1, 9, size=tuple(t.shape)))))
                averaged.update_parameters(model)
            batches = [[lib.from_numpy(np.random.default_rng(i).normal(size=(4, 3)))] for i in range(3)]
            values = {key: value.numpy().copy() for key, value in averaged.state_dict().items()}
            lib.optim.swa_utils.update_bn(batches, averaged)
            assert averaged.module[1].momentum == 0.1
            seen.append((values, {key: value.numpy().copy() for key, value in averaged.state_dict().items()}))
        for mine, theirs in zip(*seen):
            assert list(mine) == list(theirs)
            for key in mine:
                np.testing.assert_allclose(mine[key], theirs[key], rtol=1e-7, err_msg=key)  # 1 / n in float32
    with pytest.raises(ValueError, match="Invalid decay value 2"):
        optim.swa_utils.get_ema_avg_fn(2)
    with pytest.raises(AssertionError, match="Only one of"):
        optim.swa_utils.AveragedModel(nn.Linear(1, 1), avg_fn=max, multi_avg_fn=max)


def test_gradients_flow_through_a_differentiable_step():
    """The loss after two steps, differentiated with respect to the learning rate and the start."""
    torch = pytest.importorskip("torch")
    for name, options in (("SGD", {"momentum": 0.9}), ("Adam", {}), ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
                          ("RMSprop", {"momentum": 0.5, "centered": True}), ("Adagrad", {}), ("Adadelta", {}),
                          ("Adamax", {}), ("NAdam", {}), ("RAdam", {"betas": (0.5, 0.6)}), ("ASGD", {})):
        seen = []
        for lib in (mt, torch):
            start = lib.tensor([1.0, -2.0, 3.0], dtype=lib.float64, requires_grad=True)
            param = start.clone()
            opt = getattr(lib.optim, name)([param], lr=0.1, differentiable=True, **options)
            param.grad = start**3 + start  # the gradient depends on the start, too
            opt.step()
            (param**2).sum().backward()
            seen.append(start.grad.tolist())
        np.testing.assert_allclose(seen[0], seen[1], rtol=1e-6, atol=1e-7, err_msg=name)
    for name in ("SGD", "Adam"):
        seen = []
        for lib in (mt, torch):
            lr = lib.tensor(0.1, dtype=lib.float64, requires_grad=True)
            param = lib.tensor([1.0, -2.0], dtype=lib.float64, requires_grad=True).clone()
            param.grad = lib.tensor([0.5, 0.25], dtype=lib.float64)
            opt = getattr(lib.optim, name)([param], lr=lr, differentiable=True)
            opt.step()
            (param**2).sum().backward()
            seen.append(lr.grad.item())
        np.testing.assert_allclose(seen[0], seen[1], rtol=1e-5, err_msg=name)


def test_options_that_exclude_each_other():
    p = nn.Parameter(mt.ones(2))
    p.grad = mt.ones(2)
    for name in ("SGD", "Adam", "AdamW", "Adagrad"):
        make = getattr(optim, name)
        with pytest.raises(RuntimeError, match="`fused` and `foreach` cannot be `True` together"):
            make([p], fused=True, foreach=True)
        with pytest.raises(RuntimeError, match="`fused` does not support `differentiable`"):
            make([p], fused=True, differentiable=True)
    with pytest.raises(AssertionError, match="If capturable=True, params"):
        optim.Adam([p], capturable=True).step()
    with pytest.raises(AssertionError, match="don't support autograd"):
        optim.RMSprop([p], foreach=True, differentiable=True).step()
    with pytest.raises(ValueError, match="lr as a Tensor is not supported"):
        optim.Adam([p], lr=mt.tensor(0.1), foreach=True)
    with pytest.raises(RuntimeError, match="dense gradients"):
        optim.SparseAdam([p]).step()
    with pytest.raises(ValueError, match="parameter groups"):
        optim.LBFGS([{"params": [p]}, {"params": [nn.Parameter(mt.ones(1))]}])
    with pytest.raises(RuntimeError, match="strong_wolfe"):
        optim.LBFGS([p], line_search_fn="armijo").step(lambda: (p**2).sum())


def test_hooks_around_steps_of_all_optimizers_and_checkpoints():
    p = nn.Parameter(mt.zeros(1))
    p.grad = mt.ones(1)
    optimizer, calls = optim.SGD([p], lr=1.0), []

    def note(what):
        return lambda *args: calls.append(what)

    handles = [optim.optimizer.register_optimizer_step_pre_hook(note("all before")),
               optim.optimizer.register_optimizer_step_post_hook(note("all after")),
               optimizer.register_step_pre_hook(note("before")), optimizer.register_step_post_hook(note("after")),
               optimizer.register_state_dict_pre_hook(note("save")),
               optimizer.register_state_dict_pre_hook(note("save first"), prepend=True),
               optimizer.register_load_state_dict_pre_hook(note("load")),
               optimizer.register_load_state_dict_post_hook(note("loaded"))]
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    assert calls == ["all before", "before", "after", "all after", "save first", "save", "load", "loaded"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(calls) == 8
    seen = []
    handle = optimizer.register_step_pre_hook(lambda opt, args, kwargs: ((opt, lambda: seen.append(args)), kwargs))
    optimizer.step()  # the hook gives the step a closure
    assert seen == [(optimizer,)]
    handle.remove()
    optimizer.register_step_pre_hook(lambda *args: 5)
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        optimizer.step()


def test_optimizer_survives_pickle_and_later_groups():
    p, q = (nn.Parameter(mt.ones(2)) for _ in range(2))
    optimizer = optim.Adagrad([p], initial_accumulator_value=0.5)
    optimizer.add_param_group({"params": q, "lr": 1.0})
    q.grad = mt.ones(2)
    optimizer.step()
    assert optimizer.state[q]["sum"].tolist() == [1.5, 1.5]
    scheduler = lr_scheduler.StepLR(optimizer, 1)  # wraps `step`
    twin = pickle.loads(pickle.dumps(optimizer))
    assert twin.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]
    twin.param_groups[1]["params"][0].grad = mt.ones(2)
    twin.step()
    optimizer.step()
    scheduler.step()
    assert twin.param_groups[1]["params"][0].tolist() == q.tolist()


def test_parameters_and_state_are_swapped_for_a_while():
    p, other = nn.Parameter(mt.zeros(2)), mt.zeros(2)
    p.grad = other.grad = mt.ones(2)
    optimizer = optim.SGD([p], lr=1.0, momentum=0.9)
    optimizer.step()
    saved = copy.deepcopy(optimizer.state_dict())
    with optim.swap_in_optimizer_params_and_state(optimizer, {"p": other}, saved):
        optimizer.step()
    np.testing.assert_allclose(other.tolist(), [-1.9, -1.9], rtol=1e-6)
    assert p.tolist() == [-1.0, -1.0] and optimizer.param_groups[0]["params"][0] is p
    with pytest.raises(RuntimeError, match="different number of parameter groups"):
        with optim.swap_in_optimizer_params_and_state(optimizer, {"p": other}, {"state": {}, "param_groups": []}):
            pass


def test_learning_rate_may_be_a_tensor():
    p = nn.Parameter(mt.ones(1))
    p.grad = mt.ones(1)
    optimizer = optim.SGD([p], lr=mt.tensor(0.5))
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    lr = optimizer.param_groups[0]["lr"]
    optimizer.step()
    scheduler.step()
    assert p.item() == 0.5 and optimizer.param_groups[0]["lr"] is lr and math.isclose(float(lr), 0.25)


ALL = ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta", "ASGD", "Rprop",
       "Adafactor"]


@pytest.mark.parametrize("name", ALL)
def test_checkpoints_of_older_versions_load(name):
    """Options that came later are missing in them, and steps are numbers."""
    params = _start(mt)
    optimizer = getattr(optim, name)(params, lr=0.01)
    _train(mt, params, optimizer, 3)
    state = copy.deepcopy(optimizer.state_dict())
    for group in state["param_groups"]:
        for option in ("foreach", "maximize", "capturable", "differentiable", "fused", "decoupled_weight_decay"):
            if not (option == "decoupled_weight_decay" and name == "AdamW"):
                group.pop(option, None)
    for entry in state["state"].values():
        entry.update({key: entry[key].item() for key in ("step", "eta", "mu", "mu_product") if key in entry})
    twins = [nn.Parameter(p.detach().clone()) for p in params]
    resumed = getattr(optim, name)(twins, lr=0.01)
    resumed.load_state_dict(state)
    for mine, theirs in zip(_train(mt, twins, resumed, 3, 3), _train(mt, params, optimizer, 3, 3)):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)
    assert resumed.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]


@pytest.mark.parametrize("name", ALL)
def test_groups_options_and_rates_that_change_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    seen = []
    for lib in (mt, torch):
        params = _start(lib)
        optimizer = getattr(lib.optim, name)([{"params": params[:1]}], lr=0.01)
        _train(lib, params, optimizer, 3)
        optimizer.add_param_group({"params": params[1:], "lr": 0.02, "maximize": True})
        _train(lib, params, optimizer, 3, 3)
        optimizer.param_groups[0]["lr"] = 0.5
        optimizer.param_groups[1]["weight_decay"] = 0.1
        seen.append(_train(lib, params, optimizer, 3, 6))
    for mine, theirs in zip(*seen):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


def test_modules_under_which_scripts_find_the_classes():
    from importlib import import_module
    for path, name in (("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD"), ("rmsprop", "RMSprop"), ("lbfgs", "LBFGS"),
                       ("adagrad", "Adagrad"), ("nadam", "NAdam"), ("radam", "RAdam"), ("optimizer", "Optimizer"),
                       ("adamax", "Adamax"), ("adadelta", "Adadelta"), ("asgd", "ASGD"), ("rprop", "Rprop"),
                       ("sparse_adam", "SparseAdam"), ("lr_scheduler", "_LRScheduler"), ("swa_utils", "SWALR")):
        assert hasattr(import_module(f"minitorch_bn.optim.{path}"), name)
    assert issubclass(lr_scheduler.StepLR, lr_scheduler.LRScheduler)


FUNCTIONS = {
    "sgd": (1, {"weight_decay": 0.1, "momentum": 0.9, "lr": 0.1, "dampening": 0.0, "nesterov": True,
                "maximize": False}),
    "adam": (4, {"amsgrad": True, "beta1": 0.9, "beta2": 0.99, "lr": 0.1, "weight_decay": 0.1, "eps": 1e-8,
                 "maximize": True}),
    "adamw": (4, {"amsgrad": False, "beta1": 0.9, "beta2": 0.99, "lr": 0.1, "weight_decay": 0.1, "eps": 1e-8,
                  "maximize": False}),
    "adagrad": (2, {"lr": 0.1, "weight_decay": 0.1, "lr_decay": 0.1, "eps": 1e-8, "maximize": False}),
    "adadelta": (3, {"lr": 0.1, "rho": 0.9, "eps": 1e-6, "weight_decay": 0.1, "maximize": False}),
    "adamax": (3, {"eps": 1e-8, "beta1": 0.9, "beta2": 0.99, "lr": 0.1, "weight_decay": 0.1}),
    "nadam": (4, {"beta1": 0.9, "beta2": 0.99, "lr": 0.1, "weight_decay": 0.1, "momentum_decay": 0.01, "eps": 1e-8}),
    "radam": (3, {"beta1": 0.9, "beta2": 0.99, "lr": 0.1, "weight_decay": 0.1, "eps": 1e-8}),
    "rmsprop": (4, {"lr": 0.1, "alpha": 0.9, "eps": 1e-8, "weight_decay": 0.1, "momentum": 0.9, "centered": True}),
    "asgd": (4, {"lambd": 0.1, "lr": 0.1, "t0": 1, "alpha": 0.7, "weight_decay": 0.1}),
    "rprop": (3, {"step_size_min": 1e-3, "step_size_max": 5.0, "etaminus": 0.5, "etaplus": 1.2}),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_optimizers_as_functions_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    from importlib import import_module
    count, options = FUNCTIONS[name]
    seen = []
    for lib in (mt, torch):
        function = getattr(import_module(f"{lib.__name__}.optim.{name}"), name)
        rng = np.random.default_rng(0)
        params = [lib.from_numpy(rng.normal(size=size)) for size in (3, 4)]
        grads = [lib.from_numpy(rng.normal(size=size)) for size in (3, 4)]
        lists = [[lib.from_numpy(rng.uniform(1, 2, size=size)) for size in (3, 4)] for _ in range(count)]
        scalars = {"sgd": [], "nadam": [-2], "asgd": [-3, -2]}.get(name, [])
        for place in [*scalars, *([] if name == "sgd" else [-1])]:
            lists[place] = [lib.tensor(2.0), lib.tensor(3.0)]
        with lib.no_grad():
            for _ in range(3):
                function(params, grads, *lists, **options)
        seen.append([t.numpy().copy() for t in (*params, *(t for values in lists for t in values))])
        assert params[0].grad is None
    for mine, theirs in zip(*seen):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9)
