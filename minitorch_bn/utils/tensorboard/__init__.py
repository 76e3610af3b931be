"""Writing what TensorBoard shows; needs the tensorboard package: ``pip install minitorch_bn[tensorboard]``."""

try:
    import tensorboard  # noqa: F401
except ModuleNotFoundError as _error:
    if _error.name != "tensorboard":
        raise
    raise ImportError("minitorch_bn.utils.tensorboard needs the package tensorboard, which is not installed: "
                      "pip install 'minitorch_bn[tensorboard]'") from None

from .writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]
