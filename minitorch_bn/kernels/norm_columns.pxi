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
        for i in range(c):                   # the first value of each channel, then of each column
            if q.data.half:
                K.convert.cast[q.data.half][MTB_f32](x0 + i * 4, q.x + i * q.repeat * 2, 1)
            else:
                memcpy(x0 + i * q.size, q.x + i * q.repeat * q.size, q.size)
        q.x0 = x0
        if q.cols != c:
            q.x0 = x0 + c * q.size
            q.kernels.spread(1, q.cols, x0, 0, q.repeat, c, q.x0, 0)
        run(moments_tile_task, q, q.chunks * q.panels, work)
        q.kernels.merge_cols(q.chunks, q.cols, q.s, c, q.repeat, s)
        if q.kernels.finish_moments(c, s, c, q.m, x0, q.mean, q.var, q.eps, q.invstd, q.unsure):
            q.exact = 1
            run(moments_tile_task, q, q.chunks * q.panels, work)
            q.kernels.merge_cols(q.chunks, q.cols, q.s, c, q.repeat, s)
            for i in range(c):
                if q.unsure[i]:
                    q.kernels.finish_moments(1, s + i, c, q.m, x0 + i * q.size, q.mean + i, q.var + i, q.eps,
                                             q.invstd + i if q.invstd != NULL else NULL, NULL)
    finally:
        give(x0, bytes)
    return 0


cdef void spread_params(Plan* q, i64 count, char* p) noexcept:
    """q.p (count, cols) from p (count, c); the same where a channel is one column."""
    if q.cols != q.view.c:
        q.kernels.spread(count, q.cols, p, q.view.c, q.repeat, q.view.c, q.p, q.cols)
