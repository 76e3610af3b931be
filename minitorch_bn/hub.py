"""Downloading weights into a local cache: `load_state_dict_from_url`, for file: and http(s): addresses."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from typing import Any
from urllib.parse import unquote, urlparse
from urllib.request import Request, urlopen

from . import serialization
from .serialization.atomic import replacing

__all__ = ["download_url_to_file", "get_dir", "load", "load_state_dict_from_url", "set_dir"]

_HASH = re.compile(r"-([a-f0-9]+)\.")  # in resnet18-f37072fd.pth
_CHUNK = 1 << 20
_directory: str | None = None


def _get_torch_home() -> str:  # torchvision imports it
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(cache, "torch")))


def get_dir() -> str:
    """The folder of the cache: of `set_dir`, or $TORCH_HOME/hub, or ~/.cache/torch/hub."""
    return os.path.join(_get_torch_home(), "hub") if _directory is None else _directory


def set_dir(d: str | os.PathLike) -> None:
    """Let the cache be in this folder."""
    global _directory
    _directory = os.path.expanduser(os.fspath(d))


def download_url_to_file(url: str, dst: str | os.PathLike, hash_prefix: str | None = None,
                         progress: bool = True) -> None:
    """Copy what is at an address into a file, which appears only when it is whole.

    Args:
        url: a file:, http: or https: address.
        dst: the path of the file.
        hash_prefix: what the SHA-256 of the content, in hexadecimal, must begin with.
        progress: whether to tell on stderr how much has come.

    Raises:
        RuntimeError: the hash differs.
        urllib.error.URLError: the address cannot be reached.
    """
    if urlparse(url).scheme not in ("file", "http", "https"):
        raise ValueError(f"expected a file:, http: or https: address, got {url!r}")
    digest = hashlib.sha256()
    with urlopen(Request(url, headers={"User-Agent": "minitorch_bn"})) as source, replacing(dst) as file:
        total = source.headers.get("Content-Length")
        done = 0
        while data := source.read(_CHUNK):
            file.write(data)
            digest.update(data)
            done += len(data)
            if progress:
                sys.stderr.write(f"\r{done / 1e6:.1f} MB" + (f" of {int(total) / 1e6:.1f} MB" if total else ""))
        if progress:
            sys.stderr.write("\n")
        if total is not None and done != int(total):
            raise RuntimeError(f"the download of {url} broke off after {done} of {total} bytes")
        if hash_prefix is not None and not digest.hexdigest().startswith(hash_prefix):
            raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest.hexdigest()}")')


def load_state_dict_from_url(url: str, model_dir: str | os.PathLike | None = None, map_location: Any = None,
                             progress: bool = True, check_hash: bool = False, file_name: str | None = None,
                             weights_only: bool = False) -> Any:
    """`load` the file at an address, which is copied into the cache the first time.

    Args:
        url: a file:, http: or https: address.
        model_dir: the folder of the cache; default: get_dir()/checkpoints.
        map_location: passed on to `load`, like `weights_only`.
        progress: whether to tell how much has come.
        check_hash: whether the file's name ends in the first digits of its SHA-256, as in name-0123abcd.pth, which is
            then checked.
        file_name: the name in the cache; default: that of the address.
    """
    folder = os.fspath(model_dir) if model_dir is not None else os.path.join(get_dir(), "checkpoints")
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(unquote(urlparse(url).path))
    if name in ("", ".", "..") or os.path.basename(name) != name:
        raise ValueError(f"the address {url!r} names no file")
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        if progress:
            sys.stderr.write(f'Downloading: "{url}" to {path}\n')
        found = _HASH.search(name) if check_hash else None
        download_url_to_file(url, path, found.group(1) if found else None, progress)
    return serialization.load(path, map_location=map_location, weights_only=weights_only)


def load(repo_or_dir: str, model: str, *args: Any, **kwargs: Any) -> Any:
    """Not supported: it would run code from a repository."""
    raise NotImplementedError(f"torch.hub.load({repo_or_dir!r}, {model!r}) runs code from a repository, which "
                              "minitorch_bn does not; import the model's own module and use load_state_dict_from_url")
