"""Reduction drivers: any set of axes becomes a few (outer, n, inner) steps, and a step tasks of constant size.

The first step reads its source where it lies, whatever the strides. What the kernels cannot read so (elements that are
not neighbours, small floats) is brought to scratch memory first, a tile at a time.
"""
from cython.parallel cimport threadid
from libc.string cimport memcpy

from .runtime cimport ITEMSIZE, K, MTB_f16, MTB_f32, MTB_f64, MTB_i64, ceil_div, give, run_tasks, take, team

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
    WIDE = 1024        # results that one kernel call makes: its accumulators stay in L1, and rows of 4 KB are read fast
    SLIM = 128         # the least of columns, where there are few tasks
    STRIP = 16         # fewer columns are summed otherwise: a panel that leaves so few over takes them
    TILE = 32768       # elements of a tile in scratch memory
    PIECE = 4096       # of a run of small floats that one task reduces
    MAX_NDIM = 8


cdef inline const mtb_reduce* table(int dtype) noexcept nogil:
    return <const mtb_reduce*> K.reduce[dtype]


# ---- one step: (outer, n, inner) -> (outer, chunks, inner) -------------------------------------------------------

cdef struct Step:
    const mtb_reduce* kernels
    const mtb_reduce* rounding           # of the dtype of the result: partial sums are double or int64
    int op, dtype, kernel_dtype          # of x, and of what the kernels read
    bint last, root                      # the last step of a sum rounds its results
    bint fetch                           # tiles go through scratch memory
    double divisor
    i64 x_size, size, out_size           # bytes of an element of x, of what the kernels read, and of out
    i64 outer, n, inner
    i64 n_stride, inner_stride, row      # in elements of x; between the slices of the last outer group, `run` of them
    i64 run
    int groups                           # outer groups
    i64[MAX_NDIM + 1] sizes
    i64[MAX_NDIM + 1] strides
    i64 chunk, chunks, group             # elements of a chunk of n; outer slices of a task if small
    i64 panels, wide, strip              # panels of inner and their columns; columns of a tile in scratch memory
    const char* x
    char* out
    i64* index                           # of an extreme along the whole axis, or NULL
    const i64* before                    # where x comes from, if x are partial results with index
    char* scratch
    i64 room                             # bytes of scratch memory for each thread


cdef i64 cut(Step* s) noexcept nogil:
    """Cut into tasks, each a chunk of n times a panel of columns, or a group of small outer slices; how many tasks."""
    if s.dtype != s.kernel_dtype:            # what is widened stays in L1, in pieces that pay for a call
        s.chunk = min(<i64> DEEP, max(<i64> SLIM, 2 * PIECE // s.inner)) if s.inner > 1 else PIECE
    else:
        s.chunk = RUN if s.n <= RUN else RUN // 2
        if s.inner > 1:                      # eight tasks at least, if they are not small
            s.chunk = max(ceil_div(s.n * s.outer * ceil_div(s.inner, WIDE), 64), max(<i64> 4, RUN // (8 * s.inner)))
            s.chunk = min(<i64> DEEP, 8 * s.chunk)
    s.chunks = max(<i64> 1, ceil_div(s.n, s.chunk))
    s.wide = WIDE
    while s.wide > SLIM and s.outer * s.chunks * (s.inner // s.wide) < 4:
        s.wide //= 2
    s.panels = s.inner // s.wide + (s.inner % s.wide >= STRIP or s.inner < s.wide)
    s.strip = max(<i64> STRIP, TILE // max(<i64> 1, min(s.n, s.chunk)) - 2 * STRIP) // STRIP * STRIP
    s.group = max(<i64> 1, RUN // max(<i64> 1, s.n * s.inner)) if s.chunks == 1 else 1
    return ceil_div(s.outer, s.group) * s.chunks * s.panels


cdef inline i64 columns(i64 wide, i64 left) noexcept nogil:
    """Of the columns left, how many to take at once: never fewer than STRIP, if there are as many."""
    return left if left < wide + STRIP else wide


cdef inline const char* slice_at(Step* s, i64 o, i64 chunk, i64 col) noexcept nogil:
    """Where outer slice o has its element (chunk, col)."""
    cdef i64 at = chunk * s.chunk * s.n_stride + col * s.inner_stride
    cdef int k
    for k in range(s.groups - 1, 0, -1):
        at += o % s.sizes[k] * s.strides[k]
        o = o // s.sizes[k]
    return s.x + (at + o * s.strides[0]) * s.x_size


cdef char* fetched(Step* s, const char* x, i64 rows, i64 row, i64 n, i64 step) noexcept nogil:
    """A tile of rows x n in this thread's scratch memory, row-major, as the kernels want it."""
    cdef char* tile = s.scratch + threadid() * s.room
    cdef char* to = tile
    cdef i64 _, size = s.x_size
    if step == 1 and row == n:           # one run
        rows, n = 1, rows * n
    for _ in range(rows):
        if s.dtype != s.kernel_dtype:
            K.convert.cast[s.dtype][s.kernel_dtype](to, x, n)
        elif step == 1:
            memcpy(to, x, <size_t> (n * size))
        else:
            K.convert.move[0 if size == 1 else 1 if size == 2 else 2 if size == 4 else 3](to, size, x, step * size, n)
        x += row * size
        to += n * s.size
    return tile


cdef inline i64 rows_together(Step* s, i64 o, i64 end, i64 n) noexcept nogil:
    """How many slices from o on are equally far apart, and fit into scratch memory if they have to."""
    cdef i64 rows = min(min(<i64> WIDE, end - o), s.run - o % s.run), room = RUN if s.dtype == s.kernel_dtype else PIECE
    return min(rows, max(<i64> 1, room // max(<i64> 1, n))) if s.fetch else rows


cdef void sum_task(void* plan, i64 i) noexcept nogil:
    cdef Step* s = <Step*> plan
    cdef i64 col = i % s.panels * s.wide, cols = columns(s.wide, s.inner - col), done, width
    cdef i64 chunk = i // s.panels % s.chunks, n = min(s.chunk, s.n - chunk * s.chunk)
    cdef i64 o = i // (s.panels * s.chunks) * s.group, end = min(o + s.group, s.outer), rows = 1, at
    cdef double[WIDE + STRIP] sums
    cdef char* acc
    cdef const char* x
    while o < end:
        x = slice_at(s, o, chunk, col)
        at = (o * s.chunks + chunk) * s.inner + col
        acc = <char*> sums if s.last else s.out + at * 8
        if s.inner == 1:
            cols = rows = rows_together(s, o, end, n)
            if s.fetch:
                s.kernels.sum_rows[s.op](rows, n, fetched(s, x, rows, s.row, n, s.n_stride), n, acc)
            else:
                s.kernels.sum_rows[s.op](rows, n, x, s.row, acc)
        elif s.fetch:
            done = 0
            while done < cols:
                width = columns(s.strip, cols - done)
                s.kernels.sum_cols[s.op](n, width, fetched(s, x + done * s.inner_stride * s.x_size, n, s.n_stride,
                                                           width, s.inner_stride), width, acc + done * 8)
                done += width
        else:
            s.kernels.sum_cols[s.op](n, cols, x, s.n_stride, acc)
        if s.last:
            s.rounding.round(cols, acc, s.divisor, s.root, s.out + at * s.out_size)
        o += rows


cdef void extreme_task(void* plan, i64 i) noexcept nogil:
    cdef Step* s = <Step*> plan
    cdef i64 col = i % s.panels * s.wide, cols = columns(s.wide, s.inner - col), done, width
    cdef i64 chunk = i // s.panels % s.chunks, n = min(s.chunk, s.n - chunk * s.chunk)
    cdef i64 o = i // (s.panels * s.chunks) * s.group, end = min(o + s.group, s.outer), rows = 1, at, j
    cdef i64* index
    cdef const char* x
    while o < end:
        x = slice_at(s, o, chunk, col)
        at = (o * s.chunks + chunk) * s.inner + col
        index = s.index + at if s.index != NULL else NULL
        if s.inner == 1:
            rows = rows_together(s, o, end, n)
            if s.fetch:
                s.kernels.extreme_rows[s.op](rows, n, fetched(s, x, rows, s.row, n, s.n_stride), n,
                                             s.out + at * s.size, index)
            else:
                s.kernels.extreme_rows[s.op](rows, n, x, s.row, s.out + at * s.size, index)
        elif s.fetch:
            done = 0
            while done < cols:
                width = columns(s.strip, cols - done)
                s.kernels.extreme_cols[s.op](n, width, fetched(s, x + done * s.inner_stride * s.x_size, n, s.n_stride,
                                                               width, s.inner_stride), width,
                                             s.out + (at + done) * s.size, index + done if index != NULL else NULL)
                done += width
        else:
            s.kernels.extreme_cols[s.op](n, cols, x, s.n_stride, s.out + at * s.size, index)
        if s.before != NULL:
            for j in range(rows * cols):     # rows > 1 only where inner is 1, cols > 1 only where it is not
                index[j] = s.before[((o + j // cols) * s.n + chunk * s.chunk + index[j]) * s.inner + col + j % cols]
        elif index != NULL and chunk > 0:
            for j in range(rows * cols):
                index[j] += chunk * s.chunk
        o += rows


# ---- sets of axes ------------------------------------------------------------------------------------

cdef struct Groups:                      # neighbouring axes of one kind that lie like one: sizes, and whether reduced
    int count
    i64[MAX_NDIM + 1] sizes
    i64[MAX_NDIM + 1] strides
    bint[MAX_NDIM + 1] reduced


cdef Groups group_axes(const Layout* l) noexcept:
    cdef Groups g
    cdef int a, k = -1
    for a in range(l.ndim):
        if k >= 0 and g.reduced[k] == l.reduced[a] and g.strides[k] == l.strides[a] * l.shape[a]:
            g.sizes[k] *= l.shape[a]
        else:
            k += 1
            g.sizes[k], g.reduced[k] = l.shape[a], l.reduced[a]
        g.strides[k] = l.strides[a]
    g.count = k + 1
    return g


cdef i64 results_of(const Layout* l) noexcept:
    cdef i64 count = 1
    cdef int a
    for a in range(l.ndim):
        if not l.reduced[a]:
            count *= l.shape[a]
    return count


cdef int innermost(Groups* g, Step* s) noexcept:
    """Take the last reduced group out of g into s as (outer, n, inner), inner being one group at most."""
    cdef int k = g.count - 1, j
    s.inner, s.inner_stride = 1, 1
    if k >= 0 and not g.reduced[k]:
        s.inner, s.inner_stride = g.sizes[k], g.strides[k]
        k -= 1
    s.n, s.n_stride, s.outer, s.groups = 1, 1, 1, max(k, 1)
    if k >= 0:
        s.n, s.n_stride = g.sizes[k], g.strides[k]
    s.sizes[0] = 1
    s.strides[0] = 0
    for j in range(k):
        s.outer *= g.sizes[j]
        s.sizes[j], s.strides[j] = g.sizes[j], g.strides[j]
    s.run, s.row = max(<i64> 1, s.sizes[s.groups - 1]), s.strides[s.groups - 1]
    if k >= 0:
        for j in range(k, g.count - 1):
            g.sizes[j], g.reduced[j] = g.sizes[j + 1], g.reduced[j + 1]
        g.count -= 1
    return 0


cdef int next_step(Groups* g, Step* s) noexcept:
    """Set s to the step after it, whose source are its results, dense."""
    cdef int k, j
    cdef i64 dense = 1
    if s.chunks > 1:
        s.n, s.groups, s.sizes[0] = s.chunks, 1, s.outer
        s.n_stride = s.inner
        s.row = s.strides[0] = s.n * s.inner
        s.run = max(<i64> 1, s.outer)
    else:
        k = 0
        for j in range(g.count):             # what was reduced is gone: its neighbours may be one group now
            if k > 0 and g.reduced[k - 1] == g.reduced[j]:
                g.sizes[k - 1] *= g.sizes[j]
            else:
                g.sizes[k], g.reduced[k] = g.sizes[j], g.reduced[j]
                k += 1
        g.count = k
        for k in range(g.count - 1, -1, -1):
            g.strides[k] = dense
            dense *= g.sizes[k]
        innermost(g, s)
    s.inner_stride = 1
    s.fetch = False
    s.dtype = s.kernel_dtype
    return 0


cdef bint any_reduced(Groups* g) noexcept:
    cdef int k
    for k in range(g.count):
        if g.reduced[k]:
            return True
    return False


cdef Step first_step(const Layout* l, Groups* g, int dtype, int op, const void* x) noexcept:
    cdef Step s
    s.dtype, s.kernel_dtype = dtype, MTB_f32 if MTB_f16 <= dtype < MTB_f32 else dtype
    s.op, s.x = op, <const char*> x
    s.kernels = s.rounding = table(s.kernel_dtype)
    s.x_size, s.size, s.index, s.before, s.room = ITEMSIZE[dtype], ITEMSIZE[s.kernel_dtype], NULL, NULL, 0
    g[0] = group_axes(l)
    innermost(g, &s)
    s.fetch = dtype != s.kernel_dtype or (s.n_stride if s.inner == 1 else s.inner_stride) != 1
    return s


cdef size_t scratch_for(Step* s) noexcept:
    """Bytes of scratch memory for all threads."""
    cdef i64 work = s.outer * s.n * s.inner
    if not s.fetch:
        return 0
    s.room = min(work, TILE) * s.size
    return <size_t> (s.room * team(work))


cdef int sum_axes(int dtype, int op, const Layout* l, const void* x, double divisor, bint root, void* out) except -1:
    cdef Groups g
    cdef i64 count, nothing = 0
    cdef Step s = first_step(l, &g, dtype, op, x if x != NULL else <const void*> &nothing)
    cdef bint real = s.kernel_dtype >= MTB_f32
    cdef void* held = NULL               # the partial results of the step before
    cdef void* made
    cdef size_t held_bytes = 0, bytes, room = scratch_for(&s)
    if results_of(l) == 0:
        return 0
    s.root, s.divisor, s.out_size = root, divisor, s.size if real else 8
    s.scratch = <char*> take(room) if room else NULL
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
            s.kernels, s.x_size, s.size, s.x = table(MTB_f64 if real else MTB_i64), 8, 8, <const char*> held
            if s.op != MTB_PROD:
                s.op = MTB_SUM
            next_step(&g, &s)
    finally:
        if held != NULL:
            give(held, held_bytes)
        if room:
            give(s.scratch, room)


cdef int extreme_axes(int dtype, int op, const Layout* l, const void* x, void* value, i64* index) except -1:
    cdef Groups g
    cdef i64 count, results
    cdef Step s = first_step(l, &g, dtype, op, x)
    cdef void* held = NULL
    cdef void* made
    cdef size_t held_bytes = 0, bytes, room = scratch_for(&s)
    if results_of(l) == 0:
        return 0
    s.scratch = <char*> take(room) if room else NULL
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
            s.x, s.before, s.x_size = s.out, s.index, s.size
            next_step(&g, &s)
    finally:
        if held != NULL:
            give(held, held_bytes)
        if room:
            give(s.scratch, room)


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
