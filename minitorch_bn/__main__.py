"""`python -m minitorch_bn run script.py args...`: a script that imports torch, run with this package in its place."""
from __future__ import annotations

import importlib.util
import io
import os
import sys
from types import CodeType, ModuleType
from typing import NoReturn

import minitorch_bn
from minitorch_bn._as_torch import install_as_torch

USAGE = """usage: python -m minitorch_bn run [--stream=torch] script.py [arguments ...]
       python -m minitorch_bn run [--stream=torch] -m module [arguments ...]
       python -m minitorch_bn info

run   the script as Python would, where `import torch` and `import torchvision` give minitorch_bn;
      with --stream=torch, the random numbers are those that PyTorch draws from the same seed
info  the version, the instruction-set level, the threads and the build"""


def _fail(message: str, code: int = 2) -> NoReturn:
    print(message, file=sys.stderr)
    raise SystemExit(code)


def _script(path: str) -> tuple[ModuleType, CodeType]:
    """`__main__` for a file, or for a folder with a `__main__.py`, and its code."""
    folder = path if os.path.isdir(path) else os.path.dirname(os.path.realpath(path))
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = folder
    elif os.path.isdir(path):
        sys.path.insert(0, folder)
    file = os.path.abspath(os.path.join(path, "__main__.py") if os.path.isdir(path) else path)
    main = ModuleType("__main__")
    main.__file__ = file
    main.__builtins__ = __builtins__  # type: ignore[attr-defined]
    try:
        with io.open_code(file) as source:
            text = source.read()
    except OSError as error:
        _fail(f"{sys.executable}: can't open file {file!r}: [Errno {error.errno}] {error.strerror}")
    return main, compile(text, file, "exec", dont_inherit=True)


def _module(name: str) -> tuple[ModuleType, CodeType]:
    """`__main__` for `-m name`, and its code; sys.argv[0] becomes its file."""
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{name}.__main__")
    except ImportError as error:
        _fail(f"{sys.executable}: Error while finding module specification for {name!r} "
              f"({type(error).__name__}: {error})", 1)
    code = spec.loader.get_code(spec.name) if spec and hasattr(spec.loader, "get_code") else None  # type: ignore
    if spec is None or code is None:
        _fail(f"{sys.executable}: No module named {name}", 1)
    main = ModuleType("__main__")
    main.__spec__, main.__package__, main.__loader__ = spec, spec.parent, spec.loader
    main.__file__ = sys.argv[0] = spec.origin or name
    main.__cached__ = spec.cached  # type: ignore[attr-defined]
    return main, code


def _show_own_frames_only(error: BaseException) -> None:
    """Have the interpreter's report of `error` begin with the script's first frame, as if Python had run it."""
    trace, hook = error.__traceback__, sys.excepthook
    while trace is not None and (trace.tb_frame.f_globals is globals()
                                 or trace.tb_frame.f_globals.get("__name__") != "__main__"):
        trace = trace.tb_next

    def report(kind: type[BaseException], value: BaseException, _: object) -> None:
        value.__traceback__ = trace
        hook(kind, value, trace)
    sys.excepthook = report


def run(arguments: list[str]) -> None:
    """Run a script, or with `-m` a module, in place of this one."""
    if arguments and arguments[0].startswith("--stream="):
        stream = arguments[0].partition("=")[2]
        if stream not in ("torch", "philox"):
            _fail(USAGE)
        minitorch_bn.manual_seed(minitorch_bn.initial_seed(), stream=stream)
        arguments = arguments[1:]
    as_module = arguments[:1] == ["-m"]
    if as_module or arguments[:1] == ["--"]:
        arguments = arguments[1:]
    if not arguments:
        _fail(USAGE)
    install_as_torch()
    sys.argv[:] = arguments
    try:
        main, code = _module(arguments[0]) if as_module else _script(arguments[0])
        sys.modules["__main__"] = main
        exec(code, vars(main))
    except SystemExit:
        raise
    except BaseException as error:
        _show_own_frames_only(error)
        raise


def main() -> None:
    """The command line."""
    command, arguments = sys.argv[1:2], sys.argv[2:]
    if command == ["run"]:
        run(arguments)
    elif command == ["info"]:
        print(minitorch_bn.__version__)
        minitorch_bn.show_config()
    elif command in (["-h"], ["--help"]):
        print(USAGE)
    else:
        _fail(USAGE)


if __name__ == "__main__":
    main()
