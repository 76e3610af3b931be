/* api/convert.h: between dtypes, and between strided and contiguous runs. */
#ifndef MTB_API_CONVERT_H
#define MTB_API_CONVERT_H
#include <stdint.h>
typedef void (*mtb_cast)(void *dst, const void *src, int64_t n);
typedef void (*mtb_move)(void *dst, int64_t dst_step, const void *src, int64_t src_step, int64_t n);
typedef void (*mtb_turn)(void *dst, int64_t dst_step, const void *src, int64_t src_step, int64_t rows, int64_t cols);
typedef struct {
    mtb_cast cast[10][10]; /* [from][to]: n contiguous elements; dst may be src only where the sizes are equal */
    mtb_move move[4];      /* [log2 of the element size]: n elements with any two byte steps (0: repeat the first) */
    mtb_turn turn[4];      /* by size: dst[r, c] = src[c, r], each row of dst and of src contiguous; byte steps */
    /* a copy that leaves dst out of the caches; of 0 bytes: waits for those before */
    void (*stream)(void *dst, const void *src, int64_t bytes);
    /* d[i] = start + (first + i) step; n < 2^31 */
    void (*count_reals)(double *d, int64_t n, int64_t first, double start, double step);
    void (*count_integers)(int64_t *d, int64_t n, int64_t first, int64_t start, int64_t step);
    /* arithmetic on float16 and bfloat16, or NULL: half.h */
    void (*half[2])(void *const *p, int64_t n, const double *k);
} mtb_convert;
#endif
