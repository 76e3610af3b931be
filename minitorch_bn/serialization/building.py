"""The builders: what each name that a file may use makes from its arguments, after these are checked."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from enum import Enum
from math import prod
from pathlib import PurePath
from types import FunctionType
from typing import Any

import minitorch_bn as torch

from . import allowed

_HASHES = (Enum.__hash__, PurePath.__hash__)  # of Python's own library


class Budget:
    """How many elements a file may still have copied."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, count: int) -> None:
        """Take `count` from what is left, or raise ValueError."""
        self.left -= count
        if self.left < 0:
            raise ValueError("the file copies far more than it holds")


class Builder:
    """A name's meaning: a function of the budget and the arguments."""

    def __init__(self, build: Callable[..., Any]) -> None:
        self.build = build


def check_key(key: Any) -> Any:
    """Return a key of a dict (or member of a set) whose hash is cheap; raise ValueError for another.

    A tuple can hold itself many times over through the memo, so that its hash takes for ever; integers beyond 2**61 can
    all be made to collide. Nor may a class of the user's run its own hash.
    """
    todo, steps = [key], 0
    while todo:
        part = todo.pop()
        steps += 1
        if steps > 1000:
            raise ValueError("a key is too large")
        if type(part) is int:
            if abs(part) >> 61:
                raise ValueError("an integer key is too large")
        elif isinstance(part, (tuple, frozenset)):
            todo.extend(part)
        elif isinstance(part, torch.Tensor):
            raise ValueError("a tensor cannot be a key in a file")
        elif any(isinstance(getattr(type(part), name), FunctionType) for name in ("__hash__", "__eq__")) and (
                type(part).__hash__ not in _HASHES):
            raise ValueError(f"a {type(part).__name__} cannot be a key in a file, as the class has a hash of its own")
    return key


def size_of(value: Any, what: str) -> int:
    """A size, stride or offset from a file."""
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError(f"a {what} is not a whole number between 0 and 2**62")
    return value


def check_bools(flat: torch.Tensor) -> torch.Tensor:
    """Return a storage; ValueError if it is of bool and holds another byte than 0 or 1, which no kernel expects."""
    if flat.dtype is torch.bool and flat.numel() and flat.view(torch.uint8).max().item() > 1:
        raise ValueError("a storage of bool holds other bytes than 0 and 1")
    return flat


def rebuild_tensor(budget: Budget, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False,
                   hooks: Any = None, metadata: Any = None) -> torch.Tensor:
    """A view of the storage (a flat tensor), checked to lie inside it."""
    if type(storage) is not torch.Tensor:
        raise ValueError("a tensor without a storage")
    if not isinstance(size, tuple) or not isinstance(stride, tuple) or len(size) != len(stride):
        raise ValueError("the size and strides of a tensor do not fit each other")
    for value in size:
        size_of(value, "size")
    for value in (*stride, offset):
        size_of(value, "stride or offset")
    if prod(size) >> 60:
        raise ValueError("a tensor is too large")
    with torch.no_grad():
        tensor = storage.detach().as_strided(tuple(size), tuple(stride), offset).detach()
    return tensor.requires_grad_(check_flag(requires_grad))


def check_flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("requires_grad must be True or False")
    return value


def _rebuild_tensor_v3(budget: Budget, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any,
                       hooks: Any, dtype: Any, metadata: Any = None) -> torch.Tensor:
    return rebuild_tensor(budget, check_bools(storage.view(dtype)), offset, size, stride, requires_grad)


def _rebuild_parameter(budget: Budget, data: Any, requires_grad: Any = True, hooks: Any = None,
                       state: Any = None) -> torch.Tensor:
    if not isinstance(data, torch.Tensor):
        raise ValueError("a parameter without a tensor")
    return _with_attributes(torch.nn.Parameter(data.detach(), check_flag(requires_grad)), state)


def _with_attributes(tensor: torch.Tensor, state: Any) -> torch.Tensor:
    """Attributes that were set on a tensor; names that mean something to Tensor itself are refused."""
    parts = state if type(state) is tuple and len(state) == 2 else (state,)
    for part in parts:
        if part is not None and type(part) is not dict:
            raise ValueError("the attributes of a tensor must be a dict")
        for name, value in (part or {}).items():
            if type(name) is not str or hasattr(torch.Tensor, name):
                raise ValueError("a tensor cannot have an attribute of that name")
            setattr(tensor, name, value)
    return tensor


def _rebuild_from_type(budget: Budget, function: Any, kind: Any, args: Any, state: Any) -> Any:
    """A tensor with attributes, or of a subclass; a subclass that is not allowed comes back as a plain tensor."""
    if not isinstance(function, Builder) or type(args) is not tuple:
        raise ValueError("a tensor's builder is not one")
    tensor = function.build(budget, *args)
    if not isinstance(tensor, torch.Tensor):
        raise ValueError("a tensor's builder made something else")
    return _with_attributes(tensor, state)


def _parameter(budget: Budget, data: Any = None, requires_grad: Any = True) -> torch.Tensor:
    return torch.nn.Parameter(torch.empty(0)) if data is None else _rebuild_parameter(budget, data, requires_grad)


def _size(budget: Budget, sizes: Any = ()) -> torch.Size:
    budget.spend(len(sizes))
    return torch.Size([size_of(s, "size") for s in sizes])


def _device(budget: Budget, kind: Any, index: Any = None) -> torch.device:
    return torch.device(kind, index) if index is not None else torch.device(kind)


def _layout(budget: Budget, name: Any) -> Any:
    if name != "torch.strided":
        raise ValueError("only the layout torch.strided is supported")
    return torch.strided


def _pairs(budget: Budget, items: Any) -> list[tuple[Any, Any]]:
    pairs = list(items.items()) if isinstance(items, dict) else [tuple(pair) for pair in items]
    budget.spend(4 * len(pairs) + 8)
    return [(check_key(key), value) for key, value in pairs]


def _members(budget: Budget, items: Any) -> list[Any]:
    if not isinstance(items, (list, tuple, set, frozenset)):
        raise ValueError("members must come in a list")
    budget.spend(4 * len(items) + 8)
    return [check_key(item) for item in items]


def _counter(budget: Budget, items: Any = ()) -> Counter:
    counter: Counter = Counter()
    dict.update(counter, _pairs(budget, items))
    return counter


def _defaultdict(budget: Budget, factory: Any = None, items: Any = ()) -> defaultdict:
    kind = next((cls for builder, cls in _FACTORIES if builder is factory), None)
    if factory is not None and kind is None:
        raise ValueError("the factory of a defaultdict must be a builtin type")
    return defaultdict(kind, _pairs(budget, items))


def _deque(budget: Budget, items: Any = (), maxlen: Any = None) -> deque:
    budget.spend(len(items) + 64)
    return deque(items, maxlen if maxlen is None else size_of(maxlen, "length"))


def _encode(budget: Budget, text: Any, encoding: Any) -> bytes:
    if type(text) is not str or encoding not in ("latin1", "latin-1", "utf-8", "utf8", "ascii"):
        raise ValueError("bytes in an unknown encoding")
    budget.spend(len(text))
    return text.encode(encoding)


def _bytearray(budget: Budget, data: Any = b"", encoding: Any = None) -> bytearray:
    data = _encode(budget, data, encoding) if encoding is not None else data
    if not isinstance(data, bytes):
        raise ValueError("a bytearray without bytes")
    budget.spend(len(data))
    return bytearray(data)


def _bytes(budget: Budget, data: Any = (), encoding: Any = None) -> bytes:
    if encoding is None and len(data):
        raise ValueError("bytes must come as encoded text")
    return _encode(budget, data, encoding) if encoding is not None else b""


def _complex(budget: Budget, real: Any, imag: Any) -> complex:
    return complex(real, imag)


def _blank_object(budget: Budget, cls: Any, base: Any, state: Any) -> Any:
    if not (isinstance(base, Builder) and base is _TABLE["builtins.object"]) or state is not None:
        raise ValueError("a class with a base of its own cannot be rebuilt without running its code")
    if not allowed.is_allowed(cls):
        raise ValueError("the class is not allowed")
    return allowed.blank(cls, ())


def _path(kind: Any) -> Callable[..., Any]:
    def build(budget: Budget, *parts: Any) -> Any:
        if not all(type(part) is str for part in parts):
            raise ValueError("the parts of a path must be text")
        budget.spend(len(parts))
        return kind(*parts)
    return build


def _refuse(name: str) -> Callable[..., Any]:
    def build(budget: Budget, *args: Any) -> Any:
        raise ValueError(f"{name} cannot be called from a file")
    return build


# -- NumPy -------------------------------------------------------------------------------------------------------------

def _numpy_dtype(budget: Budget, code: Any, align: Any = False, copy: Any = True) -> Any:
    import numpy as np
    if type(code) is not str or not re.fullmatch(r"[<=|]?(?:b1|[iu][1248]|f[248]|c8|c16|[SU]\d{1,6}|bool|[u]?int\d+"
                                                 r"|float\d+)", code):
        raise ValueError("a NumPy dtype other than of plain little-endian numbers and text")
    return np.dtype(code)


def _numpy_scalar(budget: Budget, dtype: Any, data: Any) -> Any:
    import numpy as np
    data = data.encode("latin1") if type(data) is str else data
    if not isinstance(dtype, np.dtype) or type(data) is not bytes or len(data) != dtype.itemsize or not data:
        raise ValueError("a NumPy scalar whose bytes do not fit its dtype")
    return np.frombuffer(data, dtype)[0]


def _numpy_array(budget: Budget, kind: Any, shape: Any, code: Any) -> Any:
    import numpy as np
    if kind is not _TABLE["numpy.ndarray"]:
        raise ValueError("a NumPy array of a subclass")
    budget.spend(64)
    return np.empty((0,), np.int8)  # its contents come by BUILD


def _fill_array(array: Any, state: Any, budget: Budget) -> None:
    import numpy as np
    if type(state) is not tuple or len(state) != 5:
        raise ValueError("the state of a NumPy array has five parts")
    _, shape, dtype, fortran, data = state
    data = data.encode("latin1") if type(data) is str else data
    if not isinstance(dtype, np.dtype) or type(shape) is not tuple or type(data) is not bytes or len(shape) > 32 \
            or prod(size_of(s, "size") for s in shape) * dtype.itemsize != len(data) or type(fortran) is not bool:
        raise ValueError("a NumPy array whose bytes do not fit its shape and dtype")
    budget.spend(len(data))
    array.__setstate__((1, shape, dtype, fortran, data))


def build_state(thing: Any, state: Any, budget: Budget) -> bool:
    """BUILD for the types of the table; False for others."""
    if type(thing) is OrderedDict:
        if type(state) is not dict or not all(type(key) is str for key in state):
            raise ValueError("the attributes of an OrderedDict must be a dict")
        budget.spend(len(state))
        thing.__dict__.update(state)  # the _metadata of a state_dict
        return True
    if type(thing).__module__.partition(".")[0] == "numpy":
        import numpy as np
        if type(thing) is np.ndarray:
            _fill_array(thing, state, budget)
            return True
        if isinstance(thing, np.dtype):
            if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", "|", "="):
                raise ValueError("a NumPy dtype of another byte order, or with fields")
            return True
    return False


BUILDERS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
    "torch.nn.parameter.Parameter": _parameter,
    "torch.nn.parameter.Buffer": _refuse("torch.nn.parameter.Buffer"),
    "torch.Tensor": _refuse("torch.Tensor"),
    "torch.Size": _size,
    "torch.device": _device,
    "torch.serialization._get_layout": _layout,
    "collections.OrderedDict": lambda budget, items=(): OrderedDict(_pairs(budget, items)),
    "collections.Counter": _counter,
    "collections.defaultdict": _defaultdict,
    "collections.deque": _deque,
    "builtins.set": lambda budget, items=(): set(_members(budget, items)),
    "builtins.frozenset": lambda budget, items=(): frozenset(_members(budget, items)),
    "builtins.bytearray": _bytearray,
    "builtins.bytes": _bytes,
    "builtins.complex": _complex,
    "builtins.object": _refuse("object"),
    "_codecs.encode": _encode,
    "copyreg._reconstructor": _blank_object,
    "numpy.dtype": _numpy_dtype,
    "numpy.ndarray": _refuse("numpy.ndarray"),
    "numpy._core.multiarray.scalar": _numpy_scalar,
    "numpy._core.multiarray._reconstruct": _numpy_array,
}
_TABLE: dict[str, Any] = {name: Builder(build) for name, build in BUILDERS.items()}
_FACTORIES: list[tuple[Any, Any]] = [
    (_TABLE.setdefault(name, Builder(_refuse(name))), kind)
    for name, kind in {**allowed.FACTORIES, "builtins.set": set, "collections.OrderedDict": OrderedDict}.items()]
_PATHS = {name: Builder(_path(kind)) for name, kind in allowed.PATHS.items()}


_constants: dict[str, Any] = {}  # filled when it is first asked for: it names every dtype


def _constant(name: str) -> Any:
    if not _constants:
        _constants.update(allowed.constants())
    return _constants.get(name)


def builder_for(name: str, plain: bool) -> Any:
    """What a full name stands for: a Builder, a dtype, a type of storage, a class that is allowed; else None."""
    found = _TABLE.get(name) or _constant(name) or allowed.user_class(name)
    if found is None and plain:
        found = allowed.PLAIN.get(name) or _PATHS.get(name) or allowed.loaded_module(name)
    if found is None and name.startswith("torch.") and name.rpartition(".")[2] in allowed.UNSUPPORTED:
        raise ValueError(f"{name}: complex, quantized and unsigned or 8-bit float dtypes beyond uint8 are not "
                         "supported by minitorch_bn")
    return found


def is_known(name: str) -> bool:
    """Whether a file may use this name."""
    try:
        return builder_for(name, False) is not None
    except ValueError:
        return False
