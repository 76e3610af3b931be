# How a driver runs the independent tasks of one operation: with the thread team, without the GIL, or just in a loop.
from cython.parallel cimport prange
from .runtime cimport i64, spread, team

ctypedef void (*task)(void* plan, i64 i) noexcept nogil

cdef enum:
    WORTH_RELEASING = 20000      # element operations that take as long as giving the GIL away and getting it back


cdef inline void run_tasks(task body, void* plan, i64 count, i64 work) noexcept:
    """body(plan, i) for i < count; work is the element operations of all. Tasks are cut by constants of the algorithm,
    never by the number of threads, and each writes memory of its own: who runs which makes no difference."""
    cdef i64 i
    cdef int threads = team(work)
    if threads > 1 and count > 1:
        for i in prange(count, num_threads=threads, schedule="static", nogil=True):
            spread()
            body(plan, i)
    elif work > WORTH_RELEASING:
        with nogil:
            for i in range(count):
                body(plan, i)
    else:
        for i in range(count):
            body(plan, i)


cdef inline i64 ceil_div(i64 a, i64 b) noexcept nogil:
    return (a + b - 1) // b
