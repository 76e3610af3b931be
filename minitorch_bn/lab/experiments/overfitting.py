"""Does batch norm prevent overfitting, and replace dropout? Few images, four kinds of network, three batch sizes."""
from minitorch_bn.lab.results import HOLDS, IN_PART, NOT_HERE, Figure, Verdict
from minitorch_bn.lab.training import mlp, train

KOREAN = "배치 정규화는 과적합을 막아 주며, 드롭아웃을 대신할 수 있다."
ENGLISH = "Batch normalization prevents overfitting and can replace dropout."
DID = ("Two hidden layers of 256 ReLUs learn from few images until they know them by heart: nothing added, batch "
       "norm, dropout of a half, or both; batches of 16, 64 and 256, the same number of epochs. Measured: accuracy "
       "on the training images minus that on the test images, and test accuracy.")
PAPER = ("Ioffe & Szegedy 2015, section 4.2: with batch norm, Inception needs no dropout. Luo et al. 2018: batch "
         "norm acts as a regularizer that weakens as the batch grows.")
KINDS = {"none": (False, 0), "batch norm": (True, 0), "dropout": (False, 0.5), "both": (True, 0.5)}
SIZES = (16, 64, 256)


def settings(run):
    return [dict(kind=kind, batch=batch) for kind in KINDS for batch in SIZES]


def measure(run, seed, kind, batch):
    data = run.images().few(run.size(256, 512))
    norm, dropout = KINDS[kind]
    model = mlp([data.x.shape[1], 256, 256, 10], "batch" if norm else "none", dropout=dropout)
    history = train(model, data, seed, run.size(60, 60) * len(data.x) // batch, batch, lr=0.02, momentum=0.9)
    return {"gap": history.train_accuracy - history.final, "final": history.final, "loss": history.loss}


def figures(results):
    def lines(name):
        return [results.line(kind, name, "batch", kind=kind) for kind in KINDS]
    return [Figure("Generalization gap", "batch size", "training accuracy minus test accuracy", lines("gap"),
                   "Lines: the gap over batch size for four kinds of network. Lower is better.", "x", percent=True),
            Figure("Test accuracy", "batch size", "test accuracy", lines("final"),
                   "Lines: test accuracy over batch size for four kinds of network.", "x", percent=True),
            Figure("Test loss", "batch size", "cross entropy", lines("loss"),
                   "Lines: test loss over batch size for four kinds of network.", "x")]


def verdict(results):
    def ahead(kind, other, batch):
        return results.difference("final", dict(kind=kind, batch=batch), dict(kind=other, batch=batch)).above

    helps = [b for b in SIZES if ahead("batch norm", "none", b)]
    behind = [b for b in SIZES if ahead("dropout", "batch norm", b)]
    level = HOLDS if len(helps) == 3 and not behind else IN_PART if helps else NOT_HERE
    gaps = {kind: sum(results.mean("gap", kind=kind, batch=b) for b in SIZES) / 3 for kind in KINDS}
    listed = ", ".join(map(str, helps)) if helps else "none"
    return Verdict(level, (
        f"Mean gap over the batch sizes: none {gaps['none']:.1%}, batch norm {gaps['batch norm']:.1%}, dropout "
        f"{gaps['dropout']:.1%}, both {gaps['both']:.1%}. Batch norm clearly betters the bare network's test accuracy "
        f"at batch sizes: {listed}; dropout is clearly ahead of batch norm at: "
        f"{', '.join(map(str, behind)) if behind else 'none'}."), {
        f"{kind}, batch {b}: test accuracy": results.estimate("final", kind=kind, batch=b).percent
        for kind in KINDS for b in SIZES})
