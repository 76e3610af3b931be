# The driver of random draws. A draw is named by (seed, offset); its element i depends on (seed, offset, i) alone.
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t

from minitorch_bn.kernels.runtime cimport i64

cdef extern from "mtb.h" nogil:
    enum:
        MTB_GROUP_WORDS
    ctypedef struct mtb_draw:
        uint64_t seed, offset
    ctypedef struct mtb_random "mtb_random":
        void (*block)(uint32_t* out, const uint32_t* counter, const uint32_t* key) noexcept nogil
        void (*uniform)(void* out, i64 n, uint64_t group, const mtb_draw* d, double lo, double hi) noexcept nogil
        void (*normal)(void* out, i64 n, uint64_t group, const mtb_draw* d, double mean, double std) noexcept nogil
        void (*integers)(i64* out, i64 n, uint64_t group, const mtb_draw* d, i64 lo, uint64_t range) noexcept nogil
        void (*bernoulli)(uint8_t* out, i64 n, uint64_t group, const mtb_draw* d, uint64_t threshold) noexcept nogil
        void (*dropout)(void* y, uint8_t* mask, const void* x, i64 n, uint64_t group, const mtb_draw* d,
                        uint64_t threshold, double scale) noexcept nogil
        void (*masked_scale)(void* y, const uint8_t* mask, const void* x, i64 n, double scale) noexcept nogil
        void (*shuffle)(void* a, int wide, i64 first, const i64* words, i64 n) noexcept nogil

# real: 0 float32, 1 float64
cdef int uniform(int real, void* out, i64 n, mtb_draw d, double lo, double hi) except -1
cdef int normal(int real, void* out, i64 n, mtb_draw d, double mean, double std) except -1
cdef int integers(i64* out, i64 n, mtb_draw d, i64 lo, uint64_t range) except -1      # [lo, lo + range); 0: all 2**64
cdef int bernoulli(uint8_t* out, i64 n, mtb_draw d, double probability) except -1
cdef int dropout(int real, void* y, uint8_t* mask, const void* x, i64 n, mtb_draw d, double keep) except -1
cdef int masked_scale(int real, void* y, const uint8_t* mask, const void* x, i64 n, double scale) except -1
cdef int permutation(i64* out, i64 n, mtb_draw d) except -1                           # of 0 .. n-1
