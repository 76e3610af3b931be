"""Files of datasets: finding them, saying clearly what is missing where, and fetching them on request."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence


def first_existing(*paths: str) -> str | None:
    """The first of these files that is there."""
    return next((path for path in paths if os.path.isfile(path)), None)


def missing(name: str, folder: str, files: Iterable[str], download: bool = True) -> RuntimeError:
    """The error for a dataset whose files are not there."""
    hint = "You can use download=True to download it, or put" if download else "Put"
    return RuntimeError(f"Dataset not found. {hint} these files of {name} into {folder}: {', '.join(files)}")


def check_md5(path: str, md5: str) -> bool:
    """Whether a file has this checksum."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == md5


def check_integrity(fpath: str, md5: str | None = None) -> bool:
    """Whether a file is there and, if one is given, has this checksum."""
    return os.path.isfile(fpath) and (md5 is None or check_md5(fpath, md5))


def download_file(urls: Sequence[str], path: str, md5: str) -> None:
    """The file at the first address that answers, written to `path` once its checksum is right.

    RuntimeError: no address has it; the message says so and where to put the file by hand.
    """
    from urllib.request import urlopen

    os.makedirs(os.path.dirname(path), exist_ok=True)
    part, problems = path + ".part", []
    for url in urls:
        try:
            with urlopen(url, timeout=30) as answer, open(part, "wb") as file:
                while block := answer.read(1 << 20):
                    file.write(block)
            if check_md5(part, md5):
                os.replace(part, path)
                return
            problems.append(f"{url}: the file is not the expected one (its MD5 is not {md5})")
        except OSError as error:
            problems.append(f"{url}: {error}")
        if os.path.exists(part):
            os.remove(part)
    raise RuntimeError(f"Error downloading {os.path.basename(path)}: {'; '.join(problems)}. "
                       f"It can be put by hand at {path}")
