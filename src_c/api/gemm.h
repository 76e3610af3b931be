/* api/gemm.h: the leaf kernels of a matrix product: tiles of C over one block of K, packing, and dot products. */
#ifndef MTB_API_GEMM_H
#define MTB_API_GEMM_H
#include <stdint.h>

/* Every element of a product is summed in one order, whatever the path: K is cut into blocks of MTB_KC; within a block
 * one chain of fused multiply-adds that starts from 0; then C = C + block, blocks in order (the first: C = block).
 *
 * A product with a vector (n = 1, whatever m) has another order, as fast as memory: K is cut into spans of
 * MTB_DOT_SPAN; within a span, element p belongs to lane p mod 32; a lane is one chain of fused multiply-adds that
 * starts from 0, and the lanes are folded in one tree; then C = C + span, spans in order. */
enum { MTB_KC = 256, MTB_DOT_SPAN = 8192, MTB_DOT_RUN = 8192 };

typedef struct {
    int64_t mr, nr;  /* the register tile: rows, columns */
    int64_t vl;      /* columns come in whole vectors of vl elements */

    /* C[0:m, 0:n] = block, or C + block if add, then + bias_n[0:n] to each row unless NULL, + bias_m[0:m] to each
     * column unless NULL; block = A[0:m, 0:k] B[0:k, 0:n]. 1 <= m <= mr, any n, k <= MTB_KC. A has any strides; rows
     * of B are read in whole vectors of vl, ldb apart. Fastest when A is packed (rsa = 1, csa = mr), B too (ldb = nr),
     * and the tile is full. */
    void (*strip)(int64_t m, int64_t n, int64_t k, const void *a, int64_t rsa, int64_t csa, const void *b, int64_t ldb,
                  void *c, int64_t ldc, int add, const void *bias_n, const void *bias_m);

    /* The same for any m, in tiles of step <= mr rows, tile t of A at a + t * a_step; B in packed panels (k, nr), one
     * after the other. */
    void (*block)(int64_t m, int64_t step, int64_t n, int64_t k, const void *a, int64_t a_step, int64_t rsa,
                  int64_t csa, const void *b, void *c, int64_t ldc, int add, const void *bias_n);

    /* dst[p * width + j] = src[p * sk + j * sj] for p < k and j < n <= width, 1 <= n; columns n to width are filler.
     * Strides are not negative. May write up to vl elements past the k * width of dst, none if width is a multiple of
     * vl. */
    void (*pack)(void *dst, int64_t width, const void *src, int64_t sj, int64_t n, int64_t sk, int64_t k);

    /* strip with m = 1 for a B whose columns are contiguous and sj apart. */
    void (*row)(int64_t n, int64_t k, const void *a, int64_t sa, const void *b, int64_t sj, void *c, int add,
                const void *bias_n);

    /* y[0:m] = A[0:m, 0:k] x[0:k], one span: k <= MTB_DOT_SPAN. Rows of A are contiguous (csa = 1), or columns
     * (rsa = 1); then scratch holds 32 rows, of m elements in whole pairs of vectors or MTB_DOT_RUN bytes. */
    void (*dots)(int64_t m, int64_t k, const void *a, int64_t rsa, int64_t csa, const void *x, void *y, void *scratch);

    /* c[0:n] = sum, or c + sum if add, of count >= 1 blocks in order, each n elements, step apart; then + bias unless
     * NULL, its elements bias_step apart. */
    void (*total)(int64_t n, int64_t count, const void *blocks, int64_t step, void *c, int add, const void *bias,
                  int64_t bias_step);
} mtb_gemm;
#endif
