"""3 x 3 and 5 x 5 convolutions by minimal filtering (src_c/kernels/winograd.c): blocks of tiles are transformed to 36
points, there the channels are multiplied as matrices, and the products are transformed back.

Two orders of work, the same additions: with many tiles, the filters' points are made first and each block of tiles
goes through all three steps in cache; with more output channels than tiles, the tiles' points are made first and each
panel of output channels makes its own filters' points. The gradient of the filters multiplies the points of inputs and
of output gradients over the tiles: parts of the batch side by side, each in cache, if there are few channels; else
chunks of the batch one after the other, and the channels shared out.
"""
from libc.string cimport memset

from minitorch_bn.kernels.matmul cimport mtb_gemm
from minitorch_bn.kernels.norm cimport MTB_MASK_AGAIN, MTB_MASK_NONE, mtb_norm
from minitorch_bn.kernels.runtime cimport K, give, i64, roomy_task, share_tasks, take, team
from minitorch_bn.kernels.window cimport channel_map, conv_geometry, gathering, parts, up

cdef extern from "mtb.h" nogil:
    enum:
        MTB_WINOGRAD_K
    ctypedef struct block "mtb_winograd_block":
        i64 images, rows, columns, y, x, height, width, image, step
        i64 dilation[2]
        const float* params
        i64 apart, relu
    ctypedef struct mtb_winograd:
        i64 vl
        void (*input)(float* v, i64 points, i64 pitch, int size, const float* src, i64 n, const float* end,
                      const block* b, float* band) noexcept nogil
        void (*output)(float* dst, i64 n, const float* m, i64 points, i64 pitch, const float* bias, const block* b,
                       float* band, char* bad) noexcept nogil
        void (*filter)(float* u, i64 points, i64 ld, int size, const float* w, i64 across, i64 down, i64 n, i64 k,
                       const float* end, int flip) noexcept nogil
        void (*gradient)(float* dw, i64 n, int size, const float* p, i64 points, i64 parts, i64 part_size,
                         char* bad) noexcept nogil
        void (*multiply)(const mtb_gemm* gemm, i64 rows, i64 n, i64 k, const float* a, i64 a_points, i64 rsa, i64 csa,
                         const float* b, i64 b_points, i64 b_panel, i64 ldb, float* c, i64 c_points, i64 ldc,
                         int add) noexcept nogil

cdef enum:
    LEAST_CHANNELS = 8       # on either side
    FURTHEST = 8             # dilation
    CACHE = 96 << 10         # floats of points that a task works on
    FEW_TILES = 24           # of a block
    MANY_TILES = 96
    PARTS = 16               # of the batch, for the gradient of filters, at most; constants of the algorithm
    PART_BLOCKS = 2          # in one of them, at least
    PART_ELEMENTS = 640 << 10  # points of filters' gradients of one part, at most
    CHUNK = 4 << 20          # floats of points of a chunk of the batch
    ROWS = 48                # output channels and input channels of a task
    COLUMNS = 64

cdef struct grid:            # tiles on one side of the convolution, and the planes they lie on
    float* at
    const float* end
    i64 channels, pitch      # channels; floats from one tile to the next
    i64 points               # floats from one point to the next
    i64 height, width, image
    i64 y, x                 # of the first tile
    const float* params      # what is loaded is mapped by them, and its ReLU; or NULL
    i64 apart, relu

cdef struct tiling:
    i64 size, step           # of a filter, of the outputs of a tile
    i64 dilation[2]
    i64 whole[3]             # images, rows and columns of tiles; dilation[0] * dilation[1] of them at each place
    i64 cut[3]
    i64 counts[3]            # of blocks
    i64 blocks, tiles        # tiles of a block, at most
    i64 band                 # vectors of scratch that a block's image takes

cdef struct plan:
    const mtb_gemm* gemm
    const mtb_winograd* kernel
    grid a                   # input, or output gradient
    grid b                   # output, or input
    tiling t
    const float* w
    const float* w_end
    const float* bias
    float* u                 # points of filters: (36, panels, channels, nr)
    float* v                 # points of all tiles: (blocks, 36, tiles, channels)
    i64 points_size          # floats of the points of a group, or of its sums, or both
    i64 u_points, u_panel, v_size, across, down, panels, total
    char* bad
    const gathering* wanted  # of the planes of the result, or NULL
    i64 each                 # tasks of a group
    i64 channel              # of all groups' where this one's begin, on side b
    bint backward
    # the gradient of filters
    float* sums
    float* dw
    i64 pieces, piece_blocks, sum_points, sum_pitch, sum_size, first, last, rows, columns, row_blocks, column_blocks
    i64 w_size               # floats of the points of output gradients in v
    i64 band_at, v_at, m_at, scratch      # floats


cdef inline i64 odd(i64 n) noexcept nogil:
    """n floats or a little more, an odd number of cache lines: so that the points do not compete for the same sets."""
    return up(n, 16) + (16 if up(n, 16) % 32 == 0 else 0)


cdef void cut_tiles(tiling* t, i64 most, int threads) noexcept nogil:
    """Blocks of about `most` tiles: at most one dimension is cut, the later ones are whole."""
    cdef i64 room, all_tiles = t.whole[0] * t.whole[1] * t.whole[2], want, phases = t.dilation[0] * t.dilation[1]
    cdef int d
    want = parts(all_tiles * phases, most)
    if want < 8 * threads:
        want = up(want, threads)
    room = max(<i64> 1, parts(all_tiles, want))
    t.blocks, t.tiles = 1, 1
    for d in range(2, -1, -1):
        t.cut[d] = max(<i64> 1, min(t.whole[d], room))
        t.counts[d] = parts(t.whole[d], t.cut[d])
        t.cut[d] = parts(t.whole[d], t.counts[d])
        room = room // t.cut[d] if t.cut[d] == t.whole[d] else 1
        t.blocks *= t.counts[d]
        t.tiles *= t.cut[d]
    t.tiles *= phases
    t.band = (t.step * t.cut[1] + 6 - t.step) * (t.step * t.cut[2] + 6 - t.step) * phases


cdef i64 find(const tiling* t, const grid* g, i64 index, block* b) noexcept nogil:
    """The block of that index on that side; returns its first image. """
    cdef i64 column = index % t.counts[2] * t.cut[2], row = index // t.counts[2] % t.counts[1] * t.cut[1]
    cdef i64 image = index // t.counts[2] // t.counts[1] * t.cut[0]
    b.images = min(t.cut[0], t.whole[0] - image)
    b.rows, b.columns = min(t.cut[1], t.whole[1] - row), min(t.cut[2], t.whole[2] - column)
    b.step, b.dilation[0], b.dilation[1] = t.step, t.dilation[0], t.dilation[1]
    b.y, b.x = g.y + t.step * t.dilation[0] * row, g.x + t.step * t.dilation[1] * column
    b.height, b.width, b.image = g.height, g.width, g.image
    b.params, b.apart, b.relu = NULL, g.apart, g.relu
    return image


cdef void load(const plan* q, const grid* g, int size, i64 index, i64 c0, i64 c1, float* v,
               float* band) noexcept nogil:
    """Points of some channels of a block."""
    cdef block b
    cdef i64 image = find(&q.t, g, index, &b), c = c0
    while c < c1:
        if g.params != NULL:
            b.params = g.params + c
        q.kernel.input(v + c, g.points, g.pitch, size, g.at + image * g.image + c * g.height * g.width,
                       min(q.kernel.vl, g.channels - c), g.end, &b, band)
        c += q.kernel.vl


cdef void filters(const plan* q, i64 panel, i64 k0, i64 k1, float* u, i64 points) noexcept nogil:
    """Points of the filters of one panel of output channels."""
    cdef i64 m = panel * q.gemm.nr, lane = 0
    while lane < q.gemm.nr and m + lane < q.b.channels:
        q.kernel.filter(u + lane, points, q.gemm.nr, q.t.size, q.w + (m + lane) * q.across + k0 * q.down, q.across,
                        q.down, min(q.kernel.vl, q.b.channels - m - lane), k1 - k0, q.w_end, q.backward)
        lane += q.kernel.vl


cdef void store(const plan* q, i64 index, i64 m0, i64 m1, const float* m, i64 points, i64 pitch,
                float* band) noexcept nogil:
    """Outputs of some channels of a block, from their points m."""
    cdef block b
    cdef i64 image = find(&q.t, &q.b, index, &b), c = m0
    m1 = min(m1, q.b.channels)
    while c < m1:
        q.kernel.output(q.b.at + image * b.image + c * b.height * b.width, min(q.kernel.vl, m1 - c), m + c - m0, points,
                        pitch, q.bias + c if q.bias != NULL else NULL, &b, band, q.bad + image)
        c += q.kernel.vl


cdef void gather(const plan* q, i64 index) noexcept nogil:
    """What is wanted of the planes of a block, which are in cache."""
    cdef block b
    cdef i64 plane = q.b.height * q.b.width, image = find(&q.t, &q.b, index, &b), i
    for i in range(image, image + b.images):
        gather_planes(q.wanted, q.b.at + i * q.b.image, i * (q.b.image // plane) + q.channel, q.channel, q.b.channels,
                      plane)


cdef void gather_planes(const gathering* q, const float* y, i64 first, i64 channel, i64 count,
                        i64 plane) noexcept nogil:
    cdef const mtb_norm* kernels = <const mtb_norm*> K.norm[0]
    cdef double* sums = q.sums + 2 * first
    if q.x == NULL:
        kernels.moments_parts(count, 1, plane, y, 0, plane, sums, 2)
        return
    memset(sums, 0, 2 * count * sizeof(double))
    kernels.backward_sums_runs(count, plane, 1, plane, q.x + first * plane, y, NULL, NULL, 0,
                               q.map.params + channel, q.map.apart,
                               MTB_MASK_AGAIN if q.map.relu else MTB_MASK_NONE, NULL, sums)


cdef const plan* pick(const plan* q, i64 group, plan* p) noexcept nogil:
    """The plan of one group."""
    p[0] = q[0]
    p.a.at += group * q.a.channels * q.a.height * q.a.width
    p.b.at += group * q.b.channels * q.b.height * q.b.width
    if q.a.params != NULL:
        p.a.params += group * q.a.channels
    if q.b.params != NULL:
        p.b.params += group * q.b.channels
    p.w += group * q.a.channels * q.b.channels * q.t.size * q.t.size
    p.dw += group * q.a.channels * q.b.channels * q.t.size * q.t.size
    if q.bias != NULL:
        p.bias += group * q.b.channels
    p.u += group * q.points_size
    p.v += group * q.points_size
    p.channel = group * q.b.channels
    if q.sums != NULL:
        p.sums += group * q.points_size
    return p


cdef const plan* pick_by(const plan* q, i64* index, plan* p) noexcept nogil:
    """The plan of the group that a task belongs to; its number among the tasks of this."""
    cdef i64 group = index[0] // q.each
    index[0] %= q.each
    return pick(q, group, p)


cdef void run_groups(roomy_task body, plan* q, i64 groups, i64 each, int threads, float* scratch) noexcept:
    """So many tasks of each group."""
    q.each = each
    share_tasks(body, q, groups * each, threads, <char*> scratch, q.scratch * sizeof(float))


cdef i64 tiles_of(const plan* q, i64 index) noexcept nogil:
    cdef block b
    find(&q.t, &q.a, index, &b)
    return b.images * b.rows * b.columns * b.dilation[0] * b.dilation[1]


cdef void filter_task(const void* all_groups, i64 index, char* room) noexcept nogil:
    cdef plan of_group
    cdef const plan* q = pick_by(<const plan*> all_groups, &index, &of_group)
    filters(q, index, 0, q.a.channels, q.u + index * q.u_panel, q.u_points)


cdef void block_task(const void* all_groups, i64 index, char* room) noexcept nogil:
    """All channels of one block of tiles."""
    cdef plan of_group
    cdef const plan* q = pick_by(<const plan*> all_groups, &index, &of_group)
    cdef float* scratch = <float*> room
    cdef float* band = scratch + q.band_at
    cdef float* v = scratch + q.v_at
    cdef float* m = scratch + q.m_at
    load(q, &q.a, 6, index, 0, q.a.channels, v, band)
    q.kernel.multiply(q.gemm, tiles_of(q, index), up(q.b.channels, q.gemm.vl), q.a.channels, v, q.a.points, q.a.pitch,
                      1, q.u, q.u_points, q.u_panel, q.gemm.nr, m, q.b.points, q.b.pitch, False)
    store(q, index, 0, q.b.channels, m, q.b.points, q.b.pitch, band)
    if q.wanted != NULL:
        gather(q, index)


cdef void input_task(const void* all_groups, i64 index, char* room) noexcept nogil:
    """16 channels of one block of tiles, to q.v."""
    cdef plan of_group
    cdef const plan* q = pick_by(<const plan*> all_groups, &index, &of_group)
    cdef float* scratch = <float*> room
    cdef i64 groups = parts(q.a.channels, 16), c = index % groups * 16
    index //= groups
    load(q, &q.a, 6, index, c, min(c + 16, q.a.channels), q.v + index * q.v_size, scratch + q.band_at)


cdef void panel_task(const void* all_groups, i64 index, char* room) noexcept nogil:
    """All tiles of one index of output channels."""
    cdef plan of_group
    cdef const plan* q = pick_by(<const plan*> all_groups, &index, &of_group)
    cdef float* scratch = <float*> room
    cdef float* u = scratch + q.v_at
    cdef float* m = scratch + q.m_at
    cdef i64 k0 = 0, k1, i, nr = q.gemm.nr, columns = up(min(nr, q.b.channels - index * nr), q.gemm.vl)
    while k0 < q.a.channels:
        k1 = min(k0 + MTB_WINOGRAD_K, q.a.channels)
        filters(q, index, k0, k1, u, q.u_points)
        for i in range(q.t.blocks):
            q.kernel.multiply(q.gemm, tiles_of(q, i), columns, k1 - k0, q.v + i * q.v_size + k0, q.a.points, q.a.pitch,
                              1, u, q.u_points, 0, nr, m + i * 36 * q.b.points, q.b.points, q.b.pitch, k0 > 0)
        k0 = k1
    for i in range(q.t.blocks):
        store(q, i, index * nr, (index + 1) * nr, m + i * 36 * q.b.points, q.b.points, q.b.pitch, scratch + q.band_at)


cdef bint suits_winograd(int real, const conv_geometry* g, const i64* plane) noexcept nogil:
    cdef i64 size = g.kernel[1], step = 7 - size, tiles
    if real or g.kernel[0] != 1 or g.kernel[2] != size or size != 3 and size != 5 or g.in_[0] != 1 or g.out[0] != 1:
        return False
    if g.stride[1] != 1 or g.stride[2] != 1 or g.pad_lo[0] != 0 or max(g.dilation[1], g.dilation[2]) > FURTHEST:
        return False
    if min(g.c_in, g.c_out) < LEAST_CHANNELS * g.groups:
        return False
    tiles = (parts(plane[1], step * g.dilation[1]) * g.dilation[1]
             * parts(plane[2], step * g.dilation[2]) * g.dilation[2])
    # Tiles must not stand out too far: what they multiply, and about half of that for the transforms.
    return size * size * plane[1] * plane[2] * 2 > 36 * tiles * 3


cdef i64 start(plan* q, const conv_geometry* g, const i64* plane) noexcept nogil:
    """What all three have in common; returns how many tiles there are."""
    cdef int d
    q.gemm, q.kernel = <const mtb_gemm*> K.gemm[0], <const mtb_winograd*> K.winograd
    q.w, q.bias, q.u, q.v, q.sums, q.dw, q.wanted = NULL, NULL, NULL, NULL, NULL, NULL, NULL
    q.t.size, q.t.step, q.t.whole[0] = g.kernel[1], 7 - g.kernel[1], g.n
    for d in range(2):
        q.t.dilation[d] = g.dilation[d + 1]
        q.t.whole[d + 1] = parts(plane[d + 1], q.t.step * g.dilation[d + 1])
    return g.n * q.t.whole[1] * q.t.whole[2] * q.t.dilation[0] * q.t.dilation[1]


cdef void side(grid* p, const void* at, i64 channels, i64 groups, i64 images, const i64* extent, i64 y,
               i64 x) noexcept nogil:
    p.at, p.channels, p.pitch = <float*> at, channels, up(channels, 16)
    if p.pitch % 256 == 0:
        p.pitch += 16
    p.height, p.width, p.image, p.y, p.x = extent[1], extent[2], groups * channels * extent[1] * extent[2], y, x
    p.end = p.at + images * p.image
    p.params, p.apart, p.relu = NULL, 0, 0


cdef void mapped(grid* p, const channel_map* map) noexcept nogil:
    if map != NULL:
        p.params, p.apart, p.relu = map.params, map.apart, map.relu


cdef int winograd_sweep(const conv_geometry* g, const void* x, const channel_map* map, const void* w, const void* bias,
                        void* y, bint backward, char* bad, const gathering* wanted) except -1:
    cdef plan q
    cdef i64 i, m = g.c_out // g.groups, c = g.c_in // g.groups, all_tiles, size, total
    cdef i64 taps = g.kernel[1] * g.kernel[2]
    cdef int threads
    cdef float* memory
    cdef float* scratch
    cdef bint by_panels
    all_tiles = start(&q, g, &g.in_[0] if backward else &g.out[0])
    q.backward, q.bad = backward, bad
    if backward:
        side(&q.a, x, m, g.groups, g.n, g.out, g.pad_lo[1] - g.dilation[1] * (q.t.size - 1),
             g.pad_lo[2] - g.dilation[2] * (q.t.size - 1))
        side(&q.b, y, c, g.groups, g.n, g.in_, 0, 0)
        q.across, q.down = taps, c * taps
    else:
        side(&q.a, x, c, g.groups, g.n, g.in_, -g.pad_lo[1], -g.pad_lo[2])
        side(&q.b, y, m, g.groups, g.n, g.out, 0, 0)
        q.across, q.down = c * taps, taps
    mapped(&q.a, map)
    q.w, q.bias = <const float*> w, <const float*> bias
    q.w_end = q.w + g.c_out * c * taps
    # Free choices from here on, but for MTB_WINOGRAD_K: no bit depends on them.
    threads = team(<i64> min(<double> all_tiles * g.c_out * c * 4, <double> (1 << 60)))
    by_panels = q.b.channels > all_tiles
    i = CACHE // (36 * (q.a.pitch + q.b.pitch))
    cut_tiles(&q.t, min(max(i, <i64> FEW_TILES), <i64> MANY_TILES), 1 if by_panels or g.groups > 1 else threads)
    if not by_panels and q.t.cut[1] == q.t.whole[1] and q.t.cut[2] == q.t.whole[2]:
        q.wanted = wanted             # blocks are whole images
    q.panels = parts(q.b.channels, q.gemm.nr)
    if by_panels:
        q.b.pitch = q.gemm.nr
    q.a.points, q.b.points = odd(q.t.tiles * q.a.pitch), odd(q.t.tiles * q.b.pitch)
    q.band_at = 0
    q.v_at = (q.t.band + q.kernel.vl) * q.kernel.vl
    if by_panels:
        q.u_points = odd(min(q.a.channels, <i64> MTB_WINOGRAD_K) * q.gemm.nr)
        q.m_at = q.v_at + 36 * q.u_points
        q.scratch = q.m_at + q.t.blocks * 36 * q.b.points
        q.v_size = 36 * q.a.points
        size = q.t.blocks * q.v_size
    else:
        q.u_panel = q.a.channels * q.gemm.nr
        q.u_points = odd(q.panels * q.u_panel)
        q.m_at = q.v_at + 36 * q.a.points
        q.scratch = q.m_at + 36 * q.b.points
        size = 36 * q.u_points
    q.scratch, q.points_size = up(q.scratch, 16), up(size, 16)
    total = (g.groups * q.points_size + threads * q.scratch) * sizeof(float)
    memory = <float*> take(total)
    q.u = q.v = memory
    scratch = memory + g.groups * q.points_size
    if by_panels:
        run_groups(input_task, &q, g.groups, q.t.blocks * parts(q.a.channels, 16), threads, scratch)
        run_groups(panel_task, &q, g.groups, q.panels, threads, scratch)
    else:
        run_groups(filter_task, &q, g.groups, q.panels, threads, scratch)
        run_groups(block_task, &q, g.groups, q.t.blocks, threads, scratch)
    give(memory, total)
    return q.wanted != NULL


include "winograd_weight.pxi"
