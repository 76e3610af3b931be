"""What the builders of models share: the register, initial weights, and the clear refusal of downloaded weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from minitorch_bn import nn

BUILDERS: dict[str, Callable[..., Any]] = {}


class NamedWeights:
    """The name of weights that torchvision downloads; DEFAULT and the others are attributes."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, attribute: str) -> NamedWeights:
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        return NamedWeights(f"{self.name}.{attribute}")

    def __repr__(self) -> str:
        return self.name


def named_weights(name: str) -> NamedWeights:
    """A stand-in for one of torchvision's enumerations of weights."""
    return NamedWeights(name)


def builder(function: Callable[..., Any]) -> Callable[..., Any]:
    """Registers a function that makes a model, and gives it the arguments `weights` and `pretrained`.

    ValueError: weights other than None are asked for; they are not bundled, and nothing is downloaded.
    """

    @functools.wraps(function)
    def build(*legacy: Any, weights: Any = None, pretrained: bool = False, progress: bool = True,
              **kwargs: Any) -> Any:
        wanted = weights if weights is not None else legacy[0] if legacy else pretrained
        if len(legacy) > 2:
            raise TypeError(f"{function.__name__}() takes from 0 to 2 positional arguments but {len(legacy)} were "
                            "given")
        if wanted:
            raise ValueError(f"{function.__name__}: the weights {wanted!r} are not bundled and nothing is downloaded; "
                             "build the model with weights=None and load a file of them: "
                             "model.load_state_dict(torch.load(path))")
        return function(**kwargs)

    BUILDERS[function.__name__] = build
    return build


def get_model_builder(name: str) -> Callable[..., Any]:
    """The builder of this name. ValueError: there is none."""
    try:
        return BUILDERS[name.lower()]
    except KeyError:
        raise ValueError(f"Unknown model {name}") from None


def get_model(name: str, **config: Any) -> Any:
    """The model of this name, built with these arguments."""
    return get_model_builder(name)(**config)


def list_models() -> list[str]:
    """The names of all models here."""
    return sorted(BUILDERS)


def init_weights(modules: Iterable[nn.Module], mode: str | None = None, linear_std: float | None = None) -> None:
    """Convolutions by He et al. 2015 (the fan of `mode`), norms 1 and 0, linear layers normal; biases zero."""
    for module in modules:
        if isinstance(module, nn.Conv2d) and mode is not None:
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)) and module.weight is not None:
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear) and linear_std is not None:
            nn.init.normal_(module.weight, 0.0, linear_std)
            nn.init.zeros_(module.bias)
