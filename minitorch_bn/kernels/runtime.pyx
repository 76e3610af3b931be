"""What every kernel driver shares: the instruction-set level, the number of threads, and a caching allocator."""
import os

from cython.parallel cimport prange
from libc.stdint cimport uint64_t, uintptr_t
from libc.stdlib cimport free
from posix.stdlib cimport posix_memalign


cdef extern from "mtb.h" nogil:
    const mtb_level* mtb_best_level()
    const mtb_level* mtb_find_level(const char* name)
    const mtb_level* mtb_nth_level(int i)

cdef extern from "shares.h" nogil:
    ctypedef struct mtb_shares:
        pass
    void mtb_share_out(mtb_shares* shares, i64 tasks, int threads)
    i64 mtb_next_task(mtb_shares* shares, int thread)

cdef extern from *:
    """
    #include <pthread.h>
    #include <sys/mman.h>
    #ifdef _OPENMP
    #define MTB_OPENMP 1
    #else
    #define MTB_OPENMP 0
    #endif
    #ifndef MTB_BUILD_FLAGS
    #define MTB_BUILD_FLAGS ""
    #endif
    /* libgomp's team does not survive a fork: a child that used it would wait for ever, so the child runs serially. */
    static int mtb_forked = 0;
    static void mtb_in_child(void) { mtb_forked = 1; }
    static int mtb_watch_fork(void) { return pthread_atfork(NULL, NULL, mtb_in_child); }
    /* A sleeping thread may be woken on the CPU of the one that wakes it. The two then take turns, and the scheduler,
     * which never sees both waiting, leaves them there. So a thread of a team that finds itself where its region was
     * started asks for any other CPU, once in a while; it is free to run anywhere again at once. */
    #if defined(__linux__) && defined(_OPENMP)
    #include <omp.h>
    #include <sched.h>
    static int mtb_room = 0, mtb_home = -1; /* does each thread have a CPU; where the region was started */
    static void mtb_set_room(int room) { mtb_room = room; }
    static void mtb_start_region(void) { if (mtb_room) mtb_home = sched_getcpu(); }
    static void mtb_spread(void) {
        static __thread unsigned met;
        cpu_set_t all, others;
        int here;
        if (!mtb_room || omp_get_thread_num() == 0) return;
        here = sched_getcpu();
        if (here < 0 || here != mtb_home || met++ % 8 || sched_getaffinity(0, sizeof all, &all)) return;
        others = all;
        CPU_CLR(here, &others);
        if (CPU_COUNT(&others) && !sched_setaffinity(0, sizeof others, &others)) sched_setaffinity(0, sizeof all, &all);
    }
    #else
    static void mtb_set_room(int room) { (void)room; }
    static void mtb_start_region(void) {}
    static void mtb_spread(void) {}
    #endif
    #include <unistd.h>
    static int64_t mtb_last_cache(void) {
    #ifdef _SC_LEVEL3_CACHE_SIZE
        int64_t n = sysconf(_SC_LEVEL3_CACHE_SIZE);
        return n > 0 ? n : 0;
    #else
        return 0;
    #endif
    }
    static void mtb_huge_pages(void *p, size_t n) {
    #ifdef MADV_HUGEPAGE
        madvise(p, n, MADV_HUGEPAGE);
    #else
        (void)p; (void)n;
    #endif
    }
    #ifdef __GLIBC__
    #include <malloc.h>
    static void mtb_trim(void) { malloc_trim(0); } /* what is free between blocks in use goes back, too */
    #else
    static void mtb_trim(void) {}
    #endif
    static void mtb_forget(char *p, size_t n) { /* the contents of the whole pages in it: the system may have them */
        char *from = p + (-(uintptr_t)p & 4095);
        madvise(from, (size_t)(p + n - from) & ~(size_t)4095, MADV_DONTNEED);
    }
    """
    int MTB_OPENMP
    const char* MTB_BUILD_FLAGS
    int mtb_forked
    int mtb_watch_fork()
    void mtb_set_room(int room)
    void mtb_start_region() noexcept nogil
    void mtb_spread() noexcept nogil
    i64 mtb_last_cache()
    void mtb_huge_pages(void* p, size_t n) nogil
    void mtb_forget(char* p, size_t n) nogil
    void mtb_trim()
    int __builtin_clzll(unsigned long long x) nogil


# -- threads -----------------------------------------------------------------------------------------------------------

cdef int threads = 1
# Waking a team costs a few microseconds, as much as one core needs for this many element operations. The answer is one
# thread or all of them, never between: libgomp ends and starts threads whenever the size of the team changes.
cdef i64 WORTH_A_TEAM = 65536
cdef i64 WORTH_RELEASING = 20000      # that take as long as giving the GIL away and getting it back


# Results that do not fit are written past the last-level cache. Where the system does not tell its size: 32 MB.
cdef i64 CACHE = 1 << 25


cdef int team(i64 work) noexcept nogil:
    if work < WORTH_A_TEAM or mtb_forked:
        return 1
    mtb_start_region()
    return threads


cdef void spread() noexcept nogil:
    mtb_spread()


cdef void run_tasks(task body, void* plan, i64 count, i64 work) noexcept:
    cdef mtb_shares shares
    cdef i64 i
    cdef int t, size = team(work) if count > 1 else 1
    if size > 1:
        mtb_share_out(&shares, count, size)
        for t in prange(size, num_threads=size, schedule="static", nogil=True):
            i = mtb_next_task(&shares, t)
            while i >= 0:
                mtb_spread()
                body(plan, i)
                i = mtb_next_task(&shares, t)
    elif work > WORTH_RELEASING:
        with nogil:
            for i in range(count):
                body(plan, i)
    else:
        for i in range(count):
            body(plan, i)


cdef void share_tasks(roomy_task body, const void* plan, i64 count, int threads, char* scratch, i64 room) noexcept:
    cdef mtb_shares shares
    cdef i64 i
    cdef int t
    if threads == 1 or count == 1:
        with nogil:
            for i in range(count):
                body(plan, i, scratch)
        return
    mtb_share_out(&shares, count, threads)
    for t in prange(threads, num_threads=threads, schedule="static", nogil=True):
        i = mtb_next_task(&shares, t)
        while i >= 0:
            mtb_spread()
            body(plan, i, scratch + t * room)
            i = mtb_next_task(&shares, t)


def get_num_threads():
    """The number of threads that one operation uses at most."""
    return 1 if mtb_forked else threads


def set_num_threads(int n):
    """Let one operation use up to `n` threads. Results do not depend on it, to the last bit."""
    global threads
    if n < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    threads = n if MTB_OPENMP else 1
    mtb_set_room(1 < threads <= (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0))


def _quota():
    """The cores that the control group's quota allows (version 2, then 1), or None."""
    for path in ("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"):
        try:
            with open(path) as file:
                words = file.read().split()
            if len(words) == 1:
                with open(path.replace("quota", "period")) as file:
                    words += file.read().split()
            if words[0] not in ("max", "-1"):
                return max(1, int(words[0]) // int(words[1]))
        except (OSError, ValueError, IndexError, ZeroDivisionError):
            continue
    return None


def _default_threads():
    """The first of MTB_NUM_THREADS and OMP_NUM_THREADS that is set; else the cores that this process may use."""
    for name in ("MTB_NUM_THREADS", "OMP_NUM_THREADS"):
        word = os.environ.get(name, "").split(",")[0].strip()
        if word.isdigit() and int(word) > 0:
            return int(word)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _quota() or cores)


# -- levels ------------------------------------------------------------------------------------------------------------

def levels():
    """The names of the levels of this build that this machine runs, worst first."""
    names = []
    while mtb_nth_level(len(names)) != NULL:
        names.append(mtb_nth_level(len(names)).name.decode())
    return names


def get_level():
    """The name of the level in use."""
    return K.name.decode()


def set_level(str name):
    """Use the kernels of that level from now on (for tests: results do not depend on it, to the last bit)."""
    global K
    cdef bytes text = name.encode()
    cdef const mtb_level* level = mtb_find_level(text)
    if level == NULL:
        raise ValueError(f"MTB_ISA={name!r}: this build on this machine has the levels {', '.join(levels())}")
    K = level


def build_info():
    """How this build was made: {"openmp": bool, "flags": str}."""
    return {"openmp": bool(MTB_OPENMP), "flags": MTB_BUILD_FLAGS.decode()}


# -- memory ------------------------------------------------------------------------------------------------------------
# Blocks come in size classes, four to each doubling, and go back to a list of their class: a training step asks for the
# same sizes over and over, and a fresh large block costs a page fault for every 4 KiB of it. Called with the GIL held.
# Blocks of middle size are cut from chunks of huge pages; a large block has such pages of its own. Where the system has
# no room for either, or the cache may not keep a chunk, a block is what malloc gives. Its address tells which it is: an
# odd multiple of 64 is on huge pages.

cdef enum:
    CLASSES = 160
    MIDDLE = 1 << 16
    HUGE = 1 << 22
    HUGE_PAGE = 1 << 21
    CHUNK = 1 << 25
    # After each block: what begins at the same place of a page as another, the processor cannot tell from it at once (a
    # store from a load that follows), and puts into the same sets of its caches. Even, as all sizes of blocks are, so
    # that their addresses stay odd multiples of 64.
    APART = 34 * 64

ctypedef struct chunk:
    size_t used, live    # bytes that were cut off, and blocks that have not come back

cdef chunk* current = NULL   # the one that blocks are cut from
cdef size_t start_ = 64    # where in its page the last large block begins
cdef void* free_lists[CLASSES]
cdef size_t cached = 0, allocated = 0, peak = 0
cdef size_t limit = 0
cdef uint64_t requests = 0, reused = 0, asked[CLASSES]   # the last: the number of each class's latest request
cdef bint exact = os.environ.get("MTB_CACHE_MB") == "0"   # no cache and no rounding: a sanitizer sees the true ends


cdef inline int size_class(size_t n, size_t* rounded) noexcept:
    """The class of an n-byte request (n <= 2**46), and the size of its blocks."""
    cdef int shift
    cdef size_t quarters
    if exact:
        rounded[0] = n
        return 0
    if n <= 256:
        quarters = (n + 63) >> 6 if n else 1
        rounded[0] = quarters << 6
        return <int> quarters - 1
    shift = 63 - __builtin_clzll(n - 1) - 2          # n - 1 has its top bit at shift + 2: quarters of a doubling
    quarters = ((n - 1) >> shift) + 1                # 5, 6, 7 or 8
    rounded[0] = quarters << shift
    return (shift - 6) * 4 + <int> quarters - 1


cdef size_t size_of_class(int i) noexcept:
    """The other way round."""
    return <size_t> (i + 1) << 6 if i < 4 else <size_t> (i % 4 + 5) << (i // 4 + 5)


cdef void* on_huge_pages(size_t size) noexcept:
    """A new block of MIDDLE bytes or more, or NULL."""
    global current, start_
    cdef void* p = NULL
    if size >= HUGE:
        if posix_memalign(&p, HUGE_PAGE, size + 4096) != 0:
            return NULL
        mtb_huge_pages(p, size + 4096)
        start_ = (start_ + APART) & 4095
        return <char*> p + start_
    if current == NULL or current.used + size > CHUNK:
        if posix_memalign(&p, CHUNK, CHUNK) != 0:
            return NULL
        mtb_huge_pages(p, CHUNK)
        current = <chunk*> p
        current.used, current.live = 64, 0
    p = <char*> current + current.used
    current.used += size + APART
    current.live += 1
    return p


cdef void* fresh(size_t size) noexcept:
    """A new block of a class, or NULL."""
    cdef void* p = NULL
    if not exact and size >= MIDDLE and limit >= CHUNK:
        p = on_huge_pages(size)
    return p if p != NULL or posix_memalign(&p, 128, size) == 0 else NULL


cdef void retire(void* p, size_t size) noexcept:
    """Give a block of a class back to the system."""
    global current
    cdef chunk* home
    if not <uintptr_t> p & 64:
        free(p)
    elif size >= HUGE:
        free(<void*> (<uintptr_t> p & ~<uintptr_t> (HUGE_PAGE - 1)))
    else:
        home = <chunk*> (<uintptr_t> p & ~<uintptr_t> (CHUNK - 1))
        home.live -= 1
        if home.live:
            mtb_forget(<char*> p, size)
            return
        if home == current:
            current = NULL
        free(home)


cdef void* take(size_t n) except NULL:
    global cached, allocated, peak, requests, reused
    cdef size_t size
    cdef int index
    cdef void* p = NULL
    if n > <size_t> 1 << 46:
        raise MemoryError(f"cannot allocate {n} bytes")
    index = size_class(n, &size)
    requests += 1
    asked[index] = requests
    p = free_lists[index]
    if p != NULL:
        free_lists[index] = (<void**> p)[0]
        cached -= size
        reused += 1
    else:
        p = fresh(size)
        if p == NULL:
            empty_cache()
            p = fresh(size)
            if p == NULL:
                raise MemoryError(f"cannot allocate {n} bytes ({allocated} bytes are in use by tensors)")
    allocated += size
    if allocated > peak:
        peak = allocated
    return p


cdef void give(void* p, size_t n) noexcept:
    global cached, allocated
    cdef size_t size
    cdef int index = size_class(n, &size)
    allocated -= size
    if exact or not make_room(size):
        retire(p, size)
        return
    (<void**> p)[0] = free_lists[index]
    free_lists[index] = p
    cached += size


cdef void drop(int i) noexcept:
    """A block of a class goes back to the system."""
    global cached
    cdef void* p = free_lists[i]
    free_lists[i] = (<void**> p)[0]
    cached -= size_of_class(i)
    retire(p, size_of_class(i))


cdef bint make_room(size_t size) noexcept:
    """Drop blocks of sizes not among the last thousand requests: a program that goes on to others keeps those."""
    cdef int i, oldest
    while cached + size > limit:
        oldest = -1
        for i in range(CLASSES):
            if free_lists[i] != NULL and (oldest < 0 or asked[i] < asked[oldest]):
                oldest = i
        if oldest < 0 or requests - asked[oldest] < 1000:
            return False
        drop(oldest)
    return True


def empty_cache():
    """Give the memory that no tensor uses back to the operating system."""
    cdef int i
    for i in range(CLASSES):
        while free_lists[i] != NULL:
            drop(i)
    mtb_trim()


def memory_stats():
    """Bytes in use by tensors (now and at most), bytes kept for reuse and their limit, and how often a request was
    reused."""
    return {"allocated_bytes": allocated, "peak_bytes": peak, "cached_bytes": cached, "cache_limit_bytes": limit,
            "requests": requests, "reused": reused}


def reset_peak_memory_stats():
    """Let the peak start again from what is in use now."""
    global peak
    peak = allocated


def set_cache_limit(size_t nbytes):
    """Keep at most that many bytes for reuse."""
    global limit
    limit = nbytes
    if cached > limit:
        empty_cache()


def _start():
    cdef int i
    cdef int[10] sizes
    sizes[:] = [1, 1, 1, 2, 4, 8, 2, 2, 4, 8]
    for i in range(10):
        ITEMSIZE[i] = sizes[i]
    global K, CACHE
    CACHE = max(mtb_last_cache() or CACHE, <i64> 1 << 22)
    if mtb_watch_fork() != 0:
        raise MemoryError("cannot register the fork handler")
    name = os.environ.get("MTB_ISA")
    if name:
        set_level(name)
    else:
        K = mtb_best_level()
    set_num_threads(_default_threads())
    set_cache_limit(int(os.environ.get("MTB_CACHE_MB", "1024")) << 20)


_start()
