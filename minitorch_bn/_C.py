"""torch._C: the few private names that scripts and libraries touch."""
from __future__ import annotations

from typing import Any

from minitorch_bn import Generator, Size, device, dtype, is_grad_enabled
from minitorch_bn._core import Tensor as TensorBase
from minitorch_bn._core import _disabled_torch_function_impl
from minitorch_bn._modes import set_grad_enabled as _set_grad_enabled
from minitorch_bn.overrides import DisableTorchFunctionSubclass

_TensorBase = TensorBase
__all__ = ["DisableTorchFunctionSubclass", "Generator", "Size", "TensorBase", "_disabled_torch_function_impl",
           "_set_grad_enabled", "device", "dtype", "is_grad_enabled"]


def _log_api_usage_once(name: str) -> None:
    """Nothing is logged."""


def _jit_set_profiling_executor(mode: Any) -> bool:
    """Nothing is compiled."""
    return False


_jit_set_profiling_mode = _jit_set_profiling_executor


def _get_tracing_state() -> None:
    """None: nothing is traced."""
