"""Why does batch norm work? The smoothness of the loss along the gradient, with noisy batch norm as the control."""
import math

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn.lab.results import HOLDS, IN_PART, NOT_HERE, Figure, Verdict
from minitorch_bn.lab.training import NORMS, linears, mlp, train

KOREAN = "배치 정규화가 효과적인 이유는 내부 공변량 변화를 줄이기 때문이다."
ENGLISH = "Batch normalization works because it reduces internal covariate shift."
DID = ("Six hidden layers of 64 ReLUs or sigmoids, plain SGD at one rate, without a norm, with batch norm, and with "
       "noisy batch norm: each normalized unit gets noise whose mean and variance change at every step, so that "
       "covariate shift is back. On the way, from each point: steps of half to eight times the learning rate along "
       "the gradient. Measured: the range of the loss over these steps, the change of the gradient, the effective "
       "smoothness (change of the gradient / length of the step); and the tails of one layer's gradient.")
PAPER = ("Santurkar et al. 2018, figures 2 (noisy batch norm trains as well) and 4 (loss range, gradient change, "
         "effective smoothness). Bjorck et al. 2018: gradients without batch norm have heavy tails.")
KINDS, LR, STEPS = ("none", "batch", "noisy"), 0.1, (0.5, 1, 2, 4, 8)
NAMES = {"none": "no norm", "batch": "batch norm", "noisy": "noisy batch norm"}
LEVELS = [1, 2, 3, 4, 6, 8, 12, 16]


class NoisyNorm(nn.BatchNorm1d):
    """Batch norm, then noise whose mean and variance change at each step: covariate shift is back (Santurkar 2018)."""

    hold = False  # keep the last noise: to compare losses at one step

    def forward(self, input, mask=None):
        y = super().forward(input, mask)
        if not self.training:
            return y
        if not self.hold:
            scale, shift = 1 + 0.2 * torch.randn(input.shape[1]), 0.3 * torch.randn(input.shape[1])
            self.noise = (scale, shift + 0.1 * torch.randn(input.shape[0], input.shape[1]))
        return y * self.noise[0] + self.noise[1]


def settings(run):
    return [dict(activation=a, kind=kind) for a in ("relu", "sigmoid") for kind in KINDS]


def gradient(model, data):
    loss = nn.functional.cross_entropy(model(data.x[:256]), data.y[:256])
    return loss.item(), torch.autograd.grad(loss, list(model.parameters()))


def norm(tensors):
    return math.sqrt(sum(t.double().square().sum().item() for t in tensors))


def walk(model, data):
    """(range of the loss, largest change of the gradient, effective smoothness) along the gradient, then back again."""
    for layer in model.modules():
        layer.hold = False
    loss, first = gradient(model, data)
    for layer in model.modules():
        layer.hold = True  # the same noise at each step of the walk
    start, losses, changes = [p.detach().clone() for p in model.parameters()], [loss], []
    for factor in STEPS:
        with torch.no_grad():
            for p, origin, g in zip(model.parameters(), start, first):
                p.copy_(origin - factor * LR * g)
        loss, there = gradient(model, data)
        losses.append(loss)
        changes.append(norm([a - b for a, b in zip(there, first)]))
    with torch.no_grad():
        for p, origin in zip(model.parameters(), start):
            p.copy_(origin)
    for layer in model.modules():
        layer.hold = False
    length = LR * norm(first)
    return max(losses) - min(losses), max(changes), max(c / (f * length) for c, f in zip(changes, STEPS))


def measure(run, seed, activation, kind):
    data, steps, every = run.images(), run.size(240, 1000), run.size(20, 40)
    model = mlp([data.x.shape[1], *[64] * 6, 10], {**NORMS, "noisy": NoisyNorm}[kind], activation)
    fourth = linears(model)[3]
    g = gradient(model, data)[1][[p is fourth.weight for p in model.parameters()].index(True)].double().reshape(-1)
    g = g / g.square().mean().sqrt()
    tails = [(g.abs() > level).double().mean().item() for level in LEVELS]
    walks, inputs, shifts = [], [], []
    fourth.register_forward_pre_hook(lambda layer, args: inputs.append(args[0].detach()))

    before = [torch.zeros(64), torch.ones(64)]

    def look(step):
        if step % every == 1:
            walks.append((step, *walk(model, data)))
        if step % every in (1, 2):  # two steps in a row: how far has the distribution of an input moved?
            with torch.no_grad():
                model(data.x[:256])
            mean, std = inputs[-1].mean(dim=0), inputs[-1].std(dim=0)
            if step % every == 2:
                shifts.append(((mean - before[0]).abs() / (before[1] + 1e-6)).mean().item())
            before[:] = mean, std
        inputs.clear()

    history = train(model, data, seed, steps, lr=LR, every=every, at=look)
    at, ranges, changes, smooth = map(list, zip(*walks))
    means = {f"mean_{k}": math.exp(sum(math.log(max(x, 1e-12)) for x in v) / len(v))
             for k, v in (("range", ranges), ("change", changes), ("beta", smooth), ("shift", shifts))}
    return {"steps": at, "range": ranges, "change": changes, "beta": smooth, "shift": shifts, "at": history.steps,
            "accuracy": history.accuracy, "area": sum(history.accuracy) / len(history.accuracy), "tails": tails,
            "kurtosis": (g ** 4).mean().item(), **means}


def figures(results):
    def lines(name, x, a="relu"):
        return [results.curve(NAMES[kind], name, x, activation=a, kind=kind) for kind in KINDS]
    return [Figure("Sigmoid network: test accuracy", "step", "test accuracy", lines("accuracy", "at", "sigmoid"),
                   "Lines: test accuracy over steps, sigmoid network.", percent=True),
            Figure("Sigmoid network: covariate shift of layer 4", "step", "moved by (standard deviations)",
                   lines("shift", "steps", "sigmoid"), "Lines: how far an input's mean moves in one step.", "y"),
            Figure("ReLU network: range of the loss along the gradient", "step", "loss range", lines("range", "steps"),
                   "Lines: how much the loss varies over steps of half to eight times the learning rate.", "y"),
            Figure("ReLU network: change of the gradient", "step", "norm of the change", lines("change", "steps"),
                   "Lines: how much the gradient changes over the same steps.", "y"),
            Figure("ReLU network: effective smoothness", "step", "change of gradient / length of step",
                   lines("beta", "steps"), "Lines: the largest ratio of change to length. Lower is smoother.", "y"),
            Figure("ReLU network: tails of layer 4's gradient, before training", "multiple of the root mean square",
                   "share of entries above", lines("tails", LEVELS),
                   "Lines: share of gradient entries beyond a multiple of their root mean square.", "xy")]


def verdict(results):
    area = {kind: results.mean("area", activation="sigmoid", kind=kind) for kind in KINDS}
    shift = {kind: results.mean("mean_shift", activation="sigmoid", kind=kind) for kind in KINDS}
    relu = [dict(activation="relu", kind=kind) for kind in ("none", "batch")]
    ratio = {k: results.ratio(f"mean_{k}", *relu) for k in ("range", "change", "beta")}
    kept = (area["noisy"] - area["none"]) / max(area["batch"] - area["none"], 0.01)
    back = shift["noisy"] > max(shift["none"], shift["batch"])
    level = NOT_HERE if kept > 0.8 and back else IN_PART if kept > 0.4 else HOLDS
    return Verdict(level, (
        f"Sigmoid network, accuracy averaged over training: {area['none']:.0%} without a norm, {area['batch']:.0%} "
        f"with batch norm, {area['noisy']:.0%} with noise after it, though an input's mean then moves "
        f"{shift['noisy']:.2f} standard deviations a step ({shift['none']:.3f} without a norm, {shift['batch']:.3f} "
        f"with). The landscape of a ReLU network without a norm, as a ratio to that with batch norm (above 1: batch "
        f"norm is smoother): loss range along the gradient {ratio['range']:.1f}, change of the gradient "
        f"{ratio['change']:.1f}, effective smoothness {ratio['beta']:.1f}."), {
        f"{a}, {NAMES[kind]}: {what}": results.estimate(name, activation=a, kind=kind).text()
        for what, name in (("accuracy over training", "area"), ("shift", "mean_shift"), ("loss range", "mean_range"),
                           ("gradient change", "mean_change"), ("effective smoothness", "mean_beta"),
                           ("kurtosis of the gradient", "kurtosis"))
        for a in ("relu", "sigmoid") for kind in KINDS})
