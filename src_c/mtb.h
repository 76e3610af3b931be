/* mtb.h: what every C file and every Cython module of minitorch_bn agrees on: dtypes, levels, kernel tables.
 *
 * A *family* (gemm, norm, ...) is one file in kernels/ and one struct of function pointers in api/. It is compiled once
 * per instruction-set level and per dtype, and each compilation exports exactly one constant, its table. A *level*
 * (mtb_level) is the set of those tables; the one that fits the machine is chosen once, at import (cpu.c).
 * Kernels see one tile or one contiguous run: no Python, no threads, no allocation.
 */
#ifndef MTB_H
#define MTB_H
#include "dtypes.h"

#include "api/convert.h"
#include "api/conv.h"
#include "api/elementwise.h"
#include "api/gemm.h"
#include "api/indexing.h"
#include "api/layernorm.h"
#include "api/norm.h"
#include "api/optim.h"
#include "api/pool.h"
#include "api/random.h"
#include "api/recurrent.h"
#include "api/reduce.h"
#include "api/softmax.h"
#include "api/sorting.h"
#include "api/winograd.h"

/* One instruction-set level: a pointer to each family's table, by dtype. families.def is the list. */
#define REAL(family) const mtb_##family *family[MTB_NREALS];
#define NATIVE(family) const mtb_##family *family[MTB_NDTYPES];
#define ONCE(family) const mtb_##family *family;
typedef struct {
    const char *name;
#include "families.def"
} mtb_level;
#undef REAL
#undef NATIVE
#undef ONCE

/* The level of that name ("generic", "v3", "v4", "neon"), or NULL where this build or this machine has none such. */
const mtb_level *mtb_find_level(const char *name);
/* The best level that this machine runs. */
const mtb_level *mtb_best_level(void);
/* The i-th level of this build that this machine runs, worst first, or NULL past the end. */
const mtb_level *mtb_nth_level(int i);
#endif
