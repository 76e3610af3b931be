# Deferred results: memory that an operation has promised and not yet filled, so that the operation that reads it next
# may do the work of both in one pass.
#
# A job is registered with the storage of its result. Whatever could look at the result, or change what it is made from,
# first settles all jobs: making a tensor (every operation that computes makes one), writing in place, and handing out
# values or addresses. So nobody can tell a deferred result from another, except by the time that it takes. A few
# operations (relu, add) look for a job before they settle it: `fused`, below.
#
# A convolution can also read what the job reads, and do its work on the way: `lift`. If then nobody but the graph holds
# the result, it is never filled: its job sleeps until a node asks for what it saved, or until somebody is about to
# change what the job reads.

cdef extern from *:
    """
    #include <unistd.h>
    static void mtb_nap(void) { usleep(20); }
    """
    void mtb_nap() nogil

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident()

cdef list jobs = []                 # of Deferred, the oldest first
cdef list asleep = []               # those whose results only the graph holds, and has not asked for
cdef int deferred = 0               # how many, for a quick look
cdef unsigned long settling = 0     # the thread that fills a result at present
# 0: nothing is deferred; 2: a deferred result holds NaN until it is filled (for tests)
cdef int fusion = int(os.environ.get("MTB_FUSION", "1"))


cdef class Deferred:
    """The rest of an operation: how to fill the memory of its result. Subclasses know the operation."""

    cdef int run(self) except -1:
        """Fill the result."""
        raise NotImplementedError

    cdef Deferred plus(self, Tensor residual):
        """A job for the result plus `residual`, or None."""
        return None

    cdef Deferred rectified(self):
        """A job for the result's ReLU, or None."""
        return None

    cdef bint maps(self) except -1:
        """Whether the result is a map of `source`, channel by channel; if so, make that and `params`."""
        return False

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
    for list_ in (jobs, asleep):
        for i in range(len(list_) - 1, -1, -1):
            if (<Deferred> list_[i]).target == s:
                del list_[i]
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
    if not deferred:     # nobody is filling one, either: a job is done before it goes
        return 0
    return settle_jobs(False, None, None, None)


cdef int settle_for(Tensor a, Tensor b, Tensor c) except -1:
    """The same for an operation that is known to read only these: what was lifted may wait on."""
    if not deferred:
        return 0
    return settle_jobs(True, a, b, c)


cdef int settle_jobs(bint known, Tensor a, Tensor b, Tensor c) except -1:
    global settling
    cdef Deferred job
    cdef Storage held
    cdef Py_ssize_t i
    cdef unsigned long me = PyThread_get_thread_ident()
    if settling == me:  # its own work makes tensors
        return 0
    take_turn(me)
    try:
        i = len(jobs)
        while i > 0:
            i -= 1           # the newest first: it may be all that anybody waits for
            if i >= len(jobs):
                continue     # a job took others with it
            job = jobs[i]
            if job.result is not None:
                if only_graph_holds(job):
                    fall_asleep(job)
                    continue
                if known and not (makes(job, a) or makes(job, b) or makes(job, c)):
                    continue
            held = <Storage> job.target      # or another thread might free it meanwhile
            job.run()
            forget(job)
            held = None
    finally:
        settling = 0
    return 0


cdef int fill(Tensor x) except -1:
    """Fill x, whatever it waits for; the others wait on."""
    global settling
    cdef Deferred job
    cdef Storage held = x.storage
    if not held.deferred:
        return 0
    take_turn(PyThread_get_thread_ident())
    try:
        for job in list(jobs):
            if job.target == <PyObject*> held:
                job.run()
                forget(job)
    finally:
        settling = 0
    for job in list(asleep):
        if job.target == <PyObject*> held:
            wake(job)
    return 0


cdef inline bint makes(Deferred job, Tensor x) noexcept:
    return x is not None and job.target == <PyObject*> x.storage


# -- results that are read without being filled ------------------------------------------------------------------------

cdef Deferred lift(Tensor x):
    """The job of x, ready to be done by who reads x: it has `source`, `params` and `rectify`. None if there is none."""
    global settling
    cdef Deferred job = job_of(x)
    cdef bint maps
    if job is None or job.over:
        return None
    take_turn(PyThread_get_thread_ident())
    try:
        maps = job.maps()
    finally:
        settling = 0
    if not maps:
        return None
    forget(job)
    x.storage.deferred += 1     # x is still to be filled
    return job


cdef int put_back(Deferred job, Tensor x, Node reader) except -1:
    """The operation that lifted the job of x is done, or failed; `reader` is its node, if that saved x."""
    global deferred
    job.result, job.reader = x, reader      # until it is known who else holds it
    jobs.append(job)
    deferred = <int> len(jobs)
    return 0


cdef bint only_graph_holds(Deferred job) noexcept:
    """Whether nobody but nodes holds the result. Once: afterwards the job does not keep it alive."""
    cdef PyObject* result = <PyObject*> job.result
    cdef bint saved = job.reader is not None
    cdef bint answer = references(result) == 1 + saved and \
        references(<PyObject*> job.result.storage) == 1 + job.shares
    return answer


cdef int fall_asleep(Deferred job) except -1:
    """What only nodes hold they reach through `saved`; what nobody holds goes here, and its job with it."""
    global deferred
    jobs.remove(job)
    deferred = <int> len(jobs)
    asleep.append(job)
    job.result = job.reader = None
    return 0


cdef int wake(Deferred job) except -1:
    """Fill a result after all."""
    global settling
    cdef unsigned long me = PyThread_get_thread_ident(), was = settling if settling == me else 0
    cdef Storage held
    take_turn(me)
    try:
        if job not in asleep:        # another thread did it, or the result is gone
            return 0
        held = <Storage> job.target
        job.run()
        asleep.remove(job)
        held.deferred -= 1
    finally:
        settling = was
    return 0


cdef int wake_readers(Storage s) except -1:
    """That memory is about to change, or may from now on: fill what is made from it."""
    cdef Deferred job
    if not asleep:
        return 0
    for job in list(asleep):
        if job.touches(s):
            wake(job)
    return 0


cdef int lend(Storage s) except -1:
    """Its address is given away."""
    settle_all()
    wake_readers(s)
    s.lent = True
    return 0


cdef Deferred sleeper(Node n, int slot):
    """The job of what the node saved there, if that was never filled."""
    cdef Tensor x = n.s0 if slot == 0 else n.s1 if slot == 1 else n.s2
    cdef Deferred job
    if x is not None and x.storage.deferred and not n.released:
        settle_all()
        for job in asleep:
            if job.target == <PyObject*> x.storage:
                return job
    return None


# -- results that are filled together with what follows ----------------------------------------------------------------

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
    """relu(x), or relu_(x), as part of the job that makes x; None if there is no such job."""
    cdef Deferred job = job_of(x), other, relu
    cdef Tensor y = x
    cdef Node n = None
    relu = None if job is None else job.rectified()
    if relu is None:
        return None
    if inplace:
        check_writable(x)
        for other in jobs:
            if other is not job and other.touches(x.storage):
                return None
    if mtb_grad_mode and in_graph(x):
        n = recorded(OP_RELU, x, None, None, NULL, 0, 0)
    if inplace:
        forget(job)
        relu.over = job.over
    else:
        y = fresh_like(x)
    defer(relu, y, relu.kept is not None)
    job.kept = None         # what has to be done in any case, the new job does
    if inplace:
        bump(x)
    if n is not None:
        save_output(n, 0, y)
        relu.shares = 1
        if inplace:
            inplace_history(x, n)
        else:
            set_history(y, n)
    return y


cdef Py_ssize_t unlifted() noexcept:
    cdef Py_ssize_t n = 0
    cdef Deferred job
    for job in jobs:
        n += job.result is None
    return n


cdef Tensor fused_add(Tensor a, Tensor b, bint inplace):
    """a + b, or a.add_(b), as part of the job that makes one of them; None if there is no such job."""
    cdef Deferred job = job_of(a), sum_
    cdef Tensor other = b, y = a
    cdef Node n = None
    if job is None:
        job, other = job_of(b), a
    if job is None or unlifted() != 1 or not same_memory_order(a, b) or a.dtype != b.dtype or not defers(other) or \
            other.storage is <object> job.target:
        return None
    fill(other)          # a convolution may have read it before it was made
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
    job.kept = None
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
    for job in list(asleep):
        wake(job)
    fusion = mode
    return was
