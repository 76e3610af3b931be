/* api/norm.h: the kernels of the norm family: statistics, application and gradients of batch and group norm.
 *
 * A channel is either `runs` contiguous runs of n values, `stride` apart (its data in NCHW), or a column of a panel (in
 * NHWC and (N, C)). What a channel is normalized with is a column of a parameter array p of T, `step` apart:
 *   p[0] + p[1]  the mean, split in two, so that (x - p[0]) - p[1] keeps its digits however large the mean is
 *   p[2], p[3]   scale and shift: y = ((x - p[0]) - p[1]) * p[2] + p[3]
 *   p[4], p[5]   of the gradient: dx = dy * p[2] - (((x - p[0]) - p[1]) * p[5] + p[4])
 * Statistics are double.
 */
#ifndef MTB_API_NORM_H
#define MTB_API_NORM_H
#include <stdint.h>

enum { MTB_NORM_HI, MTB_NORM_LO, MTB_NORM_SCALE, MTB_NORM_SHIFT, MTB_NORM_K0, MTB_NORM_K1, MTB_NORM_PARAMS };
/* of the second derivative, after p[1]: ddy = u * [DDY_U] + (x - mean) * [DDY_D] + [DDY_1], and dx likewise */
enum {
    MTB_TWICE_DDY_U = 2, MTB_TWICE_DDY_D, MTB_TWICE_DDY_1, MTB_TWICE_DX_G, MTB_TWICE_DX_U, MTB_TWICE_DX_D,
    MTB_TWICE_DX_1, MTB_TWICE_PARAMS
};
/* the ReLU that a gradient undoes: none; of the normalized value, computed again; of an output z that was kept */
enum { MTB_MASK_NONE, MTB_MASK_AGAIN, MTB_MASK_OUTPUT };

typedef struct {
    /* part[0] = mean, part[1] = sum of squared deviations from it, of each of `parts` parts, `apart`; they go `step`
     * apart */
    void (*moments_parts)(int64_t parts, int64_t runs, int64_t n, const void *x, int64_t stride, int64_t apart,
                          double *part, int64_t step);
    /* mean[i], var[i] (sum of squared deviations / m) of n statistics from their parts, in the order of these: part k's
     * two numbers are at s + k * step + 2 * i; parts have `full` values, but the last of each `count` of them `last` */
    void (*merge_parts)(int64_t n, int64_t parts, int64_t count, double full, double last, double m, const double *s,
                        int64_t step, double *mean, double *var);
    /* sums[i], sums[n + i] = the sums of s (parts, n, 2) over the parts, in their order */
    void (*sum_parts)(int64_t n, int64_t parts, const double *s, double *sums);
    /* s[c] += sum of (x - x0[c]), s[step + c] += sum of (x - x0[c])^2 of column c; all in double if exact */
    void (*moments_cols)(int64_t rows, int64_t cols, const void *x, int64_t stride, const void *x0, int exact,
                         double *s, int64_t step);
    /* s[c], s[n + c] = the sums of channel c from the chunks' of columns (chunks, 2, cols), which become those of the
     * first; there are a multiple of n * repeat columns: column j belongs to channel j / repeat % n */
    void (*merge_cols)(int64_t chunks, int64_t cols, double *parts, int64_t n, int64_t repeat, double *s);
    /* mean[i], var[i] (sum of squared deviations / m), and invstd[i] = 1 / sqrt(var[i] + eps) unless that is NULL, from
     * the sums s[i], s[step + i] of m values; returns how many are unsure, and marks them unless `unsure` is NULL: the
     * caller then asks for the exact sums of those */
    int64_t (*finish_moments)(int64_t n, const double *s, int64_t step, double m, const void *x0, double *mean,
                              double *var, double eps, double *invstd, char *unsure);

    /* p[0..3] of n runs or columns: entry i has statistics i / per, and weight and bias (NULL: 1 and 0) i % period */
    void (*affine)(int64_t n, const double *mean, const double *invstd, int64_t per, const void *weight,
                   const void *bias, int64_t period, void *p, int64_t step);
    /* p[4..5] of the same from the sums s[i] = sum dy, s[s_step + i] = sum dy * (x - mean), each statistic of m values;
     * and dweight, dbias[i % period] (either may be NULL) */
    void (*backward_affine)(int64_t n, const double *s, int64_t s_step, double m, const double *invstd, int64_t per,
                            const void *weight, int64_t period, void *p, int64_t step, void *dweight, void *dbias);
    /* dst[r * dst_step + j] = src[r * src_step + j / repeat % period]: parameters of channels for columns, of which
     * there are a multiple of repeat * period */
    void (*spread)(int64_t rows, int64_t cols, const void *src, int64_t src_step, int64_t repeat, int64_t period,
                   void *dst, int64_t dst_step);

    /* y = x normalized (+ residual) (max 0 if relu); residual may be NULL, y may be x or residual; one stride. Run r
     * has column (first + r) % period of p: channel after channel; all have column first if period is 1. Columns ignore
     * both. past: y is neither x nor residual, and goes past the caches (K.convert.stream waits for it). */
    void (*apply_runs)(int64_t runs, int64_t n, const void *x, const void *residual, int64_t stride, const void *p,
                       int64_t step, int64_t first, int64_t period, int relu, void *y, int past);
    void (*apply_cols)(int64_t rows, int64_t cols, const void *x, const void *residual, int64_t stride, const void *p,
                       int64_t step, int64_t first, int64_t period, int relu, void *y, int past);
    /* s[0] += sum of dy, s[1] += sum of dy * (x - mean), dy masked, of a channel; of the next, which is `apart`, to the
     * next two. Columns: s[c], s[s_step + c]. With MTB_MASK_OUTPUT the masked dy is written to g,
     * which may be dy; of runs, the masked dy + more unless that is NULL. */
    void (*backward_sums_runs)(int64_t channels, int64_t apart, int64_t runs, int64_t n, const void *x, const void *dy,
                               const void *more, const void *z, int64_t stride, const void *p, int64_t step, int mask,
                               void *g, double *s);
    void (*backward_sums_cols)(int64_t rows, int64_t cols, const void *x, const void *dy, const void *z, int64_t stride,
                               const void *p, int64_t step, int mask, void *g, double *s, int64_t s_step);
    /* dx, which may be dy; mask: not MTB_MASK_OUTPUT; frozen: the statistics are constants (p[4], p[5] unused); past:
     * dx is not dy, and goes past the caches */
    void (*backward_runs)(int64_t runs, int64_t n, const void *x, const void *dy, int64_t stride, const void *p,
                          int64_t step, int64_t first, int64_t period, int mask, int frozen, void *dx, int past);
    void (*backward_cols)(int64_t rows, int64_t cols, const void *x, const void *dy, int64_t stride, const void *p,
                          int64_t step, int64_t first, int64_t period, int mask, int frozen, void *dx, int past);

    /* Second derivative of batch norm: u, a, b are the gradients of its dx, dweight, dbias. */
    /* ddy and dx of runs, columns; p as twice_affine makes it */
    void (*twice_runs)(int64_t runs, int64_t n, const void *x, const void *dy, const void *u, int64_t stride,
                       const void *p, int64_t step, void *ddy, void *dx);
    void (*twice_cols)(int64_t rows, int64_t cols, const void *x, const void *dy, const void *u, int64_t stride,
                       const void *p, int64_t step, void *ddy, void *dx);
    /* p of n channels of m values, and dweight, from the five sums s (5, n): dy, dy * (x - mean), u, u * (x - mean),
     * u * dy; weight, a, b, dweight may be NULL */
    void (*twice_affine)(int64_t n, const double *s, double m, const double *mean, const double *invstd,
                         const void *weight, const void *a, const void *b, void *p, int64_t step, void *dweight);
} mtb_norm;
#endif
