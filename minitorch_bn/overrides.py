"""torch.overrides: classes that a user derives from Tensor, and their `__torch_function__`.

As long as there is no such class, nothing here is called. The definition of the first one puts a form that looks at
its arguments in the place of every function of `torch`, `torch.nn.functional`, `torch.linalg`, `torch.special` and
`torch.fft`; and each class gets methods that ask its `__torch_function__`. What layers of `torch.nn` compute inside,
and objects that are no tensors, are not looked at.
"""
from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from minitorch_bn import _core
from minitorch_bn._core import Tensor

__all__ = ["get_default_nowrap_functions", "handle_torch_function", "has_torch_function", "has_torch_function_unary",
           "has_torch_function_variadic", "is_tensor_like"]

_classes: set[type] = set()
_NAMESPACES = ("", ".nn.functional", ".linalg", ".special", ".fft")
# What is asked of the class itself, or of every object.
_PLAIN = {"__new__", "__init__", "__init_subclass__", "__torch_function__", "__hash__", "__reduce_ex__", "__repr__",
          "__format__", "__doc__", "__dict__", "__array_priority__", "__iter__", "__array__", "__dlpack__",
          "__dlpack_device__", "__array_wrap__", "_make_subclass", "as_subclass", "_version", "_base"}
_OPERATORS = {"__add__": "add", "__radd__": "add", "__sub__": "sub", "__mul__": "mul", "__rmul__": "mul",
              "__truediv__": "div", "__matmul__": "matmul", "__pow__": "pow", "__neg__": "neg", "__abs__": "abs",
              "__eq__": "eq", "__ne__": "ne", "__lt__": "lt", "__le__": "le", "__gt__": "gt", "__ge__": "ge"}
_TENSOR_ATTRIBUTES = ("T", "mT", "H", "mH", "data", "real", "grad")


class _Depth(threading.local):
    """How many blocks that switch the dispatch off this thread is in."""

    off = 0


_depth = _Depth()


class DisableTorchFunctionSubclass:
    """A ``with`` block in which subclasses of Tensor are taken for tensors."""

    def __enter__(self) -> None:
        _depth.off += 1

    def __exit__(self, *error: object) -> None:
        _depth.off -= 1


def get_default_nowrap_functions() -> set[Callable]:
    """Whose results Tensor's own `__torch_function__` leaves as they are."""
    return {getter for getter, name in _getters.items() if name == "grad"}


def _converted(value: Any, cls: type) -> Any:
    """`value` with every tensor in it made one of `cls`."""
    if isinstance(value, Tensor):
        return value if isinstance(value, cls) else _core.as_subclass(value, cls)
    if isinstance(value, (tuple, list)):
        items = (_converted(item, cls) for item in value)
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _torch_function(cls: type, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
    """func(*args, **kwargs), computed as for tensors; the tensors that it returns become ones of this class."""
    if not all(issubclass(cls, kind) for kind in types):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        result = func(*args, **(kwargs or {}))
    if type(result) is _core.Size or func in get_default_nowrap_functions():
        return result
    return _converted(result, cls)


def _values(args: Any) -> Iterator[Any]:
    for value in args:
        yield value
        if type(value) in (tuple, list):
            yield from value


def _overloaded(args: Any) -> list[Any]:
    """One argument of each class that has a say, subclasses before their bases."""
    found: list[Any] = []
    for value in _values(args):
        kind = type(value)
        if kind in _classes and all(type(other) is not kind for other in found):
            at = next((i for i, other in enumerate(found) if issubclass(kind, type(other))), len(found))
            found.insert(at, value)
    return found


def _dispatch(func: Callable, found: list[Any], args: tuple, kwargs: dict, operator: bool = False) -> Any:
    types = tuple(type(value) for value in found)
    for value in found:
        result = type(value).__torch_function__(func, types, args, kwargs)
        if result is not NotImplemented:
            return result
    if operator:  # Python asks the other operand, then says what it cannot add
        return NotImplemented
    raise TypeError(f"no implementation found for '{getattr(func, '__name__', func)}' on types that implement "
                    f"__torch_function__: {[kind.__name__ for kind in types]}")


def _wrapped(function: Callable) -> Callable:
    """The form of a function that looks for subclasses among its arguments."""
    @functools.wraps(function)
    def dispatching(*args: Any, **kwargs: Any) -> Any:
        if not _depth.off:
            found = _overloaded((*args, *kwargs.values()))
            if found:
                return _dispatch(dispatching, found, args, kwargs)
        return function(*args, **kwargs)
    dispatching._plain = function  # type: ignore[attr-defined]  # tells that it is one
    return dispatching


def _method(name: str, function: Callable) -> Callable:
    """A method of a subclass, by name: `function` is what its `__torch_function__` is told."""
    plain = getattr(Tensor, name)

    @functools.wraps(plain, ("__name__", "__doc__"), ())
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _depth.off:
            return plain(self, *args, **kwargs)
        found = _overloaded((self, *args, *kwargs.values())) or [self]
        return _dispatch(function, found, (self, *args), kwargs, name in _OPERATORS)
    return method


_getters: dict[Callable, str] = {}


def _attribute(name: str) -> property:
    plain: Any = vars(Tensor)[name]
    getter = plain.__get__
    _getters[getter] = name

    def get(self: Any) -> Any:
        return plain.__get__(self, type(self)) if _depth.off else _dispatch(getter, [self], (self,), {})
    return property(get, lambda self, value: plain.__set__(self, value), lambda self: plain.__delete__(self))


def _members() -> dict[str, Any]:
    """What a subclass has in the place of Tensor's methods and operators."""
    members: dict[str, Any] = {"__iter__": lambda self: iter(self.unbind(0))}
    for name, value in list(vars(Tensor).items()):
        if name in _TENSOR_ATTRIBUTES:
            members[name] = _attribute(name)
        elif name not in _PLAIN and (callable(value) or type(value).__name__ == "_Lazy"):
            members[name] = _method(name, getattr(Tensor, _OPERATORS.get(name, name)))
    return members


def _look_at_arguments() -> None:
    """Put the dispatching form of each public function in its place, now or when it is first named."""
    from minitorch_bn import ops
    names = {*ops.FUNCTIONS, *(name for line in ops.LAZY.values() for name in line.split())}
    for path in _NAMESPACES:
        module = import_module("minitorch_bn" + path)
        wanted = names if path == "" else set(module.__all__)
        for name in wanted & set(vars(module)):
            value = vars(module)[name]
            if callable(value) and not isinstance(value, type):
                vars(module)[name] = _wrapped(value)
        _look_later(module, wanted)


def _look_later(module: Any, wanted: set[str]) -> None:
    find = vars(module).get("__getattr__")
    if find is None:
        return

    def __getattr__(name: str) -> Any:
        value = find(name)
        if name in wanted and callable(value) and not isinstance(value, type) and not hasattr(value, "_plain"):
            vars(module)[name] = value = _wrapped(value)
        return value
    vars(module)["__getattr__"] = __getattr__


def notice(cls: Any) -> None:
    """A class was derived from Tensor: let its `__torch_function__` be asked."""
    if cls.__torch_function__ is _core._disabled_torch_function_impl:
        return
    if not _classes:
        _look_at_arguments()
    first = not any(base in _classes for base in cls.__mro__[1:])
    _classes.add(cls)
    if first:
        for name, member in _members().items():
            at = next(base for base in cls.__mro__ if name in vars(base) or base is Tensor)
            if at is Tensor:
                setattr(cls, name, member)


def has_torch_function(relevant_args: Any) -> bool:
    """Whether the `__torch_function__` of an argument is to be asked."""
    return not _depth.off and bool(_overloaded(relevant_args))


def has_torch_function_unary(relevant_arg: Any) -> bool:
    """The same for one argument."""
    return has_torch_function((relevant_arg,))


def has_torch_function_variadic(*relevant_args: Any) -> bool:
    """The same for several."""
    return has_torch_function(relevant_args)


def is_tensor_like(inp: Any) -> bool:
    """Whether it is a Tensor, or an object with a `__torch_function__`."""
    return isinstance(inp, Tensor) or hasattr(type(inp), "__torch_function__")


def handle_torch_function(public_api: Callable, relevant_args: Any, *args: Any, **kwargs: Any) -> Any:
    """What the `__torch_function__` of the arguments makes of public_api(*args, **kwargs)."""
    return _dispatch(public_api, _overloaded(relevant_args), args, kwargs)


_core.install("__torch_function__", classmethod(_torch_function))  # type: ignore[arg-type]
