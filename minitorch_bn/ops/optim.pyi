"""The steps of the optimizers: one call updates lists of parameters in place, in one parallel region."""
from collections.abc import Callable, Sequence
from typing import Any

from minitorch_bn._core import Tensor

PRIMITIVES: dict[str, Callable[..., Any]]
def adam_step(params: Sequence[Tensor], grads: Sequence[Tensor], exp_avgs: Sequence[Tensor],
              exp_avg_sqs: Sequence[Tensor], max_exp_avg_sqs: Sequence[Tensor] | None, step_count: int, *, lr: float,
              beta1: float, beta2: float, eps: float, weight_decay: float = 0.0, amsgrad: bool = False,
              maximize: bool = False, decoupled: bool = False) -> None: ...
def sgd_step(params: Sequence[Tensor], grads: Sequence[Tensor], momentum_buffers: Sequence[Tensor] | None, *, lr: float,
             momentum: float = 0.0, dampening: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False,
             maximize: bool = False, first: bool = False) -> None: ...
