"""The accuracy of the scalar mathematics: errors in units of the last place (ULP) over all magnitudes.

float32 is held against NumPy and SciPy in float64; float64 against NumPy in the 80-bit long double where the machine
has one, and against the C library (at most 1 ULP of its own) for erf and its kin.
"""
import math

import numpy as np
import pytest
from references import REFERENCES
from scipy import special

import minitorch_bn as torch
from minitorch_bn.kernels import runtime
from minitorch_bn.ops import elementwise as functions

L = np.longdouble
EXTENDED = np.finfo(L).nmant >= 63
PI = L("3.14159265358979323846264338327950288")

# Largest errors in ULP, where more than 2: (float32, float64). These multiply or divide several rounded factors.
LIMITS = {"sigmoid": (2.5, 2.5), "ndtr": (3.5, 3.5), "gelu": (4, 4), "_gelu_tanh": (3, 3), "mish": (4, 5),
          "sinc": (3.5, 3.5), "erf": (2, 3), "erfc": (2, 3), "silu": (3, 3)}


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def gelu_tanh(x):
    return x * sigmoid(np.sqrt(8 / PI.astype(x.dtype)) * (x + L("0.044715").astype(x.dtype) * x**3))


def by_c(f):
    """A function of Python's math module on arrays."""
    return lambda x: np.array([f(v) for v in x.astype(np.float64).tolist()])


def sinc(x):
    """sin(pi x) / (pi x), from the distance to the nearest integer, which is exact."""
    n, pi = np.rint(x), PI.astype(x.dtype)
    return np.where(x == 0, 1, np.where(n % 2 == 0, 1, -1) * np.sin(pi * (x - n)) / (pi * np.where(x == 0, 1, x)))


def half_erfc(x):
    """erfc(-x / sqrt(2)) / 2 in long double: what erfc's argument loses as a double comes back by its derivative."""
    z = -x / np.sqrt(L(2))
    near = z.astype(np.float64).astype(L)
    return (by_c(math.erfc)(z) - 2 / np.sqrt(PI) * np.exp(-near * near) * (z - near)) / 2


# name -> (float64 reference for float32 inputs, long double reference for float64, interval of interest)
CASES = {name: (REFERENCES[name], REFERENCES[name], interval) for name, interval in {
    "exp": (-104, 89), "exp2": (-150, 128), "expm1": (-20, 89), "log": (0, 10), "log2": (0, 10), "log10": (0, 10),
    "log1p": (-1, 10), "sin": (-50, 50), "cos": (-50, 50), "tan": (-50, 50), "asin": (-1, 1), "acos": (-1, 1),
    "atan": (-10, 10), "sinh": (-89, 89), "cosh": (-89, 89), "tanh": (-10, 10), "asinh": (-10, 10), "acosh": (1, 10),
    "atanh": (-1, 1), "sqrt": (0, 10), "rsqrt": (0, 10), "floor": (-9, 9), "ceil": (-9, 9), "trunc": (-9, 9),
    "round": (-9, 9)}.items()}
CASES |= {
    "sigmoid": (sigmoid, sigmoid, (-20, 20)), "silu": (lambda x: x * sigmoid(x),) * 2 + ((-80, 20),),
    "softplus": (softplus, softplus, (-40, 19)), "logsigmoid": (lambda x: -softplus(-x),) * 2 + ((-40, 40),),
    "mish": (lambda x: x * np.tanh(softplus(x)),) * 2 + ((-80, 20),),
    "_gelu_tanh": (gelu_tanh, gelu_tanh, (-6, 6)),
    "sinc": (sinc, sinc, (-4, 4)),
    "erf": (special.erf, by_c(math.erf), (-4, 4)), "erfc": (special.erfc, by_c(math.erfc), (-4, 9)),
    "ndtr": (special.ndtr, half_erfc, (-3, 4)),
    "gelu": (lambda x: x * special.ndtr(x), lambda x: x * half_erfc(x), (-3, 4)),
}
MODERATE = {"sinc", "mish", "_gelu_tanh", "gelu", "silu", "ndtr", "softplus", "erf", "erfc"}  # in the interval only


def samples(name, dtype):
    """All magnitudes of both signs, and the interval of interest densely."""
    rng = np.random.default_rng(len(name))
    low, high = CASES[name][2]
    n = 20_000 if name in ("erf", "erfc", "ndtr", "gelu") and dtype == "float64" else 100_000
    dense = rng.uniform(low, high, n)
    near = np.concatenate([c + s * 2.0 ** rng.uniform(-30, -3, n // 8) for c in (0, 1) for s in (-1, 1)])
    near = near[(near >= low) & (near <= high)]
    if name in MODERATE:
        return np.concatenate([dense, near]).astype(dtype)
    bits = rng.integers(0, 2 ** (32 if dtype == "float32" else 64), n, dtype=np.uint64)
    every = bits.astype(np.uint32).view(np.float32) if dtype == "float32" else bits.view(np.float64)
    return np.concatenate([every[np.isfinite(every)], dense.astype(dtype), near.astype(dtype)])


def largest_error(got, want, digits, lowest):
    """(ULP, index) of the largest error; a result that is wrongly infinite, NaN or finite counts as infinite."""
    bound = L(2) ** (128 if digits == 24 else 1024) * (1 - L(2) ** -(digits + 1))
    unit = np.ldexp(L(1), np.maximum(np.frexp(want)[1] - digits, lowest))
    error = np.abs(got.astype(L) - want) / unit
    overflowed = np.abs(want) >= bound * (1 - L(2) ** (1 - digits))
    error = np.where(overflowed & (np.abs(got) >= bound * (1 - L(2) ** (1 - digits))), 0, error)
    error = np.where(np.isnan(want) & np.isnan(got), 0, np.where(np.isnan(error), np.inf, error))
    at = int(np.argmax(error))
    return float(error[at]), at


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_accuracy(name, dtype):
    single = dtype == "float32"
    if not (single or EXTENDED):
        pytest.skip("no long double here to compare float64 with")
    x = samples(name, dtype)
    got = getattr(functions, name)(torch.from_numpy(x)).numpy()
    with np.errstate(all="ignore"):
        want = CASES[name][0](x.astype(np.float64)) if single else CASES[name][1](x.astype(L))
        error, at = largest_error(got, want.astype(L), *((24, -149) if single else (53, -1074)))
    assert error <= LIMITS.get(name, (2, 2))[not single], (error, x[at], got[at], want[at])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_accuracy_of_two_arguments(dtype):
    single = dtype == "float32"
    if not (single or EXTENDED):
        pytest.skip("no long double here to compare float64 with")
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.01, 20, 40_000).astype(dtype), rng.uniform(-20, 20, 40_000).astype(dtype)
    wide = np.float64 if single else L
    for name, f in {"pow": np.power, "atan2": np.arctan2, "hypot": np.hypot, "fmod": np.fmod, "div": np.divide}.items():
        got = getattr(functions, name)(torch.from_numpy(a), torch.from_numpy(b)).numpy()
        want = f(a.astype(wide), b.astype(wide)).astype(L)
        error, at = largest_error(got, want, *((24, -149) if single else (53, -1074)))
        assert error <= (0.501 if name in ("div", "fmod") else 1), (name, error, a[at], b[at])


def test_special_functions():
    """Of those without a closed form: float32 is the double result rounded; float64 agrees with SciPy to 1e-13."""
    x = np.random.default_rng(0).uniform(0.05, 30, 4000)
    for name in ("lgamma", "digamma", "i0", "i0e", "i1", "i1e"):
        want = REFERENCES[name](x)
        np.testing.assert_allclose(getattr(functions, name)(torch.from_numpy(x)).numpy(), want, rtol=1e-13, atol=1e-14)
        narrow = x.astype(np.float32)
        single = getattr(functions, name)(torch.from_numpy(narrow)).numpy()
        np.testing.assert_allclose(single, REFERENCES[name](narrow.astype(float)), rtol=1.2e-7, atol=1e-12)
    for name in ("lgamma", "digamma"):
        got = getattr(functions, name)(torch.from_numpy(-x)).numpy()
        np.testing.assert_allclose(got, REFERENCES[name](-x), rtol=1e-9)
    for order in (1, 2, 5, 10):
        got = functions._polygamma(torch.from_numpy(x), order=order).numpy()
        np.testing.assert_allclose(got, special.polygamma(order, x), rtol=1e-12)
    y = np.random.default_rng(1).uniform(-1, 1, 4000)
    np.testing.assert_allclose(functions.erfinv(torch.from_numpy(y)).numpy(), special.erfinv(y), rtol=2e-15)


def test_exact_values():
    t = torch.tensor
    assert torch.exp(t([0.0, -np.inf, np.inf])).tolist() == [1, 0, np.inf]
    assert torch.log(t([1.0, 0.0, np.inf])).tolist() == [0, -np.inf, np.inf]
    assert torch.exp2(torch.arange(-20.0, 20)).tolist() == [2.0**n for n in range(-20, 20)]
    assert torch.log2(t([2.0**n for n in range(-20, 20)])).tolist() == list(range(-20, 20))
    assert torch.log10(t([10.0**n for n in range(20)], dtype=torch.float64)).tolist() == list(range(20))
    assert torch.sqrt(torch.arange(50.0) ** 2).tolist() == list(range(50))
    assert torch.pow(t([2.0, -2.0, 10.0]), 3.0).tolist() == [8, -8, 1000]
    for f in (torch.sin, torch.tan, torch.asin, torch.atan, torch.sinh, torch.tanh, torch.asinh, torch.atanh, torch.erf,
              torch.expm1, torch.log1p):
        for dtype in (torch.float32, torch.float64):
            y = f(t([0.0, -0.0, 1e-30, -1e-30], dtype=dtype))
            assert y.tolist() == t([0.0, -0.0, 1e-30, -1e-30], dtype=dtype).tolist() or f is torch.erf, f
            assert np.signbit(y.numpy()).tolist() == [False, True, False, True]


def test_odd_even_and_monotonic():
    x = torch.linspace(-20, 20, 20_001, dtype=torch.float32)
    for f in (torch.sin, torch.tanh, torch.atan, torch.erf, torch.sinh, torch.asinh):
        assert torch.equal(f(-x), -f(x)), f
    for f in (torch.cos, torch.cosh):
        assert torch.equal(f(-x), f(x)), f
    for f in (torch.tanh, torch.erf, torch.sigmoid, torch.atan, torch.exp):
        y = f(x).numpy()
        assert (np.diff(y) >= -2 * np.spacing(np.abs(y[1:]))).all(), f


def test_levels_agree_on_every_magnitude():
    bits = np.random.default_rng(3).integers(0, 2**32, 3000, dtype=np.uint64).astype(np.uint32)
    best = runtime.get_level()
    narrow = bits.view(np.float32)
    narrow = narrow[~np.isnan(narrow)]
    for dtype, x in (("float32", narrow), ("float64", narrow.astype(np.float64) * 1e-3)):
        for name in CASES:
            try:
                results = []
                for level in runtime.levels():
                    runtime.set_level(level)
                    results.append(getattr(functions, name)(torch.from_numpy(x.copy())).numpy().tobytes())
            finally:
                runtime.set_level(best)
            assert len(set(results)) == 1, (name, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["sin", "cos", "tan", "fmod", "remainder", "floor_divide"])
def test_a_large_neighbor_changes_nothing(name, dtype):
    """A run with one very large argument takes another way: the values of the others keep their bits."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-1000, 1000, (2, 5000)).astype(dtype)
    far = x.copy()
    far[::100] = 1e30
    others = [] if name in ("sin", "cos", "tan") else [torch.from_numpy(y)]
    f = getattr(torch, name)
    a, b = (f(torch.from_numpy(v), *others).numpy() for v in (x, far))
    keep = np.arange(5000) % 100 != 0
    assert np.array_equal(a[keep], b[keep])
    if others:
        want = [{"fmod": math.fmod, "remainder": lambda p, q: p % q}.get(name, lambda p, q: (p - p % q) / q)(
            float(p), float(q)) for p, q in zip(far, y)]
        np.testing.assert_allclose(b, np.array(want).astype(dtype), rtol=2e-7 if name == "floor_divide" else 0)
    alone = np.array([f(torch.from_numpy(far[i:i + 1]), *[o[i:i + 1] for o in others]).numpy()[0] for i in range(300)])
    assert np.array_equal(alone, b[:300])


def test_inverse_of_erf_in_the_tails():
    """Up to the last float below 1, within 2 ULP."""
    x = np.concatenate([1 - 2.0 ** np.random.default_rng(0).uniform(-24, -1, 20_000), 2.0 ** -np.arange(1, 120), [0.0]])
    x = x.astype(np.float32)
    got, want = torch.erfinv(torch.from_numpy(np.concatenate([x, -x]))).numpy(), special.erfinv(x.astype(np.float64))
    error, at = largest_error(got, np.concatenate([want, -want]).astype(L), 24, -149)
    assert error <= 2, (error, at)
    assert torch.erfinv(torch.tensor([1.0, -1.0])).tolist() == [math.inf, -math.inf]
    assert torch.erfinv(torch.tensor([1.5, math.nan])).isnan().all()


def test_powers_with_loops_of_their_own():
    x = torch.tensor([0.0, -0.0, 2.0, -3.0, math.inf, math.nan], requires_grad=True)
    assert (x**0).tolist() == [1.0] * 6
    assert (x**-2).tolist()[:5] == [math.inf, math.inf, 0.25, pytest.approx(1 / 9), 0.0]
    assert (x**4).tolist()[:5] == [0, 0, 16, 81, math.inf]
    (x**0).sum().backward()
    assert x.grad.tolist() == [0.0] * 6
    y = torch.tensor([0.5, -3.0], dtype=torch.float64, requires_grad=True)
    for exponent in (0, -2, 4, 1.0):
        assert torch.autograd.gradcheck(lambda t, e=exponent: t**e, (y,))
        assert torch.autograd.gradgradcheck(lambda t, e=exponent: t**e, (y,))
