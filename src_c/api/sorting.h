/* api/sorting.h: the kernels of the sorting family: the order of a row, and its first k. Both are stable; NaN is larger
 * than any number. A row has n elements, `step` apart; so have the results. */
#ifndef MTB_API_SORTING_H
#define MTB_API_SORTING_H
#include <stdint.h>

enum { MTB_MEDIAN = -1, MTB_NANMEDIAN = -2, MTB_NTH_COLS = 16, MTB_MODE = 2 };

typedef struct {
    int pair_size;   /* bytes of scratch for each element of a row, to be taken twice; half of it is a key */
    int64_t longest; /* the longest row */
    /* y[i] = x[at[i]], sorted */
    void (*sort)(void *y, int64_t *at, const void *x, int64_t n, int64_t step, int descending, void *scratch);
    /* y[i] = x[at[i]], i < k: the k largest (1) or smallest (0), sorted; among equals the first. MTB_MODE, with k = 1:
     * the most frequent, the smallest of several, and its last place */
    void (*top)(void *y, int64_t *at, const void *x, int64_t n, int64_t k, int64_t step, int largest, void *scratch);
    /* y[c], at[c]: the k-th smallest (from 0) of each of cols <= MTB_NTH_COLS columns of n, of equals as in a stable
     * sort, or the lower median: MTB_MEDIAN the first NaN if there is one, MTB_NANMEDIAN of the others unless there are
     * none; rows are `step` apart, columns side by side; scratch: (cols + 1) n keys */
    void (*nth)(void *y, int64_t *at, const void *x, int64_t n, int64_t cols, int64_t step, int64_t k, void *scratch);
} mtb_sorting;
#endif
