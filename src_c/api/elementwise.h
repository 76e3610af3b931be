/* api/elementwise.h: one loop for every row of the op table, for its value and for each of its gradients. */
#ifndef MTB_API_ELEMENTWISE_H
#define MTB_API_ELEMENTWISE_H
#include <stdint.h>
#include "../gen/opids.h"
/* p[0] is the output, p[1].. the inputs (or the names that a gradient uses, in table order); n contiguous elements
 * each; k the scalar parameters. An output may be one of the inputs, never a shifted overlap of one. */
typedef void (*mtb_loop)(void *const *p, int64_t n, const double *k);
/* The same for rows of n elements, where p[2] is one number for each row; step: bytes from one row to the next. */
typedef void (*mtb_number_loop)(void *const *p, const int64_t *step, int64_t rows, int64_t n);
typedef struct {
    mtb_loop value[MTB_NOPS];   /* NULL where the op has no kernel for the dtype */
    mtb_loop grad[MTB_NGRADS];  /* float32 and float64 only, as the next */
    mtb_number_loop number[MTB_NNUMBERS];
} mtb_elementwise;
#endif
