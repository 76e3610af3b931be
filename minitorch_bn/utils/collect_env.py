"""What to tell in a bug report: ``python -m minitorch_bn.utils.collect_env``."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

import minitorch_bn as torch

__all__ = ["get_pretty_env_info", "main"]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def get_pretty_env_info() -> str:
    """The versions and the machine, a line each."""
    lines = {
        "minitorch_bn version": torch.__version__,
        "Python version": sys.version.replace("\n", " "),
        "Platform": platform.platform(),
        "Processor": platform.processor() or platform.machine(),
        "Threads": torch.get_num_threads(),
        "Is CUDA available": False,
        "numpy": _version("numpy"),
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items()) + "\n" + torch.show_config()


def main() -> None:
    """Print it."""
    print("Collecting environment information...")
    print(get_pretty_env_info())


if __name__ == "__main__":
    main()
