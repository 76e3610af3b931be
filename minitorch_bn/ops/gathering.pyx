"""Single elements along one dim by a tensor of positions: gather, scatter and its sums and reductions, one_hot."""
from minitorch_bn._core cimport (MAXDIM, Node, Tensor, check_inplace, copy_into, dtype_object, grad_enabled, is_float,
                                 new_node, raw_cast, raw_contiguous, save, saved, shape_tuple, tracks2, view_of, wants,
                                 wrap_dim)
from minitorch_bn.kernels cimport indexing as kernels
from minitorch_bn.kernels.runtime cimport MTB_b8, MTB_i64, i64
from minitorch_bn.ops.indexing cimport (cells, check_bounds, copy_of, long_index, new_of, split, summable, with_dim,
                                        written)

from minitorch_bn._core import attach, iinfo, ones_like


cdef int check_extents(Tensor x, Tensor at, int dim, str op) except -1:
    cdef int d
    if at.ndim != x.ndim:
        raise RuntimeError("Index tensor must have the same number of dimensions as "
                           f"{'input' if op == 'gather' else 'self'} tensor: "
                           f"{op} of shape {list(shape_tuple(x))} by an index of shape {list(shape_tuple(at))}")
    for d in range(x.ndim):
        if d != dim and at.shape[d] > x.shape[d]:
            raise RuntimeError(f"Size does not match at dimension {d} expected index {list(shape_tuple(at))} to be "
                               "no larger than "
                               f"self {list(shape_tuple(x))} apart from dimension {dim}")
    return 0


def gather(Tensor input not None, dim, Tensor index not None, *, sparse_grad=False, out=None):
    """y[i][j][k] = input[index[i][j][k]][j][k] for dim 0, and so on: y has the shape of `index`."""
    cdef Tensor x = with_dim(input), at = with_dim(index), y
    cdef int d = wrap_dim(dim, input.ndim), e
    cdef i64 outer, m, n, inner
    if at.numel == 0:  # of whatever integer dtype
        at = raw_cast(at, MTB_i64)
    at = long_index(at, "gather", True)
    if out is not None and out.dtype != dtype_object(input.dtype):
        raise RuntimeError(f"gather(): Expected out tensor to have dtype {dtype_object(input.dtype)}, but got "
                           f"{out.dtype} instead")
    if at.numel == 0 and index.ndim != input.ndim:
        return input.reshape(-1).narrow(0, 0, 0).reshape(shape_tuple(index))
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
    old = self.clone() if inplace and self.requires_grad else self
    y = scatter_reduce(old, dim, index, value, "sum" if reduce == "add" else "prod")
    return self.copy_(y) if inplace else y


def scatter(Tensor input not None, dim, Tensor index not None, src=None, *, value=None, reduce=None):
    """The input with src (or a number) written at `index` along dim; of a position named twice the last write stays."""
    return scatter_any(input, dim, index, src, value, reduce, False)


def scatter_(Tensor self not None, dim, Tensor index not None, src=None, *, value=None, reduce=None):
    """In-place version of :func:`scatter`."""
    return scatter_any(self, dim, index, src, value, reduce, True)


def scatter_add(Tensor input not None, dim, Tensor index not None, Tensor src not None):
    """The input with src added at `index` along dim, in the order of the indices on any number of threads."""
    return scatter_op(input, dim, index, src, kernels.MTB_SCATTER_ADD, False, "scatter_add")


def scatter_add_(Tensor self not None, dim, Tensor index not None, Tensor src not None):
    """In-place version of :func:`scatter_add`."""
    return scatter_op(self, dim, index, src, kernels.MTB_SCATTER_ADD, True, "scatter_add")


def scatter_reduce(Tensor input not None, dim, Tensor index not None, Tensor src not None, reduce, *,
                   bint include_self=True):
    """The input with src reduced into it at `index` along dim: 'sum', 'prod', 'mean', 'amax' or 'amin'."""
    cdef Tensor base, y, at, part
    cdef int d = wrap_dim(dim, input.ndim), e
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}.")
    kind = dtype_object(input.dtype)
    if include_self:
        base = input
    else:
        limits = (float("-inf"), float("inf"))
        if not is_float(input.dtype):
            limits = (False, True) if input.dtype == MTB_b8 else (iinfo(kind).min, iinfo(kind).max)
        base = scatter(input, d, index, {"prod": 1, "amax": limits[0], "amin": limits[1]}.get(reduce, 0))
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
            return product_shares(g, y, base, part, d, index)
        mine, theirs = (base == y).to(kind), (part == gather(y, d, index)).to(kind)
        share = g / scatter_add(mine, d, index, theirs)
        return share * mine, gather(share, d, index) * theirs

    return attach(y, (base, part), backward, "ScatterReduceBackward0", (base, part), True)


def product_shares(g, y, base, part, int d, index):
    """What each factor of y gets: g times the product of the others. For `base` that is the product of the parts; for a
    part it is y / part, or if it is the only zero of the parts the product with 1 in its place."""
    given = part == 0
    mine = g * scatter_reduce(ones_like(base), d, index, part, "prod")
    if not given.any():
        return mine, gather(g * y, d, index) / part
    zeros = scatter_add(ones_like(base).long() * 0, d, index, given.long())
    filled = part.masked_fill(given, 1)
    rest = (g * scatter_reduce(base, d, index, filled, "prod")).masked_fill(zeros > 1, 0)
    theirs = gather(rest, d, index).where(given, gather(g * y, d, index) / filled)
    if grad_enabled() and (zeros > 1).any():  # only the first derivative is right
        theirs = attach(theirs.detach(), (g, base, part), no_second_derivative, "DelayedError")
    return mine, theirs


def no_second_derivative(*grads):
    raise RuntimeError("scatter_reduce(): a product with more than one zero has no second derivative here")


def scatter_reduce_(Tensor self not None, dim, index, src, reduce, *, include_self=True):
    """In-place version of :func:`scatter_reduce`."""
    old = self.clone() if self.requires_grad else self  # its value may be read by the gradient
    return self.copy_(scatter_reduce(old, dim, index, src, reduce, include_self=include_self))


def take_along_dim(Tensor input not None, Tensor indices not None, dim=None):
    """gather after both are broadcast outside dim; without dim, from the flat input."""
    if dim is None:
        return take_along_dim(input.reshape(-1), indices.reshape(-1), 0)
    cdef int d = wrap_dim(dim, input.ndim)
    if not is_float(indices.dtype) and indices.numel and (indices < 0).any():  # counted from the end
        indices = indices.where(indices >= 0, indices + (input.shape[d] if input.ndim else 1))
    if indices.ndim != input.ndim:
        raise RuntimeError("torch.take_along_dim(): input and indices should have the same number of dimensions, "
                           "but got "
                           f"{input.ndim} dimensions for input, and {indices.ndim} dimensions for indices")
    a, b = list(shape_tuple(input)), list(shape_tuple(indices))
    for e in range(input.ndim):
        if e != d:
            a[e] = b[e] = b[e] if a[e] == 1 else a[e]
    return gather(input.expand(tuple(a)), d, indices.expand(tuple(b)))


def one_hot(Tensor tensor not None, num_classes=-1):
    """int64 rows of zeros with a one where the class index says: (*) -> (*, num_classes)."""
    if tensor.dtype != MTB_i64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor, got "
                           f"{dtype_object(tensor.dtype)}")
    if tensor.numel == 0 and num_classes <= 0:
        raise RuntimeError("Can not infer total number of classes from empty tensor.")
    cdef Tensor at = raw_contiguous(tensor)
    if kernels.check_index(<i64*> at.data, at.numel, 0, (<i64> 1 << 62)) >= 0:
        raise RuntimeError("Class values must be non-negative.")
    cdef i64 classes = int(tensor.max()) + 1 if num_classes == -1 else num_classes
    if kernels.check_index(<i64*> at.data, at.numel, 0, classes) >= 0:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return scatter_(new_of(shape_tuple(tensor) + (classes,), MTB_i64, True), -1, at.unsqueeze(-1), 1)


def counts(Tensor x not None, i64 length):
    """How often each of 0, 1, ..., length - 1 is in x, int64 and all in these bounds."""
    cdef Tensor at = raw_contiguous(x), y = new_of((length,), MTB_i64, True)
    check_bounds(at, 0, length, 0, RuntimeError, "bincount()")
    kernels.bincount(<i64*> y.data, length, <i64*> at.data, at.numel)
    return y


_both = (gather, scatter, scatter_add, scatter_reduce, take_along_dim)
FUNCTIONS = {f.__name__: f for f in _both}
METHODS = FUNCTIONS | {f.__name__: f for f in (scatter_, scatter_add_, scatter_reduce_)}
PRIMITIVES = {"one_hot": one_hot}
