"""Matrix products of tensors: matmul with PyTorch's broadcasting, its special cases, and the linear layer.

All of them are one primitive, `product`: op(a) op(b) + bias, where op may transpose the last two dims. Its gradients
are products again, with other flags; so derivatives of every order come from these few lines.
"""
from minitorch_bn._core cimport (MAXDIM, Node, Tensor, cast, dtype_object, new_node, new_tensor, raw_cast,
                                 raw_contiguous, save, saved, set_history, shape_tuple, sum_to, tracks2, tracks3,
                                 view_of, wants)
from minitorch_bn._core import named
from minitorch_bn.kernels.matmul cimport batched_gemm, integer_gemm
from minitorch_bn.kernels.runtime cimport MTB_b8, MTB_bf16, MTB_f16, MTB_f32, MTB_i64, i64

cdef enum:
    FEW_ROWS = 64

# What PyTorch's messages call a dtype.
cdef dict C_NAMES = {"float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double",
                     "int64": "long int", "int32": "int", "int16": "short int", "int8": "signed char",
                     "uint8": "unsigned char", "bool": "bool"}
cdef dict SCALAR_NAMES = {"float16": "Half", "bfloat16": "BFloat16", "float32": "Float", "float64": "Double",
                          "int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte",
                          "bool": "Bool"}


cdef str dtype_name(Tensor x):
    return str(dtype_object(x.dtype)).rpartition(".")[2]

cdef str scalar_name(Tensor x):
    return SCALAR_NAMES[dtype_name(x)]


# -- the primitive -----------------------------------------------------------------------------------------------------

cdef Tensor rows_of(Tensor x):
    """x with all dims but the last in one, as a view; None if its strides do not allow that."""
    cdef i64[2] shape
    cdef i64[2] strides
    cdef int d, last = x.ndim - 1
    shape[0], shape[1], strides[0], strides[1] = 1, x.shape[last], 0, x.strides[last]
    for d in range(last - 1, -1, -1):
        if x.shape[d] == 1:
            continue
        if shape[0] == 1:
            strides[0] = x.strides[d]
        elif x.strides[d] != strides[0] * shape[0]:
            return None
        shape[0] *= x.shape[d]
    return view_of(x, 2, shape, strides, x.data)


cdef Tensor readable(Tensor x):
    """x, or a copy if neither its rows nor its columns are contiguous (matrices are packed by runs of one of them)."""
    cdef int d = x.ndim - 1
    if x.strides[d] == 1 or x.strides[d - 1] == 1 or x.shape[d] == 1 or x.shape[d - 1] == 1:
        return x
    return raw_contiguous(x)


cdef Tensor turned(Tensor x):
    """A copy of x with the last two dims exchanged."""
    cdef i64[MAXDIM] shape
    cdef i64[MAXDIM] strides
    cdef int d, last = x.ndim - 1
    for d in range(last + 1):
        shape[d], strides[d] = x.shape[d], x.strides[d]
    shape[last], shape[last - 1], strides[last], strides[last - 1] = shape[last - 1], shape[last], strides[last - 1], 1
    return raw_contiguous(view_of(x, x.ndim, shape, strides, x.data))


cdef Tensor raw_product(Tensor a, Tensor b, bint ta, bint tb, Tensor bias):
    cdef i64[MAXDIM] shape
    cdef i64[MAXDIM] batch_a
    cdef i64[MAXDIM] batch_b
    cdef i64[MAXDIM] batch_c
    cdef int nb, d, da, db, dtype = a.dtype
    cdef i64 m, n, k, at
    cdef i64 rsa, csa, rsb, csb
    cdef const char* plus = NULL
    cdef Tensor c, rows
    if dtype == MTB_f16 or dtype == MTB_bf16:
        return raw_cast(raw_product(raw_cast(a, MTB_f32), raw_cast(b, MTB_f32), ta, tb,
                                    None if bias is None else raw_cast(bias, MTB_f32)), dtype)
    if dtype < MTB_f16 and dtype != MTB_i64:
        return raw_cast(raw_product(raw_cast(a, MTB_i64), raw_cast(b, MTB_i64), ta, tb, None), dtype)
    a, b = readable(a), readable(b)
    nb = max(a.ndim, b.ndim) - 2
    for d in range(nb):                              # broadcast the batch dims
        da, db = d - nb + a.ndim - 2, d - nb + b.ndim - 2
        batch_a[d] = a.strides[da] if da >= 0 and a.shape[da] != 1 else 0
        batch_b[d] = b.strides[db] if db >= 0 and b.shape[db] != 1 else 0
        shape[d] = a.shape[da] if da >= 0 else 1
        if db >= 0 and b.shape[db] != 1:
            if shape[d] != 1 and shape[d] != b.shape[db]:
                raise RuntimeError(f"The size of tensor a ({shape[d]}) must match the size of tensor b ({b.shape[db]}) "
                                   f"at non-singleton dimension {d}")
            shape[d] = b.shape[db]
    m, rsa, csa = a.shape[a.ndim - 2], a.strides[a.ndim - 2], a.strides[a.ndim - 1]
    k = a.shape[a.ndim - 1]
    if ta:
        m, k, rsa, csa = k, m, csa, rsa
    n, rsb, csb = b.shape[b.ndim - 1], b.strides[b.ndim - 2], b.strides[b.ndim - 1]
    if tb:
        n, rsb, csb = b.shape[b.ndim - 2], csb, rsb
    # rows of A side by side, few columns of B: (B^T A^T)^T reads A along its runs, and fills vectors
    if rsa == 1 != csa and 1 < n <= 8 and m >= 64 and k >= 16 and bias is None and dtype != MTB_i64:
        return turned(raw_product(b, a, not tb, not ta, None))
    shape[nb], shape[nb + 1] = m, n
    c = new_tensor(dtype, nb + 2, shape)
    for d in range(nb):
        batch_c[d] = c.strides[d]
    if dtype == MTB_i64:
        for at in range(c.numel // (m * n) if m * n else 0):
            integer_matrix(at, nb, shape, a, batch_a, rsa, csa, b, batch_b, rsb, csb, c, m, n, k)
        return c
    if nb > 0 and b.ndim == 2 and not ta:            # one matrix for the whole batch: rows of one product
        rows = rows_of(a)
        if rows is None and csa == 1 and m <= FEW_ROWS:      # a copy of A costs less than packing B for each few rows
            a = raw_contiguous(a)
            rows = rows_of(a)
        if rows is not None:
            nb, m, rsa = 0, rows.shape[0], rows.strides[0]
    if bias is not None:
        bias = raw_contiguous(bias)
        plus = bias.data
    batched_gemm(dtype - MTB_f32, nb, shape, m, n, k, a.data, batch_a, rsa, csa, b.data, batch_b, rsb, csb,
                 c.data, batch_c, n, False, plus)
    return c


cdef int integer_matrix(i64 index, int nb, const i64* shape, Tensor a, const i64* batch_a, i64 rsa, i64 csa, Tensor b,
                        const i64* batch_b, i64 rsb, i64 csb, Tensor c, i64 m, i64 n, i64 k) except -1:
    cdef const i64* pa = <const i64*> a.data
    cdef const i64* pb = <const i64*> b.data
    cdef i64* pc = <i64*> c.data + index * m * n
    cdef int d
    for d in range(nb - 1, -1, -1):
        pa += index % shape[d] * batch_a[d]
        pb += index % shape[d] * batch_b[d]
        index //= shape[d]
    return integer_gemm(m, n, k, pa, rsa, csa, pb, rsb, csb, pc, n)


cdef object vjp_product(Node node, object g_):
    cdef Tensor g = g_, a = None, b = None, ga = None, gb = None, gc = None
    cdef bint ta = node.k[0] != 0, tb = node.k[1] != 0
    cdef i64[1] columns
    if wants(node, 0):
        b = saved(node, 1)
        ga = product(b, g, tb, True, None, "MmBackward0") if ta else product(g, b, False, not tb, None, "MmBackward0")
        if node.aux is not None:
            ga = sum_batch(ga, node.aux[0])
    if wants(node, 1):
        a = saved(node, 0)
        if node.aux is not None and len(<tuple> node.aux[1]) == 2 and not ta:    # a batch of rows met one matrix
            a, g = a.flatten(0, -2), g.flatten(0, -2)
        gb = product(g, a, True, ta, None, "MmBackward0") if tb else product(a, g, not ta, False, None, "MmBackward0")
        if node.aux is not None:
            gb = sum_batch(gb, node.aux[1])
    if node.nin == 3 and wants(node, 2):
        g = g_
        columns[0] = g.shape[g.ndim - 1]
        gc = sum_to(g, 1, columns)
    return ga, gb, gc


cdef Tensor sum_batch(Tensor g, tuple shape):
    """g summed to that shape."""
    cdef i64[MAXDIM] sizes
    cdef int d
    for d in range(len(shape)):
        sizes[d] = shape[d]
    return sum_to(g, len(shape), sizes)


cdef Tensor product(Tensor a, Tensor b, bint ta, bint tb, Tensor bias, str name):
    """op(a) op(b) + bias, op = transposed if ta (tb); a (..., m, k) and b (..., k, n) at least 2-D, of the same dtype,
    with matching k; batch dims broadcast; bias (n) or None."""
    cdef Tensor c = raw_product(a, b, ta, tb, bias)
    cdef Node node
    if c.dtype >= MTB_f16 and (tracks2(a, b) or bias is not None and tracks3(a, b, bias)):
        node = new_node(vjp_product, name, a, b, bias)
        node.k[0], node.k[1] = ta, tb
        if wants(node, 1):
            save(node, 0, a)
        if wants(node, 0):
            save(node, 1, b)
        if a.ndim > 2 or b.ndim > 2:
            node.aux = shape_tuple(a), shape_tuple(b)
        set_history(c, node)
    return c


# -- checks ------------------------------------------------------------------------------------------------------------

cdef object mismatch(i64 m, i64 k, i64 k2, i64 n):
    return RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({m}x{k} and {k2}x{n})")


cdef int check_dtypes(Tensor a, Tensor b) except -1:
    if a.dtype != b.dtype:
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: {C_NAMES[dtype_name(a)]} != "
                           f"{C_NAMES[dtype_name(b)]}; convert one of them with .to(dtype)")
    if a.dtype == MTB_b8:
        raise NotImplementedError("\"addmm_impl_cpu_\" not implemented for 'Bool'; convert to a numeric dtype first")
    return 0


cdef Tensor given(object y, object out):
    """The result, or `out` filled with it."""
    if out is None:
        return y
    if (<Tensor?> out).requires_grad or y.requires_grad:
        raise RuntimeError("functions with out=... arguments don't support automatic differentiation, but one of the "
                           "arguments requires grad.")
    return out.resize_(y.shape).copy_(y)


# A product with a vector, when nothing is recorded: the vector as a matrix; its result, one row or column, as it is.

cdef Tensor as_matrix(Tensor x, bint column):
    cdef i64[2] shape
    cdef i64[2] strides
    shape[0], shape[1], strides[0], strides[1] = x.shape[0], 1, x.strides[0], 1
    if not column:
        shape[0], shape[1], strides[0], strides[1] = 1, x.shape[0], x.shape[0], x.strides[0]
    return view_of(x, 2, shape, strides, x.data)


cdef Tensor flat(Tensor y, int ndim):
    y.ndim, y.shape[0], y.strides[0] = ndim, y.numel, 1
    return y


# -- the functions -----------------------------------------------------------------------------------------------------

def mm(Tensor input not None, Tensor mat2 not None, *, out=None):
    """Matrix product of (n, m) and (m, p)."""
    if input.ndim != 2:
        raise RuntimeError(f"self must be a matrix, but got {input.ndim} dimensions")
    if mat2.ndim != 2:
        raise RuntimeError(f"mat2 must be a matrix, but got {mat2.ndim} dimensions")
    check_dtypes(input, mat2)
    if input.shape[1] != mat2.shape[0]:
        raise mismatch(input.shape[0], input.shape[1], mat2.shape[0], mat2.shape[1])
    return given(product(input, mat2, False, False, None, "MmBackward0"), out)


def bmm(Tensor input not None, Tensor mat2 not None, *, out=None):
    """Matrix products of (b, n, m) and (b, m, p), one by one. No broadcasting: see :func:`matmul`."""
    if input.ndim != 3 or mat2.ndim != 3:
        raise RuntimeError(f"{'batch1' if input.ndim != 3 else 'batch2'} must be a 3D tensor")
    check_dtypes(input, mat2)
    if input.shape[0] != mat2.shape[0] or input.shape[2] != mat2.shape[1]:
        raise RuntimeError(f"Expected size for first two dimensions of batch2 tensor to be: "
                           f"[{input.shape[0]}, {input.shape[2]}] but got: [{mat2.shape[0]}, {mat2.shape[1]}].")
    return given(product(input, mat2, False, False, None, "BmmBackward0"), out)


def mv(Tensor input not None, Tensor vec not None, *, out=None):
    """Product of a matrix (n, m) and a vector (m)."""
    if input.ndim != 2 or vec.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {input.ndim}, {vec.ndim}")
    check_dtypes(input, vec)
    if input.shape[1] != vec.shape[0]:
        raise RuntimeError(f"size mismatch, got input ({input.shape[0]}), mat ({input.shape[0]}x{input.shape[1]}), "
                           f"vec ({vec.shape[0]})")
    if out is None and not tracks2(input, vec):
        return flat(raw_product(input, as_matrix(vec, True), False, False, None), 1)
    return given(named(product(input, vec.unsqueeze(1), False, False, None, "").squeeze(1), "MvBackward0"), out)


def dot(Tensor input not None, Tensor tensor not None, *, out=None):
    """Dot product of two vectors."""
    if input.ndim != 1 or tensor.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {input.ndim}D and {tensor.ndim}D tensors")
    if input.dtype != tensor.dtype:
        raise RuntimeError(f"dot : expected both vectors to have same dtype, but found {scalar_name(input)} and "
                           f"{scalar_name(tensor)}")
    check_dtypes(input, tensor)
    if input.shape[0] != tensor.shape[0]:
        raise RuntimeError(f"inconsistent tensor size, expected tensor [{input.shape[0]}] and src [{tensor.shape[0]}] "
                           f"to have the same number of elements, but got {input.shape[0]} and {tensor.shape[0]} "
                           f"elements respectively")
    if out is None and not tracks2(input, tensor):
        return flat(raw_product(as_matrix(input, False), as_matrix(tensor, True), False, False, None), 0)
    y = product(input.unsqueeze(0), tensor.unsqueeze(1), False, False, None, "").reshape(())
    return given(named(y, "DotBackward0"), out)


def matmul(Tensor input not None, Tensor other not None, *, out=None):
    """Matrix product: dot product of vectors, matrix by vector, matrix by matrix; further leading dims are a batch,
    and are broadcast. PyTorch's rules."""
    cdef i64 k, k2, m, n
    if input.ndim == 0 or other.ndim == 0:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {input.ndim}D and "
                           f"{other.ndim}D")
    if other.ndim == 1:
        if input.ndim == 1:
            return dot(input, other, out=out)
        if input.ndim == 2:
            return mv(input, other, out=out)
    check_dtypes(input, other)
    k, m = input.shape[input.ndim - 1], 1
    if input.ndim > 1:
        m = input.shape[input.ndim - 2]
    if other.ndim == 1:
        if k != other.shape[0]:
            m = input.numel // k if k else 0
            raise RuntimeError(f"size mismatch, got input ({m}), mat ({m}x{k}), vec ({other.shape[0]})")
        return given(product(input, other.unsqueeze(1), False, False, None, "MvBackward0").squeeze(-1), out)
    k2, n = other.shape[other.ndim - 2], other.shape[other.ndim - 1]
    if k != k2:
        if other.ndim > 2:
            raise RuntimeError(f"Expected size for first two dimensions of batch2 tensor to be: "
                               f"[{other.numel // (k2 * n) if k2 * n else 0}, {k}] but got: "
                               f"[{other.numel // (k2 * n) if k2 * n else 0}, {k2}].")
        raise mismatch(input.numel // k if k else 0, k, k2, n)
    if input.ndim == 1:
        if other.ndim == 2 and out is None and not tracks2(input, other):
            return flat(raw_product(as_matrix(input, False), other, False, False, None), 1)
        return given(product(input.unsqueeze(0), other, False, False, None, "SqueezeBackward1").squeeze(-2), out)
    return given(product(input, other, False, False, None, "MmBackward0" if input.ndim == 2 and other.ndim == 2 else
                         "UnsafeViewBackward0" if other.ndim == 2 else "BmmBackward0"), out)


def linear(Tensor input not None, Tensor weight not None, Tensor bias=None):
    """input (..., in_features) @ weight (out_features, in_features)^T + bias (out_features): in one pass."""
    cdef Tensor y
    if input.ndim == 0 or weight.ndim == 0:
        raise RuntimeError(f"both arguments to linear need to be at least 1D, but they are {input.ndim}D and "
                           f"{weight.ndim}D")
    if weight.ndim > 2:
        raise RuntimeError(f"linear: weight must be (out_features, in_features), but got shape "
                           f"{list(shape_tuple(weight))}")
    if weight.ndim == 1:
        y = matmul(input, weight)
        return y if bias is None else y + bias
    check_dtypes(input, weight)
    if input.shape[input.ndim - 1] != weight.shape[1]:
        raise mismatch(input.numel // input.shape[input.ndim - 1] if input.numel else 0, input.shape[input.ndim - 1],
                       weight.shape[1], weight.shape[0])
    if bias is not None:
        if bias.dtype != input.dtype:
            raise RuntimeError(f"self and mat2 must have the same dtype, but got {scalar_name(bias)} and "
                               f"{scalar_name(weight)}")
        if bias.ndim != 1 or bias.shape[0] != weight.shape[0] or bias.dtype < MTB_f16:
            return linear(input, weight) + check_expands(bias, shape_tuple(input)[:-1] + (weight.shape[0],))
    if input.ndim == 1:
        return product(input.unsqueeze(0), weight, False, True, bias, "AddmmBackward0").squeeze(0)
    return product(input, weight, False, True, bias, "AddmmBackward0" if bias is not None else "MmBackward0")


cdef Tensor check_expands(Tensor x, tuple shape):
    cdef int d
    for d in range(x.ndim):
        if x.ndim > len(shape) or x.shape[d] != 1 and x.shape[d] != shape[d - x.ndim]:
            raise RuntimeError(f"The expanded size of the tensor ({shape[d - x.ndim] if x.ndim <= len(shape) else 1}) "
                               f"must match the existing size ({x.shape[d]}) at non-singleton dimension "
                               f"{d - x.ndim + len(shape)}.  Target sizes: {list(shape)}.  Tensor sizes: "
                               f"{list(shape_tuple(x))}")
    return x


cdef object scaled(object x, object factor):
    return x if factor == 1 else x * factor


cdef object combine(Tensor input, object y, object beta, object alpha, object out):
    """beta * input + alpha * y; input is not read if beta is 0."""
    check_expands(input, tuple(y.shape))
    if (<Tensor> y).dtype < MTB_f16:  # integers (bools) have integer (bool) factors
        kind = bool if (<Tensor> y).dtype == MTB_b8 else int
        beta, alpha = kind(beta), kind(alpha)
    y = scaled(y, alpha)
    if beta == 0:
        return given(y, out)
    input = scaled(input, beta)
    if out is None and input.dtype == (<Tensor> y).dtype and not tracks2(input, y):
        return y.add_(input)                         # nobody else has it
    return given(input + y, out)


cdef object in_float(object function, Tensor x, Tensor a, Tensor b, object beta, object alpha, object out):
    """Half precision is rounded once, after the sum."""
    y = function(cast(x, MTB_f32), cast(a, MTB_f32), cast(b, MTB_f32), beta=beta, alpha=alpha)
    return given(cast(y, x.dtype), out)


def addmm(Tensor input not None, Tensor mat1 not None, Tensor mat2 not None, *, beta=1, alpha=1, out=None):
    """beta * input + alpha * (mat1 @ mat2)."""
    if (beta == 1 and alpha == 1 and out is None and input.ndim == 1 and mat1.ndim == 2 and mat2.ndim == 2
            and mat1.shape[1] == mat2.shape[0] and input.shape[0] == mat2.shape[1]
            and input.dtype == mat1.dtype == mat2.dtype and input.dtype >= MTB_f16):
        return product(mat1, mat2, False, False, input, "AddmmBackward0")
    if MTB_f16 <= input.dtype < MTB_f32 and input.dtype == mat1.dtype == mat2.dtype:
        return in_float(addmm, input, mat1, mat2, beta, alpha, out)
    return combine(input, mm(mat1, mat2), beta, alpha, out)


def addmv(Tensor input not None, Tensor mat not None, Tensor vec not None, *, beta=1, alpha=1, out=None):
    """beta * input + alpha * (mat @ vec)."""
    if MTB_f16 <= input.dtype < MTB_f32 and input.dtype == mat.dtype == vec.dtype:
        return in_float(addmv, input, mat, vec, beta, alpha, out)
    return combine(input, mv(mat, vec), beta, alpha, out)


def baddbmm(Tensor input not None, Tensor batch1 not None, Tensor batch2 not None, *, beta=1, alpha=1, out=None):
    """beta * input + alpha * (batch1 @ batch2), matrix by matrix."""
    if MTB_f16 <= input.dtype < MTB_f32 and input.dtype == batch1.dtype == batch2.dtype:
        return in_float(baddbmm, input, batch1, batch2, beta, alpha, out)
    return combine(input, bmm(batch1, batch2), beta, alpha, out)


def addbmm(Tensor input not None, Tensor batch1 not None, Tensor batch2 not None, *, beta=1, alpha=1, out=None):
    """beta * input + alpha * the sum over the batch of batch1 @ batch2."""
    if MTB_f16 <= input.dtype < MTB_f32 and input.dtype == batch1.dtype == batch2.dtype:
        return in_float(addbmm, input, batch1, batch2, beta, alpha, out)
    return combine(input, bmm(batch1, batch2).sum(0), beta, alpha, out)


def outer(Tensor input not None, Tensor vec2 not None, *, out=None):
    """The outer product (n, m) of two vectors (n) and (m)."""
    cdef Tensor x
    for name, x in (("self", input), ("vec2", vec2)):
        if x.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {x.ndim}-D")
    return given(input.unsqueeze(1) * vec2, out)


def addr(Tensor input not None, Tensor vec1 not None, Tensor vec2 not None, *, beta=1, alpha=1, out=None):
    """beta * input + alpha * outer(vec1, vec2)."""
    return combine(input, outer(vec1, vec2), beta, alpha, out)


FUNCTIONS = {"mm": mm, "bmm": bmm, "mv": mv, "dot": dot, "vdot": dot, "matmul": matmul, "addmm": addmm, "addmv": addmv,
             "baddbmm": baddbmm, "addbmm": addbmm, "outer": outer, "ger": outer, "addr": addr}
METHODS = FUNCTIONS
PRIMITIVES = {"linear": linear}
