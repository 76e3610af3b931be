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


cdef bint hands_on(_Run run, Node n, object g, bint keep_graph) except -1:
    """Whether the node before the ReLU n does its work too: nobody would notice."""
    cdef Node m
    cdef slot* s
    if n.vjp != elementwise_vjp or anomaly or not fusion or n.aux is not None or not unwatched(n) or \
            n.saved_output != 0:
        return False
    m = only_reader(run, n.e0)
    if m is None:
        return False
    if m.vjp == relu_source and relu_source_ready(m):
        check_version(n, n.s0, n.v0)  # the error if it was overwritten
        s = run.find(<PyObject*> m)
        s.masked = True
        run.receive(m, n.i0, g, False)
        return True
    if m.op == OP_ADD and m.vjp == elementwise_vjp and m.aux is None and m.e0 is not None and m.e1 is not None and \
            (summand(run, m.e0) is not None or summand(run, m.e1) is not None):
        both = (g, saved(n, 0))
        s = run.find(<PyObject*> m)
        s.masked = True
        Py_INCREF(both)
        s.grad = <PyObject*> both
        return True
    return False


cdef Node summand(_Run run, object edge):
    """The batch norm whose result the edge is, if its backward may undo the ReLU of a sum; or None."""
    cdef Node n = only_reader(run, edge)
    return n if n is not None and n.vjp == relu_source else None


cdef int sum_at_once(_Run run, Node sum_, tuple both, bint keep_graph) except -1:
    """The backward of z = relu(a + b), with that of the batch norm that made a (or b) in one pass. `both`: z's gradient
    and z. What the batch norm gives waits for its turn, so that everything is added in the order of any backward."""
    cdef Node n = summand(run, sum_.e0)
    cdef Tensor g = <Tensor> both[0], z = <Tensor> both[1]
    cdef bint first = n is not None
    cdef slot* s
    if n is None:
        n = summand(run, sum_.e1)
    result, masked = summed_vjp(n, g, z, expendable(n, g, 2))    # `both` holds it, too
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
