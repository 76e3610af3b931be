"""The sampler of several programs that train one model, each on its share of the data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized
from typing import Any

import minitorch_bn as torch

from .sampler import Sampler

__all__ = ["DistributedSampler"]


def _from_group(name: str) -> int:
    """The world size or rank of the process group, if there are such."""
    distributed: Any = getattr(torch, "distributed", None)
    if distributed is None or not distributed.is_available():
        raise RuntimeError("Requires distributed package to be available")
    return getattr(distributed, name)()


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th index from `rank` on, so that each program has equally many.

    The order is random (`shuffle`), by `seed` and the epoch that `set_epoch` tells. Indices that are missing for an
    even share are taken twice, or with `drop_last` the last ones are left out.
    """

    def __init__(self, dataset: Sized, num_replicas: int | None = None, rank: int | None = None, shuffle: bool = True,
                 seed: int = 0, drop_last: bool = False) -> None:
        self.num_replicas = _from_group("get_world_size") if num_replicas is None else num_replicas
        self.rank = _from_group("get_rank") if rank is None else rank
        if not 0 <= self.rank < self.num_replicas:
            raise ValueError(f"Invalid rank {self.rank}, rank should be in the interval [0, {self.num_replicas - 1}]")
        self.dataset = dataset
        self.epoch = 0
        self.drop_last = drop_last
        length = len(dataset)
        self.num_samples = length // self.num_replicas if drop_last else math.ceil(length / self.num_replicas)
        self.total_size = self.num_samples * self.num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        if self.shuffle:
            generator = torch.Generator()
            generator.manual_seed(self.seed + self.epoch)
            indices = torch.randperm(len(self.dataset), generator=generator).tolist()
        else:
            indices = list(range(len(self.dataset)))
        if indices:
            indices *= math.ceil(self.total_size / len(indices)) or 1
        return iter(indices[self.rank:self.total_size:self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Shuffle by this epoch's number from now on: call it before each."""
        self.epoch = epoch
