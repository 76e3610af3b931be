"""The names of torch.fx that models use without tracing: `wrap` marks a function as a leaf for a tracer, of which there
is none here."""
from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def wrap(fn_or_name: T) -> T:
    """The function (or its name) as it is."""
    return fn_or_name


def __getattr__(name: str) -> object:
    if name[:2] == "__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    raise AttributeError(f"torch.fx.{name} is not in minitorch_bn: graphs are not captured; see docs/differences.md",
                         name=name)
