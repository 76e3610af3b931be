"""Joining, splitting and rearranging against NumPy; gradients of order one and two; views; errors."""
import numpy as np
import pytest

import minitorch_bn as torch
import minitorch_bn.nn.functional as F
from minitorch_bn.autograd import gradcheck, gradgradcheck

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 5, 6))
V = RNG.standard_normal(7)
M = RNG.standard_normal((4, 5))


def check(f, want, *arrays):
    """f's value on float64 tensors is `want` (an array or several); its derivatives of order one and two are right."""
    leaves = tuple(torch.tensor(a, requires_grad=True) for a in arrays)
    got = f(*leaves)
    want = want if isinstance(want, (tuple, list)) else (want,)
    got = got if isinstance(got, (tuple, list)) else (got,)
    assert len(got) == len(want)
    for g, w in zip(got, want):
        assert np.array_equal(g.detach().numpy(), w)
    assert gradcheck(f, leaves)
    assert gradgradcheck(f, leaves)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_cat_and_stack(dim):
    other = np.take(X, [0, 1, 1], dim)
    check(lambda a, b: torch.cat([a, b, a], dim), np.concatenate([X, other, X], dim), X, other)
    check(lambda a, b: torch.stack([a, b], dim), np.stack([X, X + 1], dim), X, X + 1)
    t = torch.tensor(X).transpose(0, 2)
    assert np.array_equal(torch.cat([t, t], dim).numpy(), np.concatenate([X.transpose(2, 1, 0)] * 2, dim))


def test_cat_promotes_and_skips_empty_vectors():
    y = torch.cat([torch.zeros(2, dtype=torch.int32), torch.ones(1), torch.zeros(0)])
    assert y.dtype == torch.float32 and y.tolist() == [0, 0, 1]
    assert torch.cat([torch.zeros(0), torch.ones(2, 3)]).shape == (2, 3)
    out = torch.empty(3)
    assert torch.cat([torch.ones(1), torch.zeros(2)], out=out) is out and out.tolist() == [1, 0, 0]


@pytest.mark.parametrize("name", ["hstack", "vstack", "dstack", "column_stack"])
def test_stacks(name):
    for a in (V, M, X):
        if name == "column_stack" and a.ndim == 3:
            continue
        check(lambda a, b: getattr(torch, name)((a, b)), getattr(np, name)((a, a)), a, a)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_splits(dim):
    n = X.shape[dim]
    check(lambda x: torch.split(x, 2, dim), np.split(X, range(2, n, 2), dim), X)
    check(lambda x: x.split([1, n - 1], dim), np.split(X, [1], dim), X)
    check(lambda x: x.chunk(3, dim), np.split(X, range(-(-n // 3), n, -(-n // 3)), dim), X)
    check(lambda x: torch.tensor_split(x, 3, dim), np.array_split(X, 3, dim), X)
    check(lambda x: torch.tensor_split(x, (1, 3), dim), np.split(X, (1, 3), dim), X)
    check(lambda x: x.unbind(dim)[::2], [np.take(X, i, dim) for i in range(0, n, 2)], X)
    check(lambda x: x.unbind(dim)[1], np.take(X, 1, dim), X)  # the others have no gradient
    assert [p.shape[dim] for p in torch.tensor(X).chunk(9, dim)] == [1] * n


def test_pieces_are_views():
    x = torch.zeros(4, 3)
    _, b = x.split(2)
    b[0] = 7
    x.unbind(1)[2][0] = 5
    assert x.tolist() == [[0, 0, 5], [0, 0, 0], [7, 7, 7], [0, 0, 0]]
    leaf = torch.ones(4, requires_grad=True)
    y = leaf * 2
    first, second = y.chunk(2)
    first.mul_(10)
    (y.sum() + first.sum() + second.sum()).backward()
    assert leaf.grad.tolist() == [40, 40, 4, 4]


def test_unbind_costs_one_node():
    x = torch.ones(50, 2, requires_grad=True)
    pieces = (x * 1).unbind(0)
    assert len({id(p.grad_fn) for p in pieces}) == 1 and [p.output_nr for p in pieces] == list(range(50))


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_order(dim):
    check(lambda x: x.flip(dim), np.flip(X, dim), X)
    check(lambda x: torch.flip(x, (0, dim)) if dim else x.flip(0), np.flip(X, (0, dim) if dim else 0), X)
    check(lambda x: x.roll(2, dim), np.roll(X, 2, dim), X)
    check(lambda x: x.roll((-1, 3), (dim, 0)), np.roll(X, (-1, 3), (dim, 0)), X)
    check(lambda x: x.roll(7), np.roll(X, 7), X)
    for k in range(-1, 4):
        check(lambda x: x.rot90(k, (0, 2)), np.rot90(X, k, (0, 2)), X)  # noqa: B023
    check(torch.fliplr, np.fliplr(X), X)
    check(torch.flipud, np.flipud(X), X)


def test_repetition():
    check(lambda x: x.repeat(2, 1, 3), np.tile(X, (2, 1, 3)), X)
    check(lambda x: x.repeat(2, 1, 3, 1), np.tile(X, (2, 1, 3, 1)), X)
    check(lambda x: x.tile((2, 3)), np.tile(X, (2, 3)), X)
    assert torch.tensor(X).repeat(0, 1, 1).shape == (0, 5, 6)
    for dim in range(3):
        check(lambda x: x.repeat_interleave(2, dim), np.repeat(X, 2, dim), X)  # noqa: B023
        counts = RNG.integers(0, 3, X.shape[dim])
        check(lambda x: x.repeat_interleave(torch.tensor(counts), dim), np.repeat(X, counts, dim), X)  # noqa: B023
    assert torch.repeat_interleave(torch.tensor([2, 0, 1])).tolist() == [0, 0, 2]


@pytest.mark.parametrize("amounts", [(1, 2), (0, 0), (1, 2, 3, 0), (1, 1, 1, 1, 2, 0), (-1, 2, 0, -2)])
def test_constant_pad(amounts):
    pairs = [(amounts[2 * i], amounts[2 * i + 1]) for i in range(len(amounts) // 2)][::-1]
    pairs = [(0, 0)] * (3 - len(pairs)) + pairs
    want = np.pad(X, [(max(a, 0), max(b, 0)) for a, b in pairs], constant_values=1.5)
    want = want[tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(pairs, want.shape))]
    check(lambda x: F.pad(x, amounts, value=1.5), want, X)


@pytest.mark.parametrize("mode, name", [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")])
def test_other_pads(mode, name):
    check(lambda x: F.pad(x, (2, 1), mode), np.pad(X, ((0, 0), (0, 0), (2, 1)), name), X)
    check(lambda x: F.pad(x, (2, 1, 1, 3), mode), np.pad(X, ((0, 0), (1, 3), (2, 1)), name), X)
    with pytest.raises(NotImplementedError):
        F.pad(torch.tensor(X), (1, 1, 1, 1, 1, 1), mode)
    with pytest.raises(RuntimeError):
        F.pad(torch.tensor(X)[..., :0], (1, 1), mode)


@pytest.mark.parametrize("k", [-2, 0, 1, 3])
def test_triangles_and_diagonals(k):
    check(lambda x: x.tril(k), np.tril(X, k), X)
    check(lambda x: x.triu(k), np.triu(X, k), X)
    check(lambda v: v.diag(k), np.diag(V, k), V)
    check(lambda m: m.diag(k), np.diag(M, k), M)
    check(lambda x: x.diag_embed(k), np.stack([np.stack([np.diag(r, k) for r in m]) for m in X]), X)
    check(lambda m: m.diagflat(k), np.diagflat(M, k), M)
    assert np.array_equal(torch.tril_indices(3, 4, k).numpy(), np.stack(np.tril_indices(3, k, 4)))
    assert np.array_equal(torch.triu_indices(3, 4, k).numpy(), np.stack(np.triu_indices(3, k, 4)))
    y = torch.tensor(M)
    assert y.tril_(k) is y and np.array_equal(y.numpy(), np.tril(M, k))


def test_grids():
    for way in ("ij", "xy"):
        check(lambda a, b, c: torch.meshgrid(a, b, c, indexing=way), np.meshgrid(V, V[:3], V[:2], indexing=way), V,  # noqa: B023
              V[:3], V[:2])
    pairs = torch.cartesian_prod(torch.arange(3), torch.arange(2))
    assert pairs.tolist() == [[a, b] for a in range(3) for b in range(2)]
    assert torch.combinations(torch.arange(4)).tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    assert torch.block_diag(torch.ones(2, 1), torch.full((3,), 2.0)).tolist() == [[1, 0, 0, 0], [1, 0, 0, 0],
                                                                                  [0, 2, 2, 2]]
    a, b = torch.broadcast_tensors(torch.zeros(3, 1), torch.zeros(4))
    assert a.shape == b.shape == (3, 4)
    for n in (1, 2, 3):
        for array in (np.array(1.0), V, M, X):
            want = getattr(np, f"atleast_{n}d")(array).shape
            assert getattr(torch, f"atleast_{n}d")(torch.tensor(array)).shape == want


@pytest.mark.parametrize("error, call", [
    (ValueError, lambda x: torch.cat([])), (RuntimeError, lambda x: torch.cat([x, x[0]])),
    (RuntimeError, lambda x: torch.cat([x, x[:1]], 1)), (TypeError, lambda x: torch.cat(x)),
    (TypeError, lambda x: torch.cat([x, 1])),
    (RuntimeError, lambda x: torch.cat([torch.tensor(1.0)])), (IndexError, lambda x: torch.cat([x], 2)),
    (RuntimeError, lambda x: torch.stack([x, x[0]])), (RuntimeError, lambda x: x.split([1, 2])),
    (RuntimeError, lambda x: x.split(-1)),
    (RuntimeError, lambda x: x.chunk(0)), (RuntimeError, lambda x: torch.tensor(1.0).unbind()),
    (RuntimeError, lambda x: x.flip((0, 0))),
    (IndexError, lambda x: x.flip(2)), (RuntimeError, lambda x: x.roll((1, 2), 0)),
    (RuntimeError, lambda x: x.repeat(2)),
    (RuntimeError, lambda x: x.repeat(2, -1)), (RuntimeError, lambda x: F.pad(x, (1,))),
    (RuntimeError, lambda x: F.pad(x, (1,) * 6)),
    (RuntimeError, lambda x: F.pad(x, (-3, -3))), (RuntimeError, lambda x: F.pad(x, (4, 0), "reflect")),
    (NotImplementedError, lambda x: F.pad(x, (1, 1), "other")), (RuntimeError, lambda x: x[0].tril()),
    (RuntimeError, lambda x: x.repeat_interleave(torch.tensor([1, 2, 3]), 0)),
    (RuntimeError, lambda x: torch.hsplit(x, 2)),
])
def test_errors(error, call):
    with pytest.raises(error):
        call(torch.zeros(2, 3))
