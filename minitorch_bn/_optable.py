"""The table of every element-wise operation: one row gives its name, value, gradient, test domain and one line of doc.

A row is pure data. The build compiles its strings to C kernels; the package evaluates the gradient strings as Tensor
algebra when a graph of the gradient is wanted, so that every order of derivative is exact; the tests, the stubs and the
benches walk the same rows. What to save for backward is inferred from the names that a gradient string uses.

The language of the strings is the part that C and Python share:
  x | a, b, c     the inputs (arity 1 | 2 | 3)           y   the result           g   the upstream gradient (gradients only)
  parameters      the names in `params`: scalars, keyword arguments of the public function; REQUIRED has no default
  numbers, + - * / and unary -, comparisons, & | ~ on truth values
  where(p, q, r)  q where p is true, else r (C: p ? q : r)
  name(...)       m_<name> of mathfun.h (or intfun.h in an integer kernel); in Python the operation of that name
Kinds:
  float      computed in float32 or float64; integers and bools are first promoted to the default float dtype
  arith      any dtype; integers and bools use `value_int` / `value_bool` where given, else `value`
  compare    any dtype -> bool                             predicate  like compare, one input, about float properties
  bits       integers and bools only (bool: `value_bool`)  logical    any dtype -> bool, each input read as "!= 0"
A gradient None means not differentiable; the row of a `compare`, `predicate`, `bits` or `logical` op has no gradient.
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
REAL2 = ((-3, 3), (-3, 3))

# -- arithmetic ---------------------------------------------------------------------------------------------------------
B("add", "a + b", ("g", "g"), REAL2, "a + b", kind="arith", value_int="add(a, b)", value_bool="a | b")
B("mul", "a * b", ("g * b", "g * a"), REAL2, "a * b", kind="arith", value_int="mul(a, b)", value_bool="a & b",
  aliases=("multiply",))
B("div", "a / b", ("g / b", "-g * y / b"), ((-3, 3), (0.5, 3)), "a / b", aliases=("divide", "true_divide"))
B("maximum", "maximum(a, b)",
  ("where(a == b, 0.5 * g, where(a > b, g, 0))", "where(a == b, 0.5 * g, where(a > b, 0, g))"), REAL2,
  "The greater of a and b; NaN if either is NaN.", kind="arith", value_bool="a | b", inplace=False)

# -- exponentials -------------------------------------------------------------------------------------------------------
U("exp", "exp(x)", "g * y", (-3, 3), "e to the power x.")
U("abs", "abs(x)", "g * sign(x)", (-3, 3), "The absolute value.", kind="arith", no_bool=True, aliases=("absolute",))

# -- activations --------------------------------------------------------------------------------------------------------
U("leaky_relu", "where(x > 0, x, negative_slope * x)", "where(x > 0, g, negative_slope * g)", (-3, 3),
  "x above 0, negative_slope * x below.", params={"negative_slope": 0.01}, home="functional")

# -- comparisons, predicates, bits, logic -------------------------------------------------------------------------------
B("lt", "a < b", NONE2, REAL2, "a < b", kind="compare", aliases=("less",))
U("isnan", "isnan(x)", None, (-3, 3), "True where x is not a number.", kind="predicate", value_int="0", inplace=False)
B("bitwise_and", "a & b", NONE2, ((0, 100), (0, 100)), "Bits that both have.", kind="bits")
B("logical_and", "(a != 0) & (b != 0)", NONE2, REAL2, "True where both are nonzero.", kind="logical")

# -- three inputs -------------------------------------------------------------------------------------------------------
T3("addcmul", "a + value * (b * c)", ("g", "value * (g * c)", "value * (g * b)"), (*REAL2, (-3, 3)),
   "a + value * b * c", kind="arith", value_int="add(a, mul(value, mul(b, c)))", params={"value": 1})

# -- lead's temporary rows: replace with the real table ----
B("sub", "a - b", ("g", "-g"), REAL2, "a - b", kind="arith", value_int="a - b", no_bool=True)
B("pow", "pow(a, b)", ("g * b * pow(a, b - 1)", "g * y * log(a)"), ((0.5,3),(-3,3)), "a ** b", kind="float")
B("floor_divide", "floor(a / b)", (None, None), REAL2, "", kind="float")
B("remainder", "a - floor(a / b) * b", ("g", None), REAL2, "", kind="float")
B("eq", "a == b", NONE2, REAL2, "a == b", kind="compare")
B("ne", "a != b", NONE2, REAL2, "", kind="compare")
B("le", "a <= b", NONE2, REAL2, "", kind="compare")
B("gt", "a > b", NONE2, REAL2, "", kind="compare")
B("ge", "a >= b", NONE2, REAL2, "", kind="compare")
B("bitwise_or", "a | b", NONE2, REAL2, "", kind="bits")
B("bitwise_xor", "a ^ b", NONE2, REAL2, "", kind="bits")
B("bitwise_left_shift", "a << b", NONE2, REAL2, "", kind="bits")
B("bitwise_right_shift", "a >> b", NONE2, REAL2, "", kind="bits")
U("bitwise_not", "~x", None, (0,1), "", kind="bits")
U("neg", "-x", "-g", (-3,3), "", kind="arith", no_bool=True)
B("fmod", "a - b", (None, None), REAL2, "", kind="float")
