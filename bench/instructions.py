"""How many instructions a call takes, counted by callgrind: free of noise, so that a small step back shows.

A case runs N calls in one process and 2N in another; the difference, over N, is what a call costs without the import.
`python bench/instructions.py --accept` writes ceilings for the tests, 5% above the counts.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
CEILINGS = HERE / "instructions.json"
CALLS = 2000
# name -> (preparation, statement); t is minitorch_bn
CASES = {
    "a + b": ("a, b = t.randn(8), t.randn(8)", "a + b"),
    "a + b, recorded": ("a, b = t.randn(8, requires_grad=True), t.randn(8)", "a + b"),
    "a.add_(b)": ("a, b = t.zeros(8), t.zeros(8)", "a.add_(b)"),
    "a[2]": ("a = t.randn(4, 8)", "a[2]"),
    "a[1:3, ::2]": ("a = t.randn(4, 8)", "a[1:3, ::2]"),
    "a.item()": ("a = t.tensor(1.5)", "a.item()"),
    "zeros(8)": ("zeros = t.zeros", "zeros(8)"),
    "a.sum()": ("a = t.randn(8)", "a.sum()"),
    "a.reshape(8, 4)": ("a = t.randn(4, 8)", "a.reshape(8, 4)"),
    "a @ b": ("a, b = t.randn(8, 8), t.randn(8, 8)", "a @ b"),
    "Linear(8, 8)": ("t.set_grad_enabled(False); f, x = t.nn.Linear(8, 8), t.randn(1, 8)", "f(x)"),
    "two operations and backward": ("a, b = t.randn(8, requires_grad=True), t.randn(8)",
                                    "(a * b).sum().backward(); a.grad = None"),
    "a step of SGD, 8 tensors": ("p = [t.nn.Parameter(t.randn(8)) for _ in range(8)]\n"
                                 "for q in p: q.grad = t.randn(8)\n"
                                 "o = t.optim.SGD(p, lr=0.1, momentum=0.9)", "o.step()"),
}


def executed(prepare, statement, calls):
    """Instructions of a process that imports the package, prepares, and makes so many calls."""
    code = f"import minitorch_bn as t\nt.set_num_threads(1)\n{prepare}\nfor _ in range({calls}):\n    {statement}\n"
    spec = importlib.util.find_spec("minitorch_bn")  # the copy that this process would import; else the checkout's
    place = Path(spec.origin).parent.parent if spec and spec.origin else HERE.parent
    environment = dict(os.environ, OMP_NUM_THREADS="1", PYTHONHASHSEED="0", MTB_ISA="v3", PYTHONPATH=str(place))
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", sys.executable, "-c", code]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise RuntimeError(done.stderr[-500:])
    return int(found[1])


def count(name):
    """Instructions of one call."""
    prepare, statement = CASES[name]
    return round((executed(prepare, statement, 2 * CALLS) - executed(prepare, statement, CALLS)) / CALLS)


def available():
    return shutil.which("valgrind") is not None


def run(pattern="", names=None):
    """Count the cases, print each beside its ceiling, return the counts."""
    if not available():
        print("valgrind is not installed: no counts of instructions")
        return {}
    ceilings = json.loads(CEILINGS.read_text()) if CEILINGS.exists() else {}
    names = [name for name in names or CASES if pattern in name]
    with ThreadPoolExecutor(2) as pool:
        counts = dict(zip(names, pool.map(count, names)))
    for name, value in counts.items():
        print(f"{name:<32}{value:>8} instructions{ceilings.get(name, 0):>10} allowed")
    return counts


if __name__ == "__main__":
    counted = run()
    if "--accept" in sys.argv:
        CEILINGS.write_text(json.dumps({name: int(value * 1.05) for name, value in counted.items()}, indent=1) + "\n")
