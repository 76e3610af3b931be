"""Which copy of the package is tested: the checkout if it is built for this Python, else the installed one."""

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# `python -m pytest` puts the checkout first on the path; one without compiled modules would only hide the installed
# copy.
if not any((ROOT / "minitorch_bn" / f"_core{suffix}").exists() for suffix in EXTENSION_SUFFIXES):
    sys.path[:] = [entry for entry in sys.path if Path(entry or os.getcwd()).resolve() != ROOT]

# A shared machine may stall for a second at any moment; that says nothing about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow],
                          derandomize=bool(os.environ.get("CI")))
settings.load_profile("patient")
