"""Softmax, log-softmax, logsumexp, cross entropy, negative log-likelihood: forward, backward, and any order after."""

from minitorch_bn._core cimport (Node, Tensor, cast, dims_mask, dtype_object, grad_enabled, is_float, new_node,
                                 new_tensor, new_zeros, raw_cast, raw_contiguous, save, save_output, saved,
                                 scalar_tensor, set_history, shape_tuple, tracks, wrap_dim)
from minitorch_bn.kernels cimport softmax as kernels
from minitorch_bn.kernels.runtime cimport MTB_f32, MTB_f64, MTB_i64, MTB_u8, i64
from minitorch_bn.ops.reduce cimport in_dtype, positions, required_dim, with_out


cdef enum:
    NARROW = 16


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


cdef int need_float(Tensor x, str op) except -1:
    if not is_float(x.dtype):
        raise RuntimeError(f"\"{op}\" not implemented for {dtype_object(x.dtype)}: convert the input to a float dtype")
    return 0


# -- softmax, log-softmax ------------------------------------------------------------------------------------------

cdef object softmax_vjp(Node node, object g):
    """Softmax: y (g - sum(g y)); its logarithm: g - exp(y) sum(g)."""
    cdef Tensor y = saved(node, 0), dy, dx
    cdef i64 outer, n, inner
    cdef int dim = <int> node.k[0]
    cdef bint log = node.k[1] != 0
    if grad_enabled():
        return g - (<object> y).exp() * g.sum(dim, True) if log else y * (g - (g * y).sum(dim, True))
    middle(y, dim, &outer, &n, &inner)
    dy, dx = raw_contiguous(raw_cast(<Tensor> g, y.dtype)), new_tensor(y.dtype, y.ndim, y.shape)
    kernels.softmax_backward(y.dtype - MTB_f32, outer, n, inner, y.data, dy.data, log, dx.data)
    return dx


cdef Tensor softmax_of(Tensor input, object dim, bint log):
    cdef Tensor x, y
    cdef i64 outer, n, inner
    cdef int d = wrap_dim(dim, input.ndim)
    cdef Node node
    need_float(input, "log_softmax" if log else "softmax")
    if input.dtype < MTB_f32:
        return cast(softmax_of(cast(input, MTB_f32), dim, log), input.dtype)
    middle(input, d, &outer, &n, &inner)
    if 1 < inner < NARROW:                   # few columns fill no vector: faster as rows, copies included
        return (<object> softmax_of((<object> input).movedim(d, -1), -1, log)).movedim(-1, d).contiguous()
    x, y = raw_contiguous(input), new_tensor(input.dtype, input.ndim, input.shape)
    kernels.softmax(x.dtype - MTB_f32, outer, n, inner, x.data, log, y.data)
    if tracks(input):
        node = new_node(softmax_vjp, "LogSoftmaxBackward0" if log else "SoftmaxBackward0", input, None, None)
        save_output(node, 0, y)
        node.k[0], node.k[1] = d, log
        set_history(y, node)
    return y


def softmax(Tensor input not None, dim=None, dtype=None, *, axis=None):
    """exp(x) / sum of exp(x) along `dim`, of the input converted to `dtype`; does not overflow."""
    dim = required_dim(dim, axis, "softmax")
    return softmax_of(in_dtype(input, dtype), dim, False)


def log_softmax(Tensor input not None, dim=None, dtype=None, *, axis=None):
    """log of softmax along `dim`, of the input converted to `dtype`; exact where softmax itself would be 0."""
    dim = required_dim(dim, axis, "log_softmax")
    return softmax_of(in_dtype(input, dtype), dim, True)


# -- logsumexp -----------------------------------------------------------------------------------------------------

cdef object logsumexp_vjp(Node node, object g):
    """g exp(x - y); nothing where y is -inf."""
    cdef Tensor x = saved(node, 0)
    cdef int dim = <int> node.k[0]
    y = <object> saved(node, 1)
    if x.ndim and not node.k[1]:
        y, g = y.unsqueeze(dim), g.unsqueeze(dim)
    return g * (x - y.masked_fill(y == float("-inf"), 0)).exp()


cdef Tensor logsumexp_of(Tensor input, int dim, bint keepdim):
    cdef Tensor x = raw_contiguous(input), y
    cdef i64[8] shape
    cdef i64 outer, n, inner
    cdef int d, k = 0
    cdef Node node
    for d in range(x.ndim):
        if d != dim or keepdim:
            shape[k] = 1 if d == dim else x.shape[d]
            k += 1
    y = new_tensor(x.dtype, k, shape)
    middle(x, dim, &outer, &n, &inner)
    kernels.logsumexp(x.dtype - MTB_f32, outer, n, inner, x.data, y.data)
    if tracks(input):
        node = new_node(logsumexp_vjp, "LogsumexpBackward0", input, None, None)
        save(node, 0, input)
        save_output(node, 1, y)
        node.k[0], node.k[1] = dim, keepdim
        set_history(y, node)
    return y


def logsumexp(Tensor input not None, dim=None, keepdim=False, *, out=None, axis=None):
    """log of the sum of exp(x) over `dim` (an int or a tuple); does not overflow."""
    dim = required_dim(dim, axis, "logsumexp")
    cdef Tensor x = input
    cdef unsigned int mask = dims_mask(dim, x.ndim)
    if not is_float(x.dtype):
        x = cast(x, MTB_f32)
    if x.dtype < MTB_f32:
        return with_out(cast(logsumexp(cast(x, MTB_f32), dim, keepdim), input.dtype), out)
    dims = [d for d in range(x.ndim) if mask >> d & 1]
    if len(dims) > 1:                        # those dims last and flattened
        others = [d for d in range(x.ndim) if not mask >> d & 1]
        y = logsumexp_of((<object> x).permute(others + dims).flatten(len(others)), len(others), False)
        if keepdim:
            y = y.reshape([1 if mask >> d & 1 else n for d, n in enumerate(shape_tuple(x))])
        return with_out(y, out)
    return with_out(logsumexp_of(x, dims[0] if dims else 0, keepdim), out)


# -- class indices -------------------------------------------------------------------------------------------------

cdef Tensor class_indices(Tensor target, i64 classes, i64 ignore):
    """target as contiguous int64, every value a class or `ignore`."""
    cdef Tensor t
    cdef i64 i, c
    if target.dtype != MTB_i64 and target.dtype != MTB_u8:
        raise RuntimeError("expected target dtype to be Long or Byte (class indices), but got "
                           f"{dtype_object(target.dtype)}")
    t = raw_contiguous(raw_cast(target, MTB_i64))
    for i in range(t.numel):
        c = (<i64*> t.data)[i]
        if (c < 0 or c >= classes) and c != ignore:
            raise IndexError(f"Target {c} is out of bounds.")
    return t


cdef Tensor class_weights(Tensor weight, Tensor x, i64 classes):
    if weight is None:
        return None
    if weight.ndim != 1 or weight.numel != classes:
        raise RuntimeError("weight tensor should be defined either for all "
                           f"{classes} classes or no classes but got weight tensor of shape: "
                           f"{list(shape_tuple(weight))}")
    if weight.dtype != x.dtype:
        names = [str(dtype_object(t.dtype)).removeprefix("torch.") for t in (x, weight)]
        raise RuntimeError(f"expected scalar type {names[0]} but found {names[1]}: the class weights have the dtype of "
                           "the input")
    return raw_contiguous(weight)


cdef Tensor widened(Tensor weight):
    return weight if weight is None or weight.dtype >= MTB_f32 else raw_cast(weight, MTB_f32)


cdef double value_at(Tensor x, i64 i) noexcept:
    return (<double*> x.data)[i] if x.dtype == MTB_f64 else (<float*> x.data)[i]


cdef int check_reduction(str reduction) except -1:
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return 0


cdef tuple as_rows(Tensor input, Tensor target, str op):
    """(N, C, ...) and (N, ...), or (C) and (), as (rows, C) and (rows); and the shape of one loss each."""
    cdef object x = input
    if input.ndim == 0:
        raise ValueError(f"{op}: Expected 1 or more dimensions (got {input.ndim})")
    if input.ndim == 1:
        if target.ndim > 1 or target.numel != 1:
            raise ValueError(f"{op}: expected one class index for an input of shape {list(shape_tuple(input))}, got a "
                             f"target of shape {list(shape_tuple(target))}")
        return x.unsqueeze(0), (<object> target).reshape([1]), shape_tuple(target)
    if target.ndim == 0 or input.shape[0] != target.shape[0]:
        raise ValueError(f"Expected input batch_size ({input.shape[0]}) to match target batch_size "
                         f"({target.shape[0] if target.ndim else 1}).")
    shape = shape_tuple(input)
    if shape[:1] + shape[2:] != shape_tuple(target):
        raise RuntimeError(f"Expected target size {list(shape[:1] + shape[2:])}, got {list(shape_tuple(target))}")
    if input.ndim > 2:
        x = x.movedim(1, -1).reshape([-1, shape[1]]) if input.numel else x.reshape([target.numel, shape[1]])
    return x, (<object> target).reshape([-1]), shape_tuple(target)


# -- cross entropy -------------------------------------------------------------------------------------------------

cdef object cross_entropy_vjp(Node node, object g):
    """dx = g (weight[t] (1 - s) (p - onehot) + s / C (sum(weight) p - weight)) / divisor, p = softmax(x)."""
    cdef Tensor x = saved(node, 0), target = saved(node, 1), stats = saved(node, 2), weight, dx, dy
    cdef i64 rows = x.shape[0], n = x.shape[1], ignore
    cdef double smoothing = node.k[0], divisor = node.k[1], total = node.k[2]
    weight, ignore = node.aux
    if grad_enabled():
        return cross_entropy_algebra(x, target, weight, ignore, smoothing, divisor, total, g)
    x, dy = raw_contiguous(x), raw_contiguous(raw_cast(<Tensor> g, x.dtype))
    dx = new_tensor(x.dtype, 2, x.shape)
    kernels.cross_entropy_backward(x.dtype - MTB_f32, rows, n, x.data, <i64*> target.data,
                                   weight.data if weight is not None else NULL, total, ignore, smoothing, stats.data,
                                   dy.data, dy.ndim, divisor, dx.data)
    return dx


cdef object cross_entropy_algebra(object x, object target, object weight, i64 ignore, double smoothing, double divisor,
                                  double total, object g):
    if divisor == 0:  # no row counts: the mean of nothing is nan, its gradient zero
        divisor = 1
    valid = target != ignore
    clean = target.masked_fill(target == ignore, 0)
    onehot = (clean.unsqueeze(1) == positions(x.shape[1])).to(x.dtype)
    own = valid.to(x.dtype) * ((1 - smoothing) / divisor)
    own = (own if weight is None else own * (onehot * weight).sum(1)).unsqueeze(1)
    each = valid.to(x.dtype).unsqueeze(1) * (smoothing / x.shape[1] / divisor)
    spread = each if weight is None else each * weight
    g = g.unsqueeze(1) if g.ndim else g
    return g * (softmax_of(x, 1, False) * (own + each * total) - onehot * own - spread)


cdef object cross_entropy_rows(Tensor input, Tensor target, Tensor weight, i64 ignore, str reduction, double smoothing):
    """Losses of (rows, C) logits: (rows), or their sum or weighted mean."""
    cdef Tensor x = raw_contiguous(input), t, w, loss, stats, y
    cdef i64 rows = x.shape[0], n = x.shape[1], i
    cdef double[2] total
    cdef double weight_sum = <double> n, divisor = 1
    cdef i64[2] shape
    cdef Node node
    shape[0], shape[1] = rows, 2
    t, w = class_indices(target, n, ignore), class_weights(weight, x, n)
    if w is not None:
        weight_sum = 0
        for i in range(n):
            weight_sum += value_at(w, i)
    loss, stats = new_tensor(x.dtype, 1, shape), new_tensor(x.dtype, 2, shape)
    kernels.cross_entropy(x.dtype - MTB_f32, rows, n, x.data, <i64*> t.data, w.data if w is not None else NULL,
                          weight_sum, ignore, smoothing, loss.data, stats.data, total)
    if reduction == "none":
        y = loss
    else:
        if reduction == "mean":
            divisor = total[1]
        y = scalar_tensor(total[0] / divisor, x.dtype)
    if tracks(input):
        node = new_node(cross_entropy_vjp, "CrossEntropyBackward0", input, None, None)
        save(node, 0, input)
        save(node, 1, t)
        save(node, 2, stats)
        node.k[0], node.k[1], node.k[2] = smoothing, divisor, weight_sum
        node.aux = (w, ignore)
        set_history(y, node)
    return y


def cross_entropy(Tensor input not None, Tensor target not None, Tensor weight, ignore_index, str reduction,
                  double label_smoothing):
    """-log softmax(x)[t] of logits (N, C, ...) or (C) and classes t (N, ...) or (), or class probabilities like x.

    Label smoothing takes (1 - s) of the target and s / C of every class (Szegedy et al. 2016). "mean" divides by the
    sum of weight[t] over the targets that are not ignore_index; of probabilities, by their number.
    """
    check_reduction(reduction)
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    need_float(input, "cross_entropy")
    if input.dtype < MTB_f32:
        return cast(cross_entropy(cast(input, MTB_f32), target, widened(weight), ignore_index, reduction,
                                  label_smoothing), input.dtype)
    if shape_tuple(input) == shape_tuple(target):
        if not is_float(target.dtype):
            raise RuntimeError("Expected floating point type for target with class probabilities, got "
                               f"{dtype_object(target.dtype)}")
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        return cross_entropy_probabilities(input, cast(target, input.dtype), weight, reduction, label_smoothing)
    x, t, shape = as_rows(input, target, "cross_entropy")
    y = cross_entropy_rows(x, t, weight, ignore_index, reduction, label_smoothing)
    return y.reshape(shape) if reduction == "none" else y


cdef object cross_entropy_probabilities(object x, object target, object weight, str reduction, double smoothing):
    cdef int dim = 1 if x.ndim > 1 else 0
    classes = x.shape[dim]
    if smoothing > 0:
        target = target * (1 - smoothing) + smoothing / classes
    loss = softmax_of(x, dim, True) * target
    if weight is not None:
        loss = loss * class_weights(weight, x, classes).reshape([-1] + [1] * (x.ndim - 1 - dim))
    if reduction == "none":
        return -loss.sum(dim)
    return -loss.sum() if reduction == "sum" else -loss.sum() / (x.numel() // classes)


# -- negative log-likelihood: one element of each row, a linear map, and its adjoint -------------------------------

cdef object take_vjp(Node node, object g):
    return place_elements(<Tensor> g, saved(node, 0), saved(node, 1), <i64> node.k[0])


cdef object place_vjp(Node node, object g):
    return take_elements(<Tensor> g, saved(node, 0), saved(node, 1))


cdef Tensor take_elements(Tensor input, Tensor target, Tensor factor):
    """y[r] = factor[r] x[r, target[r]]; 0 where factor is."""
    cdef Tensor x = raw_contiguous(input), y = new_tensor(x.dtype, 1, x.shape)
    cdef i64 r, n = x.shape[1], at
    cdef double f, v
    cdef Node node
    for r in range(x.shape[0]):
        f, at = (<double*> factor.data)[r], r * n + (<i64*> target.data)[r]
        v = f * value_at(x, at) if f != 0 else 0
        if x.dtype == MTB_f64:
            (<double*> y.data)[r] = v
        else:
            (<float*> y.data)[r] = <float> v
    if tracks(input):
        node = new_node(take_vjp, "NllLossBackward0", input, None, None)
        save(node, 0, target)
        save(node, 1, factor)
        node.k[0] = n
        set_history(y, node)
    return y


cdef Tensor place_elements(Tensor g, Tensor target, Tensor factor, i64 n):
    """dx[r, target[r]] = factor[r] g[r], the rest 0."""
    cdef i64[2] shape
    cdef i64 r, at
    cdef double f
    cdef Tensor dy = raw_contiguous(g), dx
    cdef Node node
    shape[0], shape[1] = dy.shape[0], n
    dx = new_zeros(dy.dtype, 2, shape)
    for r in range(dy.shape[0]):
        f, at = (<double*> factor.data)[r], r * n + (<i64*> target.data)[r]
        if f != 0 and dx.dtype == MTB_f64:
            (<double*> dx.data)[at] = f * value_at(dy, r)
        elif f != 0:
            (<float*> dx.data)[at] = <float> (f * value_at(dy, r))
    if tracks(g):
        node = new_node(place_vjp, "NllLossBackwardBackward0", g, None, None)
        save(node, 0, target)
        save(node, 1, factor)
        set_history(dx, node)
    return dx


def nll_loss(Tensor input not None, Tensor target not None, Tensor weight, ignore_index, str reduction):
    """-weight[t] x[t] of log-probabilities (N, C, ...) or (C) and classes t (N, ...) or ().

    "mean" divides by the sum of weight[t] over the targets that are not ignore_index.
    """
    cdef Tensor t, w, factor
    cdef i64 r, rows, ignore = ignore_index
    cdef double total = 0
    check_reduction(reduction)
    need_float(input, "nll_loss")
    if input.dtype < MTB_f32:
        return cast(nll_loss(cast(input, MTB_f32), target, widened(weight), ignore_index, reduction), input.dtype)
    x, flat, shape = as_rows(input, target, "nll_loss")
    rows = (<Tensor> x).shape[0]
    t, w = class_indices(flat, (<Tensor> x).shape[1], ignore), class_weights(weight, input, (<Tensor> x).shape[1])
    factor = new_zeros(MTB_f64, 1, &rows)
    for r in range(rows):
        if (<i64*> t.data)[r] != ignore:
            (<double*> factor.data)[r] = -value_at(w, (<i64*> t.data)[r]) if w is not None else -1
            total -= (<double*> factor.data)[r]
    y = <object> take_elements(x, t, factor)
    if reduction == "none":
        return y.reshape(shape)
    y = y.sum()
    if reduction == "sum":
        return y
    return y / total if total != 0 else y * 0.0 + float("nan")


METHODS = {"softmax": softmax, "log_softmax": log_softmax, "logsumexp": logsumexp}
FUNCTIONS = METHODS
PRIMITIVES = {"cross_entropy": cross_entropy, "nll_loss": nll_loss}
