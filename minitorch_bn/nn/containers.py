"""Modules that hold modules (Sequential, ModuleList, ModuleDict) or parameters (ParameterList, ParameterDict)."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, KeysView, Mapping
from itertools import chain, groupby
from typing import Any

import minitorch_bn as torch

from .module import Module, typename
from .parameter import Parameter


def _position(index: Any, length: int) -> int:
    """`index` as a number from 0 to length - 1, negative ones counted from the end."""
    index = operator.index(index)
    if not -length <= index < length:
        raise IndexError(f"index {index} is out of range")
    return index % length


class _ModuleSequence(Module):
    """Children named "0", "1", ...: what Sequential and ModuleList share."""

    def _rebuild(self, modules: Iterable[Module]) -> None:
        """Make `modules` the children, numbered anew."""
        self._modules = {str(i): module for i, module in enumerate(modules)}

    def _key(self, index: Any) -> str:
        return list(self._modules)[_position(index, len(self))]

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __contains__(self, module: object) -> bool:
        return any(module is child for child in self)

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._key(index), module)

    def __delitem__(self, index: int | slice) -> None:
        for key in list(self._modules)[index] if isinstance(index, slice) else [self._key(index)]:
            delattr(self, key)
        self._rebuild(self._modules.values())

    def pop(self, index: int | slice) -> Module:
        """Remove and return the module at `index`."""
        module = self[index]
        del self[index]
        return module

    def append(self, module: Module):
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]):
        """Add several modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Put a module before position `index`."""
        children = list(self)
        children.insert(index, module)
        self.add_module(str(len(self)), module)  # checks its type
        self._rebuild(children)


class Sequential(_ModuleSequence):
    """Modules that are called in turn, each on the output of the one before.

    Built from modules, or from an OrderedDict of names to modules. `net[i]`, `net[a:b]`, `net1 + net2` work.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            self.extend(args)

    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return self._modules[self._key(index)]

    def insert(self, index: int, module: Module) -> Sequential:  # type: ignore[override]
        """Put a module before position `index`."""
        if not isinstance(module, Module):
            raise AssertionError(f"module should be of type: {Module}")
        if not -len(self) <= index <= len(self):
            raise IndexError(f"Index out of range: {index}")
        super().insert(index, module)
        return self

    def __add__(self, other: Sequential) -> Sequential:
        self._check(other)
        return type(self)(*self, *other)

    def __iadd__(self, other: Sequential) -> Sequential:
        self._check(other)
        return self.extend(other)

    def __mul__(self, times: int) -> Sequential:
        return type(self)(*self._repeated(times))

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Sequential:
        return self.extend(self._repeated(times)[len(self):])

    @staticmethod
    def _check(other: Any) -> None:
        if not isinstance(other, Sequential):
            raise ValueError(f"add operator supports only objects of Sequential class, but {type(other)} is given.")

    def _repeated(self, times: int) -> list[Module]:
        if not isinstance(times, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(times)}")
        if times <= 0:
            raise ValueError(f"Non-positive multiplication factor {times} for {type(self)}")
        return list(self) * times

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input


class ModuleList(_ModuleSequence):
    """A list of modules, all of which belong to the module that holds it. It has no forward of its own."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return self._modules[self._key(index)]

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        if not isinstance(modules, Iterable):
            raise TypeError("ModuleList.extend should be called with an iterable, but got " + type(modules).__name__)
        return super().extend(modules)

    def __iadd__(self, other: Iterable[Module]) -> ModuleList:
        return self.extend(other)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList(chain(self, other))

    def _repr_children(self) -> Iterator[str]:
        start = 0
        for text, group in groupby(map(repr, self)):
            count = len(list(group))
            yield f"({start}): {text}" if count == 1 else f"({start}-{start + count - 1}): {count} x {text}"
            start += count


class _Items:
    """The dict methods of ModuleDict and ParameterDict, over `keys()` and item access, which those define."""

    _item: str  # the name of the class in messages

    def keys(self) -> KeysView[str]:
        """The names."""
        raise NotImplementedError

    def __getitem__(self, key: str) -> Any:
        raise NotImplementedError

    def __setitem__(self, key: str, value: Any) -> None:
        raise NotImplementedError

    def __delitem__(self, key: str) -> None:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def values(self) -> Iterable[Any]:
        return [self[key] for key in self.keys()]

    def items(self) -> Iterable[tuple[str, Any]]:
        return [(key, self[key]) for key in self.keys()]

    def clear(self) -> None:
        for key in list(self.keys()):
            del self[key]

    def pop(self, key: str, *default: Any) -> Any:
        """Remove the entry and return its value."""
        if default and key not in self:
            return default[0]
        value = self[key]
        del self[key]
        return value

    def update(self, entries: Any) -> None:
        """Add the entries of a mapping, or of an iterable of (key, value) pairs."""
        if not isinstance(entries, Iterable):
            raise TypeError(f"{type(self).__name__}.update should be called with an iterable of key/value pairs, "
                            f"but got {type(entries).__name__}")
        pairs = entries.items() if isinstance(entries, (Mapping, _Items)) else entries
        for i, pair in enumerate(pairs):
            if not isinstance(pair, Iterable):
                raise TypeError(f"{self._item} update sequence element #{i} should be Iterable; is "
                                f"{type(pair).__name__}")
            pair = list(pair)
            if len(pair) != 2:
                raise ValueError(f"{self._item} update sequence element #{i} has length {len(pair)}; 2 is required")
            self[pair[0]] = pair[1]


class ModuleDict(_Items, Module):
    """Modules by name, in order of insertion. It has no forward of its own."""

    _item = "ModuleDict"

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        Module.__init__(self)
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def keys(self) -> KeysView[str]:
        """The names of the modules."""
        return self._modules.keys()


def _described(name: str, value: Any, element: Any) -> str:
    """One line of the printed form of ParameterList and ParameterDict."""
    if not isinstance(value, torch.Tensor):
        return f"  ({name}): Object of type: {type(value).__name__}"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    return f"  ({name}): {kind} containing: [{element} of size {'x'.join(map(str, value.shape))}]"


class ParameterList(Module):
    """A list of parameters (or anything else); plain tensors that are put in become parameters."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return getattr(self, str(_position(index, len(self))))

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, str(_position(index, len(self))), _as_parameter(value))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def append(self, value: Any) -> ParameterList:
        """Add a value at the end."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add several values at the end."""
        if not isinstance(values, Iterable) or isinstance(values, torch.Tensor):
            raise TypeError(f"ParameterList.extend should be called with an iterable, but got {type(values).__name__}")
        for value in list(values):
            self.append(value)
        return self

    __iadd__ = extend

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ParameterList should not be called.")

    def extra_repr(self) -> str:
        return "\n".join(_described(str(i), value, getattr(value, "dtype", "")) for i, value in enumerate(self))


class ParameterDict(_Items, Module):
    """Parameters (or anything else) by name; plain tensors that are put in become parameters."""

    _item = "ParameterDict"

    def __init__(self, parameters: Any = None) -> None:
        Module.__init__(self)
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, self._checked(key))

    @staticmethod
    def _checked(key: Any) -> str:
        if not isinstance(key, str):
            raise TypeError("Index given to ParameterDict cannot be used as a key as it is not a string "
                            f"(type is '{type(key).__name__}'). Open an issue on github if you need non-string keys.")
        return key

    def __setitem__(self, key: str, value: Any) -> None:
        self._checked(key)
        self._keys[key] = None
        setattr(self, key, _as_parameter(value))

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def keys(self) -> KeysView[str]:
        """The names of the parameters."""
        return self._keys.keys()

    def update(self, parameters: Any) -> None:
        """Add the entries of a mapping (sorted, unless it is an OrderedDict), or of an iterable of pairs."""
        if isinstance(parameters, Mapping) and not isinstance(parameters, OrderedDict):
            parameters = sorted(parameters.items())
        super().update(parameters)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of `key`, which is first set to `default` if it is not there."""
        if key not in self:
            self[key] = default
        return self[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        return self[key] if key in self else default

    def popitem(self) -> tuple[str, Any]:
        """Remove and return the entry that was added last."""
        key = list(self._keys)[-1]
        return key, self.pop(key)

    def copy(self) -> ParameterDict:
        """A new ParameterDict with the same values."""
        return ParameterDict(self.items())

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A new ParameterDict with these keys, all of the same value."""
        return ParameterDict((key, default) for key in keys)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ParameterDict should not be called.")

    def __or__(self, other: ParameterDict) -> ParameterDict:
        merged = self.copy()
        merged.update(other)
        return merged

    def __ior__(self, other: ParameterDict) -> ParameterDict:
        self.update(other)
        return self

    def extra_repr(self) -> str:
        return "\n".join(_described(key, value, typename(value)) for key, value in self.items())


def _as_parameter(value: Any) -> Any:
    return Parameter(value) if isinstance(value, torch.Tensor) and not isinstance(value, Parameter) else value
