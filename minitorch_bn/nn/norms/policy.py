"""Which values a batch norm takes its statistics of, and how it keeps them: the choices beyond PyTorch's arguments."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields, replace
from typing import Any

import minitorch_bn as torch
from minitorch_bn._modes import recomputing
from minitorch_bn.nn import functional as F
from minitorch_bn.nn.module import Module

from . import core

Tensor = torch.Tensor


@dataclass(frozen=True)
class Renorm:
    """Batch renormalization (Ioffe 2017): xhat * r + d brings the batch's statistics near the running ones.

    r = sigma_batch / sigma_running and d = (mu_batch - mu_running) / sigma_running are constants to the gradient,
    clipped to [1/r_max, r_max] and [-d_max, d_max]. Up to `warmup` batches r_max is 1 and d_max 0 (plain batch norm);
    then they grow in a line to `r` at `r_end` and `d` at `d_end` batches. The defaults are the paper's.
    """

    r: float = 3.0
    d: float = 5.0
    warmup: int = 5000
    r_end: int = 40000
    d_end: int = 25000

    @classmethod
    def over(cls, steps: int, r: float = 3.0, d: float = 5.0) -> Renorm:
        """The paper's schedule for a training of `steps` batches: its 130 000, in proportion."""
        return cls(r, d, *(round(steps * at / 130_000) for at in (5000, 40_000, 25_000)))

    def limits(self, batches: int) -> tuple[float, float]:
        """(r_max, d_max) after so many batches."""
        def part(end: int) -> float:
            return min(1.0, max(0.0, (batches - self.warmup) / (end - self.warmup))) if end > self.warmup else \
                float(batches >= self.warmup)

        return 1 + (self.r - 1) * part(self.r_end), self.d * part(self.d_end)


@dataclass(frozen=True)
class Policy:
    """The choices of one batch norm. What is not PyTorch's default is printed with the layer."""

    axis: int = 1
    ghost: int | None = None
    renorm: Renorm | None = None
    on_single: str = "error"
    unbiased_running: bool = True
    virtual_workers: int | None = None
    frozen: bool = False
    hold: bool = False  # by the batch's statistics, which are not remembered

    def __post_init__(self) -> None:
        if self.on_single not in ("error", "running", "identity"):
            raise ValueError(f"on_single must be 'error', 'running' or 'identity', got {self.on_single!r}")
        for name in "ghost", "virtual_workers":
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")

    def chosen(self) -> dict[str, Any]:
        """The fields that are not at their defaults."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}


def set_policy(layer: Any, **changes: Any) -> None:
    """Change some choices of a layer; with all at their defaults it has no policy."""
    policy = replace(layer._policy or Policy(), **changes)
    layer._policy = policy if policy.chosen() else None


def ghost_sizes(n: int, size: int) -> list[int]:
    """How n samples are cut into virtual batches of `size`.

    A remainder of more than half of it is a batch of its own; a smaller one joins the last, so none is of one sample.
    """
    whole, rest = divmod(n, size)
    if not whole:
        return [n]
    sizes = [size] * whole
    if 2 * rest > size:
        sizes.append(rest)
    else:
        sizes[-1] += rest
    return sizes


def layer_path(layer: Module) -> str:
    """The name of a layer in the outermost module that is being called; '' if it is called by itself."""
    frame, path = sys._getframe(1), ""
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, Module) and owner is not layer:
            path = next((name for name, module in owner.named_modules() if module is layer), path)
        frame = frame.f_back  # type: ignore[assignment]
    return path


def explained(layer: Module, error: ValueError) -> ValueError:
    """The error that there is one value per channel, with the layer's place in the network and the way out."""
    path = layer_path(layer)
    if not path or "more than 1 value" not in str(error):
        return error
    return ValueError(f"{error} in layer {path!r} ({type(layer).__name__}). Leave such a batch out (drop_last=True), "
                      "or choose on_single='running' or 'identity'")


def forward(layer: Any, input: Tensor, mask: Tensor | None = None) -> Tensor:
    """What a batch norm with a policy, or with a mask of the values that count, computes."""
    policy = layer._policy or Policy()
    layer._check_input_dim(input)
    x = input if policy.axis == 1 else input.movedim(policy.axis, 1)
    if x.size(1) != layer.num_features:
        raise ValueError(f"expected the input's size at dim={policy.axis} to be num_features ({layer.num_features}), "
                         f"but got: {x.size(1)} (input of shape {tuple(input.shape)})")
    if mask is not None:
        mask = _over_positions(mask, x, policy.axis)
    train = layer.running_mean is None or (layer.training and not policy.frozen)
    try:
        if train and policy.ghost is not None and x.size(0):
            sizes = ghost_sizes(x.size(0), policy.ghost)
            masks = [None] * len(sizes) if mask is None else mask.split(sizes)
            y = torch.cat([_of_some(layer, policy, part, m, True) for part, m in zip(x.split(sizes), masks)])
        else:
            y = _of_some(layer, policy, x, mask, train)
    except ValueError as error:
        raise explained(layer, error) from None
    return y if policy.axis == 1 else y.movedim(1, policy.axis)


def _over_positions(mask: Tensor, x: Tensor, axis: int) -> Tensor:
    """The mask with the shape (N, *size): given so, or so that it broadcasts, or with a channel axis of size 1."""
    if mask.dim() == x.dim():
        mask = mask if axis == 1 else mask.movedim(axis, 1)
        if mask.size(1) != 1:
            raise ValueError(f"a mask is the same for all channels: expected size 1 at dim={axis}, got {mask.size(1)}")
        mask = mask.squeeze(1)
    shape = (x.size(0), *x.shape[2:])
    if mask.dim() != len(shape):
        raise ValueError(f"expected a mask of shape {shape}, one value for each position, got {tuple(mask.shape)}")
    return mask.expand(shape).bool()


def _of_some(layer: Any, policy: Policy, x: Tensor, mask: Tensor | None, train: bool) -> Tensor:
    """Batch norm of the positions that count, packed as rows (n, C); the others come out as zeros."""
    if mask is None:
        return _of_all(layer, policy, x, train)
    last = x.movedim(1, -1)
    index = mask.reshape(-1).nonzero().squeeze(1)
    rows = last.reshape(-1, x.size(1)).index_select(0, index)
    y = _of_all(layer, policy, rows, train)
    spread = torch.zeros(last.numel() // max(x.size(1), 1), x.size(1), dtype=y.dtype).index_add(0, index, y)
    return spread.reshape(last.shape).movedim(-1, 1)


def _of_all(layer: Any, policy: Policy, x: Tensor, train: bool) -> Tensor:
    mean, var, weight, bias, eps = layer.running_mean, layer.running_var, layer.weight, layer.bias, layer.eps
    if x.numel() and x.numel() == x.size(1) and train:
        if policy.on_single == "identity":
            return x
        train = policy.on_single == "error"
    if not train:
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)
    tracked, momentum = layer.num_batches_tracked, layer.momentum
    counts = layer.training and layer.track_running_stats and not policy.hold and not recomputing.on and x.numel() > 0
    if policy.renorm is None and policy.virtual_workers is None and policy.unbiased_running:
        if not counts:
            return F.batch_norm(x, None, None, weight, bias, True, 0.0, eps)
        y = F.batch_norm(x, mean, var, weight, bias, True, core.step(tracked, momentum), eps)
        if tracked is not None:
            tracked.add_(1)
        return y
    if policy.renorm is not None and layer.training and x.numel():
        weight, bias = _renormalized(policy.renorm, layer, x)
    if policy.virtual_workers is None:
        y, found = core.normalize(x, weight, bias, eps)
    else:
        parts, found = core.synchronized(x.tensor_split(policy.virtual_workers), weight, bias, eps)
        y = torch.cat(parts)
    if counts and policy.renorm is not None:
        deviation = (var.double() + eps).sqrt()  # it is the deviation that moves, kept as a variance
        core.move(deviation, (found.var + eps).sqrt(), core.step(tracked, momentum))
        core.update(mean, None, tracked, found, momentum)
        with torch.no_grad():
            var.copy_((deviation.square() - eps).clamp_min(0))
    elif counts:
        core.update(mean, var, tracked, found, momentum, policy.unbiased_running)
    return y


@torch.no_grad()
def _factors(renorm: Renorm, layer: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """r and d, in float64."""
    if layer.num_batches_tracked is None:
        raise ValueError("renorm needs running statistics: track_running_stats=True")
    r_max, d_max = renorm.limits(layer.num_batches_tracked.item())
    var, mean = (value.double() for value in torch.var_mean(x, core.dims_of(x), correction=0))
    deviation = (layer.running_var.double() + layer.eps).sqrt()
    r = ((var + layer.eps).sqrt() / deviation).clamp(1 / r_max, r_max)
    return r, ((mean - layer.running_mean.double()) / deviation).clamp(-d_max, d_max)


def _renormalized(renorm: Renorm, layer: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """The weight and bias that make plain batch norm (xhat * r + d) * weight + bias."""
    r, d = (value.to(x.dtype) for value in _factors(renorm, layer, x))
    weight, bias = layer.weight, layer.bias
    if weight is not None:
        r, d = r * weight.to(x.dtype), d * weight.to(x.dtype)
    return r, d if bias is None else d + bias.to(x.dtype)


def held(layer: Any) -> bool:
    """Whether a layer that keeps its own statistics leaves them alone now: `stats_frozen`, or a recomputation."""
    return recomputing.on or getattr(layer, "_held", False)
