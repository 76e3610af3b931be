"""Does a high learning rate work with batch norm? Final accuracy over four decades of learning rates."""
import math

from minitorch_bn.lab.results import HOLDS, IN_PART, LABELS, NOT_HERE, Figure, Verdict
from minitorch_bn.lab.training import mlp, train

KOREAN = "배치 정규화를 쓰면 학습률을 크게 잡을 수 있다."
ENGLISH = "With batch normalization a high learning rate works."
DID = ("Six hidden layers of 64 ReLUs, plain SGD, batch 64, the same number of steps at each learning rate from "
       "0.001 to 10. Measured: test accuracy at the end, and the share of seeds that end below 20 %, near guessing: "
       "at high rates those that diverged, or whose ReLUs died.")
PAPER = ("Ioffe & Szegedy 2015, figure 3 and its table: ImageNet's Inception trained at 5 and 30 times its learning "
         "rate with batch norm. Bjorck et al. 2018: at the same small rate, batch norm gains little. As remembered, "
         "not checked against the paper: 72.2 % took 31.0 million steps without batch norm, 13.3 with it, 2.1 at 5 "
         "times and 2.7 at 30 times the rate.")


def settings(run):
    rates = [10 ** (k / 2) for k in range(-6, 3)] if not run.quick else [0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
    return [dict(norm=norm, lr=float(f"{lr:.2g}")) for norm in ("none", "batch") for lr in rates]


def measure(run, seed, norm, lr):
    data = run.images()
    history = train(mlp([data.x.shape[1], *[64] * 6, 10], norm), data, seed, run.size(250, 1200), lr=lr)
    return {"final": history.final, "failed": float(history.final < 0.2)}


def figures(results):
    def lines(name):
        return [results.line(LABELS[norm], name, "lr", norm=norm)
                for norm in ("none", "batch")]
    return [Figure("Test accuracy at the end", "learning rate", "test accuracy", lines("final"),
                   "Lines: final test accuracy over the learning rate, without and with batch norm.", "x",
                   percent=True),
            Figure("Share of seeds that end near guessing", "learning rate", "accuracy below 20 %", lines("failed"),
                   "Lines: share of seeds that end below 20 % over the learning rate.", "x", percent=True)]


def verdict(results):
    rates = results.distinct("lr")
    final = {norm: {lr: results.mean("final", norm=norm, lr=lr) for lr in rates} for norm in ("none", "batch")}
    best = {norm: max(found.values()) for norm, found in final.items()}
    good = {norm: [lr for lr in rates if found[lr] > max(best.values()) - 0.05] for norm, found in final.items()}
    decades = {norm: math.log10(max(g) / min(g)) if g else 0.0 for norm, g in good.items()}
    highest = {norm: max(g, default=0.0) for norm, g in good.items()}
    more = math.log10(highest["batch"] / highest["none"]) if min(highest.values()) > 0 else math.inf
    level = HOLDS if more >= 0.9 else IN_PART if more > 0 or decades["batch"] > decades["none"] else NOT_HERE
    low = results.difference("final", dict(norm="batch", lr=rates[0]), dict(norm="none", lr=rates[0]))
    return Verdict(level, (
        f"Within 5 points of the best accuracy: up to a rate of {highest['batch']:g} with batch norm, "
        f"{highest['none']:g} without; a range of {decades['batch']:.1f} decades against {decades['none']:.1f}. At the "
        f"smallest rate, batch norm changes the accuracy after the same steps by {100 * low.mean:+.0f} points."), {
        "best accuracy without": f"{best['none']:.1%}", "best accuracy with batch norm": f"{best['batch']:.1%}",
        **{f"near guessing at {lr:g}: without, with": f"{results.mean('failed', norm='none', lr=lr):.0%}, "
           f"{results.mean('failed', norm='batch', lr=lr):.0%}" for lr in rates if lr >= 0.3}})
