/* accum.h: vectors of double for the sums that a reduction keeps, whatever T is.
 *
 * A sum of float32 is kept in double: it does not overflow, and is rounded once, at the end.
 *   dvec         DL doubles: one register           ACC_LANES = 32   virtual lanes of such a sum, on every level
 *   ND           ACC_LANES / DL registers make up the 32 virtual lanes
 * Where a conversion for every load is too slow, eight or sixteen values are first added pairwise in T (three or four
 * roundings), and their sums go to LANES = 16 lanes of double (wide_sum).
 * Products of two float32 are exact in double, so writing a * b + c without a fused multiply-add loses nothing.
 */
#ifndef MTB_ACCUM_H
#define MTB_ACCUM_H

enum { DL = VBYTES / 8, ACC_LANES = 32, ND = ACC_LANES / DL };
typedef double dvec __attribute__((vector_size(VBYTES)));
typedef int64_t dmask __attribute__((vector_size(VBYTES)));
typedef double dvec_unaligned __attribute__((vector_size(VBYTES), aligned(8), may_alias));
typedef T dpart __attribute__((vector_size(DL * sizeof(T)), aligned(sizeof(T)), may_alias));

#if defined(__AVX512F__) && MTB_T_f32 /* GCC 12 converts two values at a time, if left alone */
static inline dvec dload(const T *p) { return (dvec)_mm512_cvtps_pd(_mm256_loadu_ps(p)); }
#elif defined(__AVX2__) && MTB_T_f32
static inline dvec dload(const T *p) { return (dvec)_mm256_cvtps_pd(_mm_loadu_ps(p)); }
#else
static inline dvec dload(const T *p) { return __builtin_convertvector(*(const dpart *)p, dvec); }
#endif
static inline dvec dset(double x) { return x - (dvec){}; }
static inline dvec dabs(dvec v) { return (dvec)((dmask)v & INT64_MAX); }

/* The one tree that folds 32 lanes: lane i with lane i + 16, then + 8, + 4, + 2, + 1. */
#define FOLD_LANES(name, OP)                                                    \
    static inline double name(const dvec *acc) {                                \
        double a[DL];                                                           \
        dvec v[ND];                                                             \
        UNROLL for (int k = 0; k < ND; k++) v[k] = acc[k];                      \
        UNROLL for (int w = ND / 2; w > 0; w /= 2)                              \
            UNROLL for (int k = 0; k < w; k++) v[k] = v[k] OP v[k + w];         \
        *(dvec_unaligned *)a = v[0];                                            \
        UNROLL for (int w = DL / 2; w > 0; w /= 2)                              \
            UNROLL for (int k = 0; k < w; k++) a[k] = a[k] OP a[k + w];         \
        return a[0];                                                            \
    }
FOLD_LANES(dlanes_sum, +)

static inline vec pairwise8(const vec *v) { return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])); }

typedef struct { dvec v[LANES / DL]; } wide_sum; /* 16 lanes of double */
static inline void wide_add(wide_sum *s, const vec *lanes) {
    T t[LANES];
    UNROLL for (int k = 0; k < NV; k++) vstore(t + k * VL, lanes[k]);
    UNROLL for (int k = 0; k < LANES / DL; k++) s->v[k] += dload(t + k * DL);
}
static inline double wide_fold(const wide_sum *s) {
    double a[DL];
    wide_sum t = *s;
    UNROLL for (int w = LANES / DL / 2; w > 0; w /= 2)
        UNROLL for (int k = 0; k < w; k++) t.v[k] += t.v[k + w];
    *(dvec_unaligned *)a = t.v[0];
    UNROLL for (int w = DL / 2; w > 0; w /= 2)
        UNROLL for (int k = 0; k < w; k++) a[k] += a[k + w];
    return a[0];
}
#endif
