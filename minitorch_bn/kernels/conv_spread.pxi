# The gradient of a large input from a small output: each output's gradient is multiplied by all taps, as one product of
# matrices, and what it gives each tap is added where the tap lies. No position that few outputs see costs a thing.

cdef struct spreading:
    const mtb_indexing* add
    const char* columns      # (channels of a group, taps, images, outputs)
    const char* bias
    char* dx
    i64 size, in_volume, out_volume, taps, images, channels, all_channels, first, group, line
    const i64* at            # (taps, outputs): where in a plane; behind its end if on padding


cdef bint suits_spreading(int real, const conv_geometry* g) noexcept nogil:
    """Whether the products of a sweep (or of tiles, which are fewer) are mostly by zeros. By the shape of one item."""
    cdef double seen = 1, grid = 1, m = <double> (g.c_out // g.groups), taps = <double> (g.c_in // g.groups)
    cdef int d
    for d in range(3):
        seen *= g.out[d]
        grid *= parts(g.in_[d], g.stride[d])
        taps *= g.kernel[d]
    if suits_winograd(real, g, g.in_):
        grid *= 0.4
    return m >= 8 and seen * taps <= 1 << 24 and 3 * seen * (m + 32) < 2 * grid * m


cdef void find_places(const conv_geometry* g, i64* at) noexcept nogil:
    cdef i64 volume = g.out[0] * g.out[1] * g.out[2], out, tap, place, o, t, i
    cdef int d
    for i in range(g.kernel[0] * g.kernel[1] * g.kernel[2] * volume):
        out, tap, at[i], place = i % volume, i // volume, 0, 1
        for d in range(2, -1, -1):
            o, t = out % g.out[d], tap % g.kernel[d]
            o = o * g.stride[d] + t * g.dilation[d] - g.pad_lo[d]
            at[i] += o * place if 0 <= o < g.in_[d] else (<i64> 1) << 60
            out, tap, place = out // g.out[d], tap // g.kernel[d], place * g.in_[d]
        at[i] = min(at[i], place)


cdef void spread_plane(const void* plan, i64 index, char* scratch) noexcept nogil:
    cdef const spreading* q = <const spreading*> plan
    cdef i64 image = index % q.images, c = index // q.images, channel = q.group * q.channels + c, t
    memset(scratch, 0, q.in_volume * q.size)
    for t in range(q.in_volume if q.bias != NULL else 0):
        memcpy(scratch + t * q.size, q.bias + channel * q.size, q.size)
    for t in range(q.taps):
        q.add.scatter[MTB_SCATTER_ADD](
            scratch, q.columns + ((c * q.taps + t) * q.line + image * q.out_volume) * q.size, q.at + t * q.out_volume,
            1, q.out_volume, 0, 1, 0, 1)
    memcpy(q.dx + ((q.first + image) * q.all_channels + channel) * q.in_volume * q.size, scratch, q.in_volume * q.size)


cdef int spread_gradient(int real, const conv_geometry* g, const void* dy, const void* w, const void* bias,
                         void* dx) except -1:
    cdef spreading q
    cdef i64 m = g.c_out // g.groups, size = 8 if real else 4, k, most, images, i, nbytes, places, room
    cdef char* memory
    cdef char* outputs       # (m, images, outputs): two columns at least, as one would be added in another order
    cdef int threads
    q.dx, q.bias, q.size = <char*> dx, <const char*> bias, size
    q.add = <const mtb_indexing*> K.indexing[MTB_f64 if real else MTB_f32]
    q.in_volume, q.out_volume, q.taps = g.in_[0] * g.in_[1] * g.in_[2], g.out[0] * g.out[1] * g.out[2], 1
    for i in range(3):
        q.taps *= g.kernel[i]
    q.channels, q.all_channels = g.c_in // g.groups, g.c_in
    k = q.channels * q.taps
    most = max(<i64> 1, min(g.n, SPREAD // (k * q.out_volume)))
    q.line = max(<i64> 2, most * q.out_volume)
    threads = team(most * q.channels * (q.in_volume + 3 * q.taps * q.out_volume))
    places, room = up(q.taps * q.out_volume * sizeof(i64), 64), up((q.in_volume + 1) * size, 64)
    nbytes = places + threads * room + (k + m) * q.line * size
    memory = <char*> take(nbytes)
    try:
        q.at, q.columns, q.first = <i64*> memory, memory + places + threads * room, 0
        outputs = <char*> q.columns + k * q.line * size
        find_places(g, <i64*> memory)
        memset(outputs, 0, m * q.line * size)
        while q.first < g.n:
            q.images = images = min(most, g.n - q.first)
            for q.group in range(g.groups):
                for i in range(m * images):
                    memcpy(outputs + (i // images * q.line + i % images * q.out_volume) * size,
                           <const char*> dy + ((q.first + i % images) * g.c_out + q.group * m + i // images)
                           * q.out_volume * size, q.out_volume * size)
                gemm(real, k, q.line, m, <const char*> w + q.group * m * k * size, 1, k, outputs, q.line, 1,
                     <char*> q.columns, q.line, False, NULL)
                share_tasks(spread_plane, &q, images * q.channels, threads, memory + places, room)
            q.first += images
    finally:
        give(memory, nbytes)
    return 0
