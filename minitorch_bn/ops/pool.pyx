"""Pooling: the maximum or the average of windows over the last one, two or three dims, and gradients of any order.

Averaging is linear, and so is taking the elements at given places: the backward of each is one more op of that kind,
its adjoint, whose backward is the first again.
"""
from libc.string cimport memcpy

from minitorch_bn._core cimport (Node, Tensor, cast, dtype_object, index_arg, is_float, new_node, new_tensor,
                                 raw_contiguous, save, saved, set_history, shape_from, shape_tuple, tracks)
from minitorch_bn.kernels cimport pool as kernels
from minitorch_bn.kernels.runtime cimport MTB_b8, MTB_f32, MTB_f64, MTB_i64, i64

cdef enum:
    AVERAGE = 0
    AVERAGE_ADJOINT = 1
    ADAPTIVE = 2
    ADAPTIVE_ADJOINT = 3

cdef tuple NODE_NAMES = ("AvgPool{}DBackward0", "AvgPool{}DBackwardBackward0", "AdaptiveAvgPool{}DBackward0",
                         "AdaptiveAvgPool{}DBackwardBackward0")

# A plan: (the window's bytes, the input's shape, the output's shape, the number of dims pooled).


# -- arguments ---------------------------------------------------------------------------------------------------------

cdef int sizes_of(object value, int nd, object fill, str op, str name, i64* out) except -1:
    """`value`, an int or nd of them, at the end of out[3]; the leading dims get `fill`."""
    cdef int d
    cdef i64 v
    for d in range(3):
        out[d] = fill
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * nd
    if len(values) == 1:
        values = values * nd
    if len(values) != nd:
        raise RuntimeError(f"{op}: {name} must either be a single int, or a tuple of {nd} ints, got {value}")
    for d in range(nd):
        v = index_arg(values[d], name)
        if not -1 < v < 1 << 31:
            raise RuntimeError(f"{op}: {name} must not be negative and below 2**31, got {v}")
        out[3 - nd + d] = v
    return 0


cdef int input_sizes(Tensor x, int nd, str op, kernels.mtb_window* w) except -1:
    """The input's pooled sizes; errors for a wrong number of dims, empty ones, and integer dtypes."""
    cdef int d, lead = x.ndim - nd
    if lead not in (1, 2):
        raise RuntimeError(f"{op}: non-empty {nd + 1}D or {nd + 2}D (batch mode) tensor expected for input, but got "
                           f"{list(shape_tuple(x))}")
    for d in range(lead - 1, x.ndim):
        if x.shape[d] == 0 and not (lead == 2 and d == 0):
            raise RuntimeError(f"{op}: Expected {nd + 1}D or {nd + 2}D (batch mode) tensor with optional 0 dim batch "
                               "size for "
                               f"input, but got: {list(shape_tuple(x))}")
    if not is_float(x.dtype) and (x.dtype == MTB_b8 or op.startswith("adaptive")):
        raise RuntimeError(f"\"{op}\" not implemented for {dtype_object(x.dtype)}: "
                           "convert the input to a floating dtype")
    for d in range(3):
        w.input[d] = x.shape[x.ndim - 3 + d] if d >= 3 - nd else 1
    if w.input[0] * w.input[1] * w.input[2] >= <i64> 1 << 31:
        raise RuntimeError(f"{op}: a channel of {w.input[0] * w.input[1] * w.input[2]} elements is too large; at "
                           "most 2**31 - 1")
    return 0


cdef tuple plan_window(Tensor x, int nd, str op, kernel_size, stride, padding, dilation, bint ceil_mode,
                       kernels.mtb_window* w):
    """Checks every size, fills the window and gives the plan."""
    cdef int d
    cdef i64 reach, room
    input_sizes(x, nd, op, w)
    sizes_of(kernel_size, nd, 1, op, "kernel_size", w.kernel)
    sizes_of(kernel_size if stride is None or isinstance(stride, (tuple, list)) and len(stride) == 0 else stride, nd, 1,
             op, "stride", w.stride)
    sizes_of(padding, nd, 0, op, "padding", w.pad)
    sizes_of(dilation, nd, 1, op, "dilation", w.dilation)
    for d in range(3 - nd, 3):
        if w.kernel[d] == 0:
            raise RuntimeError(f"{op}: kernel size should be greater than zero, but got {kernel_size}")
        if w.stride[d] == 0:
            raise RuntimeError(f"{op}: stride should not be zero")
        if w.dilation[d] == 0:
            raise RuntimeError(f"{op}: dilation should be greater than zero, but got {dilation}")
        reach = (w.kernel[d] - 1) * w.dilation[d] + 1
        if w.pad[d] > reach // 2:
            raise RuntimeError(f"{op}: pad should be at most half of effective kernel size, but got pad={w.pad[d]}, "
                               f"kernel_size={w.kernel[d]} and dilation={w.dilation[d]}")
    for d in range(3):
        reach = (w.kernel[d] - 1) * w.dilation[d] + 1
        room = w.input[d] + 2 * w.pad[d] - reach
        w.out[d] = (room + (w.stride[d] - 1 if ceil_mode else 0)) // w.stride[d] + 1 if room >= 0 else 0
        if ceil_mode and room < 0 and room + w.stride[d] - 1 >= 0:
            w.out[d] = 1
        if ceil_mode and w.out[d] > 0 and (w.out[d] - 1) * w.stride[d] >= w.input[d] + w.pad[d]:
            w.out[d] -= 1
        if w.out[d] < 1:
            raise RuntimeError(f"{op}: Given input size: {list(shape_tuple(x))[-nd - 1:]}, kernel_size "
                               f"{kernel_size}: the calculated output size is too small; use a smaller kernel or more "
                               "padding")
    return make_plan(x, nd, w)


cdef tuple plan_adaptive(Tensor x, int nd, str op, output_size, kernels.mtb_window* w):
    input_sizes(x, nd, op, w)
    sizes = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * nd
    own = shape_tuple(x)[x.ndim - nd:]
    if len(sizes) == nd:
        sizes = tuple([n if s is None else s for s, n in zip(sizes, own)])
    sizes_of(sizes, nd, 1, op, "output_size", w.out)
    return make_plan(x, nd, w)


cdef tuple make_plan(Tensor x, int nd, kernels.mtb_window* w):
    cdef tuple shape = shape_tuple(x)
    out = shape[:x.ndim - nd] + tuple([w.out[d] for d in range(3 - nd, 3)])
    return (<char*> w)[:sizeof(kernels.mtb_window)], shape, out, nd


cdef int read_window(tuple plan, kernels.mtb_window* w) except -1:
    memcpy(w, <char*> <bytes> plan[0], sizeof(kernels.mtb_window))
    return 0


cdef Tensor new_of(tuple sizes, int dtype):
    cdef i64[8] shape
    return new_tensor(dtype, shape_from(sizes, shape), shape)


cdef i64 planes_of(Tensor x, int nd) noexcept:
    cdef i64 planes = 1
    cdef int d
    for d in range(x.ndim - nd):
        planes *= x.shape[d]
    return planes


cdef Tensor working(Tensor x):
    """x in a dtype that has kernels (differentiable)."""
    return x if x.dtype >= MTB_f32 else cast(x, MTB_f32 if is_float(x.dtype) else MTB_f64)


# -- averages ----------------------------------------------------------------------------------------------------------

cdef object linear_vjp(Node node, object g):
    return linear(node.op ^ 1, <Tensor> g, node.aux)


cdef Tensor linear(int kind, Tensor input, tuple plan):
    """An average of the plan, or the adjoint of one."""
    cdef kernels.mtb_window w
    cdef Tensor x = raw_contiguous(input), y = new_of(plan[1] if kind & 1 else plan[2], input.dtype)
    cdef int real = x.dtype - MTB_f32, nd = plan[3]
    cdef i64 planes = planes_of(x, nd)
    cdef Node node
    read_window(plan, &w)
    if kind == AVERAGE:
        kernels.average_pool(real, y.data, x.data, planes, &w)
    elif kind == AVERAGE_ADJOINT:
        kernels.average_pool_backward(real, y.data, x.data, planes, &w)
    elif kind == ADAPTIVE:
        kernels.adaptive_average(real, y.data, x.data, planes, &w)
    else:
        kernels.adaptive_average_backward(real, y.data, x.data, planes, &w)
    if tracks(input):
        node = new_node(linear_vjp, NODE_NAMES[kind].format(nd), input, None, None)
        node.op, node.aux = kind, plan
        set_history(y, node)
    return y


cdef Tensor average(Tensor input, int nd, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    cdef kernels.mtb_window w
    w.count_pad = bool(count_include_pad)
    w.divisor = 0 if divisor_override is None else index_arg(divisor_override, "divisor_override")
    if divisor_override is not None and w.divisor == 0:
        raise RuntimeError(f"avg_pool{nd}d: divisor must be not zero")
    plan = plan_window(input, nd, f"avg_pool{nd}d", kernel_size, stride, padding, 1, ceil_mode, &w)
    return cast(linear(AVERAGE, working(input), plan), input.dtype)


cdef Tensor adaptive(Tensor input, int nd, output_size):
    cdef kernels.mtb_window w
    plan = plan_adaptive(input, nd, f"adaptive_avg_pool{nd}d", output_size, &w)
    if w.out[0] * w.out[1] * w.out[2] == 1:  # the mean has the faster kernel
        return input.mean(tuple(range(-nd, 0)), True)
    return cast(linear(ADAPTIVE, working(input), plan), input.dtype)


def avg_pool1d(Tensor input not None, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """Averages of windows: (N, C, L) or (C, L). The stride is the kernel size unless given."""
    return average(input, 1, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(Tensor input not None, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
               divisor_override=None):
    """Averages of windows: (N, C, H, W) or (C, H, W). `divisor_override` replaces the window's number of elements."""
    return average(input, 2, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(Tensor input not None, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
               divisor_override=None):
    """Averages of windows: (N, C, D, H, W) or (C, D, H, W)."""
    return average(input, 3, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def adaptive_avg_pool1d(Tensor input not None, output_size):
    """Averages of `output_size` cells that share out the last dim."""
    return adaptive(input, 1, output_size)


def adaptive_avg_pool2d(Tensor input not None, output_size):
    """Averages of cells that share out the last two dims; None keeps a dim's size."""
    return adaptive(input, 2, output_size)


def adaptive_avg_pool3d(Tensor input not None, output_size):
    """Averages of cells that share out the last three dims; None keeps a dim's size."""
    return adaptive(input, 3, output_size)


# -- maxima ------------------------------------------------------------------------------------------------------------

cdef object put_back_vjp(Node node, object g):
    """Of a maximum, or of `pick`: each gradient goes to the place that its value came from."""
    return at_places(True, <Tensor> g, saved(node, 0), node.aux)


cdef object pick_vjp(Node node, object g):
    return at_places(False, <Tensor> g, saved(node, 0), node.aux)


cdef Tensor at_places(bint put_back, Tensor input, Tensor at, tuple plan):
    """Zeros of the plan's input shape with `input` added at the places `at`; or (not put_back) the elements there."""
    cdef Tensor x = raw_contiguous(input), y = new_of(plan[1] if put_back else plan[2], input.dtype)
    cdef Tensor large = y if put_back else x
    cdef int nd = plan[3], d
    cdef i64 planes = planes_of(at, nd), n_in = 1, n_out = 1
    cdef Node node
    for d in range(nd):
        n_in *= large.shape[large.ndim - 1 - d]
        n_out *= at.shape[at.ndim - 1 - d]
    if put_back:
        kernels.scatter(x.dtype - MTB_f32, y.data, n_in, x.data, <i64*> at.data, n_out, planes, True)
    else:
        kernels.pick(x.dtype - MTB_f32, y.data, n_out, x.data, <i64*> at.data, n_in, planes)
    if tracks(input):
        node = new_node(pick_vjp if put_back else put_back_vjp, "MaxPoolBackwardBackward0", input, None, None)
        save(node, 0, at)
        node.aux = plan
        set_history(y, node)
    return y


cdef object maximum(Tensor input, str op, tuple plan, bint adaptive, return_indices):
    cdef kernels.mtb_window w
    cdef Tensor source = working(input), x = raw_contiguous(source), y = new_of(plan[2], x.dtype), at = None
    cdef i64* places = NULL
    cdef i64 planes = planes_of(x, plan[3])
    cdef Node node
    read_window(plan, &w)
    if return_indices or tracks(source):
        at = new_of(plan[2], MTB_i64)
        places = <i64*> at.data
    if adaptive:
        kernels.adaptive_max(x.dtype - MTB_f32, y.data, places, x.data, planes, &w)
    else:
        kernels.max_pool(x.dtype - MTB_f32, y.data, places, x.data, planes, &w)
    if tracks(source):
        node = new_node(put_back_vjp, op, source, None, None)
        save(node, 0, at)
        node.aux = plan
        set_history(y, node)
    y = cast(y, input.dtype)
    return (y, at) if return_indices else y


cdef object max_pool(Tensor input, int nd, kernel_size, stride, padding, dilation, ceil_mode, return_indices):
    cdef kernels.mtb_window w
    plan = plan_window(input, nd, f"max_pool{nd}d", kernel_size, stride, padding, dilation, ceil_mode, &w)
    return maximum(input, f"MaxPool{nd}DWithIndicesBackward0", plan, False, return_indices)


cdef object adaptive_max(Tensor input, int nd, output_size, return_indices):
    cdef kernels.mtb_window w
    plan = plan_adaptive(input, nd, f"adaptive_max_pool{nd}d", output_size, &w)
    return maximum(input, f"AdaptiveMaxPool{nd}DBackward0", plan, True, return_indices)


def max_pool1d(Tensor input not None, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
               return_indices=False):
    """Maxima of windows: (N, C, L) or (C, L); with `return_indices` also where, in the last dim. Padding never wins."""
    return max_pool(input, 1, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(Tensor input not None, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
               return_indices=False):
    """Maxima of windows: (N, C, H, W) or (C, H, W); indices are flat within the channel."""
    return max_pool(input, 2, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(Tensor input not None, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
               return_indices=False):
    """Maxima of windows: (N, C, D, H, W) or (C, D, H, W); indices are flat within the channel."""
    return max_pool(input, 3, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def adaptive_max_pool1d(Tensor input not None, output_size, return_indices=False):
    """Maxima of `output_size` cells that share out the last dim."""
    return adaptive_max(input, 1, output_size, return_indices)


def adaptive_max_pool2d(Tensor input not None, output_size, return_indices=False):
    """Maxima of cells that share out the last two dims; None keeps a dim's size."""
    return adaptive_max(input, 2, output_size, return_indices)


def adaptive_max_pool3d(Tensor input not None, output_size, return_indices=False):
    """Maxima of cells that share out the last three dims; None keeps a dim's size."""
    return adaptive_max(input, 3, output_size, return_indices)


FUNCTIONS = {f.__name__: f for f in (avg_pool1d, adaptive_avg_pool1d, max_pool1d, max_pool2d, max_pool3d,
                                     adaptive_max_pool1d)}
PRIMITIVES = {f.__name__: f for f in (avg_pool2d, avg_pool3d, adaptive_avg_pool2d, adaptive_avg_pool3d,
                                      adaptive_max_pool2d, adaptive_max_pool3d)}
