/* dots.h: a matrix times a vector, sums in 32 lanes; rows of A that are contiguous, short ones, columns. */
#ifndef MTB_DOTS_H
#define MTB_DOTS_H
enum { DOT_LANES = 32 };
/* rows that share the loads of the vector: 8 registers of sums */
enum { DOT_ROWS = DOT_LANES / VL < 8 ? 8 / (DOT_LANES / VL) : 1 };

/* A mask of the first n elements, and these elements of p; nothing behind them is read. */
INLINE ivec first_lanes(int n) {
    ivec at;
    UNROLL for (int i = 0; i < VL; i++) at[i] = i;
    return at < (TI)n;
}
#if VBYTES == 64
INLINE vec load_some(const T *p, ivec mask, int n) {
    (void)mask;
    return sizeof(T) == 4 ? (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), (const float *)p)
                     : (vec)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), (const double *)p);
}
#elif VBYTES == 32
INLINE vec load_some(const T *p, ivec mask, int n) {
    (void)n;
    return sizeof(T) == 4 ? (vec)_mm256_maskload_ps((const float *)p, (__m256i)mask)
                     : (vec)_mm256_maskload_pd((const double *)p, (__m256i)mask);
}
#else
static __attribute__((noinline)) vec load_some(const T *p, ivec mask, int n) {
    (void)mask;
    return vload_part(p, n, 0);
}
#endif

/* n rows times x, the 32 lanes of each folded to VL.  a (n, k) rows rsa apart, x (k), part (n, VL). */
INLINE void dot_rows(const int n, int64_t k, const T *a, int64_t rsa, const T *x, T (*part)[VL]) {
    vec acc[DOT_ROWS][DOT_LANES / VL];
    UNROLL for (int r = 0; r < n; r++) UNROLL for (int v = 0; v < DOT_LANES / VL; v++) acc[r][v] = (vec){};
    int64_t p = 0;
    for (; p + DOT_LANES <= k; p += DOT_LANES)
        UNROLL for (int v = 0; v < DOT_LANES / VL; v++) {
            const vec t = vload(x + p + v * VL);
            UNROLL for (int r = 0; r < n; r++) acc[r][v] = vfma(vload(a + r * rsa + p + v * VL), t, acc[r][v]);
        }
    UNROLL for (int v = 0; v < DOT_LANES / VL; v++, p += VL) {
        if (p >= k) break;
        const int some = k - p < VL ? (int)(k - p) : VL;
        const ivec mask = first_lanes(some);
        const vec t = load_some(x + p, mask, some);
        UNROLL for (int r = 0; r < n; r++)
            acc[r][v] = vselect(mask, vfma(load_some(a + r * rsa + p, mask, some), t, acc[r][v]), acc[r][v]);
    }
    UNROLL for (int r = 0; r < n; r++) {
        UNROLL for (int w = DOT_LANES / VL / 2; w > 0; w /= 2)
            UNROLL for (int v = 0; v < w; v++) acc[r][v] += acc[r][v + w];
        vstore(part[r], acc[r][0]);
    }
}

/* VL rows of at most 32 elements: squares of A are turned in registers, each of whose columns is a lane.
 * a (m, k) rows rsa apart, x (k), y (m). */
static void dot_short(int64_t m, int64_t k, const T *a, int64_t rsa, const T *x, T *y) {
    enum { GROUPS = DOT_LANES / VL };
    const int groups = (int)((k + VL - 1) / VL);
    const T *const end = a + (m - 1) * rsa + k;
    for (; m > 0; m -= VL, a += VL * rsa, y += VL) {
        const int n = m < VL ? (int)m : VL;
        T copy[VL][DOT_LANES];
        const T *at[VL];
        vec r[VL], lane[GROUPS][VL];
        row_starts(at, a, rsa, n);
        if (k % VL && end - at[VL - 1] < groups * VL) { /* nothing can be read behind the last row */
            for (int i = 0; i < n; i++) memcpy(copy[i], at[i], k * sizeof(T));
            row_starts(at, copy[0], DOT_LANES, n);
        }
        for (int g = 0; g < groups; g++) {
            load_square(r, at, g * VL);
            UNROLL for (int i = 0; i < VL; i++)
                lane[g][i] = g * VL + i < k ? vfma(r[i], vset(x[g * VL + i]), (vec){}) : (vec){};
        }
        for (int w = GROUPS / 2; w > 0; w /= 2)
            for (int g = 0; g < w && g + w < groups; g++)
                UNROLL for (int i = 0; i < VL; i++) lane[g][i] += lane[g + w][i];
        UNROLL for (int w = VL / 2; w > 0; w /= 2) UNROLL for (int i = 0; i < w; i++) lane[0][i] += lane[0][i + w];
        if (k < DOT_LANES) lane[0][0] += (vec){}; /* there are lanes of zero: no sum is -0 */
        if (n == VL) vstore(y, lane[0][0]);
        else vstore_part(y, lane[0][0], n);
    }
}

/* nv vectors of rows times x, where columns of A are contiguous, csa apart: lanes 0, 8, 16 and 24, of which each has a
 * row of `lane`. They are added to if add, folded into the first of the four if last. With fewer rows than a vector
 * holds, `some` of them. */
INLINE void quad(const int nv, int64_t k, const T *a, int64_t csa, const T *x, T *lane, int64_t width, int add,
                 int last, int some, int64_t ahead) {
    vec acc[4][2];
    const ivec mask = first_lanes(some);
    UNROLL for (int l = 0; l < 4; l++)
        UNROLL for (int v = 0; v < nv; v++) acc[l][v] = add ? vload(lane + l * 8 * width + v * VL) : (vec){};
#define LANE(l)                                                                                                \
    {                                                                                                          \
        const T *from = a + (l) * 8 * csa;                                                                     \
        const vec t = vset(x[(l) * 8]);                                                                        \
        UNROLL for (int v = 0; v < nv; v++) {                                                                  \
            if (v % (LINE / VL) == 0) __builtin_prefetch(from + v * VL + ahead, 0, 2);                         \
            acc[l][v] = vfma(nv == 1 ? load_some(from, mask, some) : vload(from + v * VL), t, acc[l][v]);      \
        }                                                                                                      \
    }
    for (; k > 24; k -= DOT_LANES, a += DOT_LANES * csa, x += DOT_LANES) UNROLL for (int l = 0; l < 4; l++) LANE(l)
    UNROLL for (int l = 0; l < 3; l++)
        if (k > l * 8) LANE(l)
#undef LANE
    UNROLL for (int v = 0; v < nv; v++) {
        if (last) vstore(lane + v * VL, (acc[0][v] + acc[2][v]) + (acc[1][v] + acc[3][v]));
        else UNROLL for (int l = 0; l < 4; l++) vstore(lane + l * 8 * width + v * VL, acc[l][v]);
    }
}

/* n rows times x, where columns of A are contiguous.  lane (32, width), width >= n in whole pairs of vectors. PIECE
 * columns are read side by side, eight apart: as far as memory likes to read on, and no more than it can follow. What
 * is asked for lies further down the column, or, if columns are short, in the next one. */
enum { PIECE = 128 };
static void dot_columns(int64_t n, int64_t k, const T *a, int64_t csa, const T *x, T *y, T *lane, int64_t width) {
    const int nv = n < 2 * VL ? 1 : 2, some = n < VL ? (int)n : VL;
    for (int64_t p = 0; p < k; p += PIECE)
        for (int q = 0; q < 8; q++) {
            const int64_t ahead = n * (int64_t)sizeof(T) > 1024 ? 4 * LINE : q < 7 ? csa : (PIECE - 7) * csa;
            for (int64_t j = 0; j < n; j += nv * VL) {
                const int64_t i = j + nv * VL <= n || n < VL ? j : n - nv * VL; /* the last two may overlap */
                const int64_t left = (k - p < PIECE ? k - p : PIECE) - q;
                const T *from = a + (p + q) * csa + i, *at = x + p + q;
                T *to = lane + q * width + j;
                if (nv == 1) quad(1, left, from, csa, at, to, width, p > 0, p + PIECE >= k, some, ahead);
                else quad(2, left, from, csa, at, to, width, p > 0, p + PIECE >= k, VL, ahead);
            }
        }
    for (int64_t j = 0; j < n; j += nv * VL)
        for (int v = 0; v < nv; v++) {
            vec t[8];
            UNROLL for (int q = 0; q < 8; q++) t[q] = vload(lane + q * width + j + v * VL);
            UNROLL for (int w = 4; w > 0; w /= 2) UNROLL for (int q = 0; q < w; q++) t[q] += t[q + w];
            if (n < VL) vstore_part(y, t[0], some);
            else vstore(y + (j + nv * VL <= n ? j : n - nv * VL) + v * VL, t[0]);
        }
}

/* Of long rows, the last steps of the tree are done for VL at once. */
static void dots(int64_t m, int64_t k, const void *a_, int64_t rsa, int64_t csa, const void *x, void *y_, void *lanes) {
    enum { RUN = MTB_DOT_RUN / sizeof(T) };
    const T *a = a_;
    T *y = y_;
    if (csa != 1) {
        const int64_t width = m < RUN ? (m + 2 * VL - 1) / (2 * VL) * (2 * VL) : RUN;
        for (int64_t i = 0; i < m; i += RUN)
            dot_columns(m - i < RUN ? m - i : RUN, k, a + i, csa, x, y + i, lanes, width);
        return;
    }
    if (m > 1 && k <= DOT_LANES) {
        dot_short(m, k, a, rsa, x, y);
        return;
    }
    for (; m > 0; m -= VL, a += VL * rsa, y += VL) {
        T part[VL][VL];
        const T *at[VL];
        vec r[VL];
        int i = 0;
        for (; i + DOT_ROWS <= m && i < VL; i += DOT_ROWS) dot_rows(DOT_ROWS, k, a + i * rsa, rsa, x, part + i);
        for (; DOT_ROWS > 1 && i < m && i < VL; i++) dot_rows(1, k, a + i * rsa, rsa, x, part + i);
        row_starts(at, part[0], VL, i);
        load_square(r, at, 0);
        UNROLL for (int w = VL / 2; w > 0; w /= 2) UNROLL for (int l = 0; l < w; l++) r[l] += r[l + w];
        if (m >= VL) vstore(y, r[0]);
        else vstore_part(y, r[0], (int)m);
    }
}
#endif
