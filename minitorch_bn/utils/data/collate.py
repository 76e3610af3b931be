"""Making one batch of many samples."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import minitorch_bn as torch

_ERROR = "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
FunctionMap = dict[Any, Callable]


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


# -- samples of one kind; each takes the map of all kinds, as a user's function may want it ---------------------------


def collate_tensor_fn(batch: Sequence, *, collate_fn_map: FunctionMap | None = None) -> Any:
    """Tensors stacked along a new first axis."""
    return torch.stack(list(batch), 0)


def collate_numpy_array_fn(batch: Sequence, *, collate_fn_map: FunctionMap | None = None) -> Any:
    """Arrays as tensors, collated."""
    if _is_text_array(batch[0]):
        raise TypeError(_ERROR.format(batch[0].dtype))
    return collate([torch.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Sequence, *, collate_fn_map: FunctionMap | None = None) -> Any:
    """NumPy's numbers as one tensor of their dtype."""
    return torch.as_tensor(sys.modules["numpy"].stack(batch))


def collate_float_fn(batch: Sequence, *, collate_fn_map: FunctionMap | None = None) -> Any:
    """Floats as one tensor, float64."""
    return torch.tensor(batch, dtype=torch.float64)


def collate_int_fn(batch: Sequence, *, collate_fn_map: FunctionMap | None = None) -> Any:
    """Ints or bools as one tensor."""
    return torch.tensor(batch)


def collate_str_fn(batch: Sequence, *, collate_fn_map: FunctionMap | None = None) -> Any:
    """Texts stay as they are."""
    return batch


default_collate_fn_map: FunctionMap = {torch.Tensor: collate_tensor_fn, float: collate_float_fn, int: collate_int_fn,
                                       str: collate_str_fn, bytes: collate_str_fn}


def collate(batch: Sequence, *, collate_fn_map: FunctionMap | None = None) -> Any:
    """Samples as one batch: those of a kind in the map by its function, containers by what is in them.

    The first kind in the map that the first sample is an instance of counts, its own class before others. A map that
    contains `default_collate_fn_map` also serves NumPy's arrays and numbers.
    """
    first = batch[0]
    if collate_fn_map is not None:
        function = collate_fn_map.get(type(first)) or next(
            (function for kind, function in collate_fn_map.items() if isinstance(first, kind)), None)
        if function is None and _is_numpy(first) and default_collate_fn_map.keys() <= collate_fn_map.keys():
            is_scalar = first.shape == () and not _is_text_array(first)
            function = collate_numpy_scalar_fn if is_scalar else collate_numpy_array_fn
        if function is not None:
            return function(batch, collate_fn_map=collate_fn_map)

    def together(samples: Any) -> Any:
        return collate(samples, collate_fn_map=collate_fn_map)

    if isinstance(first, Mapping):
        return _like_mapping(first, {key: together([sample[key] for sample in batch]) for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(together(samples) for samples in zip(*batch)))
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [together(samples) for samples in zip(*batch)]
        return columns if isinstance(first, tuple) else _like_sequence(first, columns)
    raise TypeError(_ERROR.format(type(first)))


def default_collate(batch: Any) -> Any:
    """Samples as one batch: tensors, arrays and numbers are stacked along a new first axis, inside of dicts, named
    tuples, tuples and lists of them; strings stay a list."""
    return collate(batch, collate_fn_map=default_collate_fn_map)


def _like_mapping(original: Mapping, entries: dict) -> Any:
    """`entries` in the type of `original`, with what else it has; or as a dict, if that type cannot be made so."""
    try:
        if isinstance(original, MutableMapping):
            clone = copy.copy(original)
            clone.update(entries)
            return clone
        return type(original)(entries)  # type: ignore[call-arg]  # the type of a batch is the user's
    except TypeError:
        return entries


def _like_sequence(original: Sequence, values: list) -> Any:
    """`values` in the type of `original`, with what else it has; or as a list, if that type cannot be made so."""
    try:
        if isinstance(original, MutableSequence):
            clone = copy.copy(original)
            for i, value in enumerate(values):
                clone[i] = value
            return clone
        return type(original)(values)  # type: ignore[call-arg]  # the type of a batch is the user's
    except TypeError:
        return values
