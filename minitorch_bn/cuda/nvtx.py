"""torch.cuda.nvtx: marks for a profiler that is not there; entering a range does nothing."""
from contextlib import nullcontext as range

__all__ = ["mark", "range", "range_pop", "range_push"]


def mark(msg: str) -> None:
    """Accepted."""


def range_push(msg: str) -> int:
    """Accepted: zero."""
    return 0


def range_pop() -> int:
    """Accepted: zero."""
    return 0
