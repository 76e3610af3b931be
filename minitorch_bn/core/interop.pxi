# Exchange without a copy: the buffer protocol, NumPy, DLPack; and pickle, deepcopy, Python lists.

# -- buffer protocol ----------------------------------------------------------------------------------------------------

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
            raise ValueError("At least one stride in the given numpy array is negative, and tensors with negative strides are not "
                             "currently supported. (You can probably work around this by making a copy of your array  with "
                             "array.copy().)" if stride < 0 else "given numpy array strides not a multiple of the element byte size. "
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
        return TypeError(f"can't convert np.ndarray of type numpy.{kind}: complex dtypes are not supported by minitorch_bn")
    name = f"numpy.{kind}" if getattr(kind, "kind", "") != "O" else "numpy.object_"
    return TypeError(f"can't convert np.ndarray of type {name}. The only supported types are: float64, float32, float16, int64, "
                     "int32, int16, int8, uint8, and bool.")


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
        raise ValueError(f"offset ({at} bytes) must be non-negative and no greater than buffer length ({have} bytes) minus 1")
    if n < 0:
        if (have - at) % size:
            raise ValueError(f"buffer length ({have - at} bytes) after offset ({at} bytes) must be a multiple of element size ({size})")
        n = (have - at) // size
    if n > (have - at) // size or n == 0:
        raise ValueError(f"requested buffer length ({n} * {size} bytes) after offset ({at} bytes) must not be greater than actual "
                         f"buffer length ({have} bytes)")
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
    return nested_list(self, 0, self.data)


cdef object nested_list(Tensor x, int dim, char* p):
    cdef i64 i
    if dim == x.ndim:
        return read_scalar(p, x.dtype)
    return [nested_list(x, dim + 1, p + i * x.strides[dim] * ITEMSIZE[x.dtype]) for i in range(x.shape[dim])]


# -- DLPack 1.x ---------------------------------------------------------------------------------------------------------

cdef extern from *:
    """
    typedef struct { int32_t device_type, device_id; } mtb_dl_device;
    typedef struct { uint8_t code, bits; uint16_t lanes; } mtb_dl_dtype;
    typedef struct {
        void *data; mtb_dl_device device; int32_t ndim; mtb_dl_dtype dtype; int64_t *shape, *strides; uint64_t byte_offset;
    } mtb_dl_tensor;
    typedef struct mtb_dl_managed {
        mtb_dl_tensor tensor; void *context; void (*deleter)(struct mtb_dl_managed *);
    } mtb_dl_managed;
    typedef struct mtb_dl_versioned {
        uint32_t major, minor; void *context; void (*deleter)(struct mtb_dl_versioned *); uint64_t flags; mtb_dl_tensor tensor;
    } mtb_dl_versioned;
    """
    ctypedef struct mtb_dl_device:
        int32_t device_type, device_id
    ctypedef struct mtb_dl_dtype:
        uint8_t code, bits
        uint16_t lanes
    ctypedef struct mtb_dl_tensor:
        void* data
        mtb_dl_device device
        int32_t ndim
        mtb_dl_dtype dtype
        i64* shape
        i64* strides
        uint64_t byte_offset
    ctypedef struct mtb_dl_managed:
        mtb_dl_tensor tensor
        void* context
        void (*deleter)(mtb_dl_managed*) noexcept
    ctypedef struct mtb_dl_versioned:
        uint32_t major, minor
        void* context
        void (*deleter)(mtb_dl_versioned*) noexcept
        uint64_t flags
        mtb_dl_tensor tensor

# (code, bits) of DLPack: 0 signed, 1 unsigned, 2 float, 4 bfloat, 6 bool
cdef list DL_TYPES = [(6, 8), (1, 8), (0, 8), (0, 16), (0, 32), (0, 64), (2, 16), (4, 16), (2, 32), (2, 64)]


cdef void delete_managed(mtb_dl_managed* m) noexcept with gil:
    Py_DECREF(<object> m.context)
    PyMem_Free(m)


cdef void delete_versioned(mtb_dl_versioned* m) noexcept with gil:
    Py_DECREF(<object> m.context)
    PyMem_Free(m)


cdef void drop_capsule(object capsule) noexcept:
    """A capsule that nobody consumed."""
    if PyCapsule_IsValid(capsule, "dltensor"):
        delete_managed(<mtb_dl_managed*> PyCapsule_GetPointer(capsule, "dltensor"))
    elif PyCapsule_IsValid(capsule, "dltensor_versioned"):
        delete_versioned(<mtb_dl_versioned*> PyCapsule_GetPointer(capsule, "dltensor_versioned"))


cdef int fill_dl(mtb_dl_tensor* dl, Tensor x, i64* room) except -1:
    cdef int d
    dl.data, dl.byte_offset, dl.ndim = x.data, 0, x.ndim
    dl.device.device_type, dl.device.device_id = 1, 0
    dl.dtype.code, dl.dtype.bits = DL_TYPES[x.dtype]
    dl.dtype.lanes = 1
    dl.shape, dl.strides = room, room + MAXDIM
    for d in range(x.ndim):
        dl.shape[d], dl.strides[d] = x.shape[d], x.strides[d]
    return 0


def dlpack(Tensor self not None, *, stream=None, max_version=None, dl_device=None, copy=None):
    """A DLPack capsule on this memory: versioned if the consumer asks for 1.0 or later."""
    cdef mtb_dl_managed* old
    cdef mtb_dl_versioned* new
    cdef Tensor x = self
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if dl_device is not None and tuple(dl_device) != (1, 0):
        raise BufferError(f"minitorch_bn has tensors on the CPU only, not on DLPack device {dl_device}")
    if stream is not None and stream != -1:
        raise BufferError("a CPU tensor has no stream")
    if copy:
        x = raw_clone(self)
    x = alias_of(x)  # what the consumer holds: later changes of self's geometry do not reach it
    if max_version is not None and max_version[0] >= 1:
        new = <mtb_dl_versioned*> PyMem_Malloc(sizeof(mtb_dl_versioned) + 2 * MAXDIM * sizeof(i64))
        if new == NULL:
            raise MemoryError
        new.major, new.minor, new.deleter = 1, 0, delete_versioned
        new.flags = (1 if x.storage.readonly else 0) | (2 if copy else 0)
        fill_dl(&new.tensor, x, <i64*> (new + 1))
        new.context = <void*> x
        Py_INCREF(x)
        return PyCapsule_New(new, "dltensor_versioned", drop_capsule)
    if x.storage.readonly:
        raise BufferError("a read-only tensor can only be exported to DLPack 1.0 or later")
    old = <mtb_dl_managed*> PyMem_Malloc(sizeof(mtb_dl_managed) + 2 * MAXDIM * sizeof(i64))
    if old == NULL:
        raise MemoryError
    old.deleter = delete_managed
    fill_dl(&old.tensor, x, <i64*> (old + 1))
    old.context = <void*> x
    Py_INCREF(x)
    return PyCapsule_New(old, "dltensor", drop_capsule)


@cython.final
cdef class _Borrowed:
    """Owns what another library lent through DLPack, and gives it back."""
    cdef mtb_dl_managed* old
    cdef mtb_dl_versioned* new

    def __dealloc__(self):
        if self.old != NULL and self.old.deleter != NULL:
            self.old.deleter(self.old)
        if self.new != NULL and self.new.deleter != NULL:
            self.new.deleter(self.new)


def from_dlpack(ext_tensor, *, device=None, copy=None):
    """A tensor on the memory of any object that speaks DLPack."""
    cdef mtb_dl_tensor* dl
    cdef _Borrowed owner = _Borrowed.__new__(_Borrowed)
    cdef Tensor x
    cdef Storage s
    cdef i64 reach = 0, size
    cdef int d
    check_device(device)
    if hasattr(ext_tensor, "__dlpack__"):
        if tuple(ext_tensor.__dlpack_device__())[0] not in (1, 3):
            raise BufferError("from_dlpack: only memory of the CPU can be shared")
        try:
            capsule = ext_tensor.__dlpack__(max_version=(1, 1))
        except TypeError:
            capsule = ext_tensor.__dlpack__()
    else:
        capsule = ext_tensor
    if PyCapsule_IsValid(capsule, "dltensor_versioned"):
        owner.new = <mtb_dl_versioned*> PyCapsule_GetPointer(capsule, "dltensor_versioned")
        PyCapsule_SetName(capsule, "used_dltensor_versioned")
        if owner.new.major > 1:
            raise BufferError(f"from_dlpack: DLPack version {owner.new.major} is not known")
        dl = &owner.new.tensor
    elif PyCapsule_IsValid(capsule, "dltensor"):
        owner.old = <mtb_dl_managed*> PyCapsule_GetPointer(capsule, "dltensor")
        PyCapsule_SetName(capsule, "used_dltensor")
        dl = &owner.old.tensor
    else:
        raise RuntimeError("from_dlpack: expected an object with __dlpack__ or an unused DLPack capsule")
    if (dl.dtype.code, dl.dtype.bits) not in DL_TYPES or dl.dtype.lanes != 1:
        raise BufferError(f"from_dlpack: unsupported dtype (code {dl.dtype.code}, {dl.dtype.bits} bits, {dl.dtype.lanes} lanes)")
    if dl.ndim > MAXDIM:
        raise BufferError(f"from_dlpack: a tensor has at most {MAXDIM} dimensions in minitorch_bn, got {dl.ndim}")
    x = Tensor.__new__(Tensor)
    x.dtype = DL_TYPES.index((dl.dtype.code, dl.dtype.bits))
    set_shape(x, dl.ndim, dl.shape)
    size = ITEMSIZE[x.dtype]
    for d in range(x.ndim):
        if dl.strides != NULL:
            x.strides[d] = dl.strides[d]
        if x.strides[d] < 0:
            raise BufferError("from_dlpack: negative strides are not supported")
        reach += (x.shape[d] - 1) * x.strides[d] if x.shape[d] else 0
    s = Storage.__new__(Storage)
    s.data, s.owner = <char*> dl.data + dl.byte_offset, owner
    s.nbytes = (reach + 1) * size if x.numel else 0
    s.readonly = owner.new != NULL and owner.new.flags & 1
    x.storage, x.data = s, s.data
    refresh_contiguous(x)
    return raw_clone(x) if copy else x


# -- pickle and deepcopy --------------------------------------------------------------------------------------------------

def rebuild_tensor(cls, data, dtype_name, shape, bint requires_grad, extra, gradient=None):
    """A tensor from what pickle kept."""
    cdef Tensor x = empty(*shape, dtype=DTYPES[dtype_name])
    cdef const unsigned char[::1] bytes_
    if x.numel:
        bytes_ = data
        if bytes_.shape[0] != x.numel * ITEMSIZE[x.dtype]:
            raise ValueError(f"a pickled tensor of shape {tuple(shape)} has {bytes_.shape[0]} bytes of data")
        memcpy(x.data, &bytes_[0], bytes_.shape[0])
    if cls is not Tensor:
        x = Tensor._make_subclass(cls, x)
    x.requires_grad_ = requires_grad
    x.extra = dict(extra) if extra else None
    x.grad_ = gradient
    return x


cdef object reduce_tensor(Tensor x, int protocol):
    cdef Tensor flat
    if node_of(x) is not None:
        raise RuntimeError("only leaf tensors can be pickled; use tensor.detach()")
    flat = raw_contiguous(x)
    data = (<char*> flat.data)[:flat.numel * ITEMSIZE[x.dtype]]
    return rebuild_tensor, (type(x), data, NAMES[x.dtype], shape_tuple(x), x.requires_grad_, x.extra, x.grad_)


cdef Tensor deep_copy(Tensor x, dict memo):
    """A copy of a leaf. Tensors that share memory share it in the copy too."""
    cdef Tensor y
    cdef Storage s
    if id(x) in memo:
        return memo[id(x)]
    if node_of(x) is not None:
        raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  "
                           "If you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, "
                           "see https://github.com/pytorch/pytorch/pull/103001")
    s = memo.get(id(x.storage))
    if s is None:
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
    y.extra = deepcopy(x.extra, memo)
    if hasattr(x, "__dict__"):
        y.__dict__.update(deepcopy(x.__dict__, memo))
    return y


# -- conversions and inquiries ----------------------------------------------------------------------------------------------

def to(Tensor self not None, *args, dtype=None, device=None, non_blocking=False, copy=False, memory_format=None):
    """This tensor with another dtype (or that of another tensor), or itself if nothing changes. Devices: the CPU."""
    cdef int code
    for a in args:
        if type(a).__name__ == "dtype":
            dtype = a
        elif isinstance(a, Tensor):
            dtype = dtypes[(<Tensor> a).dtype]
        elif isinstance(a, (str, device_type, int)) and not isinstance(a, bool):
            device = a
        elif isinstance(a, bool):
            pass   # non_blocking, copy
        elif a is not None:
            raise TypeError(f"to() received an invalid combination of arguments - got {type(a).__name__}")
    if len(args) == 4 and isinstance(args[3], bool) or len(args) == 3 and isinstance(args[2], bool) and not copy:
        copy = args[len(args) - 1] and len(args) > 2
    if isinstance(device, int):
        device = f"cuda:{device}"
    check_device(device)
    code = dtype_code(dtype, self.dtype)
    if code == self.dtype and not copy and (memory_format is None or memory_format is singletons["preserve_format"]
                                            or is_contiguous(self, memory_format)):
        return self
    return in_format(self, memory_format, code)


device_type = device


def _converter(name):
    cdef int code = NAMES.index(name)

    def convert(Tensor self not None, memory_format=None):
        return cast(self, code)
    convert.__doc__ = f"This tensor as torch.{name}."
    return convert


def type_(Tensor self not None, dtype=None, non_blocking=False):
    """The type's name, or this tensor as another dtype ("torch.FloatTensor" works too)."""
    if dtype is None:
        return f"torch.{SCALAR_NAMES[self.dtype]}Tensor"
    if isinstance(dtype, str):
        name = dtype.removeprefix("torch.").removesuffix("Tensor")
        if name not in SCALAR_NAMES:
            raise ValueError(f"invalid type: '{dtype}'")
        return cast(self, SCALAR_NAMES.index(name))
    return cast(self, dtype_code(getattr(dtype, "dtype", dtype)))


def size(Tensor self not None, dim=None):
    """The shape, or the size of one dim."""
    if dim is None:
        return make_size(shape_tuple(self))
    cdef int d = wrap_dim(dim, self.ndim)
    if self.ndim == 0:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return self.shape[d]


def stride(Tensor self not None, dim=None):
    """The strides in elements, or that of one dim."""
    if dim is None:
        return tuple([self.strides[d] for d in range(self.ndim)])
    return self.strides[wrap_dim(dim, self.ndim)]


def numel(Tensor self not None):
    """The number of elements."""
    return self.numel


def dim(Tensor self not None):
    """The number of dimensions."""
    return self.ndim


def item_(Tensor self not None):
    """The value of a tensor with one element as a Python number."""
    return item(self)


def data_ptr(Tensor self not None):
    """The address of the first element."""
    return <uintptr_t> self.data


def storage_offset(Tensor self not None):
    """Where the first element lies in the storage, in elements."""
    return (self.data - self.storage.data) // ITEMSIZE[self.dtype]


def is_floating_point(Tensor input not None):
    """Whether the dtype is a floating-point one."""
    return is_float(input.dtype)


def is_signed(Tensor input not None):
    """Whether the dtype has negative values."""
    return dtypes[input.dtype].is_signed


def is_set_to(Tensor self not None, Tensor tensor not None):
    """Whether both are the same view of the same memory."""
    return self.data == tensor.data and self.storage is tensor.storage and stride(self) == stride(tensor) and same_shape(self, tensor)


def is_inference(Tensor self not None):
    """Whether it was made in inference mode."""
    return self.inference


def _same(Tensor self not None, *args, **kwargs):
    """This tensor: it is on the CPU already."""
    return self


def _no_cuda(Tensor self not None, device=None, non_blocking=False, memory_format=None):
    """An error: there is no CUDA device here."""
    check_device("cuda" if device is None or isinstance(device, int) else device)


def _factory(function):
    """new_zeros and its like: this tensor's dtype unless another is given."""
    def new(Tensor self not None, *args, dtype=None, **kwargs):
        return function(*args, dtype=dtypes[self.dtype] if dtype is None else dtype, **kwargs)
    new.__doc__ = f"torch.{function.__name__} with this tensor's dtype unless another is given."
    return new


def _interop_methods():
    for function in (tolist, to, size, stride, numel, dim, data_ptr, storage_offset, is_floating_point, is_signed, is_set_to,
                     is_inference):
        install(function.__name__, function)
    for name, code in dict(bool="bool", byte="uint8", char="int8", short="int16", int="int32", long="int64", half="float16",
                           bfloat16="bfloat16", float="float32", double="float64").items():
        install(name, _converter(code))
    for name, function in dict(numpy=numpy_, __array__=array_, __dlpack__=dlpack, item=item_, nelement=numel, ndimension=dim,
                               type=type_, cpu=_same, pin_memory=_same, cuda=_no_cuda,
                               new_tensor=_factory(tensor), new_empty=_factory(empty), new_zeros=_factory(zeros),
                               new_ones=_factory(ones), new_full=_factory(full)).items():
        install(name, function)
    install("__dlpack_device__", lambda self: (1, 0))
    install("element_size", lambda self: ITEMSIZE[(<Tensor?> self).dtype])
    install("type_as", lambda self, other: cast(self, (<Tensor?> other).dtype))
    install("is_complex", lambda self: False)
    install("is_pinned", lambda self: False)
    install("is_shared", lambda self: False)
    install("get_device", lambda self: -1)
    install("untyped_storage", lambda self: (<Tensor?> self).storage)
    for name in ("is_cuda", "is_sparse", "is_quantized", "is_mkldnn", "is_meta", "is_mps", "is_xpu", "is_nested"):
        install(name, property(lambda self: False, doc="Always False."))
    install("is_cpu", property(lambda self: True, doc="Always True."))
    install("layout", property(lambda self: singletons["strided"], doc="Always torch.strided."))
    install("names", property(lambda self: (None,) * self.ndim, doc="Named dims are not supported: None for each."))
    install("real", property(lambda self: self, doc="The real part: itself."))


_interop_methods()
