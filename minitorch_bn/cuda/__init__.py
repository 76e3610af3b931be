"""What scripts ask of torch.cuda: there is no CUDA device; questions are answered so, and demands are an error.

What a CPU build of PyTorch accepts in silence (seeds, empty_cache) is accepted; what it refuses is refused.
"""
from __future__ import annotations

from typing import Any, NoReturn

from minitorch_bn import _names
from minitorch_bn._legacy import cuda_types

has_magma = has_half = False
default_generators: tuple[Any, ...] = ()


class OutOfMemoryError(RuntimeError):
    """What a CUDA device raises when it is full: for except clauses only."""


CudaError = AcceleratorError = OutOfMemoryError


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    """An AssertionError, as from a CPU build of PyTorch: there is no CUDA device."""
    raise AssertionError("no CUDA device: minitorch_bn computes on the CPU only (torch.cuda.is_available() is False)")


current_blas_handle = current_device = current_stream = default_stream = get_device_capability = _refuse
get_device_name = _refuse
get_device_properties = get_rng_state = init = initial_seed = ipc_collect = mem_get_info = set_rng_state = _refuse
synchronize = memory_summary = utilization = temperature = set_stream = _refuse


def is_available() -> bool:
    """False: minitorch_bn computes on the CPU."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False."""
    return False


def is_current_stream_capturing() -> bool:
    """False."""
    return False


def device_count() -> int:
    """Zero."""
    return 0


def get_arch_list() -> list[str]:
    """Empty."""
    return []


def set_device(device: Any) -> None:
    """An error, except for a negative device, which means none."""
    if not isinstance(device, int) or device >= 0:
        _refuse()


def manual_seed(seed: int) -> None:
    """Accepted: there is no CUDA generator."""


def manual_seed_all(seed: int) -> None:
    """Accepted: there is no CUDA generator."""


def seed() -> None:
    """Accepted: there is no CUDA generator."""


seed_all = seed


def get_rng_state_all() -> list[Any]:
    """Empty: the states of no generators."""
    return []


def set_rng_state_all(new_states: Any) -> None:
    """Accepted if `new_states` is empty."""
    if len(new_states):
        _refuse()


def empty_cache() -> None:
    """Accepted: there is no CUDA memory."""


def memory_allocated(device: Any = None) -> int:
    """Zero bytes."""
    return 0


memory_reserved = memory_cached = max_memory_allocated = max_memory_reserved = max_memory_cached = memory_allocated


def memory_stats(device: Any = None) -> dict[str, Any]:
    """Empty."""
    return {}


def reset_peak_memory_stats(device: Any = None) -> None:
    """Accepted: there is no CUDA memory."""


reset_max_memory_allocated = reset_max_memory_cached = reset_accumulated_memory_stats = reset_peak_memory_stats


class _Dummy:
    """A class of things that live on a CUDA device: none can be made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"no CUDA device: a torch.cuda.{type(self).__name__} cannot be made")


class Event(_Dummy):
    """Cannot be made: time with time.perf_counter()."""


class Stream(_Dummy):
    """Cannot be made: operations run in the order of their calls."""


class CUDAGraph(_Dummy):
    """Cannot be made."""


class device:
    """A ``with`` block on a device: None or a negative number is none, and does nothing."""

    def __init__(self, device: Any) -> None:
        self.idx = device if isinstance(device, int) else getattr(device, "index", None)

    def __enter__(self) -> None:
        if self.idx is not None and self.idx >= 0:
            _refuse()

    def __exit__(self, *error: Any) -> None:
        return None


class stream(device):
    """A ``with`` block on a stream: None is the only one."""

    def __init__(self, stream: Any) -> None:
        super().__init__(-1 if stream is None else 0)


device_of = StreamContext = stream
_submodule = _names.lookup(__name__)


def __getattr__(name: str) -> Any:
    """torch.cuda.FloatTensor and its like, for isinstance; torch.cuda.amp."""
    return cuda_types()[name] if name in cuda_types() else _submodule(name)
