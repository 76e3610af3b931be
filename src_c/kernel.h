/* kernel.h: the first include of every kernel file: which level and dtype this compilation is for, and its names.
 *
 * The build passes -DMTB_LEVEL=v3 (say), -DMTB_DTYPE=f32, -DMTB_T_f32=1 and the family's -DMTB_API. Here they become
 *   T              the element type of this compilation (float, double, int32_t, ...)
 *   TABLE(gemm)    the exported name of the family's table: mtb_gemm_v3_f32 (or mtb_convert_v3)
 * Every other function of a kernel file is static.
 */
#ifndef MTB_KERNEL_H
#define MTB_KERNEL_H
#include "dtypes.h"
#ifdef MTB_API /* "api/gemm.h": a kernel file sees its own family's table only, so editing one rebuilds one */
#include MTB_API
#else
#include "mtb.h"
#endif

#define MTB_CAT3_(a, b, c) a##_##b##_##c
#define MTB_CAT3(a, b, c) MTB_CAT3_(a, b, c)
#define MTB_CAT2_(a, b) a##_##b
#define MTB_CAT2(a, b) MTB_CAT2_(a, b)

#ifdef MTB_DTYPE
#define TABLE(family) MTB_CAT3(mtb_##family, MTB_LEVEL, MTB_DTYPE)
#define X(name, type, size) typedef type mtb_ctype_##name;
MTB_DTYPES(X)
#undef X
typedef MTB_CAT2(mtb_ctype, MTB_DTYPE) T;
#else
#define TABLE(family) MTB_CAT2(mtb_##family, MTB_LEVEL)
#endif

#if MTB_T_f32 || MTB_T_f64
#define MTB_IS_REAL 1
#include "vec.h"
#include "mathfun.h"
#endif

#ifdef __OPTIMIZE_SIZE__ /* the level that is built small keeps its loops, and its functions their flags */
#define UNROLL
#define INLINE static inline
#else
#define UNROLL _Pragma("GCC unroll 16")
#define INLINE static inline __attribute__((always_inline))
#endif
/* The elements of x and y at these places, y's after x's. A literal of places needs parentheses around it. */
#ifdef __clang__ /* makes one instruction of this if it can */
#define SHUFFLE(x, y, places) ({                                                                    \
    __auto_type a_ = (x);                                                                           \
    __auto_type b_ = (y);                                                                           \
    __auto_type r_ = a_;                                                                            \
    __auto_type at_ = (places);                                                                     \
    const int n_ = sizeof a_ / sizeof a_[0];                                                        \
    _Pragma("clang loop unroll(full)") for (int i_ = 0; i_ < n_; i_++)                              \
        r_[i_] = at_[i_] < n_ ? a_[at_[i_]] : b_[at_[i_] - n_];                                     \
    r_;                                                                                             \
})
#else
#define SHUFFLE(x, y, places) __builtin_shuffle(x, y, places)
#endif
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif
