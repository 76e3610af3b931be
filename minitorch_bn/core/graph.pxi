# Node: one recorded operation. What it saved, where its inputs came from, and how to pass a gradient on to them.

cdef inline bint grad_enabled() noexcept:
    return mtb_grad_mode


cdef inline bint in_graph(Tensor x):
    return x is not None and (x.requires_grad_ or x.node is not None or x.base is not None and node_of(x) is not None)


cdef bint tracks(Tensor x) noexcept:
    return mtb_grad_mode and in_graph(x)


cdef bint tracks2(Tensor x, Tensor y) noexcept:
    return mtb_grad_mode and (in_graph(x) or in_graph(y))


cdef bint tracks3(Tensor x, Tensor y, Tensor z) noexcept:
    return mtb_grad_mode and (in_graph(x) or in_graph(y) or in_graph(z))


@cython.freelist(512)
@cython.trashcan(True)
cdef class Node:
    """A recorded operation (a tensor's ``grad_fn``)."""

    def __init__(self):
        raise TypeError("graph nodes are made by operations")

    def name(self):
        """Such as ``"AddBackward0"``."""
        return self.name_

    @property
    def next_functions(self):
        """The operations that made the inputs: ((node, output number), ...); a leaf shows as its AccumulateGrad."""
        cdef int i
        following = edges_of(self)
        for i, (edge, nr) in enumerate(following):
            if isinstance(edge, Node):
                note_input(self, i, <Node> edge)
        return tuple([(AccumulateGrad(edge) if isinstance(edge, Tensor) else edge, nr) for edge, nr in following])

    @property
    def metadata(self):
        """A dict for whatever the user wants to keep with the node."""
        if self.metadata_ is None:
            self.metadata_ = {}
        return self.metadata_

    @property
    def saved_tensors(self):
        """The tensors kept for backward."""
        return tuple([t for t in (saved(self, i) for i in range(3)) if t is not None])

    def register_hook(self, hook):
        """Call ``hook(grad_inputs, grad_outputs)`` after this node ran; what it returns replaces grad_inputs."""
        if self.post_hooks is None:
            self.post_hooks = {}
        return RemovableHandle(self.post_hooks, hook)

    def register_prehook(self, hook):
        """Call ``hook(grad_outputs)`` before this node runs; what it returns replaces grad_outputs."""
        if self.pre_hooks is None:
            self.pre_hooks = {}
        return RemovableHandle(self.pre_hooks, hook, -1)

    def __call__(self, *grads):
        if len(grads) != self.nout:
            raise TypeError(f"expected {self.nout} arguments, got {len(grads)} instead")
        grads = tuple([checked_grad(self, i, g) for i, g in enumerate(grads)])
        return run_node(self, grads[0] if self.nout == 1 else grads)

    def __getattr__(self, name):
        slot = {"_saved_self": 0, "_saved_other": 1, "_saved_result": self.saved_output}.get(name, -1)
        if slot < 0 or (slot == self.saved_output) != (name == "_saved_result"):
            raise AttributeError(f"{self.name_!r} object has no attribute {name!r}")
        return saved(self, slot)

    def __repr__(self):
        return f"<{self.name_} object at {<uintptr_t> <PyObject*> self:#x}>"


@cython.final
cdef class AccumulateGrad:
    """The end of the graph at a leaf: adds what arrives to ``variable.grad``."""
    cdef readonly Tensor variable

    def __init__(self, Tensor variable not None):
        self.variable = variable

    def name(self):
        """``"torch::autograd::AccumulateGrad"``, as PyTorch says."""
        return "torch::autograd::AccumulateGrad"

    @property
    def next_functions(self):
        """Nothing comes before a leaf."""
        return ()

    def register_hook(self, hook):
        """Call ``hook((), (grad,))`` when a gradient has been accumulated."""
        return self.variable.register_post_accumulate_grad_hook(lambda leaf: hook((), (leaf.grad,)))

    def __call__(self, Tensor grad not None):
        if not same_shape(grad, self.variable):
            raise RuntimeError(f"AccumulateGrad: got a gradient of shape {list(shape_tuple(grad))} for a leaf of shape "
                               f"{list(shape_tuple(self.variable))}")
        accumulate(self.variable, grad, mtb_grad_mode, False)

    def __eq__(self, other):
        return isinstance(other, AccumulateGrad) and (<AccumulateGrad> other).variable is self.variable

    def __hash__(self):
        return <uintptr_t> <PyObject*> self.variable >> 4

    def __repr__(self):
        return f"<AccumulateGrad object at {<uintptr_t> <PyObject*> self.variable:#x}>"


cdef long hook_count = 0


class RemovableHandle:
    """What registering a hook returns: ``remove()`` takes the hook away; also a context manager that does so at the
    end."""

    def __init__(self, hooks, hook=None, kind=None):
        global hook_count
        self.id = hook_count
        hook_count += 1
        self.hooks_ref = weakref.ref(hooks) if not isinstance(hooks, dict) or type(hooks) is not dict else lambda: hooks
        if hook is not None:
            hooks[self.id] = hook if kind is None else (kind, hook)

    def remove(self):
        """Take the hook away; it may be gone already."""
        hooks = self.hooks_ref()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.remove()


cdef bint anomaly = False


cdef Node new_node(vjp_t vjp, object name, Tensor a, Tensor b, Tensor c):
    cdef Node n = Node.__new__(Node)
    n.vjp = vjp
    n.name_ = name
    n.nin = 3 if c is not None else 2 if b is not None else 1
    n.nout = 1
    n.saved_output = -1
    set_edge(n, 0, a)
    if b is not None:
        set_edge(n, 1, b)
    if c is not None:
        set_edge(n, 2, c)
    if anomaly:
        import traceback
        n.trace = "".join(traceback.format_stack())
    return n


cdef int set_edge(Node n, int i, Tensor x) except -1:
    """Input i of node n is x: an edge to what made it, to the leaf itself, or none."""
    cdef object edge = None
    cdef int nr = 0
    if x is not None:
        edge = node_of(x)
        if edge is not None:
            nr = x.out_nr
        elif x.requires_grad_:
            edge = x
    if i == 0:
        n.e0, n.i0 = edge, nr
    elif i == 1:
        n.e1, n.i1 = edge, nr
    elif i == 2:
        n.e2, n.i2 = edge, nr
    else:
        if n.edges_more is None:
            n.edges_more = []
        n.edges_more.append((edge, nr))
    return 0


cdef list edges_of(Node n):
    """[(edge, output number)] of every input."""
    cdef list edges = [(n.e0, n.i0)]
    if n.nin > 1:
        edges.append((n.e1, n.i1))
    if n.nin > 2:
        edges.append((n.e2, n.i2))
    return edges + n.edges_more if n.edges_more is not None else edges


cdef bint wants(Node n, int i) noexcept:
    if i == 0:
        return n.e0 is not None
    if i == 1:
        return n.e1 is not None
    if i == 2:
        return n.e2 is not None
    return n.edges_more is not None and i - 3 < len(n.edges_more) and (<tuple> n.edges_more[i - 3])[0] is not None


cdef int save(Node n, int slot, Tensor x) except -1:
    cdef unsigned int version = x.storage.version if x is not None else 0
    cdef Tensor own
    if x is not None and (x.dtype == MTB_i64 or x.dtype == MTB_b8) and (x.storage.lent or x.storage.owner is not None):
        own = new_tensor(x.dtype, x.ndim, x.shape)      # places that were checked: NumPy, say, could change them
        copy_into(own, x)
        x, version = own, 0
    if x is not None and x.inference and not mtb_inference_mode:
        raise RuntimeError("Inference tensors cannot be saved for backward. Please do not use Tensors created in "
                           "inference mode in computation tracked by autograd. To work around this, you can make a "
                           "clone to get a normal tensor and use it in autograd.")
    if slot == 0:
        n.s0, n.v0 = x, version
    elif slot == 1:
        n.s1, n.v1 = x, version
    else:
        n.s2, n.v2 = x, version
    return 0


cdef int save_output(Node n, int slot, Tensor y) except -1:
    """The op's own output is kept as an alias without history: y -> node -> y would be a cycle."""
    save(n, slot, alias_of(y))
    n.saved_output = slot
    return 0


cdef int check_version(Node n, Tensor x, unsigned int version) except -1:
    cdef Node source
    if x.storage.version != version:
        source = x.node if x.node is not None else n
        raise RuntimeError(
            f"one of the variables needed for gradient computation has been modified by an inplace operation: "
            f"[torch.{'FloatTensor' if x.dtype == MTB_f32 else 'DoubleTensor' if x.dtype == MTB_f64 else 'Tensor'} "
            f"{list(shape_tuple(x))}], which is output {x.out_nr} of {source.name_}, is at version "
            f"{x.storage.version}; expected version {version} instead. Hint: "
            + ("the backtrace further above shows the operation that failed to compute its gradient." if anomaly else
               "enable anomaly detection to find the operation that failed to compute its gradient, with "
               "torch.autograd.set_detect_anomaly(True)."))
    return 0


cdef Tensor saved(Node n, int slot):
    cdef Tensor x = n.s0 if slot == 0 else n.s1 if slot == 1 else n.s2
    cdef Tensor y
    cdef Deferred job
    if n.released:
        raise_released()
    if x is None:
        return None
    check_version(n, x, n.v0 if slot == 0 else n.v1 if slot == 1 else n.v2)
    if type(x) is Packed:
        x = unpacked_(x)
    elif x.storage.deferred:
        job = sleeper(n, slot)
        if job is not None:
            wake(job)
    if slot == n.saved_output and mtb_grad_mode:
        y = alias_of(x)
        y.node, y.out_nr = n, 0
        return y
    return x


cdef int raise_released() except -1:
    raise RuntimeError(
        "Trying to backward through the graph a second time (or directly access saved tensors after they have already "
        "been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "
        "Specify retain_graph=True if you need to backward through the graph a second time or if you need to access "
        "saved tensors after calling backward.")


cdef int set_history(Tensor y, Node node) except -1:
    if packing:
        pack_saved(node)
    y.node, y.out_nr = node, 0
    if y.base is not None:
        y.view_version = y.storage.version
    return 0


cdef int set_output(Tensor y, Node node, int out_nr) except -1:
    """y is output out_nr of a node with several; absent gradients of the others are seen as None."""
    if packing:
        pack_saved(node)
    y.node, y.out_nr = node, out_nr
    if node.nout <= out_nr:
        node.nout = out_nr + 1
    return 0


cdef int note_result(Node n, int nr, tuple shape, int dtype) except -1:
    """Remember what output nr of n is like, for a call of the node with a gradient."""
    cdef int i
    cdef list meta = [None] * n.nout if n.out_meta is None else list(n.out_meta)
    meta[nr] = (shape, dtype)
    if n.vjp != NULL:
        for i in range(n.nout):     # of several outputs in C, all are alike
            meta[i] = (shape, dtype)
    n.out_meta = tuple(meta)
    return 0


cdef int note_input(Node n, int i, Node source) except -1:
    """The same of what made input i of n, where n can tell."""
    kind = n.out_meta[0] if n.out_meta is not None else None
    if source.nout > 1 or n.vjp != elementwise_vjp or n.aux is None and kind is None:
        return 0
    if n.aux is not None:
        kind = n.aux[i]
    return note_result(source, 0, kind[0], kind[1])


cdef object checked_grad(Node n, int i, object g):
    """A gradient that a user gives to output i of n: the kernels trust in its shape and dtype."""
    kind = n.out_meta[i] if n.out_meta is not None else None
    if not isinstance(g, Tensor):
        raise TypeError(f"{n.name_}: a gradient must be a Tensor, not {type(g).__name__}")
    if kind is None:
        if n.vjp == NULL and getattr(n.fn, "__module__", None) == "minitorch_bn.autograd.function":
            return g
        raise RuntimeError(f"{n.name_} does not know the shape of its result: take the node from the tensor's grad_fn, "
                           "or use torch.autograd.grad")
    if shape_tuple(g) != kind[0]:
        raise RuntimeError(f"{n.name_}: got a gradient of shape {list(shape_tuple(g))} for a result of shape "
                           f"{list(kind[0])}")
    settle_all()
    return cast(g, kind[1])


def named(Tensor y, str name):
    """y, whose node goes by another name: that of the operation which was put together of several."""
    if y.node is not None:
        y.node.name_ = name
    return y


def attach(outputs, tuple inputs, backward, str name="Backward", tuple saved=(), save_output=False):
    """Record a Python-written op: `outputs` came from `inputs`, and backward(*gradients of the outputs) gives theirs.

    `outputs`: a fresh Tensor or a tuple of them, without history; returned. `saved`: tensors whose change in place
    makes backward an error. With save_output (one output), backward gets the output itself as its last argument; with
    a sequence of numbers, those of several outputs.
    """
    cdef Node n
    cdef Tensor x, y
    cdef int i
    if not mtb_grad_mode:
        return outputs
    for x in inputs:
        if in_graph(x):
            break
    else:
        return outputs
    n = Node.__new__(Node)
    n.name_, n.fn, n.nin, n.saved_output = name, backward, len(inputs), -1
    for i in range(n.nin):
        set_edge(n, i, inputs[i])
    if anomaly:
        import traceback
        n.trace = "".join(traceback.format_stack())
    if saved:
        n.saved_more = tuple([(t, (<Tensor> t).storage.version, -1) for t in saved if t is not None])
    n.nout = len(outputs) if isinstance(outputs, tuple) else 1
    for i, y in enumerate(outputs if isinstance(outputs, tuple) else (outputs,)):
        if y is not None and is_float(y.dtype):
            y.node, y.out_nr = n, i
    if save_output is True:
        globals_save_output(n, outputs)
    elif save_output:  # aliases without history, as in save_output()
        own = [(alias_of(y), (<Tensor> y).storage.version, i)
               for i, y in enumerate(outputs if isinstance(outputs, tuple) else (outputs,)) if i in save_output]
        n.saved_more = (n.saved_more or ()) + tuple(own)
    return outputs


cdef int globals_save_output(Node n, Tensor y) except -1:
    return save_output(n, 0, y)
