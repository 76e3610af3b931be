"""Reductions: from any strides and dims to what the kernels take, and back to the order of the dims."""

cdef Tensor lay_out(Tensor x, unsigned int mask, Layout* l):
    """x, or a row-major copy where the kernels cannot read it in place."""
    cdef int d, j, kept = -1
    cdef i64 dense = 1
    cdef bint copy = False, inside = True
    l.ndim, l.permuted = 0, False
    for d in range(x.ndim):
        if x.shape[d] != 1:                  # by stride, the largest first; what is repeated comes before all
            j = l.ndim
            while j > 0 and not x.contiguous and (x.strides[d] == 0 or l.strides[j - 1] < x.strides[d]) \
                    and l.strides[j - 1] != 0:
                l.dim[j], l.strides[j] = l.dim[j - 1], l.strides[j - 1]
                j -= 1
            l.dim[j], l.strides[j] = d, x.strides[d]
            l.ndim += 1
    for j in range(l.ndim):
        d = l.dim[j]
        l.shape[j], l.reduced[j] = x.shape[d], mask >> d & 1
        if not l.reduced[j]:
            l.permuted = l.permuted or d < kept
            kept = d
    if x.contiguous:                         # an empty one may have any strides
        for j in range(l.ndim - 1, -1, -1):
            l.strides[j] = dense
            dense *= l.shape[j]
        return x
    for j in range(l.ndim - 1, -1, -1):      # axes behind the last reduced one have to lie like one
        inside = inside and not l.reduced[j]
        if inside and j < l.ndim - 1 and l.strides[j] != l.strides[j + 1] * l.shape[j + 1]:
            copy = True
    if copy or inside or (is_float(x.dtype) and x.dtype < MTB_f32 and l.strides[l.ndim - 1] != 1):
        return lay_out(raw_contiguous(x), mask, l)
    return x


cdef Tensor in_order(Tensor y, Tensor x, unsigned int mask, Layout* l):
    """y, a result whose elements are in the order of x's memory, in the order of x's dims."""
    cdef i64[8] step
    cdef int d, j, n = 0
    cdef i64 dense = 1
    if not l.permuted:
        return y
    for d in range(x.ndim):
        step[d] = 1
    for j in range(l.ndim - 1, -1, -1):
        if not l.reduced[j]:
            step[l.dim[j]] = dense
            dense *= l.shape[j]
    for d in range(x.ndim):
        if y.ndim == x.ndim or not mask >> d & 1:
            step[n] = step[d]
            n += 1
    return raw_contiguous(view_of(y, y.ndim, y.shape, step, y.data))


cdef Tensor new_reduced(Tensor x, unsigned int mask, bint keepdim, int dtype):
    cdef i64[8] shape
    cdef int d, n = 0
    for d in range(x.ndim):
        if not mask >> d & 1:
            shape[n] = x.shape[d]
            n += 1
        elif keepdim:
            shape[n] = 1
            n += 1
    return new_tensor(dtype, n, shape)
