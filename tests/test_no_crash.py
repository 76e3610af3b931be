"""Whatever is passed to whatever public function, Python stays alive: it returns, or raises an ordinary exception."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

import minitorch_bn as torch

SCRIPT = """
import faulthandler, random, sys, warnings
faulthandler.enable()
warnings.simplefilter("ignore")
import minitorch_bn as torch
import minitorch_bn.nn.functional as F
from minitorch_bn import ops
rng = random.Random(int(sys.argv[1]))
def tensors():
    f, i, b = torch.float32, torch.int64, torch.bool
    yield torch.randn(rng.randrange(4))
    yield torch.randn(rng.randrange(3), rng.randrange(4))
    yield torch.randn(2, 3, 4).transpose(0, 2)[1:]
    yield torch.randn(1, 2, 5, 5, requires_grad=True)
    yield torch.randn(3, 1).expand(3, 4)
    yield torch.tensor(rng.choice([0.0, float("nan"), float("inf"), -1.5]))
    yield torch.randint(-5, 5, (rng.randrange(4), 2))
    yield torch.tensor([2 ** 62, -2 ** 63, 0])
    yield torch.rand(2, 3) > 0.5
    yield torch.zeros(0, 3)
    yield torch.randn(2, 2).half()
    yield torch.randn(3).double()
OTHERS = [None, 0, 1, -1, 2, 7, -2 ** 63, 2 ** 63 - 1, 2 ** 70, 0.5, -1.5, float("nan"), float("inf"), True, "sum", "",
          (), (0,), (1, -1), (2, 2), [3, -4], [[1], [2]], (2 ** 40, 2 ** 40), torch.float64, torch.int32, slice(None),
          object(), b"x", {}, 1j]
NOT_CALLED = ("__class__", "__init_subclass__", "__subclasshook__", "__new__")
MAKERS = ("zeros", "full", "arange", "linspace", "eye", "tensor", "empty", "where", "from_numpy", "frombuffer",
          "from_dlpack", "as_tensor")
functions = dict(ops.FUNCTIONS)
functions.update({"F." + n: getattr(F, n) for n in dir(F) if not n.startswith("_") and callable(getattr(F, n))})
functions.update({"T." + n: getattr(torch.Tensor, n) for n in dir(torch.Tensor)
                  if callable(getattr(torch.Tensor, n)) and n not in NOT_CALLED})
functions.update({n: getattr(torch, n) for n in MAKERS})
names = sorted(functions)
calls = 0
for name in names:
    for _ in range(int(sys.argv[2])):
        pool = list(tensors())
        args = [rng.choice(pool) if rng.random() < 0.6 else rng.choice(OTHERS)
                for _ in range(rng.randrange(1, 5))]
        if name.startswith("T."):
            args[0] = rng.choice(pool)
        shown = [tuple(a.shape) if isinstance(a, torch.Tensor) else a for a in args]
        print(name, shown, file=sys.stderr)   # the last line tells which call it was
        try:
            y = functions[name](*args)
            if isinstance(y, torch.Tensor) and y.requires_grad and y.numel():
                y.sum().backward()
        except (TypeError, ValueError, RuntimeError, IndexError, MemoryError, AttributeError, KeyError, BufferError,
                ZeroDivisionError, OverflowError, AssertionError, ImportError):
            pass
        calls += 1
assert (torch.ones(3) + 1).tolist() == [2, 2, 2]
print(calls)
"""


@pytest.mark.parametrize("seed", range(2))
def test_no_call_ends_the_process(seed):
    """Thousands of calls with arguments of every kind, in a process of their own."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(seed), "6"], cwd=Path(__file__).parent,
                          capture_output=True, text=True, timeout=300, check=False,
                          env=dict(os.environ, PYTHONPATH=str(Path(torch.__file__).parent.parent)))
    assert done.returncode == 0, "\n".join(done.stderr.splitlines()[-40:])
    assert int(done.stdout) > 3000
