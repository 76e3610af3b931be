"""Reduction drivers: any set of axes becomes a few (outer, n, inner) steps, and a step tasks of constant size."""
from .runtime cimport K, take, give, ITEMSIZE, MTB_i64, MTB_f32, MTB_f64
from .parallel cimport run_tasks, ceil_div

ctypedef void (*sum_kernel)(i64 count, i64 n, const void* x, i64 stride, void* acc) noexcept nogil
ctypedef void (*extreme_kernel)(i64 count, i64 n, const void* x, i64 stride, void* value, i64* index) noexcept nogil

cdef extern from "mtb.h" nogil:
    ctypedef struct mtb_reduce:
        sum_kernel sum_rows[5]
        sum_kernel sum_cols[5]
        void (*round)(i64 n, const void* acc, double divisor, int root, void* out) noexcept nogil
        extreme_kernel extreme_rows[2]
        extreme_kernel extreme_cols[2]
        void (*cumulate[3])(i64 rows, i64 n, const void* x, i64 x_row, i64 x_step, void* y, i64 y_row,
                            i64 y_step) noexcept nogil
        void (*cumulate_extreme[2])(i64 rows, i64 n, const void* x, i64 x_row, i64 x_step, void* value, i64* index,
                                    i64 y_row, i64 y_step) noexcept nogil

# The order of additions follows from these constants and the shape alone.
cdef enum:
    RUN = 16384        # elements of a contiguous run that one task reduces
    DEEP = 1024        # elements of a column that one task reduces
    WIDE = 512         # results that one kernel call makes: its accumulators stay in L1
    MAX_NDIM = 8


cdef inline const mtb_reduce* table(int dtype) noexcept nogil:
    return <const mtb_reduce*> K.reduce[dtype]


# ---- one step: (outer, n, inner) -> (outer, chunks, inner) -------------------------------------------------------

cdef struct Step:
    const mtb_reduce* kernels
    const mtb_reduce* rounding           # of the dtype of the result: partial sums are double or int64
    int op
    bint last, root                      # the last step of a sum rounds its results
    double divisor
    i64 size, out_size                   # bytes of an element of x, and of out
    i64 outer, n, inner
    i64 chunk, chunks, panels, group     # elements of a chunk of n; panels of inner; outer slices of a task if small
    const char* x
    char* out
    i64* index                           # of an extreme along the whole axis, or NULL
    const i64* before                    # where x comes from, if x are partial results with index


cdef i64 cut(Step* s) noexcept nogil:
    """Cut into tasks, each a chunk of n times a panel of columns, or a group of small outer slices; how many tasks."""
    s.chunk = DEEP if s.inner > 1 else RUN if s.n <= RUN else RUN // 2
    s.chunks = max(<i64> 1, ceil_div(s.n, s.chunk))
    s.panels = ceil_div(s.inner, WIDE)
    s.group = max(<i64> 1, RUN // max(<i64> 1, s.n * s.inner)) if s.chunks == 1 else 1
    return ceil_div(s.outer, s.group) * s.chunks * s.panels


cdef void sum_task(void* plan, i64 i) noexcept nogil:
    cdef Step* s = <Step*> plan
    cdef i64 col = i % s.panels * WIDE, cols = min(<i64> WIDE, s.inner - col)
    cdef i64 chunk = i // s.panels % s.chunks, n = min(s.chunk, s.n - chunk * s.chunk)
    cdef i64 o = i // (s.panels * s.chunks) * s.group, end = min(o + s.group, s.outer), rows = 1, at
    cdef double[WIDE] sums
    cdef char* acc
    cdef const char* x
    while o < end:
        x = s.x + ((o * s.n + chunk * s.chunk) * s.inner + col) * s.size
        at = (o * s.chunks + chunk) * s.inner + col
        acc = <char*> sums if s.last else s.out + at * 8
        if s.inner == 1:
            rows = min(<i64> WIDE, end - o)
            s.kernels.sum_rows[s.op](rows, n, x, s.n, acc)
            cols = rows
        else:
            s.kernels.sum_cols[s.op](n, cols, x, s.inner, acc)
        if s.last:
            s.rounding.round(cols, acc, s.divisor, s.root, s.out + at * s.out_size)
        o += rows


cdef void extreme_task(void* plan, i64 i) noexcept nogil:
    cdef Step* s = <Step*> plan
    cdef i64 col = i % s.panels * WIDE, cols = min(<i64> WIDE, s.inner - col)
    cdef i64 chunk = i // s.panels % s.chunks, n = min(s.chunk, s.n - chunk * s.chunk)
    cdef i64 o = i // (s.panels * s.chunks) * s.group, end = min(o + s.group, s.outer), rows = 1, at, j
    cdef i64* index
    cdef const char* x
    while o < end:
        x = s.x + ((o * s.n + chunk * s.chunk) * s.inner + col) * s.size
        at = (o * s.chunks + chunk) * s.inner + col
        index = s.index + at if s.index != NULL else NULL
        if s.inner == 1:
            rows = end - o
            s.kernels.extreme_rows[s.op](rows, n, x, s.n, s.out + at * s.size, index)
        else:
            s.kernels.extreme_cols[s.op](n, cols, x, s.inner, s.out + at * s.size, index)
        if s.before != NULL:
            for j in range(rows * cols):     # rows > 1 only where inner is 1, cols > 1 only where it is not
                index[j] = s.before[((o + j // cols) * s.n + chunk * s.chunk + index[j]) * s.inner + col + j % cols]
        elif index != NULL and chunk > 0:
            for j in range(rows * cols):
                index[j] += chunk * s.chunk
        o += rows


# ---- sets of axes ------------------------------------------------------------------------------------

cdef struct Groups:                      # neighbouring axes of one kind merged: sizes[g], and whether they are reduced
    int count
    i64[MAX_NDIM + 1] sizes
    bint[MAX_NDIM + 1] reduced
    i64 kept                             # results


cdef Groups group_axes(int ndim, const i64* shape, const char* reduced) noexcept:
    cdef Groups g
    cdef int a
    g.count, g.kept = 0, 1
    for a in range(ndim):
        if not reduced[a]:
            g.kept *= shape[a]
        if shape[a] == 1:
            continue
        if g.count and g.reduced[g.count - 1] == reduced[a]:
            g.sizes[g.count - 1] *= shape[a]
        else:
            g.sizes[g.count], g.reduced[g.count] = shape[a], reduced[a]
            g.count += 1
    return g


cdef bint innermost(Groups* g, Step* s) noexcept:
    """Take the last reduced group out of g into s as (outer, n, inner); False if none is left."""
    cdef int k = g.count - 1, j
    s.inner, s.n, s.outer = 1, 1, 1
    while k >= 0 and not g.reduced[k]:
        s.inner *= g.sizes[k]
        k -= 1
    if k < 0:
        s.outer, s.inner = s.inner, 1
        g.count = 0
        return False
    s.n = g.sizes[k]
    for j in range(k):
        s.outer *= g.sizes[j]
    for j in range(k, g.count - 1):
        g.sizes[j], g.reduced[j] = g.sizes[j + 1], g.reduced[j + 1]
    g.count -= 1
    return True


cdef bint any_reduced(Groups* g) noexcept:
    cdef int k
    for k in range(g.count):
        if g.reduced[k]:
            return True
    return False


cdef int sum_axes(int dtype, int op, int ndim, const i64* shape, const char* reduced, const void* x, double divisor,
                  bint root, void* out) except -1:
    cdef Groups g = group_axes(ndim, shape, reduced)
    cdef Step s
    cdef bint real = dtype >= MTB_f32
    cdef i64 count, nothing = 0
    cdef void* held = NULL               # the partial results of the step before
    cdef void* made
    cdef size_t held_bytes = 0, bytes
    if g.kept == 0:
        return 0
    s.kernels = s.rounding = table(dtype)
    s.op, s.root, s.divisor, s.index = op, root, divisor, NULL
    s.size, s.out_size = ITEMSIZE[dtype], ITEMSIZE[dtype] if real else 8
    s.x = <const char*> x if x != NULL else <const char*> &nothing
    innermost(&g, &s)
    try:
        while True:
            count = cut(&s)
            s.last = s.chunks == 1 and not any_reduced(&g)
            if s.last:
                s.out = <char*> out
                run_tasks(sum_task, &s, count, s.outer * s.n * s.inner)
                return 0
            bytes = s.outer * s.chunks * s.inner * 8
            made = take(bytes)
            s.out = <char*> made
            run_tasks(sum_task, &s, count, s.outer * s.n * s.inner)
            if held != NULL:
                give(held, held_bytes)
            held, held_bytes = made, bytes
            s.kernels, s.size, s.x = table(MTB_f64 if real else MTB_i64), 8, <const char*> held
            s.op = MTB_PROD if op == MTB_PROD else MTB_SUM
            if s.chunks > 1:
                s.n = s.chunks
            else:
                innermost(&g, &s)
    finally:
        if held != NULL:
            give(held, held_bytes)


cdef int extreme_axes(int dtype, int op, int ndim, const i64* shape, const char* reduced, const void* x, void* value,
                      i64* index) except -1:
    cdef Groups g = group_axes(ndim, shape, reduced)
    cdef Step s
    cdef i64 count, results
    cdef void* held = NULL
    cdef void* made
    cdef size_t held_bytes = 0, bytes
    if g.kept == 0:
        return 0
    s.kernels, s.op, s.size, s.x, s.before = table(dtype), op, ITEMSIZE[dtype], <const char*> x, NULL
    innermost(&g, &s)
    try:
        while True:
            count = cut(&s)
            if s.chunks == 1 and not any_reduced(&g):
                s.out, s.index = <char*> value, index
                run_tasks(extreme_task, &s, count, s.outer * s.n * s.inner)
                return 0
            results = s.outer * s.chunks * s.inner
            bytes = results * (8 + s.size)
            made = take(bytes)
            s.out, s.index = <char*> made + results * 8, <i64*> made if index != NULL else NULL
            run_tasks(extreme_task, &s, count, s.outer * s.n * s.inner)
            if held != NULL:
                give(held, held_bytes)
            held, held_bytes = made, bytes
            s.x, s.before = s.out, s.index
            if s.chunks > 1:
                s.n = s.chunks
            else:
                innermost(&g, &s)
    finally:
        if held != NULL:
            give(held, held_bytes)


# ---- running sums and extremes along the middle axis -------------------------------------------------

cdef struct Scan:
    const mtb_reduce* kernels
    int op
    bint reverse
    i64 size, outer, n, inner, group, panels
    i64[3] strides                       # of x
    const char* x
    char* y
    i64* index

cdef enum:
    SCAN_WIDE = 64     # columns of one task
    ABREAST = 8        # rows that a kernel takes at once


cdef void scan_task(void* plan, i64 i) noexcept nogil:
    """A group of rows, or of one outer slice a panel of columns."""
    cdef Scan* s = <Scan*> plan
    cdef i64 o = i // s.panels * s.group, col = i % s.panels * SCAN_WIDE, x_row = s.strides[0], y_row = s.n
    cdef i64 rows = min(s.group, s.outer - o), x_step = s.strides[1], y_step = s.inner
    cdef i64 at = o * s.n * s.inner + col
    cdef const char* x = s.x + (o * s.strides[0] + col * s.strides[2]) * s.size
    if s.inner > 1:
        rows, x_row, y_row = min(<i64> SCAN_WIDE, s.inner - col), s.strides[2], 1
    if s.reverse:
        x += (s.n - 1) * x_step * s.size
        at += (s.n - 1) * y_step
        x_step, y_step = -x_step, -y_step
    if s.index == NULL:
        s.kernels.cumulate[s.op](rows, s.n, x, x_row, x_step, s.y + at * s.size, y_row, y_step)
    else:
        s.kernels.cumulate_extreme[s.op](rows, s.n, x, x_row, x_step, s.y + at * s.size, s.index + at, y_row, y_step)


cdef int scan(int dtype, int op, bint reverse, const i64* shape, const i64* strides, const void* x, void* y,
              i64* index) except -1:
    cdef Scan s
    cdef i64 work = shape[0] * shape[1] * shape[2]
    if work == 0:
        return 0
    s.kernels, s.op, s.reverse, s.size = table(dtype), op, reverse, ITEMSIZE[dtype]
    s.outer, s.n, s.inner, s.strides = shape[0], shape[1], shape[2], [strides[0], strides[1], strides[2]]
    s.x, s.y, s.index = <const char*> x, <char*> y, index
    s.group = max(RUN // s.n, ABREAST if s.outer >= 2 * ABREAST else 1) if s.inner == 1 else 1
    s.panels = ceil_div(s.inner, SCAN_WIDE)
    if op == MTB_LOGCUMSUMEXP and index == NULL:
        work *= 32
        s.group = max(<i64> 1, s.group // 32)
    run_tasks(scan_task, &s, ceil_div(s.outer, s.group) * s.panels, work)
    return 0


cdef void round_doubles(int dtype, i64 n, const double* acc, double divisor, bint root, void* out) noexcept:
    table(dtype).round(n, acc, divisor, root, out)
