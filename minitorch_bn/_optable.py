"""The table of every element-wise operation: one row gives its name, value, gradient, test domain and one line of doc.

A row is pure data. The build compiles its strings to C kernels; the package evaluates the gradient strings as Tensor
algebra when a graph of the gradient is wanted, so that every order of derivative is exact; the tests, the stubs and the
benches walk the same rows. What to save for backward is inferred from the names that a gradient string uses.

The language of the strings is the part that C and Python share:
  x | a, b, c     the inputs (arity 1 | 2 | 3)      y   the result      g   the upstream gradient (in gradients)
  parameters      the names in `params`: scalars, keyword arguments of the public function; REQUIRED has no default
  numbers, + - * / and unary -, comparisons, & | on comparisons
  where(p, q, r)  q where p is true, else r (C: p ? q : r)
  name(...)       m_<name> of mathfun.h (or intfun.h in an integer kernel); in Python the operation of that name, or
                  of `SLOPES` in ops/arithmetic.py
Kinds:
  float      computed in float32 or float64; integers and bools are first promoted to the default float dtype
  arith      any dtype; integers and bools use `value_int` / `value_bool` where given, else `value`
  compare    any dtype -> bool                             predicate  like compare, one input, about float properties
  bits       integers and bools only (bool: `value_bool`)  logical    any dtype -> bool, each input read as "!= 0"
A gradient None means not differentiable; the row of a `compare`, `predicate`, `bits` or `logical` op has no gradient.
A gradient that is zero everywhere is ZERO. In `where(p, q, r)` the branch not taken must be finite too, or second
derivatives become NaN: hence arguments such as where(x > 0, 0, x).
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

REQUIRED = ...  # a parameter without a default
INF = float("inf")


@dataclass(frozen=True)
class Row:
    name: str
    arity: int
    value: str
    grads: tuple[str | None, ...]
    domain: tuple  # (lo, hi) for one input, ((lo, hi), ...) for several: where the tests draw their points
    doc: str
    kind: str = "float"
    params: dict[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    value_int: str | None = None  # where the integer kernel differs from `value`
    value_bool: str | None = None  # where the bool kernel differs from the integer kernel
    no_bool: bool = False  # bool input is an error
    inplace: bool = True  # has the form name_
    home: str = "torch"  # "torch" (function and method), "special" (torch.special), "functional" (nn.functional)
    alpha: str | None = None  # the operand that a keyword argument `alpha` multiplies first
    numbers: str = "either"  # of two operands, which one may be a number: "either", the "second", "none"

    @property
    def public(self) -> bool:
        return not self.name.startswith("_")

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("x",) if self.arity == 1 else ("a", "b", "c")[: self.arity]


ROWS: list[Row] = []


def U(name: str, value: str, grad: str | None, domain: tuple, doc: str, **more: Any) -> None:
    """Add a unary row: x -> y."""
    ROWS.append(Row(name, 1, value, (grad,), domain, doc, **more))


def B(name: str, value: str, grads: tuple, domain: tuple, doc: str, **more: Any) -> None:
    """Add a binary row: a, b -> y."""
    ROWS.append(Row(name, 2, value, grads, domain, doc, **more))


def T3(name: str, value: str, grads: tuple, domain: tuple, doc: str, **more: Any) -> None:
    """Add a ternary row: a, b, c -> y."""
    ROWS.append(Row(name, 3, value, grads, domain, doc, **more))


NONE2: tuple = (None, None)
ZERO = "0"
REAL = (-3, 3)
REAL2 = (REAL, REAL)
REAL3 = (REAL, REAL, REAL)
POSITIVE = (0.3, 3)
UNIT = (-0.9, 0.9)

# -- arithmetic -------------------------------------------------------------------------------------------------------
B("add", "a + b", ("g", "g"), REAL2, "a + alpha * b", kind="arith", value_int="add(a, b)", value_bool="a | b",
  alpha="b")
B("sub", "a - b", ("g", "-g"), REAL2, "a - alpha * b", kind="arith", value_int="sub(a, b)", no_bool=True,
  aliases=("subtract",), alpha="b")
B("rsub", "b - a", ("-g", "g"), REAL2, "b - alpha * a", kind="arith", value_int="sub(b, a)", no_bool=True,
  inplace=False, numbers="second", alpha="a")
B("_add_scaled", "a + alpha * b", ("g", "alpha * g"), REAL2, "a + alpha * b", kind="arith",
  value_int="add(a, mul(alpha, b))", no_bool=True, params={"alpha": REQUIRED})
B("mul", "a * b", ("g * b", "g * a"), REAL2, "a * b", kind="arith", value_int="mul(a, b)", value_bool="a & b",
  aliases=("multiply",))
B("div", "a / b", ("g / b", "-g * y / b"), (REAL, POSITIVE), "a / b", aliases=("divide", "true_divide"))
B("_div_trunc", "truncdiv(a, b)", (ZERO, ZERO), (REAL, POSITIVE), "a / b rounded towards 0.", kind="arith",
  no_bool=True)
B("_div_floor", "floordiv(a, b)", (ZERO, ZERO), (REAL, POSITIVE), "a / b rounded down.", kind="arith",
  no_bool=True)
B("floor_divide", "floordiv(a, b)", NONE2, (REAL, POSITIVE), "a / b rounded down.", kind="arith",
  no_bool=True)
B("fmod", "fmod(a, b)", ("g", "-g * trunc(a / b)"), (REAL, POSITIVE), "The remainder of a / b, with the sign of a.",
  kind="arith", no_bool=True, numbers="second")
B("remainder", "remainder(a, b)", ("g", "-g * floor(a / b)"), (REAL, POSITIVE),
  "The remainder of a / b, with the sign of b.", kind="arith", no_bool=True)
B("pow", "pow(a, b)", ("where(b == 0, 0, g * b * pow(a, where(b == 0, 0, b - 1)))",
                       "where((a == 0) & (b >= 0), 0, g * y * log(where((a == 0) & (b >= 0), 1, a)))"),
  (POSITIVE, REAL), "a to the power b.", kind="arith", no_bool=True)
U("_pow_scalar", "pow(x, exponent)", "g * exponent * pow(x, exponent - 1)", POSITIVE,
  "x to a constant power other than 0.", kind="arith", no_bool=True, params={"exponent": REQUIRED})
B("atan2", "atan2(a, b)", ("g * b / where((a == 0) & (b == 0), 1, a * a + b * b)",
                           "-g * a / where((a == 0) & (b == 0), 1, a * a + b * b)"), (POSITIVE, REAL),
  "The angle of the point (b, a), in (-pi, pi].", aliases=("arctan2",), numbers="none")
B("hypot", "hypot(a, b)", ("g * (a / y)", "g * (b / y)"), (POSITIVE, REAL), "The square root of a^2 + b^2.",
  numbers="none")
B("copysign", "copysign(a, b)", ("g * sign(a) * sign(y)", ZERO), (POSITIVE, REAL), "|a| with the sign of b.",
  numbers="second")
B("nextafter", "nextafter(a, b)", ("g", ZERO), REAL2, "The number next to a towards b.", numbers="none")
B("heaviside", "where(a == 0, b, where(a > 0, 1, 0))", NONE2, REAL2, "0 below 0, 1 above, b at 0.", kind="arith",
  numbers="none")
B("maximum", "maximum(a, b)",
  ("where(a == b, 0.5 * g, where(a < b, 0, g))", "where(a == b, 0.5 * g, where(a > b, 0, g))"), REAL2,
  "The greater of a and b; NaN if either is NaN.", kind="arith", value_bool="a | b", inplace=False, numbers="none")
B("minimum", "minimum(a, b)",
  ("where(a == b, 0.5 * g, where(a > b, 0, g))", "where(a == b, 0.5 * g, where(a < b, 0, g))"), REAL2,
  "The smaller of a and b; NaN if either is NaN.", kind="arith", value_bool="a & b", inplace=False, numbers="none")
B("fmax", "fmax(a, b)", ("where((a >= b) | isnan(b), g, 0)", "where((a >= b) | isnan(b), 0, g)"), REAL2,
  "The greater of a and b; the other where one is NaN.", kind="arith", value_int="maximum(a, b)", inplace=False,
  numbers="none")
B("fmin", "fmin(a, b)", ("where((a <= b) | isnan(b), g, 0)", "where((a <= b) | isnan(b), 0, g)"), REAL2,
  "The smaller of a and b; the other where one is NaN.", kind="arith", value_int="minimum(a, b)", inplace=False,
  numbers="none")
U("neg", "-x", "-g", REAL, "-x", kind="arith", value_int="neg(x)", no_bool=True, aliases=("negative",))
U("abs", "abs(x)", "g * sign(x)", REAL, "The absolute value.", kind="arith", no_bool=True, aliases=("absolute",))
U("sign", "sign(x)", ZERO, REAL, "-1, 0 or 1.", kind="arith", value_bool="x", aliases=("sgn",))
U("square", "x * x", "2 * g * x", REAL, "x * x", kind="arith", value_int="mul(x, x)", no_bool=True)
U("_cube", "cube(x)", "3 * g * x * x", REAL, "x * x * x", kind="arith", value_int="mul(x, mul(x, x))", no_bool=True)
U("_inverse_square", "1 / (x * x)", "-2 * g * y / x", POSITIVE, "x to the power -2.", inplace=False)
U("reciprocal", "1 / x", "-g * y * y", POSITIVE, "1 / x")
U("sqrt", "sqrt(x)", "g / (2 * y)", POSITIVE, "The square root.")
U("rsqrt", "rsqrt(x)", "-0.5 * g * y * y * y", POSITIVE, "1 / sqrt(x)")

# -- rounding ---------------------------------------------------------------------------------------------------------
U("floor", "floor(x)", ZERO, REAL, "The greatest integer that is not above x.", kind="arith",
  value_int="x", no_bool=True)
U("ceil", "ceil(x)", ZERO, REAL, "The least integer that is not below x.", kind="arith", value_int="x", no_bool=True)
U("trunc", "trunc(x)", ZERO, REAL, "x without its fraction.", kind="arith", value_int="x", no_bool=True,
  aliases=("fix",))
U("round", "round(x)", ZERO, REAL, "The nearest integer, halves to even.", kind="arith", value_int="x", no_bool=True)
U("frac", "frac(x)", "g", REAL, "The fraction of x, with its sign.")
U("deg2rad", "x * 0.017453292519943295", "g * 0.017453292519943295", REAL, "Degrees to radians.")
U("rad2deg", "x * 57.29577951308232", "g * 57.29577951308232", REAL, "Radians to degrees.")
U("clamp_min", "maximum(x, min)", "where(x >= min, g, 0)", REAL, "The greater of x and min.",
  kind="arith", no_bool=True, params={"min": REQUIRED})
U("clamp_max", "minimum(x, max)", "where(x <= max, g, 0)", REAL, "The smaller of x and max.",
  kind="arith", no_bool=True, params={"max": REQUIRED})
U("_clamp", "where(where(x < lo, lo, x) > hi, hi, where(x < lo, lo, x))", "where((x >= lo) & (x <= hi), g, 0)", REAL,
  "x held within [lo, hi].",
  kind="arith", no_bool=True, params={"lo": REQUIRED, "hi": REQUIRED})
B("_clamp_min_tensor", "maximum(a, b)", ("where(a >= b, g, 0)", "where(a < b, g, 0)"), REAL2,
  "The greater of a and the bound b.", kind="arith", value_bool="a | b")
B("_clamp_max_tensor", "minimum(a, b)", ("where(a <= b, g, 0)", "where(a > b, g, 0)"), REAL2,
  "The smaller of a and the bound b.", kind="arith", value_bool="a & b")
T3("_clamp_tensor", "minimum(maximum(a, b), c)",
   ("where((a >= b) & (a <= c), g, 0)", "where((b < c) & (a < b), g, 0)", "where((c < b) | (a > c), g, 0)"), REAL3,
   "a held within [b, c].", kind="arith", no_bool=True)
U("_nan_to_num", "where(isnan(x), nan, where(isposinf(x), posinf, where(isneginf(x), neginf, x)))",
  "where(isfinite(x), g, 0)", REAL, "x with other numbers for NaN and the infinities.", kind="arith", value_int="x",
  params={"nan": 0.0, "posinf": REQUIRED, "neginf": REQUIRED})

# -- exponentials and logarithms --------------------------------------------------------------------------------------
U("exp", "exp(x)", "g * y", REAL, "e to the power x.")
U("exp2", "exp2(x)", "g * y * 0.6931471805599453", REAL, "2 to the power x.")
U("expm1", "expm1(x)", "g * (y + 1)", REAL, "exp(x) - 1, accurate near 0.")
U("log", "log(x)", "g / x", POSITIVE, "The natural logarithm.")
U("log2", "log2(x)", "g / (x * 0.6931471805599453)", POSITIVE, "The logarithm to base 2.")
U("log10", "log10(x)", "g / (x * 2.302585092994046)", POSITIVE, "The logarithm to base 10.")
U("log1p", "log1p(x)", "g / (x + 1)", (-0.7, 3), "log(1 + x), accurate near 0.")
U("logit", "logit(x)", "g / (x * (1 - x))", (0.1, 0.9), "log(x / (1 - x))")
B("logaddexp", "logaddexp(a, b)", ("g * sigmoid(a - b)", "g * sigmoid(b - a)"), REAL2, "log(e^a + e^b)", inplace=False,
  numbers="none")
B("logaddexp2", "logaddexp2(a, b)",
  ("g * sigmoid((a - b) * 0.6931471805599453)", "g * sigmoid((b - a) * 0.6931471805599453)"), REAL2, "log2(2^a + 2^b)",
  inplace=False, numbers="none")
B("xlogy", "xlogy(a, b)", ("where((a == 0) & (b <= 0), 0, xlogy(g, b))", "g * a / b"), (REAL, POSITIVE),
  "a log(b), 0 where a is 0.")
B("xlog1py", "xlog1py(a, b)", ("where((a == 0) & (b <= -1), 0, xlog1py(g, b))", "g * a / (b + 1)"), (REAL, (-0.7, 3)),
  "a log(1 + b), 0 where a is 0.", inplace=False, home="special")

# -- trigonometric and hyperbolic -------------------------------------------------------------------------------------
U("sin", "sin(x)", "g * cos(x)", REAL, "The sine.")
U("cos", "cos(x)", "-g * sin(x)", REAL, "The cosine.")
U("tan", "tan(x)", "g * (1 + y * y)", (-1.2, 1.2), "The tangent.")
U("asin", "asin(x)", "g * rsqrt(1 - x * x)", UNIT, "The angle with sine x.", aliases=("arcsin",))
U("acos", "acos(x)", "-g * rsqrt(1 - x * x)", UNIT, "The angle with cosine x.", aliases=("arccos",))
U("atan", "atan(x)", "g / (1 + x * x)", REAL, "The angle with tangent x.", aliases=("arctan",))
U("sinh", "sinh(x)", "g * cosh(x)", REAL, "The hyperbolic sine.")
U("cosh", "cosh(x)", "g * sinh(x)", REAL, "The hyperbolic cosine.")
U("tanh", "tanh(x)", "g * (1 - y * y)", REAL, "The hyperbolic tangent.")
U("asinh", "asinh(x)", "g * rsqrt(x * x + 1)", REAL, "The inverse of sinh.", aliases=("arcsinh",))
U("acosh", "acosh(x)", "g * rsqrt(x * x - 1)", (1.2, 3), "The inverse of cosh.", aliases=("arccosh",))
U("atanh", "atanh(x)", "g / (1 - x * x)", UNIT, "The inverse of tanh.", aliases=("arctanh",))
U("sinc", "sinc(x)",
  "g * where(abs(x) < 0.01,"
  " x * (-3.289868133696453 + x * x * (3.2469697011334144 - 1.1445167785145956 * x * x)),"
  " (cos(3.141592653589793 * x) - y) / where(x == 0, 1, x))", REAL, "sin(pi x) / (pi x), 1 at 0.")

# -- special functions ------------------------------------------------------------------------------------------------
U("erf", "erf(x)", "g * 1.1283791670955126 * exp(-x * x)", REAL, "The error function.")
U("erfc", "erfc(x)", "-g * 1.1283791670955126 * exp(-x * x)", REAL, "1 - erf(x), accurate in the tail.")
U("erfinv", "erfinv(x)", "g * 0.886226925452758 * exp(y * y)", UNIT, "The inverse of erf.")
U("ndtr", "ndtr(x)", "g * 0.3989422804014327 * exp(-0.5 * x * x)", REAL,
  "The distribution function of the standard normal.", inplace=False, home="special")
U("lgamma", "lgamma(x)", "g * digamma(x)", POSITIVE, "The logarithm of |Gamma(x)|.")
U("digamma", "digamma(x)", "g * polygamma(1, x)", POSITIVE, "The derivative of lgamma.")
U("_polygamma", "polygamma(order, x)", "g * polygamma(order + 1, x)", POSITIVE,
  "The derivative of digamma of that order.", params={"order": REQUIRED})
U("i0", "i0(x)", "g * i1(x)", REAL, "The modified Bessel function of order 0.")
U("i0e", "i0e(x)", "g * (i1e(x) - sign(x) * y)", REAL, "exp(-|x|) i0(x)", inplace=False, home="special")
U("i1", "i1(x)", "g * where(x == 0, 0.5, i0(x) - y / where(x == 0, 1, x))", REAL,
  "The modified Bessel function of order 1.", inplace=False, home="special")
U("i1e", "i1e(x)", "g * where(x == 0, 0.5, i0e(x) - y * (sign(x) + 1 / where(x == 0, 1, x)))", REAL,
  "exp(-|x|) i1(x)", inplace=False, home="special")

# -- activations ------------------------------------------------------------------------------------------------------
U("sigmoid", "sigmoid(x)", "g * y * (1 - y)", REAL, "1 / (1 + exp(-x))")
U("relu", "where(x <= 0, 0, x)", "where(y <= 0, 0, g)", REAL, "x above 0, else 0.", kind="arith", no_bool=True)
U("relu6", "where(where(x <= 0, 0, x) > 6, 6, where(x <= 0, 0, x))", "where((x <= 0) | (x >= 6), 0, g)", (-3, 9),
  "x held within [0, 6].", home="functional")
U("leaky_relu", "where(x > 0, x, negative_slope * x)", "where(x > 0, g, negative_slope * g)", REAL,
  "x above 0, negative_slope * x below.", params={"negative_slope": 0.01}, home="functional")
B("_prelu", "where(a > 0, a, b * a)", ("where(a > 0, g, b * g)", "where(a > 0, 0, a * g)"), REAL2,
  "a above 0, b * a below.")
U("elu", "where(x > 0, x, alpha * expm1(x))", "g * where(x > 0, 1, alpha * exp(where(x > 0, 0, x)))", REAL,
  "x above 0, alpha * (exp(x) - 1) below.", params={"alpha": 1.0}, home="functional")
U("selu", "1.0507009873554805 * where(x > 0, x, 1.6732632423543772 * expm1(x))",
  "g * where(x > 0, 1.0507009873554805, 1.7580993408473766 * exp(where(x > 0, 0, x)))", REAL,
  "The elu that keeps mean 0 and variance 1.", home="functional")
U("celu", "where(x > 0, x, alpha * expm1(x / alpha))", "g * where(x > 0, 1, exp(where(x > 0, 0, x) / alpha))", REAL,
  "The elu with slope 1 on both sides of 0.", params={"alpha": 1.0}, home="functional")
U("gelu", "gelu(x)", "g * gelu_slope(x)", REAL,
  "x times the normal distribution function at x.", inplace=False, home="functional")
U("_gelu_tanh", "gelu_tanh(x)",
  "g * sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x)) * (1 + sigmoid(-1.5957691216057308 *"
  " (x + 0.044715 * x * x * x)) * x * 1.5957691216057308 * (1 + 0.134145 * x * x))", REAL, "gelu by its tanh formula.")
U("silu", "silu(x)", "g * silu_slope(x)", REAL, "x * sigmoid(x)", home="functional")
U("mish", "mish(x)",
  "g * (tanh(softplus(x)) + x * sigmoid(x) * (1 - tanh(softplus(x)) * tanh(softplus(x))))", REAL,
  "x * tanh(softplus(x))", home="functional")
U("softplus", "where(x * beta > threshold, x, softplus(x * beta) / beta)",
  "where(x * beta > threshold, g, g * sigmoid(x * beta))", REAL,
  "log(1 + exp(beta x)) / beta; x itself where beta x exceeds the threshold.",
  params={"beta": 1.0, "threshold": 20.0}, inplace=False, home="functional")
U("logsigmoid", "logsigmoid(x)", "g * sigmoid(-x)", REAL, "log(sigmoid(x))", inplace=False, home="functional")
U("hardtanh", "where(where(x < min_val, min_val, x) > max_val, max_val, where(x < min_val, min_val, x))",
  "where((x > min_val) & (x < max_val), g, 0)", REAL,
  "x held within [min_val, max_val].", params={"min_val": -1.0, "max_val": 1.0}, home="functional")
U("hardswish", "x * where(where(x < -3, 0, x + 3) > 6, 6, where(x < -3, 0, x + 3)) / 6",
  "where(x <= -3, 0, where(x < 3, g * (x / 3 + 0.5), g))", (-5, 5), "x * relu6(x + 3) / 6", home="functional")
U("hardsigmoid", "where(where(x < -3, 0, x + 3) > 6, 6, where(x < -3, 0, x + 3)) / 6",
  "where((x > -3) & (x < 3), g / 6, 0)", (-5, 5),
  "relu6(x + 3) / 6", home="functional")
U("hardshrink", "where((x >= -lambd) & (x <= lambd), 0, x)", "where((x >= -lambd) & (x <= lambd), 0, g)", REAL,
  "x outside [-lambd, lambd], else 0.", params={"lambd": 0.5}, inplace=False)
U("softshrink", "where(x > lambd, x - lambd, where(x < -lambd, x + lambd, x * 0))",
  "where((x >= -lambd) & (x <= lambd), 0, g)", REAL, "x moved towards 0 by lambd.", params={"lambd": 0.5},
  inplace=False, home="functional")
U("tanhshrink", "x - tanh(x)", "g * tanh(x) * tanh(x)", REAL, "x - tanh(x)", inplace=False, home="functional")
U("softsign", "x / (1 + abs(x))", "g / ((1 + abs(x)) * (1 + abs(x)))", REAL, "x / (1 + |x|)", inplace=False,
  home="functional")
U("threshold", "where(x <= threshold, value, x)", "where(x <= threshold, 0, g)", REAL,
  "x above the threshold, else value.", kind="arith", no_bool=True,
  params={"threshold": REQUIRED, "value": REQUIRED}, home="functional")

# -- comparisons, predicates, bits, logic -----------------------------------------------------------------------------
B("eq", "a == b", NONE2, REAL2, "a == b", kind="compare", numbers="second")
B("ne", "a != b", NONE2, REAL2, "a != b", kind="compare", aliases=("not_equal",), numbers="second")
B("lt", "a < b", NONE2, REAL2, "a < b", kind="compare", aliases=("less",), numbers="second")
B("le", "a <= b", NONE2, REAL2, "a <= b", kind="compare", aliases=("less_equal",), numbers="second")
B("gt", "a > b", NONE2, REAL2, "a > b", kind="compare", aliases=("greater",), numbers="second")
B("ge", "a >= b", NONE2, REAL2, "a >= b", kind="compare", aliases=("greater_equal",), numbers="second")
U("isnan", "isnan(x)", None, REAL, "True where x is not a number.", kind="predicate", value_int="0", inplace=False)
U("isinf", "isinf(x)", None, REAL, "True where x is infinite.", kind="predicate", value_int="0", inplace=False)
U("isfinite", "isfinite(x)", None, REAL, "True where x is finite.", kind="predicate", value_int="1", inplace=False)
U("isposinf", "isposinf(x)", None, REAL, "True where x is inf.", kind="predicate", value_int="0", inplace=False)
U("isneginf", "isneginf(x)", None, REAL, "True where x is -inf.", kind="predicate", value_int="0", inplace=False)
U("signbit", "signbit(x)", None, REAL, "True where x has a minus sign.", kind="predicate", inplace=False)
B("bitwise_and", "a & b", NONE2, ((0, 100), (0, 100)), "Bits that both have.", kind="bits")
B("bitwise_or", "a | b", NONE2, ((0, 100), (0, 100)), "Bits that either has.", kind="bits")
B("bitwise_xor", "a ^ b", NONE2, ((0, 100), (0, 100)), "Bits that only one has.", kind="bits")
U("bitwise_not", "~x", None, (0, 100), "Every bit the other way; not x for bools.", kind="bits", value_bool="x == 0")
B("bitwise_left_shift", "shl(a, b)", NONE2, ((0, 100), (0, 7)), "a shifted left by b bits.", kind="bits", no_bool=True)
B("bitwise_right_shift", "shr(a, b)", NONE2, ((0, 100), (0, 7)), "a shifted right by b bits, keeping its sign.",
  kind="bits", no_bool=True)
B("gcd", "gcd(a, b)", NONE2, ((0, 100), (0, 100)), "The greatest common divisor.", kind="bits", no_bool=True,
  numbers="none")
B("lcm", "lcm(a, b)", NONE2, ((0, 10), (0, 10)), "The least common multiple.", kind="bits", no_bool=True,
  numbers="none")
B("logical_and", "(a != 0) & (b != 0)", NONE2, REAL2, "True where both are nonzero.", kind="logical",
  numbers="none")
B("logical_or", "(a != 0) | (b != 0)", NONE2, REAL2, "True where either is nonzero.", kind="logical",
  numbers="none")
B("logical_xor", "(a != 0) != (b != 0)", NONE2, REAL2, "True where only one is nonzero.", kind="logical",
  numbers="none")
U("logical_not", "x == 0", None, REAL, "True where x is 0.", kind="logical")

# -- three inputs -----------------------------------------------------------------------------------------------------
T3("addcmul", "a + value * (b * c)", ("g", "value * (g * c)", "value * (g * b)"), REAL3, "a + value * b * c",
   kind="arith", value_int="add(a, mul(value, mul(b, c)))", no_bool=True, params={"value": 1})
T3("addcdiv", "a + value * (b / c)", ("g", "value * g / c", "-value * g * b / (c * c)"), (REAL, REAL, POSITIVE),
   "a + value * b / c", params={"value": 1})
T3("lerp", "where(c < 0.5, a + c * (b - a), b - (b - a) * (1 - c))", ("g * (1 - c)", "g * c", "g * (b - a)"), REAL3,
   "The point between a and b at c: a at 0, b at 1.")
B("_lerp_scalar", "where(weight < 0.5, a + weight * (b - a), b - (b - a) * (1 - weight))",
  ("g * (1 - weight)", "g * weight"), REAL2, "lerp with one weight for all.", params={"weight": REQUIRED})

# -- terms of losses (a: input, b: target) ----------------------------------------------------------------------------
B("_mse", "(a - b) * (a - b)", ("2 * g * (a - b)", "-2 * g * (a - b)"), REAL2, "(a - b)^2", inplace=False)
B("_l1", "abs(a - b)", ("g * sign(a - b)", "-g * sign(a - b)"), REAL2, "|a - b|", inplace=False)
B("_smooth_l1", "where(abs(a - b) < beta, 0.5 * (a - b) * (a - b) / beta, abs(a - b) - 0.5 * beta)",
  ("where(abs(a - b) >= beta, g * sign(a - b), g * (a - b) / beta)",
   "-where(abs(a - b) >= beta, g * sign(a - b), g * (a - b) / beta)"), REAL2,
  "|a - b| - beta / 2, and a parabola within beta > 0.", params={"beta": 1.0}, inplace=False)
B("_huber", "where(abs(a - b) < delta, 0.5 * (a - b) * (a - b), delta * (abs(a - b) - 0.5 * delta))",
  ("where(abs(a - b) >= delta, g * delta * sign(a - b), g * (a - b))",
   "-where(abs(a - b) >= delta, g * delta * sign(a - b), g * (a - b))"), REAL2,
  "(a - b)^2 / 2 within delta, a straight line outside.", params={"delta": 1.0}, inplace=False)
B("_bce", "(b - 1) * clamp_min(log1p(-a), -100) - b * clamp_min(log(a), -100)",
  ("g * (a - b) / clamp_min(a * (1 - a), 1e-12)", "g * (clamp_min(log1p(-a), -100) - clamp_min(log(a), -100))"),
  ((0.1, 0.9), (0.1, 0.9)), "The cross entropy of the probability a and the target b.", inplace=False)
B("_bce_with_logits", "(1 - b) * a - logsigmoid(a)", ("g * (sigmoid(a) - b)", "-g * a"), (REAL, (0.1, 0.9)),
  "The cross entropy of sigmoid(a) and the target b.", inplace=False)
T3("_bce_with_logits_weighted", "(1 - b) * a - (1 + (c - 1) * b) * logsigmoid(a)",
   ("g * (1 - b - (1 + (c - 1) * b) * sigmoid(-a))", "-g * (a + (c - 1) * logsigmoid(a))", "-g * b * logsigmoid(a)"),
   (REAL, (0.1, 0.9), POSITIVE), "_bce_with_logits with the weight c of positive targets.", inplace=False)
B("_kl_div", "xlogy(b, b) - b * a", ("-g * b", "g * (log(b) + 1 - a)"), (REAL, POSITIVE),
  "b (log b - a), for log-probabilities a and probabilities b.", inplace=False)
B("_kl_div_log", "exp(b) * (b - a)", ("-g * exp(b)", "g * exp(b) * (b - a + 1)"), REAL2,
  "_kl_div for log-probabilities b.", inplace=False)
B("_soft_margin", "softplus(-a * b)", ("-g * b * sigmoid(-a * b)", "-g * a * sigmoid(-a * b)"), REAL2,
  "log(1 + exp(-a b))", inplace=False)
B("_poisson_nll_log", "exp(a) - b * a", ("g * (exp(a) - b)", "-g * a"), (REAL, POSITIVE),
  "exp(a) - b a, for the logarithm a of a rate.", inplace=False)
B("_poisson_nll", "a - b * log(a + eps)", ("g * (1 - b / (a + eps))", "-g * log(a + eps)"), (POSITIVE, POSITIVE),
  "a - b log(a + eps), for a rate a.", params={"eps": 1e-8}, inplace=False)
T3("_gaussian_nll", "0.5 * (log(c) + (a - b) * (a - b) / c)",
   ("g * (a - b) / c", "-g * (a - b) / c", "0.5 * g * (1 - (a - b) * (a - b) / c) / c"), (REAL, REAL, POSITIVE),
   "The negative log-likelihood of b under a normal with mean a and variance c, without its constant.", inplace=False)
B("_hinge_embedding", "where(b == 1, 0, clamp_min(margin - a, 0)) + where(b == -1, 0, a)",
  ("where(b == 1, 0, where(a <= margin, -g, 0)) + where(b == -1, 0, g)", None), REAL2,
  "a where b is 1, max(0, margin - a) where b is -1.", params={"margin": 1.0}, inplace=False)
T3("_margin_ranking", "clamp_min(margin - c * (a - b), 0)",
   ("where(c * (a - b) <= margin, -g * c, 0)", "where(c * (a - b) <= margin, g * c, 0)",
    "where(c * (a - b) <= margin, -g * (a - b), 0)"), REAL3,
   "max(0, margin - c (a - b))", params={"margin": 0.0}, inplace=False)
