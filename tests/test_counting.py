"""Counting and quantiles against NumPy; gradients; errors."""
import numpy as np
import pytest

import minitorch_bn as torch
from minitorch_bn.autograd import gradcheck, gradgradcheck

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 5, 6))


def test_bincount_and_histc():
    i, w = RNG.integers(0, 6, 50), RNG.standard_normal(50)
    assert np.array_equal(torch.bincount(torch.tensor(i)).numpy(), np.bincount(i))
    assert torch.bincount(torch.tensor(i), minlength=9).shape == (9,)
    np.testing.assert_allclose(torch.tensor(i).bincount(torch.tensor(w)).numpy(), np.bincount(i, w), rtol=1e-12)
    assert torch.bincount(torch.zeros(0, dtype=torch.int64)).shape == (0,)
    assert np.array_equal(torch.histc(torch.tensor(X), 10, -1, 1).numpy(), np.histogram(X, 10, (-1, 1))[0])
    assert np.array_equal(torch.histc(torch.tensor(X), 7).numpy(), np.histogram(X, 7)[0])


@pytest.mark.parametrize("way", ["linear", "lower", "higher", "midpoint", "nearest"])
@pytest.mark.parametrize("dim", [None, 0, 2])
def test_quantile(way, dim):
    q = np.array([0.0, 0.23, 0.5, 1.0])
    for keep in (False, True):
        got = torch.quantile(torch.tensor(X), torch.tensor(q), dim, keep, interpolation=way)
        np.testing.assert_allclose(got.numpy(), np.quantile(X, q, dim, keepdims=keep, method=way), rtol=1e-12)
        assert torch.equal(torch.quantile(torch.tensor(X), 0.23, dim, keep, interpolation=way), got[1])
    holes = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
    holes[0], holes[..., 0] = X[0], X[..., 0]  # no row without a number
    assert np.array_equal(torch.tensor(holes).quantile(0.5, dim).isnan().numpy(), np.isnan(holes).any(dim))
    np.testing.assert_allclose(torch.tensor(holes).nanquantile(0.5, dim, interpolation=way).numpy(),
                               np.nanquantile(holes, 0.5, dim, method=way), rtol=1e-12)


def test_differences_and_integrals():
    t = torch.tensor(X)
    for n in (1, 2):
        assert np.array_equal(t.diff(n, 1).numpy(), np.diff(X, n, 1))
    assert np.array_equal(torch.diff(t, prepend=t[..., :1]).numpy(), np.diff(X, prepend=X[..., :1]))
    trapezoid = getattr(np, "trapezoid", None) or np.trapz
    np.testing.assert_allclose(torch.trapezoid(t, dx=2).numpy(), trapezoid(X, dx=2), rtol=1e-12)
    points = np.sort(RNG.standard_normal(5))
    np.testing.assert_allclose(torch.trapz(t, torch.tensor(points), dim=1).numpy(), trapezoid(X, points, axis=1),
                               rtol=1e-12)
    flat = RNG.integers(0, 60, 7)
    for got, want in zip(torch.unravel_index(torch.tensor(flat), (3, 4, 5)), np.unravel_index(flat, (3, 4, 5))):
        assert np.array_equal(got.numpy(), want)
    assert np.array_equal(torch.vander(torch.tensor([1.0, 2, 3]), 4).numpy(), np.vander([1.0, 2, 3], 4))


def test_writes_of_parts():
    t = torch.tensor(X)
    want = X.copy()
    want[:, 2] = X[:, 0]
    assert np.array_equal(torch.select_scatter(t, t[:, 0], 1, 2).numpy(), want)
    want = X.copy()
    want[:, 1:5:2] = X[:, :2]
    assert np.array_equal(torch.slice_scatter(t, t[:, :2], 1, 1, 5, 2).numpy(), want)
    want = X[0].copy()
    want[np.arange(5), np.arange(5) + 1] = 7
    assert np.array_equal(torch.diagonal_scatter(t[0], torch.full((5,), 7.0, dtype=torch.float64), 1).numpy(), want)
    for wrap in (False, True):
        want = np.zeros((9, 3))
        np.fill_diagonal(want, 2, wrap)
        assert np.array_equal(torch.zeros(9, 3).fill_diagonal_(2, wrap).numpy(), want)


def test_gradients():
    x = torch.tensor(X[0], requires_grad=True)
    for f in (lambda x: x.quantile(0.3, 1), lambda x: torch.trapezoid(x.diff(2)),
              lambda x: torch.select_scatter(x, x[1] * 2, 0, 0),
              lambda x: torch.diagonal_scatter(x, x[:, 0] * x[:, 1], 1)):
        assert gradcheck(f, (x,))
        assert gradgradcheck(f, (x,))


@pytest.mark.parametrize("call", [
    lambda x: torch.bincount(x), lambda x: torch.bincount(torch.tensor([-1])),
    lambda x: torch.bincount(torch.tensor([1]), x),
    lambda x: torch.histc(x, 0), lambda x: torch.histc(x, 5, 2, 1), lambda x: x.quantile(1.5),
    lambda x: x.long().quantile(0.5),
    lambda x: x.quantile(0.5, interpolation="cubic"), lambda x: torch.select_scatter(x, x, 0, 0),
    lambda x: x[0].fill_diagonal_(1),
])
def test_errors(call):
    with pytest.raises(RuntimeError):
        call(torch.zeros(2, 3))
