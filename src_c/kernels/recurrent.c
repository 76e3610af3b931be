/* recurrent.c: the element-wise half of a step of an LSTM, GRU or RNN, forward and backward; a pass over the gates. */
#include "../kernel.h"

static void sigmoids(int64_t n, T *restrict x) {
    for (int64_t i = 0; i < n; i++) x[i] = m_sigmoid(x[i]);
}
static void tanhs(int64_t n, const T *x, T *y) {
    for (int64_t i = 0; i < n; i++) y[i] = m_tanh(x[i]);
}

static void lstm(int64_t rows, int64_t n, void *gates, const void *c_before, void *c, void *tanh_c, void *h) {
    for (int64_t r = 0; r < rows; r++) {
        T *restrict in = (T *)gates + r * 4 * n, *restrict forget = in + n, *restrict cell = forget + n;
        T *restrict out = cell + n, *restrict new = (T *)c + r * n, *restrict th = (T *)tanh_c + r * n;
        T *restrict y = (T *)h + r * n;
        const T *restrict old = (const T *)c_before + r * n;
        sigmoids(2 * n, in), tanhs(n, cell, cell), sigmoids(n, out);
        for (int64_t i = 0; i < n; i++) new[i] = forget[i] * old[i] + in[i] * cell[i];
        tanhs(n, new, th);
        for (int64_t i = 0; i < n; i++) y[i] = out[i] * th[i];
    }
}

static void lstm_backward(int64_t rows, int64_t n, const void *gates, const void *c_before, const void *tanh_c,
                          const void *dh_v, void *dc_v, void *dgates) {
    for (int64_t r = 0; r < rows; r++) {
        const T *restrict in = (const T *)gates + r * 4 * n, *restrict forget = in + n, *restrict cell = forget + n;
        const T *restrict out = cell + n, *restrict old = (const T *)c_before + r * n;
        const T *restrict th = (const T *)tanh_c + r * n, *restrict dh = (const T *)dh_v + r * n;
        T *restrict dc = (T *)dc_v + r * n, *restrict din = (T *)dgates + r * 4 * n, *restrict dforget = din + n;
        T *restrict dcell = dforget + n, *restrict dout = dcell + n;
        for (int64_t i = 0; i < n; i++) {
            T d = dc[i] + dh[i] * out[i] * (1 - th[i] * th[i]);
            dout[i] = dh[i] * th[i] * (out[i] * (1 - out[i]));
            din[i] = d * cell[i] * (in[i] * (1 - in[i]));
            dforget[i] = d * old[i] * (forget[i] * (1 - forget[i]));
            dcell[i] = d * in[i] * (1 - cell[i] * cell[i]);
            dc[i] = d * forget[i];
        }
    }
}

static void gru(int64_t rows, int64_t n, const void *x_v, const void *r_v, const void *h_before, void *gates, void *h) {
    for (int64_t row = 0; row < rows; row++) {
        const T *restrict x = (const T *)x_v + row * 3 * n, *restrict r = (const T *)r_v + row * 3 * n;
        const T *restrict old = (const T *)h_before + row * n;
        T *restrict reset = (T *)gates + row * 4 * n, *restrict update = reset + n, *restrict new = update + n;
        T *restrict part = new + n, *restrict y = (T *)h + row * n;
        for (int64_t i = 0; i < 2 * n; i++) reset[i] = x[i] + r[i];
        sigmoids(2 * n, reset);
        for (int64_t i = 0; i < n; i++) part[i] = r[2 * n + i];
        for (int64_t i = 0; i < n; i++) new[i] = x[2 * n + i] + reset[i] * part[i];
        tanhs(n, new, new);
        for (int64_t i = 0; i < n; i++) y[i] = new[i] + update[i] * (old[i] - new[i]);
    }
}

static void gru_backward(int64_t rows, int64_t n, const void *gates, const void *h_before, void *dh_v, void *dx_v,
                         void *dr_v) {
    for (int64_t row = 0; row < rows; row++) {
        const T *restrict reset = (const T *)gates + row * 4 * n, *restrict update = reset + n;
        const T *restrict new = update + n, *restrict part = new + n, *restrict old = (const T *)h_before + row * n;
        T *restrict dh = (T *)dh_v + row * n, *restrict dx = (T *)dx_v + row * 3 * n;
        T *restrict dr = (T *)dr_v + row * 3 * n;
        for (int64_t i = 0; i < n; i++) {
            T dnew = dh[i] * (1 - update[i]) * (1 - new[i] * new[i]);
            T dreset = dnew * part[i] * (reset[i] * (1 - reset[i]));
            T dupdate = dh[i] * (old[i] - new[i]) * (update[i] * (1 - update[i]));
            dx[i] = dr[i] = dreset;
            dx[n + i] = dr[n + i] = dupdate;
            dx[2 * n + i] = dnew;
            dr[2 * n + i] = dnew * reset[i];
            dh[i] = dh[i] * update[i];
        }
    }
}

static void rnn_tanh(int64_t n, void *h) { tanhs(n, h, h); }
static void rnn_relu(int64_t n, void *h_v) {
    T *restrict h = h_v;
    for (int64_t i = 0; i < n; i++) h[i] = h[i] <= 0 ? 0 : h[i];
}
static void rnn_tanh_backward(int64_t n, const void *h_v, const void *dh_v, void *dx_v) {
    const T *restrict h = h_v, *restrict dh = dh_v;
    T *restrict dx = dx_v;
    for (int64_t i = 0; i < n; i++) dx[i] = dh[i] * (1 - h[i] * h[i]);
}
static void rnn_relu_backward(int64_t n, const void *h_v, const void *dh_v, void *dx_v) {
    const T *restrict h = h_v, *restrict dh = dh_v;
    T *restrict dx = dx_v;
    for (int64_t i = 0; i < n; i++) dx[i] = h[i] <= 0 ? 0 : dh[i];
}

static void plus(int64_t n, const void *x_v, void *y_v) {
    const T *restrict x = x_v;
    T *restrict y = y_v;
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

extern const mtb_recurrent TABLE(recurrent);
const mtb_recurrent TABLE(recurrent) = {
    lstm, lstm_backward, gru, gru_backward, {rnn_tanh, rnn_relu}, {rnn_tanh_backward, rnn_relu_backward}, plus,
};
