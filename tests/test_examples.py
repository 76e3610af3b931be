"""Runs the examples as a user would: as scripts, in a fresh process."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minitorch_bn

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(script, *arguments, folder):
    """The script's output; it must end well, with the package that this test imported."""
    paths = [str(Path(minitorch_bn.__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(paths), MPLCONFIGDIR=str(folder))
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_digits(tmp_path):
    """The main example at its defaults: a table with a row an epoch, a picture, 98 % with batch normalization."""
    out, progress = run("digits.py", folder=tmp_path)
    assert len(re.findall(r"^ +\d+ +\d+\.\d+ +[\d.]+% +\d+\.\d+ +[\d.]+%$", out, re.MULTILINE)) == 15
    assert float(re.search(r"with batch norm: ([\d.]+)%", out).group(1)) >= 98
    assert "accuracy=" in progress and "loss=" in progress
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")


def test_digits_repeats_itself(tmp_path):
    """Same seed, same table: two runs differ in nothing."""
    first, second = (run("digits.py", "--epochs", "1", folder=tmp_path)[0] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("script", ["rows_lstm.py", "char_gpt.py"])
def test_quick(script, tmp_path):
    out, progress = run(script, "--quick", folder=tmp_path)
    assert out and "loss=" in progress


def test_policies(tmp_path):
    """A row for each pair, with an accuracy and a time for both."""
    out, _ = run("policies.py", "--quick", folder=tmp_path)
    assert len(re.findall(r"^\S.* \| .*% .* ms +[\d.]+ % .* ms *$", out, re.MULTILINE)) == 7


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_help(script, tmp_path):
    assert "--seed" in run(script, "--help", folder=tmp_path)[0]
