"""What the doctor says: findings, as text, JSON and HTML, and the repairs that are safe to make."""
from __future__ import annotations

import html
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from .table import CAUSES, RULES

_SHOWN = 4  # layers of one rule that the text lists


@dataclass
class Finding:
    """One rule that applies to one layer: what was measured, and against which threshold."""

    rule: str
    path: str  # of the layer; "loader", "optimizer" or "model" for what is not one
    measured: float
    threshold: float
    evidence: str
    severity: str = ""

    def __post_init__(self) -> None:
        self.severity = self.severity or RULES[self.rule].severity
        self.measured = float(self.measured)

    @property
    def why(self) -> str:
        """Why it matters."""
        return RULES[self.rule].why

    @property
    def advice(self) -> str:
        """The way out."""
        return RULES[self.rule].fix


class Report:
    """The findings, in the order of the rules. `print(report)` shows them; `exit_status` is for CI."""

    def __init__(self, findings: list[Finding], facts: dict[str, Any], repair: Any = None) -> None:
        found = {f.rule for f in findings if f.severity != "note"}
        hidden = {effect: cause for cause in CAUSES if cause in found for effect in CAUSES[cause]}
        self.explained = {rule: hidden[rule] for rule in sorted(found & set(hidden))}
        rank = {"error": 0, "warning": 1, "note": 2}
        shown = [f for f in findings if f.rule not in hidden]
        self.notes = [f for f in shown if f.severity == "note"]
        self.findings = sorted((f for f in shown if f.severity != "note"), key=lambda f: (rank[f.severity], f.rule))
        self.facts = facts
        self._repair = repair

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def rules(self) -> list[str]:
        """The ids of the rules that found something."""
        return sorted({f.rule for f in self.findings})

    @property
    def exit_status(self) -> int:
        """0 if nothing was found, else 1."""
        return int(bool(self.findings))

    def of(self, rule: str) -> list[Finding]:
        """The findings of one rule, notes included."""
        return [f for f in [*self.findings, *self.notes] if f.rule == rule]

    def fix(self, *rules: str) -> list[str]:
        """Repair what these rules found (by default: all that has a safe repair); says what was done.

        Changes the model (and, for BN108, the optimizer) in place. BN102, BN103, BN107, BN108, BN109, BN117 and BN118
        can be repaired; another rule that is named is a ValueError with its advice.
        """
        from .fixes import FIXES
        for rule in rules:
            if rule not in FIXES:
                advice = f": {RULES[rule].fix}" if rule in RULES else ""
                raise ValueError(f"{rule} has no repair that is safe to make for you{advice}")
        done = []
        for rule in rules or [r for r in FIXES if r in self.rules]:
            paths = [f.path for f in self.of(rule)]
            if paths:
                done += FIXES[rule](self._repair, paths)
        return done

    def __str__(self) -> str:
        lines = []
        for found in [self.findings, self.notes]:
            for rule in dict.fromkeys(f.rule for f in found):
                lines += self._lines(rule, [f for f in found if f.rule == rule])
        for effect, cause in self.explained.items():
            lines += [f"{effect} ({RULES[effect].title}) was seen too; {cause} explains it", ""]
        numbers = (len(self.rules), "finding"), (self.facts["batch_norms"], "batch norm"), \
            (self.facts["steps"], "training step")
        counts = [f"{n} {what}{'s' * (n != 1)}" for n, what in numbers]
        lines.append(f"{counts[0]} in {counts[1]}, after {counts[2]} of batches of {self.facts['batch_size']}")
        return "\n".join(lines)

    __repr__ = __str__

    @staticmethod
    def _lines(name: str, found: list[Finding]) -> list[str]:
        rule = RULES[name]
        lines = [f"{name} {found[0].severity}: {rule.title}"]
        for f in found[:_SHOWN]:
            lines.append(f"  {f.path or '(the model itself)'}: {f.evidence}")
        if len(found) > _SHOWN:
            lines.append(f"  and {len(found) - _SHOWN} more layers")
        first = found[0]
        lines.append(f"  measured  {rule.measures}: {first.measured:.3g}, threshold {first.threshold:.3g}")
        return [*lines, f"  why       {rule.why}", f"  fix       {rule.fix}", ""]

    def _dict(self) -> dict[str, Any]:
        def entry(f: Finding) -> dict[str, Any]:
            return {**asdict(f), "title": RULES[f.rule].title, "why": f.why, "fix": f.advice}

        return {"findings": [entry(f) for f in self.findings], "notes": [entry(f) for f in self.notes],
                "explained": self.explained, "facts": self.facts}

    def to_json(self, path: Any = None) -> str:
        """All of it as JSON; written to `path` if given. What is not a finite number is a string there."""
        def finite(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: finite(item) for key, item in value.items()}
            if isinstance(value, list):
                return [finite(item) for item in value]
            return str(value) if isinstance(value, float) and not abs(value) < float("inf") else value

        return _written(json.dumps(finite(self._dict()), indent=1), path)

    def to_html(self, path: Any = None) -> str:
        """A page of its own; written to `path` if given."""
        rows = "".join(
            f"<tr class={f.severity}><td>{f.rule}<td>{html.escape(RULES[f.rule].title)}<td><code>{html.escape(f.path)}"
            f"</code><td>{html.escape(f.evidence)}<td>{f.measured:.3g}<td>{f.threshold:.3g}"
            f"<td>{html.escape(f.why)}<td>{html.escape(f.advice)}</tr>\n" for f in [*self.findings, *self.notes])
        head = "".join(f"<th>{name}" for name in
                       "rule,finding,layer,evidence,measured,threshold,why it matters,the way out".split(","))
        facts = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.facts.items())
        return _written(
            "<!doctype html><meta charset=utf-8><title>Batch norm: the doctor's report</title><style>"
            "body{font:15px sans-serif;margin:2em}td,th{padding:.4em .6em;text-align:left;vertical-align:top;"
            "border-bottom:1px solid #ccc}.error{background:#fdd}.warning{background:#ffd}</style>"
            f"<h1>{len(self.rules)} findings</h1><p>{html.escape(facts)}</p>\n"
            f"<table><tr>{head}</tr>\n{rows}</table>\n", path)


def _written(text: str, path: Any) -> str:
    if path is not None:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    return text
