"""Preparing data: scalers with scikit-learn's results, and per-sample transforms."""

from . import transforms
from .scalers import MinMaxScaler, Scale255, StandardScaler

__all__ = ["MinMaxScaler", "Scale255", "StandardScaler", "transforms"]
