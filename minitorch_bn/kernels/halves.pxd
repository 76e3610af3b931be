# Data of a half type for kernels of float32: a task turns a block of it to floats in scratch memory, and back.
from .runtime cimport K, MTB_f32, give, i64, take, task, team

cdef struct Store:
    int half               # the dtype, if it is a half type
    i64 size               # bytes of an element
    i64 block              # floats in each of a task's three blocks
    int threads
    char* rooms            # of the threads
    char* room             # of this task's thread
    task body              # the task


cdef inline i64 store(Store* d, int real, i64 block, i64 work) noexcept:
    """real: 0 float32, 1 float64, -1, -2 half types. The bytes of scratch memory of all threads."""
    d.half, d.size, d.block, d.threads = 0, 8 if real > 0 else 4, block, 1
    if real >= 0:
        return 0
    d.half, d.size, d.threads = MTB_f32 + real, 2, team(work)
    return d.threads * 12 * block


cdef inline char* values(const Store* d, const char* p, i64 offset, i64 runs, i64 n, i64 stride,
                         int slot) noexcept nogil:
    """`runs` runs of n values, `stride` apart, from an offset in elements: where they lie, or as floats, one after the
    other. NULL of NULL."""
    cdef i64 r
    cdef char* q = d.room + slot * d.block * 4
    if p == NULL or not d.half:
        return <char*> p + offset * d.size if p != NULL else NULL
    if stride == n:
        runs, n = 1, runs * n
    for r in range(runs):
        K.convert.cast[d.half][MTB_f32](q + r * n * 4, p + (offset + r * stride) * 2, n)
    return q


cdef inline char* place(const Store* d, char* p, i64 offset, int slot) noexcept nogil:
    """Where a kernel writes results."""
    return d.room + slot * d.block * 4 if d.half else p + offset * d.size


cdef inline void settle(const Store* d, char* p, i64 offset, i64 runs, i64 n, i64 stride, int slot) noexcept nogil:
    """From there to where they belong."""
    cdef i64 r
    if d.half:
        if stride == n:
            runs, n = 1, runs * n
        for r in range(runs):
            K.convert.cast[MTB_f32][d.half](p + (offset + r * stride) * 2, d.room + (slot * d.block + r * n) * 4, n)
