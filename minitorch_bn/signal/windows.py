"""Windows for spectral analysis (Harris 1978): torch.signal.windows, and the older functions of the top level.

A symmetric window of M points spans its period at M - 1 steps, a periodic one (sym=False) at M. All are computed in
float64 and rounded to the dtype.
"""
from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import minitorch_bn as torch
from minitorch_bn import Tensor

__all__ = ["bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine", "general_hamming", "hamming",
           "hann", "kaiser", "nuttall"]


def _points(name: str, M: int, sym: bool, dtype: Any, layout: Any) -> tuple[Tensor, int]:
    """(0 .. M-1 in float64, the steps that the window spans), after the checks common to all."""
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if layout is not torch.strided and layout is not None:
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    dtype = torch.get_default_dtype() if dtype is None else dtype
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    return torch.arange(M, dtype=torch.float64), M if not sym and M > 1 else M - 1


def _made(window: Tensor, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    dtype = torch.get_default_dtype() if dtype is None else dtype
    return window.to(device=device, dtype=dtype).requires_grad_(requires_grad)


def _cosines(n: Tensor, span: int, a: Iterable[float]) -> Tensor:
    """The sum of (-1)^i a_i cos(2 pi i n / span); 1 for a window of one point."""
    if n.numel() == 1:
        return torch.ones_like(n)
    angle = n * (2 * math.pi / max(span, 1))
    total = torch.zeros_like(n)
    for i, weight in enumerate(a):
        total = total + (-1) ** i * weight * torch.cos(i * angle)
    return total


def _kaiser(n: Tensor, span: int, beta: float) -> Tensor:
    if n.numel() == 1:
        return torch.ones_like(n)
    x = 2 * n / max(span, 1) - 1
    # in logarithms, as I0 of a great beta leaves the range
    w = beta * (1 - x * x).clamp(min=0).sqrt()
    top = torch.tensor(float(beta), dtype=torch.float64)
    return torch.special.i0e(w) / torch.special.i0e(top) * torch.exp(w - top)


def exponential(M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: Any = None,
                layout: Any = torch.strided, device: Any = None, requires_grad: bool = False) -> Tensor:
    """exp(-|n - center| / tau), the Poisson window; center is the middle unless given."""
    n, span = _points("exponential", M, sym, dtype, layout)
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    return _made(torch.exp(-(n - (span / 2 if center is None else center)).abs() / tau), dtype, device, requires_grad)


def cosine(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = torch.strided, device: Any = None,
           requires_grad: bool = False) -> Tensor:
    """sin(pi (n + 1/2) / M), or / (M + 1) for a periodic window."""
    n, span = _points("cosine", M, sym, dtype, layout)
    return _made(torch.sin((n + 0.5) * (math.pi / max(span + 1, 1))), dtype, device, requires_grad)


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = torch.strided,
             device: Any = None, requires_grad: bool = False) -> Tensor:
    """exp(-((n - middle) / std)^2 / 2)"""
    n, span = _points("gaussian", M, sym, dtype, layout)
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    return _made(torch.exp(-0.5 * ((n - span / 2) / std).square()), dtype, device, requires_grad)


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None, layout: Any = torch.strided,
           device: Any = None, requires_grad: bool = False) -> Tensor:
    """I0(beta sqrt(1 - x^2)) / I0(beta), x from -1 to 1"""
    n, span = _points("kaiser", M, sym, dtype, layout)
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    return _made(_kaiser(n, span, beta), dtype, device, requires_grad)


def general_cosine(M: int, *, a: Iterable[float], sym: bool = True, dtype: Any = None, layout: Any = torch.strided,
                   device: Any = None, requires_grad: bool = False) -> Tensor:
    """The sum of (-1)^i a_i cos(2 pi i n / (M - 1))."""
    n, span = _points("general_cosine", M, sym, dtype, layout)
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    a = list(a)
    if not a:
        raise ValueError("Coefficients cannot be empty")
    return _made(_cosines(n, span, a), dtype, device, requires_grad)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, dtype: Any = None, layout: Any = torch.strided,
                    device: Any = None, requires_grad: bool = False) -> Tensor:
    """alpha - (1 - alpha) cos(2 pi n / (M - 1))"""
    n, span = _points("general_hamming", M, sym, dtype, layout)
    return _made(_cosines(n, span, (alpha, 1 - alpha)), dtype, device, requires_grad)


def hamming(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = torch.strided, device: Any = None,
            requires_grad: bool = False) -> Tensor:
    """0.54 - 0.46 cos(2 pi n / (M - 1))"""
    n, span = _points("hamming", M, sym, dtype, layout)
    return _made(_cosines(n, span, (0.54, 0.46)), dtype, device, requires_grad)


def hann(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = torch.strided, device: Any = None,
         requires_grad: bool = False) -> Tensor:
    """(1 - cos(2 pi n / (M - 1))) / 2"""
    n, span = _points("hann", M, sym, dtype, layout)
    return _made(_cosines(n, span, (0.5, 0.5)), dtype, device, requires_grad)


def blackman(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = torch.strided, device: Any = None,
             requires_grad: bool = False) -> Tensor:
    """0.42 - 0.5 cos(t) + 0.08 cos(2 t), t = 2 pi n / (M - 1)"""
    n, span = _points("blackman", M, sym, dtype, layout)
    return _made(_cosines(n, span, (0.42, 0.5, 0.08)), dtype, device, requires_grad)


def nuttall(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = torch.strided, device: Any = None,
            requires_grad: bool = False) -> Tensor:
    """Nuttall's minimal four-term Blackman-Harris window (Nuttall 1981)."""
    n, span = _points("nuttall", M, sym, dtype, layout)
    return _made(_cosines(n, span, (0.3635819, 0.4891775, 0.1365995, 0.0106411)), dtype, device, requires_grad)


def bartlett(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = torch.strided, device: Any = None,
             requires_grad: bool = False) -> Tensor:
    """1 - |2 n / (M - 1) - 1|, a triangle."""
    n, span = _points("bartlett", M, sym, dtype, layout)
    window = torch.ones_like(n) if M == 1 else 1 - (2 * n / max(span, 1) - 1).abs()
    return _made(window, dtype, device, requires_grad)


# -- the top level's functions: of any float dtype, periodic unless told -----------------------------------------------

def _old(name: str, length: int, periodic: bool, dtype: Any) -> tuple[Tensor, int]:
    if length < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got window_length={length}")
    if dtype is not None and not dtype.is_floating_point:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {dtype}")
    return torch.arange(length, dtype=torch.float64), length if periodic else length - 1


def hann_window(window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
                pin_memory: bool = False, requires_grad: bool = False) -> Tensor:
    """(1 - cos(2 pi n / N)) / 2, N = window_length, or one less for a symmetric window."""
    n, span = _old("hann_window", window_length, periodic, dtype)
    return _made(_cosines(n, span, (0.5, 0.5)), dtype, device, requires_grad)


def hamming_window(window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *,
                   dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
                   requires_grad: bool = False) -> Tensor:
    """alpha - beta cos(2 pi n / N), N = window_length, or one less for a symmetric window."""
    n, span = _old("hamming_window", window_length, periodic, dtype)
    return _made(_cosines(n, span, (alpha, beta)), dtype, device, requires_grad)


def blackman_window(window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None,
                    device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:
    """0.42 - 0.5 cos(t) + 0.08 cos(2 t), t = 2 pi n / N."""
    n, span = _old("blackman_window", window_length, periodic, dtype)
    return _made(_cosines(n, span, (0.42, 0.5, 0.08)), dtype, device, requires_grad)


def bartlett_window(window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None,
                    device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:
    """1 - |2 n / N - 1|"""
    n, span = _old("bartlett_window", window_length, periodic, dtype)
    window = torch.ones_like(n) if window_length == 1 else 1 - (2 * n / max(span, 1) - 1).abs()
    return _made(window, dtype, device, requires_grad)


def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None,
                  layout: Any = None, device: Any = None, pin_memory: bool = False,
                  requires_grad: bool = False) -> Tensor:
    """I0(beta sqrt(1 - x^2)) / I0(beta), x = 2 n / N - 1."""
    n, span = _old("kaiser_window", window_length, periodic, dtype)
    return _made(_kaiser(n, span, beta), dtype, device, requires_grad)
