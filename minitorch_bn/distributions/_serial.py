"""Gamma, Poisson and binomial numbers one after another, as PyTorch draws them: used under stream="torch" alone.

How many uniform and normal numbers each takes, and in which order, decides all numbers that follow, so that the
proposals of _sampling.py, made for all elements at once, would not do here.
"""
from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn import Tensor


class Source:
    """Single float64 numbers of a generator; logarithms and the like as this package computes them."""

    def __init__(self, generator: Any) -> None:
        self.generator = generator

    def uniform(self) -> float:
        return torch.rand(1, dtype=torch.float64, generator=self.generator).item()

    def normal(self) -> float:
        return torch.randn(1, dtype=torch.float64, generator=self.generator).item()


def _log(x: float) -> float:
    return torch.tensor(x, dtype=torch.float64).log().item()


def _lgamma(x: float) -> float:
    return torch.tensor(x, dtype=torch.float64).lgamma().item()


def _floor(x: float) -> float:
    return x // 1.0


def _log_gamma_number(a: float, source: Source) -> float:
    """Marsaglia and Tsang 2000, with the quick test of their paper, which saves no number."""
    boost = 0.0
    if a < 1:
        boost = _log(1 - source.uniform()) / a
        a += 1
    d = a - 1 / 3
    c = 1 / (9 * d) ** 0.5
    while True:
        x = source.normal()
        y = 1 + c * x
        while y <= 0:
            x = source.normal()
            y = 1 + c * x
        log_v = 3 * _log(y)
        u = 1 - source.uniform()
        if _log(u) < 0.5 * x * x + d * (1 - y**3 + log_v):
            return boost + _log(d) + log_v


def _poisson_number(rate: float, source: Source) -> float:
    """Products of uniform numbers (Knuth) below rate 10, else Hormann 1993 (PTRS)."""
    if rate == 0:
        return 0.0
    if rate < 10:
        limit = torch.tensor(-rate, dtype=torch.float64).exp().item()
        count, product = 0, source.uniform()
        while product > limit:
            count, product = count + 1, product * source.uniform()
        return float(count)
    b = 0.931 + 2.53 * rate**0.5
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    while True:
        u, v = source.uniform() - 0.5, source.uniform()
        us = 0.5 - abs(u)
        k = _floor((2 * a / us + b) * u + rate + 0.43) if us > 0 else -1.0
        if us >= 0.07 and v <= 0.9277 - 3.6224 / (b - 2):
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        if _log(v * inverse_alpha / (a / (us * us) + b)) <= k * _log(rate) - rate - _lgamma(k + 1):
            return k


def _binomial_number(n: float, p: float, source: Source) -> float:
    """Sums of geometric numbers where the mean is below 10, else Hormann 1993 (BTRS)."""
    if not (n > 0 and p > 0):
        return 0.0
    if p >= 1:
        return n
    if p > 0.5:
        return n - _binomial_number(n, 1 - p, source)
    if n * p < 10:
        count, total, log_q = 0, 0.0, torch.tensor(-p, dtype=torch.float64).log1p().item()
        while True:
            step = _log(source.uniform()) / log_q
            total += -_floor(-step)
            if total > n:
                return float(count)
            count += 1
    spread = (n * p * (1 - p)) ** 0.5
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    alpha = (2.83 + 5.1 / b) * spread
    mode = _floor((n + 1) * p)
    log_odds = _log(p / (1 - p))
    at_mode = _lgamma(mode + 1) + _lgamma(n - mode + 1)
    while True:
        u, v = source.uniform() - 0.5, source.uniform()
        us = 0.5 - abs(u)
        k = _floor((2 * a / us + b) * u + n * p + 0.5) if us > 0 else -1.0
        if us >= 0.07 and v <= 0.92 - 4.2 / b:
            return k
        if k < 0 or k > n:
            continue
        height = _log(v * alpha / (a / (us * us) + b))
        if height <= at_mode - _lgamma(k + 1) - _lgamma(n - k + 1) + (k - mode) * log_odds:
            return k


def _each(function: Any, generator: Any, *parameters: Tensor) -> Tensor:
    source = Source(generator)
    rows = zip(*(p.tolist() for p in parameters))
    return torch.tensor([function(*row, source) for row in rows], dtype=torch.float64)


def log_gamma(alpha: Tensor, generator: Any) -> Tensor:
    """Logarithms of Gamma(alpha, 1) numbers, float64 vectors."""
    return _each(_log_gamma_number, generator, alpha)


def poisson(rate: Tensor, generator: Any) -> Tensor:
    """Poisson numbers, float64 vectors."""
    return _each(_poisson_number, generator, rate)


def binomial(count: Tensor, prob: Tensor, generator: Any) -> Tensor:
    """Binomial numbers, float64 vectors."""
    return _each(_binomial_number, generator, count, prob)
