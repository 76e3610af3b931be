"""Datasets, samplers and the DataLoader, under PyTorch's names."""

from minitorch_bn._names import lookup as _lookup

from . import collate, dataloader, dataset, distributed, sampler
from .collate import default_collate, default_convert
from .dataloader import DataLoader
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
from .distributed import DistributedSampler
from .sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from .worker import get_worker_info

__all__ = ["BatchSampler", "ChainDataset", "ConcatDataset", "DataLoader", "Dataset", "DistributedSampler",
           "IterableDataset", "RandomSampler", "Sampler", "SequentialSampler", "StackDataset", "Subset",
           "SubsetRandomSampler", "TensorDataset", "WeightedRandomSampler", "collate", "dataloader", "dataset",
           "default_collate", "default_convert", "distributed", "get_worker_info", "random_split", "sampler"]

TYPE_CHECKING = False
if not TYPE_CHECKING:
    __getattr__ = _lookup(__name__)
