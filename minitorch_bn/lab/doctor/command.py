"""`python -m minitorch_bn.lab doctor script.py:build`: the doctor on a network that a script builds, for people and CI.

`build()` gives (model, loader), (model, loader, loss_fn) or (model, loader, loss_fn, optimizer). The script may import
torch: it gets minitorch_bn. Exit status: 0 nothing found, 1 findings, 2 the probe could not run.
"""
from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import traceback
from typing import Any

import minitorch_bn

from . import CouldNotRun, doctor
from .table import RULES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the subcommand takes."""
    parser.add_argument("target", metavar="SCRIPT.py[:FUNCTION]",
                        help="a file and the function in it that returns model, loader[, loss_fn[, optimizer]] (build)")
    parser.add_argument("--steps", type=int, default=8, metavar="N", help="training steps to look at (8)")
    parser.add_argument("--accumulate", type=int, default=1, metavar="N",
                        help="batches whose gradients your training sums before a step (1)")
    parser.add_argument("--ignore", action="append", default=[], metavar="RULE", choices=list(RULES),
                        help="a rule not to apply; may be repeated")
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON")
    parser.add_argument("--html", metavar="FILE", help="write the report as a page")


def _built(target: str) -> tuple[Any, ...]:
    """What the function of a script returns."""
    path, colon, name = target.rpartition(":")
    if not colon or not name.isidentifier():  # a drive's colon, or none
        path, name = target, "build"
    if not os.path.isfile(path):
        raise CouldNotRun(f"there is no file {path!r}")
    minitorch_bn.install_as_torch()
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    spec = importlib.util.spec_from_file_location(os.path.splitext(os.path.basename(path))[0], path)
    if spec is None or spec.loader is None:
        raise CouldNotRun(f"{path!r} is no Python file")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    build = getattr(module, name, None)
    if not callable(build):
        raise CouldNotRun(f"{path!r} has no function {name}()")
    parts = build()
    if not isinstance(parts, tuple) or not 2 <= len(parts) <= 4:
        raise CouldNotRun(f"{name}() has to return (model, loader), (model, loader, loss_fn) or (model, loader, "
                          "loss_fn, optimizer)")
    return parts


def run(args: argparse.Namespace) -> int:
    """The subcommand; returns the exit status."""
    try:
        report = doctor(*_built(args.target), steps=args.steps, accumulate=args.accumulate, ignore=args.ignore)
    except CouldNotRun as error:
        print(f"the doctor could not run: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        traceback.print_exception(error)
        return 2
    print(report)
    if args.json:
        report.to_json(args.json)
    if args.html:
        report.to_html(args.html)
    return report.exit_status
