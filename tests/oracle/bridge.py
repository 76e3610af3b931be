"""PyTorch's values as ours and back, and PyTorch's own test functions with our library under the name ``torch``."""
from __future__ import annotations

import functools
import types
from typing import Any

import torch

import minitorch_bn as ours


class NotOurs(Exception):
    """A value of a kind that minitorch_bn leaves out: complex, sparse, quantized, another device."""


SINGLETONS = {getattr(torch, name): getattr(ours, name) for name in
              ("strided", "contiguous_format", "preserve_format", "channels_last", "channels_last_3d")}
NAMES_OF_DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
DTYPES = {getattr(torch, name): getattr(ours, name) for name in NAMES_OF_DTYPES}
BACK = {value: key for key, value in DTYPES.items()}
SIMPLE = (int, float, bool, str, bytes, type(None), type(...), range)


def copied(x: torch.Tensor) -> torch.Tensor:
    """A copy with the strides of x, dims of stride 0 and gaps included."""
    if x.layout is not torch.strided or x.device.type != "cpu" or x.dtype not in DTYPES or x.is_quantized:
        raise NotOurs(f"a tensor of {x.dtype}, {x.layout}, {x.device}")
    if not x.numel():
        return x.detach().clone()
    reach = 1 + sum((size - 1) * stride for size, stride in zip(x.shape, x.stride()))
    flat = x.detach().as_strided((reach,), (1,)).clone()
    return flat.as_strided(x.shape, x.stride())


def tensor_to_ours(x: torch.Tensor) -> Any:
    copy = copied(x)
    if not x.numel():
        result = ours.empty(tuple(x.shape), dtype=DTYPES[x.dtype])
    else:
        reach = 1 + sum((size - 1) * stride for size, stride in zip(x.shape, x.stride()))
        flat = copy.as_strided((reach,), (1,))
        result = ours.from_dlpack(flat).clone().as_strided(tuple(x.shape), tuple(x.stride()))
    if x.requires_grad:
        result.requires_grad_()
    return result


def to_ours(x: Any) -> Any:
    """The value for our library; containers are converted inside. NotOurs where there is none."""
    if isinstance(x, torch.nn.Parameter):
        return ours.nn.Parameter(tensor_to_ours(x).detach(), x.requires_grad)
    if isinstance(x, torch.Tensor):
        return tensor_to_ours(x)
    if isinstance(x, torch.Size):
        return ours.Size(x)
    if isinstance(x, SIMPLE):
        return x
    if isinstance(x, torch.dtype):
        if x not in DTYPES:
            raise NotOurs(str(x))
        return DTYPES[x]
    if isinstance(x, torch.device):
        if x.type != "cpu":
            raise NotOurs(str(x))
        return ours.device("cpu")
    if isinstance(x, (torch.memory_format, torch.layout)):
        if x not in SINGLETONS:
            raise NotOurs(str(x))
        return SINGLETONS[x]
    if isinstance(x, torch.Generator):
        return ours.Generator().manual_seed(x.initial_seed())
    if isinstance(x, slice):
        return slice(*map(to_ours, (x.start, x.stop, x.step)))
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*map(to_ours, x))
    if isinstance(x, (list, tuple)):
        return type(x)(map(to_ours, x))
    if isinstance(x, dict):
        return {key: to_ours(value) for key, value in x.items()}
    if isinstance(x, complex):
        raise NotOurs("a complex number")
    if isinstance(x, torch.nn.Module):
        names = {"norm": "p"}  # of PairwiseDistance
        return getattr(ours.nn, type(x).__name__)(**{names.get(k, k): getattr(x, k) for k in x.__constants__})
    if callable(x):
        return rebound(x)
    return x


def to_torch(x: Any) -> Any:
    """Our tensors as PyTorch's, sharing memory."""
    if isinstance(x, ours.Tensor):
        if x.numel():
            return torch.from_dlpack(x.detach())
        return torch.empty(tuple(x.shape), dtype=BACK[x.dtype])
    if isinstance(x, dict):
        return {key: to_torch(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [to_torch(value) for value in x]
    return x


def lookup(path: str) -> Any:
    """Our function of that dotted name, AttributeError if there is none."""
    return functools.reduce(getattr, path.split("."), ours)


def rebound(function: Any) -> Any:
    """The function for our library: a Python function of the test suite with ours under the name `torch`, a function
    or method of PyTorch replaced by ours of the same name."""
    if isinstance(function, functools.partial):
        return functools.partial(rebound(function.func), *to_ours(function.args), **to_ours(function.keywords))
    owner = getattr(function, "__objclass__", None)
    name = getattr(function, "__name__", "")
    if owner is not None:
        return getattr(ours.Tensor, name)
    module = getattr(function, "__module__", None) or ""
    if getattr(torch.Tensor, name, None) is function:
        return getattr(ours.Tensor, name)
    if isinstance(function, types.FunctionType) and module.startswith(("torch.testing", "__main__")):
        return _with_ours(function)
    if module.startswith("torch.nn.functional") or hasattr(torch.nn.functional, name) and not hasattr(torch, name):
        return getattr(ours.nn.functional, name)
    if module.startswith("torch."):
        return getattr(lookup(module[len("torch."):]), name)
    if module.startswith("torch") or isinstance(function, types.BuiltinFunctionType) and hasattr(torch, name):
        return getattr(ours, name)
    return function


class _Globals(dict):
    """The globals of a module of PyTorch's tests, in which what belongs to PyTorch is ours; `original` has the rest."""

    def __init__(self, original: dict[str, Any]) -> None:
        super().__init__()
        for name, value in original.items():
            try:
                self[name] = self.converted(name, value)
            except (NotOurs, AttributeError, TypeError):
                self[name] = value

    def converted(self, name: str, value: Any) -> Any:
        if value is torch:
            return ours
        if value is torch.nn.functional:
            return ours.nn.functional
        if value is torch.Tensor:
            return ours.Tensor
        if isinstance(value, types.FunctionType) and (value.__module__ or "").startswith("torch.testing._internal"):
            return _Later(value)
        return value


class _Later:
    """A function of the tests that is rebound when it is first called (they refer to one another)."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _with_ours(self.function)(*args, **kwargs)


@functools.cache
def _globals_of(module: str) -> dict[str, Any]:
    import sys
    return dict(_Globals(vars(sys.modules[module])))


def _with_ours(function: types.FunctionType) -> types.FunctionType:
    closure = function.__closure__
    if closure:
        closure = tuple(types.CellType(_cell(cell.cell_contents)) for cell in closure)
    inner = getattr(function, "__wrapped__", None)
    if inner is not None and not closure:
        return rebound(inner)
    copy = types.FunctionType(function.__code__, _globals_of(function.__module__), function.__name__,
                              to_ours(function.__defaults__) if function.__defaults__ else None, closure)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _cell(value: Any) -> Any:
    try:
        return to_ours(value)
    except NotOurs:
        return value
