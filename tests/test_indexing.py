"""Indexing by tensors: gather, scatter, rows, masks, x[...] read and written; by NumPy, gradients, errors, bits."""
import numpy as np
import pytest
from digest import at, settings
from hypothesis import assume, given
from hypothesis import strategies as st

import minitorch_bn as torch
import minitorch_bn.nn.functional as F
from minitorch_bn.autograd import gradcheck, gradgradcheck

RNG = np.random.default_rng(0)
DTYPES = list(torch._core.DTYPES.values())
X = RNG.standard_normal((4, 5, 6))


def check_grads(f, *inputs):
    """Gradients of order one and two by differences."""
    leaves = tuple(torch.tensor(x, requires_grad=True) for x in inputs)
    assert gradcheck(f, leaves)
    assert gradgradcheck(f, leaves)


def index(n, *shape):
    return torch.tensor(RNG.integers(0, n, shape))


def along(dim, n_out):
    """Distinct positions along dim for an index of n_out there and two less than X elsewhere."""
    shape = [n_out if d == dim else max(n - 2, 1) for d, n in enumerate(X.shape)]
    order = np.argsort(RNG.random([X.shape[dim] if d == dim else n for d, n in enumerate(shape)]), dim)
    return np.take(order, range(n_out), dim)


# -- gather, scatter ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_gather(dim, dtype):
    x = torch.tensor(X * 9).to(dtype)
    shape = [7 if d == dim % 3 else n for d, n in enumerate(X.shape)]
    i = index(X.shape[dim], *shape)
    got = x.gather(dim, i)
    assert got.dtype == dtype
    assert np.array_equal(got.double().numpy(), np.take_along_axis(x.double().numpy(), i.numpy(), dim))
    assert torch.equal(torch.take_along_dim(x, i, dim), got)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_scatter(dim):
    i, src = along(dim, 3), RNG.standard_normal((4, 5, 6))
    part = src[tuple(map(slice, i.shape))]
    want, added = X.copy(), X.copy()
    region = tuple(slice(None) if d == dim else slice(n) for d, n in enumerate(i.shape))
    np.put_along_axis(want[region], i, part, dim)
    np.put_along_axis(added[region], i, np.take_along_axis(added[region], i, dim) + part, dim)
    x, i, s = torch.tensor(X), torch.tensor(i), torch.tensor(src)
    assert np.array_equal(x.scatter(dim, i, s).numpy(), want)
    assert np.array_equal(x.scatter_add(dim, i, s).numpy(), added)
    y = x.clone()
    assert y.scatter_(dim, i, s) is y and np.array_equal(y.numpy(), want)
    z = x.transpose(0, 2).contiguous().transpose(0, 2)
    assert np.array_equal(z.scatter_add_(dim, i, s).numpy(), added)
    y = x.scatter(dim, i, 7)
    assert (y.gather(dim, i) == 7).all() and torch.equal(x.scatter(dim, i, value=7), y)


def test_the_last_write_stays_and_sums_are_in_order():
    x = torch.zeros(3)
    i = torch.tensor([1, 1, 1])
    assert x.scatter(0, i, torch.tensor([5.0, 6, 7])).tolist() == [0, 7, 0]
    assert x.scatter_add(0, i, torch.tensor([1e8, 1.0, -1e8])).tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", DTYPES[1:])
@pytest.mark.parametrize("reduce", ["sum", "prod", "amax", "amin", "mean"])
@pytest.mark.parametrize("include_self", [True, False])
def test_scatter_reduce(reduce, include_self, dtype):
    values, src = RNG.integers(1, 4, 5), RNG.integers(1, 4, 7)
    i = np.array([0, 3, 0, 0, 3, 1, 1])
    got = torch.tensor(values).to(dtype).scatter_reduce(0, torch.tensor(i), torch.tensor(src).to(dtype), reduce,
                                                        include_self=include_self)
    op = {"sum": np.sum, "prod": np.prod, "amax": np.max, "amin": np.min, "mean": np.mean}[reduce]
    for k in range(5):
        members = np.concatenate([values[k:k + 1] if include_self or k not in i else [], src[i == k]])
        want = op(members)
        want = np.floor(want) if not got.is_floating_point() else want
        if dtype in (torch.float32, torch.float64) or reduce != "mean":
            assert got[k].double().item() == pytest.approx(want)


def test_gradients_of_scatters():
    i = torch.tensor(along(1, 2))
    src = RNG.standard_normal(tuple(i.shape))
    check_grads(lambda x: x.gather(1, i), X)
    check_grads(lambda x, s: x.scatter(1, i, s), X, src)
    check_grads(lambda x: x.scatter(1, i, 3.0), X)
    repeated = torch.tensor([0, 2, 2, 0])
    v, s = RNG.standard_normal(3), RNG.standard_normal(4)
    check_grads(lambda x: x.gather(0, repeated), v)
    check_grads(lambda x, s: x.scatter_add(0, repeated, s), v, s)
    for reduce in ("sum", "mean", "amax", "amin", "prod"):
        for include in (True, False):
            leaves = tuple(torch.tensor(a, requires_grad=True) for a in (v, s))
            assert gradcheck(lambda x, s: x.scatter_reduce(0, repeated, s, reduce, include_self=include), leaves)  # noqa: B023


# -- rows --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_rows(dim, dtype):
    x = torch.tensor(X * 9).to(dtype)
    n = X.shape[dim]
    i = index(n, 9)
    assert np.array_equal(x.index_select(dim, i).double().numpy(), np.take(x.double().numpy(), i.numpy(), dim))
    assert torch.equal(x.index_select(dim, i.int()), x.index_select(dim, i))
    at_rows = (slice(None),) * (dim % 3)
    src = torch.tensor(RNG.integers(0, 3, [9 if d == dim % 3 else m for d, m in enumerate(X.shape)])).to(dtype)
    if dtype not in (torch.bool, torch.float16, torch.bfloat16):
        want = x.numpy().copy()
        np.add.at(want, (*at_rows, i.numpy()), src.numpy())
        assert np.array_equal(x.index_add(dim, i, src).numpy(), want)
    few = torch.tensor(RNG.permutation(n)[:3])
    part = src.narrow(dim, 0, 3)
    want = x.double().numpy().copy()
    want[(*at_rows, few.numpy())] = part.double().numpy()
    assert np.array_equal(x.index_copy(dim, few, part).double().numpy(), want)
    want[(*at_rows, few.numpy())] = 1
    assert np.array_equal(x.index_fill(dim, few, 1).double().numpy(), want)
    y = x.clone()
    assert y.index_fill_(dim, few, 1) is y and np.array_equal(y.double().numpy(), want)


def test_gradients_of_rows():
    i, few = torch.tensor([4, 0, 0, 2]), torch.tensor([3, 1])
    check_grads(lambda x: x.index_select(1, i), X)
    check_grads(lambda x, s: x.index_add(1, i, s, alpha=2), X, RNG.standard_normal((4, 4, 6)))
    check_grads(lambda x, s: x.index_copy(1, few, s), X, RNG.standard_normal((4, 2, 6)))
    check_grads(lambda x: x.index_fill(1, few, 2.0), X)
    check_grads(lambda x: x.take(torch.tensor([[0, -1], [5, 5]])), X)
    check_grads(lambda x, s: x.put(torch.tensor([0, -1]), s), X, RNG.standard_normal(2))


def test_take_and_put():
    x = torch.tensor(X)
    i = torch.tensor(RNG.integers(-120, 120, (3, 4)))
    assert np.array_equal(x.take(i).numpy(), X.take(i.numpy()))
    y = x.clone()
    y.put_(torch.tensor([0, -1]), torch.tensor([8.0, 9.0], dtype=torch.float64))
    assert y[0, 0, 0] == 8 and y[-1, -1, -1] == 9
    y.put_(torch.tensor([0, 0]), torch.tensor([1.0, 1.0], dtype=torch.float64), accumulate=True)
    assert y[0, 0, 0] == 10


def test_embedding():
    w, i = RNG.standard_normal((7, 3)), torch.tensor([[1, 2], [2, 6]])
    assert np.array_equal(F.embedding(i, torch.tensor(w)).numpy(), w[i.numpy()])
    check_grads(lambda w: F.embedding(i, w), w)
    leaf = torch.tensor(w, requires_grad=True)
    F.embedding(i, leaf, padding_idx=2).sum().backward()
    assert leaf.grad[:, 0].tolist() == [0, 1, 0, 0, 0, 0, 1]
    leaf.grad = None
    F.embedding(i, leaf, scale_grad_by_freq=True).sum().backward()
    assert leaf.grad[:, 0].tolist() == [0, 1, 1, 0, 0, 0, 1]
    with pytest.raises(IndexError, match="out of range"):
        F.embedding(torch.tensor([7]), leaf)
    with pytest.raises(RuntimeError, match="Long, Int"):
        F.embedding(torch.tensor([1.0]), leaf)


def test_one_hot():
    i = torch.tensor([[0, 2], [1, 1]])
    assert F.one_hot(i).tolist() == np.eye(3, dtype=int)[i.numpy()].tolist()
    assert F.one_hot(i, 5).shape == (2, 2, 5)
    for bad in (torch.tensor([-1]), torch.tensor([1.0])):
        with pytest.raises(RuntimeError):
            F.one_hot(bad)
    with pytest.raises(RuntimeError, match="smaller than num_classes"):
        F.one_hot(i, 2)


# -- x[...] ------------------------------------------------------------------------------------------------------------

@st.composite
def indexing(draw):
    """A shape and an index of it, valid for NumPy and PyTorch alike."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    common = draw(st.sampled_from([(), (3,), (2, 3), (0,)]))
    parts, dim = [], 0
    while dim < len(shape):
        n = shape[dim]
        kind = draw(st.sampled_from(["int", "slice", "array", "array", "none", "end", "mask"]))
        if kind == "end":
            break
        if kind == "none":
            parts.append(None)
            continue
        if kind == "int":
            parts.append(draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            parts.append(slice(draw(st.none() | st.integers(-5, 5)), draw(st.none() | st.integers(-5, 5)),
                               draw(st.none() | st.integers(1, 3))))
        elif kind == "mask" and not any(isinstance(p, np.ndarray) for p in parts):
            mask = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
            parts.append(mask)
            parts.extend([slice(None)] * (len(shape) - dim - 1))
            break
        else:
            size = draw(st.sampled_from([common, common[-1:]])) if common else ()
            values = draw(st.lists(st.integers(-n, n - 1), min_size=int(np.prod(size)), max_size=int(np.prod(size))))
            parts.append(np.array(values, dtype=np.int64).reshape(size))
        dim += 1
    return shape, tuple(parts)


def arrays_then_ints(parts):
    """NumPy treats an int beside an array as an array; PyTorch selects it first. Only without they agree."""
    arrays = any(isinstance(p, np.ndarray) for p in parts)
    return not (arrays and any(isinstance(p, int) or (isinstance(p, np.ndarray) and p.ndim == 0) for p in parts))


@given(indexing())
def test_getitem_and_setitem_as_numpy(case):
    shape, parts = case
    assume(len(shape) + sum(part is None for part in parts) <= 8)  # as many dims as a tensor has at most
    if not arrays_then_ints(parts):
        return
    a = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    x = torch.from_numpy(a.copy())
    key = tuple(torch.from_numpy(p) if isinstance(p, np.ndarray) else p for p in parts)
    want = a[parts]
    assert np.array_equal(x[key].numpy(), want)
    leaf = x.clone().requires_grad_()
    leaf[key].sum().backward()
    counts = np.zeros(shape)
    np.add.at(counts, parts, 1)
    assert np.array_equal(leaf.grad.numpy(), counts)
    unique = np.zeros(shape)
    unique[parts] = 1
    if unique.sum() == want.size:  # no element named twice: the order of writes does not matter
        values = -np.arange(want.size, dtype=np.float64).reshape(want.shape)
        b = a.copy()
        b[parts] = values
        x[key] = torch.from_numpy(values)
        assert np.array_equal(x.numpy(), b)


def test_indices_keep_their_place_only_side_by_side():
    x, i = torch.zeros(2, 3, 4, 5), torch.tensor([[0, 1]] * 6)
    assert x[:, i, i].shape == (2, 6, 2, 5) and x[i, :, i].shape == (6, 2, 3, 5) and x[:, i].shape == (2, 6, 2, 4, 5)
    assert x[[0, 1], [2, 0]].shape == (2, 4, 5) and x[..., [0]].shape == (2, 3, 4, 1)


def test_gradients_of_brackets():
    i, j = torch.tensor([0, 2, 2]), torch.tensor([-1, 0, 0])
    mask = torch.tensor(RNG.random((4, 5)) < 0.5)
    for f in (lambda x: x[i], lambda x: x[:, i, j], lambda x: x[i, :, j], lambda x: x[mask], lambda x: x[1:3, None, i]):
        check_grads(f, X)

    def written(x, v):
        y = x * 1
        y[:, torch.tensor([0, 3]), torch.tensor([1, 1])] = v
        return y * y

    check_grads(written, X, RNG.standard_normal(2))
    check_grads(lambda x, v: torch.index_put(x, (i, j), v, accumulate=True), X, RNG.standard_normal((3, 6)))


def test_write_through_a_view():
    base = torch.zeros(4, 6)
    base[:, 1:3][[0, 2]] = torch.tensor([1.0, 2.0])
    assert base.nonzero().tolist() == [[0, 1], [0, 2], [2, 1], [2, 2]]
    x = torch.ones(4, requires_grad=True)
    y = x * 2
    y[1:][torch.tensor([True, False, True])] = 5
    y.sum().backward()
    assert x.grad.tolist() == [2, 0, 2, 0]


# -- masks -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 0), (40, 50), (2, 3, 4), (70000,)])
def test_nonzero_and_masks(shape):
    mask = RNG.random(shape) < 0.4
    values = np.asarray(RNG.standard_normal(shape))
    m, x = torch.tensor(mask), torch.tensor(values)
    want = np.argwhere(mask) if shape else np.zeros((int(mask), 0), int)
    assert np.array_equal(m.nonzero().numpy(), want) and np.array_equal((m * 2.5).nonzero().numpy(), want)
    for got, coordinates in zip(m.nonzero(as_tuple=True), np.nonzero(np.atleast_1d(mask))):
        assert np.array_equal(got.numpy(), coordinates)
    assert np.array_equal(x.masked_select(m).numpy(), values[mask].reshape(-1))
    assert np.array_equal(x.masked_fill(m, 3).numpy(), np.where(mask, 3, values))
    src = RNG.standard_normal(values.size + 2)
    b = values.copy()
    b[mask] = src[:mask.sum()]
    assert np.array_equal(x.masked_scatter(m, torch.tensor(src)).numpy(), b)
    assert torch.equal(x.clone().masked_fill_(m, 3), x.masked_fill(m, 3))


def test_gradients_of_masks():
    mask = torch.tensor(RNG.random((5, 6)) < 0.5)
    check_grads(lambda x: x.masked_select(mask), X)
    check_grads(lambda x: x.masked_fill(mask, 2.0), X)
    check_grads(lambda x, v: x.masked_fill(mask, v), X, np.array(2.0))
    check_grads(lambda x, s: x.masked_scatter(mask, s), X, RNG.standard_normal(130))


# -- errors ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("error, call", [
    (RuntimeError, lambda x: x.gather(0, torch.tensor([[9]]))),
    (RuntimeError, lambda x: x.gather(0, torch.tensor([[-1]]))),
    (RuntimeError, lambda x: x.gather(0, torch.tensor([1]))),
    (RuntimeError, lambda x: x.gather(0, torch.tensor([[0] * 9]))),
    (RuntimeError, lambda x: x.gather(0, torch.tensor([[0.0]]))),
    (IndexError, lambda x: x.gather(2, torch.tensor([[0]]))),
    (RuntimeError, lambda x: x.scatter(0, torch.tensor([[9]]), 1)),
    (RuntimeError, lambda x: x.scatter(0, torch.tensor([[0]]), x.int())),
    (RuntimeError, lambda x: x.scatter_add(0, torch.tensor([[0] * 4]), torch.ones(1, 3))),
    (IndexError, lambda x: x.index_select(0, torch.tensor([3]))),
    (IndexError, lambda x: x.index_select(0, torch.tensor([-1]))),
    (IndexError, lambda x: x.index_select(0, torch.tensor([[0]]))),
    (RuntimeError, lambda x: x.index_add(0, torch.tensor([0]), x)),
    (IndexError, lambda x: x.take(torch.tensor([12]))), (IndexError, lambda x: x[torch.tensor([3])]),
    (IndexError, lambda x: x[torch.tensor([-4])]), (IndexError, lambda x: x[torch.tensor([0.5])]),
    (IndexError, lambda x: x[[0, 1], [0, 1, 2]]), (IndexError, lambda x: x[torch.ones(2, dtype=torch.bool)]),
    (IndexError, lambda x: x[[0], [0], [0]]), (RuntimeError, lambda x: x.__setitem__([0, 1], torch.ones(3))),
    (RuntimeError, lambda x: x.masked_fill(x, 0)), (RuntimeError, lambda x: x.masked_select(x > 0).fill_(x)),
    (RuntimeError, lambda x: x.masked_scatter(x == x, torch.ones(1))),
    (RuntimeError, lambda x: x.scatter_reduce(0, x.long(), x, "max")),
    (RuntimeError, lambda x: torch.index_put(x, (torch.tensor([0]),), torch.ones(4, dtype=torch.float64))),
    (RuntimeError, lambda x: torch.zeros(3).masked_fill_(x[:, :3] == 0, 1)),
])
def test_errors_leave_everything_unharmed(error, call):
    x = torch.arange(12.0).reshape(3, 4)
    with pytest.raises(error):
        call(x)
    assert x.tolist() == torch.arange(12.0).reshape(3, 4).tolist()


def test_same_bits_everywhere():
    x = torch.tensor(RNG.standard_normal((300, 40)), dtype=torch.float32)
    src = torch.tensor(RNG.standard_normal((9000, 40)), dtype=torch.float32)
    i, ij = index(300, 9000), index(300, 9000, 40)
    flat, v, vi = torch.zeros(50), torch.tensor(RNG.standard_normal(90000), dtype=torch.float32), index(50, 90000)
    seen = set()
    for level, threads in [*settings(), (settings()[0][0], 12)]:  # with so many threads, each has rows of the result
        with at(level, threads):
            results = (x.index_add(0, i, src), x.scatter_add(0, ij, src), x[i], x.gather(0, ij),
                       flat.scatter_add(0, vi, v),
                       flat.index_add(0, vi, v), torch.index_put(x, (i,), src, accumulate=True), x[x > 0],
                       (x > 0).nonzero(),
                       x.t().contiguous().index_add(1, i, src.t()))
            seen.add(b"".join(r.numpy().tobytes() for r in results))
    assert len(seen) == 1
