"""RAdam: Adam that waits until the variance of its step is known."""

from __future__ import annotations

import math

import minitorch_bn as torch

from ._functional import functional
from ._per_parameter import PerParameter, new_moments, update_moments
from .optimizer import ParamsT, check_betas, check_options, check_rate


class RAdam(PerParameter):
    """Adam that waits until the variance of its step is known (Liu et al. 2020)."""

    def __init__(self, params: ParamsT, lr: float | torch.Tensor = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, decoupled_weight_decay: bool = False, *,
                 foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
                 differentiable: bool = False) -> None:
        check_rate(lr)
        check_options(eps=eps)
        check_betas(betas)
        check_options(weight_decay=weight_decay)
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "foreach": foreach, "capturable": capturable, "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable})

    def _create_state(self, param: torch.Tensor, group: dict, state: dict) -> None:
        new_moments(param, state)

    def _update(self, param: torch.Tensor, grad: torch.Tensor, group: dict, state: dict, count: float) -> None:
        beta1, beta2 = group["betas"]
        exp_avg, exp_avg_sq = update_moments(grad, group, state)
        corrected = exp_avg / (1 - beta1**count)
        correction2 = 1 - beta2**count
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * count * beta2**count / correction2
        if length > 5.0:
            rectified = math.sqrt((length - 4) * (length - 2) * longest
                                  / ((longest - 4) * (longest - 2) * length))
            corrected = corrected * (math.sqrt(correction2) * rectified) / exp_avg_sq.sqrt().add(group["eps"])
        param.add_(corrected, alpha=-float(group["lr"]))


radam = functional(RAdam, "exp_avgs exp_avg_sqs state_steps",
                   "decoupled_weight_decay foreach differentiable capturable has_complex maximize")
