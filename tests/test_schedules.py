"""Learning-rate schedules: PyTorch's rates to the last bit, in steps, in jumps, from checkpoints; its warnings."""

import copy
import pickle
import types
import warnings
import weakref

import numpy as np
import pytest

import minitorch_bn as mt
from minitorch_bn.optim import lr_scheduler

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
    "CyclicLR(opt, 0.01, 0.3, 3)",
    "CyclicLR(opt, [0.01, 0.02], [0.3, 0.4], 3, 5, mode='triangular2', base_momentum=0.7, max_momentum=0.95)",
    "CyclicLR(opt, 0.01, 0.3, 4, mode='exp_range', gamma=0.9, cycle_momentum=False)",
    "CyclicLR(opt, 0.01, 0.3, 4, scale_fn=lambda x: 0.5 ** x, scale_mode='iterations')",
    "SWALR(opt, 0.5, 4)",
    "SWALR(opt, [0.5, 0.01], 6, 'linear')",
    "SWALR(opt, 0.5, 0)",
    "CosineAnnealingLR(opt, 4)",
    "PolynomialLR(opt, 5, 0.5)",
    "OneCycleLR(opt, 0.5, total_steps=22, cycle_momentum=False, pct_start=0.5, div_factor=5, final_div_factor=10)",
    "SequentialLR(opt, [OneCycleLR(opt, 0.5, total_steps=25), MultiplicativeLR(opt, lambda e: 0.5)], [7])",
    "ChainedScheduler([LinearLR(opt), CosineAnnealingWarmRestarts(opt, 3), PolynomialLR(opt, 9)])",
]


def _two_groups(lib, name):
    a, b = (lib.nn.Parameter(lib.zeros(1)) for _ in range(2))
    return getattr(lib.optim, name)([{"params": [a]}, {"params": [b], "lr": 0.02}], lr=0.1)


def _schedule(lib, expression, opt):
    return eval(expression, {**vars(lib.optim.lr_scheduler), "SWALR": lib.optim.swa_utils.SWALR, "opt": opt})


def _rates(lib, expression, optimizer="SGD", steps=20):
    opt = _two_groups(lib, optimizer)
    scheduler = _schedule(lib, expression, opt)
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


CLOSED = ["StepLR(opt, 3, 0.5)", "MultiStepLR(opt, [2, 5, 5, 9], 0.3)", "ConstantLR(opt, 0.25, 4)",
          "LinearLR(opt, 0.25, 0.75, 6)", "ExponentialLR(opt, 0.9)", "PolynomialLR(opt, 8, 2.0)",
          "CosineAnnealingLR(opt, 5, 0.001)", "LambdaLR(opt, lambda epoch: 0.9 ** epoch)",
          "CosineAnnealingWarmRestarts(opt, 3, 2, 0.001)", "CosineAnnealingWarmRestarts(opt, 3)"]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("expression", CLOSED)
def test_jump_to_an_epoch_is_exactly_pytorchs(expression):
    torch = pytest.importorskip("torch")

    def rates(lib):
        opt = _two_groups(lib, "SGD")
        scheduler = _schedule(lib, expression, opt)
        seen = []
        for epoch in (0, 3, None, 7, 8, None, 2, None, 20):
            scheduler.step(epoch)
            seen.append((scheduler.last_epoch, *scheduler.get_last_lr()))
        return seen

    assert rates(mt) == rates(torch)


@pytest.mark.filterwarnings("ignore:Detected call")
@pytest.mark.parametrize("expression", [s for s in SCHEDULES if "lambda" not in s])
def test_schedule_checkpoints_are_pytorchs(expression):
    torch = pytest.importorskip("torch")

    def after(lib, steps, saved=None):
        opt = _two_groups(lib, "SGD")
        scheduler = _schedule(lib, expression, opt)
        if saved is not None:
            scheduler.load_state_dict(copy.deepcopy(saved[0]))
            opt.load_state_dict(copy.deepcopy(saved[1]))
        for _ in range(steps):
            opt.step()
            scheduler.step()
        return scheduler.state_dict(), opt.state_dict()

    mine, theirs = after(mt, 5), after(torch, 5)
    assert {k for k in theirs[0] if k not in ("anneal_func",)} == set(mine[0])
    assert after(mt, 4, theirs)[1] == after(torch, 4, mine)[1]


def test_schedule_of_a_tensor_rate_is_pytorchs():
    torch = pytest.importorskip("torch")
    for expression in ("StepLR(opt, 2, 0.5)", "LinearLR(opt)", "CosineAnnealingLR(opt, 5)", "SWALR(opt, 0.5, 3)",
                       "OneCycleLR(opt, 0.5, 20)", "LambdaLR(opt, lambda e: 0.5 ** e)", "CyclicLR(opt, 0.1, 0.5, 3)"):
        seen = []
        for lib in (mt, torch):
            opt = lib.optim.SGD([lib.nn.Parameter(lib.zeros(1))], lr=lib.tensor(0.1))
            scheduler = _schedule(lib, expression, opt)
            for _ in range(8):
                opt.step()
                scheduler.step()
                last = scheduler.get_last_lr()[0]
                seen.append(float(last))
                assert isinstance(last, lib.Tensor) and last is not opt.param_groups[0]["lr"]
        np.testing.assert_allclose(seen[:8], seen[8:], rtol=1e-6)


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
    opt = _two_groups(mt, "SGD")
    scheduler = _schedule(mt, expression, opt)
    for _ in range(6):
        opt.step()
        scheduler.step()
    other = _two_groups(mt, "SGD")
    resumed = _schedule(mt, expression, other)
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


def test_schedule_notices_a_step_that_was_replaced():
    for before in (True, False):
        opt, calls = _two_groups(mt, "SGD"), []
        replaced = types.MethodType(lambda self, calls=calls: calls.append(self), opt)
        if before:
            opt.step = replaced
        scheduler = lr_scheduler.StepLR(opt, 3)
        opt.step = opt.step if before else replaced
        opt.step()
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            scheduler.step()
        assert calls == [opt]
        assert ["overridden after" in str(w.message) for w in seen] == ([] if before else [True])


def test_nothing_keeps_a_dropped_schedule_alive():
    for expression in ("StepLR(opt, 2)", "CyclicLR(opt, 0.1, 0.2)", "LambdaLR(opt, lambda e: 1.0)"):
        opt = _two_groups(mt, "SGD")
        scheduler = _schedule(mt, expression, opt)
        opt.step()
        scheduler.step()
        watched = weakref.ref(scheduler), weakref.ref(opt)
        del scheduler, opt
        assert [ref() for ref in watched] == [None, None]
