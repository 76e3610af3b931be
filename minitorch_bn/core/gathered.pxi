# Sums that come with a result: a convolution whose result was normalized last time takes the statistics of each plane
# that it writes, while that is in cache, and leaves them with the storage for the batch norm that reads it. So does its
# gradient of what a batch norm made, with the sums that the batch norm's backward needs. They are what the batch norm
# would compute, bit for bit; whoever writes to the storage in between makes them void.

cdef vjp_t gatherer = NULL


cdef int gathers(vjp_t vjp) except -1:
    global gatherer
    gatherer = vjp
    return 0


cdef bint is_normalized(Tensor w) noexcept:
    return fusion and mtb_grad_mode and w.storage.normalized


cdef int ask(Tensor x) except -1:
    cdef Node n = x.node
    if n is not None and n.vjp == gatherer and n.s1 is not None:
        n.s1.storage.normalized = True
    return 0


cdef inline unsigned int writes(Storage s) noexcept:
    return s.version + s.quiet


cdef int tell(Tensor y, Tensor sums, const char* about) except -1:
    y.storage.gathered, y.storage.when, y.storage.about = sums, writes(y.storage), about
    return 0


cdef Tensor told(Tensor x, const char* about):
    """The sums of x's planes (at least N, C, 2), once; None if there are none, or not about that."""
    cdef Storage s = x.storage
    cdef Tensor sums = s.gathered
    s.gathered = None
    if sums is None or s.about != about or s.when != writes(s) or not defers(x) or x.data != s.data or \
            not x.contiguous or x.ndim != 4 or sums.shape[0] < x.shape[0] or sums.shape[1] != x.shape[1] or \
            x.numel * 4 != <i64> s.nbytes:
        return None
    return sums
