"""Matrix products: cuts C into blocks for the threads, and each block into K blocks, packed panels and register tiles.

The order of the additions behind one element of C (src_c/api/gemm.h) is the same on every path below, so neither the
blocking, nor the other rows and columns, nor the number of threads shows in the bits of a result.
"""
from cython.parallel cimport prange, threadid
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from minitorch_bn.kernels.parallel cimport run_tasks
from minitorch_bn.kernels.runtime cimport K, give, i64, spread, take, team

cdef enum:
    MC_BYTES = 384 << 10     # a packed block of A, MC x KC: well within a core's second-level cache
    FEW_ROWS = 48            # with so few rows, packing contiguous rows of B costs more than it saves
    FEW_COLUMNS = 64         # the same for A
    SMALL_A = 32 << 10       # bytes: A stays in the first-level cache as it is
    FEW_DOTS = 4             # so few elements of C are dot products
    SPAN = 64 * MTB_KC       # what one task takes of a dot product


cdef struct product:         # what every task of one call reads
    const mtb_gemm* kernel
    i64 size                 # bytes of an element
    i64 m, n, k, rsa, csa, rsb, csb, ldc
    const char* a
    const char* b
    char* c
    const char* bias
    bint accumulate, row_b, direct_b, packs_a
    i64 mc, nc, row_blocks, column_blocks
    i64 run                  # columns of a task that go through all of K together
    i64 panel_at             # where the panel of B starts in a thread's scratch, after the block of A
    i64 scratch              # bytes for one thread
    int ndim
    const i64* shape
    const i64* batch_a
    const i64* batch_b
    const i64* batch_c
    i64 spans                # of dot products
    char* sums               # of their K blocks


cdef inline i64 up(i64 x, i64 multiple) noexcept nogil:
    return (x + multiple - 1) // multiple * multiple


cdef void k_block(const product* q, i64 m, i64 n, i64 k, const char* a, const char* b, char* c, bint add,
                  const char* bias, char* scratch) noexcept nogil:
    """m by n of C and one K block."""
    cdef const mtb_gemm* kernel = q.kernel
    cdef i64 size = q.size, rsa = q.rsa, csa = q.csa, down = q.rsa, t, i, columns
    cdef i64 tiles = (m + kernel.mr - 1) // kernel.mr, step = (m + tiles - 1) // tiles   # rows shared out evenly
    cdef char* panel = scratch + q.panel_at
    if q.row_b:
        kernel.row(n, k, a, csa, b, q.csb, c, add, bias)
        return
    if q.packs_a:                                   # to panels of step rows
        for t in range(tiles):
            i = t * step
            kernel.pack(scratch + i * k * size, step, a + i * rsa * size, rsa, min(step, m - i), csa, k)
        a, down, rsa, csa = scratch, k, 1, step
    columns = n - n % kernel.vl if q.direct_b else 0    # B as it is, except columns that do not fill a vector
    if columns > 0:
        for t in range(tiles):
            i = t * step
            kernel.strip(min(step, m - i), columns, k, a + i * down * size, rsa, csa, b, q.rsb, c + i * q.ldc * size,
                         q.ldc, add, bias, NULL)
    while True:                                     # B by packed panels, each used at once by all rows
        n -= columns
        if n == 0:
            return
        b += columns * q.csb * size
        c += columns * size
        if bias != NULL:
            bias += columns * size
        columns = min(n, kernel.nr)
        kernel.pack(panel, kernel.nr, b, q.csb, columns, q.rsb, k)
        for t in range(tiles):
            i = t * step
            kernel.strip(min(step, m - i), columns, k, a + i * down * size, rsa, csa, panel, kernel.nr,
                         c + i * q.ldc * size, q.ldc, add, bias, NULL)


cdef void locate(const product* q, i64 batch, i64 i, i64 j, const char** a, const char** b, char** c) noexcept nogil:
    """Row i of A, column j of B and element (i, j) of C, of one matrix of the batch."""
    cdef i64 at_a = i * q.rsa, at_b = j * q.csb, at_c = i * q.ldc + j, d, at
    for d in range(q.ndim - 1, -1, -1):
        at = batch % q.shape[d]
        batch //= q.shape[d]
        at_a += at * q.batch_a[d]
        at_b += at * q.batch_b[d]
        at_c += at * q.batch_c[d]
    a[0], b[0], c[0] = q.a + at_a * q.size, q.b + at_b * q.size, q.c + at_c * q.size


cdef void dot_span(void* plan, i64 index) noexcept nogil:
    """The block sums of one span of one element of C."""
    cdef const product* q = <const product*> plan
    cdef i64 element = index // q.spans, from_ = index % q.spans * SPAN, at = element % (q.m * q.n)
    cdef const char* a
    cdef const char* b
    cdef char* c
    locate(q, element // (q.m * q.n), at // q.n, at % q.n, &a, &b, &c)
    q.kernel.dots(min(q.k - from_, <i64> SPAN), a + from_ * q.csa * q.size, q.csa, b + from_ * q.rsb * q.size, q.rsb,
                  q.sums + (element * q.spans * SPAN + from_) // MTB_KC * q.size)


cdef int few_dots(product* q, i64 matrices) except -1:
    """Very few elements of C, each a long dot product."""
    cdef i64 elements = matrices * q.m * q.n, e, at
    cdef size_t bytes
    cdef const char* a
    cdef const char* b
    cdef char* c
    q.spans = (q.k + SPAN - 1) // SPAN
    bytes = elements * q.spans * (SPAN // MTB_KC) * q.size
    q.sums = <char*> take(bytes)
    run_tasks(dot_span, q, elements * q.spans, elements * q.k // 4)
    for e in range(elements):
        at = e % (q.m * q.n)
        locate(q, e // (q.m * q.n), at // q.n, at % q.n, &a, &b, &c)
        q.kernel.total((q.k + MTB_KC - 1) // MTB_KC, q.sums + e * q.spans * (SPAN // MTB_KC) * q.size, c,
                       q.accumulate)
    give(q.sums, bytes)
    return 0


cdef void task(const product* q, i64 index, char* scratch) noexcept nogil:
    """One block of C of one matrix of the batch."""
    cdef const char* a
    cdef const char* b
    cdef char* c
    cdef i64 size = q.size, batch, j, p, kb
    batch = index // (q.row_blocks * q.column_blocks)
    index -= batch * (q.row_blocks * q.column_blocks)
    cdef i64 i0 = index // q.column_blocks * q.mc, j0 = index % q.column_blocks * q.nc
    cdef i64 m = min(q.mc, q.m - i0), n = min(q.nc, q.n - j0), columns
    cdef const char* bias
    locate(q, batch, i0, j0, &a, &b, &c)
    j = 0
    while j < n:
        columns = min(n - j, q.run)
        p = 0
        while True:                                 # K blocks; just one, and empty, if k = 0
            kb = min(q.k - p, <i64> MTB_KC)
            bias = q.bias + (j0 + j) * size if q.bias != NULL and p + kb == q.k else NULL
            k_block(q, m, columns, kb, a + p * q.csa * size, b + (p * q.rsb + j * q.csb) * size, c + j * size,
                    q.accumulate or p > 0, bias, scratch)
            p += kb
            if p == q.k:
                break
        j += columns


cdef void plan(product* q, i64 matrices, int threads) noexcept nogil:
    """Chooses what to pack and the block of C that is one task: free choices, no bit depends on them."""
    cdef const mtb_gemm* kernel = q.kernel
    cdef i64 kb = min(q.k, <i64> MTB_KC), row_unit = kernel.mr, column_unit = kernel.nr
    q.row_b = q.m == 1 and q.rsb == 1
    q.direct_b = q.csb == 1 and q.m <= FEW_ROWS and not q.row_b
    q.packs_a = q.n > FEW_COLUMNS and q.m * kb * q.size > SMALL_A
    if q.direct_b:                                  # long runs of each row of B
        column_unit *= 4
    q.mc = min(up(q.m, row_unit), MC_BYTES // (MTB_KC * q.size) // row_unit * row_unit)
    q.nc = up(q.n, column_unit)
    while True:
        q.row_blocks = (q.m + q.mc - 1) // q.mc
        q.column_blocks = (q.n + q.nc - 1) // q.nc
        if threads == 1 or matrices * q.row_blocks * q.column_blocks >= 4 * threads:
            break
        if q.nc > column_unit and (q.nc >= 2 * q.mc or q.mc <= 2 * row_unit):
            q.nc = up(q.nc // 2, column_unit)
        elif q.mc > row_unit:
            q.mc = up(q.mc // 2, row_unit)
        else:
            break
    q.run = q.nc if q.packs_a or q.direct_b else kernel.nr   # reads each column of B from end to end if it can
    q.panel_at = up(q.mc * kb + kernel.vl, 16) * q.size if q.packs_a else 0
    q.scratch = q.panel_at + up(kb * kernel.nr + kernel.vl, 16) * q.size


cdef int batched_gemm(int real, int ndim, const i64* shape, i64 m, i64 n, i64 k,
                      const void* a, const i64* batch_a, i64 rsa, i64 csa,
                      const void* b, const i64* batch_b, i64 rsb, i64 csb,
                      void* c, const i64* batch_c, i64 ldc, bint accumulate, const void* bias_n) except -1:
    cdef product q
    cdef i64 matrices = 1, tasks, i
    cdef int d, threads
    cdef char* scratch
    cdef char* bias = NULL
    cdef double work
    for d in range(ndim):
        matrices *= shape[d]
    if m == 0 or n == 0 or matrices == 0:
        return 0
    if k == 0:                                      # nothing to read: A and B may be NULL
        a, b = c, c
    q.kernel = <const mtb_gemm*> K.gemm[real]
    q.size = 8 if real else 4
    if n == 1 and ldc == 1 and m > 1:               # a column: the row of the transposed product
        n, m = m, 1
        a, b = b, a
        batch_a, batch_b = batch_b, batch_a
        rsa, csa, rsb, csb = csb, rsb, csa, rsa
        if bias_n != NULL:
            bias = <char*> take(n * q.size)
            for i in range(n):
                memcpy(bias + i * q.size, bias_n, q.size)
            bias_n = bias
    q.m, q.n, q.k, q.rsa, q.csa, q.rsb, q.csb, q.ldc = m, n, k, rsa, csa, rsb, csb, ldc
    q.a, q.b, q.c, q.bias = <const char*> a, <const char*> b, <char*> c, <const char*> bias_n
    q.accumulate, q.ndim, q.shape = accumulate, ndim, shape
    q.batch_a, q.batch_b, q.batch_c = batch_a, batch_b, batch_c
    if m * n <= FEW_DOTS and k >= 2 * MTB_KC and bias_n == NULL:
        return few_dots(&q, matrices)
    work = <double> m * n * k * matrices / 16       # multiply-adds are about that much cheaper than element operations
    threads = team(<i64> min(work, <double> (1 << 60)))
    plan(&q, matrices, threads)
    tasks = matrices * q.row_blocks * q.column_blocks
    try:
        scratch = <char*> take(q.scratch * threads)
        if threads > 1:
            for i in prange(tasks, num_threads=threads, schedule="dynamic", chunksize=1 + tasks // (16 * threads),
                            nogil=True):
                spread()
                task(&q, i, scratch + threadid() * q.scratch)
        elif work > 4096:
            with nogil:
                for i in range(tasks):
                    task(&q, i, scratch)
        else:
            for i in range(tasks):
                task(&q, i, scratch)
        give(scratch, q.scratch * threads)
    finally:
        if bias != NULL:
            give(bias, n * q.size)
    return 0


cdef int gemm(int real, i64 m, i64 n, i64 k, const void* a, i64 rsa, i64 csa, const void* b, i64 rsb, i64 csb,
              void* c, i64 ldc, bint accumulate, const void* bias_n) except -1:
    return batched_gemm(real, 0, NULL, m, n, k, a, NULL, rsa, csa, b, NULL, rsb, csb, c, NULL, ldc, accumulate, bias_n)


cdef void integer_row(i64 i, i64 n, i64 k, const i64* a, i64 rsa, i64 csa, const i64* b, i64 rsb, i64 csb,
                      i64* c, i64 ldc) noexcept nogil:
    cdef i64 j, p
    cdef uint64_t x
    cdef uint64_t* row = <uint64_t*> c + i * ldc
    for j in range(n):
        row[j] = 0
    for p in range(k):
        x = <uint64_t> a[i * rsa + p * csa]
        for j in range(n):
            row[j] += x * <uint64_t> b[p * rsb + j * csb]


cdef int integer_gemm(i64 m, i64 n, i64 k, const i64* a, i64 rsa, i64 csa, const i64* b, i64 rsb, i64 csb,
                      i64* c, i64 ldc) except -1:
    cdef i64 i
    cdef int threads = team(<i64> min(<double> m * n * k, <double> (1 << 60)))
    if threads > 1:
        for i in prange(m, num_threads=threads, schedule="static", nogil=True):
            spread()
            integer_row(i, n, k, a, rsa, csa, b, rsb, csb, c, ldc)
    else:
        for i in range(m):
            integer_row(i, n, k, a, rsa, csa, b, rsb, csb, c, ldc)
    return 0
