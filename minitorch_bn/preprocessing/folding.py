"""A scaling of the input as part of the first layer: W (a x + c) + b = (W a) x + (W c + b), in float64."""
from __future__ import annotations

import copy
from typing import Any

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn.nn.conv import _ConvNd


def _per_input(values: Any, count: int, what: str) -> Any:
    """One value for each input of the layer."""
    import numpy as np

    if len(values) == count:
        return values
    if len(values) > 0 and (values == values[0]).all():
        return np.full(count, values[0])
    raise ValueError(f"fold_into: the scaler has {len(values)} features, the layer {count} {what}")


def folded(layer: Any, scale: Any, shift: Any) -> Any:
    """A copy of a linear layer or convolution that does to x what `layer` does to x * scale + shift."""
    conv = isinstance(layer, _ConvNd)
    if not conv and not isinstance(layer, nn.Linear):
        raise ValueError(f"fold_into: expected a linear layer or a convolution, got {type(layer).__name__}")
    count, what = (layer.in_channels, "channels") if conv else (layer.in_features, "inputs")
    a, c = _per_input(scale, count, what), _per_input(shift, count, what)
    weight = layer.weight.detach().double().numpy()
    if conv and layer.transposed:
        if c.any():
            raise ValueError("fold_into: a transposed convolution spreads a shift unevenly at its borders")
        new, offset = weight * a.reshape(-1, *[1] * (weight.ndim - 1)), None
    else:
        if conv and c.any() and layer.padding_mode == "zeros" and any(layer._reversed_padding_repeated_twice):
            raise ValueError("fold_into: the convolution pads the scaled input with 0, which is no value of the input "
                             "that this scaler shifts; pad with padding_mode='replicate', or not at all")
        groups = layer.groups if conv else 1
        parts = weight.reshape(groups, -1, *weight.shape[1:])  # groups, outputs, inputs, *kernel
        shape = (groups, 1, weight.shape[1], *[1] * (weight.ndim - 2))
        new = (parts * a.reshape(shape)).reshape(weight.shape)
        offset = (parts * c.reshape(shape)).reshape(len(weight), -1).sum(axis=1)
    result = copy.deepcopy(layer)
    with torch.no_grad():
        result.weight.copy_(torch.from_numpy(new))
        if offset is not None and offset.any():
            if layer.bias is not None:
                offset = offset + layer.bias.detach().double().numpy()
            bias = torch.from_numpy(offset).to(layer.weight.dtype)
            result.bias = nn.Parameter(bias, requires_grad=layer.weight.requires_grad)
    return result
