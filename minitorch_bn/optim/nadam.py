"""NAdam: Adam with Nesterov's momentum."""

from __future__ import annotations

import minitorch_bn as torch

from ._functional import functional
from ._per_parameter import PerParameter, new_moments, update_moments
from .optimizer import ParamsT, check_betas, check_options, check_rate, new_step


class NAdam(PerParameter):
    """Adam with Nesterov's momentum (Dozat 2016)."""

    _hosted = "params, mu_products and state_steps"

    def __init__(self, params: ParamsT, lr: float | torch.Tensor = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, momentum_decay: float = 4e-3,
                 decoupled_weight_decay: bool = False, *, foreach: bool | None = None, maximize: bool = False,
                 capturable: bool = False, differentiable: bool = False) -> None:
        check_rate(lr)
        check_options(eps=eps)
        check_betas(betas)
        check_options(weight_decay=weight_decay, momentum_decay=momentum_decay)
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach,
            "capturable": capturable, "differentiable": differentiable})

    def _create_state(self, param: torch.Tensor, group: dict, state: dict) -> None:
        state["mu_product"] = new_step(value=1.0)
        new_moments(param, state)

    def _update(self, param: torch.Tensor, grad: torch.Tensor, group: dict, state: dict, count: float) -> None:
        beta1, beta2 = group["betas"]
        lr, decay = float(group["lr"]), group["momentum_decay"]
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (count * decay))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((count + 1) * decay))
        state["mu_product"] *= mu
        product = state["mu_product"].item()
        exp_avg, exp_avg_sq = update_moments(grad, group, state)
        divisor = exp_avg_sq.div(1 - beta2**count).sqrt().add(group["eps"])
        param.addcdiv_(grad, divisor, value=-lr * (1.0 - mu) / (1.0 - product))
        param.addcdiv_(exp_avg, divisor, value=-lr * mu_next / (1.0 - product * mu_next))


nadam = functional(NAdam, "exp_avgs exp_avg_sqs mu_products state_steps",
                   "decoupled_weight_decay foreach capturable differentiable has_complex maximize")
