"""What normalization does, measured: experiments (`python -m minitorch_bn.lab`), and tools for one's own model."""

from importlib import import_module as _import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .doctor import CouldNotRun, Finding, Report, doctor

__all__ = ["CouldNotRun", "Finding", "Report", "doctor"]
_LAZY = {name: module for module, names in {
    "doctor": "doctor CouldNotRun Finding Report",
}.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(_import_module(f"{__name__}.{_LAZY[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
