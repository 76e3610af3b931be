"""Builds the package in a temporary folder under the address and undefined-behavior sanitizers and runs the kernel
tests on it.

    ./dev asan [pytest options]

Every C kernel and every Cython driver is instrumented with AddressSanitizer, the C kernels with
UndefinedBehaviorSanitizer too; the first finding ends the run. The allocator hands out exact sizes without reuse
(MTB_CACHE_MB=0), so that one element too far is seen. Needs GCC with libasan and libubsan.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TESTS = ["tests/test_ops.py", "tests/test_tensor.py", "tests/test_matmul.py", "tests/test_conv.py",
         "tests/test_norm.py", "tests/test_reduce.py", "tests/test_softmax.py", "tests/test_pool.py",
         "tests/test_random.py", "tests/test_recurrent.py", "tests/test_indexing.py", "tests/test_shaping.py",
         "tests/test_sorting.py", "tests/test_counting.py", "tests/test_optim.py", "tests/test_gathered.py",
         "tests/test_bits.py"]


def library(name: str) -> str:
    """The path of a sanitizer's runtime library."""
    path = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True,
                          check=True).stdout.strip()
    if not os.path.isabs(path):
        raise SystemExit(f"{name} is not installed: it comes with GCC")
    return os.path.realpath(path)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", "build", "*.so", "__pycache__",
                                                                  ".hypothesis"))
        environment = dict(os.environ, MTB_CFLAGS="-fsanitize=address -fno-omit-frame-pointer -g1",
                           MTB_KERNEL_CFLAGS="-fsanitize=undefined -fno-sanitize-recover=undefined")
        built = subprocess.run([sys.executable, "setup.py", "build_ext", "--inplace"], cwd=tree, env=environment,
                               check=False, stdout=subprocess.DEVNULL)
        if built.returncode:
            return built.returncode
        environment = dict(os.environ, LD_PRELOAD=f"{library('libasan.so')}:{library('libubsan.so')}", MTB_CACHE_MB="0",
                           ASAN_OPTIONS=f"detect_leaks=0:halt_on_error=1:log_path={folder}/report",
                           UBSAN_OPTIONS=f"print_stacktrace=1:log_path={folder}/report", PYTHONMALLOC="malloc",
                           PYTHONPATH=str(tree))
        tests = [test for test in TESTS if (tree / test).exists()]
        arguments = sys.argv[1:] or ["-q", "-x", "--deselect", "tests/test_bits.py::test_a_forked_child_trains_on"]
        code = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests, *arguments], cwd=tree,
                              env=environment, check=False).returncode
        for report in Path(folder).glob("report*"):
            print(report.read_text())
        return code


if __name__ == "__main__":
    sys.exit(main())
