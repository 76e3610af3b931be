# A sweep's way to its source; its weights, packed into tiles; its taps, sorted by the phase of the stride they serve.

cdef bint suits_lines(const sweep* q, i64 kernel) noexcept nogil:
    """Whether reading the source in place is less work than unfolding it, which fills panels whatever the width of the
    output, and reads them from the first-level cache. In cycles for a row of outputs. A free choice."""
    cdef i64 width = q.at.grid[2], vl = q.at.conv.vl, k = q.k // q.phases, source
    if q.m <= FEW_ROWS or q.direct or q.at.channels > FEW_CHANNELS:
        return q.m <= FEW_ROWS and q.at.channels <= FEW_CHANNELS
    source = k // kernel * min(q.at.step[2], kernel) * (LINE_PIECES * vl + 16) * q.at.size
    return (<double> up(q.m, FEW_ROWS) * up(width, vl) * k * (1 + source / <double> (1 << 20))
            < <double> width * ((q.m + 4) * k + 8 * q.m))


cdef void pack_tile(const sweep* q, i64 index, i64 c0, i64 c1, const char* w, char* packed, bint backward,
                    i64 kernel_volume) noexcept nogil:
    """Some channels of one tile of w as it will be read, (k, rows). Backward, the channels change sides."""
    cdef i64 group = index // q.tiles, i0 = index % q.tiles * q.step, n = min(q.step, q.m - i0), c, t, p, kb
    cdef i64 size = q.at.size, channels = q.at.channels, phase, taps, source
    cdef bint all_taps = q.first_tap[q.phases] == kernel_volume and q.phases == 1
    packed += index * q.tile_size * size
    p = c0 * kernel_volume
    while not backward and p < c1 * kernel_volume:
        kb = min(c1 * kernel_volume - p, <i64> MTB_KC)
        q.at.gemm.pack(packed + p * n * size, n, w + ((group * q.m + i0) * q.k + p) * size, q.k, n, 1, kb)
        p += kb
    if backward and kernel_volume == 1 and q.first_tap[q.phases] == 1:
        q.at.gemm.pack(packed + c0 * n * size, n, w + ((group * channels + c0) * q.m + i0) * size, 1, n, q.m, c1 - c0)
        return
    for c in range(c0, c1 if backward else c0):
        source = ((group * channels + c) * q.m + i0) * kernel_volume
        if all_taps:
            q.at.gemm.pack(packed + c * kernel_volume * n * size, n, w + source * size, kernel_volume, n, 1,
                           kernel_volume)
            continue
        for phase in range(q.phases):
            t = q.first_tap[phase]
            taps = q.first_tap[phase + 1] - t
            q.at.conv.gather(packed + (t * channels + c * taps) * n * size, n, w + source * size, kernel_volume,
                             q.at.kernel_at + t, taps)


cdef void pack_tiles(const sweep* q, i64 index, const char* w, char* packed, bint backward,
                     i64 kernel_volume) noexcept nogil:
    """A few tiles; backward, they lie side by side: some channels at a time, so that each line is read once."""
    cdef i64 c = 0, t, first = index * q.packs, last = min(first + q.packs, q.at.groups * q.tiles)
    cdef i64 few = max(<i64> 1, PACK_ROWS // kernel_volume) if backward else q.at.channels
    while c < q.at.channels:
        for t in range(first, last):
            pack_tile(q, t, c, min(c + few, q.at.channels), w, packed, backward, kernel_volume)
        c += few


cdef void sort_taps(sweep* q, const conv_geometry* g, i64* spare) noexcept nogil:
    """Puts the taps of each phase together, in the order they have."""
    cdef i64 volume = g.kernel[0] * g.kernel[1] * g.kernel[2], t, rest, phase, i, p
    cdef int d
    cdef bint inside
    for i in range(q.phases + 1):
        q.first_tap[i] = 0
    memcpy(spare, q.at.tap_at, volume * sizeof(i64))
    for t in range(volume):                          # first the phase of each tap, and how many each has
        rest, phase, i, inside = t, 0, 1, True
        for d in range(2, -1, -1):
            p = (rest % g.kernel[d] * g.dilation[d] - g.pad_lo[d]) % g.stride[d]
            p += g.stride[d] if p < 0 else 0
            inside = inside and p < phases_of(q, d)
            phase += i * p
            i *= phases_of(q, d)
            rest //= g.kernel[d]
        spare[volume + t] = phase if inside else -1
        if inside:
            q.first_tap[phase + 1] += 1
    for phase in range(q.phases):
        q.first_tap[phase + 1] += q.first_tap[phase]
    for t in range(volume):
        phase = spare[volume + t]
        if phase >= 0:
            q.at.tap_at[q.first_tap[phase]], q.at.kernel_at[q.first_tap[phase]] = spare[t], t
            q.first_tap[phase] += 1
    for phase in range(q.phases - 1, 0, -1):
        q.first_tap[phase] = q.first_tap[phase - 1]
    q.first_tap[0] = 0
