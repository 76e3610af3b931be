"""Measurements as rows: a list of dicts that prints as a table, and gives columns to pandas or a plot."""
from __future__ import annotations

from typing import Any


class Rows(list):
    """A list of dicts with the same keys; `str` is a table, `frame()` its columns."""

    title = ""

    def frame(self) -> dict[str, list[Any]]:
        """The columns by name, as `pandas.DataFrame` takes them. What a row lacks is None."""
        names = dict.fromkeys(name for row in self for name in row)
        return {name: [row.get(name) for row in self] for name in names}

    def __str__(self) -> str:
        columns = self.frame()
        cells = [[name, *(_shown(value) for value in values)] for name, values in columns.items()]
        widths = [max(map(len, column)) for column in cells]
        kinds = [all(isinstance(v, str) for v in values) for values in columns.values()]
        lines = ["  ".join(cell.ljust(width) if text else cell.rjust(width)
                           for cell, width, text in zip(line, widths, kinds)).rstrip() for line in zip(*cells)]
        return "\n".join([self.title, *lines] if self.title else lines)

    __repr__ = __str__


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
