"""Batch normalization, also fused with an addition and ReLU: forward, backward, and backward of any order.

First and second derivatives are kernels of two passes each. Beyond them, the second derivative is written in tensor
algebra that starts again from the input: mean and variance stay functions of it, so every order is exact.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from libc.math cimport sqrt
from libc.string cimport memcpy

from minitorch_bn._core cimport (Deferred, Node, Storage, Tensor, alias_of, ask, bump, cast, contiguous, copy_into,
                                 defer, defers, expendable, fresh_like, fresh_tensor, fuse_relu_backward, grad_enabled,
                                 is_float, new_like, new_node, new_tensor, new_zeros, raw_cast, raw_contiguous, save,
                                 saved, set_history, settle_for, shape_tuple, told, tracks3, wants)
from minitorch_bn._core import attach
from minitorch_bn._modes import recomputing
from minitorch_bn.kernels cimport norm as kernels, normtwice as twice_kernels
from minitorch_bn.kernels.norm cimport MTB_MASK_AGAIN, MTB_MASK_NONE, MTB_MASK_OUTPUT, MTB_NORM_K0, Channels
from minitorch_bn.kernels.runtime cimport MTB_f32, MTB_f64, MTB_i64, i64

# -- what all of them share ----------------------------------------------------------------------------------------

cdef tuple algebra(object x, object g, object weight, object dims, double eps, bint centered):
    """(dx, g xhat) of xhat * weight with statistics over dims, in differentiable operations."""
    deviation = x - x.mean(dims, True) if centered else x
    inverse = (deviation.square().mean(dims, True) + eps).rsqrt()
    xhat = deviation * inverse
    wg = g if weight is None else g * weight
    dx = wg - xhat * (wg * xhat).mean(dims, True)
    if centered:
        dx = dx - wg.mean(dims, True)
    return dx * inverse, g * xhat


cdef object gradients(Node node, object dx, object dweight, object dbias):
    """What a vjp returns, for as many inputs as the node has."""
    return dx if node.nin == 1 else (dx, dweight) if node.nin == 2 else (dx, dweight, dbias)


cdef Tensor new_statistics(i64 rows, i64 n):
    """(rows, n) of float64."""
    cdef i64[2] shape
    shape[0], shape[1] = rows, n
    return new_tensor(MTB_f64, 2, shape)


cdef Tensor same_layout(Tensor g, Tensor x):
    """g with the memory order and dtype of x, which is dense."""
    cdef Tensor y
    cdef int d
    cdef bint same = g.dtype == x.dtype
    for d in range(x.ndim):
        same = same and (g.strides[d] == x.strides[d] or x.shape[d] == 1)
    if same:
        return g
    y = new_like(x, x.dtype)
    copy_into(y, g)
    return y


cdef Tensor parameter(Tensor p, Tensor x, str name, str op, i64 size):
    """A weight or bias of that many elements, in the dtype that x is computed with, contiguous (differentiable)."""
    if p is None:
        return None
    if p.numel != size or p.ndim != 1:
        raise RuntimeError(f"{op}: {name} should contain {size} elements not {p.numel}: expected shape [{size}], got "
                           f"{list(shape_tuple(p))} for input of shape {list(shape_tuple(x))}")
    return contiguous(cast(p, wide(x)))


cdef int wide(Tensor x) noexcept:
    """The dtype that x is computed with."""
    return max(x.dtype, <int> MTB_f32)


cdef int need_float(Tensor x, str op) except -1:
    if not is_float(x.dtype):
        raise RuntimeError(f"{op}: expected a floating point input, got {(<object> x).dtype}")
    return 0


cdef i64 product(Tensor x, int first, int end) noexcept:
    cdef i64 n = 1
    cdef int d
    for d in range(first, end):
        n *= x.shape[d]
    return n


cdef enum:
    WORTH_WAITING = 1     # elements
    LEAST_PLANE = 16      # elements of an image's channel that the reader of a result may make

# -- batch norm ----------------------------------------------------------------------------------------------------

cdef Tensor as_channels(Tensor x, Channels* view):
    """(N, C, ...) as channels: x if it is contiguous or channels-last, else a contiguous copy."""
    cdef i64 n = x.shape[0], c = x.shape[1], s = product(x, 2, x.ndim), expected = c
    cdef int d
    cdef bint last = not x.contiguous and (c == 1 or x.strides[1] == 1)
    for d in range(x.ndim - 1, 1, -1):
        last = last and (x.shape[d] == 1 or x.strides[d] == expected)
        expected *= x.shape[d]
    last = last and (n == 1 or x.strides[0] == expected)
    if last or s == 1:
        view[0] = Channels(True, n * s, c, 1, c, 1, 1, c)
        return x if last else raw_contiguous(x)
    view[0] = Channels(False, n, c, s, c * s, s, 1, c)
    return raw_contiguous(x)


cdef object batch_norm_vjp(Node node, object g):
    return batch_norm_backward(node, <Tensor> g, False, None, None, expendable(node, <Tensor> g, 1))


cdef object half_norm_vjp(Node node, object g):
    """The same of a half type, whose ReLU is not undone on the way: its result is rounded."""
    return batch_norm_backward(node, <Tensor> g, False, None, None, False)


cdef object batch_norm_relu_vjp(Node node, object g):
    """The same, given the gradient of relu(y)."""
    return batch_norm_backward(node, <Tensor> g, True, None, None, expendable(node, <Tensor> g, 1))


cdef object batch_norm_sum_vjp(Node node, object g, Tensor more, Tensor z, bint over):
    """The same, given the gradient g + more of z = relu(y + b); and b's gradient, written over g if it may. If it takes
    copies, just that: y's, too."""
    cdef Channels view
    cdef Tensor x = saved(node, 0), masked
    if as_channels(x, &view) is not x:
        return None, (<object> g if more is None else <object> g + more).masked_fill((<object> z) <= 0, 0)
    if over and same_layout(<Tensor> g, x) is g:
        masked = <Tensor> g
        bump(masked)
    else:
        masked = new_like(x, x.dtype)
    return batch_norm_backward(node, <Tensor> g, False, z, masked, False, more), masked


cdef bint same_as_before(Node node) noexcept:
    """Whether the mask of a ReLU can be computed again: the input and the weight are, to the last bit, as they were."""
    return (node.aux is not None and defers(node.s0) and node.k[2] == quiet_writes(node.s0, node.s1)
            and node.k[3] == places(node.s0, node.s1))


cdef double quiet_writes(Tensor x, Tensor w) noexcept:
    return x.storage.quiet + (<double> w.storage.quiet if w is not None else 0)


cdef double places(Tensor x, Tensor w) noexcept:
    """Where their memory lies: another after `x.data = ...`."""
    return <double> <size_t> x.data + (<double> <size_t> w.data if w is not None else 0)


fuse_relu_backward(batch_norm_vjp, batch_norm_relu_vjp, same_as_before, batch_norm_sum_vjp)


cdef object batch_norm_backward(Node node, Tensor g, bint masked, Tensor z, Tensor dz, bint over, Tensor more=None):
    """dx = weight invstd (g - mean(g) - xhat mean(g xhat)); of constant statistics, weight invstd g. `masked`: g is
    that of relu(y); or, given z, g (+ more) is that of z = relu(y + b): it is masked, which is b's gradient, and
    written to dz. `over`: dx may be written over g."""
    cdef Tensor x = saved(node, 0), weight = saved(node, 1), stats = saved(node, 2), dx, dweight = None, dbias = None
    cdef bint training = node.k[0] != 0
    cdef double eps = node.k[1]
    cdef i64 c = x.shape[1]
    cdef int dtype = x.dtype
    cdef list dims
    if grad_enabled() and dtype < MTB_f32:
        x, g = cast(x, MTB_f32), cast(g, MTB_f32)
    if grad_enabled() and not training:
        dims = [0, *range(2, x.ndim)]
        w = None if weight is None else (<object> weight).reshape([1, -1] + [1] * (x.ndim - 2))
        dx_, gx = channel_algebra(x, g, w, dims, stats, False, eps)
        return gradients(node, cast(dx_, dtype), gx.sum(dims) if wants(node, 1) else None,
                         (<object> g).sum(dims) if wants(node, 2) else None)
    if wants(node, 1):
        dweight = new_zeros(wide(x), 1, &c)
    if wants(node, 2):
        dbias = new_zeros(wide(x), 1, &c)
    dx = raw_backward(x, g, more, weight, node.aux if masked else None, z, dz, over, stats, training, dweight, dbias)
    if grad_enabled():
        def backward(u, a=None, b=None):
            return batch_norm_twice(x, g, weight, stats, eps, u, a, b)

        attach((dx, dweight, dbias), (x, g, weight), backward, "NativeBatchNormBackwardBackward0", (x, g, weight))
        dx = cast(dx, dtype)
    return gradients(node, dx, dweight, dbias)


cdef Tensor raw_backward(Tensor input, Tensor g, Tensor more, Tensor weight, bytes shift, Tensor z, Tensor dz,
                         bint over, Tensor stats, bint training, Tensor dweight, Tensor dbias):
    """With `shift`, the values of the bias that was added, g is the gradient of the result's ReLU; z: see above."""
    cdef Channels view
    cdef int mask = MTB_MASK_NONE
    cdef Tensor x, dy, dx, sums
    if input.numel == 0:
        return new_like(input, input.dtype)
    x = as_channels(input, &view)
    dy = same_layout(g, x)
    dx = g if over and dy is g else new_like(x, x.dtype)
    if z is not None:
        z, mask = same_layout(z, x), MTB_MASK_OUTPUT
        if more is not None:
            more = same_layout(more, x)
            if view.columns:
                dy, more = <Tensor> (<object> dy + more), None
    elif shift is not None:
        mask = MTB_MASK_AGAIN
    sums = told(dy, x.data) if mask != MTB_MASK_OUTPUT else None
    kernels.normalize_backward(x.dtype - MTB_f32, &view, x.data, dy.data, data_of(more), data_of(z), data_of(weight),
                               NULL if shift is None or len(shift) == 0 else PyBytes_AS_STRING(shift),
                               row_of(stats, 0), row_of(stats, 1), mask, not training, dx.data, data_of(dz),
                               data_of(dweight), data_of(dbias), <double*> data_of(sums))
    if over:
        bump(g)
    return dx


cdef tuple batch_norm_twice(Tensor input, Tensor g, Tensor weight, Tensor stats, double eps, Tensor u, Tensor a,
                            Tensor b):
    """Gradients of x, g and weight, given u, a, b, those of dx, dweight and dbias (any may be None)."""
    cdef Channels view
    cdef Tensor x, dy, du, ddy, dx, dweight = None
    cdef i64 c = input.shape[1]
    if grad_enabled():
        return twice_algebra(input, g, weight, eps, u, a, b)
    if u is None:
        u = new_zeros(input.dtype, input.ndim, input.shape)
    if weight is not None:
        dweight = new_zeros(input.dtype, 1, &c)
    if input.numel == 0:
        return u, u, dweight
    x = as_channels(input, &view)
    dy, du, ddy, dx = same_layout(g, x), same_layout(u, x), new_like(x, x.dtype), new_like(x, x.dtype)
    a = raw_contiguous(a) if a is not None else None
    b = raw_contiguous(b) if b is not None else None
    twice_kernels.normalize_twice(x.dtype - MTB_f32, &view, x.data, dy.data, du.data, data_of(a), data_of(b),
                                  data_of(weight), row_of(stats, 0), row_of(stats, 1), ddy.data, dx.data,
                                  data_of(dweight))
    return dx, ddy, dweight


cdef tuple twice_algebra(object x, object g, object weight, double eps, object u, object a, object b):
    """The same in differentiable operations: from here on every order is that of tensor algebra."""
    dims, shape, m = [0, *range(2, x.dim())], [1, -1] + [1] * (x.dim() - 2), x.numel() // x.size(1)
    deviation = x - x.mean(dims, True)
    inverse = (deviation.square().mean(dims, True) + eps).rsqrt()
    xhat = deviation * inverse
    scale = inverse if weight is None else inverse * weight.reshape(shape)
    p, mean_g = (g * xhat).mean(dims, True), g.mean(dims, True)
    dg, w, rest, dweight = 0 * g, 0 * g, 0, None
    if u is not None:
        q, mean_u = (u * xhat).mean(dims, True), u.mean(dims, True)
        rest = (u * g).mean(dims, True) - mean_u * mean_g - p * q
        dg = dg + scale * (u - mean_u - xhat * q)
        w = w - scale * (p * u + q * g)
    if a is not None:
        a = a.reshape(shape)
        dg, w = dg + a * xhat, w + a * g
    if b is not None:
        dg = dg + b.reshape(shape)
    if weight is not None:
        dweight = (rest * inverse * m).reshape([-1]) if u is not None else 0 * weight
    dx = inverse * (w - w.mean(dims, True) - xhat * (w * xhat).mean(dims, True)) - scale * rest * inverse * xhat
    return dx, dg, dweight


cdef tuple channel_algebra(Tensor x, object g, object w, list dims, Tensor stats, bint training, double eps):
    if training:
        return algebra(x, g, w, dims, eps, True)
    shape = [1, -1] + [1] * (x.ndim - 2)     # constant statistics
    mean, inverse = [t.reshape(shape).to((<object> x).dtype) for t in (<object> stats).unbind(0)[:2]]
    return g * inverse if w is None else g * (inverse * w), g * ((<object> x - mean) * inverse)


cdef Tensor forward(Tensor input, Channels* view, Tensor w, Tensor b, Tensor residual, bint relu, Tensor stats,
                    double eps):
    """y, from the batch's statistics, written to stats (3, C): mean, invstd, var; or from those given (eps < 0)."""
    cdef Tensor x = as_channels(input, view), y = new_like(x, x.dtype), r = None
    if x.numel == 0:
        return y
    if residual is not None:
        r = same_layout(residual, x)
    if eps < 0:
        kernels.apply(x.dtype - MTB_f32, view, x.data, data_of(r), data_of(w), data_of(b), relu, y.data,
                      row_of(stats, 0), row_of(stats, 1))
    else:
        kernels.normalize(x.dtype - MTB_f32, view, x.data, data_of(r), data_of(w), data_of(b), eps, relu, y.data,
                          row_of(stats, 0), row_of(stats, 2), row_of(stats, 1), NULL)
    return y


include "norm_running.pxi"
include "norm_deferred.pxi"


cdef Tensor checked_forward(Tensor x, Tensor running_mean, Tensor running_var, Tensor w, Tensor b, Tensor residual,
                            bint relu, bint training, double momentum, double eps, Tensor stats):
    """The forward pass of batch norm with its running statistics: read, or moved towards the batch's."""
    cdef Channels view
    cdef i64 c = x.shape[1], i
    cdef Tensor y
    cdef bint alone = residual is None and not relu
    parameter(running_mean, x, "running_mean", "batch_norm", c)
    parameter(running_var, x, "running_var", "batch_norm", c)
    if training:
        y = deferred_forward(x, running_mean, running_var, w, b, True, momentum, eps, stats) if alone else None
        if y is None:
            y = forward(x, &view, w, b, residual, relu, stats, eps)
            if x.numel > 0:
                update_statistics(x, running_mean, running_var, stats, momentum)
        return y
    if running_mean is None or running_var is None:
        raise RuntimeError("Expected running_mean and running_var to be defined when training=False")
    read_running(running_mean, row_of(stats, 0), c)
    read_running(running_var, row_of(stats, 2), c)
    for i in range(c):
        row_of(stats, 1)[i] = 1 / sqrt(row_of(stats, 2)[i] + eps)
    y = deferred_forward(x, None, None, w, b, False, 0, eps, stats) if alone else None
    return y if y is not None else forward(x, &view, w, b, residual, relu, stats, -1)


cdef int check_batch(Tensor x, Tensor weight, bint training, double eps) except -1:
    if training and x.numel > 0 and x.numel == x.shape[1]:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {(<object> x).shape}")
    if eps <= 0 and (training or eps < 0):
        kind = "positive during training" if training else "non-negative"
        raise ValueError(f"batch_norm eps must be {kind}, but got {eps}")
    if weight is not None and weight.dtype != x.dtype and x.dtype >= MTB_f32:
        raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")
    return 0


cdef int check_input(Tensor x, str op) except -1:
    need_float(x, op)
    if x.ndim < 2:
        raise RuntimeError(f"{op}: expected an input of shape (N, C, ...), got {list(shape_tuple(x))}")
    return 0


def batch_norm(Tensor input not None, Tensor running_mean, Tensor running_var, Tensor weight=None, Tensor bias=None,
               bint training=False, momentum=0.1, double eps=1e-5, Tensor tracked=None):
    """(x - mean) / sqrt(var + eps) * weight + bias for each channel of (N, C, ...) (Ioffe & Szegedy 2015, Alg. 1).

    Training: statistics of the batch, var biased; running ones move towards them by momentum, var unbiased. Otherwise
    the running statistics. The mean is kept in two floats, so the result keeps its digits however large it is.
    `tracked` counts the batches of training; without a momentum, the running statistics are the means of that many.
    """
    cdef Channels view
    cdef Tensor y, stats, w, b
    cdef i64 c, nbytes
    cdef i64[2] shape
    cdef Node node
    check_input(input, "batch_norm")
    check_batch(input, weight, training, eps)
    if input.dtype < MTB_f32:
        as_channels(input, &view)
        if training and not kernels.takes_half(&view):
            c = input.shape[1]
            w, b = parameter(weight, input, "weight", "batch_norm", c), parameter(bias, input, "bias", "batch_norm", c)
            return cast(batch_norm(cast(input, MTB_f32), running_mean, running_var, w, b, True, momentum, eps, tracked),
                        input.dtype)
    if training and (running_mean is not None or tracked is not None):
        if recomputing.on:
            running_mean = running_var = None
        elif tracked is not None and input.numel > 0:
            momentum = count(tracked, momentum)
    if momentum is None:
        momentum = 0.0
    c = input.shape[1]
    w, b = parameter(weight, input, "weight", "batch_norm", c), parameter(bias, input, "bias", "batch_norm", c)
    settle_for(input, w, b)
    shape[0], shape[1] = 3, c
    stats = fresh_tensor(MTB_f64, 2, shape)
    y = checked_forward(input, running_mean, running_var, w, b, None, False, training, momentum, eps, stats)
    if tracks3(input, w, b):
        node = new_node(half_norm_vjp if input.dtype < MTB_f32 else batch_norm_vjp,
                        "NativeBatchNormBackward0", input, w, b)
        save(node, 0, input)
        save(node, 1, w)
        save(node, 2, stats)
        node.k[0], node.k[1], node.k[2], node.k[3] = training, eps, quiet_writes(input, w), places(input, w)
        nbytes = 0 if b is None else c * (8 if b.dtype == MTB_f64 else 4)
        node.aux = PyBytes_FromStringAndSize(<char*> data_of(b), nbytes)
        set_history(y, node)
    return y


def batch_norm_relu(Tensor input not None, Tensor running_mean, Tensor running_var, Tensor weight, Tensor bias,
                    bint training, momentum, double eps, Tensor residual=None):
    """relu(batch_norm(input, ...) + residual) in the passes of batch_norm alone; `residual` is shaped like the input.

    Without a residual nothing but the input is kept for backward: the ReLU's mask is computed again.
    """
    cdef Tensor y, stats, w, b, r = None
    cdef i64 c
    check_input(input, "batch_norm_relu")
    if residual is not None and shape_tuple(residual) != shape_tuple(input):
        raise RuntimeError(f"batch_norm_relu: the residual has shape {list(shape_tuple(residual))}, the input "
                           f"{list(shape_tuple(input))}: both must be the same")
    if input.dtype < MTB_f32:
        return cast(batch_norm_relu(cast(input, MTB_f32), running_mean, running_var, weight, bias, training, momentum,
                                    eps, residual), input.dtype)
    c = input.shape[1]
    w = parameter(weight, input, "weight", "batch_norm_relu", c)
    b = parameter(bias, input, "bias", "batch_norm_relu", c)
    if residual is not None:
        r = cast(residual, input.dtype)
    stats = new_statistics(3, c)
    y = checked_forward(input, running_mean, running_var, w, b, r, True, training, momentum, eps, stats)

    def backward(g, z=None):
        return relu_gradients(input, g, z, w, b, stats, training, eps, r is not None)

    return attach(y, (input, w, b, r), backward, "BatchNormReluBackward0", (input, w, b), r is not None)


cdef tuple relu_gradients(Tensor input, object g, Tensor z, Tensor w, Tensor b, Tensor stats, bint training, double eps,
                          bint residual):
    """Gradients of input, weight, bias, residual. The mask is z > 0, z the output: kept, or computed again."""
    cdef Tensor x, dy, dx, dr = None, dweight, dbias
    cdef Channels view
    cdef i64 c = input.shape[1]
    if grad_enabled():
        if z is None:
            z = forward(input, &view, w, b, None, True, stats, -1)
        g = g * ((<object> z).detach() > 0).to((<object> input).dtype)
        weight = None if w is None else (<object> w).reshape([1, -1] + [1] * (input.ndim - 2))
        dims = [0, *range(2, input.ndim)]
        dx_, gx = channel_algebra(input, g, weight, dims, stats, training, eps)
        return dx_, None if w is None else gx.sum(dims), None if b is None else g.sum(dims), g if residual else None
    dweight, dbias = new_zeros(input.dtype, 1, &c), new_zeros(input.dtype, 1, &c)
    if input.numel == 0:
        return g, None if w is None else dweight, None if b is None else dbias, g if residual else None
    x = as_channels(input, &view)
    dy, dx = same_layout(g, x), new_like(x, x.dtype)
    if residual:
        z, dr = same_layout(z, x), new_like(x, x.dtype)
    kernels.normalize_backward(x.dtype - MTB_f32, &view, x.data, dy.data, NULL, data_of(z), data_of(w), data_of(b),
                               row_of(stats, 0), row_of(stats, 1), MTB_MASK_OUTPUT if residual else MTB_MASK_AGAIN,
                               not training, dx.data, data_of(dr), data_of(dweight), data_of(dbias), NULL)
    return dx, None if w is None else dweight, None if b is None else dbias, dr


PRIMITIVES = {"batch_norm": batch_norm, "batch_norm_relu": batch_norm_relu}
