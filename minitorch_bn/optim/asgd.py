"""ASGD: gradient descent that also keeps the mean of its parameters."""

from __future__ import annotations

import minitorch_bn as torch

from ._functional import functional
from ._per_parameter import PerParameter
from .optimizer import ParamsT, check_options, check_rate, new_step


class ASGD(PerParameter):
    """Gradient descent with a falling rate eta, and the mean of the parameters from step `t0` on in state["ax"].

    eta = lr / (1 + lambd * lr * t)**alpha (Polyak & Juditsky 1992).
    """

    _hosted = "params, mus, etas, and state_steps"

    def __init__(self, params: ParamsT, lr: float | torch.Tensor = 1e-2, lambd: float = 1e-4, alpha: float = 0.75,
                 t0: float = 1e6, weight_decay: float = 0, foreach: bool | None = None, maximize: bool = False,
                 differentiable: bool = False, capturable: bool = False) -> None:
        check_rate(lr)
        check_options(weight_decay=weight_decay)
        super().__init__(params, {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "capturable": capturable})

    def _create_state(self, param: torch.Tensor, group: dict, state: dict) -> None:
        state["eta"] = new_step(value=float(group["lr"]))
        state["mu"] = new_step(value=1.0)
        state["ax"] = torch.zeros_like(param)

    def _update(self, param: torch.Tensor, grad: torch.Tensor, group: dict, state: dict, count: float) -> None:
        lr, lambd, ax = float(group["lr"]), group["lambd"], state["ax"]
        eta, mu = state["eta"].item(), state["mu"].item()
        param.mul_(1 - lambd * eta).add_(grad, alpha=-eta)
        if mu == 1:
            ax.copy_(param)
        else:
            ax.add_(param - ax, alpha=mu)
        # rounded to the default dtype even where a checkpoint made them float64: PyTorch's numbers
        state["eta"].copy_(torch.tensor(lr / (1 + lambd * lr * count) ** group["alpha"]))
        state["mu"].copy_(torch.tensor(1 / max(1, count - group["t0"])))


asgd = functional(ASGD, "axs mus etas state_steps",
                  "foreach maximize differentiable capturable has_complex")
