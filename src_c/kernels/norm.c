/* norm.c: statistics, application and gradients of batch, group and instance norm (their parameters: api/norm.h). */
#include "../kernel.h"
#include "../pairsum.h"

/* ---- statistics: reads x once -----------------------------------------------------------------------------------*/
static void moments_parts(int64_t parts, int64_t runs, int64_t n, const void *xv, int64_t stride, int64_t apart,
                          double *out, int64_t step) {
    const double m = (double)(runs * n);
    const T *x = xv;
    double s[4];
    for (int64_t i = 0; i < parts; i++, x += apart, out += step) {
        double *sums = s + i % 2 * 2;
        T mid[2] = {x[0], i + 1 < parts ? x[apart] : 0};
        if (i % 2 == 0 && i + 1 < parts) sums_about_of(2, runs, n, x, stride, apart, mid, s);
        else if (i % 2 == 0) sums_about(runs, n, x, stride, mid[0], s);
        if (unlikely(is_unsure(sums[0], sums[1], m))) mid[0] = sums_again(runs, n, x, stride, mid[0], 0, sums);
        out[0] = (double)mid[0] + sums[0] / m;
        out[1] = variance(sums[0], sums[1], m) * m;
    }
}

/* About the first part's mean: that of a constant channel stays exact. */
static void merge_parts(int64_t n, int64_t parts, int64_t count, double full, double last, double m, const double *s,
                        int64_t step, double *restrict mean, double *restrict var) {
    enum { TOGETHER = 32 };
    for (int64_t at = 0; at < n; at += TOGETHER, s += 2 * TOGETHER, mean += TOGETHER, var += TOGETHER) {
        const int64_t now = n - at < TOGETHER ? n - at : TOGETHER;
        double shift[TOGETHER] = {0}, squares[TOGETHER] = {0}, between[TOGETHER] = {0};
        for (int64_t k = 0; k < parts; k++) {
            const double weight = k % count == count - 1 ? last : full, *p = s + k * step;
            for (int64_t i = 0; i < now; i++) shift[i] += weight * (p[2 * i] - s[2 * i]), squares[i] += p[2 * i + 1];
        }
        for (int64_t i = 0; i < now; i++) mean[i] = s[2 * i] + shift[i] / m;
        for (int64_t k = 0; k < parts; k++) {
            const double weight = k % count == count - 1 ? last : full, *p = s + k * step;
            for (int64_t i = 0; i < now; i++) {
                double d = p[2 * i] - mean[i];
                between[i] += weight * (d * d);
            }
        }
        for (int64_t i = 0; i < now; i++) var[i] = (squares[i] + between[i]) / m;
    }
}

static void sum_parts(int64_t n, int64_t parts, const double *s, double *restrict sums) {
    for (int64_t i = 0; i < 2 * n; i++) sums[i] = 0;
    for (int64_t k = 0; k < parts; k++, s += 2 * n)
        for (int64_t i = 0; i < n; i++) sums[i] += s[2 * i], sums[n + i] += s[2 * i + 1];
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

static void merge_cols(int64_t chunks, int64_t cols, double *restrict parts, int64_t n, int64_t repeat,
                       double *restrict s) {
    for (int64_t k = 1; k < chunks; k++)
        for (int64_t j = 0; j < 2 * cols; j++) parts[j] += parts[2 * k * cols + j];
    for (int64_t j = 0; j < 2 * n; j++) s[j] = 0;
    for (int64_t k = 0; k < 2; k++, s += n)
        for (int64_t from = 0; from < cols; from += n * repeat, parts += n * repeat)
            for (int64_t i = 0; i < repeat; i++)
                for (int64_t c = 0; c < n; c++) s[c] += parts[c * repeat + i];
}

static int64_t finish_moments(int64_t n, const double *restrict s, int64_t step, double m, const void *x0v,
                              double *restrict mean, double *restrict var, double eps, double *restrict invstd,
                              char *restrict unsure) {
    const T *restrict x0 = x0v;
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) mean[i] = (double)x0[i] + s[i] / m, var[i] = variance(s[i], s[step + i], m);
    for (int64_t i = 0; invstd && i < n; i++) invstd[i] = 1 / __builtin_sqrt(var[i] + eps);
    for (int64_t i = 0; unsure && i < n; i++) count += unsure[i] = (char)is_unsure(s[i], s[step + i], m);
    return count;
}

/* ---- parameters -------------------------------------------------------------------------------------------------*/
static void affine(int64_t n, const double *mean, const double *invstd, int64_t per, const void *weightv,
                   const void *biasv, int64_t period, void *pv, int64_t step) {
    const T *restrict weight = weightv, *restrict bias = biasv;
    T *restrict p = pv;
    for (int64_t i = 0; i < n && per == 1 && n <= period; i++) { /* the same as below, by vectors */
        p[MTB_NORM_HI * step + i] = (T)mean[i];
        p[MTB_NORM_LO * step + i] = (T)(mean[i] - (double)(T)mean[i]);
        p[MTB_NORM_SCALE * step + i] = (T)(weight ? (double)weight[i] * invstd[i] : invstd[i]);
        p[MTB_NORM_SHIFT * step + i] = bias ? bias[i] : 0;
    }
    for (int64_t i = 0, w = 0, next = per; i < n && (per > 1 || n > period); i++) {
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
    const T *restrict weight = weightv;
    T *restrict p = pv, *restrict dweight = dweightv, *restrict dbias = dbiasv;
    if (per == 1 && n <= period) {
        for (int64_t i = 0; i < n; i++) {
            const double inv = invstd[i], w = weight ? (double)weight[i] : 1, scale = inv * w / m;
            p[MTB_NORM_K0 * step + i] = (T)(scale * s[i]);
            p[MTB_NORM_K1 * step + i] = (T)(inv * inv * (scale * s[s_step + i]));
        }
        for (int64_t i = 0; dweight && i < n; i++) dweight[i] = (T)(invstd[i] * s[s_step + i]);
        for (int64_t i = 0; dbias && i < n; i++) dbias[i] = (T)s[i];
        return;
    }
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
        for (int64_t i = c, j = c / per; i < n; i += period, j += period / per)
            g += s[i], gx += invstd[j] * s[s_step + i];
        if (dweight) dweight[c] = (T)gx;
        if (dbias) dbias[c] = (T)g;
    }
}

static void spread(int64_t rows, int64_t cols, const void *srcv, int64_t src_step, int64_t repeat, int64_t period,
                   void *dstv, int64_t dst_step) {
    for (int64_t r = 0; r < rows; r++) {
        const T *src = (const T *)srcv + r * src_step;
        T *dst = (T *)dstv + r * dst_step;
        for (int64_t j = 0; j < cols; j += repeat * period) {
            if (repeat == 1) memcpy(dst + j, src, (size_t)period * sizeof(T));
            for (int64_t c = 0; c < period && repeat > 1; c++)
                for (int64_t k = 0; k < repeat; k++) dst[j + c * repeat + k] = src[c];
        }
    }
}

/* ---- maps: one body for both layouts ------------------------------------------------------------------------------
 * BODY makes element e, in plain C that GCC vectorizes. IN(k) is its parameter k: a scalar of the run, which has column
 * (first + r) % period of p, or always column first; or, in rows of columns, an entry of that column, i: four rows at a
 * time, or a core would load little but parameters. */
enum { FOUR = 4 };
#define DEVIATION (x[e] - IN(MTB_NORM_HI)) - IN(MTB_NORM_LO)
#define RUN_PARAM(k) q[k]
#define COLUMN_PARAM(k) p[(k) * step + i]
#define MAP _Pragma("GCC ivdep") /* y may be x: the same index, never another one */
#define EACH_ROW(count, columns, BODY)                                                                                \
    for (int64_t r = 0, rows; r < runs; r += rows) {                                                                  \
        T q[count];                                                                                                   \
        (void)q;                                                                                                      \
        UNROLL for (int k = 0; k < count && !columns; k++) q[k] = p[k * step + first];                                \
        if (period > 1) first = first + 1 == period ? 0 : first + 1;                                                  \
        rows = columns && r + FOUR <= runs ? FOUR : 1;                                                                \
        if (rows == FOUR) {                                                                                           \
            MAP for (int64_t i = 0; i < n; i++) UNROLL for (int64_t j = 0, e = i; j < FOUR; j++, e += stride) BODY    \
        } else {                                                                                                      \
            MAP for (int64_t i = 0, e = 0; i < n; i++, e++) BODY                                                      \
        }                                                                                                             \
        x += rows * stride;                                                                                           \
        BODY##_NEXT(rows * stride)                                                                                    \
    }

/* Past the caches: what is larger than they are would be read into them only to be overwritten. PLAIN(m) makes the m
 * elements at i of a row by the plain kernel, the ends; BODY a vector at i, to the aligned middle of the row. As memory
 * is what it waits for, it may ask at each vector what is wanted. */
#define VECTOR_IN(k) (columns ? vload(p + (k) * step + i) : q[k])
#define VECTOR_DEVIATION ((vload(x + i) - VECTOR_IN(MTB_NORM_HI)) - VECTOR_IN(MTB_NORM_LO))
INLINE void vstream(T *p, vec v) {
#if defined(__AVX512F__)
    _mm512_stream_si512((void *)p, (__m512i)v);
#elif defined(__AVX2__)
    _mm256_stream_si256((void *)p, (__m256i)v);
#elif defined(__SSE2__)
    _mm_stream_si128((void *)p, (__m128i)v);
#else
    vstore(p, v);
#endif
}
#define EACH_ROW_PAST(count, y, PLAIN, BODY)                                                                          \
    for (int64_t r = 0; r < runs; r++) {                                                                              \
        int64_t i = 0, head = -((intptr_t)(y) / (intptr_t)sizeof(T)) & (VL - 1);                                      \
        vec q[count];                                                                                                 \
        if (head > n) head = n;                                                                                       \
        if (head) PLAIN(head);                                                                                        \
        UNROLL for (int k = 0; k < count && !columns; k++) q[k] = vset(p[k * step + first]);                          \
        for (i = head; i + VL <= n; i += VL) BODY                                                                     \
        if (i < n) PLAIN(n - i);                                                                                      \
        if (period > 1) first = first + 1 == period ? 0 : first + 1;                                                  \
        x += stride;                                                                                                  \
        BODY##_NEXT(stride)                                                                                           \
    }

/* ---- application: reads x (and residual), writes y ----------------------------------------------------------------*/
#define APPLY                                                                                                         \
    {                                                                                                                 \
        T v = (DEVIATION) * IN(MTB_NORM_SCALE) + IN(MTB_NORM_SHIFT);                                                  \
        if (add) v += residual[e];                                                                                    \
        y[e] = relu && v <= 0 ? 0 : v;                                                                                \
    }
#define APPLY_NEXT(by) y += by, residual += residual ? by : 0;
#define APPLY_PAST                                                                                                    \
    {                                                                                                                 \
        vec v = VECTOR_DEVIATION * VECTOR_IN(MTB_NORM_SCALE) + VECTOR_IN(MTB_NORM_SHIFT);                             \
        if (residual) v += vload(residual + i);                                                                       \
        if (relu) v = vselect(v <= 0, (vec){}, v);                                                                    \
        vstream(y + i, v);                                                                                            \
    }
#define APPLY_PAST_NEXT APPLY_NEXT
typedef void apply_plain(int64_t, int64_t, const void *, const void *, int64_t, const void *, int64_t, int64_t, int64_t,
                         int, void *, int);
#define APPLY_PLAIN(m)                                                                                                \
    plain(1, m, x + i, residual ? residual + i : NULL, 0, columns ? p + i : p, step, first, 1, relu, y + i, 0)
#define APPLY_KERNEL(name, columns)                                                                                   \
    INLINE void name##_of(int64_t runs, int64_t n, const T *x, const T *residual, int64_t stride,                     \
                          const T *restrict p, int64_t step, int64_t first, int64_t period, const int relu,           \
                          const int add, T *y) {                                                                      \
        EACH_ROW(MTB_NORM_K0, columns, APPLY)                                                                         \
    }                                                                                                                 \
    static void name(int64_t runs, int64_t n, const void *x, const void *residual, int64_t stride, const void *p,     \
                     int64_t step, int64_t first, int64_t period, int relu, void *y, int past) {                      \
        if (past) apply_past(runs, n, x, residual, stride, p, step, first, period, relu, y, columns, name);           \
        else if (residual && relu) name##_of(runs, n, x, residual, stride, p, step, first, period, 1, 1, y);          \
        else if (residual) name##_of(runs, n, x, residual, stride, p, step, first, period, 0, 1, y);                  \
        else if (relu) name##_of(runs, n, x, NULL, stride, p, step, first, period, 1, 0, y);                          \
        else name##_of(runs, n, x, NULL, stride, p, step, first, period, 0, 0, y);                                    \
    }
INLINE void apply_past(int64_t runs, int64_t n, const T *x, const T *residual, int64_t stride, const T *p, int64_t step,
                       int64_t first, int64_t period, int relu, T *y, const int columns, apply_plain *plain) {
    EACH_ROW_PAST(MTB_NORM_K0, y, APPLY_PLAIN, APPLY_PAST)
}
#define IN RUN_PARAM
APPLY_KERNEL(apply_runs, 0)
#undef IN
#define IN COLUMN_PARAM
APPLY_KERNEL(apply_cols, 1)
#undef IN

/* ---- gradient sums: reads x, dy (and z, then writes g) ----------------------------------------------------------*/
INLINE void sums_run(int64_t n, const T *x, const T *dy, const T *more, const T *z, const T *q, const int mask,
                     const int both, T *g_out, wide_sum *s0, wide_sum *s1) {
#define PAIR(LOAD, i, a, b)                                                                                           \
    {                                                                                                                 \
        vec d = (LOAD(x, i, q[0]) - q[0]) - q[1], g = LOAD(dy, i, 0);                                                 \
        if (both) g += LOAD(more, i, 0);                                                                              \
        if (mask == MTB_MASK_AGAIN) g = vselect(d * q[2] + q[3] <= 0, (vec){}, g);                                     \
        if (mask == MTB_MASK_OUTPUT) g = vselect(LOAD(z, i, 0) <= 0, (vec){}, g), LOAD##_BACK(g_out, i, g);            \
        a = g, b = g * d;                                                                                             \
    }
    TWO_SUMS(PAIR, s0, s1);
#undef PAIR
}

static void backward_sums_runs(int64_t channels, int64_t apart, int64_t runs, int64_t n, const void *xv,
                               const void *dyv, const void *morev, const void *zv, int64_t stride, const void *pv,
                               int64_t step, int mask, void *g, double *s) {
    const T *x = xv, *dy = dyv, *more = morev, *z = zv, *p = pv;
    for (int64_t c = 0; c < channels; c++, p++, s += 2) {
        const T q[] = {p[0], p[step], p[2 * step], p[3 * step]};
        wide_sum s0 = {}, s1 = {};
        for (int64_t r = 0; r < runs; r++) {
            int64_t at = c * apart + r * stride;
#define SUMS(mask, both)                                                                                              \
    sums_run(n, x + at, dy + at, both ? more + at : NULL, mask == MTB_MASK_OUTPUT ? z + at : NULL, q, mask, both,     \
             mask == MTB_MASK_OUTPUT ? (T *)g + at : NULL, &s0, &s1)
            if (mask == MTB_MASK_NONE) SUMS(MTB_MASK_NONE, 0);
            else if (mask == MTB_MASK_AGAIN) SUMS(MTB_MASK_AGAIN, 0);
            else if (!more) SUMS(MTB_MASK_OUTPUT, 0);
            else SUMS(MTB_MASK_OUTPUT, 1);
#undef SUMS
        }
        s[0] += wide_fold(&s0), s[1] += wide_fold(&s1);
    }
}

/* Rows of columns, four at a time: their sum is taken in T before it is widened. */
INLINE void sums_rows(int64_t rows, int64_t cols, const T *x, const T *dy, const T *z, int64_t stride,
                      const T *restrict p, int64_t step, const int mask, T *g_out, double *restrict s,
                      double *restrict t) {
    MAP for (int64_t c = 0; c < cols; c++) {
        T g[4] = {0}, gd[4] = {0};
        UNROLL for (int j = 0; j < rows; j++) {
            T d = (x[j * stride + c] - p[c]) - p[step + c];
            T v = dy[j * stride + c];
            if (mask == MTB_MASK_AGAIN) v = d * p[2 * step + c] + p[3 * step + c] <= 0 ? 0 : v;
            if (mask == MTB_MASK_OUTPUT) g_out[j * stride + c] = v = z[j * stride + c] <= 0 ? 0 : v;
            g[j] = v, gd[j] = v * d;
        }
        s[c] += (g[0] + g[1]) + (g[2] + g[3]);
        t[c] += (gd[0] + gd[1]) + (gd[2] + gd[3]);
    }
}

#define SUMS_COLS(mask, z, g)                                                                                         \
    for (; r + 4 <= rows; r += 4, at += 4 * stride)                                                                   \
        sums_rows(4, cols, x + at, dy + at, z, stride, p, step, mask, g, s, s + s_step);                              \
    for (; r < rows; r++, at += stride)                                                                               \
        sums_rows(1, cols, x + at, dy + at, z, stride, p, step, mask, g, s, s + s_step);

static void backward_sums_cols(int64_t rows, int64_t cols, const void *xv, const void *dyv, const void *zv,
                               int64_t stride, const void *pv, int64_t step, int mask, void *gv, double *s,
                               int64_t s_step) {
    const T *x = xv, *dy = dyv, *z = zv, *p = pv;
    T *g = gv;
    int64_t r = 0, at = 0;
    if (mask == MTB_MASK_NONE) {
        SUMS_COLS(MTB_MASK_NONE, NULL, NULL)
    } else if (mask == MTB_MASK_AGAIN) {
        SUMS_COLS(MTB_MASK_AGAIN, NULL, NULL)
    } else {
        SUMS_COLS(MTB_MASK_OUTPUT, z + at, g + at)
    }
}

/* ---- gradient: reads x, dy, writes dx ---------------------------------------------------------------------------*/
#define BACKWARD                                                                                                      \
    {                                                                                                                 \
        T d = DEVIATION, g = dy[e], v;                                                                                \
        if (mask == MTB_MASK_AGAIN) g = d * IN(MTB_NORM_SCALE) + IN(MTB_NORM_SHIFT) <= 0 ? 0 : g;                     \
        v = g * IN(MTB_NORM_SCALE);                                                                                   \
        if (!frozen) v -= d * IN(MTB_NORM_K1) + IN(MTB_NORM_K0);                                                      \
        dx[e] = v;                                                                                                    \
    }
#define BACKWARD_NEXT(by) dy += by, dx += by;
#define BACKWARD_PAST                                                                                                 \
    {                                                                                                                 \
        vec d = VECTOR_DEVIATION, g = vload(dy + i), v;                                                               \
        if (mask == MTB_MASK_AGAIN)                                                                                   \
            g = vselect(d * VECTOR_IN(MTB_NORM_SCALE) + VECTOR_IN(MTB_NORM_SHIFT) <= 0, (vec){}, g);                  \
        v = g * VECTOR_IN(MTB_NORM_SCALE);                                                                            \
        if (!frozen) v -= d * VECTOR_IN(MTB_NORM_K1) + VECTOR_IN(MTB_NORM_K0);                                        \
        vstream(dx + i, v);                                                                                           \
    }
#define BACKWARD_PAST_NEXT BACKWARD_NEXT
typedef void backward_plain(int64_t, int64_t, const void *, const void *, int64_t, const void *, int64_t, int64_t,
                            int64_t, int, int, void *, int);
#define BACKWARD_PLAIN(m)                                                                                             \
    plain(1, m, x + i, dy + i, 0, columns ? p + i : p, step, first, 1, mask, frozen, dx + i, 0)
#define BACKWARD_CASE(name, mask)                                                                                     \
    if (frozen) name##_of(runs, n, x, dy, stride, p, step, first, period, mask, 1, dx);                               \
    else name##_of(runs, n, x, dy, stride, p, step, first, period, mask, 0, dx);
#define BACKWARD_KERNEL(name, columns)                                                                                \
    INLINE void name##_of(int64_t runs, int64_t n, const T *x, const T *dy, int64_t stride, const T *restrict p,      \
                          int64_t step, int64_t first, int64_t period, const int mask, const int frozen, T *dx) {     \
        EACH_ROW(MTB_NORM_PARAMS, columns, BACKWARD)                                                                  \
    }                                                                                                                 \
    static void name(int64_t runs, int64_t n, const void *x, const void *dy, int64_t stride, const void *p,           \
                     int64_t step, int64_t first, int64_t period, int mask, int frozen, void *dx, int past) {         \
        if (past) {                                                                                                   \
            backward_past(runs, n, x, dy, stride, p, step, first, period, mask, frozen, dx, columns, name);           \
        } else if (mask == MTB_MASK_AGAIN) {                                                                          \
            BACKWARD_CASE(name, MTB_MASK_AGAIN)                                                                       \
        } else {                                                                                                      \
            BACKWARD_CASE(name, MTB_MASK_NONE)                                                                        \
        }                                                                                                             \
    }
INLINE void backward_past(int64_t runs, int64_t n, const T *x, const T *dy, int64_t stride, const T *p, int64_t step,
                          int64_t first, int64_t period, int mask, int frozen, T *dx, const int columns,
                          backward_plain *plain) {
    EACH_ROW_PAST(MTB_NORM_PARAMS, dx, BACKWARD_PLAIN, BACKWARD_PAST)
}
#define IN RUN_PARAM
BACKWARD_KERNEL(backward_runs, 0)
#undef IN
#define IN COLUMN_PARAM
BACKWARD_KERNEL(backward_cols, 1)
#undef IN

/* ---- second derivative: reads x, dy, u, writes the gradients of dy and x ------------------------------------------*/
#define TWICE                                                                                                         \
    {                                                                                                                 \
        T d = DEVIATION, g = dy[e], v = u[e];                                                                         \
        ddy[e] = v * IN(MTB_TWICE_DDY_U) + (d * IN(MTB_TWICE_DDY_D) + IN(MTB_TWICE_DDY_1));                           \
        dx[e] = (g * IN(MTB_TWICE_DX_G) + v * IN(MTB_TWICE_DX_U)) + (d * IN(MTB_TWICE_DX_D) + IN(MTB_TWICE_DX_1));    \
    }
#define TWICE_NEXT(by) dy += by, u += by, ddy += by, dx += by;
#define TWICE_KERNEL(name, columns)                                                                                   \
    static void name(int64_t runs, int64_t n, const void *xv, const void *dyv, const void *uv, int64_t stride,        \
                     const void *pv, int64_t step, void *ddyv, void *dxv) {                                           \
        const T *x = xv, *dy = dyv, *u = uv, *restrict p = pv;                                                        \
        T *ddy = ddyv, *dx = dxv;                                                                                     \
        int64_t first = 0, period = 1;                                                                                \
        EACH_ROW(MTB_TWICE_PARAMS, columns, TWICE)                                                                    \
    }
#define IN RUN_PARAM
TWICE_KERNEL(twice_runs, 0)
#undef IN
#define IN COLUMN_PARAM
TWICE_KERNEL(twice_cols, 1)
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

extern const mtb_norm TABLE(norm);
const mtb_norm TABLE(norm) = {
    moments_parts, merge_parts, sum_parts, moments_cols, merge_cols, finish_moments, affine, backward_affine, spread,
    apply_runs, apply_cols, backward_sums_runs, backward_sums_cols, backward_runs, backward_cols, twice_runs,
    twice_cols, twice_affine,
};
