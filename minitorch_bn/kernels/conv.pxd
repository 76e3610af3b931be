# Convolutions on raw memory: x (n, c_in, in...), w (c_out, c_in / groups, kernel...), y (n, c_out, out...), all contiguous;
# real = 0 for float32, 1 for float64. Every result is overwritten.
from minitorch_bn.kernels.runtime cimport i64

cdef extern from "mtb.h" nogil:
    # Up to three spatial axes; absent leading axes have size 1, kernel 1, stride 1. y[o] reads x[o * stride - pad_lo +
    # k * dilation], and 0 outside of x; so `out` decides how much padding there is behind.
    ctypedef struct conv_geometry "mtb_conv_geometry":
        i64 n, c_in, c_out, groups
        i64 in_ "in"[3]
        i64 out[3]
        i64 kernel[3]
        i64 stride[3]
        i64 pad_lo[3]
        i64 dilation[3]

# y = conv(x, w) + bias (c_out) unless NULL
cdef int conv_forward(int real, const conv_geometry* g, const void* x, const void* w, const void* bias,
                      void* y) except -1
# dx = the gradient of y with respect to x, applied to dy; + bias (c_in) unless NULL: a transposed convolution
cdef int conv_backward_data(int real, const conv_geometry* g, const void* dy, const void* w, const void* bias,
                            void* dx) except -1
# dw = the gradient with respect to w
cdef int conv_backward_weight(int real, const conv_geometry* g, const void* x, const void* dy, void* dw) except -1
