"""The Jacobian of a batch norm, measured: how many directions of the gradient come through."""
from __future__ import annotations

import copy
from typing import Any

import numpy as np

import minitorch_bn as torch

from ._watch import is_batch_norm

LARGEST = 512  # values per channel: the Jacobian has their square, for each channel


class Spectrum:
    """Singular values of a batch norm's Jacobian, per channel.

    Attributes:
        values: (C, m), descending, each divided by |weight| / sqrt(var + eps): 1 for a direction that passes whole.
        m: values per channel.
        rank: (C,): how many of `values` are above `tolerance`. It is m - 2: the mean and the scale are taken away.
    """

    def __init__(self, values: np.ndarray, tolerance: float) -> None:
        self.values = values
        self.tolerance = tolerance
        self.m = values.shape[1]
        self.rank = (values > tolerance).sum(axis=1)

    @property
    def share(self) -> float:
        """The share of directions that pass, averaged over the channels: (m - 2) / m."""
        return float(self.rank.mean() / self.m) if self.m and len(self.rank) else 0.0

    def __repr__(self) -> str:
        return (f"Spectrum(m={self.m}, rank={int(np.median(self.rank)) if len(self.rank) else 0} of {self.m}, "
                f"{self.share:.0%} of the gradient's directions pass)")


def jacobian_spectrum(bn: Any, x: torch.Tensor, tolerance: float = 1e-3) -> Spectrum:
    """The singular values of d output / d input of a batch norm in training, by m backward passes in float64.

    `x` is an input (N, C, ...) with at most 512 values per channel. The layer is left as it was.
    """
    if not is_batch_norm(bn):
        raise TypeError(f"jacobian_spectrum: expected a batch norm, got {type(bn).__name__}")
    m = x.numel() // max(x.shape[1], 1)
    if m > LARGEST:
        raise ValueError(f"jacobian_spectrum: {m} values per channel; the Jacobian is measured up to {LARGEST}. Pass "
                         "fewer samples or positions: the rank is m - 2 for every m")
    layer = copy.deepcopy(bn).double().train()
    with torch.enable_grad():
        own = x.detach().double().requires_grad_()
        y = layer(own)
        n, c = x.shape[:2]
        jacobian = np.zeros((c, m, m))
        for j in range(m):
            cotangent = torch.zeros(n, c, m // n, dtype=torch.float64)
            cotangent[j // (m // n), :, j % (m // n)] = 1
            grad, = torch.autograd.grad(y, own, cotangent.reshape(y.shape), retain_graph=True)
            jacobian[:, j] = np.moveaxis(grad.numpy().reshape(n, c, -1), 1, 0).reshape(c, m)
    var = own.detach().numpy().reshape(n, c, -1).var(axis=(0, 2))
    nominal = 1 / np.sqrt(var + layer.eps)
    if layer.weight is not None:
        nominal = nominal * np.abs(layer.weight.detach().numpy())
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.linalg.svd(jacobian, compute_uv=False) / nominal[:, None]
    return Spectrum(np.nan_to_num(values), tolerance)
