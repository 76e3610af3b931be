# View ops: new shape and strides over the same storage, each with its vjp beside it.

cdef Tensor make_view(Tensor x, int ndim, const i64* shape, const i64* strides, char* data, vjp_t vjp, object name,
                      object aux):
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


# -- reshape -----------------------------------------------------------------------------------------------------------

cdef object reshape_vjp(Node n, object g):
    return reshape_to(<Tensor> g, n.aux)


cdef bint view_strides(Tensor x, int ndim, const i64* shape, i64* strides) noexcept:
    """Strides that give x's elements the new shape without a copy, if there are any."""
    cdef int d, old = 0
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
            raise RuntimeError(f"cannot reshape tensor of 0 elements into shape {list(sizes)} because the unspecified "
                               "dimension size -1 can be any value and is ambiguous")
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
    return reshaped(x, ndim, shape, strides)


cdef Tensor reshaped(Tensor x, int ndim, const i64* shape, const i64* strides):
    cdef Tensor v = make_view(x, ndim, shape, strides, x.data, reshape_vjp, "ViewBackward0", None)
    if v.node is not None:
        v.node.aux = shape_tuple(x)
    return v


def reshape(Tensor input not None, *sizes, shape=None):
    """A tensor of the same elements with another shape; a view if possible. One size may be -1."""
    return reshape_to(input, sizes_args(sizes, shape))


dtype_type = dtype  # the class, where an argument has its name


def view(Tensor self not None, *shape, size=None, dtype=None):
    """A view with another shape (or, for a dtype, with the bytes read as that dtype)."""
    cdef i64[MAXDIM] sizes, strides
    cdef int ndim
    if dtype is not None or len(shape) == 1 and isinstance(shape[0], dtype_type):
        return view_dtype(self, dtype_code(shape[0] if dtype is None else dtype))
    shape = sizes_args(shape, size)
    ndim = infer_shape(self, shape, sizes)
    if not view_strides(self, ndim, sizes, strides):
        raise RuntimeError("view size is not compatible with input tensor's size and stride (at least one dimension "
                           "spans across two contiguous subspaces). Use .reshape(...) instead.")
    return reshaped(self, ndim, sizes, strides)


cdef Tensor view_dtype(Tensor x, int code):
    """The same bytes as another dtype; the last dim grows or shrinks with the item size."""
    cdef Tensor v = alias_of(x)
    cdef int old = ITEMSIZE[x.dtype], new = ITEMSIZE[code], d
    if x.ndim == 0 and old != new or x.ndim and old != new and (x.strides[x.ndim - 1] != 1
                                                                or x.shape[x.ndim - 1] * old % new):
        raise RuntimeError(f"self.size(-1) must be divisible by {new // old if new > old else 1} to view "
                           f"{NAMES[x.dtype]} as {NAMES[code]} (different element sizes), and its last stride must be "
                           "1")
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
        raise RuntimeError(f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {d} ({s[d]}) "
                           "in the input tensor")
    return reshape_to(input, s[:d] + tuple([s[d] // known if size == -1 else size for size in sizes]) + s[d + 1:])


def squeeze(Tensor input not None, *args, dim=None, axis=None):
    """Without the dims of size 1 (all, or those named)."""
    cdef unsigned int mask = 0
    cdef i64[MAXDIM] shape, strides
    cdef int d, n = 0
    dim = axis if dim is None else dim
    dims = sizes_args(args, dim)
    mask = 0xff if not args and dim is None else dims_mask(dims, input.ndim) if dims else 0
    for d in range(input.ndim):
        if not (mask >> d & 1 and input.shape[d] == 1):
            shape[n], strides[n] = input.shape[d], input.strides[d]
            n += 1
    return make_view(input, n, shape, strides, input.data, reshape_vjp, "SqueezeBackward0", shape_tuple(input))


def unsqueeze(Tensor input not None, dim=None, *, axis=None):
    """With a dim of size 1 at `dim`."""
    cdef int at = wrap_dim(axis if dim is None else dim, input.ndim + 1), d
    cdef i64[MAXDIM] shape, strides
    if input.ndim == MAXDIM:
        raise RuntimeError(f"a tensor has at most {MAXDIM} dimensions in minitorch_bn")
    for d in range(input.ndim):
        shape[d + (d >= at)], strides[d + (d >= at)] = input.shape[d], input.strides[d]
    shape[at] = 1
    strides[at] = input.shape[at] * input.strides[at] if at < input.ndim else 1
    return make_view(input, input.ndim + 1, shape, strides, input.data, reshape_vjp, "UnsqueezeBackward0",
                     shape_tuple(input))


# -- permute -----------------------------------------------------------------------------------------------------------

cdef object permute_vjp(Node n, object g):
    return permute_to(<Tensor> g, n.aux)


cdef Tensor permute_to(Tensor x, tuple dims, str name="PermuteBackward0"):
    """x with its dims in the given order (each named once, none negative)."""
    cdef i64[MAXDIM] shape, strides
    cdef int i, d
    cdef list inverse = [0] * x.ndim
    for i in range(x.ndim):
        d = dims[i]
        shape[i], strides[i] = x.shape[d], x.strides[d]
        inverse[d] = i
    return make_view(x, x.ndim, shape, strides, x.data, permute_vjp, name, tuple(inverse))


def permute(Tensor input not None, *args, dims=None):
    """The dims in another order."""
    order = [wrap_dim(d, input.ndim) for d in sizes_args(args, dims)]
    if len(order) != input.ndim:
        raise RuntimeError("permute(sparse_coo): number of dimensions in the tensor input does not match the length "
                           f"of the desired ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to "
                           f"len(dims) = {len(order)}")
    if len(set(order)) != len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return permute_to(input, tuple(order))


def transpose(Tensor input not None, dim0, dim1):
    """Dims dim0 and dim1 exchanged."""
    cdef int a = wrap_dim(dim0, input.ndim), b = wrap_dim(dim1, input.ndim)
    order = list(range(input.ndim))
    if input.ndim:
        order[a], order[b] = b, a
    return permute_to(input, tuple(order), "TransposeBackward0")


def t(Tensor input not None):
    """The transpose of a matrix; vectors and scalars as they are."""
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return permute_to(input, tuple(range(input.ndim))[::-1], "TBackward0")


def movedim(Tensor input not None, source, destination):
    """Dims `source` moved to the positions `destination`, the others in order."""
    source = [wrap_dim(d, input.ndim) for d in (source if isinstance(source, (tuple, list)) else (source,))]
    destination = [wrap_dim(d, input.ndim) for d in (destination if isinstance(destination, (tuple, list))
                                                     else (destination,))]
    if len(source) != len(destination):
        raise RuntimeError(f"movedim: Invalid source or destination dims: source ({source} dims) should contain the "
                           f"same number of dims as destination ({destination} dims)")
    if len(set(source)) != len(source) or len(set(destination)) != len(destination):
        raise RuntimeError("movedim: repeated dim in `source` or `destination`")
    order = [d for d in range(input.ndim) if d not in source]
    for d, s in sorted(zip(destination, source)):
        order.insert(d, s)
    return permute_to(input, tuple(order))


# -- expand ------------------------------------------------------------------------------------------------------------

cdef object expand_vjp(Node n, object g):
    return sum_to_shape(<Tensor> g, n.aux)


def expand(Tensor self not None, *sizes, size=None, implicit=False):
    """A view in which dims of size 1 are repeated without a copy; -1 keeps a size."""
    cdef i64[MAXDIM] shape, strides
    cdef int d, shift
    cdef i64 s
    sizes = sizes_args(sizes, size)
    shift = len(sizes) - self.ndim
    if len(sizes) > MAXDIM or shift < 0:
        raise RuntimeError(f"expand(torch.{'FloatTensor'}{{{list(shape_tuple(self))}}}, size={list(sizes)}): the "
                           f"number of sizes provided ({len(sizes)}) must be greater or equal to the number of "
                           f"dimensions in the tensor ({self.ndim})")
    for d in range(len(sizes)):
        s = index_arg(sizes[d], "size")
        shape[d], strides[d] = s, 0
        if d < shift:
            if s < 0:
                raise RuntimeError(f"The expanded size of the tensor ({s}) isn't allowed in a leading, non-existing "
                                   f"dimension {d}")
        elif s == -1 or s == self.shape[d - shift]:
            shape[d], strides[d] = self.shape[d - shift], self.strides[d - shift]
        elif self.shape[d - shift] != 1 or s < 0:
            raise RuntimeError(f"The expanded size of the tensor ({s}) must match the existing size "
                               f"({self.shape[d - shift]}) at non-singleton dimension {d}.  Target sizes: "
                               f"{list(sizes)}.  Tensor sizes: {list(shape_tuple(self))}")
    count_elements(<int> len(sizes), shape)
    return make_view(self, <int> len(sizes), shape, strides, self.data, expand_vjp, "ExpandBackward0",
                     shape_tuple(self))


def broadcast_to(Tensor input not None, *size):
    """:meth:`Tensor.expand`."""
    return expand(input, *size)
