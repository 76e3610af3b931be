"""Values of both libraries held against each other: structure, dtypes, shapes, numbers, memory."""
from __future__ import annotations

from typing import Any

import torch

import minitorch_bn as ours

from .bridge import copied, to_torch


class Mismatch(Exception):
    """Our result is not PyTorch's."""


class Skip(Exception):
    """Nothing to compare: PyTorch itself refuses, or the sample is outside what we support."""


def tensors_in(x: Any) -> list[torch.Tensor]:
    if isinstance(x, torch.Tensor) or isinstance(x, ours.Tensor):
        return [x]
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, (list, tuple)):
        return [t for item in x for t in tensors_in(item)]
    return []


def shares(x: Any, others: list[Any]) -> bool:
    """Whether x lies in the memory of one of the others."""
    return any(x.untyped_storage().data_ptr() == other.untyped_storage().data_ptr() for other in others)


def fresh(x: Any) -> Any:
    """A copy of PyTorch's value whose tensors are leaves of their own."""
    if isinstance(x, torch.nn.Parameter):
        return torch.nn.Parameter(copied(x), x.requires_grad)
    if isinstance(x, torch.Tensor):
        return copied(x).requires_grad_(x.requires_grad)
    if isinstance(x, torch.Size):
        return x
    if isinstance(x, torch.Generator):
        return torch.Generator().manual_seed(x.initial_seed())
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*map(fresh, x))
    if isinstance(x, (list, tuple)):
        return type(x)(map(fresh, x))
    if isinstance(x, dict):
        return {key: fresh(value) for key, value in x.items()}
    return x


def brief(x: Any) -> str:
    """A sample's arguments in one line."""
    if isinstance(x, torch.Tensor):
        letters = str(x.dtype).replace("torch.", "").replace("float", "f").replace("uint", "u").replace("int", "i")
        return f"{letters}{list(x.shape)}" + ("" if x.is_contiguous() else f"s{list(x.stride())}")
    if isinstance(x, dict):
        return ", ".join(f"{k}={brief(v)}" for k, v in x.items())
    if isinstance(x, (list, tuple)):
        return "(" + ", ".join(map(brief, x)) + ")"
    return repr(x)[:60]


def compare(expected: Any, found: Any, tolerance: tuple[float, float], where: str, values: bool = True) -> None:
    """Raises Mismatch unless both have the same structure, dtypes, shapes and, within the tolerance, values."""
    if isinstance(expected, torch.Tensor):
        if not isinstance(found, ours.Tensor):
            raise Mismatch(f"{where}: a tensor expected, found {type(found).__name__}")
        if expected.dtype.is_complex or expected.layout is not torch.strided:
            raise Skip("complex or sparse result")
        if str(expected.dtype) != str(found.dtype).replace("minitorch_bn", "torch"):
            raise Mismatch(f"{where}: dtype {expected.dtype}, found {found.dtype}")
        if tuple(expected.shape) != tuple(found.shape):
            raise Mismatch(f"{where}: shape {tuple(expected.shape)}, found {tuple(found.shape)}")
        if values:
            compare_values(expected.detach(), to_torch(found), tolerance, where)
    elif isinstance(expected, dict):
        if not isinstance(found, dict) or expected.keys() != found.keys():
            raise Mismatch(f"{where}: keys differ")
        for key in expected:
            compare(expected[key], found[key], tolerance, f"{where}[{key!r}]", values)
    elif isinstance(expected, (list, tuple)):
        if not isinstance(found, (list, tuple)) or len(found) != len(expected):
            raise Mismatch(f"{where}: {type(expected).__name__} of {len(expected)} expected, found "
                           + (f"{len(found)}" if isinstance(found, (list, tuple)) else type(found).__name__))
        for field in getattr(type(expected), "__match_args__", ()):
            if not hasattr(found, field):
                raise Mismatch(f"{where}: the result has no field {field!r}")
        for i, (a, b) in enumerate(zip(expected, found)):
            compare(a, b, tolerance, f"{where}[{i}]", values)
    elif isinstance(expected, torch.dtype):
        if str(expected) != str(found):
            raise Mismatch(f"{where}: {expected} expected, found {found}")
    elif isinstance(expected, float) and values:
        if isinstance(found, bool) or not isinstance(found, float):
            raise Mismatch(f"{where}: a float expected, found {type(found).__name__}")
        compare_values(torch.tensor(expected, dtype=torch.float64), torch.tensor(found, dtype=torch.float64), tolerance,
                       where)
    elif values and (type(expected) is not type(found) or expected != found):
        raise Mismatch(f"{where}: {expected!r} expected, found {found!r}")


def compare_values(expected: torch.Tensor, found: torch.Tensor, tolerance: tuple[float, float], where: str) -> None:
    if not expected.is_floating_point():
        if not torch.equal(expected, found):
            wrong = (expected != found).nonzero()[0].tolist()
            raise Mismatch(f"{where}: {expected[tuple(wrong)].item()} expected at {wrong}, found "
                           f"{found[tuple(wrong)].item()}")
        return
    if not expected.numel():
        return
    allowed = {torch.float64: tolerance[1], torch.float32: tolerance[0]}.get(expected.dtype, 2e-2)
    a, b = expected.double(), found.double()
    plain = a.isfinite()
    scale = a[plain].abs().mean().clamp(min=1) if plain.any() else 1.0
    close = (a == b) | (a.isnan() & b.isnan()) | ((a - b).abs() <= allowed * (scale + a.abs()))
    close &= plain | (a == b) | (a.isnan() & b.isnan())
    if not close.all():
        wrong = (~close).nonzero()[0].tolist()
        raise Mismatch(f"{where}: {a[tuple(wrong)].item()!r} expected at {wrong}, found {b[tuple(wrong)].item()!r}")


def without_indices(result: Any) -> Any:
    """The values of a (values, indices) pair, or of indices alone their shape."""
    return result[0] if isinstance(result, tuple) else tuple(result.shape)
