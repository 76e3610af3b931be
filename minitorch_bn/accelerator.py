"""torch.accelerator: there is none."""
from __future__ import annotations

from contextlib import nullcontext
from typing import Any, NoReturn

device_index = nullcontext  # a ``with`` block on a device: None is none


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    """A RuntimeError: there is no accelerator."""
    raise RuntimeError("no accelerator: minitorch_bn computes on the CPU only (torch.accelerator.is_available() is "
                       "False)")


current_device_index = current_device_idx = set_device_index = set_device_idx = current_stream = set_stream = _refuse
synchronize = empty_cache = memory_stats = _refuse


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """Zero."""
    return 0


def current_accelerator(check_available: bool = False) -> None:
    """None."""
