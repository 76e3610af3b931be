"""Kinds of batch normalization that the experiments compare, written out in a few lines each."""

from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn.nn import functional as F


class GhostNorm(nn.BatchNorm1d):
    """Batch norm of parts of `size` rows, each by itself (Hoffer et al. 2017); what is over joins the last part."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__(width)
        self.size = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = max(len(x) // self.size, 1) if self.training else 1
        if parts == 1:
            return super().forward(x)
        width, whole = x.shape[1], parts * self.size
        if whole < len(x):
            return torch.cat([self(x[:whole - self.size]), super().forward(x[whole - self.size:])])
        side_by_side = x.reshape(parts, self.size, width).transpose(0, 1).reshape(self.size, parts * width)
        mean, var = torch.zeros(parts * width), torch.zeros(parts * width)  # with momentum 1: the parts' own
        weight, bias = self.weight.repeat(parts), self.bias.repeat(parts)
        y = F.batch_norm(side_by_side, mean, var, weight, bias, True, 1.0, self.eps)
        self.running_mean.lerp_(mean.reshape(parts, width).mean(dim=0), self.momentum)
        self.running_var.lerp_(var.reshape(parts, width).mean(dim=0), self.momentum)
        return y.reshape(self.size, parts, width).transpose(0, 1).reshape(whole, width)


class Renorm(nn.BatchNorm1d):
    """Batch renormalization (Ioffe 2017, algorithm 1): the batch's statistics, corrected towards the running ones."""

    def __init__(self, width: int, r: float = 3.0, d: float = 5.0, warmup: int = 100) -> None:
        super().__init__(width, momentum=0.05)
        self.r, self.d, self.warmup = r, d, warmup

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        share = min(self.num_batches_tracked.item() / self.warmup, 1.0)  # the limits open up from plain batch norm
        self.num_batches_tracked.add_(1)
        mean, var = x.mean(dim=0), x.var(dim=0, correction=0)
        std, known = (var + self.eps).sqrt(), (self.running_var + self.eps).sqrt()
        most, shift = 1 + share * (self.r - 1), share * self.d
        r = (std.detach() / known).clamp(1 / most, most)
        d = ((mean.detach() - self.running_mean) / known).clamp(-shift, shift)
        self.running_mean.lerp_(mean.detach(), self.momentum)
        self.running_var.lerp_(var.detach(), self.momentum)
        return ((x - mean) / std * r + d) * self.weight + self.bias


class NoisyNorm(nn.BatchNorm1d):
    """Batch norm, then noise whose mean and variance change at each step: covariate shift is back (Santurkar 2018)."""

    hold = False  # keep the last noise: to compare losses at one step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        if not self.training:
            return y
        if not self.hold:
            scale, shift = 1 + 0.2 * torch.randn(x.shape[1]), 0.3 * torch.randn(x.shape[1])
            self.noise = (scale, shift + 0.1 * torch.randn(x.shape[0], x.shape[1]))
        return y * self.noise[0] + self.noise[1]


def recalibrate(model: nn.Module, x: torch.Tensor) -> None:
    """Running statistics become those of x, in one batch; parameters and mode stay as they are."""
    layers: list[Any] = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d)]
    was, kept = model.training, [m.momentum for m in layers]
    model.train()
    with torch.no_grad():
        for layer in layers:
            layer.momentum = 1.0
        model(x)
    for layer, momentum in zip(layers, kept):
        layer.momentum = momentum
    model.train(was)
