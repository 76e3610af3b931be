/* softmax.c: softmax, log-softmax, logsumexp and cross entropy along rows and columns, forward and backward.
 *
 * Always shifted by the maximum, so nothing overflows. Sums of exponentials are double: of a row, block by block, each
 * block in 16 lanes of T; of a column, value by value. Short rows are turned into columns, to use whole vectors.
 */
#include "../kernel.h"
#include "../turn.h"
#if MTB_T_f32
#define LOG d_log
#else
#define LOG m_log
#endif

enum { BLOCK = 256, SHORT = 32, COLS = MTB_SOFTMAX_COLS, TURNED = 64, TOGETHER = 16 };
#define INF ((T)__builtin_inf())
#if MTB_T_f32
#define LARGEST ((T)0x1.fffffep127)
#else
#define LARGEST ((T)0x1.fffffffffffffp1023)
#endif
#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* The largest of n values, which are not all NaN (a NaN reaches the result through the sum). */
static T max_of(int64_t n, const T *x) {
    vec m[NV];
    T lane[LANES], best = -INF;
    int64_t i = 0;
    for (; n < LANES && i < n; i++) best = x[i] > best ? x[i] : best;
    if (n < LANES) return best;
    UNROLL for (int k = 0; k < NV; k++) m[k] = vset(-INF);
    for (; i + LANES <= n; i += LANES)
        UNROLL for (int k = 0; k < NV; k++) m[k] = vmax(vload(x + i + k * VL), m[k]);
    UNROLL for (int k = 0; k < NV; k++) vstore(lane + k * VL, m[k]);
    for (; i < n; i++) best = x[i] > best ? x[i] : best;
    for (int step = LANES / 2; step > 0; step /= 2)
        for (int j = 0; j < step; j++) lane[j] = lane[j + step] > lane[j] ? lane[j + step] : lane[j];
    return lane[0] > best ? lane[0] : best;
}

/* The sum of n <= BLOCK values: 16 lanes, then the rest one by one. */
static double block_sum(int64_t n, const T *x) {
    vec s[NV] = {};
    double rest = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        UNROLL for (int k = 0; k < NV; k++) s[k] += vload(x + i + k * VL);
    for (; i < n; i++) rest += (double)x[i];
    return n < LANES ? rest : (double)lanes_sum(s) + rest;
}

/* e = exp(x - m) where that is at most 1; s = log(s): one instance of each, as they are long. e may be x. */
static __attribute__((noinline)) void exp_all(int64_t n, const T *x, T m, T *e) {
    _Pragma("GCC ivdep")
    for (int64_t i = 0; i < n; i++) e[i] = m_exp_minus(x[i] - m);
}
static __attribute__((noinline)) void log_all(int64_t n, double *restrict s) {
    for (int64_t i = 0; i < n; i++) s[i] = LOG(s[i]);
}

/* sum of exp(x - m); the exponentials stay in y if it is not NULL */
static double sum_exp(int64_t n, const T *x, T m, T *y) {
    double sum = 0;
    T buffer[BLOCK];
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t count = MIN(BLOCK, n - i);
        T *e = y ? y + i : buffer;
        exp_all(count, x + i, m, e);
        sum += block_sum(count, e);
    }
    return sum;
}

/* What to subtract before exp where m is the largest, if it may be infinite: inf - inf would be NaN. */
static T shift_of(T m) { return m == INF ? LARGEST : m == -INF ? -LARGEST : m; }

/* m[r] = the maximum of row r; sum[r] = sum of exp(x - m[r]), as by sum_exp, m[r] made finite first if `finite`.
 * Rows of at most a block are done several at a time, so that one loop over them fills the pipeline. */
static void sum_exp_rows(int64_t rows, int64_t n, const T *x, int finite, T *m, double *sum, T *y) {
    T buffer[4 * BLOCK], shift[TOGETHER];
    int64_t group = n <= BLOCK ? MIN(rows, 4 * BLOCK / n) : 1;
    for (int64_t r = 0; r < rows; r++) {
        m[r] = max_of(n, x + r * n);
        shift[r] = finite ? shift_of(m[r]) : m[r];
    }
    for (int64_t r = 0; n > BLOCK && r < rows; r++) sum[r] = sum_exp(n, x + r * n, shift[r], y ? y + r * n : NULL);
    for (int64_t from = 0; n <= BLOCK && from < rows; from += group) {
        int64_t count = MIN(group, rows - from);
        T *restrict e = y ? y + from * n : buffer;
        for (int64_t r = 0; r < count; r++)
            for (int64_t i = 0; i < n; i++) e[r * n + i] = x[(from + r) * n + i] - shift[from + r];
        exp_all(count * n, e, 0, e);
        for (int64_t r = 0; r < count; r++) sum[from + r] = block_sum(n, e + r * n);
    }
}

/* ---- columns ----------------------------------------------------------------------------------------------------*/
static void max_cols(int64_t n, int64_t cols, const T *restrict x, int64_t stride, T *restrict m) {
    for (int64_t c = 0; c < cols; c++) m[c] = -INF;
    for (int64_t r = 0; r < n; r++, x += stride)
        for (int64_t c = 0; c < cols; c++) m[c] = x[c] > m[c] ? x[c] : m[c];
}

/* e = exp(x - m), one m a column */
static __attribute__((noinline)) void exp_cols(int64_t cols, const T *restrict x, const T *restrict m, T *restrict e) {
    for (int64_t c = 0; c < cols; c++) e[c] = m_exp_minus(x[c] - m[c]);
}

/* the sum of each column's exp(x - m), value by value; they stay in y if it is not NULL */
static void sum_exp_cols(int64_t n, int64_t cols, const T *x, int64_t stride, const T *m, T *y, double *restrict sum) {
    for (int64_t c = 0; c < cols; c++) sum[c] = 0;
    for (int64_t r = 0; r < n; r++) {
        T buffer[COLS], *restrict e = y ? y + r * stride : buffer;
        exp_cols(cols, x + r * stride, m, e);
        for (int64_t c = 0; c < cols; c++) sum[c] += (double)e[c];
    }
}

static void softmax_cols(int64_t n, int64_t cols, const void *xv, int64_t stride, int log, void *yv) {
    const T *restrict x = xv;
    T *restrict y = yv, m[COLS], scale[COLS];
    double sum[COLS];
    max_cols(n, cols, x, stride, m);
    sum_exp_cols(n, cols, x, stride, m, log ? NULL : y, sum);
    if (log) log_all(cols, sum);
    for (int64_t c = 0; c < cols; c++) scale[c] = (T)(log ? sum[c] : 1 / sum[c]);
    for (int64_t r = 0; r < n; r++) {
        if (log)
            for (int64_t c = 0; c < cols; c++) y[r * stride + c] = (x[r * stride + c] - m[c]) - scale[c];
        else
            for (int64_t c = 0; c < cols; c++) y[r * stride + c] *= scale[c];
    }
}

static void backward_cols(int64_t n, int64_t cols, const void *yv, const void *dyv, int64_t stride, int log,
                          void *dxv) {
    const T *restrict y = yv, *restrict dy = dyv;
    T *restrict dx = dxv, total[COLS];
    double sum[COLS];
    for (int64_t c = 0; c < cols; c++) sum[c] = 0;
    for (int64_t r = 0; r < n; r++) {
        int64_t at = r * stride;
        if (log)
            for (int64_t c = 0; c < cols; c++) sum[c] += (double)dy[at + c];
        else
            for (int64_t c = 0; c < cols; c++) sum[c] += (double)(dy[at + c] * y[at + c]);
    }
    for (int64_t c = 0; c < cols; c++) total[c] = (T)sum[c];
    for (int64_t r = 0; r < n; r++) {
        int64_t at = r * stride;
        if (log) {
            T e[COLS];
            exp_all(cols, y + at, 0, e);
            for (int64_t c = 0; c < cols; c++) dx[at + c] = dy[at + c] - e[c] * total[c];
        } else
            for (int64_t c = 0; c < cols; c++) dx[at + c] = (dy[at + c] - total[c]) * y[at + c];
    }
}

static void logsumexp_cols(int64_t n, int64_t cols, const void *xv, int64_t stride, void *outv) {
    T *restrict out = outv, m[COLS], shift[COLS];
    double sum[COLS];
    max_cols(n, cols, xv, stride, m);
    for (int64_t c = 0; c < cols; c++) shift[c] = shift_of(m[c]);
    sum_exp_cols(n, cols, xv, stride, shift, NULL, sum);
    log_all(cols, sum);
    for (int64_t c = 0; c < cols; c++) out[c] = (T)((double)m[c] + sum[c]);
}

/* ---- rows -----------------------------------------------------------------------------------------------------------
 * A short row is computed as a column, alone or not: so its bits do not depend on how many there are. */
static void softmax_rows(int64_t rows, int64_t n, const void *xv, int log, void *yv) {
    const T *x = xv;
    T *y = yv;
    if (n < SHORT) {
        T a[SHORT * TURNED], b[SHORT * TURNED];
        for (int64_t r = 0; r < rows; r += TURNED) {
            int64_t count = MIN(TURNED, rows - r);
            turn(count, n, x + r * n, n, a, TURNED);
            softmax_cols(n, count, a, TURNED, log, b);
            turn(n, count, b, TURNED, y + r * n, n);
        }
        return;
    }
    for (int64_t from = 0; from < rows; from += TOGETHER) {
        int64_t count = MIN(TOGETHER, rows - from);
        T m[TOGETHER], scale[TOGETHER];
        double sum[TOGETHER];
        sum_exp_rows(count, n, x + from * n, 0, m, sum, log ? NULL : y + from * n);
        if (log) log_all(count, sum);
        for (int64_t r = 0; r < count; r++) scale[r] = (T)(log ? sum[r] : 1 / sum[r]);
        for (int64_t r = 0; r < count; r++) {
            const T *restrict row = x + (from + r) * n;
            T *restrict out = y + (from + r) * n;
            if (log)
                for (int64_t i = 0; i < n; i++) out[i] = (row[i] - m[r]) - scale[r];
            else
                for (int64_t i = 0; i < n; i++) out[i] *= scale[r];
        }
    }
}

static void backward_rows(int64_t rows, int64_t n, const void *yv, const void *dyv, int log, void *dxv) {
    const T *restrict y = yv, *restrict dy = dyv;
    T *restrict dx = dxv;
    if (n < SHORT) {
        T a[SHORT * TURNED], b[SHORT * TURNED], c[SHORT * TURNED];
        for (int64_t r = 0; r < rows; r += TURNED) {
            int64_t count = MIN(TURNED, rows - r);
            turn(count, n, y + r * n, n, a, TURNED);
            turn(count, n, dy + r * n, n, b, TURNED);
            backward_cols(n, count, a, b, TURNED, log, c);
            turn(n, count, c, TURNED, dx + r * n, n);
        }
        return;
    }
    for (int64_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        double sum = 0;
        T buffer[BLOCK];
        for (int64_t i = 0; i < n; i += BLOCK) {
            int64_t count = MIN(BLOCK, n - i);
            for (int64_t j = 0; !log && j < count; j++) buffer[j] = dy[i + j] * y[i + j];
            sum += block_sum(count, log ? dy + i : buffer);
        }
        T total = (T)sum;
        if (log) {
            exp_all(n, y, 0, dx);
            for (int64_t i = 0; i < n; i++) dx[i] = dy[i] - dx[i] * total;
        } else {
            for (int64_t i = 0; i < n; i++) dx[i] = (dy[i] - total) * y[i];
        }
    }
}

static void logsumexp_rows(int64_t rows, int64_t n, const void *xv, void *outv) {
    const T *x = xv;
    T *out = outv;
    if (n < SHORT) {
        T a[SHORT * TURNED];
        for (int64_t r = 0; r < rows; r += TURNED) {
            int64_t count = MIN(TURNED, rows - r);
            turn(count, n, x + r * n, n, a, TURNED);
            logsumexp_cols(n, count, a, TURNED, out + r);
        }
        return;
    }
    for (int64_t from = 0; from < rows; from += TOGETHER) {
        int64_t count = MIN(TOGETHER, rows - from);
        T m[TOGETHER];
        double sum[TOGETHER];
        sum_exp_rows(count, n, x + from * n, 1, m, sum, NULL);
        log_all(count, sum);
        for (int64_t r = 0; r < count; r++) out[from + r] = (T)((double)m[r] + sum[r]);
    }
}

/* ---- cross entropy: reads x twice (the second time from cache), writes one loss a row or column -----------------*/
static double weighted_sum(int64_t n, const T *x, T m, const T *weight) {
    double sum = 0;
    T buffer[BLOCK];
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t count = MIN(BLOCK, n - i);
        for (int64_t j = 0; j < count; j++) buffer[j] = x[i + j] - m;
        for (int64_t j = 0; weight && j < count; j++) buffer[j] *= weight[i + j];
        sum += block_sum(count, buffer);
    }
    return sum;
}

/* From m and sum of each row (a row of x is `row` on, a class `step`): its loss and stats. spread[r] = sum of
 * weight (x - m), if smoothing. */
static void finish_losses(const mtb_loss *q, int64_t count, const T *x, int64_t row, int64_t step,
                          const int64_t *target, const T *m, const double *sum, const double *spread, T *loss,
                          T *stats, double *total) {
    const T *weight = q->weight;
    double log_sum[COLS];
    for (int64_t r = 0; r < count; r++) log_sum[r] = sum[r];
    log_all(count, log_sum);
    for (int64_t r = 0; r < count; r++) {
        double value = 0;
        stats[2 * r] = m[r], stats[2 * r + 1] = (T)(1 / sum[r]);
        if (target[r] != q->ignore) {
            double w = weight ? (double)weight[target[r]] : 1;
            value = w * (log_sum[r] - ((double)x[r * row + target[r] * step] - (double)m[r]));
            total[1] += w;
            if (q->smoothing > 0) {
                double all = q->weight_sum * log_sum[r] - spread[r];
                value = (1 - q->smoothing) * value + q->smoothing / (double)q->n * all;
            }
        }
        loss[r] = (T)value;
        total[0] += value;
    }
}

static void cross_entropy_rows(const mtb_loss *q, int64_t rows, const void *xv, const int64_t *target, void *lossv,
                               void *statsv, double *total) {
    const int64_t n = q->n;
    for (int64_t from = 0; from < rows; from += TOGETHER) {
        const T *x = (const T *)xv + from * n;
        int64_t count = MIN(TOGETHER, rows - from);
        T m[TOGETHER];
        double sum[TOGETHER], spread[TOGETHER];
        sum_exp_rows(count, n, x, 0, m, sum, NULL);
        for (int64_t r = 0; r < count && q->smoothing > 0; r++)
            spread[r] = weighted_sum(n, x + r * n, m[r], q->weight);
        finish_losses(q, count, x, n, 1, target + from, m, sum, spread, (T *)lossv + from, (T *)statsv + 2 * from,
                      total);
    }
}

static void cross_entropy_cols(const mtb_loss *q, int64_t cols, const void *xv, int64_t stride, const int64_t *target,
                               void *lossv, void *statsv, double *total) {
    const T *restrict x = xv, *weight = q->weight;
    T m[COLS];
    double sum[COLS], spread[COLS];
    max_cols(q->n, cols, x, stride, m);
    sum_exp_cols(q->n, cols, x, stride, m, NULL, sum);
    for (int64_t c = 0; c < cols; c++) spread[c] = 0;
    for (int64_t i = 0; i < q->n && q->smoothing > 0; i++) {
        const T w = weight ? weight[i] : 1;
        for (int64_t c = 0; c < cols; c++) spread[c] += (double)((x[i * stride + c] - m[c]) * w);
    }
    finish_losses(q, cols, x, 1, stride, target, m, sum, spread, lossv, statsv, total);
}

/* The factors of row r's gradient all p - each weight, less own at the target; p unnormalized */
static void loss_factors(const mtb_loss *q, const T *stats, T dloss, int64_t target, double *own, T *all, T *each) {
    const T *weight = q->weight;
    double g = (double)dloss / q->divisor, spread = g * q->smoothing / (double)q->n;
    *own = g * (1 - q->smoothing) * (weight ? (double)weight[target] : 1);
    *all = (T)((*own + spread * q->weight_sum) * (double)stats[1]), *each = (T)spread;
}

static void cross_entropy_backward_rows(const mtb_loss *q, int64_t rows, const void *xv, const int64_t *target,
                                        const void *statsv, const void *dlossv, void *dxv) {
    const T *restrict x = xv, *restrict weight = q->weight, *stats = statsv, *dloss = dlossv;
    T *restrict dx = dxv;
    const int64_t n = q->n;
    for (int64_t r = 0; r < rows; r++, x += n, dx += n) {
        double own;
        T all, each;
        if (target[r] == q->ignore) {
            memset(dx, 0, (size_t)n * sizeof(T));
            continue;
        }
        loss_factors(q, stats + 2 * r, dloss[r * q->dloss_stride], target[r], &own, &all, &each);
        exp_all(n, x, stats[2 * r], dx);
        if (q->smoothing > 0 && weight)
            for (int64_t i = 0; i < n; i++) dx[i] = all * dx[i] - each * weight[i];
        else
            for (int64_t i = 0; i < n; i++) dx[i] = all * dx[i] - each;
        dx[target[r]] -= (T)own;
    }
}

static void cross_entropy_backward_cols(const mtb_loss *q, int64_t cols, const void *xv, int64_t stride,
                                        const int64_t *target, const void *statsv, const void *dlossv, void *dxv) {
    const T *restrict x = xv, *weight = q->weight, *stats = statsv, *dloss = dlossv;
    T *restrict dx = dxv, m[COLS], all[COLS], each[COLS], count[COLS];
    double own[COLS];
    for (int64_t c = 0; c < cols; c++) {
        count[c] = target[c] != q->ignore, m[c] = stats[2 * c], own[c] = all[c] = each[c] = 0;
        if (count[c] != 0)
            loss_factors(q, stats + 2 * c, dloss[c * q->dloss_stride], target[c], own + c, all + c, each + c);
    }
    for (int64_t i = 0; i < q->n; i++) {
        T *restrict d = dx + i * stride, w = q->smoothing > 0 && weight ? weight[i] : 1;
        exp_cols(cols, x + i * stride, m, d);
        for (int64_t c = 0; c < cols; c++) d[c] = count[c] != 0 ? all[c] * d[c] - each[c] * w : 0;
    }
    for (int64_t c = 0; c < cols; c++)
        if (count[c] != 0) dx[target[c] * stride + c] -= (T)own[c];
}

#if MTB_T_f64
/* ---- connectionist temporal classification --------------------------------------------------------------------------
 * A path goes through the states blank, label 1, blank, label 2, ..., blank: it stays, moves one on, or two on where
 * that skips a blank between two different labels (`closed` is 0 there, -inf elsewhere). Rows of logarithms of what
 * reaches each state have two entries before their start that nothing reaches. Row 0 is before the first step. */
static void ctc_start(int64_t n, double *row) {
    for (int64_t s = -2; s < n; s++) row[s] = s == 0 ? 0 : -INF;
}
static void ctc_step(int64_t n, const double *restrict from, const double *restrict closed, const double *restrict emit,
                     double *restrict to) {
    to[-2] = to[-1] = -INF;
    for (int64_t s = 0; s < n; s++) {
        double a = from[s], b = from[s - 1], c = from[s - 2] + closed[s], m = a > b ? a : b;
        m = c > m ? c : m;
        double shift = m == -INF ? 0 : m;
        to[s] = m + m_log(m_exp_minus(a - shift) + m_exp_minus(b - shift) + m_exp_minus(c - shift)) + emit[s];
    }
}
static void ctc_emit(int64_t n, const double *x, const int64_t *state, double *emit) {
    for (int64_t s = 0; s < n; s++) emit[s] = x[state[s]];
}

static double ctc(int64_t steps, const double *x, int64_t stride, int64_t n, const int64_t *state,
                  const double *closed, double *alpha, double *emit) {
    ctc_start(n, alpha + 2);
    for (int64_t t = 0; t < steps; t++, alpha += n + 2) {
        ctc_emit(n, x + t * stride, state, emit);
        ctc_step(n, alpha + 2, closed, emit, alpha + n + 4);
    }
    double a = alpha[n + 1], b = n > 1 ? alpha[n] : -INF, m = a > b ? a : b;
    return m == -INF ? INF : -(m + m_log(m_exp_minus(a - m) + m_exp_minus(b - m)));
}

/* The states run backward here: state s of the row before is state n - 1 - s. */
static void ctc_backward(int64_t steps, int64_t classes, const double *x, int64_t stride, int64_t n,
                         const int64_t *state, const double *closed, const double *alpha, double loss, double g,
                         double *dx, double *scratch) {
    double *row = scratch + 2, *next = row + n + 2, *emit = next + n, *part = emit + n;
    ctc_start(n, row);
    for (int64_t t = steps - 1; t >= 0; t--) {
        const double *reached = alpha + (t + 1) * (n + 2) + 2, *restrict in = x + t * stride;
        double *restrict out = dx + t * stride, *swap = row;
        ctc_emit(n, in, state, emit);
        ctc_step(n, row, closed, emit, next);
        row = next, next = swap;
        for (int64_t s = 0; s < n; s++) {
            double v = row[s] + reached[n - 1 - s];
            part[s] = v == -INF ? -INF : v - emit[s] + loss;
        }
        exp_all(n, part, 0, part);
        for (int64_t c = 0; c < classes; c++) out[c] = g * m_exp(in[c]);
        for (int64_t s = 0; s < n; s++) out[state[s]] -= g * part[s];
    }
}
#endif

extern const mtb_softmax TABLE(softmax);
const mtb_softmax TABLE(softmax) = {
    softmax_rows,       softmax_cols,       backward_rows,
    backward_cols,      logsumexp_rows,     logsumexp_cols,
    cross_entropy_rows, cross_entropy_cols, cross_entropy_backward_rows,
    cross_entropy_backward_cols,
#if MTB_T_f64
    ctc,                ctc_backward,
#else
    NULL,               NULL,
#endif
};
