/* api/softmax.h: the kernels of the softmax family: softmax, log-softmax, logsumexp and cross entropy, and gradients.
 *
 * rows: contiguous rows of n. cols: columns of n values, in a panel of at most MTB_SOFTMAX_COLS columns, rows of which
 * are `stride` apart. Of one row or column the bits are the same whatever stands beside it.
 */
#ifndef MTB_API_SOFTMAX_H
#define MTB_API_SOFTMAX_H
#include <stdint.h>

enum { MTB_SOFTMAX_COLS = 128 };

typedef struct {
    /* y = softmax of x, or its logarithm */
    void (*rows)(int64_t rows, int64_t n, const void *x, int log, void *y);
    void (*cols)(int64_t n, int64_t cols, const void *x, int64_t stride, int log, void *y);
    /* dx from dy and y = (log) softmax */
    void (*backward_rows)(int64_t rows, int64_t n, const void *y, const void *dy, int log, void *dx);
    void (*backward_cols)(int64_t n, int64_t cols, const void *y, const void *dy, int64_t stride, int log, void *dx);
    /* out[r] = log sum exp of row r, or of column c */
    void (*logsumexp_rows)(int64_t rows, int64_t n, const void *x, void *out);
    void (*logsumexp_cols)(int64_t n, int64_t cols, const void *x, int64_t stride, void *out);

    /* Cross entropy of rows x with class indices target, 0 <= target < n or target == ignore; weight (n), whose sum is
     * weight_sum, may be NULL: all 1. loss[r]; stats[2 r], stats[2 r + 1] = max of the row, 1 / sum exp(x - max);
     * total[0] += sum of loss, total[1] += sum of weight[target]. */
    void (*cross_entropy)(int64_t rows, int64_t n, const void *x, const int64_t *target, const void *weight,
                          double weight_sum, int64_t ignore, double smoothing, void *loss, void *stats, double *total);
    /* dx; dloss[r * dloss_stride] is the gradient of loss r, divided by `divisor` */
    void (*cross_entropy_backward)(int64_t rows, int64_t n, const void *x, const int64_t *target, const void *weight,
                                   double weight_sum, int64_t ignore, double smoothing, const void *stats,
                                   const void *dloss, int64_t dloss_stride, double divisor, void *dx);
} mtb_softmax;
#endif
