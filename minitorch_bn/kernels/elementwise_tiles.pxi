"""The element-wise loop where operands lie: by rows, and by tiles for one whose memory runs across the others."""

cdef void work_on_rows(plan* p, i64 start, i64 stop) noexcept nogil:
    """The loop over rows start .. stop of the iteration, all of them where they lie."""
    cdef (void*)[MAXOPERANDS] at
    cdef i64[MAXOPERANDS] step
    cdef i64[8] index
    cdef i64 m = 0, row = p.shape[p.ndim - 1], flat = start
    cdef int d, i, size = ITEMSIZE[p.ops[0].dtype]
    for d in range(p.ndim - 2, -1, -1):
        index[d] = flat % p.shape[d]
        flat //= p.shape[d]
    for i in range(MAXOPERANDS):
        at[i], step[i] = NULL, 0
    for i in range(p.n):
        at[i] = element(p, &p.ops[i], start * row)
        step[i] = p.ops[i].strides[p.ndim - 2] * ITEMSIZE[p.ops[i].dtype]
    while start < stop:
        d = p.ndim - 2
        m = min(p.shape[d] - index[d], stop - start)
        if p.number != NULL:
            p.number(at, step, m, row)
        elif p.f != NULL:
            mtb_run_rows(p.f, at, step, m, row, p.k)
        else:
            mtb_move_rows(K.convert.move[log2_size(size)], at[0], step[0], at[1], step[1], p.ops[1].strides[p.ndim - 1],
                          size, m, row)
        for i in range(p.n):
            at[i] = <char*> at[i] + m * step[i]
        start += m
        index[d] += m
        while d and index[d] == p.shape[d]:
            index[d] = 0
            index[d - 1] += 1
            for i in range(p.n):
                m = p.ops[i].strides[d - 1] - p.shape[d] * p.ops[i].strides[d]
                at[i] = <char*> at[i] + m * ITEMSIZE[p.ops[i].dtype]
            d -= 1


cdef void work_on_tiles(plan* p, i64 start, i64 stop) noexcept nogil:
    """The loop over tiles start .. stop: `high` elements of dimension `line` times `wide` of the last one. The operand
    that lies across is turned for a whole tile, then the tile's rows follow one by one."""
    cdef double[MAXOPERANDS][BLOCK] blocks
    cdef double[BLOCK] spare
    cdef (void*)[MAXOPERANDS] at
    cdef int e, last = p.ndim - 1
    cdef operand* x = &p.ops[p.across]
    cdef operand* y = &p.ops[0]
    cdef i64 size = ITEMSIZE[x.dtype], i, t, r, m, high, place = 1, flat, step
    cdef (char*)[MAXOPERANDS] corner
    cdef i64[3] still = [0, 0, 0]
    cdef i64[8] index
    cdef i64[MAXOPERANDS] steps
    cdef bint in_place = y.strides[last] == 1 and y.dtype == y.want, turned = p.f == NULL and in_place, lie
    for i in range(p.n, MAXOPERANDS):
        corner[i], steps[i] = NULL, 0
    for t in range(start, stop):
        flat = t
        for e in range(last, -1, -1):        # the tile's corner
            m = p.wide if e == last else p.high if e == p.line else 1
            i = (p.shape[e] + m - 1) // m
            index[e] = flat % i * m
            flat //= i
        m, high = min(p.wide, p.shape[last] - index[last]), min(p.high, p.shape[p.line] - index[p.line])
        for i in range(p.n):
            place = 0
            for e in range(p.ndim):
                place += index[e] * p.ops[i].strides[e]
            corner[i] = p.ops[i].data + place * ITEMSIZE[p.ops[i].dtype]
        turned = p.f == NULL and in_place and x.dtype == x.want
        for i in range(p.n):                 # a row is too short to be foreseen
            if not turned and i != p.across and p.ops[i].strides[last] == 1:
                for r in range(high):
                    mtb_ask(corner[i] + r * p.ops[i].strides[p.line] * ITEMSIZE[p.ops[i].dtype],
                            m * ITEMSIZE[p.ops[i].dtype])
        K.convert.turn[log2_size(<int> size)](
            corner[0] if turned else (<char*> blocks[p.across] if x.dtype == x.want else <char*> spare),
            (y.strides[p.line] if turned else m) * size, corner[p.across], x.strides[last] * size, high, m)
        if turned:
            continue
        if x.dtype != x.want:
            K.convert.cast[x.dtype][x.want](blocks[p.across], spare, high * m)
        if p.whole:
            m, high = m * high, 1
        flat, step = 0, 1
        for e in range(p.ndim - 1, -1, -1):
            if e == p.line:
                place = step                 # elements of the iteration from one row of the tile to the next
            flat += index[e] * step
            step *= p.shape[e]
        lie = in_place and p.f != NULL and p.number == NULL
        for i in range(p.n):                 # all of its rows where they lie?
            steps[i] = p.ops[i].strides[p.line] * ITEMSIZE[p.ops[i].dtype]
            if i == p.across:
                corner[i], steps[i] = <char*> blocks[i], m * ITEMSIZE[x.want]
            elif not (p.direct[i] or not p.whole and p.ops[i].strides[last] == 1 and p.ops[i].dtype == p.ops[i].want):
                corner[i] = NULL
                lie = False
        if lie:
            mtb_run_rows(p.f, <void**> corner, steps, high, m, p.k)
            continue
        for r in range(high):
            for i in range(p.n):
                if corner[i] != NULL:
                    at[i] = corner[i] + r * steps[i]
                else:
                    at[i] = blocks[i]
                    if i:
                        fetch(p, <int> i, flat + r * place, m, <char*> at[i], <char*> spare)
            if p.number != NULL:
                p.number(at, still, 1, m)
            elif p.f != NULL:
                p.f(at, m, p.k)
            elif in_place:
                mtb_copy_run(at[0], at[1], <size_t> (m * ITEMSIZE[y.want]))
            else:
                at[0] = at[1]
            if not in_place:
                put(p, flat + r * place, m, <char*> at[0], <char*> spare)
