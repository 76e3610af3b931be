# x[...] and x[...] = v: integers, slices, None and ... are views; lists, arrays and tensors select (ops.indexing does
# that).

cdef object advanced_get = None
cdef object advanced_put = None


def set_advanced_indexing(get, put):
    """Where indexing with tensors is done: get(x, indices) and put(x, indices, values), an index or None for each
    dim."""
    global advanced_get, advanced_put
    advanced_get, advanced_put = get, put


cdef inline Tensor pick(Tensor x, int dim, i64 i):
    """The slice at i of dim, which disappears."""
    if i < -x.shape[dim] or i >= x.shape[dim]:
        raise IndexError(f"index {i} is out of bounds for dimension {dim} with size {x.shape[dim]}")
    return select_at(x, dim, i + x.shape[dim] if i < 0 else i)


cdef Tensor cut(Tensor x, int dim, object s):
    """x[..., start:stop:step, ...] at dim."""
    cdef i64 start, stop, step, length
    if s.start is None and s.stop is None and s.step is None:
        return x
    bounds = slice(*[None if v is None else index_arg(v, "slice indices") for v in (s.start, s.stop, s.step)])
    if bounds.step is not None and bounds.step <= 0:
        raise ValueError("step must be greater than zero")
    start, stop, step = bounds.indices(x.shape[dim])
    length = max(0, (stop - start + step - 1) // step)
    return slice_dim(x, dim, start, length, step)


cdef object as_index(object i):
    """A list, array or range as an index tensor; a tensor as it is."""
    cdef Tensor t
    if isinstance(i, Tensor):
        t = i
    elif isinstance(i, (list, tuple, range)):
        t = from_data(list(i), MTB_i64 if len(i) == 0 else -1)
    elif hasattr(i, "__array__"):
        t = from_data(i, -1)
    else:
        return None
    if is_float(t.dtype):
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    return t


cdef Tensor walk(Tensor x, object index, list advanced):
    """Apply the view part of an index; `advanced` receives one entry a dim of the result: a tensor, or None."""
    cdef Tensor v = x, t
    cdef int dim = 0, used = 0, d
    cdef list inserted = []   # positions of new dims in the result, ascending
    cdef tuple parts = index if isinstance(index, tuple) else (index,)
    if isinstance(index, list) and any([isinstance(i, (slice, type(None), type(Ellipsis))) for i in index]):
        parts = tuple(index)
    for i in parts:
        if i is None or i is Ellipsis or isinstance(i, bool):
            continue
        used += (<Tensor> i).ndim if isinstance(i, Tensor) and (<Tensor> i).dtype <= MTB_u8 and (<Tensor> i).ndim else \
            i.ndim if getattr(getattr(i, "dtype", None), "kind", None) == "b" else 1
    if used > x.ndim:
        if x.ndim == 0 and len(parts) == 1:
            raise IndexError("invalid index of a 0-dim tensor: use tensor.item() to get its number")
        raise IndexError(f"too many indices for tensor of dimension {x.ndim}")
    for i in parts:
        if type(i) is int:
            v = pick(v, dim, index_arg(i, "index"))
        elif isinstance(i, slice):
            v = cut(v, dim, i)
            advanced.append(None)
            dim += 1
        elif i is None:
            inserted.append(len(advanced))
            advanced.append(None)
        elif i is Ellipsis:
            for d in range(x.ndim - used):
                advanced.append(None)
                dim += 1
        elif isinstance(i, bool):
            inserted.append(len(advanced))
            advanced.append(from_data([i], MTB_b8))
        else:
            t = as_index(i)
            if t is None:
                if not hasattr(i, "__index__"):
                    raise (IndexError if isinstance(i, float) else TypeError)(
                        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
                        f"indices (got {type(i).__name__})")
                v = pick(v, dim, index_arg(i, "index"))
            elif t.ndim == 0 and t.dtype != MTB_b8:
                v = pick(v, dim, item(t))
            elif t.ndim == 0:
                inserted.append(len(advanced))
                advanced.append(reshape_to(t, (1,)))
            else:
                if t.dtype <= MTB_u8:  # a mask stands for the dims that it covers
                    for d in range(t.ndim):
                        if t.shape[d] != v.shape[dim + d]:
                            raise IndexError(f"The shape of the mask {list(shape_tuple(t))} at index {d} does not "
                                             f"match the shape of the indexed tensor {list(shape_tuple(x))} at index "
                                             f"{dim + d}")
                    if t.dtype == MTB_u8:
                        t = raw_cast(t, MTB_b8)
                    advanced.append(t)
                    advanced.extend([0] * (t.ndim - 1))   # 0: covered by the mask before
                    dim += t.ndim
                else:
                    advanced.append(t)
                    dim += 1
    for d in inserted:  # last: with the new dims there could be more than MAXDIM before the integers take theirs away
        v = unsqueeze(v, d)
    return v


cdef list expand_masks(list advanced):
    """Masks become the integer indices of their true elements, one tensor for each dim that they cover."""
    cdef list out = []
    for i in advanced:
        if i is None or isinstance(i, Tensor) and (<Tensor> i).dtype != MTB_b8:
            out.append(i)
        elif isinstance(i, Tensor):
            out.extend(i.nonzero(as_tuple=True))
    return out


cdef extern from "Python.h":
    int PySlice_Unpack(object s, Py_ssize_t* start, Py_ssize_t* stop, Py_ssize_t* step) except -1
    Py_ssize_t PySlice_AdjustIndices(Py_ssize_t length, Py_ssize_t* start, Py_ssize_t* stop, Py_ssize_t step)
    long long PyLong_AsLongLongAndOverflow(object i, int* overflow)
    ctypedef struct PySliceObject:
        PyObject* start
        PyObject* stop
        PyObject* step


cdef inline bint plain_end(PyObject* end) noexcept:
    """Whether an end of a slice is an integer or None."""
    return end == <PyObject*> None or type(<object> end) is int


cdef Tensor window(Tensor x, object index):
    """x[index] in one view, where the index has integers, slices, None and ... only, all in bounds, and x is in no
    graph. Else None: walk() takes one step after the other, and knows the errors."""
    cdef i64[MAXDIM] shape, strides
    cdef Py_ssize_t start, stop, step
    cdef char* data = x.data
    cdef int dim = 0, n = 0, more = x.ndim, overflow
    cdef i64 i
    cdef PySliceObject* s
    cdef tuple parts = index if type(index) is tuple else (index,)
    if mtb_grad_mode and in_graph(x) or len(parts) > MAXDIM or len(parts) == 0:
        return None
    for part in parts:
        if type(part) is int or type(part) is slice:
            more -= 1
        elif part is not None and part is not Ellipsis:
            return None
    for part in parts:
        if n == MAXDIM or more < 0:
            return None
        if type(part) is int:
            i = PyLong_AsLongLongAndOverflow(part, &overflow)
            if i < -x.shape[dim] or i >= x.shape[dim] or overflow:
                return None
            data += (i + x.shape[dim] if i < 0 else i) * x.strides[dim] * ITEMSIZE[x.dtype]
            dim += 1
        elif type(part) is slice:
            s = <PySliceObject*> part
            if not (plain_end(s.start) and plain_end(s.stop) and plain_end(s.step)):
                return None
            if s.step != <PyObject*> None and <object> s.step <= 0:
                return None
            PySlice_Unpack(part, &start, &stop, &step)
            shape[n] = PySlice_AdjustIndices(x.shape[dim], &start, &stop, step)
            strides[n] = x.strides[dim] * step
            data += start * x.strides[dim] * ITEMSIZE[x.dtype] if shape[n] else 0
            dim, n = dim + 1, n + 1
        elif part is None:
            shape[n], strides[n] = 1, -1
            n += 1
        else:  # as many dims as the rest leaves
            if n + more > MAXDIM:
                return None
            while more:
                shape[n], strides[n] = x.shape[dim], x.strides[dim]
                dim, n, more = dim + 1, n + 1, more - 1
    if n + more > MAXDIM:
        return None
    while more:
        shape[n], strides[n] = x.shape[dim], x.strides[dim]
        dim, n, more = dim + 1, n + 1, more - 1
    i = 1
    for dim in range(n - 1, -1, -1):  # a new dim steps over all of the old one after it
        if strides[dim] == -1:
            strides[dim] = i
        else:
            i = shape[dim] * strides[dim]
    return make_view(x, n, shape, strides, data, window_vjp, "", None)


cdef bint is_full_mask(Tensor v, list advanced):
    """Whether the index is one mask of v's shape."""
    return isinstance(advanced[0], Tensor) and (<Tensor> advanced[0]).dtype == MTB_b8 and advanced[0].ndim == v.ndim


cdef Tensor get_item(Tensor x, object index):
    cdef list advanced
    cdef Tensor v
    cdef bint plain = True
    if type(index) is int and x.ndim:
        return pick(x, 0, index_arg(index, "index"))
    v = window(x, index)
    if v is not None:
        return v
    advanced = []
    v = walk(x, index, advanced)
    for i in advanced:
        plain = plain and i is None
    if plain:
        return view_as_itself(v) if v is x else v
    if is_full_mask(v, advanced):
        return (<object> v).masked_select(advanced[0])
    return advanced_get(v, expand_masks(advanced))


cdef int set_item(Tensor x, object index, object value) except -1:
    cdef list advanced = []
    cdef bint plain = True
    cdef Tensor v = window(x, index)
    if v is None:
        v = walk(x, index, advanced)
        for i in advanced:
            plain = plain and i is None
    if not isinstance(value, Tensor):
        value = number_tensor(value, x.dtype) if isinstance(value, (int, float)) else from_data(value, -1)
    if plain:
        write(v, value, "CopySlices")
    elif (<Tensor> value).ndim == 0 and is_full_mask(v, advanced):
        elementwise_general(OP_WHERE, advanced[0], cast(value, v.dtype), v, NULL, v, True)
    else:
        advanced_put(v, expand_masks(advanced), value)
    return 0
