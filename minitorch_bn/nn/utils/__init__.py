"""Helpers on parameters and gradients: clipping, flattening, padding of sequences, normalized and pruned weights."""

from importlib import import_module as _import_module

from . import rnn
from .clip import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from .vector import parameters_to_vector, vector_to_parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .folding import Proof, fold, fold_norm
    from .fusion import fuse_conv_bn_eval, fuse_conv_bn_weights, fuse_linear_bn_eval, fuse_linear_bn_weights
    from .init import skip_init
    from .memory_format import convert_conv2d_weight_memory_format, convert_conv3d_weight_memory_format
    from .recalibration import Recalibration, recalibrate
    from .spectral_norms import remove_spectral_norm, spectral_norm
    from .weight_norms import remove_weight_norm, weight_norm

__all__ = ["Proof", "Recalibration", "clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_",
           "convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format", "fold", "fold_norm",
           "fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights",
           "get_total_norm", "parameters_to_vector", "recalibrate", "remove_spectral_norm", "remove_weight_norm", "rnn",
           "skip_init", "spectral_norm", "vector_to_parameters", "weight_norm"]

# Functions that are imported when they are first named, and where from; and modules likewise.
_LAZY = {
    "Proof": "folding", "fold": "folding", "fold_norm": "folding",
    "Recalibration": "recalibration", "recalibrate": "recalibration",
    "fuse_conv_bn_eval": "fusion", "fuse_conv_bn_weights": "fusion", "fuse_linear_bn_eval": "fusion",
    "fuse_linear_bn_weights": "fusion", "skip_init": "init", "convert_conv2d_weight_memory_format": "memory_format",
    "convert_conv3d_weight_memory_format": "memory_format", "remove_spectral_norm": "spectral_norms",
    "spectral_norm": "spectral_norms", "remove_weight_norm": "weight_norms", "weight_norm": "weight_norms",
}
_SUBMODULES = ("fusion", "init", "memory_format", "parametrizations", "parametrize", "prune", "stateless")


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(_import_module(f"{__name__}.{_LAZY[name]}"), name)
    if name in _SUBMODULES:
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'torch.nn.utils' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_SUBMODULES})
