"""Holding running statistics: frozen for good, or left alone for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minitorch_bn.nn.module import Module
from minitorch_bn.nn.norm import _NormBase

from .policy import set_policy


def freeze_bn(model: Module, stats: bool = True, affine: bool = False) -> Module:
    """`model`, with every batch norm in it using its running statistics in training too, and never moving them.

    It survives `model.train()`. Layers without running statistics stay as they are. Pass a part of a network to freeze
    the layers of that part.

    Args:
        stats: False leaves the statistics as they are.
        affine: weights and biases need no gradient any more.
    """
    for layer in model.modules():
        if isinstance(layer, _NormBase):
            if stats and layer.running_mean is not None:
                set_policy(layer, frozen=True)
            if affine:
                layer.requires_grad_(False)
    return model


def unfreeze_bn(model: Module) -> Module:
    """`model`, with what `freeze_bn` did undone: statistics move in training, weights and biases need gradients."""
    for layer in model.modules():
        if isinstance(layer, _NormBase):
            set_policy(layer, frozen=False)
            layer.requires_grad_(True)
    return model


@contextmanager
def stats_frozen(model: Module) -> Iterator[Module]:
    """In the block, running statistics of `model` do not move; in training its batches still normalize themselves.

    For forward passes beside the training: a second pass of a penalty, a look at the loss, a recomputation.
    """
    before: list[tuple[Any, Any]] = []
    try:
        for layer in model.modules():
            if isinstance(layer, _NormBase):
                before.append((layer, layer._policy))
                set_policy(layer, hold=True)
            elif "running_mean" in layer._buffers and not getattr(layer, "_held", False):
                before.append((layer, None))
                layer._held = True
        yield model
    finally:
        for layer, policy in before:
            if isinstance(layer, _NormBase):
                layer._policy = policy
            else:
                del layer._held
