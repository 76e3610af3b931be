"""Samplers by rejection: gamma (with gradients), Poisson and binomial numbers, a function of the seed alone."""
from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn import Tensor
from minitorch_bn._core import attach
from minitorch_bn.ops.gammas import log_gamma_slope


def _serial(generator: Any) -> Any:
    """The module that draws PyTorch's own numbers, if the generator is to give them."""
    if (torch.default_generator if generator is None else generator).get_stream() != "torch":
        return None
    from minitorch_bn.distributions import _serial as module
    return module


def _retry(pending: Tensor, result: Tensor, draw: Any) -> Tensor:
    """Fill result where pending: draw(indices) proposes (values, accepted) until all are accepted."""
    index = pending.nonzero().reshape(-1)
    while index.numel():
        values, accepted = draw(index)
        result[index[accepted]] = values[accepted]
        index = index[~accepted]
    return result


def _draw_log_gamma(alpha: Tensor, generator: Any) -> Tensor:
    """log of Gamma(alpha, 1) numbers, float64 vector: Marsaglia and Tsang 2000; alpha < 1 through alpha + 1."""
    if not bool((alpha > 0).all()):
        return torch.where(alpha > 0, _draw_log_gamma(torch.where(alpha > 0, alpha, 1.0), generator), torch.nan)
    if serial := _serial(generator):
        return serial.log_gamma(alpha, generator)
    d = torch.where(alpha < 1, alpha + 1, alpha) - 1 / 3
    c = 1 / (9 * d).sqrt()

    def draw(index: Tensor) -> tuple[Tensor, Tensor]:
        n, di, ci = index.numel(), d[index], c[index]
        x = torch.randn(n, dtype=torch.float64, generator=generator)
        u = torch.rand(n, dtype=torch.float64, generator=generator)
        v = (1 + ci * x).clamp(min=0).pow(3)
        log_v = v.clamp(min=1e-300).log()
        return di.log() + log_v, (v > 0) & ((1 - u).log() < 0.5 * x * x + di * (1 - v + log_v))

    result = _retry(torch.ones_like(alpha, dtype=torch.bool), torch.zeros_like(alpha), draw)
    small = (alpha < 1).nonzero().reshape(-1)
    if small.numel():
        u = torch.rand(small.numel(), dtype=torch.float64, generator=generator)
        result[small] = result[small] + (1 - u).log() / alpha[small]
    return result


def log_standard_gamma(alpha: Tensor, generator: Any = None) -> Tensor:
    """The logarithm of a Gamma(alpha, 1) number for each alpha, with implicit reparameterisation gradients.

    Logarithms, as numbers of a small alpha lie below the range of the dtype. The gradient has no gradient itself.
    """
    a = alpha.detach().double().reshape(-1)
    log_x = _draw_log_gamma(a, generator)

    def backward(grad: Tensor) -> tuple[Tensor]:
        with torch.no_grad():
            slope = log_gamma_slope(a, log_x).reshape(alpha.shape).to(alpha.dtype)

        def refuse(*_: Tensor) -> tuple[Tensor]:
            raise RuntimeError("derivative for aten::_standard_gamma_grad is not implemented")
        return (grad * attach(slope, (alpha,), refuse, "StandardGammaGradBackward0"),)
    return attach(log_x.reshape(alpha.shape).to(alpha.dtype), (alpha,), backward, "StandardGammaBackward0")


def standard_gamma(alpha: Tensor, generator: Any = None) -> Tensor:
    """A Gamma(alpha, 1) number for each alpha, at least the dtype's smallest normal number."""
    return log_standard_gamma(alpha, generator).exp().clamp(min=torch.finfo(alpha.dtype).tiny)


def _invert(cell: Tensor, ratio: Any, generator: Any) -> Tensor:
    """Numbers k of a law on 0, 1, ... with P(0) = cell and P(k+1) = P(k) ratio(k), by adding up probabilities."""
    u = torch.rand(cell.numel(), dtype=torch.float64, generator=generator)
    k = torch.zeros_like(u)
    total = cell.clone()
    step = 0
    while step < 1000:
        above = u >= total
        if not bool(above.any()):
            break
        k = k + above.double()
        cell = cell * ratio(step)
        total = total + cell
        step += 1
    return k


def _standard_gamma(input: Tensor, generator: Any = None) -> Tensor:
    """PyTorch's name of standard_gamma."""
    return standard_gamma(input, generator)


def _sample_dirichlet(input: Tensor, generator: Any = None) -> Tensor:
    """Vectors of sum 1 along the last dim: gamma numbers divided by their sum, from their logarithms."""
    return torch.softmax(log_standard_gamma(input, generator), -1)


def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """A Poisson number for each rate of `input`, in its dtype: inversion, or Hormann 1993 (PTRS) from rate 10 on."""
    if not input.is_floating_point():
        raise NotImplementedError(f"\"poisson_cpu\" not implemented for {input.dtype}: use a floating dtype")
    rate = input.detach().double().reshape(-1)
    if rate.numel() and not bool((rate >= 0).all()):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    if serial := _serial(generator):
        return serial.poisson(rate, generator).reshape(input.shape).to(input.dtype)
    result = torch.zeros_like(rate)
    small = rate < 10
    if bool(small.any()):
        r = rate[small]
        result[small] = _invert(torch.exp(-r), lambda k: r / (k + 1), generator)
    b = 0.931 + 2.53 * rate.sqrt()
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    log_rate = rate.clamp(min=1e-300).log()

    def draw(index: Tensor) -> tuple[Tensor, Tensor]:
        n, ai, bi, ri = index.numel(), a[index], b[index], rate[index]
        u = torch.rand(n, dtype=torch.float64, generator=generator) - 0.5
        v = 1 - torch.rand(n, dtype=torch.float64, generator=generator)
        us = 0.5 - u.abs()
        k = ((2 * ai / us.clamp(min=1e-300) + bi) * u + ri + 0.43).floor()
        bound = k * log_rate[index] - ri - torch.lgamma(k.clamp(min=0) + 1)
        fits = (v * inverse_alpha[index] / (ai / us.clamp(min=1e-300).square() + bi)).log() <= bound
        return k, (k >= 0) & ((us >= 0.013) | (v <= us)) & fits
    return _retry(~small, result, draw).reshape(input.shape).to(input.dtype)


def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
    """A binomial number for each (count, prob): inversion, or Hormann 1993 (BTRS) where the mean is 10 or more."""
    if not count.is_floating_point() or not prob.is_floating_point():
        raise ValueError("binomial only supports floating-point dtypes for count and prob, got: "
                         f"{count.dtype} and {prob.dtype}")
    shape = torch.broadcast_shapes(count.shape, prob.shape)
    n = count.detach().double().expand(shape).reshape(-1).floor()
    p0 = prob.detach().double().expand(shape).reshape(-1)
    if serial := _serial(generator):
        return serial.binomial(n, p0, generator).reshape(shape).to(count.dtype)
    p = torch.minimum(p0, 1 - p0)
    result = torch.zeros_like(n)
    small = n * p < 10
    if bool(small.any()):
        ns, ps = n[small], p[small]
        odds = ps / (1 - ps)
        result[small] = _invert(torch.exp(ns * torch.log1p(-ps)), lambda k: odds * ((ns - k) / (k + 1)).clamp(min=0),
                                generator)
    spread = (n * p * (1 - p)).clamp(min=0).sqrt()
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    vr = 0.92 - 4.2 / b
    alpha = (2.83 + 5.1 / b) * spread
    mode = ((n + 1) * p).floor()
    log_odds = (p / (1 - p)).clamp(min=1e-300).log()

    def draw(index: Tensor) -> tuple[Tensor, Tensor]:
        size, ni, ai, bi, mi = index.numel(), n[index], a[index], b[index], mode[index]
        u = torch.rand(size, dtype=torch.float64, generator=generator) - 0.5
        v = 1 - torch.rand(size, dtype=torch.float64, generator=generator)
        us = (0.5 - u.abs()).clamp(min=1e-300)
        k = ((2 * ai / us + bi) * u + ni * p[index] + 0.5).floor()
        inside = (k >= 0) & (k <= ni)
        k = torch.where(inside, k, 0.0)
        height = (v * alpha[index] / (ai / us.square() + bi)).log()
        bound = (torch.lgamma(mi + 1) + torch.lgamma(ni - mi + 1) - torch.lgamma(k + 1) - torch.lgamma(ni - k + 1)
                 + (k - mi) * log_odds[index])
        return k, inside & ((us >= 0.07) & (v <= vr[index]) | (height <= bound))
    result = _retry(~small, result, draw)
    return torch.where(p0 > 0.5, n - result, result).reshape(shape).to(count.dtype)
