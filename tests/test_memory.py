"""Memory: the caching allocator, out of memory, and no growth."""
import gc
import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

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


def in_a_process(code, **environment):
    """What Python prints that runs the code."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False,
                          cwd=Path(__file__).parent,    # not where a package lies that was not built
                          env=dict(os.environ, PYTHONPATH=str(Path(torch.__file__).parent.parent), **environment),
                          timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is Linux's")
def test_where_no_chunk_fits_a_block_does():
    """With room for a few megabytes only: small tensors, no chunk of huge pages, and nothing is lost or mixed up."""
    out = in_a_process("""
        import resource, minitorch_bn as torch
        from minitorch_bn.kernels import runtime
        torch.ones(1000, 10) @ torch.ones(10, 10)          # whatever starts once has started
        torch.empty_cache()
        before = torch.memory_stats()["allocated_bytes"]
        limits = resource.getrlimit(resource.RLIMIT_AS)
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (20 << 20), limits[1]))
        many = [torch.full((n,), float(i)) for i, n in enumerate((20_000, 100_000, 30_000, 900_000, 1_100_000))]
        del many[1]
        many += [torch.full((100_000,), 7.0), torch.full((17_000,), 8.0)]
        try:
            torch.ones(10_000_000)
        except MemoryError:
            print("full")
        assert [(t.amin().item(), t.amax().item()) for t in many] == [(v, v) for v in (0, 2, 3, 4, 7, 8)]
        resource.setrlimit(resource.RLIMIT_AS, limits)
        many += [torch.ones(200_000), torch.ones(2_000_000)]      # with room again, on huge pages
        del many
        torch.empty_cache()
        stats = torch.memory_stats()
        assert stats["cached_bytes"] == 0 and stats["allocated_bytes"] == before, stats
    """, MTB_NUM_THREADS="1")
    assert out == "full\n"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("megabytes", ["0", "1", "1024"])
def test_memory_goes_back_to_the_system(megabytes):
    """Tensors of all sizes come and go, in several threads; what stays resident is small, and with a cache that could
    not keep a chunk no chunk is made."""
    grown, held = in_a_process("""
        import threading, minitorch_bn as torch

        def field(name):
            with open("/proc/self/status") as file:
                return next(int(line.split()[1]) for line in file if line.startswith(name))

        def work(seed):
            kept = []
            for i in range(300):
                kept.append(torch.full(((seed * 7919 + i * 104729) % 400_000,), float(i)))
                if i % 3:
                    x = kept.pop((i * 31 + seed) % len(kept))
                    assert not len(x) or x[0] == x[-1]

        torch.ones(1000).sum()
        start, size = field("VmRSS"), field("VmSize")
        one = torch.ones(40_000)
        held = field("VmSize") - size
        threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        torch.empty_cache()
        print(field("VmRSS") - start, held)
    """, MTB_NUM_THREADS="1", MTB_CACHE_MB=megabytes).split()
    assert int(grown) < 6000       # kilobytes
    assert int(held) < 30_000 or megabytes == "1024"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_its_own_cache():
    """Blocks that were cached or in use before a fork are given, taken and returned by both, each its own."""
    out = in_a_process("""
        import os, minitorch_bn as torch
        kept = [torch.full((n,), 1.0) for n in (10, 30_000, 300_000, 3_000_000)]
        gone = [torch.full((n,), 2.0) for n in (10, 30_000, 300_000, 3_000_000)]
        del gone
        child = os.fork()
        for x in kept:
            x += 1 if child else 2
        more = [torch.full((n,), 5.0) for n in (10, 30_000, 300_000, 3_000_000)]
        torch.empty_cache()
        assert all((x == (2 if child else 3)).all() for x in kept) and all((x == 5).all() for x in more)
        del kept, more, x
        torch.empty_cache()
        assert torch.memory_stats()["cached_bytes"] == 0
        if not child:
            os._exit(0)
        print(os.waitpid(child, 0)[1])
    """)
    assert out == "0\n"


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


def test_memory_that_is_given_up_while_a_thread_computes_on_it():
    code = """
        import threading, time
        import minitorch_bn as torch
        x, got = torch.ones(20_000_000), []
        worker = threading.Thread(target=lambda: got.append(torch.sin(x)))
        worker.start()
        time.sleep(0.005)
        x.data = torch.zeros(3)
        worker.join()
        assert (got.pop() == torch.sin(torch.ones(1))).all()
        for _ in range(3):             # nobody computes any more: it goes at the next occasions
            time.sleep(0.03)
            x.data = torch.zeros(3)
        assert torch.memory_stats()["allocated_bytes"] < 1000
    """
    in_a_process(code, MTB_CACHE_MB="0")
