"""Indexing along one dim by tensors of positions: gather, scatter, index_select, take, embedding and their kin.

Everything is one of two linear moves, rows() and cells(), or an in-place write by the same positions. The backward of a move
is its adjoint, which is one more move; so gradients of any order are exact. Every position is checked before a kernel runs.
"""
from minitorch_bn._core cimport (MAXDIM, Node, Tensor, bump, check_inplace, copy_into, dtype_object, fill_raw, grad_enabled,
                                 inplace_history, is_float, new_node, new_tensor, new_zeros, raw_cast, raw_contiguous, save,
                                 saved, set_history, shape_from, shape_tuple, tracks, tracks2, view_of, wants, wrap_dim)
from minitorch_bn.kernels cimport indexing as kernels
from minitorch_bn.kernels.runtime cimport ITEMSIZE, MTB_bf16, MTB_f16, MTB_f32, MTB_i32, MTB_i64, i64

from minitorch_bn._core import attach, finfo, iinfo, ones_like

cdef str LONG_ERROR = "{}(): Expected dtype int64 for index, got {}"


# -- shapes, positions ----------------------------------------------------------------------------------------------------

cdef Tensor new_of(tuple sizes, int dtype, bint zeroed):
    cdef i64[MAXDIM] shape
    cdef int ndim = shape_from(sizes, shape)
    return new_zeros(dtype, ndim, shape) if zeroed else new_tensor(dtype, ndim, shape)


cdef int split(Tensor x, int dim, i64* outer, i64* n, i64* inner) noexcept:
    """x's shape as [outer, n, inner] around dim."""
    cdef int d
    outer[0] = inner[0] = n[0] = 1
    for d in range(x.ndim):
        if d < dim:
            outer[0] *= x.shape[d]
        elif d > dim:
            inner[0] *= x.shape[d]
        else:
            n[0] = x.shape[d]
    return 0


cdef Tensor long_index(Tensor index, str op, bint any_integer):
    if index.dtype != MTB_i64 and not (any_integer and index.dtype == MTB_i32):
        if op == "embedding":
            raise RuntimeError("Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; "
                               f"but got {dtype_object(index.dtype)} instead (while checking arguments for embedding)")
        raise RuntimeError(LONG_ERROR.format(op, dtype_object(index.dtype)))
    return raw_contiguous(raw_cast(index, MTB_i64))


cdef int check_bounds(Tensor at, i64 lo, i64 n, int dim, object error, str op) except -1:
    """`at`: contiguous int64."""
    cdef i64 bad = kernels.check_index(<i64*> at.data, at.numel, lo, n)
    if bad >= 0:
        value = (<i64*> at.data)[bad]
        raise error(f"{op}: index {value} is out of bounds for dimension {dim} with size {n}")
    return 0


cdef Tensor with_dim(Tensor x):
    """A 0-d tensor as one of shape [1]."""
    return x.reshape(1) if x.ndim == 0 else x


cdef Tensor permuted(Tensor x, tuple perm):
    cdef i64[MAXDIM] shape, strides
    cdef int d
    for d in range(x.ndim):
        shape[d] = x.shape[<int> perm[d]]
        strides[d] = x.strides[<int> perm[d]]
    return view_of(x, x.ndim, shape, strides, x.data)


cdef tuple inverse(tuple perm):
    return tuple(sorted(range(len(perm)), key=perm.__getitem__))


cdef inline int summable(int dtype) noexcept:
    """The dtype in which elements are added: float16 and bfloat16 have no arithmetic of their own."""
    return MTB_f32 if dtype == MTB_f16 or dtype == MTB_bf16 else dtype


# -- the two moves --------------------------------------------------------------------------------------------------------

cdef object rows_vjp(Node node, object g):
    return rows(node.op == 0, <Tensor> g, saved(node, 0), node.aux, node.name_)


cdef Tensor rows(bint back, Tensor input, Tensor at, tuple plan, object name):
    cdef tuple perm = plan[6]
    cdef i64 outer = plan[2], m = plan[3], n = plan[4], inner = plan[5]
    cdef int dtype = summable(input.dtype) if back else input.dtype
    cdef Tensor x, y
    cdef Node node
    if back:
        x = raw_contiguous(raw_cast(input, dtype))
        y = new_of(plan[0] if perm is None else tuple([plan[0][d] for d in perm]), dtype, True)
        kernels.put_rows(dtype, kernels.MTB_SCATTER_ADD, y.data, x.data, <i64*> at.data, outer, m, n, inner, n * inner, inner)
        y = raw_cast(y if perm is None else permuted(y, inverse(perm)), input.dtype)
    else:
        x = raw_contiguous(input if perm is None else permuted(input, perm))
        y = new_of(plan[1], dtype, False)
        kernels.take_rows(dtype, y.data, x.data, <i64*> at.data, outer, m, n, inner, n * inner, inner)
    if is_float(dtype) and tracks(input):
        node = new_node(rows_vjp, name, input, None, None)
        save(node, 0, at)
        node.op, node.aux = back, plan
        set_history(y, node)
    return y


cdef object cells_vjp(Node node, object g):
    return cells(node.op == 0, <Tensor> g, saved(node, 0), node.aux, node.name_)


cdef Tensor cells(bint back, Tensor input, Tensor at, tuple plan, object name):
    cdef i64 outer = plan[2], m = plan[3], n = plan[4], inner = plan[5]
    cdef int dtype = summable(input.dtype) if back else input.dtype
    cdef Tensor x = raw_contiguous(raw_cast(input, dtype)), y = new_of(plan[0 if back else 1], dtype, back)
    cdef Node node
    if back:
        kernels.scatter(dtype, kernels.MTB_SCATTER_ADD, y.data, x.data, <i64*> at.data, outer, m, n, inner)
    else:
        kernels.gather(dtype, y.data, x.data, <i64*> at.data, outer, m, n, inner)
    y = raw_cast(y, input.dtype)
    if is_float(dtype) and tracks(input):
        node = new_node(cells_vjp, name, input, None, None)
        save(node, 0, at)
        node.op, node.aux = back, plan
        set_history(y, node)
    return y


# -- the same as writes ---------------------------------------------------------------------------------------------------

cdef int put_rows(Tensor y, Tensor at, tuple plan, Tensor src, int reduction) except -1:
    """y[o, at[j]] (reduced with) = src[o, j], raw. src has the plan's y shape."""
    cdef tuple perm = plan[6]
    cdef int dtype = y.dtype if reduction == kernels.MTB_SCATTER_PUT else summable(y.dtype)
    cdef Tensor target = y if perm is None else permuted(y, perm)
    cdef Tensor work = raw_contiguous(raw_cast(target, dtype)), x = raw_contiguous(raw_cast(src, dtype))
    cdef i64 n = plan[4], inner = plan[5]
    kernels.put_rows(dtype, reduction, work.data, x.data, <i64*> at.data, plan[2], plan[3], n, inner, n * inner, inner)
    if work is not target:
        copy_into(target, work)
    return 0


cdef int scatter_into(Tensor y, int dim, Tensor at, Tensor src, int reduction) except -1:
    """y[o, at[o, j, i], i] (reduced with) = src[o, j, i], raw; outside dim, `at` covers the first positions of y."""
    cdef int d, dtype = y.dtype if reduction == kernels.MTB_SCATTER_PUT else summable(y.dtype)
    cdef i64[MAXDIM] shape
    cdef i64 outer, m, n, inner
    cdef Tensor region, work, x = raw_contiguous(raw_cast(src, dtype))
    for d in range(y.ndim):
        shape[d] = y.shape[d] if d == dim else at.shape[d]
    region = view_of(y, y.ndim, shape, y.strides, y.data)
    work = raw_contiguous(raw_cast(region, dtype))
    split(at, dim, &outer, &m, &inner)
    n = y.shape[dim]
    if at.numel:
        kernels.scatter(dtype, reduction, work.data, x.data, <i64*> at.data, outer, m, n, inner)
    if work is not region:
        copy_into(region, work)
    return 0


cdef Tensor copy_of(Tensor x):
    cdef Tensor y = new_tensor(x.dtype, x.ndim, x.shape)
    copy_into(y, x)
    return y


cdef Tensor written(Tensor x, Tensor y, Node node, bint inplace):
    """Ends an op that wrote y: x itself (in place) or a copy of it."""
    if inplace:
        bump(x)
        inplace_history(x, node)
    elif node is not None:
        set_history(y, node)
    return y


# -- gather, scatter ------------------------------------------------------------------------------------------------------

cdef int check_extents(Tensor x, Tensor at, int dim, str op) except -1:
    cdef int d
    if at.ndim != x.ndim:
        raise RuntimeError(f"Index tensor must have the same number of dimensions as {'input' if op == 'gather' else 'self'} tensor: "
                           f"{op} of shape {list(shape_tuple(x))} by an index of shape {list(shape_tuple(at))}")
    for d in range(x.ndim):
        if d != dim and at.shape[d] > x.shape[d]:
            raise RuntimeError(f"Size does not match at dimension {d} expected index {list(shape_tuple(at))} to be no larger than "
                               f"self {list(shape_tuple(x))} apart from dimension {dim}")
    return 0


def gather(Tensor input not None, dim, Tensor index not None, *, sparse_grad=False, out=None):
    """y[i][j][k] = input[index[i][j][k]][j][k] for dim 0, and so on: y has the shape of `index`."""
    cdef Tensor x = with_dim(input), at = with_dim(index), y
    cdef int d = wrap_dim(dim, input.ndim), e
    cdef i64 outer, m, n, inner
    at = long_index(at, "gather", True)
    if at.numel == 0 and index.ndim != input.ndim:
        return new_of(shape_tuple(index), input.dtype, False)
    check_extents(x, at, d, "gather")
    for e in range(x.ndim):
        if e != d and at.shape[e] < x.shape[e]:
            x = x.narrow(e, 0, at.shape[e])
    split(at, d, &outer, &m, &inner)
    n = x.shape[d]
    check_bounds(at, 0, n, d, RuntimeError, "gather()")
    y = cells(False, x, at, (shape_tuple(x), shape_tuple(at), outer, m, n, inner), "GatherBackward0")
    y = y.reshape(()) if index.ndim == 0 else y
    return y if out is None else out.resize_(shape_tuple(y)).copy_(y)


cdef object scatter_vjp(Node node, object g):
    cdef Tensor at = saved(node, 0)
    return (scatter(g, node.op, at, 0) if wants(node, 0) else None,
            gather(g, node.op, at) if node.nin > 1 and wants(node, 1) else None)


cdef object scatter_add_vjp(Node node, object g):
    return g, gather(g, node.op, saved(node, 0)) if wants(node, 1) else None


cdef Tensor scatter_op(Tensor self, dim, Tensor index, object value, int reduction, bint inplace, str op):
    """scatter (PUT) and scatter_add; value: a tensor that covers the index, or a number."""
    cdef Tensor x = with_dim(self), at = long_index(with_dim(index), op, True), src, y
    cdef int d = wrap_dim(dim, self.ndim), e
    cdef Node node = None
    cdef bint tensor_value = isinstance(value, Tensor)
    if inplace:
        check_inplace(self)
    if tensor_value:
        src = with_dim(value)
        if src.dtype != x.dtype:
            raise RuntimeError(f"{op}(): Expected self.dtype to be equal to src.dtype, got {dtype_object(x.dtype)} and "
                               f"{dtype_object(src.dtype)}")
        if at.numel:
            check_extents(src, at, src.ndim, op)
    else:
        src = new_of(shape_tuple(at), x.dtype, False)
        src.fill_(value)
    if at.numel:
        check_extents(x, at, d, op)
        check_bounds(at, 0, x.shape[d], d, RuntimeError, f"{op}()")
        for e in range(at.ndim):
            if at.shape[e] < src.shape[e]:
                src = src.narrow(e, 0, at.shape[e])
    if is_float(x.dtype) and tracks2(x, src):
        node = new_node(scatter_vjp if reduction == kernels.MTB_SCATTER_PUT else scatter_add_vjp,
                        "ScatterBackward0" if reduction == kernels.MTB_SCATTER_PUT else "ScatterAddBackward0", x,
                        src if tensor_value and at.numel else None, None)
        save(node, 0, at)
        node.op = d
    y = x if inplace else copy_of(x)
    if at.numel:
        scatter_into(y, d, at, src, reduction)
    written(x, y, node, inplace)
    return self if inplace else y.reshape(()) if self.ndim == 0 else y


cdef object scatter_any(Tensor self, dim, index, src, value, reduce, bint inplace):
    if (src is None) == (value is None):
        raise TypeError("scatter() takes either src or value")
    value = src if value is None else value
    if reduce is None:
        return scatter_op(self, dim, index, value, kernels.MTB_SCATTER_PUT, inplace, "scatter")
    if reduce not in ("add", "multiply"):
        raise RuntimeError(f"reduce argument must be either add or multiply, got {reduce!r}")
    if not isinstance(value, Tensor):
        value = self.new_full(shape_tuple(index), value)
    y = scatter_reduce(self, dim, index, value, "sum" if reduce == "add" else "prod")
    return self.copy_(y) if inplace else y


def scatter(Tensor input not None, dim, Tensor index not None, src=None, *, value=None, reduce=None):
    """The input with src (or a number) written at `index` along dim; of a position named twice the last write stays."""
    return scatter_any(input, dim, index, src, value, reduce, False)


def scatter_(Tensor self not None, dim, Tensor index not None, src=None, *, value=None, reduce=None):
    """In-place version of :func:`scatter`."""
    return scatter_any(self, dim, index, src, value, reduce, True)


def scatter_add(Tensor input not None, dim, Tensor index not None, Tensor src not None):
    """The input with src added at `index` along dim, in the order of the indices: the same bits on any number of threads."""
    return scatter_op(input, dim, index, src, kernels.MTB_SCATTER_ADD, False, "scatter_add")


def scatter_add_(Tensor self not None, dim, Tensor index not None, Tensor src not None):
    """In-place version of :func:`scatter_add`."""
    return scatter_op(self, dim, index, src, kernels.MTB_SCATTER_ADD, True, "scatter_add")


def scatter_reduce(Tensor input not None, dim, Tensor index not None, Tensor src not None, reduce, *, bint include_self=True):
    """The input with src reduced into it at `index` along dim: 'sum', 'prod', 'mean', 'amax' or 'amin'."""
    cdef Tensor base, y, at, part
    cdef int d = wrap_dim(dim, input.ndim), e
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}.")
    kind = dtype_object(input.dtype)
    if include_self:
        base = input
    else:
        limits = finfo(kind) if is_float(input.dtype) else iinfo(kind)
        low, high = (float("-inf"), float("inf")) if is_float(input.dtype) else (limits.min, limits.max)
        base = scatter(input, d, index, {"prod": 1, "amax": low, "amin": high}.get(reduce, 0))
    if reduce in ("sum", "mean"):
        y = scatter_add(base, d, index, src)
        if reduce == "sum":
            return y
        count = ones_like(base) if include_self else scatter(ones_like(base), d, index, 0)
        count = scatter_add(count, d, index, ones_like(src)).clamp(min=1)
        return y / count if is_float(input.dtype) else y.div(count, rounding_mode="floor")
    at = long_index(with_dim(index), "scatter_reduce", True)
    part = with_dim(src)
    if part.dtype != input.dtype:
        raise RuntimeError("scatter_reduce(): Expected self.dtype to be equal to src.dtype")
    check_extents(with_dim(base), at, d, "scatter_reduce")
    check_extents(part, at, part.ndim, "scatter_reduce")
    check_bounds(at, 0, with_dim(base).shape[d], d, RuntimeError, "scatter_reduce()")
    for e in range(at.ndim):
        part = part.narrow(e, 0, at.shape[e])
    y = copy_of(base)
    scatter_into(with_dim(y), d, at, part.detach(), kernels.MTB_SCATTER_MULTIPLY if reduce == "prod" else
                 kernels.MTB_SCATTER_MAX if reduce == "amax" else kernels.MTB_SCATTER_MIN)
    part = part.reshape(shape_tuple(index))

    def backward(g, y):
        """Each element's share: the product of the others, or an equal part among those that tie for the extreme."""
        if reduce == "prod":
            return g * y / base, gather(g * y, d, index) / part
        mine, theirs = (base == y).to(kind), (part == gather(y, d, index)).to(kind)
        share = g / scatter_add(mine, d, index, theirs)
        return share * mine, gather(share, d, index) * theirs

    return attach(y, (base, part), backward, "ScatterReduceBackward0", (base, part), True)


def scatter_reduce_(Tensor self not None, dim, index, src, reduce, *, include_self=True):
    """In-place version of :func:`scatter_reduce`."""
    return self.copy_(scatter_reduce(self, dim, index, src, reduce, include_self=include_self))


# -- by rows --------------------------------------------------------------------------------------------------------------

cdef tuple rows_plan(Tensor x, int dim, Tensor at, str op, object error):
    """The plan of index_select(x, dim, at); positions checked."""
    cdef i64 outer, n, inner
    if at.ndim > 1:
        raise IndexError(f"{op}(): Index is supposed to be a vector, but got an index of shape {list(shape_tuple(at))}")
    split(x, dim, &outer, &n, &inner)
    check_bounds(at, 0, n, dim, error, f"{op}()")
    shape = shape_tuple(x)
    return shape, shape[:dim] + (at.numel,) + shape[dim + 1:], outer, at.numel, n, inner, None


def index_select(Tensor input not None, dim, Tensor index not None, *, out=None):
    """The slices of the input along dim that a vector of int64 or int32 names."""
    cdef Tensor x = with_dim(input), at = long_index(index, "index_select", True), y
    cdef int d = wrap_dim(dim, input.ndim)
    y = rows(False, x, at, rows_plan(x, d, at, "index_select", IndexError), "IndexSelectBackward0")
    y = y.reshape(()) if input.ndim == 0 else y
    return y if out is None else out.resize_(shape_tuple(y)).copy_(y)


cdef object index_add_vjp(Node node, object g):
    return g, index_select(g, node.op, saved(node, 0)) if wants(node, 1) else None


cdef object index_copy_vjp(Node node, object g):
    cdef Tensor at = saved(node, 0)
    return (index_fill(g, node.op, at, 0) if wants(node, 0) else None,
            index_select(g, node.op, at) if wants(node, 1) else None)


cdef Tensor index_write(Tensor self, dim, Tensor index, Tensor source, int reduction, bint inplace, str op):
    cdef Tensor x = with_dim(self), at = long_index(index, op, op != "index_copy"), src = with_dim(source), y
    cdef int d = wrap_dim(dim, self.ndim)
    cdef Node node = None
    cdef tuple plan
    if inplace:
        check_inplace(self)
    plan = rows_plan(x, d, at, op, RuntimeError if op == "index_add" else IndexError)
    if src.dtype != x.dtype:
        raise RuntimeError(f"{op}(): self and source expected to have the same dtype, but got (self) {dtype_object(x.dtype)} and "
                           f"(source) {dtype_object(src.dtype)}")
    if shape_tuple(src) != plan[1]:
        raise RuntimeError(f"{op}(): source of shape {list(shape_tuple(src))} does not fit: self {list(shape_tuple(x))} by "
                           f"{at.numel} indices at dim {d} needs {list(plan[1])}")
    if is_float(x.dtype) and tracks2(x, src):
        node = new_node(index_add_vjp if reduction == kernels.MTB_SCATTER_ADD else index_copy_vjp,
                        "IndexAddBackward0" if reduction == kernels.MTB_SCATTER_ADD else "IndexCopyBackward0", x, src, None)
        save(node, 0, at)
        node.op = d
    y = x if inplace else copy_of(x)
    put_rows(y, at, plan, src, reduction)
    written(x, y, node, inplace)
    return self if inplace else y.reshape(()) if self.ndim == 0 else y


def index_add(Tensor input not None, dim, Tensor index not None, Tensor source not None, *, alpha=1):
    """The input with alpha * source added to the slices that `index` names, in the order of the indices."""
    return index_write(input, dim, index, source if alpha == 1 else source * alpha, kernels.MTB_SCATTER_ADD, False, "index_add")


def index_add_(Tensor self not None, dim, Tensor index not None, Tensor source not None, *, alpha=1):
    """In-place version of :func:`index_add`."""
    return index_write(self, dim, index, source if alpha == 1 else source * alpha, kernels.MTB_SCATTER_ADD, True, "index_add")


def index_copy(Tensor input not None, dim, Tensor index not None, Tensor source not None):
    """The input with the slices that `index` names replaced by those of source."""
    return index_write(input, dim, index, source, kernels.MTB_SCATTER_PUT, False, "index_copy")


def index_copy_(Tensor self not None, dim, Tensor index not None, Tensor source not None):
    """In-place version of :func:`index_copy`."""
    return index_write(self, dim, index, source, kernels.MTB_SCATTER_PUT, True, "index_copy")


cdef Tensor filling(Tensor x, dim, Tensor index, object value):
    """value, expanded to the slices that it fills."""
    cdef int d = wrap_dim(dim, x.ndim)
    shape = shape_tuple(with_dim(x))
    if not isinstance(value, Tensor):
        value = new_of((), x.dtype, False).fill_(value)
    if (<Tensor> value).ndim:
        raise RuntimeError(f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s).")
    return value.to(dtype_object(x.dtype)).expand(shape[:d] + (index.numel,) + shape[d + 1:])


def index_fill(Tensor input not None, dim, Tensor index not None, value):
    """The input with the slices that `index` names filled with one number."""
    return index_write(input, dim, index, filling(input, dim, index, value), kernels.MTB_SCATTER_PUT, False, "index_fill")


def index_fill_(Tensor self not None, dim, Tensor index not None, value):
    """In-place version of :func:`index_fill`."""
    return index_write(self, dim, index, filling(self, dim, index, value), kernels.MTB_SCATTER_PUT, True, "index_fill")


def take(Tensor input not None, Tensor index not None):
    """The elements at flat positions, in the shape of `index`; negative positions count from the end."""
    cdef Tensor x = input.reshape(-1), at = long_index(index, "take", False)
    if x.numel == 0 and at.numel:
        raise IndexError("take(): tried to take from an empty tensor")
    check_bounds(at, -x.numel, x.numel, 0, IndexError, "take(): out of range")
    return rows(False, x, at, ((x.numel,), shape_tuple(at), 1, at.numel, x.numel, 1, None), "TakeBackward0")


def take_along_dim(Tensor input not None, Tensor indices not None, dim=None):
    """gather after both are broadcast outside dim; without dim, from the flat input."""
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    cdef int d = wrap_dim(dim, input.ndim)
    if indices.ndim != input.ndim:
        raise RuntimeError(f"torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
                           f"{input.ndim} dimensions for input, and {indices.ndim} dimensions for indices")
    a, b = list(shape_tuple(input)), list(shape_tuple(indices))
    for e in range(input.ndim):
        if e != d:
            a[e] = b[e] = b[e] if a[e] == 1 else a[e]
    return gather(input.expand(tuple(a)), d, indices.expand(tuple(b)))


# -- embedding ------------------------------------------------------------------------------------------------------------

cdef object embedding_vjp(Node node, object g):
    cdef Tensor at = saved(node, 0), dy = <Tensor> g, dw
    plan, padding, scale = node.aux
    if scale:
        counts = new_of((plan[4],), dy.dtype, True).index_add(0, at.reshape(-1), new_of((at.numel,), dy.dtype, True) + 1)
        dy = dy / index_select(counts, 0, at.reshape(-1)).reshape(shape_tuple(at) + (1,))
    if padding >= 0 and grad_enabled():
        dy = dy.masked_fill((at == padding).unsqueeze(-1), 0)
    dw = rows(True, dy, at, plan, node.name_)
    if padding >= 0 and not grad_enabled():
        fill_raw(view_of(dw, 1, dw.shape + 1, dw.strides + 1, dw.data + <i64> padding * dw.strides[0] * ITEMSIZE[dw.dtype]), 0)
    return dw


def embedding(Tensor input not None, Tensor weight not None, padding_idx=None, scale_grad_by_freq=False):
    """weight[input]: int64 or int32 positions (*), weight (V, D) -> (*, D). Row `padding_idx` gets no gradient.

    With `scale_grad_by_freq` each gradient is divided by how often its row was looked up.
    """
    cdef Tensor at = long_index(input, "embedding", True), y
    cdef i64 bad
    cdef Node node
    if weight.ndim != 2:
        raise RuntimeError(f"'weight' must be 2-D, got shape {list(shape_tuple(weight))}")
    bad = kernels.check_index(<i64*> at.data, at.numel, 0, weight.shape[0])
    if bad >= 0:
        raise IndexError(f"index out of range in self: embedding of index {(<i64*> at.data)[bad]} in a table of "
                         f"{weight.shape[0]} rows")
    shape = shape_tuple(weight)
    plan = shape, shape_tuple(input) + (weight.shape[1],), 1, at.numel, weight.shape[0], weight.shape[1], None
    y = rows(False, weight, at, plan, "EmbeddingBackward0")
    if tracks(weight) and (padding_idx is not None or scale_grad_by_freq):
        node = new_node(embedding_vjp, "EmbeddingBackward0", weight, None, None)
        save(node, 0, at)
        node.aux = plan, -1 if padding_idx is None else int(padding_idx) % max(weight.shape[0], 1), bool(scale_grad_by_freq)
        set_history(y, node)
    return y


def one_hot(Tensor tensor not None, num_classes=-1):
    """int64 rows of zeros with a one where the class index says: (*) -> (*, num_classes)."""
    if tensor.dtype != MTB_i64:
        raise RuntimeError(f"one_hot is only applicable to index tensor of type LongTensor, got {dtype_object(tensor.dtype)}")
    if tensor.numel == 0 and num_classes <= 0:
        raise RuntimeError("Can not infer total number of classes from empty tensor.")
    cdef Tensor at = raw_contiguous(tensor)
    if kernels.check_index(<i64*> at.data, at.numel, 0, (<i64> 1 << 62)) >= 0:
        raise RuntimeError("Class values must be non-negative.")
    cdef i64 classes = int(tensor.max()) + 1 if num_classes == -1 else num_classes
    if kernels.check_index(<i64*> at.data, at.numel, 0, classes) >= 0:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return scatter(new_of(shape_tuple(tensor) + (classes,), MTB_i64, True), -1, at.unsqueeze(-1), 1)


_both = (gather, scatter, scatter_add, scatter_reduce, index_select, index_add, index_copy, index_fill, take, take_along_dim)
FUNCTIONS = {f.__name__: f for f in _both}
METHODS = FUNCTIONS | {f.__name__: f for f in (scatter_, scatter_add_, scatter_reduce_, index_add_, index_copy_, index_fill_)}
FUNCTIONS = FUNCTIONS | {"embedding": lambda weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False:
                         embedding(indices, weight, None if padding_idx < 0 else padding_idx, scale_grad_by_freq)}
PRIMITIVES = {"embedding": embedding, "one_hot": one_hot}
