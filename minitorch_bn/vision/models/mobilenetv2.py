"""MobileNetV2 (Sandler et al. 2018): cheap depthwise convolutions between narrow 1 x 1 ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import minitorch_bn as torch
from minitorch_bn import nn

from ..ops.misc import Conv2dNormActivation
from ._build import builder, init_weights

Norm = Callable[..., nn.Module]
# expansion, channels, blocks, first stride
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def _divisible(value: float, divisor: int) -> int:
    """The multiple of `divisor` nearest to value, but not less than nine tenths of it."""
    near = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * value else near


def _conv(channels: int, out_channels: int, kernel_size: int, stride: int, groups: int, norm: Norm) -> nn.Module:
    return Conv2dNormActivation(channels, out_channels, kernel_size, stride, groups=groups, norm_layer=norm,
                                activation_layer=nn.ReLU6)


class InvertedResidual(nn.Module):
    """Widened by `expand_ratio`, convolved channel by channel, narrowed; with a shortcut where the shape allows."""

    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: float, norm_layer: Norm | None = None) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        norm = norm_layer or nn.BatchNorm2d
        hidden = round(inp * expand_ratio)
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(_conv(inp, hidden, 1, 1, 1, norm))
        layers += [_conv(hidden, hidden, 3, stride, hidden, norm),
                   nn.Conv2d(hidden, oup, 1, 1, 0, bias=False), norm(oup)]
        self.conv = nn.Sequential(*layers)
        self.use_res_connect = stride == 1 and inp == oup
        self.stride = stride
        self.out_channels = oup

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """(N, 3, H, W) -> (N, num_classes); `width_mult` scales the channels, rounded to multiples of `round_nearest`."""

    def __init__(self, num_classes: int = 1000, width_mult: float = 1.0,
                 inverted_residual_setting: Sequence[Sequence[int]] | None = None, round_nearest: int = 8,
                 block: Callable[..., nn.Module] | None = None, norm_layer: Norm | None = None,
                 dropout: float = 0.2) -> None:
        super().__init__()
        stages = _STAGES if inverted_residual_setting is None else inverted_residual_setting
        if not stages or any(len(stage) != 4 for stage in stages):
            raise ValueError("inverted_residual_setting should be non-empty or a 4-element list, got "
                             f"{inverted_residual_setting}")
        make_block, norm = block or InvertedResidual, norm_layer or nn.BatchNorm2d
        channels = _divisible(32 * width_mult, round_nearest)
        self.last_channel = _divisible(1280 * max(1.0, width_mult), round_nearest)
        features: list[nn.Module] = [_conv(3, channels, 3, 2, 1, norm)]
        for expansion, width, count, stride in stages:
            out = _divisible(width * width_mult, round_nearest)
            for i in range(count):
                features.append(make_block(channels, out, 1 if i else stride, expand_ratio=expansion, norm_layer=norm))
                channels = out
        features.append(_conv(channels, self.last_channel, 1, 1, 1, norm))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes))
        init_weights(self.modules(), mode="fan_out", linear_std=0.01)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


@builder
def mobilenet_v2(**kwargs: Any) -> MobileNetV2:
    """MobileNetV2."""
    return MobileNetV2(**kwargs)
