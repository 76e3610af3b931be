"""The comparison of all optimizers with PyTorch's, as tests."""
import pytest

pytest.importorskip("torch", reason="PyTorch is the reference")
pytest.importorskip("expecttest", reason="PyTorch's own tables import it")

import warnings

from . import optimizers as oracle
from . import schedules

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    CASES, ERRORS = list(oracle.cases()), list(oracle.error_cases())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_same_trajectory_and_checkpoint(case):
    assert oracle.check(case) == ""


@pytest.mark.parametrize("name, entry", ERRORS, ids=[f"{name}: {e.optimizer_error_input.desc}" for name, e in ERRORS])
def test_same_error(name, entry):
    assert oracle.check_error(name, entry) == ""


@pytest.mark.parametrize("name", sorted(oracle.INFOS))
def test_same_arguments(name):
    theirs, ours = (oracle.signature(getattr(lib.optim, name)) for lib in (oracle.torch, oracle.ours))
    assert ours == theirs


@pytest.mark.parametrize("seed", range(80))
def test_same_schedule(seed):
    assert schedules.check(seed) == ""
