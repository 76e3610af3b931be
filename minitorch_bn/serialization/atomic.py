"""Writing a file so that, whatever happens, the name leads to the whole old file or to the whole new one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def replacing(path: str | bytes | os.PathLike) -> Iterator[Any]:
    """A binary file to write; it takes the place of `path` when the block ends, and is removed if the block fails.

    The new file is written beside the old one, flushed to the disk and renamed over it, in one step of the file system.
    Its permissions are those of any new file (the umask's). A symbolic link is followed; what is no regular file, such
    as a pipe or /dev/null, is written directly. A process that is killed may leave its unfinished file, .saving-*.

    Raises:
        RuntimeError: the folder is not there.
        OSError: the folder cannot be written to, or the disk is full.
    """
    path = os.path.realpath(os.fsdecode(path))
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {folder} does not exist.")
    if os.path.isdir(path):
        raise IsADirectoryError(f"cannot save to {path}: it is a directory")
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        with open(path, "wb") as file:
            yield file
        return
    temporary = os.path.join(folder, f".saving-{os.getpid()}-{os.urandom(6).hex()}")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with open(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Let the rename itself reach the disk; not every system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
