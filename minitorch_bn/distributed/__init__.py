"""torch.distributed: there is one process. `is_available()` is False, so that scripts take their other branch."""
from __future__ import annotations

from enum import Enum
from typing import Any, NoReturn

from minitorch_bn import _names


class ReduceOp(Enum):
    """The reductions of PyTorch's collectives, for signatures only."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7


class ProcessGroup:
    """The type of process groups in PyTorch: there is none here."""


class Store:
    """The stores by which processes find each other: none can be made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("process groups are not supported by minitorch_bn, nor their stores")


class TCPStore(Store):
    """Cannot be made."""


class FileStore(Store):
    """Cannot be made."""


class HashStore(Store):
    """Cannot be made."""


class PrefixStore(Store):
    """Cannot be made."""


def is_available() -> bool:
    """False."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


is_nccl_available = is_gloo_available = is_mpi_available = is_ucc_available = is_xccl_available = is_available
is_torchelastic_launched = is_available


def init_process_group(*args: Any, **kwargs: Any) -> NoReturn:
    """A RuntimeError: process groups are not supported."""
    raise RuntimeError("process groups are not supported by minitorch_bn: run the script as one process "
                       "(torch.distributed.is_available() is False)")


new_group = init_device_mesh = init_process_group


def get_default_backend_for_device(device: Any) -> str:
    """``"gloo"``, which is not there either."""
    return "gloo"



def _uninitialized(*args: Any, **kwargs: Any) -> NoReturn:
    """A ValueError, as in PyTorch before init_process_group."""
    raise ValueError("Default process group has not been initialized: minitorch_bn runs as one process, without groups")


get_rank = get_world_size = get_backend = barrier = monitored_barrier = destroy_process_group = _uninitialized
all_gather = all_gather_into_tensor = all_gather_object = all_reduce = all_to_all = all_to_all_single = _uninitialized
broadcast = broadcast_object_list = gather = gather_object = irecv = isend = recv = reduce = _uninitialized
reduce_scatter = reduce_scatter_tensor = scatter = scatter_object_list = send = _uninitialized

_submodule = _names.lookup(__name__)


def __getattr__(name: str) -> Any:
    """What scripts only mention, such as torch.distributed.fsdp; else an error that names the nearest name."""
    return _submodule(name)
