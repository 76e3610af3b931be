"""Scans along a dim: running sums, products, and extremes with where they are."""
from minitorch_bn._core cimport (Node, Tensor, is_float, new_node, new_tensor, raw_cast, raw_contiguous, save,
                                 save_output, saved, set_history, tracks, wrap_dim)
from minitorch_bn.kernels cimport reduce as kernels
from minitorch_bn.kernels.reduce cimport MTB_MAX, MTB_MIN, MTB_PROD, MTB_SUM
from minitorch_bn.kernels.runtime cimport MTB_f32, MTB_i64, i64
from minitorch_bn.ops.extremes import result_type_of
from minitorch_bn.ops.reduce cimport in_dtype, positions, required_dim, with_out

CUMMAX = result_type_of("cummax", ["values", "indices"])
CUMMIN = result_type_of("cummin", ["values", "indices"])


cdef int middle(Tensor x, int dim, i64* outer, i64* n, i64* inner) noexcept:
    """x as (outer, n, inner) around dim."""
    cdef int d
    outer[0] = n[0] = inner[0] = 1
    for d in range(x.ndim):
        if d < dim:
            outer[0] *= x.shape[d]
        elif d == dim:
            n[0] = x.shape[d]
        else:
            inner[0] *= x.shape[d]
    return 0


cdef Tensor raw_scan(Tensor x, int op, int dim, bint reverse):
    """Running sums or products in x's dtype, computed in double, or int64 for integers."""
    cdef i64 outer, n, inner
    cdef int dtype = x.dtype if x.dtype >= MTB_f32 else MTB_f32 if is_float(x.dtype) else MTB_i64
    cdef Tensor source = raw_contiguous(raw_cast(x, dtype)), y = new_tensor(dtype, x.ndim, x.shape)
    middle(x, dim, &outer, &n, &inner)
    kernels.cumulate(dtype, op, reverse, outer, n, inner, source.data, y.data)
    return raw_cast(y, x.dtype)


# -- cumsum: the gradient is the running sum from the other end ----------------------------------------------------

cdef object cumsum_vjp(Node node, object g):
    return scan_sum(<Tensor> g, <int> node.k[0], node.k[1] == 0)


cdef Tensor scan_sum(Tensor x, int dim, bint reverse):
    cdef Tensor y = raw_scan(x, MTB_SUM, dim, reverse)
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
    y = raw_scan(x, MTB_PROD, d, False)
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
    cdef i64 outer, n, inner
    cdef int d = wrap_dim(dim, x.ndim)
    cdef Tensor source = raw_contiguous(raw_cast(x, MTB_f32) if is_float(x.dtype) and x.dtype < MTB_f32 else x)
    cdef Tensor value = new_tensor(source.dtype, x.ndim, x.shape), index = new_tensor(MTB_i64, x.ndim, x.shape)
    cdef Node node
    middle(x, d, &outer, &n, &inner)
    kernels.cumulate_extreme(source.dtype, op, outer, n, inner, source.data, value.data, <i64*> index.data)
    value = raw_cast(value, x.dtype)
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


def logcumsumexp(Tensor input not None, dim=None, *, out=None, axis=None):
    """log(exp(x[0]) + ... + exp(x[i])) along `dim`; takes time and memory n * n for n elements."""
    dim = required_dim(dim, axis, "logcumsumexp")
    cdef int d = wrap_dim(dim, input.ndim)
    if not is_float(input.dtype):
        raise RuntimeError("logcumsumexp(): expected a floating point input")
    if input.ndim == 0:
        return with_out((<object> input) * 1, out)
    rows = (<object> input).movedim(d, -1).unsqueeze(-2)
    n = rows.shape[-1]
    ahead = (<object> positions(n)).unsqueeze(0) > (<object> positions(n)).unsqueeze(1)
    rows = rows.expand(rows.shape[:-2] + (n, n)).masked_fill(ahead, float("-inf"))
    return with_out(rows.logsumexp(-1).movedim(-1, d), out)


METHODS = {"cumsum": cumsum, "cumprod": cumprod, "cummax": cummax, "cummin": cummin, "cumsum_": cumsum_,
           "cumprod_": cumprod_, "logcumsumexp": logcumsumexp}
FUNCTIONS = {name: function for name, function in METHODS.items() if not name.endswith("_")}
