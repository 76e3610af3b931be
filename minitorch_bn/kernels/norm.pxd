# Drivers of batch, group and instance normalization, and of variances along an axis.
from .halves cimport Store
from .parts cimport Parts
from .runtime cimport i64, task

cdef extern from "mtb.h" nogil:
    enum:
        MTB_NORM_K0
        MTB_NORM_PARAMS
        MTB_TWICE_PARAMS
        MTB_MASK_NONE            # the ReLU that a gradient undoes: none,
        MTB_MASK_AGAIN           # one of the normalized value, which is computed again,
        MTB_MASK_OUTPUT          # or one that left the output z, which was kept
    ctypedef struct mtb_norm:
        void (*moments_parts)(i64 parts, i64 runs, i64 n, const void* x, i64 stride, i64 apart,
                              double* part, i64 step) noexcept nogil
        void (*moments_cols)(i64 rows, i64 cols, const void* x, i64 stride, const void* x0, int exact, double* s,
                             i64 step) noexcept nogil
        void (*merge_parts)(i64 n, i64 parts, i64 count, double full, double last, double m, const double* s, i64 step,
                            double* mean, double* var) noexcept nogil
        void (*sum_parts)(i64 n, i64 parts, const double* s, double* sums) noexcept nogil
        i64 (*finish_moments)(i64 n, const double* s, i64 step, double m, const void* x0, double* mean, double* var,
                              double eps, double* invstd, char* unsure) noexcept nogil
        void (*merge_cols)(i64 chunks, i64 cols, double* parts, i64 n, i64 repeat, double* s) noexcept nogil
        void (*affine)(i64 n, const double* mean, const double* invstd, i64 per, const void* weight, const void* bias,
                       i64 period, void* p, i64 step) noexcept nogil
        void (*backward_affine)(i64 n, const double* s, i64 s_step, double m, const double* invstd, i64 per,
                                const void* weight, i64 period, void* p, i64 step, void* dweight,
                                void* dbias) noexcept nogil
        void (*spread)(i64 rows, i64 cols, const void* src, i64 src_step, i64 repeat, i64 period, void* dst,
                       i64 dst_step) noexcept nogil
        void (*apply_runs)(i64 runs, i64 n, const void* x, const void* residual, i64 stride, const void* p, i64 step,
                           i64 first, i64 period, int relu, void* y, int past) noexcept nogil
        void (*apply_cols)(i64 rows, i64 cols, const void* x, const void* residual, i64 stride, const void* p, i64 step,
                           i64 first, i64 period, int relu, void* y, int past) noexcept nogil
        void (*backward_sums_runs)(i64 channels, i64 apart, i64 runs, i64 n, const void* x, const void* dy,
                                   const void* more, const void* z, i64 stride, const void* p, i64 step, int mask,
                                   void* g, double* s) noexcept nogil
        void (*backward_sums_cols)(i64 rows, i64 cols, const void* x, const void* dy, const void* z, i64 stride,
                                   const void* p, i64 step, int mask, void* g, double* s, i64 s_step) noexcept nogil
        void (*backward_runs)(i64 runs, i64 n, const void* x, const void* dy, i64 stride, const void* p, i64 step,
                              i64 first, i64 period, int mask, int frozen, void* dx, int past) noexcept nogil
        void (*backward_cols)(i64 rows, i64 cols, const void* x, const void* dy, i64 stride, const void* p, i64 step,
                              i64 first, i64 period, int mask, int frozen, void* dx, int past) noexcept nogil
        void (*twice_runs)(i64 runs, i64 n, const void* x, const void* dy, const void* u, i64 stride, const void* p,
                           i64 step, void* ddy, void* dx) noexcept nogil
        void (*twice_cols)(i64 rows, i64 cols, const void* x, const void* dy, const void* u, i64 stride, const void* p,
                           i64 step, void* ddy, void* dx) noexcept nogil
        void (*twice_affine)(i64 n, const double* s, double m, const double* mean, const double* invstd,
                             const void* weight, const void* a, const void* b, void* p, i64 step,
                             void* dweight) noexcept nogil

ctypedef const char* source
ctypedef char* bytes_p
ctypedef double* doubles_p

# A tensor seen as (N, C, S): N runs of S contiguous values for each channel, or (columns) N * S rows of C channels.
# Every `per` neighbouring channels share one statistic; weight and bias repeat after `period` channels. Batch norm:
# per = 1, period = C. Group norm: N = 1, C = batch * channels, per = channels of a group, period = channels.
cdef struct Channels:
    bint columns
    i64 n, c, s, stride_n, stride_c, per, period

# Nothing here is empty. Statistics are double, one for each c / per: mean, var (biased), invstd = 1 / sqrt(var + eps).
# Data, weight and bias are of the real dtype (0 float32, 1 float64); weight and bias may be NULL, x and y the same.

# y = normalize(x) * weight + bias (+ residual) (ReLU); computes mean, var, invstd. `parts`: NULL; or what moments_parts
# says of each plane (n, c, 2), if planes of that many elements are parts
cdef int normalize(int real, const Channels* view, const void* x, const void* residual, const void* weight,
                   const void* bias, double eps, bint relu, void* y, double* mean, double* var,
                   double* invstd, const double* parts) except -1
cdef bint planes_are_parts(i64 s) noexcept nogil
# whether half types, real -1 and -2, are taken: mean and the like are double, weight, bias and theirs float32
cdef bint takes_half(const Channels* view) noexcept
# the same with given statistics (of one statistic a channel)
cdef int apply(int real, const Channels* view, const void* x, const void* residual, const void* weight,
               const void* bias, bint relu, void* y, const double* mean, const double* invstd) except -1
# the same of f32 in two steps, without columns: p (MTB_NORM_K0, c) as api/norm.h says; then y = the map (ReLU)
cdef void params(const Channels* view, const double* mean, const double* invstd, const void* weight, const void* bias,
                 void* p) noexcept
cdef void apply_params(const Channels* view, const void* x, const void* p, bint relu, void* y) noexcept
# dx, and where not NULL dweight, dbias (period values each); with MTB_MASK_OUTPUT dresidual, the masked dy, or (not
# of columns) the masked dy + more. dx (else
# dresidual) may be dy. frozen: constant statistics. `gathered`: NULL; or what backward_sums_runs says of each plane
# (n, c, 2), and behind it the parameters that this was made with (MTB_NORM_K0, c), float32, if planes are parts
cdef int normalize_backward(int real, const Channels* view, const void* x, const void* dy, const void* more,
                            const void* z, const void* weight, const void* bias, const double* mean,
                            const double* invstd, int mask, bint frozen, void* dx, void* dresidual, void* dweight,
                            void* dbias, const double* gathered) except -1
# both for n samples of s rows of c columns, `per` of them a group: group norm of channels-last memory
cdef int normalize_samples(int real, const Channels* view, const void* x, const void* weight, const void* bias,
                           double eps, void* y, double* mean, double* var, double* invstd) except -1
cdef int samples_backward(int real, const Channels* view, const void* x, const void* dy, const void* weight,
                          const double* mean, const double* invstd, void* dx, void* dweight, void* dbias) except -1
# mean and var (biased) along the middle axis of a contiguous (outer, n, inner)
cdef int moments(int real, i64 outer, i64 n, i64 inner, const void* x, double* mean, double* var) except -1

# -- for the drivers beside this one --------------------------------------------------------------------------------

# body(plan, channel, runs, n, offset, stride, period): what is done with a block of runs (see api/norm.h)
ctypedef void (*map_block)(Plan*, i64, i64, i64, i64, i64, i64) noexcept nogil

cdef struct Plan:
    const mtb_norm* kernels
    Channels view
    i64 size                             # bytes of an element of what is computed with
    Store data                           # x, dy, y, dx: half types are computed with in float32,
    i64 room, together                   # for which there are so many bytes; statistics of a task
    task each                            # what a task does when they are in its room
    i64 blocks                           # runs: of a channel, each some runs, or a piece of one
    Parts of_channel, of_statistic       # runs: what has sums of its own
    # columns: rows and columns after SHORT, PAGE; column j belongs to channel j // repeat % c; the last row has `left`
    i64 rows, cols, stride, repeat, left
    i64 deep, width, chunks, panels      # a tile has `deep` rows and `width` columns
    double m                             # values of one statistic
    source x, residual, weight, bias, dy, more, z, u, g    # g: what the map takes for dy
    bytes_p y, dx, dresidual, ddy, p, x0, unsure
    doubles_p mean, var, invstd, sums    # sums: of samples
    doubles_p s                          # of columns see there; of runs, two sums of each (part, statistic or channel)
    double eps
    int relu, mask, frozen, exact
    bint fused                           # one task for each statistic does it all
    bint past                            # the result goes past the caches
    i64 step                             # between the parameters of p
    map_block body

cdef void prepare(Plan* q, int real, const Channels* view) noexcept
# task i as rows and columns; the offset of its first element
cdef i64 tile(Plan* q, i64 i, i64* rows, i64* col, i64* cols) noexcept nogil
cdef void spread_params(Plan* q, i64 count, char* p) noexcept
