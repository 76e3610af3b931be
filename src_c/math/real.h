/* real.h: everything that mathfun.h provides for one type `real`; included once for each instance. */
#if REAL_IS_F32
#define real float
#define ureal uint32_t
#define MANT 23
#define BIAS 127
#define REAL_MIN 0x1p-126f /* the least normal number */
#else
#define real double
#define ureal uint64_t
#define MANT 52
#define BIAS 1023
#define REAL_MIN 0x1p-1022
#endif
#define SIGN_BIT ((ureal)1 << (sizeof(real) * 8 - 1))
#define REAL_INF ((real)__builtin_inf())
#define REAL_NAN ((real)__builtin_nan(""))
#define TWO_MANT ((real)((ureal)1 << MANT))     /* from here on every number is an integer */
#define MAGIC ((real)3 * (TWO_MANT / (real)2))  /* x + MAGIC rounds x to an integer, held in the low bits */

#include "bits.h"
#include "round.h"
#include "exp.h"
#include "log.h"
#include "trig.h"
#include "hyper.h"
#include "erf.h"

#undef real
#undef ureal
#undef MANT
#undef BIAS
#undef REAL_MIN
#undef SIGN_BIT
#undef REAL_INF
#undef REAL_NAN
#undef TWO_MANT
#undef MAGIC
