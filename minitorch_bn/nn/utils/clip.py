"""Limiting the size of gradients, in place."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import minitorch_bn as torch
from minitorch_bn.ops import vector_norm

Tensors = torch.Tensor | Iterable[torch.Tensor]


def _listed(tensors: Tensors) -> list[torch.Tensor]:
    return [tensors] if isinstance(tensors, torch.Tensor) else list(tensors)


def _grads(parameters: Tensors) -> list[torch.Tensor]:
    return [parameter.grad for parameter in _listed(parameters) if parameter.grad is not None]


@torch.no_grad()
def get_total_norm(tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False,
                   foreach: bool | None = None) -> torch.Tensor:
    """The norm of all tensors as one vector, a 0-d tensor. `foreach` is accepted and ignored."""
    tensors = _listed(tensors)
    norm_type = float(norm_type)
    if not tensors:
        return torch.tensor(0.0)
    norms = torch.stack([vector_norm(tensor, norm_type) for tensor in tensors])
    total = vector_norm(norms, norm_type)
    if error_if_nonfinite and not bool(torch.isfinite(total)):
        raise RuntimeError(f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it "
                           "cannot be clipped. To disable this error and scale the gradients by the non-finite norm "
                           "anyway, set `error_if_nonfinite=False`")
    return total


@torch.no_grad()
def clip_grads_with_norm_(parameters: Tensors, max_norm: float, total_norm: torch.Tensor,
                          foreach: bool | None = None) -> None:
    """Scale the gradients by max_norm / total_norm where that is less than one."""
    scale = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    for grad in _grads(parameters):
        grad.mul_(scale)


def clip_grad_norm_(parameters: Tensors, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False,
                    foreach: bool | None = None) -> torch.Tensor:
    """Scale the gradients, all by one factor, so that their norm is at most `max_norm`; returns the norm before.

    (Pascanu et al. 2012.) Source of the names and of the 1e-6 in the divisor: `torch.nn.utils.clip_grad_norm_`.
    """
    parameters = _listed(parameters)
    if not parameters:
        warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2)
    total_norm = get_total_norm(_grads(parameters), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total_norm)
    return total_norm


def clip_grad_norm(*args, **kwargs) -> torch.Tensor:
    """The older name of `clip_grad_norm_`."""
    warnings.warn("`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
                  FutureWarning, stacklevel=2)
    return clip_grad_norm_(*args, **kwargs)


@torch.no_grad()
def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Clamp every element of the gradients to [-clip_value, clip_value]."""
    clip_value = float(clip_value)
    for grad in _grads(parameters):
        grad.clamp_(min=-clip_value, max=clip_value)
