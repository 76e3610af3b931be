"""The window of a convolution: cuts the output into blocks, lays out the padded source of a block so that each tap
sees the values for neighboring outputs next to each other, and lists the runs of it that a panel of the unfolded
matrix is made of.
"""
from minitorch_bn.kernels.runtime cimport i64


cdef bint flatten(conv_geometry* g) noexcept nogil:
    """A 1 x 1 convolution that takes every element: the axes of space become one. Returns whether it is such a one."""
    cdef i64 d, volume = 1
    for d in range(3):
        if g.kernel[d] != 1 or g.stride[d] != 1 or g.pad_lo[d] != 0 or g.in_[d] != g.out[d]:
            return False
        volume *= g.in_[d]
    for d in range(3):
        g.in_[d] = g.out[d] = volume if d == 2 else 1
    return True


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


cdef int lay_taps(window* q, const i64* counts, i64** offsets, i64** index) except -1:
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
    if (<double> (q.phases[0] * q.length[0]) * (q.phases[1] * q.length[1]) * (q.phases[2] * q.length[2])
            * (q.block[0] * max(<i64> 1, q.channels)) > 1e12):
        raise MemoryError("convolution: what one block of the output sees of the padded input does not fit in memory")
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
    cdef bint flat = q.c_pitch == q.plane            # one plane of each channel: many go at once
    cdef i64 d, n, _c, i, phase, z, count, images = s.count[0], planes = channels, apart = q.volume, plane
    for d in range(3):
        axis[d].size, axis[d].step, axis[d].begin = q.extent[d], q.step[d], s.start[d + 1] * q.step[d]
        axis[d].length, axis[d].phases, axis[d].origin = q.length[d], q.phases[d], q.origin[d]
    plane = axis[1].size * axis[2].size
    if not flat:
        apart = axis[0].step * plane
    elif q.n_pitch == q.plane:                       # one channel: all images
        images, planes, apart = 1, images, q.groups * q.channels * q.volume
    for n in range(images):
        src = q.x + ((s.start[0] + n) * q.groups * q.channels + channel) * q.volume * q.size
        at = dst + n * q.n_pitch * q.size
        for _c in range(1 if flat else channels):
            for phase in range(q.phases[0]):
                i = 0
                while i < q.length[0]:
                    z = axis[0].begin + axis[0].origin[phase] + i * axis[0].step
                    count = planes if flat else 1
                    if 0 <= z < axis[0].size:
                        if not flat:
                            count = min(q.length[0] - i, parts(axis[0].size - z, axis[0].step))
                        q.conv.pad(at, src + z * plane * q.size, apart, count, q.end, &axis[1], &axis[2])
                    else:
                        q.conv.pad(at, NULL, 0, count, NULL, &axis[1], &axis[2])
                    at += count * q.plane * q.size
                    i += 1 if flat else count
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
