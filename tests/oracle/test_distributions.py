"""Distributions against PyTorch's: values, shapes, printed forms, divergences, transforms and errors."""
from __future__ import annotations

import warnings

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is the reference")

import minitorch_bn as ours  # noqa: E402

from .bridge import to_torch  # noqa: E402

CASES = [
    ("Normal", (0.3, 1.2)), ("Uniform", (-1.0, 2.0)), ("Laplace", (0.2, 0.7)), ("Cauchy", (0.1, 2.0)),
    ("Exponential", (1.3,)), ("Gamma", (2.5, 1.5)), ("Gamma", (0.4, 2.0)), ("Beta", (2.5, 0.7)), ("Bernoulli", (0.3,)),
    ("Geometric", (0.3,)), ("Poisson", (3.2,)), ("LogNormal", (0.2, 0.6)), ("HalfNormal", (1.4,)),
    ("HalfCauchy", (1.4,)), ("StudentT", (3.5, 0.2, 1.1)), ("StudentT", (1.5, 0.0, 1.0)), ("Gumbel", (0.4, 1.2)),
    ("Chi2", (3.0,)), ("Categorical", ([0.1, 0.2, 0.7],)), ("Categorical", ([[0.1, 0.2, 0.7], [3.0, 2.0, 1.0]],)),
    ("OneHotCategorical", ([0.1, 0.2, 0.7],)), ("Dirichlet", ([0.5, 1.5, 3.0],)), ("Dirichlet", ([0.5, 0.1],)),
    ("Binomial", (5.0, 0.3)), ("Weibull", (1.5, 2.2)), ("Pareto", (1.5, 3.2)), ("InverseGamma", (3.5, 2.2)),
    ("NegativeBinomial", (4.0, 0.3)), ("Kumaraswamy", (1.5, 2.5)), ("FisherSnedecor", (5.0, 6.0)),
    ("LogisticNormal", ([0.1, 0.2], [1.0, 2.0])), ("VonMises", (0.3, 2.0)),
    ("ContinuousBernoulli", (0.3,)), ("ContinuousBernoulli", (0.5002,)),
]
OTHERS = {"Normal": (-0.3, 0.8), "Uniform": (-0.1, 2.0), "Laplace": (-0.2, 1.7), "Cauchy": (0.5, 1.0),
          "Exponential": (0.4,), "Gamma": (1.5, 2.5), "Beta": (1.2, 1.7), "Bernoulli": (0.6,), "Geometric": (0.6,),
          "Poisson": (1.2,), "LogNormal": (0.1, 0.9), "HalfNormal": (0.4,), "Gumbel": (-0.4, 0.8),
          "Categorical": ([0.3, 0.3, 0.4],), "OneHotCategorical": ([0.3, 0.3, 0.4],), "Dirichlet": ([1.5, 0.5, 2.0],),
          "Binomial": (5.0, 0.6), "Pareto": (1.2, 2.0),
          "ContinuousBernoulli": (0.7,)}
# PyTorch's Bessel functions for the one have seven digits, its series for the other few terms.
LOOSE = {"VonMises": 1e-6, "ContinuousBernoulli": 1e-9}


def make(library, name, arguments):
    return getattr(library.distributions, name)(*[library.tensor(a, dtype=library.float64) for a in arguments])


def mine(x):
    """PyTorch's tensor as ours."""
    return ours.from_numpy(x.detach().numpy())


def outcome(function, *arguments):
    """("value", result) or ("error", class)."""
    try:
        return "value", function(*arguments)
    except Exception as error:
        return "error", type(error)


def agree(found, expected, tolerance=1e-12):
    assert found[0] == expected[0], (found, expected)
    a, b = found[1], expected[1]
    if isinstance(b, torch.Tensor):
        assert isinstance(a, ours.Tensor) and tuple(a.shape) == tuple(b.shape)
        assert str(a.dtype) == str(b.dtype)
        torch.testing.assert_close(to_torch(a.detach()), b.detach(), rtol=tolerance, atol=tolerance, equal_nan=True)
    elif isinstance(b, torch.Size):
        assert tuple(a) == tuple(b)
    else:
        assert a == b


def expanded(d):
    return d.expand((2, *d.batch_shape))


@pytest.mark.parametrize("name, arguments", CASES, ids=[f"{n}{i}" for i, (n, _) in enumerate(CASES)])
@pytest.mark.parametrize("view", [lambda d: d, expanded], ids=["plain", "expanded"])
def test_family(name, arguments, view):
    a, b = view(make(ours, name, arguments)), view(make(torch, name, arguments))
    tolerance = LOOSE.get(name, 1e-12)
    assert repr(a) == repr(b) and repr(a.support) == repr(b.support)
    for attribute in ("mean", "mode", "variance", "stddev", "batch_shape", "event_shape", "has_rsample",
                      "has_enumerate_support"):
        agree(outcome(getattr, a, attribute), outcome(getattr, b, attribute), tolerance)
    for method in ("entropy", "perplexity", "enumerate_support"):
        agree(outcome(getattr(a, method)), outcome(getattr(b, method)), tolerance)
    torch.manual_seed(0)
    value = b.sample((4,))
    agree(outcome(lambda: a.sample((4,)).shape), ("value", value.shape))
    assert str(a.sample((4,)).dtype) == str(value.dtype)
    for method in ("log_prob", "cdf"):
        agree(outcome(getattr(a, method), mine(value)), outcome(getattr(b, method), value), tolerance)
    p = torch.tensor(0.3, dtype=torch.float64)
    agree(outcome(a.icdf, mine(p)), outcome(b.icdf, p), tolerance)


@pytest.mark.parametrize("left", OTHERS)
def test_every_divergence(left):
    first = dict(reversed(CASES))[left]
    if left in ("Categorical",):
        first = ([0.1, 0.2, 0.7],)
    if left == "Dirichlet":
        first = ([0.5, 1.5, 3.0],)
    if left == "Uniform":
        first = (0.1, 0.8)
    for right, second in OTHERS.items():
        results = []
        for library in (ours, torch):
            p, q = make(library, left, first), make(library, right, second)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results.append(outcome(library.distributions.kl_divergence, p, q))
        agree(*results, 1e-11)


@pytest.mark.parametrize("kind", ["covariance_matrix", "precision_matrix", "scale_tril"])
def test_multivariate_normal(kind):
    torch.manual_seed(0)
    root = torch.randn(2, 3, 3, dtype=torch.float64)
    matrix, loc = root @ root.mT + torch.eye(3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    matrix = torch.linalg.cholesky(matrix) if kind == "scale_tril" else matrix
    a = ours.distributions.MultivariateNormal(mine(loc), **{kind: mine(matrix)})
    b = torch.distributions.MultivariateNormal(loc, **{kind: matrix})
    for attribute in ("mean", "variance", "covariance_matrix", "precision_matrix", "scale_tril"):
        agree(("", getattr(a, attribute)), ("", getattr(b, attribute)), 1e-11)
    for value in (torch.randn(3, dtype=torch.float64), torch.randn(5, 4, 2, 3, dtype=torch.float64)):
        agree(("", a.log_prob(mine(value))), ("", b.log_prob(value)), 1e-11)
    agree(("", a.entropy()), ("", b.entropy()), 1e-11)
    p, q = (m.MultivariateNormal(loc_, covariance_matrix=eye) for m, loc_, eye in (
        (ours.distributions, ours.zeros(3, dtype=ours.float64), ours.eye(3, dtype=ours.float64)),
        (torch.distributions, torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64))))
    agree(("", ours.distributions.kl_divergence(a, p)), ("", torch.distributions.kl_divergence(b, q)), 1e-11)
    agree(("", ours.distributions.kl_divergence(p, a)), ("", torch.distributions.kl_divergence(q, b)), 1e-11)


@pytest.mark.filterwarnings("ignore:Singular sample")  # PyTorch's Wishart takes the good samples for singular
@pytest.mark.parametrize("name", ["LowRankMultivariateNormal", "Wishart", "LKJCholesky"])
def test_other_matrix_families(name):
    torch.manual_seed(0)
    root, loc = torch.randn(2, 3, 3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    matrix = root @ root.mT + torch.eye(3, dtype=torch.float64)
    df, eta = torch.tensor([4.5, 7.0], dtype=torch.float64), torch.tensor([0.7, 2.5], dtype=torch.float64)
    arguments = {"LowRankMultivariateNormal": (loc, root[..., :2], matrix.diagonal(dim1=-2, dim2=-1)),
                 "Wishart": (df, matrix), "LKJCholesky": (3, eta)}[name]
    converted = [mine(x.contiguous()) if isinstance(x, torch.Tensor) else x for x in arguments]
    a = getattr(ours.distributions, name)(*converted)
    b = getattr(torch.distributions, name)(*arguments)
    assert repr(a) == repr(b)
    x = b.sample((5,))
    for d, e in ((a, b), (a.expand((4, 2)), b.expand((4, 2)))):
        agree(("", d.log_prob(mine(x.unsqueeze(1)))), ("", e.log_prob(x.unsqueeze(1))), 1e-10)
        for attribute in ("batch_shape", "event_shape", "has_rsample"):
            agree(("", getattr(d, attribute)), ("", getattr(e, attribute)))
        if name != "LKJCholesky":
            agree(("", d.entropy()), ("", e.entropy()), 1e-10)
            for attribute in ("mean", "mode", "variance", "covariance_matrix", "precision_matrix", "scale_tril"):
                agree(outcome(getattr, d, attribute), outcome(getattr, e, attribute), 1e-10)
        y = d.sample((6,))
        assert bool(d.support.check(y).all()) and tuple(y.shape) == tuple(e.sample((6,)).shape)
    if name == "LowRankMultivariateNormal":
        full = [m.MultivariateNormal(z, scale_tril=i) for m, z, i in (
            (ours.distributions, ours.zeros(3, dtype=ours.float64), ours.eye(3, dtype=ours.float64)),
            (torch.distributions, torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)))]
        for pairs in ((a, a, b, b), (a, full[0], b, full[1]), (full[0], a, full[1], b)):
            agree(("", ours.distributions.kl_divergence(*pairs[:2])),
                  ("", torch.distributions.kl_divergence(*pairs[2:])), 1e-10)


def test_wishart_samples_have_the_mean():
    ours.manual_seed(0)
    d = ours.distributions.Wishart(6.5, ours.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=ours.float64))
    x = d.sample((20000,))
    spread = (d.variance / 20000).sqrt() * 5
    assert bool(((x.mean(0) - d.mean).abs() < spread).all())


TRANSFORMS = ["ExpTransform()", "SigmoidTransform()", "TanhTransform()", "SoftplusTransform()",
              "AffineTransform(1., 2.)", "AffineTransform(1., -2., event_dim=1)", "StickBreakingTransform()",
              "CorrCholeskyTransform()", "ReshapeTransform((3,), (3, 1))",
              "ComposeTransform([ExpTransform(), AffineTransform(1., 3.)])",
              "IndependentTransform(ExpTransform(), 1)", "AbsTransform()", "SoftmaxTransform()",
              "CatTransform([ExpTransform(), TanhTransform()], dim=-1, lengths=[1, 2])",
              "StackTransform([ExpTransform(), TanhTransform(), SigmoidTransform()], dim=-1)",
              "ComposeTransform([AffineTransform(0., 2.), StickBreakingTransform()])",
              "CumulativeDistributionTransform(Normal(0., 1.))"]


@pytest.mark.parametrize("text", TRANSFORMS)
def test_transform(text):
    a, b = eval(text, vars(ours.distributions).copy()), eval(text, vars(torch.distributions).copy())
    torch.manual_seed(0)
    x = torch.randn(4, 3, dtype=torch.float64)
    y = b(x)
    agree(("", a(mine(x))), ("", y), 1e-11)
    agree(("", a.inv(mine(y))), ("", b.inv(y)), 1e-8)
    agree(outcome(a.log_abs_det_jacobian, mine(x), mine(y)), outcome(b.log_abs_det_jacobian, x, y), 1e-9)
    for attribute in ("bijective", "domain", "codomain", "event_dim", "sign"):
        found, expected = outcome(getattr, a, attribute), outcome(getattr, b, attribute)
        assert str(found) == str(expected).replace("torch.distributions", "minitorch_bn.distributions"), attribute
    assert tuple(a.forward_shape((5, 3))) == tuple(b.forward_shape((5, 3)))


ERRORS = [
    lambda t, D: D.Normal(t.tensor([1.0, 2.0]), t.tensor([1.0, -1.0])), lambda t, D: D.Normal(0.0, 1.0).log_prob(3),
    lambda t, D: D.Normal(0.0, 1.0).log_prob(t.tensor(float("nan"))), lambda t, D: D.Categorical(t.tensor(1.0)),
    lambda t, D: D.Categorical(), lambda t, D: D.Categorical(t.tensor([0.5, 0.5])).log_prob(t.tensor(2)),
    lambda t, D: D.Uniform(1.0, 0.0), lambda t, D: D.Uniform(0.0, 1.0).log_prob(t.tensor(2.0)),
    lambda t, D: D.Beta(0.0, 1.0), lambda t, D: D.Gamma(t.tensor([1.0, -1.0]), 1.0), lambda t, D: D.Bernoulli(1.5),
    lambda t, D: D.Bernoulli(0.5).log_prob(t.tensor(0.3)), lambda t, D: D.Poisson(1.0).log_prob(t.tensor(1.5)),
    lambda t, D: D.Geometric(0.0), lambda t, D: D.Dirichlet(t.tensor(1.0)), lambda t, D: D.Poisson(1.0).rsample(),
    lambda t, D: D.MultivariateNormal(t.zeros(2), t.tensor([[1.0, 2.0], [2.0, 1.0]])),
    lambda t, D: D.MultivariateNormal(t.zeros(2)), lambda t, D: D.Normal(0.0, 1.0).enumerate_support(),
    lambda t, D: D.Normal(t.zeros(2), t.ones(3)), lambda t, D: D.Normal(t.zeros(2), 1.0).log_prob(t.zeros(3)),
    lambda t, D: D.kl_divergence(D.Normal(0.0, 1.0), D.StudentT(1.0)), lambda t, D: D.Normal("a", 1.0),
    lambda t, D: D.Independent(D.Normal(0.0, 1.0), 1), lambda t, D: D.Categorical(probs=t.tensor([-0.1, 1.1])),
    lambda t, D: D.Categorical(logits=t.tensor([float("nan"), 0.0])), lambda t, D: D.Poisson(1.0).icdf(t.tensor(0.5)),
    lambda t, D: D.OneHotCategorical(t.tensor([0.5, 0.5])).log_prob(t.tensor([1.0, 1.0])),
]


@pytest.mark.parametrize("call", ERRORS, ids=map(str, range(len(ERRORS))))
def test_errors_are_word_for_word(call):
    with pytest.raises(Exception) as expected:
        call(torch, torch.distributions)
    with pytest.raises(Exception) as found:
        call(ours, ours.distributions)
    assert type(found.value) is type(expected.value) and str(found.value) == str(expected.value)


@pytest.mark.parametrize("name, arguments", [
    ("Normal", (0.3, 1.2)), ("Uniform", (-1.0, 2.0)), ("Laplace", (0.2, 0.7)), ("Exponential", (1.3,)),
    ("Bernoulli", (0.3,)), ("Gumbel", (0.4, 1.2)), ("LogNormal", (0.2, 0.6)), ("Cauchy", (0.1, 2.0))])
def test_parameter_gradients(name, arguments):
    """Of log_prob and of entropy, in float32 as scripts have it."""
    results = []
    for library in (ours, torch):
        parameters = [library.tensor(a, requires_grad=True) for a in arguments]
        d = getattr(library.distributions, name)(*parameters)
        total = d.log_prob(library.tensor([0.0, 1.0]) if name == "Bernoulli" else library.tensor([0.5, 1.0])).sum()
        try:
            total = total + d.entropy()
        except NotImplementedError:
            pass
        total.backward()
        results.append([p.grad for p in parameters])
    for a, b in zip(*results):
        agree(("", a), ("", b), 2e-6)


@pytest.mark.parametrize("name, arguments", [
    ("Normal", (0.3, 1.2)), ("Uniform", (-1.0, 2.0)), ("Laplace", (0.2, 0.7)), ("Cauchy", (0.0, 1.0)),
    ("Exponential", (1.3,)), ("Bernoulli", (0.3,)), ("Geometric", (0.3,)), ("Gumbel", (0.4, 1.2)),
    ("LogNormal", (0.2, 0.6)), ("HalfNormal", (1.0,)), ("Weibull", (1.0, 2.0)), ("VonMises", (1.0, 2.0)),
    ("Categorical", ([0.1, 0.2, 0.7],)), ("OneHotCategorical", ([0.1, 0.2, 0.7],)), ("RelaxedBernoulli", (0.5, 0.3)),
    ("RelaxedOneHotCategorical", (0.5, [0.1, 0.2, 0.7])), ("Multinomial", ([0.1, 0.2, 0.7],)),
    ("Gamma", ([0.3, 5.0, 0.01], [1.0, 2.0, 3.0])), ("Beta", (0.5, 2.0)), ("Dirichlet", ([0.5, 2.0, 0.1],)),
    ("Chi2", (3.0,)), ("StudentT", (3.0,)), ("InverseGamma", (3.0, 2.0)), ("FisherSnedecor", (3.0, 2.0)),
    ("Poisson", ([20.0, 0.5, 0.0, 300.0],)), ("Binomial", ([5.0, 100.0, 1000.0], [0.7, 0.5, 0.02])),
    ("NegativeBinomial", (3.0, 0.4)), ("MultivariateNormal", ([0.3, 0.1], [[2.0, 0.5], [0.5, 1.0]]))])
def test_samples_are_pytorchs_under_its_stream(name, arguments):
    state, results = ours.get_rng_state(), []
    try:
        for library, keywords in ((ours, {"stream": "torch"}), (torch, {})):
            library.manual_seed(7, **keywords)
            if name == "Multinomial":
                d = library.distributions.Multinomial(5, library.tensor(arguments[0]))
            else:
                d = getattr(library.distributions, name)(*[library.tensor(a) for a in arguments])
            results.append([d.sample((3,)), d.sample((20, 2)), library.rand(3)])
    finally:
        ours.set_rng_state(state)
    for a, b in zip(*results):
        agree(("", a), ("", b), 1e-5)
