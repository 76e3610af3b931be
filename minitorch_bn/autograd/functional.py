"""Jacobians, Hessians and their products with vectors, for functions of tensors."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minitorch_bn._core import Tensor, empty, grad, zeros_like
from minitorch_bn._modes import enable_grad

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _tuple(x: Any) -> tuple[Tensor, ...]:
    return (x,) if isinstance(x, Tensor) else tuple(x)


def _like(values: tuple[Any, ...], pattern: Any) -> Any:
    return values[0] if isinstance(pattern, Tensor) else values


def _inputs(inputs: Any, create_graph: bool) -> tuple[Tensor, ...]:
    """Fresh leaves, or (to differentiate through) views of the inputs."""
    return tuple(x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_()
                 for x in _tuple(inputs))


def _zero(g: Tensor | None, x: Tensor, strict: bool, what: str) -> Tensor:
    if g is None and strict:
        raise RuntimeError(f"{what} is independent of an input, which strict=True forbids")
    return zeros_like(x) if g is None else g


def _evaluate(func: Callable[..., Any], inputs: tuple[Tensor, ...]) -> Any:
    outputs = func(*inputs)
    if not all(isinstance(y, Tensor) for y in _tuple(outputs)):
        raise TypeError("the function must return a Tensor or a tuple of Tensors")
    return outputs


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Any, Any]:
    """(func(inputs), v^T J): the vector-Jacobian product. v may be left out for one output of one element."""
    with enable_grad():
        leaves = _inputs(inputs, create_graph)
        outputs = _evaluate(func, leaves)
        grads = grad(_tuple(outputs), leaves, None if v is None else _tuple(v), create_graph=create_graph,
                     allow_unused=True)
        result = tuple(_zero(g, x, strict, "the output") for g, x in zip(grads, leaves))
    if not create_graph:
        outputs = _like(tuple(y.detach() for y in _tuple(outputs)), outputs)
    return outputs, _like(result, inputs)


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Any, Any]:
    """(func(inputs), J v): the Jacobian-vector product, by differentiating the vector-Jacobian product (twice
    backward)."""
    with enable_grad():
        leaves = _inputs(inputs, create_graph)
        outputs = _evaluate(func, leaves)
        dummies = tuple(zeros_like(y).requires_grad_() for y in _tuple(outputs))
        grads = grad(_tuple(outputs), leaves, dummies, create_graph=True, allow_unused=True)
        used = [(g, t) for g, t in zip(grads, _tuple(v) if v is not None else (None,) * len(grads))
                if g is not None and g.requires_grad]
        if used:
            vectors = None if v is None else tuple(t for _, t in used)
            products = grad(tuple(g for g, _ in used), dummies, vectors, create_graph=create_graph, allow_unused=True)
        else:
            products = (None,) * len(dummies)
        result = tuple(_zero(p, y, strict, "the output") for p, y in zip(products, _tuple(outputs)))
    if not create_graph:
        outputs, result = (_like(tuple(y.detach() for y in _tuple(outputs)), outputs),
                           tuple(r.detach() for r in result))
    return outputs, _like(result, outputs)


def jacobian(func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False,
             vectorize: bool = False, strategy: str = "reverse-mode") -> Any:
    """d output / d input, of shape output.shape + input.shape; nested tuples for several outputs or inputs."""
    with enable_grad():
        leaves = _inputs(inputs, create_graph)
        outputs = _evaluate(func, leaves)
        rows = []
        for y in _tuple(outputs):
            parts: list[list[Tensor]] = [[] for _ in leaves]
            flat = y.reshape(-1)
            for i in range(flat.numel()):
                grads = grad(flat[i], leaves, retain_graph=True, create_graph=create_graph,
                             allow_unused=True) if y.requires_grad \
                    else (None,) * len(leaves)
                for part, g, x in zip(parts, grads, leaves):
                    part.append(_zero(g, x, strict, "the output"))
            rows.append(tuple(_stack(part, (*y.shape, *x.shape), x) for part, x in zip(parts, leaves)))
    return _like(tuple(_like(row, inputs) for row in rows), outputs)


def _stack(parts: list[Tensor], shape: tuple[int, ...], x: Tensor) -> Tensor:
    from minitorch_bn.ops.shaping import stack
    return stack(parts).reshape(shape) if parts else empty(shape, dtype=x.dtype)


def hessian(func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False,
            vectorize: bool = False, outer_jacobian_strategy: str = "reverse-mode") -> Any:
    """The matrix of second derivatives of a function with one element."""
    def gradient(*leaves: Tensor) -> Any:
        y = func(*leaves)
        if y.numel() != 1:
            raise RuntimeError("The output of the function given to hessian should contain a single element.")
        grads = grad(y.reshape(()), leaves, create_graph=True, allow_unused=True)
        return tuple(_zero(g, x, strict, "the output") for g, x in zip(grads, leaves))
    result = jacobian(gradient, _tuple(inputs), create_graph, strict)
    return result[0][0] if isinstance(inputs, Tensor) else result


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Any, Any]:
    """(func(inputs), v^T H): the product of a vector with the Hessian."""
    with enable_grad():
        leaves = _inputs(inputs, create_graph)
        y = _evaluate(func, leaves)
        first = grad(y, leaves, create_graph=True, allow_unused=True)
        used = [(g, t) for g, t in zip(first, _tuple(v) if v is not None else (None,) * len(first))
                if g is not None and g.requires_grad]
        second = grad(tuple(g for g, _ in used), leaves, None if v is None else tuple(t for _, t in used),
                      create_graph=create_graph, allow_unused=True) if used else (None,) * len(leaves)
        result = tuple(_zero(g, x, strict, "the gradient") for g, x in zip(second, leaves))
    return (y if create_graph else y.detach()), _like(result, inputs)


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Any, Any]:
    """(func(inputs), H v): the Hessian is symmetric, so this is :func:`vhp`."""
    return vhp(func, inputs, v, create_graph, strict)
