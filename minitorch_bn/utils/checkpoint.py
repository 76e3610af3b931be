"""Activation checkpointing: keep a segment's inputs only, and compute its inside again during backward.

The segment runs once with recording to find the parameters it uses; what it recorded is then dropped. Recomputation
runs under :func:`recomputing`, so that batch normalization does not count the batch twice, and with the random state of
the first run, so that dropout drops the same elements.
"""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from minitorch_bn._core import AccumulateGrad, Node, Tensor, attach, grad, is_grad_enabled
from minitorch_bn._modes import enable_grad

_state = threading.local()


def is_recomputing() -> bool:
    """Whether this thread is inside the second run of a checkpointed segment."""
    return getattr(_state, "depth", 0) > 0


class recomputing:
    """Marks a second run of the same computation: running statistics must not move."""

    def __enter__(self) -> None:
        _state.depth = getattr(_state, "depth", 0) + 1

    def __exit__(self, *error: Any) -> None:
        _state.depth -= 1


def _leaves(outputs: tuple[Tensor, ...], known: list[Tensor]) -> list[Tensor]:
    """The leaves that the outputs depend on, other than the known ones."""
    seen: set[int] = set()
    found: list[Tensor] = []
    stack: list[Node | AccumulateGrad] = [y.grad_fn for y in outputs if y.grad_fn is not None]
    while stack:
        node = stack.pop()
        if isinstance(node, AccumulateGrad):
            leaf = node.variable
            if not any(leaf is t for t in known) and not any(leaf is t for t in found):
                found.append(leaf)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.extend(following for following, _ in node.next_functions if following is not None)
    return found


def checkpoint(function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None,
               preserve_rng_state: bool = True, **kwargs: Any) -> Any:
    """function(*args, **kwargs), whose inside is computed again in backward rather than kept (Chen et al. 2016)."""
    for name in ("context_fn", "determinism_check", "debug", "early_stop"):
        kwargs.pop(name, None)
    if not is_grad_enabled():
        return function(*args, **kwargs)
    from minitorch_bn.ops.generator import default_generator
    rng = default_generator.get_state() if preserve_rng_state else None
    tensors = [a for a in args if isinstance(a, Tensor)]
    copies = {id(t): t.detach().requires_grad_(t.requires_grad) for t in tensors}

    def run(replace: dict[int, Tensor]) -> tuple[Any, tuple[Tensor, ...]]:
        result = function(*[replace[id(a)] if isinstance(a, Tensor) else a for a in args], **kwargs)
        return result, (result,) if isinstance(result, Tensor) else tuple(result)

    result, outputs = run(copies)
    parameters = _leaves(outputs, list(copies.values()))
    fresh = tuple(y.detach() if isinstance(y, Tensor) else y for y in outputs)
    sources = (*tensors, *parameters)

    def backward(*grads: Tensor | None) -> tuple[Tensor | None, ...]:
        create_graph = is_grad_enabled()
        own = {id(t): t for t in tensors} if create_graph else \
            {id(t): t.detach().requires_grad_(t.requires_grad) for t in tensors}
        now = default_generator.get_state()
        if rng is not None:
            default_generator.set_state(rng)
        with enable_grad(), recomputing():
            _, again = run(own)
        default_generator.set_state(now)
        pairs = [(y, g) for y, g in zip(again, grads) if g is not None and isinstance(y, Tensor) and y.requires_grad]
        wanted = [own[id(t)] for t in tensors if t.requires_grad] + parameters
        found = iter(grad([y for y, _ in pairs], wanted, [g for _, g in pairs], retain_graph=True,
                          create_graph=create_graph, allow_unused=True))
        return tuple(next(found) if t.requires_grad else None for t in sources)

    recorded = tuple(y if isinstance(y, Tensor) else None for y in fresh)
    attach(recorded if len(recorded) > 1 else recorded[0], sources, backward, "CheckpointBackward", tuple(tensors))
    return fresh[0] if isinstance(result, Tensor) else type(result)(fresh) if isinstance(result, list) else fresh


def checkpoint_sequential(functions: Any, segments: int, input: Any, use_reentrant: bool | None = None,
                          **kwargs: Any) -> Any:
    """A sequential model in `segments` checkpointed pieces; the last one is kept."""
    layers = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = len(layers) // segments

    def piece(start: int, stop: int) -> Callable[..., Any]:
        def forward(x: Any) -> Any:
            for layer in layers[start:stop]:
                x = layer(x)
            return x
        return forward

    for i in range(segments - 1):
        input = checkpoint(piece(i * size, (i + 1) * size), input, use_reentrant=use_reentrant, **kwargs)
    return piece((segments - 1) * size, len(layers))(input)
