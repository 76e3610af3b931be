"""Memory: the caching allocator, out of memory, and no growth."""
import gc
import resource
import sys

import pytest

import minitorch_bn as torch


def stats():
    gc.collect()
    return torch.memory_stats()


def test_blocks_are_reused():
    torch.empty_cache()
    x = torch.zeros(1000, 1000)
    address = x.data_ptr()
    del x
    assert stats()["cached_bytes"] >= 4_000_000
    assert torch.zeros(1000, 1000).data_ptr() == address
    torch.empty_cache()
    assert stats()["cached_bytes"] == 0


def test_allocated_bytes_are_counted():
    before = stats()["allocated_bytes"]
    x = torch.zeros(1000, dtype=torch.float64)
    grown = stats()["allocated_bytes"] - before
    assert 8000 <= grown <= 10240
    view = x[5:]
    del x
    assert stats()["allocated_bytes"] - before == grown
    del view
    assert stats()["allocated_bytes"] == before


def test_peak():
    torch.reset_peak_memory_stats()
    before = stats()["peak_bytes"]
    x = torch.zeros(1000, 1000)
    del x
    assert stats()["peak_bytes"] - before >= 4_000_000


def test_the_cache_has_a_limit():
    from minitorch_bn.kernels import runtime
    limit = stats()["cache_limit_bytes"]
    try:
        runtime.set_cache_limit(1 << 20)
        del_me = [torch.zeros(100_000) for _ in range(10)]
        del del_me
        assert stats()["cached_bytes"] <= 1 << 20
    finally:
        runtime.set_cache_limit(limit)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64])
def test_addresses_are_aligned(dtype):
    for n in (0, 1, 7, 63, 64, 65, 300, 1000, 4097, 10 ** 6):
        assert torch.empty(n, dtype=dtype).data_ptr() % 64 == 0


def test_sizes_never_overlap():
    """Every size class: neighbours written to their ends stay apart."""
    tensors = [torch.full((n,), i % 251, dtype=torch.uint8) for i, n in enumerate([*range(0, 1200, 37), 5000, 70_000,
                                                                                   1_000_003])]
    for i, t in enumerate(tensors):
        assert t.numel() == 0 or (t == i % 251).all()


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is Linux's")
def test_out_of_memory_is_memory_error():
    """Under a limit on the address space: MemoryError, and everything goes on as before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    x = torch.ones(50, 50, requires_grad=True)
    y = (x * 2).exp()
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    torch.empty_cache()
    try:
        resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20), hard))
        for make in (lambda: torch.ones(20_000, 20_000), lambda: torch.ones(1, 20_000).expand(20_000, 20_000) + 1,
                     lambda: torch.ones(20_000, 1) @ torch.ones(1, 20_000), lambda: torch.ones(20_000).repeat(20_000),
                     lambda: torch.zeros(1, 1, 20_000, 1).expand(1, 1, 20_000, 20_000).contiguous()):
            with pytest.raises(MemoryError):
                make()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    y.sum().backward()
    assert torch.allclose(x.grad, 2 * y.detach())


def test_many_shapes_do_not_grow_memory():
    """No cache is keyed by shape: after warming up, two thousand new shapes leave memory where it was."""
    def work(n):
        x = torch.ones(n % 97 + 1, n % 31 + 1, requires_grad=True)
        ((x @ x.t()).sum() + x.softmax(1).sum()).backward()
    for n in range(500):
        work(n)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for n in range(2000):
        work(n * 7 + 3)
    gc.collect()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2048  # kilobytes
