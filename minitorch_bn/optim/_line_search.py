"""The line search of L-BFGS: a step length that meets the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import minitorch_bn as torch


class Point(NamedTuple):
    """A step length, the loss there, its gradient, and its slope along the direction."""

    at: float
    loss: float
    grad: torch.Tensor
    slope: float


def minimum_between(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic with the values and slopes of two points is least, kept inside of bounds (or of the points)."""
    low, high = bounds if bounds is not None else (min(a.at, b.at), max(a.at, b.at))
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.at - b.at)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2.0
    d2 = math.sqrt(square)
    left, right = (a, b) if a.at <= b.at else (b, a)
    span = right.slope - left.slope + 2 * d2
    if span == 0:
        return (low + high) / 2.0
    best = right.at - (right.at - left.at) * ((right.slope + d2 - d1) / span)
    return min(max(best, low), high)


def strong_wolfe(evaluate: Callable[[float], tuple[float, torch.Tensor]], length: float, direction: torch.Tensor,
                 loss: float, grad: torch.Tensor, slope: float, c1: float = 1e-4, c2: float = 0.9,
                 tolerance_change: float = 1e-9, max_ls: int = 25) -> tuple[float, torch.Tensor, float, int]:
    """(loss, gradient, length, evaluations) at a length with enough descent (c1) and a flat enough slope (c2).

    `evaluate(length)` gives loss and gradient; `loss`, `grad` and `slope` are those at 0 (Nocedal & Wright 2006,
    algorithms 3.5 and 3.6).
    """
    calls = 0

    def probe(at: float) -> Point:
        nonlocal calls
        calls += 1
        value, gradient = evaluate(at)
        return Point(at, value, gradient, float(gradient.dot(direction)))

    start = Point(0.0, loss, grad.clone(), slope)
    before, here = start, probe(length)
    tries, done = 0, False
    while True:  # lengthen until an interval holds a good point
        if tries >= max_ls:
            ends = [start, here]
            break
        if here.loss > loss + c1 * here.at * slope or (tries > 1 and here.loss >= before.loss):
            ends = [before, here]
            break
        if abs(here.slope) <= -c2 * slope:
            ends, done = [here], True
            break
        if here.slope >= 0:
            ends = [before, here]
            break
        bounds = here.at + 0.01 * (here.at - before.at), here.at * 10
        before, here = here, probe(minimum_between(before, here, bounds))
        tries += 1

    # Narrow the interval: `low` is the index of the end with the lower loss.
    stalled = False
    size = direction.abs().max().item()
    low = 0 if ends[0].loss <= ends[-1].loss else len(ends) - 1
    while not done and tries < max_ls:
        first, last = min(end.at for end in ends), max(end.at for end in ends)
        if (last - first) * size < tolerance_change:
            break
        at = minimum_between(ends[0], ends[1])
        margin = 0.1 * (last - first)
        if min(last - at, at - first) < margin:  # too near to an end: allowed once, then moved inside
            if stalled or at >= last or at <= first:
                at = last - margin if abs(at - last) < abs(at - first) else first + margin
                stalled = False
            else:
                stalled = True
        else:
            stalled = False
        here = probe(at)
        tries += 1
        high = 1 - low
        if here.loss > loss + c1 * at * slope or here.loss >= ends[low].loss:
            ends[high] = here
            low = 0 if ends[0].loss <= ends[1].loss else 1
        else:
            if abs(here.slope) <= -c2 * slope:
                done = True
            elif here.slope * (ends[high].at - ends[low].at) >= 0:
                ends[high] = ends[low]
            ends[low] = here
    best = ends[low]
    return best.loss, best.grad, best.at, calls
