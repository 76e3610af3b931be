/* sorting.c: sorts a row stably, or finds its first k, by digits of keys whose unsigned order is that of the elements.
 *
 * Elements become pairs (key, position); the values are fetched by position last, so -0 and NaN stay as they are. */
#include "../kernel.h"
#include <string.h>

#if MTB_T_f64 || MTB_T_i64
typedef uint64_t UK;
#else
typedef uint32_t UK;
#endif
enum { DIGITS = sizeof(UK), RADIX = 256, SHORT = 64, FEW = 16 };

typedef struct {
    UK key, at;
} pair;

static inline UK digit(UK key, int d) { return key >> (8 * d) & (RADIX - 1); }

/* The key of x: unsigned order is the order of T, NaN last, -0 equal to 0. */
static inline UK key_of(T x) {
    enum { TOP = 8 * sizeof(UK) - 1 };
#if MTB_T_f32 || MTB_T_f64
    T canonical = x + 0; /* -0 + 0 is 0 */
    UK u;
    memcpy(&u, &canonical, sizeof u);
    UK negative = (UK)0 - (u >> TOP);
    return x != x ? ~(UK)0 : u ^ (negative | (UK)1 << TOP);
#elif MTB_T_b8
    return x != 0;
#elif MTB_T_u8
    return x;
#else
    return (UK)x ^ (UK)1 << TOP;
#endif
}

static void insertion_sort(pair *a, int64_t n) {
    for (int64_t i = 1; i < n; i++) {
        pair p = a[i];
        int64_t j = i;
        for (; j > 0 && a[j - 1].key > p.key; j--) a[j] = a[j - 1];
        a[j] = p;
    }
}

/* Sorts a[n] by key, least significant digit first, with b[n] as scratch; returns which of the two holds the result. */
static pair *sort_pairs(pair *a, pair *b, int64_t n) {
    if (n <= SHORT) {
        insertion_sort(a, n);
        return a;
    }
    int64_t counts[DIGITS][RADIX] = {};
    for (int64_t i = 0; i < n; i++)
        for (int d = 0; d < DIGITS; d++) counts[d][digit(a[i].key, d)]++;
    for (int d = 0; d < DIGITS; d++) {
        int64_t *count = counts[d], start = 0;
        if (count[digit(a[0].key, d)] == n) continue; /* all the same: nothing to do for this digit */
        for (int i = 0; i < RADIX; i++) {
            int64_t c = count[i];
            count[i] = start;
            start += c;
        }
        for (int64_t i = 0; i < n; i++) b[count[digit(a[i].key, d)]++] = a[i];
        pair *t = a;
        a = b;
        b = t;
    }
    return a;
}

static inline void write_out(T *y, int64_t *at, const T *x, const pair *p, int64_t n, int64_t step) {
    for (int64_t i = 0; i < n; i++) {
        y[i * step] = x[(int64_t)p[i].at * step];
        at[i * step] = (int64_t)p[i].at;
    }
}

/* what: a sorted row and its permutation. shapes: y, at, x[n] with step, scratch[2 n pairs].
 * passes: one over x, one for each digit that differs, one random read of x. */
static void sort(void *y, int64_t *at, const void *x_p, int64_t n, int64_t step, int descending, void *scratch) {
    const T *x = x_p;
    pair *a = scratch;
    UK flip = descending ? ~(UK)0 : 0;
    for (int64_t i = 0; i < n; i++) a[i] = (pair){key_of(x[i * step]) ^ flip, (UK)i};
    write_out(y, at, x, sort_pairs(a, a + n, n), n, step);
}

/* Of a[n], moves the k smallest to b, in any order but for equals; a is used up. 0 < k <= n. */
static void select_pairs(pair *a, pair *b, int64_t n, int64_t k) {
    UK differs = 0;
    for (int64_t i = 1; i < n; i++) differs |= a[i].key ^ a[0].key;
    for (int d = DIGITS - 1; d >= 0 && n > k; d--) {
        if (digit(differs, d) == 0) continue;
        int64_t count[RADIX] = {}, below = 0, rest = 0;
        for (int64_t i = 0; i < n; i++) count[digit(a[i].key, d)]++;
        UK pivot = 0;
        while (below + count[pivot] < k) below += count[pivot++];
        for (int64_t i = 0; i < n; i++) { /* below the pivot: chosen; at it: the next digit decides */
            pair p = a[i];
            UK c = digit(p.key, d);
            if (c < pivot)
                *b++ = p;
            else if (c == pivot)
                a[rest++] = p;
        }
        n = rest;
        k -= below;
    }
    memcpy(b, a, (size_t)k * sizeof(pair));
}

/* The k <= FEW smallest of a row, sorted, into b: most elements meet one comparison, with the worst so far. */
static void first_few(pair *b, const T *x, int64_t n, int64_t k, int64_t step, UK flip) {
    for (int64_t i = 0; i < n; i++) {
        UK key = key_of(x[i * step]) ^ flip;
        if (i >= k && key >= b[k - 1].key) continue;
        int64_t j = i < k ? i : k - 1;
        for (; j > 0 && b[j - 1].key > key; j--) b[j] = b[j - 1];
        b[j] = (pair){key, (UK)i};
    }
}

/* The last of the longest run of equal keys in the sorted a[n]; the first run of several. */
static const pair *most_frequent(const pair *a, int64_t n) {
    int64_t run = 0, longest = 0, last = 0;
    for (int64_t i = 0; i < n; i++) {
        run = a[i].key == a[i - (i > 0)].key ? run + 1 : 1;
        if (run > longest) longest = run, last = i;
    }
    return a + last;
}

/* what: the first k of the sorted row, or its mode. shapes: y, at[k], x[n] with step, scratch[2 n pairs]. passes: one
 * over x, and unless k is small a few over what can still be among the first k. */
static void top(void *y, int64_t *at, const void *x_p, int64_t n, int64_t k, int64_t step, int largest, void *scratch) {
    const T *x = x_p;
    pair *a = scratch, *b = a + n;
    const pair *found = a;
    UK flip = largest == 1 ? ~(UK)0 : 0;
    if (k == 0) return;
    if (k <= FEW && largest != MTB_MODE) {
        first_few(a, x, n, k, step, flip);
    } else {
        for (int64_t i = 0; i < n; i++) a[i] = (pair){key_of(x[i * step]) ^ flip, (UK)i};
        if (largest == MTB_MODE) {
            found = most_frequent(sort_pairs(a, b, n), n);
        } else {
            select_pairs(a, b, n, k);
            found = sort_pairs(b, a, k);
        }
    }
    write_out(y, at, x, found, k, step);
}

/* The k-th smallest of n keys, k >= 0, digit by digit; rest[n] is scratch. Of a few: the one with k before it. */
static UK nth_key(const UK *key, int64_t n, int64_t k, UK *rest) {
    for (int64_t i = 0; n <= FEW; i++) {
        int64_t before = 0;
        for (int64_t j = 0; j < n; j++) before += key[j] < key[i] || (key[j] == key[i] && j < i);
        if (before == k) return key[i];
    }
    for (int d = DIGITS - 1; d >= 0; d--) {
        int32_t count[4][RADIX] = {}; /* one of four by turns: the same digit twice in a row need not wait for itself */
        int64_t left = 0, i = 0, c = 0;
        UK pivot = 0;
        for (; i + 4 <= n; i += 4)
            for (int j = 0; j < 4; j++) count[j][digit(key[i + j], d)]++;
        for (; i < n; i++) count[0][digit(key[i], d)]++;
        for (;; pivot++, k -= c) {
            c = (int64_t)count[0][pivot] + count[1][pivot] + count[2][pivot] + count[3][pivot];
            if (c > k) break;
        }
        if (c == n) continue;
        for (i = 0; i < n; i++) {
            UK one = key[i];
            rest[left] = one;
            left += digit(one, d) == pivot;
        }
        key = rest, n = c;
        if (n == 1) break;
    }
    return key[0];
}

/* what: the k-th smallest (from 0) or the median of each column, and its place. shapes: x[n][cols], rows `step` apart;
 * y, at[cols]; scratch[(cols + 1) n keys]. passes: one over x, two or three over its keys. */
static void nth(void *y, int64_t *at, const void *x_p, int64_t n, int64_t cols, int64_t step, int64_t k,
                void *scratch) {
    const T *x = x_p;
    UK *keys = scratch, *rest = keys + cols * n;
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < cols; c++) keys[c * n + i] = key_of(x[i * step + c]);
    for (int64_t c = 0; c < cols; c++, keys += n) {
        int64_t numbers = n, place = k, before = 0, i = 0;
        UK key;
#if MTB_T_f32 || MTB_T_f64
        for (i = 0; k < 0 && i < n; i++) numbers -= keys[i] == ~(UK)0;
#endif
        if (k < 0) place = k == MTB_MEDIAN && numbers < n ? numbers : numbers > 0 ? (numbers - 1) / 2 : 0;
        key = nth_key(keys, n, place, rest);
        for (i = 0; i < n; i++) before += keys[i] < key;
        for (i = 0, before = place - before;; i++) /* of equals, the one that a stable sort puts there */
            if (keys[i] == key && before-- == 0) break;
        at[c] = i;
        ((T *)y)[c] = x[i * step + c];
    }
}

extern const mtb_sorting TABLE(sorting);
const mtb_sorting TABLE(sorting) = {
    sizeof(pair), sizeof(UK) == 4 ? INT64_C(0xffffffff) : INT64_MAX, sort, top, nth,
};
