"""The closed interpreter of pickles: the opcodes that data needs, and builders for a fixed table of names.

A pickle is a program for a small stack machine. Python's own machine imports and calls whatever the program names; this
one knows no import and no call. A name stands for one of the builders of `building.py`, or for a class that the user
allowed, or is an error.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

from . import allowed
from .building import Budget, Builder, build_state, builder_for, check_key

_INT, _LONG, _WIDE = struct.Struct("<i"), struct.Struct("<I"), struct.Struct("<Q")
_SHORT, _DOUBLE = struct.Struct("<H"), struct.Struct(">d")
# What damaged or hostile data may make the builders raise.
_DAMAGE = (ArithmeticError, AttributeError, IndexError, KeyError, RecursionError, RuntimeError, StopIteration,
           TypeError, UnicodeError, ValueError, struct.error)


class LocationError(RuntimeError):
    """A tensor was saved on a device that is not there."""


class Unpickler:
    """Runs one pickle that lies at `start` in `data`; `end` is then the first byte after it.

    Args:
        data: the bytes that hold the pickle.
        storage: called with the elements of a persistent id; returns the storage as a flat tensor. None: no storages.
        plain: whether what PyTorch reads under weights_only=False is read too: some classes of plain data, and the
            modules whose classes the script has.
    """

    def __init__(self, data: Any, storage: Callable[[tuple], Any] | None = None, plain: bool = False,
                 start: int = 0, encoding: str = "utf-8") -> None:
        self.data = memoryview(data)
        self.end = start
        self.storage = storage
        self.plain = plain
        self.encoding = encoding
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        # Copies cost what they copy: a file of n bytes may not ask for more than this many elements of them.
        self.budget = Budget(16 * len(self.data) + 4096)

    def load(self) -> Any:
        """The object that the pickle describes. Raises UnpicklingError for everything that is not plain data."""
        try:
            return self._run()
        except (UnpicklingError, LocationError):
            raise
        except _DAMAGE as error:
            text = str(error)[:500] or type(error).__name__
            raise UnpicklingError(f"the pickle is damaged or holds more than plain data (byte {self.end}): {text}"
                                  ) from None

    def _run(self) -> Any:
        data, size, actions = self.data, len(self.data), _ACTIONS
        while self.end < size:
            code = data[self.end]
            self.end += 1
            if code == 46:  # STOP
                value = self.stack.pop()
                if isinstance(value, (Builder, allowed.StorageType)) or self.stack or self.marks:
                    raise UnpicklingError("the pickle does not end in a value")
                return value
            action = actions.get(code)
            if action is None:
                raise UnpicklingError(f"the pickle uses opcode {code:#04x}, which plain data does not need")
            action(self)
        raise UnpicklingError("the pickle is truncated: it ends without STOP")

    # -- reading operands ----------------------------------------------------------------------------------------

    def take(self, count: int) -> memoryview:
        """The next `count` bytes."""
        if count > len(self.data) - self.end:
            raise UnpicklingError(f"the pickle is truncated: {count} bytes expected, {len(self.data) - self.end} left")
        self.end += count
        return self.data[self.end - count:self.end]

    def number(self, form: struct.Struct) -> Any:
        """The next number of this form."""
        return form.unpack(self.take(form.size))[0]

    def line(self) -> str:
        """The text up to the next line break."""
        for i in range(self.end, min(self.end + 1024, len(self.data))):
            if self.data[i] == 10:
                text = bytes(self.data[self.end:i]).decode()
                self.end = i + 1
                return text
        raise UnpicklingError("the pickle is damaged: a name has no end")

    def pop_mark(self) -> list[Any]:
        """What was pushed since the last MARK."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    # -- what is not mere pushing --------------------------------------------------------------------------------

    def find(self, module: str, name: str) -> Any:
        """What a name stands for."""
        module = allowed.OLD_MODULES.get(module, module)
        found = builder_for(f"{module}.{name}", self.plain)
        if found is None:
            full = f"{module}.{name}"[:200]
            raise UnpicklingError(
                f"Weights only load failed: the file names {full}, which is no tensor data, and minitorch_bn runs no "
                f"code from files. If it is a class of plain data that you trust, use "
                f"torch.serialization.add_safe_globals([{full.rpartition('.')[2]}]) or "
                "torch.serialization.safe_globals([...]): its instances are then rebuilt from their attributes. Of a "
                "model, save model.state_dict() and load it with model.load_state_dict(torch.load(f)).")
        return found

    def reduce(self, args: Any, function: Any) -> Any:
        if type(args) is not tuple:
            raise ValueError("the arguments of a builder must be a tuple")
        if isinstance(function, Builder):
            return function.build(self.budget, *args)
        if isinstance(function, allowed.StorageType) or not self._trusted(function):
            raise ValueError("only builders of tensors and allowed classes can be used")
        return allowed.blank(function, args)

    def _trusted(self, cls: Any) -> bool:
        return allowed.is_allowed(cls) or self.plain and (cls in allowed.PLAIN.values() or allowed.is_module_class(cls))

    def build(self) -> None:
        state, thing = self.stack.pop(), self.stack[-1]
        if not build_state(thing, state, self.budget):
            if not self._trusted(type(thing)):
                raise ValueError(f"a {type(thing).__name__} takes no state")
            allowed.fill(thing, state)

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise ValueError(f"cannot append to a {type(target).__name__}")
        list.extend(target, items)

    def add(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, set):
            raise ValueError(f"cannot add to a {type(target).__name__}")
        for item in items:
            check_key(item)
            set.add(target, item)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise ValueError(f"cannot set items of a {type(target).__name__}")
        if len(items) % 2:
            raise ValueError("a key has no value")
        put = OrderedDict.__setitem__ if isinstance(target, OrderedDict) else dict.__setitem__
        for key, value in zip(items[::2], items[1::2]):
            check_key(key)
            put(target, key, value)

    def persistent(self, pid: Any) -> Any:
        if self.storage is None or type(pid) is not tuple:
            raise ValueError("a reference to a storage was not expected")
        return self.storage(pid)

    def frame(self) -> None:
        if self.number(_WIDE) > len(self.data) - self.end:
            raise UnpicklingError("the pickle is truncated: a frame goes beyond its end")

    def text(self, count: int) -> str:
        return str(self.take(count), "utf-8", "surrogatepass")

    def old_string(self, count: int) -> Any:
        """A string of Python 2."""
        raw = bytes(self.take(count))
        return raw if self.encoding == "bytes" else raw.decode(self.encoding)

    def integer(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little", signed=True)

    def protocol(self) -> None:
        version = self.take(1)[0]
        if version > 5:
            raise UnpicklingError(f"the pickle has protocol {version}, which is not known")

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def collect(self, count: int) -> None:
        """The last `count` values become a tuple."""
        if count > len(self.stack):
            raise ValueError("the stack is too short")
        self.stack[-count:] = [tuple(self.stack[-count:])]


def _pusher(make: Callable[[Unpickler], Any]) -> Callable[[Unpickler], None]:
    def push(u: Unpickler) -> None:
        value = make(u)  # first: it may replace the stack
        u.stack.append(value)
    return push


def _memoize(u: Unpickler, index: int) -> None:
    u.memo[index] = u.stack[-1]


# Opcodes in the order of the documentation of pickletools; PUT and GET by text, INST, OBJ, EXT* are not among them.
_PUSHES: dict[bytes, Callable[[Unpickler], Any]] = {
    b"N": lambda u: None, b"\x88": lambda u: True, b"\x89": lambda u: False,
    b"K": lambda u: u.take(1)[0], b"M": lambda u: u.number(_SHORT), b"J": lambda u: u.number(_INT),
    b"\x8a": lambda u: u.integer(u.take(1)[0]), b"\x8b": lambda u: u.integer(u.number(_LONG)),
    b"G": lambda u: u.number(_DOUBLE),
    b"X": lambda u: u.text(u.number(_LONG)), b"\x8c": lambda u: u.text(u.take(1)[0]),
    b"\x8d": lambda u: u.text(u.number(_WIDE)),
    b"U": lambda u: u.old_string(u.take(1)[0]), b"T": lambda u: u.old_string(u.number(_LONG)),
    b"C": lambda u: bytes(u.take(u.take(1)[0])), b"B": lambda u: bytes(u.take(u.number(_LONG))),
    b"\x8e": lambda u: bytes(u.take(u.number(_WIDE))), b"\x96": lambda u: bytearray(u.take(u.number(_WIDE))),
    b")": lambda u: (), b"]": lambda u: [], b"}": lambda u: {}, b"\x8f": lambda u: set(),
    b"t": lambda u: tuple(u.pop_mark()), b"l": lambda u: u.pop_mark(),
    b"\x91": lambda u: frozenset(map(check_key, u.pop_mark())),
    b"h": lambda u: u.memo[u.take(1)[0]], b"j": lambda u: u.memo[u.number(_LONG)],
    b"2": lambda u: u.stack[-1],
    b"c": lambda u: u.find(u.line(), u.line()),
    b"\x93": lambda u: u.find(*_names(u)),
    b"R": lambda u: u.reduce(u.stack.pop(), u.stack.pop()),
    b"\x81": lambda u: u.reduce(u.stack.pop(), u.stack.pop()),  # NEWOBJ
    b"Q": lambda u: u.persistent(u.stack.pop()),
}
_STEPS: dict[bytes, Callable[[Unpickler], Any]] = {
    b"\x80": Unpickler.protocol, b"\x95": Unpickler.frame, b"(": Unpickler.mark,
    b"\x85": lambda u: u.collect(1), b"\x86": lambda u: u.collect(2), b"\x87": lambda u: u.collect(3),
    b"q": lambda u: _memoize(u, u.take(1)[0]), b"r": lambda u: _memoize(u, u.number(_LONG)),
    b"\x94": lambda u: _memoize(u, len(u.memo)),
    b"a": lambda u: u.append([u.stack.pop()]), b"e": lambda u: u.append(u.pop_mark()),
    b"\x90": lambda u: u.add(u.pop_mark()),
    b"s": lambda u: u.set_items([u.stack.pop(), u.stack.pop()][::-1]), b"u": lambda u: u.set_items(u.pop_mark()),
    b"b": Unpickler.build, b"0": lambda u: u.stack.pop(), b"1": lambda u: u.pop_mark(),
}
_ACTIONS = {code[0]: action for code, action in _STEPS.items()}
_ACTIONS |= {code[0]: _pusher(make) for code, make in _PUSHES.items()}


def _names(u: Unpickler) -> tuple[str, str]:
    name, module = u.stack.pop(), u.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise ValueError("a name must be text")
    return module, name
