"""The element-wise functions of PyTorch that are more than one row of the op table: rounding, bounds."""
from __future__ import annotations

import builtins

from minitorch_bn import _core
from minitorch_bn._core import Tensor, as_tensor_, ones_like, result_type, where
from minitorch_bn.ops import elementwise as ew

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Number = int | float | bool


def _needs_tensor(name: str, *given: Any) -> None:
    for x in given:
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}(): a Tensor is expected, not {type(x).__name__}")


def div(input: Tensor, other: Tensor | Number, *, rounding_mode: str | None = None,
        out: Tensor | None = None) -> Tensor:
    """input / other; rounded towards zero with rounding_mode="trunc", down with "floor"."""
    if rounding_mode is None:
        return ew.div(input, other, out=out)
    if rounding_mode == "floor":
        return ew.floor_divide(input, other, out=out)
    if rounding_mode == "trunc":
        return ew._div_trunc(input, other, out=out)
    raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'")


def div_(input: Tensor, other: Tensor | Number, *, rounding_mode: str | None = None) -> Tensor:
    """In-place version of :func:`div`."""
    if rounding_mode is None:
        return ew.div_(input, other)
    return input.copy_(div(input, other, rounding_mode=rounding_mode))


def clamp(input: Tensor, min: Any = None, max: Any = None, *, out: Tensor | None = None) -> Tensor:
    """input limited to [min, max]; a bound may be a number, a tensor, or None."""
    _needs_tensor("clamp", input)
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        if max is None:
            y = ew._clamp_min_tensor(input, min)
        elif min is None:
            y = ew._clamp_max_tensor(input, max)
        else:
            y = ew._clamp_tensor(input, min, max)
    else:
        if not input.is_floating_point() and (isinstance(min, float) or isinstance(max, float)):
            input = input.to(result_type(input, 0.5))
        if max is None:
            y = ew.clamp_min(input, min)
        elif min is None:
            y = ew.clamp_max(input, max)
        else:
            y = ew._clamp(input, min, max)
    return y if out is None else out.copy_(y)


def clamp_(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """In-place version of :func:`clamp`."""
    if not input.is_floating_point() and (isinstance(min, float) or isinstance(max, float)):
        raise RuntimeError(f"result type Float can't be cast to the desired output type {input.dtype}")
    numbers = [v for v in (min, max) if v is not None]
    if numbers and not any(isinstance(v, Tensor) for v in numbers):
        if min is None:
            return ew.clamp_max_(input, max)
        return ew.clamp_min_(input, min) if max is None else ew._clamp_(input, min, max)
    return input.copy_(clamp(kept(input), min, max))


def kept(x: Tensor) -> Tensor:
    """x, or in a graph a copy: for x.copy_(f(kept(x))), where the gradient of f may read the value of x."""
    return x.clone() if x.requires_grad and _core.is_grad_enabled() else x


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """input, at least `min`."""
    return clamp(input, min=min)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """input, at most `max`."""
    return clamp(input, max=max)


def pow(input: Tensor | Number, exponent: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """input to the power `exponent`."""
    if isinstance(exponent, int | float) and isinstance(input, Tensor) and out is None:
        if input.dtype is _core.DTYPES["bool"]:
            input = input.to(result_type(input, exponent))
        if exponent == 2:
            return ew.square(input)
        if exponent == 0.5:
            return ew.sqrt(input)
        if exponent == 1 and not isinstance(exponent, float):
            return input.clone()
        if isinstance(exponent, int) and exponent < 0 and not input.is_floating_point():
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        exact = input.is_floating_point() or isinstance(exponent, int)
        if exponent == 3 and exact:
            return ew._cube(input)
        if exponent in (-2, -1, -0.5) and input.is_floating_point():
            return (ew._inverse_square if exponent == -2 else ew.reciprocal if exponent == -1 else ew.rsqrt)(input)
        if exponent == 4 and exact:
            return ew.square(ew.square(input))
        if exponent == 0 and exact:
            return _core.attach(ones_like(input), (input,), _core.zeros_like, "PowBackward0")
        if exact and not isinstance(exponent, bool):
            return ew._pow_scalar(input, exponent)
    return ew.pow(input, exponent, out=out)


def float_power(input: Tensor | Number, exponent: Tensor | Number) -> Tensor:
    """input ** exponent in float64."""
    if not isinstance(exponent, Tensor):
        _needs_tensor("float_power", input)
    double = _core.DTYPES["float64"]
    return ew.pow(*[v.to(double) if isinstance(v, Tensor) else as_tensor_(float(v), dtype=double)
                    for v in (input, exponent)])


def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """input * 2 ** other."""
    _needs_tensor("ldexp", input, other)
    return input * ew.exp2(other if other.is_floating_point() else other.to(_core.get_default_dtype()))


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x * Phi(x) (Hendrycks & Gimpel 2016); approximate="tanh" takes the paper's second formula."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return ew._gelu_tanh(input) if approximate == "tanh" else ew.gelu(input)


def logit(input: Tensor, eps: float | None = None, *, out: Tensor | None = None) -> Tensor:
    """log(x / (1 - x)); with eps, x is first limited to [eps, 1 - eps]."""
    return ew.logit(input if eps is None else clamp(input, eps, 1 - eps), out=out)


def round(input: Tensor, *, decimals: int = 0, out: Tensor | None = None) -> Tensor:
    """The nearest number with that many decimals, halves to even; negative `decimals` round before the point."""
    if decimals == 0:
        return ew.round(input, out=out)
    if not input.is_floating_point():
        raise RuntimeError("round_cpu with decimals not implemented for integers")
    scale = 10.0 ** builtins.abs(decimals)
    y = ew.round(input * scale) / scale if decimals > 0 else ew.round(input / scale) * scale
    return y if out is None else out.copy_(y)


def positive(input: Tensor) -> Tensor:
    """input itself."""
    if input.dtype is _core.DTYPES["bool"]:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """|input - other| <= atol + rtol * |other|, element by element."""
    for name, value in (("rtol", rtol), ("atol", atol)):
        if value < 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {value}")
    _needs_tensor("isclose", input, other)
    if input.dtype != other.dtype:
        raise RuntimeError(f"{input.dtype} and {other.dtype}: isclose() expects tensors of the same dtype")
    close = input == other
    if input.is_floating_point():
        finite = ew.isfinite(input) & ew.isfinite(other)
        close = close | finite & (ew.abs(input - other) <= atol + rtol * ew.abs(other))
        if equal_nan:
            close = close | ew.isnan(input) & ew.isnan(other)
    elif (rtol or atol) and input.dtype != _core.DTYPES["bool"]:
        close = close | (ew.abs(input - other) <= atol + ew.abs(other) * rtol)
    return close


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements are close (:func:`isclose`)."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and elements."""
    return input.shape == other.shape and bool((input == other).all())


def where_method(self: Tensor, condition: Tensor, other: Tensor | Number) -> Tensor:
    """This tensor where condition is true, else other."""
    return where(condition, self, other)


def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of the digamma function."""
    return ew.digamma(input) if n == 0 else ew._polygamma(input, order=n)


def nan_to_num(input: Tensor, nan: float | None = 0.0, posinf: float | None = None,
               neginf: float | None = None) -> Tensor:
    """input with NaN and the infinities replaced: by default 0 and the greatest and least numbers of the dtype."""
    if not input.is_floating_point():
        return input.clone()
    limits = _core.finfo(input.dtype)
    return ew._nan_to_num(input, nan=0.0 if nan is None else nan, posinf=limits.max if posinf is None else posinf,
                          neginf=limits.min if neginf is None else neginf)


divide, true_divide, clip = div, ew.div, clamp
_BOTH = {f.__name__: f for f in (div, clamp, clamp_min, clamp_max, pow, float_power, ldexp, logit, isclose, allclose,
                                 equal, nan_to_num, round, positive)}
_BOTH |= {"divide": divide, "true_divide": true_divide, "clip": clip}
METHODS = _BOTH | {
    "div_": div_, "divide_": div_, "clamp_": clamp_, "clip_": clamp_,
    "clamp_min_": lambda self, min: clamp_(self, min=min), "clamp_max_": lambda self, max: clamp_(self, max=max),
    "pow_": lambda self, exponent: self.copy_(pow(kept(self), exponent)),
    "round_": lambda self, *, decimals=0: self.copy_(round(self, decimals=decimals)),
    "nan_to_num_": lambda self, *args, **kwargs: self.copy_(nan_to_num(kept(self), *args, **kwargs)),
    "float_power_": lambda self, exponent: self.copy_(float_power(kept(self), exponent)),
    "ldexp_": lambda self, other: self.copy_(ldexp(kept(self), other)),
    "logit_": lambda self, eps=None: self.copy_(logit(kept(self), eps)),
    "polygamma_": lambda self, n: self.copy_(polygamma(n, kept(self))),
    "__rdiv__": lambda self, other: self.reciprocal() * other,
    "where": where_method,
    "polygamma": lambda self, n: polygamma(n, self),
}
for _name, _method in METHODS.items():
    if _method.__doc__ is None:  # the lambdas: as functions that say their name and what they do
        _method.__name__ = _name
        _method.__doc__ = {"polygamma": polygamma.__doc__, "__rdiv__": "other / self."}.get(
            _name, f"In-place version of :func:`{_name[:-1]}`.")
FUNCTIONS = _BOTH | {"where": where, "polygamma": polygamma}
PRIMITIVES = {"gelu": gelu}
# Gradients that have a function of their own in C, for which they say what it computes.
SLOPES = {"gelu_slope": lambda x: ew.ndtr(x) + x * 0.3989422804014327 * ew.exp(-0.5 * x * x),
          "silu_slope": lambda x: ew.sigmoid(x) * (1 + x * ew.sigmoid(-x))}
_core.algebra.update({name: getattr(ew, name) for name in dir(ew) if not name.startswith("__")}
                     | {"where": where, "pow": pow, "polygamma": polygamma} | SLOPES)
