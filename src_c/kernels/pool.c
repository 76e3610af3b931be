/* pool.c: maximum and average over windows of one plane, and their gradients.
 *
 * An output row is made at once: for each of the window's offsets, one pass over the row takes that offset's input of
 * every cell. So a window's elements meet in the order of the offsets, whatever the vector width. */
#include "../kernel.h"
#include <math.h>

enum { SHORT_ROW = 16 };
#define INLINE static inline __attribute__((always_inline))

static inline int64_t imin(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t imax(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t ceil_div(int64_t a, int64_t b) { return a > 0 ? (a + b - 1) / b : -(-a / b); }

/* The outputs lo <= o < hi along dimension d whose window offset k falls on the input, not on padding. Output o reads
 * input o * stride + *shift. */
static inline void valid_outputs(const mtb_window *w, int d, int64_t k, int64_t *lo, int64_t *hi, int64_t *shift) {
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

/* The end of the input positions of output o: dilation steps from first_input stay below it. */
static inline int64_t last_input(const mtb_window *w, int d, int64_t o) {
    int64_t end = o * w->stride[d] - w->pad[d] + (w->kernel[d] - 1) * w->dilation[d] + 1;
    return imin(end, w->in[d]);
}

/* best[i] = max(best[i], x[i * step]), at[i] = the flat position of the winner; a NaN wins, the last one stays */
INLINE void max_pass(T *restrict best, TI *restrict at, const T *restrict x, TI position, int64_t n, int64_t step) {
    for (int64_t i = 0; i < n; i++) {
        T v = x[i * step];
        int wins = v > best[i] || v != v;
        best[i] = wins ? v : best[i];
        at[i] = wins ? position + (TI)(i * step) : at[i];
    }
}

/* One row of outputs at depth od and height oh. */
static void max_row(T *best, TI *at, const T *x, const mtb_window *w, int64_t od, int64_t oh) {
    int64_t H = w->in[1], W = w->in[2], n = w->out[2];
    int64_t d0 = od * w->stride[0] - w->pad[0], h0 = oh * w->stride[1] - w->pad[1];
    int64_t corner = (imin(first_input(w, 0, od), w->in[0] - 1) * H + imin(first_input(w, 1, oh), H - 1)) * W;
    for (int64_t i = 0; i < n; i++) {
        best[i] = (T)-INFINITY;
        at[i] = (TI)(corner + imin(first_input(w, 2, i), W - 1)); /* of a window of -inf the first position wins */
    }
    for (int64_t kd = 0; kd < w->kernel[0]; kd++) {
        int64_t id = d0 + kd * w->dilation[0];
        if (id < 0 || id >= w->in[0]) continue;
        for (int64_t kh = 0; kh < w->kernel[1]; kh++) {
            int64_t ih = h0 + kh * w->dilation[1], row = (id * H + ih) * W;
            if (ih < 0 || ih >= H) continue;
            for (int64_t kw = 0; kw < w->kernel[2]; kw++) {
                int64_t lo, hi, shift, step = w->stride[2];
                valid_outputs(w, 2, kw, &lo, &hi, &shift);
                if (hi == lo) continue;
                int64_t first = row + lo * step + shift;
                if (step == 1)
                    max_pass(best + lo, at + lo, x + first, (TI)first, hi - lo, 1);
                else if (step == 2)
                    max_pass(best + lo, at + lo, x + first, (TI)first, hi - lo, 2);
                else
                    max_pass(best + lo, at + lo, x + first, (TI)first, hi - lo, step);
            }
        }
    }
}

/* The same cell by cell, for rows so short that passes over them do not pay. */
static void max_row_by_cells(T *best, TI *at, const T *x, const mtb_window *w, int64_t od, int64_t oh) {
    int64_t H = w->in[1], W = w->in[2], kw = w->dilation[2], kh = w->dilation[1], kd = w->dilation[0];
    int64_t d0 = first_input(w, 0, od), d1 = last_input(w, 0, od);
    int64_t h0 = first_input(w, 1, oh), h1 = last_input(w, 1, oh);
    for (int64_t ow = 0; ow < w->out[2]; ow++) {
        int64_t w0 = first_input(w, 2, ow), w1 = last_input(w, 2, ow);
        int64_t winner = (imin(d0, w->in[0] - 1) * H + imin(h0, H - 1)) * W + imin(w0, W - 1);
        T top = (T)-INFINITY;
        for (int64_t id = d0; id < d1; id += kd)
            for (int64_t ih = h0; ih < h1; ih += kh)
                for (int64_t i = (id * H + ih) * W + w0; i < (id * H + ih) * W + w1; i += kw)
                    if (x[i] > top || x[i] != x[i]) {
                        top = x[i];
                        winner = i;
                    }
        best[ow] = top;
        at[ow] = (TI)winner;
    }
}

/* what: windowed maximum and its position. shapes: y, at[out], x[in]. passes: reads x, writes y (and at). */
static void max(void *y_p, int64_t *at, const void *x, const mtb_window *w, void *scratch) {
    T *y = y_p;
    TI *position = scratch;
    int64_t n = w->out[2];
    for (int64_t od = 0; od < w->out[0]; od++)
        for (int64_t oh = 0; oh < w->out[1]; oh++, y += n) {
            (n < SHORT_ROW ? max_row_by_cells : max_row)(y, position, x, w, od, oh);
            if (!at) continue;
            for (int64_t i = 0; i < n; i++) at[i] = position[i];
            at += n;
        }
}

/* The number of offsets of output o along dimension d; with_pad: those on the padding too, but not beyond it. */
static inline int64_t extent(const mtb_window *w, int d, int64_t o, int with_pad) {
    int64_t start = o * w->stride[d] - w->pad[d], end = start + w->kernel[d];
    return with_pad ? imin(end, w->in[d] + w->pad[d]) - start : imin(end, w->in[d]) - imax(start, 0);
}

/* dst[i] = src[i] / (the number of elements that window (od, oh, i) averages) */
static void divide_row(T *dst, const T *src, const mtb_window *w, int64_t od, int64_t oh) {
    int64_t n = w->out[2], lo = 0, hi = n, full = w->divisor;
    if (!w->divisor && n < SHORT_ROW) {
        full = extent(w, 0, od, w->count_pad) * extent(w, 1, oh, w->count_pad);
        for (int64_t i = 0; i < n; i++) dst[i] = src[i] / (T)(full * extent(w, 2, i, w->count_pad));
        return;
    }
    if (!w->divisor) { /* lo <= i < hi: the windows that touch no border */
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
        for (int64_t i = imax(start, 0); i < end; i++)
            if (backward)
                in_row[i] += out_row[o];
            else
                out_row[o] += in_row[i];
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

/* Adaptive pooling: the cells' limits are tables. A cell is a box of d x h runs of contiguous elements. */
typedef struct {
    int64_t d0, d1, h0, h1, w0, w1, size;
} box;

static inline box cell_box(const mtb_cells *c, int64_t od, int64_t oh, int64_t ow) {
    box b = {c->start[0][od], c->end[0][od], c->start[1][oh], c->end[1][oh], c->start[2][ow], c->end[2][ow], 0};
    b.size = (b.d1 - b.d0) * (b.h1 - b.h0) * (b.w1 - b.w0);
    return b;
}
#define FOR_CELLS(c)                                        \
    for (int64_t od = 0; od < (c)->out[0]; od++)            \
        for (int64_t oh = 0; oh < (c)->out[1]; oh++)        \
            for (int64_t ow = 0; ow < (c)->out[2]; ow++)
#define FOR_RUNS(c, b)                                      \
    for (int64_t id = (b).d0; id < (b).d1; id++)            \
        for (int64_t ih = (b).h0; ih < (b).h1; ih++)
#define RUN_START(c, b) ((id * (c)->in[1] + ih) * (c)->in[2] + (b).w0)

static T run_sum(const T *x, int64_t n) {
    if (n < LANES) {
        T s = 0;
        for (int64_t i = 0; i < n; i++) s += x[i];
        return s;
    }
    vec acc[NV] = {};
    T rest = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < NV; j++) acc[j] += vload(x + i + j * VL);
    for (; i < n; i++) rest += x[i];
    return lanes_sum(acc) + rest;
}

/* what: average of each cell. shapes: y[out], x[in]. passes: reads x, writes y. */
static void adaptive_average(void *y_p, const void *x_p, const mtb_cells *c) {
    T *y = y_p;
    const T *x = x_p;
    FOR_CELLS(c) {
        box b = cell_box(c, od, oh, ow);
        T sum = 0;
        if (b.w1 - b.w0 == c->in[2] && b.d1 - b.d0 == 1) /* whole rows of one depth are one run */
            sum = run_sum(x + (b.d0 * c->in[1] + b.h0) * c->in[2], b.size);
        else
            FOR_RUNS(c, b) sum += run_sum(x + RUN_START(c, b), b.w1 - b.w0);
        *y++ = sum / (T)b.size;
    }
}

/* what: gradient of adaptive_average. shapes: dx[in], dy[out]. passes: writes dx twice, reads dy. */
static void adaptive_average_backward(void *dx_p, const void *dy_p, const mtb_cells *c) {
    T *dx = dx_p;
    const T *dy = dy_p;
    memset(dx, 0, (size_t)(c->in[0] * c->in[1] * c->in[2]) * sizeof(T));
    FOR_CELLS(c) {
        box b = cell_box(c, od, oh, ow);
        T g = *dy++ / (T)b.size;
        FOR_RUNS(c, b) {
            T *run = dx + RUN_START(c, b);
            for (int64_t i = 0; i < b.w1 - b.w0; i++) run[i] += g;
        }
    }
}

/* what: maximum of each cell and its position. shapes: y, at[out], x[in]. passes: reads x, writes y (and at). */
static void adaptive_max(void *y_p, int64_t *at, const void *x_p, const mtb_cells *c) {
    T *y = y_p;
    const T *x = x_p;
    FOR_CELLS(c) {
        box b = cell_box(c, od, oh, ow);
        T best = (T)-INFINITY;
        int64_t winner = (b.d0 * c->in[1] + b.h0) * c->in[2] + b.w0;
        FOR_RUNS(c, b) {
            int64_t start = RUN_START(c, b);
            for (int64_t i = start; i < start + b.w1 - b.w0; i++)
                if (x[i] > best || x[i] != x[i]) {
                    best = x[i];
                    winner = i;
                }
        }
        *y++ = best;
        if (at) *at++ = winner;
    }
}

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
const mtb_pool TABLE(pool) = {max,          average,          average_backward, adaptive_max, adaptive_average,
                              adaptive_average_backward, scatter, pick};
