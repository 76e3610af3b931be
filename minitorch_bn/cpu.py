"""torch.cpu: the one device, through the functions that other devices have."""
from __future__ import annotations

from contextlib import nullcontext
from typing import Any

stream = nullcontext


def is_available() -> bool:
    """True."""
    return True


def device_count() -> int:
    """One."""
    return 1


def current_device() -> str:
    """``"cpu"``."""
    return "cpu"


def synchronize(device: Any = None) -> None:
    """Nothing: operations are complete when their call returns."""
