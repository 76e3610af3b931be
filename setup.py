"""Build steps of minitorch_bn: the op table becomes C and Cython, each kernel family is compiled once per
instruction-set level and dtype, and every .pyx becomes one extension module. All metadata is in pyproject.toml.

    python setup.py build_ext --inplace                        everything that is out of date
    python setup.py build_ext --inplace --only=kernels.norm    one module (and any kernel that is out of date)
"""
import contextlib
import fcntl
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Cython.Build import cythonize
from Cython.Compiler.ParseTreeTransforms import AnalyseExpressionsTransform
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
os.chdir(ROOT)
sys.path.insert(0, str(ROOT / "minitorch_bn"))
import _codegen  # noqa: E402  (a file of this project, importable with nothing built)

X86 = platform.machine().lower() in ("x86_64", "amd64")
# Small in the wheel, too: instructions that are not put into another order repeat more often.
SMALL = ["-Os", "-fno-schedule-insns2"]
# Worst first; the first is there for correctness, so it is built small. A new level is one line here, its width and
# fused multiply-add in src_c/vec.h, and its test in src_c/cpu.c.
LEVELS = (
    {"generic": ["-march=x86-64", *SMALL],
     "v3": ["-march=x86-64-v3"],
     "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"]}
    if X86 else {"generic": SMALL} | ({"neon": ["-march=armv8-a"]} if platform.machine() in ("aarch64", "arm64")
                                       else {})
)
# AVX-512 pays for products of matrices and for float32; the rest of level v4 is that of v3.
PRODUCTS, MOVERS = ("gemm", "conv", "winograd"), ("convert", "indexing", "sorting", "random", "optim")
REALS = ["f32", "f64"]
DTYPES = {"REAL": REALS, "NATIVE": ["b8", "u8", "i8", "i16", "i32", "i64", *REALS], "ONCE": [None]}
# No -ffast-math, and a fused multiply-add only where the source says so: the same bits at every level.
KERNEL_FLAGS = ["-std=gnu11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-fPIC",
                "-fno-asynchronous-unwind-tables",
                "-fvisibility=hidden", "-Wall", "-Wextra", f"-ffile-prefix-map={ROOT}=."]
# Per family, after the above. Loops by the hundred are vectorized as at -O3, but each with one plain loop for the last
# few elements instead of several copies of the body for them; what only moves memory is built plainly.
COMPACT = ["-O2", "-ftree-loop-vectorize", "-fvect-cost-model=dynamic", "--param=vect-epilogues-nomask=0"]
# A loop of three instructions takes five cycles a turn instead of three where it crosses a line of decoded code.
FAMILY_FLAGS = {"elementwise": [*COMPACT, "-falign-loops=32"], "convert": COMPACT, "reduce": COMPACT,
                "softmax": COMPACT, "norm": COMPACT, "random": COMPACT, "optim": COMPACT, "pool": COMPACT,
                "recurrent": COMPACT, "sorting": COMPACT, "gemm": ["-O2", "-fno-tree-vectorize"],
                "winograd": ["-O2"], "conv": ["-O2"]}
# Argument checks, reference counts, loops over blocks: compiled for size.
CYTHON_FLAGS = ["-std=gnu11", *SMALL, "-fno-math-errno", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-g0",
                "-fno-asynchronous-unwind-tables", *(["-fno-plt"] if sys.platform == "linux" else []),
                "-DCYTHON_COMPRESS_STRINGS=0",  # the wheel does it better
                "-DCYTHON_USE_DICT_VERSIONS=0",  # a cache at each global name: none is read where time counts
                "-DCYTHON_UNPACK_METHODS=0", "-DCYTHON_USE_PYLONG_INTERNALS=0",  # nor are these short cuts taken there
                "-Wno-unused-function", "-Wno-unreachable-code", f"-ffile-prefix-map={ROOT}=."]
LINK_FLAGS = ["-Wl,-s", "-Wl,--build-id=none", "-Wl,-z,noseparate-code"] if sys.platform == "linux" else []
DIRECTIVES = {"language_level": "3", "cdivision": True,
              "initializedcheck": False, "embedsignature": False, "binding": True, "auto_pickle": False}


SHARED = "minitorch_bn._cyutility"


def without_positions(transform, node):
    """Cython keeps the place in the source of every expression for tracers of bytecode: 23 KB that nothing reads."""
    transform.positions.pop()
    node.node_positions = []


AnalyseExpressionsTransform._build_positions = without_positions


def families() -> list[tuple[str, str | None]]:
    """(family, dtype) of every kernel compilation, from the one list in src_c/families.def."""
    rows = re.findall(r"^(REAL|NATIVE|ONCE)\((\w+)\)$", Path("src_c/families.def").read_text(), re.M)
    return [(family, dtype) for kind, family in rows for dtype in DTYPES[kind]]


def level_of(level: str, family: str, dtype: str | None) -> str:
    """The level whose kernels a level uses: its own, but where wider registers gain nothing."""
    own = level != "v4" or family in PRODUCTS or dtype == "f32" and family not in MOVERS
    return level if own else "v3"


def openmp_flags(compiler: list[str]) -> list[str]:
    """-fopenmp if the compiler can build and link with it; else none, said aloud: everything then runs on one
    thread."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.c"
        source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
        probe = [*compiler, "-fopenmp", str(source), "-o", str(source.with_suffix(""))]
        if os.environ.get("MTB_OPENMP") != "0" and subprocess.run(probe, capture_output=True,
                                                                  check=False).returncode == 0:
            return ["-fopenmp"]
    print("minitorch_bn: no OpenMP with this compiler: building the serial version", file=sys.stderr)
    return []


def refused(compiler: list[str]) -> set[str]:
    """Those of the flags that tune GCC which this compiler does not know: Clang, say."""
    tuning = {*COMPACT, *SMALL, *(flag for flags in FAMILY_FLAGS.values() for flag in flags)}

    def is_refused(flag: str) -> bool:
        probe = [*compiler, flag, "-fsyntax-only", "-x", "c", os.devnull]
        return subprocess.run(probe, capture_output=True, check=False).returncode != 0

    return {flag for flag in tuning if is_refused(flag)}


def is_fresh(target: Path, depfile: Path, command: str) -> bool:
    """Whether target was made by this very command and is newer than all that its compiler-written depfile names."""
    stamp = target.with_suffix(".cmd")
    if not (target.exists() and depfile.exists() and stamp.exists()) or stamp.read_text() != command:
        return False
    sources = re.sub(r"\\\n", " ", depfile.read_text()).split(":", 1)[1].split()
    made = target.stat().st_mtime
    return all(os.path.exists(s) and os.path.getmtime(s) <= made for s in sources)


class BuildExt(build_ext):
    """build_ext that first generates code and compiles the kernels of every level, then the extension modules."""

    user_options = [*build_ext.user_options, ("only=", None, "comma-separated modules, without the package name")]

    def initialize_options(self):
        super().initialize_options()
        self.only = None

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def run(self):
        Path("build").mkdir(exist_ok=True)
        with open("build/.lock", "w") as lock, contextlib.suppress(FileNotFoundError):
            fcntl.flock(lock, fcntl.LOCK_EX)  # two builds of one tree take turns
            super().run()

    def build_extensions(self):
        cc = shlex.split(os.environ.get("CC", "")) or self.compiler.compiler_so[:1]
        openmp = openmp_flags(cc)
        extra = shlex.split(os.environ.get("MTB_CFLAGS", ""))          # for everything
        inner = shlex.split(os.environ.get("MTB_KERNEL_CFLAGS", ""))   # for the C kernels only
        self.refused = refused(cc)
        objects = self.compile_kernels(cc, extra + inner)
        config = f'-DMTB_BUILD_FLAGS="{" ".join(KERNEL_FLAGS[1:5] + openmp + extra)}"'
        for ext in self.extensions:
            ext.extra_compile_args = [flag for flag in CYTHON_FLAGS if flag not in self.refused] + openmp + extra
            ext.extra_link_args = openmp + (extra or LINK_FLAGS)
            if ext.name == "minitorch_bn.kernels.runtime":  # the kernels are linked once, here; the others ask it
                ext.extra_objects, ext.extra_compile_args = objects, [*ext.extra_compile_args, config]
                ext.extra_link_args = [*ext.extra_link_args, *inner]
                ext.depends = [*ext.depends, *objects]
        super().build_extensions()

    def compile_kernels(self, cc: list[str], extra: list[str]) -> list[str]:
        jobs = [("cpu", None, None)] + [("level", level, None) for level in LEVELS]
        # Linked in this order: what the dtypes of a level have in common is near enough for a zip file to see it.
        jobs += [(family, level, dtype) for level in LEVELS for family, dtype in families()
                 if level_of(level, family, dtype) == level]
        with ThreadPoolExecutor(self.parallel) as pool:
            return list(pool.map(lambda job: self.compile_kernel(cc, extra, *job), jobs))

    def compile_kernel(self, cc, extra, family, level, dtype) -> str:
        shared = family in ("cpu", "level")
        source = f"src_c/{family}.c" if shared else f"src_c/kernels/{family}.c"
        target = Path(self.build_temp) / "kernels" / "_".join(filter(None, (family, level, dtype, "o")))
        target = target.with_name(target.name.removesuffix("_o") + ".o")
        target.parent.mkdir(parents=True, exist_ok=True)
        flags = KERNEL_FLAGS + FAMILY_FLAGS.get(family, []) + LEVELS.get(level, []) + extra
        flags = [flag for flag in flags if flag not in self.refused]
        if family == "cpu":
            flags = [*flags, "-DMTB_LEVELS=" + " ".join(f"LEVEL({name})" for name in LEVELS)]
        else:
            flags = [*flags, f"-DMTB_LEVEL={level}"]
        if family == "level":  # where to find each table: -DMTB_LEVEL_OF_norm_f64=v3
            flags += [f"-DMTB_LEVEL_OF_{'_'.join(filter(None, (name, t)))}={level_of(level, name, t)}"
                      for name, t in families()]
        if not shared:
            flags = [*flags, f'-DMTB_API="api/{family}.h"']
        if dtype:
            flags = [*flags, f"-DMTB_DTYPE={dtype}", f"-DMTB_T_{dtype}=1"]
        depfile = target.with_suffix(".d")
        command = [*cc, *flags, "-MMD", "-MF", str(depfile), "-c", source, "-o", str(target)]
        made_by = shlex.join(command).replace(str(ROOT), ".")  # a copy of the tree need not build all again
        if not is_fresh(target, depfile, made_by):
            if self.verbose:
                print("kernel", target.stem, flush=True)
            subprocess.run(command, check=True)
            target.with_suffix(".cmd").write_text(made_by)
        return str(target)


def extensions() -> list[Extension]:
    """One extension module for each .pyx below the package, and one for what Cython would else repeat in each of
    them."""
    only = next((a.split("=", 1)[1].split(",") for a in sys.argv if a.startswith("--only=")), None)
    headers = ["setup.py", "src_c/families.def", *map(str, Path("src_c").rglob("*.h"))]
    names = {".".join(p.with_suffix("").parts): str(p) for p in sorted(Path("minitorch_bn").rglob("*.pyx"))}
    modules = [Extension(name, [path], include_dirs=["src_c"], depends=headers)
               for name, path in names.items() if not only or name.removeprefix("minitorch_bn.") in only]
    return [*modules, Extension(SHARED, ["build/cython/_cyutility.c"])]


zlib.Z_DEFAULT_COMPRESSION = zlib.Z_BEST_COMPRESSION  # of the wheel: zipfile asks for the default
_codegen.main()
Path("build/cython").mkdir(parents=True, exist_ok=True)
for made in Path("build/cython").rglob("*.c"):  # by an earlier version of this file: other directives, perhaps
    if made.stat().st_mtime < Path("setup.py").stat().st_mtime:
        made.unlink()
setup(cmdclass={"build_ext": BuildExt},
      ext_modules=cythonize(extensions(), compiler_directives=DIRECTIVES, nthreads=0, quiet=True,
                            build_dir="build/cython", shared_utility_qualified_name=SHARED,
                            shared_utility_features_disabled=["MemoryView"]))
