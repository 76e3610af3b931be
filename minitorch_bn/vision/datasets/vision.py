"""What the datasets of images have in common: a root folder, transforms, and how they print."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minitorch_bn.utils.data import Dataset

Transform = Callable[..., Any]


def _lines_under(head: str, transform: Transform) -> list[str]:
    first, *rest = repr(transform).splitlines()
    return [head + first] + [" " * len(head) + line for line in rest]


class StandardTransform:
    """A transform of the input and one of the target, side by side."""

    def __init__(self, transform: Transform | None = None, target_transform: Transform | None = None) -> None:
        self.transform = transform
        self.target_transform = target_transform

    def __call__(self, input: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target

    def __repr__(self) -> str:
        lines = [type(self).__name__]
        if self.transform is not None:
            lines += _lines_under("Transform: ", self.transform)
        if self.target_transform is not None:
            lines += _lines_under("Target transform: ", self.target_transform)
        return "\n".join(lines)


class VisionDataset(Dataset[Any]):
    """Base of the datasets here: define `__getitem__` and `__len__`.

    Either `transforms(input, target)`, or `transform(input)` and `target_transform(target)`; both: ValueError.
    """

    def __init__(self, root: str | Path | None = None, transforms: Transform | None = None,
                 transform: Transform | None = None, target_transform: Transform | None = None) -> None:
        separate = transform is not None or target_transform is not None
        if transforms is not None and separate:
            raise ValueError("Only transforms or transform/target_transform can be passed as argument")
        self.root: Any = os.path.expanduser(root) if isinstance(root, str) else root
        self.transform = transform
        self.target_transform = target_transform
        self.transforms = StandardTransform(transform, target_transform) if separate else transforms

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def _transformed(self, input: Any, target: Any) -> tuple[Any, Any]:
        return StandardTransform(self.transform, self.target_transform)(input, target)

    def __repr__(self) -> str:
        body = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            body.append(f"Root location: {self.root}")
        body += self.extra_repr().splitlines()
        if self.transforms is not None:
            body.append(repr(self.transforms))
        return "\n".join([f"Dataset {type(self).__name__}"] + ["    " + line for line in body])

    def extra_repr(self) -> str:
        """Further lines of the printed form."""
        return ""
