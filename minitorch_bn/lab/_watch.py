"""Looking at a network while it runs, and leaving it and all around it as they were, to the last bit."""
from __future__ import annotations

import copy
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn.nn.conv import _ConvNd
from minitorch_bn.nn.hooks import everywhere
from minitorch_bn.nn.norm import _BatchNorm

Tensor = torch.Tensor
After = Callable[[str, Any, Any, Any], Any]


def is_batch_norm(module: Any) -> bool:
    """Whether a module is a batch norm, of whichever number of dimensions."""
    return isinstance(module, _BatchNorm)


def is_weight_layer(module: Any) -> bool:
    """Whether a module is a linear layer or a convolution: what the depth of a network is counted in."""
    return isinstance(module, (nn.Linear, _ConvNd))


def first_input(args: tuple, kwargs: dict) -> Any:
    """The first argument of a module's call, by place or by name."""
    return args[0] if args else next(iter(kwargs.values()), None)


@contextmanager
def watching(model: Any, after: After | None = None, before: After | None = None) -> Iterator[None]:
    """Call `before(path, module, input, keywords)` and `after(path, module, input, output)` around all forwards.

    What `after` returns, if not None, takes the output's place. The hooks are global ones: the modules do not change.
    """
    names = {id(module): name for name, module in model.named_modules()}

    def hook(call: After) -> Callable[..., Any]:
        def called(module: Any, args: tuple, kwargs: dict, output: Any = None) -> Any:
            if id(module) not in names:
                return None
            return call(names[id(module)], module, first_input(args, kwargs), kwargs if call is before else output)
        return called

    handles = []
    if before is not None:
        handles.append(everywhere.register_forward_pre_hook(hook(before), with_kwargs=True))
    if after is not None:
        handles.append(everywhere.register_forward_hook(hook(after), with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
            everywhere._hooks_with_kwargs.discard(handle.id)


_TABLES = ("_parameters", "_buffers", "_modules")


def _generators(*owners: Any) -> list[tuple[Any, Any]]:
    """The generators of random numbers that a loader and its samplers hold, with their states."""
    found = {id(g): g for o in owners if (g := getattr(o, "generator", None)) is not None and hasattr(g, "get_state")}
    return [(g, g.get_state()) for g in found.values()]


def _parts_of(loader: Any) -> list[Any]:
    """A loader and what it takes its items from: they may count epochs, or draw random numbers."""
    parts = [loader, *(getattr(loader, name, None) for name in ("sampler", "batch_sampler", "dataset"))]
    return [part for part in [*parts, getattr(parts[2], "sampler", None)] if part is not None]


@contextmanager
def untouched(model: Any, loader: Any = None) -> Iterator[None]:
    """A block after which the model, the loader and all random states are what they were before, whatever ran inside.

    Covers parameters, buffers, gradients, modes and plain attributes of each module; attributes of the loader, its
    samplers and dataset; the generators of minitorch_bn, of the loader, of `random` and of NumPy. Inside, gradients
    are None.
    """
    modules = [(m, dict(m.__dict__), {name: dict(m.__dict__[name]) for name in _TABLES}) for m in model.modules()]
    values = [(t, t._version, t.detach().clone(), t.grad, t.requires_grad) for t in model.parameters()]
    clones = {id(t): t.detach().clone() for t in model.buffers()}  # work in the place of the buffers
    parts = _parts_of(loader)
    attributes = [(part, dict(vars(part))) for part in parts if hasattr(part, "__dict__")]
    generators = _generators(*parts)
    state, python = torch.get_rng_state(), random.getstate()
    numpy = sys.modules.get("numpy.random")
    numpy_state = None if numpy is None else numpy.get_state()
    for t, *_ in values:
        t.grad = None
    for module, _, _ in modules:
        module._buffers.update({name: clones[id(t)] for name, t in module._buffers.items() if t is not None})
    try:
        yield
    finally:
        for module, own, tables in modules:
            for name, table in tables.items():
                own[name].clear()
                own[name].update(table)
            module.__dict__.clear()
            module.__dict__.update(own)
        with torch.no_grad():
            for t, version, value, grad, wanted in values:
                if t._version != version or not torch.equal(t, value):
                    t.copy_(value)
                t.grad = grad
                if t.requires_grad is not wanted:
                    t.requires_grad_(wanted)
        for part, own in attributes:
            part.__dict__.clear()
            part.__dict__.update(own)
        for generator, own_state in generators:
            generator.set_state(own_state)
        torch.set_rng_state(state)
        random.setstate(python)
        if numpy is not None:
            numpy.set_state(numpy_state)


def batches_of(loader: Iterable[Any], count: int) -> tuple[list[Any], bool]:
    """The first `count` batches of a loader, and whether that was all of it; workers that it keeps are left alone."""
    if hasattr(loader, "__next__"):
        raise TypeError("the loader is an iterator, which cannot be read without being used up: pass what it is made "
                        "from, for example the DataLoader or a list of batches")
    own = copy.copy(loader) if hasattr(loader, "_iterator") else loader
    if own is not loader:
        own.__dict__["_iterator"] = None  # the epoch that may be under way goes on
    found: list[Any] = []
    try:
        for batch in own:
            if len(found) == count:
                return found, False
            found.append(batch)
        return found, True
    finally:
        started = getattr(own, "_iterator", None)
        if own is not loader and started is not None:
            started._shutdown_workers()


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in nested lists, tuples and dicts."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for item in value for t in tensors_in(item)] if isinstance(value, (list, tuple)) else []


def split_batch(batch: Any) -> tuple[tuple, tuple]:
    """(inputs, targets) of a batch: the last of several items is the target, a lone tensor has none."""
    if isinstance(batch, (list, tuple)) and len(batch) > 1:
        return tuple(batch[:-1]), (batch[-1],)
    return (tuple(batch) if isinstance(batch, (list, tuple)) else (batch,)), ()


def default_loss(output: Tensor, *target: Tensor) -> Tensor:
    """Cross-entropy for integer targets, mean squared error for others; without a target, a fixed random projection."""
    if not target:
        generator = torch.Generator().manual_seed(0)
        return (output * torch.randn(output.shape, generator=generator, dtype=output.dtype)).mean()
    if target[0].is_floating_point():
        return nn.functional.mse_loss(output, target[0].reshape(output.shape))
    return nn.functional.cross_entropy(output, target[0])
