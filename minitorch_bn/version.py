"""torch.version: which version of PyTorch's API this is, for scripts that compare it; no device libraries.

Imported as torch, the package reports PYTORCH as its `__version__`: scripts ask it whether a feature is there. Imported
as minitorch_bn, it reports its own.
"""
from __future__ import annotations

from typing import Any

import minitorch_bn

PYTORCH = "2.13.0+minitorch_bn"


def _numbers(version: Any) -> tuple[int, ...]:
    """The leading numbers: (2, 13, 0) of "2.13.0+cpu", of "2.13.0a0", and of itself; three of them at least."""
    parts = version if isinstance(version, (tuple, list)) else str(version).partition("+")[0].split(".")
    numbers: list[int] = []
    for part in parts:
        digits = str(part)[:len(str(part)) - len(str(part).lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != str(part):
            break
    return tuple(numbers + [0] * (3 - len(numbers)))


class TorchVersion(str):
    """A version that compares by its numbers with strings and tuples: ``TorchVersion("2.13.0") >= "2.4"``."""

    __slots__ = ()
    def __lt__(self, other: Any) -> bool:
        return _numbers(self) < _numbers(other)

    def __le__(self, other: Any) -> bool:
        return _numbers(self) <= _numbers(other)

    def __gt__(self, other: Any) -> bool:
        return _numbers(self) > _numbers(other)

    def __ge__(self, other: Any) -> bool:
        return _numbers(self) >= _numbers(other)


__version__ = TorchVersion(PYTORCH)
minitorch_version: str = minitorch_bn.__version__
debug = False
cuda = hip = rocm = xpu = None
git_version = "minitorch_bn-" + minitorch_version
