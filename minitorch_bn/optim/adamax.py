"""Adamax: Adam by the largest gradient instead of the mean square."""

from __future__ import annotations

import minitorch_bn as torch

from ._functional import functional
from ._per_parameter import PerParameter
from .optimizer import ParamsT, check_betas, check_options, check_rate


class Adamax(PerParameter):
    """Adam with the decaying maximum of |g| in place of sqrt(v) (Kingma & Ba 2015, section 7)."""

    def __init__(self, params: ParamsT, lr: float | torch.Tensor = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, foreach: bool | None = None, *, maximize: bool = False,
                 differentiable: bool = False, capturable: bool = False) -> None:
        check_rate(lr)
        check_options(eps=eps)
        check_betas(betas)
        check_options(weight_decay=weight_decay)
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "capturable": capturable})

    def _create_state(self, param: torch.Tensor, group: dict, state: dict) -> None:
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_inf"] = torch.zeros_like(param)

    def _update(self, param: torch.Tensor, grad: torch.Tensor, group: dict, state: dict, count: float) -> None:
        beta1, beta2 = group["betas"]
        exp_avg = state["exp_avg"].lerp_(grad, 1 - beta1)
        largest = torch.maximum(state["exp_inf"] * beta2, grad.abs().add(group["eps"]))
        state["exp_inf"].copy_(largest)
        param.addcdiv_(exp_avg, largest, value=-float(group["lr"]) / (1 - beta1**count))


adamax = functional(Adamax, "exp_avgs exp_infs state_steps",
                    "foreach maximize differentiable capturable has_complex")
