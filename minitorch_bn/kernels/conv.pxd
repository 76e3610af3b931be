# Convolutions on raw memory: x (n, c_in, in...), w (c_out, c_in / groups, kernel...), y (n, c_out, out...), all
# contiguous; real = 0 for float32, 1 for float64. Every result is overwritten.
from minitorch_bn.kernels.window cimport channel_map, conv_geometry, gathering

# y = conv(x, w) + bias (c_out) unless NULL; or of x mapped, unless map is NULL: only if conv_maps. `wanted`: of
# the planes of y, or NULL; returns 1 if that was gathered.
cdef bint conv_maps(int real, const conv_geometry* g) noexcept
cdef int conv_forward(int real, const conv_geometry* g, const void* x, const channel_map* map, const void* w,
                      const void* bias, void* y, const gathering* wanted) except -1
# dx = the gradient of y with respect to x, applied to dy; + bias (c_in) unless NULL: a transposed convolution
cdef int conv_backward_data(int real, const conv_geometry* g, const void* dy, const void* w, const void* bias,
                            void* dx, const gathering* wanted) except -1
# Whether that is a product of matrices: x (n, k) times the transpose of w (c_out, k), k = c_in * kernel volume
cdef bint is_product(const conv_geometry* g) noexcept nogil
