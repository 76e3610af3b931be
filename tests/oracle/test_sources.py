"""The driver of foreign sources, on sources of our own; and skorch, which needs none."""
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is the reference")

ROOT = Path(__file__).resolve().parents[2]
MODEL = """
import torch
from torch import nn

class TemporalConvNet(nn.Module):
    def __init__(self, inputs, channels, kernel_size, dropout):
        super().__init__()
        self.conv = nn.Conv1d(inputs, channels[0], kernel_size)
        self.norm = nn.BatchNorm1d(channels[0])
    def forward(self, x):
        return torch.tanh(self.norm(self.conv(x))) + NOISE
"""


def drive(*arguments):
    done = subprocess.run([sys.executable, "-m", "tests.oracle.scripts", *map(str, arguments)], cwd=ROOT, text=True,
                          capture_output=True, timeout=240)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("noise, code", [("0.5", 0), ("torch.rand(1)", 1), ("no_such_name", 1)])
def test_models_are_compared(tmp_path, noise, code):
    (tmp_path / "TCN" / "TCN").mkdir(parents=True)
    (tmp_path / "TCN" / "TCN" / "tcn.py").write_text(MODEL.replace("NOISE", noise))
    assert (result := drive(tmp_path, "--models"))[0] == code, result[1]
    assert ("1 of 1 pass" if code == 0 else "0 of 1 pass") in result[1]


def test_skorch_fits(tmp_path):
    pytest.importorskip("skorch")
    code, output = drive(tmp_path, "--scripts")
    assert code == 0 and "1 of 1 pass" in output, output
