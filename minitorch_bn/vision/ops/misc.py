"""Blocks of convolutional networks: convolution with norm and activation, squeeze and excitation, small perceptrons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import minitorch_bn as torch
from minitorch_bn import nn

Layer = Callable[..., nn.Module]
Size = int | Sequence[int]


class ConvNormActivation(nn.Sequential):
    """A convolution, a norm and an activation; by default padded to keep the size (but for the stride)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size = 3, stride: Size = 1,
                 padding: Size | str | None = None, groups: int = 1, norm_layer: Layer | None = nn.BatchNorm2d,
                 activation_layer: Layer | None = nn.ReLU, dilation: Size = 1, inplace: bool | None = True,
                 bias: bool | None = None, conv_layer: Layer = nn.Conv2d) -> None:
        if padding is None:
            dims = next((len(size) for size in (kernel_size, dilation) if not isinstance(size, int)), 1)
            sizes, steps = ([size] * dims if isinstance(size, int) else size for size in (kernel_size, dilation))
            around = tuple((size - 1) // 2 * step for size, step in zip(sizes, steps))
            padding = around[0] if dims == 1 else around
        layers = [conv_layer(in_channels, out_channels, kernel_size, stride, padding, dilation=dilation, groups=groups,
                             bias=norm_layer is None if bias is None else bias)]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer(**({} if inplace is None else {"inplace": inplace})))
        super().__init__(*layers)
        self.out_channels = out_channels


class Conv2dNormActivation(ConvNormActivation):
    """The block in two dims."""


class Conv3dNormActivation(ConvNormActivation):
    """The block in three dims."""

    def __init__(self, *args: Any, **options: Any) -> None:
        if len(args) < 7:
            options.setdefault("norm_layer", nn.BatchNorm3d)
        super().__init__(*args, **{**options, "conv_layer": nn.Conv3d})


class SqueezeExcitation(nn.Module):
    """Channels scaled by what a small network makes of their means (Hu et al. 2018)."""

    def __init__(self, input_channels: int, squeeze_channels: int, activation: Layer = nn.ReLU,
                 scale_activation: Layer = nn.Sigmoid) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(input))))) * input


class MLP(nn.Sequential):
    """Linear layers of these sizes, each but the last with norm and activation, all with dropout."""

    def __init__(self, in_channels: int, hidden_channels: Sequence[int], norm_layer: Layer | None = None,
                 activation_layer: Layer = nn.ReLU, inplace: bool | None = None, bias: bool = True,
                 dropout: float = 0.0) -> None:
        options = {} if inplace is None else {"inplace": inplace}
        layers: list[nn.Module] = []
        for i, width in enumerate(hidden_channels):
            layers.append(nn.Linear(in_channels, width, bias=bias))
            if i < len(hidden_channels) - 1:
                layers += [norm_layer(width)] if norm_layer is not None else []
                layers.append(activation_layer(**options))
            layers.append(nn.Dropout(dropout, **options))
            in_channels = width
        super().__init__(*layers)


class Permute(nn.Module):
    """The dims in another order."""

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(*self.dims)


class FrozenBatchNorm2d(nn.Module):
    """Batch norm with fixed statistics and fixed scale and shift, all four buffers."""

    weight: torch.Tensor
    bias: torch.Tensor
    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(num_features))
        self.register_buffer("bias", torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        state_dict.pop(f"{prefix}num_batches_tracked", None)  # a trained batch norm has one
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0,
                                        self.eps)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.weight.shape[0]}, eps={self.eps})"
