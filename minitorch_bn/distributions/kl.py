"""The Kullback-Leibler divergence between two distributions, by formulas registered for pairs of families."""
from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import minitorch_bn as torch
import minitorch_bn.nn.functional as F
from minitorch_bn import Tensor
from minitorch_bn.distributions.bernoulli import Bernoulli
from minitorch_bn.distributions.beta import Beta
from minitorch_bn.distributions.binomial import Binomial
from minitorch_bn.distributions.categorical import Categorical
from minitorch_bn.distributions.cauchy import Cauchy
from minitorch_bn.distributions.continuous_bernoulli import ContinuousBernoulli
from minitorch_bn.distributions.dirichlet import Dirichlet
from minitorch_bn.distributions.distribution import Distribution
from minitorch_bn.distributions.exp_family import ExponentialFamily
from minitorch_bn.distributions.exponential import Exponential
from minitorch_bn.distributions.gamma import Gamma
from minitorch_bn.distributions.geometric import Geometric
from minitorch_bn.distributions.gumbel import Gumbel
from minitorch_bn.distributions.half_normal import HalfNormal
from minitorch_bn.distributions.independent import Independent
from minitorch_bn.distributions.laplace import Laplace
from minitorch_bn.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from minitorch_bn.distributions.multivariate_normal import MultivariateNormal, _batch_mahalanobis
from minitorch_bn.distributions.normal import Normal
from minitorch_bn.distributions.one_hot_categorical import OneHotCategorical
from minitorch_bn.distributions.pareto import Pareto
from minitorch_bn.distributions.poisson import Poisson
from minitorch_bn.distributions.transformed_distribution import TransformedDistribution
from minitorch_bn.distributions.uniform import Uniform
from minitorch_bn.distributions.utils import LOG_2PI, _sum_rightmost, euler_constant

_REGISTRY: dict[tuple[type, type], Callable[[Any, Any], Tensor]] = {}
_found: dict[tuple[type, type], Callable[[Any, Any], Tensor] | None] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Any], Any]:
    """Decorator: function(p, q) gives KL(p || q) for instances of these classes and of their subclasses."""
    for t in (type_p, type_q):
        if not isinstance(t, type) or not issubclass(t, Distribution):
            raise TypeError(f"Expected {'type_p' if t is type_p else 'type_q'} to be a Distribution subclass but got "
                            f"{t}")

    def decorator(function: Any) -> Any:
        _REGISTRY[type_p, type_q] = function
        _found.clear()
        return function
    return decorator


def _dispatch_kl(type_p: type, type_q: type) -> Callable[[Any, Any], Tensor] | None:
    """The formula registered for the nearest base classes; those nearest to p win over those nearest to q."""
    matches = [(p, q) for p, q in _REGISTRY if issubclass(type_p, p) and issubclass(type_q, q)]
    if not matches:
        return None
    order_p, order_q = type_p.__mro__.index, type_q.__mro__.index
    left = min(matches, key=lambda m: (order_p(m[0]), order_q(m[1])))
    right = min(matches, key=lambda m: (order_q(m[1]), order_p(m[0])))
    if _REGISTRY[left] is not _REGISTRY[right]:
        warnings.warn(f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please "
                      f"register_kl({left[0].__name__}, {right[1].__name__})", RuntimeWarning, stacklevel=3)
    return _REGISTRY[left]


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p || q), the expectation of log p(x) - log q(x) under p, of the shape of the batch."""
    pair = type(p), type(q)
    if pair not in _found:
        _found[pair] = _dispatch_kl(*pair)
    function = _found[pair]
    if function is None:
        raise NotImplementedError(f"No KL(p || q) is implemented for p type {type(p).__name__} and q type "
                                  f"{type(q).__name__}")
    return function(p, q)


# -- two of one family -------------------------------------------------------------------------------------------------

@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Tensor:
    one = p.probs * (F.softplus(-q.logits) - F.softplus(-p.logits))
    one = torch.where(p.probs == 0, 0.0, torch.where(q.probs == 0, torch.inf, one))
    zero = (1 - p.probs) * (F.softplus(q.logits) - F.softplus(p.logits))
    return one + torch.where(p.probs == 1, 0.0, torch.where(q.probs == 1, torch.inf, zero))


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Tensor:
    a, b, c, d = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    return (torch.lgamma(a + b) + torch.lgamma(c) + torch.lgamma(d) - torch.lgamma(c + d) - torch.lgamma(a)
            - torch.lgamma(b) + (a - c) * torch.digamma(a) + (b - d) * torch.digamma(b)
            + (c + d - a - b) * torch.digamma(a + b))


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Tensor:
    if bool((p.total_count < q.total_count).any()):
        raise NotImplementedError("KL between Binomials where q.total_count > p.total_count is not implemented")
    kl = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p())
    return torch.where(p.total_count > q.total_count, torch.inf, kl)


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Tensor:
    term = torch.where((q.probs == 0) & (p.probs == p.probs), torch.inf, p.probs * (p.logits - q.logits))
    return torch.where((p.probs == 0) & (q.probs == q.probs), 0.0, term).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: Any, q: Any) -> Tensor:
    return _categorical(p._categorical, q._categorical)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    return (total.lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1)
            + ((a - b) * (a.digamma() - total.digamma().unsqueeze(-1))).sum(-1))


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Tensor:
    a, b = p.concentration, q.concentration
    return (b * (p.rate / q.rate).log() + torch.lgamma(b) - torch.lgamma(a) + (a - b) * torch.digamma(a)
            + (q.rate - p.rate) * (a / p.rate))


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Any, q: Any) -> Tensor:
    ratio, shift = p.scale / q.scale, (p.loc - q.loc) / q.scale
    return (shift - ratio.log() + ratio * euler_constant + torch.exp(torch.lgamma(1 + ratio) - shift)
            - (1 + euler_constant))


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Tensor:
    return -p.entropy() - torch.log1p(-q.probs) / p.probs - q.logits


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Tensor:
    distance, ratio = (p.loc - q.loc).abs(), p.scale / q.scale
    return -ratio.log() + distance / q.scale + ratio * torch.exp(-distance / p.scale) - 1


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_normal(p: Any, q: Any) -> Tensor:
    if p.event_shape != q.event_shape:
        kinds = ["Low Rank " if isinstance(d, LowRankMultivariateNormal) else "" for d in (p, q)]
        who = "two " + kinds[0] + "Multivariate Normals" if kinds[0] == kinds[1] else \
            "two (Low Rank) Multivariate Normals"
        raise ValueError(f"KL-divergence between {who} with different event shapes cannot be computed")
    left, right = p._unbroadcasted_scale_tril, q._unbroadcasted_scale_tril
    batch = torch.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    n = p.event_shape[0]
    ratio = torch.linalg.solve_triangular(right.expand((*batch, n, n)), left.expand((*batch, n, n)), upper=False)
    trace = ratio.square().sum((-2, -1))
    distance = _batch_mahalanobis(right, q.loc - p.loc)
    return q._half_log_det() - p._half_log_det() + 0.5 * (trace + distance - n)


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Tensor:
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: Any, q: Any) -> Tensor:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Pareto, Pareto)
def _pareto(p: Any, q: Any) -> Tensor:
    ratio, power = p.scale / q.scale, q.alpha / p.alpha
    return torch.where(p.scale < q.scale, torch.inf, q.alpha * ratio.log() - power.log() + power - 1)


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Tensor:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Tensor:
    return torch.where((q.low > p.low) | (q.high < p.high), torch.inf, ((q.high - q.low) / (p.high - p.low)).log())


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Any, q: Any) -> Tensor:
    """Chyzak and Nielsen 2019"""
    spread = ((p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)).log()
    return spread - (4 * p.scale * q.scale).log()


@register_kl(ExponentialFamily, ExponentialFamily)
def _exponential_family(p: Any, q: Any) -> Tensor:
    """The Bregman divergence of the log normalizer."""
    if type(p) is not type(q):
        raise NotImplementedError("The cross KL-divergence between different exponential families cannot be computed "
                                  "using Bregman divergences")
    own = [n.detach().requires_grad_() for n in p._natural_params]
    other = q._natural_params
    normalizer = p._log_normalizer(*own)
    result = q._log_normalizer(*other) - normalizer
    for a, b, g in zip(own, other, torch.autograd.grad(normalizer.sum(), own, create_graph=True)):
        result = result - _sum_rightmost((b - a) * g, len(q.event_shape))
    return result


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return _sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Tensor:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    extra = len(p.event_shape) - len(p.base_dist.event_shape)
    return _sum_rightmost(kl_divergence(p.base_dist, q.base_dist), extra)


# -- different families: the expectation of -log q under p, less the entropy of p -------------------------------------

def _mean_log(p: Any) -> Tensor:
    """E[log x]"""
    if isinstance(p, Beta):
        return torch.digamma(p.concentration1) - torch.digamma(p.concentration1 + p.concentration0)
    if isinstance(p, Uniform):
        return (torch.xlogy(p.high, p.high) - torch.xlogy(p.low, p.low)) / (p.high - p.low) - 1
    if isinstance(p, Pareto):
        return p.scale.log() + 1 / p.alpha
    return -euler_constant - p.rate.log()  # Exponential


def _checked(p: Any, kl: Tensor, least_alpha: int = 1) -> Tensor:
    """kl, but inf where p reaches below 0 or has no moment."""
    if isinstance(p, Uniform):
        return torch.where(p.low < 0, torch.inf, kl)
    return torch.where(p.alpha <= least_alpha, torch.inf, kl) if isinstance(p, Pareto) else kl


def _to_exponential(p: Any, q: Any) -> Tensor:
    return _checked(p, q.rate * p.mean - q.rate.log() - p.entropy())


def _to_gamma(p: Any, q: Any) -> Tensor:
    kl = (torch.lgamma(q.concentration) - q.concentration * q.rate.log() - (q.concentration - 1) * _mean_log(p)
          + q.rate * p.mean - p.entropy())
    return _checked(p, kl)


def _to_normal(p: Any, q: Any) -> Tensor:
    spread = (p.variance + (p.mean - q.loc).pow(2)) / q.scale.pow(2)
    kl = 0.5 * (LOG_2PI + spread) + q.scale.log() - p.entropy()
    return _checked(p, kl, 2) if isinstance(p, Pareto) else kl


def _to_gumbel(p: Any, q: Any) -> Tensor:
    t = 1 / q.scale  # E[exp(-t x)] is the moment generating function at -t
    if isinstance(p, Normal):
        shrink = torch.exp(t * (q.loc - p.loc) + 0.5 * (t * p.scale).pow(2))
    elif isinstance(p, Uniform):
        shrink = (torch.exp(t * (q.loc - p.low)) - torch.exp(t * (q.loc - p.high))) / (t * (p.high - p.low))
    else:
        power = p.concentration if isinstance(p, Gamma) else 1.0
        shrink = torch.exp(t * q.loc - power * torch.log1p(t / p.rate))
    return q.scale.log() + t * (p.mean - q.loc) + shrink - p.entropy()


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Tensor:
    d = (p.loc - q.loc) / p.scale
    away = p.scale * (math.sqrt(2 / math.pi) * torch.exp(-0.5 * d * d) + d * torch.erf(d / math.sqrt(2)))
    return away / q.scale + torch.log(2 * q.scale) - p.entropy()


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Tensor:
    return q.rate - p.probs * q.rate.log() - p.entropy()


@register_kl(Beta, ContinuousBernoulli)
@register_kl(ContinuousBernoulli, ContinuousBernoulli)
@register_kl(Uniform, ContinuousBernoulli)
def _to_continuous_bernoulli(p: Any, q: Any) -> Tensor:
    kl = -p.entropy() - p.mean * q.logits - torch.log1p(-q.probs) - q._cont_bern_log_norm()
    return torch.where((p.high > 1) | (p.low < 0), torch.inf, kl) if isinstance(p, Uniform) else kl


@register_kl(Uniform, Pareto)
def _uniform_pareto(p: Any, q: Any) -> Tensor:
    low = p.low.clamp(min=0)
    mean_log = (torch.xlogy(p.high, p.high) - torch.xlogy(low, low)) / (p.high - low) - 1
    kl = (q.alpha + 1) * mean_log - q.alpha.log() - q.alpha * q.scale.log() - (p.high - p.low).log()
    return torch.where(p.low < q.scale, torch.inf, kl)


@register_kl(Beta, Uniform)
@register_kl(ContinuousBernoulli, Uniform)
def _beta_uniform(p: Any, q: Any) -> Tensor:
    return torch.where((q.low > 0) | (q.high < 1), torch.inf, (q.high - q.low).log() - p.entropy())


@register_kl(Uniform, Beta)
def _uniform_beta(p: Any, q: Any) -> Tensor:
    a, b = q.concentration1, q.concentration0
    width = p.high - p.low
    other = (torch.xlogy(1 - p.low, 1 - p.low) - torch.xlogy(1 - p.high, 1 - p.high)) / width - 1  # E[log(1 - x)]
    kl = (torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b) - (a - 1) * _mean_log(p) - (b - 1) * other
          - width.log())
    return torch.where((p.high > 1) | (p.low < 0), torch.inf, kl)


def _infinite(p: Any, q: Any) -> Tensor:
    """p reaches where q is 0."""
    return torch.full(p.batch_shape, torch.inf, dtype=p.mean.dtype)


for _formula, _left, _right in (
        (_to_exponential, (Beta, ContinuousBernoulli, Gamma, Pareto, Uniform), (Exponential,)),
        (_to_gamma, (Beta, Exponential, Pareto, Uniform), (Gamma,)),
        (_to_normal, (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Pareto, Uniform), (Normal,)),
        (_to_gumbel, (Exponential, Gamma, Normal, Uniform), (Gumbel,)),
        (_infinite, (Beta, ContinuousBernoulli), (Pareto,)),
        (_infinite, (Exponential, Gamma), (Beta, ContinuousBernoulli, Pareto, Uniform)),
        (_infinite, (Gumbel, Laplace, Normal), (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)),
        (_infinite, (Pareto,), (Beta, ContinuousBernoulli, Uniform)),
        (_infinite, (Poisson,), (Bernoulli, Binomial))):
    for _p in _left:
        for _q in _right:
            register_kl(_p, _q)(_formula)
