# 3 x 3 and 5 x 5 convolutions by transformed tiles, float32 (layouts: conv.pxd).
from minitorch_bn.kernels.runtime cimport i64
from minitorch_bn.kernels.window cimport channel_map, conv_geometry, gathering

# Whether this path is taken, by the shape of one item of the batch alone, for a result with planes of that size.
cdef bint suits_winograd(int real, const conv_geometry* g, const i64* plane) noexcept nogil
# conv_forward; or, backward, conv_backward_data. Sets bad[i] if item i of the result has an infinity or a NaN: there
# the values of a whole tile are mixed, so that item must be computed again by the plain sum. Returns whether it
# gathered what it was asked for: see conv_forward.
cdef int winograd_sweep(const conv_geometry* g, const void* x, const channel_map* map, const void* w, const void* bias,
                        void* y, bint backward, char* bad, const gathering* wanted) except -1
# of `count` planes of the result y, the first of which is of that channel, and plane `first` of all
cdef void gather_planes(const gathering* q, const float* y, i64 first, i64 channel, i64 count,
                        i64 plane) noexcept nogil
# conv_backward_weight; the same for all of the result.
cdef int winograd_weight(const conv_geometry* g, const void* x, const channel_map* map, const void* dy, void* dw,
                         char* bad) except -1
