"""Softmax, log-softmax, logsumexp, cross entropy, negative log-likelihood: forward, backward, and any order after."""
from collections.abc import Callable
from typing import Any

from minitorch_bn._core import Tensor, dtype, _Dims

FUNCTIONS: dict[str, Callable[..., Any]]
METHODS: dict[str, Callable[..., Any]]
PRIMITIVES: dict[str, Callable[..., Any]]
def cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str,
                  label_smoothing: float) -> Tensor: ...
def log_softmax(input: Tensor, dim: int | None = None, dtype: dtype | None = None, *,
                axis: int | None = None) -> Tensor: ...
def logsumexp(input: Tensor, dim: _Dims = None, keepdim: bool = False, *, out: Tensor | None = None,
              axis: _Dims = None) -> Tensor: ...
def nll_loss(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str) -> Tensor: ...
def softmax(input: Tensor, dim: int | None = None, dtype: dtype | None = None, *,
            axis: int | None = None) -> Tensor: ...
def ctc(x: Tensor, targets: Tensor, steps: Tensor, labels: Tensor,
        blank: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]: ...
