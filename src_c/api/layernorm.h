/* api/layernorm.h: the kernels of the layernorm family: rows of n values, each normalized by its own statistics. */
#ifndef MTB_API_LAYERNORM_H
#define MTB_API_LAYERNORM_H
#include <stdint.h>

typedef struct {
    /* Layer norm (rms: root mean square norm, no mean) of contiguous rows. Row r has the weight and bias of row
     * r % period of weight and bias (period, n), or none (NULL). mean and invstd: one of each a row. */
    void (*layer)(int64_t rows, int64_t n, const void *x, const void *weight, const void *bias, int64_t period,
                  int64_t first_row, double eps, int rms, void *y, double *mean, double *invstd);
    void (*layer_backward)(int64_t rows, int64_t n, const void *x, const void *dy, const void *weight, int64_t period,
                           int64_t first_row, int rms, const double *mean, const double *invstd, void *dx);
    /* dweight[c] += sum over rows of dy * xhat, dbias[c] += sum of dy, in double; rows are stride apart */
    void (*layer_backward_weight)(int64_t rows, int64_t n, const void *x, const void *dy, int64_t stride,
                                  const double *mean, const double *invstd, int64_t stats_step, double *dweight,
                                  double *dbias);
} mtb_layernorm;
#endif
