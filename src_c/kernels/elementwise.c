/* elementwise.c: one loop over a contiguous run for every row of the op table, and for each of its gradients.
 *
 * The loops are written by _codegen.py from the table's strings; the compiler vectorizes them. The functions they call
 * are in mathfun.h for float and double and in intfun.h for the integers. */
#include "../kernel.h"
#if !MTB_IS_REAL
#include "../intfun.h"
#endif
#include <string.h>

/* A long loop body is compiled once, for whole blocks of PAD elements; `padded` makes a block of the rest. */
#define PAD ((int64_t)16)
#define NOINLINE __attribute__((noinline))
enum { MOST = 5 }; /* g, a, b, c, y */

#if MTB_IS_REAL
static NOINLINE void padded(mtb_loop blocks, int inputs, void *const *p, int64_t n, const double *k) {
    int64_t whole = n & -PAD, rest = n - whole;
    if (whole > 0) blocks(p, whole, k);
    if (rest == 0) return;
    T space[MOST + 1][PAD];
    void *at[MOST + 1] = {space[0]};
    for (int i = 1; i <= inputs; i++) {
        const T *from = (const T *)p[i] + whole;
        at[i] = space[i];
        for (int64_t j = 0; j < PAD; j++) space[i][j] = from[j < rest ? j : 0];
    }
    blocks(at, PAD, k);
    memcpy((T *)p[0] + whole, space[0], (size_t)rest * sizeof(T));
}

/* A run in pieces that stay in first-level cache: the loop `near` for those whose operands (an angle a, or a division
 * of a by b) are of moderate size, `far` for the others. */
static NOINLINE int is_far(const T *a, const T *b, int64_t n) {
    int far = 0;
    if (a == b)
        for (int64_t i = 0; i < n; i++) far |= m_far_angle(a[i]);
    else
        for (int64_t i = 0; i < n; i++) far |= m_far_division(a[i], b[i]);
    return far;
}
static NOINLINE void either_way(mtb_loop near, mtb_loop far, int inputs, int a, int b, void *const *p, int64_t n,
                                const double *k) {
    enum { PIECE = 1024 };
    for (int64_t i = 0; i < n; i += PIECE) {
        int64_t m = n - i < PIECE ? n - i : PIECE;
        void *at[MOST + 1];
        for (int j = 0; j <= inputs; j++) at[j] = (T *)p[j] + i;
        (is_far(at[a], at[b], m) ? far : near)(at, m, k);
    }
}

/* what: an operation with one number for each row. shapes: o, a: [rows, n], b: [rows]. passes: one. */
#define NUMBER_LOOP(name, value)                                                                                 \
    static void number_##name(void *const *p, const int64_t *step, int64_t rows, int64_t n) {                    \
        char *to = p[0], *from = p[1], *number = p[2];                                                           \
        for (; rows > 0; rows--, to += step[0], from += step[1], number += step[2]) {                            \
            T *o = (T *)to;                                                                                      \
            const T *a_ = (const T *)from, b = *(const T *)number;                                               \
            _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                               \
                const T a = a_[i];                                                                               \
                o[i] = value;                                                                                    \
            }                                                                                                    \
        }                                                                                                        \
    }
#endif
#include "../gen/ops.h"

extern const mtb_elementwise TABLE(elementwise);
const mtb_elementwise TABLE(elementwise) = {
    .value = {VALUE_TABLE},
    .grad = {GRAD_TABLE},
    .number = {NUMBER_TABLE},
};
