/* layernorm.c: layer norm and RMS norm of contiguous rows, forward and backward; a row is read from memory once. */
#include "../kernel.h"
#include "../pairsum.h"

enum { TOGETHER = 16 };
#define LAYER_LOOP(weighted, biased)                                                                                  \
    for (int64_t i = 0; i < n; i++) {                                                                                 \
        T v = ((row[i] - hi) - lo) * inv;                                                                             \
        if (weighted) v *= w[i];                                                                                      \
        if (biased) v += b[i];                                                                                        \
        out[i] = v;                                                                                                   \
    }

static void layer(int64_t rows, int64_t n, const void *xv, const void *weight, const void *bias, int64_t period,
                  int64_t first_row, double eps, int rms, void *yv, double *mean, double *invstd) {
    const T *restrict x = xv;
    T *restrict y = yv;
    int64_t group = n <= 512 ? TOGETHER : 1; /* short rows together: their roots and divisions fill vectors */
    for (int64_t from = 0; from < rows; from += group) {
        int64_t end = from + group < rows ? from + group : rows;
        double s[2 * TOGETHER] = {0}, m = (double)n;
        for (int64_t r = from; r < end; r++) {
            double *sums = s + 2 * (r - from);
            T x0 = rms ? 0 : x[r * n];
            moments_runs(1, n, x + r * n, 0, &x0, 0, sums);
            if (is_unsure(rms ? 0 : sums[0], sums[1], m)) {
                sums[0] = sums[1] = 0;
                moments_runs(1, n, x + r * n, 0, &x0, 1, sums);
            }
            mean[r] = rms ? 0 : (double)x0 + sums[0] / m;
        }
        for (int64_t r = from; r < end; r++) {
            const double *sums = s + 2 * (r - from);
            invstd[r] = 1 / __builtin_sqrt((rms ? sums[1] / m : variance(sums[0], sums[1], m)) + eps);
        }
        for (int64_t r = from; r < end; r++) {
            int64_t at = (first_row + r) % period * n;
            const T *restrict row = x + r * n, *restrict w = weight ? (const T *)weight + at : NULL;
            const T *restrict b = bias ? (const T *)bias + at : NULL;
            T *restrict out = y + r * n;
            T hi = (T)mean[r], lo = (T)(mean[r] - (double)hi), inv = (T)invstd[r];
            if (w && b) LAYER_LOOP(1, 1)
            else if (w) LAYER_LOOP(1, 0)
            else if (b) LAYER_LOOP(0, 1)
            else LAYER_LOOP(0, 0)
        }
    }
}

#define LAYER_BACKWARD(weighted)                                                                                      \
    {                                                                                                                 \
        TWO_SUMS(PAIR_##weighted, &s0, &s1);                                                                          \
        k0 = rms ? 0 : (T)(wide_fold(&s0) / (double)n);                                                               \
        k1 = (T)(invstd[r] * invstd[r] * wide_fold(&s1) / (double)n);                                                 \
        for (int64_t i = 0; i < n; i++) {                                                                             \
            T d = (x[i] - hi) - lo, g = weighted ? dy[i] * w[i] : dy[i];                                              \
            dx[i] = ((g - k0) - d * k1) * inv;                                                                        \
        }                                                                                                             \
    }
#define PAIR_0(LOAD, i, a, b)                                                                                         \
    {                                                                                                                 \
        a = LOAD(dy, i, 0);                                                                                           \
        b = a * ((LOAD(x, i, hi) - hi) - lo);                                                                         \
    }
#define PAIR_1(LOAD, i, a, b)                                                                                         \
    {                                                                                                                 \
        a = LOAD(dy, i, 0) * LOAD(w, i, 0);                                                                           \
        b = a * ((LOAD(x, i, hi) - hi) - lo);                                                                         \
    }

static void layer_backward(int64_t rows, int64_t n, const void *xv, const void *dyv, const void *weight, int64_t period,
                           int64_t first_row, int rms, const double *mean, const double *invstd, void *dxv) {
    const T *restrict x = xv, *restrict dy = dyv;
    T *restrict dx = dxv;
    for (int64_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        const T *restrict w = weight ? (const T *)weight + (first_row + r) % period * n : NULL;
        T hi = (T)mean[r], lo = (T)(mean[r] - (double)hi), inv = (T)invstd[r], k0, k1;
        wide_sum s0 = {}, s1 = {};
        if (w) LAYER_BACKWARD(1)
        else LAYER_BACKWARD(0)
    }
}

static void layer_backward_weight(int64_t rows, int64_t n, const void *xv, const void *dyv, int64_t stride,
                                  const double *mean, const double *invstd, int64_t stats_step,
                                  double *restrict dweight, double *restrict dbias) {
    const T *x = xv, *dy = dyv;
    for (int64_t r = 0; r < rows; r += 4) {
        const T *restrict xr[4], *restrict gr[4];
        T hi[4], lo[4], inv[4];
        int there = rows - r < 4 ? (int)(rows - r) : 4;
        for (int j = 0; j < 4; j++) {
            int64_t row = j < there ? r + j : r;
            double m = mean[row * stats_step];
            xr[j] = x + row * stride, gr[j] = dy + row * stride;
            hi[j] = (T)m, lo[j] = (T)(m - (double)hi[j]), inv[j] = (T)invstd[row * stats_step];
        }
        if (there == 4) {
            for (int64_t i = 0; i < n; i++) {
                T g[4], gx[4];
                UNROLL for (int j = 0; j < 4; j++) {
                    g[j] = gr[j][i];
                    gx[j] = g[j] * (((xr[j][i] - hi[j]) - lo[j]) * inv[j]);
                }
                dbias[i] += (g[0] + g[1]) + (g[2] + g[3]);
                dweight[i] += (gx[0] + gx[1]) + (gx[2] + gx[3]);
            }
            continue;
        }
        for (int j = 0; j < there; j++) {
            for (int64_t i = 0; i < n; i++) {
                dbias[i] += gr[j][i];
                dweight[i] += gr[j][i] * (((xr[j][i] - hi[j]) - lo[j]) * inv[j]);
            }
        }
    }
}

extern const mtb_layernorm TABLE(layernorm);
const mtb_layernorm TABLE(layernorm) = {layer, layer_backward, layer_backward_weight};
