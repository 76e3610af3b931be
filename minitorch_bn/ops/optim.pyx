"""The steps of the optimizers: one call updates lists of parameters in place, in one parallel region."""
from minitorch_bn._core cimport Tensor, bump, check_inplace, copy_into, raw_cast, raw_contiguous
from minitorch_bn.kernels cimport optim as kernels
from minitorch_bn.kernels.runtime cimport MTB_f32, MTB_f64, give, take

cdef char* workable(object x, int dtype, list copies, bint written) except NULL:
    """The memory of x if the kernel can use it as it is; else of a contiguous copy of that dtype, kept in `copies`."""
    cdef Tensor t = x, own
    if written:
        check_inplace(t)
    if t.contiguous and t.dtype == dtype:
        return t.data
    own = raw_contiguous(raw_cast(t, dtype))
    copies.append((t, own, written))
    return own.data


cdef int run(list params, list grads, list first, list second, list third, const kernels.mtb_sgd* sgd,
             const kernels.mtb_adam* adam) except -1:
    """One step of all parameters; the lists of state may be None."""
    cdef list states = [state for state in (first, second, third) if state is not None]
    cdef list lists = [params, grads] + states, copies = []
    cdef Tensor p, t
    cdef Py_ssize_t n = len(params), i, used
    cdef int dtype
    cdef size_t size = (n + 1) * sizeof(kernels.slot)
    cdef kernels.slot* slots
    cdef kernels.slot* s
    for items in lists:
        if len(items) != n:
            raise ValueError(f"optimizer step: {n} parameters need lists of {n} tensors, got {[len(x) for x in lists]}")
    for i in range(n):
        p = params[i]
        for items in lists:
            t = items[i]
            if t.numel != p.numel:
                raise RuntimeError(f"optimizer step: parameter {i} has shape {list(p.shape_())}, but its gradient or "
                                   "state has "
                                   f"shape {list(t.shape_())}")
    slots = <kernels.slot*> take(size)
    try:
        for dtype in (MTB_f32, MTB_f64):
            used = 0
            for i in range(n):
                p = params[i]
                if p.numel == 0 or (p.dtype == MTB_f64) != (dtype == MTB_f64):
                    continue
                s = &slots[used]
                used += 1
                s.n = p.numel
                s.param = workable(p, dtype, copies, True)
                s.grad = workable(grads[i], dtype, copies, False)
                s.first = workable(first[i], dtype, copies, True) if first is not None else NULL
                s.second = workable(second[i], dtype, copies, True) if second is not None else NULL
                s.third = workable(third[i], dtype, copies, True) if third is not None else NULL
            if used and sgd != NULL:
                kernels.sgd(dtype - MTB_f32, slots, used, sgd)
            elif used:
                kernels.adam(dtype - MTB_f32, slots, used, adam)
    finally:
        give(slots, size)
    for target, source, written in copies:
        if written:
            copy_into(target, source)
    for items in [params] + states:
        for t in items:
            bump(t)
    return 0


def sgd_step(params, grads, momentum_buffers, *, double lr, double momentum=0, double dampening=0,
             double weight_decay=0, bint nesterov=False, bint maximize=False, bint first=False):
    """Stochastic gradient descent on every parameter, in place.

    momentum_buffers: a list, or None if momentum is 0; with `first` they are not read but set to the gradients.
    """
    cdef kernels.mtb_sgd o
    o.lr, o.momentum, o.dampening, o.weight_decay = lr, momentum, dampening, weight_decay
    o.nesterov, o.maximize, o.first = nesterov, maximize, first
    if momentum != 0 and momentum_buffers is None:
        raise ValueError("sgd_step: momentum needs momentum_buffers")
    run(list(params), list(grads), None if momentum == 0 else list(momentum_buffers), None, None, &o, NULL)


def adam_step(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, double step_count, *, double lr, double beta1,
              double beta2, double eps, double weight_decay=0, bint amsgrad=False, bint maximize=False,
              bint decoupled=False):
    """Adam (decoupled: AdamW) on every parameter, in place; step_count is 1 in the first step.

    max_exp_avg_sqs: used only with `amsgrad`.
    """
    cdef kernels.mtb_adam o
    if step_count < 1:
        raise ValueError(f"adam_step: step_count starts at 1, got {step_count}")
    o.lr, o.beta1, o.beta2, o.eps, o.weight_decay = lr, beta1, beta2, eps, weight_decay
    o.correction1, o.correction2 = 1 - beta1 ** step_count, 1 - beta2 ** step_count
    o.amsgrad, o.maximize, o.decoupled = amsgrad, maximize, decoupled
    run(list(params), list(grads), list(exp_avgs), list(exp_avg_sqs), list(max_exp_avg_sqs) if amsgrad else None,
        NULL, &o)


PRIMITIVES = {"sgd_step": sgd_step, "adam_step": adam_step}
