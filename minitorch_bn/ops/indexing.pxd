# The two moves that all indexing is made of, and their adjoints; each is differentiable to any order.
from minitorch_bn._core cimport Node, Tensor
from minitorch_bn.kernels.runtime cimport i64

# A rows plan: (x's shape, y's shape, outer, m, n, inner, perm). x, with its dims permuted by perm (None: as they are),
# is [outer, n, inner]; y is [outer, m, inner]: y[o, j] = x[o, at[j]]. back: zeros of x's shape, with += the other way.
cdef Tensor rows(bint back, Tensor input, Tensor at, tuple plan, object name)
# A cells plan: (x's shape, y's shape, outer, m, n, inner): y[o, j, i] = x[o, at[o, j, i], i].
cdef Tensor cells(bint back, Tensor input, Tensor at, tuple plan, object name)

cdef Tensor new_of(tuple sizes, int dtype, bint zeroed)            # an empty or zero tensor of that shape
cdef Tensor long_index(Tensor index, str op, bint any_integer)     # contiguous int64, or PyTorch's error
cdef Tensor permuted(Tensor x, tuple perm)                         # a view without history
cdef int split(Tensor x, int dim, i64* outer, i64* n, i64* inner) noexcept
cdef int put_rows(Tensor y, Tensor at, tuple plan, Tensor src, int reduction) except -1   # raw, y of any strides
cdef int check_bounds(Tensor at, i64 lo, i64 n, int dim, object error, str op) except -1   # at: contiguous int64
cdef Tensor with_dim(Tensor x)                                     # a 0-d tensor as one of shape [1]
cdef Tensor copy_of(Tensor x)                                      # contiguous, without history
cdef int summable(int dtype) noexcept                              # the dtype in which elements of this one are added
cdef Tensor written(Tensor x, Tensor y, Node node, bint inplace)   # ends an op that wrote y: x itself, or a copy of it
