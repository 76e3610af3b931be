"""Repairs of what the doctor found, where a repair is safe: functions of the evidence and the layers' paths."""
from __future__ import annotations

from collections.abc import Callable

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


def drop_bias(ev: Evidence, paths: list[str]) -> list[str]:
    """BN107: the bias is removed, and subtracted from the running mean of the batch norm behind it."""
    for path in paths:
        layer = ev.weights[path]
        with torch.no_grad():
            for reader in layer.readers & set(ev.norms):
                mean = ev.norms[reader].module.running_mean
                if mean is not None:
                    mean.sub_(layer.module.bias.detach())
        layer.module.bias = None
    return [f"{path}: bias removed (tell the optimizer: its parameter is gone)" for path in paths]


def split_groups(ev: Evidence, paths: list[str]) -> list[str]:
    """BN108: parameters of batch norms move to a group without decay."""
    own = {id(p) for norm in ev.norms.values() for p in norm.module.parameters()}
    moved = 0
    for group in list(ev.optimizer.param_groups):
        chosen = [p for p in group["params"] if id(p) in own]
        if chosen and group.get("weight_decay"):
            group["params"] = [p for p in group["params"] if id(p) not in own]
            names = group.pop("param_names", None)
            rest = {key: value for key, value in group.items() if key != "params"}
            ev.optimizer.add_param_group({**rest, "params": chosen, "weight_decay": 0.0})
            moved += len(chosen)
            if names is not None:
                ev.optimizer.param_groups[-1].pop("param_names", None)
    return [f"optimizer: {moved} tensors of batch norms in a group without weight decay"]


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
