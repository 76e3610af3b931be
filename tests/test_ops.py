"""Every row of the op table against NumPy and SciPy: values, dtypes, layouts, levels, forms of a call."""
import operator

import numpy as np
import pytest
from references import (
    FLOATS,
    INTEGER_REFERENCES,
    INTEGERS,
    REFERENCES,
    SHAPE,
    call,
    domains,
    integer_reference,
    numbers,
    parameters,
    points,
    reference,
    tensor,
)

import minitorch_bn as torch
from minitorch_bn._optable import ROWS
from minitorch_bn.kernels import runtime
from minitorch_bn.ops import elementwise as functions

DTYPES = ["bool", *INTEGERS, *FLOATS]
DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}  # bits of the significand
TRUTHS = ("compare", "predicate", "logical")
BY_NAME = {row.name: row for row in ROWS}
names = [row.name for row in ROWS]
by_row = pytest.mark.parametrize("row", ROWS, ids=names)

# Largest error in ULP, where it is not 2: (float32, float64). The second has SciPy's own errors in it.
ULP = {
    "mish": (4, 5), "_gelu_tanh": (3, 20), "softplus": (6, 4), "_smooth_l1": (3, 2), "xlog1py": (2, 4), "erfc": (2, 16),
    "erfinv": (2, 4), "ndtr": (3.5, 24), "gelu": (4, 24), "_polygamma": (2, 8), "i0": (2, 10), "i0e": (2, 10),
    "i1": (2, 10), "i1e": (2, 10), "_bce_with_logits_weighted": (4, 4), "_poisson_nll": (4, 4),
    "_gaussian_nll": (4, 4), "_kl_div": (4, 4), "_kl_div_log": (4, 12), "digamma": (2, 10), "lerp": (4, 6),
    "_poisson_nll_log": (4, 4), "_margin_ranking": (4, 4), "_bce_with_logits": (3, 3)}
# Differences of near numbers: their error is in ULP of the largest term, not of the result.
CANCELS = {
    "_add_scaled", "addcmul", "addcdiv", "lerp", "_lerp_scalar", "logaddexp", "logaddexp2", "logit", "sinc", "lgamma",
    "digamma", "hardswish", "hardsigmoid", "tanhshrink", "_bce", "_bce_with_logits", "_bce_with_logits_weighted",
    "_soft_margin", "_kl_div", "_kl_div_log", "_poisson_nll", "_poisson_nll_log", "_gaussian_nll", "_margin_ranking"}


def ulp_error(row, got, want, inputs, dtype):
    """The largest error in units of the last place of `dtype`; exact where the result is infinite or NaN."""
    got, want = np.broadcast_arrays(np.asarray(got, np.float64), np.asarray(want, np.float64))
    with np.errstate(all="ignore"):
        rounded = want.astype({"bfloat16": "float32"}.get(dtype, dtype)).astype(np.float64)
        finite = np.isfinite(rounded)
        np.testing.assert_array_equal(got[~finite], rounded[~finite], row.name)
        scale = np.abs(want)
        if row.name in CANCELS:
            terms = [np.ones_like(scale), *[np.abs(x.astype(float)) for x in inputs]]
            scale = np.maximum(scale, np.maximum.reduce(terms))
        lowest = {"float16": -24, "float32": -149, "float64": -1074, "bfloat16": -133}[dtype]
        unit = np.ldexp(1.0, np.maximum(np.frexp(scale)[1] - DIGITS[dtype], lowest))
        return float(np.max(np.where(finite, np.abs(got - want) / unit, 0), initial=0))


def accepts(row, dtype):
    if dtype == "bool" and row.no_bool:
        return False
    return row.kind != "bits" or dtype not in FLOATS


def result_dtype(row, dtype):
    return "bool" if row.kind in TRUTHS else "float32" if row.kind == "float" and dtype not in FLOATS else dtype


def expected(row, arrays, dtype):
    """(the reference's values, whether they are exact)."""
    if row.name in INTEGER_REFERENCES and dtype not in FLOATS and row.kind in ("arith", "bits"):
        return integer_reference(row, arrays, parameters(row, True), np.dtype(dtype)), True
    if row.name == "nextafter":
        return reference(row, arrays, {}), True
    wide = arrays if row.kind in TRUTHS else [a.astype(np.float64) for a in arrays]
    return reference(row, wide, parameters(row, dtype not in FLOATS)), row.kind in TRUTHS


def test_every_row_has_a_reference():
    assert set(REFERENCES) == set(names)
    assert {row.name for row in ROWS if row.kind in ("arith", "bits")} == set(INTEGER_REFERENCES)
    assert set(ULP) | set(CANCELS) <= set(names)


@by_row
def test_values(row):
    for dtype in DTYPES:
        arrays = points(row, dtype)
        inputs = [tensor(a, dtype) for a in arrays]
        if (row.name, dtype) == ("square", "bool"):  # an integer, as x ** 2 is
            assert torch.equal(call(row, *inputs), inputs[0].long())
            continue
        if not accepts(row, dtype):
            with pytest.raises(RuntimeError):
                call(row, *inputs, integers=True)
            continue
        got = call(row, *inputs, integers=dtype not in FLOATS)
        out = result_dtype(row, dtype)
        assert got.dtype is getattr(torch, out) and got.shape == SHAPE
        if row.name == "nextafter" and dtype not in ("float32", "float64"):
            continue
        want, exact = expected(row, arrays, dtype)
        if exact:
            np.testing.assert_array_equal(numbers(got), want, dtype)
        else:
            allowed = 0.51 if dtype in ("float16", "bfloat16") else ULP.get(row.name, (2, 2))[dtype == "float64"]
            error = ulp_error(row, numbers(got), want, arrays, out)
            assert error <= allowed, (dtype, error)


# -- layouts and levels -----------------------------------------------------------------------------------------------

def layouts(array, dtype):
    """(the layout's name, a tensor with these values in that layout)."""
    def make(a):
        return tensor(np.ascontiguousarray(a), dtype)

    rows, columns = array.shape
    yield "transposed", make(array.T).t()
    wide = make(np.repeat(array, 2, axis=1))
    yield "strided", wide[:, ::2]
    yield "reversed", tensor(np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1], dtype)
    yield "slice", make(np.concatenate([array, array, array]))[rows:2 * rows]
    yield "three dims", make(array.reshape(rows, 1, columns)).transpose(0, 1)[0]


def same_bits(a, b):
    return a.dtype is b.dtype and a.shape == b.shape and numbers(a).tobytes() == numbers(b).tobytes()


@by_row
def test_layouts_and_levels(row):
    """Bits do not depend on how the inputs lie in memory, nor on the instruction set."""
    best = runtime.get_level()
    for dtype in ("bool", "uint8", "int64", *FLOATS):
        if not accepts(row, dtype):
            continue
        arrays, integers = points(row, dtype), dtype not in FLOATS
        want = call(row, *[tensor(a, dtype) for a in arrays], integers=integers)
        every = [list(layouts(a, dtype)) for a in arrays]
        for i in range(len(every[0])):  # input j takes the layout i + j
            kinds = [layout[(i + j) % len(layout)] for j, layout in enumerate(every)]
            got = call(row, *[x for _, x in kinds], integers=integers)
            assert same_bits(got.contiguous(), want), (dtype, [name for name, _ in kinds])
        expanded = [tensor(a[:1], dtype).expand(*SHAPE) for a in arrays]
        got = call(row, *expanded, integers=integers)
        assert same_bits(got[0].contiguous(), want[0]) and same_bits(got[2].contiguous(), want[0]), (dtype, "expanded")
        single = call(row, *[tensor(a[0, 0], dtype) for a in arrays], integers=integers)
        assert single.shape == () and same_bits(single, want[0, 0]), (dtype, "0-d")
        for shape in ((0,), (2, 0, 3)):
            empty = call(row, *[torch.empty(shape, dtype=getattr(torch, dtype))] * row.arity, integers=integers)
            assert empty.shape == shape and empty.dtype is want.dtype
        try:
            for level in runtime.levels():
                runtime.set_level(level)
                got = call(row, *[tensor(a, dtype) for a in arrays], integers=integers)
                assert same_bits(got, want), (dtype, level)
        finally:
            runtime.set_level(best)


def test_every_length():
    """A rest of any length after the vector blocks, and nothing written beyond it."""
    for name in ("add", "exp", "sin", "pow", "gelu", "eq", "lerp"):
        row = BY_NAME[name]
        for dtype in ("float32", "float64"):
            inputs = [tensor(a, dtype) for a in points(row, dtype, (70,))]
            want = call(row, *inputs)
            for n in range(66):
                out = torch.zeros(70, dtype=want.dtype)
                call(row, *[x[3:3 + n] for x in inputs], out=out[2:2 + n])
                assert same_bits(out[2:2 + n].clone(), want[3:3 + n].clone()), (name, dtype, n)
                assert not out[:2].any() and not out[2 + n:].any(), (name, dtype, n)


# -- forms of a call --------------------------------------------------------------------------------------------------

@by_row
def test_in_place_and_out(row):
    for dtype in ("bool", "int32", "float32", "bfloat16"):
        if not accepts(row, dtype):
            continue
        integers = dtype not in FLOATS
        inputs = [tensor(a, dtype) for a in points(row, dtype)]
        want = call(row, *inputs, integers=integers)
        out = torch.empty(0, dtype=want.dtype)
        assert call(row, *inputs, integers=integers, out=out) is out and same_bits(out, want)
        backwards = torch.empty(SHAPE[::-1], dtype=want.dtype).t()
        call(row, *inputs, integers=integers, out=backwards)
        assert backwards.stride() == (1, SHAPE[0]) and same_bits(backwards.contiguous(), want)
        with pytest.warns(UserWarning, match="resized"):
            call(row, *inputs, integers=integers, out=torch.empty(5, dtype=want.dtype))
        if want.dtype.is_floating_point:
            with pytest.raises(RuntimeError, match="can't be cast"):
                call(row, *inputs, integers=integers, out=torch.empty(SHAPE, dtype=torch.int64))
        if not row.inplace:
            assert not hasattr(functions, row.name + "_")
            continue
        x = inputs[0].clone()
        if want.dtype.is_floating_point and not x.dtype.is_floating_point:
            with pytest.raises(RuntimeError, match="can't be cast"):
                call(row, x, *inputs[1:], integers=integers, suffix="_")
            continue
        version = x._version
        assert call(row, x, *inputs[1:], integers=integers, suffix="_") is x and x._version == version + 1
        assert same_bits(x, want.to(x.dtype))
        if row.arity > 1:  # an input that overlaps the output, out of step
            both = torch.cat([inputs[1], inputs[1]])
            a, b = both[:SHAPE[0]], both[1:SHAPE[0] + 1]
            expect = call(row, a.clone(), b.clone(), *inputs[2:], integers=integers).to(x.dtype)
            call(row, a, b, *inputs[2:], integers=integers, suffix="_")
            assert same_bits(a.clone(), expect)


@pytest.mark.parametrize("row", [r for r in ROWS if r.arity > 1], ids=[r.name for r in ROWS if r.arity > 1])
def test_scalar_operands(row):
    """A Python number is a tensor of that number in the other's dtype, where the row takes one; else an error."""
    for dtype in ("int64", "float16", "float32", "float64"):
        if not accepts(row, dtype):
            continue
        integers = dtype not in FLOATS
        inputs = [tensor(a, dtype) for a in points(row, dtype)]
        for i, (low, high) in enumerate(domains(row)):
            for number in ([2, True] if integers else [0.5, 2, True]):
                if not low <= number <= high:
                    continue
                some = [number if j == i else x for j, x in enumerate(inputs)]
                full = [torch.full_like(x, number) if j == i else x for j, x in enumerate(inputs)]
                if i < {"either": 0, "second": 1, "none": 2}[row.numbers]:
                    with pytest.raises(TypeError):
                        call(row, *some, integers=integers)
                    continue
                got, want = call(row, *some, integers=integers), call(row, *full, integers=integers)
                assert same_bits(got, want), (i, number)


def test_public_names():
    for row in ROWS:
        if row.public and row.home == "torch":
            for name in (row.name, *row.aliases):
                assert hasattr(torch, name) and hasattr(torch.Tensor, name), name
                assert not row.inplace or hasattr(torch.Tensor, name + "_"), name


# -- dtypes -----------------------------------------------------------------------------------------------------------

def promoted(a, b):
    """PyTorch's rule for two tensors with dimensions, said without its table."""
    if (a in FLOATS) != (b in FLOATS):
        return a if a in FLOATS else b
    if a in FLOATS:
        return "float32" if {a, b} == {"float16", "bfloat16"} else max(a, b, key=FLOATS.index)
    if "bool" in (a, b):
        return b if a == "bool" else a
    if "uint8" in (a, b) and a != b:
        return max(a, b, "int16", key=INTEGERS.index)
    return max(a, b, key=INTEGERS.index)


def test_promotion_of_tensors():
    for a in DTYPES:
        for b in DTYPES:
            x, y = torch.ones(2, dtype=getattr(torch, a)), torch.ones(2, dtype=getattr(torch, b))
            want = promoted(a, b)
            assert str(torch.mul(x, y).dtype) == "torch." + want, (a, b)
            assert str(torch.maximum(x, y).dtype) == "torch." + want, (a, b)
            assert str((x / y).dtype) == "torch." + (want if want in FLOATS else "float32"), (a, b)
            assert (x == y).dtype is torch.bool
            zero_d = torch.tensor(1, dtype=getattr(torch, b))  # counts only where it is of a higher kind
            kind = lambda d: 2 if d in FLOATS else d != "bool"  # noqa: E731
            assert str(torch.mul(x, zero_d).dtype) == "torch." + (want if kind(b) > kind(a) else a), (a, b)


def test_promotion_of_numbers():
    for a in DTYPES:
        x = torch.ones(2, dtype=getattr(torch, a))
        for number in (True, 3, 0.5):
            integer = a if a != "bool" or isinstance(number, bool) else "int64"
            want = a if a in FLOATS else "float32" if isinstance(number, float) else integer
            for y in (x * number, number * x, torch.maximum(x, torch.tensor(number))):
                assert str(y.dtype) == "torch." + want, (a, number)


def test_operators():
    a, b = torch.tensor([7.0, -7.5, 2.0]), torch.tensor([2.0, 2.0, -3.0])
    i, j = torch.tensor([7, -7, 2]), torch.tensor([2, 2, 3])
    for x, y in ((a, b), (i, j)):
        m, n = x.numpy(), y.numpy()
        for f in (operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
                  operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge):
            for got, want in ((f(x, y), f(m, n)), (f(x, 2), f(m, 2)), (f(5, y), f(5, n))):
                np.testing.assert_array_equal(got.numpy(), want.astype("float32") if got.is_floating_point() else want)
        np.testing.assert_array_equal((-x).numpy(), -m)
        np.testing.assert_array_equal(abs(x).numpy(), abs(m))
        np.testing.assert_allclose((x**2).numpy(), m**2)
        np.testing.assert_allclose((2**j).numpy(), 2**n if x is i else 2 ** j.numpy())
    for f in (operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift):
        np.testing.assert_array_equal(f(i, j).numpy(), f(i.numpy(), j.numpy()))
    np.testing.assert_array_equal((~i).numpy(), ~i.numpy())
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        i // 0
    with pytest.raises(RuntimeError, match="bool"):
        -torch.tensor([True])
    with pytest.raises(TypeError):
        a + "1"
    with pytest.raises(RuntimeError, match="must match the size"):
        torch.ones(2, 3) + torch.ones(2)


# -- special values ---------------------------------------------------------------------------------------------------

EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 1.5, -2.5, 3.0, 1e-30, -1e-30, 1e30, -1e30, np.inf, -np.inf,
         np.nan]
# Rows whose reference is itself not defined there (inf * 0 in its formula), or where PyTorch differs from NumPy.
NOT_LIKE_NUMPY = {
    "sign", "lgamma", "digamma", "_polygamma", "gelu", "_gelu_tanh", "silu", "mish", "sinc", "softsign", "hardswish",
    "hardshrink", "softshrink", "leaky_relu", "threshold", "_nan_to_num", "i0", "i1", "i0e", "i1e", "tan", "heaviside",
    "frac"}
ZERO_SIGN_FREE = {
    "maximum", "minimum", "fmax", "fmin", "relu", "relu6", "_clamp", "hardtanh", "clamp_min", "clamp_max",
    "_clamp_min_tensor", "_clamp_max_tensor", "logaddexp", "logaddexp2", "xlogy", "xlog1py", "remainder", "elu", "selu",
    "celu", "erfinv", "logsigmoid"}


def test_special_values():
    wrong = []
    for row in ROWS:
        if row.kind == "bits" or row.name in NOT_LIKE_NUMPY or row.arity > 2:
            continue
        if row.name.startswith("_") and row.arity == 2 and not row.name.startswith(("_div", "_clamp")):
            continue
        arrays = [a.ravel() for a in np.meshgrid(*[np.array(EDGES)] * row.arity)]
        want = np.asarray(reference(row, arrays, parameters(row)), np.float64)
        got = numbers(call(row, *[tensor(a, "float64") for a in arrays])).astype(np.float64)
        with np.errstate(all="ignore"):
            close = (got == want) | (np.isnan(got) & np.isnan(want))
            close |= np.abs(got - want) <= 1e-13 * np.abs(want) + 1e-15
        if row.name not in ZERO_SIGN_FREE:
            close &= ~((want == 0) & (got == 0) & (np.signbit(want) != np.signbit(got)))
        wrong += [(row.name, *[float(v[i]) for v in (*arrays, got, want)]) for i in np.flatnonzero(~close)[:3]]
    assert not wrong, wrong


def test_limits_of_activations():
    x = torch.tensor([float("-inf"), float("inf"), float("nan")])
    for name in ("gelu", "_gelu_tanh", "silu", "mish"):
        y = call(BY_NAME[name], x).tolist()
        assert y[0] == 0 and y[1] == np.inf and y[2] != y[2], name
    assert torch.sinc(torch.tensor([0.0, np.inf])).tolist()[0] == 1
    assert torch.heaviside(torch.tensor([np.nan]), torch.tensor([2.0])).tolist() == [0]
    assert np.isnan(torch.frac(torch.tensor([np.inf])).numpy()).all()
    assert torch.sign(torch.tensor([np.nan, -np.inf])).tolist() == [0, -1]  # NaN has no sign, as in PyTorch
    assert np.isinf(torch.lgamma(torch.tensor([0.0, -1.0, np.inf])).numpy()).all()


# -- the functions of ops.arithmetic ----------------------------------------------------------------------------------

def test_factors_rounding_and_bounds():
    t = torch.tensor
    assert torch.add(t([1, 2]), t([1, 2]), alpha=3).tolist() == [4, 8]
    assert torch.sub(t([1.0]), 2, alpha=0.5).tolist() == [0] and torch.rsub(t([1]), 3).tolist() == [2]
    with pytest.raises(RuntimeError, match="alpha"):
        torch.add(t([1]), t([1]), alpha=0.5)
    assert torch.div(t([7, -7]), 2, rounding_mode="trunc").tolist() == [3, -3]
    assert torch.div(t([7, -7]), 2, rounding_mode="floor").tolist() == [3, -4]
    with pytest.raises(RuntimeError, match="rounding_mode"):
        torch.div(t([1]), 2, rounding_mode="up")
    assert torch.round(t([1.25, -1.375]), decimals=1).tolist() == pytest.approx([1.2, -1.4])
    assert torch.round(t([1250.0, 1251.0]), decimals=-2).tolist() == [1200, 1300]
    x = t([1.0, 5.0, float("nan")])
    assert torch.clamp(x, 2, 3).tolist()[:2] == [2, 3] and torch.clamp(x, max=t(4.0)).tolist()[:2] == [1, 4]
    assert torch.clip(t([1, 5]), max=2.5).tolist() == [1, 2.5]
    with pytest.raises(RuntimeError, match="At least one"):
        x.clamp()
    with pytest.raises(RuntimeError, match="can't be cast"):
        t([1, 2]).clamp_(min=1.5)
    assert x.nan_to_num_(1.0) is x and x.tolist() == [1, 5, 1]
    limits = torch.finfo(torch.float32)
    assert torch.nan_to_num(t([np.inf, -np.inf])).tolist() == [limits.max, limits.min]


def test_powers():
    t = torch.tensor
    assert (t([True, False]) ** 2).tolist() == [1, 0] and (t([3], dtype=torch.int32) ** 2).dtype is torch.int32
    assert (t([3.0]) ** 1).tolist() == [3] and (t([4]) ** 0.5).tolist() == [2] and (t([2.0]) ** -1).tolist() == [0.5]
    with pytest.raises(RuntimeError, match="negative integer powers"):
        t([2]) ** -1
    assert torch.float_power(t([2]), 3).dtype is torch.float64 and torch.ldexp(t([1.5]), t([3])).tolist() == [12]
    assert torch.isclose(t([1.0, np.nan]), t([1.0 + 1e-7, np.nan]), equal_nan=True).tolist() == [True, True]
    assert torch.equal(t([1, 2]), t([1, 2])) and not torch.equal(t([1]), t([1, 2]))
    assert not torch.allclose(t([1.0]), t([2.0]))
