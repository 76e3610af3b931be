"""Adam and AdamW: one step, with weight decay in the gradient or apart from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import minitorch_bn as torch
from minitorch_bn import ops

from .optimizer import Closure, Optimizer, check_betas, check_options, with_grads


class Adam(Optimizer):
    """p <- p - lr * m^ / (sqrt(v^) + eps), m and v running means of g and g**2, ^ corrected for their start at zero.

    (Kingma & Ba 2015.) `weight_decay` is added to the gradient, or with `decoupled_weight_decay` shrinks p directly.
    `amsgrad` divides by the largest v so far (Reddi et al. 2018). `foreach`, `fused`, `capturable` are accepted and
    ignored: all parameters are always updated in one pass.
    """

    def __init__(self, params: Iterable, lr: float | torch.Tensor = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, amsgrad: bool = False, *, foreach: bool | None = None,
                 maximize: bool = False, capturable: bool = False, differentiable: bool = False,
                 fused: bool | None = None, decoupled_weight_decay: bool = False) -> None:
        if isinstance(lr, torch.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        check_options(lr=lr, eps=eps)
        check_betas(betas)
        check_options(weight_decay=weight_decay)
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
            "maximize": maximize, "foreach": foreach, "capturable": capturable, "differentiable": differentiable,
            "fused": fused, "decoupled_weight_decay": decoupled_weight_decay})

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for name, default in self.defaults.items():  # files of older versions lack the newer options
            for group in self.param_groups:
                group.setdefault(name, default)
        for entry in self.state.values():
            if "step" in entry and not isinstance(entry["step"], torch.Tensor):
                entry["step"] = torch.tensor(float(entry["step"]))

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        loss = self._evaluate(closure)
        for group in self.param_groups:
            amsgrad = group["amsgrad"]
            # parameters that made equally many steps go together
            by_count: dict[float, tuple[list, list, list, list, list]] = {}
            for param, grad in zip(*with_grads(group["params"])):
                state = self.state[param]
                if not state:
                    state["step"] = torch.tensor(0.0)
                    state["exp_avg"] = torch.zeros_like(param)
                    state["exp_avg_sq"] = torch.zeros_like(param)
                if amsgrad and "max_exp_avg_sq" not in state:
                    state["max_exp_avg_sq"] = torch.zeros_like(param)
                state["step"] += 1
                count = state["step"].item()
                lists = by_count.get(count)
                if lists is None:
                    lists = by_count[count] = ([], [], [], [], [])
                lists[0].append(param)
                lists[1].append(grad)
                lists[2].append(state["exp_avg"])
                lists[3].append(state["exp_avg_sq"])
                if amsgrad:
                    lists[4].append(state["max_exp_avg_sq"])
            beta1, beta2 = group["betas"]
            for count, (params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs) in by_count.items():
                ops.adam_step(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, int(count),
                              lr=float(group["lr"]), beta1=float(beta1), beta2=float(beta2), eps=group["eps"],
                              weight_decay=group["weight_decay"], amsgrad=amsgrad, maximize=group["maximize"],
                              decoupled=group["decoupled_weight_decay"])
        return loss


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameters directly (Loshchilov & Hutter 2019)."""

    def __init__(self, params: Iterable, lr: float | torch.Tensor = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False,
                 foreach: bool | None = None, capturable: bool = False, differentiable: bool = False,
                 fused: bool | None = None) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize,
                         capturable=capturable, differentiable=differentiable, fused=fused,
                         decoupled_weight_decay=True)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
