"""LSTM, GRU and RNN: what a step is, and one layer over all its steps at once, with its gradients of any order.

`scan` is the fast form of a loop over `STEPS`. Its backward runs in kernels; where the gradient itself must be
differentiable it goes through that loop, which is the definition.
"""
from minitorch_bn._core import attach, grad, is_grad_enabled
from minitorch_bn._core cimport Tensor, new_tensor, new_zeros, raw_cast, raw_contiguous, shape_tuple
from minitorch_bn.kernels cimport recurrent as kernels
from minitorch_bn.kernels.runtime cimport MTB_f32, i64
from minitorch_bn.ops.joining import cat as join
from minitorch_bn.ops.joining import stack


# -- one step: (W_ih x + b_ih, state, function h -> W_hh h + b_hh) -> new state ----------------------------------------
# Gates are stacked along the last axis, in PyTorch's order: LSTM input, forget, cell, output; GRU reset, update, new.

def rnn_tanh(x, state, recur):
    """h = tanh(x + W h)."""
    return ((x + recur(state[0])).tanh(),)


def rnn_relu(x, state, recur):
    """h = relu(x + W h)."""
    return ((x + recur(state[0])).relu(),)


def lstm(x, state, recur):
    """c = f c + i g, h = o tanh(c)."""
    h, c = state
    i, f, g, o = (x + recur(h)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru(x, state, recur):
    """h = n + z (h - n), where r scales what h adds to n."""
    (h,) = state
    x_r, x_z, x_n = x.chunk(3, -1)
    h_r, h_z, h_n = recur(h).chunk(3, -1)
    new = (x_n + (x_r + h_r).sigmoid() * h_n).tanh()
    return (new + (x_z + h_z).sigmoid() * (h - new),)


# step, gates, number of the kernel
STEPS = {"RNN_TANH": (rnn_tanh, 1, kernels.RNN_TANH), "RNN_RELU": (rnn_relu, 1, kernels.RNN_RELU),
         "LSTM": (lstm, 4, kernels.LSTM), "GRU": (gru, 3, kernels.GRU)}


def loop(str mode, x, tuple state, recur, bint reverse, project=None):
    """The outputs of all steps over x (steps, rows, gates), and the cell states of an LSTM: what :func:`scan` is. Of a
    projected LSTM (Sak et al. 2014), `project` is applied to every output."""
    step, outputs, cells = STEPS[mode][0], [], []
    for gates in reversed(x.unbind(0)) if reverse else x.unbind(0):
        state = step(gates, state, recur)
        if project is not None:
            state = (project(state[0]), *state[1:])
        outputs.append(state[0])
        cells.append(state[-1])
    if reverse:
        outputs.reverse()
        cells.reverse()
    return stack(outputs), stack(cells) if mode == "LSTM" else None


# -- all steps ---------------------------------------------------------------------------------------------------------

def scan(str mode, Tensor x not None, Tensor h not None, Tensor c, Tensor weight not None, Tensor bias, bint reverse):
    """One layer: outputs (steps, rows, n), and the cell states of an LSTM (else None) of every step.

    x (steps, rows, gates * n) is W_ih x + b_ih; h and c (rows, n) the first state; weight (gates * n, n), bias
    (gates * n) or None. float32 or float64, all alike.
    """
    cdef Tensor hidden, cells = None, tanh_c = None, gates = None, turned, b = None, xs, h0, c0 = None
    cdef i64 steps, rows, n
    cdef i64[3] shape
    cdef int kind = STEPS[mode][2], count = STEPS[mode][1]
    if x.ndim != 3 or h.ndim != 2:
        raise RuntimeError(f"{mode}: expected x of 3 dims and h of 2, got {x.ndim} and {h.ndim}")
    steps, rows, n = x.shape[0], h.shape[0], h.shape[1]
    inputs = [t for t in (x, h, c, weight, bias) if t is not None]
    if (shape_tuple(x) != (steps, rows, count * n) or shape_tuple(weight) != (count * n, n)
            or (c is None) == (kind == kernels.LSTM) or (c is not None and shape_tuple(c) != (rows, n))
            or (bias is not None and shape_tuple(bias) != (count * n,))
            or x.dtype < MTB_f32 or any([(<Tensor> t).dtype != x.dtype for t in inputs])):
        raise RuntimeError(f"{mode}: x {list(shape_tuple(x))}, h {list(shape_tuple(h))} and weight "
                           f"{list(shape_tuple(weight))} do not fit, or are not all float32 or all float64")
    shape[0], shape[1], shape[2] = steps, rows, n
    hidden = new_tensor(x.dtype, 3, shape)
    if kind == kernels.LSTM:
        cells, tanh_c, c0 = new_tensor(x.dtype, 3, shape), new_tensor(x.dtype, 3, shape), raw_contiguous(c)
    if kind == kernels.LSTM or kind == kernels.GRU:
        shape[2] = 4 * n
        gates = new_tensor(x.dtype, 3, shape)
    turned = raw_contiguous((<object> weight).detach().t())
    xs, h0 = raw_contiguous(x), raw_contiguous(h)
    if bias is not None:
        b = raw_contiguous(bias)
    kernels.scan(x.dtype - MTB_f32, kind, reverse, steps, rows, n, xs.data, h0.data, memory(c0), turned.data, memory(b),
                 hidden.data, memory(cells), memory(tanh_c), memory(gates))
    kept = (<object> hidden).detach(), None if cells is None else (<object> cells).detach()

    def backward(*grads):
        if is_grad_enabled():
            return by_the_loop(mode, x, h, c, weight, bias, reverse, grads)
        return by_kernels(kind, x, h, c, weight, bias, reverse, kept[0], kept[1], tanh_c, gates, grads)

    name = f"{mode.title().replace('_', '')}ScanBackward0"
    outputs = hidden if cells is None else (hidden, cells)
    outputs = attach(outputs, tuple(inputs), backward, name, saved=(x, h, c, weight, kept[0], kept[1]))
    return (outputs, None) if cells is None else outputs


cdef char* memory(Tensor x) noexcept:
    return NULL if x is None else x.data


cdef tuple by_the_loop(str mode, x, h, c, weight, bias, bint reverse, tuple grads):
    """The gradients, recorded. Every input goes by another name, for two of them may be the same tensor."""
    x, h, weight = x.view_as(x), h.view_as(h), weight.view_as(weight)
    c, bias = None if c is None else c.view_as(c), None if bias is None else bias.view_as(bias)

    def recur(state):
        y = state @ weight.t()
        return y if bias is None else y + bias

    outputs = loop(mode, x, (h,) if c is None else (h, c), recur, reverse)
    inputs = [t for t in (x, h, c, weight, bias) if t is not None]
    wanted = [t for t in inputs if t.requires_grad]
    pairs = [(y, g) for y, g in zip(outputs, grads) if g is not None and y is not None]
    found = grad([y for y, _ in pairs], wanted, [g for _, g in pairs], create_graph=True, allow_unused=True)
    by_input = {id(t): g for t, g in zip(wanted, found)}
    return tuple([by_input.get(id(t)) for t in inputs])


cdef tuple by_kernels(int kind, Tensor x, Tensor h, Tensor c, Tensor weight, Tensor bias, bint reverse, Tensor hidden,
                      Tensor cells, Tensor tanh_c, Tensor gates, tuple grads):
    cdef Tensor dh, dc = None, dx, dr, dh0, dc0 = None, h0 = raw_contiguous(h), c0 = None, w = raw_contiguous(weight)
    cdef i64 steps = x.shape[0], rows = x.shape[1], n = h.shape[1]
    dh = new_zeros(x.dtype, 3, hidden.shape) if grads[0] is None else raw_contiguous(raw_cast(grads[0], x.dtype))
    if kind == kernels.LSTM:
        c0, dc0 = raw_contiguous(c), new_zeros(x.dtype, 2, c.shape)
        if grads[1] is not None:
            dc = raw_contiguous(raw_cast(grads[1], x.dtype))
    dh0 = new_zeros(x.dtype, 2, h.shape)
    dx = new_tensor(x.dtype, 3, x.shape)
    dr = new_tensor(x.dtype, 3, x.shape) if kind == kernels.GRU else dx
    kernels.scan_backward(x.dtype - MTB_f32, kind, reverse, steps, rows, n, h0.data, memory(c0), w.data, hidden.data,
                          memory(cells), memory(tanh_c), memory(gates), dh.data, memory(dc), dx.data, dr.data,
                          dh0.data, memory(dc0))
    dweight = dbias = None
    if (<object> weight).requires_grad:          # dr^T (states before each step), all steps in one product
        sums, before = (<object> dr).flatten(0, 1), stack([h0])
        if steps > 1:
            inner = (<object> hidden)[1:] if reverse else (<object> hidden)[:-1]
            before = join([inner, before] if reverse else [before, inner])
        dweight = sums.t() @ before[:steps].flatten(0, 1)
    if bias is not None and (<object> bias).requires_grad:
        dbias = (<object> dr).sum((0, 1))
    found = [dx, dh0, dc0, dweight] if kind == kernels.LSTM else [dx, dh0, dweight]
    return tuple(found if bias is None else [*found, dbias])
