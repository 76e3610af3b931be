# Reductions of arrays over any set of axes, and running sums along one axis.
from .runtime cimport i64

cdef extern from "mtb.h" nogil:
    enum:
        MTB_SUM
        MTB_SUM_SQUARE
        MTB_SUM_ABS
        MTB_PROD
        MTB_SUM_NOT_NAN
        MTB_MAX
        MTB_MIN
        MTB_CUMSUM
        MTB_CUMPROD
        MTB_LOGCUMSUMEXP

cdef struct Layout:                # the axes of x in memory order, none of size 1, and which are reduced
    int ndim
    i64[8] shape
    i64[8] strides
    char[8] reduced
    int[8] dim                     # of the tensor
    bint permuted                  # the kept axes are not in the tensor's order

# out = (sum of x over the axes with reduced[a]) / divisor, or its square root, in the order of the kept axes. Of the
# kept axes behind the last reduced one each lies like one with the next; small floats are contiguous. out has the dtype
# of x for float32 and float64 (both exact to about one rounding), float32 for smaller floats; int64 for integers and
# bool, modulo 2**64 and undivided. An empty sum is 0, an empty product 1.
cdef int sum_axes(int dtype, int op, const Layout* l, const void* x, double divisor, bint root, void* out) except -1
# value = extreme of x over those axes (NaN wins), and index = where it first is along them if not NULL: the reduced
# axes are neighbours. No reduced axis is empty.
cdef int extreme_axes(int dtype, int op, const Layout* l, const void* x, void* value, i64* index) except -1
# y[.., i, ..] = sum, product or log of the sum of exponentials (op MTB_CUMSUM, ...) of x[.., 0..i, ..] along the middle
# axis of (outer, n, inner), or from the end, of x[.., i.., ..], if reverse; where index is not NULL, the last extreme
# (op MTB_MAX, MTB_MIN) and where it is. x has strides, y and index are contiguous.
cdef int scan(int dtype, int op, bint reverse, const i64* shape, const i64* strides, const void* x, void* y,
              i64* index) except -1
# out[i] = acc[i] / divisor, or its square root, in the dtype float32 or float64
cdef void round_doubles(int dtype, i64 n, const double* acc, double divisor, bint root, void* out) noexcept
