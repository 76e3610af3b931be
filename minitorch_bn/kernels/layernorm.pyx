"""Layer and RMS normalization drivers: blocks of rows, and whose shares of the weight gradient are merged when."""
from libc.string cimport memcpy, memset
from .halves cimport Store, place, settle, store, values
from .runtime cimport K, ceil_div, give, run_tasks, share_tasks, take, task
from .norm cimport bytes_p, doubles_p, mtb_norm, source

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
    Store data                           # x, dy, y: half types are computed with in float32
    i64 rows, n, period, group, blocks, slice, room
    source x, dy, weight, bias
    bytes_p y
    doubles_p mean, invstd, parts
    double eps
    bint rms


cdef void layer_task(void* plan, i64 i) noexcept nogil:
    cdef Rows* q = <Rows*> plan
    cdef i64 first = i * q.group, offset = first * q.n, count = min(q.group, q.rows - first)
    q.kernels.layer(count, q.n, values(&q.data, q.x, offset, 1, count * q.n, 0, 0), q.weight, q.bias, q.period, first,
                    q.eps, q.rms, place(&q.data, q.y, offset, 1), q.mean + first, q.invstd + first)
    settle(&q.data, q.y, offset, 1, count * q.n, 0, 1)


cdef void backward_rows(Rows* q, i64 first, i64 count, const char* x, const char* dy) noexcept nogil:
    cdef i64 offset = first * q.n
    q.kernels.layer_backward(count, q.n, x, dy, q.weight, q.period, first, q.rms, q.mean + first, q.invstd + first,
                             place(&q.data, q.y, offset, 2))
    settle(&q.data, q.y, offset, 1, count * q.n, 0, 2)


cdef void layer_backward_task(void* plan, i64 i) noexcept nogil:
    cdef Rows* q = <Rows*> plan
    cdef i64 first = i * q.group, offset = first * q.n, count = min(q.group, q.rows - first)
    backward_rows(q, first, count, values(&q.data, q.x, offset, 1, count * q.n, 0, 0),
                  values(&q.data, q.dy, offset, 1, count * q.n, 0, 1))


cdef void layer_weight_task(void* plan, i64 i) noexcept nogil:
    """One block of the rows that share a row of weight: their share of dweight and dbias, and dx if period is 1."""
    cdef Rows* q = <Rows*> plan
    cdef i64 g = i // q.blocks, shared = q.rows // q.period, first = i % q.blocks * q.group, r, count, row
    cdef const char* x
    cdef const char* dy
    cdef double* parts = q.parts + 2 * i * q.n
    cdef i64 end = min(first + q.group, shared)
    memset(parts, 0, 2 * q.n * 8)
    for r from first <= r < end by q.slice:
        count = min(q.slice, end - r)
        row = r * q.period + g
        x = values(&q.data, q.x, row * q.n, 1, count * q.n, 0, 0)
        dy = values(&q.data, q.dy, row * q.n, 1, count * q.n, 0, 1)
        if q.period == 1 and q.y != NULL:
            backward_rows(q, row, count, x, dy)
        q.kernels.layer_backward_weight(count, q.n, x, dy, q.period * q.n, q.mean + row, q.invstd + row, q.period,
                                        parts, parts + q.n)


cdef i64 prepare(Rows* q, int real, i64 rows, i64 n, i64 work) noexcept:
    """The bytes of scratch that a half type needs."""
    memset(q, 0, sizeof(Rows))
    q.kernels, q.rows, q.n = <const mtb_layernorm*> K.layernorm[real > 0], rows, n
    q.slice = 1 if real < 0 and n > BLOCK // SLICE else SLICE
    q.room = store(&q.data, real, max(<i64> BLOCK, n), work)
    return q.room


cdef void half_task(const void* plan, i64 i, char* room) noexcept nogil:
    cdef Rows q = (<Rows*> plan)[0]
    q.data.room = room
    q.data.body(&q, i)


cdef void run(task body, Rows* q, i64 count, i64 work) noexcept:
    q.data.body = body
    if q.data.half:
        share_tasks(half_task, q, count, q.data.threads, q.data.rooms, q.room // q.data.threads)
    else:
        run_tasks(body, q, count, work)


cdef int layer(int real, i64 rows, i64 n, const void* x, const void* weight, const void* bias, i64 period, double eps,
               bint rms, void* y, double* mean, double* invstd) except -1:
    cdef Rows q
    cdef i64 bytes = prepare(&q, real, rows, n, 2 * rows * n)
    q.period = period
    q.x, q.weight, q.bias, q.y = <char*> x, <char*> weight, <char*> bias, <char*> y
    q.mean, q.invstd, q.eps, q.rms = mean, invstd, eps, rms
    q.group = max(<i64> 1, BLOCK // n)
    if bytes:
        q.data.rooms = <char*> take(bytes)
    run(layer_task, &q, ceil_div(rows, q.group), 2 * rows * n)
    if bytes:
        give(q.data.rooms, bytes)
    return 0


cdef int layer_backward(int real, i64 rows, i64 n, const void* x, const void* dy, const void* weight, i64 period,
                        bint rms, const double* mean, const double* invstd, void* dx, double* dweight,
                        double* dbias) except -1:
    cdef Rows q
    cdef bint params = dweight != NULL or dbias != NULL
    cdef i64 g, shared = rows // period, room = prepare(&q, real, rows, n, 4 * rows * n), bytes
    cdef double* sums
    q.period = period
    q.x, q.dy, q.weight, q.y = <char*> x, <char*> dy, <char*> weight, <char*> dx
    q.mean, q.invstd, q.rms = <double*> mean, <double*> invstd, rms
    # blocks of 8 to 64 rows, more where there would be over 64 blocks
    q.group = max(min(max(2 * BLOCK // n, <i64> SLICE), <i64> 64), ceil_div(shared, 64))
    q.group = ceil_div(q.group, SLICE) * SLICE
    q.blocks = max(<i64> 1, ceil_div(shared, q.group)) if params else 0
    bytes = (period * q.blocks + 1) * 2 * n * 8 + room
    q.parts = sums = <double*> take(bytes)
    try:
        q.parts += 2 * n
        q.data.rooms = <char*> (q.parts + period * q.blocks * 2 * n)
        if params:
            run(layer_weight_task, &q, period * q.blocks, 4 * rows * n)
        for g in range(period if params else 0):
            (<const mtb_norm*> K.norm[1]).merge_cols(q.blocks, n, q.parts + g * q.blocks * 2 * n, n, 1, sums)
            if dweight != NULL:
                memcpy(dweight + g * n, sums, n * 8)
            if dbias != NULL:
                memcpy(dbias + g * n, sums + n, n * 8)
        if dx != NULL and (period > 1 or not params):
            q.group = max(<i64> 1, BLOCK // n)
            run(layer_backward_task, &q, ceil_div(rows, q.group), 3 * rows * n)
    finally:
        give(sums, bytes)
    return 0
