"""Masked reductions, windows, covariances, histograms and distances, against NumPy and SciPy."""
import math

import numpy as np
import pytest

import minitorch_bn as torch
from minitorch_bn import masked

X = np.random.default_rng(0).normal(size=(3, 4, 5))
MASK = np.random.default_rng(1).random((3, 4, 5)) > 0.4
MASK[1, 2] = False  # a row that is masked out
ROWS = [(i, j) for i in range(3) for j in range(4)]


def rows(function):
    """function of the elements that are not masked out, for each row."""
    return np.array([function(X[i, j][MASK[i, j]]) for i, j in ROWS]).reshape(3, 4)


def log_sum_exp(x):
    return np.log(np.exp(x).sum()) if x.size else -math.inf


REDUCTIONS = {"sum": np.sum, "prod": np.prod, "mean": lambda x: x.mean() if x.size else math.nan,
              "amax": lambda x: x.max(initial=-math.inf), "amin": lambda x: x.min(initial=math.inf),
              "var": lambda x: x.var(ddof=1) if x.size > 1 else math.nan,
              "std": lambda x: x.std(ddof=1) if x.size > 1 else math.nan,
              "norm": lambda x: math.sqrt((x * x).sum()), "logsumexp": log_sum_exp,
              "median": lambda x: np.sort(x)[(x.size - 1) // 2] if x.size else math.nan}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name):
    x, mask = torch.from_numpy(X), torch.from_numpy(MASK)
    arguments = (2.0, -1) if name == "norm" else (-1,)
    y = getattr(masked, name)(x, *arguments, mask=mask)
    np.testing.assert_allclose(y.numpy(), rows(REDUCTIONS[name]), rtol=1e-12)
    kept = getattr(masked, name)(x, *arguments, keepdim=True, mask=mask)
    assert kept.shape == (3, 4, 1)
    everything = getattr(masked, name)(x, *arguments)  # without a mask
    full = getattr(masked, name)(x, *arguments, mask=torch.ones(5, dtype=torch.bool))
    np.testing.assert_allclose(everything.numpy(), full.numpy(), rtol=1e-12)
    if name != "median":
        reduced = getattr(masked, name)(x, *((2.0,) if name == "norm" else ()), mask=mask)
        np.testing.assert_allclose(reduced.item(), REDUCTIONS[name](X[MASK]), rtol=1e-10)


def test_gradients_reach_only_what_is_kept():
    mask = torch.from_numpy(MASK)
    for name in ("sum", "mean", "prod", "amax", "var", "logsumexp"):
        x = torch.from_numpy(X).requires_grad_()
        y = getattr(masked, name)(x, -1, mask=mask)
        y[torch.isfinite(y)].sum().backward()
        assert x.grad[~mask].nan_to_num().count_nonzero().item() == 0, name
    x = torch.from_numpy(X[0]).requires_grad_()
    first = torch.from_numpy(MASK[0])
    assert torch.autograd.gradcheck(lambda x: masked.softmax(x, -1, mask=first), (x,))
    assert torch.autograd.gradgradcheck(lambda x: masked.mean(x, -1, mask=first), (x,))


def test_normalizations_and_scans():
    x, mask = torch.from_numpy(X), torch.from_numpy(MASK)
    weights = np.where(MASK, np.exp(X), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = weights / weights.sum(-1, keepdims=True)
        np.testing.assert_allclose(masked.softmax(x, -1, mask=mask).numpy(), share, rtol=1e-12)
        logs = masked.log_softmax(x, -1, mask=mask).exp()
    np.testing.assert_allclose(logs.numpy(), share, rtol=1e-12)
    np.testing.assert_allclose(masked.softmin(-x, -1, mask=mask).numpy(), share, rtol=1e-12)
    np.testing.assert_allclose(masked.cumsum(x, 1, mask=mask).numpy(), np.where(MASK, X, 0).cumsum(1), rtol=1e-12)
    np.testing.assert_allclose(masked.cumprod(x, 1, mask=mask).numpy(), np.where(MASK, X, 1).cumprod(1), rtol=1e-12)
    length = np.sqrt(np.where(MASK, X * X, 0).sum(-1, keepdims=True))
    np.testing.assert_allclose(masked.normalize(x, 2.0, -1, mask=mask).numpy(),
                               np.where(MASK, X, 0) / np.maximum(length, 1e-12), rtol=1e-12)
    both = masked.logaddexp(x, x + 1, input_mask=mask, other_mask=~mask)
    np.testing.assert_allclose(both.numpy(), np.where(MASK, X, X + 1), rtol=1e-12)


def test_integers_and_errors():
    x = torch.tensor([[3, 1, 2], [6, 5, 4]])
    mask = torch.tensor([True, False, True])
    assert masked.sum(x, 1, mask=mask).tolist() == [5, 10]
    assert masked.amax(x, 1, mask=mask).tolist() == [3, 6] and masked.argmin(x, 1, mask=mask).tolist() == [2, 2]
    assert masked.median(x, 1, mask=mask).tolist() == [2, 4]
    with pytest.raises(ValueError, match="fully masked out"):
        masked.median(x, 1, mask=torch.zeros(3, dtype=torch.bool))
    with pytest.raises(ValueError, match="floating point"):
        masked.mean(x, 1)
    with pytest.raises(IndexError):
        masked.sum(x, 2)
    with pytest.raises(IndexError, match="dimensionality"):
        masked.sum(x, mask=torch.ones(1, 2, 3, dtype=torch.bool))
    with pytest.raises(RuntimeError, match="multiple times"):
        masked.sum(x, (0, 0))


# -- windows -----------------------------------------------------------------------------------------------------------

def test_windows():
    windows = pytest.importorskip("scipy.signal.windows", reason="SciPy is the reference")
    ours = torch.signal.windows
    arguments = {"kaiser": ({"beta": 9.0}, (9.0,)), "gaussian": ({"std": 2.5}, (2.5,)),
                 "general_cosine": ({"a": [0.5, 0.3, 0.2]}, ([0.5, 0.3, 0.2],)),
                 "general_hamming": ({"alpha": 0.6}, (0.6,)), "exponential": ({"tau": 2.0}, (None, 2.0))}
    for name in ours.__all__:
        keywords, positional = arguments.get(name, ({}, ()))
        for size in (0, 1, 2, 7, 8):
            for symmetric in (True, False):
                y = getattr(ours, name)(size, sym=symmetric, dtype=torch.float64, **keywords)
                expected = getattr(windows, name)(size, *positional, sym=symmetric)
                np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-14, err_msg=name)
        assert getattr(ours, name)(5, **keywords).dtype is torch.float32
    for name in ("hann", "hamming", "blackman", "bartlett", "kaiser"):
        keywords = {"beta": 12.0} if name == "kaiser" else {}
        y = getattr(torch, f"{name}_window")(9, periodic=False, dtype=torch.float64)
        assert torch.equal(y, getattr(ours, name)(9, dtype=torch.float64, **keywords))
        assert getattr(torch, f"{name}_window")(1).tolist() == [1.0]
        with pytest.raises(RuntimeError, match="non-negative"):
            getattr(torch, f"{name}_window")(-1)
    with pytest.raises(ValueError, match="non-negative"):
        ours.hann(-1)
    with pytest.raises(ValueError, match="expects float32 or float64"):
        ours.hann(3, dtype=torch.int64)


# -- statistics --------------------------------------------------------------------------------------------------------

def test_covariance():
    x = np.random.default_rng(2).normal(size=(3, 8))
    f, a = np.array([1, 2, 0, 3, 1, 1, 2, 1]), np.linspace(0.1, 1, 8)
    t = torch.from_numpy(x)
    np.testing.assert_allclose(torch.cov(t).numpy(), np.cov(x), rtol=1e-12)
    np.testing.assert_allclose(
        torch.cov(t, correction=0, fweights=torch.from_numpy(f), aweights=torch.from_numpy(a)).numpy(),
        np.cov(x, ddof=0, fweights=f, aweights=a), rtol=1e-12)
    np.testing.assert_allclose(torch.cov(t, fweights=torch.from_numpy(f), aweights=torch.from_numpy(a)).numpy(),
                               np.cov(x, fweights=f, aweights=a), rtol=1e-12)
    np.testing.assert_allclose(t.corrcoef().numpy(), np.corrcoef(x), rtol=1e-12)
    assert torch.cov(t[0]).item() == pytest.approx(x[0].var(ddof=1))
    with pytest.raises(RuntimeError, match="two or fewer dimensions"):
        torch.cov(torch.ones(2, 2, 2))
    with pytest.raises(RuntimeError, match="fweights cannot be negative"):
        torch.cov(t, fweights=-torch.from_numpy(f))


def test_histograms():
    x = np.random.default_rng(3).normal(size=200)
    w = np.random.default_rng(4).random(200)
    for keywords in ({}, {"range": (-1.0, 1.5)}, {"density": True}, {"weight": torch.from_numpy(w)}):
        theirs = {("weights" if k == "weight" else k): (w if k == "weight" else v) for k, v in keywords.items()}
        hist, edges = torch.histogram(torch.from_numpy(x), 7, **keywords)
        expected, places = np.histogram(x, 7, **theirs)
        np.testing.assert_allclose(hist.numpy(), expected, rtol=1e-12)
        np.testing.assert_allclose(edges.numpy(), places, rtol=1e-12)
    edges = np.array([-1.0, 0.0, 0.5, 2.0])
    result = torch.histogram(torch.tensor([-1.0, 0.0, 2.0, 3.0, math.nan]), torch.tensor(edges).float())
    assert result.hist.tolist() == [1, 1, 1] and result.bin_edges.tolist() == edges.tolist()
    points = np.random.default_rng(5).normal(size=(100, 2))
    hist, places = torch.histogramdd(torch.from_numpy(points), [3, 4], density=True)
    expected, edges2 = np.histogramdd(points, [3, 4], density=True)
    np.testing.assert_allclose(hist.numpy(), expected, rtol=1e-12)
    for a, b in zip(places, edges2):
        np.testing.assert_allclose(a.numpy(), b, rtol=1e-12)
    with pytest.raises(RuntimeError, match="bins must be > 0"):
        torch.histogram(torch.ones(2), 0)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, math.inf])
def test_distances(p):
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(2, 4, 3)), rng.normal(size=(5, 3))
    x, y = torch.from_numpy(a).requires_grad_(), torch.from_numpy(b).requires_grad_()
    d = np.abs(a[:, :, None] - b)
    expected = (d != 0).sum(-1) if p == 0 else d.max(-1) if p == math.inf else (d**p).sum(-1) ** (1 / p)
    np.testing.assert_allclose(torch.cdist(x, y, p).detach().numpy(), expected, rtol=1e-12)
    if p >= 1:
        assert torch.autograd.gradcheck(lambda x, y: torch.cdist(x, y, p), (x, y))
        assert torch.autograd.gradgradcheck(lambda x, y: torch.cdist(x, y, p), (x, y))
    same = torch.cdist(x, x, p)  # the diagonal, where no derivative exists, gives 0
    same.sum().backward()
    assert bool(torch.isfinite(x.grad).all())


def test_distances_by_matrix_product():
    x = torch.randn(30, 6, dtype=torch.float64, requires_grad=True)
    y = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    plain = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    np.testing.assert_allclose(torch.cdist(x, y).detach().numpy(), plain.detach().numpy(), rtol=1e-10)
    assert torch.autograd.gradcheck(lambda y: torch.cdist(x[:26], y), (y,))
    assert torch.autograd.gradgradcheck(lambda y: torch.cdist(x[:26], y), (y,))
    assert torch.cdist(x[:0], y).shape == (0, 3) and torch.cdist(x[:, :0], y[:, :0]).tolist() == [[0.0] * 3] * 30
    with pytest.raises(RuntimeError, match="same number of columns"):
        torch.cdist(x, y[:, :2])
    with pytest.raises(RuntimeError, match="at least 2D"):
        torch.cdist(x[0], y)
    assert torch.dist(y, y + 1, 1).item() == pytest.approx(18.0)
