"""Threads that fetch batches ahead: each worker is one thread that runs its tasks in order.

Batch i is fetched by worker i modulo their number, so what a worker sees does not depend on timing. The kernels release
the lock of the interpreter while they compute, so threads do overlap, and nothing needs to be pickled.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any

_local = threading.local()


@dataclass(frozen=True)
class WorkerInfo:
    """Which worker the calling code runs in."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


def get_worker_info() -> WorkerInfo | None:
    """In a DataLoader worker, its number, how many there are, its seed and the dataset; elsewhere None."""
    return getattr(_local, "info", None)


def _run(tasks: queue.SimpleQueue, info: WorkerInfo, init: Callable[[int], None] | None) -> None:
    """The life of a worker: tasks (function, arguments, future) until a None; `init` runs with the first."""
    _local.info = info
    while (task := tasks.get()) is not None:
        function, arguments, future = task
        if future.set_running_or_notify_cancel():
            try:
                if init is not None:
                    init(info.id)
                    init = None
                future.set_result(function(*arguments))
            except BaseException as exception:
                future.set_exception(exception)
        del task, function, arguments, future  # a waiting worker keeps no batch alive


def _stop(queues: list[queue.SimpleQueue]) -> None:
    for tasks in queues:
        tasks.put(None)


class Workers:
    """Worker threads; they end when this object is closed or no longer used."""

    def __init__(self, count: int, dataset: Any, base_seed: int, init: Callable[[int], None] | None) -> None:
        self._queues: list[queue.SimpleQueue] = [queue.SimpleQueue() for _ in range(count)]
        self.close = weakref.finalize(self, _stop, self._queues)
        for i, tasks in enumerate(self._queues):
            info = WorkerInfo(i, count, base_seed + i, dataset)
            threading.Thread(target=_run, args=(tasks, info, init), daemon=True, name=f"DataLoader-{i}").start()

    def submit(self, worker: int, function: Callable, *arguments: Any) -> Future:
        """Have a worker call `function(*arguments)` after what it has to do already."""
        future: Future = Future()
        self._queues[worker % len(self._queues)].put((function, arguments, future))
        return future


def result_of(future: Future, timeout: float) -> Any:
    """What the worker returned; its exception, with its traceback, if it raised one."""
    try:
        return future.result(timeout or None)
    except FutureTimeout:
        if future.done():
            raise
        raise RuntimeError(f"DataLoader timed out after {timeout} seconds") from None
