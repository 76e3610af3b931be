"""Rprop: steps by the sign of the gradient, each element with a step size of its own."""

from __future__ import annotations

import minitorch_bn as torch

from ._functional import functional
from ._per_parameter import PerParameter
from .optimizer import ParamsT, check_rate


class Rprop(PerParameter):
    """Steps of a size that grows while the gradient keeps its sign and shrinks when it turns (Riedmiller & Braun 1993).

    `etas`: the factors when it turned and when it kept its sign; `step_sizes`: the smallest and the largest step.
    """

    def __init__(self, params: ParamsT, lr: float | torch.Tensor = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
                 step_sizes: tuple[float, float] = (1e-6, 50), *, capturable: bool = False,
                 foreach: bool | None = None, maximize: bool = False, differentiable: bool = False) -> None:
        check_rate(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(params, {
            "lr": lr, "etas": etas, "step_sizes": step_sizes, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "capturable": capturable})

    def _create_state(self, param: torch.Tensor, group: dict, state: dict) -> None:
        state["prev"] = torch.zeros_like(param)
        state["step_size"] = torch.full_like(param, float(group["lr"])).detach()

    def _update(self, param: torch.Tensor, grad: torch.Tensor, group: dict, state: dict, count: float) -> None:
        slower, faster = group["etas"]
        agreement = grad * state["prev"]
        factor = torch.ones_like(grad).masked_fill_(agreement > 0, faster).masked_fill_(agreement < 0, slower)
        step_size = state["step_size"].mul_(factor).clamp_(*group["step_sizes"])
        grad = grad.masked_fill(agreement < 0, 0)  # where it turned, this step is left out
        param.addcmul_(grad.sign(), step_size, value=-1)
        state["prev"].copy_(grad)


rprop = functional(Rprop, "prevs step_sizes state_steps",
                   "foreach capturable maximize differentiable has_complex")
