"""The element-wise driver: takes a loop over contiguous runs and applies it to operands of any strides and dtypes.

The iteration is put in the output's memory order and its dimensions are merged where every operand allows. What is then
contiguous and of the right dtype is used in place, as are long rows; the rest passes through blocks of 1024 elements
that stay in cache.
"""
from cython.parallel cimport prange
from libc.string cimport memcpy

from minitorch_bn.kernels.runtime cimport K, ITEMSIZE, i64, mtb_loop, spread, team

cdef enum:
    BLOCK = 1024
    CHUNK = 16 * BLOCK     # what one thread takes at a time
    LONG_ROW = 256         # elements of the last dimension from which rows are worked on where they lie
    SMALL = 20000          # elements below which releasing the GIL costs more than it gives

ctypedef struct plan:
    mtb_loop f             # NULL: copy operand 1 to operand 0
    const double* k
    int n, ndim
    bint all_direct
    i64 numel
    i64[8] shape
    bint[MAXOPERANDS] direct
    bint[MAXOPERANDS] constant
    operand[MAXOPERANDS] ops


cdef void arrange(plan* p, const i64* shape, int ndim) noexcept nogil:
    """Order the dimensions by the output's strides and merge neighbours that every operand steps through evenly."""
    cdef int[8] order
    cdef int i, j, d, e, kept = 0
    cdef bint merge
    cdef i64 expect
    cdef operand original[MAXOPERANDS]
    for d in range(ndim):
        if shape[d] != 1:
            order[kept] = d
            kept += 1
    for i in range(1, kept):  # insertion sort, stable: equal strides keep their order
        d = order[i]
        j = i
        while j > 0 and p.ops[0].strides[order[j - 1]] < p.ops[0].strides[d]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = d
    for i in range(p.n):
        original[i] = p.ops[i]
    p.ndim = 0
    for j in range(kept):
        d = order[j]
        e = p.ndim - 1
        merge = e >= 0
        for i in range(p.n):
            if merge and p.ops[i].strides[e] != original[i].strides[d] * shape[d]:
                merge = False
        if not merge:
            e = p.ndim
            p.shape[e] = 1
            p.ndim += 1
        p.shape[e] *= shape[d]
        for i in range(p.n):
            p.ops[i].strides[e] = original[i].strides[d]
    if p.ndim == 0:  # one element
        p.ndim = p.shape[0] = 1
        for i in range(p.n):
            p.ops[i].strides[0] = 1
    p.all_direct = True
    for i in range(p.n):
        p.direct[i] = p.ops[i].dtype == p.ops[i].want
        p.constant[i] = True
        expect = 1
        for e in range(p.ndim - 1, -1, -1):
            if p.ops[i].strides[e] != expect:
                p.direct[i] = False
            if p.ops[i].strides[e] != 0:
                p.constant[i] = False
            expect *= p.shape[e]
        p.all_direct = p.all_direct and p.direct[i]


cdef inline int log2_size(int size) noexcept nogil:
    return 0 if size == 1 else 1 if size == 2 else 2 if size == 4 else 3


cdef void transfer(plan* p, operand* x, i64 at, i64 m, char* block, bint load) noexcept nogil:
    """Move elements at .. at+m of the iteration between the strided operand and a contiguous block of its dtype."""
    cdef i64[8] index
    cdef i64 position = at, offset = 0, run, done = 0, size = ITEMSIZE[x.dtype], step
    cdef int d, last = p.ndim - 1
    cdef char* here
    for d in range(last, -1, -1):
        index[d] = position % p.shape[d]
        position = position // p.shape[d]
        offset += index[d] * x.strides[d]
    step = x.strides[last] * size
    while True:
        run = min(p.shape[last] - index[last], m - done)
        here = x.data + offset * size
        if step == size:
            if load:
                memcpy(block + done * size, here, <size_t> (run * size))
            else:
                memcpy(here, block + done * size, <size_t> (run * size))
        elif load:
            K.convert.move[log2_size(<int> size)](block + done * size, size, here, step, run)
        else:
            K.convert.move[log2_size(<int> size)](here, step, block + done * size, size, run)
        done += run
        if done >= m:
            return
        offset -= index[last] * x.strides[last]
        index[last] = 0
        d = last - 1
        while d >= 0:
            index[d] += 1
            offset += x.strides[d]
            if index[d] < p.shape[d]:
                break
            offset -= p.shape[d] * x.strides[d]
            index[d] = 0
            d -= 1


cdef void fetch(plan* p, int i, i64 at, i64 m, char* block, char* spare) noexcept nogil:
    """A contiguous block of operand i in the dtype that the loop wants."""
    cdef operand* x = &p.ops[i]
    cdef bint same = x.dtype == x.want
    cdef char* raw = block if same else spare
    cdef i64 size = ITEMSIZE[x.dtype]
    if p.constant[i]:
        K.convert.move[log2_size(<int> size)](raw, size, x.data, 0, m)
    elif p.ndim == 1 and x.strides[0] == 1:
        if same:
            memcpy(block, x.data + at * size, <size_t> (m * size))
            return
        raw = x.data + at * size
    else:
        transfer(p, x, at, m, raw, True)
    if not same:
        K.convert.cast[x.dtype][x.want](block, raw, m)


cdef inline char* element(plan* p, operand* x, i64 at) noexcept nogil:
    """Where element `at` of the iteration lies in the operand."""
    cdef i64 offset = 0
    cdef int d
    for d in range(p.ndim - 1, -1, -1):
        offset += at % p.shape[d] * x.strides[d]
        at //= p.shape[d]
    return x.data + offset * ITEMSIZE[x.dtype]


cdef void work_on(plan* p, i64 start, i64 stop) noexcept nogil:
    """The loop over elements start .. stop of the iteration."""
    cdef double[MAXOPERANDS][BLOCK] blocks
    cdef double[BLOCK] spare
    cdef (void*)[MAXOPERANDS] at
    cdef i64 i, m, position = start, row = p.shape[p.ndim - 1]
    cdef bint by_rows = not p.all_direct and row >= LONG_ROW, in_place
    cdef operand* y = &p.ops[0]
    while position < stop:
        m = stop - position
        if not p.all_direct and m > BLOCK:
            m = BLOCK
        if by_rows:
            m = min(m, row - position % row)
        in_place = p.direct[0]
        for i in range(p.n):
            if p.direct[i]:
                at[i] = p.ops[i].data + position * ITEMSIZE[p.ops[i].dtype]
            elif by_rows and p.ops[i].strides[p.ndim - 1] == 1 and p.ops[i].dtype == p.ops[i].want:
                at[i] = element(p, &p.ops[i], position)
                if i == 0:
                    in_place = True
            else:
                at[i] = blocks[i]
                if i > 0 and not p.constant[i]:
                    fetch(p, <int> i, position, m, <char*> at[i], <char*> spare)
                elif i > 0 and position == start:
                    fetch(p, <int> i, position, min(stop - start, <i64> BLOCK), <char*> at[i], <char*> spare)
        if p.f != NULL:
            p.f(at, m, p.k)
        elif in_place:
            memcpy(at[0], at[1], <size_t> (m * ITEMSIZE[y.want]))
        else:
            at[0] = at[1]
        if not in_place:
            if y.dtype != y.want:
                K.convert.cast[y.want][y.dtype](spare, at[0], m)
                at[0] = spare
            transfer(p, y, position, m, <char*> at[0], False)
        position += m


cdef int execute(plan* p, int ndim, const i64* shape) except -1:
    cdef i64 i, chunks
    cdef int d, nt
    p.numel = 1
    for d in range(ndim):
        p.numel *= shape[d]
    if p.numel == 0:
        return 0
    arrange(p, shape, ndim)
    nt = team(p.numel)
    if p.numel < SMALL:
        work_on(p, 0, p.numel)
    elif nt == 1:
        with nogil:
            work_on(p, 0, p.numel)
    else:
        chunks = (p.numel + CHUNK - 1) // CHUNK
        for i in prange(chunks, num_threads=nt, schedule="static", nogil=True):
            spread()
            work_on(p, i * CHUNK, min(p.numel, (i + 1) * CHUNK))
    return 0


cdef int run(mtb_loop f, int n, operand* ops, int ndim, const i64* shape, const double* k) except -1:
    cdef plan p
    p.f, p.k, p.n = f, k, n
    memcpy(p.ops, ops, n * sizeof(operand))
    return execute(&p, ndim, shape)


cdef int copy(operand* dst, operand* src, int ndim, const i64* shape) except -1:
    cdef plan p
    p.f, p.k, p.n = NULL, NULL, 2
    p.ops[0] = dst[0]
    p.ops[1] = src[0]
    p.ops[0].want = dst.dtype
    p.ops[1].want = dst.dtype
    return execute(&p, ndim, shape)
