"""Where a network's training and evaluation part, how gradients flow through its depth, how smooth its loss is."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

import minitorch_bn as torch
from minitorch_bn.nn.dropout import _DropoutNd

from ._watch import default_loss, is_batch_norm, is_weight_layer, split_batch, untouched, watching
from .rows import Rows

Loss = Any


def _loss(model: Any, batch: Any, loss_fn: Loss) -> torch.Tensor:
    inputs, target = split_batch(batch)
    return (loss_fn or default_loss)(model(*inputs), *target)


def _rms(value: Any) -> float:
    return float(np.sqrt(np.mean(value ** 2))) if value.size else 0.0


class Gap(Rows):
    """Rows of `gap`, in the order in which the layers ran."""

    @property
    def worst(self) -> str:
        """The layer whose own modes differ most."""
        return max(self, key=lambda row: row["own"] or 0.0)["layer"]


def gap(model: Any, x: Any) -> Gap:
    """Layer by layer, how far training mode and evaluation mode part on the same input.

    Each row has the layer, `difference` (root mean square of the difference of its outputs, over that of the
    evaluation's) and, for a layer that itself has two modes, `own`: the same for this layer alone, both modes on the
    training's input. So a large `own` is the cause, and a large `difference` without it a consequence. The model is
    left as it was. `x` is the input, or a tuple of inputs.
    """
    inputs = x if isinstance(x, tuple) else (x,)
    evaluated: dict[tuple[str, int], Any] = {}  # by layer and number of its call
    given: dict[str, torch.Tensor] = {}
    calls: dict[str, int] = {}
    rows = Gap()

    def keep(path: str, module: Any, _: Any, y: Any) -> None:
        if isinstance(y, torch.Tensor) and not module._modules:
            calls[path] = calls.get(path, -1) + 1
            evaluated[path, calls[path]] = y.double().numpy().copy()

    def remember(path: str, module: Any, x: Any, _: Any) -> None:
        if isinstance(x, torch.Tensor) and (path in statistics or isinstance(module, _DropoutNd)):
            given[path] = x.clone()  # a layer may write over it

    def compare(path: str, module: Any, _: Any, y: Any) -> None:
        if not isinstance(y, torch.Tensor) or module._modules:
            return
        calls[path] = calls.get(path, -1) + 1
        values, other, own = y.double().numpy(), evaluated.get((path, calls[path])), None
        if path in given:
            for tensor, value in statistics.get(path, ()):  # this call has moved them
                tensor.copy_(value)
            module.training = False
            alone = module.forward(given.pop(path)).double().numpy()
            module.training = True
            own = _rms(values - alone) / (_rms(alone) or 1.0)
        if other is not None and other.shape == values.shape:
            rows.append({"layer": path, "kind": type(module).__name__,
                         "difference": _rms(values - other) / (_rms(other) or 1.0), "own": own})

    with untouched(model), torch.no_grad():
        statistics = {name: [(t, t.clone()) for t in (m.running_mean, m.running_var) if t is not None]
                      for name, m in model.named_modules() if is_batch_norm(m)}
        model.eval()
        with watching(model, keep):
            model(*inputs)
        model.train()
        calls.clear()
        with watching(model, compare, remember):
            model(*inputs)
    return rows


def growth(log_norms: Iterable[float]) -> tuple[float, float]:
    """(slope per layer, sum over all) of log norms given from input to output, by least squares: positive where the
    gradient grows on its way back."""
    logs = np.array(list(log_norms))
    if len(logs) < 2:
        return 0.0, 0.0
    slope = -float(np.polyfit(np.arange(len(logs)), logs, 1)[0])
    return slope, slope * (len(logs) - 1)


class Flow(Rows):
    """Rows of `gradient_flow`, from the first layer to the last."""

    @property
    def per_layer(self) -> float:
        """The factor by which the gradients of the weights grow per layer on the way back; below 1 they vanish."""
        return float(np.exp(growth(np.log(row["grad"]) for row in self if row["grad"] > 0)[0]))


def gradient_flow(model: Any, batch: Any, loss_fn: Loss = None) -> Flow:
    """The gradients of each linear layer and convolution for one batch, in the order in which they run.

    Each row has the layer, the norm of its weight's gradient (`grad`), of the weight (`weight`), their ratio (`step`:
    the relative change by a learning rate of 1), and of the gradient at its output (`output_grad`). The model is left
    as it was. The default loss is the doctor's.
    """
    order: list[str] = []
    at_output: dict[str, float] = {}

    def leaving(path: str, module: Any, _: Any, y: Any) -> None:
        if is_weight_layer(module) and path not in order:
            order.append(path)
            if y.requires_grad:
                y.register_hook(lambda g: at_output.__setitem__(path, float(g.double().norm())))

    modules = dict(model.named_modules())
    rows = Flow()
    with untouched(model), torch.enable_grad():
        with watching(model, leaving):
            _loss(model, batch, loss_fn).backward()
        for path in order:
            weight = modules[path].weight
            grad = 0.0 if weight.grad is None else float(weight.grad.double().norm())
            size = float(weight.detach().double().norm())
            rows.append({"layer": path, "grad": grad, "weight": size, "step": grad / size if size else 0.0,
                         "output_grad": at_output.get(path, 0.0)})
    return rows


class Landscape(Rows):
    """Rows of `landscape`, one for each step size."""

    @property
    def beta(self) -> float:
        """The effective smoothness: the largest change of the gradient per distance walked."""
        return max(row["smoothness"] for row in self)


def landscape(model: Any, batch: Any, etas: Iterable[float], loss_fn: Loss = None) -> Landscape:
    """The loss along the gradient, as in Santurkar et al. (2018, Fig. 4): a walk of each step size from where we are.

    Each row has eta, the loss there, `change` (norm of the difference of the gradients, over the norm at the start) and
    `smoothness` (norm of the difference over the distance). The model is left as it was.
    """
    rows = Landscape()
    with untouched(model), torch.enable_grad():
        parameters = [p for p in model.parameters() if p.requires_grad]
        start = [p.detach().clone() for p in parameters]

        def gradients() -> tuple[float, list[Any]]:
            loss = _loss(model, batch, loss_fn)
            grads = torch.autograd.grad(loss, parameters, allow_unused=True)
            return float(loss), [np.zeros(tuple(p.shape)) if g is None else g.double().numpy()
                                 for g, p in zip(grads, parameters)]

        first, here = gradients()
        size = float(np.sqrt(sum((g ** 2).sum() for g in here)))
        rows.title = f"loss {first:.4g}, gradient {size:.4g}"
        for eta in etas:
            with torch.no_grad():
                for p, origin, g in zip(parameters, start, here):
                    p.copy_(origin - eta * torch.from_numpy(g))
            loss, there = gradients()
            distance = float(np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(there, here))))
            rows.append({"eta": float(eta), "loss": loss, "change": distance / size if size else 0.0,
                         "smoothness": distance / (abs(eta) * size) if eta and size else 0.0})
    return rows
