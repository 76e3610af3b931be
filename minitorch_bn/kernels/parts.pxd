# How a channel, `runs` runs of n values, `stride` apart, is cut: into parts to be summed, into blocks to be mapped.
from .runtime cimport ceil_div, i64

# The order of additions follows from these constants and the shape alone.
cdef enum:
    BLOCK = 16384      # values of a piece of a run; up to so many values of shorter runs are mapped in one call
    PART = 255         # runs of fewer values have their sums together, as many as are in so many values

# A part is what has sums of its own, which are merged in the order of parts: a run, but pieces of long ones, and short
# ones together. `all` parts in rows of `count`; rows are `row` elements apart, parts `apart`.
cdef struct Parts:
    i64 all, count, row, apart
    i64 runs, n, last_runs, last_n       # a part has `runs` runs of n values; the last of a row those


cdef inline i64 count_blocks(i64 runs, i64 n) noexcept nogil:
    return runs * ceil_div(n, BLOCK) if n > BLOCK else ceil_div(runs, BLOCK // n)


cdef inline void block(i64 runs, i64 n, i64 stride, i64 b, i64* offset, i64* count,
                       i64* length) noexcept nogil:
    """Block b as `count` runs of `length`, from `offset` on."""
    cdef i64 pieces, group
    if n > BLOCK:
        pieces = ceil_div(n, BLOCK)
        offset[0] = b // pieces * stride + b % pieces * BLOCK
        count[0], length[0] = 1, min(<i64> BLOCK, n - b % pieces * BLOCK)
    else:
        group = BLOCK // n
        offset[0] = b * group * stride
        count[0], length[0] = min(group, runs - b * group), n


cdef inline Parts cut(i64 runs, i64 n, i64 stride) noexcept nogil:
    cdef i64 count, group
    if n > BLOCK:
        count = ceil_div(n, BLOCK)
        return Parts(runs * count, count, stride, BLOCK, 1, BLOCK, 1, n - (count - 1) * BLOCK)
    group = max(<i64> 1, PART // n)
    count = ceil_div(runs, group)
    return Parts(count, count, 0, group * stride, group, n, runs - (count - 1) * group, n)


cdef inline i64 part_at(const Parts* g, i64 i, i64* runs, i64* n) noexcept nogil:
    """Part i as runs; the offset of its first element."""
    cdef i64 row = i // g.count, k = i - row * g.count
    runs[0] = g.last_runs if k + 1 == g.count else g.runs
    n[0] = g.last_n if k + 1 == g.count else g.n
    return row * g.row + k * g.apart
