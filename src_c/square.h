/* square.h: squares of VL rows by VL columns: transposed in registers, or read by rows into registers for columns. */
#ifndef MTB_SQUARE_H
#define MTB_SQUARE_H

/* Which elements of two registers (the second's count from VL) make the first and the second of the new ones: their
 * blocks of s elements by turns, or, by fours, one element of each by turns. */
#define LOW(l, s) ((l) & (s) ? VL + (l) - (s) : (l))
#define HIGH(l, s) ((l) & (s) ? VL + (l) : (l) + (s))
#define FIRST(l, s) (((l) & ~3) + ((l) & 3) / 2 + ((l) & 1 ? VL : 0))
#define SECOND(l, s) (FIRST(l, s) + 2)
#define LIST2(F, s) F(0, s), F(1, s)
#define LIST4(F, s) LIST2(F, s), F(2, s), F(3, s)
#define LIST8(F, s) LIST4(F, s), F(4, s), F(5, s), F(6, s), F(7, s)
#define LIST16(F, s) LIST8(F, s), F(8, s), F(9, s), F(10, s), F(11, s), F(12, s), F(13, s), F(14, s), F(15, s)
#if MTB_T_f32 && VBYTES == 64
#define LIST(F, s) (ivec){LIST16(F, s)}
#define ROUNDS(X) X(1) X(2) X(4) X(8)
#elif MTB_T_f32 ? VBYTES == 32 : VBYTES == 64
#define LIST(F, s) (ivec){LIST8(F, s)}
#define ROUNDS(X) X(1) X(2) X(4)
#elif MTB_T_f32 || VBYTES == 32
#define LIST(F, s) (ivec){LIST4(F, s)}
#define ROUNDS(X) X(1) X(2)
#else
#define LIST(F, s) (ivec){LIST2(F, s)}
#define ROUNDS(X) X(1)
#endif

/* r[i][j] = r[j][i]: blocks of 1, 2, 4, ... are swapped across the diagonal. */
#define SWAP(s)                                                     \
    UNROLL for (int i = 0; i < VL; i++) if (!(i & s)) {             \
        const vec x = r[i], y = r[i + s];                           \
        r[i] = SHUFFLE(x, y, LIST(LOW, s));               \
        r[i + s] = SHUFFLE(x, y, LIST(HIGH, s));          \
    }
static inline __attribute__((always_inline)) void transpose(vec *r) { ROUNDS(SWAP) }

/* Where n <= VL rows of a matrix start, sj apart; the last one again for the rest. */
INLINE void row_starts(const T **at, const T *src, int64_t sj, int64_t n) {
    UNROLL for (int j = 0; j < VL; j++) at[j] = src + (j < n ? j : n - 1) * sj;
}

/* A square from memory is transposed by 16 bytes, Q elements: rows that are Q apart meet in one register when they are
 * loaded, and the rest happens within each 16 bytes, which is cheap. */
enum { Q = 16 / sizeof(T) };
INLINE vec load_lanes(const T *const *at, int64_t p) {
#if VBYTES == 16
    return vload(at[0] + p);
#else
#define PART(l) _mm_loadu_ps((const float *)(at[l * Q] + p))
#if VBYTES == 64
    const __m512 v = _mm512_insertf32x4(_mm512_castps128_ps512(PART(0)), PART(1), 1);
    return (vec)_mm512_insertf32x4(_mm512_insertf32x4(v, PART(2), 2), PART(3), 3);
#else
    return (vec)_mm256_insertf128_ps(_mm256_castps128_ps256(PART(0)), PART(1), 1);
#endif
#endif
}

/* Columns p to p + VL of the rows at[0:VL]: r[i][j] = at[j][p + i]. */
INLINE void load_square(vec *r, const T *const *at, int64_t p) {
    UNROLL for (int u = 0; u < VL; u += Q) {
        vec x[Q];
        UNROLL for (int i = 0; i < Q; i++) x[i] = load_lanes(at + i, p + u);
#if MTB_T_f32
        UNROLL for (int i = 0; i < Q; i += 2) {
            const vec t = x[i];
            x[i] = SHUFFLE(t, x[i + 1], LIST(FIRST, 1));
            x[i + 1] = SHUFFLE(t, x[i + 1], LIST(SECOND, 1));
        }
#endif
        UNROLL for (int i = 0; i < Q / 2; i++) {
            r[u + 2 * i] = SHUFFLE(x[i], x[i + Q / 2], LIST(LOW, Q / 2));
            r[u + 2 * i + 1] = SHUFFLE(x[i], x[i + Q / 2], LIST(HIGH, Q / 2));
        }
    }
}
#endif
