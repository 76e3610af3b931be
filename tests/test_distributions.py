"""Distributions: densities against SciPy, moments of samples, divergences by integration, gradients of samples."""
import math
import warnings

import numpy as np
import pytest

import minitorch_bn as torch
from minitorch_bn import distributions as D

stats = pytest.importorskip("scipy.stats", reason="SciPy is the reference")
special = pytest.importorskip("scipy.special")


def f64(*values):
    return [torch.tensor(v, dtype=torch.float64) for v in values]


# ours, SciPy's, points
FAMILIES = [
    (D.Normal(*f64(0.3, 1.7)), stats.norm(0.3, 1.7), np.linspace(-4, 5, 9)),
    (D.LogNormal(*f64(0.2, 0.6)), stats.lognorm(0.6, scale=math.exp(0.2)), np.linspace(0.1, 5, 9)),
    (D.HalfNormal(*f64(1.4)), stats.halfnorm(scale=1.4), np.linspace(0.1, 5, 9)),
    (D.HalfCauchy(*f64(1.4)), stats.halfcauchy(scale=1.4), np.linspace(0.1, 5, 9)),
    (D.Uniform(*f64(-1.0, 2.5)), stats.uniform(-1, 3.5), np.linspace(-0.9, 2.4, 9)),
    (D.Laplace(*f64(0.2, 0.7)), stats.laplace(0.2, 0.7), np.linspace(-4, 5, 9)),
    (D.Cauchy(*f64(0.2, 0.7)), stats.cauchy(0.2, 0.7), np.linspace(-4, 5, 9)),
    (D.Gumbel(*f64(0.2, 0.7)), stats.gumbel_r(0.2, 0.7), np.linspace(-1, 5, 9)),
    (D.Exponential(*f64(1.3)), stats.expon(scale=1 / 1.3), np.linspace(0.1, 5, 9)),
    (D.Gamma(*f64(2.5, 1.3)), stats.gamma(2.5, scale=1 / 1.3), np.linspace(0.1, 9, 9)),
    (D.Gamma(*f64(0.3, 2.0)), stats.gamma(0.3, scale=0.5), np.linspace(0.01, 3, 9)),
    (D.Chi2(*f64(3.5)), stats.chi2(3.5), np.linspace(0.1, 9, 9)),
    (D.Beta(*f64(2.5, 0.7)), stats.beta(2.5, 0.7), np.linspace(0.05, 0.95, 9)),
    (D.StudentT(*f64(4.5, 0.3, 1.2)), stats.t(4.5, 0.3, 1.2), np.linspace(-5, 5, 9)),
    (D.Weibull(*f64(1.5, 2.2)), stats.weibull_min(2.2, scale=1.5), np.linspace(0.1, 5, 9)),
    (D.Pareto(*f64(1.5, 3.2)), stats.pareto(3.2, scale=1.5), np.linspace(1.6, 5, 9)),
    (D.InverseGamma(*f64(3.5, 2.2)), stats.invgamma(3.5, scale=2.2), np.linspace(0.1, 5, 9)),
    (D.GeneralizedPareto(*f64(0.3, 1.2, 0.2)), stats.genpareto(0.2, 0.3, 1.2), np.linspace(0.4, 5, 9)),
    (D.GeneralizedPareto(*f64(0.3, 1.2, -0.4)), stats.genpareto(-0.4, 0.3, 1.2), np.linspace(0.4, 3, 9)),
    (D.GeneralizedPareto(*f64(0.3, 1.2, 0.0)), stats.genpareto(0.0, 0.3, 1.2), np.linspace(0.4, 5, 9)),
    (D.Bernoulli(*f64(0.3)), stats.bernoulli(0.3), np.array([0.0, 1.0])),
    (D.Geometric(*f64(0.3)), stats.geom(0.3, loc=-1), np.arange(9.0)),
    (D.Poisson(*f64(3.3)), stats.poisson(3.3), np.arange(9.0)),
    (D.Binomial(*f64(7.0, 0.3)), stats.binom(7, 0.3), np.arange(8.0)),
    (D.NegativeBinomial(*f64(4.5, 0.3)), stats.nbinom(4.5, 0.7), np.arange(9.0)),
]
NAMES = [type(d).__name__ for d, _, _ in FAMILIES]


def optional(function, *arguments):
    """The result, or None where the family does not have it."""
    try:
        return function(*arguments)
    except NotImplementedError:
        return None


@pytest.mark.parametrize("ours, theirs, points", FAMILIES, ids=NAMES)
def test_density_and_distribution_function(ours, theirs, points):
    x = torch.from_numpy(points)
    density = theirs.logpmf if hasattr(theirs.dist, "logpmf") else theirs.logpdf
    np.testing.assert_allclose(ours.log_prob(x).numpy(), density(points), rtol=1e-11, atol=1e-12)
    cdf = optional(ours.cdf, x)
    if cdf is not None:
        np.testing.assert_allclose(cdf.numpy(), theirs.cdf(points), rtol=1e-11, atol=1e-15)
        p = np.array([0.01, 0.3, 0.5, 0.9])
        quantile = optional(ours.icdf, torch.from_numpy(p))
        if quantile is not None:
            np.testing.assert_allclose(quantile.numpy(), theirs.ppf(p), rtol=1e-10)


@pytest.mark.parametrize("ours, theirs, points", FAMILIES, ids=NAMES)
def test_moments_and_entropy(ours, theirs, points):
    for found, expected in ((ours.mean, theirs.mean()), (ours.variance, theirs.var()), (ours.stddev, theirs.std())):
        if math.isfinite(expected):
            assert found.item() == pytest.approx(expected, rel=1e-10)
    entropy = optional(ours.entropy)
    if entropy is not None and type(ours).__name__ not in ("Geometric", "HalfCauchy"):  # SciPy's are inexact
        assert entropy.item() == pytest.approx(float(theirs.entropy()), rel=1e-7)


@pytest.mark.parametrize("ours, theirs, points", FAMILIES, ids=NAMES)
def test_samples_have_the_law(ours, theirs, points):
    torch.manual_seed(3)
    x = ours.sample((4000,)).numpy()
    assert x.shape == (4000,)
    if hasattr(theirs.dist, "logpmf"):
        values, counts = np.unique(x, return_counts=True)
        expected = theirs.pmf(values) * 4000
        kept = expected > 8
        assert (counts - expected)[kept].__pow__(2).__truediv__(expected[kept]).sum() < 3 * kept.sum() + 10
    else:
        assert stats.kstest(x, theirs.cdf).pvalue > 1e-3


@pytest.mark.parametrize("rate", [0.2, 9.5, 12.0, 300.0])
def test_poisson_numbers(rate):
    torch.manual_seed(1)
    x = torch.poisson(torch.full((20000,), rate, dtype=torch.float64))
    assert x.mean().item() == pytest.approx(rate, abs=5 * math.sqrt(rate / 20000))
    assert x.var().item() == pytest.approx(rate, rel=0.06)
    assert bool((x == x.floor()).all()) and bool((x >= 0).all())


@pytest.mark.parametrize("n, p", [(5, 0.3), (100, 0.02), (100, 0.5), (1000, 0.93), (40, 0.0), (40, 1.0)])
def test_binomial_numbers(n, p):
    torch.manual_seed(1)
    x = torch.binomial(torch.full((20000,), float(n)), torch.tensor(p))
    assert x.mean().item() == pytest.approx(n * p, abs=5 * math.sqrt(n * p * (1 - p) / 20000) + 1e-9)
    assert x.double().var().item() == pytest.approx(n * p * (1 - p), rel=0.06)
    assert 0 <= x.min().item() and x.max().item() <= n


def test_gamma_numbers_do_not_depend_on_threads_or_dtype_of_others():
    a = torch.rand(5000, dtype=torch.float64) * 5 + 0.01
    results = []
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        torch.manual_seed(5)
        results.append(D.Gamma(a, 1.0).sample())
        torch.set_num_threads(before)
    assert torch.equal(*results)


# -- gradients of samples ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("a", [0.05, 0.5, 1.0, 3.0, 7.9, 8.1, 40.0, 900.0])
def test_gamma_sample_gradient_is_that_of_the_quantile(a):
    torch.manual_seed(0)
    concentration = torch.full((20,), a, dtype=torch.float64, requires_grad=True)
    x = D.Gamma(concentration, 1.0).rsample()
    x.sum().backward()
    kept = x.detach().numpy() > 1e-100
    p, upper = special.gammainc(a, x.detach().numpy()), special.gammaincc(a, x.detach().numpy())
    step = 1e-4 * a

    def quantile(b):
        return np.where(p < 0.5, special.gammaincinv(b, p), special.gammainccinv(b, upper))
    slope = (8 * (quantile(a + step) - quantile(a - step)) - (quantile(a + 2 * step) - quantile(a - 2 * step))) \
        / (12 * step)
    np.testing.assert_allclose(concentration.grad.numpy()[kept], slope[kept], rtol=2e-6)


def test_gamma_rate_and_second_gradient():
    a = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    rate = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    x = D.Gamma(a, rate).rsample()
    g, = torch.autograd.grad(x, rate, create_graph=True)
    assert g.item() == pytest.approx(-x.item() / 3)
    g, = torch.autograd.grad(x, a, create_graph=True)
    with pytest.raises(RuntimeError, match="not implemented"):
        g.backward()


@pytest.mark.parametrize("ours", [D.Normal(*f64(0.3, 1.7)), D.Laplace(*f64(0.2, 0.7)), D.Gumbel(*f64(0.2, 0.7)),
                                  D.Cauchy(*f64(0.2, 0.7)), D.Uniform(*f64(-1.0, 2.0)), D.Exponential(*f64(1.3)),
                                  D.Weibull(*f64(1.5, 2.2))],
                         ids=lambda d: type(d).__name__)
def test_other_sample_gradients_are_those_of_the_quantile(ours):
    names = list(ours.arg_constraints)
    values = [getattr(ours, n).detach().clone().requires_grad_() for n in names]
    torch.manual_seed(2)
    x = type(ours)(*values).rsample()
    p = type(ours)(*values).cdf(x.detach()).detach()
    sampled = torch.autograd.grad(x, values)
    quantile = torch.autograd.grad(type(ours)(*values).icdf(p), values)
    for a, b in zip(sampled, quantile):
        assert a.item() == pytest.approx(b.item(), rel=1e-8)


def test_dirichlet_gradient_of_an_expectation():
    """d E[x_0] / d a_0 by the samples is that of a_0 / sum(a)."""
    torch.manual_seed(0)
    a = torch.tensor([0.7, 1.5, 2.0], dtype=torch.float64, requires_grad=True)
    x = D.Dirichlet(a).rsample((20000,))
    np.testing.assert_allclose(x.sum(-1).detach().numpy(), 1, atol=1e-12)
    x[:, 0].mean().backward()
    total = 4.2
    expected = [(total - 0.7) / total**2, -0.7 / total**2, -0.7 / total**2]
    np.testing.assert_allclose(a.grad.numpy(), expected, atol=0.005)


# -- divergences -------------------------------------------------------------------------------------------------------

def continuous(*pairs):
    return [(D.__dict__[p](*f64(*a)), D.__dict__[q](*f64(*b))) for p, a, q, b in pairs]


@pytest.mark.parametrize("p, q", continuous(
    ("Normal", (0.3, 1.2), "Normal", (-0.4, 0.7)), ("Normal", (0.3, 1.2), "Laplace", (-0.4, 0.7)),
    ("Normal", (0.3, 1.2), "Gumbel", (-0.4, 0.9)), ("Laplace", (0.3, 1.2), "Laplace", (-0.4, 0.7)),
    ("Laplace", (0.3, 1.2), "Normal", (-0.4, 2.7)), ("Gumbel", (0.3, 1.2), "Gumbel", (-0.4, 1.7)),
    ("Gumbel", (0.3, 0.8), "Normal", (-0.4, 2.7)), ("Cauchy", (0.3, 1.2), "Cauchy", (-0.4, 0.7)),
    ("Exponential", (1.3,), "Exponential", (0.6,)), ("Exponential", (1.3,), "Gamma", (2.6, 0.7)),
    ("Exponential", (1.3,), "Normal", (0.6, 1.7)), ("Exponential", (1.3,), "Gumbel", (0.6, 1.7)),
    ("Gamma", (2.3, 1.1), "Gamma", (1.6, 0.7)), ("Gamma", (2.3, 1.1), "Exponential", (0.7,)),
    ("Gamma", (2.3, 1.1), "Normal", (0.7, 2.0)), ("Gamma", (2.3, 1.1), "Gumbel", (0.7, 2.0)),
    ("Beta", (2.3, 1.1), "Beta", (1.7, 2.0)), ("Beta", (2.3, 1.1), "Normal", (1.7, 2.0)),
    ("Beta", (2.3, 1.1), "Exponential", (1.7,)), ("Beta", (2.3, 1.1), "Gamma", (1.7, 1.2)),
    ("Beta", (2.3, 1.1), "Uniform", (-1.0, 1.2)), ("Uniform", (0.2, 0.9), "Beta", (1.7, 1.2)),
    ("Uniform", (0.2, 0.9), "Uniform", (-0.5, 1.2)), ("Uniform", (0.2, 0.9), "Normal", (-0.5, 1.2)),
    ("Uniform", (0.2, 0.9), "Exponential", (1.2,)), ("Uniform", (0.2, 0.9), "Gamma", (1.5, 1.2)),
    ("Uniform", (0.2, 0.9), "Gumbel", (1.5, 1.2)), ("HalfNormal", (1.2,), "HalfNormal", (0.7,)),
    ("LogNormal", (0.2, 0.5), "LogNormal", (0.1, 0.7)), ("Pareto", (1.5, 3.2), "Pareto", (1.2, 2.0)),
    ("Pareto", (1.5, 3.2), "Exponential", (0.4,)), ("Pareto", (1.5, 3.2), "Gamma", (2.0, 0.4)),
    ("Pareto", (1.5, 3.2), "Normal", (2.0, 2.4))), ids=lambda d: type(d).__name__)
def test_kl_is_the_integral(p, q):
    """KL = integral over u of log p - log q at the quantile of u, by tanh-sinh quadrature."""
    t = np.linspace(-4.2, 4.2, 1201)
    lower = 0.5 * np.pi * np.sinh(t)
    u, weight = 1 / (1 + np.exp(-2 * lower)), np.pi * np.cosh(t) / (2 * np.cosh(lower)) ** 2 * (t[1] - t[0])
    if isinstance(p, D.Gamma):
        x = special.gammaincinv(float(p.concentration), u) / float(p.rate)
    elif isinstance(p, D.Beta):
        x = special.betaincinv(float(p.concentration1), float(p.concentration0), u)
    else:
        x = p.icdf(torch.from_numpy(u)).numpy()
    kept = np.isfinite(x) & (x != 0) & ((u < 1) & (u > 0))
    point = torch.from_numpy(x[kept])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        p._validate_args = q._validate_args = False
        ratio = (p.log_prob(point) - q.log_prob(point)).numpy()
    good = np.isfinite(ratio)
    expected = (ratio * weight[kept])[good].sum()
    assert D.kl_divergence(p, q).item() == pytest.approx(expected, rel=2e-4, abs=2e-5)


@pytest.mark.parametrize("p, q", continuous(
    ("Bernoulli", (0.3,), "Bernoulli", (0.7,)), ("Geometric", (0.3,), "Geometric", (0.5,)),
    ("Poisson", (3.0,), "Poisson", (2.0,)), ("Binomial", (5.0, 0.3), "Binomial", (5.0, 0.6)),
    ("Bernoulli", (0.3,), "Poisson", (1.7,))), ids=lambda d: type(d).__name__)
def test_kl_is_the_sum(p, q):
    top = 2 if isinstance(p, D.Bernoulli) else 6 if isinstance(p, D.Binomial) else 200
    k = torch.arange(top, dtype=torch.float64)
    log_p = p.log_prob(k)
    expected = (log_p.exp() * (log_p - q.log_prob(k))).sum().item()
    assert D.kl_divergence(p, q).item() == pytest.approx(expected, rel=1e-10)


def test_kl_where_q_does_not_reach_is_infinite():
    assert D.kl_divergence(D.Normal(0.0, 1.0), D.Exponential(1.0)).item() == math.inf
    assert D.kl_divergence(D.Uniform(0.0, 2.0), D.Uniform(0.0, 1.0)).item() == math.inf
    p, q = D.Categorical(torch.tensor([0.5, 0.5])), D.Categorical(torch.tensor([1.0, 0.0]))
    assert D.kl_divergence(p, q).item() == math.inf
    assert D.kl_divergence(q, p).item() == pytest.approx(math.log(2))


def test_registering_a_divergence():
    class Mine(D.Normal):
        pass

    @D.register_kl(Mine, D.Normal)
    def mine(p, q):
        return torch.tensor(42.0)
    try:
        assert D.kl_divergence(Mine(0.0, 1.0), D.Normal(0.0, 1.0)).item() == 42
        assert D.kl_divergence(D.Normal(0.0, 1.0), D.Normal(0.0, 1.0)).item() == 0
        with pytest.raises(NotImplementedError, match="No KL"):
            D.kl_divergence(D.Normal(0.0, 1.0), D.StudentT(3.0))
    finally:
        D.kl._REGISTRY.pop((Mine, D.Normal))
        D.kl._found.clear()


# -- discrete and vector families --------------------------------------------------------------------------------------

def test_categorical():
    logits = torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.0, 0.0]], requires_grad=True)
    c = D.Categorical(logits=logits)
    assert repr(c) == "Categorical(logits: torch.Size([2, 3]))"
    torch.manual_seed(0)
    x = c.sample((5000,))
    assert x.shape == (5000, 2) and x.dtype is torch.int64
    share = torch.stack([(x == k).float().mean(0) for k in range(3)], -1)
    np.testing.assert_allclose(share.numpy(), c.probs.detach().numpy(), atol=0.03)
    np.testing.assert_allclose(c.log_prob(torch.tensor([2, 1])).detach().numpy(),
                               logits.log_softmax(-1)[[0, 1], [2, 1]].detach().numpy(), rtol=1e-6)
    c.log_prob(torch.tensor([2, 1])).sum().backward()
    np.testing.assert_allclose(logits.grad.numpy(), -logits.softmax(-1).detach().numpy()
                               + np.eye(3)[[2, 1]], atol=1e-6)
    assert c.enumerate_support().shape == (3, 2) and c.enumerate_support(expand=False).shape == (3, 1)
    assert c.entropy()[1].item() == pytest.approx(math.log(3), rel=1e-6)
    assert c.expand((4, 2)).sample().shape == (4, 2)


def test_multivariate_normal():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(3, 3))
    covariance, mean = a @ a.T + np.eye(3), rng.normal(size=3)
    reference = stats.multivariate_normal(mean, covariance)
    x = rng.normal(size=(5, 3))
    for name, matrix in (("covariance_matrix", covariance), ("precision_matrix", np.linalg.inv(covariance)),
                         ("scale_tril", np.linalg.cholesky(covariance))):
        m = D.MultivariateNormal(torch.from_numpy(mean), **{name: torch.from_numpy(matrix)})
        np.testing.assert_allclose(m.log_prob(torch.from_numpy(x)).numpy(), reference.logpdf(x), rtol=1e-10)
        assert m.entropy().item() == pytest.approx(reference.entropy(), rel=1e-10)
        np.testing.assert_allclose(m.covariance_matrix.numpy(), covariance, rtol=1e-9)
    torch.manual_seed(0)
    np.testing.assert_allclose(np.cov(m.sample((20000,)).numpy().T), covariance, atol=0.15)


def test_dirichlet_and_multinomial_densities():
    a, x = np.array([0.5, 1.5, 3.0]), np.array([0.2, 0.3, 0.5])
    d = D.Dirichlet(torch.from_numpy(a))
    assert d.log_prob(torch.from_numpy(x)).item() == pytest.approx(stats.dirichlet(a).logpdf(x), rel=1e-11)
    assert d.entropy().item() == pytest.approx(stats.dirichlet(a).entropy(), rel=1e-11)
    np.testing.assert_allclose(d.variance.numpy(), stats.dirichlet(a).var(), rtol=1e-11)
    m = D.Multinomial(6, torch.from_numpy(x))
    reference = stats.multinomial(6, x)
    assert m.log_prob(*f64([1.0, 2.0, 3.0])).item() == pytest.approx(reference.logpmf([1, 2, 3]), rel=1e-10)
    assert m.entropy().item() == pytest.approx(float(np.squeeze(reference.entropy())), rel=1e-10)
    assert bool((m.sample((50,)).sum(-1) == 6).all())


def test_transforms_are_inverse_and_their_jacobians_right():
    x = torch.linspace(-2, 2, 7, dtype=torch.float64).requires_grad_()
    for t in (D.ExpTransform(), D.SigmoidTransform(), D.TanhTransform(), D.SoftplusTransform(),
              D.AffineTransform(0.3, -2.0), D.ComposeTransform([D.ExpTransform(), D.PowerTransform(0.5)])):
        y = t(x)
        np.testing.assert_allclose(t.inv(y).detach().numpy(), x.detach().numpy(), rtol=1e-9, atol=1e-12)
        slope, = torch.autograd.grad(y.sum(), x)
        np.testing.assert_allclose(t.log_abs_det_jacobian(x, y).detach().numpy(), slope.abs().log().numpy(), rtol=1e-9)
        assert t.inv.inv is t
    for t in (D.StickBreakingTransform(), D.CorrCholeskyTransform()):
        y = t(x[:6])
        np.testing.assert_allclose(t.inv(y).detach().numpy(), x[:6].detach().numpy(), rtol=1e-9)


def test_transformed_mixture_and_independent():
    base = D.Normal(torch.zeros(3, dtype=torch.float64), 1.0)
    squashed = D.Independent(D.TransformedDistribution(base, [D.TanhTransform(cache_size=1)]), 1)
    torch.manual_seed(0)
    y = squashed.rsample((5,))
    expected = (stats.norm.logpdf(np.arctanh(y.numpy())) - np.log(1 - y.numpy() ** 2)).sum(-1)
    np.testing.assert_allclose(squashed.log_prob(y).numpy(), expected, rtol=1e-9)
    mixture = D.MixtureSameFamily(D.Categorical(torch.tensor([0.3, 0.7], dtype=torch.float64)),
                                  D.Normal(*f64([-1.0, 2.0], [0.5, 1.5])))
    x = np.linspace(-3, 5, 7)
    density = 0.3 * stats.norm.pdf(x, -1, 0.5) + 0.7 * stats.norm.pdf(x, 2, 1.5)
    np.testing.assert_allclose(mixture.log_prob(torch.from_numpy(x)).numpy(), np.log(density), rtol=1e-10)
    assert mixture.mean.item() == pytest.approx(1.1)
    assert mixture.sample((40,)).shape == (40,)


def test_validation():
    with pytest.raises(ValueError, match=r"Expected parameter scale \(Tensor of shape \(2,\)\) of distribution "
                       r"Normal\(loc: torch.Size\(\[2\]\), scale: torch.Size\(\[2\]\)\) to satisfy the constraint "
                       r"GreaterThan\(lower_bound=0.0\), but found invalid values:"):
        D.Normal(torch.zeros(2), torch.tensor([1.0, -1.0]))
    with pytest.raises(ValueError, match="within the support"):
        D.Exponential(1.0).log_prob(torch.tensor(-1.0))
    with pytest.raises(ValueError, match="not broadcastable"):
        D.Normal(torch.zeros(2), 1.0).log_prob(torch.zeros(3))
    with pytest.raises(ValueError, match="Either `probs` or `logits`"):
        D.Bernoulli()
    D.Normal(torch.zeros(2), torch.tensor([1.0, -1.0]), validate_args=False)
    with pytest.raises(NotImplementedError):
        D.Poisson(1.0).rsample()


def test_registry_maps_into_the_region():
    x = torch.randn(4, 3, dtype=torch.float64)
    for c in (D.constraints.positive, D.constraints.unit_interval, D.constraints.interval(-1.0, 3.0),
              D.constraints.less_than(2.0), D.constraints.real, D.constraints.simplex):
        for registry in (D.biject_to, D.transform_to):
            assert bool(c.check(registry(c)(x)).all()), c
