"""Runs the benchmarks: `./dev bench [group ...] [--against torch] [--json out.json]`.

Without `--against` it compares with PyTorch when that is installed, and times minitorch_bn alone when it is not.
`./dev bench accuracy` and `./dev bench traffic` are tables of their own: see those files.
"""

import argparse
import importlib
import importlib.util
import json
import math
import platform

import harness


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(harness.GROUPS)}; all when none is named")
    parser.add_argument(
        "--against", metavar="LIBRARY", help="the library to compare with (default: torch if installed)"
    )
    parser.add_argument("--json", metavar="FILE", help="save the figures")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each library in a case")
    parser.add_argument("--seconds", type=float, default=0.03, help="length of one turn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", metavar="TEXT", default="", help="only cases whose name holds this text")
    parser.add_argument("--worker", metavar="LIBRARY", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.groups in (["accuracy"], ["traffic"]):
        importlib.import_module(args.groups[0]).main()
        return
    groups = args.groups or list(harness.GROUPS)
    unknown = sorted(set(groups) - set(harness.GROUPS))
    if unknown:
        parser.error(f"no such group: {', '.join(unknown)}; there are {', '.join(harness.GROUPS)}")
    if args.worker:
        harness.work(args.worker, args.threads, groups)
        return

    other = args.against or "torch"
    libraries = ["minitorch_bn", other]
    if importlib.util.find_spec(other) is None:
        if args.against:
            parser.error(f"{other} is not installed, so there is nothing to compare with")
        print("PyTorch is not installed: these are the times of minitorch_bn alone, without a ratio.\n")
        libraries = ["minitorch_bn"]
    rows = harness.compare(groups, libraries, args.rounds, args.seconds, args.threads, args.only)

    ratios = sorted((row["ratio"], row["case"]) for row in rows if "ratio" in row)
    if ratios:
        middle = math.exp(sum(math.log(ratio) for ratio, _ in ratios) / len(ratios))
        print(f"\n{len(ratios)} cases; ratio = time of minitorch_bn / time of {other}; geometric mean {middle:.2f}")
        above = [f"\n  {ratio:.2f}  {case}" for ratio, case in ratios if ratio > 2]
        print("above 2.0: " + ("".join(above) or "none"))
    if args.json:
        machine = {"machine": platform.machine(), "system": platform.platform(), "python": platform.python_version()}
        settings = {"threads": args.threads, "rounds": args.rounds, "seconds": args.seconds}
        with open(args.json, "w") as file:
            json.dump({"machine": machine, "settings": settings, "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
