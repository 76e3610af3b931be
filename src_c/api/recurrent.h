/* api/recurrent.h: the kernels of the recurrent family: what a step of an LSTM, GRU or RNN does after its products. */
#ifndef MTB_API_RECURRENT_H
#define MTB_API_RECURRENT_H
#include <stdint.h>

enum { MTB_RNN_TANH, MTB_RNN_RELU };

/* n is the hidden size. Every array is contiguous, (rows, n) unless its shape is given. */
typedef struct {
    /* gates (rows, 4n): on entry the sums of input, forget, cell and output gate, on exit the gates.
     * c = forget * c_before + input * cell; tanh_c = tanh(c); h = output * tanh_c */
    void (*lstm)(int64_t rows, int64_t n, void *gates, const void *c_before, void *c, void *tanh_c, void *h);
    /* dgates (rows, 4n), of the sums; dc: on entry the gradient of c, on exit that of c_before */
    void (*lstm_backward)(int64_t rows, int64_t n, const void *gates, const void *c_before, const void *tanh_c,
                          const void *dh, void *dc, void *dgates);
    /* x, r (rows, 3n): what input and state add to the sums of reset, update and new gate; gates (rows, 4n): the gates,
     * and r's part of the new one. new = tanh(x + reset * r), h = new + update * (h_before - new) */
    void (*gru)(int64_t rows, int64_t n, const void *x, const void *r, const void *h_before, void *gates, void *h);
    /* dx, dr (rows, 3n); dh: on entry the gradient of h, on exit what reaches h_before past the gates */
    void (*gru_backward)(int64_t rows, int64_t n, const void *gates, const void *h_before, void *dh, void *dx,
                         void *dr);
    /* h = tanh(h) or relu(h), in place, of n values in all; dx = dh times the derivative at that h */
    void (*rnn[2])(int64_t n, void *h);
    void (*rnn_backward[2])(int64_t n, const void *h, const void *dh, void *dx);
    /* y += x, of n values */
    void (*plus)(int64_t n, const void *x, void *y);
} mtb_recurrent;
#endif
