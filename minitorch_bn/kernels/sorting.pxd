# The driver of sorting: rows of a contiguous [outer, n, inner] tensor, along n. Stable; NaN is the largest.
from minitorch_bn.kernels.runtime cimport i64

cdef extern from "mtb.h" nogil:
    enum:
        MTB_MEDIAN
        MTB_NANMEDIAN
        MTB_NTH_COLS
        MTB_MODE
    ctypedef struct mtb_sorting "mtb_sorting":
        int pair_size
        i64 longest
        void (*sort)(void* y, i64* at, const void* x, i64 n, i64 step, int descending, void* scratch) noexcept nogil
        void (*top)(void* y, i64* at, const void* x, i64 n, i64 k, i64 step, int largest, void* scratch) noexcept nogil
        void (*nth)(void* y, i64* at, const void* x, i64 n, i64 cols, i64 step, i64 k, void* scratch) noexcept nogil

# Not float16 or bfloat16. RuntimeError if a row is longer than the dtype's kernel can number.
cdef int sort(int dtype, void* y, i64* at, const void* x, i64 outer, i64 n, i64 inner, bint descending) except -1
# y, at: [outer, k, inner], the first k of an order, or for MTB_MODE in place of `largest` the mode (k = 1)
cdef int top(int dtype, void* y, i64* at, const void* x, i64 outer, i64 n, i64 inner, i64 k, int largest) except -1
# y, at: [outer, inner], the k-th smallest (from 0), MTB_MEDIAN or MTB_NANMEDIAN; n > 0
cdef int nth(int dtype, void* y, i64* at, const void* x, i64 outer, i64 n, i64 inner, i64 k) except -1
