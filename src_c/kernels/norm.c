/* norm.c: statistics, application and gradients of batch, group and instance norm (their parameters: api/norm.h).
 *
 * Loops that map values are plain C: every level gives the same bits, as nothing is contracted or reassociated.
 */
#include "../kernel.h"
#include "../pairsum.h"

#define MAP _Pragma("GCC ivdep") /* y may be x: the same index, never another one */

/* ---- statistics: reads x once -----------------------------------------------------------------------------------*/
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
        y[i] = relu && v <= 0 ? 0 : v;                                                                                 \
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
        if (mask == MTB_MASK_AGAIN) g = vselect(d * q[2] + q[3] <= 0, (vec){}, g);                                     \
        if (mask == MTB_MASK_OUTPUT) g = vselect(LOAD(z, i, 0) <= 0, (vec){}, g);                                      \
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
            if (mask == MTB_MASK_AGAIN) v = d * p[2 * step + c] + p[3 * step + c] <= 0 ? 0 : v;
            if (mask == MTB_MASK_OUTPUT) v = z[j * stride + c] <= 0 ? 0 : v;
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
        if (mask == MTB_MASK_AGAIN) g = d * IN(MTB_NORM_SCALE, i) + IN(MTB_NORM_SHIFT, i) <= 0 ? 0 : g;                \
        if (mask == MTB_MASK_OUTPUT) g = z[i] <= 0 ? 0 : g;                                                            \
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
        if (mask == MTB_MASK_NONE) BACKWARD_MASK(MTB_MASK_NONE, 0)                                                    \
        else if (mask == MTB_MASK_AGAIN) BACKWARD_MASK(MTB_MASK_AGAIN, 0)                                             \
        else BACKWARD_MASK(MTB_MASK_OUTPUT, 1)                                                                        \
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

/* ---- second derivative: reads x, dy, u, writes the gradients of dy and x ------------------------------------------*/
#define TWICE_ROWS                                                                                                    \
    for (int64_t r = 0; r < runs; r++, x += stride, dy += stride, u += stride, ddy += stride, dx += stride) {         \
        MAP for (int64_t i = 0; i < n; i++) {                                                                         \
            T d = DEVIATION(i), g = dy[i], v = u[i];                                                                  \
            ddy[i] = v * IN(MTB_TWICE_DDY_U, i) + (d * IN(MTB_TWICE_DDY_D, i) + IN(MTB_TWICE_DDY_1, i));              \
            dx[i] = (g * IN(MTB_TWICE_DX_G, i) + v * IN(MTB_TWICE_DX_U, i)) +                                         \
                    (d * IN(MTB_TWICE_DX_D, i) + IN(MTB_TWICE_DX_1, i));                                              \
        }                                                                                                             \
    }

#define IN RUN_PARAM
static void twice_runs(int64_t runs, int64_t n, const void *xv, const void *dyv, const void *uv, int64_t stride,
                       const void *pv, int64_t step, void *ddyv, void *dxv) {
    const T *x = xv, *dy = dyv, *u = uv, *p = pv;
    T *ddy = ddyv, *dx = dxv, q[MTB_TWICE_PARAMS];
    for (int k = 0; k < MTB_TWICE_PARAMS; k++) q[k] = p[k * step];
    TWICE_ROWS
}
#undef IN
#define IN COL_PARAM
static void twice_cols(int64_t runs, int64_t n, const void *xv, const void *dyv, const void *uv, int64_t stride,
                       const void *pv, int64_t step, void *ddyv, void *dxv) {
    const T *x = xv, *dy = dyv, *u = uv, *restrict p = pv;
    T *ddy = ddyv, *dx = dxv;
    TWICE_ROWS
}
#undef IN

/* With gs = weight / std, means g', u' of dy and u, p = mean(dy xhat), q = mean(u xhat), r = mean(u dy):
 *   ddy = gs (u - u' - xhat q) + a xhat + b          dweight = m (r - u' g' - p q) / std
 *   dx = (w - mean(w) - xhat mean(w xhat)) / std - gs (r - u' g' - p q) xhat / std,  w = a dy - gs (p u + q dy) */
static void twice_affine(int64_t n, const double *s, double m, const double *mean, const double *invstd,
                         const void *weightv, const void *av, const void *bv, void *pv, int64_t step, void *dweightv) {
    const T *weight = weightv, *a = av, *b = bv;
    T *out = pv, *dweight = dweightv;
    for (int64_t i = 0; i < n; i++) {
        double inv = invstd[i], gs = (weight ? (double)weight[i] : 1) * inv, da = a ? (double)a[i] : 0;
        double g = s[i] / m, p = s[n + i] * inv / m, u = s[2 * n + i] / m, q = s[3 * n + i] * inv / m;
        double rest = s[4 * n + i] / m - u * g - p * q, mean_w = da * g - gs * (p * u + q * g);
        double mean_wx = da * p - 2 * gs * p * q;
        out[MTB_NORM_HI * step + i] = (T)mean[i];
        out[MTB_NORM_LO * step + i] = (T)(mean[i] - (double)(T)mean[i]);
        out[MTB_TWICE_DDY_U * step + i] = (T)gs;
        out[MTB_TWICE_DDY_D * step + i] = (T)(inv * (da - gs * q));
        out[MTB_TWICE_DDY_1 * step + i] = (T)((b ? (double)b[i] : 0) - gs * u);
        out[MTB_TWICE_DX_G * step + i] = (T)(inv * (da - gs * q));
        out[MTB_TWICE_DX_U * step + i] = (T)(-inv * gs * p);
        out[MTB_TWICE_DX_D * step + i] = (T)(-inv * inv * (mean_wx + gs * rest));
        out[MTB_TWICE_DX_1 * step + i] = (T)(-inv * mean_w);
        if (dweight) dweight[i] = (T)(inv * rest * m);
    }
}

static void moments_runs_kernel(int64_t runs, int64_t n, const void *x, int64_t stride, const void *x0, int exact,
                                double *s) {
    moments_runs(runs, n, x, stride, x0, exact, s);
}

extern const mtb_norm TABLE(norm);
const mtb_norm TABLE(norm) = {
    moments_runs_kernel, moments_cols, finish_moments, affine, backward_affine, spread, apply_runs, apply_cols,
    backward_sums_runs, backward_sums_cols, backward_runs, backward_cols, twice_runs, twice_cols, twice_affine,
};
