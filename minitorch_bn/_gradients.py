"""The gradient strings of the op table as functions on tensors: used when the gradient itself is to be
differentiated."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minitorch_bn._optable import ROWS


def gradient_function(name: str, i: int, algebra: dict[str, Any]) -> Callable[..., Any]:
    """The gradient of input i of row `name` as f(g, first, second, third, y, k0, k1, k2, k3) in the functions of
    `algebra`."""
    text: str
    inputs: tuple[str, ...]
    params: list[str]
    if name == "where":
        text, inputs, params = ("where(a, g, 0)" if i == 1 else "where(a, 0, g)"), ("a", "b", "c"), []
    else:
        row = next(row for row in ROWS if row.name == name)
        text, inputs, params = row.grads[i] or "0", row.inputs, list(row.params)
    names = ["g", *inputs, *[f"_{n}" for n in range(3 - len(inputs))], "y", *params,
             *[f"_k{n}" for n in range(4 - len(params))]]
    return eval(f"lambda {', '.join(names)}: {text}", dict(algebra))
