# Copies and casts of values, with and without history; and where().

cdef int copy_into(Tensor dst, Tensor src) except -1:
    """dst = src: converted, broadcast; values only."""
    cdef operand a, b
    cdef int d, shift = dst.ndim - src.ndim
    settle_all()
    wake_readers(dst.storage)
    if overlaps(dst, src):
        src = raw_clone(src)
    for d in range(src.ndim):
        if shift < 0 and d < -shift:
            if src.shape[d] != 1:
                raise shape_error(dst, src, d)
        elif src.shape[d] != 1 and src.shape[d] != dst.shape[d + shift]:
            raise shape_error(dst, src, d)
    set_operand(&a, dst, dst.dtype, dst.ndim)
    b.data, b.dtype, b.want = src.data, src.dtype, dst.dtype
    for d in range(dst.ndim):
        b.strides[d] = 0 if d < shift or src.shape[d - shift] == 1 else src.strides[d - shift]
    return kernel_copy(&a, &b, dst.ndim, dst.shape)


cdef object shape_error(Tensor dst, Tensor src, int d):
    cdef i64 have = dst.shape[d + dst.ndim - src.ndim] if d + dst.ndim >= src.ndim else 1
    return RuntimeError(f"The size of tensor a ({have}) must match the size of tensor b ({src.shape[d]}) at "
                        f"non-singleton dimension {d}: cannot write shape "
                        f"{list(shape_tuple(src))} to shape {list(shape_tuple(dst))}")


cdef Tensor raw_clone(Tensor x):
    cdef Tensor y = new_like(x, x.dtype)
    copy_into(y, x)
    return y


cdef Tensor raw_contiguous(Tensor x):
    cdef Tensor y
    if x.contiguous:
        return x
    y = new_tensor(x.dtype, x.ndim, x.shape)
    copy_into(y, x)
    return y


cdef Tensor raw_cast(Tensor x, int dtype):
    cdef Tensor y
    if x.dtype == dtype:
        return x
    y = new_like(x, dtype)
    copy_into(y, x)
    return y


cdef int fill_raw(Tensor dst, double value) except -1:
    return copy_into(dst, scalar_tensor(value, dst.dtype if is_float(dst.dtype) else MTB_f64))


cdef object copy_vjp(Node n, object g):
    """A copy passes the gradient on, in the dtype that the source had."""
    return cast(<Tensor> g, <int> n.op)


cdef Tensor copied(Tensor y, Tensor x, object name):
    """y, a copy of x, enters the graph."""
    cdef Node n
    if is_float(y.dtype) and tracks(x):
        n = new_node(copy_vjp, name, x, None, None)
        n.op = x.dtype
        set_history(y, n)
    return y


cdef Tensor contiguous(Tensor x):
    return x if x.contiguous else copied(raw_contiguous(x), x, "CloneBackward0")


cdef Tensor cast(Tensor x, int dtype):
    return x if x.dtype == dtype else copied(raw_cast(x, dtype), x, "ToCopyBackward0")


cdef Tensor add(Tensor a, Tensor b):
    return <Tensor> elementwise(OP_ADD, a, b, None, NULL, None)


cdef Tensor mul(Tensor a, Tensor b):
    return <Tensor> elementwise(OP_MUL, a, b, None, NULL, None)


def where(condition, input=None, other=None, *, out=None):
    """input where condition is true, else other; with the condition alone, the indices where it is true."""
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    if not isinstance(condition, Tensor):
        raise TypeError(f"where(): argument 'condition' must be Tensor, not {type(condition).__name__}")
    return elementwise(OP_WHERE, condition, input, other, NULL, out)


def where_(condition, input, other):
    """`other`, with input written where condition is true."""
    return elementwise_general(OP_WHERE, condition, input, other, NULL, other, True)


cdef object only_value(Tensor x):
    if x.numel != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    return item(x)


cdef object item(Tensor x):
    if x.numel != 1:
        raise RuntimeError(f"a Tensor with {x.numel} elements cannot be converted to Scalar")
    settle_all()
    return read_scalar(x.data, x.dtype)
