"""What the tests of datasets and loaders share: a small dataset, and the wait for workers to end."""

import gc
import multiprocessing
import threading
import time

import minitorch_bn as mt
from minitorch_bn.utils import data

KINDS = [None, "thread"]  # workers that are processes, and threads


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


def workers_left():
    return [t for t in threading.enumerate() if t.name.startswith("DataLoader")] + multiprocessing.active_children()


def wait_for_no_workers():
    deadline = time.monotonic() + 5
    while workers_left():
        assert time.monotonic() < deadline, workers_left()
        gc.collect()
        time.sleep(0.01)


def listed(batches):
    return [[column.tolist() for column in batch] for batch in batches]
