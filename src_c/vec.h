/* vec.h: vectors of T (float or double) at the width of the level, and the few operations that kernels need on them.
 *
 *   vec        VL elements of T: one register          LANES = 16   virtual lanes of a reduction, on every level
 *   NV         LANES / VL registers make up the 16 virtual lanes
 * + - * / and comparisons are GCC's vector operators. A fused multiply-add happens only where vfma is written.
 * A reduction keeps NV registers, and folds its 16 lanes in one fixed tree (lanes_sum): same bits on every level.
 */
#ifndef MTB_VEC_H
#define MTB_VEC_H
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define VBYTES 64
#elif defined(__AVX2__)
#define VBYTES 32
#else
#define VBYTES 16
#endif
enum { VL = VBYTES / (int)sizeof(T), LANES = 16, NV = LANES / VL };

typedef T vec __attribute__((vector_size(VBYTES)));
typedef T vec_unaligned __attribute__((vector_size(VBYTES), aligned(sizeof(T)), may_alias));
#if MTB_T_f32
typedef int32_t ivec __attribute__((vector_size(VBYTES)));   /* what a comparison of two vecs gives: 0 or -1 */
typedef int32_t TI;
#else
typedef int64_t ivec __attribute__((vector_size(VBYTES)));
typedef int64_t TI;
#endif

static inline vec vload(const T *p) { return *(const vec_unaligned *)p; }
static inline void vstore(T *p, vec v) { *(vec_unaligned *)p = v; }
static inline vec vset(T x) { return x - (vec){}; }  /* x in every element; x - 0 keeps -0 and NaN */

/* n < VL elements, the rest filled with `fill` */
#if defined(__AVX2__) && !defined(__AVX512F__)
typedef ivec ivec_unaligned __attribute__((aligned(sizeof(T)), may_alias));
static const TI part_mask[2 * VL] = {[0 ... VL - 1] = -1};
#endif
static inline vec vload_part(const T *p, int n, T fill) {
#if defined(__AVX512F__) && MTB_T_f32
    return (vec)_mm512_mask_loadu_ps((__m512)(fill - (vec){}), (__mmask16)((1u << n) - 1), p);
#elif defined(__AVX512F__)
    return (vec)_mm512_mask_loadu_pd((__m512d)(fill - (vec){}), (__mmask8)((1u << n) - 1), p);
#elif defined(__AVX2__)
    ivec mask = *(const ivec_unaligned *)(part_mask + VL - n);
#if MTB_T_f32
    vec v = (vec)_mm256_maskload_ps(p, (__m256i)mask);
#else
    vec v = (vec)_mm256_maskload_pd(p, (__m256i)mask);
#endif
    return (vec)(((ivec)v & mask) | ((ivec)(fill - (vec){}) & ~mask));
#else
    T b[VL];
    for (int i = 0; i < VL; i++) b[i] = i < n ? p[i] : fill;
    return vload(b);
#endif
}
static inline void vstore_part(T *p, vec v, int n) {
    T b[VL];
    vstore(b, v);
    memcpy(p, b, (size_t)n * sizeof(T));
}

/* a * b + c, rounded once */
#if MTB_T_f32
static inline T sfma(T a, T b, T c) { return __builtin_fmaf(a, b, c); }
#else
static inline T sfma(T a, T b, T c) { return __builtin_fma(a, b, c); }
#endif
static inline vec vfma(vec a, vec b, vec c) {
#if defined(__AVX512F__) && MTB_T_f32
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX512F__)
    return (vec)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__) && MTB_T_f32
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__FMA__)
    return (vec)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__) && MTB_T_f32
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#elif defined(__aarch64__)
    return (vec)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
    vec r;  /* no fused multiply-add in this level: the C library's, one element at a time; exact, so the same bits */
    for (int i = 0; i < VL; i++) r[i] = sfma(a[i], b[i], c[i]);
    return r;
#endif
}

static inline vec vselect(ivec mask, vec a, vec b) { return (vec)(((ivec)a & mask) | ((ivec)b & ~mask)); }
/* b where either is NaN, or where they are equal */
#if defined(__AVX512F__) && MTB_T_f32
static inline vec vmax(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
static inline vec vmin(vec a, vec b) { return (vec)_mm512_min_ps((__m512)a, (__m512)b); }
#elif defined(__AVX2__) && !defined(__AVX512F__) && MTB_T_f32
static inline vec vmax(vec a, vec b) { return (vec)_mm256_max_ps((__m256)a, (__m256)b); }
static inline vec vmin(vec a, vec b) { return (vec)_mm256_min_ps((__m256)a, (__m256)b); }
#else
static inline vec vmax(vec a, vec b) { return vselect(a > b, a, b); }
static inline vec vmin(vec a, vec b) { return vselect(a < b, a, b); }
#endif

/* The one tree that folds 16 lanes: lane i with lane i + 8, then + 4, + 2, + 1. */
static inline T fold_sum(T *a) {
    for (int step = LANES / 2; step > 0; step /= 2)
        for (int i = 0; i < step; i++) a[i] += a[i + step];
    return a[0];
}
static inline T lanes_sum(const vec *acc) {
    T a[LANES];
    for (int i = 0; i < NV; i++) vstore(a + i * VL, acc[i]);
    return fold_sum(a);
}
#endif
