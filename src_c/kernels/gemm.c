/* gemm.c: matrix product in registers: tiles of C over one K block, packing of panels, and dot products. */
#include "../kernel.h"

#include "../square.h"

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
enum { NR = 2 * VL, WIDEST = 8, LINE = 64 / sizeof(T), SHORT_K = 64 };

typedef void tile_fn(int64_t k, const T *a, int64_t rsa, int64_t csa, const T *b, int64_t ldb, T *c, int64_t ldc,
                     int add);

/* One tile: m rows by nv vectors of C over one block of K, `by` steps of it in one turn of the loop.
 * a (m, k) with strides rsa and csa, b (k, nv * VL) rows ldb apart, c (m, nv * VL) rows ldc apart; m, nv and by are
 * literals. Reads A and B once, C once if add; writes C once. Each turn asks for one line of `next` unless NULL. */
INLINE void tile(const int m, const int nv, const int by, int64_t k, const T *a, int64_t rsa, int64_t csa, const T *b,
                 int64_t ldb, T *c, int64_t ldc, int add, const T *next) {
    vec acc[MR][WIDEST];
    const T *row3[(MR + 2) / 3];  /* each third row's address: the other two are one or two row strides further */
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int v = 0; v < nv; v++) acc[i][v] = (vec){};
    UNROLL for (int i = 0; i < m; i += 3) row3[i / 3] = a + i * rsa;
#define STEP(u)                                                                             \
    {                                                                                       \
        vec row[WIDEST];                                                                    \
        UNROLL for (int v = 0; v < nv; v++) row[v] = vload(b + (u) * ldb + v * VL);         \
        UNROLL for (int i = 0; i < m; i++) {                                                \
            vec x = vset(row3[i / 3][i % 3 * rsa + (u) * csa]);                             \
            UNROLL for (int v = 0; v < nv; v++) acc[i][v] = vfma(x, row[v], acc[i][v]);     \
        }                                                                                   \
    }
    for (; by > 1 && k >= by; k -= by) {
        if (next) __builtin_prefetch(next, 0, 2), next += LINE;
        UNROLL for (int u = 0; u < by; u++) STEP(u)
        UNROLL for (int i = 0; i < m; i += 3) row3[i / 3] += by * csa;
        b += by * ldb;
    }
    for (; k > 0; k--) { /* what lies beside a row of B is read next, unless it was packed: the ends of its lines, as
                          * the first may be in a line that is here already */
        UNROLL for (int v = 0; by == 1 && v < nv; v += LINE / VL) __builtin_prefetch(b + (nv + v) * VL + LINE - 1);
        STEP(0)
        UNROLL for (int i = 0; i < m; i += 3) row3[i / 3] += csa;
        b += ldb;
    }
#undef STEP
    if (add)
        UNROLL for (int i = 0; i < m; i++)
            UNROLL for (int v = 0; v < nv; v++) acc[i][v] = vload(c + i * ldc + v * VL) + acc[i][v];
    UNROLL for (int i = 0; i < m; i++)
        UNROLL for (int v = 0; v < nv; v++) vstore(c + i * ldc + v * VL, acc[i][v]);
}

#define TILE(name, m, nv)                                                                                            \
    static void name(int64_t k, const T *a, int64_t rsa, int64_t csa, const T *b, int64_t ldb, T *c, int64_t ldc,     \
                     int add) {                                                                                      \
        tile(m, nv, 1, k, a, rsa, csa, b, ldb, c, ldc, add, NULL);                                                   \
    }
#define NARROW_AND_FULL(m) TILE(tile_##m##x1, m, 1) TILE(tile_##m##x2, m, 2)
TILES(NARROW_AND_FULL)
/* With few rows, more columns keep enough chains in flight to hide the latency of a multiply-add. */
TILE(tile_1x8, 1, 8)
TILE(tile_2x4, 2, 4)

#define X(m) {tile_##m##x1, tile_##m##x2},
static tile_fn *const tiles[MR][2] = {TILES(X)};
#undef X

/* A full tile of packed operands: where large products spend their time. */
enum { STEPS = 4 };
static __attribute__((noinline)) void tile_packed(int64_t k, const T *a, const T *b, T *c, int64_t ldc, int add) {
    tile(MR, 2, STEPS, k, a, 1, MR, b, NR, c, ldc, add, NULL);
}
static __attribute__((noinline)) void tile_fetching(int64_t k, const T *a, const T *b, T *c, int64_t ldc, int add,
                                                    const T *next) {
    tile(MR, 2, STEPS, k, a, 1, MR, b, NR, c, ldc, add, next);
}

/* The bias, after the last block. */
static void add_bias(int64_t m, int64_t n, T *c, int64_t ldc, const T *bias_n, const T *bias_m) {
    for (int64_t i = 0; i < m; i++, c += ldc) {
        int64_t j = 0;
        for (; j + VL <= n; j += VL)
            vstore(c + j, vload(c + j) + (bias_n ? vload(bias_n + j) : vset(bias_m[i])));
        for (; j < n; j++) c[j] += bias_n ? bias_n[j] : bias_m[i];
    }
}

/* The columns that do not fill the vectors of a tile: from a copy of the tile into C. What is less than a vector is
 * moved by two halves (or quarters, ...) that may overlap. */
#define PARTS_OF(bytes)                                                                             \
    if (left >= (int)((bytes) / sizeof(T))) {                                                       \
        typedef T part __attribute__((vector_size(bytes), aligned(sizeof(T)), may_alias));          \
        const int64_t shift = left - (int)((bytes) / sizeof(T));                                    \
        for (int64_t i = 0; i < m; i++, t += ldt, c += ldc) {                                       \
            part x = *(const part *)t, y = *(const part *)(t + shift);                              \
            if (add) x = *(const part *)c + x, y = *(const part *)(c + shift) + y;                  \
            *(part *)c = x, *(part *)(c + shift) = y;                                               \
        }                                                                                           \
        return;                                                                                     \
    }
static void merge(int64_t m, int64_t n, const T *t, int64_t ldt, T *c, int64_t ldc, int add) {
    int64_t left = n % VL;
    for (int64_t i = 0; n >= VL && i < m; i++)
        for (int64_t j = 0; j + VL <= n; j += VL) {
            const vec x = vload(t + i * ldt + j);
            vstore(c + i * ldc + j, add ? vload(c + i * ldc + j) + x : x);
        }
    t += n - left, c += n - left;
#if VBYTES > 32
    PARTS_OF(32)
#endif
#if VBYTES > 16
    PARTS_OF(16)
#endif
#if MTB_T_f32
    PARTS_OF(8)
#endif
    for (int64_t i = 0; left && i < m; i++, t += ldt, c += ldc) *c = add ? *c + *t : *t;
}

/* C strip: m <= MR rows by n columns, one K block.  a (m, k), b (k, n up to a whole vector), c (m, n).  B read once. */
static void strip(int64_t m, int64_t n, int64_t k, const void *a, int64_t rsa, int64_t csa, const void *b_,
                  int64_t ldb, void *c_, int64_t ldc, int add, const void *bias_n, const void *bias_m) {
    const T *b = b_;
    T *c = c_, edge[MR * NR];
    for (int64_t nv, left = n; left > 0;) {
        tile_fn *f;
        if (m == 1 && left >= 8 * VL) {
            f = tile_1x8, nv = 8;
        } else if (m == 2 && left >= 4 * VL) {
            f = tile_2x4, nv = 4;
        } else {
            nv = left > VL ? 2 : 1;
            f = tiles[m - 1][nv - 1];
        }
        int64_t w = nv * VL;
        if (left < w) {
            f(k, a, rsa, csa, b, ldb, edge, w, 0);
            merge(m, left, edge, w, c, ldc, add);
        } else if (m == MR && csa == MR && rsa == 1 && ldb == NR && nv == 2) {
            tile_packed(k, a, b, c, ldc, add);
        } else {
            f(k, a, rsa, csa, b, ldb, c, ldc, add);
        }
        left -= w, b += w, c += w;
    }
    if (bias_n) add_bias(m, n, c_, ldc, bias_n, NULL);
    if (bias_m) add_bias(m, n, c_, ldc, NULL, bias_m);
}

/* C block: m rows in tiles of `step` by n columns, one K block; B in packed panels.  With a short K, C is most of the
 * traffic and is written row by row; else each panel of B stays in the first-level cache while all tiles use it, and
 * the first few of them fetch the next one, a line at a time: 256 at once would hold up the loads of A. A tile of C is
 * asked for when its sums begin, and is there when they are done. */
static void block(int64_t m, int64_t step, int64_t n, int64_t k, const void *a_, int64_t a_step, int64_t rsa,
                  int64_t csa, const void *b_, void *c_, int64_t ldc, int add, const void *bias_n) {
    const T *a = a_, *b = b_, *bias = bias_n;
    T *c = c_;
    const int64_t down = (m + step - 1) / step, right = (n + NR - 1) / NR;
    const int by_rows = k <= SHORT_K, packed = step == MR && csa == MR && rsa == 1;
    for (int64_t outer = 0; outer < (by_rows ? down : right); outer++)
        for (int64_t inner = 0; inner < (by_rows ? right : down); inner++) {
            const int64_t i = by_rows ? outer : inner, j = by_rows ? inner : outer;
            const int64_t rows = i < down - 1 ? step : m - i * step, columns = j < right - 1 ? NR : n - j * NR;
            const T *panel = b + j * NR * k;
            T *at = c + i * step * ldc + j * NR;
            if (packed && rows == MR && columns == NR) {
                for (int r = 0; r < MR; r++)
                    __builtin_prefetch(at + r * ldc, 0, 2), __builtin_prefetch(at + r * ldc + NR - 1, 0, 2);
                if (!by_rows && i < NR * STEPS / LINE && j < right - 1)
                    tile_fetching(k, a + i * a_step, panel, at, ldc, add, panel + NR * k + i * (k / STEPS * LINE));
                else
                    tile_packed(k, a + i * a_step, panel, at, ldc, add);
                if (bias) add_bias(MR, NR, at, ldc, bias + j * NR, NULL);
            } else {
                strip(rows, columns, k, a + i * a_step, rsa, csa, panel, NR, at, ldc, add,
                      bias ? bias + j * NR : NULL, NULL);
            }
        }
}

/* k rows of nv vectors, from rows sk apart to rows width apart. What the next panel is made of lies beside them; no
 * hardware follows so many streams, or steps so long. */
INLINE void copy_rows(const int nv, T *dst, int64_t width, const T *src, int64_t sk, int64_t k) {
    for (; k > 0; k--, src += sk, dst += width) {
        __builtin_prefetch(src + 2 * nv * VL - 1, 0, 2);
        UNROLL for (int v = 0; v < nv; v++) vstore(dst + v * VL, vload(src + v * VL));
    }
}

/* The same for contiguous columns sj apart, if they fill a square; the rows that were done. */
static __attribute__((noinline)) int64_t transpose_rows(T *dst, int64_t width, const T *src, int64_t sj, int64_t n,
                                                        int64_t k) {
    if (k < VL) return 0;
    for (int64_t j = (n - 1) / VL * VL; j >= 0; j -= VL) {
        const T *at[VL];
        row_starts(at, src + j * sj, sj, n - j);
        for (int64_t q = 0; q < k; q += VL) {
            const int64_t p = q + VL <= k ? q : k - VL; /* the last square may overlap the one before */
            vec r[VL];
            if (q % LINE == 0)
                UNROLL for (int i = 0; i < VL; i++) __builtin_prefetch(at[i] + p + width * sj, 0, 2);
            load_square(r, at, p);
            UNROLL for (int i = 0; i < VL; i++) vstore(dst + (p + i) * width + j, r[i]);
        }
    }
    return k;
}

/* Packs a panel.  src (k, n) any strides, dst (k, width) contiguous.  Reads and writes each element once.
 * Whole vectors are stored, in such an order that what one writes past its row is overwritten by a later one. */
static void pack(void *dst_, int64_t width, const void *src_, int64_t sj, int64_t n, int64_t sk, int64_t k) {
    T *dst = dst_;
    const T *src = src_;
    int64_t done = 0;
    if (sj == 1 && width <= 2 * VL) {
        const int64_t size = (k - 1) * sk + n, wide = width > VL ? 2 * VL : VL;
        if (size >= wide) done = sk ? (size - wide) / sk + 1 : k;  /* rows behind which whole vectors can be read */
        if (done > k) done = k;
        if (width > VL) copy_rows(2, dst, width, src, sk, done);
        else copy_rows(1, dst, width, src, sk, done);
    } else if (sk == 1) {
        done = transpose_rows(dst, width, src, sj, n, k);
    }
    for (dst += done * width, src += done * sk; done < k; done++, dst += width, src += sk)
        for (int64_t j = 0; j < width; j++) dst[j] = src[(j < n ? j : n - 1) * sj];
}

/* One row of C, for B with contiguous columns: n columns, one K block.  a (k), b (n, k) rows sj apart, c (n).
 * Each column of C is one lane: squares of B are transposed in registers and used at once, a few squares side by side
 * to hide the latency of a multiply-add.  Reads B once, and asks for what comes in each row: that many streams, and
 * their short runs, are more than the hardware follows; more than 16 keep each other out of the first-level cache. */
static void row(int64_t n, int64_t k, const void *a_, int64_t sa, const void *b_, int64_t sj, void *c_, int add,
                const void *bias) {
    enum { SQUARES = VL < 16 ? 16 / VL : 1 };
    const T *a = a_, *b = b_;
    T *c = c_, edge[SQUARES * VL];
    for (int64_t j = 0, left; (left = n - j) > 0; j += SQUARES * VL, b += SQUARES * VL * sj) {
        const int squares = left >= SQUARES * VL ? SQUARES : (int)((left + VL - 1) / VL);
        const T *at[SQUARES][VL];
        vec sum[SQUARES], r[VL];
        int64_t p = 0;
        for (int s = 0; s < squares; s++) sum[s] = (vec){}, row_starts(at[s], b + s * VL * sj, sj, left - s * VL);
        for (int64_t end; p + VL <= k; p = end) {
            end = p + LINE <= k ? p + LINE : k / VL * VL;
            for (int s = 0; s < squares; s++) { /* a whole line of each row: where rows lie 4 KB apart, 16 of them would
                                                 * not wait for one another in the first-level cache */
                vec t = sum[s];
                UNROLL for (int i = 0; i < VL; i++) __builtin_prefetch(at[s][i] + p + 4 * LINE);
                for (int64_t q = p; q < end; q += VL) {
                    load_square(r, at[s], q);
                    UNROLL for (int i = 0; i < VL; i++) t = vfma(vset(a[(q + i) * sa]), r[i], t);
                }
                sum[s] = t;
            }
        }
        for (int s = 0; s < squares; s++) vstore(edge + s * VL, sum[s]);
        for (; p < k; p++)
            for (int s = 0; s < squares; s++)
                for (int i = 0; i < VL; i++) edge[s * VL + i] = sfma(a[p * sa], at[s][i][p], edge[s * VL + i]);
        merge(1, left < SQUARES * VL ? left : SQUARES * VL, edge, VL, c + j, 0, add);
    }
    if (bias) add_bias(1, n, c_, 0, bias, NULL);
}

/* c = blocks in order, after c if add, then + bias.  Reads the blocks once. */
static void total(int64_t n, int64_t count, const void *blocks_, int64_t step, void *c_, int add, const void *bias_,
                  int64_t bias_step) {
    const T *blocks = blocks_, *bias = bias_;
    T *c = c_;
    int64_t j = 0;
    for (; j + VL <= n; j += VL) {
        vec t = add ? vload(c + j) + vload(blocks + j) : vload(blocks + j);
        for (int64_t i = 1; i < count; i++) t += vload(blocks + i * step + j);
        if (bias) t += bias_step ? vload(bias + j) : vset(*bias);
        vstore(c + j, t);
    }
    for (; j < n; j++) {
        T t = add ? c[j] + blocks[j] : blocks[j];
        for (int64_t i = 1; i < count; i++) t += blocks[i * step + j];
        c[j] = bias ? t + bias[j * bias_step] : t;
    }
}

#include "../dots.h"

extern const mtb_gemm TABLE(gemm);
const mtb_gemm TABLE(gemm) = {
    .mr = MR, .nr = NR, .vl = VL, .strip = strip, .block = block, .pack = pack, .row = row, .dots = dots,
    .total = total,
};
