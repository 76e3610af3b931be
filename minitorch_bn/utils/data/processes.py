"""Workers that are processes, and how batches come from them.

Each worker has one two-way pipe. A batch is pickled, but the memory of its large tensors and arrays goes through the
pipe as it is and is read straight into new memory: two copies, and no files or shared memory that a killed process
could leave behind. A thread in the worker does the writing, so that it fetches the next batch meanwhile, and never
keeps the loader waiting while that gives out tasks: both would wait for each other.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import queue
import signal
import struct
import threading
import time
import warnings
import weakref
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn

import minitorch_bn as torch

from .worker import Failure, Job, Task, run_in_process

CHECK_INTERVAL = 5.0  # seconds: how often a waiting worker sees whether the loader still lives; how long it may end
_LARGE = 1 << 16  # bytes from which memory is not pickled


# -- messages --------------------------------------------------------------------------------------------------------


def _rebuilt(buffer: Any, dtype: str, shape: tuple, requires_grad: bool) -> torch.Tensor:
    """A tensor in the memory that was read."""
    kind = getattr(torch, dtype)
    flat = buffer.view(kind) if isinstance(buffer, torch.Tensor) else torch.frombuffer(buffer, dtype=kind)
    return flat.reshape(shape).requires_grad_(requires_grad)


class _Pickler(pickle.Pickler):
    """Pickles plain tensors as their memory and its description."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is torch.Tensor and value.numel() and value.is_leaf and not vars(value) and value.grad is None:
            flat = value.detach().contiguous().reshape(-1).view(torch.uint8)
            return _rebuilt, (pickle.PickleBuffer(flat), str(value.dtype).removeprefix("torch."), tuple(value.shape),
                              value.requires_grad)
        return NotImplemented


def _packed(message: Any) -> list:
    """The parts to write: sizes, pickle, then the memory of what is large."""
    large: list[memoryview] = []

    def keep_inside(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < _LARGE:
            return True
        large.append(view)
        return False

    stream = io.BytesIO()
    _Pickler(stream, protocol=5, buffer_callback=keep_inside).dump(message)
    body = stream.getbuffer()
    sizes = struct.pack(f"<{len(large) + 1}q", body.nbytes, *(view.nbytes for view in large))
    return [struct.pack("<q", len(sizes)) + sizes, body, *large]


def _write(pipe: Connection, parts: list) -> None:
    for part in parts:
        rest = memoryview(part).cast("B")
        while rest.nbytes:
            rest = rest[os.write(pipe.fileno(), rest):]


def _fill(pipe: Connection, memory: Any) -> None:
    rest = memoryview(memory)
    while rest.nbytes:
        count = os.readv(pipe.fileno(), [rest])
        if not count:
            raise EOFError
        rest = rest[count:]


def _read(pipe: Connection) -> tuple[bytearray, list]:
    """A message's pickle and the memory of what is large in it."""
    head = bytearray(8)
    _fill(pipe, head)
    sizes_bytes = bytearray(struct.unpack("<q", head)[0])
    _fill(pipe, sizes_bytes)
    size, *large = struct.unpack(f"<{len(sizes_bytes) // 8}q", sizes_bytes)
    body = bytearray(size)
    _fill(pipe, body)
    buffers = [torch.empty(n, dtype=torch.uint8) for n in large]
    for buffer in buffers:
        _fill(pipe, buffer)
    return body, buffers


def _unpacked(message: tuple[bytearray, list]) -> Any:
    return pickle.loads(message[0], buffers=message[1])


# -- in the worker ---------------------------------------------------------------------------------------------------


def _main(pipe: Connection, inherited: list[Connection], job: Job, number: int, parent: int) -> None:
    """The life of a worker process. It ends with a None, with the pipe, or with the loader's process.

    A fork has copies of the loader's ends of pipes: while one is open, a pipe does not end when the loader does.
    """
    for end in inherited:
        end.close()
    outbox: queue.SimpleQueue = queue.SimpleQueue()

    def write_all() -> None:
        try:
            while (parts := outbox.get()) is not None:
                _write(pipe, parts)
                del parts
        except OSError:  # nobody reads any more
            pass

    forked = os.getppid() == parent  # not from a fork server

    def abandoned() -> bool:
        if forked:
            return os.getppid() != parent
        process = multiprocessing.parent_process()
        return process is not None and not process.is_alive()

    def receive() -> Task | None:
        while not pipe.poll(CHECK_INTERVAL):
            if abandoned():
                return None
        return _unpacked(_read(pipe))

    def send(epoch: int, result: Any) -> None:
        try:
            parts = _packed((epoch, result))
        except Exception as error:
            if isinstance(result, Failure):
                result.kind = RuntimeError  # of a class that only this process knows
            else:
                result = Failure(error, f"in DataLoader worker process {number}")
            parts = _packed((epoch, result))
        outbox.put(parts)

    threading.Thread(target=write_all, daemon=True).start()
    try:
        run_in_process(receive, send, job, number)
    except (KeyboardInterrupt, EOFError, OSError):  # Ctrl-C goes to all processes of the terminal: the loader tells
        pass


# -- in the loader's process -----------------------------------------------------------------------------------------


def _stop(processes: list, pipes: list[Connection], owner: int) -> None:
    """Ask the workers to end, wait a while, and end those that do not."""
    if os.getpid() != owner:  # a fork of the loader's process: they are not its children
        return
    goodbye = _packed(None)
    for pipe in pipes:
        try:
            os.set_blocking(pipe.fileno(), False)  # a worker that reads no more must not be waited for
            _write(pipe, goodbye)
        except OSError:
            pass
        pipe.close()
    end = time.monotonic() + CHECK_INTERVAL
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))
        if process.is_alive():
            process.terminate()
            process.join()


class ProcessWorkers:
    """Processes that end when this object is closed or no longer used, and with the program."""

    def __init__(self, job: Job, context: Any = None) -> None:
        context = context or multiprocessing.get_context()
        self._processes: list = []
        self._pipes: list[Connection] = []
        self.close = weakref.finalize(self, _stop, self._processes, self._pipes, os.getpid())
        for number in range(job.workers):
            own, other = context.Pipe(duplex=True)
            inherited = [*self._pipes, own] if context.get_start_method() == "fork" else []
            process = context.Process(target=_main, args=(other, inherited, job, number, os.getpid()), daemon=True,
                                      name=f"DataLoader-{number}")
            with warnings.catch_warnings():  # Python warns of forks beside threads; the kernels' threads allow for them
                warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
                process.start()
            other.close()
            self._processes.append(process)
            self._pipes.append(own)

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def send(self, worker: int, task: Task) -> None:
        """Give a worker something to do after what it has already."""
        if not self.close.alive:
            raise RuntimeError("the workers of this DataLoader have ended")
        try:
            _write(self._pipes[worker], _packed(task))
        except (BrokenPipeError, ConnectionResetError):
            self._report_death(worker)

    def receive(self, candidates: list[int], timeout: float) -> tuple[int, int, Any]:
        """(worker, epoch, result) of the first of these workers that is ready; TimeoutError if none is in time."""
        if not self.close.alive:
            raise RuntimeError("the workers of this DataLoader have ended")
        pipes = [self._pipes[worker] for worker in candidates]
        ready = wait([*pipes, *(self._processes[worker].sentinel for worker in candidates)], timeout or None)
        if not ready:
            raise TimeoutError
        worker = next((w for w, pipe in zip(candidates, pipes) if pipe in ready or pipe.poll()), None)
        if worker is None:
            self._report_death(next(w for w in candidates if self._processes[w].sentinel in ready))
        try:
            message = _read(self._pipes[worker])
        except (EOFError, ConnectionResetError):
            self._report_death(worker)
        except BaseException:  # interrupted in the middle of a message: nothing sensible follows
            self.close()
            raise
        return (worker, *_unpacked(message))

    def _report_death(self, worker: int) -> NoReturn:
        process = self._processes[worker]
        process.join(CHECK_INTERVAL)
        code = process.exitcode
        if code is not None and code < 0:
            reason = f"is killed by signal: {signal.strsignal(-code)}."
        else:
            reason = (f"exited unexpectedly with exit code {code}. Details are lost due to multiprocessing. Rerunning "
                      "with num_workers=0 may give better error trace.")
        self.close()
        cause = RuntimeError(f"DataLoader worker (pid {process.pid}) {reason}")
        raise RuntimeError(f"DataLoader worker (pid(s) {process.pid}) exited unexpectedly") from cause
