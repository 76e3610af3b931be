/* conv.c: convolution's own kernels: pad a block of the source, unfold it to a panel, and the depthwise special cases.
 * */
#include "../kernel.h"

#define INLINE static inline __attribute__((always_inline))

/* Two vectors of neighbors to one of every other element. */
static inline vec even(vec x, vec y) {
#if MTB_T_f32 && VBYTES == 64
    return __builtin_shuffle(x, y, (ivec){0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30});
#elif MTB_T_f32 ? VBYTES == 32 : VBYTES == 64
    return __builtin_shuffle(x, y, (ivec){0, 2, 4, 6, 8, 10, 12, 14});
#elif MTB_T_f32 || VBYTES == 32
    return __builtin_shuffle(x, y, (ivec){0, 2, 4, 6});
#else
    return __builtin_shuffle(x, y, (ivec){0, 2});
#endif
}

/* Zeros from element i, as whole vectors. The barrier keeps the compiler from calling memset for a vector or two. */
INLINE void zero(T *dst, int64_t i, int64_t end) {
    for (; i < end; i += VL) {
        vstore(dst + i, (vec){});
        __asm__ volatile("" ::: "memory");
    }
}

/* Exactly n elements. */
INLINE void copy(T *dst, const T *src, int64_t n) {
    for (; n >= VL; n -= VL, dst += VL, src += VL) vstore(dst, vload(src));
    UNROLL for (int step = VL / 2; step > 0; step /= 2)
        if (n & step) memcpy(dst, src, (size_t)step * sizeof(T)), dst += step, src += step;
}

/* One phase of one padded row: elements lo to hi are every step-th of src, the others 0.  One pass.
 * Whole vectors are stored, left to right: what one writes too far the next one, or the next phase or row, overwrites.
 * */
INLINE void pad_row(T *dst, int64_t length, int64_t lo, int64_t hi, const T *src, const T *end, int64_t step) {
    int64_t i = lo;
    zero(dst, 0, lo);
    if (step == 2)
        for (; i < hi && end - src >= 2 * VL; i += VL, src += 2 * VL)
            vstore(dst + i, even(vload(src), vload(src + VL)));
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

/* Pads and sorts by phase one plane.  src (rows->size, columns->size), dst (phases * length of both).  One pass. */
static void pad(void *dst_, const void *src_, const void *end, const mtb_conv_axis *rows,
                const mtb_conv_axis *columns) {
    T *dst = dst_;
    const T *src = src_;
    const int64_t length = columns->length, pitch = columns->phases * length;
    int64_t top, bottom, lo = 0, hi = 0;
    zero(dst, 0, src && columns->step > 1 ? 0 : rows->phases * rows->length * pitch);
    for (int64_t s = 0; src && s < rows->phases; s++, dst += rows->length * pitch) {
        const int64_t y = rows->begin + rows->origin[s], x = columns->begin + columns->origin[0];
        inside(rows, y, &top, &bottom);
        if (columns->step == 1) {
            inside(columns, x, &lo, &hi);
            for (int64_t i = top; i < bottom && lo < hi; i++)
                copy(dst + i * pitch + lo, src + (y + i * rows->step) * columns->size + x + lo, hi - lo);
            continue;
        }
        for (int64_t i = 0; i < rows->length; i++)
            for (int64_t t = 0; t < columns->phases; t++) {
                T *to = dst + i * pitch + t * length;
                const int64_t x0 = columns->begin + columns->origin[t];
                inside(columns, x0, &lo, &hi);
                if (top <= i && i < bottom && lo < hi)
                    pad_row(to, length, lo, hi, src + (y + i * rows->step) * columns->size + x0 + lo * columns->step,
                            end, columns->step);
                else
                    zero(to, 0, length);
            }
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

/* Output positions of one channel, without an unfolded matrix, n pieces of them side by side.
 * w (k), src (padded block), dst (positions).  Reads src k times, from cache. */
INLINE void slide_n(const int n, T *dst, const int64_t *from, const int64_t *to, const T *w, const T *src,
                    const int64_t *at, int64_t k, const T *bias) {
    vec s[4] = {};
    for (int64_t r = 0; r < k; r++) {
        const vec x = vset(w[r]);
        UNROLL for (int i = 0; i < n; i++) s[i] = vfma(x, vload(src + at[r] + from[i]), s[i]);
    }
    UNROLL for (int i = 0; i < n; i++) vstore(dst + to[i], bias ? s[i] + vset(*bias) : s[i]);
}

static void slide(void *dst, const int64_t *from, const int64_t *to, int64_t pieces, const void *w, const void *src,
                  const int64_t *at, int64_t k, const void *bias) {
    int64_t i = 0;
    for (; i + 4 <= pieces; i += 4) slide_n(4, dst, from + i, to + i, w, src, at, k, bias);
    for (; i < pieces; i++) slide_n(1, dst, from + i, to + i, w, src, at, k, bias);
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

static void place(void *dst_, int64_t step, const void *src_, int64_t n) {
    T *dst = dst_;
    const T *src = src_;
    if (step == 1) memcpy(dst, src, (size_t)n * sizeof(T));
    else for (int64_t j = 0; j < n; j++) dst[j * step] = src[j];
}

extern const mtb_conv TABLE(conv);
const mtb_conv TABLE(conv) = {
    .vl = VL, .lanes = LANES, .pad = pad, .unfold = unfold, .slide = slide, .dots = dots, .fold = fold, .merge = merge,
    .place = place,
};
