"""Being torch: after `install_as_torch()`, `import torch` gives this package, in this process and its children."""
from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

import minitorch_bn
from minitorch_bn import _names, version

ROOTS = {"torch": "", "torchvision": "vision"}  # what is imported, and its path in this package
OWN_VERSION = minitorch_bn.__version__


def _path_of(name: str) -> str | None:
    """The path in this package of a module of torch or torchvision; None if it is a module of neither."""
    root, _, rest = name.partition(".")
    if root in ROOTS:
        return ".".join(part for part in (ROOTS[root], rest) if part)
    if name == "safetensors.torch" or name == "safetensors" and PathFinder.find_spec(name) is None:
        return "safetensors"  # the package of this name, if it is installed, has compiled code that needs PyTorch's
    return None


class _AsTorch(MetaPathFinder, Loader):
    """Finds torch.x.y as minitorch_bn.x.y: the same module object under a second name."""

    def __init__(self) -> None:
        self.given = {"torch"}  # the names under which our modules are in sys.modules

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        own = _path_of(name)
        if own is None:
            return None
        module = _names.find(own) if own else minitorch_bn
        if module is None:
            parent, _, last = own.rpartition(".")
            raise ModuleNotFoundError(str(_names.missing(parent, last)), name=name)
        spec = ModuleSpec(name, self, is_package=True)  # any may have parts under PyTorch's names
        spec.loader_state = module, module.__spec__
        self.given.add(name)
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module: ModuleType = spec.loader_state[0]
        return module

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None and spec.loader is self:  # importing has put the second name's spec in place of the own
            module.__spec__ = spec.loader_state[1]
        if "__getattr__" not in vars(module):
            vars(module)["__getattr__"] = _names.lookup(module.__name__)

    def find_distributions(self, context: Any) -> Iterator[Any]:
        """What importlib.metadata asks: torch and torchvision are installed, in the versions that they report."""
        from importlib.metadata import Distribution

        home = os.path.dirname(minitorch_bn.__path__[0])
        for root in ROOTS:
            if context.name in (None, root):
                text = f"Metadata-Version: 2.1\nName: {root}\nVersion: {import_module(root).__version__}\n"
                yield type("Installed", (Distribution,), {
                    "read_text": lambda self, filename, text=text: text if filename == "METADATA" else None,
                    "locate_file": lambda self, path: os.path.join(home, path)})()


_finder = _AsTorch()


def installed() -> bool:
    """Whether `import torch` gives this package."""
    return _finder in sys.meta_path


def install_as_torch() -> None:
    """Make ``import torch`` (and ``torchvision``) mean this package from now on, in child processes as well.

    `torch` is then the module minitorch_bn itself, and `torch.__version__` the version of PyTorch that it follows.

    Raises:
        RuntimeError: the real PyTorch is imported already; two of them cannot be one process's torch.
    """
    if installed():
        return
    for root in ROOTS:
        if root in sys.modules:
            raise RuntimeError(f"the real {root} is already imported (from {sys.modules[root].__file__}): call "
                               "install_as_torch() before anything imports it, or start the script with "
                               "`python -m minitorch_bn run`")
    sys.meta_path.insert(0, _finder)
    sys.modules["torch"] = minitorch_bn
    minitorch_bn.__version__ = version.__version__
    _teach_children()


def uninstall_as_torch() -> None:
    """Undo `install_as_torch()`: ``import torch`` means again what it meant before."""
    if not installed():
        return
    sys.meta_path.remove(_finder)
    for name in _finder.given:
        sys.modules.pop(name, None)
    minitorch_bn.__version__ = OWN_VERSION
    from multiprocessing import spawn
    spawn.get_preparation_data = getattr(spawn.get_preparation_data, "plain", spawn.get_preparation_data)


def _installed_first(data: dict[str, Any]) -> dict[str, Any]:
    """In a child process, before it imports the script again: `data`, with torch installed."""
    install_as_torch()
    return data


class _Preparation(dict):
    """What a spawned process is told first; to unpickle it installs torch there."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _installed_first, (dict(self),)


def _teach_children() -> None:
    """Processes that multiprocessing spawns import the script again: they are to find torch as well."""
    from multiprocessing import set_forkserver_preload, spawn
    plain = spawn.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        return _Preparation(plain(name))
    get_preparation_data.plain = plain  # type: ignore[attr-defined]
    spawn.get_preparation_data = get_preparation_data
    set_forkserver_preload([])  # the script would be imported where torch is not installed yet
