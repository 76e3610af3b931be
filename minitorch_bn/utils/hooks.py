"""The parts of hooks that other code imports by this path."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from minitorch_bn import RemovableHandle, Tensor

__all__ = ["RemovableHandle", "unserializable_hook", "warn_if_has_hooks"]


def unserializable_hook(hook: Callable) -> Callable:
    """Mark a hook that is not worth a warning when its tensor is saved without it."""
    hook.__torch_unserializable__ = True  # type: ignore[attr-defined]
    return hook


def warn_if_has_hooks(tensor: Tensor) -> None:
    """Warn of hooks on a tensor that do not go into a file with it."""
    hooks = getattr(tensor, "_backward_hooks", None) or {}
    for hook in hooks.values():
        if not hasattr(hook, "__torch_unserializable__"):
            warnings.warn(f"backward hook {hook!r} on tensor will not be serialized.  If this is expected, you can "
                          "decorate the function with @torch.utils.hooks.unserializable_hook to suppress this warning",
                          stacklevel=2)
