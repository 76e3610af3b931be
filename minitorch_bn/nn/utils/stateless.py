"""Calling a module with other tensors in the place of its own."""

from __future__ import annotations

from typing import Any

import minitorch_bn as torch


def functional_call(module: torch.nn.Module, parameters_and_buffers: dict[str, torch.Tensor], args: Any = None,
                    kwargs: dict[str, Any] | None = None, *, tie_weights: bool = True, strict: bool = False) -> Any:
    """`module(*args, **kwargs)` with tensors replaced by dotted name, for this call only.

    With `tie_weights` a tensor that the module has under several names is replaced under all of them; with `strict` the
    names have to be exactly those of its parameters and buffers.
    """
    return torch.func.functional_call(module, parameters_and_buffers, () if args is None else args, kwargs,
                                      tie_weights=tie_weights, strict=strict)
