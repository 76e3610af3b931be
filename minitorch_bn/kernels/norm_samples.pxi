# Group norm of channels-last memory: a sample is rows of c channels, a group is some of its columns (part of norm.pyx).
# The plan's view has n samples of s rows of c columns; a task is `deep` rows of a sample, or all of a sample.

cdef i64 sample_rows(Plan* q, i64 i, i64* rows, i64* sample) noexcept nogil:
    """Task i: the offset of its first element."""
    cdef i64 first = i % q.chunks * q.deep
    sample[0], rows[0] = i // q.chunks, min(q.deep, q.view.s - first)
    return (sample[0] * q.view.s + first) * q.view.c * q.size


cdef void sample_sums_task(void* plan, i64 i) noexcept nogil:
    """The sums of a task's columns: moments about the first row of the sample, or of the gradient."""
    cdef Plan* q = <Plan*> plan
    cdef i64 rows, sample, c = q.view.c, offset = sample_rows(q, i, &rows, &sample)
    cdef double* s = q.s + 2 * i * c
    memset(s, 0, 2 * c * 8)
    if q.dy == NULL:
        q.kernels.moments_cols(rows, c, q.x + offset, c, q.x + sample * q.view.s * c * q.size, 0, s, c)
    else:
        q.kernels.backward_sums_cols(rows, c, q.x + offset, q.dy + offset, NULL, c, q.p + sample * c * q.size, q.step,
                                     MTB_MASK_NONE, NULL, s, c)


cdef void sample_params_task(void* plan, i64 sample) noexcept nogil:
    """Of the sums of its columns the statistics of a sample's groups, and what its elements are mapped with."""
    cdef Plan* q = <Plan*> plan
    cdef i64 c = q.view.c, per = q.view.per, groups = c // per, g, i
    cdef const char* x = q.x + sample * q.view.s * c * q.size
    cdef char* p = q.p + sample * c * q.size
    cdef double* s = q.sums + 2 * sample * c
    cdef double* mean = q.s + 2 * sample * q.chunks * c     # of columns, where the sums of the first rows were
    cdef double* var = mean + c
    cdef double m, v, rows = <double> q.view.s
    q.kernels.merge_cols(q.chunks, c, mean, c, 1, s)
    if q.dy != NULL:
        q.kernels.backward_affine(c, s, c, q.m, q.invstd + sample * groups, per, q.weight, c, p, q.step, NULL, NULL)
        return
    if q.kernels.finish_moments(c, s, c, rows, x, mean, var, 0, NULL, q.unsure + sample * c):
        memset(s, 0, 2 * c * 8)
        q.kernels.moments_cols(q.view.s, c, x, c, x, 1, s, c)
        q.kernels.finish_moments(c, s, c, rows, x, mean, var, 0, NULL, NULL)
    for g in range(groups):
        m = v = 0
        for i in range(g * per, (g + 1) * per):             # about the first, so that a constant stays exact
            m += mean[i] - mean[g * per]
        m = mean[g * per] + m / per
        for i in range(g * per, (g + 1) * per):
            v += var[i] + (mean[i] - m) * (mean[i] - m)
        i = sample * groups + g
        q.mean[i], q.var[i] = m, v / per
        q.invstd[i] = 1 / sqrt(q.var[i] + q.eps)
    i = sample * groups
    q.kernels.affine(c, q.mean + i, q.invstd + i, per, q.weight, q.bias, c, p, q.step)


cdef void sample_map_task(void* plan, i64 i) noexcept nogil:
    cdef Plan* q = <Plan*> plan
    cdef i64 rows, sample, c = q.view.c, offset = sample_rows(q, i, &rows, &sample)
    cdef char* p = q.p + sample * c * q.size
    if q.dy == NULL:
        q.kernels.apply_cols(rows, c, q.x + offset, NULL, c, p, q.step, 0, 1, 0, q.y + offset, q.past)
    else:
        q.kernels.backward_cols(rows, c, q.x + offset, q.dy + offset, c, p, q.step, 0, 1, MTB_MASK_NONE, 0,
                                q.dx + offset, q.past)
    written(q)


cdef void sample_task(void* plan, i64 sample) noexcept nogil:
    cdef i64 i, chunks = (<Plan*> plan).chunks
    for i in range(sample * chunks, (sample + 1) * chunks):
        sample_sums_task(plan, i)
    sample_params_task(plan, sample)
    for i in range((sample + 1) * chunks - 1, sample * chunks - 1, -1):
        sample_map_task(plan, i)


cdef int run_samples(Plan* q, const void* source, const void* result, const double* mean, void* dweight,
                     void* dbias) except -1:
    """Sums, parameters, map: sample by sample where there are enough of them."""
    cdef i64 n = q.view.n, c = q.view.c, work = n * c * q.view.s, doubles, i
    cdef size_t bytes
    cdef double* s
    q.step, q.m = n * c, <double> (q.view.s * q.view.per)
    q.deep = max(<i64> SHALLOW, BLOCK // c)
    q.chunks = ceil_div(q.view.s, q.deep)
    q.past = goes_past(q, source, result, CACHE // 8)
    doubles = 2 * n * c * (q.chunks + 1)
    bytes = doubles * 8 + (MTB_NORM_PARAMS * q.size + 1) * n * c
    q.s = s = <double*> take(bytes)
    try:
        q.sums, q.p = s + 2 * n * c * q.chunks, <char*> (s + doubles)
        q.unsure = q.p + MTB_NORM_PARAMS * q.size * n * c
        if q.dy != NULL:
            q.kernels.affine(n * c, mean, q.invstd, q.view.per, q.weight, NULL, c, q.p, q.step)
        if n >= 8:
            run_tasks(sample_task, q, n, 2 * work)
        else:
            run_tasks(sample_sums_task, q, n * q.chunks, work)
            run_tasks(sample_params_task, q, n, n * c)
            run_again(sample_map_task, q, n * q.chunks, work)
        if dweight != NULL or dbias != NULL:                # over the samples; p again: the same values
            for i in range(2 * n):
                memcpy(s + (i % 2 * n + i // 2) * c, q.sums + i * c, c * 8)
            q.kernels.backward_affine(n * c, s, n * c, q.m, q.invstd, q.view.per, q.weight, c, q.p, q.step, dweight,
                                      dbias)
    finally:
        give(s, bytes)
    return 0


cdef int normalize_samples(int real, const Channels* view, const void* x, const void* weight, const void* bias,
                           double eps, void* y, double* mean, double* var, double* invstd) except -1:
    cdef Plan q
    memset(&q, 0, sizeof(Plan))
    q.kernels, q.view, q.size = <const mtb_norm*> K.norm[real], view[0], 8 if real else 4
    q.x, q.weight, q.bias, q.y = <char*> x, <char*> weight, <char*> bias, <char*> y
    q.mean, q.var, q.invstd, q.eps = mean, var, invstd, eps
    return run_samples(&q, x, y, mean, NULL, NULL)


cdef int samples_backward(int real, const Channels* view, const void* x, const void* dy, const void* weight,
                          const double* mean, const double* invstd, void* dx, void* dweight, void* dbias) except -1:
    cdef Plan q
    memset(&q, 0, sizeof(Plan))
    q.kernels, q.view, q.size = <const mtb_norm*> K.norm[real], view[0], 8 if real else 4
    q.x, q.dy, q.weight, q.dx, q.invstd = <char*> x, <char*> dy, <char*> weight, <char*> dx, <double*> invstd
    return run_samples(&q, dy, dx, mean, dweight, dbias)
