"""The driver of batch norm's second derivative: five sums of each channel in one pass, both gradients in another."""
from libc.string cimport memset

from .norm cimport MTB_MASK_NONE, MTB_TWICE_PARAMS, Channels, Plan, prepare, spread_params, tile
from .parts cimport block
from .runtime cimport give, i64, run_tasks, take


cdef void twice_sums(Plan* q, bint columns, i64 rows, i64 n, i64 offset, i64 c, double* s, i64 step) noexcept nogil:
    """The five sums s[0], s[step], ... of a block of a channel, or of a tile of columns; what is read again is in
    cache. The last takes dy for x - mean: its parameters are zeros, kept behind those of q."""
    cdef const void* zeros = q.p + MTB_TWICE_PARAMS * q.step * q.size
    cdef double[2] part
    if columns:
        q.kernels.backward_sums_cols(rows, n, q.x + offset, q.dy + offset, NULL, q.stride, q.p + c * q.size, q.step,
                                     MTB_MASK_NONE, NULL, s, step)
        q.kernels.backward_sums_cols(rows, n, q.x + offset, q.u + offset, NULL, q.stride, q.p + c * q.size, q.step,
                                     MTB_MASK_NONE, NULL, s + 2 * step, step)
        q.kernels.backward_sums_cols(rows, n, q.dy + offset, q.u + offset, NULL, q.stride, zeros, q.step,
                                     MTB_MASK_NONE, NULL, s + 4 * step, step)
        return
    q.kernels.backward_sums_runs(1, 0, rows, n, q.x + offset, q.dy + offset, NULL, NULL, q.view.stride_n,
                                 q.p + c * q.size, q.step, MTB_MASK_NONE, NULL, s)
    q.kernels.backward_sums_runs(1, 0, rows, n, q.x + offset, q.u + offset, NULL, NULL, q.view.stride_n,
                                 q.p + c * q.size, q.step, MTB_MASK_NONE, NULL, s + 2)
    part[0] = part[1] = 0
    q.kernels.backward_sums_runs(1, 0, rows, n, q.dy + offset, q.u + offset, NULL, NULL, q.view.stride_n, zeros, q.step,
                                 MTB_MASK_NONE, NULL, part)
    s[4] += part[1]


cdef void twice_sums_task(void* plan, i64 i) noexcept nogil:
    """Six doubles for each block of runs, the last unused; six rows of cols for each chunk, the fifth unused."""
    cdef Plan* q = <Plan*> plan
    cdef i64 rows, col, cols, offset, k
    cdef double* s
    if q.view.columns:
        offset = tile(q, i, &rows, &col, &cols) * q.size
        s = q.s + i // q.panels * 6 * q.cols + col
        for k in range(6):
            memset(s + k * q.cols, 0, min(q.width, q.cols - col) * 8)
        twice_sums(q, True, rows, cols, offset, col, s, q.cols)
        return
    block(q.view.n, q.view.s, q.view.stride_n, i % q.blocks, &offset, &rows, &cols)
    s = q.s + 6 * i
    memset(s, 0, 48)
    twice_sums(q, False, rows, cols, (i // q.blocks * q.view.stride_c + offset) * q.size, i // q.blocks, s, 1)


cdef void twice_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 rows, col, cols, offset
    if q.view.columns:
        offset = tile(q, i, &rows, &col, &cols) * q.size
        q.kernels.twice_cols(rows, cols, q.x + offset, q.dy + offset, q.u + offset, q.stride, q.p + col * q.size,
                             q.step, q.ddy + offset, q.dx + offset)
        return
    block(q.view.n, q.view.s, q.view.stride_n, i % q.blocks, &offset, &rows, &cols)
    offset = (i // q.blocks * q.view.stride_c + offset) * q.size
    q.kernels.twice_runs(rows, cols, q.x + offset, q.dy + offset, q.u + offset, q.view.stride_n,
                         q.p + i // q.blocks * q.size, q.step, q.ddy + offset, q.dx + offset)


cdef int normalize_twice(int real, const Channels* view, const void* x, const void* dy, const void* u, const void* a,
                         const void* b, const void* weight, const double* mean, const double* invstd, void* ddy,
                         void* dx, void* dweight) except -1:
    cdef Plan q
    cdef i64 c = view.c, i, j, k, work = view.n * c * view.s, room, count
    cdef double* s
    cdef char* p
    cdef size_t bytes
    prepare(&q, real, view)
    q.x, q.dy, q.u, q.ddy, q.dx = <char*> x, <char*> dy, <char*> u, <char*> ddy, <char*> dx
    count = q.chunks * q.panels if q.view.columns else c * q.blocks
    room = 5 * c + 6 * (q.chunks * q.cols if q.view.columns else c * q.blocks)
    bytes = room * 8 + (MTB_TWICE_PARAMS * (c + q.cols) + 6 * max(c, q.cols)) * q.size
    s = <double*> take(bytes)
    try:
        p = q.p = <char*> (s + room)
        memset(p, 0, bytes - room * 8)
        q.s = s + 5 * c
        q.kernels.affine(c, mean, invstd, 1, weight, NULL, c, p, c)
        if q.view.columns and q.cols != c:
            q.p = p + MTB_TWICE_PARAMS * c * q.size
            spread_params(&q, 2, p)
        run_tasks(twice_sums_task, &q, count, 3 * work)
        memset(s, 0, 5 * c * 8)
        if q.view.columns:
            for k in range(q.chunks):
                for i in range(5):
                    for j in range(q.cols):
                        s[i * c + j // q.repeat % c] += q.s[(6 * k + (5 if i == 4 else i)) * q.cols + j]
        else:
            for j in range(c * q.blocks):
                for i in range(5):
                    s[i * c + j // q.blocks] += q.s[6 * j + i]
        q.kernels.twice_affine(c, s, q.m, mean, invstd, weight, a, b, p, c, dweight)
        if q.view.columns:
            spread_params(&q, MTB_TWICE_PARAMS, p)
        run_tasks(twice_task, &q, count, work)
    finally:
        give(s, bytes)
    return 0
