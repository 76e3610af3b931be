/* reduce.c: sums, products, extremes (with index) and running forms of contiguous rows and of columns, for every dtype.
 *
 * A row of reals is summed in virtual lanes of double that are folded in one fixed tree, a column in the order of its
 * rows, also in double: the bits depend on the length alone. Integers are summed modulo 2^64, where order is no matter.
 */
#include "../kernel.h"
#include "../turn.h"
#if MTB_IS_REAL
#include "../accum.h"
typedef double acc_t;
#define WIDE(x) ((double)(x))
#else
typedef uint64_t acc_t; /* unsigned, so that wrapping around is defined */
#define WIDE(x) ((uint64_t)(int64_t)(x))
#endif

enum { TURNED = 64, SHORT_ROW = 32 };
/* ---- sums ---------------------------------------------------------------------------------------------------------
 * SUM(name, start, OP, ONE, MANY): acc OP= ONE(x) for a scalar (start is neutral), MANY(v) for a vector of doubles. */
#define SAME(x) (x)

#if MTB_IS_REAL
#define SQUARE(x) ((x) * (x))
#define ABS(x) __builtin_fabs(x)
#define NOT_NAN(x) ((x) == (x) ? (x) : 0)
FOLD_LANES(dlanes_prod, *)

/* Reads x once. Of rows shorter than the 32 lanes the values are summed one by one. */
#define SUM_ROWS(name, start, OP, ONE, MANY, FOLD)                                                                    \
    static double name##_row(int64_t n, const T *x) {                                                                 \
        double s = start;                                                                                             \
        if (n < SHORT_ROW) {                                                                                          \
            for (int64_t i = 0; i < n; i++) s = s OP ONE((double)x[i]);                                               \
            return s;                                                                                                 \
        }                                                                                                             \
        dvec acc[ND];                                                                                                 \
        UNROLL for (int k = 0; k < ND; k++) acc[k] = dset(start);                                                     \
        int64_t i = 0;                                                                                                \
        for (; i + ACC_LANES <= n; i += ACC_LANES) {                                                                  \
            UNROLL for (int k = 0; k < ND; k++) {                                                                     \
                dvec v = dload(x + i + k * DL);                                                                       \
                acc[k] = acc[k] OP MANY(v);                                                                           \
            }                                                                                                         \
        }                                                                                                             \
        UNROLL for (int k = 0; k < ND; k++) {                                                                         \
            T part[DL];                                                                                               \
            const T *p = x + i + k * DL;                                                                              \
            if (i + k * DL >= n) break;                                                                               \
            for (int j = 0; i + k * DL + DL > n && j < DL; j++) part[j] = i + k * DL + j < n ? p[j] : (T)(start);     \
            dvec v = dload(i + k * DL + DL > n ? part : p);                                                           \
            acc[k] = acc[k] OP MANY(v);                                                                               \
        }                                                                                                             \
        return FOLD(acc);                                                                                             \
    }
#else
#define SUM_ROWS(name, start, OP, ONE, MANY, FOLD)                                                                    \
    static uint64_t name##_row(int64_t n, const T *x) {                                                               \
        uint64_t s = start;                                                                                           \
        for (int64_t i = 0; i < n; i++) s = s OP ONE(WIDE(x[i]));                                                     \
        return s;                                                                                                     \
    }
#endif

enum { NARROW = 16, SIDE = 16 }; /* a panel of fewer than 16 columns is taken 16 rows at a time, side by side */

typedef void down_kernel(int64_t rows, int64_t cols, const T *x, int64_t stride, acc_t *restrict acc);
#define NARROW_COLS(name, OP)                                                                                         \
    static __attribute__((noinline)) void name(int64_t rows, int64_t cols, const T *x, acc_t *restrict acc,           \
                                               down_kernel *down) {                                                   \
        acc_t side[NARROW * SIDE];                                                                                    \
        const int64_t whole = rows / SIDE * SIDE;                                                                     \
        down(rows / SIDE, cols * SIDE, x, cols * SIDE, side);                                                         \
        for (int64_t j = 0; j < cols; j++) acc[j] = side[j];                                                          \
        for (int64_t i = cols, j = 0; i < cols * SIDE; i++, j = j + 1 == cols ? 0 : j + 1) acc[j] = acc[j] OP side[i]; \
        for (int64_t r = whole; r < rows; r++) {                                                                      \
            down(1, cols, x + r * cols, cols, side);                                                                  \
            for (int64_t j = 0; j < cols; j++) acc[j] = acc[j] OP side[j];                                            \
        }                                                                                                             \
    }
NARROW_COLS(narrow_sum, +)
NARROW_COLS(narrow_prod, *)

/* Reads x once; four rows at a time, so that the accumulators (a few kB, in L1) are touched a quarter as often. */
#define SUM_COLS(name, start, OP, ONE)                                                                                \
    static __attribute__((noinline)) void name##_down(int64_t rows, int64_t cols, const T *x, int64_t stride,         \
                                                      acc_t *restrict acc) {                                          \
        int64_t r = 0;                                                                                                \
        for (int64_t j = 0; j < cols; j++) acc[j] = start;                                                            \
        for (; r + 4 <= rows; r += 4, x += 4 * stride) {                                                              \
            const T *restrict a = x, *restrict b = a + stride, *restrict c = b + stride, *restrict d = c + stride;    \
            for (int64_t j = 0; j < cols; j++)                                                                        \
                acc[j] = acc[j] OP ONE(WIDE(a[j])) OP ONE(WIDE(b[j])) OP ONE(WIDE(c[j])) OP ONE(WIDE(d[j]));          \
        }                                                                                                             \
        for (; r < rows; r++, x += stride)                                                                            \
            for (int64_t j = 0; j < cols; j++) acc[j] = acc[j] OP ONE(WIDE(x[j]));                                    \
    }                                                                                                                 \
    static void name##_cols(int64_t rows, int64_t cols, const void *x, int64_t stride, void *acc) {                   \
        if (cols >= NARROW || stride != cols || rows < 4 * SIDE)                                                      \
            name##_down(rows, cols, x, stride, acc);                                                                  \
        else                                                                                                          \
            (start ? narrow_prod : narrow_sum)(rows, cols, x, acc, name##_down);                                      \
    }

/* Rows below SHORT_ROW are summed one value after the other: as columns, many at once. */
#define SUM(name, start, OP, ONE, MANY, FOLD)                                                                         \
    SUM_ROWS(name, start, OP, ONE, MANY, FOLD)                                                                        \
    SUM_COLS(name, start, OP, ONE)                                                                                    \
    static void name##_rows(int64_t rows, int64_t n, const void *xv, int64_t stride, void *accv) {                    \
        const T *x = xv;                                                                                              \
        acc_t *acc = accv;                                                                                            \
        int64_t r = 0;                                                                                                \
        for (int64_t count; n < SHORT_ROW && r + 1 < rows; r += count) {                                              \
            T turned[SHORT_ROW * TURNED];                                                                             \
            count = rows - r < TURNED ? rows - r : TURNED;                                                            \
            turn(count, n, x + r * stride, stride, turned, TURNED);                                                   \
            name##_down(n, count, turned, TURNED, acc + r);                                                           \
        }                                                                                                             \
        for (; r < rows; r++) acc[r] = name##_row(n, x + r * stride);                                                 \
    }

#if MTB_IS_REAL
SUM(square, 0, +, SQUARE, SQUARE, dlanes_sum)
SUM(abs, 0, +, ABS, dabs, dlanes_sum)
#endif
SUM(prod, 1, *, SAME, SAME, dlanes_prod)

#if MTB_IS_REAL
SUM_COLS(sum, 0, +, SAME)
SUM_COLS(not_nan, 0, +, NOT_NAN)
/* The plain sum is the one that must be as fast as memory: 16 (rows) or 8 (columns) values are added pairwise in T,
 * which costs three or four roundings, before the sum of them is widened. They are taken from four places at once, the
 * quarters of what is summed: memory answers four streams faster than one. With `clean`, NaN counts as 0. */
enum { SUM_BLOCK = 16 * LANES, SHORT = 48 };
static inline vec taken(const T *p, int clean) {
    vec v = vload(p);
    return clean ? (vec)((ivec)v & (v == v)) : v;
}
/* Rows below SHORT are summed one value after the other; turned, many of them at once. */
INLINE void sum_rows_of(int64_t rows, int64_t n, const void *xv, int64_t stride, double *acc, const int clean) {
    int64_t blocks = n - n % SUM_BLOCK, whole = n < SHORT ? 0 : n - n % LANES, r = 0;
    for (int64_t count; n < SHORT && r + 1 < rows; r += count) {
        T turned[SHORT * TURNED];
        count = rows - r < TURNED ? rows - r : TURNED;
        turn(count, n, (const T *)xv + r * stride, stride, turned, TURNED);
        (clean ? not_nan_down : sum_down)(n, count, turned, TURNED, acc + r);
    }
    for (; r < rows; r++) {
        const T *x = (const T *)xv + r * stride;
        double s = 0;
        for (int64_t i = whole; i < n; i++) s += clean ? NOT_NAN(x[i]) : x[i];
        if (whole > 0) {
            wide_sum wide = {};
            vec lanes[NV];
            const int64_t part = blocks / 4;
            for (int64_t i = 0; i < part; i += SUM_BLOCK / 4) {
                const T *a = x + i, *b = a + part, *c = b + part, *d = c + part;
                vec half[2][NV];
                UNROLL for (int g = 0; g < 4; g++)
                    UNROLL for (int k = 0; k < NV; k++) {
                        const int at = g * LANES + k * VL;
                        vec v = taken(a + at, clean) + taken(b + at, clean);
                        v += taken(c + at, clean) + taken(d + at, clean);
                        half[g / 2][k] = g % 2 ? half[g / 2][k] + v : v;
                    }
                UNROLL for (int k = 0; k < NV; k++) lanes[k] = half[0][k] + half[1][k];
                wide_add(&wide, lanes);
            }
            if (blocks < whole) { /* up to 15 values in each lane */
                UNROLL for (int k = 0; k < NV; k++) lanes[k] = (vec){};
                for (int64_t i = blocks; i < whole; i += LANES)
                    UNROLL for (int k = 0; k < NV; k++) lanes[k] += taken(x + i + k * VL, clean);
                wide_add(&wide, lanes);
            }
            s += wide_fold(&wide);
        }
        acc[r] = s;
    }
}

INLINE void sum_cols_of(int64_t rows, int64_t cols, const T *x, int64_t stride, double *restrict acc,
                               const int clean) {
    const int64_t odd = rows % 8, quarter = rows / 8 * 2 * stride;
    (clean ? not_nan_down : sum_down)(odd, cols, x, stride, acc);
    x += odd * stride;
#define AT(p) (clean ? NOT_NAN((p)[j]) : (p)[j])
    for (int64_t r = rows / 8; r > 0; r--, x += 2 * stride) {
        const T *restrict a = x, *restrict b = a + stride, *restrict c = a + quarter, *restrict d = c + stride;
        const T *restrict e = c + quarter, *restrict f = e + stride;
        const T *restrict g = e + quarter, *restrict h = g + stride;
        for (int64_t j = 0; j < cols; j++)
            acc[j] += ((AT(a) + AT(b)) + (AT(c) + AT(d))) + ((AT(e) + AT(f)) + (AT(g) + AT(h)));
    }
}

#define FAST_SUM(name, clean)                                                                                         \
    static void name##_rows_fast(int64_t rows, int64_t n, const void *x, int64_t stride, void *acc) {                 \
        sum_rows_of(rows, n, x, stride, acc, clean);                                                                  \
    }                                                                                                                 \
    static void name##_cols_fast(int64_t rows, int64_t cols, const void *x, int64_t stride, void *acc) {              \
        if (cols < NARROW || rows < 8)                                                                                \
            name##_cols(rows, cols, x, stride, acc);                                                                  \
        else                                                                                                          \
            sum_cols_of(rows, cols, x, stride, acc, clean);                                                           \
    }
FAST_SUM(sum, 0)
FAST_SUM(not_nan, 1)
#else
SUM(sum, 0, +, SAME, SAME, dlanes_sum)
#endif

static void round_to_T(int64_t n, const void *accv, double divisor, int root, void *outv) {
#if MTB_IS_REAL
    const double *acc = accv;
    T *out = outv;
    if (divisor == 1 && !root) {
        for (int64_t i = 0; i < n; i++) out[i] = (T)acc[i];
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        double s = acc[i] / divisor;
        out[i] = (T)(root ? __builtin_sqrt(s) : s);
    }
#else
    (void)divisor, (void)root;
    if (n > 0) __builtin_memcpy(outv, accv, (size_t)n * sizeof(int64_t));
#endif
}

/* ---- extremes -----------------------------------------------------------------------------------------------------
 * NaN is more extreme than any number, and of equals the first counts. */
#if MTB_IS_REAL
#define TAKES_OVER(OP, x, m) (((x)OP(m)) | ((x) != (x)))
#define BEATS(OP, x, m) (((x)OP(m)) | (((x) != (x)) & ((m) == (m))))
/* The extreme of n >= 64 reals, in 64 lanes; the last load overlaps the one before: a value may be seen twice. A NaN is
 * looked for on the way, and then the first is the extreme. */
#define EXTREME_VALUE(name, OP, MORE)                                                                                 \
    static T name##_value(int64_t n, const T *x) {                                                                    \
        enum { NW = EXTREME_LANES / VL };                                                                             \
        vec m[NW];                                                                                                    \
        ivec nan = {};                                                                                                \
        T lane[VL];                                                                                                   \
        uint64_t words[VBYTES / 8];                                                                                   \
        UNROLL for (int k = 0; k < NW; k++) m[k] = vload(x + k * VL), nan |= m[k] != m[k];                            \
        for (int64_t i = EXTREME_LANES; i < n; i += EXTREME_LANES) {                                                  \
            const T *p = x + (i + EXTREME_LANES <= n ? i : n - EXTREME_LANES);                                        \
            UNROLL for (int k = 0; k < NW; k++) {                                                                     \
                vec v = vload(p + k * VL);                                                                            \
                nan |= v != v;                                                                                        \
                m[k] = MORE(v, m[k]);                                                                                 \
            }                                                                                                         \
        }                                                                                                             \
        vstore(lane, (vec)nan);                                                                                       \
        __builtin_memcpy(words, lane, sizeof words);                                                                  \
        for (int k = 1; k < VBYTES / 8; k++) words[0] |= words[k];                                                    \
        while (words[0] && *x == *x) x++;                                                                             \
        if (words[0]) return *x;                                                                                      \
        UNROLL for (int w = NW / 2; w > 0; w /= 2)                                                                    \
            UNROLL for (int k = 0; k < w; k++) m[k] = MORE(m[k + w], m[k]);                                           \
        vstore(lane, m[0]);                                                                                           \
        for (int step = VL / 2; step > 0; step /= 2)                                                                  \
            for (int j = 0; j < step; j++) lane[j] = lane[j + step] OP lane[j] ? lane[j + step] : lane[j];            \
        return lane[0];                                                                                               \
    }
#else
#define TAKES_OVER(OP, x, m) ((x)OP(m))
#define BEATS(OP, x, m) ((x)OP(m))
#define EXTREME_VALUE(name, OP, MORE)                                                                            \
    static T name##_value(int64_t n, const T *x) {                                                                    \
        T best = x[0];                                                                                                \
        for (int64_t i = 1; i < n; i++) best = x[i] OP best ? x[i] : best;                                            \
        return best;                                                                                                  \
    }
#endif
/* What runs along rows takes ABREAST of them at once: their steps need not wait for each other. */
#if MTB_IS_REAL
enum { ABREAST = 8, SCANNED = 8 };
#elif MTB_T_i64
enum { ABREAST = 8, SCANNED = 1 }; /* a sum of integers waits no longer than a store */
#else
enum { ABREAST = 1, SCANNED = 1 };
#endif
enum { EXTREME_LANES = 64, PLACES = 256 };
/* the row of an extreme, as wide as T where that has vectors of its own; a kernel sees 16384 rows at most */
#if MTB_T_f64 || MTB_T_i64
typedef int64_t place;
#else
typedef int32_t place;
#endif

#define RUNNING(OP, c, i, x, value, place)                                                                            \
    {                                                                                                                 \
        T v = (x)[(c) * x_row];                                                                                       \
        if (!BEATS(OP, best[c], v)) best[c] = v, at[c] = i;                                                           \
        (value)[(c) * y_row] = best[c], (place)[(c) * y_row] = at[c];                                                 \
    }

/* Where m first stands in x (it is there): 64 elements at a time, then eight, then one by one. */
INLINE int is_among(const T *x, T m, const int n) {
    int hit = 0;
    for (int j = 0; j < n; j++) hit |= x[j] == m;
    return hit;
}
static int64_t find(int64_t n, const T *x, T m) {
    int64_t i = 0;
#if MTB_IS_REAL
    if (m != m) {
        while (x[i] == x[i]) i++;
        return i;
    }
#endif
    while (i + 64 <= n && !is_among(x + i, m, 64)) i += 64;
    while (i + 8 <= n && !is_among(x + i, m, 8)) i += 8;
    while (i < n - 1 && x[i] != m) i++;
    return i;
}

/* cols: reads x once; rows: reads x once for the value, and again up to the place. Short rows become columns first. */
#define EXTREME(name, OP, MORE)                                                                                  \
    EXTREME_VALUE(name, OP, MORE)                                                                                     \
    static void name##_cols(int64_t rows, int64_t cols, const void *xv, int64_t stride, void *valuev,                 \
                            int64_t *restrict index) {                                                                \
        T *restrict value = valuev;                                                                                   \
        for (int64_t c = 0; c < cols; c++) value[c] = ((const T *)xv)[c];                                             \
        if (!index) {                                                                                                 \
            for (int64_t r = 1; r < rows; r++) {                                                                      \
                const T *restrict x = (const T *)xv + r * stride;                                                     \
                for (int64_t c = 0; c < cols; c++) value[c] = TAKES_OVER(OP, x[c], value[c]) ? x[c] : value[c];       \
            }                                                                                                         \
            return;                                                                                                   \
        }                                                                                                             \
        for (int64_t from = 0; from < cols; from += PLACES) {                                                         \
            place at[PLACES];                                                                                         \
            int64_t width = cols - from < PLACES ? cols - from : PLACES;                                              \
            for (int64_t c = 0; c < width; c++) at[c] = 0;                                                            \
            for (int64_t r = 1; r < rows; r++) {                                                                      \
                const T *restrict x = (const T *)xv + r * stride + from;                                              \
                T *restrict best = value + from;                                                                      \
                for (int64_t c = 0; c < width; c++) {                                                                 \
                    int better = BEATS(OP, x[c], best[c]);                                                            \
                    best[c] = better ? x[c] : best[c];                                                                \
                    at[c] = better ? (place)r : at[c];                                                                \
                }                                                                                                     \
            }                                                                                                         \
            for (int64_t c = 0; c < width; c++) index[from + c] = at[c];                                              \
        }                                                                                                             \
    }                                                                                                                 \
    static void name##_rows(int64_t rows, int64_t n, const void *xv, int64_t stride, void *valuev, int64_t *index) {  \
        T *value = valuev;                                                                                            \
        int64_t r = 0;                                                                                                \
        for (int64_t count; n < EXTREME_LANES && r + 1 < rows; r += count) {                                          \
            T turned[EXTREME_LANES * TURNED];                                                                         \
            count = rows - r < TURNED ? rows - r : TURNED;                                                            \
            turn(count, n, (const T *)xv + r * stride, stride, turned, TURNED);                                       \
            name##_cols(n, count, turned, TURNED, value + r, index ? index + r : NULL);                               \
        }                                                                                                             \
        for (; r < rows; r++) {                                                                                       \
            const T *x = (const T *)xv + r * stride;                                                                  \
            if (n >= EXTREME_LANES) {                                                                                 \
                value[r] = name##_value(n, x);                                                                        \
                if (index) index[r] = find(n, x, value[r]);                                                           \
            } else {                                                                                                  \
                name##_cols(n, 1, x, 1, value + r, index ? index + r : NULL);                                         \
            }                                                                                                         \
        }                                                                                                             \
    }                                                                                                                 \
    /* of equals the last counts here: what a running extreme means in PyTorch */                                     \
    static void name##_cumulate(int64_t rows, int64_t n, const void *xv, int64_t x_row, int64_t x_step, void *valuev, \
                                int64_t *restrict index, int64_t y_row, int64_t y_step) {                             \
        for (int64_t from = 0; from < rows; from += ABREAST) {                                                        \
            const T *restrict x = (const T *)xv + from * x_row;                                                       \
            T *restrict value = (T *)valuev + from * y_row, best[ABREAST];                                            \
            int64_t *restrict place = index + from * y_row;                                                           \
            int64_t at[ABREAST] = {}, count = rows - from < ABREAST ? rows - from : ABREAST;                          \
            for (int64_t c = 0; c < count; c++) best[c] = x[c * x_row];                                               \
            if (count == ABREAST)                                                                                     \
                for (int64_t i = 0; i < n; i++, x += x_step, value += y_step, place += y_step)                        \
                    UNROLL for (int c = 0; c < ABREAST; c++) RUNNING(OP, c, i, x, value, place)                       \
            else                                                                                                      \
                for (int64_t c = 0; c < count; c++)                                                                   \
                    for (int64_t i = 0; i < n; i++)                                                                   \
                        RUNNING(OP, c, i, (x + i * x_step), (value + i * y_step), (place + i * y_step))               \
        }                                                                                                             \
    }

EXTREME(max, >, vmax)
EXTREME(min, <, vmin)

#include "../scans.h"

extern const mtb_reduce TABLE(reduce);
const mtb_reduce TABLE(reduce) = {
#if MTB_IS_REAL
    .sum_rows = {sum_rows_fast, square_rows, abs_rows, prod_rows, not_nan_rows_fast},
    .sum_cols = {sum_cols_fast, square_cols, abs_cols, prod_cols, not_nan_cols_fast},
#else
    .sum_rows = {[MTB_SUM] = sum_rows, [MTB_PROD] = prod_rows},
    .sum_cols = {[MTB_SUM] = sum_cols, [MTB_PROD] = prod_cols},
#endif
    .round = round_to_T,
    .extreme_rows = {max_rows, min_rows},
    .extreme_cols = {max_cols, min_cols},
#if MTB_IS_REAL
    .cumulate = {cumsum, cumprod, log_cumsum_exp},
#elif MTB_T_i64
    .cumulate = {cumsum, cumprod},
#endif
    .cumulate_extreme = {max_cumulate, min_cumulate},
};
