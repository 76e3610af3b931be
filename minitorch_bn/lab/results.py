"""Measured numbers, one row for each setting and seed, and what is computed from them: means, spreads, curves."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

LABELS = {"none": "without", "batch": "batch norm"}
HOLDS, IN_PART, NOT_HERE = "holds", "holds in part", "does not hold here"
# Two-sided 95 % quantiles of Student's t by degrees of freedom; from 11 on, 2.2 is on the safe side.
STUDENT = (math.inf, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)


class Estimate(NamedTuple):
    """A mean over seeds, and the standard deviation between them."""

    mean: float
    sd: float
    n: int

    @property
    def clear(self) -> bool:
        """Whether a mean of paired differences is other than zero: Student's t, 95 %. One seed alone shows nothing."""
        if self.n < 2:
            return False
        return abs(self.mean) > STUDENT[min(self.n - 1, 10)] * self.sd / math.sqrt(self.n)

    @property
    def above(self) -> bool:
        """Whether a mean of paired differences is positive, and clearly so where there are seeds enough to tell."""
        return self.mean > 0 and (self.clear or self.n == 1)

    def text(self, style: str = ".3g", unit: str = "") -> str:
        return f"{self.mean:{style}}{unit} ± {self.sd:{style}}{unit}"

    @property
    def percent(self) -> str:
        return f"{100 * self.mean:.1f} ± {100 * self.sd:.1f} %"


def estimate(values: Iterable[float]) -> Estimate:
    values = [float("nan") if v is None else float(v) for v in values]
    if not values:
        return Estimate(math.nan, math.nan, 0)
    mean = math.fsum(values) / len(values) if all(map(math.isfinite, values)) else math.nan
    sd = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else 0.0
    return Estimate(mean, sd, len(values))


class Series(NamedTuple):
    """One line of a figure: points with a mean and a spread."""

    label: str
    x: list
    y: list
    spread: list


class Figure(NamedTuple):
    """What is drawn: lines (or bars) over x; the text says what is seen, for those who do not see it."""

    title: str
    x: str
    y: str
    series: list[Series]
    text: str
    log: str = ""  # the axes with a logarithmic scale: "", "x", "y" or "xy"
    kind: str = "lines"  # or "bars"
    percent: bool = False


class Verdict(NamedTuple):
    """Whether the claim holds, the sentence that says so with its numbers, and the numbers by name."""

    level: str
    sentence: str
    numbers: dict[str, str]


UNTOLD = "could not be told"


def judged(module: Any, results: Results) -> Verdict:
    """An experiment's verdict; none, if a number that it needs is not finite."""
    verdict = module.verdict(results)
    return verdict._replace(level=UNTOLD) if re.search(r"\bnan\b", verdict.sentence) else verdict


class Results:
    """The rows of one experiment. `where(norm="batch")` keeps those of a setting; the rest computes over seeds."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = sorted(rows, key=lambda row: row["seed"])

    def where(self, **setting: Any) -> Results:
        return Results([row for row in self.rows if all(row.get(k) == v for k, v in setting.items())])

    def distinct(self, name: str) -> list:
        """The values that a setting takes, in the order in which they come."""
        return list(dict.fromkeys(row[name] for row in self.rows if name in row))

    def values(self, name: str, **setting: Any) -> list:
        """What was measured, seed by seed."""
        return [row[name] for row in self.where(**setting).rows]

    def estimate(self, name: str, **setting: Any) -> Estimate:
        return estimate(self.values(name, **setting))

    def mean(self, name: str, **setting: Any) -> float:
        return self.estimate(name, **setting).mean

    def difference(self, name: str, a: dict, b: dict) -> Estimate:
        """a minus b, paired by seed."""
        return estimate(u - v for u, v in zip(self.values(name, **a), self.values(name, **b)))

    def ratio(self, name: str, a: dict, b: dict) -> float:
        """The geometric mean of a / b, paired by seed."""
        logs = [math.log(u / v) for u, v in zip(self.values(name, **a), self.values(name, **b))]
        return math.exp(estimate(logs).mean)

    def line(self, label: str, name: str, x: str, **setting: Any) -> Series:
        """A measured number over a setting."""
        part = self.where(**setting)
        at = part.distinct(x)
        found = [part.estimate(name, **{x: value}) for value in at]
        return Series(label, at, [e.mean for e in found], [e.sd for e in found])

    def curve(self, label: str, name: str, x: str | Sequence[float], **setting: Any) -> Series:
        """A measured list, point by point, over another measured list or given places."""
        part = self.where(**setting)
        lists = part.values(name)
        length = min(map(len, lists), default=0)
        at = list(part.rows[0][x] if isinstance(x, str) else x) if lists else []
        found = [estimate(values[i] for values in lists) for i in range(length)]
        return Series(label, at[:length], [e.mean for e in found], [e.sd for e in found])
