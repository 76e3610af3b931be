"""The caching allocator of tensors and scratch memory."""
from libc.stdint cimport uint64_t, uintptr_t
from libc.stdlib cimport free
from posix.stdlib cimport posix_memalign

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
