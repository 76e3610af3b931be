"""Bessel functions of order 0 and 1 and Airy's function: Chebyshev series near 0, modulus and phase far from it.

The formulas are those of DLMF 10.8, 10.17, 10.31 and 9.7; PyTorch has no derivatives of these functions.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from minitorch_bn._core import Tensor, where
from minitorch_bn.ops import cos, exp, i0, i1, isinf, log, sin, sqrt
from minitorch_bn.special import _tables
from minitorch_bn.special._base import chebyshev, pieces, unary

_P, _Q = (_tables.P0, _tables.P1), (_tables.Q0, _tables.Q1)
_J, _Y = (_tables.J0, _tables.J1), (_tables.Y0, _tables.Y1)
_K = ((_tables.K0, _tables.K0_MIDDLE, _tables.K0_FAR), (_tables.K1, _tables.K1_MIDDLE, _tables.K1_FAR))


def _wave(order: int, second: bool) -> Callable[[Tensor], Tensor]:
    """J or Y of the order for x > 8 (DLMF 10.17.3, 10.17.4)."""
    def value(x: Tensor) -> Tensor:
        z = 64 / (x * x)
        p, q = chebyshev(_P[order], z, 0, 1), chebyshev(_Q[order], z, 0, 1) / x
        c, s = cos(x), sin(x)  # of x - pi/4 - order pi/2, times sqrt(2), without rounding that difference:
        c, s = (c + s, s - c) if order == 0 else (s - c, -s - c)
        return (p * s + q * c if second else p * c - q * s) / sqrt(math.pi * x)
    return value


def _near(order: int, x: Tensor) -> Tensor:
    """J of the order for |x| <= 8."""
    return chebyshev(_J[order], x * x, 0, 64) * x**order


def _j(order: int) -> Callable[[Tensor], Tensor]:
    def value(x: Tensor) -> Tensor:
        a = x.abs()
        y = pieces(a, (a <= 8, lambda v: _near(order, v)), (a > 8, _wave(order, False)))
        y = where(isinf(a), 0.0, y)
        return y * x.sign() if order else y
    return value


def _y(order: int) -> Callable[[Tensor], Tensor]:
    def near(x: Tensor) -> Tensor:
        own = chebyshev(_Y[order], x * x, 0, 64) * x**order
        pole = 2 / math.pi * (log(x) * _near(order, x) - (1 / x if order else 0.0))
        return own + pole

    def value(x: Tensor) -> Tensor:
        y = pieces(x, ((x > 0) & (x <= 8), near), (x > 8, _wave(order, True)))
        return where(x == 0, -math.inf, where(isinf(x) & (x > 0), 0.0, y))
    return value


def _k(order: int, scaled: bool) -> Callable[[Tensor], Tensor]:
    near_table, middle, far = _K[order]

    def near(x: Tensor) -> Tensor:
        y = chebyshev(near_table, x * x, 0, 1) * x**order
        y = y + (log(x) * i1(x) + 1 / x if order else -log(x) * i0(x))
        return y * exp(x) if scaled else y

    def beyond(table: Sequence[float], low: float, high: float) -> Callable[[Tensor], Tensor]:
        return lambda x: chebyshev(table, 1 / x, low, high) / sqrt(x) * (1.0 if scaled else exp(-x))

    def value(x: Tensor) -> Tensor:
        y = pieces(x, ((x > 0) & (x <= 1), near), ((x > 1) & (x <= 8), beyond(middle, 0.125, 1)),
                   (x > 8, beyond(far, 0, 0.125)))
        return where(x == 0, math.inf, y)
    return value


def _airy(x: Tensor) -> Tensor:
    """DLMF 9.7.5 and 9.7.9; far below 0 the phase 2/3 |x|^1.5 is as exact as x."""
    low, high = 9.797958971132712, 1.885618083164127  # 2/3 x^1.5 at 6 and at 2

    def decay(table: Sequence[float], a: float, b: float) -> Callable[[Tensor], Tensor]:
        def value(v: Tensor) -> Tensor:
            z = v * sqrt(v) * (2 / 3)
            return chebyshev(table, 1 / z, a, b) * exp(-z) / (2 * math.sqrt(math.pi) * sqrt(sqrt(v)))
        return value

    def wave(v: Tensor) -> Tensor:
        a = -v
        z = a * sqrt(a) * (2 / 3)
        p = chebyshev(_tables.AI_P, 1 / (z * z), 0, low**-2)
        q = chebyshev(_tables.AI_Q, 1 / (z * z), 0, low**-2) / z
        c, s = cos(z), sin(z)
        return ((c + s) * p + (s - c) * q) / (math.sqrt(2 * math.pi) * sqrt(sqrt(a)))

    y = pieces(x, ((x >= -6) & (x < 0), lambda v: chebyshev(_tables.AI_LEFT, v, -6, 0)),
               ((x >= 0) & (x <= 2), lambda v: chebyshev(_tables.AI_NEAR, v, 0, 2)),
               ((x > 2) & (x <= 6), decay(_tables.AI_MIDDLE, 1 / low, 1 / high)),
               (x > 6, decay(_tables.AI_FAR, 0, 1 / low)), ((x < -6) & ~isinf(x), wave))
    return where(isinf(x), math.nan, y)


def _sphere(x: Tensor) -> Tensor:
    """sin(x) / x, by its series near 0."""
    w = x * x
    series = 1 - w / 6 * (1 - w / 20 * (1 - w / 42 * (1 - w / 72 * (1 - w / 110 * (1 - w / 156)))))
    y = where(x.abs() < 0.5, series, sin(x) / where(x == 0, 1.0, x))
    return where(isinf(x), 0.0, y)


bessel_j0 = unary("bessel_j0", _j(0), None, "The Bessel function of the first kind, order 0.")
bessel_j1 = unary("bessel_j1", _j(1), None, "The Bessel function of the first kind, order 1.")
bessel_y0 = unary("bessel_y0", _y(0), None, "The Bessel function of the second kind, order 0; NaN below 0.")
bessel_y1 = unary("bessel_y1", _y(1), None, "The Bessel function of the second kind, order 1; NaN below 0.")
modified_bessel_i0 = unary("modified_bessel_i0", i0, None, "The modified Bessel function of the first kind, order 0.")
modified_bessel_i1 = unary("modified_bessel_i1", i1, None, "The modified Bessel function of the first kind, order 1.")
modified_bessel_k0 = unary("modified_bessel_k0", _k(0, False), None,
                           "The modified Bessel function of the second kind, order 0; NaN below 0.")
modified_bessel_k1 = unary("modified_bessel_k1", _k(1, False), None,
                           "The modified Bessel function of the second kind, order 1; NaN below 0.")
scaled_modified_bessel_k0 = unary("scaled_modified_bessel_k0", _k(0, True), None, "exp(x) K0(x)")
scaled_modified_bessel_k1 = unary("scaled_modified_bessel_k1", _k(1, True), None, "exp(x) K1(x)")
spherical_bessel_j0 = unary("spherical_bessel_j0", _sphere, None, "sin(x) / x")
airy_ai = unary("airy_ai", _airy, None, "Airy's function Ai; NaN at the infinities.")
