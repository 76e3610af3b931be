"""Small calls take no more instructions than we allow: callgrind counts them, so that no busy machine can hide one."""

import json
import platform
import sys
from pathlib import Path

import pytest

from minitorch_bn.kernels.runtime import levels

BENCH = Path(__file__).resolve().parent.parent / "bench"
sys.path.insert(0, str(BENCH))
import instructions  # noqa: E402  (a file of the checkout)

sys.path.remove(str(BENCH))

# The counts are of this interpreter and processor; others have others.
CEILINGS = json.loads(instructions.CEILINGS.read_text()) if instructions.CEILINGS.exists() else {}
SAME = sys.version_info[:2] == (3, 11) and platform.machine() == "x86_64" and "v3" in levels()


@pytest.mark.skipif(not instructions.available() or not SAME, reason="needs valgrind, Python 3.11, and AVX2")
@pytest.mark.parametrize("name", [name for name in CEILINGS if name in ("a + b", "a.add_(b)", "a[1:3, ::2]")])
def test_a_call_keeps_below_its_ceiling(name):
    assert instructions.count(name) <= CEILINGS[name]


def test_every_ceiling_has_a_case():
    assert set(CEILINGS) <= set(instructions.CASES) and CEILINGS
