# Drivers of softmax, logsumexp and cross entropy over contiguous data. real: 0 float32, 1 float64.
from .runtime cimport i64

# y = softmax (log: its logarithm) of x along the middle axis of (outer, n, inner)
cdef int softmax(int real, i64 outer, i64 n, i64 inner, const void* x, bint log, void* y) except -1
# dx from y and dy
cdef int softmax_backward(int real, i64 outer, i64 n, i64 inner, const void* y, const void* dy, bint log,
                          void* dx) except -1
# out (outer, inner) = log sum exp of x along the middle axis
cdef int logsumexp(int real, i64 outer, i64 n, i64 inner, const void* x, void* out) except -1

# Of each row of x (rows, n) and its class target (0 <= target < n, or ignore): loss (rows), and stats (rows, 2) for the
# gradient. total[0] = sum of losses, total[1] = sum of their weights. weight (n, or NULL: 1) sums to weight_sum.
cdef int cross_entropy(int real, i64 rows, i64 n, const void* x, const i64* target, const void* weight,
                       double weight_sum, i64 ignore, double smoothing, void* loss, void* stats,
                       double* total) except -1
# dx from dloss: one value a row (dloss_stride 1) or one for all (0); divided by divisor
cdef int cross_entropy_backward(int real, i64 rows, i64 n, const void* x, const i64* target, const void* weight,
                                double weight_sum, i64 ignore, double smoothing, const void* stats,
                                const void* dloss, i64 dloss_stride, double divisor, void* dx) except -1
