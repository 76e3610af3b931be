/* square.h: a square of VL rows by VL columns of a matrix, read by rows into registers that hold its columns. */
#ifndef MTB_SQUARE_H
#define MTB_SQUARE_H
/* Where n <= VL rows of a matrix start, sj apart; the last one again for the rest. */
INLINE void row_starts(const T **at, const T *src, int64_t sj, int64_t n) {
    UNROLL for (int j = 0; j < VL; j++) at[j] = src + (j < n ? j : n - 1) * sj;
}

/* A square is transposed by 16 bytes, Q elements: rows that are Q apart meet in one register when they are loaded, and
 * the rest happens within each 16 bytes, which is cheap. */
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
#define LOW(l) ((l) & (Q / 2) ? VL + (l) - Q / 2 : (l))     /* halves of 16 bytes: first of x, first of y */
#define HIGH(l) ((l) & (Q / 2) ? VL + (l) : (l) + Q / 2)    /* second, second */
#define FIRST(l) (((l) & ~3) + ((l) & 3) / 2 + ((l) & 1 ? VL : 0))  /* 4 elements: x0 y0 x1 y1 */
#define SECOND(l) (FIRST(l) + 2)                                    /* x2 y2 x3 y3 */
#define LIST2(F) F(0), F(1)
#define LIST4(F) LIST2(F), F(2), F(3)
#define LIST8(F) LIST4(F), F(4), F(5), F(6), F(7)
#define LIST16(F) LIST8(F), F(8), F(9), F(10), F(11), F(12), F(13), F(14), F(15)
#if MTB_T_f32 && VBYTES == 64
#define LIST(F) (ivec){LIST16(F)}
#elif MTB_T_f32 ? VBYTES == 32 : VBYTES == 64
#define LIST(F) (ivec){LIST8(F)}
#elif MTB_T_f32 || VBYTES == 32
#define LIST(F) (ivec){LIST4(F)}
#else
#define LIST(F) (ivec){LIST2(F)}
#endif
INLINE void load_square(vec *r, const T *const *at, int64_t p) {
    UNROLL for (int u = 0; u < VL; u += Q) {
        vec x[Q];
        UNROLL for (int i = 0; i < Q; i++) x[i] = load_lanes(at + i, p + u);
#if MTB_T_f32
        UNROLL for (int i = 0; i < Q; i += 2) {
            const vec t = x[i];
            x[i] = __builtin_shuffle(t, x[i + 1], LIST(FIRST));
            x[i + 1] = __builtin_shuffle(t, x[i + 1], LIST(SECOND));
        }
#endif
        UNROLL for (int i = 0; i < Q / 2; i++) {
            r[u + 2 * i] = __builtin_shuffle(x[i], x[i + Q / 2], LIST(LOW));
            r[u + 2 * i + 1] = __builtin_shuffle(x[i], x[i + Q / 2], LIST(HIGH));
        }
    }
}
#endif
