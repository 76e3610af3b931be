"""Softmax, log-softmax, logsumexp, cross entropy, negative log-likelihood: forward, backward, and any order after."""

from minitorch_bn._core cimport (Node, Tensor, cast, dims_mask, dtype_object, grad_enabled, is_float, new_node,
                                 new_tensor, new_zeros, raw_cast, raw_contiguous, save, save_output, saved,
                                 scalar_tensor, set_history, shape_tuple, tracks, wrap_dim)
from minitorch_bn.kernels cimport softmax as kernels
from minitorch_bn.kernels.softmax cimport mtb_loss, mtb_picks
from minitorch_bn.kernels.runtime cimport MTB_f32, MTB_f64, MTB_i64, MTB_u8, i64
from minitorch_bn._core import named
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
        raise NotImplementedError(f"\"{op}\" not implemented for {dtype_object(x.dtype)}: convert the input to a float "
                                  "dtype")
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
        y = (<object> softmax_of((<object> input).movedim(d, -1), -1, log)).movedim(-1, d).contiguous()
        return named(y, "LogSoftmaxBackward0" if log else "SoftmaxBackward0")
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
    if not kernels.all_classes(t.numel, <i64*> t.data, classes, ignore):
        for i in range(t.numel):
            c = (<i64*> t.data)[i]
            if (c < 0 or c >= classes) and c != ignore:
                raise IndexError(f"Target {c} is out of bounds.")
    return t


cdef Tensor class_weights(Tensor weight, Tensor x, i64 classes):
    """A copy: the backward passes use it, whatever becomes of the user's."""
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
    return raw_contiguous((<object> weight).detach().clone())


cdef Tensor widened(Tensor weight):
    return weight if weight is None or weight.dtype >= MTB_f32 else raw_cast(weight, MTB_f32)


cdef double value_at(Tensor x, i64 i) noexcept:
    return (<double*> x.data)[i] if x.dtype == MTB_f64 else (<float*> x.data)[i]


cdef int check_reduction(str reduction) except -1:
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return 0


cdef tuple as_columns(Tensor input, Tensor target, str op):
    """(N, C, ...) and (N, ...), or (C) and (), as (N, C) or (N, C, S) and a flat target; and the shape of one loss
    each."""
    cdef Tensor last
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
        last = x.movedim(1, -1)
        if input.numel == 0:
            x = x.reshape([target.numel, shape[1]])
        elif last.contiguous or target.numel < NARROW * shape[0]:  # few columns fill no vector
            x = last.reshape([-1, shape[1]])
        else:
            x = x.reshape([shape[0], shape[1], -1])
    return x, (<object> target).reshape([-1]), shape_tuple(target)


# -- cross entropy -------------------------------------------------------------------------------------------------

cdef mtb_loss describe(i64 n, i64 ignore, i64 dloss_stride, Tensor weight, double weight_sum, double smoothing,
                       double divisor) noexcept:
    cdef mtb_loss q
    q.n, q.ignore, q.dloss_stride, q.weight = n, ignore, dloss_stride, NULL
    q.weight_sum, q.smoothing, q.divisor = weight_sum, smoothing, divisor
    if weight is not None:
        q.weight = weight.data
    return q


cdef object cross_entropy_vjp(Node node, object g):
    """dx = g (weight[t] (1 - s) (p - onehot) + s / C (sum(weight) p - weight)) / divisor, p = softmax(x)."""
    cdef Tensor x = saved(node, 0), target = saved(node, 1), stats = saved(node, 2), weight, dx, dy
    cdef mtb_loss loss
    cdef i64 outer, n, inner, ignore
    weight, ignore = node.aux
    if grad_enabled():
        return cross_entropy_algebra(x, target, weight, ignore, node.k[0], node.k[1], node.k[2], g)
    x, dy = raw_contiguous(x), raw_contiguous(raw_cast(<Tensor> g, x.dtype))
    dx = new_tensor(x.dtype, x.ndim, x.shape)
    middle(x, 1, &outer, &n, &inner)
    loss = describe(n, ignore, dy.ndim, weight, node.k[2], node.k[0], node.k[1])
    kernels.cross_entropy_backward(x.dtype - MTB_f32, outer, inner, &loss, x.data, <i64*> target.data, stats.data,
                                   dy.data, dx.data)
    return dx


cdef object cross_entropy_algebra(object x, object target, object weight, i64 ignore, double smoothing, double divisor,
                                  double total, object g):
    if divisor == 0:  # no row counts: the mean of nothing is nan, its gradient zero
        divisor = 1
    classes, down = x.shape[1], [-1] + [1] * (x.ndim - 2)
    target = target.reshape(x.shape[:1] + x.shape[2:]).unsqueeze(1)
    valid = (target != ignore).to(x.dtype)
    onehot = (target.masked_fill(target == ignore, 0) == positions(classes).reshape(down)).to(x.dtype)
    own, each = valid * ((1 - smoothing) / divisor), valid * (smoothing / classes / divisor)
    if weight is not None:
        weight = weight.reshape(down)
        own = own * (onehot * weight).sum(1, True)
    spread = each if weight is None else each * weight
    g = g.reshape(target.shape) if g.ndim else g
    return g * (softmax_of(x, 1, False) * (own + each * total) - onehot * own - spread)


cdef object cross_entropy_columns(Tensor input, Tensor target, Tensor weight, i64 ignore, str reduction,
                                  double smoothing):
    """Losses of (N, C) or (N, C, S) logits, all in a row, or their sum or weighted mean."""
    cdef Tensor x = raw_contiguous(input), t, w, loss, stats, y
    cdef mtb_loss q
    cdef i64 outer, n, inner, i
    cdef double[2] total
    cdef double weight_sum, divisor = 1
    cdef i64[2] shape
    cdef Node node
    middle(x, 1, &outer, &n, &inner)
    weight_sum = <double> n
    shape[0], shape[1] = outer * inner, 2
    t, w = class_indices(target, n, ignore), class_weights(weight, x, n)
    if w is not None:
        weight_sum = 0
        for i in range(n):
            weight_sum += value_at(w, i)
    loss, stats = new_tensor(x.dtype, 1, shape), new_tensor(x.dtype, 2, shape)
    q = describe(n, ignore, 0, w, weight_sum, smoothing, 1)
    kernels.cross_entropy(x.dtype - MTB_f32, outer, inner, &q, x.data, <i64*> t.data, loss.data, stats.data, total)
    if reduction == "none":
        y = loss
    else:
        if reduction == "mean":
            divisor = total[1]
        y = scalar_tensor(total[0] / divisor, x.dtype)
    if tracks(input):
        node = new_node(cross_entropy_vjp, "AddBackward0" if smoothing else "NllLossBackward0", input, None, None)
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
    x, t, shape = as_columns(input, target, "cross_entropy")
    y = cross_entropy_columns(x, t, weight, ignore_index, reduction, label_smoothing)
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


# -- negative log-likelihood: one element of each column times a factor, a linear map, and its adjoint --------------

cdef object take_vjp(Node node, object g):
    shape, weight, ignore = node.aux
    return place_elements(<Tensor> g, saved(node, 0), weight, ignore, node.k[0], shape)


cdef object place_vjp(Node node, object g):
    weight, ignore, total = node.aux
    return take_elements(<Tensor> g, saved(node, 0), weight, ignore, node.k[0], "sum" if total else "none")


cdef mtb_picks picks(Tensor weight, i64 ignore, double factor) noexcept:
    cdef mtb_picks q
    q.ignore, q.weight, q.factor = ignore, NULL if weight is None else <void*> weight.data, factor
    return q


cdef Tensor take_elements(Tensor input, Tensor target, Tensor weight, i64 ignore, double factor, str reduction):
    """y[r] = factor weight[target[r]] x[column r, target[r]], 0 where the target is `ignore`; or their sum or mean."""
    cdef Tensor x = raw_contiguous(input), y = new_tensor(x.dtype, 1, target.shape) if reduction == "none" else None
    cdef i64 outer, n, inner
    cdef double[2] total
    cdef mtb_picks how = picks(weight, ignore, factor)
    cdef Node node
    middle(x, 1, &outer, &n, &inner)
    kernels.pick(x.dtype - MTB_f32, outer, n, inner, x.data, <i64*> target.data, &how,
                 NULL if y is None else <void*> y.data, total)
    if y is None:
        if reduction == "mean":
            total[0] /= total[1]
            factor /= total[1] if total[1] != 0 else 1
        y = scalar_tensor(total[0], x.dtype)
    if tracks(input):
        node = new_node(take_vjp, "NllLossBackward0", input, None, None)
        save(node, 0, target)
        node.aux, node.k[0] = (shape_tuple(x), weight, ignore), factor
        set_history(y, node)
    return y


cdef Tensor place_elements(Tensor g, Tensor target, Tensor weight, i64 ignore, double factor, tuple shape):
    """dx[column r, target[r]] = factor weight[target[r]] g[r] or, of one g for all, that times g; the rest 0."""
    cdef i64[3] sizes
    cdef i64 outer, n, inner
    cdef int d
    cdef Tensor dy = raw_contiguous(g), dx
    cdef mtb_picks how = picks(weight, ignore, factor)
    cdef Node node
    for d in range(len(shape)):
        sizes[d] = shape[d]
    dx = new_tensor(dy.dtype, len(shape), sizes)
    middle(dx, 1, &outer, &n, &inner)
    kernels.place(dx.dtype - MTB_f32, outer, n, inner, dy.data, dy.ndim, <i64*> target.data, &how, dx.data)
    if tracks(g):
        node = new_node(place_vjp, "NllLossBackwardBackward0", g, None, None)
        save(node, 0, target)
        node.aux, node.k[0] = (weight, ignore, dy.ndim == 0), factor
        set_history(dx, node)
    return dx


def nll_loss(Tensor input not None, Tensor target not None, Tensor weight, ignore_index, str reduction):
    """-weight[t] x[t] of log-probabilities (N, C, ...) or (C) and classes t (N, ...) or ().

    "mean" divides by the sum of weight[t] over the targets that are not ignore_index.
    """
    cdef Tensor t
    cdef i64 ignore = ignore_index, classes
    check_reduction(reduction)
    need_float(input, "nll_loss")
    if input.dtype < MTB_f32:
        return cast(nll_loss(cast(input, MTB_f32), target, widened(weight), ignore_index, reduction), input.dtype)
    x, flat, shape = as_columns(input, target, "nll_loss")
    classes = (<Tensor> x).shape[1]
    t = class_indices(flat, classes, ignore)
    y = <object> take_elements(x, t, class_weights(weight, input, classes), ignore, -1, reduction)
    return y.reshape(shape) if reduction == "none" else y


# -- connectionist temporal classification -------------------------------------------------------------------------

def ctc(Tensor x not None, Tensor targets not None, Tensor steps not None, Tensor labels not None, i64 blank):
    """The losses (N) of log-probabilities x (T, N, C) and targets (N, S), all checked; and backward(g), for x."""
    cdef i64[2] shape
    cdef Tensor wide = raw_contiguous(raw_cast(x, MTB_f64)), t = raw_contiguous(targets), alpha, losses
    cdef Tensor input_lengths = raw_contiguous(steps), target_lengths = raw_contiguous(labels)
    shape[0], shape[1] = wide.shape[1], (wide.shape[0] + 1) * (2 * t.shape[1] + 3)
    alpha, losses = new_tensor(MTB_f64, 2, shape), new_tensor(MTB_f64, 1, shape)
    kernels.ctc(wide.shape[0], wide.shape[1], wide.shape[2], t.shape[1], <double*> wide.data, <i64*> t.data,
                <i64*> input_lengths.data, <i64*> target_lengths.data, blank, <double*> alpha.data,
                <double*> losses.data, NULL, NULL)

    def backward(Tensor g):
        cdef Tensor dy = raw_contiguous(raw_cast(g, MTB_f64)), dx = new_zeros(MTB_f64, 3, wide.shape)
        kernels.ctc(wide.shape[0], wide.shape[1], wide.shape[2], t.shape[1], <double*> wide.data, <i64*> t.data,
                    <i64*> input_lengths.data, <i64*> target_lengths.data, blank, <double*> alpha.data,
                    <double*> losses.data, <double*> dy.data, <double*> dx.data)
        return raw_cast(dx, x.dtype)

    return raw_cast(losses, x.dtype), backward


METHODS = {"softmax": softmax, "log_softmax": log_softmax, "logsumexp": logsumexp}
FUNCTIONS = METHODS
PRIMITIVES = {"cross_entropy": cross_entropy, "nll_loss": nll_loss, "ctc": ctc}
