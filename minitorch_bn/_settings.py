"""Top-level functions of PyTorch that only ask or set: object kinds, determinism, printing, configuration."""
from __future__ import annotations

from sys import modules

from minitorch_bn._core import DTYPES, Storage, Tensor, set_default_dtype, tensor, zeros
from minitorch_bn._core import device as _device
from minitorch_bn.kernels import runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["_assert", "_shape_as_tensor", "are_deterministic_algorithms_enabled", "compile", "get_default_device",
           "get_deterministic_debug_mode", "get_float32_matmul_precision", "get_num_interop_threads", "is_complex",
           "is_deterministic_algorithms_warn_only_enabled", "is_storage", "is_tensor", "set_default_device",
           "set_default_tensor_type", "set_deterministic_debug_mode", "set_float32_matmul_precision",
           "set_flush_denormal", "set_num_interop_threads", "set_printoptions", "show_config",
           "use_deterministic_algorithms"]


def is_tensor(obj: Any, /) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)


def _assert(condition: Any, message: str) -> None:
    """Python's assert, as a function."""
    if not condition:
        raise AssertionError(message)


def _shape_as_tensor(input: Tensor) -> Tensor:
    """The shape as a tensor of int64."""
    return tensor(list(input.shape), dtype=DTYPES["int64"])


def is_storage(obj: Any, /) -> bool:
    """Whether `obj` is an UntypedStorage or a TypedStorage."""
    if isinstance(obj, Storage):
        return True
    typed = modules.get("minitorch_bn.storage")
    return typed is not None and isinstance(obj, typed.TypedStorage)


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


def get_num_interop_threads() -> int:
    """Always 1: there is no inter-op pool."""
    return 1


def get_deterministic_debug_mode() -> int:
    """Always 0: there is nothing to report, as every operation is deterministic."""
    return 0


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Accepted: every operation is deterministic."""


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Always False."""
    return False


def set_default_device(device: Any) -> None:
    """The CPU is the only device: another is an error now."""
    zeros(0, device=device)


def get_default_device() -> _device:
    """``device("cpu")``."""
    return _device("cpu")


def set_default_tensor_type(t: Any, /) -> None:
    """Set the default dtype by a legacy type, such as torch.DoubleTensor or ``"torch.DoubleTensor"``."""
    name = t if isinstance(t, str) else f"{t.__module__}.{t.__name__}"
    if ".cuda." in name:
        raise TypeError(f"type {name} is not there: no CUDA device")
    names = {"torch.DoubleTensor": "float64", "torch.FloatTensor": "float32", "torch.HalfTensor": "float16",
             "torch.BFloat16Tensor": "bfloat16"}
    if name not in names:
        raise TypeError(f"only floating-point types can be the default tensor type, got {name}")
    set_default_dtype(DTYPES[names[name]])


def set_printoptions(**options: Any) -> None:
    """How tensors are printed: precision, threshold, edgeitems, linewidth, profile, sci_mode."""
    from minitorch_bn import _printing
    _printing.set_printoptions(**options)


def compile(model: Any = None, **options: Any) -> Any:
    """Return `model` as it is: kernels are compiled ahead of time here."""
    if model is not None and not callable(model):
        raise AssertionError(f"A callable function is expected, but {type(model)} is provided.")
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
