# Matrix products on raw memory: strides in elements, real = 0 for float32, 1 for float64.
from minitorch_bn.kernels.runtime cimport i64

cdef extern from "mtb.h" nogil:
    enum:
        MTB_KC, MTB_DOT_SPAN, MTB_DOT_RUN
    ctypedef struct mtb_gemm:
        i64 mr, nr, vl
        void (*strip)(i64 m, i64 n, i64 k, const void* a, i64 rsa, i64 csa, const void* b, i64 ldb,
                      void* c, i64 ldc, int add, const void* bias_n, const void* bias_m) noexcept nogil
        void (*block)(i64 m, i64 step, i64 n, i64 k, const void* a, i64 a_step, i64 rsa, i64 csa, const void* b,
                      void* c, i64 ldc, int add, const void* bias_n) noexcept nogil
        void (*pack)(void* dst, i64 width, const void* src, i64 sj, i64 n, i64 sk, i64 k) noexcept nogil
        void (*row)(i64 n, i64 k, const void* a, i64 sa, const void* b, i64 sj, void* c, int add,
                    const void* bias_n) noexcept nogil
        void (*dots)(i64 m, i64 k, const void* a, i64 rsa, i64 csa, const void* x, void* y,
                     void* scratch) noexcept nogil
        void (*total)(i64 n, i64 count, const void* blocks, i64 step, void* c, int add, const void* bias,
                      i64 bias_step) noexcept nogil

# C (m, n) = A (m, k) B (k, n), or C + A B if accumulate, then + bias_n (n) unless NULL. A and B have any strides that
# are not negative, and so may be transposed; the rows of C are contiguous, ldc apart.
cdef int gemm(int real, i64 m, i64 n, i64 k, const void* a, i64 rsa, i64 csa, const void* b, i64 rsb, i64 csb,
              void* c, i64 ldc, bint accumulate, const void* bias_n) except -1

# The same for every index of an ndim-dimensional batch of that shape; batch_x are the strides of that batch (0
# broadcasts A or B).
cdef int batched_gemm(int real, int ndim, const i64* shape, i64 m, i64 n, i64 k,
                      const void* a, const i64* batch_a, i64 rsa, i64 csa,
                      const void* b, const i64* batch_b, i64 rsb, i64 csb,
                      void* c, const i64* batch_c, i64 ldc, bint accumulate, const void* bias_n) except -1

# The same product of int64, modulo 2**64.
cdef int integer_gemm(i64 m, i64 n, i64 k, const i64* a, i64 rsa, i64 csa, const i64* b, i64 rsb, i64 csb,
                      i64* c, i64 ldc) except -1
