"""Every operator of PyTorch's database that means something here, on a few samples in float64: the same numbers,
gradients and errors as PyTorch. The full comparison is ``python -m tests.oracle.ops``."""
import pytest

pytest.importorskip("torch", reason="PyTorch is the reference")
pytest.importorskip("expecttest", reason="PyTorch's own tables import it")

from .cases import DIFFERENCES, EXCLUDED
from .entry import DTYPES, ENTRIES
from .ops import first_reason, passed, run_entry

COMPARED = [name for name in ENTRIES if name not in EXCLUDED and name not in DIFFERENCES]


@pytest.mark.parametrize("name", COMPARED)
def test_agrees(name):
    result = run_entry(name, ["f64"], 2)
    if passed(result) is None:  # not for floats
        result = run_entry(name, list(DTYPES), 2)
    if passed(result) is None:
        pytest.skip("PyTorch refuses every sample")
    assert passed(result), first_reason(result)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_differs(name):
    """A known difference that is no more has to leave the table."""
    assert name in ENTRIES and name not in EXCLUDED
    assert passed(run_entry(name, list(DTYPES), 30)) is False, f"{name} agrees now: take it out of DIFFERENCES"


def test_exclusions_are_entries():
    assert set(EXCLUDED) <= set(ENTRIES)


def test_comparison_notices_a_wrong_result(monkeypatch):
    """A wrong value, a wrong gradient, a missing error and a missing method are all found."""
    import minitorch_bn as ours
    monkeypatch.setattr(ours, "sin", lambda x: ours.cos(x))
    assert "expected" in run_entry("sin", ["f64"], 2)["forward"]["f64"]
    monkeypatch.setattr(ours, "exp", lambda x: x.detach().exp() * (1 + x - x.detach()) + 0 * x ** 2)
    result = run_entry("exp", ["f64"], 2)
    assert result["forward"]["f64"] == result["grad"]["f64"] == "pass" != result["gradgrad"]["f64"]
    monkeypatch.setattr(ours, "trace", lambda x: x.diagonal(0, -2, -1).sum())
    assert run_entry("trace", ["f64"], 2)["errors"]["-"].startswith("no error")
