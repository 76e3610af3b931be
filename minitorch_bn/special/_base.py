"""How the functions of this package are made: computed in float64, given back in the input's dtype, differentiable."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minitorch_bn._core import Tensor, as_tensor_, attach, get_default_dtype, result_type
from minitorch_bn.ops.shaping import broadcast_tensors


def floating(x: Any, name: str) -> Tensor:
    """x, integers and bools as numbers of the default dtype."""
    if not isinstance(x, Tensor):
        raise TypeError(f"special_{name}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")
    return x if x.is_floating_point() else x.to(get_default_dtype())


def into(out: Tensor | None, y: Tensor) -> Tensor:
    """y, or out with y's values."""
    if out is None:
        return y
    if out.shape != y.shape:
        out.resize_(y.shape)
    return out.copy_(y)


def refuse(name: str) -> Callable[..., Any]:
    """A backward that says that PyTorch has no derivative of this function, and so we have none."""
    def backward(*_: Tensor) -> Any:
        raise RuntimeError(f"derivative for aten::special_{name} is not implemented")
    return backward


def unary(name: str, value: Callable[[Tensor], Tensor], slope: Callable[[Tensor, Tensor], Tensor] | None,
          doc: str) -> Callable[..., Tensor]:
    """The function `name`: value(x) of a float64 tensor; slope(x, y) in differentiable operations, None if PyTorch has
    no derivative."""
    node = f"Special{name.title().replace('_', '')}Backward0"

    def function(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        x = floating(input, name)
        y = value(x.detach().double()).to(x.dtype)
        if slope is None:
            return into(out, attach(y, (x,), refuse(name), node))
        return into(out, attach(y, (x,), lambda g, y: (g * slope(x, y),), node, save_output=True))
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def pair(name: str, a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Two arguments, at most one of them a number, as float tensors of one dtype and shape."""
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        raise TypeError(f"special_{name}(): at least one argument must be a Tensor, got {type(a).__name__} and "
                        f"{type(b).__name__}")
    kind = result_type(a, b)
    kind = kind if kind.is_floating_point else get_default_dtype()
    x, y = broadcast_tensors(as_tensor_(a).to(kind), as_tensor_(b).to(kind))
    return x, y


def chebyshev(coefficients: Sequence[float], x: Tensor, low: float, high: float) -> Tensor:
    """The Chebyshev series on [low, high] at x: Clenshaw's recurrence (DLMF 3.11.ii)."""
    t = (x - (low + high) / 2) * (4 / (high - low))
    newer, older = t * 0, t * 0
    for c in reversed(coefficients[1:]):
        newer, older = t * newer - older + c, newer
    return 0.5 * t * newer - older + coefficients[0]


def pieces(x: Tensor, *parts: tuple[Tensor, Callable[[Tensor], Tensor]]) -> Tensor:
    """Each function on the elements that its mask picks; NaN where no mask does."""
    flat = x.reshape(-1)
    result = flat * float("nan")
    for mask, function in parts:
        index = mask.reshape(-1).nonzero().reshape(-1)
        if index.numel():
            result[index] = function(flat[index])
    return result.reshape(x.shape)
