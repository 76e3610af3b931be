/* winograd.c: the minimal filtering F(4 x 4, 3 x 3): 36 multiplications a tile where the plain sum takes 144.
 *
 * After S. Winograd and A. Lavin & S. Gray (Fast algorithms for convolutional neural networks, 2016): polynomials are
 * multiplied by their values at six points. Here these are 0, +-a, +-b and infinity with a = sqrt(1/2), b = sqrt(2):
 * a b = 1 keeps all coefficients between 1/2 and 2.83, and the error at twice that of the plain sum in float32, a third
 * of what the usual 0, +-1, +-2 give. All steps are the same for each element, whatever the width of a vector.
 */
#include "../kernel.h"
typedef float T;
#define MTB_T_f32 1
#include "../vec.h"
#include "../transpose.h"

#define INLINE static inline __attribute__((always_inline))
#define A 0.70710678118654752440f
#define B 1.41421356237309504880f
#define F(factor, x, plus) vfma(vset(factor), x, plus)
enum { RUN = 8 };  /* tiles beside each other whose columns are transformed together */

/* The six points of 6 elements of an input: the values of the polynomials that are 0 at all other points. */
INLINE void points_of_6(vec *o, const vec *d) {
    const vec ea = F(-2.0f, d[2], d[4]), oa = F(-2.0f, d[1], d[3]), eb = F(-0.5f, d[2], d[4]), ob = F(-0.5f, d[1], d[3]);
    o[0] = F(-2.5f, d[2], d[0] + d[4]);
    o[1] = F(A, oa, ea), o[2] = F(-A, oa, ea);
    o[3] = F(B, ob, eb), o[4] = F(-B, ob, eb);
    o[5] = F(-2.5f, d[3], d[1] + d[5]);
}

/* The six points of 4 elements: the transpose of outputs_of. */
INLINE void points_of_4(vec *o, const vec *d) {
    const vec ea = F(0.5f, d[2], d[0]), oa = F(0.5f, d[3], d[1]), eb = F(2.0f, d[2], d[0]), ob = F(2.0f, d[3], d[1]);
    o[0] = d[0];
    o[1] = F(A, oa, ea), o[2] = F(-A, oa, ea);
    o[3] = F(B, ob, eb), o[4] = F(-B, ob, eb);
    o[5] = d[3];
}

INLINE void outputs_of(vec *o, const vec *p) {
    const vec sa = p[1] + p[2], da = p[1] - p[2], sb = p[3] + p[4], db = p[3] - p[4];
    o[0] = p[0] + sa + sb;
    o[1] = F(B, db, vset(A) * da);
    o[2] = F(2.0f, sb, vset(0.5f) * sa);
    o[3] = F(2.0f * B, db, F(0.5f * A, da, p[5]));
}

/* The six points of 3 weights. */
INLINE void points_of_3(vec *o, const vec *g) {
    const vec ea = F(0.5f, g[2], g[0]), oa = vset(A) * g[1], eb = F(2.0f, g[2], g[0]), ob = vset(B) * g[1];
    o[0] = g[0];
    o[1] = vset(-2.0f / 3) * (ea + oa), o[2] = vset(-2.0f / 3) * (ea - oa);
    o[3] = vset(1.0f / 6) * (eb + ob), o[4] = vset(1.0f / 6) * (eb - ob);
    o[5] = g[2];
}

/* Its transpose. */
INLINE void weights_of(vec *o, const vec *p) {
    const vec sa = vset(-2.0f / 3) * (p[1] + p[2]), da = vset(-2.0f / 3) * (p[1] - p[2]);
    const vec sb = vset(1.0f / 6) * (p[3] + p[4]), db = vset(1.0f / 6) * (p[3] - p[4]);
    o[0] = p[0] + sa + sb;
    o[1] = F(B, db, vset(A) * da);
    o[2] = F(2.0f, sb, F(0.5f, sa, p[5]));
}

static __attribute__((noinline)) void load_edge(vec *r, const T *const *at, int64_t offset, const T *end) {
    for (int j = 0; j < VL; j++) {
        const T *p = at[j] + offset;
        r[j] = p + VL <= end ? vload(p) : p < end ? vload_part(p, (int)(end - p), 0) : (vec){};
    }
}

/* VL elements of VL rows, in the order of memory, transposed; nothing is read at `end` or beyond. */
INLINE void load_square(vec *r, const T *const *at, int64_t offset, const T *end) {
    if (likely(at[VL - 1] + offset + VL <= end)) UNROLL for (int j = 0; j < VL; j++) r[j] = vload(at[j] + offset);
    else load_edge(r, at, offset, end);
    transpose(r);
}

INLINE void row_starts(const T **at, const T *src, int64_t apart, int64_t n) {
    UNROLL for (int j = 0; j < VL; j++) at[j] = src + (j < n ? j : n - 1) * apart;
}

INLINE void zero(T *dst, int64_t from, int64_t to) {
    for (; from < to; from++) {
        vstore(dst + from * VL, (vec){});
        __asm__ volatile("" ::: "memory");  /* or the compiler calls memset for a vector or two */
    }
}

/* A part of n planes with zeros around it, channels last: band (rows, columns, VL).  One pass.
 * Whole squares are stored, top to bottom and left to right: what one writes too far a later one overwrites. */
INLINE void load_band(T *band, const T *src, int64_t n, const T *end, const mtb_winograd_block *b, int64_t rows,
                      int64_t columns) {
    const T *at[VL];
    int64_t lo = b->x < 0 ? -b->x : 0, hi = b->width - b->x;
    if (hi > columns) hi = columns;
    if (lo > hi) lo = hi = 0;
    for (int64_t y = b->y; y < b->y + rows; y++, band += columns * VL) {
        if (y < 0 || y >= b->height || lo == hi) {
            zero(band, 0, columns);
            continue;
        }
        zero(band, 0, lo);
        row_starts(at, src + y * b->width + b->x, b->height * b->width, n);
        for (int64_t p = lo; p < hi; p += VL) {
            vec r[VL];
            load_square(r, at, p, end);
            UNROLL for (int i = 0; i < VL; i++) vstore(band + (p + i) * VL, r[i]);
        }
        zero(band, hi, columns);
    }
}

/* Points of one row of tiles: columns first, those of RUN tiles at a time, then rows. */
INLINE void transform_row(const int size, T *v, int64_t points, int64_t pitch, const T *band, int64_t columns,
                          int64_t tiles) {
    vec column[RUN * 4 + 2][6];
    for (int64_t n; tiles > 0; tiles -= n) {
        n = tiles < RUN ? tiles : RUN;
        for (int64_t i = 0; i < 4 * n + size - 4; i++, band += VL) {
            vec d[6];
            UNROLL for (int j = 0; j < size; j++) d[j] = vload(band + j * columns * VL);
            if (size == 6) points_of_6(column[i], d);
            else points_of_4(column[i], d);
        }
        band -= (size - 4) * VL;
        for (int64_t t = 0; t < n; t++, v += pitch)
            UNROLL for (int j = 0; j < 6; j++) {
                vec d[6], o[6];
                UNROLL for (int i = 0; i < size; i++) d[i] = column[4 * t + i][j];
                if (size == 6) points_of_6(o, d);
                else points_of_4(o, d);
                UNROLL for (int i = 0; i < 6; i++) vstore(v + (6 * j + i) * points, o[i]);
            }
    }
}

INLINE void input_n(const int size, T *v, int64_t points, int64_t pitch, const T *src, int64_t n, const T *end,
                    const mtb_winograd_block *b, T *band) {
    const int64_t columns = 4 * b->columns + size - 4;
    for (int64_t i = 0; i < b->images; i++, src += b->image) {
        load_band(band, src, n, end, b, 4 * b->rows + size - 4, columns);
        for (int64_t r = 0; r < b->rows; r++, v += b->columns * pitch)
            transform_row(size, v, points, pitch, band + 4 * r * columns * VL, columns, b->columns);
    }
}

/* Points of the tiles of a block, VL channels.  Reads src 1 to 1.5 times, writes 36 / 16 of it. */
static void input(T *v, int64_t points, int64_t pitch, int size, const T *src, int64_t n, const T *end,
                  const mtb_winograd_block *b, T *band) {
    if (size == 6) input_n(6, v, points, pitch, src, n, end, b, band);
    else input_n(4, v, points, pitch, src, n, end, b, band);
}

/* Exactly n elements. */
INLINE void store_part(T *dst, vec x, int64_t n) {
    T b[VL];
    vstore(b, x);
    for (int64_t i = 0; i < n; i++) dst[i] = b[i];
}

/* The inside of the band, (4 * rows, 4 * columns, VL), to n planes.  One pass. */
INLINE void store_band(T *dst, int64_t n, const T *band, const mtb_winograd_block *b) {
    const int64_t plane = b->height * b->width, whole = b->x == 0 && b->width <= 4 * b->columns;
    int64_t rows = b->height - b->y, columns = b->width - b->x;
    if (rows > 4 * b->rows) rows = 4 * b->rows;
    if (columns > 4 * b->columns) columns = 4 * b->columns;
    dst += b->y * b->width + b->x;
    for (int64_t y = 0; y < rows; y++, dst += b->width, band += 4 * b->columns * VL)
        for (int64_t p = 0; p < columns; p += VL) {
            vec r[VL];
            UNROLL for (int i = 0; i < VL; i++) r[i] = vload(band + (p + i) * VL);
            transpose(r);
            /* What goes past the row is overwritten by the next one, if that is ours. */
            if (p + VL <= columns || (whole && y + 1 < rows && p + VL <= columns + b->width)) {
                UNROLL for (int j = 0; j < VL; j++) if (j < n) vstore(dst + j * plane + p, r[j]);
            } else {
                UNROLL for (int j = 0; j < VL; j++) if (j < n) store_part(dst + j * plane + p, r[j], columns - p);
            }
        }
}

/* Outputs of the tiles of a block from their points, VL channels.  Reads m once, writes 16 / 36 of it. */
static void output(T *dst, int64_t n, const T *m, int64_t points, int64_t pitch, const T *bias,
                   const mtb_winograd_block *b, T *band, char *bad) {
    const vec plus = !bias ? (vec){} : n < VL ? vload_part(bias, (int)n, 0) : vload(bias);
    const int64_t columns = 4 * b->columns;
    for (int64_t i = 0; i < b->images; i++, dst += b->image) {
        vec check = {};
        for (int64_t r = 0; r < b->rows; r++)
            for (int64_t t = 0; t < b->columns; t++, m += pitch) {
                T *to = band + (r * columns + t) * 4 * VL;
                vec column[4][6];
                UNROLL for (int j = 0; j < 6; j++) {
                    vec p[6], o[4];
                    UNROLL for (int k = 0; k < 6; k++) p[k] = vload(m + (6 * k + j) * points);
                    outputs_of(o, p);
                    UNROLL for (int k = 0; k < 4; k++) column[k][j] = o[k];
                }
                UNROLL for (int k = 0; k < 4; k++) {
                    vec o[4];
                    outputs_of(o, column[k]);
                    UNROLL for (int j = 0; j < 4; j++) {
                        check = vfma(o[j], (vec){}, check);
                        vstore(to + (k * columns + j) * VL, bias ? o[j] + plus : o[j]);
                    }
                }
            }
        store_band(dst, n, band, b);
        T lane[VL];
        vstore(lane, check);
        for (int64_t j = 0; j < n; j++) bad[i] |= lane[j] != 0;
    }
}

/* Points of filters.  Reads w once, writes 4 times as much. */
static void filter(T *u, int64_t points, int64_t ld, const T *w, int64_t across, int64_t down, int64_t n, int64_t k,
                   const T *end, int flip) {
    const T *at[VL];
    row_starts(at, w, across, n);
    for (int64_t i = 0; i < k; i++, u += ld) {
        vec g[16], half[3][6];
        UNROLL for (int j = 0; j < 9; j += VL) {
            vec r[VL];
            load_square(r, at, i * down + j, end);
            UNROLL for (int t = 0; t < VL; t++) if (j + t < 9) g[j + t] = r[t];
        }
        if (flip)
            UNROLL for (int j = 0; j < 4; j++) {
                const vec x = g[j];
                g[j] = g[8 - j], g[8 - j] = x;
            }
        UNROLL for (int j = 0; j < 3; j++) {
            const vec column[3] = {g[j], g[3 + j], g[6 + j]};
            points_of_3(half[j], column);
        }
        UNROLL for (int p = 0; p < 6; p++) {
            const vec row[3] = {half[0][p], half[1][p], half[2][p]};
            vec o[6];
            points_of_3(o, row);
            UNROLL for (int j = 0; j < 6; j++) vstore(u + (6 * p + j) * points, o[j]);
        }
    }
}

/* Gradients of filters from their points.  Reads each part once. */
static void gradient(T *dw, int64_t n, const T *p, int64_t points, int64_t parts, int64_t part_size, char *bad) {
    vec half[3][6], check = {};
    T out[9][VL];
    UNROLL for (int j = 0; j < 6; j++) {
        vec s[6], o[3];
        UNROLL for (int i = 0; i < 6; i++) s[i] = vload(p + (6 * i + j) * points);
        for (int64_t q = 1; q < parts; q++)
            UNROLL for (int i = 0; i < 6; i++) s[i] += vload(p + q * part_size + (6 * i + j) * points);
        weights_of(o, s);
        UNROLL for (int i = 0; i < 3; i++) half[i][j] = o[i];
    }
    UNROLL for (int i = 0; i < 3; i++) {
        vec o[3];
        weights_of(o, half[i]);
        UNROLL for (int j = 0; j < 3; j++) {
            check = vfma(o[j], (vec){}, check);
            vstore(out[3 * i + j], o[j]);
        }
    }
    T lane[VL];
    vstore(lane, check);
    for (int64_t l = 0; l < n; l++) {
        *bad |= lane[l] != 0;
        UNROLL for (int t = 0; t < 9; t++) dw[9 * l + t] = out[t][l];
    }
}

/* The products of all points.  Reads a panel of B from the first-level cache for all rows of A. */
static void multiply(const mtb_gemm *gemm, int64_t rows, int64_t n, int64_t k, const T *a, int64_t a_points, int64_t rsa,
                     int64_t csa, const T *b, int64_t b_points, int64_t b_panel, int64_t ldb, T *c, int64_t c_points,
                     int64_t ldc, int add) {
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
