"""Convolution as implicit matrix product: a window of taps slides over the source, block by block of output positions.

A block's part of the source is copied with its padding into scratch that fits the cache; there, each tap of the window
sees the values for neighboring outputs next to each other, and a panel of the unfolded matrix (taps by positions) is
copied together just before the register tiles use it. Forward and backward-data are the same sweep with other taps;
with a stride, backward-data is one sweep for each phase of the stride, so that no zeros are multiplied.

Each output is summed in the order of a matrix product (src_c/api/gemm.h), K = channels x taps: the same bits alone and
in a batch. The weight gradient is in conv_weight.pyx.
"""
from cython.parallel cimport prange
from libc.string cimport memcpy, memset

from minitorch_bn.kernels.indexing cimport MTB_SCATTER_ADD, mtb_indexing
from minitorch_bn.kernels.matmul cimport MTB_KC, gemm, mtb_gemm
from minitorch_bn.kernels.norm cimport mtb_norm
from minitorch_bn.kernels.runtime cimport K, MTB_f32, MTB_f64, give, i64, share_tasks, spread, take, team
from minitorch_bn.kernels.window cimport (channel_map, conv_geometry, cut_blocks, cut_pieces, find_block, find_runs,
                                          flatten, gathering, lay_taps, mtb_conv, pad_block, parts, run, spot, up,
                                          window)
from minitorch_bn.kernels.winograd cimport gather_planes, suits_winograd, winograd_sweep

cdef extern from *:
    void prefetch "__builtin_prefetch"(const void* p, int write, int level) noexcept nogil

cdef enum:
    POSITIONS = 512          # output positions of a block: what it reads and writes stays in a second-level cache
    FEW_POSITIONS = 32       # not less, to feed more threads
    W_BYTES = 256 << 10      # of packed weights, one K block of them, that all panels of a block meet
    C_BYTES = 256 << 10      # of results that wait in scratch
    PAD_BYTES = 256 << 10    # of padded source, if it is all channels
    TASK_WORK = 1 << 17      # multiply-adds that are worth a task
    WOVEN = 8                # phases of the last axis that are written together, at most
    FEW_ROWS = 4             # output channels a group: too few to fill tiles; slide takes so many at a time,
    LINE_PIECES = 3          # and so many vectors of their outputs,
    FEW_CHANNELS = 128       # and so few input channels that they are padded together
    FEW_OUTPUTS = 128        # positions in all: not worth packing weights for
    PACK_TILES = 8           # of weights that one task packs, at most,
    PACK_ROWS = 64           # so many rows of them at a time
    SPREAD = 512 << 10        # elements of products that wait to be added

cdef struct sweep:
    window at
    i64 m, k, step, tiles    # output channels a group, in tiles of `step`; rows of the unfolded matrix, in all phases
    i64 phases, woven        # of the stride, backward: each has its own taps; how many are written together
    i64* first_tap           # (phases + 1)
    i64 tile_size            # elements that a packed tile takes, and what packing writes past it
    i64 packs                # tiles that one task packs; 0: w stays as it is
    i64 row_block, row_blocks, group_block, group_blocks, tasks
    i64* source_at           # of each row of the unfolded matrix, its offset in the padded block
    const char* w            # packed tiles
    const char* bias
    char* y                  # (images, groups * m, extent[0], extent[1], extent[2])
    i64 y_extent[3]
    i64 y_step[3]            # also the number of phases, but for strides larger than y
    i64 y_volume
    bint by_lines            # the padded source is not unfolded to panels, but read where each tap sees it
    bint into_y              # the positions of a block lie together in y
    bint at_once             # all channels are padded together, not those of a K block
    bint direct              # 1 x 1: the source is its own padded block
    i64 panel_at, c_at, runs_at, pieces_at, scratch   # bytes


cdef inline i64 phases_of(const sweep* q, int d) noexcept nogil:
    return min(q.y_step[d], q.y_extent[d])


cdef inline i64 line_of(const sweep* q, const spot* s) noexcept nogil:
    """Elements from one row of what waits in scratch to the next: pieces of a row are written in whole vectors."""
    return s.positions + q.at.conv.vl


cdef void put(const sweep* q, const spot* s, i64 group, i64 i0, i64 rows, i64 phase, const char* c) noexcept nogil:
    """Copies what a block computed for some phases, c (phases, rows, line_of(positions)), to its places in y."""
    cdef i64 size = q.at.size, i, n, d, h, width, pitch = rows * line_of(q, s), image_line = s.positions // s.count[0]
    cdef i64 rest = phase // phases_of(q, 2), z = s.start[1] * q.y_step[0] + rest // phases_of(q, 1)
    cdef i64 y = s.start[2] * q.y_step[1] + rest % phases_of(q, 1)
    cdef i64 x = s.start[3] * q.y_step[2] + phase % phases_of(q, 2)
    cdef i64 first = (z * q.y_extent[1] + y) * q.y_extent[2] + x
    cdef char* image
    cdef char* row
    width = min(s.count[3] * q.y_step[2], q.y_extent[2] - x)
    for i in range(i0, i0 + rows):
        for n in range(s.start[0], s.start[0] + s.count[0]):
            image = q.y + (((n * q.at.groups + group) * q.m + i) * q.y_volume + first) * size
            if q.phases == 1:
                q.at.conv.weave(image, 1, c, 0, 1, image_line)
                c += image_line * size
                continue
            for d in range(s.count[1]):
                row = image + d * q.y_step[0] * q.y_extent[1] * q.y_extent[2] * size
                for h in range(s.count[2]):
                    if z + d * q.y_step[0] < q.y_extent[0] and y + h * q.y_step[1] < q.y_extent[1]:
                        q.at.conv.weave(row, q.y_step[2], c, pitch, q.woven, width)
                    row += q.y_step[1] * q.y_extent[2] * size
                    c += s.count[3] * size
        c += (line_of(q, s) - s.positions) * size


cdef void sweep_phase(const sweep* q, const spot* s, const run* runs, i64* source, i64* to, i64 pieces, i64 group,
                      i64 phase, i64 tile0, i64 tile1, char* c, i64 ldc, char* scratch) noexcept nogil:
    """The outputs of one phase in some tiles of one group, for one block, to c (rows, positions)."""
    cdef const mtb_gemm* tiles = q.at.gemm
    cdef i64 size = q.at.size, taps = q.first_tap[phase + 1] - q.first_tap[phase], k = q.at.channels * taps, p = 0
    cdef i64 first = q.at.channels * q.first_tap[phase], kb, c0, t, i, j, m, panel, columns, last
    cdef const i64* at = q.source_at + first
    cdef const char* w = q.w + group * q.tiles * q.tile_size * size
    cdef const char* bias = NULL
    cdef const char* a
    cdef const char* padded = scratch
    cdef char* unfolded = scratch + q.panel_at
    cdef char* to_c
    if q.direct:
        padded = q.at.x + ((s.start[0] * q.at.groups + group) * q.at.channels * q.at.volume + s.start[3]) * size
    if q.by_lines:
        if q.bias != NULL:
            bias = q.bias + group * q.m * size
        i = 0
        while i < pieces:                            # what taps see of a few pieces stays in cache for all tiles
            columns = pieces if q.tiles == 1 else min(pieces - i, <i64> LINE_PIECES)
            for t in range(tile0, tile1):
                m = min(q.step, q.m - t * q.step)
                q.at.conv.slide(c + (t - tile0) * q.step * ldc * size, ldc, source + i, to + i, columns,
                                w + (t * q.tile_size + first * m) * size, m, padded, at, k,
                                NULL if bias == NULL else bias + t * q.step * size)
            i += columns
        return
    while True:                                      # K blocks; just one, and empty, if k = 0
        kb = min(k - p, <i64> MTB_KC)
        if kb > 0 and not q.at_once:
            c0 = p // taps
            pad_block(&q.at, s, group * q.at.channels + c0, parts(p + kb, taps) - c0, scratch)
        # Whole vectors are read, but not behind the source.
        last = q.direct and p + kb == k and group == q.at.groups - 1 and s.start[0] + s.count[0] == q.at.images
        for panel in range(parts(s.positions, tiles.nr)):
            j = panel * tiles.nr
            columns = min(tiles.nr, s.positions - j)
            if kb > 0:
                pieces = cut_pieces(&q.at, runs, j, j + columns, source, to)
                q.at.conv.unfold(unfolded, tiles.nr, padded, at + p, kb - last, source, to, pieces)
                if last:
                    to[pieces] = columns
                    for i in range(pieces):
                        memcpy(unfolded + ((kb - 1) * tiles.nr + to[i]) * size,
                               padded + (at[k - 1] + source[i]) * size, (to[i + 1] - to[i]) * size)
                for i in range(p, p + kb if q.direct else p):          # for the next panel: each lies in another page
                    prefetch(padded + (at[i] + source[0] + tiles.nr) * size, 0, 2)
            if p + kb == k and q.bias != NULL:
                bias = q.bias + (group * q.m + tile0 * q.step) * size
            to_c = c + j * size
            for t in range(tile0, tile1):
                m = min(q.step, q.m - t * q.step)
                if q.into_y:
                    for i in range(m):
                        prefetch(to_c + i * ldc * size, 1, 3)
                        prefetch(to_c + (i * ldc + columns - 1) * size, 1, 3)
                a = q.w + ((group * q.m + t * q.step) * k + p) * size
                if q.packs > 0:
                    a = w + (t * q.tile_size + (first + p) * m) * size
                tiles.strip(m, columns, kb, a, 1 if q.packs > 0 else k, m if q.packs > 0 else 1, unfolded, tiles.nr,
                            to_c, ldc, p > 0, NULL, bias)
                to_c += m * ldc * size
                if bias != NULL:
                    bias += m * size
        p += kb
        if p == k:
            break


cdef void sweep_task(const void* plan, i64 index, char* scratch) noexcept nogil:
    cdef const sweep* q = <const sweep*> plan
    cdef spot s
    cdef run* runs = <run*> (scratch + q.runs_at)
    cdef i64* source = <i64*> (scratch + q.pieces_at)
    cdef i64* to = source + max(q.at.positions, q.at.gemm.nr) + 1
    cdef i64 group_block, row_block, group, pieces = 0, phase, i0, tile0, tile1, rows
    cdef char* c
    row_block = index % q.row_blocks
    index //= q.row_blocks
    group_block = index % q.group_blocks
    find_block(&q.at, index // q.group_blocks, &s)
    find_runs(&q.at, &s, runs)
    if q.by_lines:
        pieces = cut_pieces(&q.at, runs, 0, s.positions, source, to)
    tile0, tile1 = row_block * q.row_block, min(q.tiles, (row_block + 1) * q.row_block)
    i0 = tile0 * q.step
    rows = min(q.m, tile1 * q.step) - i0
    for group in range(group_block * q.group_block, min(q.at.groups, (group_block + 1) * q.group_block)):
        if q.at_once and not q.direct:
            pad_block(&q.at, &s, group * q.at.channels, q.at.channels, scratch)
        for phase in range(q.phases):
            if q.into_y:
                c = q.y + (((s.start[0] * q.at.groups + group) * q.m + i0) * q.y_volume
                           + (s.start[1] * q.y_extent[1] + s.start[2]) * q.y_extent[2] + s.start[3]) * q.at.size
                sweep_phase(q, &s, runs, source, to, pieces, group, phase, tile0, tile1, c, q.y_volume, scratch)
                continue
            c = scratch + q.c_at
            sweep_phase(q, &s, runs, source, to, pieces, group, phase, tile0, tile1,
                        c + phase % q.woven * rows * line_of(q, &s) * q.at.size, line_of(q, &s), scratch)
            if (phase + 1) % q.woven == 0:
                put(q, &s, group, i0, rows, phase + 1 - q.woven, c)


cdef void plan_sweep(sweep* q, int threads) noexcept nogil:
    """Cuts the work into tasks. Free choices, no bit depends on them."""
    cdef i64 most = 4 * POSITIONS if q.by_lines else POSITIONS, blocks, work, r, rows, wide = 1, size = q.at.size
    cdef i64 image = q.at.grid[0] * q.at.grid[1] * q.at.grid[2], best = 0, cost, row_block
    cdef i64 most_rows = parts(q.tiles, 1 + q.tiles * q.step * min(q.k, <i64> MTB_KC) * size // W_BYTES)
    cdef i64 chosen = FEW_POSITIONS
    cdef bint whole = q.phases == 1 and not q.by_lines
    q.row_block = most_rows
    if q.at_once:
        wide = q.at.channels * min(q.at.step[0] * q.at.step[1] * q.at.step[2], q.at.taps)
    if whole and image >= 4 * FEW_POSITIONS:
        most = min(most, image)                     # whole images: results go to their place at once
    while most >= FEW_POSITIONS:
        cut_blocks(&q.at, most)
        blocks = q.at.blocks[0] * q.at.blocks[1] * q.at.blocks[2] * q.at.blocks[3] * q.at.groups
        # Each block reads all weights, each part of the rows unfolds the source; and threads wait for the last task.
        for r in range(1, 1 + min(q.tiles, <i64> 2 * threads)):
            row_block = min(most_rows, parts(q.tiles, r))
            rows = min(q.m, row_block * q.step)
            if ((whole and q.at.block[0] == 1 or rows * q.woven * most * size <= C_BYTES)
                    and (not q.at_once or q.direct or wide * most * size <= PAD_BYTES)):
                cost = (parts(blocks * parts(q.tiles, row_block), threads)
                        * (parts(q.at.positions, q.at.gemm.nr) * (rows + 4) + rows))
                if best == 0 or cost < best - best // 32:
                    best, chosen, q.row_block = cost, most, row_block
        most //= 2
    cut_blocks(&q.at, chosen)
    q.into_y = whole and q.at.block[0] == 1
    blocks = q.at.blocks[0] * q.at.blocks[1] * q.at.blocks[2] * q.at.blocks[3]
    work = max(<i64> 1, q.at.positions * q.m * max(q.k, <i64> 1))
    q.group_block = min(q.at.groups, 1 + (4 * TASK_WORK if q.by_lines else TASK_WORK) // work)
    if threads > 1:
        q.group_block = max(<i64> 1, min(q.group_block, q.at.groups * blocks // (4 * threads)))
    q.group_blocks = parts(q.at.groups, q.group_block)
    q.row_blocks = parts(q.tiles, q.row_block)
    q.tasks = blocks * q.group_blocks * q.row_blocks


include "conv_taps.pxi"


cdef int run_sweep(int real, const conv_geometry* shape, const void* x, const void* w, const void* bias, void* y,
                   bint backward) except -1:
    """The whole convolution, or the gradient of its input."""
    cdef conv_geometry flat = shape[0]
    cdef const conv_geometry* g = &flat
    cdef sweep q
    cdef i64 d, t, i, table = 0, most = 0, total, at, packed_size, phase, taps, first
    cdef i64 counts[3]
    cdef i64* offsets[3]
    cdef i64* index[3]
    cdef i64 kernel_volume = g.kernel[0] * g.kernel[1] * g.kernel[2]
    cdef int threads
    cdef i64* tables
    cdef char* memory
    cdef char* scratch
    q.at.gemm, q.at.conv, q.at.size = <const mtb_gemm*> K.gemm[real], <const mtb_conv*> K.conv[real], 8 if real else 4
    q.at.images, q.at.groups = g.n, g.groups
    q.at.channels, q.m = g.c_in // g.groups, g.c_out // g.groups
    if backward:
        q.at.channels, q.m = q.m, q.at.channels
    q.y_volume, q.at.volume, q.phases, q.direct, q.at.taps = 1, 1, 1, flatten(&flat), kernel_volume
    for d in range(3):
        q.at.extent[d], q.y_extent[d] = g.in_[d], g.out[d]
        q.at.grid[d], q.at.step[d], q.y_step[d] = g.out[d], g.stride[d], 1
        if backward:
            q.at.extent[d], q.y_extent[d] = g.out[d], g.in_[d]
            q.at.step[d], q.y_step[d] = 1, g.stride[d]
            q.at.grid[d] = parts(g.in_[d], g.stride[d])
        q.phases *= phases_of(&q, d)
        q.y_volume *= q.y_extent[d]
        q.at.volume *= q.at.extent[d]
        table += 4 * g.kernel[d]
    q.woven = phases_of(&q, 2)
    if q.woven > WOVEN:
        q.woven = 1
    q.k = q.at.channels * kernel_volume
    q.by_lines = suits_lines(&q, g.kernel[2])
    q.tiles = parts(q.m, <i64> FEW_ROWS if q.by_lines else q.at.gemm.mr)
    q.step = parts(q.m, q.tiles)
    q.direct = q.direct and not q.by_lines
    q.at_once = q.by_lines or q.direct or q.phases > 1
    table += 4 * kernel_volume + q.k + q.phases + 1
    tables = <i64*> take(table * sizeof(i64))
    try:
        at = 0
        for d in range(3):
            q.at.origin[d] = tables + at
            offsets[d], index[d] = q.at.origin[d] + 2 * g.kernel[d], q.at.origin[d] + 3 * g.kernel[d]
            at += 4 * g.kernel[d]
            counts[d] = g.kernel[d]
            for t in range(g.kernel[d]):
                index[d][t] = t * (g.kernel[1] * g.kernel[2] if d == 0 else g.kernel[2] if d == 1 else 1)
                offsets[d][t] = t * g.dilation[d] - g.pad_lo[d]
                if backward:                         # rounded up: the output of that phase with index 0
                    i = offsets[d][t] % g.stride[d]
                    offsets[d][t] = (i + (g.stride[d] if i < 0 else 0) - offsets[d][t]) // g.stride[d]
        q.at.tap_at = tables + at
        q.at.kernel_at, q.source_at = q.at.tap_at + kernel_volume, q.at.tap_at + 2 * kernel_volume
        q.first_tap = q.source_at + q.k
        total = g.n * g.groups * q.m * q.at.grid[0] * q.at.grid[1] * q.at.grid[2]
        # cycles: multiply-adds; and where there are few of them for an output, moving it and its source
        threads = team(<i64> min(<double> total * (q.k + 24) / (8 if q.m <= FEW_ROWS else 16), <double> (1 << 60)))
        plan_sweep(&q, threads)
        lay_taps(&q.at, counts, offsets, index)
        if q.direct:
            q.at.c_pitch = q.at.volume
        if backward:
            sort_taps(&q, g, q.first_tap + q.phases + 1)
        else:
            q.first_tap[0], q.first_tap[1] = 0, kernel_volume
        if not q.by_lines and not q.direct and q.at.channels * q.at.c_pitch * q.at.block[0] * q.at.size > 2 * PAD_BYTES:
            q.at_once = False
        most = q.at.channels if q.at_once else 0
        for phase in range(q.phases):
            first = q.at.channels * q.first_tap[phase]
            taps = q.first_tap[phase + 1] - q.first_tap[phase]
            for i in range(q.at.channels * taps):
                t = 0 if q.at_once else (i - i % MTB_KC) // taps      # the first channel of its K block
                q.source_at[first + i] = (i // taps - t) * q.at.c_pitch + q.at.tap_at[q.first_tap[phase] + i % taps]
                most = max(most, i // taps - t + 1)
        q.at.n_pitch = q.at.groups * q.at.channels * q.at.volume if q.direct else most * q.at.c_pitch
        q.at.x, q.at.end = <const char*> x, <const char*> x + g.n * g.groups * q.at.channels * q.at.volume * q.at.size
        q.y, q.bias = <char*> y, <const char*> bias
        q.panel_at = 0 if q.direct else up((q.at.block[0] * q.at.n_pitch + q.at.conv.vl) * q.at.size, 64)
        q.c_at = q.panel_at + up((MTB_KC * q.at.gemm.nr + q.at.conv.vl) * q.at.size, 64)
        q.runs_at = q.c_at + (0 if q.into_y else up(q.woven * min(q.m, q.row_block * q.step)
                                                    * (q.at.positions + q.at.conv.vl) * q.at.size, 64))
        q.pieces_at = q.runs_at + up(q.at.block[0] * q.at.block[1] * q.at.block[2] * sizeof(run), 64)
        q.scratch = up(q.pieces_at + 2 * (max(q.at.positions, q.at.gemm.nr) + 1) * sizeof(i64), 64)
        q.tile_size = q.step * q.k + q.at.gemm.vl
        q.packs = backward or q.by_lines or total > FEW_OUTPUTS * g.groups * q.m
        total = 2 * g.groups * q.m * q.k             # cycles that packing takes
        packed_size = up(g.groups * q.tiles * q.tile_size * q.at.size, 64) if q.packs > 0 else 0
        memory = <char*> take(packed_size + threads * q.scratch)
        scratch = memory + packed_size
        q.w = memory if q.packs > 0 else <const char*> w
        if q.packs > 0 and team(total) == 1:
            q.packs = g.groups * q.tiles
            pack_tiles(&q, 0, <const char*> w, memory, backward, kernel_volume)
        elif q.packs > 0:
            q.packs = min(<i64> PACK_TILES, parts(g.groups * q.tiles, threads))
            for i in prange(parts(g.groups * q.tiles, q.packs), num_threads=threads, schedule="static", nogil=True):
                spread()
                pack_tiles(&q, i, <const char*> w, memory, backward, kernel_volume)
        share_tasks(sweep_task, &q, q.tasks, threads, scratch, q.scratch)
        give(memory, packed_size + threads * q.scratch)
    finally:
        give(tables, table * sizeof(i64))
    return 0


cdef void map_image(const channel_map* map, i64 channels, i64 volume, const float* x, float* y) noexcept nogil:
    (<const mtb_norm*> K.norm[0]).apply_runs(channels, volume, x, NULL, volume, map.params, map.apart, 0, channels,
                                             map.relu, y, False)


cdef int by_tiles(const conv_geometry* g, const void* x, const channel_map* map, const void* w, const void* bias,
                  void* y, bint backward, const gathering* wanted) except -1:
    """winograd_sweep; then again, plainly, the items with infinities or NaNs: each is then only where it should be."""
    cdef char* bad = <char*> take(g.n)
    cdef conv_geometry one = g[0]
    cdef i64 n, out = g.c_out * g.out[1] * g.out[2], in_ = g.c_in * g.in_[1] * g.in_[2]
    cdef const float* source
    cdef float* image = NULL
    cdef i64 channels = g.c_in if backward else g.c_out
    cdef i64 plane = g.in_[1] * g.in_[2] if backward else g.out[1] * g.out[2]
    cdef bint gathered
    one.n = 1
    try:
        memset(bad, 0, g.n)
        gathered = winograd_sweep(g, x, map, w, bias, y, backward, bad, wanted)
        for n in range(g.n):
            if bad[n]:
                source = <const float*> x + n * (out if backward else in_)
                if map != NULL:
                    if image == NULL:
                        image = <float*> take(in_ * 4)
                    map_image(map, g.c_in, g.in_[1] * g.in_[2], source, image)
                    source = image
                run_sweep(0, &one, source, w, bias, <float*> y + n * (in_ if backward else out), backward)
                if gathered:
                    gather_planes(wanted, <float*> y + n * channels * plane, n * channels, 0, channels, plane)
    finally:
        if image != NULL:
            give(image, in_ * 4)
        give(bad, g.n)
    return gathered


cdef bint conv_maps(int real, const conv_geometry* g) noexcept:
    return suits_winograd(real, g, g.out)


cdef bint is_product(const conv_geometry* g) noexcept nogil:
    """Whether the kernel covers the input, to one output: a product of matrices, in the same order of additions."""
    cdef int d
    for d in range(3):
        if g.out[d] != 1 or g.pad_lo[d] != 0 or g.kernel[d] != g.in_[d]:
            return False
    return g.groups == 1 and g.c_in > 0 and g.c_out > 0


cdef int product_backward(int real, const conv_geometry* g, i64 k, const void* dy, const void* w, const void* bias,
                          void* dx) except -1:
    cdef i64 size = 8 if real else 4, i
    cdef char* row = NULL
    if bias != NULL:                                 # of a channel, for each of its elements
        row = <char*> take(k * size)
        for i in range(k):
            memcpy(row + i * size, <const char*> bias + i // (k // g.c_in) * size, size)
    try:
        gemm(real, g.n, k, g.c_out, dy, g.c_out, 1, w, k, 1, dx, k, False, row)
    finally:
        if row != NULL:
            give(row, k * size)
    return 0


include "conv_spread.pxi"


cdef int conv_forward(int real, const conv_geometry* g, const void* x, const channel_map* map, const void* w,
                      const void* bias, void* y, const gathering* wanted) except -1:
    cdef i64 k = g.c_in * g.in_[0] * g.in_[1] * g.in_[2]
    if g.n * g.c_out * g.out[0] * g.out[1] * g.out[2] == 0:
        return 0
    if is_product(g):
        return gemm(real, g.n, g.c_out, k, x, k, 1, w, 1, k, y, g.c_out, False, bias)
    if suits_winograd(real, g, g.out):
        return by_tiles(g, x, map, w, bias, y, False, wanted)
    return run_sweep(real, g, x, w, bias, y, False)


cdef int conv_backward_data(int real, const conv_geometry* g, const void* dy, const void* w, const void* bias,
                            void* dx, const gathering* wanted) except -1:
    cdef i64 k = g.c_in * g.in_[0] * g.in_[1] * g.in_[2]
    if g.n * k == 0:
        return 0
    if is_product(g):
        return product_backward(real, g, k, dy, w, bias, dx)
    if suits_spreading(real, g):
        return spread_gradient(real, g, dy, w, bias, dx)
    if suits_winograd(real, g, g.in_):
        return by_tiles(g, dy, NULL, w, bias, dx, True, wanted)
    return run_sweep(real, g, dy, w, bias, dx, True)
