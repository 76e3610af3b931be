/* convert.c: casts a contiguous run from one dtype to another, and moves runs between strided and contiguous memory.
 *
 * Every pair goes through the narrowest type that holds the source (int64 for integers, float for the small floats), so a
 * cast rounds once. float -> integer truncates; out of range it wraps as x86 does, on every level. */
#include "../kernel.h"
#include <string.h>

static inline float from_bf16(uint16_t h) {
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static inline uint16_t to_bf16(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    uint32_t rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16; /* to nearest, ties to even */
    return (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : rounded);
}
static inline float from_f16(uint16_t h) {
    uint32_t magnitude = h & 0x7fff, u = magnitude << 13;
    float f;
    memcpy(&f, &u, 4);
    f *= 0x1p112f; /* rebias the exponent; subnormals become normal */
    memcpy(&u, &f, 4);
    u |= magnitude >= 0x7c00 ? 0x7f800000 : 0;
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
    r = a > 0x7f800000 ? 0x7e00 : r;
    return (uint16_t)(r | sign);
}

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
#define WRITE_f64(v) ((double)(v))

/* The scalar conversion of x86 for every level: what does not fit becomes the most negative integer. A plain C cast
 * would be undefined there, and each compiler's vector code would be free to differ. */
static inline int64_t int_of_double(double v) { return v >= -0x1p63 && v < 0x1p63 ? (int64_t)v : INT64_MIN; }
static inline int64_t int_of_float(float v) { return v >= -0x1p63f && v < 0x1p63f ? (int64_t)v : INT64_MIN; }
static inline int64_t int_of_int(int64_t v) { return v; }
#define NARROW(v) _Generic((v), double: int_of_double, float: int_of_float, default: int_of_int)(v)

#define CAST(from, tf, to, tt)                                                                      \
    static void cast_##from##_##to(void *dst, const void *src, int64_t n) {                         \
        tt *restrict d = dst;                                                                       \
        const tf *restrict s = src;                                                                 \
        for (int64_t i = 0; i < n; i++) d[i] = WRITE_##to(READ_##from(s[i]));                       \
    }
#define CASTS_FROM(from, tf)                                                                        \
    CAST(from, tf, b8, uint8_t) CAST(from, tf, u8, uint8_t) CAST(from, tf, i8, int8_t)              \
    CAST(from, tf, i16, int16_t) CAST(from, tf, i32, int32_t) CAST(from, tf, i64, int64_t)          \
    CAST(from, tf, f16, uint16_t) CAST(from, tf, bf16, uint16_t) CAST(from, tf, f32, float)         \
    CAST(from, tf, f64, double)
#define X(name, type, size) CASTS_FROM(name, type)
MTB_DTYPES(X)
#undef X

#define MOVE(bits)                                                                                   \
    static void move_##bits(void *dst, int64_t dst_step, const void *src, int64_t src_step, int64_t n) { \
        char *d = dst;                                                                               \
        const char *s = src;                                                                         \
        uint##bits##_t v;                                                                            \
        if (src_step == 0 && dst_step == bits / 8) {                                                 \
            memcpy(&v, s, bits / 8);                                                                 \
            for (int64_t i = 0; i < n; i++) memcpy(d + i * (bits / 8), &v, bits / 8);                \
        } else if (dst_step == bits / 8) {                                                           \
            for (int64_t i = 0; i < n; i++) memcpy(d + i * (bits / 8), s + i * src_step, bits / 8);  \
        } else                                                                                       \
            for (int64_t i = 0; i < n; i++) memcpy(d + i * dst_step, s + i * src_step, bits / 8);    \
    }
MOVE(8) MOVE(16) MOVE(32) MOVE(64)

#define ROW(from)                                                                                    \
    [MTB_##from] = {cast_##from##_b8, cast_##from##_u8, cast_##from##_i8, cast_##from##_i16, cast_##from##_i32,  \
                    cast_##from##_i64, cast_##from##_f16, cast_##from##_bf16, cast_##from##_f32, cast_##from##_f64},
extern const mtb_convert TABLE(convert);
const mtb_convert TABLE(convert) = {
#define X(name, type, size) ROW(name)
    .cast = {MTB_DTYPES(X)},
#undef X
    .move = {move_8, move_16, move_32, move_64},
};
