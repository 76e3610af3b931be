"""PyTorch's message for an argument of the wrong type, for functions written in Python; a call that is right pays
nothing."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from minitorch_bn._core import Tensor

KINDS: dict[str, type] = {"Tensor": Tensor, "str": str, "int": int, "bool": bool}


def explained(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The function; where it fails on an argument that is not of the annotated type, the TypeError says which and why:
    name(): argument 'A' (position 1) must be Tensor, not int."""
    parameters = list(inspect.signature(function).parameters.values())

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (AttributeError, TypeError):
            for at, parameter in enumerate(parameters):
                several = parameter.kind is parameter.VAR_POSITIONAL
                given = args[at:] if several else args[at:at + 1] or [kwargs.get(parameter.name, parameter.default)]
                kind = KINDS.get(parameter.annotation)
                for value in given:
                    if kind and value is not parameter.empty and not isinstance(value, kind):
                        raise TypeError(f"{name}(): argument '{parameter.name}' (position {at + 1}) must be "
                                        f"{kind.__name__}, not {type(value).__name__}") from None
            raise

    return call


def explain(namespace: dict[str, Any], names: Iterable[str], prefix: str = "") -> None:
    """Puts :func:`explained` functions in the place of those of a module that are named."""
    for name in names:
        if inspect.isfunction(namespace[name]):
            namespace[name] = explained(namespace[name], prefix + name)
