"""The driver of recurrent layers: step by step a product with the state, then the gates, a block of rows at a time."""
from libc.string cimport memcpy

from minitorch_bn.kernels.matmul cimport batched_gemm, gemm
from minitorch_bn.kernels.runtime cimport K, ceil_div, give, run_tasks, take

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
    PANEL = 64             # columns of weights that lie together
    WORTH_PANELS = 1 << 19     # bytes of weights, ...
    STEPS = 4              # and steps, for which it pays to put them so


cdef struct Step:
    const mtb_recurrent* kernels
    int kind
    i64 size, rows, n, group
    const char* x          # (rows, gates): sums of the input
    const char* bias       # (gates), of the state's sums, or NULL
    char* r                # (rows, gates): sums of the state; those of an LSTM become its gates, those of an RNN its h
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


cdef inline i64 gates_of(int kind) noexcept nogil:
    return 4 if kind == LSTM else 3 if kind == GRU else 1


cdef void forward_task(void* plan, i64 i) noexcept nogil:
    cdef Step* s = <Step*> plan
    cdef i64 first = i * s.group, rows = min(s.group, s.rows - first), at = first * s.n * s.size
    cdef i64 wide = gates_of(s.kind) * s.n, row
    if s.bias != NULL:
        for row in range(first, first + rows):
            s.kernels.plus(wide, s.bias, s.r + row * wide * s.size)
    if s.kind != GRU:
        s.kernels.plus(rows * wide, s.x + first * wide * s.size, s.r + first * wide * s.size)
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


# One matrix of weights meets the state of every step. Where rows of it lie some KB apart, they compete for few sets of
# the caches: so it is copied once, panel after panel.

cdef struct Weights:
    int real
    i64 k, n
    const char* raw        # (k, n)
    char* panels           # (n / PANEL, k, PANEL), or NULL
    i64 size


cdef Weights lay_out(int real, i64 k, i64 n, const char* raw, i64 steps) except *:
    cdef Weights w
    cdef i64 p, j, run, size = 8 if real else 4
    w.real, w.k, w.n, w.raw, w.panels, w.size = real, k, n, raw, NULL, k * n * size
    if n % PANEL == 0 and w.size >= WORTH_PANELS and steps >= STEPS:
        w.panels = <char*> take(w.size)
        run = PANEL * size
        for p in range(k):
            for j in range(n // PANEL):
                memcpy(w.panels + (j * k + p) * run, raw + p * n * size + j * run, run)
    return w


cdef int times(const Weights* w, i64 rows, const char* a, char* c, bint accumulate) except -1:
    """c (rows, n) = or += a (rows, k) times the weights."""
    cdef i64 panels = w.n // PANEL, same = 0, apart = w.k * PANEL, beside = PANEL
    if w.panels == NULL:
        return gemm(w.real, rows, w.n, w.k, a, w.k, 1, w.raw, w.n, 1, c, w.n, accumulate, NULL)
    return batched_gemm(w.real, 1, &panels, rows, PANEL, w.k, a, &same, w.k, 1, w.panels, &apart, PANEL, 1, c, &beside,
                        w.n, accumulate, NULL)


cdef void put_away(Weights* w) noexcept:
    if w.panels != NULL:
        give(w.panels, w.size)


cdef Step new_step(int real, int kind, i64 rows, i64 n):
    cdef Step s
    s.kernels, s.kind, s.size, s.rows, s.n = <const mtb_recurrent*> K.recurrent[real], kind, 8 if real else 4, rows, n
    s.group = max(<i64> 1, min(BLOCK // n, ceil_div(rows, 8)))
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
    cdef char* sums = <char*> take(all_gates if kind == GRU else 1)
    cdef Weights w
    w.panels, s.bias = NULL, bias
    try:
        w = lay_out(real, n, wide, weight_t, steps)
        for step in range(steps):
            t = steps - 1 - step if reverse else step
            s.x, s.h = x + t * all_gates, h + t * state
            if kind == GRU:
                s.before, s.gates, s.r = h_before, gates + t * rows * 4 * n * s.size, sums
            elif kind == LSTM:
                s.before, s.gates, s.c, s.tanh_c = c_before, gates + t * all_gates, c + t * state, tanh_c + t * state
                s.r, c_before = s.gates, s.c
            else:
                s.r = s.h
            times(&w, rows, h_before, s.r, False)
            run_tasks(forward_task, &s, ceil_div(rows, s.group), rows * n * COST)
            h_before = s.h
    finally:
        put_away(&w)
        give(sums, all_gates if kind == GRU else 1)
    return 0


cdef int scan_backward(int real, int kind, bint reverse, i64 steps, i64 rows, i64 n, const char* h0, const char* c0,
                       const char* weight, const char* h, const char* c, const char* tanh_c, const char* gates,
                       const char* dh, const char* dc, char* dx, char* dr, char* dh0, char* dc0) except -1:
    """dh0 and dc0 carry the gradient from each step to the one before it."""
    if rows == 0 or n == 0:
        return 0
    cdef Step s = new_step(real, kind, rows, n)
    cdef i64 wide = gates_of(kind) * n, state = rows * n * s.size, all_gates = rows * wide * s.size, step, t, before
    cdef Weights w = lay_out(real, wide, n, weight, steps)
    s.dh, s.dc = dh0, dc0
    try:
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
            times(&w, rows, s.r, dh0, kind == GRU)
    finally:
        put_away(&w)
    return 0
