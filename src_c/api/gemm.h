/* api/gemm.h: the leaf kernels of a matrix product: one strip of tiles over one block of K, packing, and long dots. */
#ifndef MTB_API_GEMM_H
#define MTB_API_GEMM_H
#include <stdint.h>

/* Every element of a product is summed in one order, whatever the path: K is cut into blocks of MTB_KC; within a block
 * one chain of fused multiply-adds that starts from 0; then C = C + block, blocks in order (the first: C = block). */
enum { MTB_KC = 256 };

typedef struct {
    int64_t mr, nr;  /* the register tile: rows, columns */
    int64_t vl;      /* columns come in whole vectors of vl elements */

    /* C[0:m, 0:n] = block, or C + block if add, then + bias_n[0:n] to each row unless NULL, + bias_m[0:m] to each
     * column unless NULL; block = A[0:m, 0:k] B[0:k, 0:n]. 1 <= m <= mr, any n, k <= MTB_KC. A has any strides; rows
     * of B are read in whole vectors of vl, ldb apart. */
    void (*strip)(int64_t m, int64_t n, int64_t k, const void *a, int64_t rsa, int64_t csa, const void *b, int64_t ldb,
                  void *c, int64_t ldc, int add, const void *bias_n, const void *bias_m);

    /* dst[p * width + j] = src[p * sk + j * sj] for p < k and j < n <= width, 1 <= n; columns n to width are filler.
     * Strides are not negative. May write up to vl elements past the k * width of dst. */
    void (*pack)(void *dst, int64_t width, const void *src, int64_t sj, int64_t n, int64_t sk, int64_t k);

    /* strip with m = 1 for a B whose columns are contiguous and sj apart. */
    void (*row)(int64_t n, int64_t k, const void *a, int64_t sa, const void *b, int64_t sj, void *c, int add,
                const void *bias_n);

    /* sums[i] = dot product of K block i of a and b, for k elements of any strides: products with m = n = 1. */
    void (*dots)(int64_t k, const void *a, int64_t sa, const void *b, int64_t sb, void *sums);

    /* *c = block, or *c + block if add, for n >= 1 blocks in order. */
    void (*total)(int64_t n, const void *blocks, void *c, int add);
} mtb_gemm;
#endif
