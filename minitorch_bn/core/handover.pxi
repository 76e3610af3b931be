# Nodes that leave their backward to the one before: a batch norm undoes the ReLU of its result, or of a sum with it.

cdef vjp_t relu_source = NULL, masked_vjp = NULL
cdef ready_t relu_source_ready = NULL
cdef summed_t summed_vjp = NULL


cdef int fuse_relu_backward(vjp_t vjp, vjp_t masked, ready_t ready, summed_t summed) except -1:
    global relu_source, masked_vjp, relu_source_ready, summed_vjp
    relu_source, masked_vjp, relu_source_ready, summed_vjp = vjp, masked, ready, summed
    return 0


cdef int expendable(Node n, Tensor g, Py_ssize_t held) except -1:
    """Whether n may write its gradient over g, the one that it was given: only `held` references of the engine's lead
    to that memory, and nobody looks at g afterwards."""
    settle_all()
    return (references(<PyObject*> g) == held and references(<PyObject*> g.storage) == 1 and defers(g)
            and n.post_hooks is None and not mtb_grad_mode and not anomaly)


cdef inline bint unwatched(Node n) noexcept:
    return n.pre_hooks is None and n.post_hooks is None and n.retain is None


cdef Node only_reader(_Run run, object edge):
    """The node before, if it is not watched and gets a gradient from here alone; or None."""
    cdef slot* s
    if not isinstance(edge, Node) or (<Node> edge).released or not unwatched(<Node> edge):
        return None
    s = run.find(<PyObject*> edge)
    return <Node> edge if s != NULL and s.edges == 1 and s.grad == NULL else None


cdef Node heir(_Run run, Node n):
    """The node before the ReLU n, if it can do n's work too unnoticed: a batch norm, or a sum with one."""
    cdef Node m
    if n.vjp != elementwise_vjp or anomaly or not fusion or n.aux is not None or not unwatched(n) or \
            n.saved_output != 0:
        return None
    m = only_reader(run, n.e0)
    if m is None:
        return None
    if m.vjp == relu_source and relu_source_ready(m):
        return m
    if m.op == OP_ADD and m.vjp == elementwise_vjp and m.aux is None and m.e0 is not None and m.e1 is not None and \
            (summand(run, m.e0) is not None or summand(run, m.e1) is not None):
        return m
    return None


cdef bint hands_on(_Run run, Node n, object g, object more) except -1:
    """Let the node before the ReLU n do its work, if it can. With `more`, still to be added to g, that is a sum."""
    cdef Node m = heir(run, n)
    cdef slot* s
    if m is None:
        return False
    s = run.find(<PyObject*> m)
    s.masked = True
    if m.vjp == elementwise_vjp:
        both = (g, saved(n, 0), more)
        Py_INCREF(both)
        s.grad = <PyObject*> both
    else:
        check_version(n, n.s0, n.v0)  # the error if it was overwritten
        run.receive(m, n.i0, g, False)
    return True


cdef bint hands_sum_on(_Run run, Node n) except -1:
    """Whether the heir of n takes its gradient in two parts."""
    cdef Node m = heir(run, n)
    return m is not None and m.vjp == elementwise_vjp


cdef bint adds_later(object edge, Tensor a, Tensor b):
    """Whether a + b, which arrived at a ReLU, may wait for a sum with a batch norm to take it in two parts."""
    cdef Node n, m
    if not isinstance(edge, Node) or (<Node> edge).op != OP_RELU or not isinstance((<Node> edge).e0, Node):
        return False
    n, m = <Node> edge, <Node> (<Node> edge).e0
    return (n.vjp == elementwise_vjp and m.op == OP_ADD and m.vjp == elementwise_vjp
            and (is_source(m.e0) or is_source(m.e1)) and a.dtype == b.dtype and same_memory_order(a, b))


cdef inline bint is_source(object edge):
    return isinstance(edge, Node) and (<Node> edge).vjp == relu_source


cdef Node summand(_Run run, object edge):
    """The batch norm whose result the edge is, if its backward may undo the ReLU of a sum; or None."""
    cdef Node n = only_reader(run, edge)
    return n if n is not None and n.vjp == relu_source else None


cdef int sum_at_once(_Run run, Node sum_, tuple both, bint keep_graph) except -1:
    """The backward of z = relu(a + b), with that of the batch norm that made a (or b) in one pass. `both`: z's
    gradient, z, and what is still to be added to the gradient, or None. What the batch norm gives waits for its turn,
    so that everything is added in the order of any backward."""
    cdef Node n = summand(run, sum_.e0)
    cdef Tensor g = <Tensor> both[0], z = <Tensor> both[1]
    cdef bint first = n is not None
    cdef slot* s
    if n is None:
        n = summand(run, sum_.e1)
    result, masked = summed_vjp(n, g, both[2], z, expendable(n, g, 2))    # `both` holds it, too
    if result is not None:
        s = run.find(<PyObject*> n)
        s.ready = True
        Py_INCREF(result)
        s.grad = <PyObject*> result
        if not keep_graph:
            release(n)
    if not first or result is None:
        run.receive(sum_.e0, sum_.i0, masked, False)
    if first or result is None:
        run.receive(sum_.e1, sum_.i1, masked, False)
    if not keep_graph:
        release(sum_)
    return 0
