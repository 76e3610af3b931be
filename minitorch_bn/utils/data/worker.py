"""What a worker of a DataLoader does, be it a process or a thread: it fetches the batches that it is asked for."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from .fetch import EndOfStream, Fetcher


@dataclass(frozen=True)
class WorkerInfo:
    """Which worker the calling code runs in."""

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: Any = None
    worker_method: str | None = "multiprocessing"


_of_thread = threading.local()
_of_process: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a DataLoader worker, its number, how many there are, its seed and the dataset; elsewhere None."""
    return getattr(_of_thread, "info", _of_process)


class Job(NamedTuple):
    """What all workers of a loader share."""

    fetcher: Fetcher
    workers: int
    base_seed: int
    init: Callable[[int], None] | None

    def info(self, number: int, method: str) -> WorkerInfo:
        return WorkerInfo(number, self.workers, self.base_seed + number, self.fetcher.dataset, worker_method=method)


class Task(NamedTuple):
    """A request for the batch of these indices; `epoch` tells the requests of an abandoned epoch from the next's."""

    epoch: int
    indices: Any


class Failure:
    """An exception on its way to the loader.

    Its class and the text of its traceback are sent, of which an exception of that class is made there. A thread hands
    over the exception itself, once: it may come to hold the loader, which must not live as long as its workers.
    """

    def __init__(self, error: BaseException, where: str, itself: bool = False) -> None:
        self.error = error if itself else None
        self.kind = type(error)
        trace = "".join(traceback.format_exception(error))
        self.message = f"Caught {self.kind.__name__} {where}.\nOriginal {trace}"

    def reraise(self) -> None:
        """Raise it here."""
        error, self.error = self.error, None
        if error is not None:
            raise error
        if self.kind is KeyError:
            raise KeyError(_Verbatim(self.message))
        if getattr(self.kind, "message", None):  # a class that keeps its text by name
            raise self.kind(message=self.message)  # type: ignore[call-arg]
        try:
            made = self.kind(self.message)
        except Exception:  # one that is made of other arguments
            raise RuntimeError(self.message) from None
        raise made


class _Verbatim(str):
    """Text that shows as it is: KeyError shows the repr of its argument, which would be one long line."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def serve(receive: Callable[[], Task | None], send: Callable[[int, Any], None], job: Job, number: int,
          in_thread: bool) -> None:
    """The life of a worker: answer each task with (epoch, batch, EndOfStream or Failure) until there is a None."""
    where = f"in DataLoader worker {'thread' if in_thread else 'process'} {number}"
    failure: Failure | None = None
    epoch, fetch = None, None
    try:
        if job.init is not None:
            job.init(number)
    except Exception as error:
        failure = Failure(error, where, in_thread)
    while (task := receive()) is not None:
        result: Any = failure
        if result is None:
            try:
                if task.epoch != epoch or fetch is None:
                    epoch, fetch = task.epoch, job.fetcher.start()
                result = fetch(task.indices)
            except Exception as error:
                result = Failure(error, where, in_thread)
        send(task.epoch, result)
        del result, task  # a waiting worker keeps no batch alive


def run_in_process(receive: Callable[[], Task | None], send: Callable[[int, Any], None], job: Job, number: int) -> None:
    """`serve` with the random generators of this process seeded and `get_worker_info` set."""
    import random

    import minitorch_bn as torch

    global _of_process
    torch.set_num_threads(1)  # the processes share the processors already
    _of_process = job.info(number, "multiprocessing")
    random.seed(_of_process.seed)
    torch.manual_seed(_of_process.seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        words = [number, job.base_seed & 0xFFFFFFFF, job.base_seed >> 32, 0]
        numpy.random.seed(numpy.random.SeedSequence(words).generate_state(4))
    serve(receive, send, job, number, in_thread=False)


def run_in_thread(receive: Callable[[], Task | None], send: Callable[[int, Any], None], job: Job, number: int) -> None:
    """`serve` with `get_worker_info` set. The random generators are the program's: threads do not seed them."""
    _of_thread.info = job.info(number, "thread")
    serve(receive, send, job, number, in_thread=True)


__all__ = ["EndOfStream", "Failure", "Job", "Task", "WorkerInfo", "get_worker_info"]
