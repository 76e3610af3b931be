# Small methods of Tensor: conversions between dtypes, inquiries, factories of the same dtype.

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
        return cast(self, code) if memory_format is None else to(self, dtype=dtypes[code], memory_format=memory_format)
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
    lend(self.storage)
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
    return (self.data == tensor.data and self.storage is tensor.storage and stride(self) == stride(tensor)
            and same_shape(self, tensor))


def is_inference(Tensor self not None):
    """Whether it was made in inference mode."""
    return self.inference


def _nbytes(Storage self not None):
    """The size of the block in bytes."""
    return self.nbytes


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


def _shallow(self):
    y = self.detach()
    return (y if type(self) is Tensor else type(self)(y)).requires_grad_(self.requires_grad)


def _interop_methods():
    for function in (tolist, to, size, stride, numel, dim, data_ptr, storage_offset, is_floating_point, is_signed,
                     is_set_to, is_inference):
        install(function.__name__, function)
    for name, code in dict(bool="bool", byte="uint8", char="int8", short="int16", int="int32", long="int64",
                           half="float16", bfloat16="bfloat16", float="float32", double="float64").items():
        install(name, _converter(code))
    for name, function in dict(numpy=numpy_, __array__=array_, __dlpack__=dlpack, item=item_, nelement=numel,
                               ndimension=dim, type=type_, cpu=_same, pin_memory=_same, cuda=_no_cuda,
                               new_tensor=_factory(tensor), new_empty=_factory(empty), new_zeros=_factory(zeros),
                               new_ones=_factory(ones), new_full=_factory(full)).items():
        install(name, function)
    for name, method, about in (
            ("__dlpack_device__", lambda self: (1, 0), "(kDLCPU, 0): the CPU, as the DLPack protocol says it."),
            ("__array_wrap__", lambda self, array, context=None, return_scalar=False: from_array(
                array.astype("uint8") if array.dtype == bool else array), "What NumPy's functions give, as a tensor."),
            ("__copy__", _shallow, "Another tensor on the same memory."),
            ("__reversed__", lambda self: self.flip(0) if self.ndim else self, "The elements of dim 0 from the last."),
            ("element_size", lambda self: ITEMSIZE[(<Tensor?> self).dtype], "Bytes of one element."),
            ("type_as", lambda self, other: cast(self, (<Tensor?> other).dtype), "This tensor in other's dtype."),
            ("is_complex", lambda self: False, "Always False."),
            ("is_pinned", lambda self: False, "Always False: no device copies from this memory."),
            ("get_device", lambda self: -1, "-1, for the CPU."),
            ("untyped_storage", lambda self: (<Tensor?> self).storage, "The memory that this tensor views, as bytes.")):
        method.__name__, method.__doc__ = name, about
        install(name, method)
    for name in ("nbytes", "size"):  # the field of this name is a C number
        mtb_install(Storage, name, _nbytes)
    for name in ("is_cuda", "is_sparse", "is_quantized", "is_mkldnn", "is_meta", "is_mps", "is_xpu", "is_nested"):
        install(name, property(lambda self: False, doc="Always False."))
    install("is_cpu", property(lambda self: True, doc="Always True."))
    install("layout", property(lambda self: singletons["strided"], doc="Always torch.strided."))
    install("names", property(lambda self: (None,) * self.ndim, doc="Named dims are not supported: None for each."))
    install("real", property(lambda self: self, doc="The real part: itself."))


_interop_methods()
