"""DataLoader: batches of a dataset in order, fetched here or ahead of time by worker threads."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import minitorch_bn as torch

from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset, gathered_rows
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler
from .worker import Workers, result_of

T = TypeVar("T", covariant=True)


class _Forever(Sampler[None]):
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
        num_workers: threads that fetch batches ahead (0: none); the order of the batches stays the same.
        collate_fn: makes a batch of a list of items (default: `default_collate`).
        drop_last: leave out an incomplete last batch.
        timeout: seconds to wait for a batch before a RuntimeError; 0 waits for ever.
        worker_init_fn: called with its number in every worker before it starts.
        prefetch_factor: batches that each worker has in hand (default 2).
        persistent_workers: keep the workers from one epoch to the next.

    `pin_memory`, `pin_memory_device` and `multiprocessing_context` are accepted and ignored. An exception in a worker
    is raised here, with the worker's traceback.
    """

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
                sampler = _Forever()
            else:
                sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.prefetch_factor = 2 if num_workers > 0 and prefetch_factor is None else prefetch_factor
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._workers: Workers | None = None

    def __iter__(self) -> Iterator[Any]:
        return _Iterator(self)

    def __len__(self) -> int:
        if isinstance(self.dataset, IterableDataset):
            length = len(self.dataset)
            if self.batch_size is None:
                return length
            return length // self.batch_size if self.drop_last else -(-length // self.batch_size)
        return len(self._index_sampler)

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_workers": None}

    def _start_workers(self, base_seed: int) -> Workers:
        if self._workers is not None:
            return self._workers
        workers = Workers(self.num_workers, self.dataset, base_seed, self.worker_init_fn)
        if self.persistent_workers:
            self._workers = workers
        return workers


_END = object()  # what an iterable dataset that has no more items gives


def _fetch_items(dataset: Any, collate: Callable, batched: bool, indices: Any) -> Any:
    """One batch (or one item) of a dataset with numbered items."""
    if not batched:
        return collate(dataset[indices])
    if collate is default_collate:
        batch = gathered_rows(dataset, indices)
        if batch is not None:
            return batch
    fetch_all = getattr(dataset, "__getitems__", None)
    return collate([dataset[i] for i in indices] if fetch_all is None else fetch_all(indices))


class _Stream:
    """The items of an iterable dataset in one worker, or here; the iterator is made where it is used."""

    def __init__(self, dataset: IterableDataset) -> None:
        self.dataset = dataset
        self.items: Iterator | None = None
        self.ended = False

    def fetch(self, collate: Callable, batched: bool, drop_last: bool, indices: Any) -> Any:
        """One batch (or one item), or _END."""
        if self.items is None:
            self.items = iter(self.dataset)
        items: list = []
        while not self.ended and len(items) < (len(indices) if batched else 1):
            try:
                items.append(next(self.items))
            except StopIteration:
                self.ended = True
        if not items or (batched and drop_last and len(items) < len(indices)):
            return _END
        return collate(items if batched else items[0])


class _Iterator:
    """One epoch of a DataLoader."""

    def __init__(self, loader: DataLoader) -> None:
        self._loader = loader
        self._indices = iter(loader._index_sampler)
        self._batched = loader.batch_sampler is not None
        self._yielded = 0
        self._expected = len(loader) if isinstance(loader.dataset, IterableDataset) and _has_length(loader) else None
        # Drawn even without workers: shuffling must not depend on their number.
        base_seed = int(torch.empty((), dtype=torch.int64).random_(generator=loader.generator).item())
        count = loader.num_workers
        self._streams: list[_Stream] | None = None
        if isinstance(loader.dataset, IterableDataset):
            self._streams = [_Stream(loader.dataset) for _ in range(max(count, 1))]
        self._turn = 0
        self._pending: deque = deque()
        self._workers: Any = loader._start_workers(base_seed) if count else None
        if self._workers is not None:
            for _ in range(count * max(loader.prefetch_factor or 1, 1)):
                self._submit()

    def __iter__(self) -> _Iterator:
        return self

    def __len__(self) -> int:
        return len(self._loader)

    def __del__(self) -> None:
        for future in getattr(self, "_pending", ()):  # an abandoned epoch leaves no work to persistent workers
            future.cancel()

    def _task(self, indices: Any) -> tuple:
        """The function and arguments that fetch the batch of these indices."""
        loader = self._loader
        if self._streams is None:
            return _fetch_items, loader.dataset, loader.collate_fn, self._batched, indices
        stream = self._streams[self._turn % len(self._streams)]
        return stream.fetch, loader.collate_fn, self._batched, loader.drop_last, indices

    def _submit(self) -> None:
        """Give the next worker its next batch; with streams, those that have ended are passed over."""
        if self._streams is not None:
            alive = [i for i in range(len(self._streams)) if not self._streams[i].ended]
            if not alive:
                return
            while self._streams[self._turn % len(self._streams)].ended:
                self._turn += 1
        indices = next(self._indices, _END)
        if indices is not _END:
            self._pending.append(self._workers.submit(self._turn, *self._task(indices)))
            self._turn += 1

    def __next__(self) -> Any:
        batch = self._next_here() if self._workers is None else self._next_from_workers()
        self._yielded += 1
        if self._expected is not None and self._yielded > self._expected:
            warnings.warn(f"Length of IterableDataset {self._loader.dataset} was reported to be {self._expected} (when "
                          f"accessing len(dataloader)), but {self._yielded} samples have been fetched. ", stacklevel=2)
        return batch

    def _next_here(self) -> Any:
        function, *arguments = self._task(next(self._indices))
        batch = function(*arguments)
        if batch is _END:
            raise StopIteration
        return batch

    def _next_from_workers(self) -> Any:
        while self._pending:
            future = self._pending[0]
            try:
                batch = result_of(future, self._loader.timeout)
            except KeyboardInterrupt:
                raise  # the batch is still on its way: the next call waits for it again
            except BaseException:
                self._pending.popleft()
                self._submit()
                raise
            self._pending.popleft()
            self._submit()
            if batch is not _END:
                return batch
        if not self._loader.persistent_workers:
            self._workers.close()
        raise StopIteration


def _has_length(loader: DataLoader) -> bool:
    try:
        len(loader)
    except (TypeError, NotImplementedError):
        return False
    return True
