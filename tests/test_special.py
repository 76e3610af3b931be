"""Special functions: float64 values against mpmath's in 30 digits, derivatives against finite differences, limits."""
import math

import numpy as np
import pytest

import minitorch_bn as torch

mp = pytest.importorskip("mpmath", reason="mpmath is the reference")
S = torch.special
RNG = np.random.default_rng(0)
POSITIVE = np.concatenate([10.0 ** RNG.uniform(-8, 2.4, 40), RNG.uniform(0, 30, 40)])
SIGNED = np.concatenate([POSITIVE, -POSITIVE])


def scaled_erfc(x):
    return mp.exp(x * x) * mp.erfc(x)


# name, points, reference, allowed relative error, absolute error allowed near a zero
FUNCTIONS = [
    ("bessel_j0", SIGNED, lambda x: mp.besselj(0, x), 2e-15, 2e-15),
    ("bessel_j1", SIGNED, lambda x: mp.besselj(1, x), 2e-15, 2e-15),
    ("bessel_y0", POSITIVE, lambda x: mp.bessely(0, x), 2e-15, 2e-15),
    ("bessel_y1", POSITIVE, lambda x: mp.bessely(1, x), 2e-15, 2e-15),
    ("modified_bessel_i0", SIGNED, lambda x: mp.besseli(0, x), 4e-15, 0),
    ("modified_bessel_i1", SIGNED, lambda x: mp.besseli(1, x), 4e-15, 0),
    ("modified_bessel_k0", POSITIVE, lambda x: mp.besselk(0, x), 2e-15, 0),
    ("modified_bessel_k1", POSITIVE, lambda x: mp.besselk(1, x), 2e-15, 0),
    ("scaled_modified_bessel_k0", POSITIVE, lambda x: mp.exp(x) * mp.besselk(0, x), 2e-15, 0),
    ("scaled_modified_bessel_k1", POSITIVE, lambda x: mp.exp(x) * mp.besselk(1, x), 2e-15, 0),
    ("spherical_bessel_j0", SIGNED, lambda x: mp.sin(x) / x, 2e-15, 1e-16),
    ("airy_ai", RNG.uniform(-30, 30, 80), mp.airyai, 4e-14, 1e-14),
    ("erfcx", RNG.uniform(-26, 60, 80), scaled_erfc, 2e-15, 0),
    ("log_ndtr", RNG.uniform(-40, 5, 80), lambda x: mp.log(mp.erfc(-x / mp.sqrt(2)) / 2), 2e-14, 0),
    ("ndtri", np.concatenate([RNG.uniform(0, 1, 40), 10.0 ** RNG.uniform(-200, -1, 40)]), None, 2e-15, 0),
    ("entr", POSITIVE, lambda x: -x * mp.log(x), 1e-15, 1e-16),
    ("digamma", RNG.uniform(0.1, 50, 40), mp.digamma, 1e-14, 1e-15),
    ("gammaln", RNG.uniform(0.1, 50, 40), lambda x: mp.loggamma(x), 1e-14, 1e-15),
]


@pytest.mark.parametrize("name, points, reference, relative, absolute", FUNCTIONS, ids=[f[0] for f in FUNCTIONS])
def test_values(name, points, reference, relative, absolute):
    with mp.workdps(30):
        found = getattr(S, name)(torch.from_numpy(points)).tolist()
        for x, y in zip(points, found):
            if reference is None:
                goal = mp.log(mp.mpf(float(x)))
                expected = mp.findroot(lambda z, goal=goal: mp.log(mp.erfc(-z / mp.sqrt(2)) / 2) - goal, y)
            else:
                expected = reference(mp.mpf(float(x)))
            assert abs(y - expected) <= relative * abs(expected) + absolute, (float(x), y, float(expected))


@pytest.mark.parametrize("name", [f[0] for f in FUNCTIONS])
def test_other_dtypes_and_shapes(name):
    f = getattr(S, name)
    x = torch.tensor([[0.3, 0.7], [0.1, 0.9]])
    assert f(x).dtype is torch.float32
    np.testing.assert_allclose(f(x).numpy(), f(x.double()).numpy(), rtol=1e-5)
    assert f(torch.tensor([1, 1])).dtype is torch.float32
    assert f(torch.zeros(0, 3)).shape == (0, 3) and f(torch.tensor(0.5)).shape == ()
    assert f(x.t()).stride() is not None and torch.equal(f(x.t()), f(x).t())
    if name not in ("digamma", "gammaln"):
        with pytest.raises(TypeError):
            f(0.5)


def test_incomplete_gamma():
    a, x = np.meshgrid([1e-3, 0.05, 0.5, 1, 2.5, 7.9, 8.1, 30, 200, 900], [0.01, 0.3, 0.9, 1, 1.1, 2, 5])
    a, x = a.reshape(-1), (a * x).reshape(-1)
    p = torch.igamma(torch.from_numpy(a), torch.from_numpy(x)).tolist()
    q = S.gammaincc(torch.from_numpy(a), torch.from_numpy(x)).tolist()
    with mp.workdps(30):
        for b, y, lower, upper in zip(a, x, p, q):
            b, y = mp.mpf(float(b)), mp.mpf(float(y))
            for found, expected in ((lower, mp.gammainc(b, 0, y, regularized=True)),
                                    (upper, mp.gammainc(b, y, mp.inf, regularized=True))):
                if expected > 1e-280:
                    assert abs(found - expected) <= 3e-13 * expected, (b, y)
    special = torch.tensor([0.0, 0.0, 1.0, math.inf, 1.0, -1.0, math.inf]).double()
    other = torch.tensor([1.0, 0.0, 0.0, 1.0, math.inf, 1.0, math.inf]).double()
    np.testing.assert_array_equal(torch.igamma(special, other).numpy(), [1, np.nan, 0, 0, 1, np.nan, np.nan])
    np.testing.assert_array_equal(torch.igammac(special, other).numpy(), [0, np.nan, 1, 1, 0, np.nan, np.nan])


def test_zeta():
    cases = [(s, q) for s in (1.01, 1.5, 2, 3, 20, 60) for q in (1e-3, 0.5, 1, 2.5, 10, 40)]
    cases += [(s, q) for s in (2, 3, 8) for q in (-0.5, -3.25, -20.7)]
    found = S.zeta(*(torch.tensor(c, dtype=torch.float64) for c in zip(*cases))).tolist()
    with mp.workdps(60):
        for (s, q), y in zip(cases, found):
            head = max(0, math.ceil(-q))
            expected = sum((mp.mpf(q) + k) ** -s for k in range(head)) + mp.zeta(s, mp.mpf(q) + head)
            assert abs(y - expected) <= 5e-15 * abs(expected), (s, q)
    limits = S.zeta(torch.tensor([1.0, 0.5, 2.0, 2.5, 3.0]), torch.tensor([2.0, 2.0, 0.0, -1.5, math.inf]))
    np.testing.assert_array_equal(limits.numpy(), [math.inf, math.nan, math.inf, math.nan, 0])


POLYNOMIALS = {"chebyshev_polynomial_t": mp.chebyt, "chebyshev_polynomial_u": mp.chebyu,
               "hermite_polynomial_h": mp.hermite, "laguerre_polynomial_l": lambda n, x: sum(
                   mp.binomial(n, k) * (-x) ** k / mp.factorial(k) for k in range(n + 1)),
               "legendre_polynomial_p": mp.legendre,
               "hermite_polynomial_he": lambda n, x: 2 ** (-mp.mpf(n) / 2) * mp.hermite(n, x / mp.sqrt(2)),
               "chebyshev_polynomial_v": lambda n, x: mp.chebyu(n, x) - mp.chebyu(n - 1, x) if n else mp.mpf(1),
               "chebyshev_polynomial_w": lambda n, x: mp.chebyu(n, x) + mp.chebyu(n - 1, x) if n else mp.mpf(1)}


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomials(name):
    x = np.array([-1.7, -1.0, -0.6, 0.0, 0.25, 0.99, 1.0, 1.3])
    for n in (0, 1, 2, 5, 7, 11, 30):
        found = getattr(S, name)(torch.from_numpy(x), n).tolist()
        for point, y in zip(x, found):
            expected = float(POLYNOMIALS[name](n, mp.mpf(float(point))))
            assert y == pytest.approx(expected, rel=1e-11, abs=1e-12), (n, point)
    assert getattr(S, name)(torch.ones(2), -1).tolist() == [0, 0]
    degrees = torch.arange(4)
    by_tensor = getattr(S, name)(0.3, degrees)
    assert by_tensor.tolist() == [getattr(S, name)(torch.tensor(0.3), k).item() for k in range(4)]
    if name.startswith("chebyshev"):
        shifted = getattr(S, "shifted_" + name)(torch.from_numpy((x + 1) / 2), 6)
        plain = getattr(S, name)(torch.from_numpy(x), 6)
        np.testing.assert_allclose(shifted.numpy(), plain.numpy(), rtol=1e-9, atol=1e-9)
    with pytest.raises(TypeError):
        getattr(S, name)(0.5, 2)


@pytest.mark.parametrize("name, low, high", [("entr", 0.2, 3), ("erfcx", -2, 12), ("log_ndtr", -6, 3),
                                             ("ndtri", 0.05, 0.95)])
def test_derivatives(name, low, high):
    x = torch.linspace(low, high, 9, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(getattr(S, name), (x,))
    assert torch.autograd.gradgradcheck(getattr(S, name), (x,))


def test_derivatives_by_one_of_two():
    x = torch.linspace(0.5, 4, 6, dtype=torch.float64).requires_grad_()
    a = torch.full((6,), 2.5, dtype=torch.float64)
    for f in (torch.igamma, torch.igammac, S.zeta):
        assert torch.autograd.gradcheck(lambda x, f=f: f(a, x), (x,))
    with pytest.raises(NotImplementedError, match="igamma"):
        torch.igamma(a.requires_grad_(), x).sum().backward()
    with pytest.raises(RuntimeError, match="not implemented"):
        S.bessel_j0(x).sum().backward()
    y = torch.linspace(2, 4, 5, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: torch.mvlgamma(y, 3), (y,))


def test_limits():
    inf, nan = math.inf, math.nan
    x = torch.tensor([0.0, inf, -inf, nan]).double()
    expected = {"entr": [0, -inf, -inf, nan], "erfcx": [1, 0, inf, nan], "log_ndtr": [math.log(0.5), 0, -inf, nan],
                "bessel_j0": [1, 0, 0, nan], "bessel_y0": [-inf, 0, nan, nan], "modified_bessel_k0": [inf, 0, nan, nan],
                "ndtri": [-inf, nan, nan, nan], "spherical_bessel_j0": [1, 0, 0, nan]}
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(S, name)(x).numpy(), values, rtol=1e-15, err_msg=name)
    assert S.ndtri(torch.tensor([1.0])).item() == inf


def test_every_name_is_there():
    for name in S.__all__:
        assert callable(getattr(S, name)), name
