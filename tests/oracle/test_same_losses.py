"""README's script prints the same losses under PyTorch, unedited, and under `python -m minitorch_bn run`."""
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"


def printed(folder, *command):
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=True,
                          env=dict(os.environ, PYTHONPATH=str(ROOT)))
    return done.stdout.splitlines()


@pytest.mark.skipif(not README.exists(), reason="needs the checkout")
def test_readme_script_prints_the_same_losses(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.M | re.S)
    (script,) = [block for block in blocks if block.startswith("import minitorch_bn as torch\n\ntorch.manual_seed")]
    (tmp_path / "ours.py").write_text(script.replace("manual_seed(0)", 'manual_seed(0, stream="torch")'))
    (tmp_path / "theirs.py").write_text(script.replace("import minitorch_bn as torch", "import torch"))
    theirs = printed(tmp_path, "theirs.py")
    assert len(theirs) == 24 and theirs[0].startswith("epoch 0: loss 0.")
    assert printed(tmp_path, "-m", "minitorch_bn", "run", "--stream=torch", "theirs.py") == theirs
    assert printed(tmp_path, "ours.py") == theirs
    assert printed(tmp_path, "-m", "minitorch_bn", "run", "theirs.py") != theirs
