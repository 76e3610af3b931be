"""What only a fresh process can tell: how long the import takes, and how much memory training takes at most."""

import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent


def status(field):
    """A line of /proc/self/status in MiB: VmRSS, the memory in use, or VmHWM, its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {field} in /proc/self/status")


def fresh(arguments, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=HERE.parent)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr else f"exit code {done.returncode}")
    return done.stdout


def measure_memory(library, name, steps=3):
    """In a process of its own: the peak of a training case, and what was resident before it. Nothing is added after the
    second step: by then optimizers have their states, and a step meets what the one before left."""
    import importlib

    import harness

    sys.path.append(str(HERE.parent))
    t = importlib.import_module(library)
    t.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    harness.load([name.split(":")[0]])
    imported = status("VmRSS")
    t.manual_seed(0)
    body = harness.CASES[name](t)
    for _ in range(steps):
        body() if callable(body) else exec(body[0], body[1])
    print(json.dumps({"imported": imported, "peak": status("VmHWM")}))


def peak(library, name, threads):
    try:
        return json.loads(fresh([str(HERE / "run.py"), "--memory", library, name], threads))
    except RuntimeError as error:
        return {"error": str(error)}


def memory(libraries, threads, pattern=""):
    """Peak resident MiB of each training case, and what of it was there after the import alone. Nothing is timed here,
    so that processes may run side by side."""
    import harness

    harness.load(["train"])
    names = [name for name in harness.CASES if name.startswith("train:") and pattern in name]
    pool = ThreadPoolExecutor(os.cpu_count())
    peaks = {(name, library): pool.submit(peak, library, name, threads) for name in names for library in libraries}
    rows = []
    title = "peak resident MiB (above the import)"
    print(f"{title:<64}" + "".join(f"{library:>22}" for library in libraries) + "   ratio")
    for name in names:
        row = {"case": name} | {library: peaks[name, library].result() for library in libraries}
        cells = ["failed" if "error" in row[library] else
                 f"{row[library]['peak']:.0f} ({row[library]['peak'] - row[library]['imported']:.0f})"
                 for library in libraries]
        if len(libraries) > 1 and "failed" not in cells:
            ours, theirs = (row[library] for library in libraries[:2])
            row["ratio"] = ours["peak"] / theirs["peak"]
            row["ratio_above_import"] = (ours["peak"] - ours["imported"]) / (theirs["peak"] - theirs["imported"])
            cells.append(f"{row['ratio']:.2f} ({row['ratio_above_import']:.2f})")
        print(f"{name:<64}" + "".join(f"{cell:>22}" for cell in cells[:len(libraries)]) + "   "
              + "".join(cells[len(libraries):]), flush=True)
        rows.append(row)
    ratios = [row["ratio"] for row in rows if "ratio" in row]
    if ratios:
        print(f"geometric mean {statistics.geometric_mean(ratios):.2f}, worst {max(ratios):.2f} (to be 0.80 at most)")
    return rows


def startup(libraries, threads, rounds=9):
    """Milliseconds until a fresh interpreter has imported the library, less those of an empty script."""
    times = {statement: [] for statement in ["pass", *(f"import {library}" for library in libraries)]}
    for _ in range(rounds):
        for statement, spent in times.items():
            start = time.perf_counter()
            fresh(["-c", statement], threads)
            spent.append((time.perf_counter() - start) * 1e3)
    bare = statistics.median(times["pass"])
    rows = []
    for library in libraries:
        spent = times[f"import {library}"]
        code = f"import {library}; print([line for line in open('/proc/self/status') if line.startswith('VmRSS')][0])"
        resident = int(fresh(["-c", code], threads).split()[1]) / 1024
        rows.append({"library": library, "ms": statistics.median(spent) - bare, "best_ms": min(spent) - bare,
                     "resident": resident})
        print(f"import {library:<16}{rows[-1]['ms']:>8.0f} ms (best {rows[-1]['best_ms']:.0f}), {resident:.0f} MiB "
              f"resident; python alone {bare:.0f} ms", flush=True)
    return rows
