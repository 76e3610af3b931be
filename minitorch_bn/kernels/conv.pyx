"""Convolution as implicit matrix product: a window of taps slides over the source, block by block of output positions.

A block's part of the source is copied with its padding into scratch that fits the cache; there, each tap of the window
sees the values for neighboring outputs next to each other, and a panel of the unfolded matrix (taps by positions) is
copied together just before the register tiles use it. Forward and backward-data are the same sweep with other taps;
with a stride, backward-data is one sweep for each phase of the stride, so that no zeros are multiplied.

Each output is summed in the order of a matrix product (src_c/api/gemm.h), K = channels x taps: the same bits alone and
in a batch. The weight gradient is in conv_weight.pyx.
"""
from cython.parallel cimport prange, threadid
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from minitorch_bn.kernels.matmul cimport MTB_KC, mtb_gemm
from minitorch_bn.kernels.runtime cimport K, give, i64, spread, take, team
from minitorch_bn.kernels.window cimport (conv_geometry, cut_blocks, cut_pieces, find_block, find_runs, lay_taps,
                                          mtb_conv, pad_block, parts, run, spot, up, window)
from minitorch_bn.kernels.winograd cimport suits_winograd, winograd_sweep

cdef enum:
    POSITIONS = 512          # output positions of a block: what it reads and writes stays in a second-level cache
    FEW_POSITIONS = 64       # not less, to feed more threads
    C_BYTES = 256 << 10      # of results that wait in scratch
    TASK_WORK = 1 << 17      # multiply-adds that are worth a task

cdef struct sweep:
    window at
    i64 m, k, step, tiles    # output channels a group, in tiles of `step`
    i64 tile_size            # elements that a packed tile takes, and what packing writes past it
    i64 row_block, row_blocks, group_block, group_blocks, tasks
    i64* source_at           # of each row of the unfolded matrix, its offset in the padded block of its K block
    const char* w            # packed tiles; or rows, if by lines
    const char* bias
    char* y                  # (images, groups * m, extent[0], extent[1], extent[2])
    i64 y_extent[3]
    i64 y_step[3]
    i64 y_first[3]
    i64 y_volume
    bint by_lines            # one output channel a group: no tiles to fill
    bint into_y              # the positions of a block lie together in y
    i64 panel_at, c_at, runs_at, pieces_at, scratch   # bytes


cdef void put(const sweep* q, const spot* s, i64 group, i64 i0, i64 rows, const char* c) noexcept nogil:
    """Copies what a block computed, c (rows, positions), to its places in y."""
    cdef i64 i, n, d, h, size = q.at.size, line = s.count[3], image_line = s.positions // s.count[0]
    cdef bint together = q.y_step[0] == 1 and q.y_step[1] == 1 and q.y_step[2] == 1
    cdef char* image
    cdef char* to
    for i in range(rows):
        for n in range(s.count[0]):
            image = q.y + (((s.start[0] + n) * q.at.groups + group) * q.m + i0 + i) * q.y_volume * size
            if together:
                to = image + ((s.start[1] * q.y_extent[1] + s.start[2]) * q.y_extent[2] + s.start[3]) * size
                memcpy(to, c, image_line * size)
                c += image_line * size
                continue
            for d in range(s.count[1]):
                for h in range(s.count[2]):
                    to = image + ((((s.start[1] + d) * q.y_step[0] + q.y_first[0]) * q.y_extent[1]
                                   + (s.start[2] + h) * q.y_step[1] + q.y_first[1]) * q.y_extent[2]
                                  + s.start[3] * q.y_step[2] + q.y_first[2]) * size
                    q.at.conv.place(to, q.y_step[2], c, line)
                    c += line * size


cdef void line_group(const sweep* q, const spot* s, i64 pieces, const i64* source, const i64* to, i64 group,
                     char* scratch) noexcept nogil:
    """The only output channel of one group, for one block."""
    cdef const char* bias = q.bias
    if bias != NULL:
        bias += group * q.at.size
    pad_block(&q.at, s, group * q.at.channels, q.at.channels, scratch)
    q.at.conv.slide(scratch + q.c_at, source, to, pieces, q.w + group * q.k * q.at.size, scratch, q.source_at, q.k,
                    bias)
    put(q, s, group, 0, 1, scratch + q.c_at)


cdef void sweep_group(const sweep* q, const spot* s, const run* runs, i64* source, i64* to, i64 group, i64 tile0,
                      i64 tile1, char* scratch) noexcept nogil:
    """Some output channels of one group, for one block: tiles of q.step rows."""
    cdef const mtb_gemm* gemm = q.at.gemm
    cdef i64 size = q.at.size, p = 0, kb, c0, t, i, j, m, panel, columns, pieces, i0 = tile0 * q.step
    cdef i64 rows = min(q.m, tile1 * q.step) - i0, ldc = q.y_volume if q.into_y else s.positions
    cdef char* c = scratch + q.c_at
    cdef const char* w = q.w + group * q.tiles * q.tile_size * size
    cdef const char* bias = NULL
    if q.into_y:
        c = q.y + (((s.start[0] * q.at.groups + group) * q.m + i0) * q.y_volume
                   + (s.start[1] * q.y_extent[1] + s.start[2]) * q.y_extent[2] + s.start[3]) * size
    while True:                                      # K blocks; just one, and empty, if k = 0
        kb = min(q.k - p, <i64> MTB_KC)
        if kb > 0:
            c0 = p // q.at.taps
            pad_block(&q.at, s, group * q.at.channels + c0, parts(p + kb, q.at.taps) - c0, scratch)
        for panel in range(parts(s.positions, gemm.nr)):
            j = panel * gemm.nr
            columns = min(gemm.nr, s.positions - j)
            if kb > 0:
                pieces = cut_pieces(&q.at, runs, j, j + columns, source, to)
                q.at.conv.unfold(scratch + q.panel_at, gemm.nr, scratch, q.source_at + p, kb, source, to, pieces)
            if p + kb == q.k and q.bias != NULL:
                bias = q.bias + (group * q.m + i0) * size
            for t in range(tile0, tile1):
                i, m = t * q.step, min(q.step, q.m - t * q.step)
                gemm.strip(m, columns, kb, w + (t * q.tile_size + p * m) * size, 1, m, scratch + q.panel_at, gemm.nr,
                           c + ((i - i0) * ldc + j) * size, ldc, p > 0, NULL, bias)
                if bias != NULL:
                    bias += m * size
        p += kb
        if p == q.k:
            break
    if not q.into_y:
        put(q, s, group, i0, rows, scratch + q.c_at)


cdef void sweep_task(const sweep* q, i64 index, char* scratch) noexcept nogil:
    cdef spot s
    cdef run* runs = <run*> (scratch + q.runs_at)
    cdef i64* source = <i64*> (scratch + q.pieces_at)
    cdef i64* to = source + max(q.at.positions, q.at.gemm.nr)
    cdef i64 group_block, row_block, group, pieces = 0
    row_block = index % q.row_blocks
    index //= q.row_blocks
    group_block = index % q.group_blocks
    find_block(&q.at, index // q.group_blocks, &s)
    find_runs(&q.at, &s, runs)
    if q.by_lines:
        pieces = cut_pieces(&q.at, runs, 0, s.positions, source, to)
    for group in range(group_block * q.group_block, min(q.at.groups, (group_block + 1) * q.group_block)):
        if q.by_lines:
            line_group(q, &s, pieces, source, to, group, scratch)
        else:
            sweep_group(q, &s, runs, source, to, group, row_block * q.row_block,
                        min(q.tiles, (row_block + 1) * q.row_block), scratch)


cdef void plan_sweep(sweep* q, int threads) noexcept nogil:
    """Cuts the work into tasks. Free choices, no bit depends on them."""
    cdef i64 most = 4 * POSITIONS if q.by_lines else POSITIONS, blocks, work
    cdef bint whole = q.y_step[0] == 1 and q.y_step[1] == 1 and q.y_step[2] == 1 and not q.by_lines
    while True:
        cut_blocks(&q.at, most)
        q.into_y = whole and q.at.block[0] == 1
        blocks = q.at.blocks[0] * q.at.blocks[1] * q.at.blocks[2] * q.at.blocks[3]
        if most <= FEW_POSITIONS or ((threads == 1 or blocks * q.at.groups >= 4 * threads)
                                     and (q.into_y or q.m * most * q.at.size <= C_BYTES)):
            break
        most //= 2
    work = max(<i64> 1, q.at.positions * q.m * max(q.k, <i64> 1))
    q.group_block = min(q.at.groups, 1 + TASK_WORK // work)
    if threads > 1:
        q.group_block = max(<i64> 1, min(q.group_block, q.at.groups * blocks // (4 * threads)))
    q.group_blocks = parts(q.at.groups, q.group_block)
    q.row_block = q.tiles
    if not q.by_lines and threads > 1:
        q.row_block = parts(q.tiles, parts(2 * threads, blocks * q.group_blocks))
    q.row_blocks = parts(q.tiles, q.row_block)
    q.tasks = blocks * q.group_blocks * q.row_blocks


cdef void pack_tile(const sweep* q, i64 index, const char* w, char* rows, char* packed, bint backward,
                    i64 kernel_volume) noexcept nogil:
    """One tile of w as it will be read. Backward, the channels change sides and only some taps count: gathered to rows
    first."""
    cdef i64 group = index // q.tiles, i0 = index % q.tiles * q.step, n = min(q.step, q.m - i0), i, c, t, p, kb
    cdef i64 size = q.at.size, channels = q.at.channels, taps = q.at.taps, at, source
    if backward:
        for c in range(channels):
            for i in range(i0, i0 + n):
                source = ((group * channels + c) * q.m + i) * kernel_volume
                at = ((group * q.m + i) * channels + c) * taps
                for t in range(taps):
                    if size == 4:
                        (<uint32_t*> rows)[at + t] = (<const uint32_t*> w)[source + q.at.kernel_at[t]]
                    else:
                        (<uint64_t*> rows)[at + t] = (<const uint64_t*> w)[source + q.at.kernel_at[t]]
        w = rows
    if q.by_lines:
        return
    for t in range(parts(q.k, MTB_KC)):
        p = t * MTB_KC
        kb = min(q.k - p, <i64> MTB_KC)
        q.at.gemm.pack(packed + (index * q.tile_size + p * n) * size, n,
                       w + ((group * q.m + i0) * q.k + p) * size, q.k, n, 1, kb)


cdef int run_sweep(int real, const conv_geometry* g, const void* x, const void* w, const void* bias, void* y,
                   bint backward, const i64* phase) except -1:
    """The whole convolution; or, backward, those of its dx whose index is `phase` modulo the stride."""
    cdef sweep q
    cdef i64 d, t, i, table = 0, most = 0, total, at, rows_size, packed_size
    cdef i64 counts[3]
    cdef i64* offsets[3]
    cdef i64* index[3]
    cdef i64 kernel_volume = g.kernel[0] * g.kernel[1] * g.kernel[2]
    cdef int threads
    cdef i64* tables
    cdef char* memory
    cdef char* packed
    cdef char* scratch
    q.at.gemm, q.at.conv, q.at.size = <const mtb_gemm*> K.gemm[real], <const mtb_conv*> K.conv[real], 8 if real else 4
    q.at.images, q.at.groups = g.n, g.groups
    q.at.channels, q.m = g.c_in // g.groups, g.c_out // g.groups
    if backward:
        q.at.channels, q.m = q.m, q.at.channels
    q.y_volume, q.at.volume = 1, 1
    for d in range(3):
        q.at.extent[d], q.y_extent[d] = g.in_[d], g.out[d]
        q.at.grid[d], q.at.step[d], q.y_step[d], q.y_first[d] = g.out[d], g.stride[d], 1, 0
        if backward:
            q.at.extent[d], q.y_extent[d] = g.out[d], g.in_[d]
            q.at.step[d], q.y_step[d], q.y_first[d] = 1, g.stride[d], phase[d]
            q.at.grid[d] = parts(g.in_[d] - phase[d], g.stride[d])
        q.y_volume *= q.y_extent[d]
        q.at.volume *= q.at.extent[d]
        table += 4 * g.kernel[d]
    q.k = q.at.channels * kernel_volume              # an upper bound, backward
    table += 2 * kernel_volume + q.k
    tables = <i64*> take(table * sizeof(i64))
    try:
        at, q.at.taps = 0, 1
        for d in range(3):
            q.at.origin[d] = tables + at
            offsets[d], index[d] = q.at.origin[d] + 2 * g.kernel[d], q.at.origin[d] + 3 * g.kernel[d]
            at += 4 * g.kernel[d]
            counts[d] = 0
            for t in range(g.kernel[d]):
                i = t * g.dilation[d] - g.pad_lo[d]
                if backward:
                    i = phase[d] - i
                    if i % g.stride[d] != 0:
                        continue
                    i //= g.stride[d]
                offsets[d][counts[d]] = i
                index[d][counts[d]] = t * (g.kernel[1] * g.kernel[2] if d == 0 else g.kernel[2] if d == 1 else 1)
                counts[d] += 1
            q.at.taps *= counts[d]
        q.at.tap_at = tables + at
        q.at.kernel_at, q.source_at = q.at.tap_at + kernel_volume, q.at.tap_at + 2 * kernel_volume
        q.k = q.at.channels * q.at.taps
        q.tiles = parts(q.m, q.at.gemm.mr)
        q.step = parts(q.m, q.tiles)
        q.by_lines = q.m == 1 and 0 < q.k <= MTB_KC
        total = g.n * g.groups * q.m * q.at.grid[0] * q.at.grid[1] * q.at.grid[2]
        threads = team(<i64> min(<double> total * (q.k + 1) / 16, <double> (1 << 60)))
        plan_sweep(&q, threads)
        lay_taps(&q.at, counts, offsets, index)
        for i in range(q.k):
            t = i - i % MTB_KC
            q.source_at[i] = (i // q.at.taps - t // q.at.taps) * q.at.c_pitch + q.at.tap_at[i % q.at.taps]
            most = max(most, i // q.at.taps - t // q.at.taps + 1)
        q.at.n_pitch = most * q.at.c_pitch
        q.at.x, q.at.end = <const char*> x, <const char*> x + g.n * g.groups * q.at.channels * q.at.volume * q.at.size
        q.y, q.bias = <char*> y, <const char*> bias
        q.panel_at = up((q.at.block[0] * q.at.n_pitch + q.at.conv.vl) * q.at.size, 64)
        q.c_at = q.panel_at + up((MTB_KC * q.at.gemm.nr + q.at.conv.vl) * q.at.size, 64)
        q.runs_at = q.c_at + (0 if q.into_y else up((min(q.m, q.row_block * q.step) * q.at.positions + q.at.conv.vl)
                                                    * q.at.size, 64))
        q.pieces_at = q.runs_at + up(q.at.block[0] * q.at.block[1] * q.at.block[2] * sizeof(run), 64)
        q.scratch = q.pieces_at + 2 * max(q.at.positions, q.at.gemm.nr) * sizeof(i64)
        q.tile_size = q.step * q.k + q.at.gemm.vl
        total = g.groups * q.m * q.k
        rows_size = up(total * q.at.size, 64) if backward else 0
        packed_size = up(g.groups * q.tiles * q.tile_size * q.at.size, 64)
        memory = <char*> take(rows_size + packed_size + threads * q.scratch)
        packed = memory + rows_size
        scratch = packed + packed_size
        q.w = <const char*> w if q.by_lines and not backward else memory if q.by_lines else packed
        if team(total) > 1:
            for i in prange(g.groups * q.tiles, num_threads=threads, schedule="static", nogil=True):
                spread()
                pack_tile(&q, i, <const char*> w, memory, packed, backward, kernel_volume)
        else:
            for i in range(g.groups * q.tiles):
                pack_tile(&q, i, <const char*> w, memory, packed, backward, kernel_volume)
        if threads > 1:
            for i in prange(q.tasks, num_threads=threads, schedule="dynamic", chunksize=1 + q.tasks // (16 * threads),
                            nogil=True):
                spread()
                sweep_task(&q, i, scratch + threadid() * q.scratch)
        else:
            with nogil:
                for i in range(q.tasks):
                    sweep_task(&q, i, scratch)
        give(memory, rows_size + packed_size + threads * q.scratch)
    finally:
        give(tables, table * sizeof(i64))
    return 0


cdef int by_tiles(const conv_geometry* g, const void* x, const void* w, const void* bias, void* y,
                  bint backward) except -1:
    """winograd_sweep; then again, plainly, the items with infinities or NaNs: each is then only where it should be."""
    cdef char* bad = <char*> take(g.n)
    cdef conv_geometry one = g[0]
    cdef i64 n, out = g.c_out * g.out[1] * g.out[2], in_ = g.c_in * g.in_[1] * g.in_[2]
    cdef i64 phase[3]
    phase[:] = [0, 0, 0]
    one.n = 1
    try:
        memset(bad, 0, g.n)
        winograd_sweep(g, x, w, bias, y, backward, bad)
        for n in range(g.n):
            if bad[n]:
                run_sweep(0, &one, <const float*> x + n * (out if backward else in_), w, bias,
                          <float*> y + n * (in_ if backward else out), backward, phase)
    finally:
        give(bad, g.n)
    return 0


cdef int conv_forward(int real, const conv_geometry* g, const void* x, const void* w, const void* bias,
                      void* y) except -1:
    if g.n * g.c_out * g.out[0] * g.out[1] * g.out[2] == 0:
        return 0
    if suits_winograd(real, g, g.out):
        return by_tiles(g, x, w, bias, y, False)
    return run_sweep(real, g, x, w, bias, y, False, NULL)


cdef int conv_backward_data(int real, const conv_geometry* g, const void* dy, const void* w, const void* bias,
                            void* dx) except -1:
    cdef i64 phase[3]
    if g.n * g.c_in * g.in_[0] * g.in_[1] * g.in_[2] == 0:
        return 0
    if suits_winograd(real, g, g.in_):
        return by_tiles(g, dy, w, bias, dx, True)
    for phase[0] in range(min(g.stride[0], g.in_[0])):
        for phase[1] in range(min(g.stride[1], g.in_[1])):
            for phase[2] in range(min(g.stride[2], g.in_[2])):
                run_sweep(real, g, dy, w, bias, dx, True, phase)
    return 0
