"""Softmax drivers: groups of rows, or panels of columns, are independent tasks."""
from libc.math cimport INFINITY
from libc.string cimport memset
from .runtime cimport K, ceil_div, give, run_tasks, take

cdef extern from "mtb.h" nogil:
    enum:
        MTB_SOFTMAX_COLS
    ctypedef struct mtb_softmax:
        void (*rows)(i64 rows, i64 n, const void* x, int log, void* y) noexcept nogil
        void (*cols)(i64 n, i64 cols, const void* x, i64 stride, int log, void* y) noexcept nogil
        void (*backward_rows)(i64 rows, i64 n, const void* y, const void* dy, int log, void* dx) noexcept nogil
        void (*backward_cols)(i64 n, i64 cols, const void* y, const void* dy, i64 stride, int log,
                              void* dx) noexcept nogil
        void (*logsumexp_rows)(i64 rows, i64 n, const void* x, void* out) noexcept nogil
        void (*logsumexp_cols)(i64 n, i64 cols, const void* x, i64 stride, void* out) noexcept nogil
        void (*cross_entropy_rows)(const mtb_loss* q, i64 rows, const void* x, const i64* target, void* loss,
                                   void* stats, double* total) noexcept nogil
        void (*cross_entropy_cols)(const mtb_loss* q, i64 cols, const void* x, i64 stride, const i64* target,
                                   void* loss, void* stats, double* total) noexcept nogil
        void (*cross_entropy_backward_rows)(const mtb_loss* q, i64 rows, const void* x, const i64* target,
                                            const void* stats, const void* dloss, void* dx) noexcept nogil
        void (*cross_entropy_backward_cols)(const mtb_loss* q, i64 cols, const void* x, i64 stride, const i64* target,
                                            const void* stats, const void* dloss, void* dx) noexcept nogil
        double (*ctc)(i64 steps, const double* x, i64 stride, i64 n, const i64* state, const double* closed,
                      double* alpha, double* emit) noexcept nogil
        void (*ctc_backward)(i64 steps, i64 classes, const double* x, i64 stride, i64 n, const i64* state,
                             const double* closed, const double* alpha, double loss, double g, double* dx,
                             double* scratch) noexcept nogil

cdef enum:
    GROUP = 8192       # elements of a group of rows
    EXP = 8            # an exponential, in element operations

ctypedef const char* source
ctypedef char* target_p

cdef struct Plan:
    const mtb_softmax* kernels
    i64 size, outer, n, inner, group, panels
    bint log
    source x, y, dy
    target_p out


cdef Plan make_plan(int real, i64 outer, i64 n, i64 inner) noexcept:
    cdef Plan q
    memset(&q, 0, sizeof(Plan))
    q.kernels, q.size = <const mtb_softmax*> K.softmax[real], 8 if real else 4
    q.outer, q.n, q.inner = outer, n, inner
    q.group = max(<i64> 1, GROUP // max(<i64> 1, n))
    if q.group > MTB_SOFTMAX_COLS:
        q.group -= q.group % MTB_SOFTMAX_COLS
    q.panels = ceil_div(inner, MTB_SOFTMAX_COLS)
    return q


cdef inline i64 count_tasks(Plan* q) noexcept:
    return ceil_div(q.outer, q.group) if q.inner == 1 else q.outer * q.panels


cdef inline i64 slab(Plan* q, i64 i, i64* cols) noexcept nogil:
    """The panel of columns of task i: the offset of its first element, and how many columns."""
    cdef i64 col = i % q.panels * MTB_SOFTMAX_COLS
    cols[0] = min(<i64> MTB_SOFTMAX_COLS, q.inner - col)
    return i // q.panels * q.n * q.inner + col


cdef void softmax_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 cols, at
    if q.inner == 1:
        at = i * q.group * q.n * q.size
        q.kernels.rows(min(q.group, q.outer - i * q.group), q.n, q.x + at, q.log, q.out + at)
    else:
        at = slab(q, i, &cols) * q.size
        q.kernels.cols(q.n, cols, q.x + at, q.inner, q.log, q.out + at)


cdef void backward_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 cols, at
    if q.inner == 1:
        at = i * q.group * q.n * q.size
        q.kernels.backward_rows(min(q.group, q.outer - i * q.group), q.n, q.y + at, q.dy + at, q.log, q.out + at)
    else:
        at = slab(q, i, &cols) * q.size
        q.kernels.backward_cols(q.n, cols, q.y + at, q.dy + at, q.inner, q.log, q.out + at)


cdef void logsumexp_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 cols, at
    if q.inner == 1:
        at = i * q.group
        q.kernels.logsumexp_rows(min(q.group, q.outer - at), q.n, q.x + at * q.n * q.size, q.out + at * q.size)
    else:
        at = slab(q, i, &cols)
        q.kernels.logsumexp_cols(q.n, cols, q.x + at * q.size, q.inner,
                                 q.out + (i // q.panels * q.inner + i % q.panels * MTB_SOFTMAX_COLS) * q.size)


cdef int softmax(int real, i64 outer, i64 n, i64 inner, const void* x, bint log, void* y) except -1:
    cdef Plan q = make_plan(real, outer, n, inner)
    q.x, q.log, q.out = <char*> x, log, <char*> y
    if outer * n * inner > 0:
        run_tasks(softmax_task, &q, count_tasks(&q), outer * n * inner * EXP)
    return 0


cdef int softmax_backward(int real, i64 outer, i64 n, i64 inner, const void* y, const void* dy, bint log,
                          void* dx) except -1:
    cdef Plan q = make_plan(real, outer, n, inner)
    q.y, q.dy, q.log, q.out = <char*> y, <char*> dy, log, <char*> dx
    if outer * n * inner > 0:
        run_tasks(backward_task, &q, count_tasks(&q), outer * n * inner * (EXP if log else 2))
    return 0


cdef int logsumexp(int real, i64 outer, i64 n, i64 inner, const void* x, void* out) except -1:
    cdef Plan q = make_plan(real, outer, n, inner)
    cdef i64 nothing = 0
    q.x, q.out = <char*> x if x != NULL else <char*> &nothing, <char*> out
    if outer * inner > 0:
        run_tasks(logsumexp_task, &q, count_tasks(&q), outer * max(<i64> 1, n) * inner * EXP)
    return 0


# ---- cross entropy -----------------------------------------------------------------------------------------------

cdef struct Loss:
    Plan cut                                 # x, and dx as out
    mtb_loss loss
    const i64* target
    source dloss
    target_p losses, stats
    double* totals


cdef inline i64 losses_of(Plan* q, i64 i, i64* cols, i64* at) noexcept nogil:
    """Of task i: its first loss, how many there are, and the offset of its first element of x."""
    if q.inner == 1:
        cols[0], at[0] = min(q.group, q.outer - i * q.group), i * q.group * q.n * q.size
        return i * q.group
    at[0] = slab(q, i, cols) * q.size
    return i // q.panels * q.inner + i % q.panels * MTB_SOFTMAX_COLS


cdef void cross_entropy_task(void* plan, i64 i) noexcept nogil:
    cdef Loss* q = <Loss*> plan
    cdef i64 count, at, r = losses_of(&q.cut, i, &count, &at), size = q.cut.size
    q.totals[2 * i] = q.totals[2 * i + 1] = 0
    if q.cut.inner == 1:
        q.cut.kernels.cross_entropy_rows(&q.loss, count, q.cut.x + at, q.target + r, q.losses + r * size,
                                         q.stats + 2 * r * size, q.totals + 2 * i)
    else:
        q.cut.kernels.cross_entropy_cols(&q.loss, count, q.cut.x + at, q.cut.inner, q.target + r,
                                         q.losses + r * size, q.stats + 2 * r * size, q.totals + 2 * i)


cdef void cross_entropy_backward_task(void* plan, i64 i) noexcept nogil:
    cdef Loss* q = <Loss*> plan
    cdef i64 count, at, r = losses_of(&q.cut, i, &count, &at), size = q.cut.size
    cdef source dloss = q.dloss + r * q.loss.dloss_stride * size
    if q.cut.inner == 1:
        q.cut.kernels.cross_entropy_backward_rows(&q.loss, count, q.cut.x + at, q.target + r, q.stats + 2 * r * size,
                                                  dloss, q.cut.out + at)
    else:
        q.cut.kernels.cross_entropy_backward_cols(&q.loss, count, q.cut.x + at, q.cut.inner, q.target + r,
                                                  q.stats + 2 * r * size, dloss, q.cut.out + at)


cdef int cross_entropy(int real, i64 outer, i64 inner, const mtb_loss* loss, const void* x, const i64* target,
                       void* losses, void* stats, double* total) except -1:
    cdef Loss q
    cdef i64 tasks, i
    cdef size_t room
    q.cut = make_plan(real, outer, loss.n, inner)
    q.cut.x, q.loss, q.target, q.losses, q.stats = <char*> x, loss[0], target, <char*> losses, <char*> stats
    tasks = count_tasks(&q.cut)
    room = max(<i64> 1, tasks) * 16
    q.totals = <double*> take(room)
    try:
        run_tasks(cross_entropy_task, &q, tasks, outer * inner * loss.n * EXP)
        total[0] = total[1] = 0
        for i in range(tasks):
            total[0] += q.totals[2 * i]
            total[1] += q.totals[2 * i + 1]
    finally:
        give(q.totals, room)
    return 0


cdef int cross_entropy_backward(int real, i64 outer, i64 inner, const mtb_loss* loss, const void* x, const i64* target,
                                const void* stats, const void* dloss, void* dx) except -1:
    cdef Loss q
    q.cut = make_plan(real, outer, loss.n, inner)
    q.cut.x, q.loss, q.target, q.stats, q.dloss = <char*> x, loss[0], target, <char*> stats, <char*> dloss
    q.cut.out = <char*> dx
    run_tasks(cross_entropy_backward_task, &q, count_tasks(&q.cut), outer * inner * loss.n * EXP)
    return 0


# ---- negative log-likelihood -------------------------------------------------------------------------------------

cdef struct Misfits:                         # are there any among the targets
    i64 n, classes, ignore
    const i64* target
    bint any


cdef void misfit_task(void* plan, i64 i) noexcept nogil:
    cdef Misfits* q = <Misfits*> plan
    cdef i64 r, t
    cdef bint bad = False
    for r in range(i * GROUP, min((i + 1) * GROUP, q.n)):
        t = q.target[r]
        bad |= ((t < 0) | (t >= q.classes)) & (t != q.ignore)
    if bad:
        q.any = True


cdef bint all_classes(i64 n, const i64* target, i64 classes, i64 ignore) noexcept:
    cdef Misfits q
    q.n, q.classes, q.ignore, q.target, q.any = n, classes, ignore, target, False
    run_tasks(misfit_task, &q, ceil_div(n, GROUP), 2 * n)
    return not q.any


cdef struct Picks:
    bint real
    i64 outer, n, inner, group
    const i64* target
    const mtb_picks* how
    i64 step                                 # of y: one value a column (1), or one for all (0)
    target_p x, y                            # y is NULL where only the total is wanted
    double* totals


cdef inline double number(bint real, const void* x, i64 i) noexcept nogil:
    return (<double*> x)[i] if real else (<float*> x)[i]


cdef inline void set_number(bint real, void* x, i64 i, double value) noexcept nogil:
    if real:
        (<double*> x)[i] = value
    else:
        (<float*> x)[i] = <float> value


cdef inline double weight_of(Picks* q, i64 target) noexcept nogil:
    return 0 if target == q.how.ignore else 1 if q.how.weight == NULL else number(q.real, q.how.weight, target)


cdef void pick_task(void* plan, i64 i) noexcept nogil:
    cdef Picks* q = <Picks*> plan
    cdef i64 r = i * q.group, stop = min(r + q.group, q.outer * q.inner), column = r % q.inner
    cdef i64 start = r // q.inner * q.n * q.inner        # of the outer slice
    cdef double w, v, total = 0, weights = 0
    while r < stop:
        w = weight_of(q, q.target[r])
        v = w * q.how.factor * number(q.real, q.x, start + q.target[r] * q.inner + column) if w != 0 else 0
        total += v
        weights += w
        if q.y != NULL:
            set_number(q.real, q.y, r, v)
        r += 1
        column += 1
        if column == q.inner:
            column = 0
            start += q.n * q.inner
    q.totals[2 * i], q.totals[2 * i + 1] = total, weights


cdef void place_task(void* plan, i64 i) noexcept nogil:
    cdef Picks* q = <Picks*> plan
    cdef i64 r = i * q.group * q.inner, slices = min(q.group, q.outer - i * q.group), _, column
    cdef i64 start = r * q.n, size = 8 if q.real else 4
    cdef double w
    memset(q.x + start * size, 0, <size_t> (slices * q.n * q.inner * size))
    for _ in range(slices):
        for column in range(q.inner):
            w = weight_of(q, q.target[r])
            if w != 0:
                set_number(q.real, q.x, start + q.target[r] * q.inner + column,
                           w * q.how.factor * number(q.real, q.y, r * q.step))
            r += 1
        start += q.n * q.inner


cdef Picks make_picks(int real, i64 outer, i64 n, i64 inner, const void* x, const i64* target, const mtb_picks* how,
                      const void* y) noexcept:
    cdef Picks q
    q.real, q.outer, q.n, q.inner, q.target, q.how = real, outer, n, inner, target, how
    q.x, q.y, q.group = <char*> x, <char*> y, GROUP
    return q


cdef int pick(int real, i64 outer, i64 n, i64 inner, const void* x, const i64* target, const mtb_picks* how, void* y,
              double* total) except -1:
    cdef Picks q = make_picks(real, outer, n, inner, x, target, how, y)
    cdef i64 tasks = ceil_div(outer * inner, GROUP), i
    cdef size_t room = max(<i64> 1, tasks) * 16
    q.totals = <double*> take(room)
    run_tasks(pick_task, &q, tasks, outer * inner * EXP)
    total[0] = total[1] = 0
    for i in range(2 * tasks):
        total[i & 1] += q.totals[i]
    give(q.totals, room)
    return 0


cdef int place(int real, i64 outer, i64 n, i64 inner, const void* y, i64 step, const i64* target, const mtb_picks* how,
               void* x) except -1:
    cdef Picks q = make_picks(real, outer, n, inner, x, target, how, y)
    q.step, q.group = step, max(<i64> 1, GROUP // max(<i64> 1, n * inner))
    run_tasks(place_task, &q, ceil_div(outer, q.group), outer * n * inner)
    return 0


# ---- connectionist temporal classification -----------------------------------------------------------------------

cdef struct Sequences:
    i64 batch, classes, states, longest, room     # states and labels of the longest target; doubles of alpha for each
    const double* x
    const i64* targets
    const i64* steps
    const i64* labels
    i64 blank
    double* alpha
    double* losses
    const double* dlosses                         # NULL: forward
    double* dx
    double* scratch                               # for each: 6 states and 4


cdef void ctc_task(void* plan, i64 i) noexcept nogil:
    cdef Sequences* q = <Sequences*> plan
    cdef const mtb_softmax* kernels = <const mtb_softmax*> K.softmax[1]
    cdef i64 n = 2 * q.labels[i] + 1, s, k
    cdef const i64* target = q.targets + i * q.longest
    cdef double* scratch = q.scratch + i * (6 * q.states + 4)
    cdef i64* state = <i64*> scratch
    cdef double* closed = scratch + n
    cdef bint forward = q.dlosses == NULL
    for s in range(n):
        k = s // 2 if forward else q.labels[i] - 1 - s // 2
        state[s] = target[k] if s & 1 else q.blank
    for s in range(n):
        closed[s] = 0 if s > 1 and state[s] != q.blank and state[s] != state[s - 2] else -INFINITY
    if forward:
        q.losses[i] = kernels.ctc(q.steps[i], q.x + i * q.classes, q.batch * q.classes, n, state, closed,
                                  q.alpha + i * q.room, closed + n)
    elif q.losses[i] < INFINITY:
        kernels.ctc_backward(q.steps[i], q.classes, q.x + i * q.classes, q.batch * q.classes, n, state, closed,
                             q.alpha + i * q.room, q.losses[i], q.dlosses[i], q.dx + i * q.classes, closed + n)


cdef int ctc(i64 steps, i64 batch, i64 classes, i64 longest, const double* x, const i64* targets,
             const i64* input_lengths, const i64* target_lengths, i64 blank, double* alpha, double* losses,
             const double* dlosses, double* dx) except -1:
    cdef Sequences q
    cdef size_t room
    q.batch, q.classes, q.longest, q.states = batch, classes, longest, 2 * longest + 1
    q.room = (steps + 1) * (q.states + 2)
    q.x, q.targets, q.steps, q.labels, q.blank = x, targets, input_lengths, target_lengths, blank
    q.alpha, q.losses, q.dlosses, q.dx = alpha, losses, dlosses, dx
    room = max(<i64> 1, batch) * (6 * q.states + 4) * 8
    q.scratch = <double*> take(room)
    run_tasks(ctc_task, &q, batch, batch * steps * q.states * 4 * EXP)
    give(q.scratch, room)
    return 0
