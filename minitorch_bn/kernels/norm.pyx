"""Normalization drivers: who sums which block of a channel, what is merged in which order, and who applies it."""
from libc.math cimport sqrt
from libc.string cimport memcpy, memset
from .runtime cimport K, take, give
from .parallel cimport run_tasks, ceil_div

# The order of additions follows from these constants and the shape alone.
cdef enum:
    BLOCK = 16384      # values of a channel that are summed before the sums are merged
    DEEP = 256         # rows of a panel of columns likewise
    WIDE = 256         # columns of a panel
    SHORT = 16         # runs shorter than this are taken as columns, one for each position in the run
    STREAM = 1 << 24   # bytes of a result that the next operation would not find in a cache: it goes past them, ...
    PIECE = 512        # ... in pieces of so many values
    NARROW = 128       # up to so many columns are taken two rows side by side, again and again


cdef inline const void* at(const char* p, i64 offset) noexcept nogil:
    return <const void*> (p + offset) if p != NULL else NULL


cdef i64 count_blocks(i64 runs, i64 n) noexcept nogil:
    return runs * ceil_div(n, BLOCK) if n > BLOCK else ceil_div(runs, BLOCK // n)


cdef void block(i64 runs, i64 n, i64 stride, i64 b, i64* offset, i64* count, i64* length) noexcept nogil:
    cdef i64 pieces, group
    if n > BLOCK:
        pieces = ceil_div(n, BLOCK)
        offset[0] = b // pieces * stride + b % pieces * BLOCK
        count[0], length[0] = 1, min(<i64> BLOCK, n - b % pieces * BLOCK)
    else:
        group = BLOCK // n
        offset[0] = b * group * stride
        count[0], length[0] = min(group, runs - b * group), n


cdef void prepare(Plan* q, int real, const Channels* view) noexcept:
    memset(q, 0, sizeof(Plan))
    q.kernels, q.view, q.size = <const mtb_norm*> K.norm[real], view[0], 8 if real else 4
    q.m = <double> (view.n * view.s * view.per)
    q.step, q.repeat = view.c, 1
    if view.columns:
        q.rows, q.cols, q.stride = view.n * view.s, view.c, view.stride_n
    elif view.s < SHORT and view.per == 1 and (view.stride_c == view.s or view.c == 1) and view.n > 1:
        q.view.columns = True
        q.rows, q.cols, q.stride, q.repeat = view.n, view.c * view.s, view.stride_n, view.s
    else:
        q.blocks = count_blocks(view.n, view.s)
        q.stat_blocks = q.blocks if view.per == 1 else count_blocks(1, view.per * view.s)
        q.fused = view.c // view.per >= 8 or q.blocks * view.per == 1
        return
    while q.cols <= NARROW and q.stride == q.cols and q.rows % 2 == 0:
        q.rows, q.cols, q.stride = q.rows // 2, q.cols * 2, q.stride * 2
    q.chunks, q.panels = ceil_div(q.rows, DEEP), ceil_div(q.cols, WIDE)
    q.step = q.cols


# ---- runs: a task is a channel, or a block of one ------------------------------------------------------------

cdef void moments_block(Plan* q, i64 stat, i64 b, int exact, double* s) noexcept nogil:
    cdef i64 offset, count, length, base
    if q.view.per == 1:
        base = stat * q.view.stride_c
        block(q.view.n, q.view.s, q.view.stride_n, b, &offset, &count, &length)
    else:
        base = stat * q.view.per * q.view.s
        block(1, q.view.per * q.view.s, 0, b, &offset, &count, &length)
    s[0] = s[1] = 0
    q.kernels.moments_runs(count, length, q.x + (base + offset) * q.size, q.view.stride_n, q.x + base * q.size, exact,
                           s)


cdef void moments_block_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    moments_block(q, i // q.stat_blocks, i % q.stat_blocks, 0, q.s + 2 * i)


cdef void finish_statistic(Plan* q, i64 stat, double* s) noexcept nogil:
    """mean, var, invstd and p from the sums s; summed again with care where they are unsure."""
    cdef i64 b, per = q.view.per, base = (stat * q.view.stride_c if per == 1 else stat * per * q.view.s) * q.size
    cdef double[2] part
    cdef char unsure
    if q.kernels.finish_moments(1, s, 1, q.m, q.x + base, q.mean + stat, q.var + stat, &unsure):
        s[0] = s[1] = 0
        for b in range(q.stat_blocks):
            moments_block(q, stat, b, 1, part)
            s[0] += part[0]
            s[1] += part[1]
        q.kernels.finish_moments(1, s, 1, q.m, q.x + base, q.mean + stat, q.var + stat, NULL)
    if q.invstd != NULL:
        q.invstd[stat] = 1 / sqrt(q.var[stat] + q.eps)
        affine_of(q, stat)


cdef void affine_of(Plan* q, i64 stat) noexcept nogil:
    """p of the channels of one statistic."""
    cdef i64 per = q.view.per, first = stat * per, w = first % q.view.period * q.size
    q.kernels.affine(per, q.mean + stat, q.invstd + stat, per, at(q.weight, w), at(q.bias, w), per,
                     q.p + first * q.size, q.step)


# The map that follows the sums: within a task while its channels are in cache; where all sums came first, plane after
# plane, as memory lies. (Cores may have caches of their own at every level: a thread should meet its half again.)

cdef void apply_rows(Plan* q, apply_kernel kernel, const char* p, i64 c, i64 count, i64 length, i64 offset, i64 stride,
                     i64 period) noexcept nogil:
    cdef double[PIECE] buffer
    cdef i64 r, i, m, here
    if not q.streamed:
        kernel(count, length, q.x + offset * q.size, at(q.residual, offset * q.size), stride, p, q.step, c, period,
               q.relu, q.y + offset * q.size)
        return
    for r in range(count):
        for i from 0 <= i < length by PIECE:
            here, m = (offset + r * stride + i) * q.size, min(<i64> PIECE, length - i)
            kernel(1, m, q.x + here, at(q.residual, here), 0, p, q.step, (c + r) % period if period > 1 else c, 1,
                   q.relu, buffer)
            q.kernels.stream(q.y + here, buffer, m * q.size)
    q.kernels.stream(NULL, NULL, 0)


cdef void backward_rows(Plan* q, backward_kernel kernel, const char* p, i64 c, i64 count, i64 length, i64 offset,
                        i64 stride, i64 period) noexcept nogil:
    cdef double[PIECE] buffer, masked
    cdef i64 r, i, m, here
    if not q.streamed:
        kernel(count, length, q.x + offset * q.size, q.dy + offset * q.size, at(q.z, offset * q.size), stride, p,
               q.step, c, period, q.mask, q.frozen, q.dx + offset * q.size,
               <void*> at(q.dresidual, offset * q.size))
        return
    for r in range(count):
        for i from 0 <= i < length by PIECE:
            here, m = (offset + r * stride + i) * q.size, min(<i64> PIECE, length - i)
            kernel(1, m, q.x + here, q.dy + here, at(q.z, here), 0, p, q.step,
                   (c + r) % period if period > 1 else c, 1, q.mask, q.frozen, buffer, masked)
            q.kernels.stream(q.dx + here, buffer, m * q.size)
            if q.dresidual != NULL:
                q.kernels.stream(q.dresidual + here, masked, m * q.size)
    q.kernels.stream(NULL, NULL, 0)


cdef void apply_block(Plan* q, i64 c, i64 count, i64 length, i64 offset, i64 stride, i64 period) noexcept nogil:
    apply_rows(q, q.kernels.apply_runs, q.p, c, count, length, offset, stride, period)


cdef void backward_block(Plan* q, i64 c, i64 count, i64 length, i64 offset, i64 stride, i64 period) noexcept nogil:
    backward_rows(q, q.kernels.backward_runs, q.p, c, count, length, offset, stride, period)


cdef void map_channels(Plan* q, i64 first, i64 end) noexcept nogil:
    cdef i64 c, b, offset, count, length
    for c in range(first, end):
        for b in range(q.blocks):
            block(q.view.n, q.view.s, q.view.stride_n, b, &offset, &count, &length)
            q.body(q, c, count, length, c * q.view.stride_c + offset, q.view.stride_n, 1)


cdef i64 plane_blocks(Plan* q) noexcept nogil:
    return count_blocks(q.view.n * q.view.c, q.view.s)


cdef void map_planes_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 offset, count, length
    block(q.view.n * q.view.c, q.view.s, q.view.s, i, &offset, &count, &length)
    q.body(q, offset // q.view.s % q.view.c, count, length, offset, q.view.s, q.view.c)


cdef void normalize_channel_task(void* plan, i64 stat) noexcept nogil:
    """All of one statistic: x is read from memory once where it fits in the L2 cache."""
    cdef Plan* q = <Plan*> plan
    cdef double[2] s, part
    cdef i64 b
    s[0] = s[1] = 0
    for b in range(q.stat_blocks):
        moments_block(q, stat, b, 0, part)
        s[0] += part[0]
        s[1] += part[1]
    finish_statistic(q, stat, s)
    if q.y != NULL:
        map_channels(q, stat * q.view.per, (stat + 1) * q.view.per)


cdef void backward_sums_block(Plan* q, i64 i, double* s) noexcept nogil:
    cdef i64 c = i // q.blocks, offset, count, length
    block(q.view.n, q.view.s, q.view.stride_n, i % q.blocks, &offset, &count, &length)
    offset = (c * q.view.stride_c + offset) * q.size
    s[0] = s[1] = 0
    q.kernels.backward_sums_runs(count, length, q.x + offset, q.dy + offset, at(q.z, offset), q.view.stride_n,
                                 q.p + c * q.size, q.step, q.mask, s)


cdef void backward_sums_block_task(void* plan, i64 i) noexcept nogil:
    backward_sums_block(<Plan*> plan, i, (<Plan*> plan).s + 2 * (<Plan*> plan).view.c + 2 * i)


cdef void backward_channel_task(void* plan, i64 stat) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef double[2] part
    cdef i64 per = q.view.per, first = stat * per, c, b
    for c in range(first, first + per):
        q.s[c] = q.s[q.view.c + c] = 0
        for b in range(q.blocks):
            backward_sums_block(q, c * q.blocks + b, part)
            q.s[c] += part[0]
            q.s[q.view.c + c] += part[1]
    q.kernels.backward_affine(per, q.s + first, q.view.c, q.m, q.invstd + stat, per,
                              at(q.weight, first % q.view.period * q.size), per, q.p + first * q.size, q.step, NULL,
                              NULL)
    map_channels(q, first, first + per)


# ---- columns: a task is a chunk of rows times a panel of columns ---------------------------------------------

cdef i64 tile(Plan* q, i64 i, i64* rows, i64* col, i64* cols) noexcept nogil:
    cdef i64 row = i // q.panels * DEEP
    rows[0] = min(<i64> DEEP, q.rows - row)
    col[0] = i % q.panels * WIDE
    cols[0] = min(<i64> WIDE, q.cols - col[0])
    return row * q.stride + col[0]


cdef void moments_tile_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 rows, col, cols, offset = tile(q, i, &rows, &col, &cols) * q.size
    cdef double* s = q.s + i // q.panels * 2 * q.cols + col
    memset(s, 0, cols * 8)
    memset(s + q.cols, 0, cols * 8)
    q.kernels.moments_cols(rows, cols, q.x + offset, q.stride, q.x0 + col * q.size, q.exact, s, q.cols)


cdef void apply_tile_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 rows, col, cols, offset = tile(q, i, &rows, &col, &cols)
    apply_rows(q, q.kernels.apply_cols, q.p + col * q.size, 0, rows, cols, offset, q.stride, 1)


cdef void backward_sums_tile_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 rows, col, cols, offset = tile(q, i, &rows, &col, &cols) * q.size
    cdef double* s = q.s + i // q.panels * 2 * q.cols + col
    memset(s, 0, cols * 8)
    memset(s + q.cols, 0, cols * 8)
    q.kernels.backward_sums_cols(rows, cols, q.x + offset, q.dy + offset, at(q.z, offset), q.stride, q.p + col * q.size,
                                 q.step, q.mask, s, q.cols)


cdef void backward_tile_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 rows, col, cols, offset = tile(q, i, &rows, &col, &cols)
    backward_rows(q, q.kernels.backward_cols, q.p + col * q.size, 0, rows, cols, offset, q.stride, 1)


cdef void merge_columns(Plan* q, double* s) noexcept nogil:
    """s (2, c) = the sums (chunks, 2, cols) of q, chunk after chunk, of the columns of each channel."""
    cdef i64 k, j, i, _, c = q.view.c
    cdef double* part
    cdef double* sums
    memset(s, 0, 2 * c * 8)
    for k in range(2 * q.chunks):
        part, sums, j = q.s + k * q.cols, s + k % 2 * c, 0
        while j < q.cols:
            for i in range(c):
                for _ in range(q.repeat):
                    sums[i] += part[j]
                    j += 1


cdef int column_statistics(Plan* q, double* s) except -1:
    """mean and var by columns; s: room for the sums of the channels (2, c), then of the tiles."""
    cdef i64 c = q.view.c, i, work = q.rows * q.cols
    cdef size_t bytes = (c + q.cols) * q.size + c
    cdef char* x0 = <char*> take(bytes)
    try:
        q.unsure, q.s = x0 + (c + q.cols) * q.size, s + 2 * c
        for i in range(c if q.repeat > 1 else 0):    # the first value of each channel, then of each column
            memcpy(x0 + i * q.size, q.x + i * q.repeat * q.size, q.size)
        if q.repeat == 1:
            memcpy(x0, q.x, c * q.size)
        q.x0 = x0
        if q.cols != c:
            q.x0 = x0 + c * q.size
            q.kernels.spread(1, q.cols, x0, 0, q.repeat, c, q.x0, 0)
        run_tasks(moments_tile_task, q, q.chunks * q.panels, work)
        merge_columns(q, s)
        if q.kernels.finish_moments(c, s, c, q.m, x0, q.mean, q.var, q.unsure):
            q.exact = 1
            run_tasks(moments_tile_task, q, q.chunks * q.panels, work)
            merge_columns(q, s)
            for i in range(c):
                if q.unsure[i]:
                    q.kernels.finish_moments(1, s + i, c, q.m, x0 + i * q.size, q.mean + i, q.var + i, NULL)
    finally:
        give(x0, bytes)
    return 0


cdef void spread_params(Plan* q, i64 count, char* p) noexcept:
    """q.p (count, cols) from p (count, c); the same where a channel is one column."""
    if q.cols != q.view.c:
        q.kernels.spread(count, q.cols, p, q.view.c, q.repeat, q.view.c, q.p, q.cols)


# ---- entry points --------------------------------------------------------------------------------------------

cdef inline i64 sums_room(Plan* q) noexcept:   # for two sums of each channel, then of blocks or tiles that are tasks
    if q.view.columns:
        return 2 * (q.view.c + q.chunks * q.cols)
    return 2 * q.view.c * (1 if q.fused else 1 + max(q.blocks, q.stat_blocks))


cdef int normalize(int real, const Channels* view, const void* x, const void* residual, const void* weight,
                   const void* bias, double eps, bint relu, void* y, double* mean, double* var,
                   double* invstd) except -1:
    cdef Plan q
    cdef i64 c = view.c, stats = c // view.per, i, b, work = view.n * c * view.s, doubles, params
    cdef double* s
    cdef double* parts
    cdef size_t bytes
    prepare(&q, real, view)
    q.x, q.residual, q.weight, q.bias, q.y = <char*> x, <char*> residual, <char*> weight, <char*> bias, <char*> y
    q.mean, q.var, q.invstd, q.eps, q.relu, q.body = mean, var, invstd, eps, relu, apply_block
    q.streamed = x != y and work * q.size > STREAM
    doubles, params = sums_room(&q), MTB_NORM_K0 * (c + q.cols)
    bytes = doubles * 8 + params * q.size
    s = <double*> take(bytes)
    try:
        q.s, q.p = s, <char*> (s + doubles)
        if q.view.columns:
            column_statistics(&q, s)
            if y == NULL:
                return 0
            for i in range(c):
                invstd[i] = 1 / sqrt(var[i] + eps)
            q.kernels.affine(c, mean, invstd, 1, weight, bias, view.period, q.p, c)
            if q.cols != c:
                q.p += MTB_NORM_K0 * c * q.size
                spread_params(&q, MTB_NORM_K0, <char*> (s + doubles))
            run_tasks(apply_tile_task, &q, q.chunks * q.panels, work)
        elif q.fused:
            run_tasks(normalize_channel_task, &q, stats, 2 * work)
        else:                                # few large channels: their blocks are the tasks
            run_tasks(moments_block_task, &q, stats * q.stat_blocks, work)
            for i in range(stats):
                parts = s + 2 * i * q.stat_blocks
                for b in range(1, q.stat_blocks):
                    parts[0] += parts[2 * b]
                    parts[1] += parts[2 * b + 1]
                finish_statistic(&q, i, parts)
            if y != NULL:
                run_tasks(map_planes_task, &q, plane_blocks(&q), work)
    finally:
        give(s, bytes)
    return 0


cdef int apply(int real, const Channels* view, const void* x, const void* residual, const void* weight,
               const void* bias, bint relu, void* y, const double* mean, const double* invstd) except -1:
    cdef Plan q
    cdef i64 c = view.c, work = view.n * c * view.s
    cdef size_t bytes
    cdef char* p
    prepare(&q, real, view)
    q.x, q.residual, q.weight, q.bias, q.y = <char*> x, <char*> residual, <char*> weight, <char*> bias, <char*> y
    q.mean, q.invstd, q.relu, q.body = <double*> mean, <double*> invstd, relu, apply_block
    q.streamed = x != y and work * q.size > STREAM
    bytes = MTB_NORM_K0 * (c + q.cols) * q.size
    p = <char*> take(bytes)
    try:
        q.p = p
        q.kernels.affine(c, mean, invstd, view.per, weight, bias, view.period, p, c)
        if q.view.columns:
            if q.cols != c:
                q.p = p + MTB_NORM_K0 * c * q.size
                spread_params(&q, MTB_NORM_K0, p)
            run_tasks(apply_tile_task, &q, q.chunks * q.panels, work)
        else:
            run_tasks(map_planes_task, &q, plane_blocks(&q), work)
    finally:
        give(p, bytes)
    return 0


cdef void params(const Channels* view, const double* mean, const double* invstd, const void* weight, const void* bias,
                 void* p) noexcept:
    (<const mtb_norm*> K.norm[0]).affine(view.c, mean, invstd, view.per, weight, bias, view.period, p, view.c)


cdef void apply_params(const Channels* view, const void* x, const void* p, bint relu, void* y) noexcept:
    cdef Plan q
    cdef i64 work = view.n * view.c * view.s
    prepare(&q, 0, view)
    q.x, q.p, q.relu, q.y, q.body = <char*> x, <char*> p, relu, <char*> y, apply_block
    q.streamed = x != y and work * q.size > STREAM
    run_tasks(map_planes_task, &q, plane_blocks(&q), work)


cdef int normalize_backward(int real, const Channels* view, const void* x, const void* dy, const void* z,
                            const void* weight, const void* bias, const double* mean, const double* invstd, int mask,
                            bint frozen, void* dx, void* dresidual, void* dweight, void* dbias) except -1:
    cdef Plan q
    cdef i64 c = view.c, i, b, work = view.n * c * view.s, doubles
    cdef bint sums = not frozen or dweight != NULL or dbias != NULL
    cdef double* s
    cdef char* p
    cdef size_t bytes
    prepare(&q, real, view)
    q.x, q.dy, q.z, q.weight, q.dx, q.dresidual = <char*> x, <char*> dy, <char*> z, <char*> weight, <char*> dx, \
        <char*> dresidual
    q.invstd, q.mask, q.frozen, q.body = <double*> invstd, mask, frozen, backward_block
    q.streamed = dx != dy and work * q.size > STREAM
    doubles = sums_room(&q)
    bytes = doubles * 8 + MTB_NORM_PARAMS * (c + q.cols) * q.size
    s = <double*> take(bytes)
    try:
        p = q.p = <char*> (s + doubles)
        q.s = s
        memset(p, 0, MTB_NORM_PARAMS * c * q.size)
        q.kernels.affine(c, mean, invstd, view.per, weight, bias, view.period, p, c)
        if q.view.columns:
            if q.cols != c:
                q.p = p + MTB_NORM_PARAMS * c * q.size
                spread_params(&q, MTB_NORM_PARAMS, p)
            if sums:
                q.s = s + 2 * c
                run_tasks(backward_sums_tile_task, &q, q.chunks * q.panels, work)
                merge_columns(&q, s)
                q.kernels.backward_affine(c, s, c, q.m, invstd, view.per, weight, view.period, p, c, dweight, dbias)
                spread_params(&q, MTB_NORM_PARAMS, p)
            run_tasks(backward_tile_task, &q, q.chunks * q.panels, work)
            return 0
        if not sums:
            run_tasks(map_planes_task, &q, plane_blocks(&q), work)
            return 0
        if q.fused:
            run_tasks(backward_channel_task, &q, c // view.per, 2 * work)
        else:
            run_tasks(backward_sums_block_task, &q, c * q.blocks, work)
            for i in range(c):
                s[i] = s[c + i] = 0
                for b in range(i * q.blocks, (i + 1) * q.blocks):
                    s[i] += s[2 * c + 2 * b]
                    s[c + i] += s[2 * c + 2 * b + 1]
            q.kernels.backward_affine(c, s, c, q.m, invstd, view.per, weight, view.period, p, c, NULL, NULL)
            run_tasks(map_planes_task, &q, plane_blocks(&q), work)
        if dweight != NULL or dbias != NULL:     # p again: the same values
            q.kernels.backward_affine(c, s, c, q.m, invstd, view.per, weight, view.period, p, c, dweight, dbias)
    finally:
        give(s, bytes)
    return 0


cdef int moments(int real, i64 outer, i64 n, i64 inner, const void* x, double* mean, double* var) except -1:
    cdef Channels view
    cdef i64 o
    if inner == 1:
        view = Channels(False, 1, outer, n, n, n, 1, outer)
        return normalize(real, &view, x, NULL, NULL, NULL, 0, False, NULL, mean, var, NULL)
    view = Channels(True, n, inner, 1, inner, 1, 1, inner)
    for o in range(outer):
        normalize(real, &view, <char*> x + o * n * inner * (8 if real else 4), NULL, NULL, NULL, 0, False, NULL,
                  mean + o * inner, var + o * inner, NULL)
    return 0
