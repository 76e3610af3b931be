"""Sizes given as one number or as one number per axis."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def ntuple(value: Any, n: int) -> tuple:
    """`value` itself if it is iterable, otherwise n copies of it."""
    return tuple(value) if isinstance(value, Iterable) else (value,) * n


def reversed_twice(values: Iterable[int]) -> list[int]:
    """(a, b) -> [b, b, a, a]: sizes per axis as `F.pad` wants them, last axis first, both sides alike."""
    return [value for value in reversed(tuple(values)) for _ in range(2)]


def same_padding(kernel_size: tuple[int, ...], dilation: tuple[int, ...]) -> list[int]:
    """The `F.pad` amounts that keep a convolution of stride 1 at the size of its input (more on the right)."""
    amounts = []
    for size, step in zip(reversed(kernel_size), reversed(dilation)):
        total = step * (size - 1)
        amounts += [total // 2, total - total // 2]
    return amounts
