"""Does scaling the input make training faster, and does it still matter when batch norm follows?"""
import functools

from minitorch_bn.lab.data import load_data
from minitorch_bn.lab.results import HOLDS, IN_PART, LABELS, NOT_HERE, Figure, Series, Verdict
from minitorch_bn.lab.training import mlp, train
from minitorch_bn.preprocessing import MinMaxScaler, StandardScaler

KOREAN = "입력 데이터의 스케일을 맞추면 학습이 빨라진다."
ENGLISH = "Scaling the input makes training faster."
DID = ("Two hidden layers of 64 ReLUs learn scikit-learn's digits as grey values 0 to 255, raw or scaled in one of "
       "three ways, with plain SGD, batch 64. Four learning rates are tried for each; the best one counts. Measured: "
       "the steps until 95 % of the test images are right.")
PAPER = ("Ioffe & Szegedy 2015, section 1: whitened inputs have long been known to train faster; batch norm does it "
         "inside.")
LEVEL, SCALERS = 0.95, ["standard", "min-max", "divided by 255", "none"]


def settings(run):
    return [dict(norm=norm, scaler=scaler, lr=lr) for norm in ("none", "batch") for scaler in SCALERS
            for lr in (0.001, 0.01, 0.1, 0.5)]


@functools.cache
def scaled(scaler):
    data = load_data("digits")
    if scaler in ("standard", "min-max"):
        fitted = (StandardScaler() if scaler == "standard" else MinMaxScaler()).fit(data.x.double())
        return data._replace(x=fitted.transform(data.x.double()).float(),
                             test_x=fitted.transform(data.test_x.double()).float())
    return data._replace(x=data.x / 255, test_x=data.test_x / 255) if scaler == "divided by 255" else data


def measure(run, seed, norm, scaler, lr):
    most = run.size(300, 1500)
    history = train(mlp([64, 64, 64, 10], norm), scaled(scaler), seed, most, lr=lr, every=5, until=LEVEL)
    return {"steps": history.steps_to(LEVEL, most), "never": history.steps_to(LEVEL, -1) < 0}


def best(results, norm, scaler):
    """The steps at the learning rate that is best on average."""
    rates = results.distinct("lr")
    return min((results.estimate("steps", norm=norm, scaler=scaler, lr=lr) for lr in rates), key=lambda e: e.mean)


def figures(results):
    lines = []
    for norm in results.distinct("norm"):
        found = [best(results, norm, scaler) for scaler in SCALERS]
        lines.append(Series(LABELS[norm], SCALERS, [e.mean for e in found], [e.sd for e in found]))
    rates = [results.where(scaler=scaler).line(f"{scaler}, {LABELS[norm]}", "steps",
                                               "lr", norm=norm)
             for norm in results.distinct("norm") for scaler in SCALERS]
    return [Figure("Steps to 95 %, at the best learning rate", "scaling of the input", "steps", lines,
                   "Bars: steps until 95 % of test images are right, for four scalings, without and with batch norm.",
                   kind="bars"),
            Figure("Steps to 95 %, by learning rate", "learning rate", "steps (the top: not reached)", rates,
                   "Lines: steps until 95 % over the learning rate; at the top, 95 % were never reached.",
                   log="x")]


def verdict(results):
    times = {norm: [best(results, norm, scaler).mean for scaler in SCALERS] for norm in ("none", "batch")}
    ratio = {norm: max(found) / min(found) for norm, found in times.items()}
    level = HOLDS if ratio["none"] > 1.5 and times["none"][3] == max(times["none"]) else \
        IN_PART if ratio["none"] > 1.2 else NOT_HERE
    return Verdict(level, (
        f"Without batch norm the slowest input takes {ratio['none']:.1f} times the steps of the fastest, or more "
        f"(training ends at {max(results.values('steps'))} steps); with it, {ratio['batch']:.1f} times."), {
        f"{scaler}: {LABELS[norm]}": best(results, norm, scaler).text(".0f", " steps")
        for norm in ("none", "batch") for scaler in SCALERS})
