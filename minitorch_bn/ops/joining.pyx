"""Joining tensors and taking them apart: cat, stack, split, unbind, flip.

The pieces of a split are views; the graph has one node for all of them, so a loop over T steps costs T, not T squared.
"""
from minitorch_bn._core cimport (MAXDIM, Node, Tensor, cast, copy_into, grad_enabled, index_arg, is_float, new_node,
                                 new_tensor, promote, set_history, shape_tuple, tracks, view_of, wrap_dim)
from minitorch_bn.kernels.indexing cimport spread_rows
from minitorch_bn.kernels.runtime cimport ITEMSIZE, i64
from minitorch_bn.ops.indexing cimport new_of
from minitorch_bn.ops.reduce cimport pick

from minitorch_bn._core import attach


# -- cat, stack --------------------------------------------------------------------------------------------------------

cdef tuple tensors_of(object tensors, str op):
    cdef tuple items
    if isinstance(tensors, Tensor):
        raise TypeError(f"{op}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
    items = tuple(tensors)
    if not items:
        raise (ValueError if op == "torch.cat" else RuntimeError)(f"{op}(): expected a non-empty list of Tensors")
    for i, t in enumerate(items):
        if not isinstance(t, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(t).__name__}")
    return items


cdef Tensor window(Tensor y, int dim, i64 start, i64 length):
    """y at start .. start + length of dim, without history."""
    cdef i64[MAXDIM] shape
    cdef int d
    for d in range(y.ndim):
        shape[d] = y.shape[d]
    shape[dim] = length
    return view_of(y, y.ndim, shape, y.strides, y.data + start * y.strides[dim] * ITEMSIZE[y.dtype])


cdef int place(Tensor y, int dim, i64 start, Tensor x) except -1:
    """y at start .. of dim = x."""
    cdef i64 outer = 1, run = ITEMSIZE[x.dtype], step
    cdef int d
    for d in range(x.ndim):
        if d < dim:
            outer *= x.shape[d]
        else:
            run *= x.shape[d]
    if outer == 1 or not x.contiguous or x.dtype != y.dtype:
        copy_into(window(y, dim, start, x.shape[dim]), x)
    else:  # whole rows: no need to think about strides
        step = y.strides[dim] * ITEMSIZE[y.dtype]
        spread_rows(y.data + start * step, y.shape[dim] * step, x.data, run, outer)
    return 0


cdef int common_dtype(tuple items) noexcept:
    cdef int dtype = (<Tensor> items[0]).dtype
    for t in items:
        dtype = promote(dtype, (<Tensor> t).dtype)
    return dtype


def cat(tensors, dim=0, *, axis=None, out=None):
    """The tensors one after the other along dim. Shapes agree outside dim; vectors of no elements are skipped."""
    cdef tuple items = tensors_of(tensors, "torch.cat")
    cdef list lengths = []
    cdef Tensor first = None, t, y
    cdef i64[MAXDIM] shape
    cdef i64 start = 0
    cdef int i, d, e
    for i, t in enumerate(items):
        if t.ndim == 0:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
        if first is None and not (t.ndim == 1 and t.numel == 0):
            first = t
    if first is None:
        first = items[0]
    d = wrap_dim(dim if axis is None else axis, first.ndim)
    for i, t in enumerate(items):
        if t.ndim == 1 and t.numel == 0:
            lengths.append(0)
            continue
        if t.ndim != first.ndim:
            raise RuntimeError(f"Tensors must have same number of dimensions: got {first.ndim} and {t.ndim}")
        for e in range(t.ndim):
            if e != d and t.shape[e] != first.shape[e]:
                raise RuntimeError(f"Sizes of tensors must match except in dimension {d}. Expected size "
                                   f"{first.shape[e]} but got size "
                                   f"{t.shape[e]} for tensor number {i} in the list.")
        lengths.append(t.shape[d])
    for e in range(first.ndim):
        shape[e] = first.shape[e]
    shape[d] = sum(lengths)
    y = new_tensor(common_dtype(items), first.ndim, shape)
    for t, length in zip(items, lengths):
        if length:
            place(y, d, start, t)
            start += length

    def backward(g):
        parts, start = [], 0
        for t, length in zip(items, lengths):
            part = g.narrow(d, start, length) if length else g.new_zeros(t.shape)
            parts.append(cast(part, (<Tensor> t).dtype) if t.requires_grad else None)
            start += length
        return tuple(parts)

    y = attach(y, items, backward, "CatBackward0")
    return y if out is None else out.resize_(shape_tuple(y)).copy_(y)


def stack(tensors, dim=0, *, axis=None, out=None):
    """The tensors, all of one shape, side by side along a new dim."""
    cdef tuple items = tensors_of(tensors, "stack"), shape
    cdef Tensor first = items[0], t, y
    cdef int d = wrap_dim(dim if axis is None else axis, first.ndim + 1), i
    shape = shape_tuple(first)
    for i, t in enumerate(items):
        if shape_tuple(t) != shape:
            raise RuntimeError(f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and "
                               f"{list(shape_tuple(t))} at entry {i}")
    y = new_of(shape[:d] + (len(items),) + shape[d:], common_dtype(items), False)
    for i, t in enumerate(items):
        copy_into(slice_at(y, d, i), t)

    def backward(g):
        return tuple([cast(g.select(d, i), (<Tensor> t).dtype) if t.requires_grad else None
                      for i, t in enumerate(items)])

    y = attach(y, items, backward, "StackBackward0")
    return y if out is None else out.resize_(shape_tuple(y)).copy_(y)


# -- taking apart ------------------------------------------------------------------------------------------------------

cdef Tensor slice_at(Tensor x, int dim, i64 i):
    """x at position i of dim, which disappears; without history."""
    cdef i64[MAXDIM] shape, strides
    cdef int d, e = 0
    for d in range(x.ndim):
        if d != dim:
            shape[e] = x.shape[d]
            strides[e] = x.strides[d]
            e += 1
    return view_of(x, x.ndim - 1, shape, strides, x.data + i * x.strides[dim] * ITEMSIZE[x.dtype])


cdef tuple as_views(Tensor x, list views, object backward, str name):
    """The pieces enter the graph as outputs of one node, and know their base."""
    cdef Tensor v
    cdef tuple pieces = tuple(views)
    if grad_enabled():
        for v in pieces:
            v.base = x if x.base is None else x.base
            v.view_version = x.storage.version
        if is_float(x.dtype) and tracks(x):
            attach(pieces, (x,), backward, name)
    return pieces


cdef tuple split_sizes(Tensor x, int d, list sizes):
    cdef list views = []
    cdef i64 start = 0, size
    cdef tuple shape = shape_tuple(x)
    for size in sizes:
        views.append(window(x, d, start, size))
        start += size

    def backward(*grads):
        like = next(g for g in grads if g is not None)
        return cat([like.new_zeros(shape[:d] + (size,) + shape[d + 1:]) if g is None else g
                    for g, size in zip(grads, sizes)], d),

    return as_views(x, views, backward, "SplitBackward0")


def split(Tensor self not None, split_size_or_sections=None, dim=0, *, split_size=None):
    """Views of consecutive pieces along dim: all of one size but the last, or of the sizes listed."""
    if split_size is not None:  # what the method calls it
        split_size_or_sections = split_size
    cdef int d = wrap_dim(dim, self.ndim)
    cdef i64 n, size
    if self.ndim == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    n = self.shape[d]
    if isinstance(split_size_or_sections, (tuple, list)):
        sizes = [index_arg(s, "split size") for s in split_size_or_sections]
        if sum(sizes) != n or any([s < 0 for s in sizes]):
            raise RuntimeError(f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at "
                               f"dimension {d}), "
                               f"but got split_sizes={sizes}")
        return split_sizes(self, d, sizes)
    size = index_arg(split_size_or_sections, "split_size")
    if size < 0 or size == 0 and n:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size} for a dim of size {n}")
    if size == 0:
        return split_sizes(self, d, [0])
    return split_sizes(self, d, [min(size, n - start) for start in range(0, n, size)] or [0])


def split_with_sizes(Tensor self not None, split_sizes, dim=0):
    """Views of consecutive pieces of the sizes listed."""
    return split(self, list(split_sizes), dim)


def chunk(Tensor input not None, chunks, dim=0, *, axis=None):
    """At most `chunks` views along dim, all of one size but the last."""
    dim = pick(dim, axis)
    cdef int d = wrap_dim(dim, input.ndim)
    cdef i64 count = index_arg(chunks, "chunks")
    if input.ndim == 0:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if count <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {count}")
    if input.shape[d] == 0:
        return split_sizes(input, d, [0] * count)
    return split(input, (input.shape[d] + count - 1) // count, d)


def unbind(Tensor input not None, dim=0, *, axis=None):
    """Views of the slices along dim, which disappears."""
    dim = pick(dim, axis)
    cdef int d = wrap_dim(dim, input.ndim)
    cdef list views
    if input.ndim == 0:
        raise RuntimeError("Dimension specified as 0 but tensor has no dimensions")
    views = [slice_at(input, d, i) for i in range(input.shape[d])]

    def backward(*grads):
        like = next(g for g in grads if g is not None)
        return stack([like.new_zeros(like.shape) if g is None else g for g in grads], d),

    return as_views(input, views, backward, "UnbindBackward0")


# -- flip --------------------------------------------------------------------------------------------------------------

cdef object flip_vjp(Node node, object g):
    return flip(g, node.aux)


def flip(Tensor input not None, *args, dims=None):
    """A copy with the order of the elements reversed along dims: flip(x, 0, 1), flip(x, (0, 1)) or dims=(0, 1)."""
    if dims is not None:
        args = dims if isinstance(dims, (tuple, list)) else (dims,)
    cdef tuple chosen = tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else tuple(args)
    cdef i64[MAXDIM] strides
    cdef char* p = input.data
    cdef Tensor y = new_tensor(input.dtype, input.ndim, input.shape), source
    cdef Node node
    cdef int d
    for d in range(input.ndim):
        strides[d] = input.strides[d]
    wrapped = [wrap_dim(dim, input.ndim) for dim in chosen]
    if len(set(wrapped)) != len(wrapped):
        raise RuntimeError(f"flip: dim {next(d for d in wrapped if wrapped.count(d) > 1)} appears multiple times in "
                           "the list of dims")
    if input.numel and input.ndim:
        for d in wrapped:
            p += (input.shape[d] - 1) * strides[d] * ITEMSIZE[input.dtype]
            strides[d] = -strides[d]
        source = view_of(input, input.ndim, input.shape, strides, p)
        copy_into(y, source)
    elif input.numel:
        copy_into(y, input)
    if is_float(input.dtype) and tracks(input):
        node = new_node(flip_vjp, "FlipBackward0", input, None, None)
        node.aux = chosen
        set_history(y, node)
    return y


concat = concatenate = cat
METHODS = {f.__name__: f for f in (split, split_with_sizes, chunk, unbind, flip)}
FUNCTIONS = METHODS | {"cat": cat, "concat": cat, "concatenate": cat, "stack": stack}
