"""The operations on tensors, one module a family. Each module lists METHODS (of Tensor) and FUNCTIONS (of the top
level)."""
import importlib

from minitorch_bn import _core

MODULES = ("elementwise", "arithmetic", "reduce", "extremes", "scans", "linalg", "contractions", "conv", "norm",
           "rownorm", "softmax", "pool", "generator", "random", "indexing", "gathering", "advanced", "sorting",
           "joining", "triangles", "shaping", "counting", "optim", "attention")
FUNCTIONS: dict = {}


def _gather() -> None:
    for name in MODULES:
        try:
            module = importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if f"ops.{name}" not in str(error):
                raise
            continue
        for method, function in getattr(module, "METHODS", {}).items():
            _core.install(method, function)
        FUNCTIONS.update(getattr(module, "FUNCTIONS", {}))
        globals().update(getattr(module, "FUNCTIONS", {}))
        globals().update(getattr(module, "PRIMITIVES", {}))


_gather()
