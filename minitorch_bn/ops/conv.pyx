"""Convolutions of tensors in one, two and three dimensions, forward and transposed.

A convolution of x with w to y has three primitives: y from (x, w), dx from (dy, w), dw from (x, dy). Each is linear in
both of its arguments, and the gradients of each are the other two: so derivatives of every order come from
`vjp_convolve`. A transposed convolution is the second one.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy

from minitorch_bn._core cimport (MAXDIM, Deferred, Node, Tensor, dtype_object, fresh_tensor, gathers, grad_enabled,
                                 index_arg, is_normalized, lift, new_node, new_tensor, put_back, raw_cast,
                                 raw_contiguous, save, saved, set_history, settle_for, shape_tuple, sleeper, tell,
                                 tracks2, tracks3, wants)
from minitorch_bn.kernels.conv cimport conv_backward_data, conv_forward, conv_maps
from minitorch_bn.kernels.conv_weight cimport conv_backward_weight
from minitorch_bn.kernels.norm cimport MTB_NORM_K0, planes_are_parts
from minitorch_bn.kernels.runtime cimport MTB_f16, MTB_f32, MTB_f64, MTB_i64, i64
from minitorch_bn.kernels.window cimport channel_map, conv_geometry, gathering

cdef enum:
    FORWARD = 0                  # (x, w) -> y
    DATA = 1                     # (dy, w) -> dx
    WEIGHT = 2                   # (x, dy) -> dw

cdef i64 LARGEST = 2 ** 31        # of sizes and padding: their products stay within 64 bits


# -- the primitives ----------------------------------------------------------------------------------------------------

cdef object vjp_convolve(Node node, object g_):
    cdef Tensor g = g_, a = None, b = None, ga = None, gb = None, gc = None
    cdef const conv_geometry* q = <const conv_geometry*> PyBytes_AS_STRING(node.aux)
    cdef int kind = <int> node.k[0], n = <int> node.k[1]
    # The input's gradient last: what comes before the convolution reads it next, and finds it in cache.
    if wants(node, 1) and kind == FORWARD:
        gb = weight_of_map(node, g, q)
    if wants(node, 1) and gb is None:
        a = saved(node, 0)
        if kind == FORWARD:
            gb = convolve(WEIGHT, a, g, None, q, n)
        elif kind == DATA:
            gb = convolve(WEIGHT, g, a, None, q, n)
        else:
            gb = convolve(FORWARD, a, g, None, q, n)
    if wants(node, 0):
        b = saved(node, 1)
        if kind == FORWARD:
            ga = convolve(DATA, g, b, None, q, n, None if grad_enabled() else sleeper(node, 0))
        elif kind == DATA:
            ga = convolve(FORWARD, g, b, None, q, n)
        else:
            ga = convolve(DATA, b, g, None, q, n)
    if node.nin == 3 and wants(node, 2):
        gc = g.sum((0, *range(2, g.ndim)))
    return ga, gb, gc


gathers(vjp_convolve)


cdef channel_map map_of(Deferred job) noexcept:
    return channel_map(<const float*> job.params.data, job.params.shape[1], job.rectify)


cdef Tensor weight_of_map(Node node, Tensor g, const conv_geometry* q):
    """The weight's gradient where the input was never made, but read as a map of another tensor; or None."""
    cdef Deferred job = None if grad_enabled() else sleeper(node, 0)
    cdef Tensor dy, dw
    cdef channel_map map
    cdef i64[4] shape
    if job is None:
        return None
    map = map_of(job)
    shape[0], shape[1], shape[2], shape[3] = q.c_out, q.c_in // q.groups, q.kernel[1], q.kernel[2]
    dy, dw = raw_contiguous(g), new_tensor(MTB_f32, 4, shape)
    if conv_backward_weight(0, q, job.source.data, &map, dy.data, dw.data):
        return None
    return dw


cdef Tensor convolve_map(Tensor a, Tensor w, Tensor bias, const conv_geometry* q, int n):
    """A convolution that does on the way what a waits for (a batch norm, its ReLU); None if a does not wait."""
    cdef Deferred job
    cdef Tensor y
    cdef Node node = None
    if n != 2 or a.dtype != MTB_f32 or not a.storage.deferred or not a.contiguous or not conv_maps(0, q):
        return None
    job = lift(a)
    if job is None:
        return None
    try:
        y = convolve(FORWARD, a, w, bias, q, n, job)
        node = y.node
    finally:
        put_back(job, a, node if node is not None and node.s0 is a else None)
    return y


cdef Tensor convolve(int kind, Tensor a, Tensor b, Tensor bias, const conv_geometry* q, int n, Deferred job=None):
    """One of the three, with n spatial dims; bias for the channels of the result (not of dw), or None. With the job
    of the input, that is done on the way: a itself is not read; or for its gradient, what its backward sums."""
    cdef i64[MAXDIM] shape
    cdef int d, dtype = a.dtype, want = MTB_f64 if a.dtype == MTB_f64 else MTB_f32
    cdef Tensor x = raw_contiguous(raw_cast(a, want)), w = raw_contiguous(raw_cast(b, want)), c = None, y, sums = None
    cdef gathering wanted
    cdef gathering* want_sums = NULL
    cdef channel_map* mapped = NULL
    cdef const char* source = x.data
    cdef int gathered = 0
    cdef const void* plus = NULL
    cdef channel_map map
    cdef i64* sizes
    cdef Node node
    settle_for(a, b, bias)
    if bias is not None:
        c = raw_contiguous(raw_cast(bias, want))
        plus = c.data
    shape[0], shape[1] = q.n, q.c_out if kind == FORWARD else q.c_in
    if kind == WEIGHT:
        shape[0], shape[1] = q.c_out, q.c_in // q.groups
    sizes = <i64*> q.kernel
    if kind == FORWARD:
        sizes = <i64*> q.out
    elif kind == DATA:
        sizes = <i64*> q.in_
    for d in range(n):
        shape[2 + d] = sizes[3 - n + d]
    y = fresh_tensor(want, n + 2, shape)
    if job is not None:
        map = map_of(job)
        mapped = &map
        if kind == FORWARD:
            source = job.source.data
    if dtype == MTB_f32 and n == 2 and (kind == FORWARD and is_normalized(b) or kind == DATA and job is not None) and \
            planes_are_parts(shape[2] * shape[3]):
        shape[0], shape[2] = q.n + (kind == DATA), 2
        sums = fresh_tensor(MTB_f64, 3, shape)
        wanted.sums, wanted.x, wanted.map = <double*> sums.data, NULL, &map
        if kind == DATA:
            wanted.x = <const float*> job.source.data
        want_sums = &wanted
    if kind == FORWARD:
        gathered = conv_forward(want - MTB_f32, q, source, mapped, w.data, plus, y.data, want_sums)
        if gathered:
            tell(y, sums, NULL)
    elif kind == DATA:
        gathered = conv_backward_data(want - MTB_f32, q, x.data, w.data, plus, y.data, want_sums)
        if gathered:
            memcpy(<double*> sums.data + 2 * q.n * q.c_in, map.params, MTB_NORM_K0 * q.c_in * sizeof(float))
            tell(y, sums, job.source.data)
    else:
        conv_backward_weight(want - MTB_f32, q, x.data, NULL, w.data, y.data)
    y = raw_cast(y, dtype)
    if tracks2(a, b) or bias is not None and tracks3(a, b, bias):
        node = new_node(vjp_convolve, "ConvolutionBackward0", a, b, bias)
        if wants(node, 1):
            save(node, 0, a)
        if wants(node, 0):
            save(node, 1, b)
        node.aux = PyBytes_FromStringAndSize(<const char*> q, sizeof(conv_geometry))
        node.k[0], node.k[1] = kind, n
        set_history(y, node)
    return y


# -- arguments ---------------------------------------------------------------------------------------------------------

cdef int read_sizes(object value, int n, str what, i64* sizes, i64 least) except -1:
    """One int for all n dims, or n of them, to the last n of three."""
    cdef int d
    if isinstance(value, (tuple, list)):
        if len(value) == 1:
            value = tuple(value) * n
        if len(value) != n:
            raise RuntimeError(f"expected {what} to be a single integer value or a list of {n} values to match the "
                               f"convolution dimensions, but got {what}={list(value)}")
    else:
        value = (value,) * n
    for d in range(n):
        sizes[3 - n + d] = index_arg(value[d], what)
        if sizes[3 - n + d] < least:
            raise RuntimeError(f"{'negative' if least == 0 else 'non-positive'} {what} is not supported, but got "
                               f"{what}={list(value)}")
        if sizes[3 - n + d] > LARGEST:
            raise RuntimeError(f"{what} is too large: {what}={list(value)}")
    return 0


cdef object brief(Tensor x):
    return {"float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16"}.get(
        str(dtype_object(x.dtype)).rpartition(".")[2], str(dtype_object(x.dtype)))


cdef int check_types(Tensor x, Tensor w, Tensor bias) except -1:
    if x.dtype != w.dtype:
        raise RuntimeError(f"Input type ({brief(x)}) and weight type ({brief(w)}) should be the same; convert one of "
                           f"them with .to(dtype)")
    if bias is not None and bias.dtype != x.dtype:
        raise RuntimeError(f"Input type ({brief(x)}) and bias type ({brief(bias)}) should be the same")
    if x.dtype < MTB_f16 and x.dtype != MTB_i64:
        raise NotImplementedError(f"\"convolution\" not implemented for '{brief(x)}'; convert to a floating point "
                                  f"dtype first")
    return 0


cdef object per_channel(const i64* sizes, int n):
    return "(" + " x ".join([str(sizes[3 - n + d]) for d in range(n)]) + ")"


cdef Tensor run(Tensor x, Tensor w, Tensor bias, object stride, object padding, object dilation, object groups,
                object output_padding, int n):
    """All six functions; output_padding is None for a convolution, and the argument of a transposed one."""
    cdef conv_geometry q
    cdef bint transposed = output_padding is not None, alone = x.ndim == n + 1
    cdef i64[3] extra
    cdef i64[3] padded
    cdef i64 channels, total
    cdef int d, e
    cdef str name = f"conv{'_transpose' if transposed else ''}{n}d"
    for d in range(3):
        q.in_[d] = q.out[d] = q.kernel[d] = q.stride[d] = q.dilation[d] = 1
        q.pad_lo[d] = extra[d] = 0
    q.groups = index_arg(groups, "groups")
    if w.ndim != n + 2:
        raise RuntimeError(f"{name} expects a weight with {n + 2} dimensions, but got weight of size "
                           f"{list(shape_tuple(w))}")
    if x.ndim != n + 2 and not alone:
        raise RuntimeError(f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {name}, but got input of "
                           f"size: {list(shape_tuple(x))}")
    if alone:
        x = x.unsqueeze(0)
    check_types(x, w, bias)
    if x.dtype == MTB_i64:  # exact in float64 below 2**53
        bias = None if bias is None else raw_cast(bias, MTB_f64)
        x = run(raw_cast(x, MTB_f64), raw_cast(w, MTB_f64), bias, stride, padding, dilation, groups, output_padding, n)
        return raw_cast(x.squeeze(0) if alone else x, MTB_i64)
    read_sizes(stride, n, "stride", q.stride, 1)
    read_sizes(dilation, n, "dilation", q.dilation, 1)
    if transposed:
        read_sizes(output_padding, n, "output_padding", extra, 0)
    if q.groups < 1:
        raise RuntimeError("non-positive groups is not supported")
    if w.shape[0] < q.groups:
        raise RuntimeError(f"Given groups={q.groups}, expected weight to be at least {q.groups} at dimension 0, but "
                           f"got weight of size {list(shape_tuple(w))} instead")
    if w.shape[0] % q.groups:
        raise RuntimeError(f"Given groups={q.groups}, expected weight to be divisible by {q.groups} at dimension 0, "
                           f"but got weight of size {list(shape_tuple(w))} instead")
    channels = w.shape[0] if transposed else w.shape[1] * q.groups
    if x.shape[1] != channels:
        raise RuntimeError(f"Given {'transposed=1' if transposed else f'groups={q.groups}'}, weight of size "
                           f"{list(shape_tuple(w))}, expected input{list(shape_tuple(x))} to have {channels} channels, "
                           f"but got {x.shape[1]} channels instead")
    q.n, q.c_out, q.c_in = x.shape[0], w.shape[0], w.shape[1] * q.groups
    channels = q.c_in if transposed else q.c_out
    if bias is not None and (bias.ndim != 1 or bias.shape[0] != channels):
        raise RuntimeError(f"Given {'transposed=1, ' if transposed else ''}weight of size {list(shape_tuple(w))}, "
                           f"expected bias to be 1-dimensional with {channels} elements, but got bias of size "
                           f"{list(shape_tuple(bias))} instead")
    for d in range(n):
        e = 3 - n + d
        q.kernel[e] = w.shape[2 + d]
        if q.kernel[e] == 0:
            raise RuntimeError(f"{name}: kernel sizes must be positive, but got weight of size {list(shape_tuple(w))}")
        if max(x.shape[2 + d], q.kernel[e]) > LARGEST or q.kernel[e] * q.dilation[e] > LARGEST:
            raise RuntimeError(f"{name}: sizes up to 2**31 are supported, but got input of size {list(shape_tuple(x))} "
                               f"and weight of size {list(shape_tuple(w))}")
    if isinstance(padding, str):
        if transposed or padding not in ("same", "valid"):
            raise RuntimeError(f"Invalid padding string: '{padding}'")
        for e in range(3):
            if padding == "same":
                if q.stride[e] != 1:
                    raise RuntimeError("padding='same' is not supported for strided convolutions")
                q.pad_lo[e] = q.dilation[e] * (q.kernel[e] - 1) // 2
    else:
        read_sizes(padding, n, "padding", q.pad_lo, 0)
    for d in range(n):
        e = 3 - n + d
        total = q.dilation[e] * (q.kernel[e] - 1)            # what the window covers, less one
        if transposed:
            if extra[e] >= max(q.stride[e], q.dilation[e]):
                raise RuntimeError(f"output padding must be smaller than either stride or dilation, but got "
                                   f"output_padding={extra[e]}, stride={q.stride[e]}, dilation={q.dilation[e]}")
            q.out[e] = x.shape[2 + d]
            q.in_[e] = (q.out[e] - 1) * q.stride[e] - 2 * q.pad_lo[e] + total + extra[e] + 1
        else:
            q.in_[e] = x.shape[2 + d]
            padded[e] = q.in_[e] + (total if isinstance(padding, str) and padding == "same" else 2 * q.pad_lo[e])
            q.out[e] = (padded[e] - total - 1) // q.stride[e] + 1 if padded[e] > total else 0
    for e in range(3 - n, 3):
        if transposed and q.in_[e] <= 0:
            raise RuntimeError(f"Given input size per channel: {per_channel(q.out, n)}. Calculated output size per "
                               f"channel: {per_channel(q.in_, n)}. Output size is too small")
        if not transposed and (q.out[e] <= 0 or q.in_[e] == 0):
            for d in range(3):
                extra[d] = q.dilation[d] * (q.kernel[d] - 1) + 1
            raise RuntimeError(f"Calculated padded input size per channel: {per_channel(padded, n)}. Kernel size: "
                               f"{per_channel(extra, n)}. Kernel size can't be greater than actual input size")
    y = None if transposed or alone else convolve_map(x, w, bias, &q, n)
    if y is None:
        y = convolve(DATA if transposed else FORWARD, x, w, bias, &q, n)
    return y.squeeze(0) if alone else y


# -- the functions -----------------------------------------------------------------------------------------------------

def conv1d(Tensor input not None, Tensor weight not None, Tensor bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation of input (N, C, L) or (C, L) with weight (out, C / groups, k), plus bias (out).
    padding may be "same" (stride 1) or "valid". Each item of a batch gets the same bits as alone."""
    return run(input, weight, bias, stride, padding, dilation, groups, None, 1)


def conv2d(Tensor input not None, Tensor weight not None, Tensor bias=None, stride=1, padding=0, dilation=1, groups=1):
    """:func:`conv1d` in two dimensions: input (N, C, H, W) or (C, H, W), weight (out, C / groups, kh, kw)."""
    return run(input, weight, bias, stride, padding, dilation, groups, None, 2)


def conv3d(Tensor input not None, Tensor weight not None, Tensor bias=None, stride=1, padding=0, dilation=1, groups=1):
    """:func:`conv1d` in three dimensions: input (N, C, D, H, W) or (C, D, H, W), weight (out, C / groups, kd, kh,
    kw)."""
    return run(input, weight, bias, stride, padding, dilation, groups, None, 3)


def conv_transpose1d(Tensor input not None, Tensor weight not None, Tensor bias=None, stride=1, padding=0,
                     output_padding=0, groups=1, dilation=1):
    """The transpose of :func:`conv1d` as a linear map: input (N, C, L) or (C, L), weight (C, out / groups, k), bias
    (out)."""
    return run(input, weight, bias, stride, padding, dilation, groups, output_padding, 1)


def conv_transpose2d(Tensor input not None, Tensor weight not None, Tensor bias=None, stride=1, padding=0,
                     output_padding=0, groups=1, dilation=1):
    """:func:`conv_transpose1d` in two dimensions."""
    return run(input, weight, bias, stride, padding, dilation, groups, output_padding, 2)


def conv_transpose3d(Tensor input not None, Tensor weight not None, Tensor bias=None, stride=1, padding=0,
                     output_padding=0, groups=1, dilation=1):
    """:func:`conv_transpose1d` in three dimensions."""
    return run(input, weight, bias, stride, padding, dilation, groups, output_padding, 3)


FUNCTIONS = {"conv1d": conv1d, "conv2d": conv2d, "conv3d": conv3d, "conv_transpose1d": conv_transpose1d,
             "conv_transpose2d": conv_transpose2d, "conv_transpose3d": conv_transpose3d}
