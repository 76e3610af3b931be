"""out= for functions that make a new result: it is written over the tensor (or tensors) given."""
from __future__ import annotations

from minitorch_bn._core import Tensor, is_grad_enabled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Functions of the top level that get their `out` here; as methods they have none.
NAMES = ("clamp_max", "clamp_min", "diff", "diag", "kthvalue", "ldexp", "quantile", "nanquantile", "aminmax",
         "mode", "float_power", "slice_scatter", "nan_to_num", "polygamma", "index_copy", "index_add", "scatter",
         "scatter_add", "scatter_reduce", "take", "histc", "msort", "take_along_dim", "tril", "triu", "softmax",
         "log_softmax")


def filled(out: Any, result: Any) -> Any:
    """`out` with the result written to it.

    Raises:
        RuntimeError: a result that requires grad, or real numbers for a tensor of integers.
    """
    if not isinstance(result, Tensor):
        for target, value in zip(out, result):
            if target.dtype != value.dtype:
                raise RuntimeError(f"Expected out tensor to have dtype {value.dtype}, but got {target.dtype} instead")
            filled(target, value)
        return type(result)(*out) if hasattr(result, "_fields") else tuple(out)
    if is_grad_enabled() and (result.requires_grad or out.requires_grad):
        raise RuntimeError("functions with out=... arguments don't support automatic differentiation, but one of the "
                           "arguments requires grad.")
    if result.is_floating_point() and not out.is_floating_point():
        raise RuntimeError(f"result type {result.dtype} can't be cast to the desired output type {out.dtype}")
    return out.resize_(result.shape).copy_(result)


def with_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with a keyword argument `out`."""
    def written(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        return result if out is None else filled(out, result)

    written.__name__ = written.__qualname__ = function.__name__
    written.__doc__ = function.__doc__
    written.__wrapped__ = function  # type: ignore[attr-defined]
    return written
