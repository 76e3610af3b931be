# The driver of batch norm's second derivative.
from .norm cimport Channels
from .runtime cimport i64

# The derivative of normalize_backward (not frozen, no mask, per = 1): u, a, b are the gradients of its dx, dweight and
# dbias (a and b may be NULL), ddy and dx those of dy and x; dweight (c values) may be NULL.
cdef int normalize_twice(int real, const Channels* view, const void* x, const void* dy, const void* u, const void* a,
                         const void* b, const void* weight, const double* mean, const double* invstd, void* ddy,
                         void* dx, void* dweight) except -1
