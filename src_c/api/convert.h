/* api/convert.h: between dtypes, and between strided and contiguous runs. */
#ifndef MTB_API_CONVERT_H
#define MTB_API_CONVERT_H
#include <stdint.h>
typedef void (*mtb_cast)(void *dst, const void *src, int64_t n);
typedef void (*mtb_move)(void *dst, int64_t dst_step, const void *src, int64_t src_step, int64_t n);
typedef struct {
    mtb_cast cast[10][10]; /* [from][to]: n contiguous elements; dst may be src only where the sizes are equal */
    mtb_move move[4];      /* [log2 of the element size]: n elements with any two byte steps (0: repeat the first) */
} mtb_convert;
#endif
