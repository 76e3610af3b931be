"""What scripts ask of torch.cuda: there is no CUDA device here, and these functions say so."""


def is_available() -> bool:
    """False: minitorch_bn computes on the CPU."""
    return False


def device_count() -> int:
    """Zero."""
    return 0


def manual_seed(seed: int) -> None:
    """Accepted: there is no CUDA generator."""


def manual_seed_all(seed: int) -> None:
    """Accepted: there is no CUDA generator."""


def empty_cache() -> None:
    """Accepted: there is no CUDA memory."""


def synchronize(device: object = None) -> None:
    """Accepted: there is nothing to wait for."""
