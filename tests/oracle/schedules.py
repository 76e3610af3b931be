"""Random learning-rate schedules, simple and nested, whose rates have to equal PyTorch's to the last bit.

``python -m tests.oracle.schedules [number]`` prints those that differ.
"""
from __future__ import annotations

import random
import sys
import warnings
from typing import Any

import torch

import minitorch_bn as ours

STEPS = 18


def expression(r: random.Random, depth: int = 0) -> str:
    """A schedule for the optimizer `opt`."""

    def between(low: float, high: float) -> float:
        return round(r.uniform(low, high), 3)

    simple = [
        lambda: f"StepLR(opt, {r.randint(1, 4)}, {between(0.1, 1.1)})",
        lambda: f"MultiStepLR(opt, {[r.randint(0, 12) for _ in range(r.randint(0, 4))]}, {between(0.1, 1)})",
        lambda: f"ConstantLR(opt, {between(0.01, 1)}, {r.randint(1, 9)})",
        lambda: f"LinearLR(opt, {between(0.01, 1)}, {between(0, 1)}, {r.randint(1, 9)})",
        lambda: f"ExponentialLR(opt, {between(0.1, 1.2)})",
        lambda: f"PolynomialLR(opt, {r.randint(1, 12)}, {between(0.3, 3)})",
        lambda: f"CosineAnnealingLR(opt, {r.randint(1, 7)}, {between(0, 0.05)})",
        lambda: f"CosineAnnealingWarmRestarts(opt, {r.randint(1, 5)}, {r.randint(1, 3)}, {between(0, 0.05)})",
        lambda: f"LambdaLR(opt, lambda e: {between(0.5, 1)} ** e)",
        lambda: f"MultiplicativeLR(opt, lambda e: {between(0.5, 1)})",
        lambda: (f"CyclicLR(opt, {between(0, 0.1)}, {between(0.1, 1)}, {r.randint(1, 4)}, {r.choice([None, 2, 3])}, "
                 f"mode={r.choice(['triangular', 'triangular2', 'exp_range'])!r}, gamma={between(0.8, 1)}, "
                 f"cycle_momentum={r.choice([True, False])})"),
        lambda: (f"OneCycleLR(opt, {between(0.1, 1)}, {r.randint(15, 40)}, pct_start={between(0.1, 0.9)}, "
                 f"anneal_strategy={r.choice(['cos', 'linear'])!r}, three_phase={r.choice([True, False])}, "
                 f"cycle_momentum={r.choice([True, False])})"),
        lambda: f"SWALR(opt, {between(0.01, 0.5)}, {r.randint(0, 6)}, {r.choice(['cos', 'linear'])!r})",
    ]
    kind = r.randrange(16 if depth < 2 else len(simple))
    if kind < len(simple):
        return simple[kind]()
    parts = [expression(r, depth + 1) for _ in range(r.randint(1, 3))]
    if kind == 15:
        return f"ChainedScheduler([{', '.join(parts)}])"
    return f"SequentialLR(opt, [{', '.join(parts)}], {sorted(r.sample(range(1, 14), len(parts) - 1))})"


def rates(lib: Any, text: str, seed: int) -> list:
    """What the groups hold after each step, some of which jump to an epoch; an error ends the list."""
    r = random.Random(seed)
    params = [lib.nn.Parameter(lib.zeros(1)) for _ in range(2)]
    opt = getattr(lib.optim, r.choice(["SGD", "Adam"]))([{"params": [params[0]]}, {"params": [params[1]], "lr": 0.02}],
                                                       lr=0.1)
    seen: list = []
    combined = text.startswith(("Sequential", "Chained"))
    try:
        schedule = eval(text, {**vars(lib.optim.lr_scheduler), "SWALR": lib.optim.swa_utils.SWALR, "opt": opt})
        for _ in range(STEPS):
            seen.append([tuple(group.get(key) for key in ("lr", "momentum", "betas", "initial_lr", "max_lr"))
                         for group in opt.param_groups] + list(schedule.get_last_lr()))
            opt.step()
            if not combined and r.random() < 0.1:
                schedule.step(r.randint(0, 14))
            else:
                schedule.step()
    except Exception as error:
        seen.append((type(error).__name__, str(error)[:50]))
    return seen


def check(seed: int) -> str:
    """What differs for the schedule of this seed; empty if nothing does."""
    text = expression(random.Random(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine, theirs = rates(ours, text, seed), rates(torch, text, seed)
    if mine == theirs:
        return ""
    step = next((i for i, (a, b) in enumerate(zip(mine, theirs)) if a != b), min(len(mine), len(theirs)))
    return f"{text}, step {step}: ours {mine[step:step + 1]}, PyTorch's {theirs[step:step + 1]}"


def main() -> int:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    wrong = [text for seed in range(number) if (text := check(seed))]
    print(*wrong, f"{number - len(wrong)} of {number} agree", sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
