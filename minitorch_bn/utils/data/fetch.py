"""Fetching one batch of a dataset, by numbers or from a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .collate import default_collate
from .dataset import IterableDataset, gathered_rows


class EndOfStream:
    """What an iterable dataset that has no more items gives."""


class Fetcher(NamedTuple):
    """How a loader makes batches; `start` gives the function of indices for one epoch."""

    dataset: Any
    collate: Callable
    batched: bool
    drop_last: bool

    def start(self) -> Callable[[Any], Any]:
        if isinstance(self.dataset, IterableDataset):
            return _Stream(self).fetch
        return self._fetch_items

    def _fetch_items(self, indices: Any) -> Any:
        """One batch (or one item) of a dataset with numbered items."""
        if not self.batched:
            return self.collate(self.dataset[indices])
        if self.collate is default_collate:
            batch = gathered_rows(self.dataset, indices)
            if batch is not None:
                return batch
        fetch_all = getattr(self.dataset, "__getitems__", None)
        return self.collate([self.dataset[i] for i in indices] if not fetch_all else fetch_all(indices))


class _Stream:
    """One pass over an iterable dataset; the iterator is made where it is used."""

    def __init__(self, fetcher: Fetcher) -> None:
        self.fetcher = fetcher
        self.items: Iterator | None = None
        self.ended = False

    def fetch(self, indices: Any) -> Any:
        """One batch (or one item), or an EndOfStream."""
        batched = self.fetcher.batched
        if self.items is None:
            self.items = iter(self.fetcher.dataset)
        items: list = []
        while not self.ended and len(items) < (len(indices) if batched else 1):
            try:
                items.append(next(self.items))
            except StopIteration:
                self.ended = True
        if not items or (batched and self.fetcher.drop_last and len(items) < len(indices)):
            return EndOfStream()
        return self.fetcher.collate(items if batched else items[0])
