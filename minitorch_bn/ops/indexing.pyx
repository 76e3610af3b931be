"""Slices along one dim by a vector of positions: index_select, index_add, index_copy, take, embedding; and the two
moves that all indexing is made of.

A move is linear: rows() takes whole slices, cells() single elements. The backward of a move
is its adjoint, which is one more move; so gradients of any order are exact. Every position is checked before.
"""
from libc.string cimport memcpy

from minitorch_bn._core cimport (MAXDIM, Node, Tensor, bump, check_inplace, copy_into, dtype_object, fill_raw,
                                 grad_enabled, inplace_history, is_float, new_node, new_tensor, new_zeros, raw_cast,
                                 raw_contiguous, save, saved, set_history, shape_from, shape_tuple, tracks, tracks2,
                                 view_of, wants, wrap_dim)
from minitorch_bn.kernels cimport indexing as kernels
from minitorch_bn.kernels.runtime cimport (ITEMSIZE, K, MTB_bf16, MTB_f16, MTB_f32, MTB_i32, MTB_i64, i64, mtb_loop,
                                           run_tasks)

cdef extern from "gen/opids.h":
    enum:
        MTB_OP_add

cdef str LONG_ERROR = "{}(): Expected dtype int64 for index, got {}"


# -- shapes, positions -------------------------------------------------------------------------------------------------

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
            raise RuntimeError("Expected tensor for argument #1 'indices' to have one of the following scalar types: "
                               "Long, Int; "
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


cdef int summable(int dtype) noexcept:
    """The dtype in which elements are added: float16 and bfloat16 have no arithmetic of their own."""
    return MTB_f32 if dtype == MTB_f16 or dtype == MTB_bf16 else dtype


# -- the two moves -----------------------------------------------------------------------------------------------------

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
        kernels.put_rows(dtype, kernels.MTB_SCATTER_ADD, y.data, x.data, <i64*> at.data, outer, m, n, inner, n * inner,
                         inner)
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


# -- rows as writes ----------------------------------------------------------------------------------------------------

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


# -- by rows -----------------------------------------------------------------------------------------------------------

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
    if out is not None and out.numel() > 1 and 0 in out.stride():
        raise RuntimeError("unsupported operation: more than one element of the written-to tensor refers to a single "
                           "memory location. Please clone() the tensor before performing the operation.")
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
        raise RuntimeError(f"{op}(): self and source expected to have the same dtype, but got (self) "
                           f"{dtype_object(x.dtype)} and "
                           f"(source) {dtype_object(src.dtype)}")
    if shape_tuple(src) != plan[1]:
        raise RuntimeError(f"{op}(): source of shape {list(shape_tuple(src))} does not fit: self "
                           f"{list(shape_tuple(x))} by "
                           f"{at.numel} indices at dim {d} needs {list(plan[1])}")
    if is_float(x.dtype) and tracks2(x, src):
        node = new_node(index_add_vjp if reduction == kernels.MTB_SCATTER_ADD else index_copy_vjp,
                        "IndexAddBackward0" if reduction == kernels.MTB_SCATTER_ADD else "IndexCopyBackward0", x, src,
                        None)
        save(node, 0, at)
        node.op = d
    y = x if inplace else copy_of(x)
    put_rows(y, at, plan, src, reduction)
    written(x, y, node, inplace)
    return self if inplace else y.reshape(()) if self.ndim == 0 else y


def index_add(Tensor input not None, dim, Tensor index not None, Tensor source not None, *, alpha=1):
    """The input with alpha * source added to the slices that `index` names, in the order of the indices."""
    source = source if alpha == 1 else source * alpha
    return index_write(input, dim, index, source, kernels.MTB_SCATTER_ADD, False, "index_add")


def index_add_(Tensor self not None, dim, Tensor index not None, Tensor source not None, *, alpha=1):
    """In-place version of :func:`index_add`."""
    source = source if alpha == 1 else source * alpha
    return index_write(self, dim, index, source, kernels.MTB_SCATTER_ADD, True, "index_add")


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
        raise RuntimeError("index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                           f"{value.ndim} dimension(s).")
    return value.to(dtype_object(x.dtype)).expand(shape[:d] + (index.numel,) + shape[d + 1:])


cdef Tensor each_once(Tensor x, object dim, Tensor index, object value):
    """The index, each place named once where the value is to get a gradient: it is written there once."""
    if not isinstance(value, Tensor) or not value.requires_grad or is_float(index.dtype) or x.ndim == 0:
        return index
    return index.where(index >= 0, index + x.shape[wrap_dim(dim, x.ndim)]).unique()


def index_fill(Tensor input not None, dim, Tensor index not None, value):
    """The input with the slices that `index` names filled with one number."""
    index = each_once(input, dim, index, value)
    value = filling(input, dim, index, value)
    return index_write(input, dim, index, value, kernels.MTB_SCATTER_PUT, False, "index_fill")


def index_fill_(Tensor self not None, dim, Tensor index not None, value):
    """In-place version of :func:`index_fill`."""
    index = each_once(self, dim, index, value)
    value = filling(self, dim, index, value)
    return index_write(self, dim, index, value, kernels.MTB_SCATTER_PUT, True, "index_fill")


def take(Tensor input not None, Tensor index not None):
    """The elements at flat positions, in the shape of `index`; negative positions count from the end."""
    cdef Tensor x = input.reshape(-1), at = long_index(index, "take", False)
    if x.numel == 0 and at.numel:
        raise IndexError("take(): tried to take from an empty tensor")
    check_bounds(at, -x.numel, x.numel, 0, IndexError, "take(): out of range")
    return rows(False, x, at, ((x.numel,), shape_tuple(at), 1, at.numel, x.numel, 1, None), "TakeBackward0")


# -- embedding ---------------------------------------------------------------------------------------------------------

cdef object embedding_vjp(Node node, object g):
    cdef Tensor at = saved(node, 0), dy = <Tensor> g, dw
    cdef char* row
    plan, padding, scale = node.aux
    if scale:
        ones = new_of((at.numel,), dy.dtype, True) + 1
        counts = new_of((plan[4],), dy.dtype, True).index_add(0, at.reshape(-1), ones)
        dy = dy / index_select(counts, 0, at.reshape(-1)).reshape(shape_tuple(at) + (1,))
    if padding >= 0 and grad_enabled():
        dy = dy.masked_fill((at == padding).unsqueeze(-1), 0)
    dw = rows(True, dy, at, plan, node.name_)
    if padding >= 0 and not grad_enabled():
        row = dw.data + <i64> padding * dw.strides[0] * ITEMSIZE[dw.dtype]
        fill_raw(view_of(dw, 1, dw.shape + 1, dw.strides + 1, row), 0)
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
        padding = -1 if padding_idx is None else int(padding_idx) % max(weight.shape[0], 1)
        node.aux = plan, padding, bool(scale_grad_by_freq)
        set_history(y, node)
    return y


ctypedef struct bags:
    char* y
    const char* table
    const i64* at
    i64 length, width, row   # entries of a bag; elements of a row, and bytes
    mtb_loop add


cdef void sum_bag(void* plan, i64 index) noexcept nogil:
    cdef bags* b = <bags*> plan
    cdef (void*)[3] p
    cdef i64 i
    p[0] = p[1] = b.y + index * b.row
    memcpy(p[0], b.table + b.at[index * b.length] * b.row, b.row)
    for i in range(index * b.length + 1, (index + 1) * b.length):
        p[2] = <void*> (b.table + b.at[i] * b.row)
        b.add(p, b.width, NULL)


cdef object bag_vjp(Node node, object g):
    cdef Tensor at = saved(node, 0)
    return rows(True, g.unsqueeze(1).expand(node.aux[1]), at, node.aux, "EmbeddingBackward0")


def bag_sums(Tensor index not None, Tensor weight not None):
    """The sum of the rows that each row of `index` (bags, length > 0) names in weight (V, D), float32 or float64, in
    their order: (bags, D)."""
    cdef Tensor at = long_index(index, "embedding_bag", True), x = raw_contiguous(weight), y
    cdef bags b
    cdef Node node
    if index.ndim != 2 or x.ndim != 2 or x.dtype < MTB_f32 or at.shape[1] == 0:
        raise RuntimeError("bag_sums: index and weight do not fit")
    if kernels.check_index(<i64*> at.data, at.numel, 0, x.shape[0]) >= 0:
        raise IndexError(f"index out of range in self: embedding_bag of a table of {x.shape[0]} rows")
    y = new_of((at.shape[0], x.shape[1]), x.dtype, False)
    b.y, b.table, b.at, b.length, b.width = y.data, x.data, <i64*> at.data, at.shape[1], x.shape[1]
    b.row, b.add = b.width * ITEMSIZE[x.dtype], K.elementwise[x.dtype].value[<int> MTB_OP_add]
    run_tasks(sum_bag, &b, at.shape[0], at.numel * b.width)
    if tracks(weight):
        node = new_node(bag_vjp, "EmbeddingBagBackward0", weight, None, None)
        save(node, 0, at)
        node.aux = shape_tuple(x), shape_tuple(at) + (x.shape[1],), 1, at.numel, x.shape[0], x.shape[1], None
        set_history(y, node)
    return y


_both = (index_select, index_add, index_copy, index_fill, take)
FUNCTIONS = {f.__name__: f for f in _both}
METHODS = FUNCTIONS | {f.__name__: f for f in (index_add_, index_copy_, index_fill_)}


def weight_first(weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False):
    """nn.functional.embedding, the weight first; a negative `padding_idx` is none, and `sparse` does nothing."""
    return embedding(indices, weight, None if padding_idx < 0 else padding_idx, scale_grad_by_freq)


weight_first.__name__ = "embedding"
FUNCTIONS = FUNCTIONS | {"embedding": weight_first}
PRIMITIVES = {"embedding": embedding}
