"""Adadelta: steps in the units of the parameter, by running means of squared steps and gradients."""

from __future__ import annotations

import minitorch_bn as torch

from ._functional import functional
from ._per_parameter import PerParameter
from .optimizer import ParamsT, check_options, check_rate


class Adadelta(PerParameter):
    """p <- p - lr * sqrt(u + eps) / sqrt(v + eps) * g, u and v running means of step**2 and g**2 (Zeiler 2012)."""

    def __init__(self, params: ParamsT, lr: float | torch.Tensor = 1.0, rho: float = 0.9, eps: float = 1e-6,
                 weight_decay: float = 0, foreach: bool | None = None, *, capturable: bool = False,
                 maximize: bool = False, differentiable: bool = False) -> None:
        check_rate(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_options(eps=eps, weight_decay=weight_decay)
        super().__init__(params, {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "capturable": capturable, "foreach": foreach, "differentiable": differentiable})

    def _create_state(self, param: torch.Tensor, group: dict, state: dict) -> None:
        state["square_avg"] = torch.zeros_like(param)
        state["acc_delta"] = torch.zeros_like(param)

    def _update(self, param: torch.Tensor, grad: torch.Tensor, group: dict, state: dict, count: float) -> None:
        rho, eps = group["rho"], group["eps"]
        square_avg = state["square_avg"].mul_(rho).addcmul_(grad, grad, value=1 - rho)
        delta = state["acc_delta"].add(eps).sqrt() / square_avg.add(eps).sqrt() * grad
        state["acc_delta"].mul_(rho).addcmul_(delta, delta, value=1 - rho)
        param.add_(delta, alpha=-float(group["lr"]))


adadelta = functional(Adadelta, "square_avgs acc_deltas state_steps",
                      "capturable foreach differentiable has_complex")
