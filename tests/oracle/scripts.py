"""Whole models and scripts from a folder of foreign sources, run with minitorch_bn in place of PyTorch.

    python -m tests.oracle.scripts FOLDER [--only TEXT] [--models | --scripts | --float32]

FOLDER has clones of repositories under their own names; what is absent is skipped. Models get PyTorch's weights and the
same input; output, loss, gradients and buffers are compared. Scripts run unmodified on small invented data.
With --float32, a table: how far float32 is from float64, in PyTorch's several ways to compute and in ours.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from .more_models import GROUPS as MORE
from .source_models import GROUPS
from .source_scripts import SCRIPTS, Script

TOLERANCE = 1e-4
WORKER = Path(__file__).with_name("model_worker.py")
REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]),
               "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}


def relative(theirs: np.ndarray, ours: np.ndarray, floor: float) -> float:
    """The largest difference, relative to the largest value (at least `floor`)."""
    if theirs.shape != ours.shape:
        return float("inf")
    if theirs.size == 0:
        return 0.0
    difference = np.abs(theirs.astype(np.float64) - ours.astype(np.float64)).max()
    return float(difference / max(np.abs(theirs).max(), floor, 1e-30)) if np.isfinite(difference) else float("inf")


def worst(theirs: Any, ours: Any) -> tuple[float, str]:
    """The worst relative difference and where it is."""
    if sorted(theirs.files) != sorted(ours.files):
        return float("inf"), f"other arrays: {set(theirs.files) ^ set(ours.files)}"
    largest = max((np.abs(theirs[key]).max(initial=0) for key in theirs.files if key.startswith("grad ")), default=0.0)
    found = (0.0, "")
    for key in theirs.files:
        # A gradient that is zero but for rounding, as a bias before a batch norm has, is held to the largest one.
        floor = 1e-2 * float(largest) if key.startswith("grad ") else 1e-3
        found = max(found, (relative(theirs[key], ours[key], floor), key))
    return found


def work(library: str, cases: list[dict[str, Any]], folder: Path, dtype: str) -> dict[str, dict[str, Any]]:
    """The worker's report on each case; a case that ends the process is reported and the rest goes on."""
    reports: dict[str, dict[str, Any]] = {}
    left = list(cases)
    while left:
        plan = folder / f"plan_{os.getpid()}.json"
        plan.write_text(json.dumps(left))
        try:
            done = subprocess.run([sys.executable, str(WORKER), library, str(plan), str(folder), dtype], text=True,
                                  capture_output=True, env=ENVIRONMENT, timeout=150 + 60 * len(left), cwd=folder)
            output, problem = done.stdout, done.stderr[-400:]
        except subprocess.TimeoutExpired as error:
            output, problem = (error.stdout or b"").decode(), "no end within the time"
        for line in output.splitlines():
            if line.startswith('{"id": '):
                report = json.loads(line)
                reports[report["id"]] = report
        rest = [case for case in left if case["id"] not in reports]
        if rest:
            reports[rest[0]["id"]] = {"error": f"the process ended: {problem}"}
        left = rest[1:]
    return reports


def look_closer(cases: list[dict[str, Any]], folder: Path) -> None:
    """Is it us, or does the model amplify rounding, as batch norm over few values and the kinks of rectifiers do?

    Then float64 agrees; and float32 does once rectifiers are smooth and batch norm uses its running statistics, or it
    is as near to float64 as PyTorch's is.
    """
    names = [[folder / f"{case['id']}.{library}.{dtype}.npz" for library in ("torch", "ours")
              for dtype in ("float32", "float64")] for case in cases]
    for library in ("torch", "ours"):
        work(library, cases, folder, "float64")
    for case, (their32, their64, our32, our64) in zip(cases, names):
        case["double"] = case["own"] = case["ours"] = float("inf")
        if their64.exists() and our64.exists():
            exact = np.load(their64)
            case["double"], case["own"], case["ours"] = (worst(exact, np.load(path))[0]
                                                         for path in (our64, their32, our32))
    for library in ("torch", "ours"):
        work(library, [{**case, "train": False, "smooth": True} for case in cases], folder, "float32")
    for case, (their32, _, our32, _) in zip(cases, names):
        case["smooth"] = worst(np.load(their32), np.load(our32))[0]


def check_models(root: Path, folder: Path, only: str) -> list[dict[str, Any]]:
    """Compare all models; prints a line for each."""
    results = []
    for group in GROUPS + MORE:
        cases = [case for case in group.cases(root) if only in f"{case['group']} {case['name']}"]
        if not cases:
            continue
        reports = {library: work(library, cases, folder, "float32") for library in ("torch", "ours")}
        for case in cases:
            theirs, ours = (reports[library][case["id"]] for library in ("torch", "ours"))
            case["error"] = f"PyTorch: {theirs['error']}" if "error" in theirs else ours.get("error", "")
            case["trace"] = ours.get("trace", "")
            if not case["error"]:
                paths = [folder / f"{case['id']}.{library}.float32.npz" for library in ("torch", "ours")]
                case["worst"], case["where"] = worst(*map(np.load, paths))
        unclear = [case for case in cases if not case["error"] and case["worst"] > TOLERANCE]
        if unclear:
            look_closer(unclear, folder)
        for case in cases:
            ok = not case["error"] and (case["worst"] <= TOLERANCE or (
                case["double"] <= 1e-7 and (case["smooth"] <= TOLERANCE or case["ours"] <= 2 * case["own"])))
            detail = case["error"][:300] if case["error"] else f"{case['worst']:.1e} ({case['where']})"
            if "double" in case:
                detail += (f"; float64 {case['double']:.1e}; without kinks {case['smooth']:.1e}; error of float32: "
                           f"PyTorch's {case['own']:.1e}, ours {case['ours']:.1e}")
            results.append({"kind": "model", "group": case["group"], "name": case["name"], "ok": ok, "detail": detail,
                            "trace": case["trace"]})
            print(f"{'pass' if ok else 'FAIL'}  {case['group']:18} {case['name']:34} {detail}", flush=True)
        for path in folder.glob("*.npz"):
            path.unlink()
    return results


WAYS = {"PyTorch": {}, "2 threads": {"ORACLE_THREADS": "2"}, "no oneDNN": {"ORACLE_MKLDNN": "0"}, "ours": {}}


def spread(exact: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> float:
    """The distance of all gradients together, relative to their length."""
    grads = [key for key in exact if key.startswith("grad ")]
    apart = sum(float(((found[key] - exact[key]) ** 2).sum()) for key in grads)
    return float((apart / max(sum(float((exact[key] ** 2).sum()) for key in grads), 1e-300)) ** 0.5)


def tabulate_float32(root: Path, folder: Path, only: str) -> None:
    """A line for each model: the distance of all its gradients in float32 from those in float64, in each way."""
    print(f"{'model':50}" + "".join(f"{way:>12}" for way in WAYS) + f"{'ours / worst':>14}")
    for group in GROUPS + MORE:
        cases = [case for case in group.cases(root) if only in f"{case['group']} {case['name']}"]
        rows: dict[str, list[dict[str, np.ndarray]]] = {case["id"]: [] for case in cases}
        for way, settings in WAYS.items() if cases else ():
            library = "ours" if way == "ours" else "torch"
            ENVIRONMENT.update(settings)
            work(library, cases, folder, "float32")
            for name in settings:
                del ENVIRONMENT[name]
            for case in cases:
                path = folder / f"{case['id']}.{library}.float32.npz"
                if path.exists():
                    rows[case["id"]].append(dict(np.load(path)))
                    path.unlink()
        work("torch", cases, folder, "float64")
        for case in cases:
            path = folder / f"{case['id']}.torch.float64.npz"
            if len(rows[case["id"]]) == len(WAYS) and path.exists():
                errors = [spread(dict(np.load(path)), found) for found in rows[case["id"]]]
                print(f"{case['group'][:20] + ' ' + case['name'][:28]:50}" + "".join(f"{e:12.1e}" for e in errors)
                      + f"{errors[-1] / max(*errors[:-1], 1e-30):14.2f}", flush=True)
        for path in folder.glob("*.npz"):
            path.unlink()


LOSS = re.compile(r"(?:\bloss\w*\b|\[[DG] loss|Loss_D|ELBO)[^0-9\n-]{0,25}(-?\d+\.?\d*(?:e-?\d+)?|nan|inf)", re.I)


def run_script(script: Script, root: Path, folder: Path) -> dict[str, Any]:
    """Run one script on its data; exit code, time and last loss."""
    place = folder / re.sub(r"\W+", "_", script.name)
    cwd = script.prepare(root, place)
    start = time.perf_counter()
    output, code = "", 0
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join([ENVIRONMENT["PYTHONPATH"],
                                                                  *script.python_path(place)])}
    for command in script.commands:
        try:
            done = subprocess.run([sys.executable, "-m", "minitorch_bn", "run", *command.split()], cwd=cwd, text=True,
                                  capture_output=True, timeout=script.timeout, env=environment)
            output, code = output + done.stdout + done.stderr, done.returncode
        except subprocess.TimeoutExpired as error:
            output, code = output + (error.stdout or b"").decode() + "\nno end within the time", -1
        if code:
            break
    losses = LOSS.findall(output)
    ok = code == 0 and not any(loss.lower() in ("nan", "inf") for loss in losses)
    detail = f"exit {code}, {time.perf_counter() - start:.1f} s, last loss {losses[-1] if losses else '-'}"
    return {"kind": "script", "group": script.group, "name": script.name, "ok": ok,
            "detail": detail if ok else f"{detail}: {output.strip()[-300:]}", "trace": output[-4000:]}


def check_scripts(root: Path, folder: Path, only: str) -> list[dict[str, Any]]:
    """Run all scripts; prints a line for each."""
    results = []
    for script in SCRIPTS:
        if script.available(root) and only in f"{script.group} {script.name}":
            results.append(run_script(script, root, folder))
            last = results[-1]
            print(f"{'pass' if last['ok'] else 'FAIL'}  {last['group']:18} {last['name']:34} {last['detail']}",
                  flush=True)
    return results


def main() -> int:
    """The command line; exit code 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("folder", type=Path, help="where the clones are")
    parser.add_argument("--only", default="", help="only what has this text in its name")
    parser.add_argument("--models", action="store_true", help="models only")
    parser.add_argument("--scripts", action="store_true", help="scripts only")
    parser.add_argument("--float32", action="store_true", help="the table of errors of float32, no comparison")
    parser.add_argument("--report", type=Path, help="a JSON file for the results")
    options = parser.parse_args()
    root = options.folder.resolve()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        if options.float32:
            tabulate_float32(root, Path(folder), options.only)
            return 0
        if not options.scripts:
            results += check_models(root, Path(folder), options.only)
        if not options.models:
            results += check_scripts(root, Path(folder), options.only)
    failed = [result for result in results if not result["ok"]]
    print(f"{len(results) - len(failed)} of {len(results)} pass")
    if options.report:
        options.report.write_text(json.dumps(results, indent=1))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
