"""Assertions for tests."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minitorch_bn._core import Tensor, as_tensor_, promote_types

__all__ = ["assert_close"]

_TOLERANCES = {"float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}


def _tolerance(actual: Tensor, expected: Tensor, rtol: float | None, atol: float | None) -> tuple[float, float]:
    if (rtol is None) != (atol is None):
        raise ValueError("rtol and atol must both be specified or both be unspecified")
    if rtol is not None and atol is not None:
        return rtol, atol
    pairs = [_TOLERANCES.get(t.dtype.name, (0.0, 0.0)) for t in (actual, expected)]
    return max(p[0] for p in pairs), max(p[1] for p in pairs)


def assert_close(actual: Any, expected: Any, *, allow_subclasses: bool = True, rtol: float | None = None,
                 atol: float | None = None, equal_nan: bool = False, check_device: bool = True,
                 check_dtype: bool = True, check_layout: bool = True, check_stride: bool = False,
                 msg: str | Callable[[str], str] | None = None) -> None:
    """AssertionError unless |actual - expected| <= atol + rtol * |expected| everywhere, with PyTorch's default
    tolerances."""
    def fail(text: str) -> None:
        raise AssertionError(msg(text) if callable(msg) else msg or text)

    if isinstance(expected, Mapping):
        if not isinstance(actual, Mapping) or actual.keys() != expected.keys():
            fail(f"The keys of the mappings do not match: {list(actual)} vs. {list(expected)}")
        pairs: list[tuple[Any, Any]] = [(actual[k], expected[k]) for k in expected]
    elif isinstance(expected, Sequence) and not isinstance(expected, str):
        if len(actual) != len(expected):
            fail(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}")
        pairs = list(zip(actual, expected))
    else:
        _assert_tensors(actual, expected, rtol, atol, equal_nan, check_dtype, check_stride, fail)
        return
    for a, e in pairs:
        assert_close(a, e, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=check_dtype,
                     check_stride=check_stride, msg=msg)


def _assert_tensors(actual: Any, expected: Any, rtol: float | None, atol: float | None, equal_nan: bool,
                    check_dtype: bool, check_stride: bool, fail: Callable[[str], None]) -> None:
    scalar = not isinstance(actual, Tensor) and not isinstance(expected, Tensor)
    a, e = as_tensor_(actual), as_tensor_(expected)
    if scalar and isinstance(expected, float):
        a, e = a.double(), e.double()
    if a.shape != e.shape:
        fail(f"The values for attribute 'shape' do not match: {a.shape} != {e.shape}.")
    if check_dtype and a.dtype != e.dtype:
        fail(f"The values for attribute 'dtype' do not match: {a.dtype} != {e.dtype}.")
    if check_stride and a.stride() != e.stride():
        fail(f"The values for attribute 'stride()' do not match: {a.stride()} != {e.stride()}.")
    rtol, atol = _tolerance(a, e, rtol, atol)
    common = promote_types(a.dtype, e.dtype)
    a, e = a.detach().to(common), e.detach().to(common)
    close = a.isclose(e, rtol, atol, equal_nan)
    if bool(close.all()):
        return
    wrong = int((~close).sum())
    difference = (a.double() - e.double()).abs()
    relative = difference / e.double().abs()
    kind = "Scalars" if scalar else "Tensor-likes"
    fail(f"{kind} are not close!\n\nMismatched elements: {wrong} / {a.numel()} ({100 * wrong / a.numel():.1f}%)\n"
         f"Greatest absolute difference: {float(difference.max())} (up to {atol} allowed)\n"
         f"Greatest relative difference: {float(relative.max())} (up to {rtol} allowed)")
