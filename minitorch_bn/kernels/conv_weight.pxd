# The weight gradient of a convolution (layouts: conv.pxd).
from minitorch_bn.kernels.window cimport channel_map, conv_geometry

# dw = the gradient with respect to w; with a map (only if conv_maps) 1 if it has an infinity or a NaN, and then it must
# be computed again without one
cdef int conv_backward_weight(int real, const conv_geometry* g, const void* x, const channel_map* map, const void* dy,
                              void* dw) except -1
