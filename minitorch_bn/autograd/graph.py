"""The graph's parts: nodes, where a gradient goes, and hooks on what the nodes keep."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from minitorch_bn import _core
from minitorch_bn._core import AccumulateGrad, Node, Tensor

__all__ = ["AccumulateGrad", "GradientEdge", "Node", "disable_saved_tensors_hooks", "get_gradient_edge", "save_on_cpu",
           "saved_tensors_hooks"]


class GradientEdge(NamedTuple):
    """A node and which of its outputs."""

    node: Node | AccumulateGrad
    output_nr: int


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Where the gradient of `tensor` goes."""
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(tensor.grad_fn or AccumulateGrad(tensor), tensor.output_nr)


class saved_tensors_hooks:
    """A ``with`` block whose operations keep pack_hook(tensor) instead of each tensor that backward needs.

    Backward gets the tensor back from unpack_hook(what pack_hook returned), of the same shape and dtype. They see
    what operations in C keep, and the inputs that a `Function` saves. What the composed ones (an LSTM's steps, a
    checkpoint) and a `Function` keep of their own results stays as it is.
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        if _disabled:
            raise RuntimeError(_disabled[-1])
        _core.push_saved_hooks_(self.pack_hook, self.unpack_hook)

    def __exit__(self, *error: object) -> None:
        _core.pop_saved_hooks_()


class save_on_cpu(saved_tensors_hooks):
    """A ``with`` block whose operations keep what they save on the CPU, where it is anyway."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(_same, _same)

    def __enter__(self) -> None:
        """Nothing is to be done."""

    def __exit__(self, *error: object) -> None:
        """Nor undone."""


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """A ``with`` block in which `saved_tensors_hooks` raises a RuntimeError with this message."""
    _disabled.append(error_message)
    try:
        yield
    finally:
        _disabled.pop()


_disabled: list[str] = []


def _same(value: Any) -> Any:
    return value
