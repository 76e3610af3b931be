"""Top-level functions of PyTorch that only ask or set: object kinds, determinism, printing, configuration."""
from __future__ import annotations

from minitorch_bn._core import Tensor
from minitorch_bn.kernels import runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["are_deterministic_algorithms_enabled", "compile", "get_float32_matmul_precision", "is_complex",
           "is_storage", "is_tensor", "set_default_device", "set_default_tensor_type", "set_flush_denormal",
           "set_float32_matmul_precision", "set_num_interop_threads", "set_printoptions", "show_config",
           "use_deterministic_algorithms"]


def is_tensor(obj: Any, /) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj: Any, /) -> bool:
    """Whether `obj` is a Storage."""
    return type(obj).__name__ == "Storage"


def is_complex(input: Tensor) -> bool:
    """Always False: complex dtypes are not supported."""
    return False


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted: every operation here is deterministic always, to the last bit, on any number of threads."""


def are_deterministic_algorithms_enabled() -> bool:
    """Always True."""
    return True


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted: float32 products are computed in float32."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"{precision} is not one of 'highest', 'high', 'medium'")


def get_float32_matmul_precision() -> str:
    """Always ``"highest"``."""
    return "highest"


def set_num_interop_threads(n: int) -> None:
    """Accepted: there is no inter-op pool."""


def set_flush_denormal(mode: bool) -> bool:
    """Not supported (results would depend on it): always False."""
    return False


def set_default_device(device: Any) -> None:
    """The CPU is the only device."""
    from minitorch_bn._core import zeros
    zeros(0, device=device)


def set_default_tensor_type(t: Any) -> None:
    """Set the default dtype by a legacy type such as ``"torch.DoubleTensor"``."""
    from minitorch_bn._core import DTYPES, set_default_dtype
    name = t if isinstance(t, str) else t.__name__
    set_default_dtype(DTYPES["float64" if "Double" in name else "float32"])


def set_printoptions(**options: Any) -> None:
    """How tensors are printed: precision, threshold, edgeitems, linewidth, profile, sci_mode."""
    from minitorch_bn import _printing
    _printing.set_printoptions(**options)


def compile(model: Any = None, **options: Any) -> Any:
    """Return `model` as it is: kernels are compiled ahead of time here."""
    return (lambda m: m) if model is None else model


def show_config() -> str:
    """Which instruction-set level and how many threads are in use, and how this build was made."""
    info = runtime.build_info()
    text = "\n".join([
        "minitorch_bn:",
        f"  level    {runtime.get_level()} (this machine runs {', '.join(runtime.levels())}; MTB_ISA chooses)",
        f"  threads  {runtime.get_num_threads()} (OpenMP {'on' if info['openmp'] else 'off: serial build'})",
        f"  flags    {info['flags']}",
    ])
    print(text)
    return text
