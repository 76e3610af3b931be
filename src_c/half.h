/* half.h: float16 and bfloat16 with the instructions of level v3: casts, and arithmetic on runs in one pass, widened to
 * float, computed and narrowed in registers.
 *
 * These are the operations that cost less than the passes through a block of float would; all others take those, with
 * the same bits. */
#ifndef MTB_HALF_H
#define MTB_HALF_H
#include "gen/opids.h"
#include "runs.h"
#include <immintrin.h>

#define NOINLINE __attribute__((noinline))
typedef float eight_floats __attribute__((vector_size(32)));

INLINE void load_f16(eight_floats *v, const uint16_t *s) {
    v[0] = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)s));
    v[1] = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)s + 1));
}
INLINE void store_f16(uint16_t *d, const eight_floats *v) {
    _mm_storeu_si128((__m128i *)d, _mm256_cvtps_ph(v[0], 0));
    _mm_storeu_si128((__m128i *)d + 1, _mm256_cvtps_ph(v[1], 0));
}
/* The even elements and the odd ones: each is the upper half of a float where it lies, or one shift away. */
INLINE void load_bf16(eight_floats *v, const uint16_t *s) {
    const __m256i u = _mm256_loadu_si256((const __m256i *)s);
    v[0] = (eight_floats)_mm256_slli_epi32(u, 16);
    v[1] = (eight_floats)_mm256_and_si256(u, _mm256_set1_epi32(-0x10000));
}
INLINE __m256i rounded_bf16(eight_floats f) {
    const __m256i u = (__m256i)f, last = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    return _mm256_blendv_epi8(_mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), last),
                              _mm256_set1_epi32(0x7fc00000), (__m256i)(f != f));
}
INLINE void store_bf16(uint16_t *d, const eight_floats *v) {
    const __m256i even = _mm256_srli_epi32(rounded_bf16(v[0]), 16);
    _mm256_storeu_si256((__m256i *)d, _mm256_blend_epi16(even, rounded_bf16(v[1]), 0xaa));
}

INLINE void load_f32(eight_floats *v, const float *s) { v[0] = _mm256_loadu_ps(s), v[1] = _mm256_loadu_ps(s + 8); }
INLINE void store_f32(float *d, const eight_floats *v) { _mm256_storeu_ps(d, v[0]), _mm256_storeu_ps(d + 8, v[1]); }
INLINE void in_order_bf16(eight_floats *v, const uint16_t *s) {
    UNROLL for (int i = 0; i < 2; i++)
        v[i] = (eight_floats)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)s + i)), 16);
}
INLINE void in_order_to_bf16(uint16_t *d, const eight_floats *v) {
    const __m256i low = _mm256_srli_epi32(rounded_bf16(v[0]), 16), high = _mm256_srli_epi32(rounded_bf16(v[1]), 16);
    _mm256_storeu_si256((__m256i *)d, _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8));
}

/* what: casts. shapes: [n]. passes: one. */
enum { TURNED = 16 };
#define HALF_CAST(name, from, to, load, store)                                                      \
    static void name(void *dst, const void *src, int64_t n) {                                       \
        const from *s = src;                                                                        \
        from last[TURNED];                                                                          \
        to *d = dst, result[TURNED];                                                                \
        eight_floats v[2];                                                                          \
        for (; n >= TURNED; n -= TURNED, d += TURNED, s += TURNED) load(v, s), store(d, v);         \
        if (n <= 0) return;                                                                         \
        mtb_library_copy(last, s, (size_t)n * sizeof *s);                                           \
        load(v, last), store(result, v);                                                            \
        mtb_library_copy(d, result, (size_t)n * sizeof *d);                                         \
    }
HALF_CAST(widen_f16, uint16_t, float, load_f16, store_f32) HALF_CAST(narrow_f16, float, uint16_t, load_f32, store_f16)
HALF_CAST(widen_bf16, uint16_t, float, in_order_bf16, store_f32)
HALF_CAST(narrow_bf16, float, uint16_t, load_f32, in_order_to_bf16)
#undef HALF_CAST

#define BLEND(no, yes, test) (eight_floats)_mm256_blendv_ps(no, yes, (__m256)(test))
#define EACH(type, op, value)                                                                       \
    case op:                                                                                        \
        for (; n > 0; n -= TURNED, o += TURNED, s += TURNED, t += TURNED) {                         \
            eight_floats a[2], b[2] = {number, number};                                             \
            load_##type(a, s);                                                                      \
            if (two) load_##type(b, t);                                                             \
            UNROLL for (int i = 0; i < 2; i++) {                                                    \
                const eight_floats x = a[i], y = b[i];                                              \
                (void)y, a[i] = value;                                                              \
            }                                                                                       \
            store_##type(o, a);                                                                     \
        }                                                                                           \
        break;

/* what: k[0] is the operation, an MTB_OP, or MTB_NOPS + a gradient; of p[1] and p[2], or with k[2] = 0 of p[1] and the
 * number k[1]. shapes: all [n]. passes: one. */
#define HALF_LOOP(type)                                                                             \
    static NOINLINE void turns_##type(uint16_t *o, const uint16_t *s, const uint16_t *t, int64_t n, const double *k) { \
        const eight_floats zero = {0}, number = (float)k[1] - zero;                                 \
        const int two = (int)k[2];                                                                  \
        switch ((int)k[0]) {                                                                        \
            EACH(type, MTB_OP_add, x + y)                                                           \
            EACH(type, MTB_OP_sub, x - y)                                                           \
            EACH(type, MTB_OP_rsub, y - x)                                                          \
            EACH(type, MTB_OP_mul, x * y)                                                           \
            EACH(type, MTB_OP_div, x / y)                                                           \
            EACH(type, MTB_OP_reciprocal, y / x)                                                    \
            EACH(type, MTB_OP_maximum, BLEND((eight_floats)_mm256_max_ps(x, y), x, x != x))         \
            EACH(type, MTB_OP_minimum, BLEND((eight_floats)_mm256_min_ps(x, y), x, x != x))         \
            EACH(type, MTB_OP_square, x * x)                                                        \
            EACH(type, MTB_OP_sqrt, (eight_floats)_mm256_sqrt_ps(x))                                \
            EACH(type, MTB_OP_round, (eight_floats)_mm256_round_ps(x, 8))                           \
            EACH(type, MTB_OP_floor, (eight_floats)_mm256_round_ps(x, 9))                           \
            EACH(type, MTB_OP_ceil, (eight_floats)_mm256_round_ps(x, 10))                           \
            EACH(type, MTB_OP_trunc, (eight_floats)_mm256_round_ps(x, 11))                          \
            EACH(type, MTB_OP_relu, BLEND(x, zero, x <= zero))                                      \
            EACH(type, MTB_OP_leaky_relu, BLEND(y * x, x, x > zero))                                \
            EACH(type, MTB_NOPS + MTB_GRAD_relu_0, BLEND(x, zero, y <= zero))                       \
        }                                                                                           \
    }                                                                                               \
    static void half_##type(void *const *p, int64_t n, const double *k) {                           \
        const int64_t whole = n & -TURNED;                                                          \
        const size_t rest = (size_t)(n - whole) * 2;                                                \
        const uint16_t *s = p[1], *t = k[2] != 0 ? p[2] : s;                                        \
        uint16_t *o = p[0], last[3][TURNED];                                                        \
        turns_##type(o, s, t, whole, k);                                                            \
        if (!rest) return;                                                                          \
        mtb_library_copy(last[1], s + whole, rest), mtb_library_copy(last[2], t + whole, rest);     \
        turns_##type(last[0], last[1], last[2], TURNED, k);                                         \
        mtb_library_copy(o + whole, last[0], rest);                                                 \
    }
HALF_LOOP(f16) HALF_LOOP(bf16)
#undef BLEND
#undef EACH
#endif
