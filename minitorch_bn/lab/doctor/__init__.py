"""The batch-norm doctor: runs a few steps, and says what is wrong with a network, by how much, and what to do."""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

from .._watch import default_loss, untouched
from . import statistics, structure
from .evidence import Compute, CouldNotRun, Evidence, examine
from .report import Finding, Report
from .table import RULES, Rule

__all__ = ["RULES", "CouldNotRun", "Finding", "Report", "Rule", "doctor"]

_CHECKS: list[Callable[[Evidence], Iterator[Finding]]] = [*statistics.RULES_HERE, *structure.RULES_HERE]


def doctor(model: Any, loader: Iterable[Any], loss_fn: Any = None, optimizer: Any = None, *, steps: int = 8,
           accumulate: int = 1, compute: Compute | None = None, ignore: Iterable[str] = ()) -> Report:
    """What is wrong with the batch norms of a network, measured in `steps` training steps and in evaluation.

    The model, its statistics and gradients, the random states, the optimizer and the loader are afterwards what they
    were, to the last bit: no step is taken.

    Args:
        model: in the mode in which it is trained; layers in evaluation mode stay there.
        loader: gives batches; the last item of a batch is the target, the others are the model's inputs.
        loss_fn: loss_fn(output, target). By default, cross-entropy for integer targets, else the squared error.
        optimizer: only its groups are read.
        steps: batches to look at.
        accumulate: over how many batches your training sums gradients before a step.
        compute: compute(model, batch) -> loss, for batches of another form.
        ignore: ids of rules not to apply.

    Raises:
        CouldNotRun: the forward, the loss or the loader failed.
    """
    unknown = [rule for rule in ignore if rule not in RULES]
    if unknown:
        raise ValueError(f"ignore: there is no rule {', '.join(unknown)}")
    ev = Evidence(model, loader, optimizer, accumulate, compute)
    with untouched(model, loader):
        examine(ev, loader, loss_fn or default_loss, steps)
        findings = [found for check in _CHECKS for found in check(ev) if found.rule not in ignore]
    facts = {"batch_norms": len(ev.norms), "steps": ev.steps, "batch_size": ev.batch_size,
             "loss_train": ev.loss_train, "loss_eval": ev.loss_eval, "fold_error": ev.fold_error}
    return Report(findings, facts, ev)


class _Callable(ModuleType):
    """This package itself: `lab.doctor(...)` works whether or not a part of it was imported before."""

    def __call__(self, *args: Any, **kwargs: Any) -> Report:
        return doctor(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
