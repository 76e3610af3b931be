# The driver of pooling: planes (channels of samples) over threads. Sizes are checked before.
from minitorch_bn.kernels.runtime cimport i64

cdef extern from "mtb.h" nogil:
    ctypedef struct mtb_window:
        i64[3] out, kernel, stride, pad, dilation
        i64[3] input "in"
        bint count_pad
        i64 divisor
    ctypedef struct mtb_cells:
        i64[3] out
        i64[3] input "in"
        const i64* start[3]
        const i64* end[3]
    ctypedef struct mtb_pool "mtb_pool":
        i64 (*max_scratch)(const mtb_window* w) noexcept nogil
        void (*max)(void* y, i64* at, const void* x, const mtb_window* w, void* scratch) noexcept nogil
        void (*average)(void* y, const void* x, const mtb_window* w) noexcept nogil
        void (*average_backward)(void* dx, const void* dy, const mtb_window* w, void* row) noexcept nogil
        void (*adaptive_max)(void* y, i64* at, const void* x, const mtb_cells* c) noexcept nogil
        void (*adaptive_average)(void* y, const void* x, const mtb_cells* c) noexcept nogil
        void (*adaptive_average_backward)(void* dx, const void* dy, const mtb_cells* c) noexcept nogil
        void (*scatter)(void* dx, i64 n_in, const void* dy, const i64* at, i64 n_out, int add) noexcept nogil
        void (*pick)(void* y, const void* x, const i64* at, i64 n_out) noexcept nogil

# x: [planes, in], y and at: [planes, out], contiguous; at may be NULL. real: 0 float32, 1 float64.
cdef int max_pool(int real, void* y, i64* at, const void* x, i64 planes, const mtb_window* w) except -1
cdef int average_pool(int real, void* y, const void* x, i64 planes, const mtb_window* w) except -1
cdef int average_pool_backward(int real, void* dx, const void* dy, i64 planes, const mtb_window* w) except -1
# the window's in and out alone matter
cdef int adaptive_max(int real, void* y, i64* at, const void* x, i64 planes, const mtb_window* w) except -1
cdef int adaptive_average(int real, void* y, const void* x, i64 planes, const mtb_window* w) except -1
cdef int adaptive_average_backward(int real, void* dx, const void* dy, i64 planes, const mtb_window* w) except -1
# dx[p, at[p, i]] += (add) or = dy[p, i], the rest 0; y[p, i] = x[p, at[p, i]]. at was checked, or comes from a maximum.
cdef int scatter(int real, void* dx, i64 n_in, const void* dy, const i64* at, i64 n_out, i64 planes, bint add) except -1
cdef int pick(int real, void* y, i64 n_out, const void* x, const i64* at, i64 n_in, i64 planes) except -1
