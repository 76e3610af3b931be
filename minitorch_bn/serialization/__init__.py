"""Saving and loading: `save` and `load` of .pt files, which PyTorch reads and writes too, and of what they may hold.

A file is data: nothing in it is ever executed, under ``weights_only=False`` neither.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
from collections.abc import Callable
from typing import Any

import minitorch_bn as torch

from . import allowed, archive, legacy
from .allowed import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from .atomic import replacing
from .building import check_bools, is_known
from .reading import LocationError, Unpickler
from .writing import Pickler

__all__ = ["DEFAULT_PROTOCOL", "add_safe_globals", "clear_safe_globals", "get_crc32_options", "get_safe_globals",
           "get_unsafe_globals_in_checkpoint", "load", "safe_globals", "save", "set_crc32_options"]

DEFAULT_PROTOCOL = 2
_check_sums = True
_Location = Callable[[Any, str], Any] | torch.device | str | dict[str, str] | None


def set_crc32_options(compute_crc32: bool) -> None:
    """Whether `load` compares checksums (default) or trusts the data, as of files written without them."""
    global _check_sums
    _check_sums = bool(compute_crc32)


def get_crc32_options() -> bool:
    """Whether `load` compares checksums."""
    return _check_sums


def save(obj: object, f: str | os.PathLike | Any, pickle_module: Any = pickle, pickle_protocol: int = DEFAULT_PROTOCOL,
         _use_new_zipfile_serialization: bool = True, _disable_byteorder_record: bool = False) -> None:
    """Save tensors, and numbers, text and containers that hold them, to a file that `load` and PyTorch's load read.

    Tensors that share memory share it again after loading; strides, parameters and `requires_grad` are kept. A file
    given by its path is replaced in one step: if saving fails or is interrupted, the old one stays whole.

    Args:
        obj: what to save, such as ``model.state_dict()`` or a dict of state_dicts and numbers. Instances of classes
            need `add_safe_globals`; whole modules need it when they are loaded.
        f: a path, or a binary file that has `write`.
        pickle_module: accepted for compatibility and ignored, like `pickle_protocol` (2 is written) and the rest.

    Raises:
        pickle.PicklingError: `obj` holds what is no data.
        RuntimeError: the folder is not there; or tensors of different dtypes share memory.
    """
    if not isinstance(f, (str, os.PathLike)) and not hasattr(f, "write"):
        raise AttributeError("expected 'f' to be string, path, or a file-like object with a 'write' attribute")
    pickler = Pickler()
    pickled = pickler.dump(obj)
    if isinstance(f, (str, os.PathLike)):
        name = os.path.splitext(os.path.basename(os.fspath(f)))[0] or "archive"
        with replacing(f) as file:
            archive.write(file, name, pickled, pickler.storages)
    else:
        archive.write(archive.Sink(f), "archive", pickled, pickler.storages)


def load(f: str | os.PathLike | Any, map_location: _Location = None, pickle_module: Any = None, *,
         weights_only: bool | None = None, mmap: bool | None = None, **pickle_load_args: Any) -> Any:
    """Load what `save` or PyTorch's save wrote (zip files, and those from before PyTorch 1.6), or a safetensors file.

    Nothing in the file is executed: it may hold tensors, numbers, text, containers, NumPy arrays, and instances of
    classes allowed by `add_safe_globals`.

    Args:
        f: a path, or a binary file that can read and seek.
        map_location: where tensors that were saved on another device go: "cpu", a dict, or a function of
            (storage, location). Needed for files with tensors of a GPU.
        pickle_module: accepted with weights_only=False and ignored.
        weights_only: False also allows a few classes of plain data (argparse.Namespace, paths) and whole modules whose
            classes the script has imported: they are filled with what the file holds, their code is not run.
            Default: True.
        mmap: True maps the file (a path) into memory, copy on write, instead of reading it.
        pickle_load_args: `encoding` of the text that Python 2 wrote; the rest is ignored.

    Raises:
        pickle.UnpicklingError: the file holds what is no data, or is damaged.
        RuntimeError: the file is damaged or truncated, or has tensors of a device that is not there.
        EOFError: the file is empty.
    """
    if pickle_module is not None and weights_only is not False:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    locate = _locator(map_location)
    plain, encoding = weights_only is False, pickle_load_args.get("encoding", "utf-8")
    if not isinstance(f, (str, os.PathLike)):
        if mmap:
            raise ValueError("f must be a string filename in order to use mmap argument")
        if not hasattr(f, "read"):
            raise AttributeError("expected 'f' to be a path or a file-like object with read and seek")
        return _load(f, locate, plain, False, encoding)
    with open(f, "rb") as file:
        return _load(file, locate, plain, bool(mmap), encoding)


def get_unsafe_globals_in_checkpoint(f: str | os.PathLike | Any) -> list[str]:
    """The names in a zip file that `load` refuses unless `add_safe_globals` allows them; nothing is loaded."""
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            return get_unsafe_globals_in_checkpoint(file)
    found: dict[str, None] = {}
    texts: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(archive.Reader(f, _check_sums).read("data.pkl")):
            if isinstance(argument, str) and "UNICODE" in opcode.name:
                texts.append(argument)
            elif opcode.name == "GLOBAL" and argument:
                found[argument.replace(" ", ".", 1)] = None
            elif opcode.name == "STACK_GLOBAL":
                found[".".join(texts[-2:])] = None
    except (IndexError, ValueError) as error:
        raise pickle.UnpicklingError(f"the pickle is damaged: {str(error)[:500]}") from None
    renamed = {".".join((allowed.OLD_MODULES.get(module, module), name))
               for module, _, name in (full.rpartition(".") for full in found)}
    return sorted(full for full in renamed if not is_known(full))


def _load(file: Any, locate: Callable[[Any, torch.Tensor | None], torch.Tensor | None], plain: bool, mapped: bool,
          encoding: str) -> Any:
    """Recognize the format by the first bytes, and read it."""
    if not hasattr(file, "seek") or not getattr(file, "seekable", lambda: True)():
        file = io.BytesIO(file.read())
    start = file.tell()
    head = file.read(512)
    file.seek(start)
    if isinstance(head, str):
        raise TypeError("expected a file opened in binary mode, such as open(path, 'rb')")
    if not head:
        raise EOFError("Ran out of input: the file is empty")
    if head.startswith(b"PK"):
        return _load_zip(archive.Reader(file, _check_sums, mapped), locate, plain, encoding)
    if mapped:
        raise RuntimeError("mmap can only be used with zip files, those saved with "
                           "`torch.save(_use_new_zipfile_serialization=True)`")
    if legacy.starts(head[:64]):
        return legacy.read(memoryview(file.read()), plain, lambda location: locate(location, None), encoding)
    if len(head) > 8 and head[8:9] == b"{":
        from minitorch_bn import safetensors
        return safetensors.read(file)[0]
    if head[257:262] == b"ustar":
        raise RuntimeError("the file is a tar archive, as PyTorch wrote before version 0.1.10; load it with an old "
                           "PyTorch and save it again")
    raise pickle.UnpicklingError("Invalid magic number; corrupt file? It is neither a file of torch.save nor a "
                                 "safetensors file.")


def _load_zip(reader: archive.Reader, locate: Callable, plain: bool, encoding: str) -> Any:
    if "constants.pkl" in reader:
        raise RuntimeError("the file is a TorchScript program, which minitorch_bn does not run; save the state_dict of "
                           "the model instead")
    order = reader.read("byteorder") if "byteorder" in reader else b"little"
    if order not in (b"little", b"big"):
        raise RuntimeError("the byte order of the file is neither little nor big")
    storages: dict[str, torch.Tensor] = {}

    def storage(pid: tuple) -> torch.Tensor:
        if len(pid) != 5 or pid[0] != "storage" or type(pid[2]) is not str or type(pid[4]) is not int \
                or not hasattr(pid[1], "dtype"):
            raise ValueError("a reference to a storage is damaged")
        _, kind, key, location, count = pid
        size = kind.dtype.itemsize
        if key not in storages:
            data = reader.tensor(f"data/{key}")
            storages[key] = _swapped(data, size) if order == b"big" and size > 1 else data
        data = storages[key]
        if not 0 <= count * size <= data.numel() < count * size + size:
            raise ValueError(f"storage {key[:20]!r} has {data.numel()} bytes, which is not what its tensors need")
        flat = data[:count * size].view(kind.dtype) if data.numel() else torch.empty(0, dtype=kind.dtype)
        return locate(location, check_bools(flat))

    return Unpickler(reader.read("data.pkl"), storage, plain, 0, encoding).load()


def _swapped(data: torch.Tensor, size: int) -> torch.Tensor:
    """The bytes of each element of this size in reverse order."""
    if data.numel() % size:
        raise ValueError("a storage has a part of an element")
    return data.view(-1, size).flip(1).flatten()


def _locator(map_location: Any) -> Callable[[Any, torch.Tensor | None], torch.Tensor | None]:
    """A function of (location, storage) that gives the storage on the CPU, or raises PyTorch's error."""
    def need(location: str) -> None:
        if location.partition(":")[0] not in ("cpu", "meta"):
            raise LocationError(
                f"Attempting to deserialize object on device {location[:50]} but it is not there: minitorch_bn "
                "computes on the CPU. Use torch.load with map_location=torch.device('cpu') to map your storages to the "
                "CPU.")

    if isinstance(map_location, (str, torch.device)):
        need(str(map_location))

    def locate(location: Any, storage: torch.Tensor | None) -> torch.Tensor | None:
        if type(location) is not str:
            raise ValueError("the location of a storage is not text")
        if isinstance(map_location, dict):
            location = map_location.get(location, location)
        elif callable(map_location):
            moved = map_location(storage, location)
            location = "cpu" if moved is not None else location
        elif map_location is not None:
            location = "cpu"
        need(str(location))
        return storage
    return locate
