"""Adam and AdamW: one step, with weight decay in the gradient or apart from it."""

from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn import ops

from ._functional import functional
from ._per_parameter import complete, move, own_state, prepared, update_moments
from .optimizer import (
    Closure,
    Optimizer,
    ParamsT,
    _to_scalar,
    _use_grad_for_differentiable,
    check_betas,
    check_fused,
    check_options,
    check_rate,
    check_step,
    new_step,
    with_grads,
)

Tensor = torch.Tensor


class Adam(Optimizer):
    """p <- p - lr * m^ / (sqrt(v^) + eps), m and v running means of g and g**2, ^ corrected for their start at zero.

    (Kingma & Ba 2015.) `weight_decay` is added to the gradient, or with `decoupled_weight_decay` shrinks p directly.
    `amsgrad` divides by the largest v so far (Reddi et al. 2018). `foreach` and `fused` change nothing: all parameters
    are always updated in one pass.
    """

    def __init__(self, params: ParamsT, lr: float | Tensor = 1e-3,
                 betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, amsgrad: bool = False, *, foreach: bool | None = None,
                 maximize: bool = False, capturable: bool = False, differentiable: bool = False,
                 fused: bool | None = None, decoupled_weight_decay: bool = False) -> None:
        _refuse_with_foreach("lr", lr, bool(foreach and not capturable))
        check_rate(lr)
        check_options(eps=eps)
        check_betas(betas)
        check_options(weight_decay=weight_decay)
        kinds = {type(beta) if isinstance(beta, float) else Tensor if isinstance(beta, Tensor) else None
                 for beta in betas}
        if len(kinds) > 1 or None in kinds:
            raise ValueError("betas must be either both floats or both Tensors")
        for i, beta in enumerate(betas):
            _refuse_with_foreach(f"betas[{i}]", beta, bool(foreach and not capturable))
            if isinstance(beta, Tensor) and beta.numel() != 1:
                raise ValueError(f"Tensor betas[{i}] must be 1-element")
        super().__init__(params, {
            "lr": lr, "betas": tuple(map(_to_scalar, betas)), "eps": eps, "weight_decay": weight_decay,
            "amsgrad": amsgrad, "maximize": maximize, "foreach": foreach, "capturable": capturable,
            "differentiable": differentiable, "fused": fused, "decoupled_weight_decay": decoupled_weight_decay})
        check_fused(fused, foreach, differentiable)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        complete(self)

    @_use_grad_for_differentiable
    def step(self, closure: Closure | None = None) -> Any:
        loss = self._evaluate(closure)
        for group in self.param_groups:
            amsgrad = group["amsgrad"]
            # parameters that made equally many steps go together
            by_count: dict[float, tuple[list, list, list, list, list]] = {}
            params, grads = with_grads(group["params"])
            if params:
                check_step(group)
                _refuse_with_foreach("lr", group["lr"], bool(group["foreach"]), RuntimeError)
            for param, grad in zip(params, grads):
                state = self.state[param]
                if not state:
                    state["step"] = new_step(bool(group["fused"]))
                    state["exp_avg"] = torch.zeros_like(param)
                    state["exp_avg_sq"] = torch.zeros_like(param)
                if amsgrad and "max_exp_avg_sq" not in state:
                    state["max_exp_avg_sq"] = torch.zeros_like(param)
                if group["differentiable"]:
                    _recorded_update(param, grad, group, state)
                    continue
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
                              lr=float(group["lr"]), beta1=float(beta1), beta2=float(beta2), eps=float(group["eps"]),
                              weight_decay=float(group["weight_decay"]), amsgrad=amsgrad, maximize=group["maximize"],
                              decoupled=group["decoupled_weight_decay"])
        return loss


def _refuse_with_foreach(name: str, value: Any, foreach: bool, error: type[Exception] = ValueError) -> None:
    if foreach and isinstance(value, Tensor):
        raise error(f"{name} as a Tensor is not supported for capturable=False and foreach=True")


def _recorded_update(param: Tensor, grad: Tensor, group: dict, state: dict) -> None:
    """The step of one parameter in tensor algebra, for gradients through it."""
    if state["step"].requires_grad:
        raise RuntimeError("`requires_grad` is not supported for `step` in differentiable mode")
    own_state(state)
    state["step"] += 1
    count = state["step"].item()
    mean, variance = update_moments(prepared(param, grad, group), group, state)
    if group["amsgrad"]:
        variance = state["max_exp_avg_sq"] = torch.maximum(state["max_exp_avg_sq"], variance)
    corrections = [1 - beta**count for beta in group["betas"]]
    divisor = variance.sqrt() / corrections[1] ** 0.5 + group["eps"]
    move(param, mean / corrections[0] / divisor, group["lr"])


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameters directly (Loshchilov & Hutter 2019)."""

    def __init__(self, params: ParamsT, lr: float | Tensor = 1e-3,
                 betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
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


adam = functional(Adam, "exp_avgs exp_avg_sqs max_exp_avg_sqs state_steps",
                  "foreach capturable differentiable fused grad_scale found_inf has_complex decoupled_weight_decay")
