"""Datasets, samplers, collation and the DataLoader: the same batches whatever the workers, no thread left behind."""

import collections
import gc
import pickle
import threading
import time

import numpy as np
import pytest

import minitorch_bn as mt
from minitorch_bn.utils import data
from minitorch_bn.utils.data import DataLoader, TensorDataset


class Squares(data.Dataset):
    """Item i is (i, i**2)."""

    def __init__(self, length, delay=0.0, fails_at=None):
        self.length, self.delay, self.fails_at = length, delay, fails_at

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        if i == self.fails_at:
            raise ValueError(f"no item {i}")
        time.sleep(self.delay * (i % 3))
        return mt.tensor(float(i)), i * i


class Count(data.IterableDataset):
    """0, 1, 2, ...; each of several workers takes every n-th number."""

    def __init__(self, length):
        self.length = length

    def __iter__(self):
        info = data.get_worker_info()
        return iter(range(self.length) if info is None else range(info.id, self.length, info.num_workers))


def _loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("DataLoader")]


def _wait_for_no_threads():
    deadline = time.monotonic() + 5
    while _loader_threads():
        assert time.monotonic() < deadline, _loader_threads()
        gc.collect()
        time.sleep(0.01)


def _listed(batches):
    return [[column.tolist() for column in batch] for batch in batches]


@pytest.mark.parametrize("options", [
    {"batch_size": 4}, {"batch_size": 3, "drop_last": True}, {"batch_size": 5, "shuffle": True},
    {"batch_size": 2, "sampler": [3, 1, 4, 1, 5]}, {"batch_sampler": [[0, 1], [9], [2, 3, 4]]}])
def test_batches_do_not_depend_on_workers(options):
    runs = []
    for workers in (0, 1, 2, 3):
        mt.manual_seed(7)
        loader = DataLoader(Squares(10, 0.001), num_workers=workers, **options)
        runs.append([_listed(loader), _listed(loader)])
        assert len(runs[0][0]) == len(loader)
    assert all(run == runs[0] for run in runs)
    if options.get("shuffle"):
        assert runs[0][0] != runs[0][1]
        assert sorted(x for batch in runs[0][0] for x in batch[0]) == [float(i) for i in range(10)]
    _wait_for_no_threads()


def test_generator_fixes_the_order():
    orders = []
    for workers in (0, 2):
        generator = mt.Generator()
        generator.manual_seed(3)
        loader = DataLoader(Squares(10), 10, shuffle=True, num_workers=workers, generator=generator)
        orders.append(_listed(loader))
    assert orders[0] == orders[1]


def test_tensor_dataset_batches_and_subsets():
    dataset = TensorDataset(mt.arange(10.0).reshape(5, 2), mt.arange(5))
    x, y = next(iter(DataLoader(dataset, 3)))
    assert x.tolist() == [[0, 1], [2, 3], [4, 5]] and y.tolist() == [0, 1, 2] and y.dtype == mt.int64
    subset = data.Subset(dataset, [4, 2])
    assert _listed(DataLoader(subset, 2)) == [[[[8.0, 9.0], [4.0, 5.0]], [4, 2]]]
    assert len(subset) == 2 and subset[0][1].item() == 4 and subset.__getitems__([1])[0][1].item() == 2

    class Negative(TensorDataset):
        def __getitem__(self, index):
            return tuple(-t for t in super().__getitem__(index))

    assert _listed(DataLoader(Negative(mt.arange(2)), 2)) == [[[0, -1]]]
    with pytest.raises(AssertionError, match="Size mismatch"):
        TensorDataset(mt.zeros(2), mt.zeros(3))


def test_exception_of_a_worker_comes_with_its_traceback():
    for workers in (0, 2):
        iterator = iter(DataLoader(Squares(9, fails_at=4), 3, num_workers=workers))
        next(iterator)
        with pytest.raises(ValueError, match="no item 4") as info:
            next(iterator)
        assert any("__getitem__" in entry.name for entry in info.traceback)
        if workers:
            assert next(iterator)[0].tolist() == [6.0, 7.0, 8.0]  # the others go on
        del iterator, info
    _wait_for_no_threads()


def test_abandoned_iteration_leaves_no_thread():
    iterator = iter(DataLoader(Squares(1000, 0.001), 2, num_workers=3))
    next(iterator)
    assert len(_loader_threads()) == 3
    del iterator
    _wait_for_no_threads()


def test_persistent_workers_and_init():
    started = []
    loader = DataLoader(Squares(6), 2, num_workers=2, persistent_workers=True, worker_init_fn=started.append)
    first = _listed(loader)
    assert first == _listed(loader) and sorted(started) == [0, 1]
    next(iter(loader))  # abandoned: the next epoch is whole again
    assert _listed(loader) == first
    del loader
    _wait_for_no_threads()
    failing = DataLoader(Squares(6), 2, num_workers=1, worker_init_fn=lambda i: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(failing)


def test_worker_info():
    class Info(Squares):
        def __getitem__(self, i):
            info = data.get_worker_info()
            assert info.dataset is self and info.num_workers == 2
            return info.id

    assert [batch.tolist() for batch in DataLoader(Info(8), 2, num_workers=2)] == [[0, 0], [1, 1], [0, 0], [1, 1]]
    assert data.get_worker_info() is None


def test_iterable_dataset():
    assert [b.tolist() for b in DataLoader(Count(5), 2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in DataLoader(Count(5), 2, drop_last=True)] == [[0, 1], [2, 3]]
    assert list(DataLoader(Count(3), None)) == [0, 1, 2]
    batches = [b.tolist() for b in DataLoader(Count(10), 2, num_workers=2)]
    assert batches == [[0, 2], [1, 3], [4, 6], [5, 7], [8], [9]]
    uneven = [b.tolist() for b in DataLoader(Count(7), 1, num_workers=3)]
    assert sorted(x for batch in uneven for x in batch) == list(range(7))
    chained = Count(2) + Count(3)
    assert list(chained) == [0, 1, 0, 1, 2]
    _wait_for_no_threads()


def test_iterable_dataset_of_a_known_wrong_length_warns():
    class Lying(Count):
        def __len__(self):
            return 2

    with pytest.warns(UserWarning, match="was reported to be 2"):
        assert len(list(DataLoader(Lying(3), None))) == 3


def test_timeout():
    iterator = iter(DataLoader(Squares(4, delay=1.0), 4, num_workers=1, timeout=0.05))
    with pytest.raises(RuntimeError, match="timed out after"):
        next(iterator)


def test_collate():
    Point = collections.namedtuple("Point", "x y")
    batch = data.default_collate([{"a": 1, "b": (1.5, "s"), "c": Point(np.float32(1), [mt.ones(2)])}] * 2)
    assert batch["a"].dtype == mt.int64 and batch["a"].tolist() == [1, 1]
    assert batch["b"][0].dtype == mt.float64 and batch["b"][1] == ("s", "s")
    assert isinstance(batch["c"], Point) and batch["c"].x.dtype == mt.float32 and batch["c"].y[0].shape == (2, 2)
    assert data.default_collate([np.ones(2), np.zeros(2)]).tolist() == [[1, 1], [0, 0]]
    assert data.default_collate([True, False]).dtype == mt.bool
    with pytest.raises(TypeError, match="default_collate: batch must contain tensors"):
        data.default_collate([object()])
    with pytest.raises(TypeError, match="found <U1"):
        data.default_collate([np.array(["a"])])
    with pytest.raises(RuntimeError, match="equal size"):
        data.default_collate([[1], [1, 2]])
    converted = data.default_convert({"a": np.ones(2), "b": [1, "x"]})
    assert isinstance(converted["a"], mt.Tensor) and converted["b"] == [1, "x"]
    assert DataLoader([1, 2], 2, collate_fn=sum).__iter__().__next__() == 3


def test_samplers():
    mt.manual_seed(0)
    assert sorted(data.RandomSampler(range(6))) == list(range(6))
    drawn = list(data.RandomSampler(range(3), num_samples=8))
    assert len(drawn) == 8 and sorted(drawn[:3]) == [0, 1, 2]
    with_replacement = list(data.RandomSampler(range(3), replacement=True, num_samples=50))
    assert len(with_replacement) == 50 and set(with_replacement) == {0, 1, 2}
    assert sorted(data.SubsetRandomSampler([5, 7, 9])) == [5, 7, 9]
    weighted = list(data.WeightedRandomSampler([0.0, 1.0, 3.0], 400))
    assert 0 not in weighted and 0.6 < weighted.count(2) / 400 < 0.9
    assert sorted(data.WeightedRandomSampler([1, 1, 1], 3, replacement=False)) == [0, 1, 2]
    assert list(data.BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert len(data.BatchSampler(range(5), 2, True)) == 2
    for make in (lambda: data.BatchSampler(range(3), 0, False), lambda: data.BatchSampler(range(3), 1, 2),
                 lambda: data.RandomSampler(range(3), num_samples=-1),
                 lambda: data.WeightedRandomSampler([[1.0]], 2)):
        with pytest.raises(ValueError):
            make()


def test_combined_datasets():
    both = Squares(3) + Squares(2)
    assert len(both) == 5 and [both[i][1] for i in range(5)] == [0, 1, 4, 0, 1] and both[-1][1] == 1
    with pytest.raises(IndexError):
        both[5]
    with pytest.raises(ValueError):
        both[-6]
    stacked = data.StackDataset(a=[1, 2], b=[3, 4])
    assert stacked[1] == {"a": 2, "b": 4} and data.StackDataset([1, 2], [3, 4])[0] == (1, 3) and len(stacked) == 2
    generator = mt.Generator()
    generator.manual_seed(1)
    parts = data.random_split(range(10), [0.5, 0.3, 0.2], generator)
    assert [len(part) for part in parts] == [5, 3, 2]
    assert sorted(i for part in parts for i in part) == list(range(10))
    with pytest.raises(ValueError, match="Sum of input lengths"):
        data.random_split(range(3), [1, 1])


@pytest.mark.parametrize("options, message", [
    ({"num_workers": -1}, "non-negative"), ({"timeout": -1}, "timeout"),
    ({"prefetch_factor": 2}, "prefetch_factor"), ({"persistent_workers": True}, "persistent_workers"),
    ({"sampler": [0], "shuffle": True}, "mutually exclusive"),
    ({"batch_sampler": [[0]], "batch_size": 2}, "mutually exclusive"),
    ({"batch_size": None, "drop_last": True}, "mutually exclusive"), ({"batch_size": 0}, "positive integer")])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        DataLoader(Squares(3), **options)
    if "sampler" in options:
        with pytest.raises(ValueError, match="IterableDataset"):
            DataLoader(Count(3), **{**options, "shuffle": None})


def test_loader_pickles():
    loader = DataLoader(Squares(6), 2, num_workers=1, persistent_workers=True)
    first = _listed(loader)
    assert _listed(pickle.loads(pickle.dumps(loader))) == first
