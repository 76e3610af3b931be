# The engine: runs a graph backward, each node once, after everything that uses its output: backward() and grad().

cdef object run_node(Node n, object g):
    """A node's vjp: g is a Tensor (or for several outputs a sequence) -> a Tensor or None, or a tuple of them."""
    cdef Tensor t
    cdef tuple own = ()
    if n.released and (n.fn is None and n.vjp == NULL):
        raise_released()
    if n.vjp != NULL:
        return n.vjp(n, g)
    if n.saved_more is not None:
        for t, version, number in n.saved_more:
            check_version(n, t, version)
            if number >= 0:
                if mtb_grad_mode:
                    t = alias_of(t)
                    t.node, t.out_nr = n, number
                own += (t,)
    if n.fn is None:
        raise_released()
    args = (g,) if n.nout == 1 else tuple(g)
    if n.saved_output >= 0:
        args += (saved(n, n.saved_output),)
    return n.fn(*(args + own))


cdef tuple kinds_of(object grads):
    return tuple([None if g is None else (shape_tuple(g), (<Tensor> g).dtype) for g in grads])


cdef tuple called(object hook, tuple given, tuple kinds, tuple grads):
    """The gradients after hook(*given), which may replace them (a tensor, or a tuple) by others of their kinds: the
    kernels that read them trust in their shapes."""
    result = hook(*given)
    if result is not None:
        grads = result if isinstance(result, tuple) else (result,)
    if len(grads) != len(kinds):
        raise RuntimeError(f"hook has returned an incorrect number of values: {len(grads)} instead of {len(kinds)}")
    for kind, g in zip(kinds, grads):
        if g is None:
            continue
        if not isinstance(g, Tensor):
            raise TypeError(f"a hook must return None or Tensors, not {type(g).__name__}")
        if kind is None:
            raise RuntimeError("hook can't replace a None gradient with a non-None value")
        if shape_tuple(g) != kind[0]:
            raise RuntimeError(f"hook has changed the size of value: from {list(kind[0])} to {list(shape_tuple(g))}")
        if (<Tensor> g).dtype != kind[1]:
            raise RuntimeError(f"hook has changed the type of value (was {dtype_object(kind[1])} got "
                               f"{dtype_object((<Tensor> g).dtype)})")
    return grads


cdef object run_hooks(dict hooks, object grad):
    """Tensor hooks: each may replace the gradient."""
    cdef tuple kinds = kinds_of((grad,))
    for hook in list(hooks.values()):
        grad = called(hook, (grad,), kinds, (grad,))[0]
    return grad


cdef object before_node(Node n, object g):
    """Pre-hooks of a node: retained gradients, tensor hooks by output, and hooks on the node itself."""
    single = n.nout == 1
    grads = [g] if single else list(g)
    cdef tuple kinds = kinds_of(grads)
    for kind, hook in list(n.pre_hooks.values()):
        if kind < 0:
            grads = list(called(hook, (tuple(grads),), kinds, tuple(grads)))
        elif grads[kind] is not None:
            grads[kind] = called(hook, (grads[kind],), kinds[kind:kind + 1], (grads[kind],))[0]
    return grads[0] if single else grads


cdef object keep_grads(Node n, object g):
    """retain_grad() of non-leaf tensors."""
    for nr, ref in list(n.retain.items()):
        tensor_ = ref()
        grad = g if n.nout == 1 else g[nr]
        if tensor_ is not None and grad is not None:
            (<Tensor> tensor_).grad_ = grad if (<Tensor> tensor_).grad_ is None else add((<Tensor> tensor_).grad_, grad)
    return None


cdef extern from *:
    Py_ssize_t references "Py_REFCNT"(PyObject*) noexcept    # of a borrowed pointer: Cython's own would count too


cdef bint may_become_grad(Tensor leaf, Tensor g) noexcept:
    """Whether g is a block of memory of its own, in the memory order that a gradient of leaf has."""
    cdef int d
    for d in range(leaf.ndim):
        if g.strides[d] != leaf.strides[d] and g.shape[d] > 1:
            return False
    return references(<PyObject*> g.storage) == 1 and is_dense(g)


cdef int accumulate(Tensor leaf, Tensor g, bint create_graph, bint alone) except -1:
    """leaf.grad += g. `alone`: nobody else holds g, so it may become the gradient without a copy."""
    cdef Tensor grad
    if leaf.hooks is not None and "tensor" in leaf.hooks:
        g = run_hooks(leaf.hooks["tensor"], g)
        alone = False
    if g.dtype != leaf.dtype:
        g = cast(g, leaf.dtype)
    grad = leaf.grad_
    if grad is None:
        if create_graph:
            leaf.grad_ = g
        elif alone and may_become_grad(leaf, g):
            g.node, g.base = None, None
            leaf.grad_ = g
        else:
            grad = new_like(leaf, leaf.dtype)
            copy_into(grad, g)
            leaf.grad_ = grad
    elif create_graph:
        leaf.grad_ = add(grad, g)
    else:
        elementwise_inplace(OP_ADD, grad, g, None, NULL)
    if leaf.hooks is not None and "post" in leaf.hooks:
        for hook in list(leaf.hooks["post"].values()):
            hook(leaf)
    return 0


cdef int release(Node n) except -1:
    """Drop what the node saved: a second backward is then an error. A factor that is a number counts as saved."""
    if n.scalar_at and (n.op == OP_MUL or n.op == OP_DIV):
        n.released = True
    if n.s0 is not None or n.s1 is not None or n.s2 is not None or n.fn is not None or n.saved_more is not None:
        n.released = True
        n.s0 = n.s1 = n.s2 = None
        n.saved_more = None
        if n.vjp == NULL:
            n.fn = None
    return 0


cdef object backward_pass(list roots, list root_numbers, list grads, list targets, bint keep_graph, bint create_graph,
                          bint into_leaves):
    """Run the graph. Without `targets` every leaf accumulates; with them their gradients are returned (or
    accumulated)."""
    cdef _Run run = _Run.__new__(_Run)
    cdef Py_ssize_t i, j
    cdef slot* s
    cdef Node n
    cdef Tensor leaf
    cdef int mode = mtb_grad_mode
    cdef i64 start
    cdef dict found = None
    cdef list target_edges = None
    if targets is not None:
        target_edges, found = [], {}
        for leaf in targets:
            edge = node_of(leaf)
            target_edges.append(leaf if edge is None else edge)
    run.discover(roots)
    run.mark_needed(target_edges)
    mtb_set_grad_mode(create_graph)
    try:
        for i in range(len(roots)):
            run.receive(roots[i], root_numbers[i], grads[i], create_graph)
        grads = None
        for j in range(run.count):
            i = run.order[j]
            s = &run.slots[i]
            if s.grad == NULL or not s.needed:
                continue
            node = <object> s.node
            more = None
            if s.more != NULL:
                more = run.take_more(s)
                if targets is not None or create_graph or not hands_sum_on(run, <Node> node):
                    run.add_up(s, <Tensor> more, create_graph)
                    more = None
            g = run.take_grad(s)
            start = begun()
            if isinstance(node, Tensor):
                leaf = <Tensor> node
                if targets is None or into_leaves:
                    if into_leaves and targets is not None and not contains(targets, leaf):
                        continue
                    alone = Py_REFCNT(g) == 1 or s.owned
                    accumulate(leaf, <Tensor> g, create_graph, alone)
                    if start:
                        ended("torch::autograd::AccumulateGrad", start, (leaf,))
                else:
                    if leaf.hooks is not None and "tensor" in leaf.hooks:
                        g = run_hooks(leaf.hooks["tensor"], g)
                    found[id(leaf), 0] = g
                continue
            n = <Node> node
            if s.masked and n.op == OP_ADD and n.vjp == elementwise_vjp:
                sum_at_once(run, n, <tuple> g, keep_graph)
                g = None
                if start:
                    ended(n.name_, start, ())
                continue
            if n.op == OP_RELU and targets is None and not create_graph and hands_on(run, n, g, more):
                g = more = None
                if not keep_graph:
                    release(n)
                continue
            if n.pre_hooks is not None:
                g = before_node(n, g)
            if n.retain is not None:
                keep_grads(n, g)
            if targets is not None:
                capture(n, g, targets, found, into_leaves)
                if not leads_on(run, n):
                    continue
            if s.ready:
                result = g
            elif s.masked:
                result = masked_vjp(n, g)
            else:
                result = call_node(n, g) if anomaly else run_node(n, g)
            if start:
                ended(n.name_, start, (g,))
            if n.post_hooks is not None:
                result = result if isinstance(result, tuple) else (result,)
                kinds = kinds_of(result)
                for hook in list(n.post_hooks.values()):
                    result = called(hook, (result, (g,) if n.nout == 1 else tuple(g)), kinds, result)
            g = None
            if not keep_graph:
                release(n)
            if type(result) is tuple:
                pass_on(run, n, <tuple> result, create_graph)
            elif result is not None:
                run.receive(n.e0, n.i0, result, create_graph)
            result = None
    finally:
        mtb_set_grad_mode(mode)
    return found


cdef extern from *:
    """
    static inline void mtb_set_grad_mode(int on) { mtb_grad_mode = on; }
    static inline void mtb_set_inference_mode(int on) { mtb_inference_mode = on; }
    """
    void mtb_set_grad_mode(int on) noexcept
    void mtb_set_inference_mode(int on) noexcept


cdef bint contains(list tensors, Tensor x):
    for t in tensors:
        if t is x:
            return True
    return False


cdef int capture(Node n, object g, list targets, dict found, bint into_leaves) except -1:
    """Keep the gradients of the targets that this node made."""
    cdef Tensor t
    for t in targets:
        if node_of(t) is n:
            grad = g if n.nout == 1 else g[t.out_nr]
            if grad is not None:
                if into_leaves:
                    t.grad_ = grad if t.grad_ is None else add(t.grad_, <Tensor> grad)
                else:
                    found[id(n), t.out_nr] = grad
    return 0


cdef bint leads_on(_Run run, Node n):
    """Whether a target lies beyond this node."""
    cdef slot* s
    for edge, _ in edges_of(n):
        if edge is not None:
            s = run.find(<PyObject*> edge)
            if s != NULL and s.needed:
                return True
    return False


cdef int pass_on(_Run run, Node n, tuple grads, bint create_graph) except -1:
    """Send a node's gradients along its edges."""
    cdef int i
    if len(grads) < n.nin:
        raise RuntimeError(f"{n.name_} returned an incorrect number of gradients (expected {n.nin}, got {len(grads)})")
    if n.e0 is not None and grads[0] is not None:
        run.receive(n.e0, n.i0, grads[0], create_graph)
    if n.nin > 1 and n.e1 is not None and grads[1] is not None:
        run.receive(n.e1, n.i1, grads[1], create_graph)
    if n.nin > 2 and n.e2 is not None and grads[2] is not None:
        run.receive(n.e2, n.i2, grads[2], create_graph)
    if n.edges_more is not None:
        for i, (edge, nr) in enumerate(n.edges_more):
            if edge is not None and grads[3 + i] is not None:
                run.receive(edge, nr, grads[3 + i], create_graph)
    return 0


cdef object call_node(Node n, object g):
    """run_node under detect_anomaly: names the forward line of a failure or of a NaN."""
    try:
        result = run_node(n, g)
    except Exception:
        if n.trace:
            warnings.warn(f"Error detected in {n.name_}. Traceback of forward call that caused the error:\n{n.trace}",
                          stacklevel=2)
        raise
    for i, grad in enumerate(result if isinstance(result, tuple) else (result,)):
        if grad is not None and check_nan and bool((grad != grad).any()):
            warnings.warn(f"Error detected in {n.name_}. Traceback of forward call that caused the error:\n{n.trace}",
                          stacklevel=2)
            raise RuntimeError(f"Function '{n.name_}' returned nan values in its {i}th output.")
    return result


cdef bint check_nan = True


def set_anomaly_(bint on, bint nan=True):
    """Turn detect_anomaly on or off; returns what it was."""
    global anomaly, check_nan
    was = (anomaly, check_nan)
    anomaly, check_nan = on, nan
    return was


cdef tuple start(tensors, grads, bint is_grads_batched=False):
    """(edges, output numbers, gradients) to start from, checked."""
    cdef Tensor t, g
    cdef list edges = [], numbers = [], values = []
    tensors = (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)
    grads = (grads,) if grads is None or isinstance(grads, Tensor) else tuple(grads)
    if len(grads) == 1 and grads[0] is None:
        grads = (None,) * len(tensors)
    if len(grads) != len(tensors):
        raise RuntimeError(f"got {len(tensors)} tensors and {len(grads)} gradients")
    for t, grad in zip(tensors, grads):
        edge = node_of(t)
        if edge is None and t.requires_grad_:
            edge = t
        if edge is None:
            raise RuntimeError("element 0 of tensors does not require grad and does not have a grad_fn")
        if grad is None:
            if t.numel != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            g = new_tensor(t.dtype, t.ndim, t.shape)
            write_scalar(g.data, t.dtype, 1)
        else:
            if not isinstance(grad, Tensor):
                raise TypeError(f"gradients can be either Tensors or None, but got {type(grad).__name__}")
            g = grad
            if not same_shape(g, t):
                raise RuntimeError(f"Mismatch in shape: grad_output[0] has a shape of {make_size(shape_tuple(g))} and "
                                   f"output[0] has a shape of {make_size(shape_tuple(t))}.")
            if g.dtype != t.dtype:
                g = cast(g, t.dtype)
        edges.append(edge)
        numbers.append(t.out_nr if isinstance(edge, Node) else 0)
        values.append(g)
    return edges, numbers, values


def run_backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None):
    """See :func:`torch.autograd.backward`."""
    edges, numbers, values = start(tensors, grad_tensors)
    targets = None
    if inputs is not None:
        targets = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        if not targets:
            raise RuntimeError("'inputs' argument to backward() cannot be empty.")
    backward_pass(edges, numbers, values, targets, create_graph if retain_graph is None else retain_graph, create_graph,
                  True)


def backward(Tensor self not None, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Compute d self / d leaf for every leaf of the graph and add it to the leaf's ``grad``.

    `gradient`: d loss / d self, of self's shape; needed unless self has one element. The graph is freed unless
    `retain_graph`; with `create_graph` the gradients can be differentiated themselves. `inputs`: only these accumulate.
    """
    run_backward(self, gradient, retain_graph, create_graph, inputs)


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, only_inputs=True, allow_unused=None,
         is_grads_batched=False, materialize_grads=False):
    """The sum of the gradients of `outputs` with respect to each of `inputs`, as a tuple; ``grad`` fields are not
    touched.

    An input that the outputs do not depend on is an error unless `allow_unused` (then None) or `materialize_grads`
    (zeros).
    """
    cdef Tensor t
    cdef list targets = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    edges, numbers, values = start(outputs, grad_outputs)
    for t in targets:
        if not in_graph(t):
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    found = backward_pass(edges, numbers, values, targets, create_graph if retain_graph is None else retain_graph,
                          create_graph, False)
    result = []
    for t in targets:
        node = node_of(t)
        g = found.get((id(t), 0) if node is None else (id(node), t.out_nr))
        if g is None:
            if materialize_grads:
                g = new_zeros(t.dtype, t.ndim, t.shape)
            elif not allow_unused:
                raise RuntimeError("One of the differentiated Tensors appears to not have been used in the graph. Set "
                                   "allow_unused=True if this is the desired behavior.")
        result.append(g)
    return tuple(result)
