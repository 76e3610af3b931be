"""torch.nn.parallel: DataParallel on the one device that there is; DistributedDataParallel says that it cannot be."""
from __future__ import annotations

from typing import Any

from .module import Module

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel"]


class DataParallel(Module):
    """Calls `module`, as PyTorch's does on a machine without GPUs; the keys of its state begin with ``module.``."""

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[int] = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


def data_parallel(module: Module, inputs: Any, device_ids: Any = None, output_device: Any = None, dim: int = 0,
                  module_kwargs: dict[str, Any] | None = None) -> Any:
    """``module(*inputs, **module_kwargs)``."""
    return module(*(inputs if isinstance(inputs, tuple) else (inputs,)), **(module_kwargs or {}))


class DistributedDataParallel(Module):
    """Cannot be made: there are no process groups."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError("DistributedDataParallel: Default process group has not been initialized; minitorch_bn runs "
                         "as one process")
