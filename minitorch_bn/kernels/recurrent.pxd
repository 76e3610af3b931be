# Recurrent layers on raw memory: all steps of one layer in one direction, forward and backward.
from minitorch_bn.kernels.runtime cimport i64

cdef enum:
    LSTM
    GRU
    RNN_TANH
    RNN_RELU

# Shapes: x (steps, rows, G * n), what the input adds to the sums of the G gates; h0, c0 (rows, n); weight_t (n, G * n),
# transposed; bias (G * n) or NULL; h, c, tanh_c (steps, rows, n); gates (steps, rows, 4 * n). c0, c and tanh_c of an
# LSTM; gates of an LSTM or GRU. The last step comes first if reverse.
cdef int scan(int real, int kind, bint reverse, i64 steps, i64 rows, i64 n, const char* x, const char* h0,
              const char* c0, const char* weight_t, const char* bias, char* h, char* c, char* tanh_c,
              char* gates) except -1
# dh, dc (steps, rows, n): gradients of h and c (dc may be NULL). dx, dr (steps, rows, G * n): of x, and of what the
# state adds (the same memory but for a GRU). dh0, dc0 (rows, n). weight (G * n, n).
cdef int scan_backward(int real, int kind, bint reverse, i64 steps, i64 rows, i64 n, const char* h0, const char* c0,
                       const char* weight, const char* h, const char* c, const char* tanh_c, const char* gates,
                       const char* dh, const char* dc, char* dx, char* dr, char* dh0, char* dc0) except -1
