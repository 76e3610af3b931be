/* level.c: compiled once per instruction-set level; gathers the tables of every family into one constant. */
#include "kernel.h"

/* A level may use another's kernels where wider registers gain nothing: MTB_LEVEL_OF_norm_f64 says which (setup.py). */
#define NAME_(family, level, dtype) mtb_##family##_##level##_##dtype
#define NAME(family, level, dtype) NAME_(family, level, dtype)
#define OF(family, dtype) NAME(family, MTB_LEVEL_OF_##family##_##dtype, dtype)
#define ONLY_(family, level) mtb_##family##_##level
#define ONLY(family, level) ONLY_(family, level)
#define OF_ALL(family) ONLY(family, MTB_LEVEL_OF_##family)

#define REAL(family) extern const mtb_##family OF(family, f32), OF(family, f64);
#define NATIVE(family)                                                                                          \
    REAL(family)                                                                                                \
    extern const mtb_##family OF(family, b8), OF(family, u8), OF(family, i8), OF(family, i16), OF(family, i32), \
        OF(family, i64);
#define ONCE(family) extern const mtb_##family OF_ALL(family);
#include "families.def"
#undef REAL
#undef NATIVE
#undef ONCE

#define REAL(family) .family = {&OF(family, f32), &OF(family, f64)},
#define NATIVE(family)                                                                                        \
    .family = {[MTB_b8] = &OF(family, b8),   [MTB_u8] = &OF(family, u8),   [MTB_i8] = &OF(family, i8),        \
               [MTB_i16] = &OF(family, i16), [MTB_i32] = &OF(family, i32), [MTB_i64] = &OF(family, i64),      \
               [MTB_f32] = &OF(family, f32), [MTB_f64] = &OF(family, f64)},
#define ONCE(family) .family = &OF_ALL(family),
#define STRING_(s) #s
#define STRING(s) STRING_(s)

extern const mtb_level MTB_CAT2(mtb_level, MTB_LEVEL);
const mtb_level MTB_CAT2(mtb_level, MTB_LEVEL) = {
    .name = STRING(MTB_LEVEL),
#include "families.def"
};
