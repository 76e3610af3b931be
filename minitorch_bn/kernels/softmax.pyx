"""Softmax drivers: groups of rows, or panels of columns, are independent tasks."""
from libc.string cimport memset
from .runtime cimport K, take, give
from .parallel cimport run_tasks, ceil_div

cdef extern from "mtb.h" nogil:
    enum:
        MTB_SOFTMAX_COLS
    ctypedef struct mtb_softmax:
        void (*rows)(i64 rows, i64 n, const void* x, int log, void* y) noexcept nogil
        void (*cols)(i64 n, i64 cols, const void* x, i64 stride, int log, void* y) noexcept nogil
        void (*backward_rows)(i64 rows, i64 n, const void* y, const void* dy, int log, void* dx) noexcept nogil
        void (*backward_cols)(i64 n, i64 cols, const void* y, const void* dy, i64 stride, int log,
                              void* dx) noexcept nogil
        void (*logsumexp_rows)(i64 rows, i64 n, const void* x, void* out) noexcept nogil
        void (*logsumexp_cols)(i64 n, i64 cols, const void* x, i64 stride, void* out) noexcept nogil
        void (*cross_entropy)(i64 rows, i64 n, const void* x, const i64* target, const void* weight, double weight_sum,
                              i64 ignore, double smoothing, void* loss, void* stats, double* total) noexcept nogil
        void (*cross_entropy_backward)(i64 rows, i64 n, const void* x, const i64* target, const void* weight,
                                       double weight_sum, i64 ignore, double smoothing, const void* stats,
                                       const void* dloss, i64 dloss_stride, double divisor, void* dx) noexcept nogil

cdef enum:
    GROUP = 8192       # elements of a group of rows
    EXP = 8            # an exponential, in element operations

ctypedef const char* source
ctypedef char* target_p

cdef struct Plan:
    const mtb_softmax* kernels
    i64 size, outer, n, inner, group, panels
    bint log
    source x, y, dy
    target_p out


cdef Plan make_plan(int real, i64 outer, i64 n, i64 inner) noexcept:
    cdef Plan q
    memset(&q, 0, sizeof(Plan))
    q.kernels, q.size = <const mtb_softmax*> K.softmax[real], 8 if real else 4
    q.outer, q.n, q.inner = outer, n, inner
    q.group = max(<i64> 1, GROUP // max(<i64> 1, n))
    if q.group > MTB_SOFTMAX_COLS:
        q.group -= q.group % MTB_SOFTMAX_COLS
    q.panels = ceil_div(inner, MTB_SOFTMAX_COLS)
    return q


cdef inline i64 count_tasks(Plan* q) noexcept:
    return ceil_div(q.outer, q.group) if q.inner == 1 else q.outer * q.panels


cdef inline i64 slab(Plan* q, i64 i, i64* cols) noexcept nogil:
    """The panel of columns of task i: the offset of its first element, and how many columns."""
    cdef i64 col = i % q.panels * MTB_SOFTMAX_COLS
    cols[0] = min(<i64> MTB_SOFTMAX_COLS, q.inner - col)
    return i // q.panels * q.n * q.inner + col


cdef void softmax_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 cols, at
    if q.inner == 1:
        at = i * q.group * q.n * q.size
        q.kernels.rows(min(q.group, q.outer - i * q.group), q.n, q.x + at, q.log, q.out + at)
    else:
        at = slab(q, i, &cols) * q.size
        q.kernels.cols(q.n, cols, q.x + at, q.inner, q.log, q.out + at)


cdef void backward_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 cols, at
    if q.inner == 1:
        at = i * q.group * q.n * q.size
        q.kernels.backward_rows(min(q.group, q.outer - i * q.group), q.n, q.y + at, q.dy + at, q.log, q.out + at)
    else:
        at = slab(q, i, &cols) * q.size
        q.kernels.backward_cols(q.n, cols, q.y + at, q.dy + at, q.inner, q.log, q.out + at)


cdef void logsumexp_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 cols, at
    if q.inner == 1:
        at = i * q.group
        q.kernels.logsumexp_rows(min(q.group, q.outer - at), q.n, q.x + at * q.n * q.size, q.out + at * q.size)
    else:
        at = slab(q, i, &cols)
        q.kernels.logsumexp_cols(q.n, cols, q.x + at * q.size, q.inner,
                                 q.out + (i // q.panels * q.inner + i % q.panels * MTB_SOFTMAX_COLS) * q.size)


cdef int softmax(int real, i64 outer, i64 n, i64 inner, const void* x, bint log, void* y) except -1:
    cdef Plan q = make_plan(real, outer, n, inner)
    q.x, q.log, q.out = <char*> x, log, <char*> y
    if outer * n * inner > 0:
        run_tasks(softmax_task, &q, count_tasks(&q), outer * n * inner * EXP)
    return 0


cdef int softmax_backward(int real, i64 outer, i64 n, i64 inner, const void* y, const void* dy, bint log,
                          void* dx) except -1:
    cdef Plan q = make_plan(real, outer, n, inner)
    q.y, q.dy, q.log, q.out = <char*> y, <char*> dy, log, <char*> dx
    if outer * n * inner > 0:
        run_tasks(backward_task, &q, count_tasks(&q), outer * n * inner * (EXP if log else 2))
    return 0


cdef int logsumexp(int real, i64 outer, i64 n, i64 inner, const void* x, void* out) except -1:
    cdef Plan q = make_plan(real, outer, n, inner)
    cdef i64 nothing = 0
    q.x, q.out = <char*> x if x != NULL else <char*> &nothing, <char*> out
    if outer * inner > 0:
        run_tasks(logsumexp_task, &q, count_tasks(&q), outer * max(<i64> 1, n) * inner * EXP)
    return 0


# ---- cross entropy -----------------------------------------------------------------------------------------------

cdef struct Loss:
    const mtb_softmax* kernels
    i64 size, rows, n, group, ignore, dloss_stride
    const i64* target
    source x, weight, dloss
    target_p loss, stats, dx
    double weight_sum, smoothing, divisor
    double* totals


cdef void cross_entropy_task(void* plan, i64 i) noexcept nogil:
    cdef Loss* q = <Loss*> plan
    cdef i64 r = i * q.group
    q.totals[2 * i] = q.totals[2 * i + 1] = 0
    q.kernels.cross_entropy(min(q.group, q.rows - r), q.n, q.x + r * q.n * q.size, q.target + r, q.weight, q.weight_sum,
                            q.ignore, q.smoothing, q.loss + r * q.size, q.stats + 2 * r * q.size, q.totals + 2 * i)


cdef void cross_entropy_backward_task(void* plan, i64 i) noexcept nogil:
    cdef Loss* q = <Loss*> plan
    cdef i64 r = i * q.group
    q.kernels.cross_entropy_backward(min(q.group, q.rows - r), q.n, q.x + r * q.n * q.size, q.target + r, q.weight,
                                     q.weight_sum, q.ignore, q.smoothing, q.stats + 2 * r * q.size,
                                     q.dloss + r * q.dloss_stride * q.size, q.dloss_stride, q.divisor,
                                     q.dx + r * q.n * q.size)


cdef Loss make_loss(int real, i64 rows, i64 n, const void* x, const i64* target, const void* weight, double weight_sum,
                    i64 ignore, double smoothing, void* stats) noexcept:
    cdef Loss q
    memset(&q, 0, sizeof(Loss))
    q.kernels, q.size, q.rows, q.n = <const mtb_softmax*> K.softmax[real], 8 if real else 4, rows, n
    q.group = max(<i64> 1, GROUP // max(<i64> 1, n))
    q.x, q.target, q.weight, q.stats = <char*> x, target, <char*> weight, <char*> stats
    q.weight_sum, q.ignore, q.smoothing = weight_sum, ignore, smoothing
    return q


cdef int cross_entropy(int real, i64 rows, i64 n, const void* x, const i64* target, const void* weight,
                       double weight_sum, i64 ignore, double smoothing, void* loss, void* stats,
                       double* total) except -1:
    cdef Loss q = make_loss(real, rows, n, x, target, weight, weight_sum, ignore, smoothing, stats)
    cdef i64 tasks = ceil_div(rows, q.group), i
    cdef size_t room = max(<i64> 1, tasks) * 16
    q.loss, q.totals = <char*> loss, <double*> take(room)
    try:
        run_tasks(cross_entropy_task, &q, tasks, rows * n * EXP)
        total[0] = total[1] = 0
        for i in range(tasks):
            total[0] += q.totals[2 * i]
            total[1] += q.totals[2 * i + 1]
    finally:
        give(q.totals, room)
    return 0


cdef int cross_entropy_backward(int real, i64 rows, i64 n, const void* x, const i64* target, const void* weight,
                                double weight_sum, i64 ignore, double smoothing, const void* stats,
                                const void* dloss, i64 dloss_stride, double divisor, void* dx) except -1:
    cdef Loss q = make_loss(real, rows, n, x, target, weight, weight_sum, ignore, smoothing, <void*> stats)
    q.dloss, q.dloss_stride, q.divisor, q.dx = <char*> dloss, dloss_stride, divisor, <char*> dx
    run_tasks(cross_entropy_backward_task, &q, ceil_div(rows, q.group), rows * n * EXP)
    return 0
