"""torch.profiler: wall time of the blocks that a script marks with `record_function`; operations are not traced.

For single operations use Python's own cProfile or py-spy: an operation here is one call of a compiled function.
"""
from __future__ import annotations

import functools
import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

__all__ = ["ProfilerAction", "ProfilerActivity", "emit_nvtx", "profile", "record_function", "schedule",
           "tensorboard_trace_handler"]


class ProfilerActivity(Enum):
    """What PyTorch's profiler can record; here, always the marked blocks."""

    CPU = 0
    CUDA = 1
    XPU = 2


class ProfilerAction(Enum):
    """What the profiler does in one step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


_running: list[profile] = []


class record_function:
    """A ``with`` block or a decorator: its wall time is added to the profiles that are under way, under this name."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name

    def __enter__(self) -> record_function:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *error: Any) -> None:
        for one in _running:
            one._add(self.name, self._start, time.perf_counter())

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name):
                return func(*args, **kwargs)
        return inside


class _Row:
    """The blocks of one name: how many and their total time in microseconds."""

    def __init__(self, key: str) -> None:
        self.key, self.count, self.cpu_time_total = key, 0, 0.0

    @property
    def cpu_time(self) -> float:
        """The mean time of a block, in microseconds."""
        return self.cpu_time_total / self.count

    @property
    def self_cpu_time_total(self) -> float:
        """The same: blocks are not told apart from what is inside them."""
        return self.cpu_time_total


class EventList(list):
    """The rows of `key_averages()`."""

    def table(self, sort_by: str | None = None, row_limit: int = 100, **ignored: Any) -> str:
        """The rows as text, the longest total first."""
        rows = sorted(self, key=lambda row: -row.cpu_time_total)[:None if row_limit < 0 else row_limit]
        width = max([len(row.key) for row in rows] + [4])
        lines = [f"{'Name':<{width}}  {'CPU total':>12}  {'CPU time avg':>12}  {'# of Calls':>10}"]
        lines += [f"{row.key:<{width}}  {row.cpu_time_total:>10.1f}us  {row.cpu_time:>10.1f}us  {row.count:>10}"
                  for row in rows]
        return "\n".join(lines)

    def total_average(self) -> _Row:
        """All rows as one."""
        total = _Row("Total")
        total.count = sum(row.count for row in self)
        total.cpu_time_total = sum(row.cpu_time_total for row in self)
        return total


class profile:
    """A ``with`` block that collects the wall time of the marked blocks inside it, and of each `step()`.

    `schedule` and `on_trace_ready` work as in PyTorch; the other arguments are accepted.
    """

    def __init__(self, *, activities: Iterable[ProfilerActivity] | None = None,
                 schedule: Callable[[int], ProfilerAction] | None = None,
                 on_trace_ready: Callable[[profile], Any] | None = None, **ignored: Any) -> None:
        self._schedule = schedule or (lambda step: ProfilerAction.RECORD)
        self._ready = on_trace_ready
        self.step_num = 0
        self._blocks: list[tuple[str, float, float, int]] = []

    def _add(self, name: str, start: float, end: float) -> None:
        if self._action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE):
            self._blocks.append((name, start, end, threading.get_ident()))

    def start(self) -> None:
        """Begin."""
        self._action = self._schedule(self.step_num)
        self._step_start = time.perf_counter()
        _running.append(self)

    def stop(self) -> None:
        """End; hand the profile to `on_trace_ready` if something was recorded and not handed over yet."""
        _running.remove(self)
        if self._ready and self._action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE):
            self._ready(self)

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.stop()

    def step(self) -> None:
        """The next step begins."""
        now = time.perf_counter()
        self._add(f"ProfilerStep#{self.step_num}", self._step_start, now)
        if self._action is ProfilerAction.RECORD_AND_SAVE:
            if self._ready:
                self._ready(self)
            self._blocks = []
        self.step_num += 1
        self._step_start, self._action = now, self._schedule(self.step_num)

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> EventList:
        """One row for each name."""
        rows: dict[str, _Row] = {}
        for name, start, end, _ in self._blocks:
            row = rows.setdefault(name, _Row(name))
            row.count += 1
            row.cpu_time_total += (end - start) * 1e6
        return EventList(rows.values())

    def events(self) -> EventList:
        """The same rows."""
        return self.key_averages()

    def table(self, **options: Any) -> str:
        """The rows as text."""
        return self.key_averages().table(**options)

    __str__ = table

    def export_chrome_trace(self, path: str) -> None:
        """Write the blocks as a JSON file that chrome://tracing and Perfetto show."""
        events = [{"name": name, "ph": "X", "ts": start * 1e6, "dur": (end - start) * 1e6, "pid": os.getpid(),
                   "tid": thread} for name, start, end, thread in self._blocks]
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events}, file)


def schedule(*, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0,
             skip_first_wait: int = 0) -> Callable[[int], ProfilerAction]:
    """What to do in each step: skip, then rounds of `wait` idle, `warmup` idle and `active` recorded steps."""
    length = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        step -= skip_first - (wait if skip_first_wait else 0)
        if step < 0 or repeat and step >= repeat * length:
            return ProfilerAction.NONE
        step %= length
        if step < wait + warmup:
            return ProfilerAction.NONE if step < wait else ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if step == length - 1 else ProfilerAction.RECORD
    return action


def tensorboard_trace_handler(dir_name: str, worker_name: str | None = None,
                              use_gzip: bool = False) -> Callable[[profile], None]:
    """An `on_trace_ready` that writes each trace as a JSON file into the folder."""
    def handler(one: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        name = f"{worker_name or os.getpid()}.{time.time_ns()}.pt.trace.json"
        one.export_chrome_trace(os.path.join(dir_name, name))
    return handler


class emit_nvtx:
    """A ``with`` block that does nothing: there is no CUDA device."""

    def __init__(self, enabled: bool = True, record_shapes: bool = False) -> None:
        self.enabled = enabled

    def __enter__(self) -> emit_nvtx:
        return self

    def __exit__(self, *error: Any) -> None:
        return None
