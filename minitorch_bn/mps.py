"""torch.mps: there is no such device; seeds are accepted, demands are an error."""
from __future__ import annotations

from typing import Any, NoReturn


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    """A RuntimeError: there is no MPS device."""
    raise RuntimeError("no MPS device: minitorch_bn computes on the CPU only (torch.backends.mps.is_available() is "
                       "False)")


current_allocated_memory = driver_allocated_memory = empty_cache = get_rng_state = set_rng_state = _refuse
recommended_max_memory = set_per_process_memory_fraction = synchronize = _refuse


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """Zero."""
    return 0


def manual_seed(seed: int) -> None:
    """Accepted: there is no MPS generator."""


def seed() -> None:
    """Accepted: there is no MPS generator."""
