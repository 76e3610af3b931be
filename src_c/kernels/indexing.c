/* indexing.c: gather, scatter, row moves and row sums by index, and the packing of what a mask selects. */
#include "../kernel.h"
#include <string.h>


#define UNROLL_4 _Pragma("GCC unroll 4")

/* a negative index counts from the end */
INLINE int64_t wrap(int64_t j, int64_t n) { return j + ((j >> 63) & n); }

/* How a value meets what is at its destination. Integers wrap around; a NaN wins a maximum and a minimum. */
#if MTB_T_f32 || MTB_T_f64
#define IS_NAN(x) ((x) != (x))
INLINE T plus(T a, T b) { return a + b; }
INLINE T times(T a, T b) { return a * b; }
#elif MTB_T_b8
#define IS_NAN(x) 0
INLINE T plus(T a, T b) { return a | b; }
INLINE T times(T a, T b) { return a & b; }
#else
#define IS_NAN(x) 0
INLINE T plus(T a, T b) { return (T)((uint64_t)a + (uint64_t)b); }
INLINE T times(T a, T b) { return (T)((uint64_t)a * (uint64_t)b); }
#endif
INLINE T put(T a, T b) { return (void)a, b; }
INLINE T larger(T a, T b) { return a > b || IS_NAN(a) ? a : b; }
INLINE T smaller(T a, T b) { return a < b || IS_NAN(a) ? a : b; }

/* what: y[o, j, i] = x[o, index[o, j, i], i], index >= 0. shapes: y, index[outer, m, inner], x[outer, n, inner].
 * passes: reads both, writes y. */
static void gather(void *y_p, const void *x_p, const int64_t *index, int64_t outer, int64_t m, int64_t n,
                   int64_t inner) {
    T *y = y_p;
    const T *x = x_p;
    for (; outer > 0; outer--, x += n * inner) {
        if (inner == 1) {
            UNROLL_4 for (int64_t j = 0; j < m; j++) *y++ = x[*index++];
            continue;
        }
        for (int64_t j = 0; j < m; j++, y += inner, index += inner)
            UNROLL_4 for (int64_t i = 0; i < inner; i++) y[i] = x[index[i] * inner + i];
    }
}

/* what: y[o, index[o, j, i], i] = reduce(that, x[o, j, i]) for from <= i < to. shapes: x, index[outer, m, inner],
 * y[outer, n, inner]. passes: reads index, x; reads and writes parts of y, j by j. */
#define SCATTER(reduce)                                                                                            \
    static void scatter_##reduce(void *y_p, const void *x_p, const int64_t *index, int64_t outer, int64_t m,       \
                                 int64_t n, int64_t inner, int64_t from, int64_t to) {                             \
        T *y = y_p;                                                                                                \
        const T *restrict x = x_p;                                                                                 \
        for (; outer > 0; outer--, y += n * inner) {                                                               \
            if (inner == 1) {                                                                                      \
                UNROLL_4 for (int64_t j = 0; j < m; j++) {                                                         \
                    T *at = y + *index++;                                                                          \
                    *at = reduce(*at, *x++);                                                                       \
                }                                                                                                  \
                continue;                                                                                          \
            }                                                                                                      \
            for (int64_t j = 0; j < m; j++, x += inner, index += inner)                                            \
                UNROLL_4 for (int64_t i = from; i < to; i++) {                                                     \
                    T *at = y + index[i] * inner + i;                                                              \
                    *at = reduce(*at, x[i]);                                                                       \
                }                                                                                                  \
        }                                                                                                          \
    }
SCATTER(put) SCATTER(plus) SCATTER(times) SCATTER(larger) SCATTER(smaller)

/* what: y[o, j, :] = x[o, index[j], :]. shapes: y[outer, m, inner], x: n rows, `row` elements apart, and x_outer from
 * one o to the next. passes: moves outer m rows. */
static void take_rows(void *y_p, const void *x_p, const int64_t *index, int64_t outer, int64_t m, int64_t n,
                      int64_t inner, int64_t row, int64_t x_outer) {
    T *y = y_p;
    const T *x = x_p;
    for (; outer > 0; outer--, x += x_outer)
        if (inner == 1)
            for (int64_t j = 0; j < m; j++) *y++ = x[wrap(index[j], n) * row];
        else if (inner <= 8)
            for (int64_t j = 0; j < m; j++, y += inner) {
                const T *source = x + wrap(index[j], n) * row;
                for (int64_t i = 0; i < inner; i++) y[i] = source[i];
            }
        else
            for (int64_t j = 0; j < m; j++, y += inner)
                memcpy(y, x + wrap(index[j], n) * row, (size_t)inner * sizeof(T));
}

/* what: y[o, index[j], from:to] = reduce(that, x[o, j, from:to]) for lo <= index < hi. shapes: x[outer, m, inner], y: n
 * rows, `row` elements apart, and y_outer from one o to the next. passes: reads index and parts of x; reads and writes
 * those of y, j by j. */
#define PUT_ROWS(reduce)                                                                                           \
    static void put_rows_##reduce(void *y_p, const void *x_p, const int64_t *index, int64_t outer, int64_t m,      \
                                  int64_t n, int64_t inner, int64_t row, int64_t y_outer, int64_t from, int64_t to, \
                                  int64_t lo, int64_t hi) {                                                        \
        T *y = y_p;                                                                                                \
        const T *x = x_p;                                                                                          \
        for (; outer > 0; outer--, y += y_outer)                                                                   \
            for (int64_t j = 0; j < m; j++, x += inner) {                                                          \
                int64_t k = wrap(index[j], n);                                                                     \
                T *restrict target = y + k * row;                                                                  \
                const T *restrict source = x;                                                                      \
                if (k < lo || k >= hi) continue;                                                                   \
                if (inner == 1) {                                                                                  \
                    *target = reduce(*target, *source);                                                            \
                    continue;                                                                                      \
                }                                                                                                  \
                for (int64_t i = from; i < to; i++) target[i] = reduce(target[i], source[i]);                      \
            }                                                                                                      \
    }
PUT_ROWS(put) PUT_ROWS(plus) PUT_ROWS(times) PUT_ROWS(larger) PUT_ROWS(smaller)

/* what: packs x where mask is set. shapes: x, mask[n], y[number set]. passes: reads x, mask; writes y.
 * No branch on the mask: every element is stored, and the next one overwrites it unless it was kept. */
static int64_t compress(void *y_p, const void *x_p, const uint8_t *mask, int64_t n) {
    T *y = y_p;
    const T *x = x_p;
    int64_t count = 0, last = n; /* after the last kept element nothing may be stored: y ends there */
    while (last > 0 && !mask[last - 1]) last--;
    for (int64_t i = 0; i < last; i++) {
        y[count] = x[i];
        count += mask[i] != 0;
    }
    return count;
}

/* what: unpacks x to where mask is set. shapes: y, mask[n], x[number set]. passes: reads mask, x; writes parts of y. */
static int64_t expand(void *y_p, const void *x_p, const uint8_t *mask, int64_t n) {
    T *y = y_p;
    const T *x = x_p;
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        if (mask[i]) y[i] = x[count++];
    return count;
}

/* what: the first position outside the bounds. shapes: index[n]. passes: reads index. */
static int64_t check(const int64_t *index, int64_t n, int64_t lo, int64_t hi) {
    enum { BLOCK = 1024 };
    for (int64_t start = 0; start < n; start += BLOCK) {
        int64_t end = start + BLOCK < n ? start + BLOCK : n, bad = 0;
        for (int64_t i = start; i < end; i++) bad |= (index[i] < lo) | (index[i] >= hi);
        for (int64_t i = start; bad && i < end; i++)
            if (index[i] < lo || index[i] >= hi) return i;
    }
    return -1;
}

/* what: the number of set bytes. shapes: mask[n]. passes: reads mask. */
static int64_t count(const uint8_t *mask, int64_t n) {
    int64_t total = 0;
    while (n > 0) { /* a run short enough for a byte-wide counter's vector */
        int64_t run = n < 4096 ? n : 4096;
        uint32_t sum = 0;
        for (int64_t i = 0; i < run; i++) sum += mask[i] != 0;
        total += sum;
        mask += run;
        n -= run;
    }
    return total;
}

/* what: the positions of the set bytes. shapes: mask[n], at[their number]. passes: reads mask, writes at. */
static void positions(int64_t *at, const uint8_t *mask, int64_t n, int64_t base) {
    while (n > 0 && !mask[n - 1]) n--; /* nothing may be stored after the last one */
    for (int64_t i = 0; i < n; i++) {
        *at = base + i;
        at += mask[i] != 0;
    }
}

/* what: places of v in a sorted row, NaN last. shapes: at, v[m], sorted, sorter[n]. passes: log2(n) reads for each v,
 * of ABREAST values by turns: their searches take the same steps, so nothing is to be predicted and none waits. */
static void searchsorted(int64_t *at, const void *v_p, int64_t m, const void *sorted_p, int64_t n,
                         const int64_t *sorter, int right) {
    enum { ABREAST = 8 };
    const T *v = v_p, *sorted = sorted_p;
    for (int64_t count; m > 0; m -= count, v += count, at += count) {
        int64_t low[ABREAST] = {}, half;
        count = m < ABREAST ? m : ABREAST;
        for (int64_t left = n; left > 0; left -= half) { /* the place is one of low ... low + left */
            half = (left + 1) / 2;
            for (int64_t c = 0; c < count; c++) {
                int64_t probe = low[c] + half - 1;
                T s = sorted[sorter ? sorter[probe] : probe];
                int past = (s < v[c]) | (right & (s == v[c])) | (IS_NAN(v[c]) & (right | !IS_NAN(s)));
                low[c] += half & -(int64_t)past;
            }
        }
        memcpy(at, low, (size_t)count * sizeof *at);
    }
}

extern const mtb_indexing TABLE(indexing);
const mtb_indexing TABLE(indexing) = {
    gather,
    {scatter_put, scatter_plus, scatter_times, scatter_larger, scatter_smaller},
    take_rows,
    {put_rows_put, put_rows_plus, put_rows_times, put_rows_larger, put_rows_smaller},
    compress,
    expand,
    check,
    count,
    positions,
    searchsorted,
};
