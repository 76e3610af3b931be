"""Workers of the DataLoader, processes and threads: errors, seeds, values on their way, and that all of them end."""

import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from loading import KINDS, Squares, listed, wait_for_no_workers, workers_left

import minitorch_bn as mt
from minitorch_bn.utils import data
from minitorch_bn.utils.data import DataLoader

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


@pytest.mark.parametrize("workers, kind", [(0, None), (2, None), (2, "thread")])
def test_exception_of_a_worker_comes_with_its_traceback(workers, kind):
    iterator = iter(DataLoader(Squares(9, fails_at=4), 3, num_workers=workers, multiprocessing_context=kind))
    next(iterator)
    with pytest.raises(ValueError, match="no item 4") as info:
        next(iterator)
    if workers and kind is None:
        text = str(info.value)
        assert text.startswith("Caught ValueError in DataLoader worker process 1.\nOriginal Traceback (most recent")
        assert "in __getitem__" in text and text.endswith("ValueError: no item 4\n")
    else:
        assert any("__getitem__" in entry.name for entry in info.traceback)
    if workers:
        assert next(iterator)[0].tolist() == [6.0, 7.0, 8.0]  # the others go on
    del iterator, info
    wait_for_no_workers()


class Awkward(Exception):
    """Needs two arguments."""

    def __init__(self, a, b):
        super().__init__(a, b)


class Raises(data.Dataset):
    def __len__(self):
        return 5

    def __getitem__(self, i):
        if i == 0:
            return {}["no key"]
        if i == 1:
            raise Awkward(1, 2)
        if i == 4:
            class Local(Exception):
                """Cannot be pickled."""
            raise Local("secret")
        if i == 2:
            return lambda: None  # cannot be pickled
        if i == 3:
            time.sleep(0.3)  # the answers before this one are still being written
            os._exit(3)
        return i


def test_every_kind_of_error_reaches_the_loader():
    iterator = iter(DataLoader(Raises(), None, num_workers=1, collate_fn=lambda item: item))
    with pytest.raises(KeyError, match=r"KeyError in DataLoader worker process 0(.|\n)*no key") as info:
        next(iterator)
    assert "\\n" not in str(info.value)
    with pytest.raises(RuntimeError, match=r"Caught Local(.|\n)*secret"):
        next(iter(DataLoader(Raises(), None, num_workers=1, sampler=[4])))
    with pytest.raises(RuntimeError, match="Caught Awkward"):
        next(iterator)
    with pytest.raises((AttributeError, pickle.PicklingError), match=r"pickle|local object"):
        next(iterator)
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly") as info:
        next(iterator)
    assert "with exit code 3." in str(info.value.__cause__)
    wait_for_no_workers()


def test_killed_worker_is_reported():
    iterator = iter(DataLoader(Squares(100, 0.01), 2, num_workers=2))
    next(iterator)
    for pid in iterator._workers.pids:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly") as info:
        for _ in iterator:
            pass
    assert "is killed by signal: Killed." in str(info.value.__cause__)
    wait_for_no_workers()


@pytest.mark.parametrize("kind", KINDS)
def test_abandoned_iteration_leaves_no_worker(kind):
    iterator = iter(DataLoader(Squares(1000, 0.001), 2, num_workers=3, multiprocessing_context=kind))
    next(iterator)
    assert len(workers_left()) == 3
    del iterator
    wait_for_no_workers()


@pytest.mark.parametrize("kind", KINDS)
def test_persistent_workers_and_init(kind):
    started = multiprocessing.get_context("fork").SimpleQueue()
    loader = DataLoader(Squares(6), 2, num_workers=2, persistent_workers=True, worker_init_fn=started.put,
                        multiprocessing_context=kind)
    first = listed(loader)
    iterator = iter(loader)
    assert first == listed(loader) and sorted([started.get(), started.get()]) == [0, 1] and started.empty()
    assert iter(loader) is iterator
    next(iter(loader))  # abandoned: the next epoch is whole again
    assert listed(loader) == first
    del loader, iterator
    wait_for_no_workers()
    failing = DataLoader(Squares(6), 2, num_workers=1, worker_init_fn=lambda i: 1 / 0, multiprocessing_context=kind)
    with pytest.raises(ZeroDivisionError):
        list(failing)


class Info(Squares):
    def __getitem__(self, i):
        info = data.get_worker_info()
        assert info.dataset is self and info.num_workers == 2
        return info.id, info.seed, random.random(), np.random.rand(), mt.rand(()).item(), mt.get_num_threads()


def test_worker_info_and_seeds():
    def fetch(kind, generator_seed):
        generator = mt.Generator()
        generator.manual_seed(generator_seed)
        loader = DataLoader(Info(8), None, num_workers=2, generator=generator, multiprocessing_context=kind)
        return list(loader)

    items = fetch(None, 0)
    assert [item[0] for item in items] == [0, 1] * 4 and {item[5] for item in items} == {1}
    assert items[1][1] == items[0][1] + 1
    for column in range(2, 5):
        assert len({item[column] for item in items}) == 8  # two streams, neither the other's
    assert fetch(None, 0) == items != fetch(None, 1)
    words = np.random.SeedSequence([1, items[0][1] & 0xFFFFFFFF, items[0][1] >> 32, 0]).generate_state(4)
    assert items[1][3] == np.random.RandomState(words).rand()
    assert [item[0] for item in fetch("thread", 0)] == [0, 1] * 4
    assert data.get_worker_info() is None


class Mixed(data.Dataset):
    """Large and small values of many kinds."""

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return {"large": mt.full((300, 100), i, dtype=mt.bfloat16), "small": mt.tensor([i, -i]),
                "array": np.full((200, 200), i), "strided": mt.arange(80000.0).reshape(200, 400).T[i:],
                "empty": mt.zeros(0, 3), "text": f"item {i}", "flag": mt.tensor(True), "none": None,
                "parameter": mt.nn.Parameter(mt.ones(2)), "grad": mt.ones(2, requires_grad=True)}


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_values_arrive_from_processes_as_they_were(start):
    loader = DataLoader(Mixed(), None, num_workers=1, multiprocessing_context=start, collate_fn=_same)
    for i, item in enumerate(loader):
        for key, value in Mixed()[i].items():
            got = item[key]
            assert type(got) is type(value)
            if isinstance(value, mt.Tensor):
                assert got.dtype == value.dtype and got.shape == value.shape and mt.equal(got, value)
                assert got.requires_grad == value.requires_grad
                got.detach().add_(0) if got.dtype != mt.bool else None  # writable
            elif isinstance(value, np.ndarray):
                assert (got == value).all() and got.flags.writeable
            else:
                assert got == value
    wait_for_no_workers()


def _same(item):
    return item


class Heavy(data.Dataset):
    """Items that take kernels to make."""

    def __len__(self):
        return 24

    def __getitem__(self, i):
        x = mt.arange(64.0 * 64).reshape(64, 64) / 4096 + i
        return mt.nn.functional.conv2d((x @ x)[None, None], mt.ones(1, 1, 3, 3))[0]


def test_parent_computes_with_threads_while_forked_workers_do():
    mt.nn.Linear(64, 64)(mt.randn(512, 64)).sum().backward()  # the threads of this process exist before the fork
    layer = mt.nn.Linear(62, 62)
    for _ in range(2):
        for i, batch in enumerate(DataLoader(Heavy(), 4, num_workers=2)):
            assert mt.equal(batch, mt.stack([Heavy()[4 * i + k] for k in range(4)]))
            (layer(batch) * 1e-3).square().mean().backward()
    wait_for_no_workers()


def test_batches_as_they_are_ready():
    for kind in KINDS:
        loader = DataLoader(Waiting(), None, num_workers=2, in_order=False, multiprocessing_context=kind)
        got = list(loader)
        assert got[:2] == [1, 3] and sorted(got) == list(range(6))  # worker 0 has 0 and 2, and gets no more


class Waiting(data.Dataset):
    """Item 0 comes after item 5."""

    def __init__(self):
        self.last = multiprocessing.get_context("fork").Event()

    def __len__(self):
        return 6

    def __getitem__(self, i):
        if i == 0:
            assert self.last.wait(20)
        if i == 5:
            self.last.set()
        return i


def _script(body):
    root = Path(mt.__file__).resolve().parent.parent
    code = """
        import os, signal, sys, time
        import minitorch_bn as mt
        from minitorch_bn.utils.data import DataLoader, Dataset
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
        class Slow(Dataset):
            def __len__(self): return 100
            def __getitem__(self, i):
                time.sleep(0.05)
                return mt.full((50000,), float(i))
    """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code) + textwrap.dedent(body)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
                            cwd=Path(__file__).parent, env=dict(os.environ, PYTHONPATH=str(root)))


def _gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


LOOP = """
    iterator = iter(DataLoader(Slow(), 1, num_workers=2))
    next(iterator)
    print(*iterator._workers.pids, flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("end", ["leave", "interrupt", "kill"])
def test_workers_end_with_the_program(end):
    last = {"leave": "", "interrupt": "    for _ in iterator: pass", "kill": "    time.sleep(60)"}
    process = _script(LOOP + last[end])
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2
    if end == "interrupt":
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    elif end == "kill":
        process.kill()
    _, errors = process.communicate(timeout=15)
    deadline = time.monotonic() + 8
    while not all(map(_gone, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if end == "leave":
        assert process.returncode == 0 and errors == ""
    elif end == "interrupt":
        assert errors.count("KeyboardInterrupt") == 1 and "Process DataLoader" not in errors


@pytest.mark.parametrize("kind", KINDS)
def test_timeout(kind):
    iterator = iter(DataLoader(Squares(4, delay=0.2), 4, num_workers=1, timeout=0.05, multiprocessing_context=kind))
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0\.05 seconds"):
        next(iterator)


def test_random_orders_and_worker_seeds_are_pytorchs():
    """Under PyTorch's stream of random numbers, everything that the loader draws is what PyTorch's draws."""
    torch = pytest.importorskip("torch")

    def drawn(lib):
        options = {"stream": "torch"} if lib is mt else {}
        lib.manual_seed(3, **options)
        loading = lib.utils.data

        class Seeds(loading.Dataset):
            def __len__(self):
                return 4

            def __getitem__(self, i):
                return loading.get_worker_info().seed, lib.rand(2).tolist(), random.random(), np.random.rand()

        lists = [list(sampler) for sampler in (
            loading.RandomSampler(range(10)), loading.RandomSampler(range(10), True, 40),
            loading.RandomSampler(range(5), num_samples=12), loading.SubsetRandomSampler(range(5, 15)),
            loading.WeightedRandomSampler([0.1, 0.2, 0.7], 20), loading.WeightedRandomSampler([0.1, 0.9], 2, False),
            loading.DistributedSampler(range(11), 2, 0, seed=3))]
        lists += [list(part) for part in loading.random_split(range(10), [0.5, 0.5])]
        lists.append(list(loading.DataLoader(Seeds(), None, num_workers=2)))
        generator = lib.Generator()
        generator.manual_seed(5, **options)
        for loader in (loading.DataLoader(range(10), 3, shuffle=True),
                       loading.DataLoader(range(8), 4, shuffle=True, generator=generator)):
            lists += [[batch.tolist() for batch in loader] for _ in range(2)]
        return lists

    try:
        assert drawn(mt) == drawn(torch)
    finally:
        mt.manual_seed(0, stream="philox")
