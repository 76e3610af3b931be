"""Dropout of elements, of whole channels, and the variants that keep the statistics of SELU networks."""

from __future__ import annotations

import warnings

import minitorch_bn as torch

_ALPHA = 1.7580993408473766  # minus the value that SELU tends to at -infinity


def _check_probability(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    """In training, zero each element with probability p, scale the others by 1 / (1 - p) (Srivastava et al. 2014)."""
    _check_probability(p)
    return torch.dropout_(input, p, training) if inplace else torch.dropout(input, p, training)


def _keep(input: torch.Tensor, p: float, channels: bool) -> torch.Tensor:
    """0/1 of the input's dtype, 1 with probability 1 - p: per element, or per (N, C) channel."""
    shape = (*input.shape[:2], *[1] * (input.dim() - 2)) if channels else input.shape
    return torch.empty(shape, dtype=input.dtype).bernoulli_(1 - p)


def _feature_dropout(input: torch.Tensor, p: float, training: bool, inplace: bool) -> torch.Tensor:
    """Dropout of whole channels of (N, C, ...)."""
    if not training or p == 0:
        return input
    scale = _keep(input, p, channels=True) / (1 - p) if p < 1 else input.new_zeros(())
    return input.mul_(scale) if inplace else input * scale


def _channel_dropout(ndim: int, input: torch.Tensor, p: float, training: bool, inplace: bool) -> torch.Tensor:
    """Channel dropout of (N, C, *size), or of (C, *size) as a batch of one, with `ndim` size axes."""
    _check_probability(p)
    if input.dim() not in (ndim + 1, ndim + 2):
        if ndim == 1:
            raise RuntimeError(f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. Note that "
                               "dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, a "
                               "channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs).")
        warnings.warn(f"dropout{ndim}d: Received a {input.dim()}-D input to dropout{ndim}d, which is deprecated and "
                      f"will result in an error in a future release. Use an input of {ndim + 1} or {ndim + 2} axes.",
                      stacklevel=3)
    if ndim != 2 and input.dim() == ndim + 1:
        return _feature_dropout(input.unsqueeze(0), p, training, inplace).squeeze(0)
    return _feature_dropout(input, p, training, inplace)


def dropout1d(input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    """Dropout of whole channels of (N, C, L) or (C, L) (Tompson et al. 2015)."""
    return _channel_dropout(1, input, p, training, inplace)


def dropout2d(input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    """Dropout of whole channels of (N, C, H, W); of (N, C, L) too, for PyTorch's sake."""
    return _channel_dropout(2, input, p, training, inplace)


def dropout3d(input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    return _channel_dropout(3, input, p, training, inplace)


def _alpha_dropout(input: torch.Tensor, p: float, training: bool, inplace: bool, channels: bool) -> torch.Tensor:
    """Set to -_ALPHA with probability p, then scale and shift back to the input's mean and variance."""
    _check_probability(p)
    if not training or p == 0:
        return input
    if p == 1:
        result = input * 0.0
    else:
        keep = _keep(input, p, channels)
        scale = ((_ALPHA**2 * p + 1) * (1 - p)) ** -0.5
        result = input * (keep * scale) + ((keep - 1) * (_ALPHA * scale) + _ALPHA * scale * p)
    return input.copy_(result) if inplace else result


def alpha_dropout(input: torch.Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> torch.Tensor:
    """Dropout that keeps mean and variance of a SELU network (Klambauer et al. 2017)."""
    return _alpha_dropout(input, p, training, inplace, channels=False)


def feature_alpha_dropout(input: torch.Tensor, p: float = 0.5, training: bool = False,
                          inplace: bool = False) -> torch.Tensor:
    """alpha_dropout of whole channels of (N, C, ...)."""
    return _alpha_dropout(input, p, training, inplace, channels=True)
