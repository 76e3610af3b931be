"""torch.overrides: functions are not overridden by tensor-like classes here."""
from __future__ import annotations

from typing import Any

from minitorch_bn._core import Tensor


def has_torch_function(relevant_args: Any) -> bool:
    """False: `__torch_function__` is not consulted."""
    return False


has_torch_function_unary = has_torch_function


def has_torch_function_variadic(*relevant_args: Any) -> bool:
    """False: `__torch_function__` is not consulted."""
    return False


def is_tensor_like(inp: Any) -> bool:
    """Whether it is a Tensor."""
    return isinstance(inp, Tensor)


def handle_torch_function(public_api: Any, relevant_args: Any, *args: Any, **kwargs: Any) -> Any:
    """An error: `__torch_function__` is not consulted."""
    raise TypeError(f"{public_api}: __torch_function__ is not supported by minitorch_bn")
