/* convert.c: casts a contiguous run from one dtype to another, and moves runs and tiles between strided and contiguous
 * memory.
 *
 * Every pair goes through the narrowest type that holds the source (int64 for integers, float for the small floats), so
 * a cast rounds once. float -> integer truncates; out of range it wraps as x86 does, on every level. */
#include "../kernel.h"
#include "../turn.h"
#if defined(__SSE2__)
#include <immintrin.h>
#endif

static inline float from_bf16(uint16_t h) {
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static inline uint16_t to_bf16(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    uint32_t rounded = u + 0x7fff + ((u >> 16) & 1); /* to nearest, ties to even */
    return (uint16_t)((f != f ? 0x7fc00000 : rounded) >> 16);
}
static inline float from_f16(uint16_t h) {
    uint32_t magnitude = h & 0x7fff, u = magnitude << 13;
    float f;
    memcpy(&f, &u, 4);
    f *= 0x1p112f; /* rebias the exponent; subnormals become normal */
    memcpy(&u, &f, 4);
    u |= magnitude > 0x7c00 ? 0x7fc00000 : magnitude == 0x7c00 ? 0x7f800000 : 0; /* a NaN becomes quiet */
    u |= (uint32_t)(h & 0x8000) << 16;
    memcpy(&f, &u, 4);
    return f;
}
static inline uint16_t to_f16(float f) {
    uint32_t u, s;
    memcpy(&u, &f, 4);
    uint32_t sign = (u >> 16) & 0x8000, a = u & 0x7fffffff;
    float tiny;
    memcpy(&tiny, &a, 4);
    tiny += 0.5f; /* aligns the subnormal half's last bit with the float's, so the addition rounds */
    memcpy(&s, &tiny, 4);
    uint32_t subnormal = s - 0x3f000000, normal = (a - (112u << 23) + 0xfff + ((a >> 13) & 1)) >> 13;
    uint32_t r = a < 0x38800000 ? subnormal : normal;
    r = a >= 0x477ff000 ? 0x7c00 : r;
    r = a > 0x7f800000 ? 0x7e00 | (a >> 13 & 0x3ff) : r;
    return (uint16_t)(r | sign);
}

/* The halves of an integer as low digits of 2^84 and 2^52: both differences are exact, and the sum is rounded once.
 * There is no instruction for a vector of these before AVX-512. */
static inline double double_of_i64(int64_t v) {
    uint64_t high = ((uint64_t)v >> 32 ^ 0x80000000u) | (uint64_t)0x453 << 52;
    uint64_t low = (uint32_t)v | (uint64_t)0x433 << 52;
    double h, l;
    memcpy(&h, &high, 8), memcpy(&l, &low, 8);
    return (h - (0x1p84 + 0x1p63 + 0x1p52)) + l;
}
static inline double double_of_any(double v) { return v; }

/* READ_x: the value of one stored element. WRITE_x(v): the stored element for a value of any C type. */
#define SAME(v) (v)
#define READ_b8 SAME
#define READ_u8 SAME
#define READ_i8 SAME
#define READ_i16 SAME
#define READ_i32 SAME
#define READ_i64 SAME
#define READ_f16 from_f16
#define READ_bf16 from_bf16
#define READ_f32 SAME
#define READ_f64 SAME
#define WRITE_b8(v) ((uint8_t)((v) != 0))
#define WRITE_u8(v) ((uint8_t)NARROW(v))
#define WRITE_i8(v) ((int8_t)NARROW(v))
#define WRITE_i16(v) ((int16_t)NARROW(v))
#define WRITE_i32(v) ((int32_t)NARROW(v))
#define WRITE_i64(v) NARROW(v)
#define WRITE_f16(v) to_f16((float)(v))
#define WRITE_bf16(v) to_bf16((float)(v))
#define WRITE_f32(v) ((float)(v))
#define WRITE_f64(v) _Generic((v), int64_t: double_of_i64, default: double_of_any)(v)

/* The scalar conversion of x86 for every level: what does not fit becomes the most negative integer. A plain C cast
 * would be undefined there, and each compiler's vector code would be free to differ. */
static inline int64_t int_of_double(double v) { return v >= -0x1p63 && v < 0x1p63 ? (int64_t)v : INT64_MIN; }
static inline int64_t int_of_float(float v) { return v >= -0x1p63f && v < 0x1p63f ? (int64_t)v : INT64_MIN; }
#define NARROW(v) _Generic((v), double: int_of_double(v), float: int_of_float(v), default: (v))

#define CAST(from, tf, to, tt)                                                                      \
    static __attribute__((unused)) void cast_##from##_##to(void *dst, const void *src, int64_t n) { \
        tt *restrict d = dst;                                                                       \
        const tf *restrict s = src;                                                                 \
        for (int64_t i = 0; i < n; i++) d[i] = WRITE_##to(READ_##from(s[i]));                       \
    }
#define CASTS_TO_INTEGERS(from, tf)                                                                 \
    CAST(from, tf, u8, uint8_t) CAST(from, tf, i8, int8_t) CAST(from, tf, i16, int16_t)             \
    CAST(from, tf, i32, int32_t) CAST(from, tf, i64, int64_t)
#define CASTS_TO_REALS(from, tf)                                                                    \
    CAST(from, tf, b8, uint8_t) CAST(from, tf, f32, float) CAST(from, tf, f64, double)
CASTS_TO_REALS(b8, uint8_t) CASTS_TO_REALS(u8, uint8_t) CASTS_TO_REALS(i8, int8_t) CASTS_TO_REALS(i16, int16_t)
CASTS_TO_REALS(i32, int32_t) CASTS_TO_REALS(i64, int64_t) CASTS_TO_REALS(f32, float) CASTS_TO_REALS(f64, double)
CAST(f16, uint16_t, f32, float) CAST(bf16, uint16_t, f32, float)
CASTS_TO_INTEGERS(b8, uint8_t) CASTS_TO_INTEGERS(u8, uint8_t) CASTS_TO_INTEGERS(i8, int8_t)
CASTS_TO_INTEGERS(i16, int16_t) CASTS_TO_INTEGERS(i32, int32_t) CASTS_TO_INTEGERS(i64, int64_t)
CAST(f32, float, f16, uint16_t) CAST(f32, float, bf16, uint16_t)

/* what: the cast for which there is no vector instruction before AVX-512. shapes: [n]. passes: one. Numbers below 2^51
 * become low digits of a double, exactly; a block that has others goes one by one. */
static void short_i64_f32(void *dst, const void *src, int64_t n) {
    float *restrict d = dst;
    const int64_t *restrict s = src;
    for (int64_t m; n > 0; n -= m, s += m, d += m) {
        uint64_t far = 0;
        m = n < 512 ? n : 512;
        for (int64_t i = 0; i < m; i++) {
            const uint64_t v = (uint64_t)s[i], digits = v + ((uint64_t)0x4338 << 48);
            double x;
            memcpy(&x, &digits, 8);
            far |= (v + ((uint64_t)1 << 51)) >> 52;
            d[i] = (float)(x - 0x1.8p52);
        }
        if (far) cast_i64_f32(d, s, m);
    }
}
#define cast_i64_f32 short_i64_f32

#if defined(__F16C__) && defined(__AVX2__)
#include "../half.h"
#define cast_f16_f32 widen_f16
#define cast_bf16_f32 widen_bf16
#define cast_f32_f16 narrow_f16
#define cast_f32_bf16 narrow_bf16
#define HALF_LOOPS half_f16, half_bf16
#else
#define HALF_LOOPS NULL
#endif

/* All others to float16 and bfloat16, and most from them, are float32 before. */
enum { PIECE = 512 };
static __attribute__((noinline)) void by_float(char *dst, const char *src, int64_t n, mtb_cast widen, int size,
                                               mtb_cast narrow, int to_size) {
    float wide[PIECE];
    for (int64_t m; n > 0; n -= m, src += m * size, dst += m * to_size) {
        m = n < PIECE ? n : PIECE;
        widen(wide, src, m);
        narrow(dst, wide, m);
    }
}
#define BY_FLOAT(from, size, to, to_size)                                                           \
    static void cast_##from##_##to(void *dst, const void *src, int64_t n) {                         \
        by_float(dst, src, n, cast_##from##_f32, size, cast_f32_##to, to_size);                     \
    }
#define TO_HALVES(from, size) BY_FLOAT(from, size, f16, 2) BY_FLOAT(from, size, bf16, 2)
TO_HALVES(b8, 1) TO_HALVES(u8, 1) TO_HALVES(i8, 1) TO_HALVES(i16, 2) TO_HALVES(i32, 4) TO_HALVES(i64, 8)
TO_HALVES(f16, 2) TO_HALVES(bf16, 2) TO_HALVES(f64, 8)
BY_FLOAT(f16, 2, b8, 1) BY_FLOAT(f16, 2, f64, 8) BY_FLOAT(bf16, 2, b8, 1) BY_FLOAT(bf16, 2, f64, 8)

/* Real numbers to integers: block by block through int32 and vectors, if all of a block fit into it, or one by one.
 * What does not fit becomes the most negative int32. */
#if defined(__AVX2__)
typedef int32_t eight_ints __attribute__((vector_size(32)));
typedef int32_t four_ints __attribute__((vector_size(16)));
#define NEAR_BY(ints, count, value)                                                                 \
    ints least = {0};                                                                               \
    for (; n >= count; n -= count, s += count, d += count) {                                        \
        const ints v = (ints)value;                                                                 \
        least |= v == INT32_MIN;                                                                    \
        memcpy(d, &v, sizeof v);                                                                    \
    }                                                                                               \
    UNROLL for (int i = 0; i < count; i++) far |= least[i];
/* 32 elements at a time straight to one or two bytes; n is a multiple of it. */
static int packed_f32(char *d, const float *s, int64_t n, int size) {
    const __m256i low = _mm256_set1_epi32(size == 1 ? 0xff : 0xffff);
    eight_ints least = {0};
    for (; n > 0; n -= 32, s += 32, d += 32 * size) {
        __m256i v[4];
        UNROLL for (int i = 0; i < 4; i++) {
            v[i] = _mm256_cvttps_epi32(_mm256_loadu_ps(s + 8 * i));
            least |= (eight_ints)v[i] == INT32_MIN;
            v[i] = _mm256_and_si256(v[i], low);
        }
        v[0] = _mm256_packus_epi32(v[0], v[1]), v[2] = _mm256_packus_epi32(v[2], v[3]);
        if (size == 1) {
            v[0] = _mm256_packus_epi16(v[0], v[2]);
            const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            _mm256_storeu_si256((__m256i *)d, _mm256_permutevar8x32_epi32(v[0], order));
        } else {
            _mm256_storeu_si256((__m256i *)d, _mm256_permute4x64_epi64(v[0], 0xd8));
            _mm256_storeu_si256((__m256i *)d + 1, _mm256_permute4x64_epi64(v[2], 0xd8));
        }
    }
    return !_mm256_testz_si256((__m256i)least, (__m256i)least);
}
#define PACKED(d, s, n, size) (size <= 2 && n % 32 == 0 && !packed_f32(d, s, n, size))
#define NEAR_f32 NEAR_BY(eight_ints, 8, _mm256_cvttps_epi32(_mm256_loadu_ps(s)))
#define NEAR_f64 NEAR_BY(four_ints, 4, _mm256_cvttpd_epi32(_mm256_loadu_pd(s)))
#else
#define PACKED(d, s, n, size) 0
#define NEAR_f32
#define NEAR_f64
#endif
#define INTEGERS_OF(from, tf)                                                                       \
    static int near_##from(int32_t *restrict d, const tf *restrict s, int64_t n) {                  \
        int far = 0;                                                                                \
        NEAR_##from                                                                                 \
        for (int64_t i = 0; i < n; i++) {                                                           \
            const int64_t v = NARROW(s[i]);                                                         \
            far |= v != (d[i] = (int32_t)v);                                                        \
        }                                                                                           \
        return far;                                                                                 \
    }                                                                                               \
    static void wide_##from(int64_t *restrict d, const tf *restrict s, int64_t n) {                 \
        for (int64_t i = 0; i < n; i++) d[i] = NARROW(s[i]);                                        \
    }
INTEGERS_OF(f32, float) INTEGERS_OF(f64, double)
static __attribute__((noinline)) void to_integers(char *dst, const char *src, int64_t n, int from_size, mtb_cast widen,
                                                  int to_size, mtb_cast from32, mtb_cast from64) {
    float wide[PIECE];
    union {
        int32_t narrow[PIECE];
        int64_t full[PIECE];
    } d;
    for (int64_t m; n > 0; n -= m, src += m * from_size, dst += m * to_size) {
        const void *s = src;
        m = n < PIECE ? n : PIECE;
        if (widen) widen(wide, src, m), s = wide;
        if (from_size != 8 && PACKED(dst, s, m, to_size)) continue;
        int32_t *narrow = from32 == cast_i32_i32 && s != (const void *)dst ? (int32_t *)dst : d.narrow;
        if (!(from_size == 8 ? near_f64(narrow, s, m) : near_f32(narrow, s, m))) {
            if (narrow == d.narrow) from32(dst, narrow, m);
        } else {
            from_size == 8 ? wide_f64(d.full, s, m) : wide_f32(d.full, s, m);
            from64(dst, d.full, m);
        }
    }
}
#define TO_INTEGER(from, size, widen, to, to_size)                                                  \
    static void cast_##from##_##to(void *dst, const void *src, int64_t n) {                         \
        to_integers(dst, src, n, size, widen, to_size, cast_i32_##to, cast_i64_##to);               \
    }
#define TO_INTEGERS(from, size, widen)                                                              \
    TO_INTEGER(from, size, widen, u8, 1) TO_INTEGER(from, size, widen, i8, 1) TO_INTEGER(from, size, widen, i16, 2) \
    TO_INTEGER(from, size, widen, i32, 4) TO_INTEGER(from, size, widen, i64, 8)
TO_INTEGERS(f16, 2, cast_f16_f32) TO_INTEGERS(bf16, 2, cast_bf16_f32)
TO_INTEGERS(f32, 4, NULL) TO_INTEGERS(f64, 8, NULL)

typedef uint8_t wide_8 __attribute__((vector_size(32)));
typedef uint16_t wide_16 __attribute__((vector_size(32)));
typedef uint32_t wide_32 __attribute__((vector_size(32)));
typedef uint64_t wide_64 __attribute__((vector_size(32)));

#define MOVE(bits)                                                                                   \
    static void move_##bits(void *dst, int64_t dst_step, const void *src, int64_t src_step, int64_t n) { \
        char *d = dst;                                                                               \
        const char *s = src;                                                                         \
        uint##bits##_t v;                                                                            \
        if (src_step == 0 && dst_step == bits / 8) {                                                 \
            memcpy(&v, s, bits / 8);                                                                 \
            const wide_##bits w = v - (wide_##bits){0};                                              \
            for (; n >= 128 * 8 / bits; n -= 128 * 8 / bits, d += 128)                               \
                UNROLL for (int i = 0; i < 128; i += 32) memcpy(d + i, &w, 32);                      \
            for (; n >= 32 * 8 / bits; n -= 32 * 8 / bits, d += 32) memcpy(d, &w, 32);               \
            for (int64_t i = 0; i < n; i++) memcpy(d + i * (bits / 8), &v, bits / 8);                \
        } else if (src_step == 2 * (bits / 8) && dst_step == bits / 8) {                             \
            for (int64_t i = 0; i < n; i++) memcpy(d + i * (bits / 8), s + i * (bits / 4), bits / 8); \
        } else if (src_step == -(bits / 8) && dst_step == bits / 8) {                                \
            for (int64_t i = 0; i < n; i++) memcpy(d + i * (bits / 8), s - i * (bits / 8), bits / 8); \
        } else if (dst_step == bits / 8) {                                                           \
            for (int64_t i = 0; i < n; i++) memcpy(d + i * (bits / 8), s + i * src_step, bits / 8);  \
        } else                                                                                       \
            for (int64_t i = 0; i < n; i++) memcpy(d + i * dst_step, s + i * src_step, bits / 8);    \
    }
MOVE(8) MOVE(16) MOVE(32) MOVE(64)

/* what: transposes a tile of rows x cols elements. passes: one. A square of vectors of 16 bytes is turned in registers;
 * the rest goes one by one. */
#define TURN(bits, side, SQUARE)                                                                     \
    static void turn_##bits(void *dst, int64_t to_step, const void *src, int64_t from_step, int64_t rows, \
                            int64_t cols) {                                                          \
        char *d = dst;                                                                               \
        const char *s = src;                                                                         \
        int64_t c = 0, whole = rows & -side;                                                         \
        for (; c + side <= cols; c += side) {                                                        \
            for (int64_t r = 0; r < whole; r += side) {                                              \
                const char *from = s + c * from_step + r * (bits / 8);                               \
                char *to = d + r * to_step + c * (bits / 8);                                         \
                SQUARE                                                                               \
            }                                                                                        \
        }                                                                                            \
        for (int64_t r = 0; r < rows; r++)                                                           \
            for (int64_t i = r < whole ? c : 0; i < cols; i++)                                       \
                memcpy(d + r * to_step + i * (bits / 8), s + i * from_step + r * (bits / 8), bits / 8); \
    }
/* Squares of 8 x 8 and 16 x 16: in each of log2(side) rounds, vector i and the one half the side on are zipped. */
#define SQUARE_BY_ZIPS(vector, side, low, high)                                                      \
    vector v[side], w[side];                                                                         \
    UNROLL for (int i = 0; i < side; i++) LOAD(v[i], i);                                             \
    UNROLL for (int round = 1; round < side; round *= 4) {                                           \
        UNROLL for (int i = 0; i < side / 2; i++)                                                    \
            w[2 * i] = SHUFFLE(v[i], v[i + side / 2], low),                                \
            w[2 * i + 1] = SHUFFLE(v[i], v[i + side / 2], high);                           \
        UNROLL for (int i = 0; i < side / 2; i++)                                                    \
            if (2 * round < side)                                                                    \
                v[2 * i] = SHUFFLE(w[i], w[i + side / 2], low),                            \
                v[2 * i + 1] = SHUFFLE(w[i], w[i + side / 2], high);                       \
            else                                                                                     \
                v[2 * i] = w[2 * i], v[2 * i + 1] = w[2 * i + 1];                                    \
    }                                                                                                \
    UNROLL for (int i = 0; i < side; i++) STORE(i, v[i]);
typedef int16_t eight __attribute__((vector_size(16)));
typedef int8_t sixteen __attribute__((vector_size(16)));
static const eight low_16 = {0, 8, 1, 9, 2, 10, 3, 11}, high_16 = {4, 12, 5, 13, 6, 14, 7, 15};
static const sixteen low_8 = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
static const sixteen high_8 = {8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
TURN(8, 16, SQUARE_BY_ZIPS(sixteen, 16, low_8, high_8)) TURN(16, 8, SQUARE_BY_ZIPS(eight, 8, low_16, high_16))
TURN(32, 4, square_32(from, from_step, to, to_step);) TURN(64, 2, square_64(from, from_step, to, to_step);)

/* what: copies past the caches; of 0 bytes, waits for the copies before. passes: one; what is written is not read into
 * a cache first, and drives nothing out. */
static void stream(void *dst, const void *src, int64_t bytes) {
#if defined(__SSE2__)
    char *d = dst;
    const char *s = src;
    int64_t head = -(intptr_t)d & 31;
    if (!bytes) _mm_sfence();
    if (head > bytes) head = bytes;
    memcpy(d, s, (size_t)head);
    for (d += head, s += head, bytes -= head; bytes >= 32; d += 32, s += 32, bytes -= 32) {
#if defined(__AVX__)
        _mm256_stream_si256((__m256i *)d, _mm256_loadu_si256((const __m256i *)s));
#else
        _mm_stream_si128((__m128i *)d, _mm_loadu_si128((const __m128i *)s));
        _mm_stream_si128((__m128i *)d + 1, _mm_loadu_si128((const __m128i *)s + 1));
#endif
    }
    memcpy(d, s, (size_t)bytes);
#else
    memcpy(dst, src, (size_t)bytes);
#endif
}

/* what: evenly spaced numbers. shapes: d[n]. passes: writes d. */
static void count_reals(double *d, int64_t n, int64_t first, double start, double step) {
    double from = (double)first;
    for (int32_t i = 0; i < (int32_t)n; i++) d[i] = start + (from + (double)i) * step;
}
static void count_integers(int64_t *d, int64_t n, int64_t first, int64_t start, int64_t step) {
    uint64_t v = (uint64_t)start + (uint64_t)first * (uint64_t)step;
    for (int64_t i = 0; i < n; i++, v += (uint64_t)step) d[i] = (int64_t)v;
}

#define ROW(from)                                                                                    \
    [MTB_##from] = {cast_##from##_b8, cast_##from##_u8, cast_##from##_i8, cast_##from##_i16, cast_##from##_i32,  \
                    cast_##from##_i64, cast_##from##_f16, cast_##from##_bf16, cast_##from##_f32, cast_##from##_f64},
extern const mtb_convert TABLE(convert);
const mtb_convert TABLE(convert) = {
#define X(name, type, size) ROW(name)
    .cast = {MTB_DTYPES(X)},
#undef X
    .move = {move_8, move_16, move_32, move_64},
    .turn = {turn_8, turn_16, turn_32, turn_64},
    .half = {HALF_LOOPS},
    .stream = stream,
    .count_reals = count_reals,
    .count_integers = count_integers,
};
