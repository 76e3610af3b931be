/* mathfun.h: the scalar mathematics of a kernel: m_exp(x), m_tanh(x), m_floor(x), ... on T, the element type.
 *
 * No libm, and hardly a branch in the files of math/: a plain loop `y[i] = m_exp(x[i])` vectorises, and gives the same
 * bits at every level. A fused multiply-add happens only where it is written. NaN, infinities, zeros of both signs
 * and subnormals are as in C. The files are written once for a type `real`; a float compilation also instantiates them
 * for double (d_exp, ...), because pow and the special functions of either T are computed in double.
 *
 *   real   float or double       ureal  the unsigned integer of its size       M(name)  the name of this instance
 *   MANT   mantissa bits         BIAS   exponent bias                          D(name)  the name of the double instance
 */
#ifndef MTB_MATHFUN_H
#define MTB_MATHFUN_H

#if defined(__FMA__) || defined(__aarch64__)
/* always inline: one call left in a loop would keep it scalar */
#define MATH static inline __attribute__((always_inline))
#else
/* without the instruction, fma is itself a call: there every function is shared, for size */
#define MATH static inline
#endif
#define SHARED static __attribute__((noinline, unused)) /* what never vectorizes: one copy */

/* POLY(x, c0, c1, ...): c0 + c1 x + c2 x^2 + ... by Horner's rule, at most 22 coefficients */
#define P1_(x, a) ((real)(a))
#define P2_(x, a, ...) M(fma)(P1_(x, __VA_ARGS__), x, (real)(a))
#define P3_(x, a, ...) M(fma)(P2_(x, __VA_ARGS__), x, (real)(a))
#define P4_(x, a, ...) M(fma)(P3_(x, __VA_ARGS__), x, (real)(a))
#define P5_(x, a, ...) M(fma)(P4_(x, __VA_ARGS__), x, (real)(a))
#define P6_(x, a, ...) M(fma)(P5_(x, __VA_ARGS__), x, (real)(a))
#define P7_(x, a, ...) M(fma)(P6_(x, __VA_ARGS__), x, (real)(a))
#define P8_(x, a, ...) M(fma)(P7_(x, __VA_ARGS__), x, (real)(a))
#define P9_(x, a, ...) M(fma)(P8_(x, __VA_ARGS__), x, (real)(a))
#define P10_(x, a, ...) M(fma)(P9_(x, __VA_ARGS__), x, (real)(a))
#define P11_(x, a, ...) M(fma)(P10_(x, __VA_ARGS__), x, (real)(a))
#define P12_(x, a, ...) M(fma)(P11_(x, __VA_ARGS__), x, (real)(a))
#define P13_(x, a, ...) M(fma)(P12_(x, __VA_ARGS__), x, (real)(a))
#define P14_(x, a, ...) M(fma)(P13_(x, __VA_ARGS__), x, (real)(a))
#define P15_(x, a, ...) M(fma)(P14_(x, __VA_ARGS__), x, (real)(a))
#define P16_(x, a, ...) M(fma)(P15_(x, __VA_ARGS__), x, (real)(a))
#define P17_(x, a, ...) M(fma)(P16_(x, __VA_ARGS__), x, (real)(a))
#define P18_(x, a, ...) M(fma)(P17_(x, __VA_ARGS__), x, (real)(a))
#define P19_(x, a, ...) M(fma)(P18_(x, __VA_ARGS__), x, (real)(a))
#define P20_(x, a, ...) M(fma)(P19_(x, __VA_ARGS__), x, (real)(a))
#define P21_(x, a, ...) M(fma)(P20_(x, __VA_ARGS__), x, (real)(a))
#define P22_(x, a, ...) M(fma)(P21_(x, __VA_ARGS__), x, (real)(a))
#define PICK_(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, \
              chosen, ...) chosen
#define POLY(x, ...)                                                                                              \
    PICK_(__VA_ARGS__, P22_, P21_, P20_, P19_, P18_, P17_, P16_, P15_, P14_, P13_, P12_, P11_, P10_, P9_, P8_, P7_, \
          P6_, P5_, P4_, P3_, P2_, P1_, 0)(x, __VA_ARGS__)

#if MTB_T_f32
#define D(name) d_##name
#define M(name) d_##name
#define REAL_IS_F32 0
#include "math/real.h"
#undef M
#undef REAL_IS_F32
#define M(name) m_##name
#define REAL_IS_F32 1
#include "math/real.h"
#else
#define D(name) m_##name
#define M(name) m_##name
#define REAL_IS_F32 0
#include "math/real.h"
#endif
#undef M
#undef REAL_IS_F32

#define M(name) D(name)
#define real double
#include "math/pow.h"
#include "math/special.h"
#undef real
#undef M
#undef D
#undef POLY
#undef MATH
#undef SHARED
#endif
