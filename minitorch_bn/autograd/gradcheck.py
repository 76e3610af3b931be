"""Checks gradients against finite differences: gradcheck for the first order, gradgradcheck for the second."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minitorch_bn._core import Tensor, grad, zeros
from minitorch_bn._modes import enable_grad


class GradcheckError(RuntimeError):
    """A gradient does not match its finite differences."""


def _outputs(func: Callable[..., Any], inputs: tuple[Any, ...]) -> tuple[Tensor, ...]:
    result = func(*inputs)
    return tuple(y for y in (result if isinstance(result, list | tuple) else (result,))
                 if isinstance(y, Tensor) and y.is_floating_point())


def _numerical(func: Callable[..., Any], inputs: tuple[Any, ...], x: Tensor, eps: float) -> list[Tensor]:
    """d output / d x by central differences: for each output a (x.numel(), output.numel()) matrix."""
    columns: list[list[Tensor]] = []
    flat = x.data.reshape(-1) if x.is_contiguous() else None
    for i in range(x.numel()):
        index = _unravel(i, tuple(x.shape))
        was = x.data[index].item() if flat is None else flat[i].item()
        results = []
        for step in (eps, -eps):
            x.data[index] = was + step
            with enable_grad():  # a function that takes gradients must find a graph
                results.append([y.detach().clone() for y in _outputs(func, inputs)])
        x.data[index] = was
        columns.append([(up - down) / (2 * eps) for up, down in zip(*results, strict=True)])
    count = len(columns[0]) if columns else 0
    matrices = []
    for k in range(count):
        matrix = zeros(x.numel(), columns[0][k].numel(), dtype=x.dtype)
        for i, column in enumerate(columns):
            matrix[i] = column[k].reshape(-1)
        matrices.append(matrix)
    return matrices


def _unravel(i: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    index = []
    for size in reversed(shape):
        i, r = divmod(i, size)
        index.append(r)
    return tuple(reversed(index))


def _analytical(y: Tensor, x: Tensor) -> Tensor:
    """d y / d x by backward, one row of the cotangent at a time: (x.numel(), y.numel())."""
    matrix = zeros(x.numel(), y.numel(), dtype=x.dtype)
    for j in range(y.numel()):
        cotangent = zeros(y.numel(), dtype=y.dtype)
        cotangent[j] = 1
        g, = grad(y, x, cotangent.reshape(y.shape), retain_graph=True, allow_unused=True)
        if g is not None:
            matrix[:, j] = g.reshape(-1)
    return matrix


def gradcheck(func: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
              raise_exception: bool = True, nondet_tol: float = 0.0, check_undefined_grad: bool = True,
              **ignored: Any) -> bool:
    """Whether the gradients of `func` at float64 `inputs` match central differences; True, or an error that shows
    both."""
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of the them have "
                         "requires_grad=True.")
    outputs = _outputs(func, inputs)
    for number, x in enumerate(checked):
        numerical = _numerical(func, inputs, x, eps)
        if x.numel() and len(numerical) != len(outputs):
            raise GradcheckError(f"the function has {len(outputs)} floating point outputs for its inputs, and "
                                 f"{len(numerical)} beside them")
        for k, y in enumerate(outputs if numerical else ()):
            analytical = _analytical(y, x) if y.requires_grad else zeros(x.numel(), y.numel(), dtype=x.dtype)
            error = (analytical - numerical[k]).abs()
            if not bool((error <= atol + rtol * numerical[k].abs()).all()):
                if not raise_exception:
                    return False
                raise GradcheckError(f"Jacobian mismatch for output {k} with respect to input "
                                     f"{number},\nnumerical:{numerical[k]}\nanalytical:{analytical}\n")
    return True


def gradgradcheck(func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, *, eps: float = 1e-6,
                  atol: float = 1e-5, rtol: float = 1e-3, raise_exception: bool = True, **ignored: Any) -> bool:
    """Whether the second derivatives match: gradcheck of the gradient, with random cotangents unless given."""
    from minitorch_bn.ops.random import randn_like
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    outputs = _outputs(func, inputs)
    if grad_outputs is None:
        cotangents = tuple(randn_like(y).requires_grad_() for y in outputs)
    else:
        cotangents = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
    checked = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]

    def first_order(*args: Any) -> tuple[Tensor, ...]:
        own, vectors = args[:len(inputs)], args[len(inputs):]
        values = _outputs(func, own)
        pairs = [(y, v) for y, v in zip(values, vectors) if y.requires_grad]
        grads = grad([y for y, _ in pairs], [own[i] for i in checked], [v for _, v in pairs], create_graph=True,
                     allow_unused=True)
        return tuple(g for g in grads if g is not None)

    return gradcheck(first_order, (*inputs, *cotangents), eps=eps, atol=atol, rtol=rtol,
                     raise_exception=raise_exception)
