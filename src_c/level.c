/* level.c: compiled once per instruction-set level; gathers the tables of every family into that level's one constant. */
#include "kernel.h"

#define NAME_(family, level, dtype) mtb_##family##_##level##_##dtype
#define NAME(family, level, dtype) NAME_(family, level, dtype)
#define INTEGER(family, dtype) NAME(family, MTB_INTEGER_LEVEL, dtype) /* a level may share another's integer kernels */

#define REAL(family) extern const mtb_##family NAME(family, MTB_LEVEL, f32), NAME(family, MTB_LEVEL, f64);
#define NATIVE(family)                                                                                              \
    REAL(family)                                                                                                    \
    extern const mtb_##family INTEGER(family, b8), INTEGER(family, u8), INTEGER(family, i8), INTEGER(family, i16),  \
        INTEGER(family, i32), INTEGER(family, i64);
#define ONCE(family) extern const mtb_##family TABLE(family);
#include "families.def"
#undef REAL
#undef NATIVE
#undef ONCE

#define REAL(family) .family = {&NAME(family, MTB_LEVEL, f32), &NAME(family, MTB_LEVEL, f64)},
#define NATIVE(family)                                                                                              \
    .family = {[MTB_b8] = &INTEGER(family, b8),   [MTB_u8] = &INTEGER(family, u8),   [MTB_i8] = &INTEGER(family, i8), \
               [MTB_i16] = &INTEGER(family, i16), [MTB_i32] = &INTEGER(family, i32), [MTB_i64] = &INTEGER(family, i64), \
               [MTB_f32] = &NAME(family, MTB_LEVEL, f32), [MTB_f64] = &NAME(family, MTB_LEVEL, f64)},
#define ONCE(family) .family = &TABLE(family),
#define STRING_(s) #s
#define STRING(s) STRING_(s)

extern const mtb_level MTB_CAT2(mtb_level, MTB_LEVEL);
const mtb_level MTB_CAT2(mtb_level, MTB_LEVEL) = {
    .name = STRING(MTB_LEVEL),
#include "families.def"
};
