# The backward of the ops of the table: fused loops, or the same strings as Tensor algebra; and undoing broadcasts.

algebra = {}   # name -> function on tensors: what the gradient strings call when a graph of the gradient is wanted
cdef dict gradient_functions = {}


def _gradient_function(int op, int i):
    """The gradient string of input i of a row as a Python function of (g, inputs, y, parameters)."""
    from minitorch_bn._gradients import gradient_function
    return gradient_function(op_names[op], i, algebra)


cdef object elementwise_vjp(Node n, object g):
    """The gradients of a row: fused loops, or the same strings as Tensor algebra when a graph of them is wanted."""
    cdef int arity = mtb_ops[n.op].arity
    if n.released:
        raise_released()
    if arity == 1:
        return elementwise_gradient(n, 0, g)
    if arity == 2:
        return (elementwise_gradient(n, 0, g) if n.e0 is not None else None,
                elementwise_gradient(n, 1, g) if n.e1 is not None else None)
    return tuple([elementwise_gradient(n, i, g) if wants(n, i) else None for i in range(3)])


cdef Tensor elementwise_gradient(Node n, int i, Tensor g):
    """d loss / d input i, in the shape and dtype of that input."""
    cdef const mtb_op_info* info = &mtb_ops[n.op]
    cdef tuple geometry = n.aux[i] if n.aux is not None else None
    cdef Tensor y
    if info.grad[i] == -2:
        y = g
    elif info.grad[i] == -1:
        y = new_like(g, g.dtype)
        fill_raw(y, 0)
    elif mtb_grad_mode:
        y = gradient_algebra(n, i, g)
    else:
        y = gradient_loop(n, i, g)
    if geometry is not None:
        y = cast(sum_to_shape(y, geometry[0]), geometry[1])
    return y


cdef Tensor gradient_algebra(Node n, int i, Tensor g):
    cdef int slot
    function = gradient_functions.get((n.op, i))
    if function is None:
        function = gradient_functions[n.op, i] = _gradient_function(n.op, i)
    values = [g]
    for slot in range(3):
        if n.scalar_at == slot + 1:
            values.append(scalar_tensor(n.scalar, g.dtype))
        else:
            values.append(saved(n, slot) if slot != n.saved_output else None)
    values.append(saved(n, n.saved_output) if n.saved_output >= 0 else None)
    return function(*values, n.k[0], n.k[1], n.k[2], n.k[3])


cdef Tensor gradient_loop(Node n, int i, Tensor g):
    """One pass over g and what the gradient string reads."""
    cdef const mtb_op_info* info = &mtb_ops[n.op]
    cdef const char* reads = info.reads[i]
    cdef int want = real_of(g.dtype), count = 1, d, slot, what
    cdef operand[6] o
    cdef (void*)[6] p
    cdef Tensor x, y = new_like(g, g.dtype)
    cdef bint simple = g.contiguous and want == g.dtype and g.numel <= FLAT
    cdef char[8] number
    cdef list alive = []
    while reads[count - 1] != 0:
        what = reads[count - 1] - 48
        if what > 0 and what == n.scalar_at:
            write_scalar(number, want, n.scalar)
            o[count].data, o[count].dtype, o[count].want = number, want, want
            memset(o[count].strides, 0, sizeof(o[0].strides))
            simple = False
        else:
            slot = n.saved_output if what == 4 else what - 1
            x = g if what == 0 else saved(n, slot)
            set_operand(&o[count], x, MTB_b8 if info.kind == MTB_KIND_where and what == 1 else want, g.ndim)
            simple = simple and x.contiguous and x.dtype == o[count].want and x.numel == g.numel
            alive.append(x)
        count += 1
    if info.kind == MTB_KIND_where and g.numel > FILL:
        simple = False  # an operand of another size
    if simple:
        p[0] = y.data
        for d in range(1, count):
            p[d] = o[d].data
        kernel_flat(K.elementwise[want].grad[info.grad[i]], count, p, g.numel, ITEMSIZE[want], n.k, info.cost[i + 1])
    else:
        set_operand(&o[0], y, want, g.ndim)
        kernel_run(K.elementwise[want].grad[info.grad[i]], count, o, g.ndim, g.shape, n.k, info.cost[i + 1],
                   number_loop(want, info.number[i + 1][0]), number_loop(want, info.number[i + 1][1]))
    return y


cdef Tensor sum_to(Tensor g, int ndim, const i64* shape):
    return sum_to_shape(g, tuple([shape[d] for d in range(ndim)]))


cdef Tensor sum_to_shape(Tensor g, tuple shape):
    """g summed over the dims that broadcasting added or stretched: the one place where it is undone."""
    cdef int extra = g.ndim - len(shape), d
    cdef list dims
    cdef Tensor y = g
    if extra == 0 and shape_tuple(g) == shape:
        return g
    dims = [d for d in range(g.ndim) if d < extra or shape[d - extra] == 1 and g.shape[d] != 1]
    if dims:
        y = g.sum(dims, True)
    return y.reshape(shape) if extra else y
