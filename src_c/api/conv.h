/* api/conv.h: the leaf kernels of convolution: padding an image block, unfolding it to rows of a matrix, and edges. */
#ifndef MTB_API_CONV_H
#define MTB_API_CONV_H
#include "gemm.h"

/* A convolution with up to three spatial axes; absent leading axes have size 1, kernel 1, stride 1. */
typedef struct {
    int64_t n, c_in, c_out, groups;
    int64_t in[3], out[3], kernel[3], stride[3], pad_lo[3], dilation[3];
} mtb_conv_geometry;

/* How one spatial axis of a block of the source is laid out in the padded block. A filter tap reads every step-th
 * source element; so the axis is sorted by phase, and each tap finds its elements next to each other: element i of
 * phase s is source element begin + origin[s] + i * step, or 0 where that is not in [0, size). */
typedef struct {
    int64_t size, step, begin, length, phases;
    const int64_t *origin;
} mtb_conv_axis;

/* Consecutive positions of a block of the output, `to` the first, that are consecutive in the padded block too. */
typedef struct {
    int64_t from, to, count;
} mtb_conv_run;

typedef struct {
    int64_t vl, lanes;

    /* dst[planes][rows->phases * rows->length][columns->phases * columns->length] from planes src[rows->size]
     * [columns->size] that lie apart in a tensor that ends at `end`; all 0 if src is NULL. May write up to vl elements
     * past dst. */
    void (*pad)(void *dst, const void *src, int64_t apart, int64_t planes, const void *end, const mtb_conv_axis *rows,
                const mtb_conv_axis *columns);

    /* dst[r * width + to[i] + l] = src[at[r] + from[i] + l] for r < k, i < pieces, l < vl; to[] ascends, and what a
     * piece writes past its own elements the next one overwrites. Reads and writes up to vl elements too far. */
    void (*unfold)(void *dst, int64_t width, const void *src, const int64_t *at, int64_t k, const int64_t *from,
                   const int64_t *to, int64_t pieces);

    /* dst[j * ldd + to[i] + l] = sum over r < k of w[r * m + j] * src[at[r] + from[i] + l], then + bias[j] unless NULL,
     * for j < m <= 4; pieces as above. The order of a product's additions (gemm.h). */
    void (*slide)(void *dst, int64_t ldd, const int64_t *from, const int64_t *to, int64_t pieces, const void *w,
                  int64_t m, const void *src, const int64_t *at, int64_t k, const void *bias);

    /* sums[r][lanes] += (or =, unless add) dy[position] * src[position's place in the padded block + at[r]] for r < k
     * and the positions of the runs; the i-th of a run goes into lane i % lanes. May read up to vl elements too far.
     * */
    void (*dots)(void *sums, const void *dy, const void *src, const int64_t *at, int64_t k, const mtb_conv_run *runs,
                 int64_t n_runs, int add);
    /* dst[r] = the sum of sums[r][lanes], over parts of them that lie part_size elements apart; r < rows. */
    void (*fold)(void *dst, const void *sums, int64_t rows, int64_t parts, int64_t part_size);
    /* dst[c * ldd + r] = sum of src[part * part_size + r * lds + c] over the parts, in order; r < rows, c < columns. */
    void (*merge)(void *dst, int64_t ldd, const void *src, int64_t lds, int64_t rows, int64_t columns, int64_t parts,
                  int64_t part_size);
    /* dst[r * n + i] = src[at[r] + i * apart] for r < k, i < n. */
    void (*gather)(void *dst, int64_t n, const void *src, int64_t apart, const int64_t *at, int64_t k);
    /* dst[j * step + f] = src[f * pitch + j] for f < phases <= step, j * step + f < n. */
    void (*weave)(void *dst, int64_t step, const void *src, int64_t pitch, int64_t phases, int64_t n);
} mtb_conv;
#endif
