"""Converting all tensors of a module at once: dtype, device, memory format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import minitorch_bn as torch

Self = TypeVar("Self", bound="Convertible")


class Convertible:
    """The part of Module that replaces the values of its parameters and buffers."""

    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    children: Callable

    def _apply(self: Self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """Replace the values of every parameter (and its gradient) and every buffer by `fn` of them."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        with torch.no_grad():
            for param in self._parameters.values():
                if param is not None:
                    param.data = fn(param.data)
                    if param.grad is not None:
                        param.grad = fn(param.grad.data).requires_grad_(param.grad.requires_grad)
            for name, buffer in self._buffers.items():
                if buffer is not None:
                    self._buffers[name] = fn(buffer)
        return self

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Convert parameters and buffers in place: `to(dtype)`, `to(device)`, `to(device, dtype)`, `to(tensor)`.

        Integer tensors keep their dtype. `memory_format` applies to 4-d and 5-d tensors only.
        """
        memory_format = kwargs.pop("memory_format", None)
        non_blocking = kwargs.pop("non_blocking", False)
        dtype, device = kwargs.pop("dtype", None), kwargs.pop("device", None)
        if kwargs:
            raise TypeError(f"to() received an invalid combination of arguments: unexpected {', '.join(kwargs)}")
        for arg in args:
            if isinstance(arg, torch.dtype):
                dtype = arg
            elif isinstance(arg, torch.Tensor):
                dtype, device = arg.dtype, arg.device
            elif isinstance(arg, bool):
                non_blocking = arg
            elif arg is not None:
                device = torch.device(arg)
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError("nn.Module.to only accepts floating point or complex dtypes, but got desired "
                            f"dtype={dtype}")

        def convert(tensor: torch.Tensor) -> torch.Tensor:
            options = {"dtype": dtype if tensor.is_floating_point() else None, "device": device,
                       "non_blocking": non_blocking}
            if memory_format is not None and tensor.dim() in (4, 5):
                options["memory_format"] = memory_format
            return tensor.to(**{name: option for name, option in options.items() if option is not None})

        return self._apply(convert)

    def type(self: Self, dst_type: torch.dtype | str) -> Self:
        """Convert every parameter and buffer, integer ones too, to `dst_type`."""
        return self._apply(lambda tensor: tensor.type(dst_type))

    def float(self: Self) -> Self:
        """Convert floating-point parameters and buffers to float32."""
        return self.to(torch.float32)

    def double(self: Self) -> Self:
        """Convert floating-point parameters and buffers to float64."""
        return self.to(torch.float64)

    def half(self: Self) -> Self:
        """Convert floating-point parameters and buffers to float16."""
        return self.to(torch.float16)

    def bfloat16(self: Self) -> Self:
        """Convert floating-point parameters and buffers to bfloat16."""
        return self.to(torch.bfloat16)

    def to_empty(self: Self, *, device: Any, recurse: bool = True) -> Self:
        """Replace every parameter and buffer by one of its kind without values."""
        return self._apply(lambda tensor: torch.empty_like(tensor, device=device), recurse)

    def cpu(self: Self) -> Self:
        """Nothing to do: every tensor is on the CPU."""
        return self

    def _to_absent(self: Self, kind: str, device: int | str | None) -> Self:
        return self.to(kind if device is None else f"{kind}:{device}" if isinstance(device, int) else device)

    def cuda(self: Self, device: int | str | None = None) -> Self:
        """Raises the error that asking for any absent device does."""
        return self._to_absent("cuda", device)

    def xpu(self: Self, device: int | str | None = None) -> Self:
        """Raises the error that asking for any absent device does."""
        return self._to_absent("xpu", device)

    def ipu(self: Self, device: int | str | None = None) -> Self:
        """Raises the error that asking for any absent device does."""
        return self._to_absent("ipu", device)

    def mtia(self: Self, device: int | str | None = None) -> Self:
        """Raises the error that asking for any absent device does."""
        return self._to_absent("mtia", device)

    def share_memory(self: Self) -> Self:
        """Move every parameter and buffer to memory that child processes share."""
        return self._apply(lambda tensor: tensor.share_memory_())
