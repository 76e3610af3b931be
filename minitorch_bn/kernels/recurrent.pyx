"""The driver of recurrent layers: step by step a product with the state, then the gates, a block of rows at a time."""
from libc.string cimport memcpy

from minitorch_bn.kernels.matmul cimport gemm
from minitorch_bn.kernels.runtime cimport ceil_div, run_tasks, K, give, take

cdef extern from "mtb.h" nogil:
    ctypedef struct mtb_recurrent:
        void (*lstm)(i64 rows, i64 n, void* gates, const void* c_before, void* c, void* tanh_c, void* h) noexcept nogil
        void (*lstm_backward)(i64 rows, i64 n, const void* gates, const void* c_before, const void* tanh_c,
                              const void* dh, void* dc, void* dgates) noexcept nogil
        void (*gru)(i64 rows, i64 n, const void* x, const void* r, const void* h_before, void* gates,
                    void* h) noexcept nogil
        void (*gru_backward)(i64 rows, i64 n, const void* gates, const void* h_before, void* dh, void* dx,
                             void* dr) noexcept nogil
        void (*rnn[2])(i64 n, void* h) noexcept nogil
        void (*rnn_backward[2])(i64 n, const void* h, const void* dh, void* dx) noexcept nogil
        void (*plus)(i64 n, const void* x, void* y) noexcept nogil

cdef enum:
    BLOCK = 4096           # states that one task works on
    COST = 16              # of one state's gates, in element operations


cdef struct Step:
    const mtb_recurrent* kernels
    int kind
    i64 size, rows, n, group
    const char* x          # (rows, gates): sums of the input
    char* r                # (rows, gates): sums of the state
    const char* before     # (rows, n): c, or h of a GRU, before the step
    char* h
    char* c
    char* tanh_c
    char* gates
    const char* above_h    # gradients of this step's h and c from above; above_c may be NULL
    const char* above_c
    char* dh               # and from the step after it
    char* dc
    char* dx


cdef void forward_task(void* plan, i64 i) noexcept nogil:
    cdef Step* s = <Step*> plan
    cdef i64 first = i * s.group, rows = min(s.group, s.rows - first), at = first * s.n * s.size
    if s.kind == LSTM:
        s.kernels.lstm(rows, s.n, s.gates + 4 * at, s.before + at, s.c + at, s.tanh_c + at, s.h + at)
    elif s.kind == GRU:
        s.kernels.gru(rows, s.n, s.x + 3 * at, s.r + 3 * at, s.before + at, s.gates + 4 * at, s.h + at)
    else:
        s.kernels.rnn[s.kind - RNN_TANH](rows * s.n, s.h + at)


cdef void backward_task(void* plan, i64 i) noexcept nogil:
    cdef Step* s = <Step*> plan
    cdef i64 first = i * s.group, rows = min(s.group, s.rows - first), at = first * s.n * s.size
    s.kernels.plus(rows * s.n, s.above_h + at, s.dh + at)
    if s.above_c != NULL:
        s.kernels.plus(rows * s.n, s.above_c + at, s.dc + at)
    if s.kind == LSTM:
        s.kernels.lstm_backward(rows, s.n, s.gates + 4 * at, s.before + at, s.tanh_c + at, s.dh + at, s.dc + at,
                                s.dx + 4 * at)
    elif s.kind == GRU:
        s.kernels.gru_backward(rows, s.n, s.gates + 4 * at, s.before + at, s.dh + at, s.dx + 3 * at, s.r + 3 * at)
    else:
        s.kernels.rnn_backward[s.kind - RNN_TANH](rows * s.n, s.h + at, s.dh + at, s.dx + at)


cdef inline i64 gates_of(int kind) noexcept nogil:
    return 4 if kind == LSTM else 3 if kind == GRU else 1


cdef Step new_step(int real, int kind, i64 rows, i64 n):
    cdef Step s
    s.kernels, s.kind, s.size, s.rows, s.n = <const mtb_recurrent*> K.recurrent[real], kind, 8 if real else 4, rows, n
    s.group = max(<i64> 1, BLOCK // n)
    return s


cdef int scan(int real, int kind, bint reverse, i64 steps, i64 rows, i64 n, const char* x, const char* h0,
              const char* c0, const char* weight_t, const char* bias, char* h, char* c, char* tanh_c,
              char* gates) except -1:
    if rows == 0 or n == 0:
        return 0
    cdef Step s = new_step(real, kind, rows, n)
    cdef i64 wide = gates_of(kind) * n, state = rows * n * s.size, all_gates = rows * wide * s.size, step, t
    cdef const char* h_before = h0
    cdef const char* c_before = c0
    cdef char* sums
    s.r = <char*> take(all_gates)
    try:
        for step in range(steps):
            t = steps - 1 - step if reverse else step
            s.x, s.h = x + t * all_gates, h + t * state
            if kind == GRU:
                s.before, s.gates = h_before, gates + t * rows * 4 * n * s.size
                gemm(real, rows, wide, n, h_before, n, 1, weight_t, wide, 1, s.r, wide, False, bias)
            else:
                if kind == LSTM:
                    s.before, s.gates, s.c = c_before, gates + t * all_gates, c + t * state
                    s.tanh_c = tanh_c + t * state
                    c_before = s.c
                sums = s.gates if kind == LSTM else s.h
                memcpy(sums, s.x, <size_t> all_gates)
                gemm(real, rows, wide, n, h_before, n, 1, weight_t, wide, 1, sums, wide, True, bias)
            run_tasks(forward_task, &s, ceil_div(rows, s.group), rows * n * COST)
            h_before = s.h
    finally:
        give(s.r, all_gates)
    return 0


cdef int scan_backward(int real, int kind, bint reverse, i64 steps, i64 rows, i64 n, const char* h0, const char* c0,
                       const char* weight, const char* h, const char* c, const char* tanh_c, const char* gates,
                       const char* dh, const char* dc, char* dx, char* dr, char* dh0, char* dc0) except -1:
    """dh0 and dc0 carry the gradient from each step to the one before it."""
    if rows == 0 or n == 0:
        return 0
    cdef Step s = new_step(real, kind, rows, n)
    cdef i64 wide = gates_of(kind) * n, state = rows * n * s.size, all_gates = rows * wide * s.size, step, t, before
    s.dh, s.dc = dh0, dc0
    for step in range(steps - 1, -1, -1):
        t = steps - 1 - step if reverse else step
        before = t + 1 if reverse else t - 1
        s.h, s.dx, s.r = <char*> h + t * state, dx + t * all_gates, dr + t * all_gates
        s.tanh_c, s.gates = <char*> tanh_c + t * state, <char*> gates + t * rows * 4 * n * s.size
        if kind == LSTM:
            s.before = c + before * state if step > 0 else c0
        else:
            s.before = h + before * state if step > 0 else h0
        s.above_h, s.above_c = dh + t * state, dc + t * state if dc != NULL else NULL
        run_tasks(backward_task, &s, ceil_div(rows, s.group), rows * n * COST)
        gemm(real, rows, n, wide, s.r, wide, 1, weight, n, 1, dh0, n, kind == GRU, NULL)
    return 0
