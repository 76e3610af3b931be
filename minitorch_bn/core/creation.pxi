# Making tensors: from Python data, filled, counted.

cdef int nested_shape(object data, i64* shape) except -1:
    """The shape of nested sequences (by the first element of each); returns the number of dims."""
    cdef int ndim = 0
    while isinstance(data, (list, tuple)) or isinstance(data, Tensor) and (<Tensor> data).ndim:
        if ndim == MAXDIM:
            raise ValueError(f"too many dimensions: a tensor has at most {MAXDIM} in minitorch_bn")
        shape[ndim] = len(data)
        ndim += 1
        if len(data) == 0:
            break
        data = data[0]
    return ndim


cdef int nested_dtype(object data) except -2:
    """The dtype that holds every number of nested sequences: bool, int64, the default float, or that of tensors in
    it."""
    cdef int code = -1, inner
    if isinstance(data, (list, tuple)):
        for x in data:
            inner = nested_dtype(x)
            code = inner if code < 0 else code if inner < 0 else promote(code, inner)
            if code == default_float and not isinstance(x, (list, tuple)):
                break
        return code
    if isinstance(data, Tensor):
        return (<Tensor> data).dtype
    if isinstance(data, bool):
        return MTB_b8
    if isinstance(data, int):
        return MTB_i64
    if isinstance(data, float):                      # NumPy's float64 is a kind of float
        return default_float if type(data) is float or not hasattr(data, "dtype") else MTB_f64
    if data is None:
        raise RuntimeError("Could not infer dtype of NoneType")
    if isinstance(data, str):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    return number_code(data)


cdef char* fill_nested(char* p, object data, int dtype, int ndim, const i64* shape, int level) except NULL:
    """Write the numbers of nested sequences one after the other; the next free address."""
    if level == ndim:
        if isinstance(data, (list, tuple)) and not isinstance(data, Tensor):
            raise ValueError(f"expected a number at dim {level} (got {type(data).__name__})")
        write_scalar(p, dtype, data.item() if isinstance(data, Tensor) else data)
        return p + ITEMSIZE[dtype]
    if not isinstance(data, (list, tuple, Tensor)):
        raise TypeError(f"not a sequence at dim {level}: {type(data).__name__}")
    if len(data) != shape[level]:
        raise ValueError(f"expected sequence of length {shape[level]} at dim {level} (got {len(data)})")
    for x in data:
        p = fill_nested(p, x, dtype, ndim, shape, level + 1)
    return p


cdef Tensor from_data(object data, int dtype):
    """A new tensor with a copy of data: numbers, nested sequences, anything with a buffer or __array__. dtype -1:
    inferred."""
    cdef i64[MAXDIM] shape
    cdef int ndim
    cdef Tensor x, y
    if isinstance(data, Tensor):
        x = data
        y = new_tensor(x.dtype if dtype < 0 else dtype, x.ndim, x.shape)
        copy_into(y, x)
        return y
    if isinstance(data, (list, tuple)):
        if len(data) and not isinstance(data[0], (list, tuple, int, float, Tensor)) and hasattr(data[0], "__array__") \
                and getattr(data[0], "ndim", 0):
            return from_data(numpy().array(data), dtype)   # a list of arrays
        ndim = nested_shape(data, shape)
        if dtype < 0:
            dtype = nested_dtype(data)
            dtype = default_float if dtype < 0 else dtype
        y = new_tensor(dtype, ndim, shape)
        if y.numel:
            fill_nested(y.data, data, dtype, ndim, shape, 0)
        return y
    if isinstance(data, (int, float)):
        return number_tensor(data, nested_dtype(data) if dtype < 0 else dtype)
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    if hasattr(data, "__array__") or PyObject_CheckBuffer(data):
        x = from_array(data)
        return from_data(x, dtype)
    if isinstance(data, dict):
        raise RuntimeError("Could not infer dtype of dict")
    if hasattr(data, "__len__") and hasattr(data, "__getitem__"):
        return from_data([data[i] for i in range(len(data))], dtype)
    return number_tensor(data, nested_dtype(data) if dtype < 0 else dtype)


cdef extern from "Python.h":
    int PyObject_CheckBuffer(object o)


cdef Tensor as_tensor(object x, int dtype_hint=-1):
    return <Tensor> x if isinstance(x, Tensor) else from_data(x, dtype_hint)


cdef Tensor prepared(Tensor t, object requires_grad, object device, object pin_memory=False):
    check_device(device)
    if requires_grad:
        t.requires_grad = True
    return t


def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A new tensor with a copy of `data`: a number, nested lists, an array, a tensor. The dtype is inferred unless
    given."""
    check_device(device)
    if isinstance(data, Tensor):
        warnings.warn("To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
                      "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
                      stacklevel=2)
    return prepared(from_data(data, dtype_code(dtype)), requires_grad, device)


def as_tensor_(data, dtype=None, device=None):
    """`data` as a tensor, sharing memory where it can (a tensor or an array of the same dtype)."""
    cdef Tensor x
    cdef int code = dtype_code(dtype)
    check_device(device)
    if isinstance(data, Tensor):
        x = data
    elif hasattr(data, "__array_interface__") and getattr(data, "ndim", 0):
        x = from_array(data)
    else:
        return from_data(data, code)
    return x if code < 0 else cast(x, code)


cdef Tensor blank(tuple sizes, object size, object out, object dtype, object device):
    """What empty(), zeros() and their like start from: a new tensor, or `out` with that size."""
    cdef i64[MAXDIM] shape
    cdef int ndim = shape_from(sizes_args(sizes, size), shape)
    check_device(device)
    if out is None:
        return new_tensor(dtype_code(dtype, default_float), ndim, shape)
    resize_out(out, ndim, shape)
    bump(out)
    return out


def empty(*sizes, size=None, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
          memory_format=None):
    """A tensor of that size, not initialized."""
    cdef Tensor t = blank(sizes, size, out, dtype, device)
    if out is None and memory_format is not None and memory_format is not singletons["contiguous_format"]:
        for d, s in enumerate(format_strides(shape_tuple(t), memory_format)):
            t.strides[<int> d] = s
        refresh_contiguous(t)
    return prepared(t, requires_grad, device)


def full(size, fill_value, *, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """A tensor of that size with `fill_value` everywhere."""
    cdef Tensor t
    if isinstance(fill_value, Tensor):
        fill_value = item(fill_value)
    if dtype is None and out is None:
        dtype = dtypes[number_kind(fill_value)]
    t = blank((), size, out, dtype, device)
    copy_into(t, number_tensor(fill_value, t.dtype))
    return prepared(t, requires_grad, device)


def zeros(*sizes, size=None, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """A tensor of zeros."""
    cdef Tensor t = blank(sizes, size, out, dtype, device)
    if t.contiguous:
        zero_dense(t)
    else:
        copy_into(t, number_tensor(0, t.dtype))
    return prepared(t, requires_grad, device)


def ones(*sizes, size=None, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """A tensor of ones."""
    cdef Tensor t = blank(sizes, size, out, dtype, device)
    copy_into(t, number_tensor(1, t.dtype))
    return prepared(t, requires_grad, device)


cdef Tensor like(Tensor x, object dtype, object memory_format):
    cdef int code = dtype_code(dtype, x.dtype)
    if memory_format is None or memory_format is singletons["preserve_format"]:
        return new_like(x, code)
    return empty(*shape_tuple(x), dtype=dtypes[code], memory_format=memory_format)


def empty_like(Tensor input not None, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None):
    """Not initialized, with input's shape, dtype and memory order."""
    return prepared(like(input, dtype, memory_format), requires_grad, device)


def full_like(Tensor input not None, fill_value, *, dtype=None, layout=None, device=None, requires_grad=False,
              memory_format=None):
    """`fill_value` everywhere, with input's shape, dtype and memory order."""
    cdef Tensor t = like(input, dtype, memory_format)
    copy_into(t, number_tensor(item(fill_value) if isinstance(fill_value, Tensor) else fill_value, t.dtype))
    return prepared(t, requires_grad, device)


def zeros_like(Tensor input not None, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None):
    """Zeros, with input's shape, dtype and memory order."""
    cdef Tensor t = like(input, dtype, memory_format)
    zero_dense(t)
    return prepared(t, requires_grad, device)


def ones_like(Tensor input not None, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None):
    """Ones, with input's shape, dtype and memory order."""
    return full_like(input, 1, dtype=dtype, device=device, requires_grad=requires_grad, memory_format=memory_format)


cdef enum:
    COUNT_BLOCK = 1024     # elements that are counted in cache, in 64 bits, and then converted

ctypedef struct counting:
    char* data
    int dtype
    i64 n, first           # elements; the index of the first
    double start, step     # or, of integers:
    i64 istart, istep


cdef void count_block(void* plan, i64 block) noexcept nogil:
    cdef counting* c = <counting*> plan
    cdef i64[COUNT_BLOCK] space
    cdef i64 at = block * COUNT_BLOCK, n = min(COUNT_BLOCK, c.n - at)
    cdef char* to = c.data + at * ITEMSIZE[c.dtype]
    cdef bint real = c.dtype > MTB_i64
    cdef void* here = to if c.dtype == (MTB_f64 if real else MTB_i64) else <char*> space
    if real:
        K.convert.count_reals(<double*> here, n, c.first + at, c.start, c.step)
    else:
        K.convert.count_integers(<i64*> here, n, c.first + at, c.istart, c.istep)
    if here != to:
        K.convert.cast[MTB_f64 if real else MTB_i64][c.dtype](to, here, n)


cdef int count_into(Tensor t, i64 at, i64 n, i64 first, object start, object step) except -1:
    """n elements of a vector from `at` on: start + i * step from i = first on; each from its own index, so no error
    builds up."""
    cdef counting c
    c.data, c.dtype, c.n, c.first = t.data + at * ITEMSIZE[t.dtype], t.dtype, n, first
    if is_float(t.dtype):
        c.start, c.step = start, step
    else:
        c.istart, c.istep = start, step
    run_tasks(count_block, &c, ceil_div(n, COUNT_BLOCK), n)
    return 0


cdef Tensor counted(object count, int code, object start, object step):
    """start, start + step, ..."""
    cdef i64[1] shape
    cdef Tensor t
    shape[0] = index_arg(count, "size")
    t = new_tensor(code, 1, shape)
    count_into(t, 0, t.numel, 0, start, step)
    return t


def arange(start, end=None, step=1, *, out=None, dtype=None, layout=None, device=None, requires_grad=False,
           pin_memory=False):
    """start, start + step, ... below end; int64 for integers, else the default float."""
    cdef Tensor t
    if end is None:
        start, end = 0, start
    start, end, step = [item(v) if isinstance(v, Tensor) else v for v in (start, end, step)]
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if dtype is dtypes[MTB_i64] or out is not None and (<Tensor> out).dtype == MTB_i64:  # counted in whole steps
        start, end, step = [int(v) if v - v == 0 else v for v in (start, end, step)]
    if step == 0:
        raise ValueError("step must be nonzero")
    integral = all([isinstance(v, int) or not isinstance(v, float) and hasattr(v, "__index__")
                    for v in (start, end, step)])
    cdef int code = dtype_code(dtype, MTB_i64 if integral else default_float)
    if end != end or start != start or start in (float("inf"), -float("inf")) or end in (float("inf"), -float("inf")):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if integral:
        count = max(0, -((start - end) // step))
    else:
        count = max(0, -int((start - end) / step // 1) if ((start - end) / step) == int((start - end) / step)
                    else int((end - start) / step) + 1)
    t = counted(count, code, int(start) if not is_float(code) else start, int(step) if not is_float(code) else step)
    if out is not None:
        resize_out(out, 1, t.shape)
        copy_into(out, t)
        bump(out)
        return out
    return prepared(t, requires_grad, device)


def linspace(start, end, steps, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """`steps` evenly spaced values from start to end, both included."""
    cdef i64 n = index_arg(steps, "steps")
    cdef i64[1] shape
    cdef Tensor t
    cdef int code = dtype_code(dtype, default_float)
    cdef double a, b, d
    if not is_float(code):
        start, end = int(start), int(end)
    a, b = float(start), float(end)
    if n < 0:
        raise RuntimeError("number of steps must be non-negative")
    shape[0] = n
    if code == MTB_f32:     # PyTorch's step is a float, too: who samples an image at its very pixels sees the last bit
        a, b = <float> a, <float> b
        d = <float> (<float> (b - a) / <float> (n - 1)) if n > 1 else 0
    else:
        d = (b - a) / <double> (n - 1) if n > 1 else 0
    t = new_tensor(code if is_float(code) else MTB_f64, 1, shape)
    count_into(t, 0, max(n // 2, <i64> (n == 1)), 0, a, d)  # from both ends, so that the last value is exact
    if n > 1:
        count_into(t, n // 2, n - n // 2, n // 2 - (n - 1), b, d)
    t = raw_cast(t, code)
    if out is not None:
        resize_out(out, 1, t.shape)
        copy_into(out, t)
        bump(out)
        return out
    return prepared(t, requires_grad, device)


def eye(n, m=None, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """The n x m matrix with ones on the diagonal."""
    cdef Tensor t = zeros(n, n if m is None else m, dtype=dtype, device=device)
    fill_(diagonal(t), 1)
    if out is not None:
        resize_out(out, 2, t.shape)
        copy_into(out, t)
        bump(out)
        return out
    return prepared(t, requires_grad, device)


def scalar_tensor_(value, *, dtype=None, device=None, requires_grad=False):
    """A 0-d tensor."""
    return prepared(number_tensor(value, dtype_code(dtype, default_float)), requires_grad, device)
