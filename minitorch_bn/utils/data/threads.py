"""Workers that are threads: nothing is pickled or copied, but Python code of two workers takes turns.

The kernels release the lock of the interpreter while they compute, so what they do overlaps.
"""

from __future__ import annotations

import queue
import threading
import time
import weakref
from typing import Any

from .worker import Failure, Job, Task, run_in_thread


def _run(tasks: queue.SimpleQueue, results: queue.SimpleQueue, job: Job, number: int) -> None:
    try:
        run_in_thread(tasks.get, lambda epoch, result: results.put((number, epoch, result)), job, number)
    except BaseException as error:  # SystemExit, say: the loader must not wait for ever
        results.put((number, None, Failure(error, f"in DataLoader worker thread {number}", True)))


def _stop(queues: list[queue.SimpleQueue]) -> None:
    for tasks in queues:
        tasks.put(None)


class ThreadWorkers:
    """Threads that end when this object is closed or no longer used."""

    def __init__(self, job: Job) -> None:
        self._tasks: list[queue.SimpleQueue] = [queue.SimpleQueue() for _ in range(job.workers)]
        self._results: list[queue.SimpleQueue] = [queue.SimpleQueue() for _ in range(job.workers)]
        self.close = weakref.finalize(self, _stop, self._tasks)
        for i in range(job.workers):
            threading.Thread(target=_run, args=(self._tasks[i], self._results[i], job, i), daemon=True,
                             name=f"DataLoader-{i}").start()

    def send(self, worker: int, task: Task) -> None:
        """Give a worker something to do after what it has already."""
        self._tasks[worker].put(task)

    def receive(self, candidates: list[int], timeout: float) -> tuple[int, int, Any]:
        """(worker, epoch, result) of the first of these workers that is ready; TimeoutError if none is in time."""
        if len(candidates) == 1:
            try:
                return self._results[candidates[0]].get(timeout=timeout or None)
            except queue.Empty:
                raise TimeoutError from None
        end = time.monotonic() + timeout if timeout else float("inf")
        while True:
            for worker in candidates:
                try:
                    return self._results[worker].get_nowait()
                except queue.Empty:
                    pass
            if time.monotonic() > end:
                raise TimeoutError
            time.sleep(0.0005)
