/* turn.h: what lies in rows is written in columns, by squares of 16-byte vectors that are turned in registers. */
#ifndef MTB_TURN_H
#define MTB_TURN_H
#include <string.h>

/* Squares of 4 x 4 and 2 x 2 elements: column i of `from` becomes row i of `to`; from one row to the next are so many
 * bytes. */
typedef int32_t four __attribute__((vector_size(16)));
typedef int64_t two __attribute__((vector_size(16)));
#define LOAD(v, i) memcpy(&v, from + (i) * from_step, 16)
#define STORE(i, v) memcpy(to + (i) * to_step, &v, 16)
INLINE void square_32(const char *from, int64_t from_step, char *to, int64_t to_step) {
    const four low = {0, 4, 1, 5}, high = {2, 6, 3, 7}, first = {0, 1, 4, 5}, last = {2, 3, 6, 7};
    four a, b, e, f, x, y;
    LOAD(a, 0), LOAD(b, 1), LOAD(e, 2), LOAD(f, 3);
    x = SHUFFLE(a, b, low), y = SHUFFLE(e, f, low);
    a = SHUFFLE(a, b, high), e = SHUFFLE(e, f, high);
    b = SHUFFLE(x, y, first), x = SHUFFLE(x, y, last);
    f = SHUFFLE(a, e, first), a = SHUFFLE(a, e, last);
    STORE(0, b), STORE(1, x), STORE(2, f), STORE(3, a);
}
INLINE void square_64(const char *from, int64_t from_step, char *to, int64_t to_step) {
    two a, b, x;
    LOAD(a, 0), LOAD(b, 1);
    x = SHUFFLE(a, b, ((two){0, 2})), a = SHUFFLE(a, b, ((two){1, 3}));
    STORE(0, x), STORE(1, a);
}

#ifdef MTB_DTYPE
/* what: short rows become columns, so that whole vectors work on them. shapes: dst[c * dst_stride + r] = src[r *
 * src_stride + c]. passes: one; the last square of a side overlaps the one before. */
static __attribute__((noinline)) void turn(int64_t rows, int64_t cols, const T *restrict src, int64_t src_stride,
                                           T *restrict dst, int64_t dst_stride) {
    enum { SIDE = 16 / sizeof(T) };
    const int by_squares = sizeof(T) >= 4 && rows >= SIDE && cols >= SIDE;
    for (int64_t r = 0; by_squares && r < rows; r += SIDE) {
        const int64_t top = r + SIDE <= rows ? r : rows - SIDE;
        for (int64_t c = 0; c < cols; c += SIDE) {
            const int64_t left = c + SIDE <= cols ? c : cols - SIDE;
            const char *from = (const char *)(src + top * src_stride + left);
            char *to = (char *)(dst + left * dst_stride + top);
            (sizeof(T) == 8 ? square_64 : square_32)(from, src_stride * (int64_t)sizeof(T), to,
                                                     dst_stride * (int64_t)sizeof(T));
        }
    }
    for (int64_t r = 0; !by_squares && r < rows; r++)
        for (int64_t c = 0; c < cols; c++) dst[c * dst_stride + r] = src[r * src_stride + c];
}
#endif
#endif
