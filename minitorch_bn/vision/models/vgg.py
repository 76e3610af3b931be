"""VGG networks (Simonyan & Zisserman 2015): plain stacks of 3 x 3 convolutions, with or without batch norm."""

from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn import nn

from ._build import builder, init_weights

_CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # per stage


def make_layers(depth: int, batch_norm: bool = False) -> nn.Sequential:
    """The convolutions of the five stages, each ended by a pooling."""
    layers: list[nn.Module] = []
    channels = 3
    for width, count in zip((64, 128, 256, 512, 512), _CONVOLUTIONS[depth]):
        for _ in range(count):
            layers.append(nn.Conv2d(channels, width, kernel_size=3, padding=1))
            layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)] if batch_norm else [nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers)


class VGG(nn.Module):
    """(N, 3, H, W) -> (N, num_classes)."""

    def __init__(self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True,
                 dropout: float = 0.5) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(True), nn.Dropout(p=dropout),
            nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout(p=dropout), nn.Linear(4096, num_classes))
        if init_weights:
            _init_weights(self.modules(), mode="fan_out", linear_std=0.01)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


_init_weights = init_weights  # VGG has an argument of that name


@builder
def vgg11(**kwargs: Any) -> VGG:
    """VGG-11."""
    return VGG(make_layers(11), **kwargs)


@builder
def vgg11_bn(**kwargs: Any) -> VGG:
    """VGG-11 with batch norm."""
    return VGG(make_layers(11, batch_norm=True), **kwargs)


@builder
def vgg13(**kwargs: Any) -> VGG:
    """VGG-13."""
    return VGG(make_layers(13), **kwargs)


@builder
def vgg13_bn(**kwargs: Any) -> VGG:
    """VGG-13 with batch norm."""
    return VGG(make_layers(13, batch_norm=True), **kwargs)


@builder
def vgg16(**kwargs: Any) -> VGG:
    """VGG-16."""
    return VGG(make_layers(16), **kwargs)


@builder
def vgg16_bn(**kwargs: Any) -> VGG:
    """VGG-16 with batch norm."""
    return VGG(make_layers(16, batch_norm=True), **kwargs)


@builder
def vgg19(**kwargs: Any) -> VGG:
    """VGG-19."""
    return VGG(make_layers(19), **kwargs)


@builder
def vgg19_bn(**kwargs: Any) -> VGG:
    """VGG-19 with batch norm."""
    return VGG(make_layers(19, batch_norm=True), **kwargs)
