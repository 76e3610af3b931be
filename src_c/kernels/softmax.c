/* softmax.c: softmax, log-softmax, logsumexp and cross entropy along rows and columns, forward and backward.
 *
 * Always shifted by the maximum, so nothing overflows. Sums of exponentials are double: of a row, block by block, each
 * block in 16 lanes of T; of a column, value by value. Short rows are turned into columns, to use whole vectors.
 */
#include "../kernel.h"
#if MTB_T_f32
#define LOG d_log
#else
#define LOG m_log
#endif

enum { BLOCK = 256, SHORT = 32, COLS = MTB_SOFTMAX_COLS, TURNED = 64, TOGETHER = 16 };
#define INF ((T)__builtin_inf())
#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* The largest of n values, which are not all NaN (a NaN reaches the result through the sum). */
static T max_of(int64_t n, const T *x) {
    vec m[NV];
    T lane[LANES], best = -INF;
    int64_t i = 0;
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
    return (double)lanes_sum(s) + rest;
}

/* e = exp(e), s = log(s): one instance of each, as they are long */
static __attribute__((noinline)) void exp_all(int64_t n, T *restrict e) {
    for (int64_t i = 0; i < n; i++) e[i] = m_exp(e[i]);
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
        T *restrict e = y ? y + i : buffer;
        const T *restrict v = x + i;
        for (int64_t j = 0; j < count; j++) e[j] = v[j] - m;
        exp_all(count, e);
        sum += block_sum(count, e);
    }
    return sum;
}

/* m[r] = the maximum of row r, shifted away if infinite and `finite`; sum[r] = sum of exp(x - m[r]), as by sum_exp.
 * Rows of at most a block are done several at a time, so that one loop over them fills the pipeline. */
static void sum_exp_rows(int64_t rows, int64_t n, const T *x, int finite, T *m, double *sum, T *y) {
    T buffer[4 * BLOCK];
    int64_t group = n <= BLOCK ? MIN(rows, 4 * BLOCK / n) : 1;
    for (int64_t r = 0; r < rows; r++) {
        m[r] = max_of(n, x + r * n);
        if (finite) m[r] = m[r] - m[r] == 0 ? m[r] : 0; /* inf - inf is NaN */
    }
    for (int64_t r = 0; n > BLOCK && r < rows; r++) sum[r] = sum_exp(n, x + r * n, m[r], y ? y + r * n : NULL);
    for (int64_t from = 0; n <= BLOCK && from < rows; from += group) {
        int64_t count = MIN(group, rows - from);
        T *restrict e = y ? y + from * n : buffer;
        for (int64_t r = 0; r < count; r++)
            for (int64_t i = 0; i < n; i++) e[r * n + i] = x[(from + r) * n + i] - m[from + r];
        exp_all(count * n, e);
        for (int64_t r = 0; r < count; r++) sum[from + r] = block_sum(n, e + r * n);
    }
}

/* ---- columns ----------------------------------------------------------------------------------------------------*/
static void softmax_cols(int64_t n, int64_t cols, const void *xv, int64_t stride, int log, void *yv) {
    const T *restrict x = xv;
    T *restrict y = yv;
    T m[COLS], scale[COLS];
    double sum[COLS];
    for (int64_t c = 0; c < cols; c++) m[c] = -INF, sum[c] = 0;
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < cols; c++) m[c] = x[r * stride + c] > m[c] ? x[r * stride + c] : m[c];
    for (int64_t r = 0; r < n; r++) {
        T buffer[COLS], *e = log ? buffer : y + r * stride;
        for (int64_t c = 0; c < cols; c++) e[c] = x[r * stride + c] - m[c];
        exp_all(cols, e);
        for (int64_t c = 0; c < cols; c++) sum[c] += (double)e[c];
    }
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
            for (int64_t c = 0; c < cols; c++) e[c] = y[at + c];
            exp_all(cols, e);
            for (int64_t c = 0; c < cols; c++) dx[at + c] = dy[at + c] - e[c] * total[c];
        } else
            for (int64_t c = 0; c < cols; c++) dx[at + c] = (dy[at + c] - total[c]) * y[at + c];
    }
}

static void logsumexp_cols(int64_t n, int64_t cols, const void *xv, int64_t stride, void *outv) {
    const T *restrict x = xv;
    T *restrict out = outv, m[COLS];
    double sum[COLS];
    for (int64_t c = 0; c < cols; c++) m[c] = -INF, sum[c] = 0;
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < cols; c++) m[c] = x[r * stride + c] > m[c] ? x[r * stride + c] : m[c];
    for (int64_t c = 0; c < cols; c++) m[c] = m[c] - m[c] == 0 ? m[c] : 0; /* not an infinity: inf - inf is NaN */
    for (int64_t r = 0; r < n; r++) {
        T e[COLS];
        for (int64_t c = 0; c < cols; c++) e[c] = x[r * stride + c] - m[c];
        exp_all(cols, e);
        for (int64_t c = 0; c < cols; c++) sum[c] += (double)e[c];
    }
    log_all(cols, sum);
    for (int64_t c = 0; c < cols; c++) out[c] = (T)((double)m[c] + sum[c]);
}

/* ---- rows -----------------------------------------------------------------------------------------------------------
 * A short row is computed as a column, alone or not: so its bits do not depend on how many there are. */
static __attribute__((noinline)) void turn(int64_t rows, int64_t cols, const T *restrict src, int64_t src_stride,
                                           T *restrict dst, int64_t dst_stride) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) dst[c * dst_stride + r] = src[r * src_stride + c];
}

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
            for (int64_t i = 0; i < n; i++) dx[i] = y[i];
            exp_all(n, dx);
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

/* ---- cross entropy: reads x twice (the second time from cache), writes one loss a row ---------------------------*/
static double weighted_sum(int64_t n, const T *x, T m, const T *weight) {
    double sum = 0;
    T buffer[BLOCK];
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t count = MIN(BLOCK, n - i);
        for (int64_t j = 0; j < count; j++) buffer[j] = weight ? (x[i + j] - m) * weight[i + j] : x[i + j] - m;
        sum += block_sum(count, buffer);
    }
    return sum;
}

static void cross_entropy(int64_t rows, int64_t n, const void *xv, const int64_t *target, const void *weightv,
                          double weight_sum, int64_t ignore, double smoothing, void *lossv, void *statsv,
                          double *total) {
    const T *x = xv, *weight = weightv;
    T *loss = lossv, *stats = statsv;
    for (int64_t from = 0; from < rows; from += TOGETHER) {
        int64_t count = MIN(TOGETHER, rows - from);
        T top[TOGETHER];
        double sum[TOGETHER], log_sum[TOGETHER];
        sum_exp_rows(count, n, x + from * n, 0, top, sum, NULL);
        for (int64_t r = 0; r < count; r++) log_sum[r] = sum[r];
        log_all(count, log_sum);
        for (int64_t r = from; r < from + count; r++) {
            T m = stats[2 * r] = top[r - from];
            double value = 0;
            stats[2 * r + 1] = (T)(1 / sum[r - from]);
            if (target[r] != ignore) {
                double w = weight ? (double)weight[target[r]] : 1;
                value = w * (log_sum[r - from] - ((double)x[r * n + target[r]] - (double)m));
                total[1] += w;
                if (smoothing > 0) {
                    double all = weight_sum * log_sum[r - from] - weighted_sum(n, x + r * n, m, weight);
                    value = (1 - smoothing) * value + smoothing / (double)n * all;
                }
            }
            loss[r] = (T)value;
            total[0] += value;
        }
    }
}

static void cross_entropy_backward(int64_t rows, int64_t n, const void *xv, const int64_t *target, const void *weightv,
                                   double weight_sum, int64_t ignore, double smoothing, const void *statsv,
                                   const void *dlossv, int64_t dloss_stride, double divisor, void *dxv) {
    const T *restrict x = xv, *restrict weight = weightv, *stats = statsv, *dloss = dlossv;
    T *restrict dx = dxv;
    for (int64_t r = 0; r < rows; r++, x += n, dx += n) {
        if (target[r] == ignore) {
            memset(dx, 0, (size_t)n * sizeof(T));
            continue;
        }
        double g = (double)dloss[r * dloss_stride] / divisor, spread = g * smoothing / (double)n;
        double own = g * (1 - smoothing) * (weight ? (double)weight[target[r]] : 1);
        T m = stats[2 * r], all = (T)((own + spread * weight_sum) * (double)stats[2 * r + 1]), each = (T)spread;
        for (int64_t i = 0; i < n; i++) dx[i] = x[i] - m;
        exp_all(n, dx);
        if (smoothing > 0 && weight)
            for (int64_t i = 0; i < n; i++) dx[i] = all * dx[i] - each * weight[i];
        else
            for (int64_t i = 0; i < n; i++) dx[i] = all * dx[i] - each;
        dx[target[r]] -= (T)own;
    }
}

extern const mtb_softmax TABLE(softmax);
const mtb_softmax TABLE(softmax) = {
    softmax_rows,  softmax_cols,           backward_rows, backward_cols, logsumexp_rows, logsumexp_cols,
    cross_entropy, cross_entropy_backward,
};
