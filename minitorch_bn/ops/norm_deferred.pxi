# Batch norm as a job that waits for the addition and the ReLU that may follow it (core/deferred.pxi; part of norm.pyx).

@cython.final
cdef class Normalization(Deferred):
    """A batch norm of f32 or f64 whose result nobody has read yet: an addition and a ReLU that follow join its pass."""
    cdef Tensor x, w, b, running_mean, running_var, stats, residual
    cdef bint training, done           # done: the statistics are there, running ones moved
    cdef double momentum, eps
    cdef Normalization first           # of a sum: the job that it is the sum of

    cdef int run(self) except -1:
        return self.write(self.data, self.residual, False)

    cdef int fill(self, Tensor out, Tensor residual, bint relu) except -1:
        return self.write(out.data, self.residual, relu)

    cdef int write(self, char* y, Tensor residual, bint relu) except -1:
        cdef Normalization first = self if self.first is None else self.first
        cdef Tensor x = self.x
        cdef Channels view
        as_channels(x, &view)
        if first.done:
            kernels.apply(x.dtype - MTB_f32, &view, x.data, data_of(residual), data_of(self.w), data_of(self.b), relu,
                          y, row_of(self.stats, 0), row_of(self.stats, 1))
            return 0
        kernels.normalize(x.dtype - MTB_f32, &view, x.data, data_of(residual), data_of(self.w), data_of(self.b),
                          self.eps, relu, y, row_of(self.stats, 0), row_of(self.stats, 2), row_of(self.stats, 1))
        first.done = True
        update_statistics(x, self.running_mean, self.running_var, self.stats, self.momentum)
        self.kept = first.kept = None  # who looks at the result can still be served; else it is not made
        return 0

    cdef Deferred plus(self, Tensor residual):
        cdef Normalization sum_
        if self.residual is not None:
            return None
        sum_ = Normalization.__new__(Normalization)
        sum_.x, sum_.w, sum_.b, sum_.stats = self.x, self.w, self.b, self.stats
        sum_.residual, sum_.first = residual, self
        sum_.running_mean, sum_.running_var = self.running_mean, self.running_var
        sum_.eps, sum_.momentum, sum_.kept = self.eps, self.momentum, self.kept
        return sum_

    cdef bint touches(self, Storage s) noexcept:
        return (self.x.storage is s or self.stats.storage is s or self.target == <PyObject*> s
                or self.residual is not None and self.residual.storage is s
                or self.w is not None and self.w.storage is s or self.b is not None and self.b.storage is s
                or self.running_mean is not None and self.running_mean.storage is s
                or self.running_var is not None and self.running_var.storage is s)


cdef bint waits(Tensor x) noexcept:
    return x is None or defers(x)


cdef Tensor deferred_forward(Tensor x, Tensor running_mean, Tensor running_var, Tensor w, Tensor b, bint training,
                             double momentum, double eps, Tensor stats):
    """The result of batch norm, to be computed later; None if it has to be now."""
    cdef Normalization job
    cdef Channels view
    cdef Tensor y
    if (x.numel < WORTH_WAITING or not defers(x) or not waits(w) or not waits(b) or not waits(running_mean)
            or not waits(running_var) or as_channels(x, &view) is not x):
        return None
    job = Normalization.__new__(Normalization)
    job.x, job.w, job.b, job.stats = x, w, b, stats
    job.momentum, job.eps, job.done = momentum, eps, not training
    if training:
        job.running_mean, job.running_var = running_mean, running_var
    y = new_like(x, x.dtype)
    defer(job, y, training)
    return y


cdef int update_statistics(Tensor x, Tensor running_mean, Tensor running_var, Tensor stats, double momentum) except -1:
    cdef i64 c = x.shape[1], count = x.numel // c
    if running_mean is not None:
        update_running(running_mean, row_of(stats, 0), c, momentum, 1)
    if running_var is not None:
        update_running(running_var, row_of(stats, 2), c, momentum, count / (count - 1.) if count > 1 else 1)
    return 0
