"""Normalization drivers: who sums which block of a channel, what is merged in which order, and who applies it."""
from libc.math cimport sqrt
from libc.string cimport memcmp, memcpy, memset
from cython.parallel cimport prange
from .halves cimport settle, store, values
from .runtime cimport CACHE, K, MTB_f32, ceil_div, enter, give, leave, run_tasks, share_tasks, spread, take, task, team
from .parts cimport BLOCK, Parts, block, count_blocks, cut, part_at

# The order of additions follows from these constants and the shape alone.
cdef enum:
    SHORT = 16         # runs shorter than this are taken as columns, one for each position in the run
    DEEP = 1 << 18     # values of such a panel that are summed before the sums are merged, ...
    SHALLOW = 32       # ... at most, and about as many rows at least
    OWN_CACHE = 1 << 18  # bytes of a second-level cache
    # bytes over which a processor foresees what is read next: so wide is a panel of columns, in which narrower rows lie
    # side by side
    PAGE = 4096
    LONG_RUN = 1024    # bytes of a run that may go past the caches: each end of one is a line written in two parts


cdef inline const void* at(const char* p, i64 offset) noexcept nogil:
    return <const void*> (p + offset) if p != NULL else NULL


cdef void prepare(Plan* q, int real, const Channels* view) noexcept:
    cdef i64 together
    memset(q, 0, sizeof(Plan))
    q.kernels, q.view, q.size = <const mtb_norm*> K.norm[real > 0], view[0], 8 if real > 0 else 4
    q.m = <double> (view.n * view.s * view.per)
    q.step, q.repeat = view.c, 1
    if view.columns:
        q.rows, q.cols, q.stride = view.n * view.s, view.c, view.stride_n
    elif view.s < SHORT and view.per == 1 and (view.stride_c == view.s or view.c == 1) and view.n > 1:
        q.view.columns = True
        q.rows, q.cols, q.stride, q.repeat = view.n, view.c * view.s, view.stride_n, view.s
    else:
        q.blocks, q.of_channel = count_blocks(view.n, view.s), cut(view.n, view.s, view.stride_n)
        q.of_statistic = q.of_channel if view.per == 1 else cut(1, view.per * view.s, 0)
        q.fused = (view.c // view.per >= 8 or q.blocks * view.per == 1) and not in_order(q)
        q.together = max(<i64> 1, min(ROOM // (view.n * view.per * view.s), statistics(q) // 8))
        if real < 0:
            q.fused = True
            q.room = store(&q.data, real, max(<i64> BLOCK, q.together * view.n * view.per * view.s),
                           2 * view.n * view.c * view.s)
        return
    together = min(PAGE // q.size // q.cols, q.rows // SHORT)
    if q.stride == q.cols and together > 1:
        q.left = q.rows % together * q.cols
        q.rows, q.cols, q.stride = q.rows // together, q.cols * together, q.stride * together
    q.panels = ceil_div(q.cols * q.size, PAGE)
    q.width = ceil_div(ceil_div(q.cols, q.panels), SHORT) * SHORT
    q.chunks = max(min(<i64> 8, q.rows // SHALLOW), ceil_div(q.rows, (ROOM if real < 0 else DEEP) // q.width), <i64> 1)
    q.deep = ceil_div(q.rows, 8 * q.chunks) * 8     # of one size: threads have the same to do
    q.chunks = ceil_div(q.rows, q.deep) + (q.left > 0)
    q.step = q.cols
    q.room = store(&q.data, real, q.deep * q.width, 2 * view.n * view.c * view.s)


include "norm_halves.pxi"


# ---- runs: a task is a channel, or a part of one -------------------------------------------------------------

cdef inline i64 statistics(const Plan* q) noexcept nogil:
    return q.view.c // q.view.per


cdef void moments_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 runs, n, all = q.of_statistic.all
    cdef i64 offset = i // all * q.view.per * q.view.stride_c + part_at(&q.of_statistic, i % all, &runs, &n)
    q.kernels.moments_parts(1, runs, n, q.x + offset * q.size, q.view.stride_n, 0,
                            q.s + 2 * (i % all * statistics(q) + i // all), 0)


cdef void moments_of(Plan* q, i64 stat) noexcept nogil:
    """All parts of a statistic: of each row those that are equal, then the last if it is not."""
    cdef const Parts* g = &q.of_statistic
    cdef i64 row, equal = g.count - (g.last_runs * g.last_n < g.runs * g.n), step = 2 * statistics(q)
    cdef const char* x = q.x + stat * q.view.per * q.view.stride_c * q.size
    cdef double* s = q.s + 2 * stat
    for row from 0 <= row < g.all by g.count:
        q.kernels.moments_parts(equal, g.runs, g.n, x, q.view.stride_n, g.apart, s + row * step, step)
        if equal < g.count:
            q.kernels.moments_parts(1, g.last_runs, g.last_n, x + equal * g.apart * q.size, q.view.stride_n, 0,
                                    s + (row + equal) * step, step)
        x += g.row * q.size


cdef void finish_statistics(Plan* q, i64 first, i64 count) noexcept nogil:
    """mean, var, invstd and p of some statistics from their parts, in the order of these."""
    cdef const Parts* g = &q.of_statistic
    cdef i64 i, per = q.view.per, w = first * per % q.view.period * q.size
    q.kernels.merge_parts(count, g.all, g.count, <double> (g.runs * g.n), <double> (g.last_runs * g.last_n), q.m,
                          q.s + 2 * first, 2 * statistics(q), q.mean + first, q.var + first)
    if q.invstd == NULL:
        return
    for i in range(first, first + count):
        q.invstd[i] = 1 / sqrt(q.var[i] + q.eps)
    q.kernels.affine(count * per, q.mean + first, q.invstd + first, per, at(q.weight, w), at(q.bias, w),
                     q.view.period, q.p + first * per * q.size, q.step)


cdef void run_again(task body, Plan* q, i64 count, i64 work) noexcept:
    """run for tasks that follow others on the same memory: each thread, as it may have caches of its own, takes
    its share once more, and the last first, which is in cache still."""
    cdef i64 i, t, share, rest
    cdef int phase, threads
    if q.data.half:
        run(body, q, count, work)
        return
    threads = team(work)
    share, rest = count // threads, count % threads
    phase = enter()
    if threads == 1:
        with nogil:
            for i in range(count - 1, -1, -1):
                body(q, i)
    else:
        for t in prange(threads, num_threads=threads, schedule="static", nogil=True):
            spread()
            for i in range((t + 1) * share + min(t + 1, rest) - 1, t * share + min(t, rest) - 1, -1):
                body(q, i)
    leave(phase)


# The map that follows the sums: within a task while its channels are in cache, the last read first; where all sums came
# first, plane after plane, as memory lies. (Cores may have caches of their own at every level: a thread should meet its
# half again.)

cdef void apply_block(Plan* q, i64 c, i64 count, i64 length, i64 offset, i64 stride, i64 period) noexcept nogil:
    offset *= q.size
    q.kernels.apply_runs(count, length, q.x + offset, at(q.residual, offset), stride, q.p, q.step, c, period, q.relu,
                         q.y + offset, q.past)


cdef void backward_block(Plan* q, i64 c, i64 count, i64 length, i64 offset, i64 stride, i64 period) noexcept nogil:
    offset *= q.size
    q.kernels.backward_runs(count, length, q.x + offset, q.g + offset, stride, q.p, q.step, c, period, q.mask, q.frozen,
                            q.dx + offset, q.past)


cdef inline void written(Plan* q) noexcept nogil:
    if q.past:
        K.convert.stream(NULL, NULL, 0)


cdef void map_channels(Plan* q, i64 first, i64 end) noexcept nogil:
    cdef i64 c, b, offset, count, length
    for c in range(end - 1, first - 1, -1):
        for b in range(q.blocks - 1, -1, -1):
            block(q.view.n, q.view.s, q.view.stride_n, b, &offset, &count, &length)
            q.body(q, c, count, length, c * q.view.stride_c + offset, q.view.stride_n, 1)
    written(q)


cdef i64 plane_blocks(Plan* q) noexcept nogil:
    return count_blocks(q.view.n * q.view.c, q.view.s)


cdef void map_planes_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 offset, count, length
    block(q.view.n * q.view.c, q.view.s, q.view.s, i, &offset, &count, &length)
    q.body(q, offset // q.view.s % q.view.c, count, length, offset, q.view.s, q.view.c)
    written(q)


# Where runs are short and all of them do not fit a thread's own cache, the sums are taken as memory lies, too: the runs
# of one channel are so far apart that the processor does not foresee them.

cdef inline bint in_order(Plan* q) noexcept:
    return (q.view.per == 1 and q.view.n > 1 and q.view.s * q.size <= PAGE
            and q.view.n * q.view.c * q.view.s * q.size > OWN_CACHE)


cdef inline i64 channel_group(Plan* q) noexcept nogil:
    """Channels whose parts a task sums."""
    cdef i64 group = BLOCK // (q.of_channel.runs * q.of_channel.n)
    return min(max(group, <i64> 1), q.view.c)


cdef void backward_sums_part(Plan* q, i64 first, i64 channels, i64 start, i64 runs, i64 n, double* s) noexcept nogil:
    """The sums of one part, which starts there, of some channels."""
    cdef i64 offset = (first * q.view.stride_c + start) * q.size
    memset(s, 0, 16 * channels)
    q.kernels.backward_sums_runs(channels, q.view.stride_c, runs, n, q.x + offset, q.dy + offset, at(q.more, offset),
                                 at(q.z, offset), q.view.stride_n, q.p + first * q.size, q.step, q.mask,
                                 <void*> at(q.dresidual, offset), s)


cdef void in_order_task(void* plan, i64 i) noexcept nogil:
    """The sums of one part each of some channels: moments, or of the gradient."""
    cdef Plan* q = <Plan*> plan
    cdef i64 group = channel_group(q), groups = ceil_div(q.view.c, group), c = q.view.c, k = i // groups, runs, n
    cdef i64 first = i % groups * group, count = min(group, c - first), start = part_at(&q.of_channel, k, &runs, &n)
    if q.dy == NULL:
        q.kernels.moments_parts(count, runs, n, q.x + (start + first * q.view.stride_c) * q.size, q.view.stride_n,
                                q.view.stride_c, q.s + 2 * (k * c + first), 2)
    else:
        backward_sums_part(q, first, count, start, runs, n, q.s + 2 * (c + k * c + first))


cdef inline i64 in_order_tasks(Plan* q) noexcept:
    return q.of_channel.all * ceil_div(q.view.c, channel_group(q))


cdef void normalize_channel_task(void* plan, i64 stat) noexcept nogil:
    """All of one statistic: x is read from memory once where it fits in the L2 cache."""
    cdef Plan* q = <Plan*> plan
    moments_of(q, stat)
    finish_statistics(q, stat, 1)
    if q.y != NULL:
        map_channels(q, stat * q.view.per, (stat + 1) * q.view.per)


cdef void backward_sums_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 runs, n, c = i // q.of_channel.all, k = i % q.of_channel.all, start = part_at(&q.of_channel, k, &runs, &n)
    backward_sums_part(q, c, 1, start, runs, n, q.s + 2 * (q.view.c + k * q.view.c + c))


cdef void backward_channel_task(void* plan, i64 stat) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef double[2] sums
    cdef i64 per = q.view.per, first = stat * per, c, b, start, runs, n
    for c in range(first, first + per):
        q.s[c] = q.s[q.view.c + c] = 0
        for b in range(q.of_channel.all):
            start = part_at(&q.of_channel, b, &runs, &n)
            backward_sums_part(q, c, 1, start, runs, n, sums)
            q.s[c] += sums[0]
            q.s[q.view.c + c] += sums[1]
    q.kernels.backward_affine(per, q.s + first, q.view.c, q.m, q.invstd + stat, per,
                              at(q.weight, first % q.view.period * q.size), per, q.p + first * q.size, q.step, NULL,
                              NULL)
    map_channels(q, first, first + per)


include "norm_columns.pxi"


# ---- entry points --------------------------------------------------------------------------------------------

cdef inline i64 backward_room(Plan* q) noexcept:   # for two sums of each channel, then of parts or tiles that are tasks
    return 2 * (q.view.c + (q.chunks * q.cols if q.view.columns else 0 if q.fused else q.view.c * q.of_channel.all))


cdef inline bint goes_past(Plan* q, const void* source, const void* result, i64 limit) noexcept:
    """Whether a result goes past the caches, and so is not read into them first: where it would not stay there until it
    is read; and in training, where what is computed between is kept, where it was not there before."""
    return (source != result and not q.data.half and q.view.n * q.view.c * q.view.s * q.size > limit
            and (q.view.columns or q.view.s * q.size >= LONG_RUN))


cdef int normalize(int real, const Channels* view, const void* x, const void* residual, const void* weight,
                   const void* bias, double eps, bint relu, void* y, double* mean, double* var,
                   double* invstd, const double* parts) except -1:
    cdef Plan q
    cdef i64 c = view.c, stats = c // view.per, work = view.n * c * view.s, doubles, params
    cdef double* s
    cdef bint given = eps < 0
    cdef size_t bytes
    prepare(&q, real, view)
    q.x, q.residual, q.weight, q.bias, q.y = <char*> x, <char*> residual, <char*> weight, <char*> bias, <char*> y
    q.mean, q.var, q.invstd, q.eps, q.relu, q.body = mean, var, invstd, eps, relu, apply_block
    q.past = goes_past(&q, x, y, CACHE // (2 if given else 8))
    doubles = 2 * (0 if given else c + q.chunks * q.cols if q.view.columns else stats * q.of_statistic.all)
    params = MTB_NORM_K0 * (c + q.cols)
    bytes = doubles * 8 + params * q.size + q.room
    s = <double*> take(bytes)
    try:
        q.s, q.p, q.data.rooms = s, <char*> (s + doubles), <char*> (s + doubles) + params * q.size
        if q.view.columns:
            if not given:
                column_statistics(&q, s)
            if y == NULL:
                return 0
            q.kernels.affine(c, mean, invstd, 1, weight, bias, view.period, q.p, c)
            if q.cols != c:
                q.p += MTB_NORM_K0 * c * q.size
                spread_params(&q, MTB_NORM_K0, <char*> (s + doubles))
            run_again(apply_tile_task, &q, q.chunks * q.panels, work)
        elif given:
            q.kernels.affine(c, mean, invstd, view.per, weight, bias, view.period, q.p, c)
            run(map_planes_task, &q, plane_blocks(&q), work)
        elif q.fused and parts == NULL:
            run(normalize_channel_task, &q, stats, 2 * work)
        else:                                # few large channels: their parts are the tasks
            if parts != NULL:
                q.s = <double*> parts
            elif in_order(&q):
                run(in_order_task, &q, in_order_tasks(&q), work)
            else:
                run(moments_task, &q, stats * q.of_statistic.all, work)
            finish_statistics(&q, 0, stats)
            if y != NULL:
                run_again(map_planes_task, &q, plane_blocks(&q), work)
    finally:
        give(s, bytes)
    return 0


cdef int apply(int real, const Channels* view, const void* x, const void* residual, const void* weight,
               const void* bias, bint relu, void* y, const double* mean, const double* invstd) except -1:
    return normalize(real, view, x, residual, weight, bias, -1, relu, y, <double*> mean, NULL, <double*> invstd, NULL)


cdef bint planes_are_parts(i64 s) noexcept nogil:
    cdef Parts g = cut(2, s, s)
    return s >= SHORT and g.all == 2


cdef void params(const Channels* view, const double* mean, const double* invstd, const void* weight, const void* bias,
                 void* p) noexcept:
    (<const mtb_norm*> K.norm[0]).affine(view.c, mean, invstd, view.per, weight, bias, view.period, p, view.c)


cdef void apply_params(const Channels* view, const void* x, const void* p, bint relu, void* y) noexcept:
    cdef Plan q
    cdef i64 work = view.n * view.c * view.s
    prepare(&q, 0, view)
    q.x, q.p, q.relu, q.y, q.body = <char*> x, <char*> p, relu, <char*> y, apply_block
    q.past = goes_past(&q, x, y, CACHE // 2)
    run(map_planes_task, &q, plane_blocks(&q), work)


cdef int normalize_backward(int real, const Channels* view, const void* x, const void* dy, const void* more,
                            const void* z, const void* weight, const void* bias, const double* mean,
                            const double* invstd, int mask, bint frozen, void* dx, void* dresidual, void* dweight,
                            void* dbias, const double* gathered) except -1:
    cdef Plan q
    cdef i64 c = view.c, work = view.n * c * view.s, doubles
    cdef bint sums = not frozen or dweight != NULL or dbias != NULL or mask == MTB_MASK_OUTPUT
    cdef const double* parts
    cdef double* s
    cdef char* p
    cdef size_t bytes
    prepare(&q, real, view)
    q.x, q.dy, q.z, q.weight, q.dx = <char*> x, <char*> dy, <char*> z, <char*> weight, <char*> dx
    q.g, q.more, q.dresidual = <char*> dy, <char*> more, <char*> dresidual
    if mask == MTB_MASK_OUTPUT:
        q.g = <char*> dresidual
    q.invstd, q.mask, q.frozen, q.body = <double*> invstd, mask, frozen, backward_block
    q.past = goes_past(&q, q.g, dx, CACHE // 8)
    doubles = backward_room(&q)
    bytes = doubles * 8 + MTB_NORM_PARAMS * (c + q.cols) * q.size + q.room
    s = <double*> take(bytes)
    try:
        p = q.p = <char*> (s + doubles)
        q.data.rooms = p + MTB_NORM_PARAMS * (c + q.cols) * q.size
        q.s = s
        memset(p, 0, MTB_NORM_PARAMS * c * q.size)
        q.kernels.affine(c, mean, invstd, view.per, weight, bias, view.period, p, c)
        if q.view.columns:
            if q.cols != c:
                q.p = p + MTB_NORM_PARAMS * c * q.size
                spread_params(&q, MTB_NORM_PARAMS, p)
            if sums:
                q.s = s + 2 * c
                run(backward_sums_tile_task, &q, q.chunks * q.panels, work)
                q.kernels.merge_cols(q.chunks, q.cols, q.s, c, q.repeat, s)
                q.kernels.backward_affine(c, s, c, q.m, invstd, view.per, weight, view.period, p, c, dweight, dbias)
                spread_params(&q, MTB_NORM_PARAMS, p)
            run_again(backward_tile_task, &q, q.chunks * q.panels, work)
            return 0
        if not sums and not q.data.half:
            run(map_planes_task, &q, plane_blocks(&q), work)
            return 0
        parts = s + 2 * c
        if gathered != NULL and memcmp(gathered + 2 * view.n * c, p, MTB_NORM_K0 * c * sizeof(float)):
            gathered = NULL
        if q.fused and gathered == NULL:
            run(backward_channel_task, &q, c // view.per, 2 * work)
        else:
            if gathered != NULL:
                parts = gathered
            elif in_order(&q):
                run(in_order_task, &q, in_order_tasks(&q), work)
            else:
                run(backward_sums_task, &q, c * q.of_channel.all, work)
            q.kernels.sum_parts(c, q.of_channel.all, parts, s)
            q.kernels.backward_affine(c, s, c, q.m, invstd, view.per, weight, view.period, p, c, NULL, NULL)
            run_again(map_planes_task, &q, plane_blocks(&q), work)
        if dweight != NULL or dbias != NULL:     # p again: the same values
            q.kernels.backward_affine(c, s, c, q.m, invstd, view.per, weight, view.period, p, c, dweight, dbias)
    finally:
        give(s, bytes)
    return 0


include "norm_samples.pxi"


cdef int moments(int real, i64 outer, i64 n, i64 inner, const void* x, double* mean, double* var) except -1:
    cdef Channels view
    cdef i64 o
    if inner == 1:
        view = Channels(False, 1, outer, n, n, n, 1, outer)
        return normalize(real, &view, x, NULL, NULL, NULL, 0, False, NULL, mean, var, NULL, NULL)
    view = Channels(True, n, inner, 1, inner, 1, 1, inner)
    for o in range(outer):
        normalize(real, &view, <char*> x + o * n * inner * (8 if real else 4), NULL, NULL, NULL, 0, False, NULL,
                  mean + o * inner, var + o * inner, NULL, NULL)
    return 0
