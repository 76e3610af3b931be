"""The optimizers as functions of lists: parameters, gradients and state, all changed in place."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from .optimizer import Optimizer

# The entry of an optimizer's state that a list holds.
_ENTRIES = {
    "state_steps": "step", "exp_avgs": "exp_avg", "exp_avg_sqs": "exp_avg_sq", "max_exp_avg_sqs": "max_exp_avg_sq",
    "exp_infs": "exp_inf", "square_avgs": "square_avg", "grad_avgs": "grad_avg", "acc_deltas": "acc_delta",
    "momentum_buffer_list": "momentum_buffer", "state_sums": "sum", "mu_products": "mu_product", "axs": "ax",
    "mus": "mu", "etas": "eta", "prevs": "prev", "step_sizes": "step_size"}
_OFF = {"foreach": None, "fused": None, "capturable": False, "differentiable": False, "maximize": False,
        "decoupled_weight_decay": False, "weight_decay": 0}
_PAIRS = {"betas": ("beta1", "beta2"), "etas": ("etaminus", "etaplus"),
          "step_sizes": ("step_size_min", "step_size_max")}
_UNUSED = ("grad_scale", "found_inf", "has_complex", "has_sparse_grad")


def functional(cls: type[Optimizer], lists: str, flags: str) -> Callable[..., None]:
    """The step of `cls` as PyTorch's function: (params, grads, *lists, *flags, **options).

    `lists` and `flags` are their names in order; a list may be empty where the options need none.
    """
    list_names, flag_names = lists.split(), flags.split()

    def step(params: list, grads: list, *given: Any, **options: Any) -> None:
        arguments = {**dict(zip([*list_names, *flag_names], given)), **options}
        states = {name: arguments.pop(name) for name in list_names}
        for name in _UNUSED:
            arguments.pop(name, None)
        for name, parts in _PAIRS.items():
            if parts[0] in arguments:
                arguments[name] = tuple(arguments.pop(part) for part in parts)
        kept = [param.grad for param in params]
        state: defaultdict = defaultdict(dict)
        for i, param in enumerate(params):
            state[param] = {_ENTRIES[name]: values[i] for name, values in states.items() if len(values) > i}
        group = {**_OFF, **arguments, "params": params}
        optimizer = cls.__new__(cls)
        optimizer.__setstate__({"defaults": group, "state": state, "param_groups": [group]})
        try:
            for param, grad in zip(params, grads):
                param.grad = grad
            optimizer.step()
        finally:
            for param, grad in zip(params, kept):
                param.grad = grad
        for name, values in states.items():
            values[:] = [state[param].get(_ENTRIES[name]) for param in params[:len(values)]]

    functools.update_wrapper(step, cls, assigned=("__module__",), updated=())
    step.__name__ = step.__qualname__ = cls.__name__.lower()
    step.__doc__ = f"One step of {cls.__name__} on lists: {', '.join(['params', 'grads', *list_names])}, in place."
    return step
