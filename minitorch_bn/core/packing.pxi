# What the graph saves in another form: the hooks of torch.autograd.graph.saved_tensors_hooks.
#
# A node that enters the graph while hooks are set has what it saved replaced by `Packed`: tensors without memory, which
# know what the pack hook returned. `saved()`, by which every node reads what it kept, calls the unpack hook.

cdef int packing = 0            # hooks that are set, in all threads
cdef dict pack_stacks = {}      # thread -> [(pack, unpack)]; the last ones count
cdef int fusion_before = 0


@cython.final
cdef class Packed(Tensor):
    """In the place of a saved tensor, with its shape and layout: what the pack hook made of it."""
    cdef object value, unpack
    cdef object edge            # where the gradient of the tensor goes, and to which output
    cdef int nr

    def __init__(self):
        raise TypeError("packed tensors are made by hooks")


def push_saved_hooks_(pack, unpack):
    """From now on this thread's graph keeps pack(tensor), and gets it back by unpack(...)."""
    global packing, fusion, fusion_before
    settle_all()
    pack_stacks.setdefault(PyThread_get_thread_ident(), []).append((pack, unpack))
    if packing == 0:
        fusion_before, fusion = fusion, 0    # a hook is to see tensors that are filled
    packing += 1


def pop_saved_hooks_():
    """Undo the last push_saved_hooks_() of this thread."""
    global packing, fusion
    cdef unsigned long me = PyThread_get_thread_ident()
    stack = pack_stacks[me]
    stack.pop()
    if not stack:
        del pack_stacks[me]
    packing -= 1
    if packing == 0:
        fusion = fusion_before


def packed_(Tensor x):
    """x as the hooks of this thread keep it (see unpacked_); x itself if there are none."""
    cdef Packed p
    cdef int mode = mtb_grad_mode
    cdef unsigned int version
    stack = pack_stacks.get(PyThread_get_thread_ident())
    if x is None or not stack or type(x) is Packed:
        return x
    p = Packed.__new__(Packed)
    p.storage, p.dtype, p.ndim = new_tensor(MTB_b8, 0, x.shape).storage, x.dtype, x.ndim
    p.storage.lent = True       # nobody may think that it knows what is in there
    p.data, p.numel, p.contiguous = p.storage.data, x.numel, x.contiguous
    memcpy(p.shape, x.shape, sizeof(p.shape))
    memcpy(p.strides, x.strides, sizeof(p.strides))
    p.edge = node_of(x)
    p.nr = x.out_nr
    if p.edge is None and x.requires_grad_:
        p.edge = x
    version = x.storage.version
    mtb_set_grad_mode(False)
    try:
        p.value = stack[-1][0](x)
    finally:
        mtb_set_grad_mode(mode)
    p.unpack = stack[-1][1]
    if x.storage.version != version:
        raise RuntimeError("A saved tensor pack hook is modifying its input in place. Tensors provided as input to "
                           "pack hook cannot be modified by in-place operations as this can lead to unexpected "
                           "side-effects. Return a changed copy instead.")
    return p


def unpacked_(Tensor x):
    """The tensor that packed_(...) gave away, of its shape, layout and dtype: the kernels rely on them."""
    cdef Packed p
    cdef Tensor y, z
    cdef Node n
    cdef int d, mode = mtb_grad_mode
    if type(x) is not Packed:
        return x
    p = <Packed> x
    mtb_set_grad_mode(False)
    try:
        value = p.unpack(p.value)
        if not isinstance(value, Tensor):
            raise TypeError("Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
                            f"{type(value).__name__}")
        y = value
        if not same_shape(y, p) or y.dtype != p.dtype:
            raise RuntimeError(f"the unpack hook returned a tensor of shape {list(shape_tuple(y))} and dtype "
                               f"{dtype_object(y.dtype)}; what was saved is {list(shape_tuple(p))}, "
                               f"{dtype_object(p.dtype)}")
        settle_all()
        for d in range(p.ndim):
            if p.shape[d] > 1 and y.strides[d] != p.strides[d]:
                z = new_like(p, p.dtype)
                copy_into(z, y)
                y = z
                break
    finally:
        mtb_set_grad_mode(mode)
    y = alias_of(y)
    if isinstance(p.edge, Node):
        y.node, y.out_nr = p.edge, p.nr
    elif p.edge is not None:        # a leaf: its gradient gets there by a node that does nothing
        n = Node.__new__(Node)
        n.name_, n.fn, n.nin, n.nout, n.saved_output = "UnpackBackward0", _same, 1, 1, -1
        set_edge(n, 0, p.edge)
        y.node = n
    return y


def _same(g):
    return g


cdef int pack_saved(Node n) except -1:
    """What n saved, given to the hooks of this thread."""
    if n.s0 is not None:
        n.s0 = packed_(n.s0)
        n.v0 = n.s0.storage.version
    if n.s1 is not None:
        n.s1 = packed_(n.s1)
        n.v1 = n.s1.storage.version
    if n.s2 is not None:
        n.s2 = packed_(n.s2)
        n.v2 = n.s2.storage.version
    return 0
