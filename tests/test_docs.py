"""Runs every Python block of README.md and docs/, page by page: a block may use what the blocks above it defined.
Checks that links lead somewhere, and that all that the reference lists has a docstring."""

import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minitorch_bn

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "docs"))
from public import public_names  # noqa: E402

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK_ALONE = re.compile(BLOCK.pattern.replace("python", "py"), BLOCK.flags)


def blocks(page):
    """(line number, code) of each Python block."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, found.start(1)), found.group(1)) for found in BLOCK.finditer(text)]


RUNNABLE = [page for page in PAGES if blocks(page)]


@pytest.mark.parametrize("page", RUNNABLE, ids=[str(page.relative_to(ROOT)) for page in RUNNABLE])
def test_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a page that writes a file does so here
    namespace = {"__name__": "page"}
    for line, code in blocks(page):
        exec(compile("\n" * line + code, str(page), "exec"), namespace)  # an error names the page's own line


ALONE = [(page, code) for page in PAGES for code in BLOCK_ALONE.findall(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page, code", ALONE, ids=[str(page.relative_to(ROOT)) for page, _ in ALONE])
def test_blocks_that_need_a_process_of_their_own_run(page, code, tmp_path):
    """A block marked `py` changes what `import torch` means."""
    tested = Path(minitorch_bn.__file__).resolve().parent.parent  # the checkout, or where the package is installed
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tested), os.environ.get("PYTHONPATH", "")]))
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)


def test_the_pages_are_found():
    assert ROOT / "README.md" in RUNNABLE and ROOT / "docs" / "tour.md" in RUNNABLE


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_local_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


# The reference is made of directives that list what a module offers: `.. public:: minitorch_bn.nn`.
API = "\n".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs" / "api").glob("*.md")))
MODULES = re.findall(r"^\.\. public:: (\S+)$", API, re.MULTILINE)


def test_each_package_has_a_page():
    assert len(MODULES) == len(set(MODULES))
    pages = f"{API} {' '.join(MODULES)}"
    missing = [name for name in minitorch_bn._SUBMODULES if not re.search(rf"\b(minitorch_bn|torch)\.{name}\b", pages)]
    assert not missing, f"docs/api says nothing about {', '.join(missing)}"


def documented(owner, name):
    """Whether a method or property of a class, or what it overrides, has a docstring."""
    return any(inspect.getdoc(vars(base)[name]) for base in owner.__mro__ if name in vars(base))


def members(owner):
    """A class's own public methods, and its properties but for those that are a lambda."""
    for name, value in vars(owner).items():
        if name.startswith("_"):
            continue
        if isinstance(value, property) and "<lambda>" not in getattr(value.fget, "__qualname__", "<lambda>"):
            yield name
        elif callable(getattr(owner, name)):
            yield name


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_documented(name):
    if name.endswith(".tensorboard"):
        pytest.importorskip("tensorboard")
    missing = []
    for label, value in public_names(importlib.import_module(name)):
        if not inspect.getdoc(value):
            missing.append(label)
        if isinstance(value, type):
            missing += [f"{label}.{member}" for member in members(value) if not documented(value, member)]
    assert not missing, f"{len(missing)} without a docstring: {', '.join(missing)}"
