"""Which parameters weight decay is for: matrices and kernels, not biases, nor the weights of normalization layers."""

from __future__ import annotations

from typing import Any

from minitorch_bn.nn.module import Module
from minitorch_bn.nn.norm import _NormBase, _ShapedNorm


def param_groups(model: Module, weight_decay: float = 1e-2, **options: Any) -> list[dict[str, Any]]:
    """Two groups of the parameters of `model` for an optimizer: with weight decay, and without.

    Without: all that have at most one axis (biases, the weights of batch, group, RMS norm, PReLU, ...), and those of
    normalization layers of any shape. Decay of a layer before a batch norm acts on its learning rate only (van
    Laarhoven 2017); of gamma, it acts on the function. Parameters that need no gradient are left out.

    Args:
        options: go into both groups (lr=..., momentum=...).
    """
    groups: tuple[list[Any], list[Any]] = ([], [])
    seen = set()
    for module in model.modules():
        norm = isinstance(module, (_NormBase, _ShapedNorm)) or "running_mean" in module._buffers
        for p in module._parameters.values():
            if p is not None and p.requires_grad and id(p) not in seen:
                seen.add(id(p))
                groups[norm or p.dim() < 2].append(p)
    return [{"params": groups[0], "weight_decay": weight_decay, **options},
            {"params": groups[1], "weight_decay": 0.0, **options}]
