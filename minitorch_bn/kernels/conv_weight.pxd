# The weight gradient of a convolution (layouts: conv.pxd).
from minitorch_bn.kernels.window cimport conv_geometry

# dw = the gradient with respect to w
cdef int conv_backward_weight(int real, const conv_geometry* g, const void* x, const void* dy, void* dw) except -1
