# Normalization by columns: a task is a tile, some rows of a panel of columns (part of norm.pyx).

cdef i64 tile(Plan* q, i64 i, i64* rows, i64* col, i64* cols) noexcept nogil:
    cdef i64 row = (i // q.panels - (q.left > 0)) * q.deep
    col[0] = i % q.panels * q.width
    rows[0], cols[0] = min(q.deep, q.rows - row), min(q.width, q.cols - col[0])
    if row < 0:                              # the first tile is what is left at the end, less than a row
        row, rows[0], cols[0] = q.rows, 1, max(<i64> 0, min(q.width, q.left - col[0]))
    return row * q.stride + col[0]


cdef double* no_sums(Plan* q, i64 i) noexcept nogil:
    """The two rows of sums of tile i, cleared."""
    cdef i64 col = i % q.panels * q.width, bytes = min(q.width, q.cols - col) * 8
    cdef double* s = q.s + i // q.panels * 2 * q.cols + col
    memset(s, 0, bytes)
    memset(s + q.cols, 0, bytes)
    return s


cdef void moments_tile_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 rows, col, cols, offset = tile(q, i, &rows, &col, &cols) * q.size
    q.kernels.moments_cols(rows, cols, q.x + offset, q.stride, q.x0 + col * q.size, q.exact, no_sums(q, i), q.cols)


cdef void apply_tile_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 rows, col, cols, offset = tile(q, i, &rows, &col, &cols) * q.size
    q.kernels.apply_cols(rows, cols, q.x + offset, at(q.residual, offset), q.stride, q.p + col * q.size, q.step, 0, 1,
                         q.relu, q.y + offset, q.past)
    written(q)


cdef void backward_sums_tile_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 rows, col, cols, offset = tile(q, i, &rows, &col, &cols) * q.size
    q.kernels.backward_sums_cols(rows, cols, q.x + offset, q.dy + offset, at(q.z, offset), q.stride, q.p + col * q.size,
                                 q.step, q.mask, <void*> at(q.dresidual, offset), no_sums(q, i), q.cols)


cdef void backward_tile_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 rows, col, cols, offset = tile(q, i, &rows, &col, &cols) * q.size
    q.kernels.backward_cols(rows, cols, q.x + offset, q.g + offset, q.stride, q.p + col * q.size, q.step, 0, 1, q.mask,
                            q.frozen, q.dx + offset, q.past)
    written(q)


cdef int column_statistics(Plan* q, double* s) except -1:
    """mean and var by columns; s: room for the sums of the channels (2, c), then of the tiles."""
    cdef i64 c = q.view.c, i, work = q.rows * q.cols
    cdef size_t bytes = (c + q.cols) * q.size + c
    cdef char* x0 = <char*> take(bytes)
    try:
        q.unsure, q.s = x0 + (c + q.cols) * q.size, s + 2 * c
        for i in range(c if q.repeat > 1 else 0):    # the first value of each channel, then of each column
            memcpy(x0 + i * q.size, q.x + i * q.repeat * q.size, q.size)
        if q.repeat == 1:
            memcpy(x0, q.x, c * q.size)
        q.x0 = x0
        if q.cols != c:
            q.x0 = x0 + c * q.size
            q.kernels.spread(1, q.cols, x0, 0, q.repeat, c, q.x0, 0)
        run_tasks(moments_tile_task, q, q.chunks * q.panels, work)
        q.kernels.merge_cols(q.chunks, q.cols, q.s, c, q.repeat, s)
        if q.kernels.finish_moments(c, s, c, q.m, x0, q.mean, q.var, q.unsure):
            q.exact = 1
            run_tasks(moments_tile_task, q, q.chunks * q.panels, work)
            q.kernels.merge_cols(q.chunks, q.cols, q.s, c, q.repeat, s)
            for i in range(c):
                if q.unsure[i]:
                    q.kernels.finish_moments(1, s + i, c, q.m, x0 + i * q.size, q.mean + i, q.var + i, NULL)
    finally:
        give(x0, bytes)
    return 0


# Where x is small, a task is some channels, from their first sum to the last result: sums and parameters that one thread
# wrote another would read many times slower. Sums are added in the order of those of tiles.

cdef inline i64 strips(Plan* q, i64 work) noexcept:
    """How many tasks that makes, one for each thread; 0 if it is not done."""
    if (q.repeat > 1 or q.view.c < 2 * STRIP or q.view.per > 1 or q.view.period != q.view.c
            or work * q.size > 2 * OWN_CACHE):
        return 0
    q.width = ceil_div(ceil_div(q.view.c, team(work)), STRIP) * STRIP
    return ceil_div(q.view.c, q.width)


cdef inline i64 strip_tile(const Plan* q, i64 chunk, i64 j, i64* rows) noexcept nogil:
    """Rows of a chunk, and the offset of column j there."""
    cdef i64 row = (chunk - (q.left > 0)) * q.deep
    rows[0] = min(q.deep, q.rows - row)
    if row < 0:
        row, rows[0] = q.rows, j < q.left
    return row * q.stride + j


cdef double* strip_sums(Plan* q, i64 first, i64 n, bint backward, int exact, const char* p) noexcept nogil:
    """The two sums of n channels (2, n)."""
    cdef i64 copies = q.cols // q.view.c, chunk, k, rows, offset
    cdef double* sums = q.s + 2 * first
    cdef double* parts = q.s + 2 * (q.view.c + q.chunks * copies * first)
    cdef double* s
    memset(parts, 0, 16 * q.chunks * copies * n)
    for chunk in range(q.chunks):
        for k in range(copies):
            offset = strip_tile(q, chunk, k * q.view.c + first, &rows) * q.size
            s = parts + (2 * chunk * copies + k) * n
            if backward:
                q.kernels.backward_sums_cols(rows, n, q.x + offset, q.dy + offset, at(q.z, offset), q.stride, p, n,
                                             q.mask, <void*> at(q.dresidual, offset), s, copies * n)
            else:
                q.kernels.moments_cols(rows, n, q.x + offset, q.stride, q.x + first * q.size, exact, s, copies * n)
    q.kernels.merge_cols(q.chunks, copies * n, parts, n, 1, sums)
    return sums


cdef void strip_map(Plan* q, i64 first, i64 n, bint backward, const char* p) noexcept nogil:
    cdef i64 chunk, k, rows, offset
    for chunk in range(q.chunks - 1, -1, -1):
        for k in range(q.cols // q.view.c):
            offset = strip_tile(q, chunk, k * q.view.c + first, &rows) * q.size
            if backward:
                q.kernels.backward_cols(rows, n, q.x + offset, q.g + offset, q.stride, p, n, 0, 1, q.mask, q.frozen,
                                        q.dx + offset, False)
            else:
                q.kernels.apply_cols(rows, n, q.x + offset, at(q.residual, offset), q.stride, p, n, 0, 1, q.relu,
                                     q.y + offset, False)


cdef void normalize_strip_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 first = i * q.width, n = min(q.width, q.view.c - first), w = first * q.size, k
    cdef char* unsure = q.unsure + first
    cdef char* p = q.p + MTB_NORM_K0 * w
    cdef double* s = strip_sums(q, first, n, False, 0, NULL)
    if q.kernels.finish_moments(n, s, n, q.m, q.x + w, q.mean + first, q.var + first, unsure):
        strip_sums(q, first, n, False, 1, NULL)
        for k in range(n):
            if unsure[k]:
                q.kernels.finish_moments(1, s + k, n, q.m, q.x + w + k * q.size, q.mean + first + k, q.var + first + k,
                                         NULL)
    if q.y == NULL:
        return
    for k in range(first, first + n):
        q.invstd[k] = 1 / sqrt(q.var[k] + q.eps)
    q.kernels.affine(n, q.mean + first, q.invstd + first, 1, at(q.weight, w), at(q.bias, w), n, p, n)
    strip_map(q, first, n, False, p)


cdef void backward_strip_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 first = i * q.width, n = min(q.width, q.view.c - first), w = first * q.size
    cdef char* p = q.p + MTB_NORM_PARAMS * w
    q.kernels.affine(n, q.mean + first, q.invstd + first, 1, at(q.weight, w), at(q.bias, w), n, p, n)
    q.kernels.backward_affine(n, strip_sums(q, first, n, True, 0, p), n, q.m, q.invstd + first, 1, at(q.weight, w), n,
                              p, n, <void*> at(q.dweight, w), <void*> at(q.dbias, w))
    strip_map(q, first, n, True, p)


cdef void spread_params(Plan* q, i64 count, char* p) noexcept:
    """q.p (count, cols) from p (count, c); the same where a channel is one column."""
    if q.cols != q.view.c:
        q.kernels.spread(count, q.cols, p, q.view.c, q.repeat, q.view.c, q.p, q.cols)
