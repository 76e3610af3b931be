/* winograd.c: the minimal filtering F(4 x 4, 3 x 3): 36 multiplications a tile where the plain sum takes 144; and
 * F(2 x 2, 5 x 5), 36 for 100.
 *
 * After S. Winograd and A. Lavin & S. Gray (Fast algorithms for convolutional neural networks, 2016): polynomials are
 * multiplied by their values at six points. Here these are 0, +-a, +-b and infinity with a = sqrt(1/2), b = sqrt(2):
 * a b = 1 keeps all coefficients between 1/4 and 4, and the error at about twice that of the plain sum in float32, a
 * third of what the usual 0, +-1, +-2 give. All steps are the same for each element, whatever the width of a vector.
 */
#include "../kernel.h"
typedef float T;
#define MTB_T_f32 1
#include "../vec.h"
#include "../square.h"
#include "../api/norm.h"

#define A 0.70710678118654752440f
#define B 1.41421356237309504880f
#define F(factor, x, plus) vfma(vset(factor), x, plus)
enum { LINE = 16 };  /* elements of a line of a cache */
enum { RUN = 8 };  /* tiles beside each other whose columns are transformed together */

/* The six points of n elements. 6 of an input: the values of the polynomials that are 0 at all other points. Fewer, of
 * an output's gradient: the values of their own polynomial; of weights, too, over what an input's values lack. */
INLINE void points_of(const int n, const int weights, vec *o, const vec *d) {
    if (n == 6) {
        const vec ea = F(-2.0f, d[2], d[4]), oa = F(-2.0f, d[1], d[3]);
        const vec eb = F(-0.5f, d[2], d[4]), ob = F(-0.5f, d[1], d[3]);
        o[0] = F(-2.5f, d[2], d[0] + d[4]);
        o[1] = F(A, oa, ea), o[2] = F(-A, oa, ea);
        o[3] = F(B, ob, eb), o[4] = F(-B, ob, eb);
        o[5] = F(-2.5f, d[3], d[1] + d[5]);
        return;
    }
    vec ea = d[0], oa = d[1], eb = d[0], ob = d[1];
    if (n > 2) ea = F(0.5f, d[2], ea), eb = F(2.0f, d[2], eb);
    if (n > 3) oa = F(0.5f, d[3], oa), ob = F(2.0f, d[3], ob);
    if (n > 4) ea = F(0.25f, d[4], ea), eb = F(4.0f, d[4], eb);
    if (weights) {
        ea *= vset(-2.0f / 3), oa *= vset(-2.0f / 3);
        eb *= vset(1.0f / 6), ob *= vset(1.0f / 6);
    }
    o[0] = d[0];
    o[1] = F(A, oa, ea), o[2] = F(-A, oa, ea);
    o[3] = F(B, ob, eb), o[4] = F(-B, ob, eb);
    o[5] = d[n - 1];
}

/* The transpose: n outputs, or gradients of weights, from six points. */
INLINE void from_points(const int n, const int weights, vec *o, const vec *p) {
    vec sa = p[1] + p[2], da = p[1] - p[2], sb = p[3] + p[4], db = p[3] - p[4];
    if (weights) {
        sa *= vset(-2.0f / 3), da *= vset(-2.0f / 3);
        sb *= vset(1.0f / 6), db *= vset(1.0f / 6);
    }
    o[0] = p[0] + sa + sb;
    o[1] = F(B, db, n == 2 ? F(A, da, p[5]) : vset(A) * da);
    if (n > 2) o[2] = F(2.0f, sb, n == 3 ? F(0.5f, sa, p[5]) : vset(0.5f) * sa);
    if (n > 3) o[3] = F(2.0f * B, db, n == 4 ? F(0.5f * A, da, p[5]) : vset(0.5f * A) * da);
    if (n > 4) o[4] = F(4.0f, sb, F(0.25f, sa, p[5]));
}

static __attribute__((noinline)) void load_edge(vec *r, const T *const *at, int64_t offset, const T *end) {
    for (int j = 0; j < VL; j++) {
        const T *p = at[j] + offset;
        r[j] = p + VL <= end ? vload(p) : p < end ? vload_part(p, (int)(end - p), 0) : (vec){};
    }
}

/* VL elements of VL rows, in the order of memory, transposed; nothing is read at `end` or beyond. */
INLINE void load_within(vec *r, const T *const *at, int64_t offset, const T *end) {
    if (likely(at[VL - 1] + offset + VL <= end)) UNROLL for (int j = 0; j < VL; j++) r[j] = vload(at[j] + offset);
    else load_edge(r, at, offset, end);
    transpose(r);
}

INLINE void zero(T *dst, int64_t from, int64_t to) {
    for (; from < to; from++) {
        vstore(dst + from * VL, (vec){});
        __asm__ volatile("" ::: "memory");  /* or the compiler calls memset for a vector or two */
    }
}

/* A part of n planes with zeros around it, channels last: band (rows, columns, VL).  One pass.
 * Whole squares are stored, top to bottom and left to right: what one writes too far a later one overwrites. */
INLINE void load_band_of(T *band, const T *src, int64_t n, const T *end, const mtb_winograd_block *b, int64_t rows,
                         int64_t columns, const int maps) {
    const T *at[VL];
    vec p[MTB_NORM_K0];
    (void)p;
    int64_t lo = b->x < 0 ? -b->x : 0, hi = b->width - b->x;
    if (hi > columns) hi = columns;
    if (lo > hi) lo = hi = 0;
    UNROLL for (int k = 0; k < MTB_NORM_K0 && maps; k++)
        p[k] = n < VL ? vload_part(b->params + k * b->apart, (int)n, 0) : vload(b->params + k * b->apart);
    for (int64_t y = b->y; y < b->y + rows; y++, band += columns * VL) {
        if (y < 0 || y >= b->height || lo == hi) {
            zero(band, 0, columns);
            continue;
        }
        zero(band, 0, lo);
        row_starts(at, src + y * b->width + b->x, b->height * b->width, n);
        for (int64_t x = lo; x < hi; x += VL) {
            vec r[VL];
            /* The planes are too far apart for the processor to foresee the rows below. */
            if ((x - lo) % LINE == 0) UNROLL for (int j = 0; j < VL; j++) __builtin_prefetch(at[j] + x + 2 * b->width);
            load_within(r, at, x, end);
            UNROLL for (int i = 0; i < VL; i++) {
                if (maps) {
                    r[i] = ((r[i] - p[MTB_NORM_HI]) - p[MTB_NORM_LO]) * p[MTB_NORM_SCALE] + p[MTB_NORM_SHIFT];
                    if (b->relu) r[i] = vselect(r[i] <= 0, (vec){}, r[i]);
                }
                vstore(band + (x + i) * VL, r[i]);
            }
        }
        zero(band, hi, columns);
    }
}

static __attribute__((noinline)) void load_band(T *band, const T *src, int64_t n, const T *end,
                                                const mtb_winograd_block *b, int64_t rows, int64_t columns) {
    if (b->params) load_band_of(band, src, n, end, b, rows, columns, 1);
    else load_band_of(band, src, n, end, b, rows, columns, 0);
}

/* Points of one row of tiles: columns first, those of RUN tiles at a time, then rows. Elements are `right` and rows
 * `down` apart in the band. */
INLINE void transform_row(const int size, int64_t step, T *v, int64_t points, int64_t pitch, const T *band,
                          int64_t right, int64_t down, int64_t tiles) {
    vec column[RUN * 4 + 2][6];
    for (int64_t n; tiles > 0; tiles -= n, band += step * n * right) {
        n = tiles < RUN ? tiles : RUN;
        for (int64_t i = 0; i < step * n + size - step; i++) {
            vec d[6];
            UNROLL for (int j = 0; j < size; j++) d[j] = vload(band + i * right + j * down);
            points_of(size, 0, column[i], d);
        }
        for (int64_t t = 0; t < n; t++, v += pitch)
            for (int j = 0; j < 6; j++) {
                vec d[6], o[6];
                UNROLL for (int i = 0; i < size; i++) d[i] = column[step * t + i][j];
                points_of(size, 0, o, d);
                UNROLL for (int i = 0; i < 6; i++) vstore(v + (6 * j + i) * points, o[i]);
            }
    }
}

INLINE void input_n(const int size, T *v, int64_t points, int64_t pitch, const T *src, int64_t n, const T *end,
                    const mtb_winograd_block *b, T *band) {
    const int64_t step = b->step, dy = b->dilation[0], dx = b->dilation[1];
    const int64_t rows = (step * b->rows + size - step) * dy, columns = (step * b->columns + size - step) * dx;
    for (int64_t i = 0; i < b->images; i++, src += b->image) {
        load_band(band, src, n, end, b, rows, columns);
        for (int64_t r = 0; r < b->rows * dy; r++)
            for (int64_t x = 0; x < dx; x++, v += b->columns * pitch)
                transform_row(size, step, v, points, pitch,
                              band + ((r / dy * step * dy + r % dy) * columns + x) * VL, dx * VL, dy * columns * VL,
                              b->columns);
    }
}

/* Points of the tiles of a block, VL channels.  Reads src 1 to 1.5 times, writes 36 / 16 of it. */
static void input(T *v, int64_t points, int64_t pitch, int size, const T *src, int64_t n, const T *end,
                  const mtb_winograd_block *b, T *band) {
    if (size == 6) input_n(6, v, points, pitch, src, n, end, b, band);
    else if (size == 4) input_n(4, v, points, pitch, src, n, end, b, band);
    else input_n(2, v, points, pitch, src, n, end, b, band);
}

/* Exactly n elements. */
INLINE void store_part(T *dst, vec x, int64_t n) {
    T b[VL];
    if (likely(n == VL)) {
        vstore(dst, x);
        return;
    }
    vstore(b, x);
    for (int64_t i = 0; i < n; i++) dst[i] = b[i];
}

/* The inside of the band, (its rows, its columns, VL), to n planes.  One pass. */
static __attribute__((noinline)) void store_band(T *dst, int64_t n, const T *band, const mtb_winograd_block *b) {
    const int64_t plane = b->height * b->width, across = b->step * b->columns * b->dilation[1];
    const int64_t whole = b->x == 0 && b->width <= across, down = b->step * b->rows * b->dilation[0];
    int64_t rows = b->height - b->y, columns = b->width - b->x;
    if (rows > down) rows = down;
    if (columns > across) columns = across;
    dst += b->y * b->width + b->x;
    for (int64_t y = 0; y < rows; y++, dst += b->width, band += across * VL)
        for (int64_t p = 0; p < columns; p += VL) {
            vec r[VL];
            UNROLL for (int i = 0; i < VL; i++) r[i] = vload(band + (p + i) * VL);
            transpose(r);
            /* What goes past the row is overwritten by the next one, if that is ours. */
            const int64_t past = whole && y + 1 < rows ? b->width : 0, left = columns + past - p;
            UNROLL for (int j = 0; j < VL; j++)
                if (j < n) store_part(dst + j * plane + p, r[j], left >= VL ? VL : columns - p);
        }
}

/* The lines that a row of tiles will be stored to, of n planes. */
INLINE void ask_to_write(T *dst, int64_t n, const mtb_winograd_block *b, int64_t rows, int64_t tile_row) {
    int64_t first = b->y + tile_row * rows, last = first + rows < b->height ? first + rows : b->height;
    if (b->columns * b->step * b->dilation[1] < b->width) return;
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = first * b->width; i < last * b->width; i += LINE)
            __builtin_prefetch(dst + j * b->height * b->width + i, 1);
}

INLINE void output_n(const int size, T *dst, int64_t n, const T *m, int64_t points, int64_t pitch, const T *bias,
                     const mtb_winograd_block *b, T *band, char *bad) {
    const vec plus = !bias ? (vec){} : n < VL ? vload_part(bias, (int)n, 0) : vload(bias);
    const int64_t dy = b->dilation[0], dx = b->dilation[1], columns = size * b->columns * dx;
    for (int64_t i = 0; i < b->images; i++, dst += b->image) {
        vec check = {};
        for (int64_t r = 0; r < b->rows * dy; r++) {
            if (r % dy == 0) ask_to_write(dst, n, b, size * dy, r / dy);
            for (int64_t t = 0; t < b->columns * dx; t++, m += pitch) {
                T *to = band + (r / dy * size * dy + r % dy) * columns * VL;
                to += (t % b->columns * size * dx + t / b->columns) * VL;
                vec column[6][4];
                for (int j = 0; j < 6; j++) {
                    vec p[6];
                    UNROLL for (int k = 0; k < 6; k++) p[k] = vload(m + (6 * k + j) * points);
                    from_points(size, 0, column[j], p);
                }
                for (int k = 0; k < size; k++) {
                    vec p[6], o[4];
                    UNROLL for (int j = 0; j < 6; j++) p[j] = column[j][k];
                    from_points(size, 0, o, p);
                    UNROLL for (int j = 0; j < size; j++) {
                        check = vfma(o[j], (vec){}, check);
                        vstore(to + (k * dy * columns + j * dx) * VL, bias ? o[j] + plus : o[j]);
                    }
                }
            }
        }
        store_band(dst, n, band, b);
        T lane[VL];
        vstore(lane, check);
        for (int64_t j = 0; j < n; j++)
            if (lane[j] != 0) bad[i] = 1;  /* never written otherwise: other threads may write it, too */
    }
}

/* Outputs of the tiles of a block from their points, VL channels.  Reads m once, writes 16 / 36 of it. */
static void output(T *dst, int64_t n, const T *m, int64_t points, int64_t pitch, const T *bias,
                   const mtb_winograd_block *b, T *band, char *bad) {
    if (b->step == 4) output_n(4, dst, n, m, points, pitch, bias, b, band, bad);
    else output_n(2, dst, n, m, points, pitch, bias, b, band, bad);
}

INLINE void filter_n(const int size, T *u, int64_t points, int64_t ld, const T *w, int64_t across, int64_t down,
                     int64_t n, int64_t k, const T *end, int flip) {
    enum { MOST = 25 + VL };
    const T *at[VL];
    row_starts(at, w, across, n);
    for (int64_t i = 0; i < k; i++, u += ld) {
        vec g[MOST], half[5][6];
        for (int j = 0; j < size * size; j += VL) {
            vec r[VL];
            load_within(r, at, i * down + j, end);
            UNROLL for (int t = 0; t < VL; t++) g[j + t] = r[t];
        }
        const vec *tap = flip ? g + size * size - 1 : g;
        const int next = flip ? -1 : 1;
        for (int j = 0; j < size; j++, tap += next) {
            vec column[5];
            UNROLL for (int y = 0; y < size; y++) column[y] = tap[y * size * next];
            points_of(size, 1, half[j], column);
        }
        for (int p = 0; p < 6; p++) {
            vec row[5], o[6];
            UNROLL for (int j = 0; j < size; j++) row[j] = half[j][p];
            points_of(size, 1, o, row);
            UNROLL for (int j = 0; j < 6; j++) vstore(u + (6 * p + j) * points, o[j]);
        }
    }
}

/* Points of filters.  Reads w once, writes 36 / 9 or 36 / 25 of it. */
static void filter(T *u, int64_t points, int64_t ld, int size, const T *w, int64_t across, int64_t down, int64_t n,
                   int64_t k, const T *end, int flip) {
    if (size == 3) filter_n(3, u, points, ld, w, across, down, n, k, end, flip);
    else filter_n(5, u, points, ld, w, across, down, n, k, end, flip);
}

INLINE void gradient_n(const int size, T *dw, int64_t n, const T *p, int64_t points, int64_t parts, int64_t part_size,
                       char *bad) {
    vec half[6][5], check = {};
    T out[25][VL], lane[VL];
    for (int j = 0; j < 6; j++) {
        vec s[6];
        UNROLL for (int i = 0; i < 6; i++) s[i] = vload(p + (6 * i + j) * points);
        for (int64_t q = 1; q < parts; q++)
            UNROLL for (int i = 0; i < 6; i++) s[i] += vload(p + q * part_size + (6 * i + j) * points);
        from_points(size, 1, half[j], s);
    }
    for (int i = 0; i < size; i++) {
        vec s[6], o[5];
        UNROLL for (int j = 0; j < 6; j++) s[j] = half[j][i];
        from_points(size, 1, o, s);
        UNROLL for (int j = 0; j < size; j++) {
            check = vfma(o[j], (vec){}, check);
            vstore(out[size * i + j], o[j]);
        }
    }
    vstore(lane, check);
    for (int64_t l = 0; l < n; l++) {
        if (lane[l] != 0) *bad = 1;
        UNROLL for (int t = 0; t < size * size; t++) dw[size * size * l + t] = out[t][l];
    }
}

/* Gradients of filters from their points.  Reads each part once. */
static void gradient(T *dw, int64_t n, int size, const T *p, int64_t points, int64_t parts, int64_t part_size,
                     char *bad) {
    if (size == 3) gradient_n(3, dw, n, p, points, parts, part_size, bad);
    else gradient_n(5, dw, n, p, points, parts, part_size, bad);
}

/* The products of all points.  Reads a panel of B from the first-level cache for all rows of A. */
static void multiply(const mtb_gemm *gemm, int64_t rows, int64_t n, int64_t k, const T *a, int64_t a_points,
                     int64_t rsa, int64_t csa, const T *b, int64_t b_points, int64_t b_panel, int64_t ldb, T *c,
                     int64_t c_points, int64_t ldc, int add) {
    const int64_t tiles = (rows + gemm->mr - 1) / gemm->mr, step = (rows + tiles - 1) / tiles;
    for (int p = 0; p < 36; p++, a += a_points, b += b_points, c += c_points)
        for (int64_t q = 0; q < k; q += MTB_WINOGRAD_K)
            for (int64_t j = 0; j < n; j += gemm->nr)
                for (int64_t i = 0; i < rows; i += step)
                    gemm->strip(rows - i < step ? rows - i : step, n - j < gemm->nr ? n - j : gemm->nr,
                                k - q < MTB_WINOGRAD_K ? k - q : MTB_WINOGRAD_K, a + i * rsa + q * csa, rsa, csa,
                                b + j / gemm->nr * b_panel + q * ldb, ldb, c + i * ldc + j, ldc, add || q, NULL, NULL);
}

extern const mtb_winograd TABLE(winograd);
const mtb_winograd TABLE(winograd) = {
    .vl = VL, .input = input, .output = output, .filter = filter, .gradient = gradient, .multiply = multiply,
};
