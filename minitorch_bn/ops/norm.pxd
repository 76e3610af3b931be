# What batch norm shares with the norms of rows and groups.
from minitorch_bn._core cimport Node, Tensor
from minitorch_bn.kernels.norm cimport Channels
from minitorch_bn.kernels.runtime cimport i64

cdef tuple algebra(object x, object g, object weight, object dims, double eps, bint centered)
cdef object gradients(Node node, object dx, object dweight, object dbias)     # as many as the node has inputs
cdef Tensor new_statistics(i64 rows, i64 n)                                   # (rows, n) of float64
cdef Tensor parameter(Tensor p, Tensor x, str name, str op, i64 size)
cdef int need_float(Tensor x, str op) except -1
cdef int wide(Tensor x) noexcept                                              # the dtype that x is computed with
cdef i64 product(Tensor x, int first, int end) noexcept                       # of the sizes of dims first, ..., end - 1
cdef Tensor as_channels(Tensor x, Channels* view)                             # x, or a contiguous copy
cdef Tensor same_layout(Tensor g, Tensor x)                                   # g with the memory order and dtype of x
cdef int update_running(Tensor running, const double* value, i64 n, double momentum, double factor) except -1


cdef inline double* row_of(Tensor stats, int row) noexcept:
    return <double*> stats.data + row * stats.shape[1]


cdef inline void* data_of(Tensor x) noexcept:
    return <void*> x.data if x is not None else NULL
