"""Adagrad: steps divided by the root of the sum of all squared gradients."""

from __future__ import annotations

import minitorch_bn as torch

from ._functional import functional
from ._per_parameter import PerParameter
from .optimizer import ParamsT, check_fused, check_options, check_rate, new_step


class Adagrad(PerParameter):
    """p <- p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(sum of g**2) + eps) (Duchi et al. 2011)."""

    def __init__(self, params: ParamsT, lr: float | torch.Tensor = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
                 initial_accumulator_value: float = 0, eps: float = 1e-10, foreach: bool | None = None, *,
                 maximize: bool = False, differentiable: bool = False, fused: bool | None = None) -> None:
        check_rate(lr)
        check_options(lr_decay=lr_decay, weight_decay=weight_decay,
                      initial_accumulator_value=initial_accumulator_value, eps=eps)
        super().__init__(params, {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "fused": fused})
        check_fused(fused, foreach, differentiable)
        for group in self.param_groups:
            for param in group["params"]:
                state = self.state[param]
                state["step"] = new_step(bool(group["fused"]))
                self._create_state(param, group, state)

    def share_memory(self) -> None:
        """Accepted: PyTorch moves the state to memory that processes share."""

    def _create_state(self, param: torch.Tensor, group: dict, state: dict) -> None:
        state["sum"] = torch.full_like(param, self.defaults["initial_accumulator_value"]).detach()

    def _update(self, param: torch.Tensor, grad: torch.Tensor, group: dict, state: dict, count: float) -> None:
        rate = float(group["lr"]) / (1 + (count - 1) * group["lr_decay"])
        total = state["sum"].addcmul_(grad, grad, value=1)
        param.addcdiv_(grad, total.sqrt().add(group["eps"]), value=-rate)


adagrad = functional(Adagrad, "state_sums state_steps",
                     "fused grad_scale found_inf has_sparse_grad foreach differentiable has_complex")
