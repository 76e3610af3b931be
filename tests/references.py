"""What every row of the op table computes, said a second time in NumPy, SciPy and Python integers, for the tests."""
import math
import zlib

import numpy as np
from scipy import special

import minitorch_bn as torch
from minitorch_bn.ops import elementwise as functions

FLOATS = ["float16", "bfloat16", "float32", "float64"]
INTEGERS = ["uint8", "int8", "int16", "int32", "int64"]
SHAPE = (3, 7)  # 21 elements: vector blocks and a rest


def _pow(a, b):
    return np.power(np.asarray(a, np.float64), b)


# name -> function of float64 arrays (and the row's parameters as keywords)
REFERENCES = {
    # arithmetic
    "add": np.add, "sub": np.subtract, "rsub": lambda a, b: np.subtract(b, a), "mul": np.multiply, "div": np.divide,
    "_add_scaled": lambda a, b, alpha: np.add(a, np.multiply(alpha, b)),
    "_div_trunc": lambda a, b: np.trunc(np.divide(a, b)), "_div_floor": np.floor_divide,
    "floor_divide": np.floor_divide,
    "fmod": np.fmod, "remainder": np.remainder, "pow": _pow, "_pow_scalar": lambda x, exponent: _pow(x, exponent),
    "atan2": np.arctan2, "hypot": np.hypot, "copysign": np.copysign, "nextafter": np.nextafter,
    "heaviside": np.heaviside, "maximum": np.maximum, "minimum": np.minimum, "fmax": np.fmax, "fmin": np.fmin,
    "neg": np.negative, "abs": np.abs, "sign": np.sign, "square": np.square, "_cube": lambda x: x * x * x,
    "reciprocal": lambda x: np.divide(1, x), "_inverse_square": lambda x: np.divide(1, x * x),
    "sqrt": np.sqrt, "rsqrt": lambda x: np.divide(1, np.sqrt(x)),
    # rounding
    "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": np.rint, "frac": lambda x: np.modf(x)[0],
    "deg2rad": np.deg2rad, "rad2deg": np.rad2deg, "clamp_min": lambda x, min: np.clip(x, min, None),
    "clamp_max": lambda x, max: np.clip(x, None, max), "_clamp": lambda x, lo, hi: np.clip(x, lo, hi),
    "_clamp_min_tensor": lambda a, b: np.clip(a, b, None), "_clamp_max_tensor": lambda a, b: np.clip(a, None, b),
    "_clamp_tensor": lambda a, b, c: np.clip(a, b, c),
    "_nan_to_num": lambda x, nan, posinf, neginf: np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf),
    # exponentials and logarithms
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10,
    "log1p": np.log1p, "logit": special.logit, "logaddexp": np.logaddexp, "logaddexp2": np.logaddexp2,
    "xlogy": special.xlogy, "xlog1py": special.xlog1py,
    # trigonometric and hyperbolic
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "sinc": np.sinc,
    # special functions
    "erf": special.erf, "erfc": special.erfc, "erfinv": special.erfinv, "ndtr": special.ndtr,
    "lgamma": special.gammaln, "digamma": special.digamma, "_polygamma": lambda x, order: special.polygamma(order, x),
    "i0": special.i0, "i0e": special.i0e, "i1": special.i1, "i1e": special.i1e,
    # activations
    "sigmoid": special.expit, "relu": lambda x: np.clip(x, 0, None), "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x, negative_slope: np.where(np.signbit(x), np.multiply(negative_slope, x), x),
    "_prelu": lambda a, b: np.clip(a, 0, None) + b * np.clip(a, None, 0),
    "elu": lambda x, alpha: np.clip(x, 0, None) + alpha * np.expm1(np.clip(x, None, 0)),
    "selu": lambda x: 1.0507009873554804934193349852946 * (
        np.clip(x, 0, None) + 1.6732632423543772848170429916717 * np.expm1(np.clip(x, None, 0))),
    "celu": lambda x, alpha: np.clip(x, 0, None) + alpha * np.expm1(np.clip(x, None, 0) / alpha),
    "gelu": lambda x: 0.5 * x * special.erfc(-x / math.sqrt(2)),
    "_gelu_tanh": lambda x: x * special.expit(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)),
    "silu": lambda x: x * special.expit(x), "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "softplus": lambda x, beta, threshold: np.where(beta * x > threshold, x, np.logaddexp(0, beta * x) / beta),
    "logsigmoid": special.log_expit, "hardtanh": lambda x, min_val, max_val: np.clip(x, min_val, max_val),
    "hardswish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1), "hardsigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hardshrink": lambda x, lambd: np.where(np.abs(x) > lambd, x, 0),
    "softshrink": lambda x, lambd: np.sign(x) * np.clip(np.abs(x) - lambd, 0, None),
    "tanhshrink": lambda x: x - np.tanh(x), "softsign": lambda x: x / (1 + np.abs(x)),
    "threshold": lambda x, threshold, value: np.where(x > threshold, x, value),
    # comparisons, predicates, bits, logic
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite, "isposinf": np.isposinf, "isneginf": np.isneginf,
    "signbit": np.signbit, "bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or, "bitwise_xor": np.bitwise_xor,
    "bitwise_not": np.bitwise_not, "bitwise_left_shift": np.left_shift, "bitwise_right_shift": np.right_shift,
    "gcd": np.gcd, "lcm": np.lcm, "logical_and": np.logical_and, "logical_or": np.logical_or,
    "logical_xor": np.logical_xor, "logical_not": np.logical_not,
    # three inputs
    "addcmul": lambda a, b, c, value: np.add(a, value * np.multiply(b, c)),
    "addcdiv": lambda a, b, c, value: np.add(a, value * np.divide(b, c)),
    "lerp": lambda a, b, c: (1 - c) * a + c * b, "_lerp_scalar": lambda a, b, weight: (1 - weight) * a + weight * b,
    # terms of losses
    "_mse": lambda a, b: np.square(np.subtract(a, b)), "_l1": lambda a, b: np.abs(np.subtract(a, b)),
    "_smooth_l1": lambda a, b, beta: special.huber(beta, a - b) / beta,
    "_huber": lambda a, b, delta: special.huber(delta, a - b),
    "_bce": lambda a, b: -(np.multiply(b, np.clip(np.log(a), -100, None))
                           + np.multiply(1 - b, np.clip(np.log1p(-a), -100, None))),
    "_bce_with_logits": lambda a, b: -(b * special.log_expit(a) + (1 - b) * special.log_expit(-a)),
    "_bce_with_logits_weighted": lambda a, b, c: -(c * b * special.log_expit(a) + (1 - b) * special.log_expit(-a)),
    "_kl_div": lambda a, b: special.rel_entr(b, np.exp(a)),
    "_kl_div_log": lambda a, b: special.rel_entr(np.exp(b), np.exp(a)),
    "_soft_margin": lambda a, b: np.logaddexp(0, -np.multiply(a, b)),
    "_poisson_nll_log": lambda a, b: np.exp(a) - np.multiply(a, b),
    "_poisson_nll": lambda a, b, eps: a - special.xlogy(b, a + eps),
    "_gaussian_nll": lambda a, b, c: np.log(np.sqrt(c)) + np.square((a - b) / np.sqrt(c)) / 2,
    "_hinge_embedding": lambda a, b, margin: np.select([b == 1, b == -1], [a, np.clip(margin - a, 0, None)],
                                                       a + np.clip(margin - a, 0, None)),
    "_margin_ranking": lambda a, b, c, margin: np.clip(margin - c * (a - b), 0, None),
}


def _quotient(a, b):
    """a / b rounded towards zero, in integers."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _integer_pow(a, b):
    return a**b if b >= 0 else (1 if a == 1 else (-1) ** (b & 1) if a == -1 else 0)


# name -> function of Python integers, for the integer dtypes; the result wraps around
INTEGER_REFERENCES = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "rsub": lambda a, b: b - a, "mul": lambda a, b: a * b,
    "_add_scaled": lambda a, b, alpha: a + alpha * b, "_div_trunc": _quotient, "_div_floor": lambda a, b: a // b,
    "floor_divide": lambda a, b: a // b, "fmod": lambda a, b: a - b * _quotient(a, b), "remainder": lambda a, b: a % b,
    "pow": _integer_pow, "_pow_scalar": lambda x, exponent: x**exponent,
    "heaviside": lambda a, b: b if a == 0 else int(a > 0), "maximum": max, "minimum": min, "fmax": max, "fmin": min,
    "neg": lambda x: -x, "abs": abs, "sign": lambda x: (x > 0) - (x < 0), "square": lambda x: x * x,
    "_cube": lambda x: x**3, "floor": int, "ceil": int, "trunc": int, "round": int,
    "clamp_min": lambda x, min: x if x > min else min,
    "clamp_max": lambda x, max: x if x < max else max, "_clamp": lambda x, lo, hi: min(max(x, lo), hi),
    "_clamp_min_tensor": max, "_clamp_max_tensor": min, "_clamp_tensor": lambda a, b, c: min(max(a, b), c),
    "_nan_to_num": lambda x, nan, posinf, neginf: x, "relu": lambda x: max(x, 0),
    "threshold": lambda x, threshold, value: x if x > threshold else value,
    "addcmul": lambda a, b, c, value: a + value * b * c, "bitwise_and": lambda a, b: a & b,
    "bitwise_or": lambda a, b: a | b, "bitwise_xor": lambda a, b: a ^ b, "bitwise_not": lambda x: ~x,
    "bitwise_left_shift": lambda a, b: a << b, "bitwise_right_shift": lambda a, b: a >> b, "gcd": math.gcd,
    "lcm": math.lcm,
}

# Values for the parameters in the tests: exact in every dtype; the second is for integers.
PARAMETERS = {
    "alpha": (0.75, 3), "exponent": (2.5, 3), "min": (-0.5, 1), "max": (0.5, 2), "lo": (-0.5, 0), "hi": (1.25, 2),
    "nan": (0.25, 1), "posinf": (8.0, 2), "neginf": (-8.0, 0), "order": (2, 2), "negative_slope": (0.125, 1),
    "beta": (1.5, 1), "threshold": (1.75, 1), "min_val": (-0.75, 0), "max_val": (1.5, 1), "lambd": (0.5, 1),
    "value": (0.5, 2), "weight": (0.25, 1), "delta": (0.75, 1), "eps": (0.0625, 1), "margin": (0.5, 1),
}


def parameters(row, integers=False):
    """The keyword arguments of a row in the tests."""
    return {p: PARAMETERS[p][integers] for p in row.params}


def reference(row, arrays, params):
    """The row in float64, or on bools and integers where it is about them."""
    with np.errstate(all="ignore"):
        return REFERENCES[row.name](*arrays, **params)


def integer_reference(row, arrays, params, dtype):
    """The row on Python integers, wrapped around to the integer dtype."""
    function = INTEGER_REFERENCES[row.name]
    flat = [function(*(int(v) for v in values), **params) for values in zip(*(a.ravel() for a in arrays))]
    if dtype == np.bool_:
        return np.array([bool(v & 1) if row.name == "bitwise_not" else bool(v) for v in flat]).reshape(arrays[0].shape)
    info = np.iinfo(dtype)
    size = int(info.max) - int(info.min) + 1
    return np.array([(v - int(info.min)) % size + int(info.min) for v in flat], dtype).reshape(arrays[0].shape)


def domains(row):
    return (row.domain,) if row.arity == 1 else row.domain


def points(row, dtype, shape=SHAPE, seed=0):
    """Random inputs in the row's domain, as NumPy arrays that the dtype holds exactly (bfloat16 as float32)."""
    rng = np.random.default_rng(zlib.crc32(row.name.encode()) + seed)
    arrays = []
    for low, high in domains(row):
        if dtype == "bool":
            arrays.append(rng.random(shape) < 0.5)
        elif dtype in INTEGERS:
            low, high = int(np.ceil(low)), int(np.floor(high))
            low = max(low, 0) if dtype == "uint8" else low
            arrays.append(rng.integers(low, max(low, high) + 1, shape).astype(dtype))
        else:
            x = rng.uniform(low, high, shape)
            if dtype == "bfloat16":
                x = (x.astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)
            arrays.append(x.astype("float32" if dtype == "bfloat16" else dtype))
    return arrays


def tensor(array, dtype):
    return torch.tensor(array, dtype=getattr(torch, dtype))


def numbers(t):
    """A tensor as a NumPy array of its own dtype (bfloat16 as float32)."""
    t = t.detach()
    return (t.float() if t.dtype is torch.bfloat16 else t).numpy()


def call(row, *inputs, suffix="", **more):
    return getattr(functions, row.name + suffix)(*inputs, **parameters(row, more.pop("integers", False)), **more)
