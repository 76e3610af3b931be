# From what the user wrote to C values: integers, dims and shapes, checked, or PyTorch's error.

cdef i64 index_arg(object value, str what) except? -9223372036854775807:
    """A Python, NumPy or 0-d Tensor integer as int64."""
    if type(value) is int:
        pass
    elif isinstance(value, Tensor):
        if (<Tensor> value).numel != 1 or is_float((<Tensor> value).dtype):
            raise TypeError(f"{what} must be int, not a {SCALAR_NAMES[(<Tensor> value).dtype]} tensor of shape "
                            f"{tuple((<Tensor> value).shape_())}")
        value = value.item()
    elif not hasattr(value, "__index__"):
        raise TypeError(f"{what} must be int, not {type(value).__name__}")
    try:
        return value
    except OverflowError:
        raise RuntimeError(f"{what} is out of the range of int64: {value}") from None


cdef int wrap_dim(object dim, int ndim) except -1:
    cdef i64 d = index_arg(dim, "dim")
    cdef int n = ndim if ndim > 0 else 1
    if d < -n or d >= n:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {d})")
    return <int> (d + n if d < 0 else d)


cdef unsigned int dims_mask(object dim, int ndim) except? 0xffffffff:
    """Bit d is set for each dim named: None or () means all."""
    cdef unsigned int mask = 0, bit
    if dim is None:
        return (1u << ndim) - 1 if ndim else 1
    if not isinstance(dim, (tuple, list)):
        return 1u << wrap_dim(dim, ndim)
    if len(dim) == 0:
        return (1u << ndim) - 1 if ndim else 1
    for d in dim:
        bit = 1u << wrap_dim(d, ndim)
        if mask & bit:
            raise RuntimeError(f"dim {wrap_dim(d, ndim)} appears multiple times in the list of dims")
        mask |= bit
    return mask


cdef int shape_from(object sizes, i64* shape) except -1:
    """The sizes of a sequence in `shape`; returns how many. No negative size; the product fits in an int64."""
    cdef int n = 0
    cdef i64 s
    for size in sizes:
        if n == MAXDIM:
            raise RuntimeError(f"a tensor has at most {MAXDIM} dimensions in minitorch_bn, got sizes {tuple(sizes)}")
        s = index_arg(size, "size")
        if s < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {s}: {list(sizes)}")
        shape[n] = s
        n += 1
    count_elements(n, shape)
    return n


cdef i64 count_elements(int ndim, const i64* shape) except -1:
    """The number of elements of a shape, or an error where no memory could hold it."""
    cdef i64 n = 1
    cdef int d
    for d in range(ndim):
        if shape[d] == 0:
            return 0
    for d in range(ndim):
        if n > (<i64> 1 << 58) // shape[d]:
            raise RuntimeError(f"a tensor of shape {[shape[i] for i in range(ndim)]} has more elements than memory can "
                               "hold")
        n *= shape[d]
    return n


cdef tuple sizes_args(tuple args, object named=None):
    """f(2, 3), f((2, 3)), f(torch.Size([2, 3])) and f(name=(2, 3)) all give (2, 3)."""
    if named is not None:
        if args:
            raise TypeError(f"sizes or dims given twice: {args} and {named}")
        return tuple(named) if isinstance(named, (tuple, list)) else (named,)
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        return tuple(args[0])
    return args


cdef tuple broadcast_shapes_(tuple a, tuple b):
    """The shape of an operation on shapes a and b, or PyTorch's error."""
    cdef int i, n = max(len(a), len(b))
    out = [1] * n
    for i in range(1, n + 1):
        x = a[len(a) - i] if i <= len(a) else 1
        y = b[len(b) - i] if i <= len(b) else 1
        if x != y and x != 1 and y != 1:
            raise RuntimeError(f"The size of tensor a ({x}) must match the size of tensor b ({y}) at non-singleton "
                               f"dimension {n - i}")
        out[n - i] = y if x == 1 else x
    return tuple(out)


def broadcast_shapes(*shapes):
    """The shape that tensors of these shapes broadcast to."""
    out = ()
    for shape in shapes:
        out = broadcast_shapes_(out, (shape,) if isinstance(shape, int) else tuple(shape))
    return make_size(out)
