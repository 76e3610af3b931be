"""torch.amp: mixed precision, accepted and left out: everything is computed in float32 (or the tensors' own dtype).

So a script that asks for autocast runs and is, if anything, more exact; its tensors are float32 where PyTorch's would
be bfloat16. Gradients of float32 need no scaling, so that a GradScaler is always disabled.
"""
from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import minitorch_bn as torch

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

_DEVICES = ("cpu", "cuda", "mps", "xpu", "hpu", "meta", "mtia")
_told: set[str] = set()


def _tell(message: str, maker: object) -> None:
    """Warn, the first time, at the line that made the object (torch.cuda.amp's are made through one more call)."""
    if message not in _told:
        _told.add(message)
        warnings.warn(message, stacklevel=3 if type(maker).__module__ == __name__ else 4)


class autocast:
    """A ``with`` block or a decorator that changes nothing but warns, once, that no lower precision is used.

    Args:
        device_type: "cpu"; "cuda" and its like are accepted, and say that there is no such device.
        dtype, enabled, cache_enabled: as in PyTorch, for those who read them back.
    """

    def __init__(self, device_type: str, dtype: torch.dtype | None = None, enabled: bool = True,
                 cache_enabled: bool | None = None) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        if device_type not in _DEVICES:
            raise RuntimeError(f"Expected one of {', '.join(_DEVICES)} device type at start of device string: "
                               f"{device_type}")
        self.device = device_type
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        if enabled and device_type != "cpu":
            _tell(f"autocast: there is no device of type '{device_type}'. Disabling", self)
        elif enabled and self.fast_dtype.itemsize < 4:
            _tell(f"autocast: minitorch_bn computes in float32, not in {self.fast_dtype}", self)
        self._enabled = enabled and device_type == "cpu"
        self._cache_enabled = cache_enabled is None or cache_enabled

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *error: Any) -> None:
        return None

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def inside(*args: Any, **kwargs: Any) -> Any:
            return func(*args, **kwargs)
        return inside


class GradScaler:
    """Scales losses by one: disabled, as PyTorch's is without a CUDA device."""

    def __init__(self, device: str = "cuda", init_scale: float = 2.0**16, growth_factor: float = 2.0,
                 backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True) -> None:
        self._device = device
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval = growth_interval
        if enabled:
            _tell("GradScaler: gradients are float32 and need no scaling. Disabling", self)

    def scale(self, outputs: Any) -> Any:
        """`outputs`, as they are."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Nothing: gradients are not scaled."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step(*args, **kwargs)``."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Nothing."""

    def is_enabled(self) -> bool:
        """False."""
        return False

    def get_scale(self) -> float:
        """1."""
        return 1.0

    def get_growth_factor(self) -> float:
        """What the constructor was given."""
        return self._growth_factor

    def get_backoff_factor(self) -> float:
        """What the constructor was given."""
        return self._backoff_factor

    def get_growth_interval(self) -> int:
        """What the constructor was given."""
        return self._growth_interval

    def state_dict(self) -> dict[str, Any]:
        """Empty, as of every disabled scaler."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Accepted: a disabled scaler has no state."""


def is_autocast_available(device_type: str) -> bool:
    """False: see :class:`autocast`."""
    return False


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """False, inside :class:`autocast` too: nothing is computed in a lower precision."""
    return False


is_autocast_cpu_enabled = is_autocast_enabled


def get_autocast_dtype(device_type: str) -> torch.dtype:
    """The dtype that PyTorch would compute in: float16 on "cuda", else bfloat16."""
    return torch.float16 if device_type == "cuda" else torch.bfloat16


def get_autocast_gpu_dtype() -> torch.dtype:
    """float16."""
    return torch.float16


def get_autocast_cpu_dtype() -> torch.dtype:
    """bfloat16."""
    return torch.bfloat16


def set_autocast_enabled(*args: Any) -> None:
    """Accepted: nothing is computed in a lower precision."""


set_autocast_cpu_enabled = set_autocast_dtype = set_autocast_cpu_dtype = set_autocast_gpu_dtype = set_autocast_enabled
set_autocast_cache_enabled = set_autocast_enabled


def is_autocast_cache_enabled() -> bool:
    """True, as in PyTorch."""
    return True


def clear_autocast_cache() -> None:
    """Nothing: there is no such cache."""


def custom_fwd(fwd: Callable[..., Any] | None = None, *, device_type: str = "cpu", cast_inputs: Any = None) -> Any:
    """A decorator for the forward of an autograd.Function: the function itself."""
    return (lambda f: f) if fwd is None else fwd


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str = "cpu") -> Any:
    """A decorator for the backward of an autograd.Function: the function itself."""
    return (lambda f: f) if bwd is None else bwd
