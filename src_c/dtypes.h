/* dtypes.h: the element types, once; every other list of dtypes in the project is made from this one. */
#ifndef MTB_DTYPES_H
#define MTB_DTYPES_H
#include <stddef.h>
#include <stdint.h>

/* In promotion order: a later dtype of the same kind can hold an earlier one (float16 and bfloat16 meet in float32). */
#define MTB_DTYPES(X)                                                                                         \
    X(b8, uint8_t, 1) X(u8, uint8_t, 1) X(i8, int8_t, 1) X(i16, int16_t, 2) X(i32, int32_t, 4) X(i64, int64_t, 8) \
    X(f16, uint16_t, 2) X(bf16, uint16_t, 2) X(f32, float, 4) X(f64, double, 8)

#define X(name, type, size) MTB_##name,
enum { MTB_DTYPES(X) MTB_NDTYPES };
#undef X
enum { MTB_NREALS = 2 }; /* float32 and float64 have tables of their own: index 0 and 1, dtype - MTB_f32 */
#endif
