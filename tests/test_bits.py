"""The same bits: whatever the number of threads, the instruction-set level, or the batch that a row is in."""
import os
import subprocess
import sys
from pathlib import Path

import digest
import pytest
from digest import FAMILIES, LARGE, LOOPS, at, family_digest, loop_digest, noise, random_digest, row_digest, settings

import minitorch_bn as torch
import minitorch_bn.nn.functional as F
from minitorch_bn import nn
from minitorch_bn._optable import ROWS


def everywhere(function, *args):
    """The results of a function at every level and number of threads, as {result: [where]}."""
    results = {}
    for level, threads in settings():
        with at(level, threads):
            results.setdefault(function(*args), []).append((level, threads))
    return results


@pytest.mark.parametrize("start", range(0, len(ROWS), 12))
def test_rows_of_the_op_table(start):
    for row in ROWS[start:start + 12]:
        size = LARGE if digest.runtime.get_level() != "generic" else 1000
        results = everywhere(row_digest, row, size)
        assert len(results) == 1, (row.name, list(results.values()))


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name):
    results = everywhere(family_digest, name)
    assert len(results) == 1, list(results.values())


def test_random_numbers():
    assert len(everywhere(random_digest)) == 1


@pytest.mark.parametrize("name", LOOPS)
def test_training(name):
    results = everywhere(loop_digest, name)
    assert len(results) == 1, list(results.values())


def test_the_digest_sees_one_bit():
    x = noise(LARGE)
    y = x.clone()
    y[LARGE // 2] = torch.nextafter(y[LARGE // 2], torch.tensor(9.0))
    h, g = digest.hashlib.sha256(), digest.hashlib.sha256()
    digest.add(h, x)
    digest.add(g, y)
    assert h.hexdigest() != g.hexdigest()


ROWWISE = {
    "linear": (lambda: nn.Linear(300, 97), (300,)),
    "conv": (lambda: nn.Conv2d(5, 19, 3, padding=1), (5, 13, 13)),
    "conv by tiles": (lambda: nn.Conv2d(16, 19, 3, padding=1), (16, 13, 13)),
    "conv by panels": (lambda: nn.Conv2d(8, 80, 3, padding=1), (8, 3, 3)),
    "batch norm": (lambda: nn.BatchNorm2d(5), (5, 13, 13)),
    "layer norm": (lambda: nn.LayerNorm(300), (300,)),
    "softmax": (lambda: nn.Softmax(-1), (300,)),
    "net": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 33),
                                  nn.GELU(), nn.Linear(33, 10)), (3, 8, 8)),
    "depthwise": (lambda: nn.Conv2d(8, 8, 3, groups=8), (8, 13, 13)),
}


@pytest.mark.parametrize("name", ROWWISE)
def test_a_row_is_the_same_alone_and_in_a_batch(name):
    make, shape = ROWWISE[name]
    torch.manual_seed(1)
    model = make().eval()
    x = noise(67, *shape)
    with torch.no_grad():
        together = model(x)
        for rows in (slice(0, 1), slice(3, 4), slice(66, 67), slice(5, 12), slice(0, 33)):
            assert torch.equal(model(x[rows]), together[rows])


CHILD = """
import os, sys
import minitorch_bn as torch
from digest import loop_digest, LOOPS
torch.set_num_threads(2)
want = loop_digest("CNN", 2)
x = torch.ones(300, 300, requires_grad=True)
loss = (x @ x * 0.01).exp().sum()
pid = os.fork()
loss.backward()
ok = loop_digest("CNN", 2) == want and bool((x.grad > 0).all() and torch.isfinite(x.grad).all())
if pid == 0:
    os._exit(0 if ok else 1)
_, status = os.waitpid(pid, 0)
sys.exit(0 if ok and status == 0 else 1)
"""


def test_a_forked_child_trains_on():
    """libgomp's threads do not survive a fork: the child must go on serially, with the same bits, and not hang."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", CHILD], cwd=Path(__file__).parent, timeout=120,
                          check=False, env=dict(os.environ, PYTHONPATH=str(Path(torch.__file__).parent.parent)))
    assert done.returncode == 0


def test_gradients_do_not_depend_on_the_order_of_threads():
    x, w = noise(64, 300), noise(97, 300, seed=1).requires_grad_()
    first = None
    for _ in range(5):
        g, = torch.autograd.grad(F.linear(x, w).square().sum(), w)
        first = g if first is None else first
        assert torch.equal(first, g)
