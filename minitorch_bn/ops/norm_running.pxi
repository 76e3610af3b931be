# What batch norm keeps from batch to batch: running statistics, and the count of batches (part of norm.pyx).

cdef int read_running(Tensor running, double* value, i64 n) except -1:
    cdef Tensor double_
    cdef i64 i
    if running.dtype == MTB_f32 and running.contiguous and not running.storage.deferred:
        for i in range(n):
            value[i] = (<float*> running.data)[i]
        return 0
    double_ = raw_contiguous(raw_cast(running, MTB_f64))
    memcpy(value, double_.data, n * sizeof(double))
    return 0


cdef int update_running(Tensor running, const double* value, i64 n, double momentum, double factor) except -1:
    """running = (1 - momentum) running + momentum factor value, in double."""
    cdef Tensor old, new
    cdef float* at = <float*> running.data
    cdef i64 i
    if running.dtype == MTB_f32 and running.contiguous and defers(running) and not running.storage.deferred:
        for i in range(n):
            at[i] = <float> ((1 - momentum) * at[i] + momentum * factor * value[i])
        return bump(running)
    old, new = raw_contiguous(raw_cast(running, MTB_f64)), new_tensor(MTB_f64, 1, &n)
    for i in range(n):
        (<double*> new.data)[i] = (1 - momentum) * (<double*> old.data)[i] + momentum * factor * value[i]
    copy_into(running, new)
    return bump(running)


cdef int update_statistics(Tensor x, Tensor running_mean, Tensor running_var, Tensor stats, double momentum) except -1:
    cdef i64 c = x.shape[1], count = x.numel // c
    if running_mean is not None:
        update_running(running_mean, row_of(stats, 0), c, momentum, 1)
    if running_var is not None:
        update_running(running_var, row_of(stats, 2), c, momentum, count / (count - 1.) if count > 1 else 1)
    return 0


cdef object count(Tensor tracked, momentum):
    """One batch more; the momentum, which is one over their number if there is none."""
    if tracked.dtype == MTB_i64 and tracked.numel == 1:
        (<i64*> tracked.data)[0] += 1
        bump(tracked)
    else:
        (<object> tracked).add_(1)
    return 1 / (<object> tracked).item() if momentum is None else momentum
