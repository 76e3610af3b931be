"""The driver of the optimizers: spreads chunks of all parameter tensors over the threads in one parallel region."""
from minitorch_bn.kernels.runtime cimport K, ceil_div, give, run_tasks, take

cdef enum:
    CHUNK = 16384          # elements

ctypedef struct chunk:
    slot* s
    i64 first

ctypedef struct job:
    const mtb_optim* table
    int itemsize
    const mtb_sgd* sgd      # one of the two is not NULL
    const mtb_adam* adam
    chunk* chunks


cdef inline char* at(char* p, i64 offset) noexcept nogil:
    return p + offset if p != NULL else NULL


cdef void step(job* j, slot* s, i64 first, i64 n) noexcept nogil:
    cdef i64 offset = first * j.itemsize
    if j.sgd != NULL:
        j.table.sgd(s.param + offset, s.grad + offset, at(s.first, offset), n, j.sgd)
    else:
        j.table.adam(s.param + offset, s.grad + offset, s.first + offset, s.second + offset, at(s.third, offset), n,
                     j.adam)


cdef void step_chunk(void* plan, i64 i) noexcept nogil:
    cdef job* j = <job*> plan
    cdef slot* s = j.chunks[i].s
    step(j, s, j.chunks[i].first, min(CHUNK, s.n - j.chunks[i].first))


cdef int run(job* j, int real, slot* slots, i64 count) except -1:
    cdef i64 i, first, total = 0, chunks = 0
    cdef size_t size
    j.table = <const mtb_optim*> K.optim[real]
    j.itemsize = 8 if real else 4
    for i in range(count):
        total += slots[i].n
        chunks += ceil_div(slots[i].n, CHUNK)
    if total < CHUNK:  # no list of chunks for a small model
        for i in range(count):
            step(j, &slots[i], 0, slots[i].n)
        return 0
    size = chunks * sizeof(chunk)
    j.chunks = <chunk*> take(size)
    chunks = 0
    for i in range(count):
        first = 0
        while first < slots[i].n:
            j.chunks[chunks].s = &slots[i]
            j.chunks[chunks].first = first
            first += CHUNK
            chunks += 1
    run_tasks(step_chunk, j, chunks, total * 4)
    give(j.chunks, size)
    return 0


cdef int sgd(int real, slot* slots, i64 count, const mtb_sgd* o) except -1:
    cdef job j
    j.sgd, j.adam = o, NULL
    return run(&j, real, slots, count)


cdef int adam(int real, slot* slots, i64 count, const mtb_adam* o) except -1:
    cdef job j
    j.sgd, j.adam = NULL, o
    return run(&j, real, slots, count)
