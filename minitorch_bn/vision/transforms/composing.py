"""Transforms made of transforms: all in turn, some by chance, one of several."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn.preprocessing.transforms import Compose, Lambda

__all__ = ["Compose", "Lambda", "RandomApply", "RandomChoice", "RandomOrder"]


def _listing(head: str, transforms: Sequence[Any]) -> str:
    return head + "".join(f"\n    {transform}" for transform in transforms) + "\n)"


class RandomApply(nn.Module):
    """All of `transforms` in turn, with probability `p`; none otherwise."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5) -> None:
        super().__init__()
        self.transforms = transforms
        self.p = p

    def forward(self, img: Any) -> Any:
        if self.p < torch.rand(1).item():
            return img
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return _listing(f"{type(self).__name__}(\n    p={self.p}", self.transforms)


class _RandomTransforms:
    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence")
        self.transforms = transforms

    def __repr__(self) -> str:
        return _listing(f"{type(self).__name__}(", self.transforms)


class RandomChoice(_RandomTransforms):
    """One of `transforms`, with weights `p`, by Python's generator, as in torchvision."""

    def __init__(self, transforms: Sequence[Callable[..., Any]], p: Sequence[float] | None = None) -> None:
        super().__init__(transforms)
        if p is not None and not isinstance(p, Sequence):
            raise TypeError("Argument p should be a sequence")
        self.p = p

    def __call__(self, *args: Any) -> Any:
        return random.choices(self.transforms, weights=self.p)[0](*args)

    def __repr__(self) -> str:
        return f"{super().__repr__()}(p={self.p})"


class RandomOrder(_RandomTransforms):
    """All of `transforms`, in an order drawn by Python's generator, as in torchvision."""

    def __call__(self, img: Any) -> Any:
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        for i in order:
            img = self.transforms[i](img)
        return img
