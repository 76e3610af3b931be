# What the other reductions share: memory layouts, results' shapes, and the way back to the shape before.
from minitorch_bn._core cimport Tensor
from minitorch_bn.kernels.reduce cimport Layout
from minitorch_bn.kernels.runtime cimport i64

cdef Tensor lay_out(Tensor x, unsigned int mask, Layout* l)               # x, or a row-major copy of it
cdef Tensor in_order(Tensor y, Tensor x, unsigned int mask, Layout* l)    # a result in the order of x's memory, in x's
cdef Tensor new_reduced(Tensor x, unsigned int mask, bint keepdim, int dtype)
cdef i64 count_of(Tensor x, unsigned int mask) noexcept                   # elements of the dims of mask
cdef object spread(object g, tuple shape, unsigned int mask, bint kept)   # a gradient stretched over those dims
cdef object with_out(Tensor y, object out)
cdef object required_dim(object dim, object axis, str op)                 # TypeError if both are None
cdef object pick(object a, object b)                                      # b unless it is None
cdef Tensor in_dtype(Tensor x, object dtype)
cdef Tensor positions(i64 n)                                              # 0, 1, ..., n - 1
