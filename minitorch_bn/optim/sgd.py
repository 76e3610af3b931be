"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn import ops

from ._functional import functional
from ._per_parameter import complete, move, prepared
from .optimizer import (
    Closure,
    Optimizer,
    ParamsT,
    _use_grad_for_differentiable,
    check_fused,
    check_options,
    check_rate,
    check_step,
    with_grads,
)

Tensor = torch.Tensor


class SGD(Optimizer):
    """p <- p - lr * b, with b <- momentum * b + (1 - dampening) * (g + weight_decay * p) (Sutskever et al. 2013).

    The first b is the gradient itself; `nesterov` steps along g + momentum * b. `maximize` climbs. `foreach` and
    `fused` change nothing: all parameters are always updated in one pass.
    """

    def __init__(self, params: ParamsT, lr: float | Tensor = 1e-3, momentum: float = 0, dampening: float = 0,
                 weight_decay: float | Tensor = 0, nesterov: bool = False, *, maximize: bool = False,
                 foreach: bool | None = None, differentiable: bool = False, fused: bool | None = None) -> None:
        check_rate(lr)
        check_options(momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize, "foreach": foreach, "differentiable": differentiable,
            "fused": fused})
        check_fused(fused, foreach, differentiable)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        complete(self)

    @_use_grad_for_differentiable
    def step(self, closure: Closure | None = None) -> Any:
        loss = self._evaluate(closure)
        for group in self.param_groups:
            params, grads = with_grads(group["params"])
            if params:
                check_step(group)
            if group["differentiable"]:
                for param, grad in zip(params, grads):
                    self._recorded_update(param, grad, group)
                continue
            if not group["momentum"]:
                self._update(group, params, grads, None, first=False)
                continue
            buffers = self._buffers(params)
            if buffers is not None:
                self._update(group, params, grads, buffers, first=False)
                continue
            old: tuple[list, ...] = ([], [], [])  # parameters, gradients, buffers: with momentum from before,
            new: tuple[list, ...] = ([], [], [])  # and without
            for param, grad in zip(params, grads):
                state = self.state[param]
                buffer = state.get("momentum_buffer")
                lists = new if buffer is None else old
                if buffer is None:
                    buffer = state["momentum_buffer"] = torch.empty_like(param)
                for items, item in zip(lists, (param, grad, buffer)):
                    items.append(item)
            self._update(group, old[0], old[1], old[2], first=False)
            self._update(group, new[0], new[1], new[2], first=True)
        return loss

    def _buffers(self, params: list) -> list | None:
        """Their momentum, where every one of them has some."""
        state = self.state
        try:
            buffers = [state[param]["momentum_buffer"] for param in params]
        except KeyError:
            return None
        return None if any(buffer is None for buffer in buffers) else buffers

    @staticmethod
    def _update(group: dict, params: list, grads: list, buffers: list | None, first: bool) -> None:
        if params:
            ops.sgd_step(params, grads, buffers, lr=float(group["lr"]), momentum=float(group["momentum"]),
                         dampening=float(group["dampening"]), weight_decay=float(group["weight_decay"]),
                         nesterov=group["nesterov"], maximize=group["maximize"], first=first)

    def _recorded_update(self, param: Tensor, grad: Tensor, group: dict) -> None:
        """The step of one parameter in tensor algebra, for gradients through it."""
        grad = prepared(param, grad, group)
        momentum = group["momentum"]
        if momentum:
            state = self.state[param]
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = grad.detach().clone()
            else:
                buffer = buffer * momentum + grad * (1 - group["dampening"])
            state["momentum_buffer"] = buffer
            grad = grad + buffer * momentum if group["nesterov"] else buffer
        move(param, grad, group["lr"])


sgd = functional(SGD, "momentum_buffer_list",
                 "has_sparse_grad foreach fused grad_scale found_inf")
