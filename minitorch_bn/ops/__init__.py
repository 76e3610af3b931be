"""The operations on tensors, one module a family. Each module lists METHODS (of Tensor) and FUNCTIONS (of the top
level)."""
import importlib

from minitorch_bn import _core

MODULES = ("elementwise", "arithmetic", "reduce", "extremes", "scans", "linalg", "contractions", "conv", "norm",
           "rownorm", "softmax", "pool", "generator", "random", "indexing", "gathering", "advanced", "sorting",
           "joining", "triangles", "shaping", "counting", "optim", "attention")
FUNCTIONS: dict = {}
# What few scripts call, by the module that is imported at the first call: functions of the top level, and methods.
LAZY = {"copies": "alias_copy as_strided_ as_strided_copy as_strided_scatter detach_copy diagonal_copy expand_copy "
                  "narrow_copy permute_copy select_copy slice_copy split_copy split_with_sizes_copy squeeze_copy "
                  "t_copy transpose_copy unbind_copy unfold_copy unsqueeze_copy view_copy unsafe_split unsafe_chunk "
                  "unsafe_split_with_sizes fill constant_pad_nd resize_as_ empty_strided "
                  "empty_permuted real imag conj conj_physical conj_physical_ resolve_conj resolve_neg isreal is_conj "
                  "is_neg angle",
        "numerics": "trace frexp renorm index_reduce nonzero_static logspace gradient native_layer_norm "
                    "native_group_norm native_batch_norm",
        "oddments": "alpha_dropout_ feature_alpha_dropout feature_alpha_dropout_ is_distributed frobenius_norm "
                    "nuclear_norm norm_except_dim to_dlpack addmv_ detach_ fill_ ldexp_ zero_",
        "sampling": "normal multinomial randint_like", "uniques": "bucketize isin unique unique_consecutive",
        "stacks": "hstack vstack dstack column_stack row_stack tensor_split hsplit vsplit dsplit",
        "gammas": "igamma igammac mvlgamma", "statistics": "cov corrcoef histogram histogramdd cdist dist"}
LAZY_METHODS = {"copies": "as_strided_ as_strided_scatter narrow_copy unsafe_split unsafe_chunk "
                          "unsafe_split_with_sizes squeeze_ unsqueeze_ transpose_ swapaxes_ swapdims_ t_ resize_as_ "
                          "sum_to_size new_empty_strided conj conj_physical conj_physical_ resolve_conj resolve_neg "
                          "isreal is_conj is_neg angle",
                "numerics": "trace frexp renorm renorm_ index_reduce index_reduce_ nonzero_static",
                "oddments": "is_distributed apply_ map_ prelu dim_order",
                "._toplevel": "adjoint is_nonzero is_same_size",
                "._legacy": "new share_memory_ is_shared resize resize_as storage storage_type to_dense",
                "stacks": "tensor_split hsplit vsplit dsplit", "uniques": "unique unique_consecutive",
                "sampling": "exponential_ log_normal_ cauchy_ geometric_ multinomial",
                "gammas": "igamma igamma_ igammac igammac_ mvlgamma mvlgamma_",
                "statistics": "cov corrcoef histogram dist",
                ".linalg.classic": "det logdet slogdet inverse pinverse cholesky cholesky_solve cholesky_inverse qr "
                                   "svd lu lu_solve geqrf orgqr ormqr triangular_solve matrix_exp matrix_power cross",
                ".fft": "stft istft"}


class _Lazy:
    """In place of a method: when it is first named it imports its module, and gives way to the method found there."""
    __slots__ = ("module", "name")

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __get__(self, tensor, kind):
        _core.install(self.name, getattr(importlib.import_module(f".{self.module}", __name__), self.name))
        return getattr(kind if tensor is None else tensor, self.name)


def _gather() -> None:
    for name in MODULES:
        try:
            module = importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if f"ops.{name}" not in str(error):
                raise
            continue
        for method, function in getattr(module, "METHODS", {}).items():
            _core.install(method, function)
        FUNCTIONS.update(getattr(module, "FUNCTIONS", {}))
        globals().update(getattr(module, "FUNCTIONS", {}))
        globals().update(getattr(module, "PRIMITIVES", {}))
    from minitorch_bn.ops.outs import NAMES, with_out
    for name in NAMES:
        FUNCTIONS[name] = with_out(FUNCTIONS[name])
    for module, names in LAZY_METHODS.items():
        for method in names.split():
            _core.install(method, _Lazy(module, method))


_gather()
