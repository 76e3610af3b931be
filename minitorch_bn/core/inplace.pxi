# In-place writes: version counters, PyTorch's errors, and history for tensors and views inside a graph.
#
# A write to a view changes its base. The base gets a CopySlices node: its gradient flows to the old base outside the
# window, and through the op that wrote inside it. The view's own history is then out of date; since every view is an
# as_strided of its base, it is made anew when someone asks (node_of).

cdef inline int bump(Tensor x) except -1:
    if x.silent:
        x.storage.quiet += 1
    else:
        x.storage.version += 1
    return 0


cdef Node node_of(Tensor x):
    """x's grad_fn; a view whose memory was written since gets it from its base."""
    cdef Tensor base = x.base
    if base is None or x.view_version == x.storage.version or x.requires_grad_:
        return x.node
    x.view_version = x.storage.version
    if base.node is None and not base.requires_grad_:
        return x.node
    if x.numel and (base.data > x.data or not is_dense(base)):
        return x.node
    cdef Node n = new_node(as_strided_vjp, "AsStridedBackward0", base, None, None)
    n.aux = (shape_tuple(base), strided_positions(base, shape_tuple(x), tuple([x.strides[d] for d in range(x.ndim)]),
                                                  (x.data - base.data) // ITEMSIZE[x.dtype]))
    x.node, x.out_nr = n, 0
    return n


cdef int check_inplace(Tensor x) except -1:
    check_writable(x)
    settle_all()
    return wake_readers(x.storage)


cdef int check_writable(Tensor x) except -1:
    if x.storage.readonly:
        raise RuntimeError("this tensor shares the memory of a read-only array and cannot be written; clone() it first")
    if mtb_grad_mode:
        if x.requires_grad_:
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
        if x.base is not None and x.base.requires_grad_:
            raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    if x.inference and not mtb_inference_mode:
        raise RuntimeError("Inplace update to inference tensor outside InferenceMode is not allowed. You can make a "
                           "clone to get a normal tensor before doing inplace update. See "
                           "https://github.com/pytorch/rfcs/pull/17 for more details.")
    return 0


cdef int inplace_history(Tensor x, Node node) except -1:
    """After a write: `node` made x's new value (input 0 is the old one); None: nothing tracked was written."""
    cdef Tensor base = x.base
    if node is None:
        return 0
    if packing:
        pack_saved(node)
    if base is None:
        x.node, x.out_nr = node, 0
        return 0
    if not is_dense(base) or base.data > x.data:
        raise RuntimeError("an in-place write to a view is tracked only where its base is dense; clone() the base "
                           "first")
    cdef Node n = Node.__new__(Node)
    cdef i64 offset = (x.data - base.data) // ITEMSIZE[x.dtype]
    n.name_, n.saved_output, n.nout = "CopySlices", -1, 1
    n.fn = partial(copy_slices_backward, node, shape_tuple(base), tuple([base.strides[d] for d in range(base.ndim)]),
                   shape_tuple(x), tuple([x.strides[d] for d in range(x.ndim)]), offset)
    set_edge(n, 0, base)
    edges = edges_of(node)[1:]
    n.nin = 1 + len(edges)
    if len(edges) > 0:
        n.e1, n.i1 = edges[0]
    if len(edges) > 1:
        n.e2, n.i2 = edges[1]
    if len(edges) > 2:
        n.edges_more = edges[2:]
    base.node, base.out_nr = n, 0
    x.node, x.view_version = None, x.storage.version - 1  # out of date: node_of makes it anew
    return 0


def copy_slices_backward(Node node, tuple base_shape, tuple base_strides, tuple shape, tuple strides, i64 offset,
                         Tensor g):
    """The gradient outside the window, with what the writing op passes on inside it; and that op's other gradients."""
    memory = g.new_empty(prod(base_shape))
    laid_out = memory.as_strided(base_shape, base_strides, 0)
    laid_out.copy_(g)
    inside = laid_out.as_strided(shape, strides, offset).clone()
    grads = run_node(node, inside)
    if not isinstance(grads, tuple):
        grads = (grads,)
    window = laid_out.as_strided(shape, strides, offset)
    if grads[0] is None:
        window.zero_()
    else:
        window.copy_(grads[0])
    return (laid_out.as_strided(base_shape, base_strides, 0), *grads[1:])


# -- the writes that are not element-wise ops --------------------------------------------------------------------------

cdef object overwrite_vjp(Node n, object g):
    """x = src: nothing for the old value, the gradient for what was written (summed where it was broadcast)."""
    if n.e1 is None:
        return None, None
    return None, cast(sum_to_shape(<Tensor> g, n.aux), <int> n.op)


cdef Tensor write(Tensor x, Tensor src, object name):
    """x[...] = src in place, recorded. Input 0 of the node is the old x, so that the graph knows that it is gone."""
    cdef Node n = None
    check_inplace(x)
    if is_float(x.dtype) and tracks2(x, src):
        n = new_node(overwrite_vjp, name, x, src, None)
        n.aux, n.op = shape_tuple(src), src.dtype
    copy_into(x, src)
    bump(x)
    inplace_history(x, n)
    return x


def copy_(Tensor self not None, src, non_blocking=False):
    """Write src's values here, converted and broadcast."""
    check_no_overlap(self)
    return write(self, as_tensor(src), "CopyBackwards")


cdef int check_no_overlap(Tensor y) except -1:
    cdef int d
    for d in range(y.ndim):
        if y.strides[d] == 0 and y.shape[d] > 1:
            raise RuntimeError("unsupported operation: more than one element of the written-to tensor refers to a "
                               "single memory location. Please clone() the tensor before performing the operation.")
    return 0


cdef bint filled(Tensor x, object value) except -1:
    """Whether `value` was written over all of x: done here where nothing is recorded and the memory is contiguous."""
    if not x.contiguous or mtb_grad_mode and in_graph(x):
        return False
    if type(value) is int and value == 0:
        check_inplace(x)
        zero_dense(x)
    elif x.numel <= FILL and MTB_f32 <= x.dtype and (type(value) is float or type(value) is int):
        check_inplace(x)
        repeat(<double*> x.data, x, value)
    else:
        return False
    bump(x)
    return True


def fill_(Tensor self not None, value):
    """Write one number everywhere."""
    if isinstance(value, Tensor):
        if (<Tensor> value).ndim:
            raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} "
                               "dimensions.")
        return write(self, value, "FillBackward1")
    if filled(self, value):
        return self
    return write(self, number_tensor(value, self.dtype), "FillBackward0")


def zero_(Tensor self not None):
    """Write zeros."""
    if filled(self, 0):
        return self
    return write(self, scalar_tensor(0, self.dtype), "ZeroBackward0")


def requires_grad_(Tensor self not None, requires_grad=True):
    """Record operations on this leaf from now on (or no longer)."""
    self.requires_grad = requires_grad
    return self


def set_(Tensor self not None, Tensor source not None):
    """Become a view of source's memory."""
    adopt(self, source)
    return self


def become(Tensor self not None, Tensor view not None):
    """`self` takes the geometry and the history of a view of it: what squeeze_() and its like do."""
    check_inplace(self)
    adopt(self, view)
    self.node, self.out_nr, self.view_version = view.node, view.out_nr, view.view_version
    return self


def resize_(Tensor self not None, *sizes, memory_format=None):
    """Change the shape; new elements are not initialized, kept ones stay. The memory is another only if it was too
    small."""
    cdef i64[MAXDIM] shape, strides
    cdef int ndim, d
    cdef i64 step = 1, room
    cdef Tensor y
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    ndim = shape_from(sizes_args(sizes), shape)
    if shape_tuple(self) == tuple([shape[d] for d in range(ndim)]):
        return self
    for d in range(ndim - 1, -1, -1):
        strides[d] = step
        step *= max(shape[d], 1)
    room = (<i64> self.storage.nbytes - (self.data - self.storage.data)) // ITEMSIZE[self.dtype]
    if step <= room:
        adopt(self, view_of(self, ndim, shape, strides, self.data))
        return self
    y = new_tensor(self.dtype, ndim, shape)
    if self.contiguous:
        memcpy(y.data, self.data, <size_t> (min(self.numel, y.numel) * ITEMSIZE[self.dtype]))
    adopt(self, y)
    return self


for _function in (copy_, fill_, zero_, requires_grad_, set_, resize_):
    install(_function.__name__, _function)
