/* api/reduce.h: the kernels of the reduce family: sums, extremes and running (cumulative) forms, for every dtype.
 *
 * Every kernel exists for two layouts: `rows` reduces contiguous runs, x[r * stride + 0..n) to entry r; `cols` reduces
 * down the columns of a panel, x[0..rows) * stride + c to entry c, vectorised across c. Accumulators are double for
 * float32 and float64, and int64 (modulo 2^64) for integers and bool. Strides count elements.
 */
#ifndef MTB_API_REDUCE_H
#define MTB_API_REDUCE_H
#include <stdint.h>

/* x, x * x, |x|, product, x with NaN as 0; of integers only sum and product */
enum { MTB_SUM, MTB_SUM_SQUARE, MTB_SUM_ABS, MTB_PROD, MTB_SUM_NOT_NAN, MTB_NSUMS };
enum { MTB_MAX, MTB_MIN, MTB_NEXTREMES };
enum { MTB_CUMSUM, MTB_CUMPROD, MTB_LOGCUMSUMEXP, MTB_NSCANS };

typedef struct {
    /* acc[r] = sum of row r */
    void (*sum_rows[MTB_NSUMS])(int64_t rows, int64_t n, const void *x, int64_t stride, void *acc);
    /* acc[c] = sum of column c */
    void (*sum_cols[MTB_NSUMS])(int64_t rows, int64_t cols, const void *x, int64_t stride, void *acc);
    /* out[i] = (T)(acc[i] / divisor), or its square root; integers copy acc to int64 */
    void (*round)(int64_t n, const void *acc, double divisor, int root, void *out);

    /* value[r], index[r] = first extreme of row r and where; a NaN is more extreme than any number. n >= 1; index may
     * be NULL. */
    void (*extreme_rows[MTB_NEXTREMES])(int64_t rows, int64_t n, const void *x, int64_t stride, void *value,
                                        int64_t *index);
    /* the same of each column; rows >= 1 */
    void (*extreme_cols[MTB_NEXTREMES])(int64_t rows, int64_t cols, const void *x, int64_t stride, void *value,
                                        int64_t *index);

    /* y[i] = x[0] + ... + x[i] of each row, element i of row r at r * row + i * step, in x and in y (strides may be
     * negative); the product; the log of the sum of exponentials. Of reals, the first two also of int64. */
    void (*cumulate[MTB_NSCANS])(int64_t rows, int64_t n, const void *x, int64_t x_row, int64_t x_step, void *y,
                                 int64_t y_row, int64_t y_step);
    /* value[i], index[i] = last extreme of x[0..i] and where */
    void (*cumulate_extreme[MTB_NEXTREMES])(int64_t rows, int64_t n, const void *x, int64_t x_row, int64_t x_step,
                                            void *value, int64_t *index, int64_t y_row, int64_t y_step);
} mtb_reduce;
#endif
