"""Parameters as one long vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

import minitorch_bn as torch


def parameters_to_vector(parameters: Iterable[torch.Tensor]) -> torch.Tensor:
    """All elements of all parameters, in order: (total,)."""
    return torch.cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: torch.Tensor, parameters: Iterable[torch.Tensor]) -> None:
    """Set the parameters to consecutive parts of `vec`, whose memory they then share."""
    if not isinstance(vec, torch.Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__module__}.{type(vec).__qualname__}")
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        parameter.data = vec[start:end].view_as(parameter).data
        start = end
