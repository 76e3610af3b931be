/* api/random.h: the kernels of the random family: numbers from a counter, so that element i of a draw depends on
 * (seed, offset, i) alone. A draw is made in groups; `group` is the index of the one that element 0 of `out` opens. */
#ifndef MTB_API_RANDOM_H
#define MTB_API_RANDOM_H
#include <stdint.h>

enum { MTB_GROUP_WORDS = 64 }; /* 32-bit words a group: 64 float32, 32 float64 or int64 elements */

typedef struct {
    uint64_t seed, offset; /* the key, and the number of the draw */
} mtb_draw;

typedef struct {
    /* the first Philox block of `counter` under `key`, as published (for the known-answer test) */
    void (*block)(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);
    /* out in [lo, hi) */
    void (*uniform)(void *out, int64_t n, uint64_t group, const mtb_draw *d, double lo, double hi);
    /* out ~ N(mean, std^2) */
    void (*normal)(void *out, int64_t n, uint64_t group, const mtb_draw *d, double mean, double std);
    /* out in [lo, lo + range), range 0 meaning 2^64 */
    void (*integers)(int64_t *out, int64_t n, uint64_t group, const mtb_draw *d, int64_t lo, uint64_t range);
    /* out = 1 with probability threshold / 2^32 */
    void (*bernoulli)(uint8_t *out, int64_t n, uint64_t group, const mtb_draw *d, uint64_t threshold);
    /* mask as bernoulli; y = mask ? x * scale : 0 */
    void (*dropout)(void *y, uint8_t *mask, const void *x, int64_t n, uint64_t group, const mtb_draw *d,
                    uint64_t threshold, double scale);
    /* y = mask ? x * scale : 0 */
    void (*masked_scale)(void *y, const uint8_t *mask, const void *x, int64_t n, double scale);
    /* of a permutation of 0 .. first - 1 in a (int32, or int64 if wide), one of n more: for i = first .. first + n - 1,
     * a[i] is taken from a[j] and i put there, j being floor(words[i - first] / 2^64 * (i + 1)) (Fisher-Yates) */
    void (*shuffle)(void *a, int wide, int64_t first, const int64_t *words, int64_t n);
} mtb_random;
#endif
