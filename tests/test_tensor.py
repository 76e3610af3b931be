"""Tensors as NumPy sees them: dtypes, promotion, views, indexing (read and write), in-place ops, printing of errors."""
import copy
import pickle

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from digest import at
from hypothesis import given

import minitorch_bn as torch
from minitorch_bn.kernels import runtime

DTYPES = list(torch._core.DTYPES.values())
WITH_NUMPY = [d for d in DTYPES if d is not torch.bfloat16]


def array_of(shape, dtype=np.float32):
    return np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape)


# -- dtypes and promotion ----------------------------------------------------------------------------------------------

# PyTorch's documented table (torch.promote_types), by order of DTYPES: b u1 i1 i2 i4 i8 f2 bf f4 f8
PROMOTION = """
b  u1 i1 i2 i4 i8 f2 bf f4 f8
u1 u1 i2 i2 i4 i8 f2 bf f4 f8
i1 i2 i1 i2 i4 i8 f2 bf f4 f8
i2 i2 i2 i2 i4 i8 f2 bf f4 f8
i4 i4 i4 i4 i4 i8 f2 bf f4 f8
i8 i8 i8 i8 i8 i8 f2 bf f4 f8
f2 f2 f2 f2 f2 f2 f2 f4 f4 f8
bf bf bf bf bf bf f4 bf f4 f8
f4 f4 f4 f4 f4 f4 f4 f4 f4 f8
f8 f8 f8 f8 f8 f8 f8 f8 f8 f8
"""
SHORT = dict(zip("b u1 i1 i2 i4 i8 f2 bf f4 f8".split(), DTYPES))


def test_promotion_table():
    rows = [line.split() for line in PROMOTION.strip().splitlines()]
    for a, row in zip(DTYPES, rows):
        for b, want in zip(DTYPES, row):
            assert torch.promote_types(a, b) is SHORT[want]
            assert (torch.ones(2, dtype=a) * torch.ones(2, dtype=b)).dtype is SHORT[want]


@pytest.mark.parametrize("tensor_dtype, number, want", [
    (torch.bool, True, torch.bool), (torch.bool, 1, torch.int64), (torch.bool, 1.5, torch.float32),
    (torch.uint8, 1, torch.uint8), (torch.int32, 1.5, torch.float32), (torch.float16, 1.5, torch.float16),
    (torch.bfloat16, 2, torch.bfloat16), (torch.float64, 1.5, torch.float64), (torch.int64, 2, torch.int64)])
def test_a_number_does_not_widen(tensor_dtype, number, want):
    x = torch.ones(3, dtype=tensor_dtype)
    assert (x * number).dtype is want
    assert (number * x).dtype is want
    assert (x * torch.tensor(number)).dtype is want


@given(st.sampled_from(WITH_NUMPY), st.sampled_from(WITH_NUMPY), st.lists(st.integers(0, 100), max_size=5))
def test_cast_is_numpys(source, target, values):
    array = np.array(values).astype(source.name)
    got = torch.from_numpy(array).to(target)
    assert got.dtype is target
    np.testing.assert_array_equal(got.numpy(), array.astype(target.name))


@pytest.mark.parametrize("level", runtime.levels())
def test_bfloat16_rounds_to_nearest_even(level):
    """From every bfloat16: itself, the number half-way to the next one, and the neighbours of both."""
    bits = (np.arange(1 << 16)[:, None] << 16 | np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF])).ravel()
    array = bits.astype(np.uint32).view(np.float32)
    want = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)
    with at(level, 1):
        got = torch.from_numpy(array).bfloat16().float().numpy()
    np.testing.assert_array_equal(got, np.where(np.isnan(array), np.nan, want))


@pytest.mark.parametrize("level", runtime.levels())
def test_float16_rounds_to_nearest_even(level):
    """From every pair of neighbours, and what would follow: the number half-way between, and its own neighbours."""
    halves = np.append(np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32), np.float32(65536))
    middle = np.append((halves[1:] + halves[:-1]) / 2, np.float32([1e6, 3e38, np.inf, np.nan]))
    for array in (middle, np.nextafter(middle, np.float32(0)), np.nextafter(middle, np.float32(np.inf)), -middle):
        for x in (array, array.astype(np.float64)):
            with at(level, 1):
                got = torch.from_numpy(x).half().numpy()
            with np.errstate(over="ignore"):
                np.testing.assert_array_equal(got, x.astype(np.float16))


# -- views -------------------------------------------------------------------------------------------------------------

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@given(st.data())
def test_views_are_numpys(data):
    """A chain of view ops gives NumPy's values, and NumPy's memory: writing through the view is seen in the base."""
    array = array_of(data.draw(SHAPES))
    x = torch.from_numpy(array)
    base, view = x, array
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["transpose", "slice", "unsqueeze", "squeeze", "select", "permute", "expand"]))
        n = view.ndim
        if kind == "unsqueeze" and n < 6:
            d = data.draw(st.integers(-n - 1, n))
            x, view = x.unsqueeze(d), np.expand_dims(view, d)
        elif kind == "squeeze":
            x, view = x.squeeze(), np.squeeze(view)
        elif n and kind == "transpose":
            a, b = data.draw(st.integers(-n, n - 1)), data.draw(st.integers(-n, n - 1))
            x, view = x.transpose(a, b), np.swapaxes(view, a, b)
        elif n and kind == "permute":
            order = data.draw(st.permutations(range(n)))
            x, view = x.permute(order), np.transpose(view, order)
        elif n and kind == "select" and view.shape[0]:
            i = data.draw(st.integers(-view.shape[0], view.shape[0] - 1))
            x, view = x.select(0, i), view[i, ...]
        elif n and kind == "slice":
            s = slice(data.draw(st.integers(-4, 4)), data.draw(st.integers(-4, 4)), data.draw(st.integers(1, 3)))
            x, view = x[..., s], view[..., s]
        elif kind == "expand" and n < 6:
            x, view = x.expand(2, *view.shape), np.broadcast_to(view, (2, *view.shape))
        view = np.asarray(view) if not isinstance(view, np.ndarray) else view
        assert tuple(x.shape) == view.shape
        np.testing.assert_array_equal(x.numpy(), view)
    if view.size and view.flags.writeable:
        x.fill_(-1)
        np.testing.assert_array_equal(base.numpy(), array)
        assert (view == -1).all()


@given(st.data())
def test_reshape_is_numpys(data):
    array = array_of(data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=4)))
    order = data.draw(st.permutations(range(array.ndim)))
    want, x = np.transpose(array, order), torch.from_numpy(array).permute(order)
    sizes, left = [], array.size
    while left > 1 and len(sizes) < 4:
        f = data.draw(st.sampled_from([k for k in range(1, left + 1) if left % k == 0]))
        sizes.append(f)
        left //= f
    sizes.append(left)
    np.testing.assert_array_equal(x.reshape(sizes).numpy(), want.reshape(sizes))
    try:
        viewed = x.view(sizes)
    except RuntimeError:
        assert not np.shares_memory(want.reshape(sizes), want)
    else:
        np.testing.assert_array_equal(viewed.numpy(), want.reshape(sizes))


@given(st.data())
def test_basic_indexing_is_numpys(data):
    array = array_of(data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=4)))
    index = data.draw(hnp.basic_indices(array.shape, allow_newaxis=True, max_dims=6))
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(p, slice) and (p.step or 1) <= 0 for p in parts):
        with pytest.raises(ValueError, match="step must be greater than zero"):
            torch.from_numpy(array)[index]
        return
    x = torch.from_numpy(array.copy())
    np.testing.assert_array_equal(x[index].numpy(), array[index])
    array[index] = 7
    x[index] = 7
    np.testing.assert_array_equal(x.numpy(), array)


@given(st.data())
def test_integer_array_indexing_is_numpys(data):
    array = array_of(data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4)))
    index = data.draw(hnp.integer_array_indices(array.shape, result_shape=hnp.array_shapes(max_dims=2, max_side=3)))
    x = torch.from_numpy(array.copy())
    got = x[tuple(torch.from_numpy(i) for i in index)]
    np.testing.assert_array_equal(got.numpy(), array[index])
    mixed = (slice(None), *index[1:]) if len(index) > 1 else index
    np.testing.assert_array_equal(x[tuple(torch.from_numpy(i) if isinstance(i, np.ndarray) else i
                                          for i in mixed)].numpy(), array[mixed])


@given(hnp.arrays(np.bool_, (3, 4)))
def test_mask_indexing_is_numpys(mask):
    array = array_of((3, 4, 2))
    x, m = torch.from_numpy(array.copy()), torch.from_numpy(mask)
    np.testing.assert_array_equal(x[m].numpy(), array[mask])
    x[m] = -1
    array[mask] = -1
    np.testing.assert_array_equal(x.numpy(), array)
    np.testing.assert_array_equal((x[:, 1])[m[:, 1]].numpy(), array[:, 1][mask[:, 1]])


def test_new_dims_are_counted_after_the_integers_took_theirs_away():
    array = array_of((2, 1, 1, 3))
    index = (None, slice(None), slice(None), None, None, None, slice(None), None, 0)
    np.testing.assert_array_equal(torch.from_numpy(array)[index].numpy(), array[index])
    index = (None, 1, None, ..., None)
    np.testing.assert_array_equal(torch.from_numpy(array)[index].numpy(), array[index])


def test_assignment_broadcasts_and_converts():
    x = torch.zeros(2, 3, dtype=torch.int64)
    x[:, 1] = torch.tensor([1.9, 2.1])
    x[1] = torch.tensor([[7]])
    assert x.tolist() == [[0, 1, 0], [7, 7, 7]]


def test_channels_last():
    x = torch.arange(48.0).reshape(2, 3, 2, 4)
    y = x.to(memory_format=torch.channels_last)
    assert y.stride() == (24, 1, 12, 3)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert not y.is_contiguous()
    assert (y * 2).is_contiguous(memory_format=torch.channels_last)
    assert y.clone().is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(y.contiguous(), x)
    assert torch.empty(2, 3, 4, 5, memory_format=torch.channels_last).stride() == (60, 1, 15, 3)


# -- exchange ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", WITH_NUMPY)
def test_numpy_shares_memory(dtype):
    array = np.ones((2, 3), dtype=dtype.name)
    x = torch.from_numpy(array)
    assert x.dtype is dtype
    x[0, 0] = 0
    assert array[0, 0] == 0
    assert np.shares_memory(x.numpy(), array)
    assert np.asarray(x).dtype == array.dtype


def test_negative_strides_are_refused_or_copied():
    array = np.arange(5.0)[::-1]
    with pytest.raises(ValueError, match="negative"):
        torch.from_numpy(array)
    assert torch.tensor(array).tolist() == [4, 3, 2, 1, 0]


def test_read_only_arrays_are_never_written():
    array = np.arange(3.0)
    array.flags.writeable = False
    x = torch.from_numpy(array)
    for write in (lambda: x.add_(1), lambda: x.fill_(2), lambda: x.__setitem__(0, 5), lambda: torch.add(x, 1, out=x)):
        with pytest.raises(RuntimeError, match="read-only"):
            write()
    assert array.tolist() == [0, 1, 2]


def test_buffer_outlives_a_change_of_data():
    x = torch.arange(4.0)
    view = memoryview(x)
    x.data = torch.zeros(4)
    del x
    torch.empty_cache()
    assert view.tolist() == [0, 1, 2, 3]


def test_array_protocol():
    x = torch.arange(3.0)
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    with pytest.raises(RuntimeError, match="detach"):
        np.asarray(torch.ones(2, requires_grad=True))
    with pytest.raises(ValueError, match="copy"):
        np.array(x, dtype=np.float64, copy=False)


@pytest.mark.parametrize("dtype", WITH_NUMPY)
def test_dlpack_round_trip(dtype):
    x = torch.ones(2, 3, dtype=dtype).t()
    array = np.from_dlpack(x)
    assert array.shape == (3, 2)
    back = torch.from_dlpack(array)
    assert back.data_ptr() == x.data_ptr()
    assert back.stride() == x.stride()


def test_dlpack_capsules_are_used_once_and_may_be_dropped():
    x = torch.ones(3)
    for version in (None, (1, 0)):
        capsule = x.__dlpack__(max_version=version)
        torch.from_dlpack(capsule)
        with pytest.raises(RuntimeError, match="unused"):
            torch.from_dlpack(capsule)
        del capsule
        x.__dlpack__(max_version=version)
    with pytest.raises(BufferError):
        torch.ones(2, requires_grad=True).__dlpack__()


def test_pickle_and_deepcopy():
    x = torch.arange(6.0).reshape(2, 3).t().requires_grad_()
    for y in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert torch.equal(x, y)
        assert y.requires_grad and y.data_ptr() != x.data_ptr()
    pair = [torch.zeros(4)]
    pair.append(pair[0][1:3])
    a, b = copy.deepcopy(pair)
    b.fill_(1)
    assert a.tolist() == [0, 1, 1, 0]
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(x * 2)


def test_frombuffer():
    data = bytearray(b"\x00\x00\x80\x3f\x00\x00\x00\x40")
    x = torch.frombuffer(data, dtype=torch.float32)
    assert x.tolist() == [1.0, 2.0]
    data[7] = 0
    assert x[1] == 0
    with pytest.raises(ValueError, match="multiple"):
        torch.frombuffer(bytearray(7), dtype=torch.float32)


# -- creation ----------------------------------------------------------------------------------------------------------

def test_creation():
    assert torch.tensor([[1, 2], [3, 4]]).dtype is torch.int64
    assert torch.tensor([1, 2.5]).dtype is torch.float32
    assert torch.tensor([True]).dtype is torch.bool
    assert torch.tensor([]).shape == (0,)
    assert torch.tensor([[], []]).shape == (2, 0)
    assert torch.arange(3).tolist() == [0, 1, 2]
    assert torch.arange(1, 2, 0.25).tolist() == [1, 1.25, 1.5, 1.75]
    assert torch.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert torch.linspace(0, 1, 5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert torch.full((2,), 3).dtype is torch.int64
    assert torch.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert torch.zeros(2, 3).shape == torch.Size([2, 3]) == torch.zeros((2, 3)).shape
    assert torch.Tensor(2, 3).shape == (2, 3)
    assert torch.Tensor([1, 2]).dtype is torch.float32


@given(st.floats(-20, 20), st.floats(-20, 20), st.sampled_from([0.1, 0.25, 1.0, 3.0]))
def test_arange_is_numpys(start, end, step):
    if end < start:
        step = -step
    want = np.arange(start, end, step)
    got = torch.arange(start, end, step, dtype=torch.float64).numpy()
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


# -- bad input: the class, the words, and nothing harmed ---------------------------------------------------------------

BAD = [
    (lambda: torch.zeros(2, 3) + torch.zeros(4), RuntimeError, r"size of tensor a \(3\) must match .* b \(4\) .* "
                                                               r"dimension 1"),
    (lambda: torch.zeros(2).view(3), RuntimeError, "shape .* is invalid for input of size 2"),
    (lambda: torch.zeros(2, 3).t().view(6), RuntimeError, r"Use \.reshape"),
    (lambda: torch.zeros(2, 3)[2], IndexError, "index 2 is out of bounds for dimension 0 with size 2"),
    (lambda: torch.zeros(2, 3)[0, 0, 0], IndexError, "too many indices for tensor of dimension 2"),
    (lambda: torch.zeros(2).unsqueeze(5), IndexError, r"expected to be in range of \[-2, 1\], but got 5"),
    (lambda: torch.zeros(2, -1), RuntimeError, "negative dimension -1"),
    (lambda: torch.zeros(2 ** 40, 2 ** 40), RuntimeError, "more elements"),
    (lambda: torch.zeros(2 ** 63), RuntimeError, "out of the range"),
    (lambda: torch.empty(2 ** 50, dtype=torch.uint8), MemoryError, "cannot allocate"),
    (lambda: torch.zeros(1).expand(2 ** 62, 2 ** 62), RuntimeError, "more elements"),
    (lambda: torch.zeros(float("nan")), TypeError, "int"),
    (lambda: torch.zeros(2, device="cuda"), AssertionError, "CPU only"),
    (lambda: torch.zeros(2).cuda(), AssertionError, "CPU only"),
    (lambda: torch.tensor(None), RuntimeError, "NoneType"),
    (lambda: torch.tensor([1, [2]]), (TypeError, ValueError), "dim 1|sequence"),
    (lambda: torch.tensor([[1], [2, 3]]), ValueError, "expected sequence of length 1 at dim 1"),
    (lambda: torch.tensor(1j), NotImplementedError, "complex"),
    (lambda: torch.zeros(2, dtype=torch.int32).requires_grad_(), RuntimeError, "floating point"),
    (lambda: torch.zeros(2).as_strided((3,), (2,)), RuntimeError, "out of bounds"),
    (lambda: torch.zeros(2).as_strided((2,), (-1,)), RuntimeError, "Negative strides"),
    (lambda: torch.zeros(4).as_strided((2 ** 40, 2 ** 40), (0, 2 ** 30)), RuntimeError, None),
    (lambda: torch.zeros(2).long().add_(1.5), RuntimeError, "can't be cast"),
    (lambda: torch.zeros(3).add_(torch.zeros(2, 3)), RuntimeError, "doesn't match the broadcast shape"),
    (lambda: torch.zeros(1).expand(3).add_(1), RuntimeError, "single memory location"),
    (lambda: torch.tensor([1]) // 0, RuntimeError, "ZeroDivisionError"),
    (lambda: torch.tensor([1]) % torch.tensor([0]), RuntimeError, "ZeroDivisionError"),
    (lambda: torch.ones(2) & torch.ones(2), NotImplementedError, "not implemented for 'Float'"),
    (lambda: torch.tensor([True]) - torch.tensor([True]), RuntimeError, "bool"),
    (lambda: bool(torch.zeros(2)), RuntimeError, "ambiguous"),
    (lambda: torch.zeros(2).item(), RuntimeError, "2 elements cannot be converted to Scalar"),
    (lambda: torch.zeros(2)["a"], TypeError, "valid indices"),
    (lambda: torch.zeros(3)[torch.zeros(2, dtype=torch.bool)], IndexError, "mask"),
    (lambda: torch.zeros(3)[torch.tensor([3])], IndexError, "out of bounds"),
    (lambda: torch.zeros(3)[torch.tensor([0.5])], IndexError, "long"),
    (lambda: torch.zeros([1] * 9), RuntimeError, "at most 8 dim"),
    (lambda: torch.from_numpy(np.zeros(2, dtype=np.uint16)), TypeError, "supported types"),
    (lambda: torch.from_numpy([1]), TypeError, "np.ndarray"),
    (lambda: len(torch.tensor(1)), TypeError, "0-d"),
    (lambda: torch.zeros(2) + "a", TypeError, None),
    (lambda: torch.zeros(2) + None, TypeError, None),
    (lambda: torch.where(torch.ones(2), 1.0, 0.0), RuntimeError, "boolean"),
]


@pytest.mark.parametrize("call, error, words", BAD, ids=range(len(BAD)))
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()
    assert (torch.ones(3) + 1).tolist() == [2, 2, 2]


def test_out():
    y = torch.empty(0)
    torch.add(torch.ones(2), 1, out=y)
    assert y.tolist() == [2, 2]
    with pytest.warns(UserWarning, match="resized"):
        torch.add(torch.ones(3), 1, out=y)
    with pytest.raises(RuntimeError, match="can't be cast"):
        torch.add(torch.ones(2), 1, out=torch.zeros(2, dtype=torch.int64))
    with pytest.raises(RuntimeError, match="automatic differentiation"):
        torch.add(torch.ones(2, requires_grad=True), 1, out=y)


def test_overlapping_operands_read_before_they_are_written():
    x = torch.arange(5.0)
    x[1:] += x[:-1]
    assert x.tolist() == [0, 1, 3, 5, 7]
    y = torch.arange(4.0).reshape(2, 2)
    y += y.t()
    assert y.tolist() == [[0, 3], [3, 6]]
    z = torch.arange(4.0)
    z[1:].copy_(z[:-1].clone())
    z[:3].copy_(z[1:])
    assert z.tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize("source", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("target", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_a_large_number_changes_no_other(source, target):
    """Real numbers to integers: a block with a number beyond int32 takes another way, with the same results."""
    array = np.linspace(0, 100, 2000).astype("float32")
    array[3:9] = [-1, 0.99, -0.99, 127.9, -0.0, 5]
    x = torch.from_numpy(array).to(source)
    want = np.trunc(x.float().numpy()).astype(np.int64).astype(target.name)
    assert np.array_equal(x.to(target).numpy(), want)
    x[700], x[701] = 60000.0, float("nan")
    far = x.to(target).numpy()
    keep = np.arange(2000) // 2 != 350
    assert np.array_equal(far[keep], want[keep])
    if source not in (torch.float16,):
        big = torch.tensor([3e9, -3e9, 2.0**40], dtype=source)
        assert np.array_equal(big.to(target).numpy(), big.double().numpy().astype(np.int64).astype(target.name))


@pytest.mark.parametrize("n", [1, 2, 7, 10, 28, 101])
def test_linspace_has_a_step_of_its_dtype(n):
    start, end = np.float32(-0.7), np.float32(2.1)
    step = float((end - start) / np.float32(n - 1)) if n > 1 else 0.0
    want = [float(start) + step * i if i < max(n // 2, n == 1) else float(end) - step * (n - 1 - i) for i in range(n)]
    assert torch.linspace(-0.7, 2.1, n).tolist() == np.array(want, np.float32).tolist()
    exact = torch.linspace(-0.7, 2.1, n, dtype=torch.float64).numpy()
    np.testing.assert_allclose(exact, np.linspace(-0.7, 2.1, n), rtol=1e-14, atol=1e-15)
