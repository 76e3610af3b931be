"""Grad modes: whether operations are recorded. Context managers and decorators; each thread has its own."""
from __future__ import annotations

import functools
from _thread import _local

from minitorch_bn._core import is_grad_enabled, is_inference_mode_enabled, set_modes_

TYPE_CHECKING = False  # typing itself would be a tenth of the time that this package takes to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

GENERATOR = 0x20  # the flag of a code object that inspect.isgeneratorfunction looks for


class _Recomputing(_local):
    """Whether this thread runs a checkpointed segment again: what counts batches has counted this one."""

    on = False


recomputing = _Recomputing()


class _Mode:
    """Sets both modes for a `with` block, or for every call of a decorated function (or step of a generator)."""

    def _modes(self) -> tuple[bool, bool]:
        raise NotImplementedError

    def clone(self) -> _Mode:
        """A fresh context manager of the same kind: a decorated function may be re-entered."""
        return type(self)()

    def __enter__(self) -> None:
        self._was = set_modes_(*self._modes())

    def __exit__(self, *error: Any) -> None:
        set_modes_(*self._was)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if getattr(getattr(function, "__code__", None), "co_flags", 0) & GENERATOR:
            @functools.wraps(function)
            def steps(*args: Any, **kwargs: Any) -> Any:
                generator = function(*args, **kwargs)
                sent = None
                while True:
                    with self.clone():
                        try:
                            value = generator.send(sent)
                        except StopIteration as stop:
                            return stop.value
                    sent = yield value
            return steps

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)
        return inside


class _PlainMode(_Mode):
    """A mode without arguments: also usable as a bare decorator (``@no_grad``)."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        return super().__new__(cls) if function is None else super().__new__(cls)(function)


class no_grad(_PlainMode):
    """Operations inside are not recorded."""

    def _modes(self) -> tuple[bool, bool]:
        return False, is_inference_mode_enabled()


class enable_grad(_PlainMode):
    """Operations inside are recorded, even inside :class:`no_grad`."""

    def _modes(self) -> tuple[bool, bool]:
        return True, is_inference_mode_enabled()


class set_grad_enabled(_Mode):
    """Switch recording on or off: at once when called, and back at the end if used as a context manager."""

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self._was = set_modes_(self.mode, is_inference_mode_enabled())

    def clone(self) -> set_grad_enabled:
        return set_grad_enabled(self.mode)

    def _modes(self) -> tuple[bool, bool]:
        return self.mode, is_inference_mode_enabled()

    def __enter__(self) -> None:
        set_modes_(*self._modes())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        set_modes_(*self._was)  # as a decorator it changes nothing now
        return super().__call__(function)


class inference_mode(_Mode):
    """Operations inside are not recorded, and the tensors they make can never enter a graph."""

    def __new__(cls, mode: Any = True) -> Any:
        return super().__new__(cls) if isinstance(mode, bool) else cls()(mode)

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode if isinstance(mode, bool) else True

    def clone(self) -> inference_mode:
        return inference_mode(self.mode)

    def _modes(self) -> tuple[bool, bool]:
        return (False, True) if self.mode else (is_grad_enabled() or is_inference_mode_enabled(), False)
