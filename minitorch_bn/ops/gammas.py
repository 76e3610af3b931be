"""The incomplete gamma functions, their derivatives and the multivariate gamma function, in float64.

Where x <= max(a, 1) and a is small, P(a, x) is its series (DLMF 8.7.1). Elsewhere P or Q, whichever is the smaller, is
an integral: with t = x e^s in the definition (DLMF 8.2), x^a e^-x / Gamma(a) times the integral of
exp(a s - x (e^s - 1)), over s < 0 for P and s > 0 for Q. From s = 0 on the integrand falls without a maximum, so that
48 points of Gauss's quadrature up to where it is e^-40 give it to rounding, for large a too.
"""
from __future__ import annotations

import math

from minitorch_bn._core import Tensor, attach, get_default_dtype, result_type, where
from minitorch_bn.ops.arithmetic import kept
from minitorch_bn.ops.elementwise import digamma, exp, expm1, isinf, lgamma, log, log1p, minimum, sqrt
from minitorch_bn.ops.shaping import broadcast_tensors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SMALL = 8.0  # the series is used up to this a
_rule: list[tuple[float, float]] = []


def _cosine(t: float) -> float:
    """cos(t) for |t| < 4 by its series: the C library's may round another way on another machine."""
    total, term = 0.0, 1.0
    for k in range(1, 18):
        total += term
        term *= -t * t / ((2 * k - 1) * (2 * k))
    return total


def _legendre_rule(n: int = 48) -> list[tuple[float, float]]:
    """(node, weight) of Gauss and Legendre's rule on [0, 1]: Newton's method on P_n (DLMF 3.5.v, 18.9.1)."""
    if not _rule:
        for k in range(n):
            x = _cosine(math.pi * (k + 0.75) / (n + 0.5))
            for _ in range(6):
                low, p = 1.0, x
                for j in range(2, n + 1):
                    low, p = p, ((2 * j - 1) * x * p - (j - 1) * low) / j
                slope = n * (x * p - low) / (x * x - 1)
                x -= p / slope
            _rule.append((0.5 * (1 + x), 1 / ((1 - x * x) * slope * slope)))
    return _rule


def _excess(t: Tensor) -> Tensor:
    """e^t - 1 - t"""
    total = t * (1 / math.factorial(13))
    for k in range(12, 1, -1):
        total = (total + 1 / math.factorial(k)) * t
    return where(t.abs() < 0.3, total * t, expm1(t) - t)


def _tail(a: Tensor, x: Tensor, sign: Tensor) -> tuple[Tensor, Tensor]:
    """The integrals of exp(a t - x (e^t - 1)) and of t times it, over t = sign * s, s > 0."""
    end = where(sign < 0, 1 + 40 / a, minimum(sqrt(80 / x), log1p(40 / x) + 1) + log1p(a / x) * (x < a))
    for _ in range(60):  # the exponent is concave: from the right, Newton's method comes down to where it is -40
        t = sign * end
        value = (a - x) * t - x * _excess(t) + 40
        slope = sign * (a - x * exp(t))
        step = where((slope < 0) & (value < 0), value / slope, 0.0)
        end = end - step
        if bool((step <= 1e-3 * end).all()):
            break
    plain, first = a * 0, a * 0
    for node, weight in _legendre_rule():
        t = sign * end * node
        f = weight * exp((a - x) * t - x * _excess(t))
        plain, first = plain + f, first + t * f
    return end * plain, end * first


def _series(a: Tensor, x: Tensor, terms: int = 80) -> tuple[Tensor, Tensor]:
    """sum of c_n = x^n / (a (a+1) ... (a+n)), and of c_n (1/(a+1) + ... + 1/(a+n))."""
    term, harmonic = 1 / a, a * 0
    total, weighted = term, a * 0
    for n in range(1, terms):
        term = term * (x / (a + n))
        harmonic = harmonic + 1 / (a + n)
        total, weighted = total + term, weighted + term * harmonic
    return total, weighted


def _front(a: Tensor, x: Tensor) -> Tensor:
    """x^a e^-x / Gamma(a); for large a by Stirling's formula around x = a, without cancellation."""
    inner = x.clamp(max=100.0)
    small = where(x <= 100, inner.pow(a.clamp(max=SMALL)) * exp(-inner - lgamma(a)), exp(a * log(x) - x - lgamma(a)))
    b = a.clamp(min=SMALL)
    mu = (x - b) / b
    r = mu / (2 + mu)
    w, series = r * r, r * 0
    for k in range(18, 0, -1):
        series = (series + 1 / (2 * k + 1)) * w
    phi = where(mu.abs() < 0.5, mu * r - 2 * r * series, mu - log(x / b))  # mu - log(1 + mu)
    i = 1 / (b * b)
    stirling = i * 0
    for c in (1 / 156, 691 / 360360, 1 / 1188, 1 / 1680, 1 / 1260, 1 / 360, 1 / 12):  # DLMF 5.11.1, signs alternate
        stirling = c - i * stirling
    stirling = stirling / b
    return where(a < SMALL, small, sqrt(b / (2 * math.pi)) * exp(-b * phi - stirling))


def _small_q(a: Tensor, x: Tensor) -> Tensor:
    """Q(a, x) for a < 1 and small x, where P is near 1: 1 - e^L (1 + d), e^L = x^a / Gamma(1 + a)."""
    gamma = a * (-0.5772156649015329 + a * (0.8224670334241132 - 0.40068563438653143 * a))  # log Gamma(1 + a)
    level = a * log(x) - where(a < 1e-4, gamma, lgamma(1 + a))
    term, delta = a * 0 + 1, a * 0
    for k in range(1, 20):
        term = term * (-x / k)
        delta = delta + term / (a + k)
    return -expm1(level) - exp(level) * a * delta


def _incomplete(a: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """(P, Q) of float64 vectors; no gradients."""
    good = (a > 0) & (x > 0) & ~isinf(a) & ~isinf(x)
    p, q = a * 0, a * 0
    low = good & (x <= a)
    series = good & (a <= SMALL) & ((x <= 1) | low)
    for mask, kind in ((series, 0), (low & ~series, -1), (good & ~low, 1), (good & low & (a < 1), 2)):
        index = mask.nonzero().reshape(-1)
        if not index.numel():
            continue
        b, y = a[index], x[index]
        if kind == 0:
            p[index] = (_front(b, y) * _series(b, y)[0]).clamp(max=1.0)
            q[index] = 1 - p[index]
        elif kind == -1:
            p[index] = _front(b, y) * _tail(b, y, b * 0 - 1)[0]
            q[index] = 1 - p[index]
        else:
            near = (y < 0.1) & (b < 1)
            q[index] = where(near, _small_q(b, y), _front(b, y) * _tail(b, where(near, 1.0, y), b * 0 + 1)[0])
            if kind == 1:
                p[index] = where(series[index], p[index], 1 - q[index])
    nan = (a < 0) | (x < 0) | (a != a) | (x != x) | ((a == 0) & (x == 0)) | (isinf(a) & isinf(x))
    one = ((a == 0) & (x > 0)) | isinf(x)
    p = where(nan, math.nan, where(good, p, where(one, 1.0, 0.0)))
    return p, where(nan, math.nan, where(good, q, where(one, 0.0, 1.0)))


def log_gamma_slope(a: Tensor, log_x: Tensor) -> Tensor:
    """d log(x) / da where P(a, x) is held: -(dP/da) / (x * density), float64 vectors (Figurnov et al. 2018)."""
    series = (a <= SMALL) & (log_x <= a.clamp(min=1).log())
    result = a * 0
    index = series.nonzero().reshape(-1)
    if index.numel():
        b, y = a[index], log_x[index]
        total, weighted = _series(b, exp(y))
        result[index] = weighted - total * (y - digamma(b + 1))
    index = (~series).nonzero().reshape(-1)
    if index.numel():
        b, y = a[index], log_x[index]
        sign = where(y <= log(b), -1.0, 1.0).double()
        plain, first = _tail(b, exp(y), sign)
        result[index] = sign * (plain * (y - digamma(b)) + first)
    return result


def _binary(input: Any, other: Any, upper: bool, out: Tensor | None) -> Tensor:
    name = "igammac" if upper else "igamma"
    for x in (input, other):
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}(): argument must be Tensor, not {type(x).__name__}")
    kind = result_type(input, other)
    if not kind.is_floating_point:
        raise NotImplementedError(f"\"{name}_cpu\" not implemented for {kind}: use a floating dtype")
    a, x = broadcast_tensors(input.to(kind), other.to(kind))
    flat = _incomplete(a.detach().double().reshape(-1), x.detach().double().reshape(-1))
    y = flat[upper].reshape(a.shape).to(kind)
    wanted = a.requires_grad

    def backward(g: Tensor) -> tuple[Tensor | None, Tensor | None]:
        if wanted:
            raise NotImplementedError(f"the derivative for '{name}: input' is not implemented")
        density = exp((a - 1) * log(x) - x - lgamma(a))
        return None, g * (-density if upper else density)
    y = attach(y, (a, x), backward, f"I{name[1:]}Backward0")
    return y if out is None else out.copy_(y)


def igamma(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """P(input, other), the regularized lower incomplete gamma function; differentiable in `other`."""
    return _binary(input, other, False, out)


def igammac(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Q(input, other) = 1 - P, accurate where it is small; differentiable in `other`."""
    return _binary(input, other, True, out)


def mvlgamma(input: Tensor, p: int, *, out: Tensor | None = None) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension p (DLMF 35.3.4)."""
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    x = input if input.is_floating_point() else input.to(get_default_dtype())
    y = lgamma(x)
    for j in range(1, p):
        y = y + lgamma(x - 0.5 * j)
    y = y + 0.25 * p * (p - 1) * 1.1447298858494002  # log(pi)
    return y if out is None else out.copy_(y)


def igamma_(self: Tensor, other: Tensor) -> Tensor:
    """igamma in place."""
    return self.copy_(igamma(kept(self), other))


def igammac_(self: Tensor, other: Tensor) -> Tensor:
    """igammac in place."""
    return self.copy_(igammac(kept(self), other))


def mvlgamma_(self: Tensor, p: int) -> Tensor:
    """mvlgamma in place."""
    return self.copy_(mvlgamma(kept(self), p))
