/* transpose.h: a square of VL vectors transposed in registers. */
#ifndef MTB_TRANSPOSE_H
#define MTB_TRANSPOSE_H
/* Swaps blocks of 1, 2, 4, ... across the diagonal. */
#define LOW(l, s) ((l) & (s) ? VL + (l) - (s) : (l))
#define HIGH(l, s) ((l) & (s) ? VL + (l) : (l) + (s))
#define LIST2(F, s) F(0, s), F(1, s)
#define LIST4(F, s) LIST2(F, s), F(2, s), F(3, s)
#define LIST8(F, s) LIST4(F, s), F(4, s), F(5, s), F(6, s), F(7, s)
#define LIST16(F, s) LIST8(F, s), F(8, s), F(9, s), F(10, s), F(11, s), F(12, s), F(13, s), F(14, s), F(15, s)
#define SWAP(s, LIST)                                               \
    UNROLL for (int i = 0; i < VL; i++) if (!(i & s)) {             \
        const vec x = r[i], y = r[i + s];                           \
        r[i] = __builtin_shuffle(x, y, (ivec){LIST(LOW, s)});       \
        r[i + s] = __builtin_shuffle(x, y, (ivec){LIST(HIGH, s)});  \
    }
static inline __attribute__((always_inline)) void transpose(vec *r) {
#if MTB_T_f32 && VBYTES == 64
    SWAP(1, LIST16) SWAP(2, LIST16) SWAP(4, LIST16) SWAP(8, LIST16)
#elif MTB_T_f32 ? VBYTES == 32 : VBYTES == 64
    SWAP(1, LIST8) SWAP(2, LIST8) SWAP(4, LIST8)
#elif MTB_T_f32 || VBYTES == 32
    SWAP(1, LIST4) SWAP(2, LIST4)
#else
    SWAP(1, LIST2)
#endif
}
#endif
