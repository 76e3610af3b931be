# What a profiler sees of the core: element-wise operations, indexing and nodes that run backward, each when it ended.

cdef object tracer = None    # the profiler's, while one records: called with a name, the start in ns, and the arguments


def set_tracer_(function):
    """Have `function(name, start, arguments)` called at the end of each operation; None: no more."""
    global tracer
    tracer = function


cdef inline i64 begun() noexcept:
    """The time now if somebody wants to know, else 0."""
    return 0 if tracer is None else now()


cdef i64 now() noexcept:
    return perf_counter_ns()


cdef int ended(str name, i64 start, tuple arguments) except -1:
    """Report an operation that started when `begun` said so."""
    if tracer is not None:  # or it was taken away meanwhile
        tracer(name, start, arguments)
    return 0


cdef object traced(int op, object a, object b, object c, const double* k, object out, bint inplace):
    """An element-wise operation by its general path, of the same bits, so that the fast ones need not look twice."""
    cdef i64 start = now()
    y = None
    if deferred and (inplace or out is None) and (op == OP_RELU or op == OP_ADD):
        y = fused(op, a, b, inplace)
    if y is None:
        y = elementwise_general(op, a, b, c, k, out, inplace)
    ended(f"aten::{op_names[op]}{'_' if inplace else ''}", start, (a, b, c)[:mtb_ops[op].arity])
    return y
