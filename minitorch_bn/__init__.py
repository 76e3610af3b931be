"""minitorch_bn: PyTorch's training API in two megabytes, with exact and fast batch normalization on the CPU.

``import minitorch_bn as torch`` and the script runs. NumPy and the subpackages (nn, optim, ...) are imported on first
use.
"""
from importlib import import_module as _import_module

from minitorch_bn import _core, ops
from minitorch_bn._core import (
    DTYPES,
    RemovableHandle,
    Size,
    Tensor,
    arange,
    broadcast_shapes,
    can_cast,
    device,
    dtype,
    empty,
    empty_like,
    eye,
    finfo,
    from_dlpack,
    from_numpy,
    frombuffer,
    full,
    full_like,
    get_default_dtype,
    iinfo,
    is_floating_point,
    is_grad_enabled,
    is_inference_mode_enabled,
    is_signed,
    linspace,
    numel,
    ones,
    ones_like,
    promote_types,
    result_type,
    set_default_dtype,
    tensor,
    where,
    zeros,
    zeros_like,
)
from minitorch_bn._core import _singleton as _constant
from minitorch_bn._core import as_tensor_ as as_tensor
from minitorch_bn._core import scalar_tensor_ as scalar_tensor
from minitorch_bn._modes import enable_grad, inference_mode, no_grad, set_grad_enabled
from minitorch_bn._settings import *  # noqa: F403
from minitorch_bn.kernels.runtime import (
    empty_cache,
    get_num_threads,
    memory_stats,
    reset_peak_memory_stats,
    set_num_threads,
)

__version__ = "0.1.0"

globals().update(DTYPES)  # float32, int64, bool, ...
globals().update(ops.FUNCTIONS)
double, float, half = DTYPES["float64"], DTYPES["float32"], DTYPES["float16"]
long, int, short = DTYPES["int64"], DTYPES["int32"], DTYPES["int16"]
contiguous_format, preserve_format = _constant("contiguous_format"), _constant("preserve_format")
channels_last, channels_last_3d = _constant("channels_last"), _constant("channels_last_3d")
strided = _constant("strided")
memory_format = layout = type(strided)
inf, nan, pi, e = 1e999, 1e999 - 1e999, 3.141592653589793, 2.718281828459045
newaxis = None
_SUBMODULES = ("autograd", "nn", "optim", "preprocessing", "utils", "testing", "special", "random", "cuda", "backends")


def __getattr__(name: str) -> object:
    """Subpackages are imported when they are first named."""
    if name in _SUBMODULES:
        return _import_module(f"{__name__}.{name}")
    if name in ("complex32", "complex64", "complex128", "cfloat", "cdouble", "chalf", "complex"):
        raise AttributeError(f"torch.{name}: complex dtypes are not supported by minitorch_bn")
    if name.startswith(("sparse", "quint", "qint", "quantize")):
        raise AttributeError(f"torch.{name}: sparse and quantized tensors are not supported by minitorch_bn")
    raise AttributeError(f"module 'minitorch_bn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})
