"""Functions of the normal distribution and of entropy: entr, erfcx, log_ndtr, ndtri; and the zeta function."""
from __future__ import annotations

import math

from minitorch_bn._core import Tensor, attach, where
from minitorch_bn.ops import erfc, erfinv, exp, floor, isinf, log, log1p, sqrt
from minitorch_bn.special._base import into, pair, pieces, refuse, unary

ROOT_HALF = math.sqrt(0.5)


def _entr(x: Tensor) -> Tensor:
    return where(x > 0, -x * log(where(x > 0, x, 1.0)), where(x < 0, -math.inf, x))


def _erfcx(x: Tensor) -> Tensor:
    """e^(x^2) erfc(x), the square in two parts; for large x the asymptotic series (DLMF 7.12.1)."""
    def near(v: Tensor) -> Tensor:
        head = v.float().double()
        return exp(head * head) * erfc(v) * exp((v - head) * (v + head))

    def far(v: Tensor) -> Tensor:
        w = 0.5 / (v * v)
        total = w * 0 + 1
        for k in range(14, 0, -1):
            total = 1 - (2 * k - 1) * w * total
        return total / (v * math.sqrt(math.pi))
    return pieces(x, ((x > -27) & (x < 10), near), (x <= -27, lambda v: v * 0 + math.inf), (x >= 10, far)) \
        .where(~isinf(x), where(x > 0, 0.0, math.inf))


def _log_ndtr(x: Tensor) -> Tensor:
    tail = x.clamp(max=-1.0)
    low = log(0.5 * _erfcx(-tail * ROOT_HALF)) - 0.5 * tail * tail
    high = log1p(-0.5 * erfc(x.clamp(min=-1.0) * ROOT_HALF))
    return where(x < -1, where(isinf(x), -math.inf, low), high)


def _ndtri(p: Tensor) -> Tensor:
    """sqrt(2) erfinv(2 p - 1); below 1/4 Halley's method on log_ndtr(y) = log(p) from Abramowitz and Stegun 26.2.23."""
    def tail(v: Tensor) -> Tensor:
        goal = log(v)
        t = sqrt(-2 * goal)
        y = (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t
        for _ in range(3):
            f = _log_ndtr(y) - goal
            slope = math.sqrt(2 / math.pi) / _erfcx(-y * ROOT_HALF)
            step = f / slope
            y = y - step / (1 + 0.5 * step * (y + slope))
        return y

    y = pieces(p, ((p > 0) & (p < 0.25), tail), ((p >= 0.25) & (p < 1), lambda v: math.sqrt(2) * erfinv(2 * v - 1)))
    return where(p == 0, -math.inf, where(p == 1, math.inf, y))


entr = unary("entr", _entr, lambda x, y: -1 - log(x), "-x log(x); 0 at 0, -inf below.")
erfcx = unary("erfcx", _erfcx, lambda x, y: 2 * x * y - 2 / math.sqrt(math.pi),
              "exp(x^2) erfc(x), the scaled complementary error function.")
log_ndtr = unary("log_ndtr", _log_ndtr, lambda x, y: math.sqrt(2 / math.pi) / erfcx(x * -ROOT_HALF),
                 "The logarithm of the standard normal distribution function.")
ndtri = unary("ndtri", _ndtri, lambda x, y: math.sqrt(2 * math.pi) * exp(0.5 * y * y),
              "The quantile of the standard normal distribution: the inverse of ndtr.")

# B_2j / (2j)!, of Euler and Maclaurin's formula
_EULER = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600,
          -3617 / 10670622842880000, 43867 / 5109094217170944000, -174611 / 802857662698291200000)


def _positive_zeta(s: Tensor, q: Tensor) -> Tensor:
    """The sum of (q + k)^-s over k >= 0, s > 1 and q > 0 (DLMF 25.11.5)."""
    total = q.pow(-s)
    for k in range(1, 12):
        total = total + (q + k).pow(-s)
    a = q + 12
    r = 1 / a
    tail, rising = s * 0 + 0.5, s * r
    for j, b in enumerate(_EULER):
        tail = tail + b * rising
        rising = rising * ((s + 2 * j + 1) * r * ((s + 2 * j + 2) * r))
    power = a.pow(-s)
    return total + where(power == 0, 0.0, power * (a / (s - 1) + tail))


def _zeta(s: Tensor, q: Tensor) -> Tensor:
    safe = where((s > 1) & ~isinf(s), s, 2.0)
    fraction = q - floor(q)
    low = where((q <= 0) & (fraction > 0), fraction, 1.0)
    inner = where((q > 0) & ~isinf(q), q, 1.0)
    y = _positive_zeta(safe, where(q > 0, inner, low))
    # Below 0, the terms with q + k < 0 are those of two other sums, with the sign of (-1)^s.
    if bool((q < 0).any()):
        parity = 1 - 2 * (floor(safe) % 2)
        beyond = _positive_zeta(safe, (1 - q).clamp(min=1.0, max=1e300))
        y = where(q < 0, y + parity * (_positive_zeta(safe, where(q < 0, 1 - low, 1.0).clamp(min=1e-300)) - beyond), y)
        y = where((q < 0) & (fraction > 0) & (safe != floor(safe)), math.nan, y)
    y = where((q <= 0) & ((fraction == 0) | isinf(q)), math.inf, y)
    y = where(isinf(q) & (q > 0), 0.0, y)
    y = where(isinf(s), where(q > 1, 0.0, where(q == 1, 1.0, math.inf)), y)
    y = where(s == 1, math.inf, where(s < 1, math.nan, y))
    return where((s != s) | (q != q), math.nan, y)


def zeta(input: Tensor | float, other: Tensor | float, *, out: Tensor | None = None) -> Tensor:
    """Hurwitz's zeta(input, other), the sum of (other + k)^-input over k >= 0; differentiable in `other`."""
    s, q = pair("zeta", input, other)
    y = _zeta(s.detach().double(), q.detach().double()).to(s.dtype)
    wanted = s.requires_grad

    def backward(g: Tensor) -> tuple[Tensor | None, Tensor]:
        if wanted:
            refuse("zeta")()
        return None, g * (-s * zeta(s + 1, q))
    return into(out, attach(y, (s, q), backward, "SpecialZetaBackward0"))
