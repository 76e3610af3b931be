"""The container of .pt files: a zip archive whose entries (the pickle, a file for each storage) are uncompressed."""

from __future__ import annotations

import io
import mmap
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any

import minitorch_bn as torch

ALIGNMENT = 64  # of the data of each storage in the file, as PyTorch has it
_EPOCH = (1980, 1, 1, 0, 0, 0)  # every file of the same content has the same bytes
_HEADER = struct.Struct("<4s5HIIIHH")
_PADDING = struct.Struct("<2sH")
_CHUNK = 1 << 24
_MOST_ENTRIES = 1 << 22
_BEST_RATIO = 200  # a compressed entry may not grow by more than this; PyTorch compresses none
_ZIP_DAMAGE = (ArithmeticError, AttributeError, EOFError, IndexError, KeyError, NotImplementedError, RuntimeError,
               UnicodeError, ValueError, struct.error, zipfile.BadZipFile)


class Reader:
    """The entries of a zip archive, found by their names below the archive's one folder, each checked to lie apart.

    Args:
        file: a binary file that can seek.
        check: whether the checksum of each entry that is read is compared.
        mapped: whether storages are to be mapped into memory (copy on write) instead of read.

    Raises:
        RuntimeError: the archive is damaged, truncated, or a trap.
    """

    def __init__(self, file: Any, check: bool = True, mapped: bool = False) -> None:
        self.file, self.check = file, check
        self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) if mapped else None
        try:
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
            self._locate(entries)
        except OSError as error:
            raise RuntimeError(f"cannot read the zip archive: {error}") from None
        except _ZIP_DAMAGE as error:
            raise RuntimeError(f"cannot read the zip archive: {str(error)[:500]}") from None

    def _locate(self, entries: list[zipfile.ZipInfo]) -> None:
        """Where the data of each entry starts."""
        file = self.file
        size = file.seek(0, os.SEEK_END)
        if len(entries) > _MOST_ENTRIES:
            raise ValueError("far too many entries")
        self.entries: dict[str, tuple[zipfile.ZipInfo, int]] = {}
        end = 0
        for entry in sorted(entries, key=lambda e: e.header_offset):
            if entry.is_dir():
                continue
            if entry.header_offset < end:
                raise ValueError(f"entry {entry.filename[:100]!r} overlaps another")
            file.seek(entry.header_offset)
            header = _HEADER.unpack(file.read(_HEADER.size))
            if header[0] != b"PK\3\4":
                raise ValueError(f"entry {entry.filename[:100]!r} has no header")
            if entry.flag_bits & 1:
                raise ValueError(f"entry {entry.filename[:100]!r} is encrypted")
            start = entry.header_offset + _HEADER.size + header[9] + header[10]
            end = start + entry.compress_size
            if end > size:
                raise ValueError(f"entry {entry.filename[:100]!r} goes beyond the end of the file")
            name = entry.filename.partition("/")[2] or entry.filename
            if name in self.entries:
                raise ValueError(f"two entries are named {name[:100]!r}")
            self._check_size(entry)
            self.entries[name] = entry, start

    @staticmethod
    def _check_size(entry: zipfile.ZipInfo) -> None:
        if entry.compress_type == zipfile.ZIP_STORED:
            if entry.file_size != entry.compress_size:
                raise ValueError(f"entry {entry.filename[:100]!r} has two different sizes")
        elif entry.compress_type != zipfile.ZIP_DEFLATED:
            raise ValueError(f"entry {entry.filename[:100]!r} is compressed in an unsupported way")
        elif entry.file_size > entry.compress_size * _BEST_RATIO + 1024:
            raise ValueError(f"entry {entry.filename[:100]!r} claims to grow from {entry.compress_size} to "
                             f"{entry.file_size} bytes; store it uncompressed")

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def size(self, name: str) -> int:
        """The bytes of an entry."""
        return self._entry(name)[0].file_size

    def _entry(self, name: str) -> tuple[zipfile.ZipInfo, int]:
        if name not in self.entries:
            raise RuntimeError(f"the archive has no entry {name[:100]!r}")
        return self.entries[name]

    def read(self, name: str) -> bytes:
        """The content of an entry."""
        return bytes(memoryview(self.tensor(name)) if self.size(name) else b"")

    def tensor(self, name: str) -> torch.Tensor:
        """The content of an entry as a flat uint8 tensor on memory of its own, or on the mapped file."""
        entry, start = self._entry(name)
        if entry.file_size == 0:
            return torch.empty(0, dtype=torch.uint8)
        if self.map is not None and entry.compress_type == zipfile.ZIP_STORED and start % 8 == 0:
            return torch.frombuffer(memoryview(self.map)[start:start + entry.file_size], dtype=torch.uint8)
        tensor = torch.empty(entry.file_size, dtype=torch.uint8)
        view = memoryview(tensor)
        self.file.seek(start)
        if entry.compress_type == zipfile.ZIP_STORED:
            fill(self.file, view)
        else:
            self._inflate(entry, view)
        if self.check and zlib.crc32(view) != entry.CRC:
            raise RuntimeError(f"entry {name[:100]!r} is damaged: its checksum differs. (Of files that were written "
                               "without checksums: torch.serialization.set_crc32_options(False) skips this test.)")
        return tensor

    def _inflate(self, entry: zipfile.ZipInfo, view: memoryview) -> None:
        data = self.file.read(entry.compress_size)
        try:
            plain = zlib.decompressobj(-15).decompress(data, entry.file_size + 1)
        except zlib.error as error:
            raise RuntimeError(f"entry {entry.filename[:100]!r} is damaged: {error}") from None
        if len(plain) != entry.file_size:
            raise RuntimeError(f"entry {entry.filename[:100]!r} is damaged: its size differs")
        view[:] = plain


def fill(file: Any, view: memoryview) -> None:
    """Read exactly as many bytes as `view` has; RuntimeError if there are fewer."""
    done = 0
    while done < len(view):
        part = view[done:done + _CHUNK]
        if hasattr(file, "readinto"):
            count = file.readinto(part)
        else:
            data = file.read(len(part))
            count = len(data)
            part[:count] = data
        if not count:
            raise RuntimeError(f"the file is truncated: {len(view) - done} bytes are missing")
        done += count


def bytes_of(tensor: torch.Tensor) -> memoryview:
    """The whole storage below a tensor, as bytes."""
    count = len(tensor.untyped_storage()) // tensor.element_size()
    if count == 0:
        return memoryview(b"")
    flat = tensor.detach().as_strided((count,), (1,), 0)
    return memoryview(flat.view(torch.uint8)).cast("B")


def write(file: Any, name: str, pickled: bytes, storages: Iterable[torch.Tensor]) -> None:
    """Write the archive: the pickle, the storages below these tensors as data/0, ..., and what PyTorch needs."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        def put(entry_name: str, data: Any) -> None:
            entry = zipfile.ZipInfo(f"{name}/{entry_name}", _EPOCH)
            entry.external_attr = 0
            assert archive.fp is not None
            start = archive.fp.tell() + _HEADER.size + len(entry.filename.encode()) + _PADDING.size
            room = -start % ALIGNMENT
            entry.extra = _PADDING.pack(b"FB", room) + b"Z" * room
            archive.writestr(entry, data)

        put("data.pkl", pickled)
        put(".format_version", b"1")
        put(".storage_alignment", str(ALIGNMENT).encode())
        put("byteorder", b"little")
        checksum = zlib.crc32(pickled)
        for number, tensor in enumerate(storages):
            data = bytes_of(tensor)
            checksum = zlib.crc32(data[:4096], checksum)
            put(f"data/{number}", data)
        put("version", b"3\n")
        put(".data/serialization_id", f"{zlib.crc32(name.encode()):020d}{checksum:020d}".encode())


class Sink(io.RawIOBase):
    """A file that need have nothing but write(): what goes in is counted, and nothing is gone back to."""

    def __init__(self, file: Any) -> None:
        self.file, self.count = file, 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        for start in range(0, len(data), _CHUNK):
            self.file.write(bytes(data[start:start + _CHUNK]))
        self.count += len(data)
        return len(data)

    def tell(self) -> int:
        return self.count

    def flush(self) -> None:
        if hasattr(self.file, "flush"):
            self.file.flush()
