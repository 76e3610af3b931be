/* norm.c: statistics, application and gradients of batch, group, instance, layer and RMS norm (parameters: api/norm.h).
 *
 * Sums run over x - x0, x0 a value of the channel itself, so that a large mean costs no digits; eight values are added
 * pairwise in T before they are widened to double. The order of additions depends on lengths only. Loops that map
 * values are plain C: every level gives the same bits, as nothing is contracted and nothing is reassociated.
 */
#include "../kernel.h"
#include "../accum.h"

#define ALWAYS static inline __attribute__((always_inline))
#define MAP _Pragma("GCC ivdep") /* y may be x: the same index, never another one */

/* ---- two sums at once over a run ----------------------------------------------------------------------------------
 * PAIR(LOAD, i, a, b) makes from the elements at i, read by LOAD(pointer, i, fill), two vectors to add to the two sums.
 * Past the end LOAD gives the fill, which must add nothing. */
enum { PAIR_BLOCK = 8 * LANES };

ALWAYS vec load_rest(const T *p, int64_t i, int64_t n, T fill) {
    if (i + VL <= n) return vload(p + i);
#if defined(__AVX512F__) && MTB_T_f32
    if (i < n) return (vec)_mm512_mask_loadu_ps((__m512)vset(fill), (__mmask16)((1u << (n - i)) - 1), p + i);
#elif defined(__AVX512F__)
    if (i < n) return (vec)_mm512_mask_loadu_pd((__m512d)vset(fill), (__mmask8)((1u << (n - i)) - 1), p + i);
#endif
    return i < n ? vload_part(p + i, (int)(n - i), fill) : vset(fill);
}
#define LOAD_FULL(p, i, fill) vload((p) + (i))
#define LOAD_REST(p, i, fill) load_rest(p, i, n, fill)

#define TWO_SUMS(PAIR, s0, s1)                                                                                        \
    do {                                                                                                              \
        int64_t i = 0;                                                                                                \
        vec a[NV], b[NV];                                                                                             \
        for (; i + PAIR_BLOCK <= n; i += PAIR_BLOCK) {                                                                \
            UNROLL for (int k = 0; k < NV; k++) {                                                                     \
                vec aj[8], bj[8];                                                                                     \
                UNROLL for (int j = 0; j < 8; j++) PAIR(LOAD_FULL, i + j * LANES + k * VL, aj[j], bj[j])              \
                a[k] = pairwise8(aj), b[k] = pairwise8(bj);                                                           \
            }                                                                                                         \
            wide_add(s0, a), wide_add(s1, b);                                                                         \
        }                                                                                                             \
        if (i < n) { /* up to 7 values in each lane, and a part */                                                    \
            UNROLL for (int k = 0; k < NV; k++) a[k] = b[k] = (vec){};                                                \
            for (; i + LANES <= n; i += LANES) {                                                                      \
                UNROLL for (int k = 0; k < NV; k++) {                                                                 \
                    vec ak, bk;                                                                                       \
                    PAIR(LOAD_FULL, i + k * VL, ak, bk)                                                               \
                    a[k] += ak, b[k] += bk;                                                                           \
                }                                                                                                     \
            }                                                                                                         \
            for (int k = 0; k < NV && i + k * VL < n; k++) {                                                          \
                vec ak, bk;                                                                                           \
                PAIR(LOAD_REST, i + k * VL, ak, bk)                                                                   \
                a[k] += ak, b[k] += bk;                                                                               \
            }                                                                                                         \
            wide_add(s0, a), wide_add(s1, b);                                                                         \
        }                                                                                                             \
    } while (0)

/* ---- statistics: reads x once -----------------------------------------------------------------------------------*/
static void moments_runs(int64_t runs, int64_t n, const void *xv, int64_t stride, const void *x0v, int exact,
                         double *s) {
    T x0 = *(const T *)x0v;
    const T *x = xv;
    if (exact) {
        for (int64_t r = 0; r < runs; r++, x += stride) {
            for (int64_t i = 0; i < n; i++) {
                double d = (double)x[i] - (double)x0;
                s[0] += d, s[1] += d * d;
            }
        }
        return;
    }
    wide_sum s0 = {}, s1 = {};
#define PAIR(LOAD, i, a, b)                                                                                           \
    {                                                                                                                 \
        vec d = LOAD(x, i, x0) - x0;                                                                                  \
        a = d, b = d * d;                                                                                             \
    }
    for (int64_t r = 0; r < runs; r++, x += stride) TWO_SUMS(PAIR, &s0, &s1);
#undef PAIR
    s[0] += wide_fold(&s0), s[1] += wide_fold(&s1);
}

static void moments_cols(int64_t rows, int64_t cols, const void *xv, int64_t stride, const void *x0v, int exact,
                         double *restrict s, int64_t step) {
    const T *restrict x0 = x0v, *x = xv;
    double *restrict q = s + step;
    int64_t r = 0;
    for (; !exact && r + 8 <= rows; r += 8, x += 8 * stride) {
        const T *restrict p[8];
        UNROLL for (int j = 0; j < 8; j++) p[j] = x + j * stride;
        for (int64_t c = 0; c < cols; c++) {
            T d[8];
            UNROLL for (int j = 0; j < 8; j++) d[j] = p[j][c] - x0[c];
            s[c] += ((d[0] + d[1]) + (d[2] + d[3])) + ((d[4] + d[5]) + (d[6] + d[7]));
            q[c] += ((d[0] * d[0] + d[1] * d[1]) + (d[2] * d[2] + d[3] * d[3])) +
                    ((d[4] * d[4] + d[5] * d[5]) + (d[6] * d[6] + d[7] * d[7]));
        }
    }
    for (; r < rows; r++, x += stride) {
        for (int64_t c = 0; c < cols; c++) {
            double d = (double)x[c] - (double)x0[c];
            s[c] += d, q[c] += d * d;
        }
    }
}

/* Unsure: squares may have left the range of float32, or x0 is so far out (4 standard deviations) that their roundings
 * would show after the subtraction. Nothing of the kind happens in double. */
ALWAYS int is_unsure(double sum, double squares, double m) {
#if MTB_T_f32
    if (sum == 0 && squares == 0) return 0;
    double off = sum * sum / m;
    return !(squares >= 1e-30 * m && squares < 1e38 && off <= 16 * (squares - off));
#else
    (void)sum, (void)squares, (void)m;
    return 0;
#endif
}
ALWAYS double variance(double sum, double squares, double m) {
    double var = (squares - sum * sum / m) / m;
    return var < 0 ? 0 : var;
}

static int64_t finish_moments(int64_t n, const double *s, int64_t step, double m, const void *x0v, double *mean,
                              double *var, char *unsure) {
    const T *x0 = x0v;
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        mean[i] = (double)x0[i] + s[i] / m;
        var[i] = variance(s[i], s[step + i], m);
        if (unsure) count += unsure[i] = (char)is_unsure(s[i], s[step + i], m);
    }
    return count;
}

/* ---- parameters -------------------------------------------------------------------------------------------------*/
static void affine(int64_t n, const double *mean, const double *invstd, int64_t per, const void *weightv,
                   const void *biasv, int64_t period, void *pv, int64_t step) {
    const T *weight = weightv, *bias = biasv;
    T *p = pv;
    for (int64_t i = 0, w = 0, next = per; i < n; i++) {
        p[MTB_NORM_HI * step + i] = (T)*mean;
        p[MTB_NORM_LO * step + i] = (T)(*mean - (double)(T)*mean);
        p[MTB_NORM_SCALE * step + i] = (T)(weight ? (double)weight[w] * *invstd : *invstd);
        p[MTB_NORM_SHIFT * step + i] = bias ? bias[w] : 0;
        w = w + 1 == period ? 0 : w + 1;
        if (i + 1 == next) mean++, invstd++, next += per;
    }
}

static void backward_affine(int64_t n, const double *s, int64_t s_step, double m, const double *invstd, int64_t per,
                            const void *weightv, int64_t period, void *pv, int64_t step, void *dweightv, void *dbiasv) {
    const T *weight = weightv;
    T *p = pv, *dweight = dweightv, *dbias = dbiasv;
    for (int64_t i = 0, k = 0; i < n; i += per) { /* the entries of one statistic */
        double g = 0, gd = 0, inv = per == 1 ? invstd[i] : invstd[i / per];
        for (int64_t j = i; j < i + per; j++, k = k + 1 == period ? 0 : k + 1) {
            double w = weight ? (double)weight[k] : 1;
            g += w * s[j], gd += w * s[s_step + j];
        }
        for (int64_t j = i; j < i + per; j++) {
            p[MTB_NORM_K0 * step + j] = (T)(inv * g / m);
            p[MTB_NORM_K1 * step + j] = (T)(inv * inv * inv * gd / m);
        }
    }
    for (int64_t c = 0; c < period && c < n && (dweight || dbias); c++) {
        double g = 0, gx = 0;
        for (int64_t i = c; i < n; i += period) {
            g += s[i];
            gx += (per == 1 ? invstd[i] : invstd[i / per]) * s[s_step + i];
        }
        if (dweight) dweight[c] = (T)gx;
        if (dbias) dbias[c] = (T)g;
    }
}

static void spread(int64_t rows, int64_t cols, const void *srcv, int64_t src_step, int64_t repeat, int64_t period,
                   void *dstv, int64_t dst_step) {
    for (int64_t r = 0; r < rows; r++) {
        const T *src = (const T *)srcv + r * src_step;
        T *dst = (T *)dstv + r * dst_step;
        for (int64_t j = 0; j < cols;)
            for (int64_t c = 0; c < period; c++)
                for (int64_t k = 0; k < repeat; k++) dst[j++] = src[c];
    }
}

/* ---- application: reads x (and residual), writes y ------------------------------------------------------------------
 * One body for both layouts: IN(k, i) is parameter k of element i, a scalar of the run or an entry of the columns. */
#define DEVIATION(i) (x[i] - IN(MTB_NORM_HI, i)) - IN(MTB_NORM_LO, i)
#define RUN_PARAM(k, i) q[k]
#define COL_PARAM(k, i) p[(k) * step + (i)]

#define APPLY_LOOP(relu, add)                                                                                         \
    MAP for (int64_t i = 0; i < n; i++) {                                                                             \
        T v = (DEVIATION(i)) * IN(MTB_NORM_SCALE, i) + IN(MTB_NORM_SHIFT, i);                                         \
        if (add) v += residual[i];                                                                                    \
        y[i] = relu && v < 0 ? 0 : v;                                                                                 \
    }
#define APPLY_ROWS                                                                                                    \
    for (int64_t r = 0; r < runs; r++, x += stride, y += stride) {                                                    \
        if (residual && relu) APPLY_LOOP(1, 1)                                                                        \
        else if (residual) APPLY_LOOP(0, 1)                                                                           \
        else if (relu) APPLY_LOOP(1, 0)                                                                               \
        else APPLY_LOOP(0, 0)                                                                                         \
        if (residual) residual += stride;                                                                             \
    }

#define IN RUN_PARAM
static void apply_runs(int64_t runs, int64_t n, const void *xv, const void *residualv, int64_t stride, const void *pv,
                       int64_t step, int relu, void *yv) {
    const T *x = xv, *residual = residualv, *p = pv;
    const T q[] = {p[0], p[step], p[2 * step], p[3 * step]};
    T *y = yv;
    APPLY_ROWS
}
#undef IN
#define IN COL_PARAM
static void apply_cols(int64_t runs, int64_t n, const void *xv, const void *residualv, int64_t stride, const void *pv,
                       int64_t step, int relu, void *yv) {
    const T *x = xv, *residual = residualv, *restrict p = pv;
    T *y = yv;
    APPLY_ROWS
}
#undef IN

/* ---- gradient sums: reads x, dy (and z) -------------------------------------------------------------------------*/
ALWAYS void sums_run(int64_t n, const T *x, const T *dy, const T *z, const T *q, const int mask, wide_sum *s0,
                     wide_sum *s1) {
#define PAIR(LOAD, i, a, b)                                                                                           \
    {                                                                                                                 \
        vec d = (LOAD(x, i, q[0]) - q[0]) - q[1], g = LOAD(dy, i, 0);                                                 \
        if (mask == MTB_MASK_AGAIN) g = vselect(d * q[2] + q[3] > 0, g, (vec){});                                     \
        if (mask == MTB_MASK_OUTPUT) g = vselect(LOAD(z, i, 0) > 0, g, (vec){});                                      \
        a = g, b = g * d;                                                                                             \
    }
    TWO_SUMS(PAIR, s0, s1);
#undef PAIR
}

static void backward_sums_runs(int64_t runs, int64_t n, const void *xv, const void *dyv, const void *zv, int64_t stride,
                               const void *pv, int64_t step, int mask, double *s) {
    const T *x = xv, *dy = dyv, *z = zv, *p = pv;
    const T q[] = {p[0], p[step], p[2 * step], p[3 * step]};
    wide_sum s0 = {}, s1 = {};
    for (int64_t r = 0; r < runs; r++) {
        int64_t at = r * stride;
        if (mask == MTB_MASK_NONE) sums_run(n, x + at, dy + at, NULL, q, MTB_MASK_NONE, &s0, &s1);
        else if (mask == MTB_MASK_AGAIN) sums_run(n, x + at, dy + at, NULL, q, MTB_MASK_AGAIN, &s0, &s1);
        else sums_run(n, x + at, dy + at, z + at, q, MTB_MASK_OUTPUT, &s0, &s1);
    }
    s[0] += wide_fold(&s0), s[1] += wide_fold(&s1);
}

/* Rows of columns, four at a time: their sum is taken in T before it is widened. */
ALWAYS void sums_rows(int64_t rows, int64_t cols, const T *x, const T *dy, const T *z, int64_t stride,
                      const T *restrict p, int64_t step, const int mask, double *restrict s, double *restrict t) {
    for (int64_t c = 0; c < cols; c++) {
        T g[4] = {0}, gd[4] = {0};
        UNROLL for (int j = 0; j < rows; j++) {
            T d = (x[j * stride + c] - p[c]) - p[step + c];
            T v = dy[j * stride + c];
            if (mask == MTB_MASK_AGAIN) v = d * p[2 * step + c] + p[3 * step + c] > 0 ? v : 0;
            if (mask == MTB_MASK_OUTPUT) v = z[j * stride + c] > 0 ? v : 0;
            g[j] = v, gd[j] = v * d;
        }
        s[c] += (g[0] + g[1]) + (g[2] + g[3]);
        t[c] += (gd[0] + gd[1]) + (gd[2] + gd[3]);
    }
}

#define SUMS_COLS(mask)                                                                                               \
    for (; r + 4 <= rows; r += 4, x += 4 * stride, dy += 4 * stride, z = z ? z + 4 * stride : z)                      \
        sums_rows(4, cols, x, dy, z, stride, p, step, mask, s, s + s_step);                                           \
    for (; r < rows; r++, x += stride, dy += stride, z = z ? z + stride : z)                                          \
        sums_rows(1, cols, x, dy, z, stride, p, step, mask, s, s + s_step);

static void backward_sums_cols(int64_t rows, int64_t cols, const void *xv, const void *dyv, const void *zv,
                               int64_t stride, const void *pv, int64_t step, int mask, double *s, int64_t s_step) {
    const T *x = xv, *dy = dyv, *z = zv, *p = pv;
    int64_t r = 0;
    if (mask == MTB_MASK_NONE) {
        SUMS_COLS(MTB_MASK_NONE)
    } else if (mask == MTB_MASK_AGAIN) {
        SUMS_COLS(MTB_MASK_AGAIN)
    } else {
        SUMS_COLS(MTB_MASK_OUTPUT)
    }
}

/* ---- gradient: reads x, dy (and z), writes dx (and dresidual) ---------------------------------------------------*/
#define BACKWARD_LOOP(mask, frozen, add)                                                                              \
    MAP for (int64_t i = 0; i < n; i++) {                                                                             \
        T d = DEVIATION(i), g = dy[i], v;                                                                             \
        if (mask == MTB_MASK_AGAIN) g = d * IN(MTB_NORM_SCALE, i) + IN(MTB_NORM_SHIFT, i) > 0 ? g : 0;                \
        if (mask == MTB_MASK_OUTPUT) g = z[i] > 0 ? g : 0;                                                            \
        v = g * IN(MTB_NORM_SCALE, i);                                                                                \
        if (!frozen) v -= d * IN(MTB_NORM_K1, i) + IN(MTB_NORM_K0, i);                                                \
        dx[i] = v;                                                                                                    \
        if (add) dresidual[i] = g;                                                                                    \
    }
#define BACKWARD_MASK(mask, add)                                                                                      \
    {                                                                                                                 \
        if (frozen) BACKWARD_LOOP(mask, 1, add)                                                                       \
        else BACKWARD_LOOP(mask, 0, add)                                                                              \
    }
#define BACKWARD_ROWS                                                                                                 \
    for (int64_t r = 0; r < runs; r++, x += stride, dy += stride, dx += stride) {                                     \
        if (mask == MTB_MASK_NONE) BACKWARD_MASK(MTB_MASK_NONE, 0)                                                       \
        else if (mask == MTB_MASK_AGAIN) BACKWARD_MASK(MTB_MASK_AGAIN, 0)                                                \
        else BACKWARD_MASK(MTB_MASK_OUTPUT, 1)                                                                           \
        if (z) z += stride;                                                                                           \
        if (dresidual) dresidual += stride;                                                                           \
    }

#define IN RUN_PARAM
static void backward_runs(int64_t runs, int64_t n, const void *xv, const void *dyv, const void *zv, int64_t stride,
                          const void *pv, int64_t step, int mask, int frozen, void *dxv, void *dresidualv) {
    const T *x = xv, *dy = dyv, *z = zv, *p = pv;
    T *dx = dxv, *dresidual = dresidualv, q[MTB_NORM_PARAMS] = {0};
    for (int k = 0; k < (frozen ? MTB_NORM_K0 : MTB_NORM_PARAMS); k++) q[k] = p[k * step];
    BACKWARD_ROWS
}
#undef IN
#define IN COL_PARAM
static void backward_cols(int64_t runs, int64_t n, const void *xv, const void *dyv, const void *zv, int64_t stride,
                          const void *pv, int64_t step, int mask, int frozen, void *dxv, void *dresidualv) {
    const T *x = xv, *dy = dyv, *z = zv, *restrict p = pv;
    T *dx = dxv, *dresidual = dresidualv;
    BACKWARD_ROWS
}
#undef IN

/* ---- layer norm: a row is read from memory once -----------------------------------------------------------------*/
#define LAYER_LOOP(weighted, biased)                                                                                  \
    for (int64_t i = 0; i < n; i++) {                                                                                 \
        T v = ((x[i] - hi) - lo) * inv;                                                                               \
        if (weighted) v *= w[i];                                                                                      \
        if (biased) v += b[i];                                                                                        \
        y[i] = v;                                                                                                     \
    }

static void layer(int64_t rows, int64_t n, const void *xv, const void *weight, const void *bias, int64_t period,
                  int64_t first_row, double eps, int rms, void *yv, double *mean, double *invstd) {
    const T *restrict x = xv;
    T *restrict y = yv;
    for (int64_t r = 0; r < rows; r++, x += n, y += n) {
        int64_t at = (first_row + r) % period * n;
        const T *restrict w = weight ? (const T *)weight + at : NULL, *restrict b = bias ? (const T *)bias + at : NULL;
        T x0 = rms ? 0 : x[0];
        double s[2] = {0, 0}, m = (double)n;
        moments_runs(1, n, x, 0, &x0, 0, s);
        if (is_unsure(rms ? 0 : s[0], s[1], m)) {
            s[0] = s[1] = 0;
            moments_runs(1, n, x, 0, &x0, 1, s);
        }
        mean[r] = rms ? 0 : (double)x0 + s[0] / m;
        invstd[r] = 1 / __builtin_sqrt((rms ? s[1] / m : variance(s[0], s[1], m)) + eps);
        T hi = (T)mean[r], lo = (T)(mean[r] - (double)hi), inv = (T)invstd[r];
        if (w && b) LAYER_LOOP(1, 1)
        else if (w) LAYER_LOOP(1, 0)
        else if (b) LAYER_LOOP(0, 1)
        else LAYER_LOOP(0, 0)
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

extern const mtb_norm TABLE(norm);
const mtb_norm TABLE(norm) = {
    moments_runs,       moments_cols,       finish_moments, affine,        backward_affine, spread,         apply_runs,
    apply_cols,         backward_sums_runs, backward_sums_cols, backward_runs, backward_cols, layer, layer_backward,
    layer_backward_weight,
};
