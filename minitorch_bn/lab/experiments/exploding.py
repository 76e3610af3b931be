"""Does batch norm cure exploding gradients? A counter-experiment: in deep plain networks it makes them grow."""
import math

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn.lab.results import HOLDS, IN_PART, NOT_HERE, Figure, Series, Verdict, estimate
from minitorch_bn.lab.training import he, initialize, slope, train

KOREAN = "배치 정규화는 기울기 폭발 문제를 해결한다."
ENGLISH = "Batch normalization cures exploding gradients."
DID = ("ReLU networks of 10 to 100 layers, 128 wide, one batch of 128 images, before any training: weights of He's "
       "scale or twice that, without and with batch norm, plain and with a skip connection around each layer. "
       "Measured: the norm of the gradient with respect to each layer's output, and the factor by which it grows "
       "from one layer to the one before. The shallower ones are then trained for a short while.")
PAPER = ("Yang et al. 2019, A mean field theory of batch normalization: gradients grow exponentially with depth; for "
         "ReLU and wide layers by sqrt(pi / (pi - 1)) = 1.211 a layer.")
LIMIT = math.sqrt(math.pi / (math.pi - 1))


class Block(nn.Module):
    """Linear, perhaps batch norm, ReLU; perhaps added to its input."""

    def __init__(self, width, norm, skip):
        super().__init__()
        self.linear, self.norm, self.skip = nn.Linear(width, width), nn.BatchNorm1d(width) if norm else None, skip

    def forward(self, x):
        y = self.linear(x)
        y = torch.relu(self.norm(y) if self.norm is not None else y)
        self.out = x + y if self.skip else y
        return self.out


def settings(run):
    kinds = [("none", 1, False), ("none", 2, False), ("batch", 1, False), ("batch", 2, False), ("batch", 1, True)]
    depths = run.size((10, 30, 50, 100), (10, 20, 30, 50, 100))
    return [dict(norm=norm, gain=gain, skip=skip, depth=depth) for depth in depths for norm, gain, skip in kinds]


def network(inputs, depth, norm, gain, skip, width=128):
    model = nn.Sequential(nn.Linear(inputs, width), nn.ReLU(),
                          *(Block(width, norm == "batch", skip) for _ in range(depth)), nn.Linear(width, 10))
    initialize(model, lambda layer: gain * he(layer))
    return model


def state_gradients(model, x, y):
    """The norm of the loss's gradient with respect to what each layer gives."""
    loss = nn.functional.cross_entropy(model(x), y)
    grads = torch.autograd.grad(loss, [block.out for block in model if isinstance(block, Block)])
    return [g.double().norm().item() for g in grads]


def measure(run, seed, norm, gain, skip, depth):
    data = run.images()
    model = network(data.x.shape[1], depth, norm, gain, skip)
    gradients = state_gradients(model, data.x[:128], data.y[:128])
    found = {"gradients": gradients, "factor": 1 / slope(gradients)}
    if gain == 1 and depth <= run.size(30, 50):
        model = network(data.x.shape[1], depth, norm, gain, skip, 64)
        found["final"] = max(train(model, data, seed, run.size(50, 300), lr=lr).final for lr in (0.02,))
    return found


def label(norm, gain, skip):
    return ("batch norm" if norm == "batch" else "without") + (", weights twice He's" if gain == 2 else "") + \
        (", skips" if skip else "")


def kinds(results):
    return list(dict.fromkeys((row["norm"], row["gain"], row["skip"]) for row in results.rows))


def figures(results):
    lines, depth = [], max(results.distinct("depth"))
    for norm, gain, skip in kinds(results):
        all_seeds = results.values("gradients", norm=norm, gain=gain, skip=skip, depth=depth)
        found = [estimate(math.log10(max(g[i], 1e-40)) for g in all_seeds) for i in range(depth)]
        lines.append(Series(label(norm, gain, skip), list(range(1, depth + 1)), [e.mean for e in found],
                            [e.sd for e in found]))
    growth = [results.line(label(*kind), "factor", "depth", norm=kind[0], gain=kind[1], skip=kind[2])
              for kind in kinds(results)]
    trained = [kind for kind in kinds(results) if kind[1] == 1]
    usable = measured(results, "final")
    final = [usable.line(label(*kind), "final", "depth", norm=kind[0], gain=kind[1], skip=kind[2]) for kind in trained]
    return [Figure(f"Gradient at each layer's output, {depth} layers, before training", "layer (1: next to the input)",
                   "log10 of the gradient's norm", lines,
                   "Lines: logarithm of the gradient norm over layers. A line that rises towards layer 1 explodes."),
            Figure("Growth of the gradient from layer to layer", "layers", "factor a layer", growth,
                   f"Lines: growth factor over depth; theory says {LIMIT:.3f} for batch norm and wide layers."),
            Figure("Test accuracy after a short training (64 wide, lr 0.02)", "layers", "test accuracy", final,
                   "Lines: accuracy over the number of layers.", percent=True)]


def measured(results, name):
    return type(results)([row for row in results.rows if name in row])


def verdict(results):
    depth = 50
    f = {kind: results.estimate("factor", norm=kind[0], gain=kind[1], skip=kind[2], depth=depth)
         for kind in kinds(results)}
    large, tamed, own, skip = f["none", 2, False], f["batch", 2, False], f["batch", 1, False], f["batch", 1, True]
    cures, explodes = tamed.mean < large.mean - 0.1, own.mean > 1.1
    level = IN_PART if cures and explodes else NOT_HERE if explodes else HOLDS if cures else NOT_HERE
    return Verdict(level, (
        f"Weights twice too large make a plain network's gradient grow {large.mean:.2f}-fold a layer; batch norm takes "
        f"the scale away. But batch norm itself makes gradients grow {own.mean:.2f}-fold a layer, whatever the weights "
        f"(theory for wide layers: {LIMIT:.2f}): {own.mean ** depth:,.0f}-fold over {depth} layers, where He's weights "
        f"without it give {f['none', 1, False].mean:.2f} a layer. Skip connections bring it down to {skip.mean:.2f}."),
        {f"{label(*kind)}: factor a layer ({depth} layers)": e.text(".3f") for kind, e in f.items()})
