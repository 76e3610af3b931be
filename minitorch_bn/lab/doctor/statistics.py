"""Rules about the numbers that batch norm sees and keeps: BN101 to BN106, BN117, BN118."""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import minitorch_bn as torch

from .evidence import Evidence, Normed
from .report import Finding
from .table import RULES


def _limit(rule: str) -> float:
    return RULES[rule].threshold


def few_values(ev: Evidence) -> Iterator[Finding]:
    """BN101, or BN113 where gradients are accumulated over micro-batches."""
    if ev.single is not None:
        yield Finding("BN101", ev.single, 1, 2, "one value per channel: training raises a ValueError", "error")
        return
    for norm in ev.trained():
        m = norm.m
        if m < 2 or norm.policy.renorm is not None:  # corrects towards the running statistics
            continue
        text = f"m = {m}: {(m - 2) / m:.0%} of the gradient's directions pass, noise of the mean {m ** -0.5:.2f}"
        if ev.accumulate > 1 and m < _limit("BN113"):
            yield Finding("BN113", norm.path, m, _limit("BN113"), f"{ev.accumulate} micro-batches a step, each {text}")
        elif m < 32:
            yield Finding("BN101", norm.path, m, _limit("BN101"), text, "" if m < _limit("BN101") else "note")


def _new(norm: Normed) -> bool:
    """Whether nothing was learned yet: weights and statistics as they are made."""
    moved = [t for t in (norm.module.weight, norm.module.bias)
             if t is not None and bool((t.detach() != t.detach()[:1]).any())]
    return not norm.updates and not moved


def _left(norm: Normed) -> float:
    """The share of the start values in the running statistics."""
    assert norm.running_mean is not None and norm.running_var is not None
    at_start = bool((norm.running_mean == 0).all() and (norm.running_var == 1).all())
    if not norm.updates:  # never updated; or loaded from a file without counts, if they are not at their start
        return 1.0 if at_start else 0.0
    momentum = norm.module.momentum
    return 0.0 if momentum is None else 1.0 if at_start else max(0.0, 1 - momentum) ** norm.updates


def _found_left(norm: Normed, mean: np.ndarray, var: np.ndarray) -> float:
    """The same, measured: how far on the way from the data's statistics to the start the running ones are."""
    way = (mean ** 2 / var).sum() + ((var - 1) ** 2 / var ** 2).sum()
    gone = ((mean - norm.running_mean) * mean / var).sum() + ((var - norm.running_var) * (var - 1) / var ** 2).sum()
    return float(gone / way) if way > 0.01 * len(var) else 0.0


def running(ev: Evidence) -> Iterator[Finding]:
    """BN102 and BN103: running statistics against those of the data."""
    for norm in ev.trained():
        if norm.running_mean is None or norm.running_var is None or _new(norm):
            continue
        mean, var = norm.population()
        live = var > 10 * norm.module.eps
        if not live.any():
            continue
        left = _left(norm)
        if left > _limit("BN103") and _found_left(norm, mean, var) > _limit("BN103"):
            yield Finding("BN103", norm.path, left, _limit("BN103"),
                          f"{left:.0%} of mean 0 and variance 1 are left after {norm.updates} updates")
            continue
        shift = np.sqrt(np.mean((norm.running_mean[live] - mean[live]) ** 2 / var[live]))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.sqrt(np.mean(np.log(norm.running_var[live] / var[live]) ** 2))
        text = (f"running means are {shift:.2f} standard deviations off, variances by a factor {np.exp(ratio):.2f} "
                f"(loss in training {ev.loss_train:.3g}, in evaluation {ev.loss_eval:.3g})")
        if shift > _limit("BN102"):
            yield Finding("BN102", norm.path, shift, _limit("BN102"), text)
        elif ratio > np.log(2):
            yield Finding("BN102", norm.path, ratio, np.log(2), text)


def channels(ev: Evidence) -> Iterator[Finding]:
    """BN104, BN105 and BN106: channels that are dead, tiny or far from zero."""
    for norm in ev.trained():
        mean, var = norm.population()
        eps = norm.module.eps
        kappa = float(np.median(var / (var + eps)))
        if kappa < _limit("BN105"):
            yield Finding("BN105", norm.path, kappa, _limit("BN105"),
                          f"median variance {np.median(var):.2g} with eps {eps:.2g}")
        yield from _dead(norm, var)
        live = var >= 10 * eps
        ratio = np.abs(mean[live]) / np.sqrt(var[live])
        if live.any() and ratio.max() > _limit("BN106"):
            yield Finding("BN106", norm.path, ratio.max(), _limit("BN106"),
                          f"mean {mean[live][ratio.argmax()]:.4g}, standard deviation "
                          f"{np.sqrt(var[live][ratio.argmax()]):.2g}: {max(0, 24 - np.log2(ratio.max())):.0f} of 24 "
                          "bits are left for the values")


def _dead(norm: Normed, var: np.ndarray) -> Iterator[Finding]:
    eps = norm.module.eps
    constant = (var < 10 * eps) & (np.median(var) >= 100 * eps)
    weight = None if norm.module.weight is None else np.abs(norm.module.weight.detach().double().numpy())
    off = np.zeros_like(constant) if weight is None else weight < 1e-3 * np.median(weight)
    zero = norm.grad_zero / max(norm.grad_count, 1)
    silent = (zero > 0.999) & (np.median(zero) < 0.99)
    dead = constant | off | silent
    if dead.any():
        kinds = [f"{mask.sum()} {what}" for mask, what in (
            (constant, "constant"), (off, "with a weight of nearly 0"), (silent, "without gradient")) if mask.any()]
        yield Finding("BN104", norm.path, dead.mean(), _limit("BN104"),
                      f"{dead.sum()} of {len(dead)} channels: {', '.join(kinds)} "
                      f"({', '.join(map(str, np.flatnonzero(dead)[:8]))}{', ...' if dead.sum() > 8 else ''})")


def stored(ev: Evidence) -> Iterator[Finding]:
    """BN117: buffers that are not finite, negative or in half precision."""
    for norm in ev.norms.values():
        if norm.running_mean is None or norm.running_var is None:
            continue
        with np.errstate(invalid="ignore"):
            bad = int((~np.isfinite(norm.running_mean)).sum() + (~np.isfinite(norm.running_var)).sum()
                      + (norm.running_var < 0).sum())
        half = [t.dtype for t in (norm.module.running_mean, norm.module.running_var)
                if t.dtype in (torch.float16, torch.bfloat16)]
        if bad:
            yield Finding("BN117", norm.path, bad, 0, f"{bad} values of the running statistics are not finite, or are "
                                                      "negative variances")
        elif half:
            yield Finding("BN117", norm.path, len(half), 0, f"running statistics are stored as {half[0]}")


def options(ev: Evidence) -> Iterator[Finding]:
    """BN118: a momentum that is the weight of the old value; an eps unlike that of the other layers."""
    usual = float(np.median([norm.module.eps for norm in ev.norms.values()])) if ev.norms else 0.0
    for norm in ev.norms.values():
        momentum = norm.module.momentum
        if momentum is not None and momentum > _limit("BN118") and norm.module.track_running_stats:
            yield Finding("BN118", norm.path, momentum, _limit("BN118"),
                          f"momentum={momentum:g}: the last batch alone has {momentum:.0%} of the weight")
            continue
        var = norm.population()[1] if norm.counts else norm.running_var
        if var is None or not norm.module.eps > 0 or not usual > 0:
            continue
        live = var[var > 0]
        effect = np.abs(np.sqrt((live + usual) / (live + norm.module.eps)) - 1).max(initial=0.0)
        if effect > 0.01:
            yield Finding("BN118", norm.path, effect, 0.01, f"eps={norm.module.eps:g}, the other layers have "
                                                            f"{usual:g}: outputs differ by up to {effect:.0%}")


RULES_HERE = [few_values, running, channels, stored, options]
