"""Does batch norm belong before the activation? Both places, three activations."""
from minitorch_bn.lab.results import HOLDS, IN_PART, NOT_HERE, Figure, Series, Verdict
from minitorch_bn.lab.training import mlp, train

KOREAN = "배치 정규화는 활성화 함수 앞에 둔다."
ENGLISH = "Batch normalization goes before the activation."
DID = ("Four hidden layers of 64 units, batch norm before or after each activation (ReLU, sigmoid, tanh), plain SGD "
       "at three learning rates, the best of which counts. Measured: steps to 93 % of the test images (at most all "
       "steps), and accuracy at the end.")
PAPER = ("Ioffe & Szegedy 2015, section 3.2, put it before the nonlinearity, as the sum of a layer is more nearly "
         "Gaussian; they show no figure.")
LEVEL, ACTIVATIONS, RATES = 0.93, ("relu", "sigmoid", "tanh"), (0.03, 0.1, 0.3)


def settings(run):
    return [dict(activation=a, place=place, lr=lr)
            for a in ACTIVATIONS for place in ("before", "after") for lr in RATES]


def measure(run, seed, activation, place, lr):
    data, most = run.images(), run.size(300, 1500)
    model = mlp([data.x.shape[1], *[64] * 4, 10], "batch", activation, place)
    level = LEVEL if data.name == "digits" else LEVEL - 0.03
    history = train(model, data, seed, most, lr=lr, every=run.size(5, 20))
    return {"steps": history.steps_to(level, most), "final": history.final}


def best(results, activation, place):
    return min(RATES, key=lambda lr: results.mean("steps", activation=activation, place=place, lr=lr))


def figures(results):
    found = []
    for name in ("steps", "final"):
        lines = []
        for place in ("before", "after"):
            part = [results.estimate(name, activation=a, place=place, lr=best(results, a, place)) for a in ACTIVATIONS]
            lines.append(Series(place, list(ACTIVATIONS), [e.mean for e in part], [e.sd for e in part]))
        found.append(lines)
    return [Figure("Steps to the goal, at the best learning rate", "activation", "steps", found[0],
                   "Bars: steps with the norm before and after each activation.", kind="bars"),
            Figure("Test accuracy at the end", "activation", "test accuracy", found[1],
                   "Bars: accuracy with the norm before and after each activation.", kind="bars", percent=True)]


def verdict(results):
    faster, numbers = {}, {}
    for a in ACTIVATIONS:
        sides = [dict(activation=a, place=place, lr=best(results, a, place)) for place in ("before", "after")]
        e = results.difference("steps", *sides)
        faster[a] = "neither" if e.n > 1 and not e.clear or e.mean == 0 else "before" if e.mean < 0 else "after"
        for side in sides:
            numbers[f"{a}, {side['place']}"] = (f"{results.estimate('steps', **side).text('.0f')} steps, "
                                                f"{results.estimate('final', **side).percent}")
    wins = list(faster.values())
    level = HOLDS if wins.count("before") == 3 else IN_PART if "before" in wins else NOT_HERE
    return Verdict(level, "Clearly fewer steps: " + ", ".join(f"{a}: {side}" for a, side in faster.items()) +
                   " (paired by seed, 95 %).", numbers)
