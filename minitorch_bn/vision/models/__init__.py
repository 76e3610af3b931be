"""Classic image classifiers with torchvision's names, arguments and state_dict keys; weights come from local files."""

from __future__ import annotations

from ._build import BUILDERS, get_model, get_model_builder, list_models, named_weights
from .alexnet import AlexNet, alexnet
from .densenet import DenseNet, densenet121, densenet161, densenet169, densenet201
from .mobilenetv2 import MobileNetV2, mobilenet_v2
from .resnet import (
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    resnext101_32x8d,
    resnext101_64x4d,
    wide_resnet50_2,
    wide_resnet101_2,
)
from .squeezenet import SqueezeNet, squeezenet1_0, squeezenet1_1
from .vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn

__all__ = ["BUILDERS", "AlexNet", "DenseNet", "MobileNetV2", "ResNet", "SqueezeNet", "VGG", "alexnet", "densenet121",
           "densenet161", "densenet169", "densenet201", "get_model", "get_model_builder", "list_models",
           "mobilenet_v2", "resnet101", "resnet152", "resnet18", "resnet34", "resnet50", "resnext101_32x8d",
           "resnext101_64x4d", "resnext50_32x4d", "squeezenet1_0", "squeezenet1_1", "vgg11", "vgg11_bn", "vgg13",
           "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "wide_resnet101_2", "wide_resnet50_2"]


def __getattr__(name: str) -> object:
    """`ResNet18_Weights` and its kind, so that a script may name them; asking a model for one is an error."""
    if name.endswith("_Weights"):
        return named_weights(name)
    raise AttributeError(f"torchvision.models.{name} is not in minitorch_bn; its models are {', '.join(list_models())}")
