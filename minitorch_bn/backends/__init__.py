"""What scripts ask of torch.backends: the CPU's level, and switches of libraries that are not there.

A switch keeps what a script sets, and changes nothing.
"""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

from minitorch_bn import _names
from minitorch_bn.kernels.runtime import build_info, get_level

fp32_precision = "none"


def _no() -> bool:
    """False: it is not part of minitorch_bn."""
    return False


def _module(name: str, **attributes: Any) -> ModuleType:
    """A module of switches, which `import torch.backends.name` finds too."""
    module = ModuleType(f"{__name__}.{name}", f"The switches of torch.backends.{name}.")
    vars(module).update(attributes)
    sys.modules[module.__name__] = module
    return module


def _flags(name: str) -> Callable[..., Any]:
    """The ``flags(...)`` of a module: a ``with`` block with some of its switches set."""
    @contextmanager
    def flags(**switches: Any) -> Iterator[None]:
        module = vars(sys.modules[f"{__name__}.{name}"])
        before = {switch: module[switch] for switch in switches if switch in module}
        module.update(switches)
        try:
            yield
        finally:
            module.update(before)
    return flags


@contextmanager
def _sdp_kernel(*args: Any, **kwargs: Any) -> Iterator[None]:
    """A ``with`` block that chooses among implementations of attention: there is one."""
    yield


def _accept(*args: Any, **kwargs: Any) -> None:
    """Nothing."""


_sdp: dict[str, Callable[..., Any]] = {
    f"{kind}_sdp_enabled": _no for kind in ("flash", "mem_efficient", "cudnn", "fp16_bf16_reduction_math")}
_sdp |= {f"enable_{kind}_sdp": _accept for kind in ("flash", "mem_efficient", "cudnn", "math")}

cpu = _module("cpu", get_cpu_capability=get_level)
openmp = _module("openmp", is_available=lambda: bool(build_info()["openmp"]))
cudnn = _module("cudnn", benchmark=False, deterministic=False, enabled=True, allow_tf32=True, benchmark_limit=10,
                fp32_precision="none", is_available=_no, version=lambda: None, is_acceptable=lambda tensor: False,
                flags=_flags("cudnn"), conv=SimpleNamespace(fp32_precision="none"),
                rnn=SimpleNamespace(fp32_precision="none"))
cuda = _module("cuda", is_built=_no, sdp_kernel=_sdp_kernel, math_sdp_enabled=lambda: True, **_sdp,
               cufft_plan_cache=SimpleNamespace(max_size=0, size=0, clear=lambda: None),
               matmul=SimpleNamespace(allow_tf32=False, allow_fp16_reduced_precision_reduction=True,
                                      allow_bf16_reduced_precision_reduction=True, fp32_precision="none"),
               preferred_linalg_library=lambda backend=None: None)
mps = _module("mps", is_available=_no, is_built=_no, is_macos_or_newer=lambda major, minor: False)
mkl = _module("mkl", is_available=_no, verbose=_sdp_kernel)
mkldnn = _module("mkldnn", is_available=_no, enabled=False, allow_tf32=False, deterministic=False, verbose=_sdp_kernel,
                 flags=_flags("mkldnn"))
opt_einsum = _module("opt_einsum", is_available=_no, enabled=False, strategy=None)
quantized = _module("quantized", engine="none", supported_engines=["none"])
nnpack = _module("nnpack", is_available=_no, set_flags=lambda enabled: False)
xnnpack = _module("xnnpack", enabled=False)

_submodule = _names.lookup(__name__)


def __getattr__(name: str) -> Any:
    """An error that names the nearest name."""
    return _submodule(name)
