# A matrix times a vector: spans of K in 32 lanes, so that a sum is as fast as memory (a part of kernels/matmul.pyx).

cdef void span(const product* q, i64 index, char* scratch) noexcept nogil:
    """Some rows of A times one span of the vector."""
    cdef i64 p = index % q.spans * MTB_DOT_SPAN, batch = index // q.spans // q.row_blocks, size = q.size, r
    cdef i64 i = index // q.spans % q.row_blocks * q.mc, m = min(q.mc, q.m - i), k = min(q.k - p, <i64> MTB_DOT_SPAN)
    cdef corner at = locate(q, batch, i, 0)
    cdef char* y = at.c
    cdef const char* a = at.a + p * q.csa * size
    cdef const char* x = at.b + p * q.rsb * size
    if q.sums != NULL:
        y = q.sums + ((batch * q.spans + index % q.spans) * q.m + i) * size
    if q.rsb != 1:
        q.kernel.pack(scratch, 1, x, 1, 1, q.rsb, k)
        x, scratch = scratch, scratch + q.panels_at
    if q.a_in == RAW:
        q.kernel.dots(m, k, a, q.rsa, q.csa, x, y, scratch)
    else:
        for r in range(m):
            q.kernel.pack(scratch, 1, a + r * q.rsa * size, 1, 1, q.csa, k)
            q.kernel.dots(1, k, scratch, 0, 1, x, y + r * size, NULL)


cdef int times_vector(product* q, i64 matrices, int threads) except -1:
    cdef int phase
    cdef i64 e, i, tasks, unit = 4, most = 4 * threads
    cdef size_t sums_size = 0
    cdef corner at
    cdef char* memory
    cdef char* scratch
    q.spans = max(<i64> 1, parts(q.k, MTB_DOT_SPAN))
    q.a_in = RAW if q.csa == 1 or q.k == 1 or q.rsa == 1 and q.m > 1 else OWN
    if q.k == 1:                                    # then columns are contiguous only if said to be
        q.csa = 1
    if q.csa != 1 and q.a_in == RAW:
        unit = (16 if q.m > 16 * q.kernel.vl else 4) * q.kernel.vl
        if q.m * q.k * q.size > BEYOND_CACHE:       # long runs of a column
            most = threads
    q.mc = up(q.m, unit)
    while q.mc > unit and matrices * parts(q.m, q.mc) * q.spans < most:
        q.mc = up(q.mc // 2, unit)
    q.row_blocks = parts(q.m, q.mc)
    if q.mc == unit and matrices == 1 and q.row_blocks % threads:    # as many for each thread
        q.mc = up(parts(q.m, up(q.row_blocks, threads)), 2 * q.kernel.vl)
        q.row_blocks = parts(q.m, q.mc)
    q.panels_at = up((min(q.k, <i64> MTB_DOT_SPAN) + q.kernel.vl) * q.size, 64)
    q.scratch = 2 * q.panels_at if q.rsb != 1 or q.a_in == OWN else 0
    if q.csa != 1 and q.a_in == RAW:
        q.scratch = q.panels_at + 32 * min(up(q.mc * q.size, 128), <i64> MTB_DOT_RUN)
    tasks = matrices * q.row_blocks * q.spans
    if tasks == 1:
        threads = 1
    if q.spans > 1 or q.ldc != 1 or q.accumulate or q.bias != NULL:
        sums_size = up(matrices * q.spans * q.m * q.size, 64)
    memory = <char*> take(sums_size + q.scratch * threads)
    scratch = memory + sums_size
    q.sums = memory if sums_size else NULL          # where else than in C
    if threads > 1:
        phase = enter()
        for i in prange(tasks, num_threads=threads, schedule="static", nogil=True):
            spread()
            span(q, i, scratch + threadid() * q.scratch)
        leave(phase)
    else:
        for i in range(tasks):
            span(q, i, scratch)
    for e in range(matrices if sums_size else 0):
        at = locate(q, e, 0, 0)
        for i in range(1 if q.ldc == 1 else q.m):
            q.kernel.total(q.m if q.ldc == 1 else 1, q.spans, q.sums + (e * q.spans * q.m + i) * q.size, q.m,
                           at.c + i * q.ldc * q.size, q.accumulate, q.bias, 0)
    give(memory, sums_size + q.scratch * threads)
    return 0
