/* gemm.c: matrix product in registers: a strip of C tiles over one K block, packing of panels, and long dots. */
#include "../kernel.h"

#define INLINE static inline __attribute__((always_inline))

/* Rows of the register tile; with two vectors of columns each, the accumulators leave room for one row of B and one
 * element of A: 24 of 32 registers, or 12 of 16. */
#if VBYTES == 64 || defined(__aarch64__)
#define MR 12
#define TILES(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#elif VBYTES == 32
#define MR 6
#define TILES(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define MR 4
#define TILES(X) X(1) X(2) X(3) X(4)
#endif
enum { NR = 2 * VL, WIDEST = 8, AHEAD = 512 / sizeof(T) };

typedef void tile_fn(int64_t k, const char *a, int64_t down, int64_t right, const T *b, int64_t ldb, T *c, int64_t ldc,
                     int add, const T *bias_n, const T *bias_m);

/* One tile: m rows by nv vectors of C over one block of K.
 * a (m, k) with its strides down and right in bytes, b (k, nv * VL) rows ldb apart, c (m, nv * VL) rows ldc apart; m
 * and nv are literals. Reads A and B once, C once if add; writes C once. */
INLINE void tile(const int m, const int nv, int64_t k, const char *a, int64_t down, int64_t right, const T *b,
                 int64_t ldb, T *c, int64_t ldc, int add, const T *bias_n, const T *bias_m) {
    vec acc[MR][WIDEST];
    const char *row3[(MR + 2) / 3];  /* each third row's address: the other two are one or two row strides further */
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int v = 0; v < nv; v++) acc[i][v] = (vec){};
    UNROLL for (int i = 0; i < m; i += 3) row3[i / 3] = a + i * down;
    for (; k > 0; k--) {
        vec row[WIDEST];
        UNROLL for (int v = 0; v < nv; v++) row[v] = vload(b + v * VL);
        UNROLL for (int i = 0; i < m; i++) {
            vec x = vset(*(const T *)(row3[i / 3] + i % 3 * down));
            UNROLL for (int v = 0; v < nv; v++) acc[i][v] = vfma(x, row[v], acc[i][v]);
        }
        UNROLL for (int i = 0; i < m; i += 3) row3[i / 3] += right;
        b += ldb;
    }
    if (add)
        UNROLL for (int i = 0; i < m; i++)
            UNROLL for (int v = 0; v < nv; v++) acc[i][v] = vload(c + i * ldc + v * VL) + acc[i][v];
    if (bias_n)
        UNROLL for (int i = 0; i < m; i++)
            UNROLL for (int v = 0; v < nv; v++) acc[i][v] = acc[i][v] + vload(bias_n + v * VL);
    if (bias_m)
        UNROLL for (int i = 0; i < m; i++)
            UNROLL for (int v = 0; v < nv; v++) acc[i][v] = acc[i][v] + vset(bias_m[i]);
    UNROLL for (int i = 0; i < m; i++)
        UNROLL for (int v = 0; v < nv; v++) vstore(c + i * ldc + v * VL, acc[i][v]);
}

#define TILE(name, m, nv)                                                                                       \
    static void name(int64_t k, const char *a, int64_t down, int64_t right, const T *b, int64_t ldb, T *c,      \
                     int64_t ldc, int add, const T *bias_n, const T *bias_m) {                                  \
        tile(m, nv, k, a, down, right, b, ldb, c, ldc, add, bias_n, bias_m);                                    \
    }
#define NARROW_AND_FULL(m) TILE(tile_##m##x1, m, 1) TILE(tile_##m##x2, m, 2)
TILES(NARROW_AND_FULL)
/* With few rows, more columns keep enough chains in flight to hide the latency of a multiply-add. */
TILE(tile_1x8, 1, 8)
TILE(tile_2x4, 2, 4)

#define X(m) {tile_##m##x1, tile_##m##x2},
static tile_fn *const tiles[MR][2] = {TILES(X)};
#undef X

/* The columns that do not fill a vector: from a tile's copy into C, in the same order of additions as the tile's own.
 * */
static void merge(int64_t m, int64_t n, const T *t, int64_t ldt, T *c, int64_t ldc, int add,
                  const T *bias_n, const T *bias_m) {
    for (int64_t i = 0; i < m; i++, t += ldt, c += ldc)
        for (int64_t j = 0; j < n; j++) {
            T s = t[j];
            if (add) s = c[j] + s;
            if (bias_n) s = s + bias_n[j];
            if (bias_m) s = s + bias_m[i];
            c[j] = s;
        }
}

/* C strip: m <= MR rows by n columns, one K block.  a (m, k), b (k, n up to a whole vector), c (m, n).  B read once. */
static void strip(int64_t m, int64_t n, int64_t k, const void *a, int64_t rsa, int64_t csa, const void *b_,
                  int64_t ldb, void *c_, int64_t ldc, int add, const void *bias_n_, const void *bias_m) {
    const T *b = b_, *bias_n = bias_n_;
    T *c = c_, edge[MR * NR];
    const int64_t down = rsa * (int64_t)sizeof(T), right = csa * (int64_t)sizeof(T);
    for (int64_t nv; n > 0;) {
        tile_fn *f;
        if (m == 1 && n >= 8 * VL) {
            f = tile_1x8, nv = 8;
        } else if (m == 2 && n >= 4 * VL) {
            f = tile_2x4, nv = 4;
        } else {
            nv = n > VL ? 2 : 1;
            f = tiles[m - 1][nv - 1];
        }
        int64_t w = nv * VL;
        if (n < w) {
            f(k, a, down, right, b, ldb, edge, w, 0, NULL, NULL);
            merge(m, n, edge, w, c, ldc, add, bias_n, bias_m);
            return;
        }
        f(k, a, down, right, b, ldb, c, ldc, add, bias_n, bias_m);
        n -= w, b += w, c += w;
        if (bias_n) bias_n += w;
    }
}

/* Transposes VL vectors in registers: swaps blocks of 1, 2, 4, ... across the diagonal. */
#define LOW(l, s) ((l) & (s) ? VL + (l) - (s) : (l))
#define HIGH(l, s) ((l) & (s) ? VL + (l) : (l) + (s))
#define LIST2(F, s) F(0, s), F(1, s)
#define LIST4(F, s) LIST2(F, s), F(2, s), F(3, s)
#define LIST8(F, s) LIST4(F, s), F(4, s), F(5, s), F(6, s), F(7, s)
#define LIST16(F, s) LIST8(F, s), F(8, s), F(9, s), F(10, s), F(11, s), F(12, s), F(13, s), F(14, s), F(15, s)
#define SWAP(s, LIST)                                               \
    UNROLL for (int i = 0; i < VL; i++) if (!(i & s)) {             \
        const vec x = r[i], y = r[i + s];                           \
        r[i] = __builtin_shuffle(x, y, (ivec){LIST(LOW, s)});       \
        r[i + s] = __builtin_shuffle(x, y, (ivec){LIST(HIGH, s)});  \
    }
INLINE void transpose(vec *r) {
#if MTB_T_f32 && VBYTES == 64
    SWAP(1, LIST16) SWAP(2, LIST16) SWAP(4, LIST16) SWAP(8, LIST16)
#elif MTB_T_f32 ? VBYTES == 32 : VBYTES == 64
    SWAP(1, LIST8) SWAP(2, LIST8) SWAP(4, LIST8)
#elif MTB_T_f32 || VBYTES == 32
    SWAP(1, LIST4) SWAP(2, LIST4)
#else
    SWAP(1, LIST2)
#endif
}

/* Where n <= VL rows of a matrix start, sj apart; the last one again for the rest. */
INLINE void row_starts(const T **at, const T *src, int64_t sj, int64_t n) {
    UNROLL for (int j = 0; j < VL; j++) at[j] = src + (j < n ? j : n - 1) * sj;
}

/* Columns p to p + VL of those rows: r[i][j] = at[j][p + i]. Rows are too many streams for the hardware to prefetch. */
INLINE void load_square(vec *r, const T *const *at, int64_t p) {
    UNROLL for (int j = 0; j < VL; j++) r[j] = vload(at[j] + p);
    if (p % (128 / (int)sizeof(T)) == 0)
        UNROLL for (int j = 0; j < VL; j++) __builtin_prefetch(at[j] + p + AHEAD, 0, 2);
    transpose(r);
}

/* Packs a panel.  src (k, n) any strides, dst (k, width) contiguous.  Reads and writes each element once.
 * Whole vectors are stored, in such an order that what one writes past its row is overwritten by a later one. */
static __attribute__((noinline)) void pack(void *dst_, int64_t width, const void *src_, int64_t sj, int64_t n,
                                           int64_t sk, int64_t k) {
    T *dst = dst_;
    const T *src = src_;
    int64_t p = 0;
    if (sj == 1) {
        const int64_t size = (k - 1) * sk + n;  /* elements of src, from its first to its last */
        for (; p < k; p++, dst += width)
            for (int64_t j = 0; j < width; j += VL) {
                const int64_t at = p * sk + j;
                if (at + VL <= size) vstore(dst + j, vload(src + at));
                else vstore(dst + j, j < n ? vload_part(src + at, (int)(size - at), 0) : (vec){});
            }
        return;
    }
    if (sk == 1)
        for (int64_t j = (width - 1) / VL * VL; j >= 0; j -= VL) {
            const int64_t first = j < n ? j : n - 1;
            const T *at[VL];
            row_starts(at, src + first * sj, sj, n - first);
            for (p = 0; p + VL <= k; p += VL) {
                vec r[VL];
                load_square(r, at, p);
                UNROLL for (int i = 0; i < VL; i++) vstore(dst + (p + i) * width + j, r[i]);
            }
        }
    for (; p < k; p++)
        for (int64_t j = 0; j < width; j++) dst[p * width + j] = src[p * sk + (j < n ? j : n - 1) * sj];
}

/* One row of C, for B with contiguous columns: n columns, one K block.  a (k), b (n, k) rows sj apart, c (n).
 * Each column of C is one lane: squares of B are transposed in registers and used at once.  Reads B once. */
static void row(int64_t n, int64_t k, const void *a_, int64_t sa, const void *b_, int64_t sj, void *c_, int add,
                const void *bias_n_) {
    const T *a = a_, *b = b_, *bias_n = bias_n_;
    T *c = c_, edge[VL];
    for (int64_t j = 0; j < n; j += VL, b += VL * sj) {
        vec sum = (vec){}, r[VL];
        const int64_t left = n - j;
        int64_t p = 0;
        const T *at[VL];
        row_starts(at, b, sj, left);
        for (; p + VL <= k; p += VL) {
            load_square(r, at, p);
            UNROLL for (int i = 0; i < VL; i++) sum = vfma(vset(a[(p + i) * sa]), r[i], sum);
        }
        for (; p < k; p++) {
            for (int i = 0; i < VL; i++) edge[i] = at[i][p];
            sum = vfma(vset(a[p * sa]), vload(edge), sum);
        }
        vstore(edge, sum);
        merge(1, left < VL ? left : VL, edge, VL, c + j, 0, add, bias_n ? bias_n + j : NULL, NULL);
    }
}

/* Dot products of the K blocks of a and b: a chain of additions each, VL of them side by side.  Reads a and b once. */
static void dots(int64_t k, const void *a_, int64_t sa, const void *b_, int64_t sb, void *sums_) {
    const T *a = a_, *b = b_;
    T *sums = sums_, pa[MTB_KC * VL + VL], pb[MTB_KC * VL + VL], lane[VL];
    for (int64_t left; k >= MTB_KC; k -= left * MTB_KC, a += left * MTB_KC * sa, b += left * MTB_KC * sb) {
        vec sum = (vec){};
        left = k / MTB_KC < VL ? k / MTB_KC : VL;
        if (sa == 1 && sb == 1) {
            const T *at[VL], *bt[VL];
            row_starts(at, a, MTB_KC, left), row_starts(bt, b, MTB_KC, left);
            for (int64_t p = 0; p < MTB_KC; p += VL) {
                vec ra[VL], rb[VL];
                load_square(ra, at, p), load_square(rb, bt, p);
                UNROLL for (int i = 0; i < VL; i++) sum = vfma(ra[i], rb[i], sum);
            }
        } else {
            pack(pa, VL, a, sa * MTB_KC, left, sa, MTB_KC);
            pack(pb, VL, b, sb * MTB_KC, left, sb, MTB_KC);
            for (int64_t p = 0; p < MTB_KC; p++) sum = vfma(vload(pa + p * VL), vload(pb + p * VL), sum);
        }
        vstore(lane, sum);
        for (int64_t i = 0; i < left; i++) *sums++ = lane[i];
    }
    if (k > 0) *sums = 0;
    for (int64_t p = 0; p < k; p++) *sums = sfma(a[p * sa], b[p * sb], *sums);
}

/* The blocks of a product with m = n = 1, added in order.  Reads them once. */
static void total(int64_t n, const void *sums_, void *c, int add) {
    const T *sums = sums_;
    T t = add ? *(T *)c + sums[0] : sums[0];
    for (int64_t i = 1; i < n; i++) t += sums[i];
    *(T *)c = t;
}

extern const mtb_gemm TABLE(gemm);
const mtb_gemm TABLE(gemm) = {
    .mr = MR, .nr = NR, .vl = VL, .strip = strip, .pack = pack, .row = row, .dots = dots, .total = total,
};
