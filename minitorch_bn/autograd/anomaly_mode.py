"""Anomaly detection: when backward fails or makes a NaN, name the forward line that is to blame."""
from __future__ import annotations

from typing import Any

from minitorch_bn._core import set_anomaly_


class set_detect_anomaly:
    """Switch anomaly detection on or off; also a context manager that switches it back."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._was = set_anomaly_(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: Any) -> None:
        set_anomaly_(*self._was)


class detect_anomaly:
    """Within the block, forward operations keep their stack, and backward reports the one that fails or makes a NaN."""

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan

    def __enter__(self) -> None:
        self._was = set_anomaly_(True, self.check_nan)

    def __exit__(self, *error: Any) -> None:
        set_anomaly_(*self._was)
