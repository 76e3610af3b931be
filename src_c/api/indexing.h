/* api/indexing.h: the kernels of the indexing family: moves and sums at positions that a tensor of int64 gives.
 *
 * Tables exist for each dtype with C arithmetic; a move of any dtype uses the integer of its size. Every index was
 * checked before (check); of rows, a negative one counts from the end of its dimension. Destinations outside [lo, hi)
 * are left to another thread: that way each element is written by one thread, in the order of the indices. */
#ifndef MTB_API_INDEXING_H
#define MTB_API_INDEXING_H
#include <stdint.h>

enum { MTB_SCATTER_PUT, MTB_SCATTER_ADD, MTB_SCATTER_MULTIPLY, MTB_SCATTER_MAX, MTB_SCATTER_MIN,
       MTB_SCATTER_NREDUCTIONS };

typedef struct {
    /* y[o, j, i] = x[o, index[o, j, i], i]; y, index: [outer, m, inner], x: [outer, n, inner] */
    void (*gather)(void *y, const void *x, const int64_t *index, int64_t outer, int64_t m, int64_t n, int64_t inner);
    /* y[o, index[o, j, i], i] (reduced with) = x[o, j, i] for from <= i < to (all where inner is 1); x, index: [outer,
     * m, inner], y: [outer, n, inner] */
    void (*scatter[MTB_SCATTER_NREDUCTIONS])(void *y, const void *x, const int64_t *index, int64_t outer, int64_t m,
                                             int64_t n, int64_t inner, int64_t from, int64_t to);
    /* y[o, j, :] = x[o, index[j], :]; rows of `inner` elements, those of x `row` elements apart, n of them, and x_outer
     * from one o to the next */
    void (*take_rows)(void *y, const void *x, const int64_t *index, int64_t outer, int64_t m, int64_t n, int64_t inner,
                      int64_t row, int64_t x_outer);
    /* y[o, index[j], from:to] (reduced with) = x[o, j, from:to]; x: [outer, m, inner], rows of y as those of x above */
    void (*put_rows[MTB_SCATTER_NREDUCTIONS])(void *y, const void *x, const int64_t *index, int64_t outer, int64_t m,
                                              int64_t n, int64_t inner, int64_t row, int64_t y_outer, int64_t from,
                                              int64_t to, int64_t lo, int64_t hi);
    /* the elements of x[n] where mask is set, to y; returns their number */
    int64_t (*compress)(void *y, const void *x, const uint8_t *mask, int64_t n);
    /* y[i] = the next element of x where mask is set; returns how many were used */
    int64_t (*expand)(void *y, const void *x, const uint8_t *mask, int64_t n);
    /* The same in every table: the first i with index[i] outside [lo, hi), or -1; ... */
    int64_t (*check)(const int64_t *index, int64_t n, int64_t lo, int64_t hi);
    /* ... how many bytes of mask are not 0; ... */
    int64_t (*count)(const uint8_t *mask, int64_t n);
    /* ... and their positions, plus `base`, to at. */
    void (*positions)(int64_t *at, const uint8_t *mask, int64_t n, int64_t base);
    /* at[i] = the number of elements of sorted[n] below v[i] (right: not above it); sorter, if any, permutes sorted */
    void (*searchsorted)(int64_t *at, const void *v, int64_t m, const void *sorted, int64_t n, const int64_t *sorter,
                         int right);
} mtb_indexing;
#endif
