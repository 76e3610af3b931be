"""Every optimizer of PyTorch's own test database, run here and there: trajectories, checkpoints, errors, signatures.

``python -m tests.oracle.optimizers`` prints what differs.
"""
from __future__ import annotations

import copy
import inspect
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.testing._internal.common_optimizers import OptimizerErrorEnum, optim_db

import minitorch_bn as ours

from .bridge import NotOurs, tensor_to_ours

SHAPES = [(3, 4), (4,), (), (2, 3, 2)]
STEPS = 20
# Relative to the largest value. Muon's inner iteration is in bfloat16, each product and sum rounded once.
TOLERANCE = {"float64": 1e-10, "float32": 1e-5, "Muon": 1e-6, "LBFGS": 1e-8, "single": 1e-6}
INFOS = {info.optim_cls.__name__: info for info in optim_db}


class Case(NamedTuple):
    """One optimizer with one set of options."""

    name: str
    kwargs: dict[str, Any]
    dtype: str = "float64"

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v}' for k, v in self.kwargs.items())}; {self.dtype})"


def cases() -> Iterator[Case]:
    for name, info in INFOS.items():
        if name == "SparseAdam":
            continue
        for entry in info.optim_inputs_func(device="cpu", dtype=torch.float64):
            yield Case(name, entry.kwargs)
        if name != "LBFGS":  # whose path in float32 depends on the rounding of each sum
            yield Case(name, {}, "float32")
        if name not in ("LBFGS", "Muon"):
            yield Case(name, {"foreach": True, "maximize": True})
            yield Case(name, {"lr": torch.tensor([0.01])})
            if "differentiable" in info.supported_impls:
                yield Case(name, {"differentiable": True})
            if "cpu" in info.supports_fused_on:
                yield Case(name, {"fused": True})
                yield Case(name, {"fused": True, "weight_decay": 0.1}, "float32")
        if info.has_capturable_arg:
            yield Case(name, {"capturable": True})
    yield Case("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "differentiable": True})
    yield Case("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "foreach": True})
    yield Case("Adam", {"amsgrad": True, "weight_decay": 0.1, "differentiable": True})
    yield Case("Adam", {"betas": (torch.tensor(0.8), torch.tensor([0.9]))})
    yield Case("Adam", {"foreach": True, "differentiable": True})
    yield Case("AdamW", {"amsgrad": True, "maximize": True, "differentiable": True})
    yield Case("Adafactor", {"eps": (1e-3, 1e-2), "d": 1.2})
    yield Case("ASGD", {"t0": 3, "lambd": 0.1, "alpha": 0.5})
    yield Case("Rprop", {"etas": (0.3, 1.5), "step_sizes": (1e-3, 0.05)})
    yield Case("Muon", {"adjust_lr_fn": "match_rms_adamw", "nesterov": False})
    for options in ({"history_size": 3}, {"max_iter": 4, "tolerance_change": 1e-4}, {"line_search_fn": "strong_wolfe",
                    "history_size": 2, "max_eval": 7}, {"line_search_fn": "strong_wolfe", "lr": 5.0}):
        yield Case("LBFGS", options)


def to_ours(value: Any) -> Any:
    """A value for our side; one tensor becomes one tensor wherever it stands."""
    known: dict[int, Any] = {}

    def convert(x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            if id(x) not in known:
                copied = tensor_to_ours(x)
                if isinstance(x, torch.nn.Parameter):
                    copied = ours.nn.Parameter(copied.detach())
                if x.grad is not None:
                    copied.grad = tensor_to_ours(x.grad)
                known[id(x)] = copied
            return known[id(x)]
        if isinstance(x, dict):
            return {convert(k): convert(v) for k, v in x.items()}
        return type(x)(convert(v) for v in x) if isinstance(x, (list, tuple)) else x

    return convert(value)


def start(lib: Any, case: Case) -> list:
    shapes = [(3, 4), (5, 2)] if case.name == "Muon" else SHAPES
    return [lib.nn.Parameter(lib.from_numpy(np.random.default_rng(i).normal(size=shape).astype(case.dtype)))
            for i, shape in enumerate(shapes)]


def objective(params: list) -> Any:
    """Not convex, and the parameters depend on each other: a task for L-BFGS."""
    total = sum((param**2).sum() for param in params)
    return total.sin() * 0.3 + sum(((param - 0.3 * i) ** 4).sum() + (param**2).sum() for i, param in enumerate(params))


def train(lib: Any, case: Case, optimizer: Any, params: list, first: int, count: int) -> list[np.ndarray]:
    """`count` steps; the second parameter has no gradient at first. All the values after each step."""
    seen = []

    def closure() -> Any:
        optimizer.zero_grad()
        loss = objective(params)
        loss.backward()
        return loss

    for step in range(first, first + count):
        if case.name == "LBFGS":
            optimizer.step(closure)
        else:
            rng = np.random.default_rng(100 + step)
            for i, param in enumerate(params):
                grad = lib.from_numpy(np.asarray(rng.normal(size=tuple(param.shape))).astype(case.dtype))
                param.grad = None if i == 1 and step < 2 else grad
            optimizer.step()
        if case.kwargs.get("differentiable"):
            for param in params:
                param.detach_().requires_grad_()
            for state in optimizer.state.values():
                state.update({k: v.detach() if isinstance(v, lib.Tensor) else v for k, v in state.items()})
        seen += [param.detach().numpy().copy() for param in params]
    return seen


def build(lib: Any, case: Case, params: list) -> Any:
    kwargs = to_ours(case.kwargs) if lib is ours else copy.deepcopy(case.kwargs)
    if case.kwargs.get("differentiable"):  # not leaves: a leaf that needs a gradient cannot be written in place
        params[:] = [param.clone() for param in params]
    return getattr(lib.optim, case.name)(params, **kwargs)


def shape_of(state: Any, lib: Any) -> Any:
    """The keys and kinds of a state dict, tensors by dtype and shape."""
    if isinstance(state, lib.Tensor):
        return str(state.dtype), tuple(state.shape)
    if isinstance(state, dict):
        return [(key, shape_of(value, lib)) for key, value in state.items() if key != "t"]
    return [shape_of(value, lib) for value in state] if isinstance(state, (list, tuple)) else type(state).__name__


def attempt(lib: Any, case: Case) -> tuple[Any, list, list[np.ndarray]] | Exception:
    """(optimizer, parameters, values), or the exception of it."""
    params = start(lib, case)
    try:
        optimizer = build(lib, case, params)
        return optimizer, params, train(lib, case, optimizer, params, 0, STEPS)
    except Exception as error:
        return error


def distance(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    """The largest difference, relative to the largest value of its tensor."""
    return max(float(np.abs(x - y).max() / max(np.abs(y).max(), 1e-3)) if x.size else 0.0 for x, y in zip(a, b))


def check(case: Case) -> str:
    """What differs in one case; empty if nothing does."""
    theirs, mine = attempt(torch, case), attempt(ours, case)
    if isinstance(theirs, Exception) or isinstance(mine, Exception):
        if type(theirs) is type(mine) and str(theirs)[:70] == str(mine)[:70]:
            return ""
        return f"PyTorch: {theirs!r}, ours: {mine!r}"
    # scalars in float32 there
    single = "tensor" in str(case.kwargs) or (case.name, case.kwargs.get("foreach")) == ("ASGD", True)
    tolerance = TOLERANCE.get(case.name, TOLERANCE["single" if single else case.dtype])
    found = distance(mine[2], theirs[2])
    if not found <= tolerance:
        return f"trajectory differs by {found:.1e}"
    return _check_exchange(case, theirs, mine, tolerance)


def _check_exchange(case: Case, theirs: tuple, mine: tuple, tolerance: float) -> str:
    """Checkpoints: of one form, and each side goes on from the other's."""
    their_state, my_state = copy.deepcopy(theirs[0].state_dict()), mine[0].state_dict()
    if shape_of(their_state, torch) != shape_of(my_state, ours):
        return f"state dicts differ: {shape_of(their_state, torch)} {shape_of(my_state, ours)}"
    if case.name != "LBFGS" and repr(theirs[0]) != repr(mine[0]):
        return f"printed {theirs[0]!r} and {mine[0]!r}"
    if case.kwargs.get("differentiable"):
        return ""
    resumed = build(ours, case, mine[1])
    resumed.load_state_dict(to_ours(their_state))
    reverse_params = [torch.nn.Parameter(torch.from_numpy(p.detach().numpy().copy())) for p in mine[1]]
    reverse = build(torch, case, reverse_params)
    reverse.load_state_dict(to_theirs(my_state))
    runs = [train(lib, case, optimizer, params, STEPS, 3) for lib, optimizer, params in (
        (torch, theirs[0], theirs[1]), (torch, reverse, reverse_params), (ours, resumed, mine[1]))]
    for name, run, reference, bound in (  # a checkpoint keeps some float32 scalars of ASGD in float64
            ("we from PyTorch's checkpoint, PyTorch from ours", runs[1], runs[2], 10 * tolerance),
            ("PyTorch without and with our checkpoint", runs[0], runs[1], max(10 * tolerance, 1e-7))):
        found = distance(run, reference)
        if not found <= bound:
            return f"{name}: differ by {found:.1e}"
    return ""


def to_theirs(value: Any) -> Any:
    if isinstance(value, ours.Tensor):
        return torch.from_numpy(np.array(value.detach().numpy()))
    if isinstance(value, dict):
        return {k: to_theirs(v) for k, v in value.items()}
    return type(value)(map(to_theirs, value)) if isinstance(value, (list, tuple)) else value


def error_cases() -> Iterator[tuple[str, Any]]:
    for name, info in INFOS.items():
        for entry in info.optim_error_inputs_func(device="cpu", dtype=torch.float64):
            yield name, entry


def check_error(name: str, entry: Any) -> str:
    given = entry.optimizer_error_input
    params = [torch.nn.Parameter(torch.ones(2, 2))] if given.params is None else given.params
    try:
        params, kwargs = to_ours((params, given.kwargs))
    except NotOurs:
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            optimizer = getattr(ours.optim, name)(params, **kwargs)
            if entry.error_on == OptimizerErrorEnum.STEP_ERROR:
                optimizer.step()
    except Exception as error:
        import re
        if isinstance(error, entry.error_type) and re.search(entry.error_regex, str(error)):
            return ""
        return f"{given.desc}: wanted {entry.error_type.__name__}({entry.error_regex!r}), got {error!r}"
    return f"{given.desc}: no error, wanted {entry.error_type.__name__}({entry.error_regex!r})"


def signature(function: Any) -> list[tuple]:
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


def main() -> int:
    results = [(str(case), check(case)) for case in cases()]
    results += [(name, check_error(name, entry)) for name, entry in error_cases()]
    results += [(name, "" if signature(getattr(ours.optim, name)) == signature(getattr(torch.optim, name)) else
                 f"signature {signature(getattr(ours.optim, name))} {signature(getattr(torch.optim, name))}")
                for name in INFOS]
    wrong = [(name, text) for name, text in results if text]
    for name, text in wrong:
        print(f"{name}: {text}")
    print(f"{len(results) - len(wrong)} of {len(results)} agree")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
