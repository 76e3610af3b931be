"""L-BFGS: Newton's direction from the last few gradients, with an optional line search."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import minitorch_bn as torch

from ._line_search import strong_wolfe
from .optimizer import Optimizer, ParamsT, _get_value, check_rate

Tensor = torch.Tensor


class LBFGS(Optimizer):
    """Limited-memory BFGS (Nocedal & Wright 2006, chapter 7); `step` needs a closure, which it calls several times.

    Args:
        lr: length of a step, or with a line search the first one that is tried.
        max_iter, max_eval: iterations, and calls of the closure, in one `step` (default: 5/4 of max_iter).
        tolerance_grad, tolerance_change: end when no gradient is larger, or when little changes.
        history_size: steps remembered.
        line_search_fn: None or "strong_wolfe".

    There is one parameter group only.
    """

    def __init__(self, params: ParamsT, lr: float | Tensor = 1, max_iter: int = 20, max_eval: int | None = None,
                 tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
                 line_search_fn: str | None = None) -> None:
        check_rate(lr)
        super().__init__(params, {
            "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": line_search_fn})
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @property
    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]

    def _flat_grad(self) -> Tensor:
        """The gradients of all parameters in one row."""
        return torch.cat([torch.zeros(param.numel(), dtype=param.dtype) if param.grad is None
                          else param.grad.reshape(-1) for param in self._params])

    def _move(self, length: float, direction: Tensor) -> None:
        start = 0
        for param in self._params:
            stop = start + param.numel()
            param.add_(direction[start:stop].view_as(param), alpha=length)
            start = stop

    def _evaluate_at(self, closure: Callable, origin: list[Tensor], direction: Tensor,
                     length: float) -> tuple[float, Tensor]:
        """Loss and gradient at a distance from here; the parameters are put back."""
        self._move(length, direction)
        loss, grad = float(closure()), self._flat_grad()
        for param, value in zip(self._params, origin):
            param.copy_(value)
        return loss, grad

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:
        if len(self.param_groups) != 1:
            raise AssertionError(f"Expected exactly one param_group, but got {len(self.param_groups)}")
        closure = torch.enable_grad()(closure)
        group = self.param_groups[0]
        lr, max_iter, max_eval = _get_value(group["lr"]), group["max_iter"], group["max_eval"]
        small_grad, small_change = group["tolerance_grad"], group["tolerance_change"]
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")

        state = self.state[self._params[0]]  # of all: kept with the first parameter, whose dtype a checkpoint takes
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = closure()
        loss, grad = float(first_loss), self._flat_grad()
        state["func_evals"] += 1
        evaluations = 1
        if not grad.numel() or grad.abs().max() <= small_grad:
            return first_loss

        direction, length = state.get("d"), state.get("t")
        last_grad, last_loss = state.get("prev_flat_grad"), state.get("prev_loss")
        memory = {name: state.get(name) for name in ("old_dirs", "old_stps", "ro", "H_diag")}
        for iteration in range(1, max_iter + 1):
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                direction = -grad
                memory.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            else:
                _remember(memory, grad - last_grad, direction * length, group["history_size"])
                weights = state.setdefault("al", [None] * group["history_size"])
                direction = _newton_direction(memory, grad, weights)
            last_grad, last_loss = grad.clone(), loss

            length = min(1.0, 1.0 / float(grad.abs().sum())) * lr if state["n_iter"] == 1 else lr
            slope = float(grad.dot(direction))
            if slope > -small_change:
                break
            calls = 0
            if group["line_search_fn"] is None:
                self._move(length, direction)
                if iteration != max_iter:  # a last one would not be used: the next step calls it again
                    loss, grad, calls = float(closure()), self._flat_grad(), 1
            else:
                origin = [param.clone() for param in self._params]
                loss, grad, length, calls = strong_wolfe(
                    functools.partial(self._evaluate_at, closure, origin, direction),
                    length, direction, loss, grad, slope, max_ls=max_eval - evaluations)
                self._move(length, direction)
            evaluations += calls
            state["func_evals"] += calls
            if (iteration == max_iter or evaluations >= max_eval or grad.abs().max() <= small_grad
                    or (direction * length).abs().max() <= small_change or abs(loss - last_loss) < small_change):
                break
        state.update(d=direction, t=length, **memory, prev_flat_grad=last_grad, prev_loss=last_loss)
        return first_loss


def _remember(memory: dict, change: Tensor, move: Tensor, size: int) -> None:
    """Add a step and the change of the gradient in it to the memory, if the loss curves upward along it."""
    curvature = change.dot(move)
    if curvature > 1e-10:
        kept = memory["old_dirs"], memory["old_stps"], memory["ro"]
        for items, item in zip(kept, (change, move, 1.0 / curvature)):
            if len(items) == size:
                items.pop(0)
            items.append(item)
        memory["H_diag"] = curvature / change.dot(change)


def _newton_direction(memory: dict, grad: Tensor, weights: list) -> Tensor:
    """Minus the approximate inverse Hessian times the gradient, by the two loops over the memory."""
    changes, moves, inverses = memory["old_dirs"], memory["old_stps"], memory["ro"]
    direction = -grad
    for i in reversed(range(len(changes))):
        weights[i] = moves[i].dot(direction) * inverses[i]
        direction = direction.sub(changes[i], alpha=weights[i].item())
    direction = direction * memory["H_diag"]
    for i in range(len(changes)):
        correction = weights[i] - changes[i].dot(direction) * inverses[i]
        direction = direction.add(moves[i], alpha=correction.item())
    return direction
