"""torch.xpu: there is no such device; seeds and empty_cache are accepted, demands are an error."""
from __future__ import annotations

from typing import Any, NoReturn


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    """An AssertionError: there is no XPU device."""
    raise AssertionError("no XPU device: minitorch_bn computes on the CPU only (torch.xpu.is_available() is False)")


current_device = current_stream = get_device_name = get_device_properties = get_rng_state = init = _refuse
set_device = set_rng_state = synchronize = _refuse


def is_available() -> bool:
    """False."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


def device_count() -> int:
    """Zero."""
    return 0


def empty_cache() -> None:
    """Accepted: there is no XPU memory."""


def manual_seed(seed: int) -> None:
    """Accepted: there is no XPU generator."""


manual_seed_all = manual_seed
