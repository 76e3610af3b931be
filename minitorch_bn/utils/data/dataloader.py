"""The DataLoader: batches of a dataset in order, fetched here or ahead of time by workers."""

from __future__ import annotations

import multiprocessing.context
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import minitorch_bn as torch

from .collate import default_collate, default_convert
from .dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from .fetch import EndOfStream, Fetcher
from .processes import ProcessWorkers
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler
from .threads import ThreadWorkers
from .worker import Failure, Job, Task, get_worker_info

__all__ = ["ChainDataset", "ConcatDataset", "DataLoader", "Dataset", "IterableDataset", "StackDataset", "Subset",
           "TensorDataset", "default_collate", "default_convert", "get_worker_info", "random_split"]

T = TypeVar("T", covariant=True)
_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class _InfiniteConstantSampler(Sampler[None]):
    """The sampler of an iterable dataset: it only asks for one more item."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader(Generic[T]):
    """Iterates over a dataset in batches.

    Args:
        dataset: a `Dataset` (items by number), an `IterableDataset` (items in turn), or any sequence.
        batch_size: items per batch; None gives the items themselves.
        shuffle: a new random order in every epoch, from `generator` if given. It does not depend on `num_workers`.
        sampler, batch_sampler: indices, or lists of them, in place of the two above.
        num_workers: processes that fetch batches ahead (0: none). Each has a copy of the dataset.
        collate_fn: makes a batch of a list of items (default: `default_collate`).
        drop_last: leave out an incomplete last batch.
        timeout: seconds to wait for a batch before a RuntimeError; 0 waits for ever.
        worker_init_fn: called with its number in every worker before it starts.
        multiprocessing_context: how processes start: "fork" (Python's default on Linux), "spawn", "forkserver" or a
            context; or "thread": the workers are threads of this process, for datasets whose work is in kernels.
        prefetch_factor: batches that each worker has in hand (default 2).
        persistent_workers: keep the workers from one epoch to the next.
        in_order: whether batches come in the order of the sampler, or as they are ready.

    `pin_memory` and `pin_memory_device` are accepted and ignored. An exception in a worker is raised here, with the
    worker's traceback in its message.
    """

    _initialized = False

    def __init__(self, dataset: Dataset[T], batch_size: int | None = 1, shuffle: bool | None = None,
                 sampler: Sampler | Iterable | None = None,
                 batch_sampler: Sampler[list] | Iterable[list] | None = None, num_workers: int = 0,
                 collate_fn: Callable[[list[T]], Any] | None = None, pin_memory: bool = False, drop_last: bool = False,
                 timeout: float = 0, worker_init_fn: Callable[[int], None] | None = None,
                 multiprocessing_context: Any = None, generator: torch.Generator | None = None, *,
                 prefetch_factor: int | None = None, persistent_workers: bool = False, pin_memory_device: str = "",
                 in_order: bool = True) -> None:
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError("prefetch_factor option could only be specified in multiprocessing.let num_workers > 0 to "
                             "enable multiprocessing, otherwise set prefetch_factor to None.")
        if prefetch_factor is not None and prefetch_factor < 0:
            raise ValueError("prefetch_factor option should be non-negative")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        self.num_workers = num_workers
        self.multiprocessing_context = multiprocessing_context
        iterable = isinstance(dataset, IterableDataset)
        if iterable:
            if shuffle not in (False, None):
                raise ValueError("DataLoader with IterableDataset: expected unspecified shuffle option, but got "
                                 f"shuffle={shuffle}")
            for name, value in ("sampler", sampler), ("batch_sampler", batch_sampler):
                if value is not None:
                    raise ValueError(f"DataLoader with IterableDataset: expected unspecified {name} option, but got "
                                     f"{name}={value}")
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and "
                                 "drop_last")
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None:
            if iterable:
                sampler = _InfiniteConstantSampler()
            else:
                sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.generator = generator
        self.prefetch_factor = 2 if num_workers > 0 and prefetch_factor is None else prefetch_factor
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._IterableDataset_len_called: int | None = None
        self._iterator: _BaseDataLoaderIter | None = None
        self._initialized = True
        self.check_worker_number_rationality()

    def __setattr__(self, name: str, value: Any) -> None:
        if self._initialized and name in _FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    @property
    def multiprocessing_context(self) -> Any:
        """How worker processes are started; None for Python's default."""
        return self._multiprocessing_context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: Any) -> None:
        if context is not None and not self.num_workers:
            raise ValueError("multiprocessing_context can only be used with multi-process loading (num_workers > 0), "
                             f"but got num_workers={self.num_workers}")
        if isinstance(context, str) and context != "thread":
            methods = multiprocessing.get_all_start_methods()
            if context not in methods:
                raise ValueError(f"multiprocessing_context option should specify a valid start method in {methods!r}, "
                                 f"but got multiprocessing_context={context!r}")
            context = multiprocessing.get_context(context)
        if context not in (None, "thread") and not isinstance(context, multiprocessing.context.BaseContext):
            raise TypeError("multiprocessing_context option should be a valid context object or a string specifying "
                            f"the start method, but got multiprocessing_context={context}")
        self._multiprocessing_context = context

    def __iter__(self) -> _BaseDataLoaderIter:
        if not self.persistent_workers:
            return self._get_iterator()
        if self._iterator is None:
            self._iterator = self._get_iterator()
        else:
            self._iterator._reset(self)
        return self._iterator

    def _get_iterator(self) -> _BaseDataLoaderIter:
        return _WorkersDataLoaderIter(self) if self.num_workers else _SingleProcessDataLoaderIter(self)

    def __len__(self) -> int:
        if isinstance(self.dataset, IterableDataset):
            length = self._IterableDataset_len_called = len(self.dataset)
            if self.batch_size is None:
                return length
            return length // self.batch_size if self.drop_last else -(-length // self.batch_size)
        return len(self._index_sampler)

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_iterator": None}

    def check_worker_number_rationality(self) -> None:
        """Warn if there are more workers than processors."""
        has_affinity = hasattr(os, "sched_getaffinity")
        processors = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count()
        if processors is not None and self.num_workers > processors:
            note = "" if has_affinity else " (`cpuset` is not taken into account)"
            warnings.warn(
                f"This DataLoader will create {self.num_workers} worker processes in total. Our suggested max number "
                f"of worker in current system is {processors}{note}, which is smaller than what this DataLoader is "
                "going to create. Please be aware that excessive worker creation might get DataLoader running slow or "
                "even freeze, lower the worker number to avoid potential slowness/freeze if necessary.", stacklevel=3)


class _BaseDataLoaderIter:
    """One epoch of a DataLoader, or with persistent workers one after the other."""

    def __init__(self, loader: DataLoader) -> None:
        self._fetcher = Fetcher(loader.dataset, loader.collate_fn, loader._auto_collation, loader.drop_last)
        # Drawn even without workers: shuffling must not depend on their number.
        self._sampler_iter = iter(loader._index_sampler)
        self._base_seed = int(torch.empty((), dtype=torch.int64).random_(generator=loader.generator).item())
        self._loader = loader
        self._start(loader)

    def _start(self, loader: DataLoader) -> None:
        self._num_yielded = 0
        self._promised = loader._IterableDataset_len_called

    def _reset(self, loader: DataLoader, first_iter: bool = False) -> None:
        self._sampler_iter = iter(loader._index_sampler)
        self._start(loader)

    def __iter__(self) -> _BaseDataLoaderIter:
        return self

    def __len__(self) -> int:
        return len(self._loader._index_sampler)

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled", type(self).__name__)

    def __next__(self) -> Any:
        batch = self._next_data()
        self._num_yielded += 1
        if (isinstance(self._fetcher.dataset, IterableDataset) and self._promised is not None
                and self._num_yielded > self._promised):
            hint = "" if not self._loader.num_workers else (
                "For multiprocessing data-loading, this could be caused by not properly configuring the "
                "IterableDataset replica at each worker. Please see "
                "https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset for examples.")
            warnings.warn(f"Length of IterableDataset {self._fetcher.dataset} was reported to be {self._promised} "
                          f"(when accessing len(dataloader)), but {self._num_yielded} samples have been fetched. "
                          + hint, stacklevel=2)
        return batch

    def _next_data(self) -> Any:
        raise NotImplementedError


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """Fetches each batch when it is asked for."""

    def _start(self, loader: DataLoader) -> None:
        super()._start(loader)
        self._fetch = self._fetcher.start()

    def _next_data(self) -> Any:
        batch = self._fetch(next(self._sampler_iter))
        if isinstance(batch, EndOfStream):
            raise StopIteration
        return batch


class _WorkersDataLoaderIter(_BaseDataLoaderIter):
    """Has workers fetch batches ahead: batch i comes from worker i modulo their number."""

    def __init__(self, loader: DataLoader) -> None:
        self._epoch = -1
        self._workers: Any = None
        super().__init__(loader)

    def _start(self, loader: DataLoader) -> None:
        super()._start(loader)
        count = loader.num_workers
        if self._workers is None:
            job = Job(self._fetcher, count, self._base_seed, loader.worker_init_fn)
            context = loader.multiprocessing_context
            self._workers = ThreadWorkers(job) if context == "thread" else ProcessWorkers(job, context)
        self._epoch += 1
        self._active = [True] * count  # workers whose stream goes on
        self._turn = 0
        self._pending: deque[int] = deque()  # the workers that owe a batch, in the order of the batches
        for _ in range(count * max(loader.prefetch_factor or 1, 1)):
            self._submit()

    def _submit(self) -> None:
        """Give the next worker its next batch. Those whose stream has ended are passed over, and where the order is
        free, those that have enough to do."""
        count = len(self._active)
        share = max(self._loader.prefetch_factor or 1, 1) * count // max(sum(self._active), 1)
        for worker in ((self._turn + i) % count for i in range(count)):
            if self._active[worker] and (self._loader.in_order or self._pending.count(worker) < share):
                break
        else:
            return
        try:
            indices = next(self._sampler_iter)
        except StopIteration:
            return
        self._workers.send(worker, Task(self._epoch, indices))
        self._pending.append(worker)
        self._turn = (worker + 1) % count

    def _next_data(self) -> Any:
        loader = self._loader
        while self._pending:
            wanted = [self._pending[0]] if loader.in_order else sorted(set(self._pending))
            try:
                worker, epoch, batch = self._workers.receive(wanted, loader.timeout)
            except TimeoutError:
                raise RuntimeError(f"DataLoader timed out after {loader.timeout} seconds") from None
            if epoch is not None and epoch != self._epoch:  # of an abandoned epoch
                continue
            self._pending.remove(worker)
            if isinstance(batch, EndOfStream):
                if self._active[worker]:
                    self._active[worker] = False
                    self._submit()
                continue
            self._submit()
            if isinstance(batch, Failure):
                batch.reraise()
            return batch
        if not loader.persistent_workers:
            self._shutdown_workers()
        raise StopIteration

    def _shutdown_workers(self) -> None:
        if self._workers is not None:
            self._workers.close()


_MultiProcessingDataLoaderIter = _WorkersDataLoaderIter
