# Deferred results: memory that an operation has promised and not yet filled, so that the operation that reads it next
# may do the work of both in one pass.
#
# A job is registered with the storage of its result. Whatever could look at the result, or change what it is made from,
# first settles all jobs: making a tensor (every operation that computes makes one), writing in place, and handing out
# values or addresses. So nobody can tell a deferred result from another, except by the time that it takes. A few
# operations (relu, add) look for a job before they settle it: `fused`, below.

cdef extern from *:
    """
    #include <unistd.h>
    static void mtb_nap(void) { usleep(20); }
    """
    void mtb_nap() nogil

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident()

cdef list jobs = []                 # of Deferred, the oldest first
cdef int deferred = 0               # how many, for a quick look
cdef unsigned long settling = 0     # the thread that fills a result at present
# 0: nothing is deferred; 2: a deferred result holds NaN until it is filled (for tests)
cdef int fusion = int(os.environ.get("MTB_FUSION", "1"))


cdef class Deferred:
    """The rest of an operation: how to fill the memory of its result. Subclasses know the operation."""

    cdef int run(self) except -1:
        """Fill the result."""
        raise NotImplementedError

    cdef int fill(self, Tensor out, Tensor residual, bint relu) except -1:
        """Write relu(result + residual) to `out`, which is laid out like the result; the result itself stays
        deferred."""
        raise NotImplementedError

    cdef Deferred plus(self, Tensor residual):
        """A job for the result plus `residual`, or None."""
        return None

    cdef bint touches(self, Storage s) noexcept:
        """Whether the job reads or writes that memory."""
        return True


cdef bint defers(Tensor x) noexcept:
    """Whether a job may read x later: nobody outside can change its memory unnoticed."""
    return fusion and x.storage.owner is None and not x.storage.lent


cdef int defer(Deferred job, Tensor y, bint keep) except -1:
    """y, fresh or about to be overwritten, is what `job` will make. With `keep` even if nobody waits for y."""
    global deferred
    job.data, job.dtype, job.ndim = y.data, y.dtype, y.ndim
    memcpy(job.shape, y.shape, sizeof(y.shape))
    memcpy(job.strides, y.strides, sizeof(y.strides))
    job.target, job.kept = <PyObject*> y.storage, y.storage if keep else None
    y.storage.deferred += 1
    jobs.append(job)
    deferred = <int> len(jobs)
    if fusion == 2 and not job.over:
        memset(y.storage.data, 0xff, y.storage.nbytes)
    return 0


cdef int forget(Deferred job) except -1:
    """The job is done, or nobody waits for it."""
    global deferred
    cdef Py_ssize_t i
    for i in range(len(jobs)):
        if jobs[i] is job:
            del jobs[i]
            deferred = <int> len(jobs)
            (<Storage> job.target).deferred -= 1
            break
    return 0


cdef int drop_jobs(PyObject* s) except -1:
    """Memory goes that jobs were to fill."""
    cdef Py_ssize_t i
    global deferred
    for i in range(len(jobs) - 1, -1, -1):
        if (<Deferred> jobs[i]).target == s:
            del jobs[i]
    deferred = <int> len(jobs)
    return 0


cdef int take_turn(unsigned long me) except -1:
    """Wait while another thread fills a result; then it is this one's turn."""
    global settling
    while settling and settling != me:
        with nogil:
            mtb_nap()
    settling = me
    return 0


cdef int settle_all() except -1:
    """Fill every deferred result. If that fails (no memory), the jobs stay."""
    global settling
    cdef Deferred job
    cdef unsigned long me = PyThread_get_thread_ident()
    if settling == me:  # its own work makes tensors
        return 0
    take_turn(me)
    try:
        while jobs:
            job = jobs[0]
            job.run()
            forget(job)
    finally:
        settling = 0
    return 0


cdef Deferred job_of(Tensor x):
    """The job that will make all of x, or None."""
    cdef Deferred job
    cdef int d
    if x.storage.deferred != 1 or settling:
        return None
    for job in jobs:
        if job.target == <PyObject*> x.storage and job.data == x.data and job.dtype == x.dtype and job.ndim == x.ndim:
            for d in range(x.ndim):
                if x.shape[d] != job.shape[d] or x.strides[d] != job.strides[d]:
                    return None
            return job
    return None


cdef int fill_from(Deferred job, Tensor out, Tensor residual, bint relu) except -1:
    global settling
    take_turn(PyThread_get_thread_ident())
    try:
        return job.fill(out, residual, relu)
    finally:
        settling = 0


cdef bint same_memory_order(Tensor a, Tensor b) noexcept:
    cdef int d
    if not same_shape(a, b):
        return False
    for d in range(a.ndim):
        if a.strides[d] != b.strides[d]:
            return False
    return True


cdef Tensor fresh_like(Tensor x):
    cdef Tensor y = fresh_tensor(x.dtype, x.ndim, x.shape)
    memcpy(y.strides, x.strides, sizeof(y.strides))
    y.contiguous = x.contiguous
    return y


cdef Tensor fused_relu(Tensor x, bint inplace):
    """relu(x), or relu_(x), together with the job that makes x; None if there is no such job."""
    cdef Deferred job = job_of(x)
    cdef Tensor y = x
    cdef Node n = None
    if job is None or x.storage.deferred != 1:
        return None
    if inplace:
        check_writable(x)
        for other in jobs:
            if other is not job and (<Deferred> other).touches(x.storage):
                return None
    if mtb_grad_mode and in_graph(x):
        n = recorded(OP_RELU, x, None, None, NULL, 0, 0)
    if not inplace:
        y = fresh_like(x)
    fill_from(job, y, None, True)
    if inplace:
        forget(job)
        bump(x)
    if n is not None:
        save_output(n, 0, y)
        if inplace:
            inplace_history(x, n)
        else:
            set_history(y, n)
    return y


cdef Tensor fused_add(Tensor a, Tensor b, bint inplace):
    """a + b, or a.add_(b), as part of the job that makes one of them; None if there is no such job."""
    cdef Deferred job = job_of(a), sum_
    cdef Tensor other = b, y = a
    cdef Node n = None
    if job is None:
        job, other = job_of(b), a
    if job is None or len(jobs) != 1 or not same_memory_order(a, b) or a.dtype != b.dtype or not defers(other) or \
            other.storage is <object> job.target:
        return None
    sum_ = job.plus(other)
    if sum_ is None:
        return None
    if inplace:
        check_writable(a)
        if other is a and job.touches(a.storage):
            return None
    if mtb_grad_mode and (in_graph(a) or in_graph(b)):
        n = recorded(OP_ADD, a, b, None, NULL, 0, 0)
    if inplace:
        if other is b:       # a is what the job makes: from now on, the sum
            forget(job)
    else:
        y = fresh_like(a)
    sum_.over = inplace and other is a
    defer(sum_, y, sum_.kept is not None)
    if inplace:
        bump(a)
    if n is not None:
        if inplace:
            inplace_history(a, n)
        else:
            set_history(y, n)
    return y


cdef Tensor fused(int op, object a, object b, bint inplace):
    if not isinstance(a, Tensor):
        return None
    if op == OP_RELU:
        return fused_relu(<Tensor> a, inplace)
    return fused_add(<Tensor> a, <Tensor> b, inplace) if isinstance(b, Tensor) else None


def set_fusion(int mode):
    """0: every operation computes at once; 1: some wait for the next one; 2: the same, and what waits holds NaN (for
    tests). Returns what it was."""
    global fusion
    cdef int was = fusion
    settle_all()
    fusion = mode
    return was
