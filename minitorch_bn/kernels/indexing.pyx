"""The driver of indexing: splits moves by rows of the result, and sums so that each element has one writer.

A sum over repeated indices adds in the order of the indices, on any number of threads: work is split over the outer
dimension, over columns, or, where threads are many, over ranges of destinations (each then reads all indices and takes
its own).
"""
from libc.string cimport memset

from minitorch_bn.kernels.runtime cimport (ITEMSIZE, K, MTB_i16, MTB_i32, MTB_i64, MTB_u8, ceil_div, give, run_tasks,
                                           take, team)

cdef extern from "runs.h":
    void mtb_copy_run(void* dst, const void* src, size_t n) noexcept nogil

cdef enum:
    CHUNK = 16384          # elements that one task moves
    BLOCK = 32768          # bytes of a mask, or indices to check
    GATHER = 0
    TAKE_ROWS = 1
    SCATTER = 2
    PUT_ROWS = 3
    COMPRESS = 4
    EXPAND = 5
    POSITIONS = 6
    SEARCH = 7
    CHECK = 8
    COUNT = 9
    UNRAVEL = 10
    SPREAD = 12
    BINS = 13
    MANY = 4               # ranges of destinations pay for more threads than these: what decides is hard to predict

ctypedef struct job:
    const mtb_indexing* table
    int kind, reduction, itemsize
    char* y
    const char* x
    const i64* index
    i64 outer, m, n, inner, row
    i64 y_outer, x_outer       # elements from one outer position to the next
    i64 tasks, parts, group    # tasks in all; of them for one outer position, or outer positions of one
    i64 chunk                  # rows, columns or destinations of a task
    bint by_columns
    const uint8_t* mask
    i64* starts                # a number for each task
    const i64* sorter
    bint right
    i64 lo, hi
    const i64* shape


cdef const mtb_indexing* table_for_moves(int dtype) noexcept:
    """A move needs the size of the elements only."""
    cdef int size = ITEMSIZE[dtype]
    return <const mtb_indexing*> K.indexing[MTB_u8 if size == 1 else MTB_i16 if size == 2 else MTB_i32 if size == 4
                                            else MTB_i64]


cdef void run_task(void* plan, i64 task) noexcept nogil:
    cdef job* j = <job*> plan
    cdef i64 r, o = task // j.parts * j.group, first = task % j.parts * j.chunk, size = j.itemsize
    cdef i64 count = min(j.chunk, j.m - first), outer = min(j.group, j.outer - o)
    cdef char* y = j.y + o * j.y_outer * size
    cdef const char* x = j.x + o * j.x_outer * size
    if j.kind == GATHER:
        j.table.gather(y + first * j.inner * size, x, j.index + (o * j.m + first) * j.inner, outer, count, j.n, j.inner)
    elif j.kind == TAKE_ROWS:
        j.table.take_rows(y + first * j.inner * size, x, j.index + first, outer, count, j.n, j.inner, j.row, j.x_outer)
    elif j.kind == SCATTER:
        j.table.scatter[j.reduction](y, x, j.index + o * j.m * j.inner, outer, j.m, j.n, j.inner, first,
                                     min(first + j.chunk, j.inner))
    elif j.kind == PUT_ROWS:
        if j.by_columns:
            j.table.put_rows[j.reduction](y, x, j.index, outer, j.m, j.n, j.inner, j.row, j.y_outer, first,
                                          min(first + j.chunk, j.inner), -((<i64> 1) << 62), (<i64> 1) << 62)
        else:
            j.table.put_rows[j.reduction](y, x, j.index, outer, j.m, j.n, j.inner, j.row, j.y_outer, 0, j.inner, first,
                                          first + j.chunk)
    elif j.kind == BINS:
        for r in range(first, first + count):
            (<i64*> j.y)[task * j.n + j.index[r]] += 1
    elif j.kind == COMPRESS:
        j.table.compress(y + j.starts[task] * size, x + first * size, j.mask + first, count)
    elif j.kind == EXPAND:
        j.table.expand(y + first * size, x + j.starts[task] * size, j.mask + first, count)
    elif j.kind == POSITIONS:
        j.table.positions(<i64*> y + j.starts[task], j.mask + first, count, first)
    elif j.kind == SPREAD:
        for r in range(first, first + count):
            mtb_copy_run(j.y + r * j.row, j.x + r * j.inner, <size_t> j.inner)
    elif j.kind == CHECK:
        j.starts[task] = j.table.check(j.index + first, count, j.lo, j.hi)
    elif j.kind == COUNT:
        j.starts[task] = j.table.count(j.mask + first, count)
    elif j.kind == UNRAVEL:
        unravel_rows(j, <i64*> j.y + first * j.row, j.index + first, count)
    else:
        for o in range(o, o + outer):
            j.table.searchsorted(<i64*> j.y + o * j.m + first, j.x + (o * j.x_outer + first) * size, count,
                                 <const char*> j.index + o * j.row * size, j.n,
                                 j.sorter + o * j.row if j.sorter != NULL else NULL, j.right)


cdef job new_job(int kind, const mtb_indexing* table, int itemsize, void* y, const void* x):
    cdef job j
    j.table, j.kind, j.itemsize, j.y, j.x = table, kind, itemsize, <char*> y, <const char*> x
    j.reduction, j.by_columns, j.right = MTB_SCATTER_PUT, False, False
    j.outer = j.parts = j.chunk = j.inner = j.group = 1
    j.m = j.n = j.row = j.y_outer = j.x_outer = j.tasks = 0
    j.index, j.mask, j.starts, j.sorter, j.shape = NULL, NULL, NULL, NULL, NULL
    j.lo = j.hi = 0
    return j


cdef int run(job* j, i64 work) except -1:
    """`work`: element operations in all."""
    run_tasks(run_task, j, j.tasks, work)
    return 0


cdef void split_blocks(job* j, i64 n) noexcept:
    """One task for each BLOCK of n elements."""
    j.m, j.chunk = n, BLOCK
    j.tasks = ceil_div(n, BLOCK)
    j.parts = max(1, j.tasks)


cdef i64 check_index(const i64* index, i64 n, i64 lo, i64 hi) except -2:
    cdef job j = new_job(CHECK, table_for_moves(MTB_i64), 8, NULL, NULL)
    cdef i64 b, bad = -1
    cdef size_t size
    if n <= BLOCK:
        return j.table.check(index, n, lo, hi)
    j.index, j.lo, j.hi = index, lo, hi
    split_blocks(&j, n)
    size = j.tasks * sizeof(i64)
    j.starts = <i64*> take(size)
    run(&j, n)
    for b in range(j.tasks - 1, -1, -1):
        if j.starts[b] >= 0:
            bad = b * BLOCK + j.starts[b]
    give(j.starts, size)
    return bad


cdef void split_rows(job* j) noexcept:
    """One task for each CHUNK elements of the result's rows, which may be several outer positions."""
    j.chunk = max(1, CHUNK // max(j.inner, 1))
    j.parts = max(1, ceil_div(j.m, j.chunk))
    split_outer(j)


cdef void split_outer(job* j) noexcept:
    """The tasks: `parts` for an outer position, or one for as many as make CHUNK elements."""
    if j.parts == 1:
        j.group = max(1, CHUNK // max(1, j.m * j.inner))
    j.tasks = ceil_div(j.outer, j.group) * j.parts if j.m * j.inner else 0


cdef int gather(int dtype, void* y, const void* x, const i64* index, i64 outer, i64 m, i64 n, i64 inner) except -1:
    cdef job j = new_job(GATHER, table_for_moves(dtype), ITEMSIZE[dtype], y, x)
    j.index, j.outer, j.m, j.n, j.inner = index, outer, m, n, inner
    j.y_outer, j.x_outer = m * inner, n * inner
    split_rows(&j)
    return run(&j, outer * m * inner * 2)


cdef int take_rows(int dtype, void* y, const void* x, const i64* index, i64 outer, i64 m, i64 n, i64 inner, i64 x_outer,
                   i64 row) except -1:
    cdef job j = new_job(TAKE_ROWS, table_for_moves(dtype), ITEMSIZE[dtype], y, x)
    j.index, j.outer, j.m, j.n, j.inner, j.row = index, outer, m, n, inner, row
    j.y_outer, j.x_outer = m * inner, x_outer
    split_rows(&j)
    return run(&j, outer * m * max(inner, 2))


cdef const mtb_indexing* table_for(int dtype, int reduction) noexcept:
    return table_for_moves(dtype) if reduction == MTB_SCATTER_PUT else <const mtb_indexing*> K.indexing[dtype]


cdef int scatter(int dtype, int reduction, void* y, const void* x, const i64* index, i64 outer, i64 m, i64 n,
                 i64 inner) except -1:
    cdef job j = new_job(SCATTER, table_for(dtype, reduction), ITEMSIZE[dtype], y, x)
    cdef i64 work = outer * m * inner * 2
    cdef int nt = team(work)
    j.reduction, j.index, j.outer, j.m, j.n, j.inner = reduction, index, outer, m, n, inner
    j.y_outer, j.x_outer = n * inner, m * inner
    j.parts = 1 if outer >= nt or inner < 8 * nt else nt
    j.chunk = max(1, ceil_div(inner, j.parts))
    split_outer(&j)
    return run(&j, work)


cdef int put_rows(int dtype, int reduction, void* y, const void* x, const i64* index, i64 outer, i64 m, i64 n,
                  i64 inner,
                  i64 y_outer, i64 row) except -1:
    cdef job j = new_job(PUT_ROWS, table_for(dtype, reduction), ITEMSIZE[dtype], y, x)
    cdef i64 work = outer * m * max(inner, 2)
    cdef int nt = team(work)
    j.reduction, j.index, j.outer, j.m, j.n, j.inner, j.row = reduction, index, outer, m, n, inner, row
    j.y_outer, j.x_outer = y_outer, m * inner
    j.by_columns = outer >= nt or n == 0 or inner >= 32 * nt or nt <= MANY
    j.parts = 1 if outer >= nt or j.by_columns and inner < 32 * nt else nt
    j.chunk = max(1, ceil_div(inner if j.by_columns else n, j.parts))
    split_outer(&j)
    return run(&j, work)


cdef int bincount(i64* counts, i64 length, const i64* x, i64 n) except -1:
    cdef job j = new_job(BINS, NULL, 8, NULL, NULL)
    cdef size_t size
    cdef i64 k, t
    j.index, j.m, j.n = x, n, length
    j.parts = j.tasks = min(<i64> 8, n // (CHUNK + 4 * length) + 1)
    j.chunk = ceil_div(n, j.parts)
    size = j.tasks * length * sizeof(i64)
    j.y = <char*> take(size)
    memset(j.y, 0, size)
    run(&j, n * 2)
    for t in range(j.tasks):
        for k in range(length):
            counts[k] += (<i64*> j.y)[t * length + k]
    give(j.y, size)
    return 0


cdef int spread_rows(char* y, i64 step, const char* x, i64 run_bytes, i64 rows) except -1:
    cdef job j = new_job(SPREAD, NULL, 1, y, x)
    j.m, j.inner, j.row = rows, run_bytes, step
    split_rows(&j)
    return run(&j, rows * run_bytes // 4)


cdef i64 mask_blocks(i64 n) noexcept:
    return ceil_div(n, BLOCK)


cdef i64 mask_starts(const uint8_t* mask, i64 n, i64* starts) except -1:
    cdef job j = new_job(COUNT, table_for_moves(MTB_u8), 1, NULL, NULL)
    cdef i64 b, count, total = 0
    j.mask, j.starts = mask, starts
    split_blocks(&j, n)
    run(&j, n // 4)
    for b in range(j.tasks):
        count = starts[b]
        starts[b] = total
        total += count
    return total


cdef int run_mask(int kind, int dtype, void* y, const void* x, const uint8_t* mask, i64 n, const i64* starts) except -1:
    cdef job j = new_job(kind, table_for_moves(dtype), ITEMSIZE[dtype], y, x)
    j.mask, j.starts = mask, <i64*> starts
    split_blocks(&j, n)
    return run(&j, n)


cdef int compress(int dtype, void* y, const void* x, const uint8_t* mask, i64 n, const i64* starts) except -1:
    return run_mask(COMPRESS, dtype, y, x, mask, n, starts)


cdef int expand(int dtype, void* y, const void* x, const uint8_t* mask, i64 n, const i64* starts) except -1:
    return run_mask(EXPAND, dtype, y, x, mask, n, starts)


cdef int positions(i64* at, const uint8_t* mask, i64 n, const i64* starts) except -1:
    return run_mask(POSITIONS, MTB_i64, at, at, mask, n, starts)


cdef void unravel_rows(job* j, i64* y, const i64* at, i64 m) noexcept nogil:
    """Positions of one row of the last dim after each other share the rest, which is worked out once."""
    cdef i64 i, rest, start = 0, last = j.inner - 1, size = j.shape[last], d
    for i in range(m):
        if i > 0 and start <= at[i] < start + size:
            for d in range(last):
                y[d * j.x_outer] = (y - j.row)[d * j.x_outer]
        else:
            rest = at[i] // size
            start = rest * size
            for d in range(last - 1, -1, -1):
                y[d * j.x_outer] = rest % j.shape[d]
                rest = rest // j.shape[d]
        y[last * j.x_outer] = at[i] - start
        y += j.row


cdef int unravel(i64* coordinates, const i64* at, i64 m, int ndim, const i64* shape, bint by_dims) except -1:
    cdef job j = new_job(UNRAVEL, table_for_moves(MTB_i64), 8, coordinates, NULL)
    j.index, j.inner, j.shape = at, ndim, shape
    j.row, j.x_outer = 1 if by_dims else ndim, m if by_dims else 1
    split_blocks(&j, m if ndim > 0 else 0)
    return run(&j, m * ndim * 8)


cdef int searchsorted(int dtype, i64* at, const void* v, i64 rows, i64 m, const void* row, i64 n, const i64* sorter,
                      bint one_row, bint right) except -1:
    cdef job j = new_job(SEARCH, <const mtb_indexing*> K.indexing[dtype], ITEMSIZE[dtype], at, v)
    j.index, j.sorter, j.right = <const i64*> row, sorter, right   # index: the sorted row, of any dtype
    j.outer, j.m, j.n = rows, m, n
    j.row = 0 if one_row else n
    j.x_outer = m
    split_rows(&j)
    return run(&j, rows * m * 16)
