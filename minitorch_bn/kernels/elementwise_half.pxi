# Arithmetic on float16 and bfloat16 in one pass, where src_c/half.h has a loop for it.

cdef extern from "gen/opids.h":
    enum:
        MTB_NOPS
        MTB_OP_add
        MTB_OP_sub
        MTB_OP_rsub
        MTB_OP_mul
        MTB_OP_div
        MTB_OP_reciprocal
        MTB_OP_maximum
        MTB_OP_minimum
        MTB_OP_square
        MTB_OP_sqrt
        MTB_OP_round
        MTB_OP_floor
        MTB_OP_ceil
        MTB_OP_trunc
        MTB_OP_relu
        MTB_OP_leaky_relu
        MTB_GRAD_relu_0

cdef int[17] HALF = [MTB_OP_add, MTB_OP_sub, MTB_OP_rsub, MTB_OP_mul, MTB_OP_div, MTB_OP_reciprocal, MTB_OP_maximum,
                     MTB_OP_minimum, MTB_OP_square, MTB_OP_sqrt, MTB_OP_round, MTB_OP_floor, MTB_OP_ceil, MTB_OP_trunc,
                     MTB_OP_relu, MTB_OP_leaky_relu, MTB_NOPS + MTB_GRAD_relu_0]


cdef bint take_half(plan* p, int ndim, double* k) noexcept nogil:
    """Let a loop of small floats serve, if all operands are of one such type (one of two may be a number)."""
    cdef int dtype = p.ops[0].dtype, i, d, op = -1, left = 0
    cdef const mtb_elementwise* table = K.elementwise[<int> MTB_f32]
    if (dtype != MTB_f16 and dtype != MTB_bf16) or p.n > 3 or K.convert.half[dtype - MTB_f16] == NULL:
        return False
    for i in range(17):
        if p.f == (table.value[HALF[i]] if HALF[i] < MTB_NOPS else table.grad[HALF[i] - MTB_NOPS]):
            op = HALF[i]
    if op < 0:
        return False
    for i in range(1, p.n):
        if p.ops[i].dtype != dtype:
            for d in range(ndim):
                if p.ops[i].strides[d] != 0:
                    return False
            if p.n == 2 or left or p.ops[i].dtype != MTB_f32:
                return False
            left = i
    k[0], k[1], k[2] = op, 1, p.n == 3 and not left
    if p.k != NULL and op == MTB_OP_leaky_relu:
        k[1] = p.k[0]
    if left:
        k[1] = (<float*> p.ops[left].data)[0]
        p.n = 2
        if left == 1:
            p.ops[1] = p.ops[2]
            k[0] = (MTB_OP_rsub if op == MTB_OP_sub else MTB_OP_sub if op == MTB_OP_rsub else
                    MTB_OP_reciprocal if op == MTB_OP_div else op)
    for i in range(p.n):
        p.ops[i].want = dtype
    p.f, p.k, p.right, p.left = K.convert.half[dtype - MTB_f16], k, NULL, NULL
    return True
