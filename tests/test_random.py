"""Random numbers: the generator against published vectors, distributions, reproducibility, dropout, sampling."""
import math
import pickle

import numpy as np
import pytest
from digest import at, settings
from minitorch_bn.kernels.random import philox

import minitorch_bn as torch
import minitorch_bn.nn.functional as F


def kolmogorov(sample, cdf):
    """P(D >= what is seen) if the sample has that distribution function."""
    x = np.sort(np.asarray(sample, dtype=np.float64))
    n = len(x)
    f = cdf(x)
    d = max((np.arange(1, n + 1) / n - f).max(), (f - np.arange(n) / n).max()) * math.sqrt(n)
    return min(1.0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * d * d) for k in range(1, 101)))


phi = np.vectorize(lambda z: 0.5 * math.erfc(-z / math.sqrt(2)))


@pytest.mark.parametrize("counter, key, want", [  # from the Random123 distribution
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0],
     [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
])
def test_philox_known_answers(counter, key, want):
    for level, _ in settings():
        with at(level, 1):
            assert philox(counter, key) == want


def test_seed_repeats_and_differs():
    torch.manual_seed(5)
    a = torch.rand(100)
    b = torch.rand(100)
    torch.manual_seed(5)
    assert torch.equal(a, torch.rand(100)) and not torch.equal(a, b)
    torch.manual_seed(6)
    assert not torch.equal(a, torch.rand(100))
    assert torch.initial_seed() == 6


def test_generator_state():
    g = torch.Generator().manual_seed(-3)
    torch.rand(7, generator=g)
    state, copy = g.get_state(), pickle.loads(pickle.dumps(g))
    a = torch.randn(9, generator=g)
    assert torch.equal(a, torch.randn(9, generator=copy))
    g.set_state(state)
    assert torch.equal(a, torch.randn(9, generator=g))
    assert g.initial_seed() == 2 ** 64 - 3
    assert g.seed() == g.initial_seed()
    with pytest.raises(TypeError):
        g.set_state(torch.zeros(3, dtype=torch.uint8))
    with pytest.raises(RuntimeError):
        g.manual_seed(1 << 64)


def test_global_state():
    state = torch.get_rng_state()
    a = torch.randperm(50)
    torch.set_rng_state(state)
    assert torch.equal(a, torch.randperm(50))


def test_an_element_depends_on_its_place_only():
    """A longer draw begins with the shorter one; layout does not matter; nor do threads and levels."""
    def draws(n):
        g = torch.Generator().manual_seed(1)
        one = [torch.rand(n, generator=g), torch.randn(n, generator=g), torch.rand(n, generator=g, dtype=torch.float64),
               torch.randn(n, generator=g, dtype=torch.float64), torch.randint(-5, 1000, (n,), generator=g),
               torch.empty(n).bernoulli_(0.3, generator=g)]
        torch.manual_seed(2)
        return [*one, F.dropout(torch.ones(n), 0.25)]

    long = draws(100_003)
    for short in (1, 31, 32, 33, 63, 64, 65, 8191, 8193):
        for a, b in zip(draws(short), long):
            assert torch.equal(a, b[:short])
    for level, threads in settings():
        with at(level, threads):
            assert all(torch.equal(a, b) for a, b in zip(draws(100_003), long))
    torch.manual_seed(0)
    a = torch.empty(30, 40).normal_()
    torch.manual_seed(0)
    b = torch.empty(40, 30).t().normal_()
    assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distributions(dtype):
    torch.manual_seed(0)
    n = 20000
    empty = torch.empty(n, dtype=dtype)
    u = torch.rand(n, dtype=dtype)
    assert 0 <= u.min() and u.max() < 1
    assert kolmogorov(u, lambda x: x) > 1e-3
    assert kolmogorov(torch.empty(n, dtype=dtype).uniform_(-3, 2), lambda x: (x + 3) / 5) > 1e-3
    assert kolmogorov(torch.randn(n, dtype=dtype), phi) > 1e-3
    assert kolmogorov(empty.normal_(2, 3), lambda x: phi((x - 2) / 3)) > 1e-3
    assert kolmogorov(empty.exponential_(2), lambda x: 1 - np.exp(-2 * x)) > 1e-3
    assert kolmogorov(empty.log_normal_(0, 1), lambda x: phi(np.log(x))) > 1e-3
    assert kolmogorov(empty.cauchy_(1, 2), lambda x: 0.5 + np.arctan((x - 1) / 2) / np.pi) > 1e-3
    k = empty.geometric_(0.3)
    assert k.min() == 1 and abs(k.mean().item() - 1 / 0.3) < 0.1
    z = torch.randn(n, dtype=dtype).reshape(-1, 2).numpy()
    assert abs(np.corrcoef(z.T)[0, 1]) < 0.03 and abs(np.corrcoef((z ** 2).T)[0, 1]) < 0.03


def test_integers():
    torch.manual_seed(0)
    x = torch.randint(-3, 4, (70000,))
    assert x.dtype == torch.int64 and abs(np.bincount(x.numpy() + 3) / 10000 - 1).max() < 0.06
    assert torch.randint(5, (2, 3), dtype=torch.uint8).dtype == torch.uint8
    assert torch.randint_like(x, 2).max() == 1
    assert torch.randint(-2 ** 63, 2 ** 63 - 1, (1000,)).float().std() > 4e18
    assert torch.empty(10000, dtype=torch.int8).random_().unique().numel() == 128
    assert set(torch.empty(100, dtype=torch.bool).random_().tolist()) == {True, False}
    r = torch.empty(1000).random_(10, 20)
    assert r.min() >= 10 and r.max() < 20 and torch.equal(r, r.floor())
    with pytest.raises(RuntimeError, match="less than"):
        torch.randint(3, 3, (2,))
    with pytest.raises(RuntimeError, match="out of bounds"):
        torch.randint(0, 300, (2,), dtype=torch.uint8)


def test_randperm():
    torch.manual_seed(0)
    for n in (0, 1, 2, 100, 8191, 8192, 20000):
        drawn = torch.randperm(n)
        assert torch.equal(drawn.sort()[0], torch.arange(n)) and (n < 100 or (drawn == torch.arange(n)).sum() < 12)
    counts = {}
    for _ in range(6000):
        key = tuple(torch.randperm(3).tolist())
        counts[key] = counts.get(key, 0) + 1
    assert len(counts) == 6 and all(850 < c < 1150 for c in counts.values())
    with pytest.raises(RuntimeError):
        torch.randperm(-1)


def test_bernoulli():
    torch.manual_seed(0)
    p = torch.tensor([0.0, 0.25, 1.0]).repeat_interleave(10000)
    x = torch.bernoulli(p)
    assert x[:10000].sum() == 0 and x[20000:].sum() == 10000 and abs(x[10000:20000].mean().item() - 0.25) < 0.02
    assert abs(torch.empty(30000).bernoulli_(0.7).mean().item() - 0.7) < 0.02
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(RuntimeError):
            torch.empty(3).bernoulli_(bad)
        with pytest.raises(RuntimeError):
            torch.bernoulli(torch.tensor([bad]))


def test_normal_of_tensors():
    torch.manual_seed(0)
    z = torch.normal(torch.tensor([0.0, 100.0]).expand(20000, 2), torch.tensor([1.0, 5.0]))
    assert z.mean(0).tolist() == pytest.approx([0, 100], abs=0.2) and z.std(0).tolist() == pytest.approx([1, 5],
                                                                                                         rel=0.05)
    assert torch.normal(2.0, 0.0, (3,)).tolist() == [2, 2, 2]
    with pytest.raises(RuntimeError):
        torch.normal(0.0, -1.0, (2,))


def test_multinomial():
    torch.manual_seed(0)
    p = torch.tensor([1.0, 0.0, 3.0])
    x = torch.multinomial(p, 8000, replacement=True)
    assert np.bincount(x.numpy(), minlength=3)[1] == 0 and abs((x == 2).float().mean().item() - 0.75) < 0.03
    rows = torch.multinomial(torch.tensor([[1.0, 2.0, 0.0, 1.0]]).expand(500, 4), 3)
    assert all(sorted(row) == [0, 1, 3] for row in rows.tolist())
    first = rows[:, 0]
    assert abs((first == 1).float().mean().item() - 0.5) < 0.08
    for bad in (torch.tensor([0.0, 0.0]), torch.tensor([-1.0, 2.0]), torch.tensor([float("nan")])):
        with pytest.raises(RuntimeError):
            torch.multinomial(bad, 1)
    with pytest.raises(RuntimeError):
        torch.multinomial(p, 3)


def test_dropout():
    torch.manual_seed(0)
    x = torch.full((200, 300), 2.0, requires_grad=True)
    y = F.dropout(x, 0.4)
    kept = y != 0
    assert abs(kept.float().mean().item() - 0.6) < 0.01
    assert torch.allclose(y[kept], torch.tensor(2.0) / 0.6)
    g, = torch.autograd.grad(y.sum(), x, create_graph=True)
    assert torch.equal(g != 0, kept) and torch.allclose(g[kept], torch.tensor(1 / 0.6))
    w = torch.ones_like(y, requires_grad=True)
    g, = torch.autograd.grad(y, x, w, create_graph=True)
    assert torch.equal(torch.autograd.grad(g.sum(), w)[0] != 0, kept)
    assert F.dropout(x, 0.4, training=False) is x and F.dropout(x, 0.0) is x
    assert F.dropout(x, 1.0).abs().sum() == 0
    assert F.dropout(x.detach().half(), 0.5).dtype == torch.float16
    with pytest.raises(ValueError):
        F.dropout(x, 1.5)


def test_in_place_filling_cuts_the_graph():
    x = torch.ones(5, requires_grad=True)
    y = x * 2
    y[:3].uniform_()
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 0, 2, 2]
    with pytest.raises(RuntimeError, match="leaf"):
        x.normal_()


@pytest.mark.parametrize("call", [
    lambda: torch.empty(2).uniform_(2, 1), lambda: torch.empty(2).normal_(0, -1),
    lambda: torch.empty(2).exponential_(0),
    lambda: torch.empty(2).geometric_(1.0), lambda: torch.empty(2, dtype=torch.int64).normal_(),
    lambda: torch.empty(2).log_normal_(0, 0), lambda: torch.empty(2).cauchy_(0, 0),
])
def test_errors(call):
    with pytest.raises(RuntimeError):
        call()
