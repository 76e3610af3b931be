"""Running statistics that are those of a data set: measured exactly, layer after layer, rather than remembered."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import minitorch_bn as torch
from minitorch_bn.nn.module import Module
from minitorch_bn.nn.norm import _BatchNorm
from minitorch_bn.nn.norms.core import Moments, merge, moments
from minitorch_bn.nn.norms.state import stats_frozen

Tensor = torch.Tensor
Forward = Callable[[Module, Any], Any]


@dataclass
class Gap:
    """How far a layer's running statistics are from those of what it gets in evaluation, at the worst channel."""

    mean: float  # |running mean - mean| / deviation
    variance: float  # |log(running variance / variance)|

    def __str__(self) -> str:
        return f"mean {self.mean:.2g} deviations, variance x {2.718281828459045 ** self.variance:.3g}"


@dataclass
class Recalibration:
    """What `recalibrate` did: for each layer its gap before and after."""

    method: str
    batches: int
    before: dict[str, Gap]
    after: dict[str, Gap]

    def worst(self, when: str = "after") -> Gap:
        """The largest gaps of all layers, "before" or "after"."""
        gaps = list(getattr(self, when).values())
        return Gap(max((g.mean for g in gaps), default=0.0), max((g.variance for g in gaps), default=0.0))

    def __str__(self) -> str:
        lines = [f"{name}: {gap}  ->  {self.after[name]}" for name, gap in self.before.items()]
        return "\n".join([f"method {self.method!r}, {self.batches} batches", *lines])


class _Reached(Exception):
    """The layer that is measured has been called: the rest of the pass is not needed."""


def _forward(model: Module, batch: Any) -> Any:
    return model(batch[0] if isinstance(batch, (list, tuple)) else batch)


def _values(layer: Any, x: Tensor, mask: Tensor | None) -> Tensor:
    """What a batch norm takes its statistics of, as (n, C, ...)."""
    from minitorch_bn.nn.norms.policy import _over_positions

    axis = 1 if layer._policy is None else layer._policy.axis
    x = x if axis == 1 else x.movedim(axis, 1)
    return x if mask is None else x.movedim(1, -1)[_over_positions(mask, x, axis)]


@contextmanager
def _watched(layers: Iterable[Any], found: dict[Any, list[Moments]], last: int | None = None) -> Iterator[None]:
    """In the block, the moments of what each layer gets are noted; after `last` calls of a pass, the pass ends."""
    def note(layer: Any, args: tuple, kwargs: dict) -> None:
        found[layer].append(moments(_values(layer, args[0] if args else kwargs["input"], kwargs.get("mask"))))
        if last is not None and len(found[layer]) % last == 0:
            raise _Reached

    hooks = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _set(layer: Any, mean: Tensor, var: Tensor, batches: int) -> None:
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(var)
    if layer.num_batches_tracked is not None:
        layer.num_batches_tracked.fill_(batches)


def _var(layer: Any, part: Moments) -> Tensor:
    return part.unbiased if layer._policy is None or layer._policy.unbiased_running else part.var


@torch.no_grad()
def recalibrate(model: Module, loader: Iterable[Any], method: str = "exact", max_batches: int | None = None, *,
                forward: Forward = _forward, measure: bool = True) -> Recalibration:
    """Set the running statistics of every batch norm in `model` to those of the data; tell the gap before and after.

    Dropout and all else but batch norms is in evaluation meanwhile; frozen layers stay. Of a batch that is a list or
    tuple, the first item is the input.

    Args:
        method: "exact", mean and variance over all values, from count, mean and M2 of each batch, so batches of any
            size count by their values; "precise", the plain average of the batches' means and variances (Wu & Johnson
            2021), which leaves out how the batches' means differ; "ema", more batches of the running average; or
            "sequential", exact, and layer after layer, each measured with those before it in evaluation as they will be
            used: as many passes as layers.
        forward: calls the model with a batch.
        measure: False leaves out the two passes that measure the gaps.
    """
    if method not in ("exact", "precise", "ema", "sequential"):
        raise ValueError(f"method must be 'exact', 'precise', 'ema' or 'sequential', got {method!r}")
    names = {layer: name for name, layer in model.named_modules()
             if isinstance(layer, _BatchNorm) and layer.running_mean is not None
             and not (layer._policy is not None and layer._policy.frozen)}
    source = list(loader) if hasattr(loader, "__next__") else loader  # a generator can be read once
    modes = [(module, module.training) for module in model.modules()]
    seen = 0

    def measured(layers: Iterable[Any], last: int | None = None) -> dict[Any, list[Moments]]:
        """One pass over the data."""
        nonlocal seen
        seen = 0
        found: dict[Any, list[Moments]] = {layer: [] for layer in layers}
        with _watched(found, found, last):
            for batch in itertools.islice(source, max_batches):
                seen += 1
                try:
                    forward(model, batch)
                except _Reached:
                    pass
        return found

    def gaps() -> dict[str, Gap]:
        result = {}
        for layer, parts in measured(names).items() if measure else ():
            total = merge(parts) if parts else None
            if total is not None and total.n:
                shift = (layer.running_mean.double() - total.mean).abs() / (total.var + layer.eps).sqrt()
                ratio = ((layer.running_var.double() + layer.eps) / (total.var + layer.eps)).log().abs()
                result[names[layer]] = Gap(shift.max().item(), ratio.max().item())
        return result

    try:
        model.eval()
        before = gaps()
        if method == "sequential":
            calls = dict.fromkeys(names, 0)  # in the order in which they are reached
            order: list[Any] = []

            def count(layer: Any, args: tuple) -> None:
                calls[layer] += 1
                if layer not in order:
                    order.append(layer)

            hooks = [layer.register_forward_pre_hook(count) for layer in names]
            for batch in itertools.islice(source, 1):
                forward(model, batch)
            for hook in hooks:
                hook.remove()
            for layer in order:
                total = merge(measured([layer], calls[layer])[layer])
                if total.n:
                    _set(layer, total.mean, _var(layer, total), seen)
        else:
            for layer in names:
                layer.training = True
            if method == "ema":
                measured([])
            else:
                with stats_frozen(model):
                    found = measured(names)
                for layer, parts in found.items():
                    parts = [part for part in parts if part.n]
                    if parts and method == "exact":
                        total = merge(parts)
                        _set(layer, total.mean, _var(layer, total), seen)
                    elif parts:
                        _set(layer, torch.stack([part.mean for part in parts]).mean(0),
                             torch.stack([_var(layer, part) for part in parts]).mean(0), seen)
            model.eval()
        return Recalibration(method, seen, before, gaps())
    finally:
        for module, training in modes:
            module.training = training
