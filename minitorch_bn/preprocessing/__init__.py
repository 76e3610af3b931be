"""Preparing data: scalers with scikit-learn's results, and per-sample transforms."""

from . import transforms
from .scalers import MinMaxScaler, StandardScaler

__all__ = ["MinMaxScaler", "StandardScaler", "transforms"]
