"""What all learning-rate schedules share: counting epochs, setting the rates of the groups, saving themselves."""

from __future__ import annotations

import functools
import types
import warnings
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import minitorch_bn as torch

from ..optimizer import Optimizer

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. Please use "
    "`scheduler.step()` to step the scheduler. During the deprecation, if epoch is different from None, the closed "
    "form is used instead of the new chainable form, where available. Please open an issue if you are unable to "
    "replicate your use case: https://github.com/pytorch/pytorch/issues/new/choose.")


def set_rate(group: dict, lr: Any, name: str = "lr") -> None:
    """Set an option of a group; one that is a tensor keeps its place and is filled."""
    if isinstance(group[name], torch.Tensor):
        group[name].fill_(float(lr))
    else:
        group[name] = lr


def group_values(optimizer: Optimizer, name: str = "lr") -> list:
    """The option of every group; tensors are copied, so that nobody changes the optimizer's through them."""
    values = [group[name] for group in optimizer.param_groups]
    return [value.clone() if isinstance(value, torch.Tensor) else value for value in values]


def per_group(name: str, optimizer: Optimizer, value: Any) -> list:
    """A list or tuple with one value per group, or one value for all."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        value = [value] * groups
    if len(value) != groups:
        raise ValueError(f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} values, "
                         f"param_groups has {groups}.")
    return [item.clone() if isinstance(item, torch.Tensor) else item for item in value]


def check_optimizer(optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def _watch_steps(optimizer: Any) -> None:
    """Have `optimizer.step` leave a mark: a schedule warns when it is stepped first."""
    step = optimizer.step
    if getattr(step, "_wrapped_by_lr_sched", False):
        return
    owner = weakref.ref(optimizer)
    if getattr(step, "__self__", None) is not optimizer:  # a function that somebody put there
        call = step
    else:
        function = step.__func__

        def call(*args: Any, **kwargs: Any) -> Any:
            return function(owner(), *args, **kwargs)

    @functools.wraps(getattr(step, "__func__", step))
    def marked(*args: Any, **kwargs: Any) -> Any:
        owned: Any = owner()
        owned._opt_called = True
        return call(*args, **kwargs)

    marked._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
    optimizer.step = marked


@contextmanager
def _enable_get_lr_call(scheduler: LRScheduler) -> Iterator[LRScheduler]:
    """Inside, `get_lr` is called by `step`, and does not warn."""
    scheduler._get_lr_called_within_step = True
    try:
        yield scheduler
    finally:
        scheduler._get_lr_called_within_step = False


class LRScheduler:
    """Sets `group["lr"]` of an optimizer's groups once per `step()`; subclasses define `get_lr`.

    The first rates are set on creation. `last_epoch` is the number of the epoch to continue after, -1 to start.
    """

    _get_lr_called_within_step = False
    _is_initial = False  # true while the first rates are set

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                lr = group["lr"]
                group.setdefault("initial_lr", lr.clone() if isinstance(lr, torch.Tensor) else lr)
            elif "initial_lr" not in group:
                raise KeyError(f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler with "
                               "last_epoch >= 0.\nThis typically happens when:\n"
                               "1. You're trying to resume training from a checkpoint but haven't properly loaded the "
                               "optimizer state\n"
                               "2. You're using last_epoch >= 0 for a fresh training run (not recommended)")
        self.base_lrs = group_values(optimizer, "initial_lr")
        _watch_steps(optimizer)
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict()`."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list:
        """The rates set last, one per group."""
        return self._last_lr

    def get_lr(self) -> list:
        """The rates for `self.last_epoch`, one per group. Called by `step`; users want `get_last_lr`."""
        raise NotImplementedError

    def _warn_unless_stepping(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn("To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                          stacklevel=3)

    def step(self, epoch: int | None = None) -> None:
        """Set the rates of the next epoch: call it after the epoch's `optimizer.step()`s."""
        if self._step_count == 1 and not getattr(self.optimizer.step, "_wrapped_by_lr_sched", False):
            warnings.warn("Seems like `optimizer.step()` has been overridden after learning rate scheduler "
                          "initialization. Please, make sure to call `optimizer.step()` before `lr_scheduler.step()`. "
                          "See more details at "
                          "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate", stacklevel=2)
        elif self._step_count == 1 and not getattr(self.optimizer, "_opt_called", False):
            warnings.warn("Detected call of `lr_scheduler.step()` before `optimizer.step()`. In PyTorch 1.1.0 and "
                          "later, you should call them in the opposite order: `optimizer.step()` before "
                          "`lr_scheduler.step()`.  Failure to do this will result in PyTorch skipping the first value "
                          "of the learning rate schedule. See more details at "
                          "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate", stacklevel=2)
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_DEPRECATION_WARNING, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        closed_form = None if epoch is None else getattr(self, "_get_closed_form_lr", None)
        with _enable_get_lr_call(self):
            self._set_rates(self.get_lr() if closed_form is None else closed_form())

    def _set_rates(self, rates: Iterable) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            set_rate(group, lr)
        self._last_lr = group_values(self.optimizer)


class _LRScheduler(LRScheduler):
    """The older name of LRScheduler."""


class Formula(LRScheduler):
    """A schedule with one formula for all groups: `_next(lr, base_lr)`, from the rate before and the first one."""

    def get_lr(self) -> list:
        self._warn_unless_stepping()
        return [self._next(lr, base) for lr, base in zip(group_values(self.optimizer), self.base_lrs)]

    def _next(self, lr: float, base_lr: float) -> float:
        raise NotImplementedError


class ClosedFormula(Formula):
    """A Formula that also gives any epoch's rate at once: `_at(base_lr)`."""

    def _get_closed_form_lr(self) -> list:
        return [self._at(base_lr) for base_lr in self.base_lrs]

    def _at(self, base_lr: float) -> float:
        raise NotImplementedError


def saved_callable(function: Any) -> dict | None:
    """What of a user's function goes in a checkpoint: a callable object's attributes, nothing of a plain function."""
    return None if isinstance(function, types.FunctionType) else dict(function.__dict__)
