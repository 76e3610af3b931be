"""The house: dependencies point downward, files are of a readable size and say what they are, imports are light."""
import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minitorch_bn

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "minitorch_bn"
SOURCES = [p for folder in ("minitorch_bn", "src_c", "tests", "bench", "examples")
           for p in sorted((ROOT / folder).rglob("*"))
           if p.suffix in (".py", ".pyx", ".pxd", ".pxi", ".pyi", ".c", ".h") and "gen" not in p.parts
           and "__pycache__" not in p.parts] + [ROOT / "setup.py"]
# From the bottom up: a file may use its own layer and those below.
LAYERS = [["kernels", "_names"], ["_optable", "_codegen"], ["_gradients", "_core", "_printing"], ["_modes"], ["ops"],
          ["_settings", "__init__"], ["autograd", "testing"],
          ["nn", "optim", "utils", "preprocessing", "cuda", "backends", "special", "linalg", "fft", "random",
           "distributions", "masked", "signal",
           "serialization", "safetensors", "hub", "accelerator", "amp", "compiler", "cpu", "distributed", "func", "jit",
           "mps", "multiprocessing", "overrides", "profiler", "storage", "types", "version", "xpu", "_foreach",
           "_legacy", "_C"], ["vision"], ["lab"],
          ["_as_torch"], ["__main__"]]
LEVEL = {name: i for i, names in enumerate(LAYERS) for name in names}


def layer_of(path):
    part = path.relative_to(PACKAGE).parts[0]
    return "_core" if part == "core" else part.split(".")[0]


def imports_of(path):
    """The modules of this package that a file names at its top level."""
    if path.suffix == ".py":
        tree = ast.parse(path.read_text())
        found = []
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("minitorch_bn"):
                found += [node.module] if node.module != "minitorch_bn" else [f"minitorch_bn.{a.name}"
                                                                              for a in node.names]
            elif isinstance(node, ast.Import):
                found += [a.name for a in node.names if a.name.startswith("minitorch_bn")]
        return found
    return re.findall(r"^(?:from|cimport|import) (minitorch_bn[\w.]*)", path.read_text(), re.M)


@pytest.mark.skipif(not (ROOT / "src_c").exists(), reason="needs the checkout")
def test_dependencies_point_downward():
    upward = []
    for path in SOURCES:
        if PACKAGE not in path.parents or path.suffix == ".pyi":  # types may refer to each other freely
            continue
        own = layer_of(path)
        for module in imports_of(path):
            parts = module.split(".")
            other = parts[1] if len(parts) > 1 else None
            if other in LEVEL and own in LEVEL and LEVEL[other] > LEVEL[own] and own != "__init__":
                upward.append(f"{path.relative_to(ROOT)} ({own}) imports {module}")
    assert not upward, "\n".join(upward)


def test_c_knows_no_python_threads_or_heap():
    for path in (ROOT / "src_c").rglob("*.[ch]"):
        text = path.read_text()
        for word in ("Python.h", "omp.h", "#pragma omp", "malloc(", "calloc(", "pthread"):
            assert word not in text, f"{path.name} uses {word}"


def test_instruction_sets_are_spelled_in_c_only():
    for path in PACKAGE.rglob("*.py*"):
        if path.suffix in (".pyx", ".pxd", ".pxi"):
            assert not re.search(r"_mm\d*_|__AVX|immintrin|vld1q", path.read_text()), path.name


def test_files_are_of_a_readable_size():
    long = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in SOURCES}
    long = {name: n for name, n in long.items() if n > 450}
    for name in long:
        head = "\n".join((ROOT / name).read_text().splitlines()[:12])
        assert "one file" in head.lower(), f"{name} has {long[name]} lines and gives no reason for being one file"


def test_lines_of_c_fit_the_width_of_the_rest():
    """Ruff and cython-lint hold theirs to it."""
    wide = [f"{path.name}:{i}" for path in SOURCES if path.suffix in (".c", ".h")
            for i, line in enumerate(path.read_text().splitlines(), 1) if len(line) > 120]
    assert not wide, wide


def test_files_open_with_a_sentence():
    for path in SOURCES:
        text = path.read_text().lstrip()
        if not text:
            continue
        assert text.startswith(('"""', 'r"""', "# ", "/*")), f"{path.relative_to(ROOT)} does not say what it is"


def test_the_design_names_every_part():
    """Who reads docs/design.md meets each file of the lower layers, if only by name."""
    text = (ROOT / "docs" / "design.md").read_text()
    parts = [*PACKAGE.glob("core/*.pxi"), *PACKAGE.glob("kernels/*.pyx"), *PACKAGE.glob("ops/[!_]*.py*"),
             *(ROOT / "src_c").glob("*.[ch]")]
    families = re.findall(r"^\w+\((\w+)\)$", (ROOT / "src_c" / "families.def").read_text(), re.M)
    unnamed = [str(path.relative_to(ROOT)) for path in parts
               if path.stem not in families and not re.search(rf"`(?:\w+/)*{path.stem}(?:\.\w+)?`", text)]
    assert not unnamed, unnamed


def test_no_file_names_a_machine():
    for path in SOURCES:
        if path.name != "test_structure.py":
            assert not re.search(r"/(?:root|home)/\w", path.read_text()), path.name


def probe(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "tests", capture_output=True, text=True, check=True,
                          env=dict(os.environ, PYTHONPATH=str(Path(minitorch_bn.__file__).parent.parent)))
    return done.stdout.split()


def test_import_is_light():
    """NumPy is not imported until it is used, and few other modules are."""
    numpy, modules = probe("import sys; before = len(sys.modules); import minitorch_bn; "
                           "print('numpy' in sys.modules, len(sys.modules) - before)")
    assert numpy == "False"
    assert int(modules) < 120
    code = "import sys, minitorch_bn as t; x = (t.ones(3) * 2).sum().item(); print('numpy' in sys.modules)"
    assert probe(code) == ["False"]


def test_c_headers_match_the_ranges_of_dtypes():
    text = (ROOT / "src_c" / "dtypes.h").read_text()
    assert re.findall(r"X\((\w+), \w+, \d\)", text) == ["b8", "u8", "i8", "i16", "i32", "i64", "f16", "bf16", "f32",
                                                        "f64"]
