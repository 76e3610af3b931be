"""What scripts ask of torch.backends: the CPU's level, and switches of devices that are not there."""
from types import SimpleNamespace

from minitorch_bn.kernels.runtime import build_info, get_level

cpu = SimpleNamespace(get_cpu_capability=get_level)
openmp = SimpleNamespace(is_available=lambda: build_info()["openmp"])
cudnn = SimpleNamespace(benchmark=False, deterministic=True, enabled=False, allow_tf32=False,
                        is_available=lambda: False)
cuda = SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False), is_built=lambda: False)
mps = SimpleNamespace(is_available=lambda: False, is_built=lambda: False)
mkl = mkldnn = SimpleNamespace(is_available=lambda: False)
