# Drivers of softmax, logsumexp and cross entropy over contiguous data. real: 0 float32, 1 float64.
from .runtime cimport i64

cdef extern from "mtb.h" nogil:
    ctypedef struct mtb_loss:
        i64 n, ignore, dloss_stride
        const void* weight
        double weight_sum, smoothing, divisor

# y = softmax (log: its logarithm) of x along the middle axis of (outer, n, inner)
cdef int softmax(int real, i64 outer, i64 n, i64 inner, const void* x, bint log, void* y) except -1
# dx from y and dy
cdef int softmax_backward(int real, i64 outer, i64 n, i64 inner, const void* y, const void* dy, bint log,
                          void* dx) except -1
# out (outer, inner) = log sum exp of x along the middle axis
cdef int logsumexp(int real, i64 outer, i64 n, i64 inner, const void* x, void* out) except -1

# Of each column of x (outer, n, inner) and its class target (outer, inner), 0 <= target < n or ignore: losses (outer,
# inner), and stats (outer, inner, 2) for the gradient. total[0] = sum of losses, total[1] = sum of their weights.
cdef int cross_entropy(int real, i64 outer, i64 inner, const mtb_loss* loss, const void* x, const i64* target,
                       void* losses, void* stats, double* total) except -1
# dx from dloss: one value a loss (dloss_stride 1) or one for all (0); divided by divisor
cdef int cross_entropy_backward(int real, i64 outer, i64 inner, const mtb_loss* loss, const void* x, const i64* target,
                                const void* stats, const void* dloss, void* dx) except -1

# Whether each of n targets is a class or `ignore`
cdef bint all_classes(i64 n, const i64* target, i64 classes, i64 ignore) noexcept

ctypedef struct mtb_picks:                   # f(t) = factor weight[t] (1 where it is NULL), and 0 where t is ignore
    i64 ignore
    const void* weight
    double factor

# y[r] = f(target[r]) x[column r, target[r]] of (outer, n, inner), 0 where f is; y may be NULL; total: the sum of y, and
# of f / factor
cdef int pick(int real, i64 outer, i64 n, i64 inner, const void* x, const i64* target, const mtb_picks* how, void* y,
              double* total) except -1
# x[column r, target[r]] = f(target[r]) y[r * step], the rest 0
cdef int place(int real, i64 outer, i64 n, i64 inner, const void* y, i64 step, const i64* target, const mtb_picks* how,
               void* x) except -1

# Connectionist temporal classification of log-probabilities x (steps, batch, classes) and targets (batch, longest):
# losses (batch), and alpha, (steps + 1) (2 longest + 3) numbers for each. Where dlosses is not NULL: dx, which is 0
# before, from what that left.
cdef int ctc(i64 steps, i64 batch, i64 classes, i64 longest, const double* x, const i64* targets,
             const i64* input_lengths, const i64* target_lengths, i64 blank, double* alpha, double* losses,
             const double* dlosses, double* dx) except -1
