"""Repairs of what the doctor found, where a repair is safe: functions of the evidence and the layers' paths."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import minitorch_bn as torch
from minitorch_bn.nn import freeze_bn
from minitorch_bn.nn.utils import recalibrate

from .._watch import untouched
from .evidence import Evidence


def take_statistics(ev: Evidence, paths: list[str]) -> list[str]:
    """BN102, BN103: running statistics become those of all data of the loader, exactly."""
    with untouched(ev.model, ev.loader):  # of a loader's state; the statistics are copied out of it
        done = recalibrate(ev.model, ev.loader, forward=lambda model, batch: ev.run(batch), measure=False)
        found = {path: [t.clone() for t in norm.module._buffers.values() if t is not None]
                 for path, norm in ev.norms.items()}
    with torch.no_grad():
        for path, values in found.items():
            for own, value in zip([t for t in ev.norms[path].module._buffers.values() if t is not None], values):
                own.copy_(value)
    return [f"running statistics of all batch norms taken of {done.batches} batches"]


def _taken_out(optimizer: Any, chosen: set[int]) -> list[dict[str, Any]]:
    """Take parameters out of an optimizer's groups; gives, for each group that had some, a group of those."""
    taken = []
    for group in optimizer.param_groups:
        keys = [key for key in ("params", "param_names") if key in group]
        members = list(zip(*(group[key] for key in keys)))
        out = [m for m in members if id(m[0]) in chosen]
        if out:
            rest = [m for m in members if id(m[0]) not in chosen]
            group.update({key: [m[i] for m in rest] for i, key in enumerate(keys)})
            taken.append({**{key: value for key, value in group.items() if key not in keys},
                          "params": [m if len(m) == 1 else m[::-1] for m in out] if len(keys) > 1
                          else [m[0] for m in out]})
    return taken


def drop_bias(ev: Evidence, paths: list[str]) -> list[str]:
    """BN107: the bias is removed, and subtracted from the running mean of the batch norm behind it."""
    for path in paths:
        layer = ev.weights[path]
        bias = layer.module.bias
        with torch.no_grad():
            for reader in layer.readers & set(ev.norms):
                mean = ev.norms[reader].module.running_mean
                if mean is not None:
                    mean.sub_(bias.detach())
        layer.module.bias = None
        if ev.optimizer is not None:
            _taken_out(ev.optimizer, {id(bias)})
            ev.optimizer.state.pop(bias, None)
    return [f"{path}: bias removed" for path in paths]


def split_groups(ev: Evidence, paths: list[str]) -> list[str]:
    """BN108: parameters of batch norms move to groups without decay; their state stays."""
    own = {id(p) for norm in ev.norms.values() for p in norm.module.parameters()}
    decayed = {id(p) for group in ev.optimizer.param_groups if group.get("weight_decay") for p in group["params"]}
    groups = _taken_out(ev.optimizer, own & decayed)
    for group in groups:
        ev.optimizer.add_param_group({**group, "weight_decay": 0.0})
    return [f"optimizer: {len(own & decayed)} tensors of batch norms in groups without decay"]


def freeze(ev: Evidence, paths: list[str]) -> list[str]:
    """BN109: frozen layers use their running statistics, in training too."""
    for path in paths:
        freeze_bn(ev.norms[path].module)
    return [f"{path}: statistics frozen (nn.freeze_bn)" for path in paths]


def renew(ev: Evidence, paths: list[str]) -> list[str]:
    """BN117: float32 statistics, taken again from the data."""
    for path in paths:
        module = ev.norms[path].module
        for name in "running_mean", "running_var":
            if getattr(module, name).dtype in (torch.float16, torch.bfloat16):
                setattr(module, name, getattr(module, name).float())
        module.reset_running_stats()
    return take_statistics(ev, paths)


def convert_momentum(ev: Evidence, paths: list[str]) -> list[str]:
    """BN118: momentum as the weight of the new value; the eps is left, since only the weights' origin tells it."""
    done = []
    for path in paths:
        module = ev.norms[path].module
        if module.momentum is not None and module.momentum > 0.5:
            done.append(f"{path}: momentum {module.momentum:g} -> {1 - module.momentum:.6g}")
            module.momentum = round(1 - module.momentum, 12)
    return done


FIXES: dict[str, Callable[[Evidence, list[str]], list[str]]] = {
    "BN107": drop_bias, "BN108": split_groups, "BN109": freeze, "BN118": convert_momentum, "BN117": renew,
    "BN102": take_statistics, "BN103": take_statistics}
