"""What the figures say: tables, scores of each group against its targets, changes since an earlier run, pictures."""

import json
import math
import statistics

# Per group: geometric mean and worst ratio to PyTorch's time that we hold ourselves to.
TARGETS = {"gemm": (0.95, 1.2), "conv": (0.75, 1.1), "norm": (0.4, 0.8), "elementwise": (0.6, 1.0),
           "reduce": (0.5, 1.0), "pool": (0.4, 0.9), "overhead": (0.2, 0.35), "train": (0.6, 0.85), "ops": (0.6, 1.0)}
OURS = "minitorch_bn"


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def group_of(row):
    return row["case"].split(":")[0]


def ratios_of(rows):
    """group -> [(ratio, case), ...], the worst first."""
    groups = {}
    for row in rows:
        if "ratio" in row:
            groups.setdefault(group_of(row), []).append((row["ratio"], row["case"].split(": ", 1)[1]))
    return {group: sorted(cases, reverse=True) for group, cases in groups.items()}


def scores(rows, peer):
    """Markdown: each group's mean and worst case, beside the targets where the peer is PyTorch."""
    lines = [f"| group | cases | mean ratio to {peer} | worst | its case |", "|---|---|---|---|---|"]
    for group, cases in ratios_of(rows).items():
        mean, (worst, where) = geometric_mean([ratio for ratio, _ in cases]), cases[0]
        marks = ["", ""]
        if peer == "torch" and group in TARGETS:
            marks = [f" (goal {goal:g}{'' if value <= goal else ', missed'})"
                     for value, goal in zip((mean, worst), TARGETS[group])]
        lines.append(f"| {group} | {len(cases)} | {mean:.2f}{marks[0]} | {worst:.2f}{marks[1]} | {where} |")
    return "\n".join(lines)


def table(rows, libraries, amount):
    """Markdown: a line for each case, with the part of the machine's limit that we reach where the case declares its
    work."""
    lines = ["| case | " + " | ".join(libraries) + " | " + " | ".join(f"ratio to {peer}" for peer in libraries[1:])
             + " | of the limit |", "|---" * (2 * len(libraries) + 1) + "|"]
    for row in rows:
        times = ["failed" if "error" in row[library] else amount(row[library]["median_ns"]) for library in libraries]
        ratios = [f"{row['ratios'][peer]:.2f}" if peer in row.get("ratios", {}) else "" for peer in libraries[1:]]
        part = fraction(row)
        cells = [row["case"], *times, *ratios, "" if part is None else f"{part:.0%}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def fraction(row):
    """The machine's least time as a part of ours, or None."""
    if "limit_ns" in row and "error" not in row.get(OURS, {"error": 0}):
        return row["limit_ns"] / row[OURS]["min_ns"]
    return None


def changes(rows, earlier, by=0.05):
    """A line for each case whose ratio (or, without a peer, time) moved by more than `by` since the earlier file."""
    with open(earlier) as file:
        before = {row["case"]: row for row in json.load(file)["rows"]}
    lines = []
    for row in rows:
        old = before.get(row["case"])
        if old is None:
            lines.append((0, f"new     {row['case']}"))
            continue
        if "ratio" in row and "ratio" in old:
            a, b, what = old["ratio"], row["ratio"], "ratio"
        elif "min_ns" in row.get(OURS, {}) and "min_ns" in old.get(OURS, {}):
            a, b, what = old[OURS]["min_ns"], row[OURS]["min_ns"], "ns"
        else:
            continue
        if abs(b / a - 1) > by:
            lines.append((b / a, f"{b / a - 1:+7.0%} {row['case']}: {what} {a:.3g} -> {b:.3g}"))
    return "\n".join(line for _, line in sorted(lines)) or f"no case changed by more than {by:.0%}"


def picture(rows, peer, path):
    """A dot for each case: its ratio to the peer, a row a group; and, where a case declares its work, how much of the
    machine's limit it reaches over its operations per byte (a roofline's axes, its roof at 1)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    groups = ratios_of(rows)
    bound = [(row["intensity"], fraction(row), group_of(row)) for row in rows if fraction(row) and row.get("intensity")]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(14, 6), constrained_layout=True)
    for i, cases in enumerate(groups.values()):
        values = [ratio for ratio, _ in cases]
        left.scatter(values, [i] * len(values), alpha=0.5)
        left.plot(geometric_mean(values), i, "k|", markersize=18)
    left.set_yticks(range(len(groups)), list(groups))
    left.invert_yaxis()
    left.axvline(1, color="gray")
    left.set_xscale("log")
    left.set_xlabel(f"time of {OURS} / time of {peer}; bar: geometric mean")
    for group in sorted({group for *_, group in bound}):
        points = [(x, y) for x, y, of in bound if of == group]
        right.scatter(*zip(*points), alpha=0.6, label=group)
    right.set_xscale("log")
    right.axhline(1, color="gray")
    right.set_ylim(0, 1.1)
    right.set_xlabel("floating-point operations per byte")
    right.set_ylabel("part of the machine's limit that is reached")
    if bound:
        right.legend()
    figure.savefig(path, dpi=120)
