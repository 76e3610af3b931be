# View ops: new shape and strides over the same storage, each with its vjp beside it.

cdef Tensor make_view(Tensor x, int ndim, const i64* shape, const i64* strides, char* data, vjp_t vjp, object name, object aux):
    """A view of x that knows its base and, if x is tracked, enters the graph."""
    cdef Tensor v = view_of(x, ndim, shape, strides, data)
    cdef Node n
    if mtb_grad_mode:
        v.base = x if x.base is None else x.base
        v.view_version = x.storage.version
        if is_float(x.dtype) and in_graph(x):
            n = new_node(vjp, name, x, None, None)
            n.aux = aux
            v.node = n
    return v


# -- reshape --------------------------------------------------------------------------------------------------------------

cdef object reshape_vjp(Node n, object g):
    return reshape_to(<Tensor> g, n.aux)


cdef bint view_strides(Tensor x, int ndim, const i64* shape, i64* strides) noexcept:
    """Strides that give x's elements the new shape without a copy, if there are any."""
    cdef int i = 0, j, d, old = 0
    cdef i64[MAXDIM] s, t
    cdef i64 left, right, step
    cdef int oi = 0, oj, ni = 0, nj, k
    for d in range(x.ndim):  # dims of size 1 do not matter
        if x.shape[d] != 1:
            s[old], t[old] = x.shape[d], x.strides[d]
            old += 1
    if x.numel == 0 or x.contiguous:
        step = 1
        for d in range(ndim - 1, -1, -1):
            strides[d] = step
            step *= shape[d] if shape[d] > 0 else 1
        return True
    while ni < ndim and oi < old:
        left, right = shape[ni], s[oi]
        nj, oj = ni + 1, oi + 1
        while left != right:
            if left < right:
                left *= shape[nj]
                nj += 1
            else:
                right *= s[oj]
                oj += 1
        for k in range(oi, oj - 1):  # the old dims of this group must be evenly stepped through
            if t[k] != s[k + 1] * t[k + 1]:
                return False
        strides[nj - 1] = t[oj - 1]
        for k in range(nj - 1, ni, -1):
            strides[k - 1] = strides[k] * shape[k]
        ni, oi = nj, oj
    for k in range(ni, ndim):  # trailing ones
        strides[k] = 1
    return True


cdef int infer_shape(Tensor x, object sizes, i64* shape) except -1:
    """The sizes with a -1 worked out; returns how many."""
    cdef int n = 0, unknown = -1
    cdef i64 s, known = 1
    for size in sizes:
        if n == MAXDIM:
            raise RuntimeError(f"a tensor has at most {MAXDIM} dimensions in minitorch_bn, got shape {list(sizes)}")
        s = index_arg(size, "size")
        if s == -1:
            if unknown >= 0:
                raise RuntimeError("only one dimension can be inferred")
            unknown = n
        elif s < -1:
            raise RuntimeError(f"invalid shape dimension {s}")
        elif __builtin_mul_overflow(known, s, &known):
            raise RuntimeError(f"shape '{list(sizes)}' is invalid for input of size {x.numel}")
        shape[n] = s
        n += 1
    if unknown >= 0:
        if known == 0:
            raise RuntimeError(f"cannot reshape tensor of 0 elements into shape {list(sizes)} because the unspecified dimension "
                               "size -1 can be any value and is ambiguous")
        shape[unknown] = x.numel // known
        known *= shape[unknown]
    if known != x.numel:
        raise RuntimeError(f"shape '{list(sizes)}' is invalid for input of size {x.numel}")
    return n


cdef Tensor reshape_to(Tensor x, object sizes):
    """A view of the new shape where the strides allow it, else a copy."""
    cdef i64[MAXDIM] shape, strides
    cdef int ndim = infer_shape(x, sizes, shape)
    if not view_strides(x, ndim, shape, strides):
        x = contiguous(x)
        view_strides(x, ndim, shape, strides)
    return make_view(x, ndim, shape, strides, x.data, reshape_vjp, "ViewBackward0", shape_tuple(x))


def reshape(Tensor input not None, *shape):
    """A tensor of the same elements with another shape; a view if possible. One size may be -1."""
    return reshape_to(input, sizes_args(shape))


def view(Tensor self not None, *shape):
    """A view with another shape (or, for a dtype, with the bytes read as that dtype)."""
    cdef i64[MAXDIM] sizes, strides
    cdef int ndim
    if len(shape) == 1 and isinstance(shape[0], dtype):
        return view_dtype(self, (<dtype> shape[0]).code)
    shape = sizes_args(shape)
    ndim = infer_shape(self, shape, sizes)
    if not view_strides(self, ndim, sizes, strides):
        raise RuntimeError("view size is not compatible with input tensor's size and stride (at least one dimension spans "
                           "across two contiguous subspaces). Use .reshape(...) instead.")
    return make_view(self, ndim, sizes, strides, self.data, reshape_vjp, "ViewBackward0", shape_tuple(self))


cdef Tensor view_dtype(Tensor x, int code):
    """The same bytes as another dtype; the last dim grows or shrinks with the item size."""
    cdef Tensor v = alias_of(x)
    cdef int old = ITEMSIZE[x.dtype], new = ITEMSIZE[code], d
    if x.ndim == 0 and old != new or x.ndim and old != new and (x.strides[x.ndim - 1] != 1 or x.shape[x.ndim - 1] * old % new):
        raise RuntimeError(f"self.size(-1) must be divisible by {new // old if new > old else 1} to view {NAMES[x.dtype]} as "
                           f"{NAMES[code]} (different element sizes), and its last stride must be 1")
    v.dtype = code
    if old != new:
        for d in range(x.ndim - 1):
            if x.strides[d] * old % new:
                raise RuntimeError(f"self.stride({d}) must be divisible by {new // old} to view as {NAMES[code]}")
            v.strides[d] = x.strides[d] * old // new
        v.shape[x.ndim - 1] = x.shape[x.ndim - 1] * old // new
        v.numel = count_elements(v.ndim, v.shape)
        refresh_contiguous(v)
    return v


def flatten(Tensor input not None, start_dim=0, end_dim=-1):
    """Dims start_dim .. end_dim merged into one."""
    cdef int a = wrap_dim(start_dim, input.ndim), b = wrap_dim(end_dim, input.ndim)
    cdef tuple s = shape_tuple(input)
    if a > b:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if input.ndim and a == b:
        return input
    return reshape_to(input, s[:a] + (prod(s[a:b + 1]),) + s[b + 1:])


def unflatten(Tensor input not None, dim, sizes):
    """Dim `dim` split into `sizes`; one of them may be -1."""
    cdef int d = wrap_dim(dim, input.ndim)
    cdef tuple s = shape_tuple(input)
    sizes = tuple(sizes)
    known = prod([size for size in sizes if size != -1])
    if -1 in sizes and (known == 0 or s[d] % known) or -1 not in sizes and known != s[d]:
        raise RuntimeError(f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {d} ({s[d]}) in the "
                           "input tensor")
    return reshape_to(input, s[:d] + tuple([s[d] // known if size == -1 else size for size in sizes]) + s[d + 1:])


def squeeze(Tensor input not None, *dim):
    """Without the dims of size 1 (all, or those named)."""
    cdef unsigned int mask = 0
    cdef i64[MAXDIM] shape, strides
    cdef int d, n = 0
    dims = sizes_args(dim)
    mask = dims_mask(dims, input.ndim) if dim else 0xff
    for d in range(input.ndim):
        if not (mask >> d & 1 and input.shape[d] == 1):
            shape[n], strides[n] = input.shape[d], input.strides[d]
            n += 1
    return make_view(input, n, shape, strides, input.data, reshape_vjp, "SqueezeBackward0", shape_tuple(input))


def unsqueeze(Tensor input not None, dim):
    """With a dim of size 1 at `dim`."""
    cdef int at = wrap_dim(dim, input.ndim + 1), d
    cdef i64[MAXDIM] shape, strides
    if input.ndim == MAXDIM:
        raise RuntimeError(f"a tensor has at most {MAXDIM} dimensions in minitorch_bn")
    for d in range(input.ndim):
        shape[d + (d >= at)], strides[d + (d >= at)] = input.shape[d], input.strides[d]
    shape[at] = 1
    strides[at] = input.shape[at] * input.strides[at] if at < input.ndim else 1
    return make_view(input, input.ndim + 1, shape, strides, input.data, reshape_vjp, "UnsqueezeBackward0", shape_tuple(input))


# -- permute --------------------------------------------------------------------------------------------------------------

cdef object permute_vjp(Node n, object g):
    return permute_to(<Tensor> g, n.aux)


cdef Tensor permute_to(Tensor x, tuple dims):
    """x with its dims in the given order (each named once, none negative)."""
    cdef i64[MAXDIM] shape, strides
    cdef int i, d
    cdef list inverse = [0] * x.ndim
    for i in range(x.ndim):
        d = dims[i]
        shape[i], strides[i] = x.shape[d], x.strides[d]
        inverse[d] = i
    return make_view(x, x.ndim, shape, strides, x.data, permute_vjp, "PermuteBackward0", tuple(inverse))


def permute(Tensor input not None, *dims):
    """The dims in another order."""
    order = [wrap_dim(d, input.ndim) for d in sizes_args(dims)]
    if len(order) != input.ndim:
        raise RuntimeError(f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
                           f"ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to len(dims) = {len(order)}")
    if len(set(order)) != len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return permute_to(input, tuple(order))


def transpose(Tensor input not None, dim0, dim1):
    """Dims dim0 and dim1 exchanged."""
    cdef int a = wrap_dim(dim0, input.ndim), b = wrap_dim(dim1, input.ndim)
    order = list(range(input.ndim))
    if input.ndim:
        order[a], order[b] = b, a
    return permute_to(input, tuple(order))


def t(Tensor input not None):
    """The transpose of a matrix; vectors and scalars as they are."""
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return permute_to(input, tuple(range(input.ndim))[::-1])


def movedim(Tensor input not None, source, destination):
    """Dims `source` moved to the positions `destination`, the others in order."""
    source = [wrap_dim(d, input.ndim) for d in (source if isinstance(source, (tuple, list)) else (source,))]
    destination = [wrap_dim(d, input.ndim) for d in (destination if isinstance(destination, (tuple, list)) else (destination,))]
    if len(source) != len(destination):
        raise RuntimeError(f"movedim: Invalid source or destination dims: source ({source} dims) should contain the same number of "
                           f"dims as destination ({destination} dims)")
    if len(set(source)) != len(source) or len(set(destination)) != len(destination):
        raise RuntimeError("movedim: repeated dim in `source` or `destination`")
    order = [d for d in range(input.ndim) if d not in source]
    for d, s in sorted(zip(destination, source)):
        order.insert(d, s)
    return permute_to(input, tuple(order))


# -- expand ---------------------------------------------------------------------------------------------------------------

cdef object expand_vjp(Node n, object g):
    return sum_to_shape(<Tensor> g, n.aux)


def expand(Tensor self not None, *sizes, implicit=False):
    """A view in which dims of size 1 are repeated without a copy; -1 keeps a size."""
    cdef i64[MAXDIM] shape, strides
    cdef int d, shift
    cdef i64 s
    sizes = sizes_args(sizes)
    shift = len(sizes) - self.ndim
    if len(sizes) > MAXDIM or shift < 0:
        raise RuntimeError(f"expand(torch.{'FloatTensor'}{{{list(shape_tuple(self))}}}, size={list(sizes)}): the number of sizes provided "
                           f"({len(sizes)}) must be greater or equal to the number of dimensions in the tensor ({self.ndim})")
    for d in range(len(sizes)):
        s = index_arg(sizes[d], "size")
        shape[d], strides[d] = s, 0
        if d < shift:
            if s < 0:
                raise RuntimeError(f"The expanded size of the tensor ({s}) isn't allowed in a leading, non-existing dimension {d}")
        elif s == -1 or s == self.shape[d - shift]:
            shape[d], strides[d] = self.shape[d - shift], self.strides[d - shift]
        elif self.shape[d - shift] != 1 or s < 0:
            raise RuntimeError(f"The expanded size of the tensor ({s}) must match the existing size ({self.shape[d - shift]}) at "
                               f"non-singleton dimension {d}.  Target sizes: {list(sizes)}.  Tensor sizes: {list(shape_tuple(self))}")
    count_elements(<int> len(sizes), shape)
    return make_view(self, <int> len(sizes), shape, strides, self.data, expand_vjp, "ExpandBackward0", shape_tuple(self))


def broadcast_to(Tensor input not None, *size):
    """:meth:`Tensor.expand`."""
    return expand(input, *size)


# -- windows: select, slice, diagonal ---------------------------------------------------------------------------------------
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


def select(Tensor input not None, dim, index):
    """The slice at position `index` of dim `dim`, which disappears."""
    cdef int at, d
    cdef i64 i = index_arg(index, "index")
    cdef i64[MAXDIM] shape, strides
    if input.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    at = wrap_dim(dim, input.ndim)
    if i < -input.shape[at] or i >= input.shape[at]:
        raise IndexError(f"select(): index {i} out of range for tensor of size {list(shape_tuple(input))} at dimension {at}")
    if i < 0:
        i += input.shape[at]
    for d in range(input.ndim - 1):
        shape[d], strides[d] = input.shape[d + (d >= at)], input.strides[d + (d >= at)]
    return make_view(input, input.ndim - 1, shape, strides, input.data + i * input.strides[at] * ITEMSIZE[input.dtype],
                     window_vjp, "SelectBackward0", (shape_tuple(input), select, (at, i)))


cdef Tensor slice_dim(Tensor x, int at, i64 start, i64 length, i64 step):
    """`length` positions of dim `at` from `start`, `step` apart (all inside; step > 0)."""
    cdef i64[MAXDIM] shape, strides
    memcpy(shape, x.shape, sizeof(shape))
    memcpy(strides, x.strides, sizeof(strides))
    shape[at] = length
    strides[at] = x.strides[at] * step
    return make_view(x, x.ndim, shape, strides, x.data + (start * x.strides[at] * ITEMSIZE[x.dtype] if length else 0),
                     window_vjp, "SliceBackward0", (shape_tuple(x), slice_dim_, (at, start, length, step)))


def slice_dim_(Tensor x, int at, i64 start, i64 length, i64 step):
    return slice_dim(x, at, start, length, step)


def narrow(Tensor input not None, dim, start, length):
    """Positions start .. start + length of dim `dim`."""
    cdef int at = wrap_dim(dim, input.ndim)
    cdef i64 a = index_arg(start, "start"), n = index_arg(length, "length")
    if input.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if n < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if a < -input.shape[at] or a > input.shape[at]:
        raise IndexError(f"start out of range (expected to be in range of [{-input.shape[at]}, {input.shape[at]}], but got {a})")
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
    cdef i64 width = index_arg(size, "size"), stride = index_arg(step, "step"), have = self.shape[at] if self.ndim else 1
    cdef i64[MAXDIM] shape, strides
    if width < 0 or width > have:
        raise RuntimeError(f"maximum size for tensor at dimension {at} is {have} but size is {width}")
    if stride <= 0:
        raise RuntimeError(f"step is {stride} but must be > 0")
    if self.ndim == MAXDIM:
        raise RuntimeError(f"a tensor has at most {MAXDIM} dimensions in minitorch_bn")
    if self.ndim == 0:
        self = unsqueeze(self, 0)
    memcpy(shape, self.shape, sizeof(shape))
    memcpy(strides, self.strides, sizeof(strides))
    shape[self.ndim], strides[self.ndim] = width, self.strides[at]
    shape[at], strides[at] = (have - width) // stride + 1, self.strides[at] * stride
    return make_view(self, self.ndim + 1, shape, strides, self.data, unfold_vjp, "UnfoldBackward0",
                     (shape_tuple(self), at, width, stride))


# -- as_strided -------------------------------------------------------------------------------------------------------------

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
    """A view with the given sizes and strides, from storage_offset (in elements of the storage; default: where input starts)."""
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
            raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
        if shape[d] > 1 and (__builtin_mul_overflow(shape[d] - 1, strides[d], &strides[d]) or strides[d] > INT64_MAX - reach):
            raise RuntimeError(f"as_strided: size {list(size)} and strides {list(stride)} are out of range")
        if shape[d] > 1:
            reach += strides[d]
        strides[d] = index_arg(stride[d], "stride")
    if offset < 0 or count_elements(ndim, shape) and (reach >= <i64> (input.storage.nbytes // ITEMSIZE[input.dtype])):
        raise RuntimeError(f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset} requiring a storage "
                           f"size of {(reach + 1) * ITEMSIZE[input.dtype]} are out of bounds for storage of size "
                           f"{input.storage.nbytes}")
    aux = None
    if tracks(input):
        if offset < own:
            raise RuntimeError("as_strided: cannot differentiate a view that starts before its input")
        aux = (shape_tuple(input), strided_positions(input, tuple(size), tuple(stride), offset - own))
    return make_view(input, ndim, shape, strides, input.storage.data + offset * ITEMSIZE[input.dtype],
                     as_strided_vjp, "AsStridedBackward0", aux)


# -- the same values, elsewhere or without history -----------------------------------------------------------------------------

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
            raise RuntimeError(f"required rank {4 if format is singletons['channels_last'] else 5} tensor to use {format.name} format")
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


cdef dict VIEW_METHODS = dict(
    reshape=reshape, view=view, flatten=flatten, unflatten=unflatten, squeeze=squeeze, unsqueeze=unsqueeze, permute=permute,
    transpose=transpose, t=t, movedim=movedim, moveaxis=movedim, swapaxes=transpose, swapdims=transpose, expand=expand,
    broadcast_to=broadcast_to, select=select, narrow=narrow, diagonal=diagonal, unfold=unfold, as_strided=as_strided,
    detach=detach, detach_=detach_, contiguous=contiguous_, is_contiguous=is_contiguous, clone=clone)


def _view_attributes():
    for name, function in VIEW_METHODS.items():
        install(name, function)
    install("ravel", lambda self: reshape_to(self, (-1,)))
    install("view_as", lambda self, other: view(self, other.shape))
    install("reshape_as", lambda self, other: reshape_to(self, other.shape))
    install("expand_as", lambda self, other: expand(self, other.shape))
    install("T", property(lambda self: permute_to(self, tuple(range(self.ndim))[::-1]), doc="All dims reversed."))
    install("mT", property(lambda self: transpose(self, -2, -1), doc="The last two dims exchanged."))
    install("H", property(lambda self: transpose(self, 0, 1), doc="The transpose of a matrix (real tensors)."))
    install("mH", property(lambda self: transpose(self, -2, -1), doc="The last two dims exchanged (real tensors)."))


_view_attributes()
