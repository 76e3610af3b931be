"""Repairs of what the doctor found, where a repair is safe: functions of the evidence and the layers' paths."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minitorch_bn as torch

from .._watch import is_batch_norm, untouched, watching
from .evidence import Evidence, per_channel


def recalibrate(ev: Evidence, paths: list[str]) -> list[str]:
    """BN102, BN103: the running statistics of these layers become those of all data of the loader."""
    sums: dict[str, Any] = dict.fromkeys(paths, (0, 0.0, 0.0))

    def entering(path: str, module: Any, x: Any, _: Any) -> None:
        if path in sums and module.training:
            values = per_channel(x)
            n, mean, squares = sums[path]
            m = values.shape[0] * values.shape[2]
            own, spread = values.mean(axis=(0, 2)), m * values.var(axis=(0, 2))
            sums[path] = (n + m, mean + (own - mean) * m / (n + m),
                          squares + spread + (own - mean) ** 2 * n * m / (n + m))

    with untouched(ev.model, ev.loader), torch.no_grad():
        ev.model.eval()
        for module in ev.model.modules():
            module.training = is_batch_norm(module)
        with watching(ev.model, before=entering):
            for batch in ev.loader:
                ev.run(batch)
    for path, (n, mean, squares) in sums.items():
        module = ev.norms[path].module
        with torch.no_grad():
            module.running_mean.copy_(torch.from_numpy(np.asarray(mean)))
            module.running_var.copy_(torch.from_numpy(np.asarray(squares / max(n - 1, 1))))
            if module.num_batches_tracked is not None:
                momentum = module.momentum
                enough = 1 if momentum is None or momentum >= 1 else int(np.ceil(np.log(0.05) / np.log(1 - momentum)))
                module.num_batches_tracked.fill_(max(int(module.num_batches_tracked), enough))
    return [f"{path}: running statistics of {sums[path][0]} values per channel" for path in paths]


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
    """BN109: frozen layers go into evaluation mode."""
    for path in paths:
        ev.norms[path].module.eval()
    return [f"{path}: in evaluation mode (repeat it after each train())" for path in paths]


def renew(ev: Evidence, paths: list[str]) -> list[str]:
    """BN117: float32 statistics, taken again from the data."""
    for path in paths:
        module = ev.norms[path].module
        for name in "running_mean", "running_var":
            if getattr(module, name).dtype in (torch.float16, torch.bfloat16):
                setattr(module, name, getattr(module, name).float())
        module.reset_running_stats()
    return recalibrate(ev, paths)


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
    "BN102": recalibrate, "BN103": recalibrate}
