"""The driver of sorting: rows over threads, each thread with scratch for one row."""
from cython.parallel cimport threadid

from minitorch_bn.kernels.runtime cimport ITEMSIZE, K, ceil_div, give, run_tasks, take, team

ctypedef struct job:
    const mtb_sorting* table
    int itemsize
    char* y
    i64* at
    const char* x
    i64 n, inner, k        # k < 0: sort the whole row
    int down
    char* scratch
    i64 scratch_size       # of one thread


cdef void run_row(void* plan, i64 r) noexcept nogil:
    cdef job* j = <job*> plan
    cdef i64 o = r // j.inner, i = r % j.inner
    cdef i64 source = o * j.n * j.inner + i, target = o * (j.n if j.k < 0 else j.k) * j.inner + i
    cdef char* y = j.y + target * j.itemsize
    cdef void* scratch = j.scratch + threadid() * j.scratch_size
    if j.k < 0:
        j.table.sort(y, j.at + target, j.x + source * j.itemsize, j.n, j.inner, j.down, scratch)
    else:
        j.table.top(y, j.at + target, j.x + source * j.itemsize, j.n, j.k, j.inner, j.down, scratch)


cdef void run_columns(void* plan, i64 i) noexcept nogil:
    """The k-th of a group of columns, or of one row."""
    cdef job* j = <job*> plan
    cdef i64 panels = ceil_div(j.inner, MTB_NTH_COLS), col = i % panels * MTB_NTH_COLS
    cdef i64 o = i // panels, at = o * j.inner + col
    j.table.nth(j.y + at * j.itemsize, j.at + at, j.x + (o * j.n * j.inner + col) * j.itemsize, j.n,
                min(<i64> MTB_NTH_COLS, j.inner - col), j.inner, j.k, j.scratch + threadid() * j.scratch_size)


cdef int run(int dtype, void* y, i64* at, const void* x, i64 outer, i64 n, i64 inner, i64 k, int down,
             bint one) except -1:
    cdef job j
    cdef i64 rows = outer * inner, work = rows * n * 8
    cdef size_t size
    j.table, j.itemsize = <const mtb_sorting*> K.sorting[dtype], ITEMSIZE[dtype]
    j.y, j.at, j.x, j.n, j.inner, j.k, j.down = <char*> y, at, <const char*> x, n, inner, k, down
    if n == 0 or rows == 0:
        return 0
    if n > j.table.longest:
        raise RuntimeError(f"sort: a row of {n} elements is too long for this dtype; at most {j.table.longest}")
    j.scratch_size = (min(inner, MTB_NTH_COLS) + 1) * n * (j.table.pair_size // 2) if one else 2 * n * j.table.pair_size
    j.scratch_size = (j.scratch_size + 63) // 64 * 64
    size = <size_t> j.scratch_size * (team(work) if rows > 1 else 1)
    j.scratch = <char*> take(size)
    if one:
        run_tasks(run_columns, &j, outer * ceil_div(inner, MTB_NTH_COLS), work)
    else:
        run_tasks(run_row, &j, rows, work)
    give(j.scratch, size)
    return 0


cdef int sort(int dtype, void* y, i64* at, const void* x, i64 outer, i64 n, i64 inner, bint descending) except -1:
    return run(dtype, y, at, x, outer, n, inner, -1, descending, False)


cdef int top(int dtype, void* y, i64* at, const void* x, i64 outer, i64 n, i64 inner, i64 k, int largest) except -1:
    return run(dtype, y, at, x, outer, n, inner, k, largest, False)


cdef int nth(int dtype, void* y, i64* at, const void* x, i64 outer, i64 n, i64 inner, i64 k) except -1:
    return run(dtype, y, at, x, outer, n, inner, k, False, True)
