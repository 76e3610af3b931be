"""The step of every optimizer in tensor algebra: one parameter after the other."""

from __future__ import annotations

from typing import Any

import minitorch_bn as torch

from .optimizer import Closure, Optimizer, _use_grad_for_differentiable, check_step, new_step, with_grads

Tensor = torch.Tensor


class PerParameter(Optimizer):
    """A loop over the parameters: subclasses create the state of one, and update one.

    With `differentiable` the step is recorded. State is then replaced, not overwritten: what an earlier step saved for
    backward stays valid.
    """

    _hosted = "params and state_steps"  # what PyTorch's error about `capturable` names

    @_use_grad_for_differentiable
    def step(self, closure: Closure | None = None) -> Any:
        loss = self._evaluate(closure)
        for group in self.param_groups:
            params, grads = with_grads(group["params"])
            if params:
                check_step(group, self._hosted)
            for param, grad in zip(params, grads):
                state = self.state[param]
                if not state:
                    state["step"] = new_step(bool(group.get("fused")))
                    self._create_state(param, group, state)
                if group.get("differentiable"):
                    own_state(state)
                state["step"] += 1
                self._update(param, self._prepared(param, grad, group), group, state, state["step"].item())
        return loss

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        complete(self)

    def _create_state(self, param: Tensor, group: dict, state: dict) -> None:
        raise NotImplementedError

    def _prepared(self, param: Tensor, grad: Tensor, group: dict) -> Tensor:
        return prepared(param, grad, group)

    def _update(self, param: Tensor, grad: Tensor, group: dict, state: dict, count: float) -> None:
        raise NotImplementedError


def complete(optimizer: Optimizer) -> None:
    """Add to an optimizer from a file of an older version what it lacks: newer options, steps as tensors."""
    for group in optimizer.param_groups:
        for name, default in optimizer.defaults.items():
            if name in ("foreach", "maximize", "differentiable", "capturable", "fused", "amsgrad",
                        "decoupled_weight_decay", "momentum", "centered", "nesterov", "dampening"):
                group.setdefault(name, default)
        for param in group["params"]:
            state = optimizer.state.get(param)
            for name in ("step", "eta", "mu", "mu_product"):
                if state and name in state and not isinstance(state[name], Tensor):
                    state[name] = new_step(bool(group.get("fused")), float(state[name]))


def own_state(state: dict) -> None:
    """Replace the tensors of the state (but the step count) by copies that autograd knows to come from them."""
    for name, value in state.items():
        if isinstance(value, Tensor) and name != "step":
            state[name] = value.clone()


def prepared(param: Tensor, grad: Tensor, group: dict) -> Tensor:
    """The direction of descent, with weight decay in it or already applied."""
    if group["maximize"]:
        grad = -grad
    decay = group.get("weight_decay")
    if isinstance(decay, Tensor) and decay.requires_grad:
        return grad.addcmul(param.clone(), decay)
    if decay:
        if group.get("decoupled_weight_decay"):
            param.mul_(1 - group["lr"] * decay)
        else:
            grad = grad.add(param, alpha=float(decay))
    return grad


def move(param: Tensor, update: Tensor, lr: Any) -> None:
    """param <- param - lr * update; a learning rate that needs a gradient gets one."""
    if isinstance(lr, Tensor) and lr.requires_grad:
        param.addcmul_(update, lr, value=-1)
    else:
        param.add_(update, alpha=-float(lr))


def new_moments(param: Tensor, state: dict) -> None:
    """State for running means of g and g**2."""
    state["exp_avg"] = torch.zeros_like(param)
    state["exp_avg_sq"] = torch.zeros_like(param)


def update_moments(grad: Tensor, group: dict, state: dict) -> tuple[Tensor, Tensor]:
    """The running means of g and g**2 after this gradient."""
    beta1, beta2 = (beta if isinstance(beta, Tensor) and beta.requires_grad else float(beta) for beta in group["betas"])
    mean = state["exp_avg"].lerp_(grad, 1 - beta1)
    if isinstance(beta2, Tensor):
        return mean, state["exp_avg_sq"].lerp_(grad.square(), 1 - beta2)
    return mean, state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
