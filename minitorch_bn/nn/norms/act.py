"""Batch norm, addition of a residual and activation as one module; and the form of it that keeps its output only.

The latter is in-place activated batch norm (Rota Bulo, Porzi & Kontschieder 2018): backward finds xhat from the
output z as (act^-1(z) - bias) / weight, so the input need not be kept, and the next layer keeps z anyway. Channels with
weights so small that this division would lose digits keep their xhat; so weights may be negative, or zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import minitorch_bn as torch
from minitorch_bn import ops
from minitorch_bn._core import attach
from minitorch_bn._modes import no_grad, recomputing
from minitorch_bn.nn import functional as F
from minitorch_bn.nn.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d, _BatchNorm

from . import core
from .core import over_channels

Tensor = torch.Tensor
LEAST_WEIGHT = 1e-2  # xhat from z has an error of rounding / weight: below this (times |bias|), xhat is kept


def activated(act: Any, y: Tensor) -> Tensor:
    """act(y), where it may be a name, a pair of it and an argument, a function, or None."""
    name, *arguments = act if isinstance(act, tuple) else (act,)
    if name is None:
        return y
    function: Callable = getattr(F, name) if isinstance(name, str) else name
    return function(y, *arguments)


class _BatchNormAct(_BatchNorm):
    """act(batch_norm(x) + residual), called as `norm(x)` or `norm(x, residual)`; else a batch norm, state and all.

    With act="relu" all of it runs in the passes over memory that batch norm alone takes, and no mask is kept.

    Args:
        act: the name of a function of nn.functional, a pair of it and its argument (("leaky_relu", 0.01)), a function,
            or None.
        inplace: keep the output for backward instead of the input; for None, "leaky_relu" (slope above 0) and "elu"
            (alpha 1), which can be inverted, and without a residual.
        policies: the further arguments of batch norm.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, device: Any = None, dtype: torch.dtype | None = None, *,
                 act: Any = "relu", inplace: bool = False, **policies: Any) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, **policies)
        self.act, self.inplace = act, inplace
        name, arguments = (act, ()) if not isinstance(act, tuple) else (act[0], act[1:])
        slope = 1.0 if name is None else (arguments or (0.01,))[0] if name == "leaky_relu" else None
        if inplace and name != "elu" and (slope is None or slope <= 0) or inplace and name == "elu" and arguments:
            raise ValueError(f"inplace=True needs an activation that can be inverted, None, 'leaky_relu' with a slope "
                             f"above 0 or 'elu', got {act!r}; 'relu' keeps no mask without it")
        self._slope = slope  # None: elu
        if inplace and self._policy is not None:
            raise ValueError("inplace=True goes with plain batch norm only")

    def forward(self, input: Tensor, residual: Tensor | None = None,  # type: ignore[override]
                mask: Tensor | None = None) -> Tensor:
        fused = self.act == "relu" or (self.inplace and self.training)
        hold = self._policy is not None and self._policy.chosen() == {"hold": True}  # statistics are left alone
        if (self._policy is not None and not hold) or mask is not None or not fused:
            y = super().forward(input, mask)
            return activated(self.act, y if residual is None else y + residual)
        if self.training and 0 < input.numel() == input.size(1):
            super().forward(input)  # the error
        self._check_input_dim(input)
        mean, var, momentum, training = self.running_mean, self.running_var, self.momentum, self.training
        tracked = self.num_batches_tracked
        if not training:
            training = mean is None
        elif hold or recomputing.on or not self.track_running_stats:
            mean = var = tracked = None
        if self.inplace:
            if residual is not None:
                raise ValueError("inplace=True: with a residual the input cannot be found from the output")
            y, found = batch_norm_act_inplace(input, self.weight, self.bias, self.eps, self._slope)
            core.update(mean, var, tracked, found, momentum)
            return y
        if self.training and tracked is not None and input.numel():
            tracked.add_(1)
            momentum = 1.0 / tracked.item() if momentum is None else momentum
        return ops.batch_norm_relu(input, mean, var, self.weight, self.bias, training,
                                   momentum or 0.0, self.eps, residual)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, act={self.act!r}" + (", inplace=True" if self.inplace else "")


class BatchNormAct1d(_BatchNormAct, BatchNorm1d):
    __doc__ = _BatchNormAct.__doc__


class BatchNormAct2d(_BatchNormAct, BatchNorm2d):
    __doc__ = _BatchNormAct.__doc__


class BatchNormAct3d(_BatchNormAct, BatchNorm3d):
    __doc__ = _BatchNormAct.__doc__


class Act(torch.nn.Module):
    """What is left of a BatchNormAct whose batch norm went into the layer before: act(x + residual)."""

    def __init__(self, act: Any) -> None:
        super().__init__()
        self.act = act

    def forward(self, input: Tensor, residual: Tensor | None = None) -> Tensor:
        return activated(self.act, input if residual is None else input + residual)

    def extra_repr(self) -> str:
        return repr(self.act)


def batch_norm_act_inplace(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float,
                           slope: float | None) -> tuple[Tensor, core.Moments]:
    """act(batch_norm(x)) by the batch's statistics, which keeps no x for backward; and the statistics.

    The node has three outputs: z; s = 1 / sqrt(var + eps); and the xhat of the channels with small weights. Backward is
    written in terms of these and of weight and bias, by differentiable operations, so every order follows.

    Args:
        slope: of leaky ReLU; 1 for no activation; None for ELU.
    """
    n = x.numel() // max(x.size(1), 1)
    with no_grad():
        z, found = core.normalize(x, weight, bias, eps)
        if slope != 1:
            z = F.elu_(z) if slope is None else F.leaky_relu_(z, slope)
        s = (found.var + eps).rsqrt().to(x.dtype)
        few = None
        if weight is not None:
            least = LEAST_WEIGHT * (1.0 if bias is None else bias.abs().clamp(min=1))
            few = (weight.abs() < least).nonzero().squeeze(1)
            few = few if few.numel() else None
        part = None
        if few is not None:
            chosen = x.index_select(1, few)
            part = (chosen.double() - over_channels(found.mean[few], x)) * over_channels(s.double()[few], x)
            part = part.to(x.dtype)

    def backward(gz: Any, gs: Any, *rest: Any) -> tuple[Tensor | None, ...]:
        gpart, z, s, part = rest if few is not None else (None, *rest, None)
        dims, down, slopes = core.dims_of(z), z < 0, None
        if slope == 1:
            y = z
        elif slope is not None:
            y, slopes = torch.where(down, z / slope, z), torch.where(down, z.new_tensor(slope), 1)
        else:
            y, slopes = torch.where(down, torch.where(down, z, 0).log1p(), z), torch.where(down, z + 1, 1)
        gz = torch.zeros_like(z) if gz is None else gz
        g = gz if slopes is None else gz * slopes
        xhat = y if bias is None else y - over_channels(bias, z)
        w = None if weight is None else over_channels(weight, z)
        if w is not None:
            divisor = w if few is None else w.index_fill(1, few, 1.0)
            xhat = xhat / divisor
            if few is not None:
                xhat = xhat.index_copy(1, few, part)
        wg = g if w is None else g * w
        if gpart is not None:
            wg = wg.index_add(1, few, gpart)
        s_ = over_channels(s, z)
        dx = s_ * (wg - wg.mean(dims, True) - xhat * (wg * xhat).mean(dims, True))
        if gs is not None:
            dx = dx - over_channels(gs, z) * s_.square() * xhat / n
        return dx, None if weight is None else (g * xhat).sum(dims), None if bias is None else g.sum(dims)

    outputs = (z, s) if part is None else (z, s, part)
    attach(outputs, (x, weight, bias), backward, "BatchNormActInplaceBackward", (weight, bias), range(len(outputs)))
    return z, found
