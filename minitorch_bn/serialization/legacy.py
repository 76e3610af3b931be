"""Reading the format that PyTorch wrote before version 1.6: pickles one after another, then the storages' bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import minitorch_bn as torch

from . import allowed
from .reading import Unpickler

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
_COUNT = struct.Struct("<q")


def starts(head: bytes) -> int:
    """The length of the first pickle if it is the magic number of the format, else 0."""
    reader = Unpickler(head)
    try:
        found = reader.load() == MAGIC
        return reader.end if found else 0
    except UnpicklingError:
        return 0


def read(data: memoryview, plain: bool, locate: Callable[[Any], Any], encoding: str = "utf-8") -> Any:
    """The object in a file whose content is `data`; `locate` checks where each storage was.

    Raises:
        pickle.UnpicklingError: the data is damaged, or holds more than plain data.
    """
    end = starts(bytes(data[:64]))

    def load(storage: Callable[[tuple], Any] | None = None) -> Any:
        nonlocal end
        reader = Unpickler(data, storage, plain, end, encoding)
        value = reader.load()
        end = reader.end
        return value

    if load() != PROTOCOL:
        raise UnpicklingError("the file has an unknown version of the format before PyTorch 1.6")
    system = load()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise UnpicklingError("the file comes from a big-endian machine, which is supported in zip files only")
    blocks: dict[Any, torch.Tensor] = {}
    total = 0

    def storage(pid: tuple) -> torch.Tensor:
        nonlocal total
        if len(pid) != 6 or pid[0] != "storage" or type(pid[2]) is not str:
            raise ValueError("a reference to a storage is damaged")
        _, kind, key, location, count, view = pid
        if not isinstance(kind, allowed.StorageType) or type(count) is not int or count < 0:
            raise ValueError("a reference to a storage is damaged")
        locate(location)
        if key not in blocks:
            total += count * kind.dtype.itemsize
            if total > len(data):
                raise ValueError("the storages are larger than the file")
            blocks[key] = torch.empty(count, dtype=kind.dtype)
        block = blocks[key]
        if block.dtype is not kind.dtype or block.numel() != count:
            raise ValueError("two references to a storage differ")
        if view is None:
            return block
        _, offset, size = view
        return block[offset:offset + size]

    value = load(storage)
    keys = load()
    if type(keys) is not list or sorted(map(str, keys)) != sorted(blocks):
        raise UnpicklingError("the list of storages does not fit the data")
    for key in keys:
        block = blocks[key]
        size = block.numel() * block.element_size()
        if len(data) - end < _COUNT.size + size or _COUNT.unpack_from(data, end)[0] != block.numel():
            raise UnpicklingError("a storage is truncated or has another size than expected")
        end += _COUNT.size
        if size:
            memoryview(block.view(torch.uint8))[:] = data[end:end + size]
            if block.dtype is torch.bool and block.view(torch.uint8).max().item() > 1:
                raise UnpicklingError("a storage of bool holds other bytes than 0 and 1")
        end += size
    return value
