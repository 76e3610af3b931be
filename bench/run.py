"""Runs the benchmarks: `./dev bench [group ...] [--against torch] [--json FILE] [--markdown FILE] [--picture FILE]`.

Without `--against` it compares with PyTorch when that is installed, and times minitorch_bn alone when it is not.
Besides the groups of timed cases there are `bn-tax` (what batch norm adds to a training step), `memory` (peak of the
training cases), `startup` (the import) and `instructions` (exact counts by callgrind).
`./dev bench accuracy` and `./dev bench traffic` are tables of their own: see those files.
"""

import argparse
import importlib
import importlib.util
import json
import platform

import harness
import report

OTHERS = ("bn-tax", "memory", "startup", "instructions", "accuracy", "traffic")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    groups = (*harness.GROUPS, *OTHERS)
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(groups)}; all timed cases when none is named")
    parser.add_argument("--against", metavar="LIBRARY", action="append",
                        help="the peer (default: torch if installed); may be given again: torch.compile, jax")
    parser.add_argument("--json", metavar="FILE", help="save the figures")
    parser.add_argument("--markdown", metavar="FILE", help="save the tables")
    parser.add_argument("--picture", metavar="FILE", help="draw ratios and parts of the limit (needs matplotlib)")
    parser.add_argument("--compare", metavar="FILE", help="say what changed since figures that --json saved")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each library in a case")
    parser.add_argument("--seconds", type=float, default=0.03, help="length of one turn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", metavar="TEXT", default="", help="only cases whose name holds this text")
    parser.add_argument("--worker", metavar="LIBRARY", help=argparse.SUPPRESS)
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    unknown = sorted(set(args.groups) - set(groups) - ({"bn_tax"} if args.worker else set()))
    if unknown:
        parser.error(f"no such group: {', '.join(unknown)}; there are {', '.join(groups)}")
    args.peers = args.against or ["torch"]
    missing = [peer for peer in args.peers if importlib.util.find_spec(peer.removesuffix(".compile")) is None]
    if missing and args.against:
        parser.error(f"{missing[0]} is not installed, so there is nothing to compare with")
    if missing and not (args.worker or args.memory):
        print("PyTorch is not installed: these are the figures of minitorch_bn alone, without a ratio.\n")
    args.peers = [peer for peer in args.peers if peer not in missing]
    return args


def timed(args, groups, libraries):
    """The groups of timed cases: a line for each case, then the scores; returns what --json keeps and the tables."""
    rows = harness.compare(groups, libraries, args.rounds, args.seconds, args.threads, args.only)
    for row in rows:
        flops, bytes, _ = harness.WORK[row["case"]]
        if flops and bytes:
            row["intensity"] = flops / bytes
    text = ""
    if any("ratio" in row for row in rows):
        text = report.scores(rows, libraries[1])
        mean = report.geometric_mean([row["ratio"] for row in rows if "ratio" in row])
        print(f"\nratio = time of minitorch_bn / time of {libraries[1]}; geometric mean of all {mean:.2f}\n\n{text}")
    if args.compare:
        print("\nsince then:\n" + report.changes(rows, args.compare))
    if args.picture and len(libraries) > 1:
        report.picture(rows, libraries[1], args.picture)
    return rows, text + "\n\n" + report.table(rows, libraries, harness.amount) + "\n"


def main():
    args = arguments()
    if args.worker:
        harness.work(args.worker, args.threads, args.groups)
        return
    if args.memory:
        import processes
        processes.measure_memory(*args.memory)
        return
    if args.groups in (["accuracy"], ["traffic"]):
        importlib.import_module(args.groups[0]).main()
        return
    libraries = ["minitorch_bn", *args.peers]
    groups = [group for group in args.groups or harness.GROUPS if group not in OTHERS]
    figures = {"machine": {"machine": platform.machine(), "system": platform.platform(),
                           "python": platform.python_version()},
               "settings": {"threads": args.threads, "rounds": args.rounds, "seconds": args.seconds}}
    tables = ""
    if groups:
        figures["rows"], tables = timed(args, groups, libraries)
    if "bn-tax" in args.groups:
        import bn_tax
        figures["bn_tax"] = bn_tax.run(libraries, args.rounds, args.seconds, args.threads, args.only)
        if args.picture:
            bn_tax.picture(figures["bn_tax"], args.picture)
    if "memory" in args.groups or "startup" in args.groups:
        import processes
        if "memory" in args.groups:
            figures["memory"] = processes.memory(libraries, args.threads, args.only)
        if "startup" in args.groups:
            figures["startup"] = processes.startup(libraries, args.threads)
    if "instructions" in args.groups:
        import instructions
        figures["instructions"] = instructions.run(args.only)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(figures, file, indent=1)
    if args.markdown:
        with open(args.markdown, "w") as file:
            file.write(tables)


if __name__ == "__main__":
    main()
