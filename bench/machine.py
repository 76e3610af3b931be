"""What the machine can do at most, measured when it is asked: the limit against which a case is held."""

import ctypes
import functools
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path


@functools.cache
def probe():
    """The compiled peak.c, or None where there is no compiler."""
    compiler = shlex.split(os.environ.get("CC", "")) or [shutil.which("cc") or shutil.which("gcc") or ""]
    source = Path(__file__).with_name("peak.c")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "peak.so"
        command = [*compiler, "-O3", "-march=native", "-ffp-contract=fast", "-fopenmp", "-shared", "-fPIC"]
        try:
            subprocess.run([*command, str(source), "-o", str(target)], check=True, capture_output=True)
            library = ctypes.CDLL(str(target))
        except (OSError, subprocess.CalledProcessError):
            return None
    for name in ("fma_rate_float", "fma_rate_double", "copy_rate"):
        getattr(library, name).restype = ctypes.c_double
    library.copy_rate.argtypes = [ctypes.c_int, ctypes.c_long, ctypes.c_long]
    for name in ("fma_rate_float", "fma_rate_double"):
        getattr(library, name).argtypes = [ctypes.c_int, ctypes.c_long]
    return library


@functools.cache
def fma_rate(dtype, threads):
    """Floating-point operations a second, a multiply-add being two; the best of a few tries."""
    run = probe().fma_rate_double if dtype == "float64" else probe().fma_rate_float
    return max(run(threads, 2_000_000) for _ in range(5))


@functools.cache
def copy_rate(bytes, threads):
    """Bytes read and written a second, on a working set of that size."""
    rounds = max(1, int(5e8 / bytes))
    return max(probe().copy_rate(threads, bytes, rounds) for _ in range(5))


def limit_ns(flops, bytes, dtype, threads):
    """The least time of a case that does so many operations and moves so many bytes, or None if it says neither.

    A working set is rounded up to a power of two, so that few sizes are measured.
    """
    if not (flops or bytes) or probe() is None:
        return None
    least = flops / fma_rate(dtype, threads)
    if bytes:
        size = max(1 << 14, 1 << (int(bytes) - 1).bit_length())
        least = max(least, bytes / copy_rate(size, threads))
    return least * 1e9
