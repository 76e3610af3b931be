/* api/winograd.h: the leaf kernels of convolutions by transformed tiles, float32: the transforms, and the products. */
#ifndef MTB_API_WINOGRAD_H
#define MTB_API_WINOGRAD_H
#include "gemm.h"

/* An output tile of 4 x 4 with a filter of 3 x 3, or of 2 x 2 with 5 x 5, depends on 6 x 6 of the input: 36 *points*,
 * which are products of transforms. With a dilation, every d-th element belongs to a tile. All arrays of points have
 * the channels last: point p of tile t and channel c lies at p * points + t * pitch + c. Rows are read and written in
 * whole vectors: a pitch is a multiple of 16.
 *
 * The chains of additions of a product are MTB_WINOGRAD_K long; they are then added in order, as in gemm.h. */
enum { MTB_WINOGRAD_K = 128 };

/* The tiles of a block, in the order images, rows, rows of the dilation, its columns, columns; and the planes (images,
 * channels, height, width) that they lie on. The first tile's first element has the coordinates y, x, which may be
 * negative; a tile's outputs are step x step; the images are `image` elements apart. What is loaded is mapped by params
 * (api/norm.h), unless that is NULL: those of the first channel, the next parameter `apart` from it; and its ReLU. */
typedef struct {
    int64_t images, rows, columns, y, x, height, width, image, step, dilation[2];
    const float *params;
    int64_t apart, relu;
} mtb_winograd_block;

typedef struct {
    int64_t vl;

    /* v = the points of vl channels (n of them exist) of the block's tiles: of an input, size = 6; of the gradient of
     * an output, size = step. src is where the first of the channels starts in the first image, in a tensor that ends
     * at `end`. band: scratch for one image, (size + step * (rows - 1)) * dilation[0] by the same of columns, + vl
     * vectors. */
    void (*input)(float *v, int64_t points, int64_t pitch, int size, const float *src, int64_t n, const float *end,
                  const mtb_winograd_block *block, float *band);

    /* dst = the outputs + bias (n) unless NULL, from their points; as above, the other way. *bad |= image i has an
     * infinity or a NaN, bad[0:images]. */
    void (*output)(float *dst, int64_t n, const float *m, int64_t points, int64_t pitch, const float *bias,
                   const mtb_winograd_block *block, float *band, char *bad);

    /* u[p * points + i * ld + lane] = point p of the filter at w[lane * across + i * down], size x size, turned around
     * if flip, for i < k and lanes < n <= vl; the w of a tensor that ends at `end`. */
    void (*filter)(float *u, int64_t points, int64_t ld, int size, const float *w, int64_t across, int64_t down,
                   int64_t n, int64_t k, const float *end, int flip);

    /* dw[lane][size][size] = the gradient of a filter from the sum of the parts of its points, part_size apart; for
     * lanes < n <= vl. *bad |= one has an infinity or a NaN. */
    void (*gradient)(float *dw, int64_t n, int size, const float *p, int64_t points, int64_t parts, int64_t part_size,
                     char *bad);

    /* The 36 products C = A B, or C + A B if add: A (rows, k) with any strides, B (k, n) in panels of gemm->nr columns,
     * b_panel apart, with rows ldb apart, C (rows, n) with rows ldc apart; n a multiple of vl. */
    void (*multiply)(const mtb_gemm *gemm, int64_t rows, int64_t n, int64_t k, const float *a, int64_t a_points,
                     int64_t rsa, int64_t csa, const float *b, int64_t b_points, int64_t b_panel, int64_t ldb, float *c,
                     int64_t c_points, int64_t ldc, int add);
} mtb_winograd;
#endif
