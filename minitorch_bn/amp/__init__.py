"""torch.amp: mixed precision, accepted and left out: everything is computed in float32 (or the tensors' own dtype).

So a script that asks for autocast runs and is, if anything, more exact; its tensors are float32 where PyTorch's would
be bfloat16. A GradScaler for the CPU does its work, though gradients of float32 do not need it.
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
    """Scales losses up against underflow of gradients, and skips a step whose gradients are not finite.

    The scale grows after `growth_interval` good steps and shrinks after a bad one. Disabled (everything passes
    through) with ``enabled=False`` and for every device but the CPU. A power of two as scale changes no bit of a step.
    """

    def __init__(self, device: str = "cuda", init_scale: float = 2.0**16, growth_factor: float = 2.0,
                 backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True) -> None:
        self._device = device
        if enabled and device != "cpu":
            _tell(f"torch.{device}.amp.GradScaler is enabled, but {device.upper()} is not available.  Disabling.", self)
        self._enabled = enabled and device == "cpu"
        if self._enabled and growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if self._enabled and backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._scale, self._growth_factor, self._backoff_factor = init_scale, growth_factor, backoff_factor
        self._growth_interval, self._growth_tracker = growth_interval, 0
        self._scaled = False
        self._states: dict[int, list[Any]] = {}  # id of an optimizer: the last call, whether a gradient is infinite

    def _state(self, optimizer: Any, call: str) -> list[Any]:
        if not self._scaled:
            raise AssertionError(f"Attempted {call} but _scale is None.  This may indicate your script did not use "
                                 "scaler.scale(loss or outputs) earlier in the iteration.")
        return self._states.setdefault(id(optimizer), ["", None])

    def scale(self, outputs: Any) -> Any:
        """A tensor, or each of several, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, torch.Tensor):
            self._scaled = True
            return outputs * self._scale
        if not hasattr(outputs, "__iter__"):
            raise ValueError("outputs must be a Tensor or an iterable of Tensors")
        scaled = map(self.scale, outputs)
        return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of the optimizer's parameters by the scale, as before clipping them."""
        if not self._enabled:
            return
        state = self._state(optimizer, "unscale_")
        if state[0] == "unscale_":
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if state[0] == "step":
            raise RuntimeError("unscale_() is being called after step().")
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if any(g.dtype == torch.float16 for g in grads):
            raise ValueError("Attempting to unscale FP16 gradients.")
        with torch.no_grad():
            for g in grads:
                g.mul_(1.0 / self._scale)
            state[:] = "unscale_", not all(bool(g.isfinite().all()) for g in grads) if grads else None

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step(*args, **kwargs)`` with gradients unscaled, unless one of them is infinite or NaN."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        state = self._state(optimizer, "step")
        if state[0] == "step":
            raise RuntimeError("step() has already been called since the last update().")
        if not state[0]:
            self.unscale_(optimizer)
        if state[1] is None:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        state[0] = "step"
        return None if state[1] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """The next scale: `new_scale`, or by what the steps since the last update have found."""
        if not self._enabled:
            return
        self._state(None, "update")
        found = [state[1] for state in self._states.values() if state[1] is not None]
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not found:
            raise AssertionError("No inf checks were recorded prior to update.")
        elif any(found):
            self._scale, self._growth_tracker = self._scale * self._backoff_factor, 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                self._scale, self._growth_tracker = self._scale * self._growth_factor, 0
        self._states = {}

    def is_enabled(self) -> bool:
        """Whether anything is scaled."""
        return self._enabled

    def get_scale(self) -> float:
        """The present scale; 1 if disabled."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """What the scale is multiplied by after `growth_interval` good steps."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Change it."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale is multiplied by after a bad step."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Change it."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """How many good steps let the scale grow."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Change it."""
        self._growth_interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """Scale, factors and count of good steps; empty if disabled."""
        names = ("growth_factor", "backoff_factor", "growth_interval")
        return {"scale": self._scale, **{name: getattr(self, f"_{name}") for name in names},
                "_growth_tracker": self._growth_tracker} if self._enabled else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` of another scaler gave."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("The source state dict is empty, possibly because it was saved from a disabled instance "
                               "of GradScaler.")
        for name in self.state_dict():
            setattr(self, "_" + name.lstrip("_"), state_dict[name])


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
