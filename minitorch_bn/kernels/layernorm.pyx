"""Layer and RMS normalization drivers: blocks of rows, and whose shares of the weight gradient are merged when."""
from libc.string cimport memset
from .runtime cimport K, ceil_div, give, run_tasks, take
from .norm cimport bytes_p, doubles_p, source

cdef extern from "mtb.h" nogil:
    ctypedef struct mtb_layernorm:
        void (*layer)(i64 rows, i64 n, const void* x, const void* weight, const void* bias, i64 period, i64 first_row,
                      double eps, int rms, void* y, double* mean, double* invstd) noexcept nogil
        void (*layer_backward)(i64 rows, i64 n, const void* x, const void* dy, const void* weight, i64 period,
                               i64 first_row, int rms, const double* mean, const double* invstd,
                               void* dx) noexcept nogil
        void (*layer_backward_weight)(i64 rows, i64 n, const void* x, const void* dy, i64 stride, const double* mean,
                                      const double* invstd, i64 stats_step, double* dweight,
                                      double* dbias) noexcept nogil

cdef enum:
    BLOCK = 16384      # elements of a task
    SLICE = 8          # rows whose dx and share of dweight are made together, while they are in cache


cdef struct Rows:
    const mtb_layernorm* kernels
    i64 size, rows, n, period, group, blocks
    source x, dy, weight, bias
    bytes_p y
    doubles_p mean, invstd, parts
    double eps
    bint rms


cdef void layer_task(void* plan, i64 i) noexcept nogil:
    cdef Rows* q = <Rows*> plan
    cdef i64 first = i * q.group
    cdef i64 offset = first * q.n * q.size
    q.kernels.layer(min(q.group, q.rows - first), q.n, q.x + offset, q.weight, q.bias, q.period, first, q.eps, q.rms,
                    q.y + offset, q.mean + first, q.invstd + first)


cdef void layer_backward_task(void* plan, i64 i) noexcept nogil:
    cdef Rows* q = <Rows*> plan
    cdef i64 first = i * q.group, offset = first * q.n * q.size
    q.kernels.layer_backward(min(q.group, q.rows - first), q.n, q.x + offset, q.dy + offset, q.weight, q.period, first,
                             q.rms, q.mean + first, q.invstd + first, q.y + offset)


cdef void layer_weight_task(void* plan, i64 i) noexcept nogil:
    """One block of the rows that share a row of weight: their share of dweight and dbias, and dx if period is 1."""
    cdef Rows* q = <Rows*> plan
    cdef i64 g = i // q.blocks, shared = q.rows // q.period, first = i % q.blocks * q.group, r, count, row, offset
    cdef double* parts = q.parts + 2 * i * q.n
    cdef i64 end = min(first + q.group, shared)
    memset(parts, 0, 2 * q.n * 8)
    for r from first <= r < end by SLICE:
        count = min(<i64> SLICE, end - r)
        row = r * q.period + g
        offset = row * q.n * q.size
        if q.period == 1 and q.y != NULL:
            q.kernels.layer_backward(count, q.n, q.x + offset, q.dy + offset, q.weight, 1, row, q.rms, q.mean + row,
                                     q.invstd + row, q.y + offset)
        q.kernels.layer_backward_weight(count, q.n, q.x + offset, q.dy + offset, q.period * q.n, q.mean + row,
                                        q.invstd + row, q.period, parts, parts + q.n)


cdef int layer(int real, i64 rows, i64 n, const void* x, const void* weight, const void* bias, i64 period, double eps,
               bint rms, void* y, double* mean, double* invstd) except -1:
    cdef Rows q
    memset(&q, 0, sizeof(Rows))
    q.kernels, q.size = <const mtb_layernorm*> K.layernorm[real], 8 if real else 4
    q.rows, q.n, q.period = rows, n, period
    q.x, q.weight, q.bias, q.y = <char*> x, <char*> weight, <char*> bias, <char*> y
    q.mean, q.invstd, q.eps, q.rms = mean, invstd, eps, rms
    q.group = max(<i64> 1, BLOCK // n)
    run_tasks(layer_task, &q, ceil_div(rows, q.group), 2 * rows * n)
    return 0


cdef int layer_backward(int real, i64 rows, i64 n, const void* x, const void* dy, const void* weight, i64 period,
                        bint rms, const double* mean, const double* invstd, void* dx, double* dweight,
                        double* dbias) except -1:
    cdef Rows q
    cdef i64 g, b, i, shared = rows // period
    cdef size_t bytes
    cdef double* part
    memset(&q, 0, sizeof(Rows))
    q.kernels, q.size = <const mtb_layernorm*> K.layernorm[real], 8 if real else 4
    q.rows, q.n, q.period = rows, n, period
    q.x, q.dy, q.weight, q.y = <char*> x, <char*> dy, <char*> weight, <char*> dx
    q.mean, q.invstd, q.rms = <double*> mean, <double*> invstd, rms
    if dx != NULL and (period > 1 or (dweight == NULL and dbias == NULL)):
        q.group = max(<i64> 1, BLOCK // n)
        run_tasks(layer_backward_task, &q, ceil_div(rows, q.group), 3 * rows * n)
    if dweight == NULL and dbias == NULL:
        return 0
    # blocks of 8 to 64 rows, more where there would be over 64 blocks
    q.group = max(min(max(2 * BLOCK // n, <i64> SLICE), <i64> 64), ceil_div(shared, 64))
    q.group = ceil_div(q.group, SLICE) * SLICE
    q.blocks = max(<i64> 1, ceil_div(shared, q.group))
    bytes = period * q.blocks * 2 * n * 8
    q.parts = <double*> take(bytes)
    try:
        run_tasks(layer_weight_task, &q, period * q.blocks, 4 * rows * n)
        for g in range(period):
            for b in range(q.blocks):
                part = q.parts + (g * q.blocks + b) * 2 * n
                for i in range(n):
                    if dweight != NULL:
                        dweight[g * n + i] = part[i] if b == 0 else dweight[g * n + i] + part[i]
                    if dbias != NULL:
                        dbias[g * n + i] = part[n + i] if b == 0 else dbias[g * n + i] + part[n + i]
    finally:
        give(q.parts, bytes)
    return 0
