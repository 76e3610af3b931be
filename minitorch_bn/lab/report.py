"""Writes the report: one HTML page that needs no network, a JSON file for each figure, and all numbers in one more."""

from __future__ import annotations

import inspect
import json
import math
import os
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import minitorch_bn
from minitorch_bn.serialization.atomic import replacing

from . import runner
from .results import HOLDS, IN_PART, Figure, Results, Verdict, judged

PAGE = Path(__file__).parent / "page"
# Nothing may be fetched: not by the page, nor by the plotting library in it.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def plotly_js() -> str:
    """The plotting library's JavaScript, from the installed package; empty where there is none: tables remain."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        return ""
    return get_plotlyjs().replace("</script", "<\\/script")


def _number(value: Any) -> str:
    if isinstance(value, str):
        return escape(value)
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.4g}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], label: str) -> str:
    """A table that scrolls by itself on a narrow screen; cells are HTML, the first of each row is its header."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>"
                   for first, *rest in rows)
    return (f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label)}"><table><thead><tr>{top}</tr>'
            f"</thead><tbody>{body}</tbody></table></div>")


def _figure(figure: Figure, key: str) -> str:
    """A place for the chart, buttons for its series and its view, and its data as a table."""
    at = list(dict.fromkeys(x for series in figure.series for x in series.x))
    cells = [dict(zip(s.x, zip(s.y, s.spread))) for s in figure.series]
    rows = [[_number(x), *(f"{_number(c[x][0])} ± {_number(c[x][1])}" if x in c else "" for c in cells)] for x in at]
    table = _table([escape(figure.x), *(escape(s.label) for s in figure.series)], rows, f"Data: {figure.title}")
    series = "".join(f'<button type="button" class="series" aria-pressed="true" data-series="{i}"><i></i>'
                     f"{escape(s.label)}</button>" for i, s in enumerate(figure.series))
    tools = "".join(f'<button type="button" data-do="{do}" aria-label="{told}">{sign}</button>' for do, told, sign in (
        ("in", "Zoom in", "+"), ("out", "Zoom out", "−"), ("reset", "Whole figure", "reset"),
        ("png", "Save as PNG", "PNG"), ("json", "Save the data as JSON", "JSON")))
    return (f'<figure id="{key}"><figcaption>{escape(figure.title)}</figcaption>'
            f'<div class="chart" role="img" aria-label="{escape(figure.text)}"></div>'
            f'<div class="legend" role="group" aria-label="Series of the figure">{series}</div>'
            f'<div class="tools" role="group" aria-label="View of the figure">{tools}</div>'
            f"<details><summary>Data table</summary>{table}</details></figure>")


def _mark(verdict: Verdict) -> str:
    kind = {HOLDS: "yes", IN_PART: "part"}.get(verdict.level, "no")
    return f'<span class="mark {kind}">{escape(verdict.level)}</span>'


def _section(name: str, module: Any, verdict: Verdict, figures: list[Figure], command: str) -> str:
    drawn = "".join(_figure(figure, f"{name}-{i}") for i, figure in enumerate(figures, 1))
    numbers = _table(["measured", "mean ± spread"], ([escape(k), escape(v)] for k, v in verdict.numbers.items()),
                     f"Numbers of {name}")
    source = escape(inspect.getsource(module))
    return (f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{escape(module.ENGLISH)}</h2>'
            f'<p lang="ko" class="claim">{escape(module.KOREAN)}</p><p class="verdict">{_mark(verdict)} '
            f"{escape(verdict.sentence)}</p><h3>What was done</h3><p>{escape(module.DID)}</p>"
            f'<div class="figures">{drawn}</div><h3>Numbers</h3>{numbers}<h3>The paper</h3>'
            f"<p>{escape(module.PAPER)}</p>"
            f"<h3>Run it again</h3><pre><code>{escape(command)}</code></pre>"
            f"<details><summary>The experiment's code</summary><pre><code>{source}</code></pre></details></section>")


def _plain(figure: Figure) -> dict[str, Any]:
    return {**figure._asdict(), "series": [series._asdict() for series in figure.series]}


def write_report(results: Mapping[str, Results], run: runner.Run) -> Path:
    """Write `run.out`/index.html with these results, figures/NAME-N.json with each figure's data, and results.json.

    Returns the path of the page. Verdicts are computed from the numbers.
    """
    out = Path(run.out)
    flags = ("--quick " if run.quick else "") + (f"--seeds {run.seeds} " if run.seeds != 5 else "")
    sections, rows, figures, verdicts = [], [], {}, {}
    for name, found in results.items():
        module = runner.experiment(name)
        verdict, drawn = judged(module, found), module.figures(found)
        command = f"python -m minitorch_bn.lab run {name} {flags}".strip()
        sections.append(_section(name, module, verdict, drawn, command))
        rows.append([f'<a href="#{name}">{escape(module.ENGLISH)}</a><br><span lang="ko">{module.KOREAN}</span>',
                     _mark(verdict), escape(verdict.sentence)])
        verdicts[name] = {"claim": module.ENGLISH, "claim_ko": module.KOREAN, **verdict._asdict()}
        for i, figure in enumerate(drawn, 1):
            figures[f"{name}-{i}"] = _plain(figure)
            runner.write_json(out / "figures" / f"{name}-{i}.json", figures[f"{name}-{i}"])
    library = plotly_js()
    about = (f"minitorch_bn {minitorch_bn.__version__}; {'a quick run' if run.quick else 'a full run'}, {run.seeds} "
             f"seed{'s' * (run.seeds > 1)}, paired; images: {run.images().name}. Bands and ± are standard deviations "
             "between seeds; a verdict is computed from the numbers.")
    runner.write_json(out / "results.json", {"about": about, "verdicts": verdicts})
    data = json.dumps(runner.clean(figures), allow_nan=False, ensure_ascii=False).replace("<", "\\u003c")
    style, script = ((PAGE / file).read_text(encoding="utf-8") for file in ("page.css", "page.js"))
    note = "" if library else "<p>Figures need plotly: pip install 'minitorch_bn[lab]'. Here are the tables.</p>"
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        f'content="{POLICY}"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>What normalization does</title><style>{style}</style></head><body>"
        '<a class="skip" href="#summary">To the summary</a><header><h1>What normalization does</h1>'
        f'<button type="button" id="theme">Dark or light</button><p>{escape(about)}</p>{note}</header><main>'
        '<section id="summary" aria-labelledby="summary-title"><h2 id="summary-title">Claims and verdicts</h2>',
        _table(["claim", "verdict", "measured"], rows, "Claims and verdicts"), "</section>", *sections,
        f'</main><script type="application/json" id="data">{data}</script><script>{library}</script>'
        f"<script>{script}</script></body></html>"]
    page = out / "index.html"
    os.makedirs(out, exist_ok=True)
    with replacing(page) as file:
        file.write("\n".join(parts).encode())
    return page
