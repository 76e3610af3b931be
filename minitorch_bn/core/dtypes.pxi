# Element types, devices, sizes and memory formats as the user sees them, and PyTorch's rules of type promotion.

cdef extern from *:
    """
    static __thread int mtb_grad_mode = 1, mtb_inference_mode = 0;
    """
    int mtb_grad_mode
    int mtb_inference_mode


@cython.final
cdef class dtype:
    """An element type, such as ``torch.float32``."""
    cdef readonly str name
    cdef int code
    cdef readonly bint is_floating_point, is_complex, is_signed

    def __init__(self):
        raise TypeError("cannot create 'torch.dtype' instances")

    @property
    def itemsize(self):
        """Bytes of one element."""
        return ITEMSIZE[self.code]

    def to_complex(self):
        """Complex dtypes are not supported."""
        raise NotImplementedError("complex dtypes are not supported by minitorch_bn")

    def __repr__(self):
        return f"torch.{self.name}"

    def __reduce__(self):
        return _dtype_by_name, (self.name,)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


NAMES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")
# The names that PyTorch's error messages use.
cdef tuple SCALAR_NAMES = ("Bool", "Byte", "Char", "Short", "Int", "Long", "Half", "BFloat16", "Float", "Double")
cdef tuple BUFFER_FORMATS = ("?", "B", "b", "h", "i", "q", "e", None, "f", "d")
cdef list dtypes = []


def _make_dtypes():
    cdef dtype t
    for code in range(MTB_NDTYPES):
        t = dtype.__new__(dtype)
        t.name = NAMES[code]
        t.code = code
        t.is_floating_point = is_float(code)
        t.is_complex = False
        t.is_signed = code not in (MTB_b8, MTB_u8)
        dtypes.append(t)
    return {NAMES[code]: dtypes[code] for code in range(MTB_NDTYPES)}


cdef inline bint is_float(int code) noexcept:
    return code >= MTB_f16


DTYPES = _make_dtypes()


def _dtype_by_name(str name):
    return DTYPES[name]


cdef int default_float = MTB_f32

cdef inline int default_dtype() noexcept:
    return default_float


def get_default_dtype():
    """The floating-point dtype that Python floats become."""
    return dtypes[default_float]


def set_default_dtype(d, /):
    """Let Python floats become `d`, a floating-point dtype."""
    global default_float
    cdef int code = dtype_code(d)
    if not is_float(code):
        raise TypeError(f"only floating-point types are supported as the default type, got {d}")
    default_float = code


cdef int dtype_code(object d, int default=-1) except -2:
    if d is None:
        return default
    if type(d) is dtype:
        return (<dtype> d).code
    if d is float:
        return MTB_f64 if default_float == MTB_f64 else default_float
    if d is int:
        return MTB_i64
    if d is bool:
        return MTB_b8
    if d is complex:
        raise NotImplementedError("complex dtypes are not supported by minitorch_bn")
    raise TypeError(f"dtype must be a torch.dtype, not {type(d).__name__}")


cdef object dtype_object(int code):
    return dtypes[code]


cdef int promote(int a, int b) noexcept:
    """The smallest dtype that both fit, by PyTorch's table."""
    cdef int t
    if a == b:
        return a
    if a > b:
        t = a
        a = b
        b = t
    if a == MTB_u8 and MTB_i8 <= b <= MTB_i64:
        return MTB_i16 if b == MTB_i8 else b
    if a == MTB_f16 and b == MTB_bf16:
        return MTB_f32
    return b


def promote_types(type1, type2):
    """The dtype of an operation between these two."""
    return dtypes[promote(dtype_code(type1), dtype_code(type2))]


cdef int combine(int high, int low) noexcept:
    """high's dtype, unless low is of a higher kind: a 0-d tensor or a number does not widen, it only changes kind."""
    if high < 0:
        return low
    if low < 0 or is_float(high):
        return high
    return promote(high, low) if high == MTB_b8 or is_float(low) else high


ctypedef struct promotion:
    int dim, zero, wrapped  # of tensors with dimensions, of 0-d tensors, of Python numbers; -1: none yet


cdef int consider(promotion* p, object x) except -1:
    cdef int code
    if isinstance(x, Tensor):
        code = (<Tensor> x).dtype
        if (<Tensor> x).ndim > 0:
            p.dim = code if p.dim < 0 else promote(p.dim, code)
        else:
            p.zero = code if p.zero < 0 else promote(p.zero, code)
    elif x is not None:
        if isinstance(x, bool):
            code = MTB_b8
        elif isinstance(x, int):
            code = MTB_i64
        elif isinstance(x, float):
            code = default_float
        else:
            code = number_code(x)
        p.wrapped = code if p.wrapped < 0 else promote(p.wrapped, code)
    return 0


cdef int number_code(object x) except -1:
    """The kind of a number that is not a plain Python one: NumPy's scalars, fractions, ..."""
    if isinstance(x, complex):
        raise NotImplementedError("complex numbers are not supported by minitorch_bn")
    kind = getattr(getattr(x, "dtype", None), "kind", None)
    if kind == "b":
        return MTB_b8
    if kind in ("i", "u") or hasattr(x, "__index__"):
        return MTB_i64
    if kind == "f" or hasattr(x, "__float__") and not hasattr(x, "__len__"):
        return default_float
    raise TypeError(f"expected a Tensor or a number, got {type(x).__name__}")


cdef inline int settle(promotion* p) noexcept:
    return combine(p.dim, combine(p.zero, p.wrapped))


cdef int result_dtype(object a, object b) except -1:
    cdef promotion p
    p.dim = p.zero = p.wrapped = -1
    consider(&p, a)
    consider(&p, b)
    return settle(&p)


def result_type(tensor1, tensor2):
    """The dtype that an operation between two tensors or numbers gives."""
    return dtypes[result_dtype(tensor1, tensor2)]


cdef bint can_cast_code(int a, int b) noexcept:
    """Whether a result of dtype a may be written to dtype b: not from float to integer, not from number to bool."""
    return not (is_float(a) and not is_float(b)) and not (a != MTB_b8 and b == MTB_b8)


def can_cast(from_, to):
    """Whether PyTorch's casting rules let a value of dtype `from_` be stored as `to`."""
    return can_cast_code(dtype_code(from_), dtype_code(to))


# -- devices, layouts, memory formats ----------------------------------------------------------------------------------

@cython.final
cdef class device:
    """Where a tensor lives: always the CPU here."""
    cdef readonly str type
    cdef readonly object index

    def __init__(self, type, index=None):
        if isinstance(type, device):
            type, index = type.type, type.index
        if not isinstance(type, str):
            raise TypeError(f"device() expects a string such as 'cpu', got {type!r}")
        if ":" in type:
            type, _, number = type.partition(":")
            if not number.isdigit():
                raise RuntimeError(f"Invalid device string: '{type}:{number}'")
            index = int(number)
        if type not in ("cpu", "cuda", "mps", "xpu", "meta", "hip", "xla", "mkldnn", "hpu"):
            raise RuntimeError("Expected one of cpu, cuda, mps, xpu, meta device type at start of device string: "
                               f"{type}")
        self.type = type
        self.index = index

    def __repr__(self):
        where = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{where})"

    def __str__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other):
        return isinstance(other, device) and self.type == other.type and self.index == other.index

    def __hash__(self):
        return hash((self.type, self.index))

    def __reduce__(self):
        return device, (self.type, self.index)

    def __enter__(self):
        check_device(self)
        return self

    def __exit__(self, *error):
        return None


CPU = device("cpu")


cdef int check_device(object d) except -1:
    """A clear error for every device but the CPU. What PyTorch would make on "meta", without memory, is made here, too:
    a model is built or copied there for its shapes, or to be filled later."""
    if d is None or d is CPU:
        return 0
    cdef device where = d if isinstance(d, device) else device(d)
    if where.type == "cuda":
        raise AssertionError("no CUDA device: minitorch_bn computes on the CPU only. Use device='cpu', or "
                             "'cuda' if torch.cuda.is_available() else 'cpu'")  # a CPU build of PyTorch asserts, too
    if where.type not in ("cpu", "meta"):
        raise RuntimeError(f"device '{where}' is not there: minitorch_bn computes on the CPU only; use device='cpu'")
    return 0


@cython.final
cdef class _Singleton:
    """A named constant: a memory format or a layout."""
    cdef readonly str name

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"torch.{self.name}"

    def __reduce__(self):
        return _singleton, (self.name,)


cdef dict singletons = {name: _Singleton(name) for name in (
    "contiguous_format", "channels_last", "channels_last_3d", "preserve_format", "strided", "sparse_coo")}


def _singleton(name):
    return singletons[name]


class Size(tuple):
    """The shape of a tensor: a tuple of ints."""
    __slots__ = ()

    def __new__(cls, sizes=()):
        return tuple.__new__(cls, [index_arg(s, "size") for s in sizes])

    def numel(self):
        """The number of elements of such a tensor."""
        return prod(self)

    def __repr__(self):
        return f"torch.Size({list(self)})"

    def __add__(self, other):
        return make_size(tuple.__add__(self, tuple(other)))

    def __radd__(self, other):
        return make_size(tuple(other) + tuple(self))

    def __mul__(self, n):
        return make_size(tuple.__mul__(self, n))

    __rmul__ = __mul__

    def __getitem__(self, i):
        part = tuple.__getitem__(self, i)
        return make_size(part) if isinstance(i, slice) else part

    def __reduce__(self):
        return Size, (tuple(self),)


cdef object size_new = tuple.__new__

cdef inline object make_size(tuple t):
    return size_new(Size, t)


class finfo:
    """The limits of a floating-point dtype: ``finfo(torch.float32).eps``."""
    _TABLE = {MTB_f16: (16, 2.0 ** -10, 65504.0, 2.0 ** -14, 1e-3),
              MTB_bf16: (16, 2.0 ** -7, 3.3895313892515355e38, 2.0 ** -126, 1e-2),
              MTB_f32: (32, 2.0 ** -23, 3.4028234663852886e38, 2.0 ** -126, 1e-6),
              MTB_f64: (64, 2.0 ** -52, sys.float_info.max, 2.0 ** -1022, 1e-15)}

    def __init__(self, type=None):
        cdef int code = dtype_code(type, default_float)
        if not is_float(code):
            raise TypeError("torch.finfo() requires a floating point input type. Use torch.iinfo to handle "
                            f"'{dtypes[code]}'")
        self.bits, self.eps, self.max, self.tiny, self.resolution = self._TABLE[code]
        self.min, self.smallest_normal, self.dtype = -self.max, self.tiny, NAMES[code]

    def __repr__(self):
        return (f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
                f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})")


class iinfo:
    """The limits of an integer dtype: ``iinfo(torch.int64).max``."""

    def __init__(self, type):
        cdef int code = dtype_code(type)
        if is_float(code) or code == MTB_b8:
            raise TypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{dtypes[code]}'")
        self.bits = 8 * ITEMSIZE[code]
        self.min = 0 if code == MTB_u8 else -(1 << (self.bits - 1))
        self.max = (1 << self.bits) - 1 if code == MTB_u8 else (1 << (self.bits - 1)) - 1
        self.dtype = NAMES[code]

    def __repr__(self):
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
