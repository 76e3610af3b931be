"""Does batch norm fail on large batches? Batches of 32 to all images, at equal epochs and at equal steps."""
from minitorch_bn import nn
from minitorch_bn.lab.results import HOLDS, IN_PART, NOT_HERE, Figure, Verdict
from minitorch_bn.lab.training import NORMS, mlp, train

KOREAN = "미니배치가 너무 커도 배치 정규화의 효과가 떨어진다."
ENGLISH = "Batch normalization also suffers when the mini-batch is too large."
DID = ("Two hidden layers of 64 ReLUs with batch norm, with ghost batch norm (statistics of 32 images each) or "
       "without a norm; batches of 32 to all training images; the learning rate grows with the square root of the "
       "batch. Once for the same number of epochs (a large batch then means few steps), once for the same number of "
       "steps. Measured: test accuracy.")
PAPER = ("Hoffer et al. 2017, table 1 and figure 1: train longer, generalize better; ghost batch norm. As "
         "remembered, not checked against the paper: ResNet44 on CIFAR-10 had 92.8 % with small batches, 86.1 with "
         "large ones, 90.5 with a larger rate and ghost batches, 93.1 when trained for as many steps.")
KINDS, BUDGETS = ("none", "batch", "ghost"), ("epochs", "steps")


def settings(run):
    sizes = run.size((32, 128, 512, 1297), (32, 128, 512, 2048))
    return [dict(kind=kind, budget=budget, batch=batch) for batch in sizes for kind in KINDS for budget in BUDGETS]


def measure(run, seed, kind, budget, batch):
    data = run.images().few(2048)
    epochs = run.size(4, 8)
    steps = epochs * len(data.x) // (32 if budget == "steps" else min(batch, len(data.x)))
    norm = {**NORMS, "ghost": lambda width: nn.BatchNorm1d(width, ghost=32)}[kind]
    history = train(mlp([data.x.shape[1], 64, 64, 10], norm), data, seed, steps, batch, 0.05 * (batch / 32) ** 0.5)
    return {"final": history.final, "gap": history.train_accuracy - history.final}


def figures(results):
    names = {"none": "no norm", "batch": "batch norm", "ghost": "ghost batch norm"}
    return [Figure(f"Test accuracy at equal {budget}", "images in a batch", "test accuracy",
                   [results.line(names[kind], "final", "batch", kind=kind, budget=budget) for kind in KINDS],
                   f"Lines: test accuracy over batch size, all trained for equally many {budget}.", "x", percent=True)
            for budget in BUDGETS]


def verdict(results):
    sizes = results.distinct("batch")
    drop = {(kind, budget): results.difference("final", dict(kind=kind, budget=budget, batch=sizes[-1]),
                                               dict(kind=kind, budget=budget, batch=sizes[0]))
            for kind in KINDS for budget in BUDGETS}
    few, same, bare = drop["batch", "epochs"], drop["batch", "steps"], drop["none", "epochs"]
    own = few.mean < bare.mean - 0.01  # more than what few steps cost any network
    level = HOLDS if same.mean < -0.01 and own else IN_PART if few.mean < -0.01 else NOT_HERE
    return Verdict(level, (
        f"From batches of {sizes[0]} to {sizes[-1]}, accuracy with batch norm changes by {100 * few.mean:+.1f} points "
        f"at equal epochs, {100 * same.mean:+.1f} at equal steps; without a norm by {100 * bare.mean:+.1f} and "
        f"{100 * drop['none', 'steps'].mean:+.1f}; with ghost batches by {100 * drop['ghost', 'epochs'].mean:+.1f} and "
        f"{100 * drop['ghost', 'steps'].mean:+.1f}. What is lost at equal epochs but not at equal steps is due to few "
        "steps, not to batch norm."), {
        f"{kind}, equal {budget}, batch {b}": results.estimate("final", kind=kind, budget=budget, batch=b).percent
        for kind in KINDS for budget in BUDGETS for b in (sizes[0], sizes[-1])})
