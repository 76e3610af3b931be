"""Times the same work in two libraries that take turns, so that a busy minute of the machine hurts both alike.

Each library lives in a worker process of its own (two OpenMP runtimes in one process would disturb each other). For a
case, both workers prepare, then they run alternately: ours, theirs, theirs, ours, ... A round gives one ratio; the
table shows the median ratio and the range of the middle half. Workers talk to this process in lines of JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
import time
import timeit
from pathlib import Path

import machine

HERE = Path(__file__).resolve().parent
GROUPS = ("overhead", "elementwise", "reduce", "pool", "gemm", "conv", "norm", "train", "deploy")
CASES = {}  # "group: name" -> function of the library module `t`; filled by the group files
WORK = {}  # the same -> (floating-point operations, bytes that have to move, dtype), where a case declares them
JAX = {}  # the same -> function of the module jax
compiling = False  # in the worker of the peer "torch.compile"


def case(name, flops=0, bytes=0, dtype="float32", jax=None):
    """Register `prepare(t)`, which returns what to time: a function of no argument, or (statement, its namespace).

    `flops` (a multiply-add is two) and `bytes` (each input read once, each result written once) let the bench tell how
    far a case is from what the machine can do. `jax` is the case for the peer of that name: a function of the module.
    """

    def register(prepare):
        key = f"{prepare.__module__}: {name}"
        CASES[key], WORK[key] = prepare, (flops, bytes, dtype)
        if jax is not None:
            JAX[key] = jax
        return prepare

    return register


def ready(t, model):
    """The model as a case shall run it: compiled, when the peer is torch.compile."""
    return t.compile(model) if compiling else model


def load(groups):
    for group in groups:
        importlib.import_module(group)


# ---- the worker process


# Before a turn, in seconds: after its own turn the other library's threads go on looking for work for some ten
# milliseconds (libgomp's default), and would do so on this one's cores.
REST = 0.02


def work(library, threads, groups):
    """Answer requests on stdin: prepare a case, or run it `count` times and report nanoseconds per call."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints goes to stderr, not between the answers
    sys.path.append(str(HERE.parent))
    global compiling
    compiling = library == "torch.compile"
    t = importlib.import_module("torch" if compiling else library)
    load(groups)
    cases = CASES
    if library == "jax":
        cases = JAX
    else:
        t.set_num_threads(threads)
    timer = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "case" in request:
                timer = None
                if library != "jax":
                    t.manual_seed(0)
                    t.set_grad_enabled(True)  # a case may switch it off for itself
                body = cases[request["case"]](t)
                statement, names = ("body()", {"body": body}) if callable(body) else body
                timer = timeit.Timer(statement, globals=names)
                timer.timeit(1)
                answer = {"ok": True}
            else:
                time.sleep(REST)
                answer = {"ns": timer.timeit(request["count"]) / request["count"] * 1e9}
        except (
            Exception
        ) as error:  # a case that one library cannot run is a line of the table, not the end of the bench
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        answers.write(json.dumps(answer) + "\n")


class Worker:
    """A child process with one library in it."""

    def __init__(self, library, threads, groups):
        command = [sys.executable, str(HERE / "run.py"), "--worker", library, "--threads", str(threads), *groups]
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, **request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"the worker ended with code {self.process.wait()}; its message is above")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def calibrate(self, seconds):
        """How many calls last about `seconds`."""
        count = 1
        while True:
            spent = self.ask(count=count)["ns"] * count / 1e9
            if spent > seconds / 4:
                return max(1, round(count * seconds / spent))
            count = max(count * 2, min(count * 100, int(count * seconds / 2 / max(spent, 1e-9))))

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


# ---- the comparing process


def summary(times):
    return {"min_ns": min(times), "median_ns": statistics.median(times), "turns": len(times)}


def quartiles(values):
    if len(values) < 2:
        return [values[0], values[0]]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return [low, high]


def measure(name, workers, rounds, seconds):
    """Time one case in every worker; the row holds times for each library and the ratio of the first to the second.

    `name` may be a dict of the workers' cases instead, where they do not all run the same.
    """
    row = {"case": name if isinstance(name, str) else ""}
    counts, turns = {}, {}
    for library, worker in workers.items():
        try:
            worker.ask(case=name if isinstance(name, str) else name[library])
            counts[library] = worker.calibrate(seconds)
            turns[library] = []
        except RuntimeError as error:
            row[library] = {"error": str(error)}
    order = list(counts)
    for _ in range(rounds):
        for library in list(order):
            time.sleep(0.002)  # the other team's threads stop spinning
            try:
                turns[library].append(workers[library].ask(count=counts[library])["ns"])
            except RuntimeError as error:
                row[library] = {"error": str(error)}
                order.remove(library)
                del turns[library]
        order.reverse()
    for library, times in turns.items():
        row[library] = summary(times)
    first = next(iter(workers))
    for peer in list(workers)[1:]:
        if first in turns and peer in turns:
            ratios = [a / b for a, b in zip(turns[first], turns[peer])]
            row.setdefault("ratios", {})[peer] = statistics.median(ratios)
            if "ratio" not in row:
                row["ratio"], row["middle_half"] = statistics.median(ratios), quartiles(ratios)
    return row


def amount(nanoseconds):
    """A time in the unit that reads best."""
    for size, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.4g} {unit}"
    return f"{nanoseconds:.0f} ns"


def line(row, libraries):
    cells = [f"{row['case']:<70}"]
    for library in libraries:
        result = row[library]
        cells.append(f"{'failed' if 'error' in result else amount(result['median_ns']):>10}")
        cells.append(f"{'' if 'error' in result else amount(result['min_ns']):>10}")
    if "ratio" in row:
        low, high = row["middle_half"]
        cells.append(f"{row['ratio']:>7.2f}  {low:.2f}-{high:.2f}")
    for library in libraries:
        if "error" in row[library]:
            cells.append(f"\n    {library}: {row[library]['error']}")
    return " ".join(cells)


def compare(groups, libraries, rounds, seconds, threads, pattern="", limits=True):
    """Run the cases of the groups, print a line for each as it is ready, return the rows."""
    load(groups)
    heads = " ".join(f"{library[:10]:>10} {'best':>10}" for library in libraries)
    print(f"{'case':<70} {heads}" + ("   ratio  middle half" if len(libraries) > 1 else ""), flush=True)
    workers = {library: Worker(library, threads, groups) for library in libraries}
    rows = []
    try:
        for name in CASES:
            if pattern in name:
                rows.append(measure(name, workers, rounds, seconds))
                print(line(rows[-1], libraries), flush=True)
    finally:
        for worker in workers.values():
            worker.close()
    for row in rows if limits else []:
        least = machine.limit_ns(*WORK[row["case"]], threads)
        if least:
            row["limit_ns"] = least
    return rows
