"""Does batch norm cure vanishing gradients? Gradients by layer in networks of sigmoids and tanhs; do they learn?"""
import math

import minitorch_bn as torch
from minitorch_bn.lab.results import HOLDS, IN_PART, LABELS, NOT_HERE, Figure, Series, Verdict, estimate
from minitorch_bn.lab.training import initialize, layer_gradients, mlp, slope, train, xavier

KOREAN = "배치 정규화는 기울기 소실 문제를 해결한다."
ENGLISH = "Batch normalization cures vanishing gradients."
DID = ("Networks of 5 to 30 layers of 64 sigmoids or tanhs, Xavier's initialization, one batch of 128 images. "
       "Measured: the norm of the gradient with respect to the weight of each layer, before any training; its factor "
       "from one layer to the one before; and test accuracy after a short training with plain SGD at the better of "
       "two rates.")
PAPER = "Ioffe & Szegedy 2015, section 1 (saturating nonlinearities); Glorot & Bengio 2010 for gradients by layer."


def settings(run):
    return [dict(activation=a, norm=norm, depth=depth) for a in ("sigmoid", "tanh") for norm in ("none", "batch")
            for depth in (5, 10, 20, 30)]


def measure(run, seed, activation, norm, depth):
    data = run.images()
    accuracies = []
    for lr in (0.05, 0.5):
        torch.manual_seed(seed)
        model = mlp([data.x.shape[1], *[64] * depth, 10], norm, activation)
        initialize(model, xavier)
        gradients = layer_gradients(model, data.x[:128], data.y[:128])
        accuracies.append(train(model, data, seed, run.size(60, 400), lr=lr).final)
    hidden = gradients[1:-1]  # layers of one shape
    return {"gradients": gradients, "factor": 1 / slope(hidden), "ratio": math.log10(hidden[0] / hidden[-1]),
            "final": max(accuracies)}


def figures(results):
    lines = []
    for activation in ("sigmoid", "tanh"):
        for norm in ("none", "batch"):
            part = results.where(activation=activation, norm=norm, depth=30)
            found = [estimate(math.log10(max(g[i], 1e-40)) for g in part.values("gradients")) for i in range(31)]
            lines.append(Series(f"{activation}, {LABELS[norm]}", list(range(1, 32)), [e.mean for e in found],
                                [e.sd for e in found]))
    final = [results.line(f"{a}, {LABELS[norm]}", "final", "depth", activation=a, norm=norm)
             for a in ("sigmoid", "tanh") for norm in ("none", "batch")]
    return [Figure("Gradient of each layer's weight, 30 layers, before training", "layer (1 is next to the input)",
                   "log10 of the gradient's norm", lines,
                   "Lines: logarithm of the gradient norm over layers. Falling towards layer 1: it vanishes."),
            Figure("Test accuracy after a short training", "layers", "test accuracy", final,
                   "Lines: accuracy over the number of layers.", percent=True)]


def verdict(results):
    factor = {(a, norm): results.estimate("factor", activation=a, norm=norm, depth=30)
              for a in ("sigmoid", "tanh") for norm in ("none", "batch")}
    vanishes = [a for a in ("sigmoid", "tanh") if factor[a, "none"].mean < 0.8]
    cured = [a for a in vanishes if factor[a, "batch"].mean > 0.9]
    level = HOLDS if vanishes and cured == vanishes else IN_PART if cured else NOT_HERE
    s = {norm: results.mean("final", activation="sigmoid", norm=norm, depth=10) for norm in ("none", "batch")}
    return Verdict(level, (
        f"Towards the input, a sigmoid network's gradient changes {factor['sigmoid', 'none'].mean:.2f}-fold a layer, "
        f"with batch norm {factor['sigmoid', 'batch'].mean:.2f}-fold; a tanh network's by "
        f"{factor['tanh', 'none'].mean:.2f} and {factor['tanh', 'batch'].mean:.2f}. Ten sigmoid layers learn to "
        f"{s['batch']:.0%} with batch norm, to {s['none']:.0%} without."), {
        f"{a}, {LABELS[norm]}: factor a layer (30 layers)": factor[a, norm].text(".3f") for a, norm in factor})
