"""Datasets, samplers, collation and the DataLoader: the same batches whatever the workers, none of them left behind."""

import collections
import pickle

import numpy as np
import pytest
from errors import both_raise
from loading import KINDS, Squares, listed, wait_for_no_workers

import minitorch_bn as mt
from minitorch_bn.utils import data
from minitorch_bn.utils.data import DataLoader, TensorDataset

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


class Count(data.IterableDataset):
    """0, 1, 2, ...; each of several workers takes every n-th number."""

    def __init__(self, length):
        self.length = length

    def __iter__(self):
        info = data.get_worker_info()
        return iter(range(self.length) if info is None else range(info.id, self.length, info.num_workers))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [
    {"batch_size": 4}, {"batch_size": 3, "drop_last": True}, {"batch_size": 5, "shuffle": True},
    {"batch_size": 2, "sampler": [3, 1, 4, 1, 5]}, {"batch_sampler": [[0, 1], [9], [2, 3, 4]]}])
def test_batches_do_not_depend_on_workers(options, kind):
    runs = []
    for workers in (0, 1, 3):
        mt.manual_seed(7)
        loader = DataLoader(Squares(10, 0.001), num_workers=workers, **options,
                            multiprocessing_context=kind if workers else None)
        runs.append([listed(loader), listed(loader)])
        assert len(runs[0][0]) == len(loader)
    assert all(run == runs[0] for run in runs)
    if options.get("shuffle"):
        assert runs[0][0] != runs[0][1]
        assert sorted(x for batch in runs[0][0] for x in batch[0]) == [float(i) for i in range(10)]
    wait_for_no_workers()


def test_generator_fixes_the_order():
    orders = []
    for workers in (0, 2):
        generator = mt.Generator()
        generator.manual_seed(3)
        loader = DataLoader(Squares(10), 10, shuffle=True, num_workers=workers, generator=generator)
        orders.append(listed(loader))
    assert orders[0] == orders[1]


def test_tensor_dataset_batches_and_subsets():
    dataset = TensorDataset(mt.arange(10.0).reshape(5, 2), mt.arange(5))
    x, y = next(iter(DataLoader(dataset, 3)))
    assert x.tolist() == [[0, 1], [2, 3], [4, 5]] and y.tolist() == [0, 1, 2] and y.dtype == mt.int64
    subset = data.Subset(dataset, [4, 2])
    assert listed(DataLoader(subset, 2)) == [[[[8.0, 9.0], [4.0, 5.0]], [4, 2]]]
    assert len(subset) == 2 and subset[0][1].item() == 4 and subset.__getitems__([1])[0][1].item() == 2

    class Negative(TensorDataset):
        def __getitem__(self, index):
            return tuple(-t for t in super().__getitem__(index))

    assert listed(DataLoader(Negative(mt.arange(2)), 2)) == [[[0, -1]]]
    with pytest.raises(AssertionError, match="Size mismatch"):
        TensorDataset(mt.zeros(2), mt.zeros(3))


def test_iterable_dataset():
    for kind in KINDS:
        batches = [b.tolist() for b in DataLoader(Count(10), 2, num_workers=2, multiprocessing_context=kind)]
        assert batches == [[0, 2], [1, 3], [4, 6], [5, 7], [8], [9]]
        loader = DataLoader(Count(7), 1, num_workers=3, multiprocessing_context=kind, persistent_workers=True)
        for _ in range(2):
            assert sorted(x.item() for x in loader) == list(range(7))
    assert [b.tolist() for b in DataLoader(Count(5), 2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in DataLoader(Count(5), 2, drop_last=True)] == [[0, 1], [2, 3]]
    assert list(DataLoader(Count(3), None)) == [0, 1, 2]
    del loader
    chained = Count(2) + Count(3)
    assert list(chained) == [0, 1, 0, 1, 2]
    wait_for_no_workers()


def test_iterable_dataset_of_a_known_wrong_length_warns():
    class Lying(Count):
        def __len__(self):
            return 2

    loader = DataLoader(Lying(3), None)
    assert sum(1 for _ in loader) == 3  # nobody asked for the length
    assert len(loader) == 2
    with pytest.warns(UserWarning, match="was reported to be 2"):
        assert sum(1 for _ in loader) == 3


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
    counted = data.default_collate([collections.defaultdict(int, a=1), collections.defaultdict(int, a=2)])
    assert isinstance(counted, collections.defaultdict) and counted["a"].tolist() == [1, 2]
    assert isinstance(data.default_collate([collections.UserList([1]), collections.UserList([2])]),
                      collections.UserList)


def test_collate_with_functions_for_own_kinds():
    from minitorch_bn.utils.data._utils.collate import collate, default_collate_fn_map

    class Box:
        def __init__(self, value):
            self.value = value

    def unpack(batch, *, collate_fn_map=None):
        return collate([box.value for box in batch], collate_fn_map=collate_fn_map)

    table = {**default_collate_fn_map, Box: unpack}
    assert collate([{"a": Box(1), "b": np.ones(2)}] * 2, collate_fn_map=table)["a"].tolist() == [1, 1]
    with pytest.raises(TypeError, match="found"):
        collate([1, 2], collate_fn_map={Box: unpack})


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


def test_distributed_sampler_is_pytorchs():
    torch = pytest.importorskip("torch")
    for length, replicas, drop_last in ((10, 3, False), (10, 3, True), (2, 5, False), (9, 3, True), (0, 2, False)):
        for rank in range(replicas):
            mine, theirs = (lib.utils.data.DistributedSampler(range(length), replicas, rank, False, 0, drop_last)
                            for lib in (mt, torch))
            assert list(mine) == list(theirs) and len(mine) == len(theirs)
    samplers = [data.DistributedSampler(range(11), 3, rank, seed=5) for rank in range(3)]
    first = [list(sampler) for sampler in samplers]
    assert {i for indices in first for i in indices} == set(range(11))
    for sampler in samplers:
        sampler.set_epoch(1)
    assert [list(sampler) for sampler in samplers] != first
    with pytest.raises(ValueError, match="Invalid rank 3, rank should be in the interval"):
        data.DistributedSampler(range(3), 3, 3)


def test_paths_under_which_scripts_import():
    from minitorch_bn.utils.data import dataloader, dataset, distributed, sampler

    assert dataloader.DataLoader is DataLoader and dataset.TensorDataset is TensorDataset
    assert sampler.BatchSampler is data.BatchSampler and distributed.DistributedSampler is data.DistributedSampler
    assert data._utils.collate.default_collate is dataloader.default_collate is data.default_collate


def test_errors_are_pytorchs():
    for expression in ERRORS:
        theirs, ours = both_raise(expression, lambda lib: vars(lib.utils.data))
        assert ours[:60] == theirs[:60], expression


ERRORS = [
    "DataLoader([1], num_workers=-1)", "DataLoader([1], timeout=-1)", "DataLoader([1], prefetch_factor=2)",
    "DataLoader([1], num_workers=1, prefetch_factor=-2)", "DataLoader([1], persistent_workers=True)",
    "DataLoader([1], sampler=[0], shuffle=True)", "DataLoader([1], batch_sampler=[[0]], batch_size=2)",
    "DataLoader([1], batch_size=None, drop_last=True)", "DataLoader([1], batch_size=0)",
    "DataLoader([1], multiprocessing_context='fork')", "DataLoader([1], num_workers=1, multiprocessing_context='no')",
    "DataLoader([1], num_workers=1, multiprocessing_context=5)", "setattr(DataLoader([1]), 'batch_size', 3)",
    "DataLoader([], shuffle=True, drop_last=1)", "BatchSampler(range(3), 2.5, False)", "BatchSampler(range(3), 2, 1)",
    "RandomSampler(range(3), replacement=1)", "RandomSampler(range(3), num_samples=-1)",
    "RandomSampler(range(3), num_samples=1.5)", "WeightedRandomSampler([1.0], 0)",
    "WeightedRandomSampler([1.0], 1, replacement=2)", "WeightedRandomSampler([[1.0]], 1)", "ConcatDataset([])",
    "StackDataset()", "StackDataset([1], a=[1])", "StackDataset([1], [1, 2])",
    "TensorDataset(torch.zeros(2), torch.zeros(3))", "random_split(range(3), [1, 1])",
    "random_split(range(3), [1.5, -0.5])", "Dataset()[0]", "list(ChainDataset([[1]]))",
    "ConcatDataset([[1]])[-2]", "next(iter(Sampler()))",
]


def test_random_split_of_fractions():
    torch = pytest.importorskip("torch")
    for length, parts in ((10, [0.5, 0.5]), (7, [0.3, 0.3, 0.4]), (11, [1 / 3] * 3), (5, [0.25] * 4)):
        assert ([len(part) for part in data.random_split(range(length), parts)]
                == [len(part) for part in torch.utils.data.random_split(range(length), parts)])
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        data.random_split(range(1), [0.5, 0.5])


def test_combined_datasets():
    both = Squares(3) + Squares(2)
    assert len(both) == 5 and [both[i][1] for i in range(5)] == [0, 1, 4, 0, 1] and both[-1][1] == 1
    with pytest.raises(IndexError):
        both[5]
    with pytest.raises(ValueError):
        both[-6]
    stacked = data.StackDataset(a=[1, 2], b=[3, 4])
    assert stacked.__getitems__([1, 0]) == [{"a": 2, "b": 4}, {"a": 1, "b": 3}]
    assert data.StackDataset([1, 2], data.Subset([3, 4], [1, 0])).__getitems__([0]) == [(1, 4)]
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
    first = listed(loader)
    assert listed(pickle.loads(pickle.dumps(loader))) == first
