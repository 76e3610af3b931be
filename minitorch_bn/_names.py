"""Where a name of PyTorch's is kept here when it is not where the name says, and what is said when it is nowhere."""
from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

PACKAGE = "minitorch_bn"
PAGE = "docs/differences.md"

# Modules of PyTorch and the module here that holds the same things. What has the same path in both is not listed.
ALIASES = {
    "_tensor": "_core", "functional": "ops", "torch_version": "version",
    "autograd.grad_mode": "autograd", "autograd.variable": "autograd",
    "cuda.amp.autocast_mode": "cuda.amp", "cuda.amp.grad_scaler": "cuda.amp", "cuda.memory": "cuda",
    "cuda.random": "cuda", "cuda.streams": "cuda",
    "amp.autocast_mode": "amp", "amp.grad_scaler": "amp", "cpu.amp": "amp",
    "jit.annotations": "jit", "profiler.profiler": "profiler", "autograd.profiler": "profiler",
    "nn.parallel.data_parallel": "nn.parallel", "nn.parallel.distributed": "nn.parallel",
    "nn.utils.clip_grad": "nn.utils.clip", "nn.utils.convert_parameters": "nn.utils.vector",
    "_dynamo": "compiler",
    "utils.data._utils": "utils.data", "utils.data._utils.collate": "utils.data.collate",
    "utils.data._utils.worker": "utils.data.worker",
    "utils.tensorboard.writer": "utils.tensorboard", "vision.transforms.transforms": "vision.transforms",
}

# Modules that can be imported, so that a script which only mentions them runs; every name in them is an error.
ABSENT = {
    "_inductor": "models are not compiled", "ao": "tensors are not quantized", "export": "graphs are not captured",
    "nested": "tensors are dense and rectangular", "onnx": "graphs are not captured",
    "package": "use torch.save and torch.load", "quantization": "tensors are not quantized",
    "ao.quantization": "tensors are not quantized", "sparse": "tensors are dense",
    "cuda.nccl": "there is no CUDA device", "distributed.fsdp": "there is one process",
    "distributed.optim": "there is one process", "distributed.rpc": "there is one process",
    "distributed.pipeline": "there is one process", "distributed.tensor": "there is one process",
    "distributed.elastic": "there is one process", "distributed.checkpoint": "there is one process",
    "distributed.autograd": "there is one process", "distributed.device_mesh": "there is one process",
    "distributed._tensor": "there is one process", "distributed.algorithms": "there is one process",
    "distributed.nn": "there is one process", "distributed.launch": "there is one process",
    "nn.quantized": "tensors are not quantized", "nn.qat": "tensors are not quantized",
    "nn.intrinsic": "tensors are not quantized", "utils.cpp_extension": "extensions are not built at run time",
    "utils.mobile_optimizer": "models are not compiled", "utils.bundled_inputs": "models are not compiled",
    "_export": "graphs are not captured", "_functorch": "use torch.func", "mtia": "there is no such device",
    "autograd.forward_ad": "use torch.func.jvp",
    "monitor": "use torch.utils.tensorboard", "futures": "use concurrent.futures",
    "library": "an operator is a Python function", "classes": "there are no C++ classes to load",
}

# What a top-level name begins with, and why there is nothing of the kind.
REASONS = {
    ("complex", "cfloat", "cdouble", "chalf", "ComplexFloat", "ComplexDouble", "view_as_"):
        "complex dtypes are not supported",
    ("sparse", "hspmm", "sspaddmm"): "sparse tensors are not supported",
    ("quint", "qint", "quantize", "fake_quantize", "per_channel", "per_tensor", "dequantize"):
        "quantized tensors are not supported",
}


def missing(path: str, name: str) -> AttributeError:
    """The error for a name that a module of ours lacks: its nearest neighbour, and the page that lists differences."""
    full = ".".join(part for part in ("torch", path, name) if part)
    for beginnings, reason in REASONS.items() if not path else ():
        if name.startswith(beginnings):
            return AttributeError(f"{full}: {reason} by {PACKAGE}; see {PAGE}", name=name)
    from difflib import get_close_matches
    known = [n for n in dir(sys.modules.get(f"{PACKAGE}.{path}".rstrip("."))) if n[0] != "_" or name[0] == "_"]
    near = get_close_matches(name, known, 1)
    hint = f" (nearest: {full[:-len(name)]}{near[0]})" if near else ""
    return AttributeError(f"{full} is not in {PACKAGE}{hint}; see {PAGE}", name=name)


def find(path: str) -> ModuleType | None:
    """The module here for PyTorch's torch.`path`, imported now; None if there is none."""
    if path in ABSENT:
        return _absent(path)
    name = f"{PACKAGE}.{ALIASES.get(path, path)}"
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name and not name.startswith(f"{error.name}."):
            raise  # ours, but something that it needs is not installed
        return None


def _absent(path: str) -> ModuleType:
    """An empty package that says why it is empty."""
    name = f"{PACKAGE}.{path}"
    if name not in sys.modules:
        module = type(sys)(name, f"Not in {PACKAGE}: {ABSENT[path]}.")
        module.__path__ = []

        def attribute(attr: str) -> Any:
            if attr[:2] == "__":
                raise AttributeError(attr)
            if f"{path}.{attr}" in ABSENT:
                return _absent(f"{path}.{attr}")
            raise AttributeError(f"torch.{path}.{attr} is not in {PACKAGE}: {ABSENT[path]}; see {PAGE}", name=attr)
        vars(module)["__getattr__"] = attribute
        sys.modules[name] = module
    return sys.modules[name]


def lookup(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of one of our packages: its submodules are imported when first named, aliases included."""
    path = module.partition(".")[2]

    def __getattr__(name: str) -> Any:
        if name[:2] == "__":
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        found = find(f"{path}.{name}" if path else name)
        if found is None:
            raise missing(path, name)
        setattr(sys.modules[module], name, found)
        return found
    return __getattr__
