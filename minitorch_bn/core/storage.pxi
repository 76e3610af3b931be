# Storage: a block of memory with a version counter; and how tensors are made on it.

from time import monotonic

cdef extern from *:
    bint __builtin_mul_overflow(i64 a, i64 b, i64* r) noexcept nogil
    ctypedef struct PyThreadState
    ctypedef struct PyInterpreterState
    PyInterpreterState* PyInterpreterState_Get()
    PyThreadState* PyInterpreterState_ThreadHead(PyInterpreterState* interpreter)
    PyThreadState* PyThreadState_Next(PyThreadState* thread)


@cython.no_gc
@cython.freelist(512)
cdef class Storage:
    """A block of memory that tensors view. It counts the in-place writes, so that backward can tell if a saved value
    changed."""

    def __dealloc__(self):
        if self.deferred:
            drop_jobs(<PyObject*> self)
        if self.owner is None and self.data != NULL:
            give(self.data, self.nbytes)

    def data_ptr(self):
        """The address of the first byte."""
        lend(self)
        return <uintptr_t> self.data

    def __len__(self):
        return self.nbytes


cdef inline Storage new_storage(size_t nbytes):
    cdef Storage s = Storage.__new__(Storage)
    s.data = <char*> take(nbytes)
    s.nbytes = nbytes
    return s


cdef inline int set_shape(Tensor t, int ndim, const i64* shape) except -1:
    """Give t this shape, row-major strides and the count of its elements."""
    cdef i64 n = 1
    cdef int d
    t.ndim = ndim
    for d in range(ndim - 1, -1, -1):
        t.shape[d] = shape[d]
        t.strides[d] = n
        if shape[d] > 1 and __builtin_mul_overflow(n, shape[d], &n):
            count_elements(ndim, shape)
    t.numel = n
    for d in range(ndim):
        if shape[d] == 0:
            t.numel = 0
    t.contiguous = True
    if n > (<i64> 1 << 58):
        count_elements(ndim, shape)
    return 0


cdef Tensor new_tensor(int dtype, int ndim, const i64* shape):
    if deferred:  # who makes a tensor is about to read others
        settle_all()
    return fresh_tensor(dtype, ndim, shape)


cdef Tensor fresh_tensor(int dtype, int ndim, const i64* shape):
    cdef Tensor t = Tensor.__new__(Tensor)
    t.dtype = dtype
    set_shape(t, ndim, shape)
    t.storage = new_storage(<size_t> (t.numel * ITEMSIZE[dtype]))
    t.data = t.storage.data
    t.inference = mtb_inference_mode
    return t


cdef enum:
    LARGE = 1 << 17
    ALONE = 1 << 15        # elements that are cleared before a team is awake


cdef int zero_dense(Tensor t) except -1:
    """Zeros in a tensor without gaps; by all threads where it is large."""
    cdef operand y, x
    cdef i64 nothing = 0
    if t.numel < ALONE:
        memset(t.data, 0, <size_t> (t.numel * ITEMSIZE[t.dtype]))
        return 0
    y.data, y.dtype, y.want, y.strides[0] = t.data, t.dtype, t.dtype, 1
    x.data, x.dtype, x.want, x.strides[0] = <char*> &nothing, t.dtype, t.dtype, 0
    return kernel_copy(&y, &x, 1, &t.numel)


cdef Tensor new_zeros(int dtype, int ndim, const i64* shape):
    cdef Tensor t = new_tensor(dtype, ndim, shape)
    zero_dense(t)
    return t


cdef bint is_dense(Tensor x) noexcept:
    """Whether x's elements fill its memory without gaps or overlap, in some order of the dims."""
    cdef i64 expect = 1
    cdef unsigned int left = 0
    cdef int d
    if x.contiguous:
        return True
    for d in range(x.ndim):
        if x.shape[d] > 1:
            left |= 1u << d
    while left:
        for d in range(x.ndim):
            if left & (1u << d) and x.strides[d] == expect:
                expect *= x.shape[d]
                left &= ~(1u << d)
                break
        else:
            return False
    return True


cdef Tensor new_like(Tensor x, int dtype):
    """Not initialized; the shape of x, and its memory order if that is dense."""
    cdef Tensor t = new_tensor(dtype, x.ndim, x.shape)
    if not x.contiguous and is_dense(x):
        memcpy(t.strides, x.strides, sizeof(t.strides))
        t.contiguous = False
    return t


cdef int refresh_contiguous(Tensor t) noexcept:
    """Work out whether t's strides are row-major without gaps (strides of dims of size 1 do not matter)."""
    cdef i64 expect = 1
    cdef int d
    t.contiguous = True
    if t.numel == 0:
        return 0
    for d in range(t.ndim - 1, -1, -1):
        if t.shape[d] != 1:
            if t.strides[d] != expect:
                t.contiguous = False
                return 0
            expect *= t.shape[d]
    return 0


cdef Tensor view_of(Tensor x, int ndim, const i64* shape, const i64* strides, char* data):
    cdef Tensor t = Tensor.__new__(Tensor)
    cdef int d
    t.dtype = x.dtype
    t.ndim = ndim
    t.numel = 1
    for d in range(ndim):
        t.shape[d] = shape[d]
        t.strides[d] = strides[d]
        t.numel *= shape[d]
    t.storage = x.storage
    t.data = data
    t.inference, t.silent = x.inference, x.silent
    refresh_contiguous(t)
    return t


cdef Tensor alias_of(Tensor x):
    cdef Tensor t = Tensor.__new__(Tensor)
    t.dtype, t.ndim, t.numel, t.contiguous = x.dtype, x.ndim, x.numel, x.contiguous
    memcpy(t.shape, x.shape, sizeof(t.shape))
    memcpy(t.strides, x.strides, sizeof(t.strides))
    t.storage, t.data, t.inference, t.silent = x.storage, x.data, x.inference, x.silent
    return t


cdef int write_scalar(char* p, int dtype, object value) except -1:
    """One Python number as the stored element; integers wrap as a C cast does."""
    cdef double f
    cdef i64 n
    cdef int overflow
    if dtype == MTB_b8:
        p[0] = 1 if value else 0
    elif is_float(dtype):
        f = value
        if dtype == MTB_f64:
            (<double*> p)[0] = f
        elif dtype == MTB_f32:
            (<float*> p)[0] = <float> f
        else:
            K.convert.cast[MTB_f64][dtype](p, &f, 1)
    else:
        if type(value) is int and dtype == MTB_i64:
            n = PyLong_AsLongLongAndOverflow(value, &overflow)
            if not overflow:
                (<i64*> p)[0] = n
                return 0
        if isinstance(value, float):
            if value != value or value in (float("inf"), -float("inf")):
                raise RuntimeError(f"value cannot be converted to type {NAMES[dtype]} without overflow: {value}")
            value = int(value)
        elif type(value) is not int and type(value) is not bool:
            value = int(value)
        if not -(1 << 63) <= value < 1 << 63:
            raise RuntimeError(f"value cannot be converted to type {NAMES[dtype]} without overflow: {value}")
        n = value
        K.convert.cast[MTB_i64][dtype](p, &n, 1)
    return 0


cdef object read_scalar(char* p, int dtype):
    """The stored element as a Python number."""
    cdef double f
    cdef i64 n
    if dtype == MTB_f32:
        return <double> (<float*> p)[0]
    if dtype == MTB_i64:
        return (<i64*> p)[0]
    if dtype == MTB_b8:
        return p[0] != 0
    if is_float(dtype):
        K.convert.cast[dtype][MTB_f64](&f, p, 1)
        return f
    K.convert.cast[dtype][MTB_i64](&n, p, 1)
    return n


cdef Tensor scalar_tensor(double value, int dtype):
    cdef Tensor t = new_tensor(dtype, 0, NULL)
    K.convert.cast[MTB_f64][dtype](t.data, &value, 1)
    return t


cdef Tensor number_tensor(object value, int dtype):
    cdef Tensor t = new_tensor(dtype, 0, NULL)
    write_scalar(t.data, dtype, value)
    return t


cdef tuple shape_tuple(Tensor x):
    return tuple([x.shape[d] for d in range(x.ndim)])


cdef list parked = [], leaving = []      # (when, storage): given up in this phase (kernels/runtime), and in the last


cdef int part_with(Storage s) except -1:
    """A tensor gives up its memory (`x.data = y`). Another thread may be computing on it, so it stays until all have
    left the regions in which they may be, and 20 ms more, as an operation may be between two regions."""
    global parked, leaving
    if PyThreadState_Next(PyInterpreterState_ThreadHead(PyInterpreterState_Get())) != NULL:
        parked.append((monotonic(), s))
    if parked or leaving:
        if leaving and monotonic() - leaving[-1][0] < 0.02 or not turn_phase():
            return 0
        leaving, parked = parked, []
    return 0


cdef int adopt(Tensor t, Tensor source) except -1:
    """t becomes a view of source's memory, keeping its own identity, history and flags."""
    if t.storage is not None:
        part_with(t.storage)
    t.dtype, t.ndim, t.numel, t.contiguous = source.dtype, source.ndim, source.numel, source.contiguous
    memcpy(t.shape, source.shape, sizeof(t.shape))
    memcpy(t.strides, source.strides, sizeof(t.strides))
    t.storage, t.data = source.storage, source.data
    return 0


cdef inline bint same_shape(Tensor a, Tensor b) noexcept:
    cdef int d
    if a.ndim != b.ndim:
        return False
    for d in range(a.ndim):
        if a.shape[d] != b.shape[d]:
            return False
    return True
