"""Writing pickles of protocol 2 that PyTorch's weights_only reader accepts: plain data and tensors."""

from __future__ import annotations

import enum
import pathlib
import struct
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from pickle import PicklingError
from typing import Any

import minitorch_bn as torch

from . import allowed


class Pickler:
    """Turns an object into a pickle; the tensors whose storages it refers to are collected in `storages`."""

    def __init__(self) -> None:
        self.out = bytearray(b"\x80\x02")
        self.memo: dict[Any, int] = {}
        self.keep: list[Any] = []  # an object in the memo must live, for its id to stay its own
        self.storages: list[torch.Tensor] = []
        self.keys: dict[int, tuple[str, torch.dtype, int]] = {}

    def dump(self, value: Any) -> bytes:
        """The pickle of `value`.

        Raises:
            pickle.PicklingError: it holds something other than plain data, tensors and instances of allowed classes.
        """
        try:
            self.save(value)
        except RecursionError:
            raise RecursionError("the object is nested too deeply to be saved") from None
        return bytes(self.out + b".")

    # -- pieces --------------------------------------------------------------------------------------------------

    def remember(self, key: Any, owner: Any = None) -> None:
        """Give what was just written a number in the memo."""
        self.memo[key] = index = len(self.memo)
        self.keep.append(owner)
        self.out += bytes((0x71, index)) if index < 256 else b"r" + struct.pack("<I", index)

    def recall(self, key: Any) -> bool:
        """Write a reference to what was written before, if it was."""
        index = self.memo.get(key)
        if index is None:
            return False
        self.out += bytes((0x68, index)) if index < 256 else b"j" + struct.pack("<I", index)
        return True

    def name(self, full: str, module: str | None = None) -> None:
        """A name of the table, split at its last dot or after `module`."""
        if not self.recall(("name", full)):
            module = module or full.rpartition(".")[0]
            self.out += b"c%s\n%s\n" % (module.replace("builtins", "__builtin__").encode(),
                                       full[len(module) + 1:].encode())
            self.remember(("name", full))

    def call(self, full: str, *args: Any) -> None:
        """What the name makes of these arguments."""
        self.name(full)
        self.tuple_of(args)
        self.out += b"R"

    def tuple_of(self, items: tuple) -> None:
        if len(items) > 3:
            self.out += b"("
        for item in items:
            self.save(item)
        self.out += (b")", b"\x85", b"\x86", b"\x87")[len(items)] if len(items) <= 3 else b"t"

    def items_of(self, pairs: Any) -> None:
        pairs = list(pairs)
        if pairs:
            self.out += b"("
            for key, value in pairs:
                self.save(key)
                self.save(value)
            self.out += b"u"

    def members_of(self, items: Any) -> None:
        items = list(items)
        if items:
            self.out += b"("
            for item in items:
                self.save(item)
            self.out += b"e"

    # -- objects -------------------------------------------------------------------------------------------------

    def save(self, value: Any) -> None:
        kind = type(value)
        action = _ACTIONS.get(kind)
        if action is not None:
            action(self, value)
        elif isinstance(value, torch.Tensor):
            self.tensor(value)
        elif kind.__module__.partition(".")[0] == "numpy":
            self.numpy(value)
        else:
            self.instance(value)

    def none(self, value: Any) -> None:
        self.out += b"N"

    def flag(self, value: bool) -> None:
        self.out += b"\x88" if value else b"\x89"

    def integer(self, value: int) -> None:
        if 0 <= value < 256:
            self.out += b"K%c" % value
        elif 0 <= value < 65536:
            self.out += b"M" + struct.pack("<H", value)
        elif -1 << 31 <= value < 1 << 31:
            self.out += b"J" + struct.pack("<i", value)
        else:
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            self.out += (b"\x8a%c" % len(data) if len(data) < 256 else b"\x8b" + struct.pack("<I", len(data))) + data

    def real(self, value: float) -> None:
        self.out += b"G" + struct.pack(">d", value)

    def text(self, value: str) -> None:
        if not self.recall(("text", value)):
            data = value.encode("utf-8", "surrogatepass")
            self.out += b"X" + struct.pack("<I", len(data)) + data
            self.remember(("text", value))

    def bytes(self, value: bytes) -> None:
        self.call("_codecs.encode", value.decode("latin1"), "latin1")

    def shared(self, value: Any, write: Any) -> None:
        """A value that may occur in several places, and may hold itself only if it is a container."""
        if not self.recall(id(value)):
            write()
            if not self.recall_tuple(value):
                self.remember(id(value), value)

    def recall_tuple(self, value: Any) -> bool:
        """A tuple that holds itself was written while its items were: drop this copy of it."""
        if id(value) not in self.memo:
            return False
        self.out += b"0"
        return self.recall(id(value))

    def tuple(self, value: tuple) -> None:
        if value:
            self.shared(value, lambda: self.tuple_of(value))
        else:
            self.out += b")"

    def container(self, value: Any) -> None:
        """list, dict, OrderedDict: put into the memo before their items, which may refer back to them."""
        if self.recall(id(value)):
            return
        if type(value) is OrderedDict:
            self.name("collections.OrderedDict")
            self.out += b")R"
        else:
            self.out += b"]" if type(value) is list else b"}"
        self.remember(id(value), value)
        if type(value) is list:
            self.members_of(value)
        else:
            self.items_of(value.items())
        if type(value) is OrderedDict and value.__dict__:
            self.save(dict(value.__dict__))
            self.out += b"b"

    def made(self, value: Any) -> None:
        """Types that are written as a name and arguments."""
        self.shared(value, lambda: self.call(*_ARGUMENTS[type(value)](value)))

    def defaultdict(self, value: defaultdict) -> None:
        if self.recall(id(value)):
            return
        factory = value.default_factory
        name = None if factory is None else f"{factory.__module__}.{getattr(factory, '__qualname__', '?')}"
        if name is not None and name not in (*allowed.FACTORIES, "builtins.set", "collections.OrderedDict"):
            raise PicklingError("a defaultdict can be saved only if its factory is a builtin type such as list; "
                                "save dict(d) instead")
        self.name("collections.defaultdict")
        if name is None:
            self.out += b")"
        else:
            self.name(name)
            self.out += b"\x85"
        self.out += b"R"
        self.remember(id(value), value)
        self.items_of(value.items())

    def dtype(self, value: torch.dtype) -> None:
        self.name(f"torch.{value.name}")

    def layout(self, value: Any) -> None:
        if value is not torch.strided:
            raise PicklingError(f"cannot save {value}")
        self.call("torch.serialization._get_layout", "torch.strided")

    def storage(self, tensor: torch.Tensor) -> None:
        """A reference to the storage below a tensor, which is written once."""
        memory = tensor.untyped_storage()
        owner = memory.data_ptr() if len(memory) else -id(tensor)
        if owner not in self.keys:
            self.keys[owner] = str(len(self.storages)), tensor.dtype, len(memory) // tensor.element_size()
            self.storages.append(tensor.detach())
            self.keep.append(tensor)
        number, dtype, count = self.keys[owner]
        if dtype is not tensor.dtype:
            raise RuntimeError("Cannot save multiple tensors or storages that view the same data as different types")
        kind = next(k for k, name in allowed.STORAGES.items() if name == dtype.name)
        self.out += b"("
        self.text("storage")
        self.name(f"torch.{kind}Storage")
        for part in (number, "cpu"):
            self.text(part)
        self.integer(count)
        self.out += b"tQ"

    def plain_tensor(self, tensor: torch.Tensor, requires_grad: bool) -> None:
        self.name("torch._utils._rebuild_tensor_v2")
        self.plain_arguments(tensor, requires_grad)
        self.out += b"R"

    def plain_arguments(self, tensor: torch.Tensor, requires_grad: bool) -> None:
        self.out += b"("
        self.storage(tensor)
        self.integer(tensor.storage_offset())
        self.tuple_of(tuple(tensor.shape))
        self.tuple_of(tuple(tensor.stride()))
        self.flag(requires_grad)
        self.no_hooks()
        self.out += b"t"

    def no_hooks(self) -> None:
        self.name("collections.OrderedDict")
        self.out += b")R"

    def tensor(self, value: torch.Tensor) -> None:
        if self.recall(id(value)):
            return
        extra = {name: item for name, item in vars(value).items() if name not in _OWN_ATTRIBUTES} \
            if hasattr(value, "__dict__") else {}
        if isinstance(value, torch.nn.Parameter):
            self.name("torch._utils._rebuild_parameter_with_state" if extra else "torch._utils._rebuild_parameter")
            self.out += b"("
            self.plain_tensor(value, False)
            self.flag(value.requires_grad)
            self.no_hooks()
            if extra:
                self.save(extra)
            self.out += b"tR"
        elif extra:
            self.name("torch._tensor._rebuild_from_type_v2")
            self.out += b"("
            self.name("torch._utils._rebuild_tensor_v2")
            self.name("torch.Tensor")
            self.plain_arguments(value, value.requires_grad)
            self.save(extra)
            self.out += b"tR"
        else:
            self.plain_tensor(value, value.requires_grad)
        self.remember(id(value), value)

    def numpy(self, value: Any) -> None:
        import numpy as np
        if isinstance(value, np.dtype) and value.kind in "biufcSU" and value.byteorder != ">":
            def write_dtype() -> None:
                self.call("numpy.dtype", value.str[1:], False, True)
                self.save((3, "<" if value.byteorder == "=" else value.byteorder, None, None, None, -1, -1, 0))
                self.out += b"b"
            self.shared(value, write_dtype)
        elif isinstance(value, np.generic) and value.dtype.kind in "biufcSU":
            self.call("numpy._core.multiarray.scalar", value.dtype, value.tobytes())
        elif type(value) is np.ndarray and value.dtype.kind in "biufcSU":
            def write_array() -> None:
                self.name("numpy._core.multiarray._reconstruct")
                self.name("numpy.ndarray")
                self.save((0,))
                self.save(b"b")
                self.out += b"\x87R"
                plain = value.astype(value.dtype.newbyteorder("<"), copy=False)
                fortran = plain.flags.fnc
                self.save((1, plain.shape, plain.dtype, fortran, plain.tobytes("F" if fortran else "C")))
                self.out += b"b"
            self.shared(value, write_array)
        else:
            raise _refusal(value)

    def instance(self, value: Any) -> None:
        """An instance of a module, of a class that the user allowed, or of a known class of plain data.

        Writing a class is writing its name; whoever reads the file decides whether it may be used.
        """
        kind = type(value)
        full = allowed.full_name(kind)
        if isinstance(value, pathlib.PurePath):
            return self.shared(value, lambda: self.call(f"pathlib.{kind.__name__}", *value.parts))
        if hasattr(value, "__code__"):  # a function, such as an activation that a module keeps
            named = getattr(sys.modules.get(value.__module__), value.__name__, None)
            if getattr(named, "_plain", named) is not getattr(value, "_plain", value):  # overrides.py has forms of both
                raise _refusal(value)
            return self.name(allowed.full_name(value), value.__module__)
        if not allowed.is_allowed(kind) and full not in allowed.PLAIN and not isinstance(value, torch.nn.Module):
            raise _refusal(value)
        if self.recall(id(value)):
            return None
        self.name(full, kind.__module__)
        if isinstance(value, enum.Enum):
            self.tuple_of((value.value,))
            self.out += b"R"
            return self.remember(id(value), value)
        base: Any = next(b for b in kind.__mro__ if b in (tuple, frozenset, str, bytes, int, float, object))
        whole = tuple(value) if base is tuple and hasattr(kind, "_fields") else None
        self.tuple_of(() if base is object else whole or (base(value),))
        self.out += b"\x81"
        self.remember(id(value), value)
        if isinstance(value, list):
            self.members_of(value)
        elif isinstance(value, dict):
            self.items_of(value.items())
        state = dict(getattr(value, "__dict__", {}))
        slots = {name: getattr(value, name) for cls in kind.__mro__ for name in getattr(cls, "__slots__", ())
                 if isinstance(cls.__dict__.get("__slots__"), (list, tuple)) and hasattr(value, name)}
        if state or slots:
            self.save((state or None, slots) if slots else state)
            self.out += b"b"
        return None


_OWN_ATTRIBUTES = ("persistent",)


def _refusal(value: Any) -> PicklingError:
    kind = allowed.full_name(type(value))
    return PicklingError(f"cannot save a {kind}: files hold tensors, numbers, text and containers of them. If it is a "
                         "class of plain data, torch.serialization.add_safe_globals([...]) allows its instances")


_ARGUMENTS: dict[type, Any] = {
    set: lambda v: ("builtins.set", list(v)), frozenset: lambda v: ("builtins.frozenset", list(v)),
    bytearray: lambda v: ("builtins.bytearray", bytes(v)), complex: lambda v: ("builtins.complex", v.real, v.imag),
    Counter: lambda v: ("collections.Counter", dict(v)), torch.Size: lambda v: ("torch.Size", tuple(v)),
    deque: lambda v: ("collections.deque", list(v), v.maxlen),
    torch.device: lambda v: ("torch.device", v.type) if v.index is None else ("torch.device", v.type, v.index),
}
_ACTIONS: dict[type, Any] = {
    type(None): Pickler.none, bool: Pickler.flag, int: Pickler.integer, float: Pickler.real, str: Pickler.text,
    bytes: Pickler.bytes, tuple: Pickler.tuple, list: Pickler.container, dict: Pickler.container,
    OrderedDict: Pickler.container, defaultdict: Pickler.defaultdict, torch.dtype: Pickler.dtype,
    type(torch.strided): Pickler.layout, **dict.fromkeys(_ARGUMENTS, Pickler.made),
}
