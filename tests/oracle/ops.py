"""Runs PyTorch's operator database on both libraries and compares: values, in-place, method and out= forms, aliases,
first and second gradients, errors.

``python -m tests.oracle.ops [--only add,sum] [--dtype f32,i64] [--samples 30] [--json out.json] [--failures]``
"""
from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import sys
import time
import warnings
from typing import Any

import torch

from .cases import EXCLUDED
from .entry import DTYPES, ENTRIES, Entry, errors

ASPECTS = ("forward", "method", "inplace", "out", "aliases", "grad", "gradgrad", "errors")
SECONDS = 40  # for one entry and all its dtypes


def run_entry(name: str, dtypes: list[str], count: int) -> dict[str, Any]:
    """All aspects of an entry: {aspect: {dtype: "pass" or reason}}."""
    result: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        supported = ENTRIES[name].supported_dtypes("cpu")
        for dtype in dtypes:
            if DTYPES[dtype] in supported:
                for aspect, outcome in Entry(name, dtype, count).run().items():
                    if not outcome.startswith("skipped"):
                        result.setdefault(aspect, {})[dtype] = outcome
        for aspect, outcome in errors(name).items():
            result[aspect] = {"-": outcome}
    return result


def worker(names: list[str], dtypes: list[str], count: int, pipe: Any) -> None:
    torch.set_num_threads(1)
    for name in names:
        pipe.send((name, None))
        try:
            outcome = run_entry(name, dtypes, count)
        except Exception as error:
            outcome = {"forward": {"-": f"harness: {type(error).__name__}: {error}"}}
        pipe.send((name, outcome))
    pipe.close()


def run_all(names: list[str], dtypes: list[str], count: int, seconds: float = SECONDS) -> dict[str, Any]:
    """The outcome of each entry. Entries run in a child process, which is replaced when it crashes or hangs."""
    results: dict[str, Any] = {}
    left = list(names)
    context = multiprocessing.get_context("fork")
    while left:
        mine, theirs = context.Pipe(False)
        process = context.Process(target=worker, args=(left, dtypes, count, theirs))
        process.start()
        theirs.close()
        current = None
        try:
            while True:
                if not mine.poll(seconds):
                    results[current] = {"forward": {"-": f"took more than {seconds} s"}}
                    process.kill()
                    break
                name, outcome = mine.recv()
                current = name
                if outcome is not None:
                    results[name], current = outcome, None
                    left.remove(name)
        except EOFError:
            process.join()
            if current is not None:
                results[current] = {"forward": {"-": f"crashed (exit code {process.exitcode})"}}
        process.join()
        mine.close()
        if current is not None:
            left.remove(current)
    return results


def passed(result: dict[str, Any]) -> bool | None:
    """Whether all aspects pass; None if there was nothing to compare."""
    outcomes = [outcome for aspect in ASPECTS for outcome in result.get(aspect, {}).values()]
    return all(outcome == "pass" for outcome in outcomes) if outcomes else None


def first_reason(result: dict[str, Any]) -> str:
    reasons = [f"{aspect} {dtype}: {outcome}" for aspect in ASPECTS
               for dtype, outcome in result.get(aspect, {}).items() if outcome != "pass"]
    return reasons[0] if reasons else ""


def report(results: dict[str, Any]) -> str:
    """One line per entry, then totals per aspect and dtype and over the entries."""
    lines, counts = [], collections.Counter()
    good = total = 0
    for name, result in results.items():
        state = passed(result)
        for aspect in ASPECTS:
            for dtype, outcome in result.get(aspect, {}).items():
                counts[aspect, dtype, outcome == "pass"] += 1
        if state is None:
            lines.append(f"none {name}: nothing to compare")
            continue
        total += 1
        good += state
        lines.append(f"{'pass' if state else 'FAIL'} {name}" + ("" if state else f": {first_reason(result)}"))
    for aspect in ASPECTS:
        for dtype in (*DTYPES, "-"):
            right, wrong = counts[aspect, dtype, True], counts[aspect, dtype, False]
            if right + wrong:
                lines.append(f"{aspect:9s} {dtype:5s} {right:4d} of {right + wrong:4d}")
    lines.append(f"{good} of {total} entries pass everything ({100 * good / max(total, 1):.1f} %); "
                 f"{len(EXCLUDED)} excluded")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="names of entries, separated by commas; a name without variant takes all")
    parser.add_argument("--dtype", default=",".join(DTYPES))
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--json")
    parser.add_argument("--failures", action="store_true", help="print failures only, with every reason")
    options = parser.parse_args()
    wanted = set(options.only.split(",")) if options.only else None
    names = [name for name, op in ENTRIES.items() if (name in wanted or op.name in wanted if wanted else
                                                      name not in EXCLUDED)]
    started = time.perf_counter()
    results = run_all(names, options.dtype.split(","), options.samples)
    if options.failures:
        for name, result in results.items():
            for aspect in (*ASPECTS, "classes"):
                for dtype, outcome in result.get(aspect, {}).items():
                    if outcome != "pass":
                        print(f"{name} {aspect} {dtype}: {outcome}")
    print(report(results))
    print(f"{time.perf_counter() - started:.0f} s")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
