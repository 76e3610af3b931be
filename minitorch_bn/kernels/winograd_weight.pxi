# The gradient of the filters by transformed tiles (part of winograd.pyx): points of inputs times points of output
# gradients, summed over the tiles.

cdef void piece_task(const void* all_groups, i64 index, char* room) noexcept nogil:
    """The sums of one part of the blocks, all channels."""
    cdef plan of_group
    cdef const plan* q = pick_by(<const plan*> all_groups, &index, &of_group)
    cdef float* scratch = <float*> room
    cdef float* band = scratch + q.band_at
    cdef float* w = scratch + q.m_at
    cdef float* v = scratch + q.v_at
    cdef i64 first = index * q.piece_blocks, i
    for i in range(first, min(first + q.piece_blocks, q.t.blocks)):
        load(q, &q.a, q.t.step, i, 0, q.a.channels, w, band)
        load(q, &q.b, 6, i, 0, q.b.channels, v, band)
        q.kernel.multiply(q.gemm, q.a.channels, up(q.b.channels, q.gemm.vl), tiles_of(q, i), w, q.a.points, 1,
                          q.a.pitch, v, q.b.points, q.gemm.nr, q.b.pitch, q.sums + index * q.sum_size, q.sum_points,
                          q.sum_pitch, i > first)


cdef void load_task(const void* all_groups, i64 index, char* room) noexcept nogil:
    """16 channels of one side of one block of a chunk, to q.v."""
    cdef plan of_group
    cdef const plan* q = pick_by(<const plan*> all_groups, &index, &of_group)
    cdef float* scratch = <float*> room
    cdef i64 on_a = parts(q.a.channels, 16), groups = on_a + parts(q.b.channels, 16), c = index % groups
    cdef float* v
    index //= groups
    v = q.v + index * q.v_size
    if c < on_a:
        load(q, &q.a, q.t.step, q.first + index, c * 16, min(c * 16 + 16, q.a.channels), v, scratch)
    else:
        c -= on_a
        load(q, &q.b, 6, q.first + index, c * 16, min(c * 16 + 16, q.b.channels), v + q.w_size, scratch)


cdef void gradients(const plan* q, i64 m0, i64 m1, i64 c0, i64 c1, const float* sums) noexcept nogil:
    """dw of some output and input channels from their sums."""
    cdef i64 m, c
    for m in range(m0, m1):
        c = c0
        while c < c1:
            q.kernel.gradient(q.dw + (m * q.b.channels + c) * q.t.size * q.t.size, min(q.kernel.vl, c1 - c), q.t.size,
                              sums + (m - m0) * q.sum_pitch + c - c0, q.sum_points, q.pieces, q.sum_size, q.bad)
            c += q.kernel.vl


cdef void gradient_task(const void* all_groups, i64 index, char* room) noexcept nogil:
    cdef plan of_group
    cdef const plan* q = pick_by(<const plan*> all_groups, &index, &of_group)
    gradients(q, index, index + 1, 0, q.b.channels, q.sums + index * q.sum_pitch)


cdef void square_task(const void* all_groups, i64 index, char* room) noexcept nogil:
    """The sums of some output and input channels over one chunk; after the last, their gradients."""
    cdef plan of_group
    cdef const plan* q = pick_by(<const plan*> all_groups, &index, &of_group)
    cdef float* scratch = <float*> room
    cdef i64 m0 = index // q.column_blocks * q.rows, c0 = index % q.column_blocks * q.columns, i
    cdef i64 m1 = min(m0 + q.rows, q.a.channels), c1 = min(c0 + q.columns, q.b.channels)
    cdef float* sums = scratch if q.sums == NULL else q.sums + index * q.sum_size
    for i in range(q.first, q.last):
        q.kernel.multiply(q.gemm, m1 - m0, up(c1 - c0, q.gemm.vl), tiles_of(q, i), q.v + (i - q.first) * q.v_size + m0,
                          q.a.points, 1, q.a.pitch, q.v + (i - q.first) * q.v_size + q.w_size + c0, q.b.points,
                          q.gemm.nr, q.b.pitch, sums, q.sum_points, q.sum_pitch, i > 0)
    if q.last == q.t.blocks:
        gradients(q, m0, m1, c0, c1, sums)


cdef int winograd_weight(const conv_geometry* g, const void* x, const channel_map* map, const void* dy, void* dw,
                         char* bad) except -1:
    cdef plan q, all_groups
    cdef i64 m = g.c_out // g.groups, c = g.c_in // g.groups, all_tiles, tiles, size, total, chunk, tasks
    cdef i64 group = 0, groups
    cdef int threads
    cdef float* memory
    cdef float* scratch
    cdef bint by_pieces
    all_tiles = start(&q, g, g.out)
    q.bad, q.dw = bad, <float*> dw
    side(&q.a, dy, m, g.groups, g.n, g.out, 0, 0)
    side(&q.b, x, c, g.groups, g.n, g.in_, -g.pad_lo[1], -g.pad_lo[2])
    mapped(&q.b, map)
    tiles = min(max(CACHE // (36 * (q.a.pitch + q.b.pitch)), <i64> 2 * FEW_TILES), <i64> MANY_TILES)
    cut_tiles(&q.t, tiles, 1)                      # decides the order of additions: by the shapes alone
    q.sum_pitch, q.pieces = q.b.pitch, 1
    q.sum_points = odd(m * q.sum_pitch)
    q.sum_size = 36 * q.sum_points
    by_pieces = q.sum_size <= PART_ELEMENTS and q.t.blocks >= 2 * PART_BLOCKS
    q.a.points, q.b.points = odd(q.t.tiles * q.a.pitch), odd(q.t.tiles * q.b.pitch)
    q.band_at = 0
    q.v_at = (q.t.band + q.kernel.vl) * q.kernel.vl
    q.scratch = q.v_at
    threads = team(<i64> min(<double> all_tiles * g.c_out * c * 4, <double> (1 << 60)))
    q.rows, q.columns, q.v, q.w_size = m, c, NULL, 36 * q.a.points
    q.v_size = q.w_size + 36 * q.b.points
    chunk = q.t.blocks
    if by_pieces:
        q.pieces = PARTS
        while q.pieces > q.t.blocks // PART_BLOCKS:  # a power of two: shared out evenly
            q.pieces //= 2
        q.piece_blocks = parts(q.t.blocks, q.pieces)
        q.pieces = parts(q.t.blocks, q.piece_blocks)
        q.m_at = q.v_at + 36 * q.b.points
        q.scratch = q.m_at + 36 * q.a.points
        size = q.pieces * q.sum_size
    else:
        chunk = max(<i64> 1, min(q.t.blocks, CHUNK // q.v_size))
        q.rows, q.columns = min(m, <i64> ROWS), min(c, <i64> COLUMNS)
        q.sum_pitch = up(q.columns, 16)
        q.sum_points = odd(q.rows * q.sum_pitch)
        q.sum_size = 36 * q.sum_points
        q.scratch = max(q.scratch, q.sum_size)
        size = chunk * q.v_size
    q.row_blocks, q.column_blocks = parts(m, q.rows), parts(c, q.columns)
    tasks = q.row_blocks * q.column_blocks
    if not by_pieces and chunk < q.t.blocks:
        size += tasks * q.sum_size
    q.scratch, q.points_size = up(q.scratch, 16), up(size, 16)
    groups = max(<i64> 1, min(g.groups, CHUNK // q.points_size))        # that are worked on at a time
    total = (groups * q.points_size + threads * q.scratch) * sizeof(float)
    memory = <float*> take(total)
    scratch = memory + groups * q.points_size
    if by_pieces:
        q.sums = memory
    else:
        q.v = memory
        if chunk < q.t.blocks:
            q.sums = memory + chunk * q.v_size
    all_groups = q
    while group < g.groups:
        groups = min(groups, g.groups - group)
        pick(&all_groups, group, &q)
        q.v, q.sums = all_groups.v, all_groups.sums
        if by_pieces:
            run_groups(piece_task, &q, groups, q.pieces, threads, scratch)
            run_groups(gradient_task, &q, groups, m, threads, scratch)
        q.first = q.t.blocks if by_pieces else 0
        while q.first < q.t.blocks:
            q.last = min(q.first + chunk, q.t.blocks)
            run_groups(load_task, &q, groups, (q.last - q.first) * (parts(m, 16) + parts(c, 16)), threads, scratch)
            run_groups(square_task, &q, groups, tasks, threads, scratch)
            q.first = q.last
        group += groups
    give(memory, total)
    return 0
