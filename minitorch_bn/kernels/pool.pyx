"""The driver of pooling: gives each thread a run of planes; a plane is the work of one kernel call."""
from cython.parallel cimport threadid

from minitorch_bn.kernels.runtime cimport K, ceil_div, give, run_tasks, take, team

cdef enum:
    MAX = 0
    AVERAGE = 1
    AVERAGE_BACKWARD = 2
    ADAPTIVE_MAX = 3
    ADAPTIVE_AVERAGE = 4
    ADAPTIVE_AVERAGE_BACKWARD = 5
    SCATTER = 6
    PICK = 7
    SHORT_ROW = 16         # outputs: shorter ones are made cell by cell
    JOINED = 2048          # elements of a row that is made of short ones

ctypedef struct job:
    const mtb_pool* table
    int kind, itemsize
    i64 planes, n_in, n_out   # elements of a plane on the input side and on the output side
    char* x                   # the input side: x or dx
    char* y                   # the output side: y or dy
    i64* at
    const mtb_window* window
    mtb_cells cells
    char* rows                # scratch for each thread
    i64 row_size
    bint add
    bint rows_alone           # the rows are planes of their own: positions count from a row's start


cdef void run_plane(void* plan, i64 p) noexcept nogil:
    cdef job* j = <job*> plan
    cdef char* x = j.x + p * j.n_in * j.itemsize
    cdef char* y = j.y + p * j.n_out * j.itemsize
    cdef i64* at = j.at + p * j.n_out if j.at != NULL else NULL
    cdef void* row = j.rows + threadid() * j.row_size if j.rows != NULL else NULL
    cdef i64 r, i, n
    if j.kind == MAX:
        j.table.max(y, at, x, j.window, row)
        if at != NULL and j.rows_alone:
            n = j.window.out[2]
            for r in range(1, j.window.out[1]):
                for i in range(n):
                    at[r * n + i] -= r * j.window.input[2]
    elif j.kind == AVERAGE:
        j.table.average(y, x, j.window)
    elif j.kind == AVERAGE_BACKWARD:
        j.table.average_backward(x, y, j.window, row)
    elif j.kind == ADAPTIVE_MAX:
        j.table.adaptive_max(y, at, x, &j.cells)
    elif j.kind == ADAPTIVE_AVERAGE:
        j.table.adaptive_average(y, x, &j.cells)
    elif j.kind == ADAPTIVE_AVERAGE_BACKWARD:
        j.table.adaptive_average_backward(x, y, &j.cells)
    elif j.kind == SCATTER:
        j.table.scatter(x, j.n_in, y, at, j.n_out, j.add)
    else:
        j.table.pick(y, x, at, j.n_out)


cdef int run(job* j, i64 work) except -1:
    """`work`: element operations of one plane."""
    cdef i64 work_of_all = work * j.planes
    cdef size_t size = 0
    if j.kind == MAX or j.kind == AVERAGE_BACKWARD:
        j.row_size = j.table.max_scratch(j.window) if j.kind == MAX else j.window.out[2] * j.itemsize
        j.row_size = (j.row_size + 63) // 64 * 64
        size = max(j.row_size, 64) * team(work_of_all)
        j.rows = <char*> take(size)
    run_tasks(run_plane, j, j.planes, work_of_all)
    if size:
        give(j.rows, size)
    return 0


cdef job new_job(int kind, int real, const void* x, const void* y, i64 planes, i64 n_in, i64 n_out):
    cdef job j
    j.kind, j.itemsize, j.planes, j.n_in, j.n_out = kind, (8 if real else 4), planes, n_in, n_out
    j.table = <const mtb_pool*> K.pool[real]
    j.x, j.y = <char*> x, <char*> y
    j.at, j.window, j.rows, j.row_size = NULL, NULL, NULL, 0
    j.add = j.rows_alone = False
    return j


cdef job window_job(int kind, int real, const void* x, const void* y, i64 planes, const mtb_window* w):
    cdef job j = new_job(kind, real, x, y, planes, w.input[0] * w.input[1] * w.input[2], w.out[0] * w.out[1] * w.out[2])
    j.window = w
    return j


cdef inline i64 window_work(const mtb_window* w) noexcept:
    return w.out[0] * w.out[1] * w.out[2] * w.kernel[0] * w.kernel[1] * w.kernel[2]


cdef int max_pool(int real, void* y, i64* at, const void* x, i64 planes, const mtb_window* w) except -1:
    cdef job j
    cdef mtb_window joined = w[0]
    cdef i64 rows = 1, groups
    if planes > 0 and w.input[0] * w.input[1] * w.kernel[0] * w.kernel[1] == 1:  # planes of a row are rows of a plane
        rows = min(planes, ceil_div(JOINED, w.input[2]))
        joined.stride[1] = 1
    while planes > 0:                                # what is left over: fewer rows
        groups = planes // rows
        if rows > 1:
            joined.input[1] = joined.out[1] = rows
        j = window_job(MAX, real, x, y, groups, &joined)
        j.at, j.rows_alone = at, rows > 1
        run(&j, window_work(&joined))
        x = <const char*> x + groups * j.n_in * j.itemsize
        y = <char*> y + groups * j.n_out * j.itemsize
        at = at + groups * j.n_out if at != NULL else NULL
        planes -= groups * rows
        if planes > 0:
            joined.input[1] = joined.out[1] = rows = planes
    return 0


cdef int average_pool(int real, void* y, const void* x, i64 planes, const mtb_window* w) except -1:
    cdef job j = window_job(AVERAGE, real, x, y, planes, w)
    return run(&j, window_work(w) * (3 if w.out[2] < SHORT_ROW else 1))


cdef int average_pool_backward(int real, void* dx, const void* dy, i64 planes, const mtb_window* w) except -1:
    cdef job j = window_job(AVERAGE_BACKWARD, real, dx, dy, planes, w)
    return run(&j, window_work(w) * (3 if w.out[2] < SHORT_ROW else 1) + j.n_in)


cdef int run_adaptive(job* j) except -1:
    """Cell i of `out` cells over `size` elements covers floor(i * size / out) .. ceil((i + 1) * size / out)."""
    cdef const mtb_window* w = j.window
    cdef i64 total = w.out[0] + w.out[1] + w.out[2], i, out, size
    cdef size_t nbytes = 2 * total * sizeof(i64)
    cdef i64* tables = <i64*> take(nbytes)
    cdef i64* next = tables
    cdef int d
    for d in range(3):
        out, size = w.out[d], w.input[d]
        j.cells.out[d], j.cells.input[d] = out, size
        j.cells.start[d], j.cells.end[d] = next, next + out
        for i in range(out):
            next[i] = i * size // out
            next[out + i] = ((i + 1) * size + out - 1) // out
        next += 2 * out
    try:
        return run(j, 4 * max(j.n_in, j.n_out * 4))
    finally:
        give(tables, nbytes)


cdef int adaptive_max(int real, void* y, i64* at, const void* x, i64 planes, const mtb_window* w) except -1:
    cdef job j = window_job(ADAPTIVE_MAX, real, x, y, planes, w)
    j.at = at
    return run_adaptive(&j)


cdef int adaptive_average(int real, void* y, const void* x, i64 planes, const mtb_window* w) except -1:
    cdef job j = window_job(ADAPTIVE_AVERAGE, real, x, y, planes, w)
    return run_adaptive(&j)


cdef int adaptive_average_backward(int real, void* dx, const void* dy, i64 planes, const mtb_window* w) except -1:
    cdef job j = window_job(ADAPTIVE_AVERAGE_BACKWARD, real, dx, dy, planes, w)
    return run_adaptive(&j)


cdef int scatter(int real, void* dx, i64 n_in, const void* dy, const i64* at, i64 n_out, i64 planes,
                 bint add) except -1:
    cdef job j = new_job(SCATTER, real, dx, dy, planes, n_in, n_out)
    j.at, j.add = <i64*> at, add
    return run(&j, n_in + 2 * n_out)


cdef int pick(int real, void* y, i64 n_out, const void* x, const i64* at, i64 n_in, i64 planes) except -1:
    cdef job j = new_job(PICK, real, x, y, planes, n_in, n_out)
    j.at = <i64*> at
    return run(&j, 2 * n_out)
