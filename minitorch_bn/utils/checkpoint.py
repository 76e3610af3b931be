"""Activation checkpointing: keep a segment's inputs only, and compute its inside again during backward.

The segment runs once with recording to find the parameters it uses; what it recorded is then dropped. The second run
starts from the random state of the first, so that dropout drops the same elements. Normalization layers know that it is
a second run: a batch counts once in their running statistics.
"""
from __future__ import annotations

import enum
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from minitorch_bn._core import AccumulateGrad, Node, Tensor, attach, grad, is_grad_enabled
from minitorch_bn._modes import enable_grad, no_grad, recomputing

__all__ = ["CheckpointError", "CheckpointFunction", "CheckpointPolicy", "check_backward_validity", "checkpoint",
           "checkpoint_sequential", "create_selective_checkpoint_contexts", "detach_variable", "noop_context_fn",
           "set_checkpoint_debug_enabled", "set_checkpoint_early_stop"]

Contexts = tuple[AbstractContextManager, AbstractContextManager]


class CheckpointError(RuntimeError):
    """The second run of a segment gave something else than the first."""


def noop_context_fn() -> Contexts:
    """The default `context_fn`: neither run is special."""
    return nullcontext(), nullcontext()


def _mapped(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """`value` with every tensor in its lists, tuples and dicts replaced by `change(tensor)`."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_mapped(item, change) for item in value))
    if isinstance(value, (list, tuple)):
        return type(value)(_mapped(item, change) for item in value)
    return value


def _tensors(value: Any) -> list[Tensor]:
    """The tensors in a value, each once."""
    found: dict[int, Tensor] = {}
    _mapped(value, lambda t: found.setdefault(id(t), t))
    return list(found.values())


def _leaves(outputs: list[Tensor], known: list[Tensor]) -> list[Tensor]:
    """The leaves that the outputs depend on, other than the known ones."""
    seen: set[int] = {id(t) for t in known}
    found = [y for y in outputs if y.grad_fn is None and y.requires_grad and id(y) not in seen]
    seen.update(id(y) for y in found)
    stack: list[Node | AccumulateGrad] = [y.grad_fn for y in outputs if y.grad_fn is not None]
    while stack:
        node = stack.pop()
        if isinstance(node, AccumulateGrad):
            leaf = node.variable
            if id(leaf) not in seen:
                seen.add(id(leaf))
                found.append(leaf)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.extend(following for following, _ in node.next_functions if following is not None)
    return found


def _own(tensors: list[Tensor]) -> dict[int, Tensor]:
    """Copies without history in place of each tensor; they share its memory."""
    return {id(t): t.detach().requires_grad_(t.requires_grad) for t in tensors}


def _kinds(tensors: list[Tensor]) -> list[tuple]:
    return [(tuple(t.shape), t.dtype) for t in tensors]


def checkpoint(function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None,
               context_fn: Callable[[], Contexts] = noop_context_fn, determinism_check: str = "default",
               debug: bool = False, early_stop: bool = True, **kwargs: Any) -> Any:
    """function(*args, **kwargs), whose inside is computed again in backward rather than kept (Chen et al. 2016).

    Args:
        use_reentrant: with True, as in PyTorch: no gradients at all if no argument needs one, no keyword arguments.
            Should be given; the default is True, with a warning.
        preserve_rng_state: draw the same random numbers in the second run (default True).
        context_fn: gives two contexts, for the first run and for the second.
        determinism_check: "default" compares shapes and dtypes of both runs' results (CheckpointError if they differ);
            "none" does not.
        debug, early_stop: accepted; nothing depends on them.
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. Starting in PyTorch 2.9, "
            "calling checkpoint without use_reentrant will raise an exception. use_reentrant=False is recommended, but "
            "if you need to preserve the current default behavior, you can pass use_reentrant=True. Refer to docs for "
            "more details on the differences between the two variants.", stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug is not False:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        if is_grad_enabled():
            check_backward_validity(args)
            if not any(isinstance(t, Tensor) and t.requires_grad for t in args):
                with no_grad():
                    return function(*args)
    elif determinism_check not in ("default", "none"):
        raise ValueError(f"determinism_check should be one of ['default', 'none'], but got {determinism_check}")
    first, second = context_fn()
    if not is_grad_enabled():
        with first:
            return function(*args, **kwargs)
    return _recorded(function, args, kwargs, preserve, first, second, determinism_check != "none")


def _recorded(function: Callable[..., Any], args: tuple, kwargs: dict, preserve: bool, first: AbstractContextManager,
              second: AbstractContextManager, compare: bool) -> Any:
    """The first run, and the node that makes the second."""
    from minitorch_bn.ops.generator import default_generator
    random_state = default_generator.get_state() if preserve else None
    inputs = _tensors((args, kwargs))

    def run(replaced: dict[int, Tensor]) -> tuple[Any, list[Tensor]]:
        own_args, own_kwargs = _mapped((args, kwargs), lambda t: replaced[id(t)])
        result = function(*own_args, **own_kwargs)
        return result, _tensors(result)

    copies = _own(inputs)
    with first:
        result, outputs = run(copies)
    tracked = [i for i, y in enumerate(outputs) if y.requires_grad]
    if not tracked:
        return result
    kinds = _kinds(outputs)
    parameters = _leaves([outputs[i] for i in tracked], list(copies.values()))
    sources = (*inputs, *parameters)

    def backward(*grads: Tensor | None) -> tuple[Tensor | None, ...]:
        create_graph = is_grad_enabled()
        own = {id(t): t for t in inputs} if create_graph else _own(inputs)
        now, nested = default_generator.get_state(), recomputing.on
        recomputing.on = True
        if random_state is not None:
            default_generator.set_state(random_state)
        try:
            with enable_grad(), second:
                _, again = run(own)
        finally:
            recomputing.on = nested
            default_generator.set_state(now)
        if compare and _kinds(again) != kinds:
            raise CheckpointError("torch.utils.checkpoint: Recomputed values for the following tensors have different "
                                  f"metadata than during the forward pass.\nforward: {kinds}\nrecomputed: "
                                  f"{_kinds(again)}")
        pairs = [(again[i], g) for i, g in zip(tracked, grads) if g is not None and again[i].requires_grad]
        wanted = [own[id(t)] for t in inputs if t.requires_grad] + parameters
        found = iter(grad([y for y, _ in pairs], wanted, [g for _, g in pairs], retain_graph=True,
                          create_graph=create_graph, allow_unused=True))
        return tuple(next(found) if t.requires_grad else None for t in sources)

    fresh = {id(y): y.detach() for y in outputs}
    recorded = tuple(fresh[id(outputs[i])] for i in tracked)
    attach(recorded if len(recorded) > 1 else recorded[0], sources, backward, "CheckpointBackward", tuple(inputs))
    return _mapped(result, lambda y: fresh[id(y)])


def checkpoint_sequential(functions: Any, segments: int, input: Any, use_reentrant: bool | None = None,
                          **kwargs: Any) -> Any:
    """A sequential model (or list of functions) in `segments` checkpointed pieces; the last one is kept."""
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be passed explicitly. In "
            "version 2.9 we will raise an exception if use_reentrant is not passed. use_reentrant=False is "
            "recommended, but if you need to preserve the current default behavior, you can pass use_reentrant=True. "
            "Refer to docs for more details on the differences between the two variants.", stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    layers = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = len(layers) // segments

    def piece(start: int, stop: int) -> Callable[..., Any]:
        def forward(x: Any) -> Any:
            for layer in layers[start:stop]:
                x = layer(x)
            return x
        return forward

    for i in range(segments - 1):
        input = checkpoint(piece(i * size, (i + 1) * size), input, use_reentrant=use_reentrant,
                           preserve_rng_state=preserve)
    return piece((segments - 1) * size, len(layers))(input)


# -- smaller names of PyTorch's ----------------------------------------------------------------------------------------


class CheckpointFunction:
    """The reentrant kind, as it is called by older code."""

    @staticmethod
    def apply(run_function: Callable[..., Any], preserve_rng_state: bool, *args: Any) -> Any:
        """`run_function(*args)`, checkpointed."""
        return checkpoint(run_function, *args, use_reentrant=True, preserve_rng_state=preserve_rng_state)


def check_backward_validity(inputs: Iterable[Any]) -> None:
    """Warn if no input needs a gradient."""
    if not any(t.requires_grad for t in inputs if isinstance(t, Tensor)):
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=3)


def detach_variable(inputs: tuple) -> tuple:
    """The tensors without their history, still needing gradients if they did; other values as they are."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(f"Only tuple of tensors is supported. Got Unsupported input type: {type(inputs).__name__}")
    return tuple(t.detach().requires_grad_(t.requires_grad) if isinstance(t, Tensor) else t for t in inputs)


@contextmanager
def _accepted(enable: bool | None) -> Iterator[None]:
    """A setting that changes nothing here."""
    yield


set_checkpoint_early_stop = set_checkpoint_debug_enabled = _accepted


class CheckpointPolicy(enum.Enum):
    """What a policy says of an operation: keep its result, or compute it again."""

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4
    PREFER_CPU_OFFLOAD = 5


def create_selective_checkpoint_contexts(policy_fn_or_list: Any, allow_cache_entry_mutation: bool = False) -> Contexts:
    """For `context_fn`: accepted, but everything is computed again; the numbers are the same."""
    return noop_context_fn()
