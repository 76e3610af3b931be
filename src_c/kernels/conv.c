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
        __asm__ volatile("" : "+r"(i));
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
            vstore(dst + i, SHUFFLE(vload(src), vload(src + VL), LANES_OF(EVERY_OTHER)));
        }
    if (step == 4)
        for (; i < hi && end - src >= 4 * VL; i += VL, src += 4 * VL) {
            const vec a = SHUFFLE(vload(src), vload(src + VL), LANES_OF(EVERY_OTHER));
            const vec b = SHUFFLE(vload(src + 2 * VL), vload(src + 3 * VL), LANES_OF(EVERY_OTHER));
            __builtin_prefetch(src + ahead);
            vstore(dst + i, SHUFFLE(a, b, LANES_OF(EVERY_OTHER)));
        }
    for (; i < hi; i++, src += step) dst[i] = *src;
    zero(dst, hi, length);
}

/* Which elements [lo, hi) of a phase lie inside the source; `at` is where the first one lies. */
typedef struct {
    int64_t lo, hi, at;
} span;
static span span_of(const mtb_conv_axis *axis, int64_t phase) {
    const int64_t begin = axis->begin + axis->origin[phase];
    int64_t i = 0, j = axis->length;
    while (i < j && begin + i * axis->step < 0) i++;
    while (i < j && begin + (j - 1) * axis->step >= axis->size) j--;
    return (span){i, j, begin + i * axis->step};
}

/* Rows of one phase, all elements of it: where most of the time goes. */
static __attribute__((noinline)) void pad_rows(T *dst, int64_t length, const span *x, const T *src, const T *end,
                                               int64_t down, int64_t ahead, int64_t rows) {
    const int64_t lo = x->lo, hi = x->hi;
    for (src += x->at; rows > 0; rows--, dst += length, src += down) pad_row(dst, length, lo, hi, src, end, 1, ahead);
}

/* The same of both phases of step 2, side by side, if their rows start in one pair of elements. From right to left:
 * what the first one writes too far the other overwrites. */
static __attribute__((noinline)) void pad_pairs(T *dst, int64_t length, const span *x, const T *src, int64_t down,
                                                int64_t ahead, int64_t rows) {
    const int64_t lo0 = x[0].lo, hi0 = x[0].hi, lo1 = x[1].lo, hi1 = x[1].hi, odd = x->at % 2;
    const int64_t first = ((hi0 - lo0 > hi1 - lo1 ? hi0 - lo0 : hi1 - lo1) - 1) / VL * VL;
    for (src += x->at - odd; rows > 0; rows--, dst += 2 * length, src += down)
        for (int64_t j = first; j >= 0; j -= VL) {
            const vec a = vload(src + 2 * j), b = vload(src + 2 * j + VL);
            const vec even = SHUFFLE(a, b, LANES_OF(EVERY_OTHER));
            const vec between = SHUFFLE(a, b, LANES_OF(EVERY_OTHER) + 1);
            __builtin_prefetch(src + 2 * j + ahead);
            if (j == 0) zero(dst, 0, lo0);
            vstore(dst + lo0 + j, odd ? between : even);
            if (j == first) zero(dst, hi0, length);
            if (j == 0) zero(dst + length, 0, lo1);
            vstore(dst + length + lo1 + j, odd ? even : between);
            if (j == first) zero(dst + length, hi1, length);
        }
}
static int pairs(const span *x, const T *src, const T *end) {
    const int64_t n = x[0].hi - x[0].lo, m = x[1].hi - x[1].lo;
    return n > 0 && m > 0 && x[0].at / 2 == x[1].at / 2 && end - src >= x[0].at + 2 * ((n > m ? n : m) + VL);
}

enum { PHASES = 8 };  /* whose spans are found once for all planes: strides up to 8 */
#define SPAN(known, axis, phase) ((phase) < PHASES ? (known)[phase] : span_of(axis, phase))

/* Pads and sorts by phase some planes.  src (rows->size, columns->size), dst (phases * length of both).  One pass. */
static void pad(void *dst_, const void *src_, int64_t apart, int64_t planes, const void *end,
                const mtb_conv_axis *rows, const mtb_conv_axis *columns) {
    T *dst = dst_;
    const T *src = src_;
    const int64_t length = columns->length, phases = columns->phases, step = columns->step, size = columns->size;
    const int64_t down = rows->step * size, ahead = rows->size * size, line = phases * length;
    span on_rows[PHASES], on_columns[PHASES];
    if (!src) {
        zero(dst, 0, planes * rows->phases * rows->length * line);
        return;
    }
    for (int64_t s = 0; s < rows->phases && s < PHASES; s++) on_rows[s] = span_of(rows, s);
    for (int64_t t = 0; t < phases && t < PHASES; t++) on_columns[t] = span_of(columns, t);
    for (; planes > 0; planes--, src += apart)
        for (int64_t s = 0; s < rows->phases; s++) {
            const span y = SPAN(on_rows, rows, s);
            const T *row = src + y.at * size;
            zero(dst, 0, y.lo * line);
            dst += y.lo * line;
            if (line == length && step == 1) {
                pad_rows(dst, length, on_columns, row, end, down, ahead, y.hi - y.lo);
                dst += (y.hi - y.lo) * length;
            } else if (phases == 2 && step == 2 && pairs(on_columns, row + (y.hi - y.lo) * down, end)) {
                pad_pairs(dst, length, on_columns, row, down, ahead, y.hi - y.lo);
                dst += (y.hi - y.lo) * line;
            } else {
                for (int64_t i = y.lo; i < y.hi; i++, row += down)
                    for (int64_t t = 0; t < phases; t++, dst += length) {
                        const span x = SPAN(on_columns, columns, t);
                        pad_row(dst, length, x.lo, x.hi, row + x.at, end, step, ahead);
                    }
            }
            zero(dst, 0, (rows->length - y.hi) * line);
            dst += (rows->length - y.hi) * line;
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

/* Output positions of m <= rows channels, without an unfolded matrix, n pieces of them side by side: rows * n chains
 * hide the latency of a multiply-add, and leave registers for n pieces of the source and one weight.
 * w (k, m), src (padded block), dst (m, positions).  Reads src k times, from cache. */
INLINE void slide_n(const int rows, const int n, T *dst, int64_t ldd, const int64_t *from, const int64_t *to,
                    int64_t pieces, const T *w, int64_t m, const T *src, const int64_t *at, int64_t k, const T *bias) {
    vec s[4][8], total[4][8];
    const T *x[8];
    UNROLL for (int i = 0; i < n; i++) x[i] = src + from[i < pieces ? i : pieces - 1];
    UNROLL for (int j = 0; j < rows; j++) UNROLL for (int i = 0; i < n; i++) total[j][i] = (vec){};
    for (int64_t p = 0; p < k; p += MTB_KC) {
        UNROLL for (int j = 0; j < rows; j++) UNROLL for (int i = 0; i < n; i++) s[j][i] = (vec){};
        for (int64_t r = p; r < k && r < p + MTB_KC; r++, w += m) {
            vec v[8];
            UNROLL for (int i = 0; i < n; i++) v[i] = vload(x[i] + at[r]);
            UNROLL for (int j = 0; j < rows; j++) {
                const vec y = vset(w[j < m ? j : 0]);
                UNROLL for (int i = 0; i < n; i++) s[j][i] = vfma(y, v[i], s[j][i]);
            }
        }
        UNROLL for (int j = 0; j < rows; j++)
            UNROLL for (int i = 0; i < n; i++) total[j][i] = p ? total[j][i] + s[j][i] : s[j][i];
    }
    UNROLL for (int j = 0; j < rows; j++) {
        if (j >= m) break;
        const vec plus = bias ? vset(bias[j]) : vset(-0.0f);
        UNROLL for (int i = 0; i < n; i++) vstore(dst + j * ldd + to[i < pieces ? i : pieces - 1], total[j][i] + plus);
    }
}

static void slide(void *dst, int64_t ldd, const int64_t *from, const int64_t *to, int64_t pieces, const void *w,
                  int64_t m, const void *src, const int64_t *at, int64_t k, const void *bias) {
#define SLIDE(rows, n)                                                                          \
    for (; pieces > 0; pieces -= n, from += n, to += n)                                         \
        slide_n(rows, n, dst, ldd, from, to, pieces, w, m, src, at, k, bias);
    if (m == 1) SLIDE(1, 8)
    else if (m == 2) SLIDE(2, 4)
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

static void gather(void *dst_, int64_t n, const void *src, int64_t apart, const int64_t *at, int64_t k) {
    T *dst = dst_;
    for (int64_t r = 0; r < k; r++) {
        const T *x = (const T *)src + at[r];
        for (int64_t i = 0; i < n; i++, x += apart) *dst++ = *x;
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
            vstore(dst + 2 * j, SHUFFLE(x, y, LANES_OF(IN_TURN)));
            vstore(dst + 2 * j + VL, SHUFFLE(x, y, LANES_OF(IN_TURN_HIGH)));
        }
    for (; j * step < n; j++)
        for (int64_t f = 0; f < phases && j * step + f < n; f++) dst[j * step + f] = src[f * pitch + j];
}

extern const mtb_conv TABLE(conv);
const mtb_conv TABLE(conv) = {
    .vl = VL, .lanes = LANES, .pad = pad, .unfold = unfold, .slide = slide, .dots = dots, .fold = fold, .merge = merge,
    .gather = gather, .weave = weave,
};
