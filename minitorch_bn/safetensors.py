"""Files of the safetensors format (.safetensors): a JSON header with names, dtypes and shapes, then the tensors' bytes.

The functions have the names and arguments of the ``safetensors.torch`` package, which is not needed.
Source: https://huggingface.co/docs/safetensors, "Format".
"""

from __future__ import annotations

import io
import json
import os
import struct
from math import prod
from typing import Any

import minitorch_bn as mt  # not as torch: the module `safetensors.torch` will be an attribute of that name

from .serialization.archive import fill
from .serialization.atomic import replacing

__all__ = ["SafetensorError", "load", "load_file", "load_model", "safe_open", "save", "save_file", "save_model"]

_LENGTH = struct.Struct("<Q")
MAX_HEADER = 100_000_000  # bytes, as the format has it
_CODES = {"BOOL": mt.bool, "U8": mt.uint8, "I8": mt.int8, "I16": mt.int16, "I32": mt.int32,
          "I64": mt.int64, "F16": mt.float16, "BF16": mt.bfloat16, "F32": mt.float32, "F64": mt.float64}
_NAMES = {dtype: code for code, dtype in _CODES.items()}


class SafetensorError(RuntimeError):
    """The file is damaged, or not of the safetensors format."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in the header")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


class _Entry:
    """One tensor of the header: where it lies in the data and what it is."""

    def __init__(self, name: str, fields: Any) -> None:
        if type(fields) is not dict or set(fields) != {"dtype", "shape", "data_offsets"}:
            raise ValueError(f"tensor {name[:100]!r} needs dtype, shape and data_offsets, and nothing else")
        code, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
        for sizes, what in ((shape, "shape"), (offsets, "data_offsets")):
            if type(sizes) is not list or not all(type(n) is int and 0 <= n < 1 << 62 for n in sizes):
                raise ValueError(f"the {what} of tensor {name[:100]!r} are not sizes")
        if type(code) is not str or code not in _CODES:
            raise ValueError(f"tensor {name[:100]!r} has dtype {str(code)[:30]!r}, which minitorch_bn does not support")
        self.name, self.code, self.dtype, self.shape = name, code, _CODES[code], tuple(shape)
        if len(offsets) != 2 or offsets[1] - offsets[0] != prod(self.shape) * self.dtype.itemsize:
            raise ValueError(f"the shape and dtype of tensor {name[:100]!r} do not fit its data_offsets")
        self.begin, self.end = offsets


def _header(file: Any) -> tuple[dict[str, _Entry], dict[str, str] | None, int]:
    """The tensors of a file, its metadata, and where the data starts; all checked against the size of the file."""
    origin = file.tell()
    size = file.seek(0, os.SEEK_END) - origin
    file.seek(origin)
    first = file.read(_LENGTH.size)
    if len(first) < _LENGTH.size:
        raise SafetensorError("the file is too short to be a safetensors file")
    length = _LENGTH.unpack(first)[0]
    if length > MAX_HEADER or length > size - _LENGTH.size:
        raise SafetensorError(f"the header claims {length} bytes, more than the file has or the format allows")
    text = file.read(length)
    if text[:1] != b"{":
        raise SafetensorError("the header does not start with {")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
        metadata = header.pop("__metadata__", None)
        if metadata is not None and not (type(metadata) is dict and all(type(v) is str for v in metadata.values())):
            raise ValueError("__metadata__ may hold text only")
        entries = sorted((_Entry(name, fields) for name, fields in header.items()), key=lambda e: (e.begin, e.end))
    except (AttributeError, RecursionError, ValueError) as error:  # JSON's and Unicode's errors are ValueErrors
        raise SafetensorError(f"the header is damaged: {str(error)[:500]}") from None
    position = 0
    for entry in entries:
        if entry.begin != position:
            raise SafetensorError(f"there is a hole or an overlap before the data of tensor {entry.name[:100]!r}")
        position = entry.end
    if position != size - _LENGTH.size - length:
        raise SafetensorError(f"the header describes {position} bytes of data, but the file has "
                              f"{size - _LENGTH.size - length}")
    return {entry.name: entry for entry in entries}, metadata, origin + _LENGTH.size + length


def _read_tensor(file: Any, entry: _Entry, start: int) -> mt.Tensor:
    tensor = mt.empty(prod(entry.shape), dtype=entry.dtype)
    if tensor.numel():
        file.seek(start + entry.begin)
        fill(file, memoryview(tensor.view(mt.uint8)))
        if entry.code == "BOOL" and bool((tensor.view(mt.uint8) > 1).any()):
            raise SafetensorError(f"tensor {entry.name[:100]!r} of dtype BOOL has other bytes than 0 and 1")
    return tensor.reshape(entry.shape)


def read(file: Any) -> tuple[dict[str, mt.Tensor], dict[str, str] | None]:
    """The tensors by name, and the metadata, of a binary file that can seek."""
    entries, metadata, start = _header(file)
    try:
        return {name: _read_tensor(file, entry, start) for name, entry in entries.items()}, metadata
    except SafetensorError:
        raise
    except RuntimeError as error:  # such as more dims than a tensor can have
        raise SafetensorError(str(error)) from None


def load(data: bytes) -> dict[str, mt.Tensor]:
    """The tensors by name, from the content of a file."""
    return read(io.BytesIO(data))[0]


def load_file(filename: str | os.PathLike, device: str | int | mt.device = "cpu") -> dict[str, mt.Tensor]:
    """The tensors by name, from a file.

    Raises:
        SafetensorError: the file is damaged.
    """
    mt.empty(0, device=device)  # raises if the device is not there
    with open(filename, "rb") as file:
        return read(file)[0]


def _write(file: Any, tensors: dict[str, mt.Tensor], metadata: dict[str, str] | None) -> None:
    """Tensors of large elements first, then by name, as the safetensors package orders them."""
    if not isinstance(tensors, dict):
        raise ValueError(f"Expected a dict of [str, torch.Tensor] but received {type(tensors)}")
    header: dict[str, Any] = {}
    if metadata is not None:
        if not all(isinstance(text, str) for pair in metadata.items() for text in pair):
            raise TypeError("metadata must be a dict of text to text")
        header["__metadata__"] = dict(metadata)
    storages: dict[int, str] = {}
    for name, tensor in tensors.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise ValueError(f"Key `{name}` is invalid, expected str but received {type(name)}")
        if not isinstance(tensor, mt.Tensor):
            raise ValueError(f"Key `{name}` is invalid, expected torch.Tensor but received {type(tensor)}")
        if not tensor.is_contiguous():
            raise ValueError(f"You are trying to save a non contiguous tensor: `{name}` which is not allowed: the "
                             "format has no strides. Save `.contiguous()` of it.")
        if tensor.numel():
            other = storages.setdefault(tensor.untyped_storage().data_ptr(), name)
            if other != name:
                raise RuntimeError(f"Some tensors share memory: [{{{other!r}, {name!r}}}]. The format cannot keep "
                                   "that: save one of them, or a clone, or use save_model.")
    position = 0
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), _NAMES[item[1].dtype], item[0]))
    for name, tensor in ordered:
        end = position + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise ValueError(f"the header would have {len(text)} bytes, more than the {MAX_HEADER} that the format allows")
    file.write(_LENGTH.pack(len(text)) + text)
    for _, tensor in ordered:
        if tensor.numel():
            file.write(memoryview(tensor.detach().reshape(-1).view(mt.uint8)))


def save(tensors: dict[str, mt.Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """The content of a file with these tensors.

    Raises:
        ValueError: a tensor is not contiguous.
        RuntimeError: tensors share memory, which the format cannot keep.
    """
    file = io.BytesIO()
    _write(file, tensors, metadata)
    return file.getvalue()


def save_file(tensors: dict[str, mt.Tensor], filename: str | os.PathLike,
              metadata: dict[str, str] | None = None) -> None:
    """Write a file with these tensors, replacing an old one in one step; errors as of `save`."""
    with replacing(filename) as file:
        _write(file, tensors, metadata)


def save_model(model: mt.nn.Module, filename: str | os.PathLike, metadata: dict[str, str] | None = None) -> None:
    """Write a model's state_dict; of tensors that share memory the first is kept."""
    kept: dict[str, mt.Tensor] = {}
    seen: dict[Any, str] = {}
    names = dict(metadata or {})
    for name, tensor in model.state_dict().items():
        key = (tensor.data_ptr(), tuple(tensor.shape)) if tensor.numel() else name
        if seen.setdefault(key, name) == name:
            kept[name] = tensor.contiguous()
        else:
            names[name] = seen[key]
    save_file(kept, filename, names or None)


def load_model(model: mt.nn.Module, filename: str | os.PathLike, strict: bool = True,
               device: str | int = "cpu") -> tuple[list[str], list[str]]:
    """Fill a model from what `save_model` wrote; returns the missing and the unexpected names."""
    with safe_open(filename, "pt", device) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        for name, other in (file.metadata() or {}).items():
            if other in tensors and name not in tensors:
                tensors[name] = tensors[other]
    missing, unexpected = model.load_state_dict(tensors, strict=strict)
    return missing, unexpected


class safe_open:
    """A ``with`` block that reads single tensors of a file: ``with safe_open(path, "pt") as f: f.get_tensor(name)``."""

    def __init__(self, filename: str | os.PathLike, framework: str = "pt",
                 device: str | int | mt.device = "cpu") -> None:
        if framework not in ("pt", "torch", "pytorch"):
            raise SafetensorError(f"framework {framework!r} is not supported; use 'pt'")
        mt.empty(0, device=device)
        self._file = open(filename, "rb")
        try:
            self._entries, self._metadata, self._start = _header(self._file)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> safe_open:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def keys(self) -> list[str]:
        """The names of the tensors, sorted."""
        return sorted(self._entries)

    def offset_keys(self) -> list[str]:
        """The names of the tensors, in the order of the file."""
        return list(self._entries)

    def metadata(self) -> dict[str, str] | None:
        """The text that was saved with the tensors."""
        return self._metadata

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            raise SafetensorError(f"File does not contain tensor {name}")
        return self._entries[name]

    def get_tensor(self, name: str) -> mt.Tensor:
        """The tensor of this name."""
        return _read_tensor(self._file, self._entry(name), self._start)

    def get_slice(self, name: str) -> _Slice:
        """The tensor of this name, to be indexed: ``f.get_slice(name)[:, 0:2]``."""
        return _Slice(self, self._entry(name))


class _Slice:
    """A tensor of a file that is read when it is indexed."""

    def __init__(self, file: safe_open, entry: _Entry) -> None:
        self._file, self._entry = file, entry

    def get_shape(self) -> list[int]:
        """The size of each dim."""
        return list(self._entry.shape)

    def get_dtype(self) -> str:
        """The format's name of the dtype, such as F32."""
        return self._entry.code

    def __getitem__(self, index: Any) -> mt.Tensor:
        return self._file.get_tensor(self._entry.name)[index].clone()
