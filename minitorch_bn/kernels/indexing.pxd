# The driver of indexing: moves and sums at positions given by int64 tensors, and packing by masks.
from libc.stdint cimport uint8_t

from minitorch_bn.kernels.runtime cimport i64

cdef extern from "mtb.h" nogil:
    enum:
        MTB_SCATTER_PUT
        MTB_SCATTER_ADD
        MTB_SCATTER_MULTIPLY
        MTB_SCATTER_MAX
        MTB_SCATTER_MIN
    ctypedef struct mtb_indexing "mtb_indexing":
        void (*gather)(void* y, const void* x, const i64* index, i64 outer, i64 m, i64 n, i64 inner) noexcept nogil
        void (*scatter[5])(void* y, const void* x, const i64* index, i64 outer, i64 m, i64 n, i64 inner, i64 first,
                           i64 to) noexcept nogil
        void (*take_rows)(void* y, const void* x, const i64* index, i64 outer, i64 m, i64 n, i64 inner, i64 row,
                          i64 x_outer) noexcept nogil
        void (*put_rows[5])(void* y, const void* x, const i64* index, i64 outer, i64 m, i64 n, i64 inner, i64 row,
                            i64 y_outer, i64 first, i64 to, i64 lo, i64 hi) noexcept nogil
        i64 (*compress)(void* y, const void* x, const uint8_t* mask, i64 n) noexcept nogil
        i64 (*expand)(void* y, const void* x, const uint8_t* mask, i64 n) noexcept nogil
        i64 (*check)(const i64* index, i64 n, i64 lo, i64 hi) noexcept nogil
        i64 (*count)(const uint8_t* mask, i64 n) noexcept nogil
        void (*positions)(i64* at, const uint8_t* mask, i64 n, i64 base) noexcept nogil
        void (*searchsorted)(i64* at, const void* v, i64 m, const void* row, i64 n, const i64* sorter,
                             int right) noexcept nogil

# Every index must have been checked: lo = 0, or -n where negative ones count from the end. The first bad place, or -1.
cdef i64 check_index(const i64* index, i64 n, i64 lo, i64 hi) except -2

# Contiguous: x [outer, n, inner], index and y [outer, m, inner]. Any dtype.
cdef int gather(int dtype, void* y, const void* x, const i64* index, i64 outer, i64 m, i64 n, i64 inner) except -1
# Contiguous: y [outer, n, inner], index and x [outer, m, inner]. MTB_SCATTER_PUT: any dtype; else one with arithmetic.
cdef int scatter(int dtype, int reduction, void* y, const void* x, const i64* index, i64 outer, i64 m, i64 n,
                 i64 inner) except -1
# y [outer, m, inner] contiguous; row k of x is `inner` contiguous elements at o * x_outer + k * row (in elements).
# n = 0: the indices are offsets that count from nowhere, and may be negative (row is then 1).
cdef int take_rows(int dtype, void* y, const void* x, const i64* index, i64 outer, i64 m, i64 n, i64 inner, i64 x_outer,
                   i64 row) except -1
# The other way: row index[j] of y (reduced with) = row j of x, in the order of j; x [outer, m, inner] contiguous.
cdef int put_rows(int dtype, int reduction, void* y, const void* x, const i64* index, i64 outer, i64 m, i64 n,
                  i64 inner, i64 y_outer, i64 row) except -1

# counts[k] += how often k is in x[n], int64; all are below `length`
cdef int bincount(i64* counts, i64 length, const i64* x, i64 n) except -1

# Row r of x, run_bytes long, to y + r * step; rows of x follow each other.
cdef int spread_rows(char* y, i64 step, const char* x, i64 run_bytes, i64 rows) except -1

# Masks in two passes: mask_starts counts the set bytes before each block into starts[mask_blocks(n)]; returns all.
cdef i64 mask_blocks(i64 n) noexcept
cdef i64 mask_starts(const uint8_t* mask, i64 n, i64* starts) except -1
cdef int compress(int dtype, void* y, const void* x, const uint8_t* mask, i64 n, const i64* starts) except -1
cdef int expand(int dtype, void* y, const void* x, const uint8_t* mask, i64 n, const i64* starts) except -1
cdef int positions(i64* at, const uint8_t* mask, i64 n, const i64* starts) except -1
# coordinates [m, ndim], or [ndim, m] by_dims, of flat positions at[m] in an array of that shape
cdef int unravel(i64* coordinates, const i64* at, i64 m, int ndim, const i64* shape, bint by_dims) except -1

# at, v [rows, m]; row r is sorted[r * n or, with one_row, 0:]; sorter may be NULL
cdef int searchsorted(int dtype, i64* at, const void* v, i64 rows, i64 m, const void* row, i64 n, const i64* sorter,
                      bint one_row, bint right) except -1
