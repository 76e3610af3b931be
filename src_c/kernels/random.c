/* random.c: random numbers from a counter, by Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2,
 * 3", SC 2011).
 *
 * The block of counter (block index, offset) under the key (seed) is four 32-bit words. Sixteen consecutive blocks make
 * a group, laid out word by word: word w of block b of the group is its word number 16 w + b. Element i of a draw takes
 * word i (float32, masks) or the words of one block at two neighboring w (float64, int64): no transposition. */
#include "../kernel.h"

enum { BLOCKS = 16, HALF = BLOCKS * 2, WORDS = MTB_GROUP_WORDS };

#if defined(__AVX2__)
/* A multiplication of 32 bits by 32 takes every other lane: the odd ones are moved down, and the halves of the products
 * put together again. */
#define HIGH(even, odd) _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA)
#define LOW(even, odd) _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA)
#define WORDS_AT(w, h) ((__m256i *)&x[w][8 * (h)])
static inline void philox(uint32_t x[4][BLOCKS], uint32_t k0, uint32_t k1) {
    const __m256i by0 = _mm256_set1_epi64x(0xD2511F53), by2 = _mm256_set1_epi64x(0xCD9E8D57);
    __m256i a[2], b[2], c[2], d[2];
    UNROLL
    for (int h = 0; h < 2; h++) {
        a[h] = _mm256_loadu_si256(WORDS_AT(0, h)), b[h] = _mm256_loadu_si256(WORDS_AT(1, h));
        c[h] = _mm256_loadu_si256(WORDS_AT(2, h)), d[h] = _mm256_loadu_si256(WORDS_AT(3, h));
    }
    for (int r = 0; r < 10; r++) {
        const __m256i key0 = _mm256_set1_epi32((int)k0), key1 = _mm256_set1_epi32((int)k1);
        UNROLL
        for (int h = 0; h < 2; h++) {
            __m256i even0 = _mm256_mul_epu32(a[h], by0), odd0 = _mm256_mul_epu32(_mm256_srli_epi64(a[h], 32), by0);
            __m256i even2 = _mm256_mul_epu32(c[h], by2), odd2 = _mm256_mul_epu32(_mm256_srli_epi64(c[h], 32), by2);
            a[h] = HIGH(even2, odd2) ^ b[h] ^ key0;
            b[h] = LOW(even2, odd2);
            c[h] = HIGH(even0, odd0) ^ d[h] ^ key1;
            d[h] = LOW(even0, odd0);
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    UNROLL
    for (int h = 0; h < 2; h++) {
        _mm256_storeu_si256(WORDS_AT(0, h), a[h]), _mm256_storeu_si256(WORDS_AT(1, h), b[h]);
        _mm256_storeu_si256(WORDS_AT(2, h), c[h]), _mm256_storeu_si256(WORDS_AT(3, h), d[h]);
    }
}
#else
/* one round over BLOCKS blocks held word by word */
static inline void philox_round(uint32_t x[4][BLOCKS], uint32_t k0, uint32_t k1) {
    for (int b = 0; b < BLOCKS; b++) {
        uint64_t p0 = (uint64_t)x[0][b] * 0xD2511F53u, p1 = (uint64_t)x[2][b] * 0xCD9E8D57u;
        uint32_t a = (uint32_t)(p1 >> 32) ^ x[1][b] ^ k0, c = (uint32_t)(p0 >> 32) ^ x[3][b] ^ k1;
        x[0][b] = a;
        x[1][b] = (uint32_t)p1;
        x[2][b] = c;
        x[3][b] = (uint32_t)p0;
    }
}

static inline void philox(uint32_t x[4][BLOCKS], uint32_t k0, uint32_t k1) {
    UNROLL
    for (int r = 0; r < 10; r++) {
        philox_round(x, k0, k1);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}
#endif

/* the 64 words of one group of a draw */
static inline void draw_group(uint32_t x[4][BLOCKS], uint64_t group, const mtb_draw *d) {
    for (int b = 0; b < BLOCKS; b++) {
        uint64_t block = group * BLOCKS + (uint64_t)b;
        x[0][b] = (uint32_t)block;
        x[1][b] = (uint32_t)(block >> 32);
        x[2][b] = (uint32_t)d->offset;
        x[3][b] = (uint32_t)(d->offset >> 32);
    }
    philox(x, (uint32_t)d->seed, (uint32_t)(d->seed >> 32));
}

static void block(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]) {
    uint32_t x[4][BLOCKS] = {{counter[0]}, {counter[1]}, {counter[2]}, {counter[3]}};
    philox(x, key[0], key[1]);
    for (int w = 0; w < 4; w++) out[w] = x[w][0];
}

/* Real numbers in [0, 1): all 24 or 53 bits of a float's significand. */
#if MTB_T_f32
enum { PER_GROUP = WORDS };
static inline T unit(uint32_t w) { return (T)(int32_t)(w >> 8) * 0x1p-24f; }
static inline void units(T u[PER_GROUP], uint32_t x[4][BLOCKS]) {
    for (int i = 0; i < WORDS; i++) u[i] = unit(x[i / BLOCKS][i % BLOCKS]);
}
/* Box-Muller's two numbers: u in (0, 1], v in [0, 1) */
static inline void unit_pairs(T u[PER_GROUP / 2], T v[PER_GROUP / 2], uint32_t x[4][BLOCKS]) {
    for (int h = 0; h < 2; h++)
        for (int b = 0; b < BLOCKS; b++) {
            u[h * BLOCKS + b] = (T)(int32_t)(x[2 * h][b] >> 1) * 0x1p-31f + 0x1p-32f;
            v[h * BLOCKS + b] = unit(x[2 * h + 1][b]);
        }
}
#else
enum { PER_GROUP = HALF };
static inline T unit(uint32_t high, uint32_t low) {
    return ((T)(int32_t)(high >> 5) * 0x1p26 + (T)(int32_t)(low >> 6)) * 0x1p-53;
}
static inline void units(T u[PER_GROUP], uint32_t x[4][BLOCKS]) {
    for (int h = 0; h < 2; h++)
        for (int b = 0; b < BLOCKS; b++) u[h * BLOCKS + b] = unit(x[2 * h + 1][b], x[2 * h][b]);
}
static inline void unit_pairs(T u[PER_GROUP / 2], T v[PER_GROUP / 2], uint32_t x[4][BLOCKS]) {
    for (int b = 0; b < BLOCKS; b++) {
        u[b] = unit(x[1][b], x[0][b]) + 0x1p-54;
        v[b] = unit(x[3][b], x[2][b]);
    }
}
#endif

/* what: uniform numbers. shapes: out[n]. passes: writes n. */
static void uniform(void *out, int64_t n, uint64_t group, const mtb_draw *d, double lo, double hi) {
    T *y = out, base = (T)lo, width = (T)hi - (T)lo, top = (T)hi;
    uint32_t x[4][BLOCKS];
    T u[PER_GROUP];
    for (; n > 0; n -= PER_GROUP, y += PER_GROUP, group++) {
        draw_group(x, group, d);
        units(u, x);
        for (int i = 0; i < PER_GROUP; i++) {
            T r = u[i] * width + base;
            u[i] = r < top ? r : base; /* rounding must not reach the open end */
        }
        memcpy(y, u, (size_t)(n < PER_GROUP ? n : PER_GROUP) * sizeof(T));
    }
}

/* what: normal numbers, by Box and Muller: both numbers of a pair are used. shapes: out[n]. passes: writes n. */
static void normal(void *out, int64_t n, uint64_t group, const mtb_draw *d, double mean, double std) {
    enum { PAIRS = PER_GROUP / 2 };
    T *y = out, m = (T)mean, s = (T)std;
    uint32_t x[4][BLOCKS];
    T u[PAIRS], v[PAIRS], z[PER_GROUP];
    for (; n > 0; n -= PER_GROUP, y += PER_GROUP, group++) {
        draw_group(x, group, d);
        unit_pairs(u, v, x);
        for (int i = 0; i < PAIRS; i++) {
            T radius = m_sqrt((T)-2 * m_log(u[i])), angle = (T)6.283185307179586476925 * v[i];
#if MTB_T_f32 /* tried for each of the 2^24 angles: the same bits as m_cos and m_sin */
            uint32_t quadrant;
            m_pair r = m_trig_reduce_near(angle, &quadrant);
            z[i] = radius * m_sin_of(r, quadrant + 1, 0);
            z[PAIRS + i] = radius * m_sin_of(r, quadrant, 0);
#else
            z[i] = radius * m_cos(angle);
            z[PAIRS + i] = radius * m_sin(angle);
#endif
        }
        for (int i = 0; i < PER_GROUP; i++) z[i] = z[i] * s + m;
        memcpy(y, z, (size_t)(n < PER_GROUP ? n : PER_GROUP) * sizeof(T));
    }
}

static inline uint64_t times_range(uint64_t word, uint64_t range) {
    return (uint64_t)(((unsigned __int128)word * range) >> 64);
}

/* what: integers by multiply-high of a 64-bit word: no value is favored by more than range / 2^64.
 * shapes: out[n]. passes: writes n. */
static void integers(int64_t *out, int64_t n, uint64_t group, const mtb_draw *d, int64_t lo, uint64_t range) {
    uint32_t x[4][BLOCKS];
    for (; n > 0; n -= HALF, out += HALF, group++) {
        draw_group(x, group, d);
        int count = n < HALF ? (int)n : HALF;
        for (int i = 0; i < count; i++) {
            int w = i / BLOCKS * 2, b = i % BLOCKS;
            uint64_t word = (uint64_t)x[w + 1][b] << 32 | x[w][b];
            out[i] = (int64_t)((uint64_t)lo + (range ? times_range(word, range) : word));
        }
    }
}

/* keep[i] = 1 where word i is below the threshold */
static inline void keep_group(uint8_t keep[WORDS], uint64_t group, const mtb_draw *d, uint64_t threshold) {
    uint32_t x[4][BLOCKS], last = (uint32_t)(threshold - 1);
    if (threshold == 0) {
        memset(keep, 0, WORDS);
        return;
    }
    draw_group(x, group, d);
    for (int i = 0; i < WORDS; i++) keep[i] = x[i / BLOCKS][i % BLOCKS] <= last;
}

/* what: coin tosses. shapes: out[n]. passes: writes n bytes. */
static void bernoulli(uint8_t *out, int64_t n, uint64_t group, const mtb_draw *d, uint64_t threshold) {
    uint8_t keep[WORDS];
    for (; n > 0; n -= WORDS, out += WORDS, group++) {
        keep_group(keep, group, d, threshold);
        memcpy(out, keep, (size_t)(n < WORDS ? n : WORDS));
    }
}

/* what: y = mask ? x * scale : 0. shapes: all [n]. passes: reads x, mask; writes y. */
static void masked_scale(void *y_n, const uint8_t *restrict mask, const void *x_n, int64_t n, double scale) {
    T *restrict y = y_n, s = (T)scale;
    const T *restrict x = x_n;
    for (int64_t i = 0; i < n; i++) y[i] = mask[i] ? x[i] * s : 0;
}

/* what: dropout, mask drawn on the way. shapes: all [n]. passes: reads x; writes y, mask. */
static void dropout(void *y_n, uint8_t *mask, const void *x_n, int64_t n, uint64_t group, const mtb_draw *d,
                    uint64_t threshold, double scale) {
    T *y = y_n;
    const T *x = x_n;
    uint8_t keep[WORDS];
    for (; n > 0; n -= WORDS, y += WORDS, x += WORDS, mask += WORDS, group++) {
        int64_t count = n < WORDS ? n : WORDS;
        keep_group(keep, group, d, threshold);
        memcpy(mask, keep, (size_t)count);
        masked_scale(y, keep, x, count, scale);
    }
}

/* what: one stretch of Fisher and Yates' shuffle of 0, 1, 2, ..., which are put in as it goes. shapes: a[first + n] of
 * int32 or int64, words[n]. passes: n random exchanges. */
static void shuffle(void *a, int wide, int64_t first, const int64_t *words, int64_t n) {
    int32_t *narrow = a;
    int64_t *full = a;
    for (int64_t i = first; i < first + n; i++) {
        int64_t j = (int64_t)times_range((uint64_t)words[i - first], (uint64_t)i + 1);
        if (wide)
            full[i] = full[j], full[j] = i;
        else
            narrow[i] = narrow[j], narrow[j] = (int32_t)i;
    }
}

extern const mtb_random TABLE(random);
const mtb_random TABLE(random) = {block, uniform, normal, integers, bernoulli, dropout, masked_scale, shuffle};
