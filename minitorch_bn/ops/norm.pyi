"""Batch normalization, also fused with an addition and ReLU: forward, backward, and backward of any order."""
from collections.abc import Callable
from typing import Any, final

from minitorch_bn._core import Deferred, Tensor

PRIMITIVES: dict[str, Callable[..., Any]]
def batch_norm(input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
               bias: Tensor | None = None, training: bool = False, momentum: float | None = 0.1, eps: float = 1e-5,
               tracked: Tensor | None = None) -> Tensor: ...
def batch_norm_relu(input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor,
                    bias: Tensor | None, training: bool, momentum: float, eps: float,
                    residual: Any = None) -> Tensor: ...

@final
class Normalization(Deferred): ...
