"""Does the initialization no longer matter with batch norm? Six decades of initial scales, and equal weights."""
import math

from minitorch_bn import nn
from minitorch_bn.lab.results import HOLDS, IN_PART, LABELS, NOT_HERE, Figure, Verdict
from minitorch_bn.lab.training import he, initialize, linears, mlp, train

KOREAN = "배치 정규화를 쓰면 가중치 초기화에 크게 의존하지 않는다."
ENGLISH = "With batch normalization the initialization no longer matters."
DID = ("Three hidden layers of 64 ReLUs, plain SGD at one learning rate (0.1), the same steps. The hidden weights "
       "start from He's normal distribution times a factor of 0.001 to 1000, or all equal within a layer. Measured: "
       "test accuracy at the end.")
PAPER = ("Ioffe & Szegedy 2015, section 3.3: BN(aWu) = BN(Wu). Van Laarhoven 2017, Hoffer et al. 2018: the scale of "
         "the weights becomes an effective learning rate lr / |w|^2.")


def settings(run):
    scales = [10.0 ** k for k in range(-3, 4)] if run.quick else [float(f"{10 ** (k / 2):.2g}") for k in range(-6, 7)]
    return [dict(norm=norm, scale=scale) for norm in ("none", "batch") for scale in [*scales, "equal"]]


def measure(run, seed, norm, scale):
    data = run.images()
    model = mlp([data.x.shape[1], 64, 64, 64, 10], norm)
    if scale == "equal":
        for layer in linears(model)[:-1]:
            nn.init.constant_(layer.weight, 1 / math.sqrt(layer.in_features))
    else:
        initialize(model, lambda layer: scale * he(layer))
    return {"final": train(model, data, seed, run.size(250, 1200), lr=0.1).final}


def figures(results):
    scaled = type(results)([row for row in results.rows if row["scale"] != "equal"])
    lines = [scaled.line(LABELS[norm], "final", "scale", norm=norm)
             for norm in ("none", "batch")]
    return [Figure("Test accuracy at the end", "scale of the initial weights (1 is He's)", "test accuracy", lines,
                   "Lines: final test accuracy over the initial scale, without and with batch norm.", "x",
                   percent=True)]


def verdict(results):
    scales = [s for s in results.distinct("scale") if s != "equal"]
    final = {norm: {s: results.mean("final", norm=norm, scale=s) for s in scales} for norm in ("none", "batch")}
    top = max(max(found.values()) for found in final.values())
    good = {norm: [s for s in scales if found[s] > top - 0.05] for norm, found in final.items()}
    decades = {norm: math.log10(max(g) / min(g)) if g else 0.0 for norm, g in good.items()}
    equal = {norm: results.estimate("final", norm=norm, scale="equal") for norm in ("none", "batch")}
    wide = decades["batch"] >= 5.9
    level = HOLDS if wide and equal["batch"].mean > top - 0.05 else \
        IN_PART if decades["batch"] > decades["none"] + 0.9 else NOT_HERE
    return Verdict(level, (
        f"Accuracy stays within 5 points of the best over {decades['batch']:.1f} of 6 decades with batch norm, "
        f"over {decades['none']:.1f} without. What is no matter of scale stays: weights that are all equal end at "
        f"{equal['batch'].mean:.0%} with batch norm and {equal['none'].mean:.0%} without."), {
        **{f"{LABELS[norm]}, scale {s:g}": results.estimate(
            "final", norm=norm, scale=s).percent for norm in ("none", "batch") for s in (scales[0], 1.0, scales[-1])},
        "all equal, without": equal["none"].percent, "all equal, batch norm": equal["batch"].percent})
