"""The runtime: which level and how many threads are chosen, what environment variables do, what show_config() tells."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

import minitorch_bn as torch
from minitorch_bn.kernels import runtime

HOME = str(Path(torch.__file__).parent.parent)


def run(code, **environment):
    """The words that a fresh process prints."""
    clean = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "MTB_NUM_THREADS", "MTB_ISA")}
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True,
                          timeout=60, env={**clean, "PYTHONPATH": HOME, **environment}, check=False)
    return (done.stdout + done.stderr).split()


THREADS = "import minitorch_bn as t; print(t.get_num_threads())"
serial = pytest.mark.skipif(not runtime.build_info()["openmp"], reason="built without OpenMP")


@serial
@pytest.mark.parametrize("environment, want", [({"OMP_NUM_THREADS": "3"}, "3"), ({"OMP_NUM_THREADS": "4,2"}, "4"),
                                               ({"MTB_NUM_THREADS": "2", "OMP_NUM_THREADS": "5"}, "2")])
def test_threads_follow_the_environment(environment, want):
    assert run(THREADS, **environment) == [want]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_threads_follow_affinity():
    assert run("import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); " + THREADS) == ["1"]


@pytest.mark.parametrize("level", runtime.levels())
def test_level_follows_the_environment(level):
    assert run("from minitorch_bn.kernels import runtime; print(runtime.get_level())", MTB_ISA=level) == [level]


def test_an_unknown_level_is_an_error_that_names_the_known_ones():
    words = run("import minitorch_bn", MTB_ISA="avx9")
    assert "ValueError:" in words and "generic" in " ".join(words)


def test_set_num_threads():
    was = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert torch.get_num_threads() == (3 if runtime.build_info()["openmp"] else 1)
        with pytest.raises(RuntimeError, match="positive"):
            torch.set_num_threads(0)
    finally:
        torch.set_num_threads(was)


def test_show_config(capsys):
    text = torch.show_config()
    assert capsys.readouterr().out.strip() == text
    assert runtime.get_level() in text and "threads" in text and "-ffp-contract=off" in text


def test_unsupported_kinds_say_so():
    for name in ("complex64", "sparse_coo_tensor", "quantize_per_tensor"):
        with pytest.raises(AttributeError, match="not supported by minitorch_bn"):
            getattr(torch, name)
    with pytest.raises(AttributeError, match=r"torch\.nonsense is not in minitorch_bn"):
        torch.nonsense  # noqa: B018
