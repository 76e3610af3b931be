"""torch.compiler and torch._dynamo: nothing is compiled at run time, so that what steers compilation is accepted."""
from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

config = SimpleNamespace(suppress_errors=False, cache_size_limit=8, recompile_limit=8, verbose=False,
                         automatic_dynamic_shapes=None, capture_scalar_outputs=False, optimize_ddp=False)


def is_compiling() -> bool:
    """False."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def disable(fn: Callable[..., Any] | None = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """A decorator: the function itself."""
    return (lambda f: f) if fn is None else fn


def allow_in_graph(fn: Any) -> Any:
    """The function itself."""
    return fn


assume_constant_result = forbid_in_graph = graph_break_on = allow_in_graph


def reset() -> None:
    """Nothing: there is no cache of compiled code."""


cudagraph_mark_step_begin = graph_break = reset


def mark_dynamic(t: Any, index: Any, **options: Any) -> None:
    """Nothing."""


maybe_mark_dynamic = mark_static = mark_static_address = mark_dynamic


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """Empty."""
    return []


def optimize(*args: Any, **kwargs: Any) -> Callable[[Any], Any]:
    """A decorator that returns the function itself."""
    return lambda f: f
