"""Orthogonal polynomials by their three-term recurrences (DLMF 18.9), Chebyshev's by angles inside (-1, 1)."""
from __future__ import annotations

import math
from collections.abc import Callable

from minitorch_bn._core import DTYPES, Tensor, attach, where
from minitorch_bn.ops import acos, cos, sin, trunc
from minitorch_bn.special._base import into, pair, refuse

_Step = Callable[[int, Tensor, Tensor, Tensor], Tensor]  # k, x, P_k, P_(k-1) -> P_(k+1)


def _recurrence(x: Tensor, n: Tensor, first: Tensor, step: _Step, skip: Tensor | None = None) -> Tensor:
    """P_n(x) from P_0 = 1 and P_1 = first; 0 for n < 0. Elements of `skip` need no more than P_1."""
    last, p = x * 0 + 1, first
    result = where(n < 0, 0.0, where(n == 0, last, first))
    pending = n > 1 if skip is None else (n > 1) & ~skip
    most = int(where(pending, n, 0.0).max()) if n.numel() else 0
    for k in range(1, most):
        last, p = p, step(k, x, p, last)
        result = where(pending & (n == k + 1), p, result)
        if k % 64 == 0 and not bool((pending & (p == p)).any()):  # NaN stays NaN
            result = where(pending & (n > k), p, result)
            break
    return result


def _polynomial(name: str, value: Callable[[Tensor, Tensor], Tensor], doc: str) -> Callable[..., Tensor]:
    def function(input: Tensor | float, n: Tensor | int, *, out: Tensor | None = None) -> Tensor:
        x, degree = pair(name, input, n)
        d = trunc(degree.detach().double())
        if name.startswith("hermite"):  # whose values leave the range of the dtype: NaN beyond a degree, as in PyTorch
            limit = 512 if x.dtype is DTYPES["float64"] else 128
            y = where(d > limit, math.nan, value(x.detach().double(), d.clamp(max=limit))).to(x.dtype)
        else:
            y = value(x.detach().double(), d).to(x.dtype)
        return into(out, attach(y, (x, degree), refuse(name), f"Special{name.title().replace('_', '')}Backward0"))
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _chebyshev(first: Callable[[Tensor], Tensor], angle: Callable[[Tensor, Tensor], Tensor],
               least: int) -> Callable[[Tensor, Tensor], Tensor]:
    """By `angle`(n, arc cosine of x) for n > least inside (-1, 1), else by the recurrence all kinds share."""
    def value(x: Tensor, n: Tensor) -> Tensor:
        inside = (x.abs() < 1) & (n > least)
        y = _recurrence(x, n, first(x), lambda k, x, p, last: 2 * x * p - last, inside | (x.abs() == 1))
        y = where(inside, angle(n, acos(where(inside, x, 0.0))), y)
        # At +-1 the quotients of the angle forms are 0 / 0, and the recurrence has equal steps.
        right = 1 + n * (first(x) - 1)
        left = (1 - 2 * (n % 2)) * (1 - n * (first(x) + 1))
        return where(n < 0, 0.0, where(x == 1, right, where(x == -1, left, y)))
    return value


def _ratio(over: Callable[[Tensor], Tensor], shift: float, top: Callable[[Tensor], Tensor]) -> \
        Callable[[Tensor, Tensor], Tensor]:
    return lambda n, t: top((n + shift) * t) / over(t)


def _shifted(value: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, n: value(2 * x - 1, n)


_t = _chebyshev(lambda x: x, lambda n, t: cos(n * t), 6)
_u = _chebyshev(lambda x: 2 * x, _ratio(sin, 1, sin), 8)
_v = _chebyshev(lambda x: 2 * x - 1, _ratio(lambda t: cos(0.5 * t), 0.5, cos), 8)
_w = _chebyshev(lambda x: 2 * x + 1, _ratio(lambda t: sin(0.5 * t), 0.5, sin), 8)
chebyshev_polynomial_t = _polynomial("chebyshev_polynomial_t", _t, "Chebyshev's polynomial of the first kind.")
chebyshev_polynomial_u = _polynomial("chebyshev_polynomial_u", _u, "Chebyshev's polynomial of the second kind.")
chebyshev_polynomial_v = _polynomial("chebyshev_polynomial_v", _v, "Chebyshev's polynomial of the third kind.")
chebyshev_polynomial_w = _polynomial("chebyshev_polynomial_w", _w, "Chebyshev's polynomial of the fourth kind.")
shifted_chebyshev_polynomial_t = _polynomial("shifted_chebyshev_polynomial_t", _shifted(_t),
                                              "Chebyshev's polynomial of the first kind at 2 x - 1.")
shifted_chebyshev_polynomial_u = _polynomial("shifted_chebyshev_polynomial_u", _shifted(_u),
                                              "Chebyshev's polynomial of the second kind at 2 x - 1.")
shifted_chebyshev_polynomial_v = _polynomial("shifted_chebyshev_polynomial_v", _shifted(_v),
                                              "Chebyshev's polynomial of the third kind at 2 x - 1.")
shifted_chebyshev_polynomial_w = _polynomial("shifted_chebyshev_polynomial_w", _shifted(_w),
                                              "Chebyshev's polynomial of the fourth kind at 2 x - 1.")

def _hermite_h(x: Tensor, n: Tensor) -> Tensor:
    return _recurrence(x, n, 2 * x, lambda k, x, p, last: 2 * x * p - 2 * k * last)


def _hermite_he(x: Tensor, n: Tensor) -> Tensor:
    return _recurrence(x, n, x, lambda k, x, p, last: x * p - k * last)


def _laguerre(x: Tensor, n: Tensor) -> Tensor:
    y = _recurrence(x, n, 1 - x, lambda k, x, p, last: ((2 * k + 1 - x) * p - k * last) / (k + 1), x == 0)
    return where((x == 0) & (n >= 0), 1.0, y)


def _legendre(x: Tensor, n: Tensor) -> Tensor:
    y = _recurrence(x, n, x, lambda k, x, p, last: ((2 * k + 1) * x * p - k * last) / (k + 1), x.abs() == 1)
    return where((x.abs() == 1) & (n >= 0), where((x > 0) | (n % 2 == 0), 1.0, -1.0), y)


hermite_polynomial_h = _polynomial("hermite_polynomial_h", _hermite_h, "Hermite's polynomial H_n, of the physicists.")
hermite_polynomial_he = _polynomial("hermite_polynomial_he", _hermite_he,
                                    "Hermite's polynomial He_n, of probability theory.")
laguerre_polynomial_l = _polynomial("laguerre_polynomial_l", _laguerre, "Laguerre's polynomial of degree n.")
legendre_polynomial_p = _polynomial("legendre_polynomial_p", _legendre, "Legendre's polynomial of degree n.")
