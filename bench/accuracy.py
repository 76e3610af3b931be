"""How far batch norm is from float64, beside PyTorch: `./dev bench accuracy`.

Channels of normal numbers with mean `ratio` and deviation 1, in every memory layout. The errors are the worst over all
channels: of the variance, relative; of the normalized output, absolute. Each library runs in a process of its own.
"""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve()
LAYOUTS = {  # name: shape (N, C, ...), channels last in memory
    "NCHW": ((16, 8, 28, 28), False),
    "NHWC": ((16, 8, 28, 28), True),
    "NC": ((20000, 8), False),
    "NCL": ((16, 8, 1000), False),
    "NCDHW": ((4, 8, 8, 20, 20), False),
    "NDHWC": ((4, 8, 8, 20, 20), True),
}
RATIOS = (1.0, 1e2, 1e4, 1e5, 1e6)
THREADS = (1, 2, 3, 4)


def worker(library):
    """Print the errors of one library: {layout: {ratio: {threads: [variance, output]}}}."""
    t = importlib.import_module(library)
    result = {}
    for layout, (shape, last) in LAYOUTS.items():
        dims = (0, *range(2, len(shape)))
        for ratio in RATIOS:
            a = (np.random.default_rng(0).standard_normal(shape) + ratio).astype(np.float32)
            wide = a.astype(np.float64)
            mean, count = wide.mean(dims, keepdims=True), a.size // shape[1]
            var = ((wide - mean) ** 2).mean(dims, keepdims=True)
            y = (wide - mean) / np.sqrt(var + 1e-5)
            x = t.from_numpy(np.ascontiguousarray(np.moveaxis(a, 1, -1))).movedim(-1, 1) if last else t.from_numpy(a)
            for threads in THREADS:
                t.set_num_threads(threads)
                running = t.zeros(shape[1])
                out = t.nn.functional.batch_norm(x, t.zeros(shape[1]), running, training=True, momentum=1.0)
                found = running.numpy() * ((count - 1) / count)
                errors = [np.abs(found / var.ravel() - 1).max(), np.abs(out.numpy() - y).max()]
                result.setdefault(layout, {}).setdefault(ratio, {})[threads] = [float(e) for e in errors]
    print(json.dumps(result))


def measure(library):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(HERE.parent.parent), *sys.path]))
    command = [sys.executable, str(HERE), library]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def main():
    libraries = ["minitorch_bn", *(["torch"] if importlib.util.find_spec("torch") else [])]
    results = {library: measure(library) for library in libraries}
    print("worst relative error of the variance / worst absolute error of the output")
    heads = "".join(f"{n} thread{'s' * (n > 1)}".rjust(20) for n in THREADS)
    print(f"{'layout':<7}{'ratio':>6}  {'library':<13}{heads}")
    for layout in LAYOUTS:
        for ratio in map(str, RATIOS):
            for library in libraries:
                cells = results[library][layout][ratio]
                row = "".join(f"{cells[str(n)][0]:>10.1e} /{cells[str(n)][1]:>8.1e}" for n in THREADS)
                print(f"{layout:<7}{float(ratio):>6.0e}  {library:<13}{row}")
    for library in libraries:
        cells = [c for ratios in results[library].values() for threads in ratios.values() for c in threads.values()]
        print(f"{library}: worst {max(c[0] for c in cells):.1e} / {max(c[1] for c in cells):.1e}")


if __name__ == "__main__":
    worker(sys.argv[1]) if len(sys.argv) > 1 else main()
