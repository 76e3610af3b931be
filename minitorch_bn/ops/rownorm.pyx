"""Layer, RMS, group and instance norm: forward, backward, and backward of any order (see ops/norm.pyx)."""
from minitorch_bn._core cimport (Node, Tensor, cast, contiguous, grad_enabled, new_like, new_node, new_tensor,
                                 new_zeros, raw_cast, raw_contiguous, save, saved, set_history, shape_tuple, tracks3,
                                 wants)
from minitorch_bn.kernels cimport layernorm as row_kernels, norm as kernels
from minitorch_bn.kernels.norm cimport MTB_MASK_NONE, Channels, mtb_norm
from minitorch_bn.kernels.reduce cimport round_doubles
from minitorch_bn.kernels.runtime cimport MTB_f32, MTB_f64, K, i64
from minitorch_bn.ops.norm cimport (algebra, as_channels, data_of, gradients, need_float, new_statistics, parameter,
                                    product, row_of, same_layout, update_running, wide)
from minitorch_bn.ops.norm import batch_norm

cdef enum:
    SHORT = 128        # a group norm of shorter channels is a layer norm with a weight for each element
    MANY = 16          # whose gradient is not worth its sums where so many elements are of one sample


# -- layer norm and RMS norm: over the last dims, row by row -------------------------------------------------------

cdef object layer_norm_vjp(Node node, object g):
    """dx = invstd (wg - mean(wg) - xhat mean(wg xhat)) of each row, wg = weight g; the second term not for RMS norm."""
    cdef Tensor x = saved(node, 0), weight = saved(node, 1), stats = saved(node, 2), dy, dx, dw
    cdef Tensor dweight = None, dbias = None
    cdef int trailing = <int> node.k[0]
    cdef bint rms = node.k[2] != 0, params = wants(node, 1) or wants(node, 2)
    cdef i64 n = product(x, x.ndim - trailing, x.ndim), rows = stats.shape[1]
    cdef i64* shape = x.shape + (x.ndim - trailing)
    cdef int dtype = x.dtype
    if grad_enabled():
        x, g = cast(x, wide(x)), cast(g, wide(x))
        dims = list(range(x.ndim - trailing, x.ndim))
        dx_, gx = algebra(x, g, weight, dims, node.k[1], not rms)
        lead = list(range(x.ndim - trailing))
        if lead:
            gx, g = gx.sum(lead), g.sum(lead)
        return gradients(node, cast(dx_, dtype), gx if wants(node, 1) else None, g if wants(node, 2) else None)
    if x.numel == 0:
        return gradients(node, g, new_zeros(wide(x), trailing, shape), new_zeros(wide(x), trailing, shape))
    x, dy = raw_contiguous(x), raw_contiguous(raw_cast(<Tensor> g, x.dtype))
    dx = new_tensor(x.dtype, x.ndim, x.shape)
    dw = new_statistics(2, n) if params else None
    row_kernels.layer_backward(x.dtype - MTB_f32, rows, n, x.data, dy.data, data_of(weight), 1, rms, row_of(stats, 0),
                               row_of(stats, 1), dx.data, row_of(dw, 0) if params else NULL,
                               row_of(dw, 1) if params else NULL)
    if wants(node, 1):
        dweight = new_tensor(wide(x), trailing, shape)
        round_doubles(wide(x), n, row_of(dw, 0), 1, False, dweight.data)
    if wants(node, 2):
        dbias = new_tensor(wide(x), trailing, shape)
        round_doubles(wide(x), n, row_of(dw, 1), 1, False, dbias.data)
    return gradients(node, dx, dweight, dbias)


cdef Tensor row_parameter(Tensor p, Tensor x, int trailing, str name):
    if p is None:
        return None
    if shape_tuple(p) != shape_tuple(x)[x.ndim - trailing:]:
        raise RuntimeError(f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                           f"{list(shape_tuple(p))} and normalized_shape = {list(shape_tuple(x)[x.ndim - trailing:])}")
    return contiguous(cast(p, wide(x)))


cdef Tensor normalize_rows(Tensor input, object normalized_shape, Tensor weight, Tensor bias, double eps, bint rms,
                           str name):
    cdef Tensor x = raw_contiguous(input), y, stats
    cdef Node node
    cdef int trailing = len(normalized_shape)
    cdef i64 n, rows
    if trailing == 0:
        raise RuntimeError("Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
                           "element, but got normalized_shape = []")
    if trailing > x.ndim or tuple(normalized_shape) != shape_tuple(x)[x.ndim - trailing:]:
        wanted = ", ".join(["*", *map(str, normalized_shape)])
        raise RuntimeError(f"Given normalized_shape={list(normalized_shape)}, expected input with shape [{wanted}], "
                           f"but got input of size{list(shape_tuple(x))}")
    weight, bias = row_parameter(weight, x, trailing, "weight"), row_parameter(bias, x, trailing, "bias")
    rows, n = product(x, 0, x.ndim - trailing), product(x, x.ndim - trailing, x.ndim)
    y, stats = new_tensor(x.dtype, x.ndim, x.shape), new_statistics(2, rows)
    if x.numel > 0:
        row_kernels.layer(x.dtype - MTB_f32, rows, n, x.data, data_of(weight), data_of(bias), 1, eps, rms, y.data,
                          row_of(stats, 0), row_of(stats, 1))
    if tracks3(input, weight, bias):
        node = new_node(layer_norm_vjp, name, input, weight, bias)
        save(node, 0, input)
        save(node, 1, weight)
        save(node, 2, stats)
        node.k[0], node.k[1], node.k[2] = trailing, eps, rms
        set_history(y, node)
    return y


cdef tuple shape_of(object normalized_shape):
    return tuple(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)


def layer_norm(Tensor input not None, normalized_shape, Tensor weight, Tensor bias, double eps):
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dims, row by row (Ba et al. 2016)."""
    need_float(input, "layer_norm")
    return normalize_rows(input, shape_of(normalized_shape), weight, bias, eps, False, "NativeLayerNormBackward0")


def rms_norm(Tensor input not None, normalized_shape, Tensor weight, eps):
    """x / sqrt(mean(x^2) + eps) * weight over the last dims (Zhang & Sennrich 2019); eps=None: that of the dtype."""
    need_float(input, "rms_norm")
    if eps is None:
        eps = 2.0 ** -52 if input.dtype == MTB_f64 else 2.0 ** -23
    return normalize_rows(input, shape_of(normalized_shape), weight, None, eps, True, "FusedRmsNormBackward0")


# -- group norm, and instance norm as groups of one channel --------------------------------------------------------

cdef Tensor spread_over(Tensor p, i64 s):
    """A value for each channel -> one for each of its s elements."""
    cdef Tensor y
    cdef i64 n
    if p is None or s == 1:
        return p
    n = p.numel * s
    y = new_tensor(p.dtype, 1, &n)
    (<const mtb_norm*> K.norm[p.dtype - MTB_f32]).spread(1, n, p.data, 0, s, p.numel, y.data, 0)
    return y


cdef object group_norm_vjp(Node node, object g):
    """Layer norm's derivative with the channels of a group as the row; weight and bias are of channels."""
    cdef Tensor x = saved(node, 0), weight = saved(node, 1), stats = saved(node, 2), dy, dx, dw, spread_w
    cdef Tensor dweight = None, dbias = None
    cdef i64 groups = <i64> node.k[0], n = x.shape[0], c = x.shape[1], s = product(x, 2, x.ndim), i, j
    cdef i64 per = c // groups
    cdef Channels view
    if grad_enabled():
        return group_norm_algebra(node, x, g, weight, [n, groups, per, s])
    if wants(node, 1):
        dweight = new_zeros(wide(x), 1, &c)
    if wants(node, 2):
        dbias = new_zeros(wide(x), 1, &c)
    if x.numel == 0:
        return gradients(node, g, dweight, dbias)
    if node.k[2] and channels_last(x):
        view = Channels(True, n, c, s, c, 1, per, c)
        dy, dx = same_layout(<Tensor> g, x), new_like(x, x.dtype)
        kernels.samples_backward(x.dtype - MTB_f32, &view, x.data, dy.data, data_of(weight), row_of(stats, 0),
                                 row_of(stats, 1), dx.data, data_of(dweight), data_of(dbias))
        return gradients(node, dx, dweight, dbias)
    x, dy = raw_contiguous(x), raw_contiguous(raw_cast(<Tensor> g, x.dtype))
    dx = new_tensor(x.dtype, x.ndim, x.shape)
    if s >= SHORT or s >= MANY * n:
        view = Channels(False, 1, n * c, s, n * c * s, s, per, c)
        kernels.normalize_backward(x.dtype - MTB_f32, &view, x.data, dy.data, NULL, NULL, data_of(weight), NULL,
                                   row_of(stats, 0), row_of(stats, 1), MTB_MASK_NONE, False, dx.data, NULL,
                                   data_of(dweight), data_of(dbias), NULL)
        return gradients(node, dx, dweight, dbias)
    dw, spread_w = new_statistics(2, c * s), spread_over(weight, s)
    row_kernels.layer_backward(x.dtype - MTB_f32, n * groups, per * s, x.data, dy.data, data_of(spread_w), groups,
                               False, row_of(stats, 0), row_of(stats, 1), dx.data, row_of(dw, 0), row_of(dw, 1))
    for i in range(2 * c):                   # of the elements of a channel, summed to the front
        row_of(dw, 0)[i] = row_of(dw, 0)[i * s]
        for j in range(1, s):
            row_of(dw, 0)[i] += row_of(dw, 0)[i * s + j]
    if dweight is not None:
        round_doubles(x.dtype, c, row_of(dw, 0), 1, False, dweight.data)
    if dbias is not None:
        round_doubles(x.dtype, c, row_of(dw, 0) + c, 1, False, dbias.data)
    return gradients(node, dx, dweight, dbias)


cdef object group_norm_algebra(Node node, Tensor x, object g, object weight, list grouped):
    w = None if weight is None else weight.reshape([1, grouped[1], grouped[2], 1])
    shape = (<object> x).shape
    g = (<object> cast(g, wide(x))).reshape(grouped)
    dx, gx = algebra((<object> cast(x, wide(x))).reshape(grouped), g, w, [2, 3], node.k[1], True)
    return gradients(node, cast(dx.reshape(shape), x.dtype), gx.sum([0, 3]).reshape([-1]) if wants(node, 1) else None,
                     g.sum([0, 3]).reshape([-1]) if wants(node, 2) else None)


cdef bint takes_half(Tensor x, i64 groups):
    cdef i64 s = product(x, 2, x.ndim), c = x.shape[0] * x.shape[1]
    cdef Channels view = Channels(False, 1, c, s, c * s, s, x.shape[1] // groups if groups else 1, c)
    return x.numel > 0 and s >= SHORT and kernels.takes_half(&view)


cdef bint channels_last(Tensor x):
    cdef Channels view
    return not x.contiguous and x.numel > 0 and as_channels(x, &view) is x


cdef Tensor normalize_groups(Tensor input, i64 groups, Tensor weight, Tensor bias, double eps, Tensor stats, str name,
                             bint last):
    """stats (3, n * groups) receives mean, invstd, var. `last`: what is channels-last remains so."""
    cdef Tensor x = input if last else raw_contiguous(input), y = new_like(x, x.dtype)
    cdef i64 n = x.shape[0], c = x.shape[1], s = product(x, 2, x.ndim), i
    cdef Channels view
    cdef Node node
    if last:
        view = Channels(True, n, c, s, c, 1, c // groups, c)
        kernels.normalize_samples(x.dtype - MTB_f32, &view, x.data, data_of(weight), data_of(bias), eps, y.data,
                                  row_of(stats, 0), row_of(stats, 2), row_of(stats, 1))
    elif x.numel > 0 and s >= SHORT:
        view = Channels(False, 1, n * c, s, n * c * s, s, c // groups, c)
        kernels.normalize(x.dtype - MTB_f32, &view, x.data, NULL, data_of(weight), data_of(bias), eps, False, y.data,
                          row_of(stats, 0), row_of(stats, 2), row_of(stats, 1), NULL)
    elif x.numel > 0:
        row_kernels.layer(x.dtype - MTB_f32, n * groups, c // groups * s, x.data, data_of(spread_over(weight, s)),
                          data_of(spread_over(bias, s)), groups, eps, False, y.data, row_of(stats, 0), row_of(stats, 1))
        for i in range(n * groups):
            row_of(stats, 2)[i] = max(0., 1 / (row_of(stats, 1)[i] * row_of(stats, 1)[i]) - eps)
    if tracks3(input, weight, bias):
        node = new_node(group_norm_vjp, name, input, weight, bias)
        save(node, 0, input)
        save(node, 1, weight)
        save(node, 2, stats)
        node.k[0], node.k[1], node.k[2] = groups, eps, last
        set_history(y, node)
    return y


def group_norm(Tensor input not None, i64 num_groups, Tensor weight, Tensor bias, double eps):
    """Each of num_groups groups of channels of each sample of (N, C, ...) to mean 0, variance 1 (Wu & He 2018)."""
    need_float(input, "group_norm")
    if input.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    if num_groups < 1 or input.shape[1] % num_groups:
        raise RuntimeError("Expected number of channels in input to be divisible by num_groups, but got input of shape "
                           f"{list(shape_tuple(input))} and num_groups={num_groups}")
    if input.dtype < MTB_f32 and (channels_last(input) or not takes_half(input, num_groups)):
        return cast(group_norm(cast(input, MTB_f32), num_groups, weight, bias, eps), input.dtype)
    return normalize_groups(input, num_groups, parameter(weight, input, "weight", "group_norm", input.shape[1]),
                            parameter(bias, input, "bias", "group_norm", input.shape[1]), eps,
                            new_statistics(3, input.shape[0] * num_groups), "NativeGroupNormBackward0",
                            channels_last(input))


def instance_norm(Tensor input not None, Tensor running_mean, Tensor running_var, Tensor weight, Tensor bias,
                  bint use_input_stats, momentum, double eps):
    """Each channel of each sample of (N, C, ...) to mean 0, variance 1 (Ulyanov et al. 2016).

    Running statistics move towards the mean over the samples of each sample's (var unbiased).
    """
    cdef Tensor y, stats, means, w, b
    cdef i64 n, c, s
    need_float(input, "instance_norm")
    if input.ndim < 3:
        raise RuntimeError(f"instance_norm: expected an input of shape (N, C, ...), got {list(shape_tuple(input))}")
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if input.dtype < MTB_f32 and not takes_half(input, input.shape[1]):
        return cast(instance_norm(cast(input, MTB_f32), running_mean, running_var, weight, bias, True, momentum, eps),
                    input.dtype)
    n, c, s = input.shape[0], input.shape[1], product(input, 2, input.ndim)
    w, b = parameter(weight, input, "weight", "instance_norm", c), parameter(bias, input, "bias", "instance_norm", c)
    parameter(running_mean, input, "running_mean", "instance_norm", c)
    parameter(running_var, input, "running_var", "instance_norm", c)
    stats = new_statistics(3, n * c)
    y = normalize_groups(input, c, w, b, eps, stats, "InstanceNormBackward0", False)
    if input.numel > 0 and (running_mean is not None or running_var is not None):
        means = new_statistics(2, c)
        average_samples(row_of(stats, 0), row_of(means, 0), n, c)
        average_samples(row_of(stats, 2), row_of(means, 1), n, c)
        if running_mean is not None:
            update_running(running_mean, row_of(means, 0), c, momentum, 1)
        if running_var is not None:
            update_running(running_var, row_of(means, 1), c, momentum, s / (s - 1.) if s > 1 else 1)
    return y


cdef int average_samples(const double* value, double* mean, i64 n, i64 c) except -1:
    """mean (c) of value (n, c)."""
    cdef i64 i, j
    for j in range(c):
        mean[j] = 0
        for i in range(n):
            mean[j] += value[i * c + j]
        mean[j] /= n
    return 0


PRIMITIVES = {"layer_norm": layer_norm, "rms_norm": rms_norm, "group_norm": group_norm, "instance_norm": instance_norm}
