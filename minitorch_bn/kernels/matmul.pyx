"""Matrix products: cuts C into blocks for the threads, and each block into K blocks, packed panels and register tiles.

The order of the additions behind one element of C (src_c/api/gemm.h) is the same on every path below, so neither the
blocking, nor the other rows and columns, nor the number of threads shows in the bits of a result. Why there are these
paths, and what each is worth: docs/kernels/matmul.md.
"""
from cython.parallel cimport parallel, prange, threadid
from libc.stdint cimport uint64_t

from minitorch_bn.kernels.runtime cimport K, enter, give, i64, leave, share_tasks, spread, take, team

cdef enum:
    A_BYTES = 192 << 10      # a packed block of A, rows x KC: half of a small second-level cache
    SHARED_BYTES = 4 << 20   # of packed B (or A) that all threads read
    COLUMNS = 2048           # of B that are packed together
    FEW_ROWS = 48            # with so few rows, packing contiguous rows of B costs more than it saves
    FEW_COLUMNS = 64         # the same for A
    SMALL_A = 32 << 10       # bytes: A stays in the first-level cache as it is
    CHUNK = 8                # panels that a task packs at a time
    FEW = 4                  # tiles, or panels, that one task of packing takes
    MANY = 32                # tiles for each thread
    PIECE = 32               # rows that are packed at a time
    ROUND = 64               # K blocks that are summed apart, then added
    BEYOND_CACHE = 4 << 20   # bytes of a matrix that is read at the speed of memory
    SMALL_C = 1 << 15        # elements: few enough to keep a copy for each K block

# Where a block of an operand is read from: its own place; a copy in the scratch of the thread; or one that all share.
cdef enum place:
    RAW, OWN, SHARED

cdef struct product:         # what every task of one call reads
    const mtb_gemm* kernel
    i64 size                 # bytes of an element
    i64 m, n, k, rsa, csa, rsb, csb, ldc
    const char* a
    const char* b
    char* c
    const char* bias
    bint accumulate, row_b
    place a_in, b_in
    i64 step                 # rows of a tile
    i64 mc, nc, row_blocks, column_blocks            # the block of C that is one task
    i64 ks, ns               # the part of B that is packed at a time
    i64 k0, k1, j0, j1       # that part
    i64 tiles, panels        # of A, and of that part of B
    i64 tile_size            # elements that a packed tile of A takes, and what packing writes past it
    char* shared_a           # (K block, tile)
    char* shared_b           # (K block, panel)
    i64 panels_at, scratch   # bytes: where panels of B start in a thread's scratch, after tiles of A; all of it
    int ndim
    const i64* shape
    const i64* batch_a
    const i64* batch_b
    const i64* batch_c
    i64 spans                # of a product with a vector
    char* sums               # of its spans; or of K blocks


cdef struct corner:
    const char* a
    const char* b
    char* c


cdef inline i64 up(i64 x, i64 multiple) noexcept nogil:
    return (x + multiple - 1) // multiple * multiple


cdef inline i64 parts(i64 x, i64 size) noexcept nogil:
    return (x + size - 1) // size


cdef corner locate(const product* q, i64 batch, i64 i, i64 j) noexcept nogil:
    """Row i of A, column j of B and element (i, j) of C, of one matrix of the batch."""
    cdef corner start
    cdef i64 at_a = i * q.rsa, at_b = j * q.csb, at_c = i * q.ldc + j, d, at
    for d in range(q.ndim - 1, -1, -1):
        at = batch % q.shape[d]
        batch //= q.shape[d]
        at_a += at * q.batch_a[d]
        at_b += at * q.batch_b[d]
        at_c += at * q.batch_c[d]
    start.a, start.b, start.c = q.a + at_a * q.size, q.b + at_b * q.size, q.c + at_c * q.size
    return start


include "matvec.pxi"


# -- a block of C ------------------------------------------------------------------------------------------------------

cdef void pack_panels(const product* q, char* dst, i64 dst_step, i64 width, const char* src, i64 sj, i64 n, i64 sk,
                      i64 k) noexcept nogil:
    """n columns to panels of that width, dst_step elements apart. Rows are read a few at a time, for all panels: what
    is left of a line must not go before its turn comes, as it would where rows lie 4 KB apart."""
    cdef i64 p = 0, j, panel, piece = k if sk == 1 else <i64> PIECE
    while p < k:
        for panel in range(parts(n, width)):
            j = panel * width
            q.kernel.pack(dst + (panel * dst_step + p * width) * q.size, width, src + (j * sj + p * sk) * q.size, sj,
                          min(width, n - j), sk, min(piece, k - p))
        p += piece


cdef void k_block(const product* q, i64 i0, i64 m, i64 j0, i64 n, i64 p, i64 k, const char* a, const char* b, char* c,
                  i64 ldc, bint add, const char* bias, char* scratch) noexcept nogil:
    """m by n of C, from (i0, j0), and one K block, from p; a, b, c: where they start."""
    cdef const mtb_gemm* kernel = q.kernel
    cdef i64 size = q.size, rsa = q.rsa, csa = q.csa, step = q.step, a_step = step * rsa, t, columns, j = 0
    cdef char* panels = scratch + q.panels_at
    if q.row_b:
        kernel.row(n, k, a, csa, b, q.csb, c, add, bias)
        return
    if q.a_in != RAW:
        rsa, csa, a_step = 1, step, q.tile_size
        if q.a_in == OWN:
            pack_panels(q, scratch, a_step, step, a, q.rsa, m, q.csa, k)
            a = scratch
        else:
            a = q.shared_a + ((p - q.k0) // MTB_KC * q.tiles + i0 // step) * a_step * size
    if q.b_in == RAW and n >= kernel.vl:            # except columns that do not fill a vector
        j = n - n % kernel.vl
        for t in range(parts(m, step)):
            kernel.strip(min(step, m - t * step), j, k, a + t * a_step * size, rsa, csa, b, q.rsb,
                         c + t * step * ldc * size, ldc, add, bias, NULL)
    while j < n:
        columns = n - j
        if q.b_in == SHARED:
            t = (p - q.k0) // MTB_KC * q.panels * MTB_KC + (j0 - q.j0) // kernel.nr * k
            panels = q.shared_b + t * kernel.nr * size
        else:
            columns = min(columns, CHUNK * kernel.nr)
            pack_panels(q, panels, kernel.nr * k, kernel.nr, b + j * q.csb * size, q.csb, columns, q.rsb, k)
        kernel.block(m, step, columns, k, a, a_step, rsa, csa, panels, c + j * size, ldc, add,
                     bias + j * size if bias != NULL else NULL)
        j += columns


cdef void block_task(const void* plan, i64 index, char* scratch) noexcept nogil:
    """One block of C of one matrix of the batch."""
    cdef const product* q = <const product*> plan
    cdef i64 batch = index // (q.row_blocks * q.column_blocks), p = q.k0, k
    cdef i64 row = index // q.column_blocks % q.row_blocks, j0 = q.j0 + index % q.column_blocks * q.nc
    cdef i64 i0 = row * q.tiles // q.row_blocks * q.step            # as even as tiles allow; never above mc rows
    cdef i64 m = min((row + 1) * q.tiles // q.row_blocks * q.step, q.m) - i0, n = min(q.nc, q.j1 - j0)
    cdef corner at = locate(q, batch, i0, j0)
    while True:                                     # K blocks; just one, and empty, if k = 0
        k = min(q.k1 - p, <i64> MTB_KC)
        k_block(q, i0, m, j0, n, p, k, at.a + p * q.csa * q.size, at.b + p * q.rsb * q.size, at.c, q.ldc,
                q.accumulate or p > 0, q.bias + j0 * q.size if q.bias != NULL and p + k == q.k else NULL, scratch)
        p += k
        if p == q.k1:
            break


cdef void pack_a_task(const void* plan, i64 index, char* scratch) noexcept nogil:
    """A few tiles of A, one K block, for all threads."""
    cdef const product* q = <const product*> plan
    cdef i64 blocks = parts(q.k1 - q.k0, MTB_KC), p = index % blocks * MTB_KC, first = index // blocks * FEW
    cdef corner at = locate(q, 0, first * q.step, 0)
    pack_panels(q, q.shared_a + (p // MTB_KC * q.tiles + first) * q.tile_size * q.size, q.tile_size, q.step,
                at.a + (q.k0 + p) * q.csa * q.size, q.rsa, min(FEW * q.step, q.m - first * q.step), q.csa,
                min(q.k1 - q.k0 - p, <i64> MTB_KC))


cdef void pack_b_task(const void* plan, i64 index, char* scratch) noexcept nogil:
    """A few panels of B, one K block, for all threads."""
    cdef const product* q = <const product*> plan
    cdef i64 blocks = parts(q.k1 - q.k0, MTB_KC), p = index % blocks * MTB_KC, first = index // blocks * FEW
    cdef i64 k = min(q.k1 - q.k0 - p, <i64> MTB_KC), nr = q.kernel.nr
    cdef corner at = locate(q, 0, 0, q.j0 + first * nr)
    pack_panels(q, q.shared_b + (p // MTB_KC * q.panels * MTB_KC + first * k) * nr * q.size, nr * k, nr,
                at.b + (q.k0 + p) * q.rsb * q.size, q.csb, min(FEW * nr, q.j1 - q.j0 - first * nr), q.rsb, k)


cdef void pack_both_task(const void* plan, i64 index, char* scratch) noexcept nogil:
    """The tasks of both, spread evenly, so that a thread packs the rows and the columns that it will take."""
    cdef const product* q = <const product*> plan
    cdef i64 blocks = parts(q.k1 - q.k0, MTB_KC), a = parts(q.tiles, FEW) * blocks
    cdef i64 both = a + parts(q.panels, FEW) * blocks, before = index * a // both
    if (index + 1) * a // both > before:
        pack_a_task(plan, before, scratch)
    else:
        pack_b_task(plan, index - before, scratch)


cdef void run(const product* q, i64 tasks, int threads, char* scratch, bint brief) noexcept:
    """Packs what is shared, then computes."""
    cdef i64 i, blocks = parts(q.k1 - q.k0, MTB_KC)
    if brief:                                       # as long as giving the GIL away takes
        for i in range(tasks):
            block_task(q, i, scratch)
        return
    if q.a_in == SHARED and q.b_in == SHARED:
        share_tasks(pack_both_task, q, (parts(q.tiles, FEW) + parts(q.panels, FEW)) * blocks, threads, scratch, 0)
    elif q.a_in == SHARED:
        share_tasks(pack_a_task, q, parts(q.tiles, FEW) * blocks, threads, scratch, 0)
    elif q.b_in == SHARED:
        share_tasks(pack_b_task, q, parts(q.panels, FEW) * blocks, threads, scratch, 0)
    share_tasks(block_task, q, tasks, threads, scratch, q.scratch)


# -- the choice of a path ----------------------------------------------------------------------------------------------

cdef void share_out(product* q, i64 matrices, int threads) noexcept nogil:
    """Tasks that pack for themselves: small or narrow products, or many of them."""
    cdef const mtb_gemm* kernel = q.kernel
    cdef i64 column_unit = kernel.nr, few = FEW_ROWS
    q.row_b = q.m == 1 and q.rsb == 1
    if q.k >= 128:                                  # rows so far apart keep each other out of a cache
        few = 20 if q.rsb * q.size % 1024 == 0 else 36
    q.b_in = RAW if q.csb == 1 and q.m <= few and not q.row_b else OWN
    q.a_in = RAW
    if (q.n > FEW_COLUMNS and q.m * min(q.k, <i64> MTB_KC) * q.size > SMALL_A
            or q.csa != 1 and q.n > 8 and q.m > q.step
            and (q.n > FEW_COLUMNS or q.k > 32 and q.csa * min(q.k, <i64> MTB_KC) * q.size > SMALL_A)):
        q.a_in = OWN
    if q.b_in == RAW or q.row_b:                    # long runs of each row of B; or enough columns to hide a latency
        column_unit *= 2 if q.row_b else 4
    q.mc = min(up(q.m, q.step), max(<i64> 1, 2 * A_BYTES // (MTB_KC * q.size) // q.step) * q.step)
    q.nc = column_unit if q.row_b else up(q.n, column_unit)     # all of K for a few columns: they lie together
    while threads > 1 and matrices * parts(q.m, q.mc) * parts(q.n, q.nc) < 4 * threads:
        if q.nc > column_unit and (q.nc >= 2 * q.mc or q.mc <= 2 * q.step):
            q.nc = up(q.nc // 2, column_unit)
        elif q.mc > q.step:
            q.mc = up(q.mc // 2, q.step)
        else:
            break


cdef void share_in(product* q, int threads) noexcept nogil:
    """Large products, each element packed once: with many rows, a task takes some and packs its part of A, all share
    a packed B; with many columns, the other way round; else all share both. A thread may be late: many tasks."""
    cdef i64 tiles = q.tiles, panels = parts(min(q.n, <i64> COLUMNS), q.kernel.nr), blocks, rows = 0
    q.ns = min(q.n, <i64> COLUMNS)
    q.row_b, q.a_in, q.b_in = False, OWN, SHARED
    q.mc, q.nc = tiles * q.step, panels * q.kernel.nr
    if tiles >= MANY * threads:
        blocks = parts(tiles, A_BYTES // (MTB_KC * q.size * q.step))
        q.mc = parts(tiles, up(max(blocks, <i64> 4 * threads), threads)) * q.step
    elif panels >= MANY * threads:
        q.a_in, q.b_in = SHARED, OWN
        q.ns = q.n
        q.nc = min(<i64> CHUNK, parts(panels, 4 * threads)) * q.kernel.nr
        rows = q.m
    else:
        q.a_in = SHARED
        rows = q.m
        q.nc = parts(panels, 8 * threads) * q.kernel.nr
        q.mc = parts(tiles, parts(4 * threads, parts(panels * q.kernel.nr, q.nc))) * q.step
    rows = max(rows, q.ns if q.b_in == SHARED else 0)
    if rows > 0:
        q.ks = max(<i64> 1, SHARED_BYTES // (rows * MTB_KC * q.size)) * MTB_KC


# -- few elements, each a long sum -------------------------------------------------------------------------------------

cdef void apart(const product* q, i64 index, char* scratch) noexcept nogil:
    """One K block of all of C, written to a place of its own."""
    cdef i64 p = q.k0 + index * MTB_KC, k = min(q.k - p, <i64> MTB_KC)
    k_block(q, 0, q.m, 0, q.n, p, k, q.a + p * q.csa * q.size, q.b + p * q.rsb * q.size,
            q.sums + index * q.m * q.n * q.size, q.n, False, NULL, scratch)


cdef void together(const product* q, i64 i) noexcept nogil:
    """Row i of these blocks, added in order."""
    q.kernel.total(q.n, parts(q.k1 - q.k0, MTB_KC), q.sums + i * q.n * q.size, q.m * q.n, q.c + i * q.ldc * q.size,
                   q.accumulate or q.k0 > 0, q.bias if q.k1 == q.k else NULL, 1)


cdef void sum_blocks(product* q, int threads, char* scratch) noexcept nogil:
    """A round of K blocks at a time."""
    cdef i64 i
    q.k0 = 0
    while q.k0 < q.k:
        q.k1 = min(q.k, q.k0 + ROUND * MTB_KC)
        with parallel(num_threads=threads):
            for i in prange(parts(q.k1 - q.k0, MTB_KC), schedule="static"):
                spread()
                apart(q, i, scratch + threadid() * q.scratch)
            for i in prange(q.m, schedule="static"):
                together(q, i)
        q.k0 = q.k1


cdef int batched_gemm(int real, int ndim, const i64* shape, i64 m, i64 n, i64 k,
                      const void* a, const i64* batch_a, i64 rsa, i64 csa,
                      const void* b, const i64* batch_b, i64 rsb, i64 csb,
                      void* c, const i64* batch_c, i64 ldc, bint accumulate, const void* bias_n) except -1:
    cdef product q
    cdef i64 matrices = 1, kb, e
    cdef int d, threads
    cdef corner at
    cdef char* memory
    cdef char* scratch
    cdef size_t shared_a = 0, shared_b = 0, bytes
    cdef double work
    cdef bint alone, long_sum
    for d in range(ndim):
        matrices *= shape[d]
    if m == 0 or n == 0 or matrices == 0:
        return 0
    if k == 0:                                      # nothing to read: A and B may be NULL
        a, b = c, c
    q.kernel = <const mtb_gemm*> K.gemm[real]
    q.size = 8 if real else 4
    q.m, q.n, q.k, q.rsa, q.csa, q.rsb, q.csb, q.ldc = m, n, k, rsa, csa, rsb, csb, ldc
    q.a, q.b, q.c, q.bias = <const char*> a, <const char*> b, <char*> c, <const char*> bias_n
    q.accumulate, q.ndim, q.shape = accumulate, ndim, shape
    q.batch_a, q.batch_b, q.batch_c = batch_a, batch_b, batch_c
    # multiply-adds are cheaper than element operations, as long as operands are in cache
    work = matrices * (<double> m * n * k * q.size / 36 + (<double> m * k + <double> k * n + <double> m * n) / 4)
    if n == 1:
        work = matrices * <double> m * q.size * (k / (4. if k <= 32 else 8.) if csa == 1 else max(k, <i64> 24) / 5.)
    threads = team(<i64> min(work, <double> (1 << 60)))
    if n == 1:
        return times_vector(&q, matrices, threads)
    kb = min(k, <i64> MTB_KC)
    q.step = q.kernel.mr
    q.tiles = parts(m, q.step)
    if m <= FEW_ROWS:
        q.step = parts(m, q.tiles)                  # rows shared out evenly
    q.tile_size = up(q.step * kb + q.kernel.vl, 16)
    q.ks, q.ns = max(k, <i64> 1), n
    long_sum = (threads > 1 and matrices < 2 * threads and k >= 4 * threads * MTB_KC
                and max(m, n) <= 512 and m * n <= SMALL_C)
    alone = (m <= FEW_ROWS or n <= FEW_COLUMNS or work <= 65536 or matrices >= 4 * threads > 4
             or matrices > 1 and m * n * k < 1 << 21)
    if long_sum or alone:
        share_out(&q, matrices, threads)
    else:
        share_in(&q, threads)
    if long_sum:
        q.mc, q.nc = m, n
        shared_a = up(ROUND * m * n * q.size, 64)
    q.row_blocks = parts(m, q.mc)
    q.panels_at = up(parts(q.mc, q.step) * q.tile_size * q.size, 64) if q.a_in == OWN else 0
    q.scratch = q.panels_at + up((kb * min(<i64> CHUNK, parts(q.nc, q.kernel.nr)) * q.kernel.nr + q.kernel.vl) * q.size,
                                 64)
    if q.a_in == SHARED:
        shared_a = up(parts(min(k, q.ks), MTB_KC) * q.tiles * q.tile_size * q.size, 64)
    if q.b_in == SHARED:
        shared_b = up(min(k, q.ks), MTB_KC) * up(q.ns, q.kernel.nr) * q.size
    bytes = shared_a + shared_b + q.scratch * threads
    memory = <char*> take(bytes)
    scratch = memory + shared_a + shared_b
    q.shared_a, q.shared_b, q.sums = memory, memory + shared_a, memory
    for e in range(1 if alone and not long_sum else matrices):
        q.a, q.b, q.c = <const char*> a, <const char*> b, <char*> c
        at = locate(&q, e, 0, 0)
        q.a, q.b, q.c = at.a, at.b, at.c
        if long_sum:
            sum_blocks(&q, threads, scratch)
            continue
        q.j0 = 0
        while q.j0 < n:
            q.j1 = min(n, q.j0 + q.ns)
            q.panels, q.column_blocks = parts(q.j1 - q.j0, q.kernel.nr), parts(q.j1 - q.j0, q.nc)
            q.k0 = 0
            while True:
                q.k1 = min(k, q.k0 + q.ks)
                run(&q, (matrices if alone else 1) * q.row_blocks * q.column_blocks, threads, scratch, work <= 4096)
                q.k0 = q.k1
                if q.k0 >= k:
                    break
            q.j0 = q.j1
    give(memory, bytes)
    return 0


cdef int gemm(int real, i64 m, i64 n, i64 k, const void* a, i64 rsa, i64 csa, const void* b, i64 rsb, i64 csb,
              void* c, i64 ldc, bint accumulate, const void* bias_n) except -1:
    return batched_gemm(real, 0, NULL, m, n, k, a, NULL, rsa, csa, b, NULL, rsb, csb, c, NULL, ldc, accumulate, bias_n)


cdef void integer_row(i64 i, i64 n, i64 k, const i64* a, i64 rsa, i64 csa, const i64* b, i64 rsb, i64 csb,
                      i64* c, i64 ldc) noexcept nogil:
    cdef i64 j, p
    cdef uint64_t x
    cdef uint64_t* row = <uint64_t*> c + i * ldc
    for j in range(n):
        row[j] = 0
    for p in range(k):
        x = <uint64_t> a[i * rsa + p * csa]
        for j in range(n):
            row[j] += x * <uint64_t> b[p * rsb + j * csb]


cdef int integer_gemm(i64 m, i64 n, i64 k, const i64* a, i64 rsa, i64 csa, const i64* b, i64 rsb, i64 csb,
                      i64* c, i64 ldc) except -1:
    cdef i64 i
    cdef int phase, threads = team(<i64> min(<double> m * n * k, <double> (1 << 60)))
    if threads > 1:
        phase = enter()
        for i in prange(m, num_threads=threads, schedule="static", nogil=True):
            spread()
            integer_row(i, n, k, a, rsa, csa, b, rsb, csb, c, ldc)
        leave(phase)
    else:
        for i in range(m):
            integer_row(i, n, k, a, rsa, csa, b, rsb, csb, c, ldc)
    return 0
