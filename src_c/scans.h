/* scans.h: running sums, products and logarithms of sums of exponentials along rows or columns, for reduce.c: one pass,
 * one running value in double (int64 for integers) for each row or column. */
#ifndef MTB_SCANS_H
#define MTB_SCANS_H

enum { PANEL = 64, SHORT_SCAN = 16 }; /* short rows overlap in the pipeline by themselves */
#if MTB_T_f32
/* Four values at a time are cumulated as two pairs, and added to what came before: only that addition has to wait. No
 * product of four leaves the range of double. */
#define CUMULATE_ROW(name, start, OP)                                                                                 \
    static void name##_row(int64_t n, const T *restrict x, T *restrict y) {                                           \
        typedef double four __attribute__((vector_size(32)));                                                         \
        typedef int64_t places __attribute__((vector_size(32)));                                                      \
        typedef T narrow __attribute__((vector_size(16), aligned(4), may_alias));                                     \
        const four neutral = {start, start, start, start};                                                            \
        four before = neutral;                                                                                        \
        int64_t i = 0;                                                                                                \
        for (; i + 4 <= n; i += 4) {                                                                                  \
            four v = {x[i], x[i + 1], x[i + 2], x[i + 3]};                                                            \
            v = v OP SHUFFLE(v, neutral, ((places){4, 0, 1, 2}));                                             \
            v = v OP SHUFFLE(v, neutral, ((places){4, 4, 0, 1}));                                             \
            *(narrow *)(y + i) = __builtin_convertvector(v OP before, narrow);                                        \
            before = before OP SHUFFLE(v, v, ((places){3, 3, 3, 3}));                                            \
        }                                                                                                             \
        for (double s = before[0]; i < n; i++) y[i] = (T)(s = s OP (double)x[i]);                                     \
    }
CUMULATE_ROW(cumsum, 0, +)
CUMULATE_ROW(cumprod, 1, *)
enum { ROW_BY_FOURS = 1 };
#define IN_ROW(name, n, x, y) name##_row(n, x, y)
#else
enum { ROW_BY_FOURS = 0 };
#define IN_ROW(name, n, x, y) (void)0
#endif
#define CUMULATE(name, start, OP)                                                                                     \
    static void name(int64_t rows, int64_t n, const void *xv, int64_t x_row, int64_t x_step, void *yv, int64_t y_row, \
                     int64_t y_step) {                                                                                \
        const int64_t panel = x_row == 1 && y_row == 1 ? PANEL : n < SHORT_SCAN ? rows : SCANNED;                     \
        for (int64_t from = 0; from < rows; from += panel) {                                                          \
            const T *restrict x = (const T *)xv + from * x_row;                                                       \
            T *restrict y = (T *)yv + from * y_row;                                                                   \
            int64_t count = rows - from < panel ? rows - from : panel;                                                \
            acc_t s[PANEL];                                                                                           \
            if (ROW_BY_FOURS && x_step == 1 && y_step == 1) {                                                          \
                for (int64_t c = 0; c < count; c++) IN_ROW(name, n, x + c * x_row, y + c * y_row);                    \
                continue;                                                                                             \
            }                                                                                                         \
            for (int64_t c = 0; c < count && c < PANEL; c++) s[c] = start;                                            \
            if (x_row == 1 && y_row == 1)                                                                             \
                for (int64_t i = 0; i < n; i++, x += x_step, y += y_step)                                             \
                    for (int64_t c = 0; c < count; c++) y[c] = (T)(s[c] = s[c] OP WIDE(x[c]));                        \
            else if (panel == SCANNED && count == SCANNED)                                                            \
                for (int64_t i = 0; i < n; i++, x += x_step, y += y_step)                                             \
                    UNROLL for (int c = 0; c < SCANNED; c++)                                                          \
                        y[c * y_row] = (T)(s[c] = s[c] OP WIDE(x[c * x_row]));                                        \
            else                                                                                                      \
                for (int64_t c = 0; c < count; c++, x += x_row, y += y_row) {                                         \
                    acc_t sum = start;                                                                                \
                    for (int64_t i = 0; i < n; i++) y[i * y_step] = (T)(sum = sum OP WIDE(x[i * x_step]));            \
                }                                                                                                     \
        }                                                                                                             \
    }

#if MTB_IS_REAL || MTB_T_i64 /* the smaller integers are cumulated as int64 */
CUMULATE(cumsum, 0, +)
CUMULATE(cumprod, 1, *)
#endif

#if MTB_IS_REAL
#if MTB_T_f32
#define D(name) d_##name
#else
#define D(name) m_##name
#endif
/* log of the running sum of exponentials: a stretch of rows at a time. With m the largest so far, the sum of exp(x - m)
 * is s = s exp(m before - m) + exp(x - m); only that line has to wait for the element before. */
static void log_cumsum_exp(int64_t rows, int64_t n, const void *xv, int64_t x_row, int64_t x_step, void *yv,
                           int64_t y_row, int64_t y_step) {
    double s = 0, top = 0;
    for (int64_t from = 0; from < rows * n; from += PANEL) {
        double m[PANEL], e[2 * PANEL], sums[PANEL];
        const int64_t count = rows * n - from < PANEL ? rows * n - from : PANEL, row = from / n, first = from % n;
        const T *x = (const T *)xv + row * x_row + first * x_step;
        T *y = (T *)yv + row * y_row + first * y_step;
        for (int64_t j = 0, i = first; j < count; j++) {
            double v = (double)*x, before = i == 0 ? -__builtin_inf() : top;
            m[j] = top = v > before ? v : before;
            e[j] = before == top ? 0 : before - top, e[count + j] = v == top ? 0 : v - top; /* no inf - inf */
            i = i + 1 == n ? 0 : i + 1, x += i == 0 ? x_row - (n - 1) * x_step : x_step;
        }
        for (int64_t j = 0; j < 2 * count; j++) e[j] = D(exp_minus)(e[j]);
        for (int64_t j = 0, i = first; j < count; j++, i = i + 1 == n ? 0 : i + 1)
            sums[j] = s = i == 0 ? e[count + j] : s * e[j] + e[count + j];
        for (int64_t j = 0; j < count; j++) m[j] += D(log)(sums[j]);
        for (int64_t j = 0, i = first; j < count; j++) {
            *y = (T)m[j];
            i = i + 1 == n ? 0 : i + 1, y += i == 0 ? y_row - (n - 1) * y_step : y_step;
        }
    }
}
#endif
#endif
