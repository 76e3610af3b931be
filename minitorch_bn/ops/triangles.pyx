"""The lower and the upper triangle of matrices."""
from libc.string cimport memcpy, memset

from minitorch_bn._core cimport (Node, Tensor, index_arg, is_float, new_node, new_tensor, raw_contiguous, set_history,
                                 shape_tuple, tracks)
from minitorch_bn.kernels.parallel cimport run_tasks
from minitorch_bn.kernels.runtime cimport ITEMSIZE, i64

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
        memset(y, 0, left)
        memcpy(y + left, x + left, all_bytes - left)
    else:
        memcpy(y, x, left)
        memset(y + left, 0, all_bytes - left)


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


FUNCTIONS = {"tril": tril, "triu": triu}
METHODS = FUNCTIONS | {"tril_": tril_, "triu_": triu_}
