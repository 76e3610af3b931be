"""A small stand-in for torchvision: datasets from local files, transforms, classic models and image grids."""

from __future__ import annotations

from importlib import import_module as _import_module

_SUBMODULES = ("datasets", "io", "models", "ops", "transforms", "utils")
__version__ = "0.28.0"  # the torchvision whose names and defaults these are
__all__ = ["datasets", "get_image_backend", "io", "models", "ops", "set_image_backend", "transforms", "utils"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import datasets, io, models, ops, transforms, utils


def get_image_backend() -> str:
    """The package that decodes images: always Pillow."""
    return "PIL"


def set_image_backend(backend: str) -> None:
    """Accepts "PIL", the only backend."""
    if backend != "PIL":
        raise ValueError(f"Invalid backend {backend!r}. Options are 'PIL'")


def __getattr__(name: str) -> object:
    """Subpackages are imported when they are first named."""
    if name in _SUBMODULES:
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_SUBMODULES)}")
