"""The driver of random draws: cuts a draw into chunks of whole groups, which any thread may make in any order."""
from minitorch_bn.kernels.runtime cimport K, MTB_i32, MTB_i64, ceil_div, give, run_tasks, take

cdef enum:
    CHUNK = 8192           # elements; a multiple of every group
    UNIFORM = 0
    NORMAL = 1
    INTEGERS = 2
    BERNOULLI = 3
    DROPOUT = 4
    MASKED_SCALE = 5

ctypedef struct job:
    const mtb_random* table
    int kind, itemsize
    i64 n
    mtb_draw draw
    char* out
    uint8_t* mask
    const char* x
    double a, b            # the limits, or mean and deviation, or (b) the scale
    i64 lo
    uint64_t range         # of integers; of masks, the threshold


cdef void run_chunk(void* plan, i64 c) noexcept nogil:
    cdef job* j = <job*> plan
    cdef i64 first = c * CHUNK, n = min(CHUNK, j.n - first)
    cdef char* out = j.out + first * j.itemsize
    cdef uint64_t group = <uint64_t> first * (j.itemsize // 4) // MTB_GROUP_WORDS
    cdef uint64_t mask_group = <uint64_t> first // MTB_GROUP_WORDS
    if j.kind == UNIFORM:
        j.table.uniform(out, n, group, &j.draw, j.a, j.b)
    elif j.kind == NORMAL:
        j.table.normal(out, n, group, &j.draw, j.a, j.b)
    elif j.kind == INTEGERS:
        j.table.integers(<i64*> out, n, group, &j.draw, j.lo, j.range)
    elif j.kind == BERNOULLI:
        j.table.bernoulli(j.mask + first, n, mask_group, &j.draw, j.range)
    elif j.kind == DROPOUT:
        j.table.dropout(out, j.mask + first, j.x + first * j.itemsize, n, mask_group, &j.draw, j.range, j.b)
    else:
        j.table.masked_scale(out, j.mask + first, j.x + first * j.itemsize, n, j.b)


cdef int run(job* j, int cost) except -1:
    """`cost`: of one element, in simple element operations."""
    run_tasks(run_chunk, j, ceil_div(j.n, CHUNK), j.n * cost)
    return 0


cdef inline job new_job(int kind, int real, i64 n):
    cdef job j
    j.kind = kind
    j.table = <const mtb_random*> K.random[real]
    j.itemsize = 8 if real == 1 or kind == INTEGERS else 4
    j.n = n
    j.out = NULL
    j.x = NULL
    j.mask = NULL
    j.a = j.b = 0
    j.lo = j.range = 0
    j.draw.seed = j.draw.offset = 0
    return j


cdef int uniform(int real, void* out, i64 n, mtb_draw d, double lo, double hi) except -1:
    cdef job j = new_job(UNIFORM, real, n)
    j.out, j.draw, j.a, j.b = <char*> out, d, lo, hi
    return run(&j, 4)


cdef int normal(int real, void* out, i64 n, mtb_draw d, double mean, double std) except -1:
    cdef job j = new_job(NORMAL, real, n)
    j.out, j.draw, j.a, j.b = <char*> out, d, mean, std
    return run(&j, 16)


cdef int integers(i64* out, i64 n, mtb_draw d, i64 lo, uint64_t range) except -1:
    cdef job j = new_job(INTEGERS, 0, n)
    j.out, j.draw, j.lo, j.range = <char*> out, d, lo, range
    return run(&j, 4)


cdef uint64_t threshold(double probability) noexcept nogil:
    """The number of 32-bit words that stand for success."""
    if not probability > 0:
        return 0
    return <uint64_t> (min(probability, 1.0) * 4294967296.0 + 0.5)


cdef int bernoulli(uint8_t* out, i64 n, mtb_draw d, double probability) except -1:
    cdef job j = new_job(BERNOULLI, 0, n)
    j.mask, j.draw, j.range = out, d, threshold(probability)
    return run(&j, 2)


cdef int dropout(int real, void* y, uint8_t* mask, const void* x, i64 n, mtb_draw d, double keep) except -1:
    """mask ~ Bernoulli(keep), y = mask ? x / keep : 0."""
    cdef job j = new_job(DROPOUT, real, n)
    j.out, j.mask, j.x, j.draw = <char*> y, mask, <const char*> x, d
    j.range, j.b = threshold(keep), 1 / keep if keep > 0 else 0.0
    return run(&j, 4)


cdef int masked_scale(int real, void* y, const uint8_t* mask, const void* x, i64 n, double scale) except -1:
    cdef job j = new_job(MASKED_SCALE, real, n)
    j.out, j.mask, j.x, j.b = <char*> y, <uint8_t*> mask, <const char*> x, scale
    return run(&j, 1)


cdef void permute(void* to, bint wide, i64 n, const mtb_draw* d, i64* words) noexcept nogil:
    cdef const mtb_random* t = <const mtb_random*> K.random[0]
    cdef i64 i = 0, count
    while i < n:
        count = min(CHUNK, n - i)
        t.integers(words, count, <uint64_t> i * 2 // MTB_GROUP_WORDS, d, 0, 0)
        t.shuffle(to, wide, i, words, count)
        i += count


cdef int permutation(i64* out, i64 n, mtb_draw d) except -1:
    """Fisher and Yates' shuffle: exchange i takes 64-bit word i of the draw. It is made in int32 while that holds n: a
    cache keeps twice as many."""
    cdef bint wide = n > 0x7fffffff
    cdef size_t words_size = min(CHUNK, max(n, 1)) * sizeof(i64), size = words_size + (0 if wide else n * 4)
    cdef i64* words = <i64*> take(size)
    cdef void* to = <void*> out if wide else <char*> words + words_size
    if n < CHUNK:
        permute(to, wide, n, &d, words)
    else:
        with nogil:
            permute(to, wide, n, &d, words)
    if not wide:
        K.convert.cast[MTB_i32][MTB_i64](out, to, n)
    give(words, size)
    return 0


def philox(counter, key):
    """The four 32-bit words of a Philox 4x32-10 block (for tests against the published vectors)."""
    cdef uint32_t[4] c, out
    cdef uint32_t[2] k
    cdef int i
    for i in range(4):
        c[i] = counter[i]
    for i in range(2):
        k[i] = key[i]
    (<const mtb_random*> K.random[0]).block(out, c, k)
    return [out[i] for i in range(4)]
