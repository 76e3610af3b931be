/* pairsum.h: two sums at once over a run, which is all that statistics and gradients of a normalization need.
 *
 * Up to sixteen values are added in T, eight of them pairwise, before they are widened to double (accum.h). The order
 * of additions depends on the length only, so the bits are the same on every level.
 */
#ifndef MTB_PAIRSUM_H
#define MTB_PAIRSUM_H
#include "accum.h"

/* PAIR(LOAD, i, a, b) makes from the elements at i, read by LOAD(pointer, i, fill), two vectors to add to the two sums.
 * Past the end LOAD gives the fill, which must add nothing. LOAD##_BACK(pointer, i, v) writes a vector there. */
enum { PAIR_BLOCK = 16 * LANES };

INLINE vec load_rest(const T *p, int64_t i, int64_t n, T fill) {
    return i + VL <= n ? vload(p + i) : i < n ? vload_part(p + i, (int)(n - i), fill) : vset(fill);
}
INLINE void store_rest(T *p, int64_t i, int64_t n, vec v) {
    if (i + VL <= n) vstore(p + i, v);
    else if (i < n) vstore_part(p + i, v, (int)(n - i));
}
#define LOAD_FULL(p, i, fill) vload((p) + (i))
#define LOAD_REST(p, i, fill) load_rest(p, i, n, fill)
#define LOAD_FULL_BACK(p, i, v) vstore((p) + (i), v)
#define LOAD_REST_BACK(p, i, v) store_rest(p, i, n, v)

#define TWO_SUMS(PAIR, s0, s1)                                                                                        \
    for (int64_t i = 0; i < n;) TWO_SUMS_BLOCK(PAIR, s0, s1)
#define TWO_SUMS_BLOCK(PAIR, s0, s1) /* of the next PAIR_BLOCK values from i on, which moves */                        \
    {                                                                                                                 \
        const int64_t end = n - i < PAIR_BLOCK ? n : i + PAIR_BLOCK;                                                  \
        vec a[NV] = {}, b[NV] = {};                                                                                   \
        for (; i + 8 * LANES <= end; i += 8 * LANES) {                                                                \
            UNROLL for (int k = 0; k < NV; k++) {                                                                     \
                vec aj[8], bj[8];                                                                                     \
                UNROLL for (int j = 0; j < 8; j++) PAIR(LOAD_FULL, i + j * LANES + k * VL, aj[j], bj[j])              \
                a[k] += pairwise8(aj), b[k] += pairwise8(bj);                                                         \
            }                                                                                                         \
        }                                                                                                             \
        for (; i + LANES <= end; i += LANES) { /* up to 7 more values in each lane, and a part */                     \
            UNROLL for (int k = 0; k < NV; k++) {                                                                     \
                vec ak, bk;                                                                                           \
                PAIR(LOAD_FULL, i + k * VL, ak, bk)                                                                   \
                a[k] += ak, b[k] += bk;                                                                               \
            }                                                                                                         \
        }                                                                                                             \
        if (i < end) {                                                                                                \
            UNROLL for (int k = 0; k < NV; k++) {                                                                     \
                vec ak, bk;                                                                                           \
                PAIR(LOAD_REST, i + k * VL, ak, bk)                                                                   \
                a[k] += ak, b[k] += bk;                                                                               \
            }                                                                                                         \
            i = end;                                                                                                  \
        }                                                                                                             \
        wide_add(s0, a), wide_add(s1, b);                                                                             \
    }

/* Of `runs` runs of n values: s[0] = sum of (x - mid), s[1] = sum of (x - mid)^2. The same of two parts, `apart`, each
 * about its own mid[]: two places at a time are read from memory faster than one. */
INLINE void sums_about_of(const int parts, int64_t runs, int64_t n, const T *xv, int64_t stride, int64_t apart,
                          const T *mids, double *s) {
    wide_sum sums[4] = {};
#define PAIR(LOAD, i, a, b)                                                                                           \
    {                                                                                                                 \
        vec d = LOAD(x, i, mid) - mid;                                                                                \
        a = d, b = d * d;                                                                                             \
    }
    for (int64_t r = 0; r < runs; r++, xv += stride) {
        for (int64_t from = 0; from < n; from += PAIR_BLOCK) {
            UNROLL for (int j = 0; j < parts; j++) {
                const T *x = xv + j * apart, mid = mids[j];
                int64_t i = from;
                TWO_SUMS_BLOCK(PAIR, sums + 2 * j, sums + 2 * j + 1)
            }
        }
    }
#undef PAIR
    UNROLL for (int j = 0; j < 2 * parts; j++) s[j] = wide_fold(sums + j);
}
static __attribute__((noinline)) void sums_about(int64_t runs, int64_t n, const T *x, int64_t stride, T mid,
                                                 double *s) {
    sums_about_of(1, runs, n, x, stride, 0, &mid, s);
}

/* Unsure: squares may have left the range of float32, or the value that was subtracted is so far out (4 standard
 * deviations) that their roundings would show after the subtraction. Nothing of the kind happens in double. */
INLINE int is_unsure(double sum, double squares, double m) {
#if MTB_T_f32
    if (sum == 0 && squares == 0) return 0;
    double off = sum * sum / m;
    return !(squares >= 1e-30 * m && squares < 1e38 && off <= 16 * (squares - off));
#else
    (void)sum, (void)squares, (void)m;
    return 0;
#endif
}
INLINE double variance(double sum, double squares, double m) {
    double var = (squares - sum * sum / m) / m;
    return var < 0 ? 0 : var;
}

/* Better sums about another value, which is returned, where those about mid are unsure: about the mean; and if these
 * still are, all in double. */
static __attribute__((noinline)) T sums_again(int64_t runs, int64_t n, const T *x, int64_t stride, T mid, int keep,
                                              double *s) {
    const double m = (double)(runs * n);
    T mean = (T)((double)mid + s[0] / m);
    if (!keep && mean - mean == 0) {
        mid = mean;
        sums_about(runs, n, x, stride, mid, s);
        if (!is_unsure(s[0], s[1], m)) return mid;
    }
    s[0] = s[1] = 0;
    for (int64_t r = 0; r < runs; r++, x += stride) {
        for (int64_t i = 0; i < n; i++) {
            double d = (double)x[i] - (double)mid;
            s[0] += d, s[1] += d * d;
        }
    }
    return mid;
}
#endif
