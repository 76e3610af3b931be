"""Every benchmark case runs, and the harness that pairs two libraries adds up."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import minitorch_bn as torch

BENCH = Path(__file__).resolve().parent.parent / "bench"


@pytest.fixture(scope="module")
def harness():
    sys.path.insert(0, str(BENCH))
    import harness

    names = {*harness.GROUPS, "harness", "cases"}
    harness.load(harness.GROUPS)
    yield harness
    sys.path.remove(str(BENCH))
    for name in names:
        sys.modules.pop(name, None)


def test_every_case_runs(harness):
    """Prepared and called once, in minitorch_bn."""
    failures = []
    for name, prepare in harness.CASES.items():
        torch.manual_seed(0)
        try:
            body = prepare(torch)
            if callable(body):
                body()
            else:
                exec(body[0], dict(body[1]))
        except Exception as error:
            failures.append(f"{name}: {type(error).__name__}: {error}")
        finally:
            torch.set_grad_enabled(True)
    assert not failures, "\n".join(failures)


def test_amounts_and_quartiles(harness):
    assert [harness.amount(ns) for ns in (12, 1500, 2.5e6, 3e9)] == ["12 ns", "1.5 us", "2.5 ms", "3 s"]
    assert harness.quartiles([1.0]) == [1.0, 1.0]
    assert harness.quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == [2.0, 4.0]


def test_a_paired_run(tmp_path):
    """minitorch_bn against itself: two workers, two rounds, a ratio, a JSON file."""
    paths = [str(Path(torch.__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, str(BENCH / "run.py"), "overhead", "--only", "a + b", "--rounds", "2"]
    command += ["--seconds", "0.001", "--against", "minitorch_bn.again", "--json", str(tmp_path / "out.json")]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(paths))
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert refused.returncode == 2 and "not installed" in refused.stderr
    (tmp_path / "same_again.py").write_text("from minitorch_bn import *\nfrom minitorch_bn import __getattr__\n")
    command[command.index("minitorch_bn.again")] = "same_again"
    environment["PYTHONPATH"] = os.pathsep.join([*paths, str(tmp_path)])
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert len(rows) == 3 and all(row["ratio"] > 0 for row in rows), rows
