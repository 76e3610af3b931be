/* conv.c: convolution's own kernels: pad a block of the source, unfold it to a panel, and the depthwise special cases.
 * */
#include "../kernel.h"


/* Lists of lanes. */
#define L2(F, i) F(i), F(i + 1)
#define L4(F, i) L2(F, i), L2(F, i + 2)
#define L8(F, i) L4(F, i), L4(F, i + 4)
#if MTB_T_f32 && VBYTES == 64
#define LANES_OF(F) (ivec){L8(F, 0), L8(F, 8)}
#elif MTB_T_f32 ? VBYTES == 32 : VBYTES == 64
#define LANES_OF(F) (ivec){L8(F, 0)}
#elif MTB_T_f32 || VBYTES == 32
#define LANES_OF(F) (ivec){L4(F, 0)}
#else
#define LANES_OF(F) (ivec){L2(F, 0)}
#endif
#define EVERY_OTHER(l) (2 * (l))                              /* of two vectors */
#define IN_TURN(l) ((l) / 2 + (l) % 2 * VL)                   /* one of each: their first halves */
#define IN_TURN_HIGH(l) ((l) / 2 + VL / 2 + (l) % 2 * VL)     /* their second */

/* Zeros from element i, as whole vectors. The barrier keeps the compiler from calling memset for a vector or two. */
INLINE void zero(T *dst, int64_t i, int64_t end) {
    for (; i < end; i += VL) {
        vstore(dst + i, (vec){});
        __asm__ volatile("" ::: "memory");
    }
}

/* One phase of one padded row: elements lo to hi are every step-th of src, the others 0.  One pass.
 * Whole vectors are stored, left to right: what one writes too far the next one, or the next phase or row, overwrites.
 * What lies `ahead` is wanted next: it starts on another page, where the hardware has no idea of it yet. */
INLINE void pad_row(T *dst, int64_t length, int64_t lo, int64_t hi, const T *src, const T *end, int64_t step,
                    int64_t ahead) {
    int64_t i = lo;
    zero(dst, 0, lo);
    if (step == 1)
        for (; i < hi && end - src >= VL; i += VL, src += VL) {
            __builtin_prefetch(src + ahead);
            vstore(dst + i, vload(src));
        }
    if (step == 2)
        for (; i < hi && end - src >= 2 * VL; i += VL, src += 2 * VL) {
            __builtin_prefetch(src + ahead);
            vstore(dst + i, __builtin_shuffle(vload(src), vload(src + VL), LANES_OF(EVERY_OTHER)));
        }
    for (; i < hi; i++, src += step) dst[i] = *src;
    zero(dst, hi, length);
}

/* Which elements [*lo, *hi) of a phase lie inside the source; begin is where its first one lies. */
INLINE void inside(const mtb_conv_axis *axis, int64_t begin, int64_t *lo, int64_t *hi) {
    int64_t i = 0, j = axis->length;
    while (i < j && begin + i * axis->step < 0) i++;
    while (i < j && begin + (j - 1) * axis->step >= axis->size) j--;
    *lo = i, *hi = j;
}

enum { PHASES = 8 };  /* whose ends are found once for all rows: strides up to 8 */

/* Pads and sorts by phase one plane.  src (rows->size, columns->size), dst (phases * length of both).  One pass. */
static void pad(void *dst_, const void *src_, const void *end, const mtb_conv_axis *rows,
                const mtb_conv_axis *columns) {
    T *dst = dst_;
    const T *src = src_;
    const int64_t length = columns->length, phases = columns->phases, step = columns->step, size = columns->size;
    int64_t top = 0, bottom = 0, ends[PHASES][3];
    for (int64_t s = 0; s < rows->phases; s++) {
        const int64_t y = rows->begin + rows->origin[s];
        if (src) inside(rows, y, &top, &bottom);
        const T *row = src + (y + top * rows->step) * size;
        zero(dst, 0, top * phases * length);
        dst += top * phases * length;
        for (int64_t i = top; i < bottom; i++, row += rows->step * size)
            for (int64_t t = 0; t < phases; t++, dst += length) {
                int64_t *e = ends[t % PHASES];
                if (i == top || phases > PHASES) {
                    e[2] = columns->begin + columns->origin[t];
                    inside(columns, e[2], e, e + 1);
                    e[2] += e[0] * step;
                }
                pad_row(dst, length, e[0], e[1], row + e[2], end, step, rows->size * size);
            }
        zero(dst, 0, (rows->length - bottom) * phases * length);
        dst += (rows->length - bottom) * phases * length;
    }
}

INLINE void copy_pieces(T *dst, int64_t width, const T *src, const int64_t *at, int64_t k, const int64_t *from,
                        const int64_t *to, int64_t pieces) {
    for (int64_t r = 0; r < k; r++, dst += width)
        UNROLL for (int64_t i = 0; i < pieces; i++) vstore(dst + to[i], vload(src + at[r] + from[i]));
}

/* The rows of the unfolded matrix for a run of output positions.  src (padded block), dst (k, width).  One pass. */
static void unfold(void *dst, int64_t width, const void *src, const int64_t *at, int64_t k, const int64_t *from,
                   const int64_t *to, int64_t pieces) {
    if (pieces == 2) copy_pieces(dst, width, src, at, k, from, to, 2);
    else if (pieces == 3) copy_pieces(dst, width, src, at, k, from, to, 3);
    else if (pieces == 4) copy_pieces(dst, width, src, at, k, from, to, 4);
    else copy_pieces(dst, width, src, at, k, from, to, pieces);
}

/* Output positions of m channels, without an unfolded matrix, n pieces of them side by side: m * n chains hide the
 * latency of a multiply-add, and leave registers for n pieces of the source and one weight.
 * w (k, m), src (padded block), dst (m, positions).  Reads src k times, from cache. */
INLINE void slide_n(const int m, const int n, T *dst, int64_t ldd, const int64_t *from, const int64_t *to,
                    int64_t pieces, const T *w, const T *src, const int64_t *at, int64_t k, const T *bias) {
    vec s[4][8], total[4][8];
    const T *x[8];
    UNROLL for (int i = 0; i < n; i++) x[i] = src + from[i < pieces ? i : pieces - 1];
    UNROLL for (int j = 0; j < m; j++) UNROLL for (int i = 0; i < n; i++) total[j][i] = (vec){};
    for (int64_t p = 0; p < k; p += MTB_KC) {
        UNROLL for (int j = 0; j < m; j++) UNROLL for (int i = 0; i < n; i++) s[j][i] = (vec){};
        for (int64_t r = p; r < k && r < p + MTB_KC; r++, w += m) {
            vec v[8];
            UNROLL for (int i = 0; i < n; i++) v[i] = vload(x[i] + at[r]);
            UNROLL for (int j = 0; j < m; j++) {
                const vec y = vset(w[j]);
                UNROLL for (int i = 0; i < n; i++) s[j][i] = vfma(y, v[i], s[j][i]);
            }
        }
        UNROLL for (int j = 0; j < m; j++)
            UNROLL for (int i = 0; i < n; i++) total[j][i] = p ? total[j][i] + s[j][i] : s[j][i];
    }
    UNROLL for (int i = 0; i < n; i++)
        UNROLL for (int j = 0; j < m; j++)
            vstore(dst + j * ldd + to[i < pieces ? i : pieces - 1], bias ? total[j][i] + vset(bias[j]) : total[j][i]);
}

static void slide(void *dst, int64_t ldd, const int64_t *from, const int64_t *to, int64_t pieces, const void *w,
                  int64_t m, const void *src, const int64_t *at, int64_t k, const void *bias) {
#define SLIDE(m, n)                                                                             \
    for (; pieces > 0; pieces -= n, from += n, to += n)                                         \
        slide_n(m, n, dst, ldd, from, to, pieces, w, src, at, k, bias);
    if (m == 1) SLIDE(1, 8)
    else if (m == 2) SLIDE(2, 4)
    else if (m == 3) SLIDE(3, 3)
    else SLIDE(4, 3)
}

enum { TAPS = VBYTES == 64 ? 9 : 3 };  /* as many as there are registers for, and rather the 3 x 3 of most kernels */

/* Sums over positions of dy[position] * src[position + at[r]] for n taps at a time, in 16 lanes that start anew with
 * each run.  dy (positions), src (padded block), sums (n, LANES).  Reads dy once for n taps. */
INLINE void dots_n(const int n, T *sums, const T *dy, const T *src, const int64_t *at, const mtb_conv_run *runs,
                   int64_t n_runs, int add) {
    static const TI ones[2 * VL] = {[0 ... VL - 1] = -1};
    vec acc[TAPS][NV];
    UNROLL for (int r = 0; r < n; r++)
        UNROLL for (int v = 0; v < NV; v++) acc[r][v] = add ? vload(sums + r * LANES + v * VL) : (vec){};
    for (; n_runs > 0; n_runs--, runs++) {
        const T *b = dy + runs->to, *a = src + runs->from;
        int64_t left = runs->count;
        for (; left >= LANES; left -= LANES, a += LANES, b += LANES)
            UNROLL for (int v = 0; v < NV; v++) {
                const vec y = vload(b + v * VL);
                UNROLL for (int r = 0; r < n; r++) acc[r][v] = vfma(vload(a + at[r] + v * VL), y, acc[r][v]);
            }
        UNROLL for (int v = 0; v < NV; v++, left -= VL) {
            if (left <= 0) continue;
            ivec mask;
            memcpy(&mask, ones + (left < VL ? VL - left : 0), sizeof mask);
            const vec y = vselect(mask, vload(b + v * VL), (vec){});
            UNROLL for (int r = 0; r < n; r++)
                acc[r][v] = vfma(vselect(mask, vload(a + at[r] + v * VL), (vec){}), y, acc[r][v]);
        }
    }
    UNROLL for (int r = 0; r < n; r++) UNROLL for (int v = 0; v < NV; v++) vstore(sums + r * LANES + v * VL, acc[r][v]);
}

static void dots(void *sums_, const void *dy, const void *src, const int64_t *at, int64_t k, const mtb_conv_run *runs,
                 int64_t n_runs, int add) {
    T *sums = sums_;
    int64_t r = 0;
    for (; r + TAPS <= k; r += TAPS) dots_n(TAPS, sums + r * LANES, dy, src, at + r, runs, n_runs, add);
    for (; r < k; r++) dots_n(1, sums + r * LANES, dy, src, at + r, runs, n_runs, add);
}

static void fold(void *dst, const void *sums, int64_t rows, int64_t parts, int64_t part_size) {
    for (int64_t r = 0; r < rows; r++) {
        T total = 0;
        for (int64_t p = 0; p < parts; p++) {
            T lanes[LANES];
            memcpy(lanes, (const T *)sums + p * part_size + r * LANES, sizeof lanes);
            const T s = fold_sum(lanes);
            total = p ? total + s : s;
        }
        ((T *)dst)[r] = total;
    }
}

/* Adds the parts and transposes, a few rows at a time: both sides then stay in cache.  One pass. */
static void merge(void *dst_, int64_t ldd, const void *src_, int64_t lds, int64_t rows, int64_t columns, int64_t parts,
                  int64_t part_size) {
    enum { FEW = 16 };
    T *dst = dst_;
    const T *src = src_;
    for (int64_t r0 = 0; r0 < rows; r0 += FEW)
        for (int64_t c = 0; c < columns; c++)
            for (int64_t r = r0; r < rows && r < r0 + FEW; r++) {
                const T *at = src + r * lds + c;
                T s = *at;
                for (int64_t p = 1; p < parts; p++) s = s + at[p * part_size];
                dst[c * ldd + r] = s;
            }
}

/* Phases of a row side by side again.  One pass. */
static void weave(void *dst_, int64_t step, const void *src_, int64_t pitch, int64_t phases, int64_t n) {
    T *dst = dst_;
    const T *src = src_;
    int64_t j = 0;
    if (step == 1) {
        memcpy(dst, src, (size_t)n * sizeof(T));
        return;
    }
    if (step == 2 && phases == 2)
        for (; 2 * (j + VL) <= n; j += VL) {
            __builtin_prefetch(dst + 2 * (n + j), 1);  /* the next row of this phase */
            const vec x = vload(src + j), y = vload(src + pitch + j);
            vstore(dst + 2 * j, __builtin_shuffle(x, y, LANES_OF(IN_TURN)));
            vstore(dst + 2 * j + VL, __builtin_shuffle(x, y, LANES_OF(IN_TURN_HIGH)));
        }
    for (; j * step < n; j++)
        for (int64_t f = 0; f < phases && j * step + f < n; f++) dst[j * step + f] = src[f * pitch + j];
}

extern const mtb_conv TABLE(conv);
const mtb_conv TABLE(conv) = {
    .vl = VL, .lanes = LANES, .pad = pad, .unfold = unfold, .slide = slide, .dots = dots, .fold = fold, .merge = merge,
    .weave = weave,
};
