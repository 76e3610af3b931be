"""Reductions: sums, means, products, norms and variances over any dims, each with its derivative of any order."""
from minitorch_bn._core cimport (Node, Tensor, cast, dims_mask, dtype_code, dtype_object, fill_raw, grad_enabled,
                                 is_float, new_node, new_tensor, raw_cast, raw_contiguous, save, save_output, saved,
                                 set_history, set_output, shape_tuple, tracks, view_of, wrap_dim)
from minitorch_bn.kernels cimport norm as norm_kernels, reduce as kernels
from minitorch_bn.kernels.reduce cimport (MTB_PROD, MTB_SUM, MTB_SUM_ABS, MTB_SUM_NOT_NAN, MTB_SUM_SQUARE,
                                          Layout)
from minitorch_bn.kernels.runtime cimport MTB_f16, MTB_f32, MTB_i64, give, i64, take


include "reduce_layout.pxi"


cdef i64 count_of(Tensor x, unsigned int mask) noexcept:
    cdef i64 n = 1
    cdef int d
    for d in range(x.ndim):
        if mask >> d & 1:
            n *= x.shape[d]
    return n


cdef Tensor raw_sum(Tensor x, int op, unsigned int mask, bint keepdim, double divisor, bint root):
    """A sum of the kernels over the dims of mask: float dtypes give their own, others int64. No history."""
    cdef Layout l
    cdef int out = x.dtype if is_float(x.dtype) else MTB_i64
    cdef Tensor source = lay_out(x, mask, &l)
    cdef Tensor y = new_reduced(x, mask, keepdim, MTB_f32 if MTB_f16 <= out < MTB_f32 else out)
    kernels.sum_axes(source.dtype, op, &l, source.data, divisor, root, y.data)
    y = in_order(y, x, mask, &l)
    return raw_cast(y, out)


cdef object spread(object g, tuple shape, unsigned int mask, bint kept):
    """The gradient of a reduced tensor as a view of the shape before (dims of mask stretched)."""
    if not kept and len(shape) > 0:
        g = g.reshape(tuple([1 if mask >> d & 1 else n for d, n in enumerate(shape)]))
    return g.expand(shape)


cdef object with_out(Tensor y, object out):
    if out is None:
        return y
    if is_float(y.dtype) and not is_float((<Tensor?> out).dtype):
        raise RuntimeError(f"Expected the dtype for input and out to match, but got {dtype_object(y.dtype)} for the "
                           f"result and {out.dtype} for out")
    return out.resize_(shape_tuple(y)).copy_(y)


cdef object pick(object a, object b):
    return a if b is None else b


cdef object required_dim(object dim, object axis, str op):
    if dim is None and axis is None:
        raise TypeError(f'{op}() missing 1 required positional argument: "dim"')
    return pick(dim, axis)


cdef Tensor in_dtype(Tensor x, object dtype):
    """x converted to the dtype asked for, if one is."""
    return x if dtype is None else cast(x, dtype_code(dtype))


cdef str long_name(int dtype):
    return ("Bool", "Byte", "Char", "Short", "Int", "Long", "Half", "BFloat16", "Float", "Double")[dtype]


cdef int need_float(Tensor x, str op) except -1:
    if not is_float(x.dtype):
        raise RuntimeError(f"{op}(): could not infer output dtype. Input dtype must be either a floating point or "
                           f"complex dtype. Got: {long_name(x.dtype)}")
    return 0


# -- sum, mean -----------------------------------------------------------------------------------------------------

cdef object sum_vjp(Node node, object g):
    """Of sum and mean: g / divisor everywhere."""
    shape, mask, keepdim = node.aux
    if node.k[0] != 1:
        g = g / node.k[0]
    return spread(g, shape, mask, keepdim)


cdef Tensor summed(Tensor x, unsigned int mask, bint keepdim, double divisor, str name):
    cdef Tensor y = raw_sum(x, MTB_SUM, mask, keepdim, divisor, False)
    cdef Node node
    if tracks(x):
        node = new_node(sum_vjp, name, x, None, None)
        node.aux = (shape_tuple(x), mask, keepdim)
        node.k[0] = divisor
        set_history(y, node)
    return y


def sum(Tensor input not None, dim=None, keepdim=False, *, dtype=None, out=None, axis=None, keepdims=None):
    """Sum over `dim` (an int, a tuple, or all). Integers and bool give int64 unless `dtype` says otherwise."""
    cdef Tensor x = in_dtype(input, dtype)
    cdef Tensor y = summed(x, dims_mask(pick(dim, axis), x.ndim), pick(keepdim, keepdims), 1,
                           "SumBackward0" if dim is None and axis is None else "SumBackward1")
    return with_out(y if dtype is None else raw_cast(y, x.dtype) if not is_float(x.dtype) else y, out)


def mean(Tensor input not None, dim=None, keepdim=False, *, dtype=None, out=None, axis=None, keepdims=None):
    """Mean over `dim` (an int, a tuple, or all); NaN of nothing."""
    cdef Tensor x = in_dtype(input, dtype)
    cdef unsigned int mask = dims_mask(pick(dim, axis), x.ndim)
    need_float(x, "mean")
    return with_out(summed(x, mask, pick(keepdim, keepdims), <double> count_of(x, mask),
                           "MeanBackward0" if dim is None and axis is None else "MeanBackward1"), out)


def nansum(Tensor input not None, dim=None, keepdim=False, *, dtype=None, out=None, axis=None):
    """Sum over `dim` with NaN counted as 0."""
    dim = pick(dim, axis)
    cdef Tensor x = in_dtype(input, dtype)
    cdef unsigned int mask
    if not is_float(x.dtype):
        return sum(x, dim, keepdim, out=out)
    mask = dims_mask(dim, x.ndim)
    if tracks(x):
        return with_out(sum(x.masked_fill(x.isnan(), 0), dim, keepdim), out)
    return with_out(raw_sum(x, MTB_SUM_NOT_NAN, mask, keepdim, 1, False), out)


def nanmean(Tensor input not None, dim=None, keepdim=False, *, dtype=None, out=None, axis=None):
    """Mean over `dim` of what is not NaN."""
    dim = pick(dim, axis)
    need_float(input, "nanmean")
    count = sum(input.isnan().logical_not(), dim, keepdim)
    return with_out(nansum(input, dim, keepdim, dtype=dtype) / count, out)


def count_nonzero(Tensor input not None, dim=None, *, axis=None):
    """How many elements are not zero (int64)."""
    dim = pick(dim, axis)
    return sum(input != 0, dim)


# -- product -------------------------------------------------------------------------------------------------------

cdef object prod_vjp(Node node, object g):
    """g y / x; where a slice has zeros, the product of the others of each element."""
    cdef Tensor x = saved(node, 0), y = saved(node, 1)
    shape, mask, keepdim = node.aux
    g = spread(g, shape, mask, keepdim)
    zeros = x == 0
    if not zeros.any().item():
        return g * spread(y, shape, mask, keepdim) / x
    if x.ndim == 0:
        return g * 1
    if x.ndim == 1 or mask != (1u << x.ndim) - 1:
        dim = [d for d in range(x.ndim) if mask >> d & 1][0]
        return g * products_of_others(x, zeros, dim)
    return g * products_of_others(x.reshape(-1), zeros.reshape(-1), 0).reshape(shape)


cdef object products_of_others(object x, object zeros, int dim):
    if not grad_enabled():                   # one zero: only its own place sees a product; more: none does
        others = prod(x.masked_fill(zeros, 1), dim, True)
        return others * (zeros & (zeros.sum(dim, True) == 1)) + (prod(x, dim, True) / x).masked_fill(zeros, 0)
    wide = x.movedim(dim, -1).unsqueeze(-2)  # (..., 1, n) -> (..., n, n): row i with x[i] replaced by 1
    n = wide.shape[-1]
    own = positions(n).unsqueeze(0) == positions(n).unsqueeze(1)
    wide = wide.expand(wide.shape[:-2] + (n, n)).masked_fill(own, 1)
    return prod(wide, -1).movedim(-1, dim)


cdef Tensor positions(i64 n):
    """0, 1, ..., n - 1 as int64."""
    cdef Tensor y = new_tensor(MTB_i64, 1, &n)
    cdef i64 i
    for i in range(n):
        (<i64*> y.data)[i] = i
    return y


def prod(Tensor input not None, dim=None, keepdim=False, *, dtype=None, out=None, axis=None, keepdims=None):
    """Product over one dim, or of all elements."""
    cdef Tensor x = in_dtype(input, dtype), y
    cdef Node node
    cdef unsigned int mask
    dim, keepdim = pick(dim, axis), pick(keepdim, keepdims)
    mask = dims_mask(None, x.ndim) if dim is None else 1u << wrap_dim(dim, x.ndim)
    y = raw_sum(x, MTB_PROD, mask, keepdim, 1, False)
    if tracks(x):
        node = new_node(prod_vjp, "ProdBackward0", x, None, None)
        save(node, 0, x)
        save_output(node, 1, y)
        node.aux = (shape_tuple(x), mask, bool(keepdim))
        set_history(y, node)
    return with_out(y if dtype is None or is_float(x.dtype) else raw_cast(y, x.dtype), out)


# -- norms ---------------------------------------------------------------------------------------------------------

cdef object norm2_vjp(Node node, object g):
    """g x / |x|, and 0 where |x| is 0."""
    cdef Tensor x = saved(node, 0), y = saved(node, 1)
    shape, mask, keepdim = node.aux
    zero = y == 0
    scale = (g / (<object> y).masked_fill(zero, 1)).masked_fill(zero, 0)  # no 0 / 0, so that its derivative is 0 too
    return x * spread(scale, shape, mask, keepdim)


cdef object norm1_vjp(Node node, object g):
    shape, mask, keepdim = node.aux
    return saved(node, 0).sign() * spread(g, shape, mask, keepdim)


def vector_norm(Tensor x not None, ord=2, dim=None, keepdim=False, *, dtype=None, out=None):
    """(sum |x|**ord)**(1/ord) over `dim`; ord=inf, -inf: the largest, smallest |x|; 0: how many are not 0."""
    cdef Tensor y
    cdef Node node
    cdef unsigned int mask
    cdef bint two
    x = in_dtype(x, dtype)
    if not is_float(x.dtype):
        raise RuntimeError("linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
                           f"{long_name(x.dtype)}")
    power = float(ord)
    mask = dims_mask(dim, x.ndim)
    if power == 2 or power == 1:
        two = power == 2
        y = raw_sum(x, MTB_SUM_SQUARE if two else MTB_SUM_ABS, mask, keepdim, 1, two)
        if tracks(x):
            node = new_node(norm2_vjp if two else norm1_vjp, "LinalgVectorNormBackward0", x, None, None)
            save(node, 0, x)
            if two:
                save_output(node, 1, y)
            node.aux = (shape_tuple(x), mask, bool(keepdim))
            set_history(y, node)
        return with_out(y, out)
    if power == 0:
        return with_out(sum(x.sign().abs(), dim, keepdim), out)  # a step: its derivative is 0
    if (power < 0 or power == float("inf")) and count_of(x, mask) == 0:
        raise RuntimeError(f"linalg.vector_norm cannot compute the {power:g} norm on an empty tensor because the "
                           "operation does not have an identity")
    if abs(power) == float("inf"):
        size = (<object> x).abs()
        return with_out(size.amax(dim, keepdim) if power > 0 else size.amin(dim, keepdim), out)
    size = (<object> x).abs()
    if power < 2:                            # the derivative at 0 is 0, though that of the power is infinite
        zero = size == 0
        size = (size.masked_fill(zero, 1) ** power).masked_fill(zero, 0 if power > 0 else float("inf"))
    else:
        size = size ** power
    total = sum(size, dim, keepdim)
    zero = total == 0
    total = (total.masked_fill(zero, 1) ** (1 / power)).masked_fill(zero, 0 if power > 0 else float("inf"))
    return with_out(total, out)


def norm(Tensor input not None, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    """The p-norm of all elements as one vector, or over `dim`. "fro" is p=2."""
    if p is None or p == "fro":
        p = 2
    if isinstance(p, str):
        if p != "nuc":
            raise RuntimeError(f"norm(): unknown p={p!r}; use a number, 'fro' or 'nuc'")
        from minitorch_bn import linalg
        return with_out(linalg.matrix_norm(input, "nuc", (-2, -1) if dim is None else dim, keepdim), out)
    return vector_norm(input, p, dim, keepdim, dtype=dtype, out=out)


# -- variance ------------------------------------------------------------------------------------------------------

cdef object var_vjp(Node node, object g):
    """g 2 (x - mean) / (n - correction), also of std through g / (2 std); and of the mean beside them, g / n."""
    cdef Tensor x = saved(node, 0), y = saved(node, 1)
    cdef double n = node.k[0], correction = node.k[1]
    shape, mask, keepdim, root, pair = node.aux
    gv, gm = g if pair else (g, None)
    dx = None
    if gv is not None:
        if root:
            gv = (gv / (2 * y)).masked_fill(y == 0, 0)
        dims = [d for d in range(len(shape)) if mask >> d & 1]
        scale = 2 / (n - correction) if n > correction else float("nan")
        dx = (x - mean(x, dims if shape else None, True)) * spread(gv * scale, shape, mask, keepdim)
    if gm is not None:
        gm = spread(gm / n, shape, mask, keepdim)
        dx = gm if dx is None else dx + gm
    return dx


cdef object variance(Tensor input, object dim, object unbiased, object correction, object keepdim, str name, bint root,
                     bint pair):
    """var, std, and both with the mean: double moments over rows, whatever the dims are."""
    cdef unsigned int mask
    cdef Tensor x = input, source, y, m
    cdef Node node
    cdef double n, less
    cdef double* moments
    cdef i64 count, rows
    cdef size_t room
    if isinstance(dim, bool):                # var(unbiased)
        dim, unbiased = None, dim
    if not is_float(x.dtype):
        raise RuntimeError(f"{name} only support floating point and complex dtypes")
    less = correction if correction is not None else 1 if unbiased is None or unbiased else 0
    mask = dims_mask(dim, x.ndim)
    count = count_of(x, mask)
    n = <double> count
    y = new_reduced(x, mask, keepdim, x.dtype if x.dtype >= MTB_f32 else MTB_f32)
    m = new_reduced(x, mask, keepdim, y.dtype) if pair else None
    rows = y.numel
    if count == 0:
        fill_raw(y, float("nan"))
        if pair:
            fill_raw(m, float("nan"))
    elif rows > 0:
        room = 2 * rows * sizeof(double)
        moments = <double*> take(room)
        try:
            source = raw_cast(x, y.dtype)
            moments_of(source, mask, count, rows, moments)
            kernels.round_doubles(y.dtype, rows, moments + rows, (n - less if n > less else 0.) / n, root, y.data)
            if pair:
                kernels.round_doubles(y.dtype, rows, moments, 1, False, m.data)
        finally:
            give(moments, room)
    y = raw_cast(y, x.dtype)
    if pair:
        m = raw_cast(m, x.dtype)
    if tracks(x):
        node = new_node(var_vjp, ("StdMean" if root else "VarMean") + "Backward0" if pair else
                        ("Std" if root else "Var") + "Backward0", x, None, None)
        save(node, 0, x)
        node.aux = (shape_tuple(x), mask, bool(keepdim), root, pair)
        node.k[0], node.k[1] = n, less
        save_output(node, 1, y)
        if pair:
            set_output(m, node, 1)
        set_output(y, node, 0)
    return (y, m) if pair else y


cdef int moments_of(Tensor source, unsigned int mask, i64 count, i64 rows, double* moments) except -1:
    """mean and variance of each result, from (outer, n, inner) if the reduced dims are neighbors, else from a copy."""
    cdef int d, first = -1, last = -1
    cdef i64 outer = 1, inner = 1
    cdef bint neighbors = True
    for d in range(source.ndim):
        if mask >> d & 1 and source.shape[d] != 1:
            if last >= 0 and last != d - 1:
                neighbors = False
            first = d if first < 0 else first
            last = d
        elif last == d - 1 and source.shape[d] == 1:
            last = d if last >= 0 else last
    if neighbors and first >= 0:
        source = raw_contiguous(source)
        for d in range(first):
            outer *= source.shape[d]
        for d in range(last + 1, source.ndim):
            inner *= source.shape[d]
        return norm_kernels.moments(source.dtype - MTB_f32, outer, count, inner, source.data, moments, moments + rows)
    order = [d for d in range(source.ndim) if not mask >> d & 1] + [d for d in range(source.ndim) if mask >> d & 1]
    source = raw_contiguous((<object> source).detach().permute(order)) if source.ndim else source
    return norm_kernels.moments(source.dtype - MTB_f32, rows, count, 1, source.data, moments, moments + rows)


def var(Tensor input not None, dim=None, unbiased=None, keepdim=False, *, correction=None, out=None, axis=None,
        keepdims=None):
    """Variance over `dim`: squared deviations over n - correction (1; 0 with unbiased=False)."""
    y = variance(input, pick(dim, axis), unbiased, correction, pick(keepdim, keepdims), "var", False, False)
    return with_out(y, out)


def std(Tensor input not None, dim=None, unbiased=None, keepdim=False, *, correction=None, out=None, axis=None,
        keepdims=None):
    """The square root of :func:`var`."""
    y = variance(input, pick(dim, axis), unbiased, correction, pick(keepdim, keepdims), "std", True, False)
    return with_out(y, out)


def var_mean(Tensor input not None, dim=None, unbiased=None, keepdim=False, *, correction=None, axis=None):
    """(variance, mean) over `dim` in one pass."""
    dim = pick(dim, axis)
    return variance(input, dim, unbiased, correction, keepdim, "var_mean", False, True)


def std_mean(Tensor input not None, dim=None, unbiased=None, keepdim=False, *, correction=None, axis=None):
    """(standard deviation, mean) over `dim` in one pass."""
    dim = pick(dim, axis)
    return variance(input, dim, unbiased, correction, keepdim, "std_mean", True, True)


METHODS = {"sum": sum, "mean": mean, "nansum": nansum, "nanmean": nanmean, "count_nonzero": count_nonzero, "prod": prod,
           "norm": norm, "var": var, "std": std}
FUNCTIONS = {**METHODS, "var_mean": var_mean, "std_mean": std_mean}
PRIMITIVES = {"vector_norm": vector_norm}
