/* layernorm.c: layer norm and RMS norm of contiguous rows, forward and backward; a row is read from memory once. */
#include "../kernel.h"
#include "../pairsum.h"

/* BODY(V, LOAD, STORE) makes the element or vector at i. The last vector of a row of more than one is that of its last
 * VL elements: those that it shares with the one before get the same values again. */
#define SCALAR_AT(p) (p)[i]
#define STORE_SCALAR(p, v) (p)[i] = v
#define VEC_AT(p) vload((p) + i)
#define STORE_VEC(p, v) vstore((p) + i, v)
#define EACH(BODY)                                                                                                    \
    do {                                                                                                              \
        int64_t i = 0;                                                                                                \
        if (n < VL) {                                                                                                 \
            for (; i < n; i++) BODY(T, SCALAR_AT, STORE_SCALAR)                                                       \
            break;                                                                                                    \
        }                                                                                                             \
        for (; i < n - VL; i += VL) BODY(vec, VEC_AT, STORE_VEC)                                                      \
        i = n - VL;                                                                                                   \
        BODY(vec, VEC_AT, STORE_VEC)                                                                                  \
    } while (0)

INLINE void layer_row(int64_t n, const T *restrict x, const T *restrict w, const T *restrict b, T hi, T lo, T inv,
                      T *restrict y, const int weighted, const int biased) {
#define BODY(V, AT, STORE)                                                                                            \
    {                                                                                                                 \
        V v = ((AT(x) - hi) - lo) * inv;                                                                              \
        if (weighted) v *= AT(w);                                                                                     \
        if (biased) v += AT(b);                                                                                       \
        STORE(y, v);                                                                                                  \
    }
    EACH(BODY);
#undef BODY
}

enum { TOGETHER = 16, GROUP_BYTES = 8192 };

static void layer(int64_t rows, int64_t n, const void *xv, const void *weight, const void *bias, int64_t period,
                  int64_t first_row, double eps, int rms, void *yv, double *mean, double *invstd) {
    const T *restrict x = xv;
    T *restrict y = yv;
    /* short rows together, as many as stay in cache: their sums, roots and divisions overlap */
    int64_t group = GROUP_BYTES / (int64_t)sizeof(T) / n, p = first_row % period;
    group = group < 1 ? 1 : group < TOGETHER ? group : TOGETHER;
    for (int64_t from = 0; from < rows; from += group) {
        int64_t end = from + group < rows ? from + group : rows;
        double s[2 * TOGETHER], m = (double)n;
        for (int64_t r = from; r < end; r++) {
            double *sums = s + 2 * (r - from);
            T mid = rms ? 0 : x[r * n];
            sums_about(1, n, x + r * n, 0, mid, sums);
            if (unlikely(is_unsure(rms ? 0 : sums[0], sums[1], m)))
                mid = sums_again(1, n, x + r * n, 0, mid, rms, sums);
            mean[r] = rms ? 0 : (double)mid + sums[0] / m;
        }
        for (int64_t r = from; r < end; r++) {
            const double *sums = s + 2 * (r - from);
            invstd[r] = 1 / __builtin_sqrt((rms ? sums[1] / m : variance(sums[0], sums[1], m)) + eps);
        }
        for (int64_t r = from; r < end; r++, p = p + 1 == period ? 0 : p + 1) {
            const T *row = x + r * n, *w = weight ? (const T *)weight + p * n : NULL;
            const T *b = bias ? (const T *)bias + p * n : NULL;
            T hi = (T)mean[r], lo = (T)(mean[r] - (double)hi), inv = (T)invstd[r];
            if (w && b) layer_row(n, row, w, b, hi, lo, inv, y + r * n, 1, 1);
            else if (w) layer_row(n, row, w, b, hi, lo, inv, y + r * n, 1, 0);
            else if (b) layer_row(n, row, w, b, hi, lo, inv, y + r * n, 0, 1);
            else layer_row(n, row, w, b, hi, lo, inv, y + r * n, 0, 0);
        }
    }
}

INLINE void layer_backward_row(int64_t n, const T *restrict x, const T *restrict dy, const T *restrict w, T hi, T lo,
                               double invstd, int rms, T *restrict dx, const int weighted) {
    wide_sum s0 = {}, s1 = {};
    T inv = (T)invstd, k0, k1;
#define PAIR(LOAD, i, a, b)                                                                                           \
    {                                                                                                                 \
        a = LOAD(dy, i, 0);                                                                                           \
        if (weighted) a *= LOAD(w, i, 0);                                                                             \
        b = a * ((LOAD(x, i, hi) - hi) - lo);                                                                         \
    }
    TWO_SUMS(PAIR, &s0, &s1);
#undef PAIR
    k0 = rms ? 0 : (T)(wide_fold(&s0) / (double)n);
    k1 = (T)(invstd * invstd * wide_fold(&s1) / (double)n);
#define BODY(V, AT, STORE)                                                                                            \
    {                                                                                                                 \
        V d = (AT(x) - hi) - lo, g = AT(dy);                                                                          \
        if (weighted) g *= AT(w);                                                                                     \
        STORE(dx, ((g - k0) - d * k1) * inv);                                                                         \
    }
    EACH(BODY);
#undef BODY
}

static void layer_backward(int64_t rows, int64_t n, const void *xv, const void *dyv, const void *weight, int64_t period,
                           int64_t first_row, int rms, const double *mean, const double *invstd, void *dxv) {
    const T *restrict x = xv, *restrict dy = dyv;
    T *restrict dx = dxv;
    int64_t p = first_row % period;
    for (int64_t r = 0; r < rows; r++, x += n, dy += n, dx += n, p = p + 1 == period ? 0 : p + 1) {
        T hi = (T)mean[r], lo = (T)(mean[r] - (double)hi);
        if (weight) layer_backward_row(n, x, dy, (const T *)weight + p * n, hi, lo, invstd[r], rms, dx, 1);
        else layer_backward_row(n, x, dy, NULL, hi, lo, invstd[r], rms, dx, 0);
    }
}

static inline void add_wide(double *s, vec v) { /* s[0..VL) += v */
    T t[VL];
    vstore(t, v);
    UNROLL for (int k = 0; k < VL; k += DL) *(dvec_unaligned *)(s + k) += dload(t + k);
}

/* Eight rows at a time: their sum is taken in T before it is widened. */
static void layer_backward_weight(int64_t rows, int64_t n, const void *xv, const void *dyv, int64_t stride,
                                  const double *mean, const double *invstd, int64_t stats_step,
                                  double *restrict dweight, double *restrict dbias) {
    enum { DEEP = 8, STRIP = 2 };
    for (int64_t r = 0; r < rows; r += DEEP) {
        const T *x = (const T *)xv + r * stride, *dy = (const T *)dyv + r * stride;
        T q[DEEP][3];
        int there = rows - r < DEEP ? (int)(rows - r) : DEEP;
        for (int j = 0; j < there; j++) {
            double m = mean[(r + j) * stats_step];
            q[j][0] = (T)m, q[j][1] = (T)(m - (double)q[j][0]), q[j][2] = (T)invstd[(r + j) * stats_step];
        }
        int64_t i = 0;
        for (; i + STRIP * VL <= n; i += STRIP * VL) {
            vec g[STRIP] = {}, gx[STRIP] = {};
            for (int j = 0; j < there; j++) {
                UNROLL for (int k = 0; k < STRIP; k++) {
                    vec v = vload(dy + j * stride + i + k * VL);
                    g[k] += v;
                    gx[k] += v * (((vload(x + j * stride + i + k * VL) - q[j][0]) - q[j][1]) * q[j][2]);
                }
            }
            UNROLL for (int k = 0; k < STRIP; k++) {
                add_wide(dbias + i + k * VL, g[k]);
                add_wide(dweight + i + k * VL, gx[k]);
            }
        }
        for (; i < n; i++) {
            T g = 0, gx = 0;
            for (int j = 0; j < there; j++) {
                T v = dy[j * stride + i];
                g += v, gx += v * (((x[j * stride + i] - q[j][0]) - q[j][1]) * q[j][2]);
            }
            dbias[i] += g, dweight[i] += gx;
        }
    }
}

extern const mtb_layernorm TABLE(layernorm);
const mtb_layernorm TABLE(layernorm) = {layer, layer_backward, layer_backward_weight};
