"""Batch norm against the memory's speed: `./dev bench traffic`.

Forward must read x and write y: 8 bytes an element; backward must read x and dy and write dx: 12. The bound is the time
of the plainest operation that does the same to arrays of the same size, the faster of two: this library's and NumPy's
(a copy; a sum of two arrays; both with the threads that they have). 100 % is a pass at that speed and nothing else.
"""

import itertools
import sys
import time
from pathlib import Path

import numpy as np

SHAPES = ((32, 64, 56, 56), (32, 64, 28, 28), (128, 16, 32, 32), (8, 512, 7, 7), (4096, 256))


def best(bodies, rounds):
    """The least time of each body; they take turns.

    Before each, something larger than the caches is read: nobody finds operands there, or has to wait until the results
    of the one before are written back to memory.
    """
    times = [float("inf")] * len(bodies)
    other = np.ones(1 << 24, np.float32)
    for _ in range(rounds):
        for i, body in enumerate(bodies):
            other.max()
            start = time.perf_counter()
            body()
            times[i] = min(times[i], time.perf_counter() - start)
    return times


def measure(t, shape, last, rounds=30):
    """Seconds of a copy, forward, a sum of two arrays, and backward."""
    layout = {"memory_format": t.channels_last} if last else {}
    x, g, out = (t.randn(*shape).contiguous(**layout) for _ in range(3))
    layer = (t.nn.BatchNorm2d if len(shape) == 4 else t.nn.BatchNorm1d)(shape[1])
    x.requires_grad_()
    y, plain, wanted = layer(x), x.detach(), [x, *layer.parameters()]
    a, b, c = (np.ones(x.numel(), np.float32) for _ in range(3))
    copy, np_copy, add, np_add, forward, backward = best(
        [
            lambda: out.copy_(plain),
            lambda: np.copyto(c, a),
            lambda: t.add(plain, g, out=out),
            lambda: np.add(a, b, out=c),
            lambda: layer(plain).data_ptr(),  # asked for, so that nothing waits
            lambda: t.autograd.grad(y, wanted, g, retain_graph=True),
        ],
        rounds,
    )
    return min(copy, np_copy), forward, min(add, np_add), backward


def main():
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import minitorch_bn as t

    t.set_num_threads(2)
    print(f"{'shape':<34}{'copy':>9}{'forward':>9}{'':>7}{'sum':>9}{'backward':>9}")
    for shape, last in itertools.product(SHAPES, (False, True)):
        if last and len(shape) < 4:
            continue
        copy, forward, add, backward = measure(t, shape, last)
        name = " x ".join(map(str, shape)) + (" channels last" if last else "")
        times = "".join(f"{v * 1e6:>9.0f}" for v in (copy, forward)) + f"{copy / forward:>7.0%}"
        times += "".join(f"{v * 1e6:>9.0f}" for v in (add, backward)) + f"{add / backward:>7.0%}"
        print(f"{name:<34}{times}")


if __name__ == "__main__":
    main()
