"""What batch norm costs in training: a step of a network with it against a step of the same network without.

Without means nn.Identity in its place; the convolutions have no bias in either. The tax is the time that batch norm
adds, as a part of the time without it: 0.30 means that a step takes 30% longer.
"""

import models
from harness import Worker, amount, case, measure
from train import stepper

NETWORKS = {"ResNet-20, batch 32": (models.resnet20, (32, 3, 32, 32)),
            "ResNet-18, batch 16": (models.resnet18, (16, 3, 32, 32)),
            "MLP 784-512-512-512-10, batch 128": (models.wide_mlp, (128, 784))}
WAYS = {"with": True, "without": False}


def register(name, way):
    build, shape = NETWORKS[name]

    @case(f"{name}, {way}")
    def prepare(t):
        model = build(t, norm=WAYS[way])
        optimizer = t.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
        return stepper(t, model, optimizer, t.randn(*shape), t.randint(0, 10, (shape[0],)))


for name in NETWORKS:
    for way in WAYS:
        register(name, way)


def run(libraries, rounds, seconds, threads, pattern=""):
    """Time the networks with and without in processes of their own, taking turns; print and return the taxes."""
    results = []
    print(f"{'network':<36}{'library':<16}{'without':>10}{'with':>10}{'tax':>7}")
    for name in [name for name in NETWORKS if pattern in name]:
        workers = {(library, way): Worker(library, threads, ["bn_tax"]) for library in libraries for way in WAYS}
        row = measure({key: f"bn_tax: {name}, {key[1]}" for key in workers}, workers, rounds, seconds)
        for worker in workers.values():
            worker.close()
        for library in libraries:
            times = {way: row[library, way] for way in WAYS}
            result = {"network": name, "library": library}
            if any("error" in time for time in times.values()):
                print(f"{name:<36}{library:<16} failed: {times}")
                continue
            result |= {f"{way}_ns": time["median_ns"] for way, time in times.items()}
            result["tax"] = result["with_ns"] / result["without_ns"] - 1
            print(f"{name:<36}{library:<16}{amount(result['without_ns']):>10}{amount(result['with_ns']):>10}"
                  f"{result['tax']:>7.0%}", flush=True)
            results.append(result)
    return results


def picture(results, path):
    """The step without batch norm as one bar, what batch norm adds on top of it, for each library side by side."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(result["network"] for result in results))
    figure, axes = pyplot.subplots(1, len(names), figsize=(4 * len(names), 4), constrained_layout=True, squeeze=False)
    for axis, name in zip(axes[0], names):
        for i, result in enumerate(result for result in results if result["network"] == name):
            axis.bar(i, result["without_ns"] / 1e6, color="lightgray")
            axis.bar(i, (result["with_ns"] - result["without_ns"]) / 1e6, bottom=result["without_ns"] / 1e6, color="C0")
            axis.text(i, result["with_ns"] / 1e6, f"+{result['tax']:.0%}", ha="center", va="bottom")
        axis.set_xticks(range(i + 1), [result["library"] for result in results if result["network"] == name])
        axis.set_title(name)
        axis.set_ylabel("ms a step; blue: what batch norm adds")
    figure.savefig(path, dpi=120)
