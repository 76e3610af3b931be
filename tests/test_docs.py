"""Runs every Python block of README.md and docs/, page by page: a block may use what the blocks above it defined."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


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


def test_the_pages_are_found():
    assert ROOT / "README.md" in RUNNABLE and ROOT / "docs" / "tour.md" in RUNNABLE


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_local_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


MODULES = ["", ".nn", ".nn.functional", ".nn.init", ".nn.utils", ".optim", ".optim.lr_scheduler", ".autograd",
           ".optim.swa_utils"]
MODULES += [".autograd.functional", ".utils.checkpoint", ".utils.data", ".preprocessing", ".preprocessing.transforms",
            ".linalg", ".fft"]


@pytest.mark.parametrize("name", MODULES, ids=[f"minitorch_bn{name}" for name in MODULES])
def test_public_names_are_documented(name):
    """Every function and class, and every method of the classes, has a docstring of its own or of its parent."""
    module = importlib.import_module("minitorch_bn" + name)
    listed = getattr(module, "__all__", None)
    home = "minitorch_bn" if listed or not name else module.__name__  # without a list: what is defined in the module
    missing = []
    for name in listed or [name for name in vars(module) if not name.startswith("_")]:
        value = getattr(module, name)
        if not callable(value) or not (getattr(value, "__module__", None) or "").startswith(home):
            continue
        methods = [method for method in vars(value) if not method.startswith("_")] if isinstance(value, type) else []
        for label, thing in [(name, value), *((f"{name}.{method}", getattr(value, method)) for method in methods)]:
            alias = "<lambda>" in getattr(thing, "__qualname__", "")  # such as view_as(other): view(other.shape)
            if callable(thing) and not alias and not inspect.getdoc(thing):
                missing.append(label)
    assert not missing, f"{len(missing)} without a docstring: {', '.join(missing)}"
