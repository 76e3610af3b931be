/* conv.c: convolution's own kernels: pad a block of the source, unfold it to a panel, and the depthwise special cases. */
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

/* One phase of one padded row: elements lo to hi are every step-th of src, the others 0.  One pass.
 * Whole vectors are stored, left to right: what one writes too far the next one, or the next phase or row, overwrites. */
INLINE void pad_row(T *dst, int64_t length, int64_t lo, int64_t hi, const T *src, const T *end, int64_t step) {
    int64_t i;
    for (i = 0; i < lo; i += VL) vstore(dst + i, (vec){});
    i = lo;
    if (step == 1)
        for (; i < hi; i += VL, src += VL)
            vstore(dst + i, end - src >= VL ? vload(src) : vload_part(src, (int)(end - src), 0));
    if (step == 2)
        for (; i < hi && end - src >= 2 * VL; i += VL, src += 2 * VL) vstore(dst + i, even(vload(src), vload(src + VL)));
    for (; i < hi; i++, src += step) dst[i] = *src;
    for (i = hi; i < length; i += VL) vstore(dst + i, (vec){});
}

/* Pads and sorts by phase one plane.  src (rows->size, columns->size), dst (phases * length of both).  One pass. */
static void pad(void *dst_, const void *src_, const void *end, const mtb_conv_axis *rows, const mtb_conv_axis *columns) {
    T *dst = dst_;
    const T *src = src_;
    const int64_t length = columns->length, step = columns->step;
    int64_t x0 = 0, lo = 0, hi = 0;
    for (int64_t s = 0; s < rows->phases; s++)
        for (int64_t i = 0; i < rows->length; i++) {
            const int64_t y = rows->begin + rows->origin[s] + i * rows->step;
            const int inside = src && y >= 0 && y < rows->size;
            for (int64_t t = 0; t < columns->phases; t++, dst += length) {
                if (columns->phases > 1 || s + i == 0) {  /* elements lo to hi of the phase are inside the row */
                    x0 = columns->begin + columns->origin[t];
                    for (lo = 0; lo < length && x0 + lo * step < 0;) lo++;
                    for (hi = length; hi > lo && x0 + (hi - 1) * step >= columns->size;) hi--;
                }
                if (inside && lo < hi) pad_row(dst, length, lo, hi, src + y * columns->size + x0 + lo * step, end, step);
                else for (int64_t x = 0; x < length; x += VL) vstore(dst + x, (vec){});
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

/* Sums of products along n rows at a time, in 16 lanes.  a (n, count) rows width apart, b (count), sums (n, LANES). */
INLINE void dots_n(const int n, T *sums, const T *a, int64_t width, const T *b, int64_t count, int add) {
    vec acc[4][NV];
    UNROLL for (int r = 0; r < n; r++)
        UNROLL for (int v = 0; v < NV; v++) acc[r][v] = add ? vload(sums + r * LANES + v * VL) : (vec){};
    int64_t j = 0;
    for (; j + LANES <= count; j += LANES)
        UNROLL for (int v = 0; v < NV; v++) {
            const vec x = vload(b + j + v * VL);
            UNROLL for (int r = 0; r < n; r++) acc[r][v] = vfma(vload(a + r * width + j + v * VL), x, acc[r][v]);
        }
    UNROLL for (int r = 0; r < n; r++) {
        UNROLL for (int v = 0; v < NV; v++) vstore(sums + r * LANES + v * VL, acc[r][v]);
        for (int64_t l = j; l < count; l++) sums[r * LANES + l % LANES] = sfma(a[r * width + l], b[l], sums[r * LANES + l % LANES]);
    }
}

static void dots(void *sums_, const void *a_, int64_t width, const void *b, int64_t rows, int64_t n, int add) {
    T *sums = sums_;
    const T *a = a_;
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) dots_n(4, sums + r * LANES, a + r * width, width, b, n, add);
    for (; r < rows; r++) dots_n(1, sums + r * LANES, a + r * width, width, b, n, add);
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

static void merge(void *dst_, int64_t ldd, const void *src_, int64_t lds, int64_t rows, int64_t columns, int64_t parts,
                  int64_t part_size) {
    for (int64_t r = 0; r < rows; r++) {
        T *dst = (T *)dst_ + r;
        const T *src = (const T *)src_ + r * lds;
        for (int64_t c = 0; c < columns; c++) {
            T s = src[c];
            for (int64_t p = 1; p < parts; p++) s = s + src[p * part_size + c];
            dst[c * ldd] = s;
        }
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
