/* api/softmax.h: the kernels of the softmax family: softmax, log-softmax, logsumexp and cross entropy, and gradients.
 *
 * rows: contiguous rows of n. cols: columns of n values, in a panel of at most MTB_SOFTMAX_COLS columns, rows of which
 * are `stride` apart. Of one row or column the bits are the same whatever stands beside it.
 */
#ifndef MTB_API_SOFTMAX_H
#define MTB_API_SOFTMAX_H
#include <stdint.h>

enum { MTB_SOFTMAX_COLS = 128 };

/* A cross entropy over n classes: of targets t, 0 <= t < n or t == ignore; weight (n), whose sum is weight_sum, may be
 * NULL: all 1. The gradient of loss r is dloss[r * dloss_stride], divided by `divisor`. */
typedef struct {
    int64_t n, ignore, dloss_stride;
    const void *weight;
    double weight_sum, smoothing, divisor;
} mtb_loss;

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

    /* loss[r] of row or column r with class target[r]; stats[2 r], stats[2 r + 1] = max of the row, 1 / sum
     * exp(x - max); total[0] += sum of loss, total[1] += sum of weight[target]. And the gradient dx. */
    void (*cross_entropy_rows)(const mtb_loss *q, int64_t rows, const void *x, const int64_t *target, void *loss,
                               void *stats, double *total);
    void (*cross_entropy_cols)(const mtb_loss *q, int64_t cols, const void *x, int64_t stride, const int64_t *target,
                               void *loss, void *stats, double *total);
    void (*cross_entropy_backward_rows)(const mtb_loss *q, int64_t rows, const void *x, const int64_t *target,
                                        const void *stats, const void *dloss, void *dx);
    void (*cross_entropy_backward_cols)(const mtb_loss *q, int64_t cols, const void *x, int64_t stride,
                                        const int64_t *target, const void *stats, const void *dloss, void *dx);

    /* Of float64 only: connectionist temporal classification of log-probabilities x[t * stride + class] over n states,
     * of classes state[n]; closed[s] is 0 where state s can be reached from s - 2, else -inf. Gives -log p, and fills
     * alpha[steps + 1][n + 2]; emit[n] is scratch. */
    double (*ctc)(int64_t steps, const double *x, int64_t stride, int64_t n, const int64_t *state, const double *closed,
                  double *alpha, double *emit);
    /* dx, the gradient g times that of the logits below a log_softmax; state and closed reversed; scratch[4 n + 4] */
    void (*ctc_backward)(int64_t steps, int64_t classes, const double *x, int64_t stride, int64_t n,
                         const int64_t *state, const double *closed, const double *alpha, double loss, double g,
                         double *dx, double *scratch);
} mtb_softmax;
#endif
