"""Turns a tensor into the text that PyTorch would print for it.

Two steps: `_corners` fetches the numbers that will be shown (all of them, or only the edges of a large tensor) as
nested lists, and `_Format` looks at these numbers once to choose one width and one notation for the whole tensor.
Only `t.shape`, `t.dtype`, `t.tolist()` and slicing are used, so printing needs no NumPy.
"""

from __future__ import annotations

import math
from typing import Any

_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


class _Options:
    """The current print options; one instance, changed by `set_printoptions`."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_options = _Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed.

    Args:
        precision: digits after the decimal point (default 4).
        threshold: tensors of more elements than this are shown by their edges only (default 1000).
        edgeitems: how many items are shown at each edge of a dimension (default 3).
        linewidth: characters in a line (default 80).
        profile: start from a named set: "default", "short" or "full".
        sci_mode: True or False forces scientific notation on or off; None (default) lets the numbers decide.

    Raises:
        ValueError: for an unknown profile or a negative number.
    """
    if profile is not None and profile not in _PROFILES:
        raise ValueError(f"set_printoptions(): unknown profile {profile!r}; choose one of {', '.join(_PROFILES)}")
    chosen: dict[str, Any] = dict(_PROFILES[profile]) if profile is not None else {}
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    chosen.update((name, value) for name, value in given.items() if value is not None)
    for name, value in chosen.items():
        if value < 0:
            raise ValueError(f"set_printoptions(): {name} must not be negative, got {value}")
    for name, value in chosen.items():
        setattr(_options, name, value)
    _options.sci_mode = sci_mode


class _Format:
    """One width and one notation (integers, fixed point or scientific) for all numbers of a tensor."""

    def __init__(self, values: list[Any], is_float: bool):
        self.is_float = is_float
        self.scientific = False
        self.whole = True  # floats that are all whole numbers print as "1." instead of "1.0000"
        self.width = 1
        if not is_float:
            self.width = max((len(str(v)) for v in values), default=1)
            return
        # Zeros, infinities and nans fit anywhere: they have no say in the notation or the width.
        shown = [v for v in values if v != 0 and math.isfinite(v)]
        if not shown:
            return
        small, large = min(map(abs, shown)), max(map(abs, shown))
        self.whole = all(v == math.ceil(v) for v in shown)
        self.scientific = large / small > 1000 or large > 1e8 or (not self.whole and small < 1e-4)
        if _options.sci_mode is not None:
            self.scientific = _options.sci_mode
        self.width = max(len(self._text(v)) for v in shown)

    def _text(self, value: Any) -> str:
        if not self.is_float:
            return str(value)
        if self.scientific:
            return f"{value:.{_options.precision}e}"
        if self.whole:
            return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"
        return f"{value:.{_options.precision}f}"

    def __call__(self, value: Any) -> str:
        return self._text(value).rjust(self.width)


def _corners(t: Any, summarize: bool) -> Any:
    """The numbers to show as nested lists; `...` stands where items are left out."""
    if not summarize or t.ndim == 0:
        return t.tolist()
    edge, size = _options.edgeitems, t.shape[0]
    if size <= 2 * edge:
        return t.tolist() if t.ndim == 1 else [_corners(t[i], True) for i in range(size)]
    if t.ndim == 1:
        return [*t[:edge].tolist(), ..., *t[size - edge :].tolist()]
    first, last = range(edge), range(size - edge, size)
    return [*(_corners(t[i], True) for i in first), ..., *(_corners(t[i], True) for i in last)]


def _flatten(nested: Any) -> list[Any]:
    """The numbers of nested lists in order, without the `...` marks."""
    if nested is ...:
        return []
    if not isinstance(nested, list):
        return [nested]
    return [value for item in nested for value in _flatten(item)]


def _body(nested: Any, ndim: int, indent: int, fmt: _Format) -> str:
    """The bracketed numbers; `indent` is the column of the opening bracket."""
    if ndim == 0:
        return fmt(nested)
    if ndim > 1:
        rows = ["..." if row is ... else _body(row, ndim - 1, indent + 1, fmt) for row in nested]
        gap = "," + "\n" * (ndim - 1) + " " * (indent + 1)
        return "[" + gap.join(rows) + "]"
    if nested == [...]:
        return "[...]"
    cells = [" ..." if value is ... else fmt(value) for value in nested]
    per_line = max(1, (_options.linewidth - indent) // (fmt.width + 2))
    lines = [", ".join(cells[i : i + per_line]) for i in range(0, len(cells), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def tensor_repr(t: Any, default_dtype: Any = None) -> str:
    """The text of `repr(t)`, PyTorch's: the numbers, then size, dtype and gradient notes that say something new.

    `default_dtype` is the floating dtype that is not worth a mention; None: that of `set_default_dtype`.
    """
    if default_dtype is None:
        from minitorch_bn._core import get_default_dtype

        default_dtype = get_default_dtype()
    grad_fn, requires_grad = t.grad_fn, t.requires_grad
    prefix = "tensor(" if type(t).__module__.startswith("minitorch_bn") else type(t).__name__ + "("
    t = t.detach()
    dtype = str(t.dtype).rpartition(".")[2]
    default = str(default_dtype).rpartition(".")[2]
    notes = []
    if t.numel() == 0:
        if t.ndim != 1:
            notes.append(f"size={tuple(t.shape)}")
        implied = [default]
        body = "[]"
    else:
        implied = [default, "int64", "bool"]
        if _options.edgeitems == 0:  # a summary shows no number, so at least it shows the size
            notes.append(f"size={tuple(t.shape)}")
        nested = _corners(t, t.numel() > _options.threshold)
        fmt = _Format(_flatten(nested), is_float="float" in dtype)
        body = _body(nested, t.ndim, len(prefix), fmt)
    if dtype not in implied:
        notes.append(f"dtype=torch.{dtype}")
    if grad_fn is not None:
        notes.append(f"grad_fn=<{grad_fn.name()}>")
    elif requires_grad:
        notes.append("requires_grad=True")

    text = prefix + body
    column = len(text) - text.rfind("\n") + 1
    for note in notes:
        if column + len(note) + 2 > _options.linewidth:
            text += ",\n" + " " * len(prefix) + note
            column = len(prefix) + len(note)
        else:
            text += ", " + note
            column += len(note) + 2
    return text + ")"
