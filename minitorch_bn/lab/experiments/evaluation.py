"""Is batch norm another function in evaluation than in training? Stale, shifted and recalibrated statistics."""
import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn.lab.results import HOLDS, IN_PART, NOT_HERE, Figure, Series, Verdict
from minitorch_bn.lab.training import evaluate, mlp, train

KOREAN = "배치 정규화는 학습할 때와 평가할 때 다르게 동작한다."
ENGLISH = "Batch normalization behaves differently in evaluation than in training."
DID = ("Two hidden layers of 64 ReLUs with batch norm, trained five ways: as usual; with running statistics that "
       "hardly move (momentum 0.001); with statistics that stop being updated after one step in a hundred; as usual, "
       "but tested on images of another contrast and brightness; on batches sorted by class, two classes at a time. "
       "Measured: test accuracy with running statistics, with those of the test batch itself (made like the training "
       "batches), and after recalibration on 16 to all training images (changed as the test images are).")
PAPER = ("Wu & Johnson 2021, Rethinking 'Batch' in BatchNorm, sections 3 to 6: population statistics, stale "
         "averages, domain shift, batches that are not a fair sample.")
WAYS = {"usual": "as usual", "young": "momentum 0.001", "stale": "stale", "shifted": "shifted images",
        "sorted": "batches by class"}


def settings(run):
    return [dict(way=way) for way in WAYS]


def norms(model):
    return [layer for layer in model if isinstance(layer, nn.BatchNorm1d)]


def sorted_training(model, data, seed, steps):
    """Each batch shows two neighbouring classes only."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.nonzero(((data.y - c) % 10) < 2)[:, 0] for c in range(10)]
    for step in range(steps):
        of = rows[step % 10]
        chosen = of[torch.randint(0, len(of), (64,), generator=generator)]
        loss = nn.functional.cross_entropy(model(data.x[chosen]), data.y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def own_statistics(model, x, y, way):
    """Accuracy with the statistics of the test batch; of test batches by class, if it was trained on such."""
    if way != "sorted":
        return evaluate(model, x, y, True)[0]
    parts = [(y - c) % 10 < 2 for c in range(10)]
    return sum(evaluate(model, x[part], y[part], True)[0] for part in parts) / 10


def measure(run, seed, way):
    data, steps = run.images(), run.size(300, 1000)
    model = mlp([data.x.shape[1], 64, 64, 10], "batch")

    def stop(step):
        if way == "stale" and step == steps // 100:
            for layer in norms(model):
                layer.momentum = 1e-9

    for layer in norms(model):
        layer.momentum = 0.001 if way == "young" else 0.1
    if way == "sorted":
        sorted_training(model, data, seed, steps)
    else:
        train(model, data, seed, steps, lr=0.1, at=stop)
    x, test_x = (1.5 + 0.5 * data.x, 1.5 + 0.5 * data.test_x) if way == "shifted" else (data.x, data.test_x)
    found = {"running": evaluate(model, test_x, data.test_y)[0],
             "batch": own_statistics(model, test_x, data.test_y, way)}
    sizes = [16, 64, 256, 1024, len(x)]
    by_size = []
    for size in sizes:
        nn.utils.recalibrate(model, [x[:size]], measure=False)
        by_size.append(evaluate(model, test_x, data.test_y)[0])
    return {**found, "recalibrated": by_size[-1], "sizes": sizes, "by_size": by_size}


MODES = {"running": "running statistics", "batch": "those of the test batch", "recalibrated": "recalibrated"}


def figures(results):
    bars = []
    for mode, label in MODES.items():
        found = [results.estimate(mode, way=way) for way in WAYS]
        bars.append(Series(label, list(WAYS.values()), [e.mean for e in found], [e.sd for e in found]))
    lines = [results.curve(label, "by_size", "sizes", way=way) for way, label in WAYS.items()]
    return [Figure("Test accuracy by the statistics in use", "how it was trained or tested", "test accuracy", bars,
                   "Bars: accuracy with running statistics, with the test batch's, and recalibrated.", kind="bars",
                   percent=True),
            Figure("Test accuracy after recalibration", "images to recalibrate on", "test accuracy", lines,
                   "Lines: accuracy over the number of images that the statistics were taken from.", "x", percent=True)]


def verdict(results):
    gap = {way: results.mean("batch", way=way) - results.mean("running", way=way) for way in WAYS}
    back = {way: results.mean("recalibrated", way=way) - results.mean("running", way=way) for way in WAYS}
    wide = [way for way in WAYS if gap[way] > 0.05]
    level = HOLDS if len(wide) >= 3 else IN_PART if wide else NOT_HERE
    return Verdict(level, (
        "Points of test accuracy by which running statistics fall behind those of the test batch, and what "
        "recalibration changes: " +
        "; ".join(f"{WAYS[way]} {100 * gap[way]:.1f}, {100 * back[way]:+.1f}" for way in WAYS) + "."), {
        f"{WAYS[way]}: {label}": results.estimate(mode, way=way).percent
        for way in WAYS for mode, label in MODES.items()})
