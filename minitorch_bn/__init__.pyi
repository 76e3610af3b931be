"""minitorch_bn: PyTorch's training API; the types of its top level, in one file."""
import builtins
from typing import Any

from minitorch_bn import (
    _core as _core, accelerator as accelerator, amp as amp, autograd as autograd, backends as backends,
    compiler as compiler, cpu as cpu, cuda as cuda, distributed as distributed, distributions as distributions,
    masked as masked, signal as signal, fft as fft, func as func, hub as hub,
    jit as jit, kernels as kernels, mps as mps, multiprocessing as multiprocessing, overrides as overrides,
    profiler as profiler, safetensors as safetensors, serialization as serialization, storage as storage,
    types as types, version as version, xpu as xpu,
    lab as lab, linalg as linalg, nn as nn, ops as ops, optim as optim, preprocessing as preprocessing,
    random as random, special as special, testing as testing, utils as utils, vision as vision,
)
from minitorch_bn._as_torch import install_as_torch as install_as_torch, uninstall_as_torch as uninstall_as_torch
from minitorch_bn._core import (
    DTYPES as DTYPES, RemovableHandle as RemovableHandle, Size as Size, Tensor as Tensor, _Singleton, arange as arange,
    as_strided as as_strided, as_tensor_, broadcast_shapes as broadcast_shapes, broadcast_to as broadcast_to,
    can_cast as can_cast, clone as clone, detach as detach, device as device, diagonal as diagonal, dtype as dtype,
    empty as empty, empty_like as empty_like, eye as eye, finfo as finfo, flatten as flatten,
    from_dlpack as from_dlpack, from_numpy as from_numpy, frombuffer as frombuffer, full as full,
    full_like as full_like, get_default_dtype as get_default_dtype, iinfo as iinfo,
    is_floating_point as is_floating_point, is_grad_enabled as is_grad_enabled,
    is_inference_mode_enabled as is_inference_mode_enabled, is_signed as is_signed, linspace as linspace,
    movedim as movedim, narrow as narrow, numel as numel, ones as ones, ones_like as ones_like, permute as permute,
    promote_types as promote_types, reshape as reshape, result_type as result_type, scalar_tensor_, select as select,
    set_default_dtype as set_default_dtype, squeeze as squeeze, t as t, tensor as tensor, transpose as transpose,
    unflatten as unflatten, unsqueeze as unsqueeze, where as where, zeros as zeros, zeros_like as zeros_like,
)
from minitorch_bn._legacy import typename as typename
from minitorch_bn._modes import (
    enable_grad as enable_grad, inference_mode as inference_mode, no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
)
from minitorch_bn._settings import (
    _assert as _assert, _shape_as_tensor as _shape_as_tensor,
    are_deterministic_algorithms_enabled as are_deterministic_algorithms_enabled, compile as compile,
    get_default_device as get_default_device, get_deterministic_debug_mode as get_deterministic_debug_mode,
    get_float32_matmul_precision as get_float32_matmul_precision, get_num_interop_threads as get_num_interop_threads,
    is_complex as is_complex,
    is_deterministic_algorithms_warn_only_enabled as is_deterministic_algorithms_warn_only_enabled,
    is_storage as is_storage, is_tensor as is_tensor, set_default_device as set_default_device,
    set_default_tensor_type as set_default_tensor_type, set_deterministic_debug_mode as set_deterministic_debug_mode,
    set_float32_matmul_precision as set_float32_matmul_precision,
    set_flush_denormal as set_flush_denormal, set_num_interop_threads as set_num_interop_threads,
    set_printoptions as set_printoptions, show_config as show_config,
    use_deterministic_algorithms as use_deterministic_algorithms,
)
from minitorch_bn._toplevel import (
    adjoint as adjoint, affine_grid_generator as affine_grid_generator, alpha_dropout as alpha_dropout, asarray as
    asarray, batch_norm as batch_norm, binary_cross_entropy_with_logits as binary_cross_entropy_with_logits, clamp_ as
    clamp_, clip_ as clip_, compiled_with_cxx11_abi as compiled_with_cxx11_abi, cosine_embedding_loss as
    cosine_embedding_loss, ctc_loss as ctc_loss, feature_dropout as feature_dropout, get_device as get_device,
    get_device_module as get_device_module, group_norm as group_norm, hinge_embedding_loss as hinge_embedding_loss,
    instance_norm as instance_norm, is_anomaly_enabled as is_anomaly_enabled, is_inference as is_inference, is_nonzero
    as is_nonzero, is_same_size as is_same_size, is_warn_always_enabled as is_warn_always_enabled, kl_div as kl_div,
    layer_norm as layer_norm, margin_ranking_loss as margin_ranking_loss, nan_to_num_ as nan_to_num_, poisson_nll_loss
    as poisson_nll_loss, range as range, set_anomaly_enabled as set_anomaly_enabled, set_warn_always as set_warn_always,
    triplet_margin_loss as triplet_margin_loss,
)
from minitorch_bn.amp import (
    GradScaler as GradScaler, autocast as autocast, clear_autocast_cache as clear_autocast_cache, get_autocast_cpu_dtype
    as get_autocast_cpu_dtype, get_autocast_dtype as get_autocast_dtype, get_autocast_gpu_dtype as
    get_autocast_gpu_dtype, is_autocast_cache_enabled as is_autocast_cache_enabled, is_autocast_cpu_enabled as
    is_autocast_cpu_enabled, is_autocast_enabled as is_autocast_enabled, set_autocast_cache_enabled as
    set_autocast_cache_enabled, set_autocast_cpu_dtype as set_autocast_cpu_dtype, set_autocast_cpu_enabled as
    set_autocast_cpu_enabled, set_autocast_dtype as set_autocast_dtype, set_autocast_enabled as set_autocast_enabled,
    set_autocast_gpu_dtype as set_autocast_gpu_dtype,
)
from minitorch_bn.cuda import Event as Event, OutOfMemoryError as OutOfMemoryError, Stream as Stream
from minitorch_bn.distributions._sampling import (
    _sample_dirichlet as _sample_dirichlet, _standard_gamma as _standard_gamma, binomial as binomial,
    poisson as poisson,
)
from minitorch_bn.func import vmap as vmap
from minitorch_bn.serialization import load as load, save as save
from minitorch_bn.kernels.runtime import (
    empty_cache as empty_cache, get_num_threads as get_num_threads, memory_stats as memory_stats,
    reset_peak_memory_stats as reset_peak_memory_stats, set_num_threads as set_num_threads,
)
from minitorch_bn.fft import (
    istft as istft, stft as stft,
)
from minitorch_bn.linalg.classic import (
    chain_matmul as chain_matmul, cholesky as cholesky, cholesky_inverse as cholesky_inverse,
    cholesky_solve as cholesky_solve, cross as cross, det as det, geqrf as geqrf, inverse as inverse, logdet as logdet,
    lu as lu, lu_solve as lu_solve, lu_unpack as lu_unpack, matrix_exp as matrix_exp, matrix_power as matrix_power,
    orgqr as orgqr, ormqr as ormqr, pca_lowrank as pca_lowrank, pinverse as pinverse, qr as qr, slogdet as slogdet,
    svd as svd, svd_lowrank as svd_lowrank, triangular_solve as triangular_solve,
)
from minitorch_bn.nn.functional import (
    bilinear as bilinear, celu as celu, celu_ as celu_, channel_shuffle as channel_shuffle, cosine_similarity as
    cosine_similarity, pairwise_distance as pairwise_distance, pdist as pdist, pixel_shuffle as pixel_shuffle,
    pixel_unshuffle as pixel_unshuffle, prelu as prelu, rms_norm as rms_norm, rrelu as rrelu, rrelu_ as rrelu_, selu as
    selu, selu_ as selu_, threshold as threshold, threshold_ as threshold_,
)
from minitorch_bn.ops.advanced import (
    argwhere as argwhere, index_put as index_put, index_put_ as index_put_, masked_fill as masked_fill,
    masked_fill_ as masked_fill_, masked_scatter as masked_scatter, masked_select as masked_select, nonzero as nonzero,
    put_flat,
)
from minitorch_bn.ops.arithmetic import (
    allclose as allclose, clamp as clamp, clamp_max as clamp_max, clamp_min as clamp_min, clip as clip,
    div as div, divide as divide, equal as equal, float_power as float_power, isclose as isclose, ldexp as ldexp,
    logit as logit, nan_to_num as nan_to_num, polygamma as polygamma, positive as positive, pow as pow, round as round,
    true_divide as true_divide,
)
from minitorch_bn.ops.contractions import (
    einsum as einsum, inner as inner, kron as kron, tensordot as tensordot,
)
from minitorch_bn.ops.conv import (
    conv1d as conv1d, conv2d as conv2d, conv3d as conv3d, conv_transpose1d as conv_transpose1d,
    conv_transpose2d as conv_transpose2d, conv_transpose3d as conv_transpose3d,
)
from minitorch_bn.ops.counting import (
    bincount as bincount, diff as diff, histc as histc, nanquantile as nanquantile, quantile as quantile,
    trapezoid as trapezoid, trapz as trapz, unravel_index as unravel_index, vander as vander,
)
from minitorch_bn.ops.elementwise import *  # type: ignore[assignment]  # where ops.arithmetic has the name, its is meant
from minitorch_bn.ops.extremes import (
    all as all, amax as amax, amin as amin, aminmax as aminmax, any as any, argmax as argmax, argmin as argmin,
    max as max, min as min,
)
from minitorch_bn.ops.gathering import (
    gather as gather, scatter as scatter, scatter_add as scatter_add, scatter_reduce as scatter_reduce,
    take_along_dim as take_along_dim,
)
from minitorch_bn.ops.gammas import (
    igamma as igamma, igammac as igammac, mvlgamma as mvlgamma,
)
from minitorch_bn.ops.generator import (
    Generator as Generator, default_generator as default_generator, get_rng_state as get_rng_state,
    initial_seed as initial_seed, manual_seed as manual_seed, seed as seed, set_rng_state as set_rng_state,
)
from minitorch_bn.ops.indexing import (
    index_add as index_add, index_copy as index_copy, index_fill as index_fill, index_select as index_select,
    take as take,
)
from minitorch_bn.ops.joining import (
    cat as cat, chunk as chunk, concat as concat, concatenate as concatenate, flip as flip, split as split,
    split_with_sizes as split_with_sizes, stack as stack, unbind as unbind,
)
from minitorch_bn.ops.linalg import (
    addbmm as addbmm, addmm as addmm, addmv as addmv, addr as addr, baddbmm as baddbmm, bmm as bmm, dot as dot,
    matmul as matmul, mm as mm, mv as mv, outer as outer,
)
from minitorch_bn.ops.pool import (
    adaptive_avg_pool1d as adaptive_avg_pool1d, adaptive_max_pool1d as adaptive_max_pool1d, avg_pool1d as avg_pool1d,
    max_pool1d as max_pool1d, max_pool2d as max_pool2d, max_pool3d as max_pool3d,
)
from minitorch_bn.ops.random import (
    bernoulli as bernoulli, dropout as dropout, dropout_ as dropout_, rand as rand, rand_like as rand_like,
    randint as randint, randn as randn, randn_like as randn_like, randperm as randperm,
)
from minitorch_bn.ops.reduce import (
    count_nonzero as count_nonzero, mean as mean, nanmean as nanmean, nansum as nansum, norm as norm, prod as prod,
    std as std, std_mean as std_mean, sum as sum, var as var, var_mean as var_mean,
)
from minitorch_bn.ops.sampling import (
    multinomial as multinomial, normal as normal, randint_like as randint_like,
)
from minitorch_bn.ops.scans import (
    cummax as cummax, cummin as cummin, cumprod as cumprod, cumsum as cumsum, logcumsumexp as logcumsumexp,
)
from minitorch_bn.ops.shaping import (
    atleast_1d as atleast_1d, atleast_2d as atleast_2d, atleast_3d as atleast_3d, block_diag as block_diag,
    broadcast_tensors as broadcast_tensors, cartesian_prod as cartesian_prod, combinations as combinations,
    diag as diag, diag_embed as diag_embed, diagflat as diagflat, diagonal_scatter as diagonal_scatter,
    fliplr as fliplr, flipud as flipud, meshgrid as meshgrid, repeat_interleave as repeat_interleave, roll as roll,
    rot90 as rot90, select_scatter as select_scatter, slice_scatter as slice_scatter, tile as tile,
    tril_indices as tril_indices, triu_indices as triu_indices,
)
from minitorch_bn.ops.softmax import (
    log_softmax as log_softmax, logsumexp as logsumexp, softmax as softmax,
)
from minitorch_bn.ops.sorting import (
    argsort as argsort, kthvalue as kthvalue, median as median, mode as mode, msort as msort, nanmedian as nanmedian,
    searchsorted as searchsorted, sort as sort, topk as topk,
)
from minitorch_bn.ops.stacks import (
    column_stack as column_stack, dsplit as dsplit, dstack as dstack, hsplit as hsplit, hstack as hstack, row_stack as
    row_stack, tensor_split as tensor_split, vsplit as vsplit, vstack as vstack,
)
from minitorch_bn.ops.statistics import (
    cdist as cdist, corrcoef as corrcoef, cov as cov, dist as dist, histogram as histogram,
    histogramdd as histogramdd,
)
from minitorch_bn.signal.windows import (
    bartlett_window as bartlett_window, blackman_window as blackman_window, hamming_window as hamming_window,
    hann_window as hann_window, kaiser_window as kaiser_window,
)
from minitorch_bn.ops.triangles import (
    tril as tril, triu as triu,
)
from minitorch_bn.ops.uniques import (
    bucketize as bucketize, isin as isin, unique as unique, unique_consecutive as unique_consecutive,
)
from minitorch_bn.storage import (
    Storage as Storage, TypedStorage as TypedStorage, UntypedStorage as UntypedStorage,
)
from minitorch_bn.ops import (
    ravel as ravel,
)
from minitorch_bn.ops.copies import (
    alias_copy as alias_copy, angle as angle, as_strided_ as as_strided_, as_strided_copy as as_strided_copy,
    as_strided_scatter as as_strided_scatter, conj as conj, conj_physical as conj_physical, conj_physical_ as
    conj_physical_, constant_pad_nd as constant_pad_nd, detach_copy as detach_copy, diagonal_copy as diagonal_copy,
    empty_permuted as empty_permuted, empty_strided as empty_strided, expand_copy as expand_copy, fill as fill, imag
    as imag, is_conj as is_conj, is_neg as is_neg, isreal as isreal, narrow_copy as narrow_copy, permute_copy as
    permute_copy, real as real, resize_as_ as resize_as_, resolve_conj as resolve_conj, resolve_neg as resolve_neg,
    select_copy as select_copy, slice_copy as slice_copy, split_copy as split_copy, split_with_sizes_copy as
    split_with_sizes_copy, squeeze_copy as squeeze_copy, t_copy as t_copy, transpose_copy as transpose_copy,
    unbind_copy as unbind_copy, unfold_copy as unfold_copy, unsafe_chunk as unsafe_chunk, unsafe_split as
    unsafe_split, unsafe_split_with_sizes as unsafe_split_with_sizes, unsqueeze_copy as unsqueeze_copy, view_copy as
    view_copy,
)
from minitorch_bn.ops.numerics import (
    frexp as frexp, gradient as gradient, index_reduce as index_reduce, logspace as logspace, native_batch_norm as
    native_batch_norm, native_group_norm as native_group_norm, native_layer_norm as native_layer_norm,
    nonzero_static as nonzero_static, renorm as renorm, trace as trace,
)
from minitorch_bn.ops.oddments import (
    addmv_ as addmv_, alpha_dropout_ as alpha_dropout_, detach_ as detach_, feature_alpha_dropout as
    feature_alpha_dropout, feature_alpha_dropout_ as feature_alpha_dropout_, fill_ as fill_, frobenius_norm as
    frobenius_norm, is_distributed as is_distributed, ldexp_ as ldexp_, norm_except_dim as norm_except_dim,
    nuclear_norm as nuclear_norm, to_dlpack as to_dlpack, zero_ as zero_,
)

__version__: str
bool: dtype
uint8: dtype
int8: dtype
int16: dtype
int32: dtype
int64: dtype
float16: dtype
bfloat16: dtype
float32: dtype
float64: dtype
double: dtype
float: dtype
half: dtype
long: dtype
int: dtype
short: dtype
contiguous_format: _Singleton
preserve_format: _Singleton
channels_last: _Singleton
channels_last_3d: _Singleton
strided: _Singleton
inf: builtins.float
nan: builtins.float
pi: builtins.float
e: builtins.float
newaxis: None
BFloat16Tensor: Any
BoolTensor: Any
ByteTensor: Any
CharTensor: Any
DoubleTensor: Any
FloatTensor: Any
HalfTensor: Any
IntTensor: Any
LongTensor: Any
ShortTensor: Any
BFloat16Storage: type[TypedStorage]
BoolStorage: type[TypedStorage]
ByteStorage: type[TypedStorage]
CharStorage: type[TypedStorage]
DoubleStorage: type[TypedStorage]
FloatStorage: type[TypedStorage]
HalfStorage: type[TypedStorage]
IntStorage: type[TypedStorage]
LongStorage: type[TypedStorage]
ShortStorage: type[TypedStorage]
put = put_flat
ger = outer
vdot = dot
as_tensor = as_tensor_
moveaxis = movedim
scalar_tensor = scalar_tensor_
swapaxes = transpose
swapdims = transpose
memory_format = _Singleton
layout = _Singleton

def embedding(weight: Tensor, indices: Tensor, padding_idx: builtins.int = -1,
              scale_grad_by_freq: builtins.bool = False, sparse: builtins.bool = False) -> Tensor: ...
def __dir__() -> list[str]: ...
