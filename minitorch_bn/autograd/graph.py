"""Names of the graph's parts: nodes, and where a gradient goes."""
from __future__ import annotations

from typing import NamedTuple

from minitorch_bn._core import AccumulateGrad, Node, Tensor

__all__ = ["AccumulateGrad", "GradientEdge", "Node", "get_gradient_edge", "save_on_cpu"]


class GradientEdge(NamedTuple):
    """A node and which of its outputs."""

    node: Node | AccumulateGrad
    output_nr: int


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Where the gradient of `tensor` goes."""
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(tensor.grad_fn or AccumulateGrad(tensor), tensor.output_nr)


class save_on_cpu:
    """A ``with`` block whose operations keep what they save on the CPU, where it is anyway."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        pass

    def __enter__(self) -> save_on_cpu:
        return self

    def __exit__(self, *error: object) -> None:
        return None
