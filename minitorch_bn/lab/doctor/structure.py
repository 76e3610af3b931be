"""Rules about how layers, loss, loader and optimizer fit together: BN107 to BN112, BN114 to BN116, BN119, BN120."""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minitorch_bn.nn.dropout import _DropoutNd

from ..gradients import growth
from .evidence import Evidence
from .report import Finding
from .table import RULES


def _limit(rule: str) -> float:
    return RULES[rule].threshold


def redundant_bias(ev: Evidence) -> Iterator[Finding]:
    """BN107: a bias whose gradient is rounding, in a layer that a batch norm reads."""
    for layer in ev.weights.values():
        bias = getattr(layer.module, "bias", None)
        readers = [ev.norms[path] for path in layer.readers if path in ev.norms and ev.norms[path].training]
        if bias is None or not readers or not np.any(layer.mass) or not bias.requires_grad:
            continue
        share = float(np.max(layer.bias_grad / np.where(layer.mass > 0, layer.mass, np.inf)))
        if share < _limit("BN107"):
            yield Finding("BN107", layer.path, share, _limit("BN107"),
                          f"{bias.numel()} parameters whose gradient is {share:.1g} of what it sums up, before "
                          f"{readers[0].path}")


def decay(ev: Evidence) -> Iterator[Finding]:
    """BN108: weight decay in the optimizer's groups that hold parameters of batch norms."""
    if ev.optimizer is None:
        return
    owners = {id(p): f"{norm.path}.{name}" if norm.path else name for norm in ev.norms.values()
              for name, p in norm.module._parameters.items() if p is not None}
    for number, group in enumerate(ev.optimizer.param_groups):
        names = [owners[id(p)] for p in group["params"] if id(p) in owners and p.requires_grad]
        rate = float(group.get("weight_decay") or 0)
        if names and rate > _limit("BN108"):
            yield Finding("BN108", "optimizer", rate, _limit("BN108"),
                          f"group {number} decays {len(names)} tensors of batch norms by {rate:g} ({names[0]}, ...)")


def frozen(ev: Evidence) -> Iterator[Finding]:
    """BN109: no gradient is wanted, and the statistics move all the same."""
    for norm in ev.norms.values():
        own = [p for p in norm.module._parameters.values() if p is not None]
        if own and not any(p.requires_grad for p in own) and norm.training and norm.moved > _limit("BN109"):
            yield Finding("BN109", norm.path, norm.moved, _limit("BN109"),
                          f"its parameters are frozen, and a step moved the running mean by {norm.moved:.2g} standard "
                          "deviations")


def updates(ev: Evidence) -> Iterator[Finding]:
    """BN110: more than one update of the running statistics in a step."""
    for norm in ev.norms.values():
        most = max(norm.advance, default=0)
        if most > _limit("BN110"):
            again = norm.recomputed // max(ev.steps, 1)
            yield Finding("BN110", norm.path, most, _limit("BN110"),
                          f"{most} updates a step: {most - again} in forward, {again} in backward (computed again)")


def dropout(ev: Evidence) -> Iterator[Finding]:
    """BN111: what is random in training raises the variance that batch norm sees."""
    for norm in ev.trained():
        count = len(norm.plain_variances)
        if not count or len(norm.variances) < count:
            continue
        plain, noisy = np.mean(norm.plain_variances, axis=0), np.mean(norm.variances[:count], axis=0)
        live = plain > 10 * norm.module.eps
        ratio = float(np.mean(noisy[live] / plain[live])) if live.any() else 1.0
        if ratio > _limit("BN111"):
            modules = dict(ev.model.named_modules())
            before = ev.order[:ev.order.index(norm.path)] if norm.path in ev.order else []
            names = [n for n in before if isinstance(modules[n], _DropoutNd) and modules[n].p > 0]
            yield Finding("BN111", norm.path, ratio, _limit("BN111"),
                          f"in evaluation, variances are {ratio:.2f} times smaller than the running ones will say"
                          + (f" (after {names[-1]}, p={modules[names[-1]].p:g})" if names else ""))
            return  # those above follow from this one


def last_batch(ev: Evidence) -> Iterator[Finding]:
    """BN112: an epoch's last batch of few samples."""
    norms = ev.trained()
    if not ev.tail or not norms or not ev.batch_size:
        return
    least = min(max(norm.counts) for norm in norms) * ev.tail // ev.batch_size
    alone = [norm for norm in norms if norm.policy.on_single == "error"]
    share = ev.tail / ev.batch_size
    if share < _limit("BN112") or least < 2:
        yield Finding("BN112", "loader", share, _limit("BN112"),
                      f"the last batch has {ev.tail} of {ev.batch_size} samples: m = {least} values per channel",
                      "error" if least < 2 and alone else "")


def padding(ev: Evidence) -> Iterator[Finding]:
    """BN114: constant positions at the end of samples."""
    for norm in ev.trained():
        if norm.constant > _limit("BN114"):
            yield Finding("BN114", norm.path, norm.constant, _limit("BN114"),
                          f"{norm.constant:.0%} of the positions are padding and move the mean by "
                          f"{norm.constant_shift:.2f} standard deviations")


def alike(ev: Evidence) -> Iterator[Finding]:
    """BN115: the variance of batch means against what random batches of these samples would have."""
    worst: tuple[float, str] | None = None
    limit = _limit("BN115")
    for norm in ev.trained():
        b = len(norm.sample_means)
        within = np.mean(norm.sample_spread, axis=0)
        live = within > 0
        if b < 2 or not live.any():
            continue
        size = max(norm.counts[0] * ev.batch_size // max(norm.counts[0], 1), 1)
        f = float(np.mean(size * np.var(norm.sample_means, axis=0, ddof=1)[live] / within[live]))
        # the quantile of chi2(b - 1) / (b - 1) at 3.5 sigma, by Wilson and Hilferty's cube
        spread = 2 / (9 * (b - 1))
        limit = max(_limit("BN115"), (1 - spread + 3.5 * spread ** 0.5) ** 3)
        if f > limit and (worst is None or f > worst[0]):
            worst = f, norm.path
    if worst is not None:
        yield Finding("BN115", "loader", worst[0], limit,
                      f"batch means differ {worst[0]:.1f} times as much as those of shuffled batches would "
                      f"(at {worst[1] or 'the model'})")


def depth(ev: Evidence) -> Iterator[Finding]:
    """BN116: the slope of the norms of the weights' gradients over the layers, by least squares."""
    modules = [name for name in ev.order if name in ev.weights and ev.weights[name].log_norms]
    logs = [float(np.mean(ev.weights[name].log_norms)) for name in modules]
    if len(logs) < 8:
        return
    slope, total = growth(logs)
    if abs(slope) > _limit("BN116") and abs(total) > np.log(10):
        yield Finding("BN116", "model", abs(slope), _limit("BN116"),
                      f"on its way back the gradient {'grows' if slope > 0 else 'shrinks'} by {np.exp(abs(slope)):.2f} "
                      f"a layer: {np.exp(abs(total)):.3g} times over {len(logs)} layers")


def fold(ev: Evidence) -> Iterator[Finding]:
    """BN119: folding a pair of layers changes the output."""
    for weight, norm, error in ev.fold_culprits:
        if not error <= _limit("BN119"):
            yield Finding("BN119", norm, error, _limit("BN119"),
                          f"folded into {weight}, it changes the output by {error:.2g} of its largest value")


def blind(ev: Evidence) -> Iterator[Finding]:
    """BN120: the gradient at a batch norm's output is the same for all values of a channel."""
    for norm in ev.trained():
        if not norm.grad_constant:
            continue
        values = np.array(norm.grad_constant)
        values = values[np.isfinite(values)]
        if len(values) and float(np.median(values)) < _limit("BN120"):
            spread = float(np.median(values))
            yield Finding("BN120", norm.path, spread, _limit("BN120"),
                          f"the gradient varies by {spread:.1g} of its size over a channel, so nothing passes")


RULES_HERE = [redundant_bias, decay, frozen, updates, dropout, last_batch, padding, alike, depth, fold, blind]
