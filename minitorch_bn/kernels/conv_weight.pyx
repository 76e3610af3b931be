"""The weight gradient of a convolution: dw[m, (channel, tap)] = sum over positions of dy[m, position] * x at that tap.

The source is unfolded block by block, as forward (window.pyx), to rows of a matrix, taps by positions, that meets dy
in the register tiles; with very few output channels a group, in vector lanes instead. A block of at most MTB_KC
positions is one chain of additions; the blocks of a chunk are added in order, then the chunks: blocks and chunks are
cut by the shapes alone.
"""
from cython.parallel cimport prange
from libc.string cimport memset

from minitorch_bn.kernels.conv cimport is_product
from minitorch_bn.kernels.matmul cimport MTB_KC, gemm, mtb_gemm
from minitorch_bn.kernels.runtime cimport K, give, i64, share_tasks, spread, take, team
from minitorch_bn.kernels.window cimport (channel_map, conv_geometry, cut_blocks, cut_pieces, find_block, find_runs,
                                          flatten, lay_taps, mtb_conv, pad_block, parts, run, spot, up, window)
from minitorch_bn.kernels.winograd cimport suits_winograd, winograd_weight

cdef extern from *:
    void prefetch "__builtin_prefetch"(const void* p) noexcept nogil

cdef enum:
    RANGE_BYTES = 256 << 10  # of padded source and of sums that a task works on
    RANGE_OUTPUTS = 192      # whose dy, a block of it, stays in a second-level cache
    SWAPPED_OUTPUTS = 48     # with so many output channels turning the unfolded matrix is cheap,
    SWAPPED_POSITIONS = 16   # and with fewer positions for each the sums are not
    MERGE_ROWS = 64          # of all partial sums that a task adds
    CHUNKS = 8               # weight gradient: partial sums over the batch, at most; constants of the algorithm
    CHUNK_BLOCKS = 16        # blocks in one of them, at least
    CHUNK_ELEMENTS = 1 << 22  # all partial sums together, at most
    FEW_OUTPUTS = 2          # weight gradient: with so few output channels a group, sum in lanes, not in tiles

cdef struct correlation:
    window at
    const char* dy
    char* sums               # by chunk: (chunks, groups, k, columns); in lanes: (chunks, groups, m, k, lanes)
    i64 m, k, columns, chunks, chunk_blocks, all_blocks, range_channels, ranges, chunk_size, group_size
    i64 group_block, group_blocks
    i64* source_at           # of each row of the unfolded matrix, its offset in the padded block of its channels
    i64 m_range, m_ranges
    bint in_lanes
    bint swapped             # the rows are output channels, and the unfolded matrix is turned: results lie as in dw
    bint direct              # 1 x 1, image by image: the source is its own padded block
    i64 panel_at, dy_at, runs_at, pieces_at, scratch


cdef void gather_dy(const correlation* q, const spot* s, i64 group, i64 m0, i64 m1, char* dst) noexcept nogil:
    """dy of a block, some channels: to panels (position, nr channels); or to rows (channel, MTB_KC positions)."""
    cdef i64 size = q.at.size, volume = q.at.grid[0] * q.at.grid[1] * q.at.grid[2], n, i
    cdef i64 line = s.positions // s.count[0], nr = min(q.at.gemm.nr, q.columns)
    cdef const char* src
    for n in range(s.count[0]):
        src = q.dy + place_of_dy(q, s, n, group, 0) * size
        if q.in_lanes or q.swapped:
            for i in range(m0, m1):
                q.at.conv.weave(dst + ((i - m0) * MTB_KC + n * line) * size, 1, src + i * volume * size, 0, 1, line)
            continue
        i = m0
        while i < m1:
            q.at.gemm.pack(dst + ((i - m0) * MTB_KC + n * line * nr) * size, nr, src + i * volume * size, volume,
                           min(nr, m1 - i), 1, line)
            i += nr


cdef inline i64 place_of_dy(const correlation* q, const spot* s, i64 n, i64 group, i64 channel) noexcept nogil:
    """Where the positions of a block, of its n-th image, start in dy."""
    return ((((s.start[0] + n) * q.at.groups + group) * q.m + channel) * q.at.grid[0] * q.at.grid[1] * q.at.grid[2]
            + (s.start[1] * q.at.grid[1] + s.start[2]) * q.at.grid[2] + s.start[3])


cdef void correlate(const correlation* q, const spot* s, i64 group, i64 m0, i64 m1, i64 rows, i64 pieces, i64* source,
                    i64* to, const char* padded, i64 lda, char* unfolded, const char* dy, char* sums,
                    bint add) noexcept nogil:
    """One block for some rows of the unfolded matrix, which start at padded, and some output channels."""
    cdef const mtb_gemm* tiles = q.at.gemm
    cdef i64 size = q.at.size, nr = min(tiles.nr, q.columns), r = 0, i, j, step, m, ldy = MTB_KC
    cdef char* panel = unfolded + (MTB_KC * tiles.nr + q.at.conv.vl) * size
    cdef char* c
    cdef const char* a
    if q.swapped and s.count[0] == 1:                # rows as they lie
        dy, ldy = q.dy + place_of_dy(q, s, 0, group, m0) * size, q.at.grid[0] * q.at.grid[1] * q.at.grid[2]
    while r < rows:
        step = min(tiles.nr if q.swapped else tiles.mr, rows - r)
        a = padded + r * lda * size
        if not q.direct:
            q.at.conv.unfold(unfolded, MTB_KC, padded, q.source_at + r, step, source, to, pieces)
            a, lda = unfolded, MTB_KC
        if q.swapped:
            tiles.pack(panel, tiles.nr, a, lda, step, 1, s.positions)
        i = m0
        while i < m1:
            if q.swapped:
                c, m = sums + (i * q.k + r) * size, min(tiles.mr, m1 - i)
                for j in range(m):
                    prefetch(c + j * q.k * size)
                tiles.strip(m, step, s.positions, dy + (i - m0) * ldy * size, ldy, 1, panel, tiles.nr, c, q.k, add,
                            NULL, NULL)
                i += m
            else:
                tiles.strip(step, min(nr, q.columns - i), s.positions, a, lda, 1, dy + (i - m0) * MTB_KC * size, nr,
                            sums + (r * q.columns + i) * size, q.columns, add, NULL, NULL)
                i += nr
        r += step


cdef void correlation_task(const void* plan, i64 index, char* scratch) noexcept nogil:
    """The part of one chunk of blocks in some groups, in one range of their input channels and one of the outputs."""
    cdef const correlation* q = <const correlation*> plan
    cdef const mtb_conv* conv = q.at.conv
    cdef spot s
    cdef i64 size = q.at.size, c0, channels, rows, chunk, block, first, i, m0, m1, lda = 0
    cdef i64 group, group0, n_runs, pieces = 0
    cdef run* runs = <run*> (scratch + q.runs_at)
    cdef i64* source = <i64*> (scratch + q.pieces_at)
    cdef i64* to = source + MTB_KC
    cdef char* dy = scratch + q.dy_at
    cdef char* sums
    cdef const char* padded = scratch
    c0 = index % q.ranges * q.range_channels
    index //= q.ranges
    m0 = index % q.m_ranges * q.m_range
    index //= q.m_ranges
    group0 = index % q.group_blocks * q.group_block
    chunk = index // q.group_blocks
    channels = min(q.range_channels, q.at.channels - c0)
    m1 = min(m0 + q.m_range, q.m)
    rows = channels * q.at.taps
    first = chunk * q.chunk_blocks
    for block in range(first, min(first + q.chunk_blocks, q.all_blocks)):
        find_block(&q.at, block, &s)
        n_runs = find_runs(&q.at, &s, runs)
        if not q.in_lanes:
            pieces = cut_pieces(&q.at, runs, 0, s.positions, source, to)
        for group in range(group0, min(q.at.groups, group0 + q.group_block)):
            sums = q.sums + (chunk * q.chunk_size + group * q.group_size) * size
            if q.direct:
                lda = q.at.volume
                padded = q.at.x + (((s.start[0] * q.at.groups + group) * q.at.channels + c0) * lda + s.start[3]) * size
            else:
                pad_block(&q.at, &s, group * q.at.channels + c0, channels, scratch)
            if not q.swapped or s.count[0] > 1:
                gather_dy(q, &s, group, m0, m1, dy)
            if q.in_lanes:
                for i in range(q.m):
                    conv.dots(sums + (i * q.k + c0 * q.at.taps) * conv.lanes * size, dy + i * MTB_KC * size, scratch,
                              q.source_at, rows, runs, n_runs, block > first)
                continue
            correlate(q, &s, group, m0, m1, rows, pieces, source, to, padded, lda, scratch + q.panel_at, dy,
                      sums + c0 * q.at.taps * (1 if q.swapped else q.columns) * size, block > first)


cdef void merge_task(const correlation* q, i64 index, char* dw) noexcept nogil:
    """Adds the chunks for some rows of the unfolded matrix and one group, into dw."""
    cdef i64 size = q.at.size, per_group = parts(q.k, MERGE_ROWS), group = index // per_group, i
    cdef i64 r = index % per_group * MERGE_ROWS
    cdef i64 rows = min(q.k - r, <i64> MERGE_ROWS)
    cdef const char* sums = q.sums + group * q.group_size * size
    dw += (group * q.m * q.k + r) * size
    if q.in_lanes:
        for i in range(q.m):
            q.at.conv.fold(dw + i * q.k * size, sums + (i * q.k + r) * q.at.conv.lanes * size, rows, q.chunks,
                           q.chunk_size)
    else:
        q.at.conv.merge(dw, q.k, sums + r * q.columns * size, q.columns, rows, q.m, q.chunks, q.chunk_size)


cdef int conv_backward_weight(int real, const conv_geometry* shape, const void* x, const channel_map* map,
                              const void* dy, void* dw) except -1:
    cdef conv_geometry flat = shape[0]
    cdef const conv_geometry* g = &flat
    cdef correlation q
    cdef i64 d, t, i, at = 0, table = 0, positions, nbytes, tasks
    cdef i64 counts[3]
    cdef i64* offsets[3]
    cdef i64* index[3]
    cdef i64* tables
    cdef char* memory
    cdef int threads
    q.direct = flatten(&flat)
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
    if is_product(g):
        return gemm(real, g.c_out, q.k, g.n, dy, 1, g.c_out, x, q.k, 1, dw, q.k, False, NULL)
    if suits_winograd(real, g, g.out):
        at = 0
        winograd_weight(g, x, map, dy, dw, <char*> &at)
        if at == 0 or map != NULL:
            return at != 0
    at = 0                                           # a plain sum: infinities and NaNs are where they belong
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
        # From here on free choices: who makes what.
        q.swapped = (q.chunks == 1 and not q.in_lanes and q.m >= SWAPPED_OUTPUTS
                     and positions < SWAPPED_POSITIONS * q.m)
        q.direct = q.direct and q.at.block[0] == 1 and not q.in_lanes
        threads = team(<i64> min(<double> positions * g.c_out * (q.k + 24) / (8 if q.in_lanes else 16),
                                 <double> (1 << 60)))
        q.m_range = q.m if q.in_lanes else up(parts(q.m, parts(q.m, RANGE_OUTPUTS)), q.at.gemm.nr)
        q.m_ranges = parts(q.m, q.m_range)
        i = q.at.size * max(q.at.block[0] * q.at.c_pitch, q.at.taps * min(q.columns, q.m_range))  # for one channel
        q.range_channels = max(<i64> 1, min(q.at.channels, RANGE_BYTES // i))
        while threads > 1 and q.range_channels > 1 and (q.chunks * g.groups * parts(q.at.channels, q.range_channels)
                                                        * q.m_ranges < 2 * threads):
            q.range_channels = parts(q.range_channels, 2)
        q.ranges = parts(q.at.channels, q.range_channels)
        q.group_block = max(<i64> 1, min(<i64> 8, g.groups * q.chunks // (4 * threads)))
        q.group_blocks = parts(g.groups, q.group_block)
        tasks = q.chunks * q.group_blocks * q.m_ranges * q.ranges
        q.at.n_pitch = q.range_channels * q.at.c_pitch
        q.at.x, q.at.end = <const char*> x, <const char*> x + g.n * g.c_in * q.at.volume * q.at.size
        q.dy = <const char*> dy
        q.panel_at = up((q.at.block[0] * q.at.n_pitch + q.at.conv.vl) * q.at.size, 64)
        q.dy_at = q.panel_at + 2 * up((MTB_KC * max(q.at.gemm.mr, q.at.gemm.nr) + q.at.conv.vl) * q.at.size, 64)
        q.runs_at = q.dy_at + up((MTB_KC * up(q.m_range, q.at.gemm.nr) + q.at.gemm.vl) * q.at.size, 64)
        q.pieces_at = q.runs_at + up(q.at.block[0] * q.at.block[1] * q.at.block[2] * sizeof(run), 64)
        q.scratch = q.pieces_at + 2 * MTB_KC * sizeof(i64)
        if q.swapped:
            q.group_size = q.k * q.m
        nbytes = (0 if q.swapped else q.chunks * q.chunk_size * q.at.size) + 64 + threads * q.scratch
        memory = <char*> take(nbytes)
        q.sums = <char*> dw if q.swapped else memory + up(threads * q.scratch, 64)
        share_tasks(correlation_task, &q, tasks, threads, memory, q.scratch)
        tasks = 0 if q.swapped else g.groups * parts(q.k, MERGE_ROWS)
        threads = team(q.chunks * q.chunk_size)
        if threads > 1:
            for i in prange(tasks, num_threads=threads, schedule="static", nogil=True):
                spread()
                merge_task(&q, i, <char*> dw)
        else:
            for i in range(tasks):
                merge_task(&q, i, <char*> dw)
        give(memory, nbytes)
    finally:
        give(tables, table * sizeof(i64))
    return 0
