"""torch.jit: scripting and tracing return what they are given, as Python runs it; TorchScript files are not read."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeVar

from minitorch_bn.nn import Module

T = TypeVar("T")
__all__ = ["Attribute", "Final", "ScriptFunction", "ScriptModule", "annotate", "export", "fork", "freeze", "ignore",
           "interface", "is_scripting", "is_tracing", "isinstance", "load", "optimize_for_inference", "save", "script",
           "script_if_tracing", "script_method", "trace", "trace_module", "unused", "wait"]


class ScriptModule(Module):
    """A Module: nothing is compiled. Modules that went through `script` or `trace` stay what they were."""


class ScriptFunction:
    """The type of compiled functions in PyTorch: nothing is one here."""


RecursiveScriptModule = TopLevelTracedModule = ScriptModule


def script(obj: T, *args: Any, **kwargs: Any) -> T:
    """`obj`, a function, class or module, as it is."""
    return obj


def trace(func: Any = None, example_inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
    """`func` as it is, after one call with `example_inputs` (a tensor or a tuple): what cannot run shows now."""
    inputs = kwargs.get("example_kwarg_inputs")
    if inputs is not None:
        func(**inputs)
    elif example_inputs is not None:
        func(*(example_inputs if type(example_inputs) in (tuple, list) else (example_inputs,)))
    return func


def trace_module(mod: T, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> T:
    """`mod` as it is, after one call of each named method."""
    for name, values in inputs.items():
        trace(getattr(mod, name), values)
    return mod


def _same(fn: T) -> T:
    """The argument as it is."""
    return fn


script_method = script_if_tracing = _script_if_tracing = _overload_method = export = interface = _same


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """A decorator, with or without arguments: the function itself."""
    return drop if callable(drop) else _same


def unused(fn: T) -> T:
    """A decorator: the function itself."""
    return fn


def freeze(mod: T, *args: Any, **kwargs: Any) -> T:
    """`mod` as it is."""
    return mod


optimize_for_inference = freeze


def is_scripting() -> bool:
    """False."""
    return False


is_tracing = is_scripting


def annotate(the_type: Any, the_value: T) -> T:
    """`the_value`."""
    return the_value


def Attribute(value: T, type: Any) -> T:
    """`value`."""
    return value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Python's isinstance."""
    import builtins
    return builtins.isinstance(obj, target_type)


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The result of ``func(*args, **kwargs)``, computed now."""
    return func(*args, **kwargs)


def wait(future: T) -> T:
    """`future`, which is a result already."""
    return future


def _no_file(*args: Any, **kwargs: Any) -> NoReturn:
    """A RuntimeError: TorchScript files are neither written nor read."""
    raise RuntimeError("TorchScript files are not supported by minitorch_bn: save model.state_dict() with torch.save, "
                       "and load it into a model made by its class")


save = load = _no_file
