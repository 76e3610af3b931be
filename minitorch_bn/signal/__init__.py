"""torch.signal: windows for spectral analysis."""
from minitorch_bn.signal import windows

__all__ = ["windows"]
