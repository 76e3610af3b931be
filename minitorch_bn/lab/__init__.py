"""What normalization does, measured: experiments (`python -m minitorch_bn.lab`), and tools for one's own model."""

from importlib import import_module as _import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .advice import Recommendation, recommend
    from .data import Data, load_data
    from .doctor import CouldNotRun, Finding, Report, doctor
    from .gradients import gap, gradient_flow, landscape
    from .probing import probe
    from .report import write_report
    from .runner import Run, run
    from .spectrum import Spectrum, jacobian_spectrum

__all__ = ["CouldNotRun", "Data", "Finding", "Recommendation", "Report", "Run", "Spectrum", "doctor", "gap",
           "gradient_flow", "jacobian_spectrum", "landscape", "load_data", "probe", "recommend", "run", "write_report"]
_LAZY = {name: module for module, names in {
    "advice": "Recommendation recommend",
    "data": "Data load_data",
    "doctor": "CouldNotRun Finding Report doctor",
    "gradients": "gap gradient_flow landscape",
    "probing": "probe",
    "report": "write_report",
    "runner": "Run run",
    "spectrum": "Spectrum jacobian_spectrum",
}.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(_import_module(f"{__name__}.{_LAZY[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
