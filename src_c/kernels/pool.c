/* pool.c: maximum and average over windows of one plane, and their gradients.
 *
 * Several outputs are made at once: for each of the window's offsets, one pass takes that offset's input of every
 * window. So a window's elements meet in the order of the offsets, whatever the vector width. */
#include "../kernel.h"
#include <math.h>

enum { SHORT_ROW = 16 };

static inline int64_t imin(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t imax(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t ceil_div(int64_t a, int64_t b) { return a > 0 ? (a + b - 1) / b : -(-a / b); }

/* The outputs lo <= o < hi along dimension d whose window offset k falls on the input, not on padding. Output o reads
 * input o * stride + *shift. */
static __attribute__((noinline)) void valid_outputs(const mtb_window *w, int d, int64_t k, int64_t *lo, int64_t *hi,
                                                    int64_t *shift) {
    *shift = k * w->dilation[d] - w->pad[d];
    *lo = imin(imax(ceil_div(-*shift, w->stride[d]), 0), w->out[d]);
    *hi = imax(imin(ceil_div(w->in[d] - *shift, w->stride[d]), w->out[d]), *lo);
}

/* The input position of the first offset of output o that is not on padding; a wide dilation can jump over the whole
 * input, so it may lie past the end. */
static inline int64_t first_input(const mtb_window *w, int d, int64_t o) {
    int64_t start = o * w->stride[d] - w->pad[d];
    return start < 0 ? start + ceil_div(-start, w->dilation[d]) * w->dilation[d] : start;
}

/* ---- maximum ------------------------------------------------------------------------------------------------------
 * A band of output rows is made at once. Its input is first unravelled: element (r, i) of phase (p, q) is the input at
 * (r stride + p, i stride + q), or -inf on the padding. The offset (kh, kw) of every window of the band is then one run
 * of memory, and a pass over it needs no thought of rows, strides or borders. What wins is remembered as the offset's
 * place relative to the window's corner. */
/* elements of a band; outputs of a depth that are made window by window; no offset has won: all are -inf */
enum { BAND = 2048, FEW = 16, NOWHERE = -1 };

typedef struct {
    int64_t rows, pitch;       /* of the band: output rows, elements of one with those that only fill it up */
    int64_t deep, phases_h, phases_w;
} band;

static band band_of(const mtb_window *w) {
    int64_t more_h = (w->kernel[1] - 1) * w->dilation[1] / w->stride[1];
    band b = {1, w->out[2] + (w->kernel[2] - 1) * w->dilation[2] / w->stride[2], 0, 0, 0};
    b.rows = imax(1, imin(w->out[1], BAND / b.pitch));
    b.deep = b.rows + more_h;
    b.phases_h = imin(w->stride[1], (w->kernel[1] - 1) * w->dilation[1] + 1);
    b.phases_w = imin(w->stride[2], (w->kernel[2] - 1) * w->dilation[2] + 1);
    return b;
}

/* Maxima alone: rows of columns' maxima, side by side: `most` of them, elements of one, what is read past the end. */
typedef struct {
    int64_t most, pitch, past;
} strip;

static strip strip_of(const mtb_window *w) {
    const int64_t step = w->stride[2], past = (w->kernel[2] - 1) * w->dilation[2];
    const int64_t pitch = ceil_div(imax((w->out[2] - 1) * step + past + 1, w->pad[2] + w->in[2]), step) * step;
    return (strip){imax(1, imin(w->out[1], BAND / pitch)), pitch, past};
}

/* Bytes of scratch: the phases, and of each output of the band the maximum and where it is; a row past the end. */
static int64_t max_scratch(const mtb_window *w) {
    const band b = band_of(w);
    const strip s = strip_of(w);
    const int64_t whole = (b.deep + 1) * b.pitch;
    const int64_t phases = b.phases_h * b.phases_w * whole + 2 * b.rows * b.pitch;
    return imax(phases, 2 * s.most * s.pitch + s.past) * (int64_t)sizeof(T);
}

/* dst[i] = src[i * step] */
INLINE void take_every(T *restrict dst, const T *restrict src, int64_t step, int64_t n) {
    if (step == 1)
        memcpy(dst, src, (size_t)n * sizeof(T));
    else if (step == 2)
        for (int64_t i = 0; i < n; i++) dst[i] = src[i * 2];
    else if (step == 3)
        for (int64_t i = 0; i < n; i++) dst[i] = src[i * 3];
    else
        for (int64_t i = 0; i < n; i++) dst[i] = src[i * step];
}

/* The phases of the band of output rows from `first` on; x is one depth of the input. */
static void unravel(T *phases, const T *x, const mtb_window *w, const band *b, int64_t first) {
    const int64_t step = w->stride[2], W = w->in[2];
    for (int64_t p = 0; p < b->phases_h; p++)
        for (int64_t q = 0; q < b->phases_w; q++) {
            int64_t lo = imin(imax(ceil_div(w->pad[2] - q, step), 0), b->pitch);
            int64_t hi = imax(imin(ceil_div(W + w->pad[2] - q, step), b->pitch), lo);
            for (int64_t r = 0; r <= b->deep; r++, phases += b->pitch) {
                int64_t h = (first + r) * w->stride[1] + p - w->pad[1];
                int inside = r < b->deep && h >= 0 && h < w->in[1];
                int64_t from = inside ? lo : b->pitch, to = inside ? hi : b->pitch;
                for (int64_t i = 0; i < from; i++) phases[i] = (T)-INFINITY;
                if (to > from) take_every(phases + from, x + h * W + from * step + q - w->pad[2], step, to - from);
                for (int64_t i = to; i < b->pitch; i++) phases[i] = (T)-INFINITY;
            }
        }
}

/* best[i] = max(best[i], x[i]), at[i] = offset where x[i] won; a NaN wins, the last one stays */
static void max_pass(T *restrict best, TI *restrict at, const T *restrict x, TI offset, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        int wins = x[i] > best[i] || x[i] != x[i];
        best[i] = wins ? x[i] : best[i];
        at[i] = wins ? offset : at[i];
    }
}

/* y[i] = max(x[i * step], z[i * step]), or y[i] and z's: a NaN wins */
INLINE void larger(T *y, const T *x, int64_t x_step, const T *z, int64_t z_step, int64_t n) {
    _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {
        const T a = x[i * x_step], b = z[i * z_step];
        y[i] = b > a || b != b ? b : a;
    }
}
static __attribute__((noinline)) void larger_of(T *y, const T *x, const T *z, int64_t n) { larger(y, x, 1, z, 1, n); }

static int has_nan(const T *x, int64_t n) {
    TI found = 0;
    for (int64_t i = 0; i < n; i++) found |= x[i] != x[i];
    return found != 0;
}

/* y[i] = the maximum of x[i * step], x[i * step + dilation] ... */
static void max_across(T *y, const T *x, const mtb_window *w, int64_t n) {
    const int64_t step = w->stride[2], apart = w->dilation[2];
    if (step == 2 && w->kernel[2] == 2 && apart == 1) {
        larger(y, x, 2, x + 1, 2, n);
        return;
    }
    take_every(y, x, step, n);
    for (int64_t k = 1; k < w->kernel[2]; k++) {
        x += apart;
        if (step == 1) larger_of(y, y, x, n);
        else if (step == 2) larger(y, y, 1, x, 2, n);
        else larger(y, y, 1, x, step, n);
    }
}

/* Maxima alone: first down the columns of each row of windows, row by row as they lie; then across some of those rows,
 * side by side between paddings of -inf. */
static void max_values(T *y, const T *x, const mtb_window *w, T *columns) {
    const strip s = strip_of(w);
    const int64_t n = w->out[2], W = w->in[2], made = s.pitch / w->stride[2];
    T *best = columns + s.most * s.pitch + s.past;
    if (w->kernel[0] * w->kernel[1] * w->stride[0] * w->stride[1] == 1 && w->pad[0] + w->pad[1] + w->pad[2] == 0 &&
        s.past < w->stride[2] && W == s.pitch && n == made) {
        max_across(y, x, w, w->out[0] * w->out[1] * n);
        return;
    }
    for (int64_t i = 0; i < s.most * s.pitch + s.past; i++) columns[i] = (T)-INFINITY;
    for (int64_t od = 0; od < w->out[0]; od++)
        for (int64_t oh = 0, rows; oh < w->out[1]; oh += rows) {
            rows = imin(s.most, w->out[1] - oh);
            for (int64_t r = 0; r < rows; r++) {
                T *to = columns + r * s.pitch + w->pad[2];
                const T *one = NULL;
                int64_t met = 0;
                for (int64_t kd = 0; kd < w->kernel[0]; kd++)
                    for (int64_t kh = 0; kh < w->kernel[1]; kh++) {
                        const int64_t d = od * w->stride[0] - w->pad[0] + kd * w->dilation[0];
                        const int64_t h = (oh + r) * w->stride[1] - w->pad[1] + kh * w->dilation[1];
                        const T *row = x + (d * w->in[1] + h) * W;
                        if (d < 0 || d >= w->in[0] || h < 0 || h >= w->in[1]) continue;
                        if (met++) larger_of(to, one, row, W);
                        one = met > 1 ? to : row;
                    }
                if (met == 1) memcpy(to, one, (size_t)W * sizeof(T));
                for (int64_t i = 0; !met && i < W; i++) to[i] = (T)-INFINITY;
            }
            max_across(made == n ? y : best, columns, w, rows * made);
            for (int64_t r = 0; made != n && r < rows; r++) memcpy(y + r * n, best + r * made, (size_t)n * sizeof(T));
            y += rows * n;
        }
}

/* The same window by window, for so few outputs that bands do not pay. */
static void max_by_windows(T *y, int64_t *at, const T *x, const mtb_window *w) {
    for (int64_t od = 0; od < w->out[0]; od++)
        for (int64_t oh = 0; oh < w->out[1]; oh++)
            for (int64_t ow = 0; ow < w->out[2]; ow++) {
                int64_t o[3] = {od, oh, ow}, from[3], to[3], winner = 0;
                for (int d = 0; d < 3; d++) {
                    from[d] = first_input(w, d, o[d]);
                    to[d] = imin(o[d] * w->stride[d] - w->pad[d] + (w->kernel[d] - 1) * w->dilation[d] + 1, w->in[d]);
                    winner = winner * w->in[d] + imin(from[d], w->in[d] - 1);
                }
                T best = (T)-INFINITY;
                for (int64_t id = from[0]; id < to[0]; id += w->dilation[0])
                    for (int64_t ih = from[1]; ih < to[1]; ih += w->dilation[1])
                        for (int64_t iw = from[2]; iw < to[2]; iw += w->dilation[2]) {
                            int64_t i = (id * w->in[1] + ih) * w->in[2] + iw;
                            if (x[i] > best || x[i] != x[i]) best = x[i], winner = i;
                        }
                *y++ = best;
                *at++ = winner;
            }
}

/* what: windowed maximum and its position. shapes: y, at[out], x[in]. passes: reads x, writes y (and at). */
static void max(void *y_p, int64_t *at, const void *x_p, const mtb_window *w, void *scratch) {
    const T *x = x_p;
    const band b = band_of(w);
    const int64_t H = w->in[1], W = w->in[2], n = w->out[2], all = b.rows * b.pitch, phase = (b.deep + 1) * b.pitch;
    T *y = y_p, *best = scratch, *phases = best + 2 * all;
    TI *won = (TI *)(best + all);
    if (!at || w->out[1] * n < FEW) {
        at ? max_by_windows(y, at, x, w) : max_values(y, x, w, scratch);
        return;
    }
    for (int64_t od = 0; od < w->out[0]; od++)
        for (int64_t first = 0; first < w->out[1]; first += b.rows) {
            const int64_t rows = imin(b.rows, w->out[1] - first);
            for (int64_t i = 0; i < all; i++) best[i] = (T)-INFINITY, won[i] = NOWHERE;
            for (int64_t kd = 0; kd < w->kernel[0]; kd++) {
                int64_t id = od * w->stride[0] - w->pad[0] + kd * w->dilation[0];
                if (id < 0 || id >= w->in[0]) continue;
                unravel(phases, x + id * H * W, w, &b, first);
                for (int64_t kh = 0; kh < w->kernel[1]; kh++)
                    for (int64_t kw = 0; kw < w->kernel[2]; kw++) {
                        int64_t h = kh * w->dilation[1], v = kw * w->dilation[2];
                        const T *run = phases + (h % w->stride[1] * b.phases_w + v % w->stride[2]) * phase;
                        run += h / w->stride[1] * b.pitch + v / w->stride[2];
                        max_pass(best, won, run, (TI)((kd * w->dilation[0] * H + h) * W + v), rows * b.pitch);
                    }
            }
            for (int64_t r = 0; r < rows; r++, y += n) {
                int64_t d = od * w->stride[0] - w->pad[0], h = (first + r) * w->stride[1] - w->pad[1], lost = 0;
                const int64_t corner = (d * H + h) * W - w->pad[2], step = w->stride[2];
                const TI *offset = won + r * b.pitch;
                memcpy(y, best + r * b.pitch, (size_t)n * sizeof(T));
                for (int64_t i = 0; i < n; i++) {
                    lost |= offset[i] == NOWHERE;
                    at[i] = corner + i * step + offset[i];
                }
                for (int64_t i = 0; lost && i < n; i++) /* of a window of -inf the first position wins */
                    if (offset[i] == NOWHERE)
                        at[i] = (imin(first_input(w, 0, od), w->in[0] - 1) * H +
                                 imin(first_input(w, 1, first + r), H - 1)) * W + imin(first_input(w, 2, i), W - 1);
                at += n;
            }
        }
}

/* The number of offsets of output o along dimension d; with_pad: those on the padding too, but not beyond it. */
static __attribute__((noinline)) int64_t extent(const mtb_window *w, int d, int64_t o, int with_pad) {
    int64_t start = o * w->stride[d] - w->pad[d], end = start + w->kernel[d];
    return with_pad ? imin(end, w->in[d] + w->pad[d]) - start : imin(end, w->in[d]) - imax(start, 0);
}

/* dst[i] = src[i] / (the number of elements that window (od, oh, i) averages) */
static void divide_row(T *dst, const T *src, const mtb_window *w, int64_t od, int64_t oh) {
    int64_t n = w->out[2], lo = 0, hi = n, full = w->divisor;
    const int alike = (w->count_pad || !w->pad[2]) && (n - 1) * w->stride[2] + w->kernel[2] <= w->in[2] + 2 * w->pad[2];
    if (!w->divisor && alike) {
        full = extent(w, 0, od, w->count_pad) * extent(w, 1, oh, w->count_pad) * w->kernel[2];
    } else if (!w->divisor && n < SHORT_ROW) {
        full = extent(w, 0, od, w->count_pad) * extent(w, 1, oh, w->count_pad);
        for (int64_t i = 0; i < n; i++) dst[i] = src[i] / (T)(full * extent(w, 2, i, w->count_pad));
        return;
    } else if (!w->divisor) { /* lo <= i < hi: the windows that touch no border */
        int64_t unused, shift;
        valid_outputs(w, 2, 0, &lo, &unused, &shift);
        valid_outputs(w, 2, w->kernel[2] - 1, &unused, &hi, &shift);
        full = extent(w, 0, od, w->count_pad) * extent(w, 1, oh, w->count_pad);
        lo = imin(lo, hi);
        for (int64_t i = 0; i < lo; i++) dst[i] = src[i] / (T)(full * extent(w, 2, i, w->count_pad));
        for (int64_t i = hi; i < n; i++) dst[i] = src[i] / (T)(full * extent(w, 2, i, w->count_pad));
        full *= w->kernel[2];
    }
    for (int64_t i = lo; i < hi; i++) dst[i] = src[i] / (T)full;
}

INLINE void add_strided(T *restrict y, int64_t y_step, const T *restrict x, int64_t x_step, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i * y_step] += x[i * x_step];
}

/* Adds a row of the input to a row of the outputs (or, backward, the other way): one pass for each offset kw; a short
 * row cell by cell, which adds in the same order to each sum of the forward. */
INLINE void row_passes(T *out_row, T *in_row, const mtb_window *w, int backward) {
    int64_t step = w->stride[2], n = w->out[2];
    for (int64_t o = 0; n < SHORT_ROW && o < n; o++) {
        int64_t start = o * step - w->pad[2], end = imin(start + w->kernel[2], w->in[2]);
        T sum = out_row[o];
        for (int64_t i = imax(start, 0); i < end; i++)
            if (backward)
                in_row[i] += sum;
            else
                sum += in_row[i];
        out_row[o] = sum;
    }
    for (int64_t kw = 0; n >= SHORT_ROW && kw < w->kernel[2]; kw++) {
        int64_t lo, hi, shift;
        valid_outputs(w, 2, kw, &lo, &hi, &shift);
        if (hi == lo) continue;
        T *o = out_row + lo, *i = in_row + lo * step + shift;
        if (backward)
            step == 1 ? add_strided(i, 1, o, 1, hi - lo) : add_strided(i, step, o, 1, hi - lo);
        else if (step == 2)
            add_strided(o, 1, i, 2, hi - lo);
        else
            step == 1 ? add_strided(o, 1, i, 1, hi - lo) : add_strided(o, 1, i, step, hi - lo);
    }
}

INLINE void window_rows(T *out_row, T *x, const mtb_window *w, int64_t od, int64_t oh, int backward) {
    int64_t d0 = od * w->stride[0] - w->pad[0], h0 = oh * w->stride[1] - w->pad[1];
    for (int64_t id = imax(d0, 0); id < imin(d0 + w->kernel[0], w->in[0]); id++)
        for (int64_t ih = imax(h0, 0); ih < imin(h0 + w->kernel[1], w->in[1]); ih++)
            row_passes(out_row, x + (id * w->in[1] + ih) * w->in[2], w, backward);
}

/* what: windowed average. shapes: y[out], x[in]. passes: reads x, writes y. */
static void average(void *y_p, const void *x, const mtb_window *w) {
    T *y = y_p;
    int64_t n = w->out[2];
    for (int64_t od = 0; od < w->out[0]; od++)
        for (int64_t oh = 0; oh < w->out[1]; oh++, y += n) {
            memset(y, 0, (size_t)n * sizeof(T));
            window_rows(y, (T *)x, w, od, oh, 0); /* forward only reads x */
            divide_row(y, y, w, od, oh);
        }
}

/* what: gradient of the average. shapes: dx[in], dy[out]. passes: writes dx twice, reads dy. */
static void average_backward(void *dx, const void *dy_p, const mtb_window *w, void *row) {
    const T *dy = dy_p;
    T *g = row;
    int64_t n = w->out[2];
    memset(dx, 0, (size_t)(w->in[0] * w->in[1] * w->in[2]) * sizeof(T));
    for (int64_t od = 0; od < w->out[0]; od++)
        for (int64_t oh = 0; oh < w->out[1]; oh++, dy += n) {
            divide_row(g, dy, w, od, oh);
            window_rows(g, dx, w, od, oh, 1);
        }
}

#include "../cells.h"

/* what: dx = 0, then dx[at] += dy (or = dy). shapes: dx[n_in], dy, at[n_out]. passes: writes dx, reads dy and at. */
static void scatter(void *dx_p, int64_t n_in, const void *dy_p, const int64_t *at, int64_t n_out, int add) {
    T *dx = dx_p;
    const T *dy = dy_p;
    memset(dx, 0, (size_t)n_in * sizeof(T));
    if (add)
        for (int64_t i = 0; i < n_out; i++) dx[at[i]] += dy[i];
    else
        for (int64_t i = 0; i < n_out; i++) dx[at[i]] = dy[i];
}

/* what: y = x[at]. shapes: y, at[n_out]. passes: reads at and parts of x, writes y. */
static void pick(void *y_p, const void *x_p, const int64_t *at, int64_t n_out) {
    T *y = y_p;
    const T *x = x_p;
    for (int64_t i = 0; i < n_out; i++) y[i] = x[at[i]];
}

extern const mtb_pool TABLE(pool);
const mtb_pool TABLE(pool) = {max_scratch, max, average,         average_backward, adaptive_max, adaptive_average,
                              adaptive_average_backward, scatter, pick};
