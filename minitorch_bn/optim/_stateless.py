"""Running an optimizer on other parameters and other state for a while."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import minitorch_bn as torch

from .optimizer import Optimizer

_PREFIX = "swap_in_optimizer_params_and_state requires "


def _checked_groups(optimizer: Optimizer, saved: Any) -> list[dict]:
    """The groups of a state dict, if they fit this optimizer."""
    if not optimizer.state:
        raise RuntimeError(_PREFIX + "initialized optimizer state.")
    if not isinstance(saved, dict) or not isinstance(saved.get("state"), dict):
        raise RuntimeError(_PREFIX + "an optimizer state_dict with a dict of states.")
    groups = saved.get("param_groups")
    if not isinstance(groups, list) or any(not isinstance(group, dict) for group in groups):
        raise RuntimeError(_PREFIX + "'param_groups' to be a list of dicts.")
    if len(groups) != len(optimizer.param_groups):
        raise RuntimeError("swapin_optim_state has a different number of parameter groups than the live optimizer.")
    for i, (own, group) in enumerate(zip(optimizer.param_groups, groups)):
        if own.keys() != group.keys():
            raise RuntimeError(_PREFIX + f"param group keys to exactly match the live optimizer group keys for group "
                               f"{i}.")
        if len(own["params"]) != len(group["params"]):
            raise RuntimeError(f"swapin_optim_state param group {i} has a different number of params than the live "
                               "optimizer param group.")
    return groups


@contextmanager
def swap_in_optimizer_params_and_state(optimizer: Optimizer, swapin_parameters: dict[str, torch.Tensor],
                                       swapin_optim_state: dict[str, Any]) -> Iterator[None]:
    """Inside, `optimizer` has these parameters (in the order of its own) and the state of this state dict."""
    groups = _checked_groups(optimizer, swapin_optim_state)
    numbers = [number for group in groups for number in group["params"]]
    if len(swapin_parameters) < len(numbers):
        raise RuntimeError(_PREFIX + "the explicit parameter state to match optimizer.param_groups ordering.")
    extra = [key for key in swapin_optim_state["state"] if key not in numbers]
    if extra:
        raise RuntimeError(_PREFIX + f"'state' to be keyed only by packed parameter ids; got extra keys {extra!r}.")
    own_state, own_groups = optimizer.state, [dict(group) for group in optimizer.param_groups]
    values = iter(swapin_parameters.values())
    state: defaultdict[torch.Tensor, Any] = defaultdict(dict)
    try:
        for live, group in zip(optimizer.param_groups, groups):
            live.update({key: value for key, value in group.items() if key != "params"})
            live["params"] = [next(values) for _ in group["params"]]
            for param, number in zip(live["params"], group["params"]):
                state[param] = dict(swapin_optim_state["state"].get(number, {}))
        optimizer.state = state
        yield
    finally:
        for live, own in zip(optimizer.param_groups, own_groups):
            live.clear()
            live.update(own)
        optimizer.state = own_state
