"""RMSprop: steps divided by the running root mean square of the gradient."""

from __future__ import annotations

import minitorch_bn as torch

from ._functional import functional
from ._per_parameter import PerParameter
from .optimizer import ParamsT, check_options, check_rate


class RMSprop(PerParameter):
    """p <- p - lr * g / (sqrt(v) + eps), v the running mean of g**2 (Tieleman & Hinton 2012).

    `centered` subtracts the square of the running mean of g; `momentum` accumulates the steps.
    """

    def __init__(self, params: ParamsT, lr: float | torch.Tensor = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
                 weight_decay: float = 0, momentum: float = 0, centered: bool = False, capturable: bool = False,
                 foreach: bool | None = None, maximize: bool = False, differentiable: bool = False) -> None:
        check_rate(lr)
        check_options(eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
            "weight_decay": weight_decay, "capturable": capturable, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable})

    def _create_state(self, param: torch.Tensor, group: dict, state: dict) -> None:
        state["square_avg"] = torch.zeros_like(param)
        if group["momentum"] > 0:
            state["momentum_buffer"] = torch.zeros_like(param)
        if group["centered"]:
            state["grad_avg"] = torch.zeros_like(param)

    def _update(self, param: torch.Tensor, grad: torch.Tensor, group: dict, state: dict, count: float) -> None:
        alpha, lr = group["alpha"], float(group["lr"])
        variance = state["square_avg"].mul_(alpha).addcmul_(grad, grad, value=1 - alpha)
        if group["centered"]:
            mean = state["grad_avg"].lerp_(grad, 1 - alpha)
            variance = variance.addcmul(mean, mean, value=-1)
        divisor = variance.sqrt().add(group["eps"])
        if group["momentum"] > 0:
            param.add_(state["momentum_buffer"].mul_(group["momentum"]).addcdiv_(grad, divisor), alpha=-lr)
        else:
            param.addcdiv_(grad, divisor, value=-lr)


rmsprop = functional(RMSprop, "square_avgs grad_avgs momentum_buffer_list state_steps",
                     "foreach maximize differentiable capturable has_complex")
