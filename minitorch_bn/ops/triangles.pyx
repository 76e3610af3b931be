"""Parts of matrices: the lower and the upper triangle, and the borders that padding adds."""
from minitorch_bn._core cimport (Node, Tensor, index_arg, is_float, new_node, new_tensor, raw_contiguous, set_history,
                                 shape_tuple, tracks)
from minitorch_bn.kernels.runtime cimport ITEMSIZE, K, MTB_f32, MTB_i64, i64, mtb_loop, run_tasks

cdef extern from "gen/opids.h":
    enum:
        MTB_OP_add

cdef extern from "runs.h":
    void mtb_copy_run(void* dst, const void* src, size_t n) noexcept nogil
    void mtb_clear_run(void* dst, size_t n) noexcept nogil

ctypedef struct job:
    char* y
    const char* x
    i64 rows, columns, diagonal, itemsize    # rows of one matrix
    bint upper


cdef void keep_row(void* plan, i64 r) noexcept nogil:
    """Columns up to row + diagonal (lower), or from there on (upper); the rest 0."""
    cdef job* j = <job*> plan
    cdef i64 cut = r % j.rows + j.diagonal + (0 if j.upper else 1)
    cdef size_t left = <size_t> (min(max(cut, 0), j.columns) * j.itemsize)
    cdef size_t all_bytes = <size_t> (j.columns * j.itemsize)
    cdef char* y = j.y + r * j.columns * j.itemsize
    cdef const char* x = j.x + r * j.columns * j.itemsize
    if j.upper:
        mtb_clear_run(y, left)
        mtb_copy_run(y + left, x + left, all_bytes - left)
    else:
        mtb_copy_run(y, x, left)
        mtb_clear_run(y + left, all_bytes - left)


cdef object triangle_vjp(Node node, object g):
    return triangle(g, node.aux, node.op)


cdef Tensor triangle(Tensor input, object diagonal, bint upper):
    cdef Tensor x, y
    cdef Node node
    cdef job j
    if input.ndim < 2:
        raise RuntimeError(f"{'triu' if upper else 'tril'}: input tensor must have at least 2 dimensions, got shape "
                           f"{list(shape_tuple(input))}")
    x = raw_contiguous(input)
    y = new_tensor(x.dtype, x.ndim, x.shape)
    j.y, j.x, j.itemsize, j.upper = y.data, x.data, ITEMSIZE[x.dtype], upper
    j.rows, j.columns = x.shape[x.ndim - 2], x.shape[x.ndim - 1]
    j.diagonal = min(max(index_arg(diagonal, "diagonal"), -j.rows), j.columns)
    if x.numel:
        run_tasks(keep_row, &j, x.numel // j.columns, x.numel)
    if is_float(x.dtype) and tracks(input):
        node = new_node(triangle_vjp, "TriuBackward0" if upper else "TrilBackward0", input, None, None)
        node.aux, node.op = diagonal, upper
        set_history(y, node)
    return y


def tril(Tensor input not None, diagonal=0):
    """The lower triangle of the last two dims, up to that diagonal; zeros above."""
    return triangle(input, diagonal, False)


def triu(Tensor input not None, diagonal=0):
    """The upper triangle of the last two dims, from that diagonal on; zeros below."""
    return triangle(input, diagonal, True)


def tril_(Tensor self not None, diagonal=0):
    """In-place version of :func:`tril`."""
    return self.copy_(triangle(self, diagonal, False))


def triu_(Tensor self not None, diagonal=0):
    """In-place version of :func:`triu`."""
    return self.copy_(triangle(self, diagonal, True))


# -- borders -----------------------------------------------------------------------------------------------------------

ctypedef struct border:
    char* small              # planes of h x w
    char* large              # planes of high x wide; in each row, w elements from `before` on are a small row
    const i64* rows          # of each large row and column, the small one that it shows
    const i64* columns
    i64 h, w, high, wide, before, size
    mtb_loop add             # NULL: from small to large; else large is added to what it shows


cdef void border_plane(void* plan, i64 p) noexcept nogil:
    cdef border* b = <border*> plan
    cdef (void*)[3] at
    cdef char* small
    cdef char* large
    cdef i64 i, j, k, size = b.size
    if b.add != NULL:
        mtb_clear_run(b.small + p * b.h * b.w * size, <size_t> (b.h * b.w * size))
    for i in range(b.high):
        small = b.small + (p * b.h + b.rows[i]) * b.w * size
        large = b.large + (p * b.high + i) * b.wide * size
        j = 0
        while j < b.wide:
            k = b.w if j == b.before else 1
            at[0] = at[1] = small + b.columns[j] * size
            at[2] = large + j * size
            if b.add != NULL:
                b.add(at, k, NULL)
            else:
                mtb_copy_run(at[2], at[0], <size_t> (k * size))
            j += k


def bordered(Tensor input not None, Tensor rows not None, Tensor columns not None, before, shape=None):
    """Planes (..., H, W) whose row i and column j show those that `rows` and `columns` name; from `before` on, W
    columns show 0, 1, 2, ... With shape = (H, W) the adjoint: what shows an element is added to it."""
    cdef Tensor x = raw_contiguous(input), y
    cdef border b
    cdef i64[8] sizes
    cdef i64 i, planes = 1
    cdef int d, last = x.ndim - 1
    cdef bint back = shape is not None
    b.rows, b.columns, b.before = <i64*> rows.data, <i64*> columns.data, before
    b.high, b.wide, b.size = rows.numel, columns.numel, ITEMSIZE[x.dtype]
    b.h, b.w = shape if back else (x.shape[last - 1], x.shape[last])
    if (last < 1 or rows.dtype != MTB_i64 or columns.dtype != MTB_i64 or not (rows.contiguous and columns.contiguous)
            or back and (x.dtype < MTB_f32 or x.shape[last - 1] != b.high or x.shape[last] != b.wide)
            or not 0 <= b.before <= b.wide - b.w):
        raise RuntimeError("bordered: rows and columns do not fit the input")
    for i in range(b.high):
        if not 0 <= b.rows[i] < b.h:
            raise IndexError("bordered: no such row")
    for i in range(b.wide):
        if not 0 <= b.columns[i] < b.w or b.before <= i < b.before + b.w and b.columns[i] != i - b.before:
            raise IndexError("bordered: no such column")
    for d in range(last - 1):
        sizes[d] = x.shape[d]
        planes *= x.shape[d]
    sizes[last - 1], sizes[last] = (b.h, b.w) if back else (b.high, b.wide)
    y = new_tensor(x.dtype, x.ndim, sizes)
    b.small, b.large = (y.data, x.data) if back else (x.data, y.data)
    b.add = K.elementwise[x.dtype].value[<int> MTB_OP_add] if back else NULL
    run_tasks(border_plane, &b, planes, planes * b.high * b.wide)
    return y


FUNCTIONS = {"tril": tril, "triu": triu}
METHODS = FUNCTIONS | {"tril_": tril_, "triu_": triu_}
