"""Which names a file may use: a fixed table of builders, and the classes that the user allows."""

from __future__ import annotations

import argparse
import builtins
import collections
import enum
import pathlib
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

import minitorch_bn as torch

_user: dict[str, type] = {}
# Classes of plain data, which PyTorch reads under weights_only=False only; no code of theirs is run here.
PLAIN: dict[str, Any] = {f"{cls.__module__}.{cls.__name__}": cls for cls in (argparse.Namespace, types.SimpleNamespace)}
PATHS: dict[str, Any] = {f"pathlib.{name}": getattr(pathlib, name) for name in
                         ("PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath", "Path")}
# What Python 2 called them, and so pickles of protocol 2 still do.
OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg", "numpy.core": "numpy._core",
               "numpy.core.multiarray": "numpy._core.multiarray"}


def _named(classes: Iterable[Any]) -> dict[str, type]:
    """The full name in files of each class; an item may be a class or a pair (class, name)."""
    named: dict[str, type] = {}
    for item in classes:
        cls, name = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
        if isinstance(item, tuple) and (len(item) != 2 or not isinstance(name, str)):
            raise ValueError(f"expected a class, or a pair of a class and its full name in the file, got {item}")
        if name is None and not hasattr(cls, "__qualname__"):
            raise TypeError(f"expected a class, got {cls!r}")
        named[name or full_name(cls)] = cls
    return named


def full_name(cls: Any) -> str:
    """The module and qualified name under which pickle finds a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Let files hold instances of these classes (or of pairs: class, its full name in the file).

    An instance is rebuilt by the `__new__` of the built-in type below its class and by filling its attributes: neither
    `__init__` nor `__setstate__` (but that of nn.Module) nor any other code of the class is run. Functions may be
    listed, for compatibility, but are never called.
    """
    _user.update(_named(safe_globals))


def get_safe_globals() -> list[Any]:
    """The classes that files may hold instances of."""
    return list(_user.values())


def clear_safe_globals() -> None:
    """Forget all that `add_safe_globals` allowed."""
    _user.clear()


class safe_globals:
    """A ``with`` block inside which files may hold instances of these classes."""

    def __init__(self, safe_globals: list[Any]) -> None:
        self._classes = _named(safe_globals)

    def __enter__(self) -> None:
        self._before = dict(_user)
        _user.update(self._classes)

    def __exit__(self, *error: object) -> None:
        _user.clear()
        _user.update(self._before)


def user_class(name: str) -> Any:
    """The class that the user allowed under this full name, or None.

    Modules of PyTorch (``torch.nn.modules.linear.Linear``) are found if ours of that name (``nn.Linear``) is allowed.
    """
    if name in _user:
        return _user[name]
    if name.startswith("torch.nn.modules."):
        own = getattr(torch.nn, name.rpartition(".")[2], None)
        return own if own in _user.values() else None
    return None


def loaded_module(name: str) -> Any:
    """The nn.Module class, or function of nn.functional, with this full name, if the script has it already; or None.

    Nothing is imported, and no attribute is asked for that a module computes: finding it runs no code.
    """
    package, _, rest = name.partition(".")
    if package in ("torch", "minitorch_bn") and rest.startswith(("nn.modules.", "nn.functional.")):
        space = torch.nn.functional if rest.startswith("nn.f") else torch.nn
        found = vars(space).get(name.rpartition(".")[2])
        return found if is_module_class(found) or isinstance(found, types.FunctionType) else None
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        found = sys.modules.get(".".join(parts[:cut]))
        for part in parts[cut:]:
            found = vars(found).get(part) if isinstance(found, (types.ModuleType, type)) else None
        if is_module_class(found):
            return found
    return None


def is_module_class(cls: Any) -> bool:
    """Whether this is a class of neural network modules."""
    return isinstance(cls, type) and issubclass(cls, torch.nn.Module)


def is_allowed(cls: type) -> bool:
    """Whether the user allowed this class."""
    return cls in _user.values()


class StorageType:
    """The element type of a storage: ``torch.FloatStorage`` in a file."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


STORAGES = {"Bool": "bool", "Byte": "uint8", "Char": "int8", "Short": "int16", "Int": "int32", "Long": "int64",
            "Half": "float16", "BFloat16": "bfloat16", "Float": "float32", "Double": "float64"}
UNSUPPORTED = ("complex32", "complex64", "complex128", "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2",
               "quint8", "qint8", "qint32", "ComplexFloatStorage", "ComplexDoubleStorage", "QUInt8Storage")
FACTORIES: dict[str, Any] = {f"builtins.{name}": getattr(builtins, name)
                             for name in ("dict", "float", "frozenset", "int", "list", "str", "tuple")}


def constants() -> dict[str, Any]:
    """Names that stand for a value: dtypes and the types of storages."""
    table: dict[str, Any] = {f"torch.{name}": dtype for name, dtype in torch.DTYPES.items()}
    table |= {f"torch.{kind}Storage": StorageType(torch.DTYPES[name]) for kind, name in STORAGES.items()}
    return table | {f"torch.storage.{kind}Storage": StorageType(torch.DTYPES["uint8"])
                    for kind in ("Untyped", "_Untyped")}


def blank(cls: Any, args: tuple) -> Any:
    """An instance of a class of plain data that the user allowed, made without running code of the class."""
    if not isinstance(cls, type):
        raise ValueError(f"{full_name(cls)} is not a class; minitorch_bn calls no function that a file names")
    if issubclass(cls, enum.Enum):
        if len(args) != 1 or type(args[0]) not in (int, str, float, bool) or args[0] not in cls._value2member_map_:
            raise ValueError(f"{cls.__name__} has no such member")
        return cls._value2member_map_[args[0]]
    base: type = next(b for b in cls.__mro__ if b in _BASES)
    if base is object or base is torch.Tensor:
        if args or base is torch.Tensor:
            raise ValueError(f"a {full_name(cls)} with arguments cannot be rebuilt without running its code")
        return object.__new__(cls)
    if base is tuple and hasattr(cls, "_fields"):  # a named tuple is given its fields one by one
        args = (args,)
    make: Callable = base.__new__
    return make(cls, *args)


_BASES = (collections.OrderedDict, collections.defaultdict, collections.Counter, dict, list, tuple, set, frozenset, str,
          bytes, int, float, torch.Tensor, object)


def fill(thing: Any, state: Any) -> None:
    """Set the attributes of an instance, as pickle's BUILD does for a class without `__setstate__`.

    A module's `__setstate__` is our own code and is run; one that a user's class defines is not.
    """
    restore = getattr(type(thing), "__setstate__", None)
    if restore is torch.nn.Module.__setstate__ and type(state) is dict and all(type(key) is str for key in state):
        return restore(thing, state)
    if restore is not None:
        raise ValueError(f"{full_name(type(thing))} defines __setstate__, which would have to run; save its contents "
                         "(such as its state_dict) instead")
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    for part in (state, slots):
        if part is not None and not (type(part) is dict and all(type(key) is str for key in part)):
            raise ValueError("the attributes of an instance must be a dict with names as keys")
    if state:
        thing.__dict__.update(state)
    for name, value in (slots or {}).items():
        object.__setattr__(thing, name, value)
