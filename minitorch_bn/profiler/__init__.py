"""torch.profiler: where the time of a program goes, operation by operation, as a table or as a trace for Perfetto.

While a profile records, it sees, in every thread and one inside the other: element-wise operations, indexing,
functions of torch, nn.functional, linalg, fft and special and methods of Tensor, but for views and inquiries;
backward nodes; steps of optimizers; batches of a DataLoader; blocks marked with `record_function`.

Functions are exchanged in all loaded modules meanwhile; of one kept elsewhere (a local variable, a list) only what it
calls is seen. Time is wall time, shown where it is spent: a batch norm may wait for what reads its result. Each event
costs a microsecond or two; without a profile there is no cost. See docs/performance.md.
"""
from __future__ import annotations

import functools
import gzip
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

import minitorch_bn as torch
from minitorch_bn._core import Tensor, install, set_tracer_

__all__ = ["ProfilerAction", "ProfilerActivity", "emit_nvtx", "profile", "record_function", "schedule",
           "tensorboard_trace_handler"]


class ProfilerActivity(Enum):
    """What PyTorch's profiler can record; here, always the CPU."""

    CPU = 0
    CUDA = 1
    XPU = 2


class ProfilerAction(Enum):
    """What the profiler does in one step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


_RECORDING = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


# Of the core, whose functions are mostly views and inquiries, these do more. What only hands on to an element-wise one
# (nn.functional.activations, which modules also compare by identity) is seen through it; seeds are not operations.
_CORE = set("arange as_tensor bfloat16 bool clone contiguous copy_ double empty eye fill_ flatten float full full_like "
           "half int item linspace long numpy ones ones_like reshape tensor to tolist type_as where zero_ zeros "
           "zeros_like".split())
_PACKAGE = torch.__name__
_MODULES = tuple(f"{_PACKAGE}.{part}" for part in ("ops", "nn.functional", "linalg", "fft", "special"))
_UNSEEN = tuple(f"{_PACKAGE}.{part}" for part in ("ops.elementwise", "ops.generator", "nn.functional.activations"))

_lock = threading.RLock()
_recording: tuple[profile, ...] = ()
_undo: list[Callable[[], Any]] = []


class record_function:
    """A ``with`` block or a decorator: the profiles that record show its time under this name."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name

    def __enter__(self) -> record_function:
        self._start = time.perf_counter_ns()
        return self

    def __exit__(self, *error: Any) -> None:
        _ended(self.name, self._start, ())

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name):
                return func(*args, **kwargs)
        return inside


class FunctionEvent:
    """One event, or all of one name: how many and their times, in microseconds. `self` times are without what other
    events inside took."""

    device_time = device_time_total = self_device_time_total = 0.0
    cuda_time = cuda_time_total = self_cuda_time_total = 0.0

    def __init__(self, key: str, input_shapes: Any = None) -> None:
        self.key = self.name = key
        self.input_shapes = input_shapes
        self.count, self.cpu_time_total, self.self_cpu_time_total = 0, 0.0, 0.0
        self.thread = self.start = self.end = 0  # of one event: the system's number of the thread; nanoseconds
        self.cpu_parent: FunctionEvent | None = None

    def add(self, event: FunctionEvent) -> None:
        """Count another."""
        self.count += event.count
        self.cpu_time_total += event.cpu_time_total
        self.self_cpu_time_total += event.self_cpu_time_total

    @property
    def cpu_time(self) -> float:
        """The mean time, in microseconds."""
        return self.cpu_time_total / self.count if self.count else 0.0

    def __repr__(self) -> str:
        return f"<FunctionEvent {self.key}, {self.count} x {_in_words(self.cpu_time)}>"


def _in_words(time: float) -> str:
    """Microseconds as text, in a unit that suits."""
    return f"{time / 1e6:.3f}s" if time >= 1e6 else f"{time / 1e3:.3f}ms" if time >= 1e3 else f"{time:.3f}us"


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[:width - 3] + "..."


class EventList(list[FunctionEvent]):
    """Events or rows."""

    @property
    def self_cpu_time_total(self) -> float:
        """The sum of all, in microseconds."""
        return sum(row.self_cpu_time_total for row in self)

    def total_average(self) -> FunctionEvent:
        """All rows as one."""
        total = FunctionEvent("Total")
        for row in self:
            total.add(row)
        total.cpu_time_total = total.self_cpu_time_total
        return total

    def table(self, sort_by: str | None = None, row_limit: int = 100, max_name_column_width: int = 55,
              max_shapes_column_width: int = 80, **ignored: Any) -> str:
        """The rows as text, at most `row_limit` (-1: all), the largest `sort_by` first: "self_cpu_time_total",
        "cpu_time_total", "cpu_time", "count"; in the order in which they began if there is none."""
        whole = self.self_cpu_time_total
        rows: Iterable[FunctionEvent] = self
        if sort_by:
            rows = sorted(self, key=lambda row: getattr(row, sort_by), reverse=True)
        rows = list(rows)[:None if row_limit < 0 else row_limit]
        lines = [["Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg", "# of Calls"]]
        for row in rows:
            own, total = row.self_cpu_time_total, row.cpu_time_total
            lines.append([_shortened(row.key, max_name_column_width),
                          *(f for time in (own, total) for f in (f"{100 * time / (whole or 1):.2f}%", _in_words(time))),
                          _in_words(row.cpu_time), str(row.count)])
        if any(row.input_shapes is not None for row in rows):
            lines[0].append("Input Shapes")
            for line, row in zip(lines[1:], rows):
                line.append(_shortened(str(row.input_shapes or []), max_shapes_column_width))
        widths = [max(12, *map(len, column)) for column in zip(*lines)]
        lines.insert(1, ["-" * width for width in widths])
        text = ["  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths)) + "  " for line in lines]
        return "\n".join([text[1], *text, text[1], f"Self CPU time total: {_in_words(whole)}", ""])


def _nested(recorded: list[tuple[str, int, int, int, Any]]) -> EventList:
    """The events with their parents and own times; one within another of its name is the other's work."""
    result, around, thread = EventList(), [], None  # type: ignore[var-annotated]
    order = sorted(range(len(recorded)), key=lambda i: (recorded[i][3], recorded[i][1], -recorded[i][2], -i))
    for name, start, end, where, shapes in [recorded[i] for i in order]:
        if where != thread:
            around, thread = [], where
        while around and around[-1].end <= start:
            around.pop()
        parent = around[-1] if around else None
        if parent and parent.key == name and "::" in name:
            continue
        event = FunctionEvent(name, shapes)
        event.count, event.start, event.end, event.thread, event.cpu_parent = 1, start, end, where, parent
        event.cpu_time_total = event.self_cpu_time_total = (end - start) / 1000
        if parent:
            parent.self_cpu_time_total -= (min(end, parent.end) - start) / 1000
        around.append(event)
        result.append(event)
    return result


class profile:
    """A ``with`` block that records what runs inside it.

    Args:
        enabled: False records nothing.
        schedule: what to do in each step, of which `step()` is the end; without it, everything is recorded.
        on_trace_ready: called with the profile when a round of the schedule, or everything, has been recorded.
        record_shapes: keep the shapes of the arguments too.
        activities: and what else PyTorch's profilers take, is accepted.
    """

    def __init__(self, enabled: bool = True, *, activities: Iterable[ProfilerActivity] | None = None,
                 schedule: Callable[[int], ProfilerAction] | None = None,
                 on_trace_ready: Callable[[profile], Any] | None = None, record_shapes: bool = False,
                 **ignored: Any) -> None:
        self._schedule = schedule if enabled else lambda step: ProfilerAction.NONE
        self._ready = on_trace_ready
        self._shapes = record_shapes
        self.step_num = 0
        self._action, self._running = ProfilerAction.NONE, False
        self._events: list[tuple[str, int, int, int, Any]] = []

    def _add(self, name: str, start: int, end: int, thread: int, shapes: Callable[[], Any]) -> None:
        if self._action in _RECORDING and start >= self._since:
            self._events.append((name, start, end, thread, shapes() if self._shapes else None))

    def _turn(self) -> None:
        """Do what the schedule says for this step."""
        before, action = self._action, self._schedule(self.step_num) if self._schedule else ProfilerAction.RECORD
        _follow(self, action in _RECORDING)
        self._step_start = time.perf_counter_ns()
        if action in _RECORDING and before is not ProfilerAction.RECORD:
            self._events, self._since = [], self._step_start
        self._action = action

    def start(self) -> None:
        """Begin."""
        self._running = True
        self._turn()

    def stop(self) -> None:
        """End; hand the profile to `on_trace_ready` if something was recorded and not handed over yet."""
        recorded = self._action in _RECORDING
        self._action, self._running = ProfilerAction.NONE, False
        _follow(self, False)
        if self._ready and recorded:
            self._ready(self)

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.stop()

    def step(self) -> None:
        """The next step begins."""
        if self._schedule:
            self._add(f"ProfilerStep#{self.step_num}", self._step_start, time.perf_counter_ns(),
                      threading.get_native_id(), list)
        if self._action is ProfilerAction.RECORD_AND_SAVE:
            self._action = ProfilerAction.NONE
            if self._ready:
                self._ready(self)
        self.step_num += 1
        if self._running:
            self._turn()

    def events(self) -> EventList:
        """What was recorded, each thread's events in the order in which they began."""
        return _nested(self._events)

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> EventList:
        """One row for each name (and the shapes of its arguments, if `record_shapes`)."""
        rows: dict[Any, FunctionEvent] = {}
        for event in self.events():
            shapes = event.input_shapes if group_by_input_shape else None
            key = "ProfilerStep*" if event.key.startswith("ProfilerStep#") else event.key
            rows.setdefault((key, str(shapes)), FunctionEvent(key, shapes)).add(event)
        return EventList(rows.values())

    def table(self, **options: Any) -> str:
        """The rows as text."""
        return self.key_averages().table(**options)

    def __str__(self) -> str:
        return self.table()

    def export_chrome_trace(self, path: str) -> None:
        """Write the events as a JSON file (.gz: compressed) that https://ui.perfetto.dev and chrome://tracing show."""
        events = [{"ph": "X", "cat": "cpu_op" if "::" in event.name else "user_annotation", "name": event.name,
                   "pid": os.getpid(), "tid": event.thread, "ts": event.start / 1000, "dur": event.cpu_time_total,
                   **({} if event.input_shapes is None else {"args": {"Input Dims": event.input_shapes}})}
                  for event in self.events()]
        with (gzip.open if str(path).endswith(".gz") else open)(path, "wt", encoding="utf-8") as file:
            json.dump({"displayTimeUnit": "ms", "traceEvents": events}, file)


def _ended(name: str, start: int, arguments: tuple[Any, ...]) -> None:
    """Tell the profiles that record of an event that is over."""
    if _recording:
        end = time.perf_counter_ns()
        for one in _recording:
            one._add(name, start, end, threading.get_native_id(), lambda: [_shape_of(x) for x in arguments])


def _shape_of(x: Any) -> list[Any]:
    return list(x.shape) if isinstance(x, Tensor) else [*map(_shape_of, x)] if type(x) in (list, tuple) and any(
        isinstance(t, Tensor) for t in x) else []


def _of_class(begins: str, method: str, one: Any) -> str:
    return f"{begins}#{type(one).__name__}.{method}"


def _timed(function: Callable[..., Any], name: str | Callable[[Any], str]) -> Callable[..., Any]:
    """The function, reported under this name, or the name for its first argument."""
    @functools.wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter_ns()
        result = function(*args, **kwargs)
        _ended(name if isinstance(name, str) else name(args[0]), start, (*args, *kwargs.values()))
        return result
    return inside


def _follow(one: profile, on: bool) -> None:
    """From now on the profile records, or no more."""
    global _recording
    with _lock:
        recording = (*(other for other in _recording if other is not one), *([one] if on else []))
        try:
            if recording and not _undo:
                _exchange()
            _recording = recording
        finally:
            while _undo and not _recording:
                _undo.pop()()


def _exchange() -> None:
    """Put timed functions in the place of those that are to be seen, wherever a module has them."""
    from minitorch_bn import nn, ops
    from minitorch_bn.ops.recurrent import scan
    from minitorch_bn.optim import optimizer
    replaced: dict[int, tuple[Any, Any]] = {id(scan): (scan, _timed(scan, lambda mode: f"aten::{mode.lower()}"))}

    def exchanged(function: Any) -> Any:
        old, new = replaced.get(id(function), (None, None))
        return new if old is function else None

    def put(kind: type, name: str, new: Any) -> None:
        _undo.append(functools.partial(setattr, kind, name, vars(kind)[name]))
        setattr(kind, name, new)

    loaded = [sys.modules[name] for name in _MODULES[2:] if name in sys.modules]
    for space in (torch, ops, nn.functional, *loaded, Tensor):
        for name, function in list(vars(space).items()):
            module = getattr(function, "__module__", None) or ""
            seen = name in _CORE if module == f"{_PACKAGE}._core" else module.startswith(_MODULES)
            seen = seen and module not in _UNSEEN
            if seen and name[0] != "_" and callable(function) and not isinstance(function, type):
                new = replaced.setdefault(id(function), (function, _timed(function, f"aten::{name}")))[1]
                plain = getattr(function, "_plain", None)  # layers keep the form that asks no subclass
                if plain is not None:
                    replaced.setdefault(id(plain), (plain, _timed(plain, f"aten::{name}")))
                if space is Tensor:
                    install(name, new)
                    _undo.append(functools.partial(install, name, function))
    for module in list(sys.modules.values()):
        names: Any = getattr(module, "__dict__", None)
        for name, value in list(names.items()) if type(names) is dict else ():
            new = exchanged(value)
            if new is not None:
                names[name] = new
                _undo.append(functools.partial(_put_back, names, name, new, value))
    kinds: list[type] = [nn.Module]
    for kind in kinds:  # layers that keep their function
        kinds += kind.__subclasses__()
        for name, value in list(vars(kind).items()):
            if isinstance(value, staticmethod) and exchanged(value.__func__):
                put(kind, name, staticmethod(exchanged(value.__func__)))
    batches = torch.utils.data.dataloader._BaseDataLoaderIter
    for kind, method, begins in ((optimizer.Optimizer, "zero_grad", "Optimizer.zero_grad"),
                                 (batches, "__next__", "enumerate(DataLoader)")):
        put(kind, method, _timed(vars(kind)[method], functools.partial(_of_class, begins, method)))
    starts: dict[Any, int] = {}
    _undo.append(optimizer.register_optimizer_step_pre_hook(
        lambda one, args, kwargs: starts.update({(id(one), threading.get_ident()): time.perf_counter_ns()})).remove)
    _undo.append(optimizer.register_optimizer_step_post_hook(
        lambda one, args, kwargs: _ended(_of_class("Optimizer.step", "step", one),
                                        starts.pop((id(one), threading.get_ident()), 0), ())).remove)
    set_tracer_(_ended)
    _undo.append(functools.partial(set_tracer_, None))


def _put_back(names: dict[str, Any], name: str, new: Any, function: Any) -> None:
    if names.get(name) is new:
        names[name] = function


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
        name = f"{worker_name or os.getpid()}.{time.time_ns()}.pt.trace.json{'.gz' * use_gzip}"
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
