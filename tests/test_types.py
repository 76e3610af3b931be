"""The types: the stubs say what the compiled modules have, and code that uses the package is understood by mypy."""
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy", reason="mypy is not installed")
ROOT = Path(__file__).resolve().parent.parent
CODE = '''
import minitorch_bn as torch
from minitorch_bn import nn

x = torch.ones(2, 3, dtype=torch.float64).requires_grad_()
reveal_type(x.sum(0).relu() + 1)
reveal_type(x.max(1).values)
reveal_type(x.max())
reveal_type(x.shape)
reveal_type(x.nonzero(as_tuple=True))
reveal_type(torch.split(x, 1))
reveal_type(torch.add(x, 1, alpha=2).dtype)
reveal_type(nn.Linear(3, 4).weight)
'''
TYPES = ["_core.Tensor", "_core.Tensor", "_core.Tensor", "_core.Size", "tuple[minitorch_bn._core.Tensor, ...]",
         "tuple[minitorch_bn._core.Tensor, ...]", "_core.dtype", "parameter.Parameter"]


def python(*arguments):
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(not (ROOT / "dev").exists(), reason="needs the checkout")
def test_stubs_tell_the_truth():
    code, text = python("dev", "stubs")
    assert code == 0, text


@pytest.mark.skipif(not (ROOT / "dev").exists(), reason="needs the checkout")
def test_types_that_a_user_sees(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(CODE)
    code, text = python("-m", "mypy", "--config-file", "pyproject.toml", str(script))
    assert code == 0, text
    revealed = [line.split('"')[1] for line in text.splitlines() if "Revealed type" in line]
    assert [r.removeprefix("minitorch_bn.").removeprefix("nn.") for r in revealed] == TYPES
