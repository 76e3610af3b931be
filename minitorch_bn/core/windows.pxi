# Views of a part: select, slice, diagonal, unfold, as_strided, each with its vjp beside it.

# -- windows: select, slice, diagonal ----------------------------------------------------------------------------------
# The gradient of a window is zero outside it: zeros of the input's shape, of which the same window is written.

cdef object window_vjp(Node n, object g):
    cdef Tensor grad = <Tensor> g, z, part
    cdef i64[MAXDIM] shape
    cdef int ndim = shape_from(n.aux[0], shape)
    z = new_zeros(grad.dtype, ndim, shape)
    part = n.aux[1](z, *n.aux[2])
    if mtb_grad_mode:
        part.copy_(grad)   # recorded: an in-place write to a view
    else:
        copy_into(part, grad)
    return z


cdef Tensor select_at(Tensor x, int at, i64 i):
    """The slice at position i (inside) of dim `at`."""
    cdef i64[MAXDIM] shape, strides
    cdef Tensor v
    cdef int d
    for d in range(x.ndim - 1):
        shape[d], strides[d] = x.shape[d + (d >= at)], x.strides[d + (d >= at)]
    v = make_view(x, x.ndim - 1, shape, strides, x.data + i * x.strides[at] * ITEMSIZE[x.dtype], window_vjp,
                  "SelectBackward0", None)
    if v.node is not None:
        v.node.aux = shape_tuple(x), select, (at, i)
    return v


def select(Tensor input not None, dim, index):
    """The slice at position `index` of dim `dim`, which disappears."""
    cdef int at
    cdef i64 i = index_arg(index, "index")
    if input.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    at = wrap_dim(dim, input.ndim)
    if i < -input.shape[at] or i >= input.shape[at]:
        raise IndexError(f"select(): index {i} out of range for tensor of size {list(shape_tuple(input))} at dimension "
                         f"{at}")
    return select_at(input, at, i + input.shape[at] if i < 0 else i)


cdef Tensor slice_dim(Tensor x, int at, i64 start, i64 length, i64 step):
    """`length` positions of dim `at` from `start`, `step` apart (all inside; step > 0)."""
    cdef i64[MAXDIM] shape, strides
    memcpy(shape, x.shape, sizeof(shape))
    memcpy(strides, x.strides, sizeof(strides))
    shape[at] = length
    strides[at] = x.strides[at] * step
    cdef Tensor v = make_view(x, x.ndim, shape, strides,
                              x.data + (start * x.strides[at] * ITEMSIZE[x.dtype] if length else 0),
                              window_vjp, "SliceBackward0", None)
    if v.node is not None:
        v.node.aux = shape_tuple(x), slice_dim_, (at, start, length, step)
    return v


def slice_dim_(Tensor x, int at, i64 start, i64 length, i64 step):
    return slice_dim(x, at, start, length, step)


def narrow(Tensor input not None, dim, start, length):
    """Positions start .. start + length of dim `dim`."""
    cdef int at = wrap_dim(dim, input.ndim)
    if isinstance(start, Tensor) and ((<Tensor> start).ndim or not MTB_b8 < (<Tensor> start).dtype < MTB_f16):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    cdef i64 a = index_arg(start, "start"), n = index_arg(length, "length")
    if input.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if n < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if a < -input.shape[at] or a > input.shape[at]:
        raise IndexError(f"start out of range (expected to be in range of [{-input.shape[at]}, {input.shape[at]}], but "
                         f"got {a})")
    if a < 0:
        a += input.shape[at]
    if n > input.shape[at] - a:
        raise RuntimeError(f"start ({a}) + length ({n}) exceeds dimension size ({input.shape[at]}).")
    return slice_dim(input, at, a, n, 1)


def diagonal(Tensor input not None, offset=0, dim1=0, dim2=1):
    """The diagonal of dims dim1 and dim2 as a last dim; offset > 0 is above it."""
    cdef int a = wrap_dim(dim1, input.ndim), b = wrap_dim(dim2, input.ndim), d, n = 0
    cdef i64 k = index_arg(offset, "offset"), length
    cdef i64[MAXDIM] shape, strides
    cdef char* data = input.data
    if input.ndim < 2 or a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    length = min(input.shape[a], input.shape[b] - k) if k >= 0 else min(input.shape[a] + k, input.shape[b])
    length = max(length, 0)
    if length:
        data += (k * input.strides[b] if k >= 0 else -k * input.strides[a]) * ITEMSIZE[input.dtype]
    for d in range(input.ndim):
        if d != a and d != b:
            shape[n], strides[n] = input.shape[d], input.strides[d]
            n += 1
    shape[n], strides[n] = length, input.strides[a] + input.strides[b]
    return make_view(input, n + 1, shape, strides, data, window_vjp, "DiagonalBackward0",
                     (shape_tuple(input), diagonal, (k, a, b)))


cdef object unfold_vjp(Node n, object g):
    """Windows overlap: each place in the window adds its slice."""
    shape, at, size, step = n.aux
    cdef Tensor grad = <Tensor> g
    cdef i64[MAXDIM] sizes
    cdef Tensor z = new_zeros(grad.dtype, shape_from(shape, sizes), sizes)
    cdef i64 count = grad.shape[<int> at]
    for i in range(size):
        part = slice_dim(z, at, i, count, step)
        elementwise_inplace(OP_ADD, part, select(grad, -1, i), None, NULL)
    return z


def unfold(Tensor self not None, dimension, size, step):
    """Every window of `size` along `dimension`, `step` apart, as a last dim."""
    cdef int at = wrap_dim(dimension, self.ndim)
    cdef i64 width = index_arg(size, "size"), stride = index_arg(step,
                                                                 "step"), have = self.shape[at] if self.ndim else 1
    cdef i64[MAXDIM] shape, strides
    if width < 0 or width > have:
        raise RuntimeError(f"maximum size for tensor at dimension {at} is {have} but size is {width}")
    if stride <= 0:
        raise RuntimeError(f"step is {stride} but must be > 0")
    if self.ndim == MAXDIM:
        raise RuntimeError(f"a tensor has at most {MAXDIM} dimensions in minitorch_bn")
    if self.ndim == 0:  # one window of its one element, or of none
        return narrow(unsqueeze(self, 0), 0, 0, width)
    memcpy(shape, self.shape, sizeof(shape))
    memcpy(strides, self.strides, sizeof(strides))
    shape[self.ndim], strides[self.ndim] = width, self.strides[at]
    shape[at], strides[at] = (have - width) // stride + 1, self.strides[at] * stride
    return make_view(self, self.ndim + 1, shape, strides, self.data, unfold_vjp, "UnfoldBackward0",
                     (shape_tuple(self), at, width, stride))


# -- as_strided --------------------------------------------------------------------------------------------------------

cdef object as_strided_vjp(Node n, object g):
    """Elements that several positions share add up: through the flat position of each in the input."""
    shape, positions = n.aux
    cdef Tensor grad = <Tensor> g
    flat = zeros(prod(shape), dtype=dtypes[grad.dtype])
    return flat.index_add(0, positions.reshape(-1), reshape_to(grad, (-1,))).reshape(shape)


cdef Tensor strided_positions(Tensor x, tuple size, tuple stride, i64 offset):
    """For each element of the view, its row-major position in x: the same view of a tensor that counts them."""
    cdef i64 reach = 1
    cdef int d
    for d in range(x.ndim):
        reach += (x.shape[d] - 1) * x.strides[d]
    memory = zeros(reach if x.numel else 0, dtype=dtypes[MTB_i64])
    cdef Tensor own = memory.as_strided(shape_tuple(x), tuple([x.strides[d] for d in range(x.ndim)]), 0)
    copy_into(own, arange(x.numel).reshape(shape_tuple(x)))
    return memory.as_strided(size, stride, offset)


def as_strided(Tensor input not None, size, stride, storage_offset=None):
    """A view with the given sizes and strides, from storage_offset (in elements of the storage; default: where input
    starts)."""
    cdef i64[MAXDIM] shape, strides
    cdef int ndim = shape_from(size, shape), d
    cdef i64 own = (input.data - input.storage.data) // ITEMSIZE[input.dtype]
    cdef i64 offset = own if storage_offset is None else index_arg(storage_offset, "storage_offset"), reach
    if len(stride) != ndim:
        raise RuntimeError(f"mismatch in length of strides and shape: {len(stride)} strides for {ndim} sizes")
    reach = offset
    for d in range(ndim):
        strides[d] = index_arg(stride[d], "stride")
        if strides[d] < 0:
            raise RuntimeError("as_strided: Negative strides are not supported at the moment, got strides: "
                               f"{list(stride)}")
        if shape[d] > 1 and (__builtin_mul_overflow(shape[d] - 1, strides[d], &strides[d])
                             or strides[d] > INT64_MAX - reach):
            raise RuntimeError(f"as_strided: size {list(size)} and strides {list(stride)} are out of range")
        if shape[d] > 1:
            reach += strides[d]
        strides[d] = index_arg(stride[d], "stride")
    if offset < 0 or count_elements(ndim, shape) and (reach >= <i64> (input.storage.nbytes // ITEMSIZE[input.dtype])):
        raise RuntimeError(f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset} requiring "
                           f"a storage size of {(reach + 1) * ITEMSIZE[input.dtype]} are out of bounds for storage of "
                           f"size {input.storage.nbytes}")
    aux = None
    if tracks(input):
        if offset < own:
            raise RuntimeError("as_strided: cannot differentiate a view that starts before its input")
        aux = (shape_tuple(input), strided_positions(input, tuple(size), tuple(stride), offset - own))
    return make_view(input, ndim, shape, strides, input.storage.data + offset * ITEMSIZE[input.dtype],
                     as_strided_vjp, "AsStridedBackward0", aux)


# -- the same values, elsewhere or without history ---------------------------------------------------------------------

def detach(Tensor self not None):
    """The same memory without history; it never requires grad."""
    return alias_of(self)


def detach_(Tensor self not None):
    """Forget this tensor's history."""
    if self.base is not None:
        raise RuntimeError("Can't detach views in-place. Use detach() instead.")
    self.node, self.requires_grad_ = None, False
    return self


cdef object alias_vjp(Node n, object g):
    return g


def view_as_itself(Tensor x not None):
    """A view with x's own shape and strides."""
    return make_view(x, x.ndim, x.shape, x.strides, x.data, alias_vjp, "AliasBackward0", None)


def format_strides(tuple shape, format):
    """The strides of a dense tensor of that shape in that memory format."""
    order = list(range(len(shape)))
    if format is singletons["channels_last"] or format is singletons["channels_last_3d"]:
        if len(shape) != (4 if format is singletons["channels_last"] else 5):
            raise RuntimeError(f"required rank {4 if format is singletons['channels_last'] else 5} tensor to use "
                               f"{format.name} format")
        order = [0, *range(2, len(shape)), 1]
    strides, step = [0] * len(shape), 1
    for d in reversed(order):
        strides[d] = step
        step *= max(shape[d], 1)
    return tuple(strides)


def is_contiguous(Tensor self not None, memory_format=singletons["contiguous_format"]):
    """Whether the elements lie in memory in the order of the format, without gaps."""
    if memory_format is singletons["contiguous_format"]:
        return self.contiguous
    if self.ndim != (4 if memory_format is singletons["channels_last"] else 5):
        return False
    want = format_strides(shape_tuple(self), memory_format)
    return all([self.shape[d] == 1 or self.strides[d] == want[d] for d in range(self.ndim)])


cdef Tensor in_format(Tensor x, object format, int dtype):
    """A copy of x in that dtype and memory format, recorded."""
    cdef Tensor y
    cdef int d
    if format is None or format is singletons["preserve_format"]:
        y = new_like(x, dtype)
    else:
        y = new_tensor(dtype, x.ndim, x.shape)
        for d, s in enumerate(format_strides(shape_tuple(x), format)):
            y.strides[d] = s
        refresh_contiguous(y)
    copy_into(y, x)
    return copied(y, x, "CloneBackward0" if dtype == x.dtype else "ToCopyBackward0")


def contiguous_(Tensor self not None, memory_format=singletons["contiguous_format"]):
    """This tensor, or a copy that lies in memory in the order of the format."""
    return self if is_contiguous(self, memory_format) else in_format(self, memory_format, self.dtype)


def clone(Tensor input not None, *, memory_format=None):
    """A copy (differentiable)."""
    return in_format(input, memory_format, input.dtype)


def ravel(Tensor input not None):
    """All elements in one dim; a view of a contiguous tensor, else a copy."""
    return reshape_to(contiguous(input), (-1,))


def view_as(Tensor self not None, Tensor other not None):
    """A view with another tensor's shape."""
    return view(self, shape_tuple(other))


def reshape_as(Tensor self not None, Tensor other not None):
    """:meth:`Tensor.reshape` to another tensor's shape."""
    return reshape_to(self, shape_tuple(other))


def expand_as(Tensor self not None, Tensor other not None):
    """:meth:`Tensor.expand` to another tensor's shape."""
    return expand(self, shape_tuple(other))


cdef dict VIEW_METHODS = dict(
    ravel=ravel, view_as=view_as, reshape_as=reshape_as, expand_as=expand_as,
    reshape=reshape, view=view, flatten=flatten, unflatten=unflatten, squeeze=squeeze, unsqueeze=unsqueeze,
    permute=permute, transpose=transpose, t=t, movedim=movedim, moveaxis=movedim, swapaxes=transpose,
    swapdims=transpose, expand=expand, broadcast_to=broadcast_to, select=select, narrow=narrow, diagonal=diagonal,
    unfold=unfold, as_strided=as_strided, detach=detach, detach_=detach_, contiguous=contiguous_,
    is_contiguous=is_contiguous, clone=clone)


def _view_attributes():
    for name, function in VIEW_METHODS.items():
        install(name, function)
    install("T", property(lambda self: permute_to(self, tuple(range(self.ndim))[::-1]), doc="All dims reversed."))
    install("mT", property(lambda self: transpose(self, -2, -1), doc="The last two dims exchanged."))
    install("H", property(lambda self: transpose(self, 0, 1), doc="The transpose of a matrix (real tensors)."))
    install("mH", property(lambda self: transpose(self, -2, -1), doc="The last two dims exchanged (real tensors)."))


_view_attributes()
