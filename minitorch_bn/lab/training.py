"""What the experiments share: small networks with one kind of normalization, plain SGD, and the usual measures."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import minitorch_bn as torch
from minitorch_bn import nn

from .data import Data

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
Norm = Callable[[int], nn.Module]
NORMS: dict[str, Norm | None] = {
    "none": None, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm, "group": lambda width: nn.GroupNorm(8, width)}


def mlp(widths: list[int], norm: str | Norm | None = "none", activation: str = "relu", place: str = "before",
        dropout: float = 0.0) -> nn.Sequential:
    """Linear layers between `widths`; after each but the last the norm, the activation (the norm `before` or `after`
    it) and dropout. The weights start from He's distribution for ReLUs, else from Xavier's."""
    make = NORMS[norm] if isinstance(norm, str) else norm
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        layers.append(nn.Linear(a, b))
        if i < len(widths) - 2:
            both = ([make(b)] if make else []) + [ACTIVATIONS[activation]()]
            layers += both if place == "before" else both[::-1]
            layers += [nn.Dropout(dropout)] if dropout else []
    model = nn.Sequential(*layers)
    initialize(model, he if activation == "relu" else xavier)
    return model


def linears(model: nn.Module) -> list[nn.Linear]:
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear)]


def initialize(model: nn.Module, std: Callable[[nn.Linear], float]) -> None:
    """Normal weights with the standard deviation that `std` gives for a layer, no bias; the last layer stays."""
    for layer in linears(model)[:-1]:
        nn.init.normal_(layer.weight, 0.0, std(layer))
        nn.init.zeros_(layer.bias)


def he(layer: nn.Linear) -> float:
    return math.sqrt(2 / layer.in_features)


def xavier(layer: nn.Linear) -> float:
    return math.sqrt(2 / (layer.in_features + layer.out_features))


def batches(n: int, size: int, seed: int) -> Any:
    """Row numbers, without end: epoch after epoch in new orders; a rest smaller than a batch is left out."""
    generator = torch.Generator().manual_seed(1000 + seed)
    size = min(size, n)
    while True:
        order = torch.randperm(n, generator=generator)
        for start in range(0, n - size + 1, size):
            yield order[start:start + size]


def evaluate(model: nn.Module, x: torch.Tensor, y: torch.Tensor, training: bool = False) -> tuple[float, float]:
    """(accuracy, mean loss) with running statistics or, `training`, with those of this batch (which are not kept)."""
    was = model.training
    kept = {name: buffer.clone() for name, buffer in model.named_buffers()} if training else {}
    model.train(training)
    with torch.no_grad():
        out = model(x)
        accuracy = (out.argmax(dim=1) == y).float().mean().item()
        loss = nn.functional.cross_entropy(out, y).item()
        for name, buffer in model.named_buffers():
            if name in kept:
                buffer.copy_(kept[name])
    model.train(was)
    return accuracy, loss


class History(NamedTuple):
    """What training showed: test accuracies at `steps`, accuracies and test loss at the end."""

    steps: list[int]
    accuracy: list[float]
    final: float
    train_accuracy: float
    loss: float

    def steps_to(self, level: float, otherwise: int) -> int:
        """The first step at which the test accuracy was that high; `otherwise` if it never was."""
        return next((s for s, a in zip(self.steps, self.accuracy) if a >= level), otherwise)


def train(model: nn.Module, data: Data, seed: int, steps: int, batch: int = 64, lr: float = 0.1, momentum: float = 0.0,
          every: int = 0, until: float = 2.0, at: Callable[[int], Any] | None = None) -> History:
    """SGD with a fixed learning rate. Test accuracy is taken every `every` steps, and training ends early at `until`.

    A loss that is not finite ends it as well, and counts as guessing.
    """
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    model.train()
    seen, accuracies, value = [], [], math.inf
    for step, rows in zip(range(1, steps + 1), batches(len(data.x), batch, seed)):
        loss = nn.functional.cross_entropy(model(data.x[rows]), data.y[rows])
        value = loss.item()
        if not math.isfinite(value):
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if at is not None:
            at(step)
        if every and step % every == 0:
            seen.append(step)
            accuracies.append(evaluate(model, data.test_x, data.test_y)[0])
            if accuracies[-1] >= until:
                break
    accuracy, loss_now = evaluate(model, data.test_x, data.test_y)
    trained = evaluate(model, data.x, data.y)[0]
    broken = not (math.isfinite(value) and math.isfinite(loss_now))
    return History(seen, accuracies, 0.1 if broken else accuracy, 0.1 if broken else trained, loss_now)


def layer_gradients(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> list[float]:
    """The norm of the loss's gradient with respect to each linear layer's weight, from the first to the last."""
    loss = nn.functional.cross_entropy(model(x), y)
    grads = torch.autograd.grad(loss, [layer.weight for layer in linears(model)])
    return [g.double().norm().item() for g in grads]


def slope(values: list[float]) -> float:
    """The factor by which positive values grow from one to the next: a straight line through their logarithms."""
    logs = [math.log(max(v, 1e-300)) for v in values]
    middle, mean = (len(logs) - 1) / 2, math.fsum(logs) / len(logs)
    top = math.fsum((i - middle) * (v - mean) for i, v in enumerate(logs))
    return math.exp(top / math.fsum((i - middle) ** 2 for i in range(len(logs))))
