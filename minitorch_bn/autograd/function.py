"""autograd.Function: an operation with a hand-written backward."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minitorch_bn._core import Tensor, attach, is_grad_enabled, packed_, unpacked_, zeros
from minitorch_bn._modes import no_grad, set_grad_enabled


class FunctionCtx:
    """What forward hands to backward: saved tensors, and any attributes that forward sets."""

    def __init__(self) -> None:
        self._saved: tuple[Tensor | None, ...] = ()
        self._output_positions: dict[int, int] = {}
        self._outputs: tuple[Any, ...] = ()
        self._dirty: tuple[Tensor, ...] = ()
        self._no_grad: set[int] = set()
        self._materialize = True
        self.needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs for backward; a change of one in place before then is an error."""
        self._saved = tensors

    save_for_forward = save_for_backward

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What save_for_backward kept."""
        return tuple(self._outputs[self._output_positions[i]] if i in self._output_positions and self._outputs else
                     t if t is None else unpacked_(t)
                     for i, t in enumerate(self._saved))

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say that forward changed these inputs in place and returns them."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say that these outputs have no gradient."""
        self._no_grad |= {id(t) for t in tensors}

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward sees zeros (True) or None for an output that was not used."""
        self._materialize = value


class Function:
    """Subclass it with static methods ``forward(ctx, ...)`` and ``backward(ctx, *grads)``, and call ``apply``.

    ``forward(...)`` without ctx works with a ``setup_context(ctx, inputs, output)``. Gradients of any order are right
    if backward itself is made of differentiable operations; :func:`once_differentiable` forbids the second order.
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The value; a subclass must have it."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """The gradients, one for each argument of forward; a subclass that is differentiated must have it."""
        raise NotImplementedError("You must implement either the backward or vjp method for your custom "
                                  "autograd.Function to use it with backward mode AD.")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """forward, recorded."""
        ctx = FunctionCtx()
        tensors = [a for a in args if isinstance(a, Tensor)]
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        tracked = is_grad_enabled() and any(ctx.needs_input_grad)
        with no_grad():
            if "setup_context" in {name for base in cls.__mro__[:-2] for name in vars(base)}:
                result = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, result)  # type: ignore[attr-defined]  # the user has it
            else:
                result = cls.forward(ctx, *args, **kwargs)
        if not tracked:
            return result
        single = isinstance(result, Tensor)
        outputs = [result] if single else list(result)
        for i, y in enumerate(outputs):  # an input that is returned as it is becomes a view of itself
            if isinstance(y, Tensor) and any(y is t for t in tensors) and not any(y is t for t in ctx._dirty):
                outputs[i] = y.detach()
        saved_ids = {id(t): i for i, t in enumerate(ctx._saved) if t is not None}
        own = [i for i, y in enumerate(outputs) if id(y) in saved_ids]
        ctx._output_positions = {saved_ids[id(outputs[i])]: i for i in own}
        ctx._saved = tuple(None if i in ctx._output_positions else packed_(t) for i, t in enumerate(ctx._saved))
        aliases = [y.detach() if isinstance(y, Tensor) and i in own else None for i, y in enumerate(outputs)]
        shapes = [(y.shape, y.dtype) if isinstance(y, Tensor) else None for y in outputs]
        kinds = [(a.shape, a.dtype) if isinstance(a, Tensor) else None for a in args]

        def run(*values: Any) -> tuple[Any, ...]:
            grads, kept = values[:len(outputs)], iter(values[len(outputs):])
            ctx._outputs = tuple(next(kept) if i in joined else alias for i, alias in enumerate(aliases))
            if ctx._materialize:
                grads = tuple(zeros(shape[0], dtype=shape[1]) if g is None and shape is not None else g
                              for g, shape in zip(grads, shapes))
            result = cls.backward(ctx, *grads)
            ctx._outputs = tuple(aliases)  # those of the graph would keep it alive for ever
            result = result if isinstance(result, tuple) else (result,)
            if len(result) < len(args) or any(r is not None for r in result[len(args):]):
                raise RuntimeError(f"function {cls.__name__}Backward returned an incorrect number of gradients "
                                   f"(expected {len(args)}, got {len(result)})")
            return tuple(None if r is None else _fitting(r, i, *kind, cls.__name__)
                         for i, (r, kind) in enumerate(zip(result, kinds)) if kind is not None)

        saved = tuple(t for t in ctx._saved if isinstance(t, Tensor))
        for y in ctx._dirty:
            if y.requires_grad and y.is_leaf:
                raise RuntimeError("a leaf Variable that requires grad has been used in an in-place operation.")
            _rewrite(y)
        recorded = tuple(y if isinstance(y, Tensor) and id(y) not in ctx._no_grad else None for y in outputs)
        joined = [i for i in own if recorded[i] is not None]  # outputs that backward sees as part of the graph
        attach(recorded if len(recorded) > 1 else recorded[0], tuple(tensors), run, f"{cls.__name__}Backward", saved,
               joined)
        return outputs[0] if single else tuple(outputs)


def _fitting(grad: Any, index: int, shape: Any, kind: Any, name: str) -> Tensor:
    """The gradient in its input's shape, summed where it was broadcast, and dtype: the backward before relies on both.

    Raises:
        RuntimeError: a shape that broadcasting does not make of the input's.
    """
    if not isinstance(grad, Tensor):
        raise TypeError(f"{name}Backward must return Tensors or None, but gradient {index} is a "
                        f"{type(grad).__name__}")
    if grad.shape != shape:
        outer = grad.ndim - len(shape)
        if outer < 0 or any(n not in (1, m) for n, m in zip(shape, grad.shape[outer:])):
            raise RuntimeError(f"Function {name}Backward returned an invalid gradient at index {index} - got "
                               f"{list(grad.shape)} but expected shape compatible with {list(shape)}")
        grad = grad.sum_to_size(shape)
    return grad if grad.dtype == kind or not kind.is_floating_point else grad.to(kind)


def _rewrite(tensor: Tensor) -> None:
    """Count an in-place change made by a Function."""
    with no_grad():
        tensor.add_(0)


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """For a backward that is not made of differentiable operations: differentiating it again is an error."""
    def backward(ctx: Any, *grads: Any) -> Any:
        graph_wanted = is_grad_enabled()
        with set_grad_enabled(False):
            result = function(ctx, *grads)
        if not graph_wanted or not any(isinstance(g, Tensor) and g.requires_grad for g in grads):
            return result

        def refuse(*_: Any) -> Any:
            raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")
        sources = tuple(g for g in grads if isinstance(g, Tensor))
        for r in result if isinstance(result, tuple) else (result,):
            if isinstance(r, Tensor):
                attach(r, sources, refuse, "Error")
        return result
    return backward
