# Exchange with arrays: the buffer protocol and NumPy without a copy, Python lists, pickle and deepcopy.

# -- buffer protocol ---------------------------------------------------------------------------------------------------

cdef tuple FORMAT_BYTES = tuple([None if f is None else f.encode() for f in BUFFER_FORMATS])


cdef int fill_buffer(Tensor x, Py_buffer* b, int flags) except -1:
    """Export x's memory. The buffer holds the Storage, so that the memory stays even if x is given another."""
    cdef int d, n = x.ndim
    cdef Py_ssize_t* sizes
    if x.requires_grad and mtb_grad_mode:
        raise BufferError("Can't export a Tensor that requires grad. Use tensor.detach() instead.")
    if FORMAT_BYTES[x.dtype] is None:
        raise BufferError(f"the buffer protocol has no format for {NAMES[x.dtype]}; use .float() first")
    if flags & PyBUF_WRITABLE and x.storage.readonly:
        raise BufferError("the tensor shares the memory of a read-only array")
    if flags & PyBUF_STRIDES != PyBUF_STRIDES and not x.contiguous:
        raise BufferError("the tensor is not contiguous")
    lend(x.storage)
    sizes = <Py_ssize_t*> PyMem_Malloc((2 * MAXDIM) * sizeof(Py_ssize_t))
    if sizes == NULL:
        raise MemoryError
    for d in range(n):
        sizes[d] = x.shape[d]
        sizes[MAXDIM + d] = x.strides[d] * ITEMSIZE[x.dtype]
    b.buf, b.obj, b.len, b.itemsize = x.data, x, x.numel * ITEMSIZE[x.dtype], ITEMSIZE[x.dtype]
    b.readonly, b.ndim, b.shape, b.strides, b.suboffsets = x.storage.readonly, n, sizes, sizes + MAXDIM, NULL
    b.format = <char*> (<bytes> FORMAT_BYTES[x.dtype]) if flags & PyBUF_FORMAT else NULL
    Py_INCREF(x.storage)
    b.internal = <void*> x.storage
    return 0


cdef dict FORMAT_CODES = {"?": MTB_b8, "B": MTB_u8, "b": MTB_i8, "h": MTB_i16, "i": MTB_i32, "q": MTB_i64, "l": MTB_i64,
                          "e": MTB_f16, "f": MTB_f32, "d": MTB_f64}


cdef Tensor from_array(object array, bint copy_odd=True):
    """An array (anything with a buffer, or __array__) as a tensor on the same memory.

    Negative or uneven strides cannot be shared: with copy_odd such an array is copied, else it is an error.
    """
    cdef Py_buffer b
    cdef int d, code
    cdef i64 reach = 0, size
    cdef Tensor x
    cdef Storage s
    if not PyObject_CheckBuffer(array):
        array = array.__array__()
    kind = getattr(array, "dtype", None)
    try:
        owner = memoryview(array)
    except (ValueError, BufferError, TypeError):
        raise unsupported_array(array, kind) from None
    format = owner.format.lstrip("@=<") if sys.byteorder == "little" else owner.format.lstrip("@=>")
    if format not in FORMAT_CODES or format == "l" and owner.itemsize != 8:
        raise unsupported_array(array, kind)
    code = FORMAT_CODES[format]
    if owner.ndim > MAXDIM:
        raise RuntimeError(f"a tensor has at most {MAXDIM} dimensions in minitorch_bn, the array has {owner.ndim}")
    size = ITEMSIZE[code]
    for stride, length in zip(owner.strides or (), owner.shape):
        if (stride < 0 or stride % size) and length > 1:
            if copy_odd:
                return from_array(numpy().array(array, order="C", copy=True))
            raise ValueError("At least one stride in the given numpy array is negative, and tensors with negative "
                             "strides are not currently supported. (You can probably work around this by making a copy "
                             "of your array  with array.copy().)" if stride < 0 else
                             "given numpy array strides not a multiple of the element byte size. "
                             "Copy the numpy array to reallocate the memory.")
    PyObject_GetBuffer(owner, &b, PyBUF_STRIDES | PyBUF_FORMAT)
    try:
        x = Tensor.__new__(Tensor)
        x.dtype, x.ndim, x.numel = code, b.ndim, 1
        for d in range(b.ndim):
            x.shape[d] = b.shape[d]
            x.strides[d] = b.strides[d] // size if b.shape[d] > 1 else 1
            x.numel *= b.shape[d]
            reach += (x.shape[d] - 1) * x.strides[d] if x.shape[d] else 0
        s = Storage.__new__(Storage)
        s.data, s.owner, s.readonly = <char*> b.buf, owner, b.readonly
        s.nbytes = (reach + 1) * size if x.numel else 0
        x.storage, x.data = s, s.data
        refresh_contiguous(x)
    finally:
        PyBuffer_Release(&b)
    return x


cdef object unsupported_array(object array, object kind):
    if kind is None:
        return TypeError(f"cannot make a tensor from {type(array).__name__}")
    if getattr(kind, "kind", "") == "c":
        return TypeError(f"can't convert np.ndarray of type numpy.{kind}: complex dtypes are not supported by "
                         "minitorch_bn")
    name = f"numpy.{kind}" if getattr(kind, "kind", "") != "O" else "numpy.object_"
    return TypeError(f"can't convert np.ndarray of type {name}. The only supported types are: float64, float32, "
                     "float16, int64, int32, int16, int8, uint8, and bool.")


def from_numpy(ndarray):
    """A tensor that shares the array's memory. A read-only array gives a tensor that refuses to be written."""
    if type(ndarray).__module__ != "numpy" and not hasattr(ndarray, "__array_interface__"):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    return from_array(ndarray, False)


def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    """A 1-d tensor on the memory of any object with a buffer."""
    cdef int code = dtype_code(dtype)
    cdef i64 n = count, at = offset, size = ITEMSIZE[code], have
    flat = memoryview(buffer).cast("B")
    have = len(flat)
    if have == 0:
        raise ValueError(f"both buffer length ({have}) and count ({n}) must not be 0")
    if at < 0 or at >= have:
        raise ValueError(f"offset ({at} bytes) must be non-negative and no greater than buffer length ({have} bytes) "
                         "minus 1")
    if n < 0:
        if (have - at) % size:
            raise ValueError(f"buffer length ({have - at} bytes) after offset ({at} bytes) must be a multiple of "
                             f"element size ({size})")
        n = (have - at) // size
    if n > (have - at) // size or n == 0:
        raise ValueError(f"requested buffer length ({n} * {size} bytes) after offset ({at} bytes) must not be greater "
                         f"than actual buffer length ({have} bytes)")
    x = from_array(flat[at:at + n * size], False)
    x = x.view(dtype) if code != MTB_u8 else x
    return prepared(x, requires_grad, None)


def numpy_(Tensor self not None, *, force=False):
    """The same memory as a NumPy array (a copy under `force` if it requires grad)."""
    if force:
        self = detach(self)
    elif self.requires_grad:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    if FORMAT_BYTES[self.dtype] is None:
        raise TypeError(f"Got unsupported ScalarType {SCALAR_NAMES[self.dtype]}")
    return numpy().asarray(memoryview(self))


def array_(Tensor self not None, dtype=None, copy=None):
    """NumPy's protocol: the same memory, converted or copied if asked."""
    array = numpy_(self)
    if dtype is not None and array.dtype != dtype:
        if copy is False:
            raise ValueError(f"converting {NAMES[self.dtype]} to {dtype} needs a copy, and copy=False forbids it")
        return array.astype(dtype)
    return array.copy() if copy else array


def tolist(Tensor self not None):
    """The elements as nested Python lists; a number for a 0-d tensor."""
    settle_all()
    return nested_list(self, 0, self.data)


cdef object nested_list(Tensor x, int dim, char* p):
    cdef i64 i
    if dim == x.ndim:
        return read_scalar(p, x.dtype)
    return [nested_list(x, dim + 1, p + i * x.strides[dim] * ITEMSIZE[x.dtype]) for i in range(x.shape[dim])]


# -- pickle and deepcopy -----------------------------------------------------------------------------------------------

def rebuild_tensor(cls, data, dtype_name, shape, bint requires_grad, extra):
    """A tensor from what pickle kept: not its gradient, as in PyTorch."""
    cdef Tensor x = empty(*shape, dtype=DTYPES[dtype_name])
    cdef bytes values = bytes(data)
    if len(values) != x.numel * ITEMSIZE[x.dtype]:
        raise ValueError(f"a pickled tensor of shape {tuple(shape)} has {len(values)} bytes of data")
    memcpy(x.data, <char*> values, <size_t> len(values))
    if cls is not Tensor:
        x = Tensor._make_subclass(cls, x)
    x.requires_grad_ = requires_grad
    if extra:
        x.__dict__.update(extra)
    return x


cdef object reduce_tensor(Tensor x, int protocol):
    cdef Tensor flat
    if node_of(x) is not None:
        raise RuntimeError("only leaf tensors can be pickled; use tensor.detach()")
    settle_all()
    flat = raw_contiguous(x)
    data = (<char*> flat.data)[:flat.numel * ITEMSIZE[x.dtype]]
    return rebuild_tensor, (type(x), data, NAMES[x.dtype], shape_tuple(x), x.requires_grad_,
                            <object> x.extra if x.extra != NULL else None)


cdef Tensor deep_copy(Tensor x, dict memo):
    """A copy of a leaf. Tensors that share memory share it in the copy too."""
    cdef Tensor y
    cdef Storage s
    if id(x) in memo:
        return memo[id(x)]
    if node_of(x) is not None:
        raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol "
                           "at the moment.  If you were attempting to deepcopy a module, this may be because of a "
                           "torch.nn.utils.weight_norm usage, see https://github.com/pytorch/pytorch/pull/103001")
    s = memo.get(id(x.storage))
    if s is None:
        settle_all()
        s = new_storage(x.storage.nbytes)
        memcpy(s.data, x.storage.data, x.storage.nbytes)
        memo[id(x.storage)] = s
    y = alias_of(x)
    y.storage, y.data = s, s.data + (x.data - x.storage.data)
    if type(x) is not Tensor:
        y = Tensor._make_subclass(type(x), y)
    y.requires_grad_ = x.requires_grad_
    memo[id(x)] = y
    if x.grad_ is not None:
        y.grad_ = deep_copy(x.grad_, memo)
    from copy import deepcopy
    if x.extra != NULL:
        y.__dict__.update(deepcopy(<object> x.extra, memo))
    return y
