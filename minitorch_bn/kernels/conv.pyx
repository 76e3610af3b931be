"""Convolution as implicit matrix product: a window of taps slides over the source, block by block of output positions.

A block's part of the source is copied with its padding into scratch that fits the cache; there, each tap of the window sees
the values for neighboring outputs next to each other, and a panel of the unfolded matrix (taps by positions) is copied
together just before the register tiles use it. Forward and backward-data are the same sweep with other taps; with a
stride, backward-data is one sweep for each phase of the stride, so that no zeros are multiplied.

Each output is summed in the order of a matrix product (src_c/api/gemm.h), K = channels x taps: the same bits alone and in
a batch. A weight gradient sums blocks of at most MTB_KC positions in order, in chunks that only the shapes decide.
"""
from cython.parallel cimport prange, threadid
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from minitorch_bn.kernels.matmul cimport MTB_KC, mtb_gemm
from minitorch_bn.kernels.runtime cimport K, give, i64, take, team

cdef extern from "mtb.h" nogil:
    ctypedef struct mtb_conv_axis:
        i64 size, step, begin, length, phases
        const i64* origin
    ctypedef struct mtb_conv:
        i64 vl, lanes
        void (*pad)(void* dst, const void* src, const void* end, const mtb_conv_axis* rows,
                    const mtb_conv_axis* columns) noexcept nogil
        void (*unfold)(void* dst, i64 width, const void* src, const i64* at, i64 k, const i64* source, const i64* to,
                       i64 pieces) noexcept nogil
        void (*slide)(void* dst, const i64* source, const i64* to, i64 pieces, const void* w, const void* src,
                      const i64* at, i64 k, const void* bias) noexcept nogil
        void (*dots)(void* sums, const void* a, i64 width, const void* b, i64 rows, i64 n, int add) noexcept nogil
        void (*fold)(void* dst, const void* sums, i64 rows, i64 parts, i64 part_size) noexcept nogil
        void (*merge)(void* dst, i64 ldd, const void* src, i64 lds, i64 rows, i64 columns, i64 parts,
                      i64 part_size) noexcept nogil
        void (*place)(void* dst, i64 step, const void* src, i64 n) noexcept nogil

cdef enum:
    POSITIONS = 512          # output positions of a block: what it reads and writes stays in a second-level cache
    FEW_POSITIONS = 64       # not less, to feed more threads
    C_BYTES = 256 << 10      # of results that wait in scratch
    TASK_WORK = 1 << 17      # multiply-adds that are worth a task
    CHUNKS = 8               # weight gradient: partial sums over the batch, at most; constants of the algorithm
    CHUNK_BLOCKS = 16        # blocks in one of them, at least
    CHUNK_ELEMENTS = 1 << 22 # all partial sums together, at most
    FEW_OUTPUTS = 2          # weight gradient: with so few output channels a group, sum in lanes, not in tiles


cdef struct window:          # the taps, the source they slide over, and the grid of positions, cut into blocks
    const mtb_gemm* gemm
    const mtb_conv* conv
    i64 size                 # bytes of an element
    const char* x            # (images, groups * channels, extent[0], extent[1], extent[2])
    const char* end
    i64 images, groups, channels, volume
    i64 extent[3]
    i64 grid[3]
    i64 block[4]             # positions of a block, along images and the three axes
    i64 blocks[4]
    i64 positions
    i64 step[3]
    i64 phases[3]
    i64 length[3]            # the padded block of a channel: (phases * length) along each axis
    i64* origin[3]
    i64 taps, plane, c_pitch, n_pitch
    i64* tap_at              # of each tap, its offset in the padded block of a channel
    i64* kernel_at           # of each tap, its index in the kernel's volume

cdef struct spot:            # one block
    i64 start[4]
    i64 count[4]
    i64 positions

cdef struct run:             # consecutive positions that are also consecutive in the padded source
    i64 source, to, count


cdef inline i64 up(i64 x, i64 multiple) noexcept nogil:
    return (x + multiple - 1) // multiple * multiple

cdef inline i64 parts(i64 x, i64 size) noexcept nogil:
    return (x + size - 1) // size


# -- the window ---------------------------------------------------------------------------------------------------------

cdef void cut_blocks(window* q, i64 most) noexcept nogil:
    """Blocks of about `most` positions: of the four dimensions at most one is cut, the later ones are whole."""
    cdef i64 room = most, d, whole
    for d in range(3, -1, -1):
        whole = q.grid[d - 1] if d > 0 else q.images
        q.block[d] = max(<i64> 1, min(whole, room))
        q.blocks[d] = parts(whole, q.block[d])
        q.block[d] = parts(whole, q.blocks[d])      # evenly
        if d == 3 and q.blocks[d] > 1:
            q.block[d] = up(q.block[d], 32)     # whole vectors, of any level
            q.blocks[d] = parts(whole, q.block[d])
        room = room // q.block[d] if q.block[d] == whole else 1
    q.positions = q.block[0] * q.block[1] * q.block[2] * q.block[3]


cdef void lay_taps(window* q, const i64* counts, i64** offsets, i64** index) noexcept nogil:
    """Fills origin, phases, length, tap_at and kernel_at, for taps that read position * step + offsets[axis][tap]."""
    cdef i64 axis, t, s, phase, shift, low, high, t0, t1, t2, at = 0
    cdef i64* place[3]
    for axis in range(3):
        place[axis] = q.origin[axis] + counts[axis]
        low, high, q.phases[axis] = 0, 0, 0
        for t in range(counts[axis]):
            phase = offsets[axis][t] % q.step[axis]          # C's remainder has the sign of the offset
            if phase < 0:
                phase += q.step[axis]
            shift = (offsets[axis][t] - phase) // q.step[axis]
            low = shift if t == 0 else min(low, shift)
            high = shift if t == 0 else max(high, shift)
        q.length[axis] = q.block[axis + 1] + high - low
        for t in range(counts[axis]):
            phase = offsets[axis][t] % q.step[axis]
            if phase < 0:
                phase += q.step[axis]
            shift = (offsets[axis][t] - phase) // q.step[axis]
            s = 0
            while s < q.phases[axis] and q.origin[axis][s] != low * q.step[axis] + phase:
                s += 1
            if s == q.phases[axis]:
                q.origin[axis][s] = low * q.step[axis] + phase
                q.phases[axis] += 1
            place[axis][t] = s * q.length[axis] + shift - low
    q.plane = q.phases[1] * q.length[1] * q.phases[2] * q.length[2]
    q.c_pitch = q.phases[0] * q.length[0] * q.plane
    for t0 in range(counts[0]):
        for t1 in range(counts[1]):
            for t2 in range(counts[2]):
                q.tap_at[at] = place[0][t0] * q.plane + place[1][t1] * q.phases[2] * q.length[2] + place[2][t2]
                q.kernel_at[at] = index[0][t0] + index[1][t1] + index[2][t2]
                at += 1


cdef void find_block(const window* q, i64 index, spot* s) noexcept nogil:
    cdef i64 d, at
    s.positions = 1
    for d in range(3, -1, -1):
        at = index % q.blocks[d]
        index //= q.blocks[d]
        s.start[d] = at * q.block[d]
        s.count[d] = min(q.block[d], (q.grid[d - 1] if d > 0 else q.images) - s.start[d])
        s.positions *= s.count[d]


cdef void pad_block(const window* q, const spot* s, i64 channel, i64 channels, char* dst) noexcept nogil:
    """What the taps of that block see of those channels, to dst (image, channel, padded block)."""
    cdef mtb_conv_axis axis[3]
    cdef const char* src
    cdef char* at
    cdef i64 d, n, c, i, phase, z
    for d in range(3):
        axis[d].size, axis[d].step, axis[d].begin = q.extent[d], q.step[d], s.start[d + 1] * q.step[d]
        axis[d].length, axis[d].phases, axis[d].origin = q.length[d], q.phases[d], q.origin[d]
    for n in range(s.count[0]):
        src = q.x + ((s.start[0] + n) * q.groups * q.channels + channel) * q.volume * q.size
        at = dst + n * q.n_pitch * q.size
        for c in range(channels):
            for phase in range(q.phases[0]):
                for i in range(q.length[0]):
                    z = axis[0].begin + axis[0].origin[phase] + i * axis[0].step
                    if 0 <= z < axis[0].size:
                        q.conv.pad(at, src + z * axis[1].size * axis[2].size * q.size, q.end, &axis[1], &axis[2])
                    else:
                        q.conv.pad(at, NULL, NULL, &axis[1], &axis[2])
                    at += q.plane * q.size
            src += q.volume * q.size


cdef i64 find_runs(const window* q, const spot* s, run* runs) noexcept nogil:
    """The runs of a block, in order; returns how many."""
    cdef i64 n, d, h, at, count = 0, to = 0
    for n in range(s.count[0]):
        for d in range(s.count[1]):
            for h in range(s.count[2]):
                at = n * q.n_pitch + d * q.plane + h * q.phases[2] * q.length[2]
                if count > 0 and runs[count - 1].source + runs[count - 1].count == at:
                    runs[count - 1].count += s.count[3]
                else:
                    runs[count].source, runs[count].to, runs[count].count = at, to, s.count[3]
                    count += 1
                to += s.count[3]
    return count


cdef i64 cut_pieces(const window* q, const run* runs, i64 j0, i64 j1, i64* source, i64* to) noexcept nogil:
    """Positions j0 to j1 as pieces of at most one vector, for unfold; returns how many. runs[0] holds position j0."""
    cdef i64 i = 0, count = 0, j = j0, n
    while j < j1:
        while runs[i].to + runs[i].count <= j:
            i += 1
        n = min(min(q.conv.vl, runs[i].to + runs[i].count - j), j1 - j)
        source[count], to[count] = runs[i].source + j - runs[i].to, j - j0
        count += 1
        j += n
    return count


# -- forward and backward-data: y[m, position] = sum of w[m, (channel, tap)] * x[channel, position * step + offset of tap] -----

cdef struct sweep:
    window at
    i64 m, k, step, tiles    # output channels a group, in tiles of `step`
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


cdef void sweep_group(const sweep* q, const spot* s, const run* runs, i64 group, i64 tile0, i64 tile1,
                      char* scratch) noexcept nogil:
    """Some output channels of one group, for one block: tiles of q.step rows."""
    cdef const mtb_gemm* gemm = q.at.gemm
    cdef i64 size = q.at.size, p = 0, kb, c0, t, i, j, m, panel, columns, pieces, i0 = tile0 * q.step
    cdef i64 rows = min(q.m, tile1 * q.step) - i0, ldc = q.y_volume if q.into_y else s.positions
    cdef i64* source = <i64*> (scratch + q.pieces_at)
    cdef i64* to = source + MTB_KC
    cdef char* c = scratch + q.c_at
    cdef const char* w = q.w + group * q.m * q.k * size
    cdef const char* bias = NULL
    if q.into_y:
        c = q.y + (((s.start[0] * q.at.groups + group) * q.m + i0) * q.y_volume
                   + (s.start[1] * q.y_extent[1] + s.start[2]) * q.y_extent[2] + s.start[3]) * size
    while True:                                      # K blocks; just one, and empty, if k = 0
        kb = min(q.k - p, <i64> MTB_KC)
        if kb > 0:
            c0 = p // q.at.taps
            pad_block(&q.at, s, group * q.at.channels + c0, parts(p + kb, q.at.taps) - c0, scratch)
        if q.by_lines:
            if q.bias != NULL:
                bias = q.bias + group * size
            for panel in range(parts(s.positions, MTB_KC)):
                j = panel * MTB_KC
                pieces = cut_pieces(&q.at, runs, j, min(s.positions, j + MTB_KC), source, to)
                q.at.conv.slide(c + j * size, source, to, pieces, w, scratch, q.source_at, kb, bias)
            break
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
                gemm.strip(m, columns, kb, w + (p * q.m + i * kb) * size, 1, m, scratch + q.panel_at, gemm.nr,
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
    cdef i64 group_block, row_block, group
    row_block = index % q.row_blocks
    index //= q.row_blocks
    group_block = index % q.group_blocks
    find_block(&q.at, index // q.group_blocks, &s)
    find_runs(&q.at, &s, runs)
    for group in range(group_block * q.group_block, min(q.at.groups, (group_block + 1) * q.group_block)):
        sweep_group(q, &s, runs, group, row_block * q.row_block, min(q.tiles, (row_block + 1) * q.row_block),
                    scratch)


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


cdef void pack_weights(const sweep* q, const char* w, char* rows, char* packed, bint backward, i64 kernel_volume) noexcept nogil:
    """w as the tiles read it. Backward, the channels change sides and only some taps count: gathered to rows first."""
    cdef i64 group, i, n, c, t, p, kb, size = q.at.size, channels = q.at.channels, taps = q.at.taps, at = 0, source
    if backward:
        for group in range(q.at.groups):
            for i in range(q.m):
                for c in range(channels):
                    source = ((group * channels + c) * q.m + i) * kernel_volume
                    for t in range(taps):
                        if size == 4:
                            (<uint32_t*> rows)[at] = (<const uint32_t*> w)[source + q.at.kernel_at[t]]
                        else:
                            (<uint64_t*> rows)[at] = (<const uint64_t*> w)[source + q.at.kernel_at[t]]
                        at += 1
        w = rows
    if q.by_lines:
        return
    for group in range(q.at.groups):
        p = 0
        while p < q.k:
            kb = min(q.k - p, <i64> MTB_KC)
            for t in range(q.tiles):
                i = group * q.m + t * q.step
                n = min(q.step, q.m - t * q.step)
                q.at.gemm.pack(packed + (group * q.m * q.k + p * q.m + t * q.step * kb) * size, n,
                               w + (i * q.k + p) * size, q.k, n, 1, kb)
            p += kb


cdef int run_sweep(int real, const conv_geometry* g, const void* x, const void* w, const void* bias, void* y,
                   bint backward, const i64* phase) except -1:
    """The whole convolution; or, backward, those of its dx whose index is `phase` modulo the stride."""
    cdef sweep q
    cdef i64 d, t, i, table = 0, most = 0, total, at
    cdef i64 counts[3]
    cdef i64* offsets[3]
    cdef i64* index[3]
    cdef i64 kernel_volume = g.kernel[0] * g.kernel[1] * g.kernel[2]
    cdef int threads
    cdef i64* tables
    cdef char* memory
    cdef char* packed
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
            q.at.origin[d], offsets[d], index[d] = tables + at, tables + at + 2 * g.kernel[d], tables + at + 3 * g.kernel[d]
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
        q.at.tap_at, q.at.kernel_at, q.source_at = tables + at, tables + at + kernel_volume, tables + at + 2 * kernel_volume
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
        q.scratch = q.pieces_at + 2 * MTB_KC * sizeof(i64)
        total = up((g.groups * q.m * q.k + q.at.conv.vl) * q.at.size, 64)       # bytes of the weights
        memory = <char*> take(2 * total + threads * q.scratch)
        packed = memory + total
        q.w = <const char*> w if q.by_lines and not backward else memory if q.by_lines else packed
        pack_weights(&q, <const char*> w, memory, packed, backward, kernel_volume)
        if threads > 1:
            for i in prange(q.tasks, num_threads=threads, schedule="dynamic", chunksize=1 + q.tasks // (16 * threads),
                            nogil=True):
                sweep_task(&q, i, packed + total + threadid() * q.scratch)
        else:
            with nogil:
                for i in range(q.tasks):
                    sweep_task(&q, i, packed + total)
        give(memory, 2 * total + threads * q.scratch)
    finally:
        give(tables, table * sizeof(i64))
    return 0


cdef int conv_forward(int real, const conv_geometry* g, const void* x, const void* w, const void* bias,
                      void* y) except -1:
    if g.n * g.c_out * g.out[0] * g.out[1] * g.out[2] == 0:
        return 0
    return run_sweep(real, g, x, w, bias, y, False, NULL)


cdef int conv_backward_data(int real, const conv_geometry* g, const void* dy, const void* w, const void* bias,
                            void* dx) except -1:
    cdef i64 phase[3]
    if g.n * g.c_in * g.in_[0] * g.in_[1] * g.in_[2] == 0:
        return 0
    for phase[0] in range(min(g.stride[0], g.in_[0])):
        for phase[1] in range(min(g.stride[1], g.in_[1])):
            for phase[2] in range(min(g.stride[2], g.in_[2])):
                run_sweep(real, g, dy, w, bias, dx, True, phase)
    return 0


# -- the weight gradient: dw[m, (channel, tap)] = sum over positions of dy[m, position] * x[channel, position * step + tap] ----

cdef struct correlation:
    window at
    const char* dy
    char* sums               # partial sums, by chunk: (chunks, groups, k, columns); in lanes: (chunks, groups, m, k, lanes)
    i64 m, k, columns, chunks, chunk_blocks, all_blocks, range_channels, ranges, chunk_size, group_size
    i64 group_block, group_blocks
    i64* source_at           # of each row of the unfolded matrix, its offset in the padded block of its range of channels
    bint in_lanes
    i64 panel_at, dy_at, runs_at, pieces_at, scratch


cdef void gather_dy(const correlation* q, const spot* s, i64 group, char* dst) noexcept nogil:
    """dy of a block: to panels (position, nr channels); in lanes, to rows (channel, MTB_KC positions)."""
    cdef i64 size = q.at.size, volume = q.at.grid[0] * q.at.grid[1] * q.at.grid[2], n, i, columns
    cdef i64 line = s.positions // s.count[0], nr = min(q.at.gemm.nr, q.columns)
    cdef const char* src
    for n in range(s.count[0]):
        src = q.dy + ((s.start[0] + n) * q.at.groups + group) * q.m * volume * size
        src += ((s.start[1] * q.at.grid[1] + s.start[2]) * q.at.grid[2] + s.start[3]) * size
        if q.in_lanes:
            for i in range(q.m):
                memcpy(dst + (i * MTB_KC + n * line) * size, src + i * volume * size, line * size)
            continue
        i = 0
        while i < q.m:
            columns = min(nr, q.m - i)
            q.at.gemm.pack(dst + (i * MTB_KC + n * line * nr) * size, nr, src + i * volume * size, volume, columns, 1, line)
            i += columns


cdef void correlation_task(const correlation* q, i64 index, char* scratch) noexcept nogil:
    """The part of one chunk of blocks in some groups, in one range of their input channels."""
    cdef const mtb_gemm* gemm = q.at.gemm
    cdef const mtb_conv* conv = q.at.conv
    cdef spot s
    cdef i64 size = q.at.size, c0, channels, rows, chunk, block, first, r, step, i, pieces, nr = min(gemm.nr, q.columns)
    cdef i64 group, group0
    cdef run* runs = <run*> (scratch + q.runs_at)
    cdef i64* source = <i64*> (scratch + q.pieces_at)
    cdef i64* to = source + MTB_KC
    cdef char* unfolded = scratch + q.panel_at
    cdef char* dy = scratch + q.dy_at
    cdef char* sums
    c0 = index % q.ranges * q.range_channels
    group0 = index // q.ranges % q.group_blocks * q.group_block
    chunk = index // q.ranges // q.group_blocks
    channels = min(q.range_channels, q.at.channels - c0)
    rows = channels * q.at.taps
    first = chunk * q.chunk_blocks
    for block in range(first, min(first + q.chunk_blocks, q.all_blocks)):
        find_block(&q.at, block, &s)
        find_runs(&q.at, &s, runs)
        pieces = cut_pieces(&q.at, runs, 0, s.positions, source, to)
        for group in range(group0, min(q.at.groups, group0 + q.group_block)):
            sums = q.sums + (chunk * q.chunk_size + group * q.group_size) * size
            pad_block(&q.at, &s, group * q.at.channels + c0, channels, scratch)
            gather_dy(q, &s, group, dy)
            r = 0
            while r < rows:
                step = min(gemm.mr, rows - r)
                conv.unfold(unfolded, MTB_KC, scratch, q.source_at + r, step, source, to, pieces)
                i = 0
                while i < q.m:
                    if q.in_lanes:
                        conv.dots(sums + (i * q.k + c0 * q.at.taps + r) * conv.lanes * size, unfolded, MTB_KC,
                                  dy + i * MTB_KC * size, step, s.positions, block > first)
                        i += 1
                    else:
                        gemm.strip(step, min(nr, q.columns - i), s.positions, unfolded, MTB_KC, 1, dy + i * MTB_KC * size,
                                   nr, sums + ((c0 * q.at.taps + r) * q.columns + i) * size, q.columns, block > first,
                                   NULL, NULL)
                        i += nr
                r += step


cdef int conv_backward_weight(int real, const conv_geometry* g, const void* x, const void* dy, void* dw) except -1:
    cdef correlation q
    cdef i64 d, t, i, at = 0, table = 0, positions
    cdef i64 counts[3]
    cdef i64* offsets[3]
    cdef i64* index[3]
    cdef i64* tables
    cdef char* memory
    cdef int threads
    q.at.gemm, q.at.conv, q.at.size = <const mtb_gemm*> K.gemm[real], <const mtb_conv*> K.conv[real], 8 if real else 4
    q.at.images, q.at.groups, q.at.channels, q.m = g.n, g.groups, g.c_in // g.groups, g.c_out // g.groups
    q.at.taps, q.at.volume, positions = 1, 1, g.n
    for d in range(3):
        q.at.extent[d], q.at.grid[d], q.at.step[d], counts[d] = g.in_[d], g.out[d], g.stride[d], g.kernel[d]
        q.at.volume *= g.in_[d]
        q.at.taps *= g.kernel[d]
        positions *= g.out[d]
        table += 4 * g.kernel[d]
    q.k = q.at.channels * q.at.taps
    if g.c_out * q.k == 0:
        return 0
    if positions == 0:
        memset(dw, 0, g.c_out * q.k * q.at.size)
        return 0
    table += 2 * q.at.taps + q.k
    tables = <i64*> take(table * sizeof(i64))
    try:
        for d in range(3):
            q.at.origin[d], offsets[d], index[d] = tables + at, tables + at + 2 * counts[d], tables + at + 3 * counts[d]
            at += 4 * counts[d]
            for t in range(counts[d]):
                offsets[d][t], index[d][t] = t * g.dilation[d] - g.pad_lo[d], 0
        q.at.tap_at, q.at.kernel_at, q.source_at = tables + at, tables + at + q.at.taps, tables + at + 2 * q.at.taps
        cut_blocks(&q.at, MTB_KC)                    # decides the order of additions: by the shapes alone
        lay_taps(&q.at, counts, offsets, index)
        for i in range(q.k):
            q.source_at[i] = i // q.at.taps * q.at.c_pitch + q.at.tap_at[i % q.at.taps]
        q.in_lanes = q.m <= FEW_OUTPUTS
        q.columns = q.at.conv.lanes * q.m if q.in_lanes else up(q.m, 16)    # whole vectors, of any level
        q.group_size = q.k * q.columns
        q.chunk_size = g.groups * q.group_size
        q.all_blocks = q.at.blocks[0] * q.at.blocks[1] * q.at.blocks[2] * q.at.blocks[3]
        q.chunks = max(<i64> 1, min(min(<i64> CHUNKS, q.all_blocks // CHUNK_BLOCKS), CHUNK_ELEMENTS // q.chunk_size))
        q.chunk_blocks = parts(q.all_blocks, q.chunks)
        q.chunks = parts(q.all_blocks, q.chunk_blocks)
        # From here on free choices: the range of input channels of a task.
        threads = team(<i64> min(<double> positions * g.c_out * q.k / 16, <double> (1 << 60)))
        q.range_channels = max(<i64> 1, min(q.at.channels, C_BYTES // (q.at.size * max(q.at.block[0] * q.at.c_pitch,
                                                                                     q.at.taps * q.columns))))
        while threads > 1 and q.range_channels > 1 and (q.chunks * g.groups * parts(q.at.channels, q.range_channels)
                                                        < 2 * threads):
            q.range_channels = parts(q.range_channels, 2)
        q.ranges = parts(q.at.channels, q.range_channels)
        q.group_block = max(<i64> 1, min(<i64> 8, g.groups * q.chunks // (4 * threads)))
        q.group_blocks = parts(g.groups, q.group_block)
        q.at.n_pitch = q.range_channels * q.at.c_pitch
        q.at.x, q.at.end = <const char*> x, <const char*> x + g.n * g.c_in * q.at.volume * q.at.size
        q.dy = <const char*> dy
        q.panel_at = up((q.at.block[0] * q.at.n_pitch + q.at.conv.vl) * q.at.size, 64)
        q.dy_at = q.panel_at + up((MTB_KC * q.at.gemm.mr + q.at.conv.vl) * q.at.size, 64)
        q.runs_at = q.dy_at + up((MTB_KC * up(q.m, q.at.gemm.nr) + q.at.gemm.vl) * q.at.size, 64)
        q.pieces_at = q.runs_at + up(q.at.block[0] * q.at.block[1] * q.at.block[2] * sizeof(run), 64)
        q.scratch = q.pieces_at + 2 * MTB_KC * sizeof(i64)
        memory = <char*> take(q.chunks * q.chunk_size * q.at.size + 64 + threads * q.scratch)
        q.sums = memory + up(threads * q.scratch, 64)
        if threads > 1:
            for i in prange(q.chunks * q.group_blocks * q.ranges, num_threads=threads, schedule="dynamic", nogil=True):
                correlation_task(&q, i, memory + threadid() * q.scratch)
        else:
            with nogil:
                for i in range(q.chunks * q.group_blocks * q.ranges):
                    correlation_task(&q, i, memory)
        for i in range(g.groups):
            if q.in_lanes:
                q.at.conv.fold(<char*> dw + i * q.m * q.k * q.at.size, q.sums + i * q.group_size * q.at.size, q.m * q.k,
                               q.chunks, q.chunk_size)
            else:
                q.at.conv.merge(<char*> dw + i * q.m * q.k * q.at.size, q.k, q.sums + i * q.group_size * q.at.size,
                                q.columns, q.k, q.m, q.chunks, q.chunk_size)
        give(memory, q.chunks * q.chunk_size * q.at.size + 64 + threads * q.scratch)
    finally:
        give(tables, table * sizeof(i64))
    return 0
