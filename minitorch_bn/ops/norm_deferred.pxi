# Batch norm as a job that waits for the addition and the ReLU that may follow it (core/deferred.pxi; part of norm.pyx).

@cython.final
cdef class Normalization(Deferred):
    """A batch norm of f32 or f64 whose result nobody has read yet: an addition and a ReLU that follow join its pass."""
    cdef Tensor x, w, b, running_mean, running_var, stats, residual
    cdef bint done                     # done: the statistics are there, running ones moved
    cdef double momentum, eps
    cdef Normalization first           # of a sum: the job that it is the sum of

    cdef Normalization origin(self):
        """The job of the batch norm itself."""
        if self.first is None:
            return self
        return self.first

    cdef int run(self) except -1:
        cdef Channels view
        cdef Tensor x = self.x
        as_channels(x, &view)
        if self.params is not None:
            kernels.apply_params(&view, x.data, self.params.data, self.rectify, self.data)
            return 0
        if self.origin().done:
            kernels.apply(x.dtype - MTB_f32, &view, x.data, data_of(self.residual), data_of(self.w), data_of(self.b),
                          self.rectify, self.data, row_of(self.stats, 0), row_of(self.stats, 1))
            return 0
        self.normalize(&view, self.data)
        return 0

    cdef int normalize(self, Channels* view, char* y) except -1:
        """The batch's statistics, and y unless it is NULL."""
        cdef Normalization first = self.origin()
        cdef Tensor x = self.x, parts = told(x, NULL)
        ask(x)
        kernels.normalize(x.dtype - MTB_f32, view, x.data, data_of(self.residual), data_of(self.w), data_of(self.b),
                          self.eps, self.rectify, y, row_of(self.stats, 0), row_of(self.stats, 2),
                          row_of(self.stats, 1), <double*> data_of(parts))
        first.done = True
        update_statistics(x, self.running_mean, self.running_var, self.stats, self.momentum)
        self.kept = first.kept = None  # who looks at the result can still be served; else it is not made
        return 0

    cdef bint maps(self) except -1:
        cdef Channels view
        cdef i64[2] shape
        cdef Tensor params
        as_channels(self.x, &view)
        if self.residual is not None or view.columns or view.s < LEAST_PLANE or self.x.dtype != MTB_f32:
            return False
        shape[0], shape[1] = MTB_NORM_K0, self.x.shape[1]
        params = new_tensor(MTB_f32, 2, shape)
        if not self.origin().done:
            self.normalize(&view, NULL)
        kernels.params(&view, row_of(self.stats, 0), row_of(self.stats, 1), data_of(self.w), data_of(self.b),
                       params.data)
        self.source = self.x = alias_of(self.x)   # whatever becomes of the tensor that the user has
        self.params = params
        return True

    cdef Deferred plus(self, Tensor residual):
        cdef Normalization sum_
        if self.residual is not None or self.rectify:
            return None
        sum_ = self.followed()
        sum_.residual = residual
        return sum_

    cdef Deferred rectified(self):
        cdef Normalization relu
        if self.rectify:
            return None
        relu = self.followed()
        relu.residual, relu.rectify = self.residual, True
        return relu

    cdef Normalization followed(self):
        """A job of the same batch norm, for something that follows."""
        cdef Normalization job = Normalization.__new__(Normalization)
        job.x, job.w, job.b, job.stats = self.x, self.w, self.b, self.stats
        job.first = self.origin()
        job.running_mean, job.running_var = self.running_mean, self.running_var
        job.eps, job.momentum, job.kept = self.eps, self.momentum, self.kept
        return job

    cdef bint touches(self, Storage s) noexcept:
        if self.params is not None:
            return self.x.storage is s
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
    if (x.numel < WORTH_WAITING or x.dtype < MTB_f32 or not defers(x) or not waits(w) or not waits(b)
            or not waits(running_mean) or not waits(running_var) or as_channels(x, &view) is not x):
        return None
    job = Normalization.__new__(Normalization)
    job.x, job.w, job.b, job.stats = x, w, b, stats
    job.momentum, job.eps, job.done = momentum, eps, not training
    if training:
        job.running_mean, job.running_var = running_mean, running_var
    y = fresh_like(x)
    defer(job, y, training)
    return y
