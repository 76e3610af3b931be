"""SparseAdam's name: it updates by sparse gradients, which minitorch_bn does not have."""

from __future__ import annotations

from typing import Any

import minitorch_bn as torch

from .optimizer import Closure, Optimizer, ParamsT, check_betas, check_rate, with_grads


class SparseAdam(Optimizer):
    """Can be made, as in PyTorch; a step with (dense) gradients is an error there and here."""

    def __init__(self, params: ParamsT, lr: float | torch.Tensor = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, maximize: bool = False) -> None:
        check_rate(lr)
        for name, value in ("learning rate", lr), ("epsilon value", eps):
            if not value > 0.0:
                raise ValueError(f"Invalid {name}: {value}")
        check_betas(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        loss = self._evaluate(closure)
        if any(with_grads(group["params"])[0] for group in self.param_groups):
            raise RuntimeError("SparseAdam does not support dense gradients, please consider Adam instead")
        return loss
