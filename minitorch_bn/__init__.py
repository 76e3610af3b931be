"""minitorch_bn: PyTorch's training API in 2.5 megabytes, with exact and fast batch normalization on the CPU.

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
from minitorch_bn._names import lookup as _lookup
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
# Subpackages are imported when they are first named, and so are the modules of these names.
_SUBMODULES = ("autograd", "nn", "optim", "preprocessing", "utils", "testing", "special", "random", "cuda", "backends",
               "accelerator", "amp", "distributed", "func", "jit", "mps", "multiprocessing", "profiler", "storage",
               "types", "version", "vision", "xpu", "linalg", "fft", "serialization", "safetensors", "hub",
               "distributions", "masked", "signal", "lab")
_LAZY = {name: module for module, names in {
    "serialization": "save load",
    "func": "vmap",
    "amp": "GradScaler autocast clear_autocast_cache get_autocast_cpu_dtype get_autocast_dtype get_autocast_gpu_dtype "
           "is_autocast_cache_enabled is_autocast_cpu_enabled is_autocast_enabled set_autocast_cache_enabled "
           "set_autocast_cpu_dtype set_autocast_cpu_enabled set_autocast_dtype set_autocast_enabled "
           "set_autocast_gpu_dtype",
    "_as_torch": "install_as_torch uninstall_as_torch",
    "cuda": "Event OutOfMemoryError Stream",
    "_legacy": "typename BFloat16Tensor BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor "
               "IntTensor LongTensor ShortTensor",
    "storage": "Storage TypedStorage UntypedStorage BFloat16Storage BoolStorage ByteStorage CharStorage DoubleStorage "
               "FloatStorage HalfStorage IntStorage LongStorage ShortStorage",
    "_toplevel": "adjoint affine_grid_generator alpha_dropout asarray batch_norm binary_cross_entropy_with_logits "
                 "clamp_ clip_ compiled_with_cxx11_abi cosine_embedding_loss ctc_loss feature_dropout get_device "
                 "get_device_module group_norm hinge_embedding_loss instance_norm is_anomaly_enabled is_inference "
                 "is_nonzero is_same_size is_warn_always_enabled kl_div layer_norm margin_ranking_loss nan_to_num_ "
                 "poisson_nll_loss range set_anomaly_enabled set_warn_always triplet_margin_loss",
    "nn.functional": "bilinear celu celu_ channel_shuffle cosine_similarity pairwise_distance pdist pixel_shuffle "
                     "pixel_unshuffle prelu rms_norm rrelu rrelu_ selu selu_ threshold threshold_",
    "linalg.classic": "chain_matmul cholesky cholesky_inverse cholesky_solve cross det geqrf inverse logdet lu "
                      "lu_solve lu_unpack matrix_exp matrix_power orgqr ormqr pca_lowrank pinverse qr slogdet svd "
                      "svd_lowrank triangular_solve",
    "fft": "istft stft",
    "distributions._sampling": "_sample_dirichlet _standard_gamma binomial poisson",
    "signal.windows": "bartlett_window blackman_window hamming_window hann_window kaiser_window",
    **{f"ops.{module}": names for module, names in ops.LAZY.items()},
}.items() for name in names.split()}
_submodule = _lookup(__name__)


def __getattr__(name: str) -> object:
    """What `_LAZY` lists, a subpackage, or an error that names the nearest name."""
    if name in _LAZY:
        globals()[name] = value = getattr(_import_module(f"{__name__}.{_LAZY[name]}"), name)
        return value
    if name.startswith("_foreach_"):
        return _import_module(f"{__name__}._foreach").function(name[9:])
    return _submodule(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_LAZY})
