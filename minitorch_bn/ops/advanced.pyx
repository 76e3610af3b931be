"""Indexing with tensors in brackets, x[i, :, j] read and written, and selecting by masks.

A tuple of index tensors is turned into one vector of row numbers over the indexed dims; then it is the move rows() of
ops.indexing, or a write by the same rows. Boolean masks become positions first (nonzero) or pack elements directly.
"""
from libc.stdint cimport uint8_t

from minitorch_bn._core cimport (MAXDIM, Node, Tensor, bump, cast, check_inplace, copy_into, dtype_object,
                                 inplace_history, is_float, new_node, raw_cast, raw_contiguous, save, saved,
                                 set_history, shape_from, shape_tuple, sum_to, tracks, tracks2, wants)
from minitorch_bn.kernels cimport indexing as kernels
from minitorch_bn.kernels.runtime cimport MTB_b8, MTB_i64, MTB_u8, give, i64, take
from minitorch_bn.ops.indexing cimport new_of, put_rows, rows

from minitorch_bn._core import arange, broadcast_shapes, named, set_advanced_indexing, where, where_


# -- x[indices] --------------------------------------------------------------------------------------------------------

cdef list as_positions(Tensor x, object indices):
    """One entry for each dim of x: None or an integer tensor; masks become the positions of what they select."""
    cdef list out = []
    cdef Tensor t
    for i in indices:
        if i is None:
            out.append(None)
            continue
        if not isinstance(i, Tensor):
            raise TypeError(f"indices must be tensors or None, got {type(i).__name__}")
        t = i
        if is_float(t.dtype):
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        if t.dtype == MTB_b8 or t.dtype == MTB_u8:
            if shape_tuple(t) != shape_tuple(x)[len(out):len(out) + t.ndim]:
                raise IndexError(f"The shape of the mask {list(shape_tuple(t))} at index 0 does not match the shape "
                                 "of the indexed "
                                 f"tensor {list(shape_tuple(x))} at index {len(out)}")
            out.extend(nonzero(t, as_tuple=True))
        else:
            out.append(t)
    if len(out) > x.ndim:
        raise IndexError(f"too many indices for tensor of dimension {x.ndim} (got {len(out)})")
    return out + [None] * (x.ndim - len(out))


cdef int add_positions(Tensor total, Tensor at, i64 size, i64 step) except -1:
    """total += step * at, negative positions counting from the end of a dim of `size`."""
    cdef i64* t = <i64*> total.data
    cdef const i64* p = <const i64*> at.data
    cdef i64 i
    for i in range(total.numel):
        t[i] += step * (p[i] + (size if p[i] < 0 else 0))
    return 0


cdef tuple resolve(Tensor x, object indices):
    """(row numbers, plan of the rows move) of x[indices]. Dims indexed side by side stay there, others go first."""
    cdef list positions = as_positions(x, indices), dims = [d for d in range(x.ndim) if positions[d] is not None]
    cdef Tensor at, total = None
    cdef i64 outer = 1, n = 1, inner = 1, bad, step
    cdef tuple shape = shape_tuple(x), chosen, perm = None
    cdef int first = dims[0], last = dims[-1], d
    try:
        chosen = tuple(broadcast_shapes(*[shape_tuple(positions[d]) for d in dims]))
    except RuntimeError:
        raise IndexError("shape mismatch: indexing tensors could not be broadcast together with shapes "
                         + ", ".join([str(list(shape_tuple(positions[d]))) for d in dims])) from None
    for d in dims:
        n *= x.shape[d]
    step = n
    for d in dims:
        at = raw_contiguous(raw_cast(positions[d], MTB_i64))
        bad = kernels.check_index(<i64*> at.data, at.numel, -x.shape[d], x.shape[d])
        if bad >= 0:
            raise IndexError(f"index {(<i64*> at.data)[bad]} is out of bounds for dimension {d} with size {x.shape[d]}")
        if shape_tuple(at) != chosen:
            at = raw_contiguous(at.expand(chosen))
        step = step // x.shape[d] if x.shape[d] else 0
        if len(dims) == 1:
            total = at
        else:
            if total is None:
                total = new_of(chosen, MTB_i64, True)
            add_positions(total, at, x.shape[d], step)
    rest = [d for d in range(x.ndim) if positions[d] is None]
    if last - first + 1 == len(dims):
        before, after = shape[:first], shape[last + 1:]
    else:
        perm = tuple(dims + rest)
        before, after = (), tuple([shape[d] for d in rest])
    for size in before:
        outer *= size
    for size in after:
        inner *= size
    return total, (shape, before + chosen + after, outer, total.numel, n, inner, perm)


def get(Tensor x not None, indices):
    """x[indices]: an index tensor or None for each dim."""
    at, plan = resolve(x, indices)
    return rows(False, x, at, plan, "IndexBackward0")


cdef object index_put_vjp(Node node, object g):
    cdef Tensor at = saved(node, 0), gx = <Tensor> g, gv = None, zero
    cdef i64[MAXDIM] shape
    plan, accumulate, value_shape = node.aux
    if wants(node, 1):
        gv = rows(False, gx, at, plan, "IndexBackward0")
        gv = sum_to(gv, shape_from(value_shape, shape), shape)
    if wants(node, 0) and not accumulate:
        zero = new_of((), gx.dtype, True)
        gx = put(gx, at, plan, zero, False, False)
    return gx, gv


cdef Tensor put(Tensor x, Tensor at, tuple plan, Tensor value, bint accumulate, bint inplace):
    cdef Tensor y, source
    cdef Node node = None
    if inplace:
        check_inplace(x)
    if value.dtype != x.dtype:
        value = cast(value, x.dtype)
    try:
        source = value.expand(plan[1])
    except RuntimeError:
        squeezed = shape_tuple(value)
        while len(squeezed) > len(plan[1]) and squeezed[0] == 1:
            squeezed = squeezed[1:]
        try:
            source = value.reshape(squeezed).expand(plan[1])
        except RuntimeError:
            raise RuntimeError(f"shape mismatch: value tensor of shape {list(shape_tuple(value))} cannot be "
                               "broadcast to indexing "
                               f"result of shape {list(plan[1])}") from None
    if is_float(x.dtype) and tracks2(x, value):
        node = new_node(index_put_vjp, "IndexPutBackward0", x, value, None)
        save(node, 0, at)
        node.aux = plan, accumulate, shape_tuple(value)
    if inplace:
        y = x
    else:
        y = new_of(shape_tuple(x), x.dtype, False)
        copy_into(y, x)
    put_rows(y, at, plan, source, kernels.MTB_SCATTER_ADD if accumulate else kernels.MTB_SCATTER_PUT)
    if inplace:
        bump(x)
        inplace_history(x, node)
    elif node is not None:
        set_history(y, node)
    return y


def put_(Tensor x not None, indices, Tensor values not None):
    """x[indices] = values, in place."""
    at, plan = resolve(x, indices)
    put(x, at, plan, values, False, True)


set_advanced_indexing(get, put_)


cdef Tensor values_for(Tensor x, object values):
    if not isinstance(values, Tensor):
        return new_of((), x.dtype, False).fill_(values)
    if (<Tensor> values).dtype != x.dtype:
        raise RuntimeError(f"Index put requires the source and destination dtypes match, got {dtype_object(x.dtype)} "
                           "for the "
                           f"destination and {dtype_object((<Tensor> values).dtype)} for the source.")
    return values


def index_put(Tensor input not None, indices, values, accumulate=False):
    """The input with values written (or added, in the order of the indices) at input[indices]."""
    at, plan = resolve(input, indices)
    return put(input, at, plan, values_for(input, values), accumulate, False)


def index_put_(Tensor self not None, indices, values, accumulate=False):
    """In-place version of :func:`index_put`."""
    at, plan = resolve(self, indices)
    return put(self, at, plan, values_for(self, values), accumulate, True)


def put_flat(Tensor input not None, Tensor index not None, Tensor source not None, accumulate=False):
    """The input with source written (or added) at flat positions; negative ones count from the end."""
    flat = index_put(input.reshape(-1), (index.reshape(-1),), source.reshape(-1), accumulate)
    return flat.reshape(shape_tuple(input))


def put_flat_(Tensor self not None, Tensor index not None, Tensor source not None, accumulate=False):
    """In-place version of :func:`put`."""
    return self.copy_(put_flat(self, index, source, accumulate))


# -- masks -------------------------------------------------------------------------------------------------------------

cdef Tensor truth(Tensor x):
    """x != 0 as contiguous bytes."""
    return raw_contiguous(raw_cast(x, MTB_b8))


cdef Tensor bool_mask(Tensor mask, str op):
    if mask.dtype != MTB_b8:
        raise RuntimeError(f"{op} only supports boolean masks, but got mask with dtype {dtype_object(mask.dtype)}")
    return mask


def nonzero(Tensor input not None, *, as_tuple=False, out=None):
    """The positions of what is not zero, in row-major order: (count, ndim); `as_tuple`: a vector for each dim."""
    cdef Tensor x = input.reshape(1) if input.ndim == 0 and as_tuple else input, mask = truth(x), flat, at
    cdef i64 count
    cdef size_t size = (kernels.mask_blocks(mask.numel) + 1) * sizeof(i64)
    cdef i64* starts = <i64*> take(size)
    try:
        count = kernels.mask_starts(<uint8_t*> mask.data, mask.numel, starts)
        flat = new_of((count,), MTB_i64, False)
        kernels.positions(<i64*> flat.data, <uint8_t*> mask.data, mask.numel, starts)
    finally:
        give(starts, size)
    if x.ndim == 1:
        return (flat,) if as_tuple else flat.reshape(count, 1)
    shape = [x.ndim, count] if as_tuple else [count, x.ndim]
    at = new_of(tuple(shape), MTB_i64, False)
    kernels.unravel(<i64*> at.data, <i64*> flat.data, count, x.ndim, mask.shape, as_tuple)
    if as_tuple:
        return at.unbind(0)
    return at if out is None else out.resize_(shape_tuple(at)).copy_(at)


def argwhere(Tensor input not None):
    """The positions of what is not zero: (count, ndim)."""
    return nonzero(input)


cdef object masked_select_vjp(Node node, object g):
    cdef Tensor mask = saved(node, 0)
    return masked_scatter(new_of(shape_tuple(mask), (<Tensor> g).dtype, True), mask, g)


def masked_select(Tensor input not None, Tensor mask not None, *, out=None):
    """The elements where the mask is true, as a vector; both are broadcast first."""
    cdef Tensor x, m, y
    cdef i64* starts
    cdef size_t size
    cdef Node node
    bool_mask(mask, "masked_select: expected BoolTensor for mask; it")
    if shape_tuple(input) != shape_tuple(mask):
        shape = broadcast_shapes(shape_tuple(input), shape_tuple(mask))
        input, mask = input.expand(shape), mask.expand(shape)
    x, m = raw_contiguous(input), raw_contiguous(mask)
    size = (kernels.mask_blocks(m.numel) + 1) * sizeof(i64)
    starts = <i64*> take(size)
    try:
        y = new_of((kernels.mask_starts(<uint8_t*> m.data, m.numel, starts),), x.dtype, False)
        kernels.compress(x.dtype, y.data, x.data, <uint8_t*> m.data, m.numel, starts)
    finally:
        give(starts, size)
    if is_float(x.dtype) and tracks(input):
        node = new_node(masked_select_vjp, "MaskedSelectBackward0", input, None, None)
        save(node, 0, mask)
        set_history(y, node)
    return y if out is None else out.resize_(shape_tuple(y)).copy_(y)


cdef object masked_scatter_vjp(Node node, object g):
    cdef Tensor mask = saved(node, 0), gs = None
    if wants(node, 1):
        gs = masked_select(g, mask)
        if gs.numel < <i64> node.aux[1]:
            gs = index_put(new_of((node.aux[1],), gs.dtype, True), (arange(gs.numel),), gs, True)
        gs = gs.reshape(node.aux[0])
    return masked_fill(g, mask, 0) if wants(node, 0) else None, gs


def masked_scatter(Tensor input not None, Tensor mask not None, Tensor source not None):
    """The input with the elements of source, one after the other, where the mask is true."""
    cdef Tensor y, m, src
    cdef i64* starts
    cdef size_t size
    cdef i64 count
    cdef Node node
    bool_mask(mask, "masked_scatter_")
    if input.dtype != source.dtype:
        raise RuntimeError("masked_scatter: expected self and source to have same dtypes but got "
                           f"{dtype_object(input.dtype)} and "
                           f"{dtype_object(source.dtype)}")
    shape = broadcast_shapes(shape_tuple(input), shape_tuple(mask))
    input, mask = input.expand(shape), mask.expand(shape)
    m, src = raw_contiguous(mask), raw_contiguous(source)
    y = new_of(tuple(shape), input.dtype, False)
    copy_into(y, input)
    size = (kernels.mask_blocks(m.numel) + 1) * sizeof(i64)
    starts = <i64*> take(size)
    try:
        count = kernels.mask_starts(<uint8_t*> m.data, m.numel, starts)
        if count > src.numel:
            raise RuntimeError(f"masked_scatter: the mask selects {count} elements, but the source has {src.numel}")
        kernels.expand(y.dtype, y.data, src.data, <uint8_t*> m.data, m.numel, starts)
    finally:
        give(starts, size)
    if is_float(y.dtype) and tracks2(input, source):
        node = new_node(masked_scatter_vjp, "MaskedScatterBackward0", input, source, None)
        save(node, 0, mask)
        node.aux = shape_tuple(source), source.numel
        set_history(y, node)
    return y


cdef int mask_fits(Tensor x, Tensor mask) except -1:
    """In place the result must have x's shape."""
    if tuple(broadcast_shapes(shape_tuple(x), shape_tuple(mask))) != shape_tuple(x):
        raise RuntimeError(f"output with shape {list(shape_tuple(x))} doesn't match the broadcast shape of the mask "
                           f"{list(shape_tuple(mask))}")
    return 0


def masked_scatter_(Tensor self not None, Tensor mask not None, Tensor source not None):
    """In-place version of :func:`masked_scatter`."""
    mask_fits(self, mask)
    return self.copy_(masked_scatter(self, mask, source))


cdef object masked(Tensor input, Tensor mask, value, bint inplace):
    cdef Tensor v
    bool_mask(mask, "masked_fill")
    if isinstance(value, Tensor):
        v = value
        if v.ndim:
            raise RuntimeError("masked_fill only supports a 0-dimensional value tensor, but got tensor with "
                               f"{v.ndim} dimension(s).")
        v = cast(v, input.dtype)
    else:
        if isinstance(value, float) and not is_float(input.dtype) and not value.is_integer():
            raise RuntimeError(f"value cannot be converted to type {dtype_object(input.dtype)} without overflow: "
                               f"{value}")
        v = new_of((), input.dtype, False).fill_(value)
    return named((where_ if inplace else where)(mask, v, input), "MaskedFillBackward0")


def masked_fill(Tensor input not None, Tensor mask not None, value):
    """The input with one number where the mask is true; the mask broadcasts."""
    return masked(input, mask, value, False)


def masked_fill_(Tensor self not None, Tensor mask not None, value):
    """In-place version of :func:`masked_fill`."""
    mask_fits(self, mask)
    return masked(self, mask, value, True)


_both = (index_put, nonzero, argwhere, masked_select, masked_scatter, masked_fill)
FUNCTIONS = {f.__name__: f for f in _both} | {"put": put_flat}
METHODS = FUNCTIONS | {f.__name__: f for f in (index_put_, masked_scatter_, masked_fill_)} | {"put_": put_flat_}
FUNCTIONS |= {"index_put_": index_put_, "masked_fill_": masked_fill_}
