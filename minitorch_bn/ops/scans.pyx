"""Scans along a dim: running sums, products, and extremes with where they are."""
from minitorch_bn._core cimport (Node, Tensor, is_float, new_node, new_tensor, raw_cast, raw_contiguous, save,
                                 save_output, saved, set_history, tracks, wrap_dim)
from minitorch_bn.kernels cimport reduce as kernels
from minitorch_bn.kernels.reduce cimport MTB_CUMPROD, MTB_CUMSUM, MTB_LOGCUMSUMEXP, MTB_MAX, MTB_MIN
from minitorch_bn.kernels.runtime cimport MTB_f32, MTB_i64, i64
from minitorch_bn.ops.extremes import result_type_of
from minitorch_bn.ops.reduce cimport in_dtype, positions, required_dim, with_out

CUMMAX = result_type_of("cummax", ["values", "indices"])
CUMMIN = result_type_of("cummin", ["values", "indices"])


cdef bint around(Tensor x, int dim, i64* shape, i64* strides) noexcept:
    """x as (outer, n, inner) around dim; False if the dims before or after it do not lie like one."""
    cdef int d, k
    for k in range(3):
        shape[k], strides[k] = 1, 0
    for d in range(x.ndim - 1, -1, -1):
        k = 0 if d < dim else 1 if d == dim else 2
        if x.shape[d] == 1:
            continue
        if shape[k] == 1:
            strides[k] = x.strides[d]
        elif x.strides[d] != strides[k] * shape[k]:
            return False
        shape[k] *= x.shape[d]
    return True


cdef Tensor raw_scan(Tensor x, int op, int dim, bint reverse, Tensor index):
    """Running sums, ... in x's dtype, computed in double, or int64 for integers; extremes, if there is an index."""
    cdef i64[3] shape
    cdef i64[3] strides
    cdef int dtype = x.dtype if x.dtype >= MTB_f32 or index is not None else MTB_i64
    if is_float(x.dtype) and x.dtype < MTB_f32:
        dtype = MTB_f32
    cdef Tensor source = raw_cast(x, dtype), y = new_tensor(dtype, x.ndim, x.shape)
    if x.numel == 0:      # its strides may be anything
        return raw_cast(y, x.dtype)
    if not around(source, dim, shape, strides):
        source = raw_contiguous(source)
        around(source, dim, shape, strides)
    kernels.scan(dtype, op, reverse, shape, strides, source.data, y.data,
                 <i64*> index.data if index is not None else NULL)
    return raw_cast(y, x.dtype)


# -- cumsum: the gradient is the running sum from the other end ----------------------------------------------------

cdef object cumsum_vjp(Node node, object g):
    return scan_sum(<Tensor> g, <int> node.k[0], node.k[1] == 0)


cdef Tensor scan_sum(Tensor x, int dim, bint reverse):
    cdef Tensor y = raw_scan(x, MTB_CUMSUM, dim, reverse, None)
    cdef Node node
    if tracks(x):
        node = new_node(cumsum_vjp, "CumsumBackward0", x, None, None)
        node.k[0], node.k[1] = dim, reverse
        set_history(y, node)
    return y


cdef Tensor operand(Tensor x, object dtype):
    """What is scanned: integers and bool as int64 unless a dtype is asked for."""
    if dtype is None:
        return x if is_float(x.dtype) else raw_cast(x, MTB_i64)
    return in_dtype(x, dtype)


def cumsum(Tensor input not None, dim=None, *, dtype=None, out=None, axis=None):
    """y[i] = x[0] + ... + x[i] along `dim`; integers and bool give int64."""
    dim = required_dim(dim, axis, "cumsum")
    cdef Tensor x = operand(input, dtype)
    return with_out(scan_sum(x, wrap_dim(dim, x.ndim), False), out)


# -- cumprod -------------------------------------------------------------------------------------------------------

cdef object cumprod_vjp(Node node, object g):
    """dx[j] = sum over i >= j of g[i] y[i] / x[j]; with zeros, through the products that leave out each element."""
    cdef Tensor x = saved(node, 0), y = saved(node, 1)
    cdef int dim = <int> node.k[0]
    if not (<object> x == 0).any().item():
        return scan_sum(<Tensor> (g * y), dim, True) / x
    if x.ndim == 0:
        return g
    wide = (<object> x).movedim(dim, -1).unsqueeze(-2)
    n = wide.shape[-1]
    row, column = (<object> positions(n)).unsqueeze(1), (<object> positions(n)).unsqueeze(0)
    wide = wide.expand(wide.shape[:-2] + (n, n)).masked_fill(row == column, 1)      # row j leaves out x[j]
    partial = cumprod(wide, -1).masked_fill(row > column, 0)
    return (partial * g.movedim(dim, -1).unsqueeze(-2)).sum(-1).movedim(-1, dim)


def cumprod(Tensor input not None, dim=None, *, dtype=None, out=None, axis=None):
    """y[i] = x[0] * ... * x[i] along `dim`; integers and bool give int64."""
    dim = required_dim(dim, axis, "cumprod")
    cdef Tensor x = operand(input, dtype), y
    cdef int d = wrap_dim(dim, x.ndim)
    cdef Node node
    y = raw_scan(x, MTB_CUMPROD, d, False, None)
    if tracks(x):
        node = new_node(cumprod_vjp, "CumprodBackward0", x, None, None)
        save(node, 0, x)
        save_output(node, 1, y)
        node.k[0] = d
        set_history(y, node)
    return with_out(y, out)


# -- cummax, cummin: the gradient goes to the elements taken -------------------------------------------------------

cdef object cumextreme_vjp(Node node, object g):
    cdef Tensor index = saved(node, 0)
    if index.ndim == 0:
        return g
    return g.new_zeros(g.shape).scatter_add(<int> node.k[0], index, g)


cdef object cumulative_extreme(Tensor x, int op, object dim, str name, type result, object out):
    cdef int d = wrap_dim(dim, x.ndim)
    cdef Tensor index = new_tensor(MTB_i64, x.ndim, x.shape), value = raw_scan(x, op, d, False, index)
    cdef Node node
    if tracks(x):
        node = new_node(cumextreme_vjp, name.capitalize() + "Backward0", x, None, None)
        save(node, 0, index)
        node.k[0] = d
        set_history(value, node)
    if out is not None:
        return result(with_out(value, out[0]), with_out(index, out[1]))
    return result(value, index)


def cummax(Tensor input not None, dim=None, *, out=None, axis=None):
    """(values, indices): the largest of x[0], ..., x[i] along `dim`, and where it is (the last of equals)."""
    dim = required_dim(dim, axis, "cummax")
    return cumulative_extreme(input, MTB_MAX, dim, "cummax", CUMMAX, out)


def cummin(Tensor input not None, dim=None, *, out=None, axis=None):
    """(values, indices): the smallest of x[0], ..., x[i] along `dim`, and where it is (the last of equals)."""
    dim = required_dim(dim, axis, "cummin")
    return cumulative_extreme(input, MTB_MIN, dim, "cummin", CUMMIN, out)


def cumsum_(Tensor self not None, dim, *, dtype=None):
    """In-place version of :func:`cumsum`."""
    return (<object> self).copy_(cumsum(self, dim, dtype=dtype))


def cumprod_(Tensor self not None, dim, *, dtype=None):
    """In-place version of :func:`cumprod`."""
    return (<object> self).copy_(cumprod(self.clone() if self.requires_grad else self, dim, dtype=dtype))


# -- logcumsumexp --------------------------------------------------------------------------------------------------

cdef object logcumsumexp_vjp(Node node, object g):
    """dx[j] = sum over i >= j of g[i] exp(x[j] - y[i]), the positive and the negative g apart, as logarithms."""
    cdef Tensor x = saved(node, 0), y = saved(node, 1)
    cdef int dim = <int> node.k[0]
    cdef bint reverse = node.k[1] == 0
    low = float("-inf")
    seen = (<object> y).masked_fill((<object> y).detach() == low, 0)     # there x is -inf too: exp(x) is 0
    dx = 0
    for sign in (1, -1):
        some = g * sign > 0
        log = ((g * sign).where(some, 1).log() - seen).masked_fill(~some, low)
        dx = dx + sign * (scan_log(<Tensor> log, dim, reverse) + x).exp()
    return dx


cdef Tensor scan_log(Tensor x, int dim, bint reverse):
    cdef Tensor y = raw_scan(x, MTB_LOGCUMSUMEXP, dim, reverse, None)
    cdef Node node
    if tracks(x):
        node = new_node(logcumsumexp_vjp, "LogcumsumexpBackward0", x, None, None)
        save(node, 0, x)
        save_output(node, 1, y)
        node.k[0], node.k[1] = dim, reverse
        set_history(y, node)
    return y


def logcumsumexp(Tensor input not None, dim=None, *, out=None, axis=None):
    """log(exp(x[0]) + ... + exp(x[i])) along `dim`."""
    dim = required_dim(dim, axis, "logcumsumexp")
    cdef int d = wrap_dim(dim, input.ndim)
    if not is_float(input.dtype):
        raise RuntimeError("logcumsumexp(): expected a floating point input")
    return with_out(scan_log(input, d, False), out)


METHODS = {"cumsum": cumsum, "cumprod": cumprod, "cummax": cummax, "cummin": cummin, "cumsum_": cumsum_,
           "cumprod_": cumprod_, "logcumsumexp": logcumsumexp}
FUNCTIONS = {name: function for name, function in METHODS.items() if not name.endswith("_")}
