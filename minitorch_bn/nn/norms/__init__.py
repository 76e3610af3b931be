"""Batch normalization beyond PyTorch's arguments: policies, relatives, conversions (docs/batchnorm.md: a card each)."""

from .act import BatchNormAct1d, BatchNormAct2d, BatchNormAct3d
from .alternatives import TLU, EvoNormS0, FilterResponseNorm, IterNorm, SwitchNorm
from .convert import convert_norm, export_bn, import_bn
from .core import Moments, merge, moments, normalize, synchronized
from .domain import ConditionalBatchNorm, DomainBatchNorm
from .policy import Renorm
from .recurrent import BNLSTM, BNLSTMCell, RecurrentBatchNorm
from .state import freeze_bn, stats_frozen, unfreeze_bn

__all__ = ["BNLSTM", "TLU", "BNLSTMCell", "BatchNormAct1d", "BatchNormAct2d", "BatchNormAct3d", "ConditionalBatchNorm",
           "DomainBatchNorm", "EvoNormS0", "FilterResponseNorm", "IterNorm", "Moments", "RecurrentBatchNorm", "Renorm",
           "SwitchNorm", "convert_norm", "export_bn", "freeze_bn", "import_bn", "merge", "moments", "normalize",
           "stats_frozen", "synchronized", "unfreeze_bn"]
