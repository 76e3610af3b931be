# The element-wise driver: one loop of the op table over operands of any strides and dtypes.
from minitorch_bn.kernels.runtime cimport i64, mtb_loop, mtb_number_loop

cdef enum:
    MAXOPERANDS = 6

ctypedef struct operand:
    char* data
    int dtype          # as stored
    int want           # what the loop reads or writes
    i64[8] strides     # in elements, 0 where broadcast

# ops[0] is the output. Operands are converted and made contiguous block by block, in cache, never as a whole.
# cost: of one element, in additions. right, left: of two operands, the loops where the second, or the first, is one
# number (the other is then given as the first), or NULL.
cdef int run(mtb_loop f, int n, operand* ops, int ndim, const i64* shape, const double* k, i64 cost,
             mtb_number_loop right=*, mtb_number_loop left=*) except -1
# The same where all n operands are contiguous and of one dtype, of `size` bytes: p[0] is the output.
cdef void run_flat(mtb_loop f, int n, void** p, i64 numel, int size, const double* k, i64 cost) noexcept
# dst = src converted; both may have any strides.
cdef int copy(operand* dst, operand* src, int ndim, const i64* shape) except -1
