"""Which share of a folder of scripts finds every name of PyTorch that it uses: `python coverage.py FOLDER [...]`.

Names are read from the syntax tree, with import aliases resolved: `import torch.nn.functional as F; F.relu` is
torch.nn.functional.relu. Nothing is run. A file counts as covered if all its names resolve; the names that do not are
listed by the number of files that they keep out. Methods of objects are not seen, as their types are not known.
"""
from __future__ import annotations

import ast
import importlib
import sys
from collections import Counter
from pathlib import Path

ROOTS = ("torch", "torchvision")


def names_of(source: str) -> set[str]:
    """The dotted names below torch and torchvision that a program mentions.

    Raises:
        SyntaxError: it is not Python.
    """
    tree = ast.parse(source)
    alias: dict[str, str] = {}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for a in node.names:
                if a.name.split(".")[0] in ROOTS:
                    alias[a.asname or a.name.split(".")[0]] = a.name if a.asname else a.name.split(".")[0]
                    found.add(a.name)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module \
                and node.module.split(".")[0] in ROOTS:
            found.add(node.module)
            for a in node.names:
                if a.name != "*":
                    alias[a.asname or a.name] = f"{node.module}.{a.name}"
                    found.add(f"{node.module}.{a.name}")
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    alias = {name: full for name, full in alias.items() if name not in bound}  # also a variable's name: which is meant?
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:  # the longest chain of each place
            parts: list[str] = []
            below: ast.AST = node
            while isinstance(below, ast.Attribute):
                parts.append(below.attr)
                below = below.value
            if isinstance(below, ast.Name) and below.id in alias:
                found.add(".".join([alias[below.id], *reversed(parts)]))
    return {name for name in found if "." in name}


def resolve(name: str) -> bool:
    """Whether a dotted name is there: modules are imported, then attributes are taken (those of values are not judged).

    torch must be the package to ask, installed or real.
    """
    parts = name.split(".")
    value = importlib.import_module(parts[0])
    for i, part in enumerate(parts[1:], 1):
        try:
            there = hasattr(value, part)
        except ImportError:  # of a module that needs a package which is not installed
            return False
        if there:
            value = getattr(value, part)
        elif type(value).__name__ == "module":
            try:
                value = importlib.import_module(".".join(parts[:i + 1]))
            except ImportError:
                return False
        elif isinstance(value, type):
            return False
        else:
            return True  # an attribute of an object such as torch.float32 or a function's result: not an API name
    return True


def coverage(folders: list[Path], absent: tuple[str, ...] = ()) -> tuple[int, int, int, Counter[str]]:
    """(files that use torch, of those covered, covered but for names that begin with one of `absent`, how many files
    each missing name keeps out)."""
    known: dict[str, bool] = {}
    files = covered = all_but = 0
    missing: Counter[str] = Counter()
    for path in sorted(p for folder in folders for p in ([folder] if folder.is_file() else folder.rglob("*.py"))):
        try:
            names = names_of(path.read_text(encoding="utf-8", errors="replace"))
        except (SyntaxError, ValueError):
            continue
        if not names:
            continue
        files += 1
        for name in names:
            if name not in known:
                known[name] = resolve(name)
        lost = [name for name in names if not known[name]]
        covered += not lost
        all_but += all(name.startswith(absent) for name in lost)
        missing.update(lost)
    return files, covered, all_but, missing


def main() -> None:
    """Print the figure and the missing names."""
    import minitorch_bn
    minitorch_bn.install_as_torch()
    absent = tuple(f"torch.{path}" for path in [*minitorch_bn._names.ABSENT, "fx"])
    files, covered, all_but, missing = coverage([Path(argument) for argument in sys.argv[1:]], absent)
    print(f"{covered} of {files} files ({covered / max(files, 1):.1%}) find every name of torch that they use")
    print(f"{all_but} ({all_but / max(files, 1):.1%}) with the names that cannot be here: graph capture, several "
          "processes, quantized and sparse tensors")
    for name, count in missing.most_common():
        print(f"{count:>5}  {name}")


if __name__ == "__main__":
    main()
