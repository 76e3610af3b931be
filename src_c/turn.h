/* turn.h: short rows become columns, so that whole vectors work on them; by squares of 16-byte vectors. */
#ifndef MTB_TURN_H
#define MTB_TURN_H

/* dst[c * dst_stride + r] = src[r * src_stride + c]. The last square of a side overlaps the one before. */
static __attribute__((noinline)) void turn(int64_t rows, int64_t cols, const T *restrict src, int64_t src_stride,
                                           T *restrict dst, int64_t dst_stride) {
#if MTB_T_f64 || MTB_T_i64
    typedef int64_t bits;
#elif MTB_T_f32 || MTB_T_i32
    typedef int32_t bits;
#endif
#if MTB_T_f64 || MTB_T_i64 || MTB_T_f32 || MTB_T_i32
    enum { SIDE = 16 / sizeof(T) };
    typedef bits quad __attribute__((vector_size(16)));
    typedef bits unaligned __attribute__((vector_size(16), aligned(sizeof(T)), may_alias));
    for (int64_t r = 0; rows >= SIDE && cols >= SIDE && r < rows; r += SIDE) {
        const int64_t top = r + SIDE <= rows ? r : rows - SIDE;
        for (int64_t c = 0; c < cols; c += SIDE) {
            const int64_t left = c + SIDE <= cols ? c : cols - SIDE;
            const T *from = src + top * src_stride + left;
            T *to = dst + left * dst_stride + top;
            quad v[SIDE];
            UNROLL for (int k = 0; k < SIDE; k++) v[k] = *(const unaligned *)(from + k * src_stride);
#if MTB_T_f64 || MTB_T_i64
            *(unaligned *)to = __builtin_shuffle(v[0], v[1], (quad){0, 2});
            *(unaligned *)(to + dst_stride) = __builtin_shuffle(v[0], v[1], (quad){1, 3});
#else
            const quad a = __builtin_shuffle(v[0], v[1], (quad){0, 4, 1, 5});
            const quad b = __builtin_shuffle(v[2], v[3], (quad){0, 4, 1, 5});
            const quad e = __builtin_shuffle(v[0], v[1], (quad){2, 6, 3, 7});
            const quad f = __builtin_shuffle(v[2], v[3], (quad){2, 6, 3, 7});
            *(unaligned *)to = __builtin_shuffle(a, b, (quad){0, 1, 4, 5});
            *(unaligned *)(to + dst_stride) = __builtin_shuffle(a, b, (quad){2, 3, 6, 7});
            *(unaligned *)(to + 2 * dst_stride) = __builtin_shuffle(e, f, (quad){0, 1, 4, 5});
            *(unaligned *)(to + 3 * dst_stride) = __builtin_shuffle(e, f, (quad){2, 3, 6, 7});
#endif
        }
    }
    if (rows >= SIDE && cols >= SIDE) return;
#endif
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) dst[c * dst_stride + r] = src[r * src_stride + c];
}
#endif
