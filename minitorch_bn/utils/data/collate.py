"""Making one batch of many samples."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import minitorch_bn as torch

_ERROR = "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"


def _is_numpy(value: Any) -> bool:
    """Whether this is a NumPy array or scalar; NumPy is not imported to find out."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic))


def _is_text_array(value: Any) -> bool:
    return value.dtype.kind in "SUOaT"


def default_convert(data: Any) -> Any:
    """`data` with every NumPy array in it as a tensor."""
    if isinstance(data, torch.Tensor):
        return data
    if _is_numpy(data):
        return data if _is_text_array(data) else torch.as_tensor(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(value) for value in data))
    if isinstance(data, tuple):
        return [default_convert(value) for value in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(value) for value in data])
    return data


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples as one batch: tensors, arrays and numbers are stacked along a new first axis, inside of dicts, named
    tuples, tuples and lists of them; strings stay a list."""
    first = batch[0]
    if isinstance(first, torch.Tensor):
        return torch.stack(list(batch), 0)
    if _is_numpy(first):
        if _is_text_array(first):
            raise TypeError(_ERROR.format(first.dtype))
        if first.shape == ():
            return torch.as_tensor(sys.modules["numpy"].stack(batch))
        return torch.stack([torch.as_tensor(array) for array in batch], 0)
    if isinstance(first, float):
        return torch.tensor(batch, dtype=torch.float64)
    if isinstance(first, int):
        return torch.tensor(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return _like_mapping(first, {key: default_collate([sample[key] for sample in batch]) for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(samples) for samples in zip(*batch)))
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [default_collate(samples) for samples in zip(*batch)]
        return columns if isinstance(first, tuple) else _like_sequence(first, columns)
    raise TypeError(_ERROR.format(type(first)))


def _like_mapping(original: Mapping, entries: dict) -> Any:
    """`entries` in the type of `original` if that type can be made from a dict, else as a dict."""
    try:
        return type(original)(entries)  # type: ignore[call-arg]  # the type of a batch is the user's
    except TypeError:
        return entries


def _like_sequence(original: Sequence, values: list) -> Any:
    try:
        return type(original)(values)  # type: ignore[call-arg]  # the type of a batch is the user's
    except TypeError:
        return values
