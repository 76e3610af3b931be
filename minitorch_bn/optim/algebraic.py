"""Optimizers in tensor algebra, one parameter after the other: RMSprop, Adagrad, Adadelta, Adamax, NAdam, RAdam."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import minitorch_bn as torch

from .optimizer import Closure, Optimizer, check_betas, check_options, with_grads

Tensor = torch.Tensor


class _PerParameter(Optimizer):
    """A loop over the parameters: subclasses create the state of one, and update one."""

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        loss = self._evaluate(closure)
        for group in self.param_groups:
            for param, grad in zip(*with_grads(group["params"])):
                state = self.state[param]
                if not state:
                    state["step"] = torch.tensor(0.0)
                    self._create_state(param, group, state)
                state["step"] += 1
                if group["maximize"]:
                    grad = -grad
                if group["weight_decay"]:
                    if group.get("decoupled_weight_decay"):
                        param.mul_(1 - group["lr"] * group["weight_decay"])
                    else:
                        grad = grad.add(param, alpha=group["weight_decay"])
                self._update(param, grad, group, state, state["step"].item())
        return loss

    def _create_state(self, param: Tensor, group: dict, state: dict) -> None:
        raise NotImplementedError

    def _update(self, param: Tensor, grad: Tensor, group: dict, state: dict, count: float) -> None:
        raise NotImplementedError


class RMSprop(_PerParameter):
    """p <- p - lr * g / (sqrt(v) + eps), v the running mean of g**2 (Tieleman & Hinton 2012).

    `centered` subtracts the square of the running mean of g; `momentum` accumulates the steps.
    """

    def __init__(self, params: Iterable, lr: float | Tensor = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
                 weight_decay: float = 0, momentum: float = 0, centered: bool = False, capturable: bool = False,
                 foreach: bool | None = None, maximize: bool = False, differentiable: bool = False) -> None:
        check_options(lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
            "weight_decay": weight_decay, "capturable": capturable, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable})

    def _create_state(self, param: Tensor, group: dict, state: dict) -> None:
        state["square_avg"] = torch.zeros_like(param)
        if group["momentum"] > 0:
            state["momentum_buffer"] = torch.zeros_like(param)
        if group["centered"]:
            state["grad_avg"] = torch.zeros_like(param)

    def _update(self, param: Tensor, grad: Tensor, group: dict, state: dict, count: float) -> None:
        alpha, lr = group["alpha"], float(group["lr"])
        square_avg = state["square_avg"].mul_(alpha).addcmul_(grad, grad, value=1 - alpha)
        if group["centered"]:
            grad_avg = state["grad_avg"].lerp_(grad, 1 - alpha)
            divisor = square_avg.addcmul(grad_avg, grad_avg, value=-1).sqrt_().add_(group["eps"])
        else:
            divisor = square_avg.sqrt().add_(group["eps"])
        if group["momentum"] > 0:
            param.add_(state["momentum_buffer"].mul_(group["momentum"]).addcdiv_(grad, divisor), alpha=-lr)
        else:
            param.addcdiv_(grad, divisor, value=-lr)


class Adagrad(_PerParameter):
    """p <- p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(sum of g**2) + eps) (Duchi et al. 2011)."""

    def __init__(self, params: Iterable, lr: float | Tensor = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
                 initial_accumulator_value: float = 0, eps: float = 1e-10, foreach: bool | None = None, *,
                 maximize: bool = False, differentiable: bool = False, fused: bool | None = None) -> None:
        check_options(lr=lr, lr_decay=lr_decay, weight_decay=weight_decay,
                      initial_accumulator_value=initial_accumulator_value, eps=eps)
        super().__init__(params, {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "fused": fused})
        for group in self.param_groups:
            for param in group["params"]:
                state = self.state[param]
                state["step"] = torch.tensor(0.0)
                state["sum"] = torch.full_like(param, group["initial_accumulator_value"]).detach()

    def _update(self, param: Tensor, grad: Tensor, group: dict, state: dict, count: float) -> None:
        rate = float(group["lr"]) / (1 + (count - 1) * group["lr_decay"])
        total = state["sum"].addcmul_(grad, grad, value=1)
        param.addcdiv_(grad, total.sqrt().add_(group["eps"]), value=-rate)


class Adadelta(_PerParameter):
    """p <- p - lr * sqrt(u + eps) / sqrt(v + eps) * g, u and v running means of step**2 and g**2 (Zeiler 2012)."""

    def __init__(self, params: Iterable, lr: float | Tensor = 1.0, rho: float = 0.9, eps: float = 1e-6,
                 weight_decay: float = 0, foreach: bool | None = None, *, capturable: bool = False,
                 maximize: bool = False, differentiable: bool = False) -> None:
        check_options(lr=lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_options(eps=eps, weight_decay=weight_decay)
        super().__init__(params, {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "capturable": capturable, "foreach": foreach, "differentiable": differentiable})

    def _create_state(self, param: Tensor, group: dict, state: dict) -> None:
        state["square_avg"] = torch.zeros_like(param)
        state["acc_delta"] = torch.zeros_like(param)

    def _update(self, param: Tensor, grad: Tensor, group: dict, state: dict, count: float) -> None:
        rho, eps = group["rho"], group["eps"]
        square_avg = state["square_avg"].mul_(rho).addcmul_(grad, grad, value=1 - rho)
        delta = state["acc_delta"].add(eps).sqrt_().div_(square_avg.add(eps).sqrt_()).mul_(grad)
        state["acc_delta"].mul_(rho).addcmul_(delta, delta, value=1 - rho)
        param.add_(delta, alpha=-float(group["lr"]))


class _Moments(_PerParameter):
    """An optimizer with running means of g and g**2."""

    def _create_state(self, param: Tensor, group: dict, state: dict) -> None:
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_avg_sq"] = torch.zeros_like(param)

    @staticmethod
    def _moments(grad: Tensor, group: dict, state: dict) -> tuple[Tensor, Tensor]:
        beta1, beta2 = group["betas"]
        return (state["exp_avg"].lerp_(grad, 1 - beta1),
                state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2))


class Adamax(_PerParameter):
    """Adam with the decaying maximum of |g| in place of sqrt(v) (Kingma & Ba 2015, section 7)."""

    def __init__(self, params: Iterable, lr: float | Tensor = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, foreach: bool | None = None, *, maximize: bool = False,
                 differentiable: bool = False, capturable: bool = False) -> None:
        check_options(lr=lr, eps=eps)
        check_betas(betas)
        check_options(weight_decay=weight_decay)
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "capturable": capturable})

    def _create_state(self, param: Tensor, group: dict, state: dict) -> None:
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_inf"] = torch.zeros_like(param)

    def _update(self, param: Tensor, grad: Tensor, group: dict, state: dict, count: float) -> None:
        beta1, beta2 = group["betas"]
        exp_avg = state["exp_avg"].lerp_(grad, 1 - beta1)
        largest = torch.maximum(state["exp_inf"].mul_(beta2), grad.abs().add_(group["eps"]))
        state["exp_inf"].copy_(largest)
        param.addcdiv_(exp_avg, largest, value=-float(group["lr"]) / (1 - beta1**count))


class NAdam(_Moments):
    """Adam with Nesterov's momentum (Dozat 2016)."""

    def __init__(self, params: Iterable, lr: float | Tensor = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, momentum_decay: float = 4e-3,
                 decoupled_weight_decay: bool = False, *, foreach: bool | None = None, maximize: bool = False,
                 capturable: bool = False, differentiable: bool = False) -> None:
        check_options(lr=lr, eps=eps)
        check_betas(betas)
        check_options(weight_decay=weight_decay)
        if not momentum_decay >= 0.0:
            raise ValueError(f"Invalid momentum_decay value: {momentum_decay}")
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach,
            "capturable": capturable, "differentiable": differentiable})

    def _create_state(self, param: Tensor, group: dict, state: dict) -> None:
        state["mu_product"] = torch.tensor(1.0)
        super()._create_state(param, group, state)

    def _update(self, param: Tensor, grad: Tensor, group: dict, state: dict, count: float) -> None:
        beta1, beta2 = group["betas"]
        lr, decay = float(group["lr"]), group["momentum_decay"]
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (count * decay))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((count + 1) * decay))
        state["mu_product"] *= mu
        product = state["mu_product"].item()
        exp_avg, exp_avg_sq = self._moments(grad, group, state)
        divisor = exp_avg_sq.div(1 - beta2**count).sqrt_().add_(group["eps"])
        param.addcdiv_(grad, divisor, value=-lr * (1.0 - mu) / (1.0 - product))
        param.addcdiv_(exp_avg, divisor, value=-lr * mu_next / (1.0 - product * mu_next))


class RAdam(_Moments):
    """Adam that waits until the variance of its step is known (Liu et al. 2020)."""

    def __init__(self, params: Iterable, lr: float | Tensor = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, decoupled_weight_decay: bool = False, *,
                 foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
                 differentiable: bool = False) -> None:
        check_options(lr=lr, eps=eps)
        check_betas(betas)
        check_options(weight_decay=weight_decay)
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "foreach": foreach, "capturable": capturable, "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable})

    def _update(self, param: Tensor, grad: Tensor, group: dict, state: dict, count: float) -> None:
        beta1, beta2 = group["betas"]
        lr = float(group["lr"])
        exp_avg, exp_avg_sq = self._moments(grad, group, state)
        corrected = exp_avg / (1 - beta1**count)
        correction2 = 1 - beta2**count
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * count * beta2**count / correction2
        if length > 5.0:
            rectified = math.sqrt((length - 4) * (length - 2) * longest
                                  / ((longest - 4) * (longest - 2) * length))
            divisor = exp_avg_sq.sqrt().add_(group["eps"])
            corrected = corrected * (math.sqrt(correction2) * rectified) / divisor
        param.add_(corrected, alpha=-lr)
