"""Does batch norm make training faster? The sigmoid network of Ioffe & Szegedy's figure 1."""
from minitorch_bn import nn
from minitorch_bn.lab.results import HOLDS, IN_PART, LABELS, NOT_HERE, Figure, Verdict
from minitorch_bn.lab.training import initialize, mlp, train

KOREAN = "배치 정규화를 쓰면 학습 속도가 빨라진다."
ENGLISH = "Batch normalization makes training faster."
DID = ("Three hidden layers of 100 sigmoids, small normal initial weights (standard deviation 0.1), batch 60, plain "
       "SGD: the network of the paper on fewer images. Four learning rates each. Measured: test accuracy by step, "
       "and over time the 15th, 50th and 85th percentile of what enters one unit of the last hidden layer, over the "
       "test images.")
PAPER = ("Ioffe & Szegedy 2015, figure 1: (a) test accuracy on MNIST by step, (b, c) percentiles of one unit's input "
         "without and with batch norm.")
RATES = (0.1, 0.5, 2.0, 8.0)


def settings(run):
    return [dict(norm=norm, lr=lr) for norm in ("none", "batch") for lr in RATES]


def measure(run, seed, norm, lr):
    data, steps = run.images(), run.size(600, 3000)
    every = steps // 30
    model = mlp([data.x.shape[1], 100, 100, 100, 10], norm, "sigmoid")
    initialize(model, lambda layer: 0.1)
    last = [layer for layer in model if isinstance(layer, nn.Sigmoid)][-1]
    percentiles = []

    def look(module, args):
        if not model.training:  # the evaluation, every 30th of the time
            values = args[0][:, 0].sort().values
            percentiles.append([values[int(q * (len(values) - 1))].item() for q in (0.15, 0.5, 0.85)])

    last.register_forward_pre_hook(look)
    history = train(model, data, seed, steps, 60, lr, every=every)
    low, middle, high = zip(*percentiles[:len(history.steps)])
    level = run.size(0.9, 0.85)
    return {"steps": history.steps, "accuracy": history.accuracy, "final": history.final, "level": level,
            "reached": history.steps_to(level, steps), "p15": low, "p50": middle, "p85": high}


def figures(results):
    lines = [results.curve(f"{LABELS[norm]}, lr {lr:g}", "accuracy", "steps", norm=norm,
                           lr=lr) for norm in ("none", "batch") for lr in RATES]
    bands = [results.curve(f"{LABELS[norm]}, {q[1:]}th percentile", q, "steps", norm=norm,
                           lr=0.5) for norm in ("none", "batch") for q in ("p15", "p50", "p85")]
    return [Figure("Test accuracy by step", "step", "test accuracy", lines,
                   "Lines: test accuracy over steps for four learning rates, without and with batch norm.",
                   percent=True),
            Figure("What enters one unit of the last hidden layer (lr 0.5)", "step", "input of the unit", bands,
                   "Lines: three percentiles of a unit's input over steps, without and with batch norm.")]


def verdict(results):
    reached = {norm: min(RATES, key=lambda lr: results.mean("reached", norm=norm, lr=lr)) for norm in ("none", "batch")}
    a, b = dict(norm="none", lr=reached["none"]), dict(norm="batch", lr=reached["batch"])
    factor, gain = results.ratio("reached", a, b), results.difference("reached", a, b)
    level = HOLDS if factor > 1.5 and gain.above else IN_PART if factor > 1.1 and gain.above else NOT_HERE
    slow = [results.estimate("final", norm=norm, lr=RATES[0]) for norm in ("none", "batch")]
    goal = results.values("level")[0]
    return Verdict(level, (
        f"Each at its best learning rate, the network with batch norm reaches {goal:.0%} in "
        f"{results.mean('reached', **b):.0f} steps, the one without in {results.mean('reached', **a):.0f} or more "
        f"({factor:.1f} times). Steps are counted, not seconds: a step with batch norm costs more."), {
        "steps without, best rate": f"{results.estimate('reached', **a).text('.0f')} (lr {a['lr']:g})",
        "steps with batch norm, best rate": f"{results.estimate('reached', **b).text('.0f')} (lr {b['lr']:g})",
        f"accuracy at the end, lr {RATES[0]:g}, without": slow[0].percent,
        f"accuracy at the end, lr {RATES[0]:g}, batch norm": slow[1].percent})
