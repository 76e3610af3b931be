"""Adafactor: squared gradients of a matrix kept as one mean per row and one per column."""

from __future__ import annotations

import minitorch_bn as torch

from ._per_parameter import PerParameter
from .optimizer import ParamsT


class Adafactor(PerParameter):
    """Adam-like steps relative to the size of the parameter, with little memory (Shazeer & Stern 2018).

    Args:
        lr: the largest relative step, and the factor of weight decay.
        beta2_decay: the running means forget by t**beta2_decay.
        eps: (the floor of the squared gradient's root, None for the dtype's; the floor of the parameter's size).
        d: updates whose root mean square is larger are scaled down to it.
    """

    def __init__(self, params: ParamsT, lr: float | torch.Tensor = 1e-2, beta2_decay: float = -0.8,
                 eps: tuple[float | None, float] = (None, 1e-3), d: float = 1.0, weight_decay: float = 0.0, *,
                 foreach: bool | None = None, maximize: bool = False) -> None:
        if isinstance(lr, torch.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        for holds, rule, value in (
                (lr >= 0, "Learning rate should be >= 0", lr),
                (beta2_decay <= 0, "beta2_decay should be <= 0", beta2_decay),
                (eps[0] is None or eps[0] >= 0, "epsilon1 should be >= 0", eps[0]),
                (eps[1] >= 0, "epsilon2 should be >= 0", eps[1]),
                (d >= 1, "Clipping threshold d should be >= 1", d),
                (weight_decay >= 0, "weight_decay should be >= 0", weight_decay)):
            if not holds:
                raise ValueError(f"{rule} but is: {value}")
        super().__init__(params, {"lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d,
                                  "weight_decay": weight_decay, "foreach": foreach, "maximize": maximize})

    def _create_state(self, param: torch.Tensor, group: dict, state: dict) -> None:
        if param.dim() > 1:
            *outer, rows, columns = param.shape
            state["row_var"] = torch.zeros(*outer, rows, 1, dtype=param.dtype)
            state["col_var"] = torch.zeros(*outer, 1, columns, dtype=param.dtype)
        else:
            state["variance"] = torch.zeros_like(param)

    def _prepared(self, param: torch.Tensor, grad: torch.Tensor, group: dict) -> torch.Tensor:
        return -grad if group["maximize"] else grad  # weight decay comes after the size of the parameter is taken

    def _update(self, param: torch.Tensor, grad: torch.Tensor, group: dict, state: dict, count: float) -> None:
        floor, smallest = group["eps"]
        floor = torch.finfo(param.dtype).eps if floor is None else floor
        lr, new = float(group["lr"]), count ** group["beta2_decay"]
        rate = max(smallest, _root_mean_square(param)) * min(lr, count**-0.5)
        if group["weight_decay"]:
            param.mul_(1 - lr * group["weight_decay"])
        if grad.dim() > 1:
            rows = state["row_var"].lerp_(_mean_square(grad, -1), new)
            columns = state["col_var"].lerp_(_mean_square(grad, -2), new)
            variance = (rows @ columns) / rows.mean(-2, keepdim=True).clamp(min=floor)
        else:
            variance = state["variance"].lerp_(grad * grad, new)
        update = variance.clamp(min=floor * floor).rsqrt() * grad
        param.add_(update, alpha=-rate / max(1.0, _root_mean_square(update) / group["d"]))


def _root_mean_square(x: torch.Tensor) -> float:
    return x.norm(2).item() / x.numel() ** 0.5


def _mean_square(x: torch.Tensor, dim: int) -> torch.Tensor:
    return x.norm(dim=dim, keepdim=True).square() / x.size(dim)
