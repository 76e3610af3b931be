/* api/pool.h: the kernels of the pool family. Each call treats one plane: one channel of one sample, contiguous.
 * 1d and 2d pooling are 3d with leading extents of 1. Indices are flat positions within the input plane. */
#ifndef MTB_API_POOL_H
#define MTB_API_POOL_H
#include <stdint.h>

typedef struct { /* extents in the order depth, height, width */
    int64_t in[3], out[3], kernel[3], stride[3], pad[3], dilation[3];
    int count_pad;   /* average: divide by the window with its padding */
    int64_t divisor; /* average: if not 0, divide by this */
} mtb_window;

typedef struct { /* cell i of dimension d covers start[d][i] <= x < end[d][i] */
    int64_t in[3], out[3];
    const int64_t *start[3], *end[3];
} mtb_cells;

typedef struct {
    /* y, at[out]; at may be NULL. scratch: of max_scratch(w) bytes. */
    int64_t (*max_scratch)(const mtb_window *w);
    void (*max)(void *y, int64_t *at, const void *x, const mtb_window *w, void *scratch);
    void (*average)(void *y, const void *x, const mtb_window *w);
    /* dx[in], overwritten. row: scratch of out[2] elements. */
    void (*average_backward)(void *dx, const void *dy, const mtb_window *w, void *row);
    void (*adaptive_max)(void *y, int64_t *at, const void *x, const mtb_cells *c);
    void (*adaptive_average)(void *y, const void *x, const mtb_cells *c);
    void (*adaptive_average_backward)(void *dx, const void *dy, const mtb_cells *c);
    /* dx[at[i]] += dy[i], after dx = 0: the backward of both maxima, and (without `add`) unpooling */
    void (*scatter)(void *dx, int64_t n_in, const void *dy, const int64_t *at, int64_t n_out, int add);
    /* y[i] = x[at[i]]: the double backward of both maxima */
    void (*pick)(void *y, const void *x, const int64_t *at, int64_t n_out);
} mtb_pool;
#endif
