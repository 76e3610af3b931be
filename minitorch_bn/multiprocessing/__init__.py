"""torch.multiprocessing: Python's multiprocessing, with `spawn`; tensors travel between processes as copies.

What forked processes are to share is made so by `Tensor.share_memory_()` or `Module.share_memory()` before the fork.
"""
from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing import (
    JoinableQueue,
    Pool,
    Process,
    Queue,
    SimpleQueue,
    connection,
    cpu_count,
    current_process,
    get_context,
    get_start_method,
    set_start_method,
)
from typing import Any

from minitorch_bn import _names

__all__ = ["JoinableQueue", "Pool", "Process", "ProcessContext", "ProcessExitedException", "ProcessRaisedException",
           "Queue", "SimpleQueue", "cpu_count", "current_process", "get_all_sharing_strategies", "get_context",
           "get_sharing_strategy", "get_start_method", "set_sharing_strategy", "set_start_method", "spawn",
           "start_processes"]

_strategy = "file_descriptor"


class ProcessException(Exception):
    """A process that `spawn` started failed."""

    def __init__(self, msg: str, error_index: int, pid: int | None = None) -> None:
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid


class ProcessRaisedException(ProcessException):
    """The function raised: the message holds its traceback."""


class ProcessExitedException(ProcessException):
    """The process ended by a signal or an exit code other than 0."""

    def __init__(self, msg: str, error_index: int, pid: int | None = None, exit_code: int = 0) -> None:
        super().__init__(msg, error_index, pid)
        self.exit_code = exit_code


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepted: tensors are sent as copies."""
    global _strategy
    if new_strategy not in get_all_sharing_strategies():
        raise AssertionError(f"{new_strategy} is not one of {sorted(get_all_sharing_strategies())}")
    _strategy = new_strategy


def get_sharing_strategy() -> str:
    """What was set."""
    return _strategy


def get_all_sharing_strategies() -> set[str]:
    """PyTorch's names."""
    return {"file_descriptor", "file_system"}


def _call(fn: Callable[..., Any], i: int, args: tuple[Any, ...], errors: Any) -> None:
    """In the new process: ``fn(i, *args)``; an exception is sent as text."""
    try:
        fn(i, *args)
    except KeyboardInterrupt:
        pass
    except Exception:
        errors.put(traceback.format_exc())
        raise SystemExit(1) from None


class ProcessContext:
    """The processes that `spawn(join=False)` started."""

    def __init__(self, processes: list[Any], errors: list[Any]) -> None:
        self.processes, self.error_queues = processes, errors

    def pids(self) -> list[int]:
        """The processes' numbers."""
        return [process.pid for process in self.processes]

    def join(self, timeout: float | None = None) -> bool:
        """Wait for one more process to end; True if all have. The first failure ends the others and is raised."""
        running = {process.sentinel: i for i, process in enumerate(self.processes) if process.is_alive()}
        done = connection.wait(list(running), timeout) if running else []  # it would wait for ever for nothing
        ended = [running[sentinel] for sentinel in done]
        for i in ended:
            self.processes[i].join()
        alive = [process.is_alive() for process in self.processes]  # asked once: one may end any time
        for i in [*ended, *range(len(alive))]:
            if not alive[i] and self.processes[i].exitcode:
                self._fail(i)
        return not any(alive)

    def _fail(self, i: int) -> None:
        for process in self.processes:
            process.terminate()
            process.join()
        pid, code, errors = self.processes[i].pid, self.processes[i].exitcode, self.error_queues[i]
        if not errors.empty():
            raise ProcessRaisedException(f"\n\n-- Process {i} terminated with the following error:\n{errors.get()}", i,
                                         pid)
        reason = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise ProcessExitedException(f"process {i} terminated with {reason}", i, pid, code)


def start_processes(fn: Callable[..., Any], args: tuple[Any, ...] = (), nprocs: int = 1, join: bool = True,
                    daemon: bool = False, start_method: str = "spawn") -> ProcessContext | None:
    """Run ``fn(i, *args)`` for each i below `nprocs`, each in a process of its own."""
    context: Any = get_context(start_method)
    errors = [context.SimpleQueue() for _ in range(nprocs)]
    processes = [context.Process(target=_call, args=(fn, i, args, errors[i]), daemon=daemon) for i in range(nprocs)]
    for process in processes:
        process.start()
    started = ProcessContext(processes, errors)
    if not join:
        return started
    while not started.join():
        pass
    return None


def spawn(fn: Callable[..., Any], args: tuple[Any, ...] = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
          start_method: str = "spawn") -> ProcessContext | None:
    """Run ``fn(i, *args)`` for each i below `nprocs`, each in a process of its own, and wait unless `join` is False."""
    return start_processes(fn, args, nprocs, join, daemon, start_method)


SpawnContext = ProcessContext
_submodule = _names.lookup(__name__)


def __getattr__(name: str) -> Any:
    """What else Python's multiprocessing has."""
    return getattr(multiprocessing, name) if hasattr(multiprocessing, name) else _submodule(name)
