# Normalization by columns (part of norm.pyx): a task is a chunk of rows times a panel of columns.

cdef i64 tile(Plan* q, i64 i, i64* rows, i64* col, i64* cols) noexcept nogil:
    cdef i64 row = i // q.panels * DEEP
    rows[0] = min(<i64> DEEP, q.rows - row)
    col[0] = i % q.panels * WIDE
    cols[0] = min(<i64> WIDE, q.cols - col[0])
    return row * q.stride + col[0]


cdef void moments_tile_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 rows, col, cols, offset = tile(q, i, &rows, &col, &cols) * q.size
    cdef double* s = q.s + i // q.panels * 2 * q.cols + col
    memset(s, 0, cols * 8)
    memset(s + q.cols, 0, cols * 8)
    q.kernels.moments_cols(rows, cols, q.x + offset, q.stride, q.x0 + col * q.size, q.exact, s, q.cols)


cdef void apply_tile_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 rows, col, cols, offset = tile(q, i, &rows, &col, &cols) * q.size
    q.kernels.apply_cols(rows, cols, q.x + offset, at(q.residual, offset), q.stride, q.p + col * q.size, q.step, 0, 1,
                         q.relu, q.y + offset, q.past)
    written(q)


cdef void backward_sums_tile_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 rows, col, cols, offset = tile(q, i, &rows, &col, &cols) * q.size
    cdef double* s = q.s + i // q.panels * 2 * q.cols + col
    memset(s, 0, cols * 8)
    memset(s + q.cols, 0, cols * 8)
    q.kernels.backward_sums_cols(rows, cols, q.x + offset, q.dy + offset, at(q.z, offset), q.stride, q.p + col * q.size,
                                 q.step, q.mask, s, q.cols)


cdef void backward_tile_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 rows, col, cols, offset = tile(q, i, &rows, &col, &cols) * q.size
    q.kernels.backward_cols(rows, cols, q.x + offset, q.dy + offset, at(q.z, offset), q.stride, q.p + col * q.size,
                            q.step, 0, 1, q.mask, q.frozen, q.dx + offset, <void*> at(q.dresidual, offset), q.past)
    written(q)


cdef void merge_columns(Plan* q, double* s) noexcept nogil:
    """s (2, c) = the sums (chunks, 2, cols) of q, chunk after chunk, of the columns of each channel."""
    cdef i64 k, j, i, _, c = q.view.c
    cdef double* part
    cdef double* sums
    memset(s, 0, 2 * c * 8)
    for k in range(2 * q.chunks):
        part, sums, j = q.s + k * q.cols, s + k % 2 * c, 0
        while j < q.cols:
            for i in range(c):
                for _ in range(q.repeat):
                    sums[i] += part[j]
                    j += 1


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
        merge_columns(q, s)
        if q.kernels.finish_moments(c, s, c, q.m, x0, q.mean, q.var, q.unsure):
            q.exact = 1
            run_tasks(moments_tile_task, q, q.chunks * q.panels, work)
            merge_columns(q, s)
            for i in range(c):
                if q.unsure[i]:
                    q.kernels.finish_moments(1, s + i, c, q.m, x0 + i * q.size, q.mean + i, q.var + i, NULL)
    finally:
        give(x0, bytes)
    return 0


cdef void spread_params(Plan* q, i64 count, char* p) noexcept:
    """q.p (count, cols) from p (count, c); the same where a channel is one column."""
    if q.cols != q.view.c:
        q.kernels.spread(count, q.cols, p, q.view.c, q.repeat, q.view.c, q.p, q.cols)
