# DLPack 1.x: memory shared with other array libraries, both ways.

cdef extern from *:
    """
    typedef struct { int32_t device_type, device_id; } mtb_dl_device;
    typedef struct { uint8_t code, bits; uint16_t lanes; } mtb_dl_dtype;
    typedef struct {
        void *data; mtb_dl_device device; int32_t ndim; mtb_dl_dtype dtype; int64_t *shape, *strides; uint64_t
        byte_offset;
    } mtb_dl_tensor;
    typedef struct mtb_dl_managed {
        mtb_dl_tensor tensor; void *context; void (*deleter)(struct mtb_dl_managed *);
    } mtb_dl_managed;
    typedef struct mtb_dl_versioned {
        uint32_t major, minor; void *context; void (*deleter)(struct mtb_dl_versioned *); uint64_t flags; mtb_dl_tensor
        tensor;
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
    lend(x.storage)
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
        raise BufferError(f"from_dlpack: unsupported dtype (code {dl.dtype.code}, {dl.dtype.bits} bits, "
                          f"{dl.dtype.lanes} lanes)")
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
