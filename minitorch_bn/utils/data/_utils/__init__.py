"""The paths under which PyTorch keeps the parts of its loader."""

from .. import worker
from . import collate

MP_STATUS_CHECK_INTERVAL = 5.0

__all__ = ["MP_STATUS_CHECK_INTERVAL", "collate", "worker"]
