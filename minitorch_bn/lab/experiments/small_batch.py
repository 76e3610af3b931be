"""Does batch norm fail on small batches? Batches of 2 to 64, four norms, and the theorem behind it as a spectrum."""
import numpy as np

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn.lab.results import HOLDS, IN_PART, NOT_HERE, Figure, Series, Verdict
from minitorch_bn.lab.training import NORMS, mlp, train
from minitorch_bn.nn import functional as F

KOREAN = "미니배치가 너무 작으면 배치 정규화가 잘 동작하지 않는다."
ENGLISH = "Batch normalization fails when the mini-batch is too small."
DID = ("Two hidden layers of 64 ReLUs, batches of 2 to 64 images, the same number of epochs, the learning rate in "
       "proportion to the batch: nothing, batch norm, group norm (8 groups), batch renormalization. Ghost batch norm "
       "takes its statistics from as few images, but always steps on 64: it tells small statistics from small steps. "
       "Measured: test accuracy. And, without any training, the singular values of batch norm's Jacobian for one "
       "channel of m values.")
PAPER = ("Wu & He 2018, figure 1: error over batch size for batch and group norm. Ioffe 2017 for renormalization. "
         "The theorem: the Jacobian of x -> (x - mean) / std is (I - 11'/m - yy'/m) / std; two directions are lost, "
         "so its rank is m - 2. As remembered, not checked against the paper: from batches of 32 to 2, ImageNet's "
         "error went from 23.6 to 34.7 % with batch norm, from 24.1 to 24.1 % with group norm.")
SIZES, KINDS = (2, 4, 8, 16, 32, 64), ("none", "batch", "group", "renorm", "ghost")


def settings(run):
    return [dict(kind="spectrum", batch=m) for m in SIZES[:5]] + [
        dict(kind=kind, batch=batch) for kind in KINDS for batch in SIZES]


def spectrum(m):
    """Singular values of the Jacobian of batch norm of m random values, times their standard deviation."""
    x = torch.randn(m, 1, dtype=torch.float64, requires_grad=True)
    y = F.batch_norm(x, None, None, training=True, eps=1e-12)
    rows = [torch.autograd.grad(y[i, 0], x, retain_graph=True)[0][:, 0].numpy() for i in range(m)]
    return (np.linalg.svd(np.array(rows), compute_uv=False) * x.detach().numpy().std()).tolist()


def measure(run, seed, kind, batch):
    if kind == "spectrum":
        return {"values": spectrum(batch)}
    data, epochs = run.images(), run.size(2, 5)
    size = 64 if kind == "ghost" else batch
    steps = epochs * len(data.x) // size
    norm = {**NORMS, "ghost": lambda width: nn.BatchNorm1d(width, ghost=batch),
            "renorm": lambda width: nn.BatchNorm1d(width, renorm=nn.Renorm.over(steps))}[kind]
    history = train(mlp([data.x.shape[1], 64, 64, 10], norm), data, seed, steps, size, 0.1 * size / 64)
    return {"final": history.final, "train": history.train_accuracy}


def figures(results):
    names = {"none": "no norm", "batch": "batch norm", "group": "group norm", "renorm": "batch renormalization",
             "ghost": "ghost batch norm (steps on 64)"}
    lines = [results.line(names[kind], "final", "batch", kind=kind) for kind in KINDS]
    values = [results.curve(f"m = {m}", "values", range(1, m + 1), kind="spectrum", batch=m) for m in SIZES[:5]]
    values = [Series(s.label, [i / len(s.x) for i in s.x], s.y, s.spread) for s in values]
    return [Figure("Test accuracy by batch size", "images in a batch (in a ghost)", "test accuracy", lines,
                   "Lines: test accuracy over the number of images that statistics come from.", "x", percent=True),
            Figure("Singular values of batch norm's Jacobian", "rank of the singular value / m", "singular value x std",
                   values, "Points: for each m, m - 2 singular values are 1 and two are 0; for m = 2 all are 0.")]


def verdict(results):
    drop = {kind: results.difference("final", dict(kind=kind, batch=2), dict(kind=kind, batch=64)) for kind in KINDS}
    ranks = {m: [sum(v > 1e-6 for v in values) for values in results.values("values", kind="spectrum", batch=m)]
             for m in SIZES[:5]}
    theorem = all(rank == m - 2 for m, found in ranks.items() for rank in found)
    worse = drop["batch"].mean < -0.1 and drop["batch"].mean < drop["group"].mean - 0.1
    level = HOLDS if worse and theorem else IN_PART if worse or theorem else NOT_HERE
    return Verdict(level, (
        "From batches of 64 to batches of 2, test accuracy changes by " + ", ".join(
            f"{100 * e.mean:+.0f} points ({kind})" for kind, e in drop.items()) +
        f". The Jacobian's rank {'is m - 2 for every m and seed' if theorem else 'is NOT m - 2'}: two directions carry "
        "no gradient at all."), {
        **{f"{kind}, batch {b}": results.estimate("final", kind=kind, batch=b).percent
           for kind in KINDS for b in (2, 8, 64)},
        **{f"rank for m = {m}": ", ".join(map(str, sorted(set(found)))) for m, found in ranks.items()}})
