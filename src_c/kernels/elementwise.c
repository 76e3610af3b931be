/* elementwise.c: one loop over a contiguous run for every row of the op table, and for each of its gradients.
 *
 * The loops are written by _codegen.py from the table's strings; the compiler vectorizes them. The functions they call are
 * in mathfun.h for float and double and in intfun.h for the integers. */
#include "../kernel.h"
#if !MTB_IS_REAL
#include "../intfun.h"
#endif
#include "../gen/ops.h"

extern const mtb_elementwise TABLE(elementwise);
const mtb_elementwise TABLE(elementwise) = {
    .value = {VALUE_TABLE},
    .grad = {GRAD_TABLE},
};
