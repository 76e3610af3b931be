"""Extremes: max, min and where they are; any and all. A NaN is the extreme of its slice; of equals, the first is."""
from collections import namedtuple

from libc.stdint cimport int16_t, int32_t

from minitorch_bn._core cimport (Node, Tensor, dims_mask, fill_raw, grad_enabled, new_node,
                                 new_zeros, raw_cast, raw_contiguous, save, save_output, saved, set_history,
                                 shape_tuple, tracks, wrap_dim)
from minitorch_bn.kernels cimport reduce as kernels
from minitorch_bn.kernels.reduce cimport MTB_MAX, MTB_MIN, Layout
from minitorch_bn.kernels.runtime cimport ITEMSIZE, MTB_b8, MTB_f16, MTB_f32, MTB_i64, MTB_u8, i64
from minitorch_bn._core import named
from minitorch_bn.ops.reduce cimport (count_of, in_order, lay_out, new_reduced, pick, positions, spread, with_out)


def result_type_of(name, fields):
    """A named tuple as PyTorch returns it: torch.return_types.max(values=..., indices=...)."""
    base = namedtuple(name, fields)
    return type(name, (base,), {"__slots__": (), "__module__": "torch.return_types", "__repr__": lambda self: (
        f"torch.return_types.{name}(\n" + ",\n".join([f"{f}={v!r}" for f, v in zip(fields, self)]) + ")")})


MAX, MIN = result_type_of("max", ["values", "indices"]), result_type_of("min", ["values", "indices"])
AMINMAX = result_type_of("aminmax", ["min", "max"])


cdef tuple raw_extreme(Tensor x, int op, unsigned int mask, bint keepdim, bint indices, str name):
    """(values, indices or None) without history. The dims of mask must not be empty."""
    cdef Layout l
    cdef Tensor value, index = None, source
    cdef int d
    for d in range(x.ndim):
        if mask >> d & 1 and x.shape[d] == 0:
            if mask & (mask - 1) or (x.ndim == 1 and not keepdim and name in ("max", "min")):
                raise RuntimeError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify "
                                   "the reduction dim with the 'dim' argument.")
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
    source = lay_out(raw_contiguous(x) if indices and mask & (mask - 1) else x, mask, &l)
    value = new_reduced(x, mask, keepdim, MTB_f32 if MTB_f16 <= x.dtype < MTB_f32 else x.dtype)
    if indices:
        index = new_reduced(x, mask, keepdim, MTB_i64)
    kernels.extreme_axes(source.dtype, op, &l, source.data, value.data, <i64*> index.data if indices else NULL)
    value = in_order(value, x, mask, &l)
    if indices:
        index = in_order(index, x, mask, &l)
    return raw_cast(value, x.dtype), index


# -- amax, amin, aminmax, and max, min of everything: the gradient is shared by equals -----------------------------

cdef object amax_vjp(Node node, object g):
    """g / k at each of the k elements that equal the extreme."""
    cdef object x = (<object> saved(node, 0)).detach(), y = (<object> saved(node, 1)).detach()
    shape, mask, keepdim = node.aux
    wide = spread(y, shape, mask, keepdim)
    at = x == wide
    if (y != y).any().item():
        at = at | (x != x) & (wide != wide)
    dims = [d for d in range(len(shape)) if mask >> d & 1] if shape else None
    g = g / at.sum(dims, keepdim).to(y.dtype)
    return spread(g, shape, mask, keepdim).where(at, 0)


cdef Tensor extreme_value(Tensor x, int op, object dim, bint keepdim, str name):
    cdef unsigned int mask = dims_mask(dim, x.ndim)
    cdef Tensor y = raw_extreme(x, op, mask, keepdim, False, name)[0]
    cdef Node node
    if tracks(x):
        node = new_node(amax_vjp, name.capitalize() + "Backward0", x, None, None)
        save(node, 0, x)
        save_output(node, 1, y)
        node.aux = (shape_tuple(x), mask, bool(keepdim))
        set_history(y, node)
    return y


def amax(Tensor input not None, dim=(), keepdim=False, *, out=None, axis=None, keepdims=None):
    """The largest value over `dim` (an int, a tuple, or all)."""
    return with_out(extreme_value(input, MTB_MAX, pick(dim, axis), pick(keepdim, keepdims), "amax"), out)


def amin(Tensor input not None, dim=(), keepdim=False, *, out=None, axis=None, keepdims=None):
    """The smallest value over `dim` (an int, a tuple, or all)."""
    return with_out(extreme_value(input, MTB_MIN, pick(dim, axis), pick(keepdim, keepdims), "amin"), out)


def aminmax(Tensor input not None, *, dim=None, keepdim=False):
    """The smallest and the largest value over one dim, or of everything."""
    if dim is not None:
        wrap_dim(dim, input.ndim)
    return AMINMAX(extreme_value(input, MTB_MIN, dim, keepdim, "aminmax"),
                   extreme_value(input, MTB_MAX, dim, keepdim, "aminmax"))


# -- max, min along a dim: the gradient goes to the element taken --------------------------------------------------

cdef object select_vjp(Node node, object g):
    """g at the element taken of each slice, 0 elsewhere."""
    cdef Tensor index = saved(node, 0), dy, dx
    cdef i64[8] sizes
    cdef i64 outer = 1, n = 1, inner = 1, o, i, to
    cdef int d, dim = 0, size
    shape, mask, keepdim = node.aux
    if not shape:
        return g
    while not mask >> dim & 1:
        dim += 1
    if grad_enabled():
        place = (<object> positions(shape[dim])).reshape([-1 if d == dim else 1 for d in range(len(shape))])
        at = place == spread(index, shape, mask, keepdim)
        return spread(g, shape, mask, keepdim).where(at, 0)
    for d in range(len(shape)):
        sizes[d] = shape[d]
        if d < dim:
            outer *= sizes[d]
        elif d > dim:
            inner *= sizes[d]
    n, dy = sizes[dim], raw_contiguous(<Tensor> g)
    dx, index, size = new_zeros(dy.dtype, len(shape), sizes), raw_contiguous(index), ITEMSIZE[dy.dtype]
    for o in range(outer):
        for i in range(inner):
            to = (o * n + (<i64*> index.data)[o * inner + i]) * inner + i
            if size == 4:                    # the bits of a number, whatever its kind
                (<int32_t*> dx.data)[to] = (<int32_t*> dy.data)[o * inner + i]
            elif size == 8:
                (<i64*> dx.data)[to] = (<i64*> dy.data)[o * inner + i]
            else:
                (<int16_t*> dx.data)[to] = (<int16_t*> dy.data)[o * inner + i]
    return dx


cdef object extreme(Tensor x, int op, object dim, object keepdim, str name, type result, object out):
    cdef Tensor y, index
    cdef Node node
    cdef unsigned int mask
    if isinstance(dim, Tensor):
        return (<object> x).maximum(dim, out=out) if op == MTB_MAX else (<object> x).minimum(dim, out=out)
    if dim is None:
        return with_out(named(extreme_value(x, op, None, False, name), name.capitalize() + "Backward1"), out)
    mask = 1u << wrap_dim(dim, x.ndim)
    y, index = raw_extreme(x, op, mask, keepdim, True, name)
    if tracks(x):
        node = new_node(select_vjp, name.capitalize() + "Backward0", x, None, None)
        save(node, 0, index)
        node.aux = (shape_tuple(x), mask, bool(keepdim))
        set_history(y, node)
    if out is not None:
        return result(with_out(y, out[0]), with_out(index, out[1]))
    return result(y, index)


def max(Tensor input not None, dim=None, keepdim=False, *, out=None, other=None, axis=None, keepdims=None):
    """max(x): the largest value. max(x, dim): (values, indices) along a dim. max(x, other): element by element."""
    return extreme(input, MTB_MAX, pick(pick(dim, axis), other), pick(keepdim, keepdims), "max", MAX, out)


def min(Tensor input not None, dim=None, keepdim=False, *, out=None, other=None, axis=None, keepdims=None):
    """min(x): the smallest value. min(x, dim): (values, indices) along a dim. min(x, other): element by element."""
    return extreme(input, MTB_MIN, pick(pick(dim, axis), other), pick(keepdim, keepdims), "min", MIN, out)


cdef Tensor arg_extreme(Tensor x, int op, object dim, bint keepdim, str name):
    if dim is not None:
        return raw_extreme(x, op, 1u << wrap_dim(dim, x.ndim), keepdim, True, name)[1]
    if x.numel == 0:
        raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the "
                         "reduction dim with the 'dim' argument.")
    return raw_extreme(x, op, dims_mask(None, x.ndim), keepdim, True, name)[1]


def argmax(Tensor input not None, dim=None, keepdim=False, *, out=None, axis=None, keepdims=None):
    """Where the largest value is along `dim`, or in the flattened input; the first of equals."""
    return with_out(arg_extreme(input, MTB_MAX, pick(dim, axis), pick(keepdim, keepdims), "argmax"), out)


def argmin(Tensor input not None, dim=None, keepdim=False, *, out=None, axis=None, keepdims=None):
    """Where the smallest value is along `dim`, or in the flattened input; the first of equals."""
    return with_out(arg_extreme(input, MTB_MIN, pick(dim, axis), pick(keepdim, keepdims), "argmin"), out)


# -- any, all ------------------------------------------------------------------------------------------------------

cdef Tensor truth(Tensor x, int op, object dim, bint keepdim):
    cdef unsigned int mask = dims_mask(dim, x.ndim)
    cdef Tensor y
    if count_of(x, mask) == 0:
        y = new_reduced(x, mask, keepdim, MTB_b8)
        fill_raw(y, op == MTB_MIN)
    else:
        y = raw_extreme(x if x.dtype == MTB_b8 else (<object> x).detach() != 0, op, mask, keepdim, False, "any")[0]
    return raw_cast(y, MTB_u8) if x.dtype == MTB_u8 else y


def any(Tensor input not None, dim=None, keepdim=False, *, out=None, axis=None, keepdims=None):
    """Whether any element over `dim` is true (not 0)."""
    return with_out(truth(input, MTB_MAX, pick(dim, axis), pick(keepdim, keepdims)), out)


def all(Tensor input not None, dim=None, keepdim=False, *, out=None, axis=None, keepdims=None):
    """Whether all elements over `dim` are true (not 0)."""
    return with_out(truth(input, MTB_MIN, pick(dim, axis), pick(keepdim, keepdims)), out)


METHODS = {"amax": amax, "amin": amin, "aminmax": aminmax, "max": max, "min": min, "argmax": argmax, "argmin": argmin,
           "any": any, "all": all}
FUNCTIONS = METHODS
