/* cells.h: adaptive pooling, the part of pool.c whose windows are cells with their limits in tables. A cell is a box of
 * d x h runs of contiguous elements. */
typedef struct {
    int64_t d0, d1, h0, h1, w0, w1, size;
} box;

static inline box cell_box(const mtb_cells *c, int64_t od, int64_t oh, int64_t ow) {
    box b = {c->start[0][od], c->end[0][od], c->start[1][oh], c->end[1][oh], c->start[2][ow], c->end[2][ow], 0};
    b.size = (b.d1 - b.d0) * (b.h1 - b.h0) * (b.w1 - b.w0);
    return b;
}
#define FOR_RUNS(c, b)                                      \
    for (int64_t id = (b).d0; id < (b).d1; id++)            \
        for (int64_t ih = (b).h0; ih < (b).h1; ih++)
#define RUN_START(c, b) ((id * (c)->in[1] + ih) * (c)->in[2] + (b).w0)

static __attribute__((noinline)) T run_sum(const T *x, int64_t n) {
    if (n < 2 * LANES) { /* four chains */
        T s[4] = {};
        for (; n >= 4; n -= 4, x += 4) UNROLL for (int i = 0; i < 4; i++) s[i] += x[i];
        for (int64_t i = 0; i < n; i++) s[i] += x[i];
        return (s[0] + s[1]) + (s[2] + s[3]);
    }
    vec acc[NV] = {};
    T rest = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < NV; j++) acc[j] += vload(x + i + j * VL);
    for (; i < n; i++) rest += x[i];
    return lanes_sum(acc) + rest;
}

static __attribute__((noinline)) void add_run(T *restrict y, const T *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}
static __attribute__((noinline)) void add_number(T *y, T g, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += g;
}

enum { WIDEST = 256 }; /* columns that are worked on together */

/* The cells of a row from `ow` on whose columns are worked on together: one, or as many as WIDEST columns hold. */
static int64_t cells_together(const mtb_cells *c, int64_t ow) {
    int64_t last = ow + 1;
    while (last < c->out[2] && c->end[2][last] - c->start[2][ow] <= WIDEST) last++;
    return last;
}

/* what: average of each cell. shapes: y[out], x[in]. passes: reads x, writes y. Narrow cells side by side: columns
 * first. */
static void adaptive_average(void *y_p, const void *x_p, const mtb_cells *c) {
    T *y = y_p, sums[WIDEST];
    const T *x = x_p;
    const int64_t *start = c->start[2], *end = c->end[2], n = c->out[2];
    for (int64_t od = 0; od < c->out[0]; od++)
        for (int64_t oh = 0; oh < c->out[1]; oh++)
            for (int64_t ow = 0, last; ow < n; ow = last) {
                const box b = cell_box(c, od, oh, ow);
                const int64_t tall = (b.d1 - b.d0) * (b.h1 - b.h0);
                if (tall == 1 || b.w1 - b.w0 >= 2 * LANES) {
                    T sum = 0;
                    last = ow + 1;
                    if (b.w1 - b.w0 == c->in[2] && b.d1 - b.d0 == 1) /* whole rows of one depth are one run */
                        sum = run_sum(x + (b.d0 * c->in[1] + b.h0) * c->in[2], b.size);
                    else
                        FOR_RUNS(c, b) sum += run_sum(x + RUN_START(c, b), b.w1 - b.w0);
                    *y++ = sum / (T)b.size;
                    continue;
                }
                const int64_t width = end[(last = cells_together(c, ow)) - 1] - b.w0;
                memset(sums, 0, (size_t)width * sizeof(T));
                FOR_RUNS(c, b) add_run(sums, x + RUN_START(c, b), width);
                for (int64_t k = ow; k < last; k++)
                    *y++ = run_sum(sums + start[k] - b.w0, end[k] - start[k]) / (T)(tall * (end[k] - start[k]));
            }
}

/* what: gradient of adaptive_average. shapes: dx[in], dy[out]. passes: writes dx twice, reads dy. */
static void adaptive_average_backward(void *dx_p, const void *dy_p, const mtb_cells *c) {
    T *dx = dx_p, row[WIDEST];
    const T *dy = dy_p;
    const int64_t *start = c->start[2], *end = c->end[2];
    memset(dx, 0, (size_t)(c->in[0] * c->in[1] * c->in[2]) * sizeof(T));
    for (int64_t od = 0; od < c->out[0]; od++)
        for (int64_t oh = 0; oh < c->out[1]; oh++)
            for (int64_t ow = 0, last; ow < c->out[2]; ow = last) {
                const box b = cell_box(c, od, oh, ow);
                const int64_t width = end[(last = cells_together(c, ow)) - 1] - b.w0;
                if (width > WIDEST) {
                    const T g = *dy++ / (T)b.size;
                    FOR_RUNS(c, b) add_number(dx + RUN_START(c, b), g, width);
                    continue;
                }
                memset(row, 0, (size_t)width * sizeof(T));
                for (int64_t k = ow; k < last; k++) {
                    const T g = *dy++ / (T)((b.d1 - b.d0) * (b.h1 - b.h0) * (end[k] - start[k]));
                    add_number(row + start[k] - b.w0, g, end[k] - start[k]);
                }
                FOR_RUNS(c, b) add_run(dx + RUN_START(c, b), row, width);
            }
}

/* The largest of n >= LANES values, or a NaN; where there are NaNs, perhaps another number. */
static T run_max(const T *x, int64_t n) {
    T best[LANES];
    int64_t i = LANES;
    vec m[NV];
    UNROLL for (int k = 0; k < NV; k++) m[k] = vload(x + k * VL);
    for (; i + LANES <= n; i += LANES) UNROLL for (int k = 0; k < NV; k++) m[k] = vmax(vload(x + i + k * VL), m[k]);
    UNROLL for (int k = 0; k < NV; k++) vstore(best + k * VL, m[k]);
    for (int step = LANES / 2; step > 0; step /= 2)
        for (int j = 0; j < step; j++) best[j] = best[j + step] > best[j] ? best[j + step] : best[j];
    for (; i < n; i++) best[0] = x[i] > best[0] ? x[i] : best[0];
    return best[0];
}

/* what: maximum of each cell and its position. shapes: y, at[out], x[in]. passes: reads x, writes y (and at). First of
 * each column of some cells side by side, by vectors, then of each cell; of equals the first in memory wins. */
static void adaptive_max(void *y_p, int64_t *at, const void *x_p, const mtb_cells *c) {
    T *y = y_p, best[WIDEST];
    TI won[WIDEST];
    const int64_t *start = c->start[2], *end = c->end[2], n = c->out[2];
    for (int64_t od = 0; od < c->out[0]; od++)
        for (int64_t oh = 0; oh < c->out[1]; oh++, y += n, at += at ? n : 0)
            for (int64_t ow = 0, last; ow < n; ow = last) {
                const box b = cell_box(c, od, oh, ow);
                int64_t winner = 0;
                T m = 0;
                last = cells_together(c, ow);
                for (int64_t from = b.w0; from < end[last - 1]; from += WIDEST) { /* again only in one wide cell */
                    const int64_t width = imin(WIDEST, end[last - 1] - from);
                    FOR_RUNS(c, b) {
                        const int64_t row = (id * c->in[1] + ih) * c->in[2] + from;
                        if (id == b.d0 && ih == b.h0)
                            for (int64_t i = 0; i < width; i++) best[i] = ((const T *)x_p)[row + i], won[i] = (TI)row;
                        else if (!at)
                            larger_of(best, best, (const T *)x_p + row, width);
                        else
                            max_pass(best, won, (const T *)x_p + row, (TI)row, width);
                    }
                    const int plain = !at && !has_nan(best, width);
                    for (int64_t k = ow; k < last; k++) {
                        if (start[k] >= from)
                            m = best[start[k] - from], winner = won[start[k] - from] + start[k] - from;
                        const int64_t first = imax(start[k] - from, 0), count = imin(end[k] - from, width);
                        const int64_t wide = count - first;    /* nothing is less than NaN: few are looked at each */
                        const T most = wide >= LANES ? run_max(best + first, wide) : (T)__builtin_nan("");
                        if (plain && wide >= LANES && most > m) m = most;
                        for (int64_t w = first; plain && wide < LANES && w < count; w++) m = best[w] > m ? best[w] : m;
                        for (int64_t w = first; !plain && w < count; w++) {
                            if (best[w] < most) continue;
                            const int nan = best[w] != best[w], later = won[w] + w > winner;
                            if (nan ? m == m || later : best[w] > m || (best[w] == m && !later))
                                m = best[w], winner = won[w] + w;
                        }
                        y[k] = m;
                        if (at) at[k] = winner;
                    }
                }
            }
}
