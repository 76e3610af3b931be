"""The `_foreach_` functions, as optimizers written for PyTorch call them: plain loops over lists of tensors."""
from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

from minitorch_bn._core import Tensor
from minitorch_bn._names import missing

# Where a list is combined with one bound, torch._foreach_maximum takes a number, which Tensor.maximum does not.
METHODS = {"maximum": "clamp_min", "minimum": "clamp_max", "maximum_": "clamp_min_", "minimum_": "clamp_max_"}


def function(name: str) -> Callable[..., Any]:
    """torch._foreach_`name`: Tensor.`name` on each of a list; other lists go along with it, numbers are for all.

    Raises:
        AttributeError: there is no such method of Tensor.
    """
    operation = getattr(Tensor, METHODS.get(name, name), None)
    if operation is None:
        raise missing("", f"_foreach_{name}")

    def foreach(self: Any, *args: Any, **kwargs: Any) -> list[Any] | None:
        if not isinstance(self, (list, tuple)):  # _foreach_pow(2, exponents)
            return [self ** exponent for exponent in args[0]]
        if name.startswith(("addcdiv", "addcmul")) and len(args) == 3:
            kwargs["value"] = args[2]
            args = args[:2]
        if "scalars" in kwargs:
            kwargs["value"] = kwargs.pop("scalars")
        kwargs = {key: value.item() if isinstance(value, Tensor) and value.dim() == 0 else value
                  for key, value in kwargs.items()}
        size = len(self)
        for other in (*args, *kwargs.values()):
            if isinstance(other, (list, tuple)) and len(other) != size:
                raise RuntimeError(f"_foreach_{name}: the lists must have the same length, got {size} and {len(other)}")
        rows = [other if isinstance(other, (list, tuple)) else repeat(other) for other in args]
        named = {key: iter(value) if isinstance(value, (list, tuple)) else repeat(value)
                 for key, value in kwargs.items()}
        made = [operation(x, *row, **{key: next(value) for key, value in named.items()})
                for x, *row in zip(self, *rows)]
        return None if name.endswith("_") else made
    foreach.__name__ = foreach.__qualname__ = f"_foreach_{name}"
    foreach.__doc__ = f"Tensor.{name} on each tensor of a list."
    return foreach
