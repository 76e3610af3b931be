# The ops of the table: promotion, broadcasting, the loop, and recording.

cdef extern from "gen/opids.h":
    enum:
        MTB_NOPS
        MTB_KIND_float
        MTB_KIND_arith
        MTB_KIND_compare
        MTB_KIND_predicate
        MTB_KIND_bits
        MTB_KIND_logical
        MTB_KIND_where
    ctypedef struct mtb_op_info:
        const char* name
        (const char*)[3] reads
        int arity, kind, no_bool
        int[4] cost
        int[3] grad
        int[3] saves
        int[2] number[4]
    const mtb_op_info* mtb_ops


cdef list op_names = [mtb_ops[i].name.decode() for i in range(MTB_NOPS)]
cdef dict shown = {"_bce": "binary_cross_entropy", "_bce_with_logits": "binary_cross_entropy_with_logits",
                   "_huber": "huber_loss", "_mse": "mse_loss", "_smooth_l1": "smooth_l1_loss",
                   "_soft_margin": "soft_margin_loss", "square": "pow", "_cube": "pow"}
cdef list node_names = ["".join([word.capitalize() for word in shown.get(name, name).split("_")]) + "Backward0"
                        for name in op_names]

cdef int op_id(str name) except -1:
    return op_names.index(name)


cdef int OP_ADD = op_id("add"), OP_SUB = op_id("sub"), OP_MUL = op_id("mul"), OP_DIV = op_id("div")
cdef int OP_POW = op_id("pow"), OP_FLOORDIV = op_id("floor_divide"), OP_REMAINDER = op_id("remainder")
cdef int OP_EQ = op_id("eq"), OP_NE = op_id("ne"), OP_LT = op_id("lt"), OP_LE = op_id("le")
cdef int OP_GT = op_id("gt"), OP_GE = op_id("ge"), OP_WHERE = op_id("where")
cdef int OP_AND = op_id("bitwise_and"), OP_OR = op_id("bitwise_or"), OP_XOR = op_id("bitwise_xor")
cdef int OP_NOT = op_id("bitwise_not")
cdef int OP_LSHIFT = op_id("bitwise_left_shift"), OP_RSHIFT = op_id("bitwise_right_shift")
cdef int OP_RELU = op_id("relu"), OP_NEG = op_id("neg"), OP_ABS = op_id("abs"), OP_SQUARE = op_id("square")
cdef set NUMBERS_TOO = {OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_FLOORDIV}  # torch.add(1, 2) is a tensor
cdef set INTEGER_DIVISIONS = {op_id("floor_divide"), op_id("remainder"), op_id("fmod")}

cdef enum:
    FILL = 256     # a scalar operand is repeated this often on the stack, for small contiguous tensors
    FLAT = 1 << 20  # elements of contiguous operands up to which they stay in cache


cdef inline Node recorded(int op, Tensor a, Tensor b, Tensor c, const double* k, double scalar, int scalar_at):
    """A node for op(a, b, c) with the inputs saved that its gradients read (before an in-place op overwrites them).

    `scalar` stands for the operand at `scalar_at` (1, 2 or 3; 0: none), which is not a tensor.
    """
    cdef const mtb_op_info* info = &mtb_ops[op]
    cdef Node n = new_node(elementwise_vjp, node_names[op], a, b, c)
    cdef int saves = read_mask(n, info)
    n.op, n.scalar, n.scalar_at, n.nin = op, scalar, scalar_at, info.arity
    if k != NULL:
        memcpy(n.k, k, sizeof(n.k))
    if saves & 2:
        save(n, 0, a)
    if saves & 4:
        save(n, 1, b)
    if saves & 8:
        save(n, 2, c)
    return n


cdef inline int read_mask(Node n, const mtb_op_info* info) noexcept:
    """What the gradients that are wanted read: bits 1..3 inputs, bit 4 the output."""
    return ((info.saves[0] if n.e0 is not None else 0) | (info.saves[1] if n.e1 is not None else 0)
            | (info.saves[2] if n.e2 is not None else 0))


cdef inline Tensor finish(Node n, Tensor y):
    """y is what node n made: save it if its gradients read it, and enter the graph."""
    if read_mask(n, &mtb_ops[n.op]) & 16:
        save_output(n, 0 if n.s0 is None else 1 if n.s1 is None else 2, y)
    set_history(y, n)
    return y


cdef object elementwise(int op, object a, object b, object c, const double* k, object out):
    """The value of a row of the table, recorded if an input is tracked."""
    cdef const mtb_op_info* info = &mtb_ops[op]
    cdef Tensor x, z, y
    cdef double value
    cdef double[FILL] fill
    cdef (void*)[4] p
    cdef mtb_loop f
    if tracer is not None:
        return traced(op, a, b, c, k, out, False)
    if deferred and out is None and (op == OP_RELU or op == OP_ADD):
        y = fused(op, a, b, False)
        if y is not None:
            return y
    # The fast path: float operands of one dtype and shape, contiguous (or a Python number), not too large.
    if out is None and info.kind <= MTB_KIND_arith and isinstance(a, Tensor):
        x = <Tensor> a
        if x.contiguous and x.dtype >= MTB_f32 and x.numel <= FLAT:
            if info.arity == 1:
                f = K.elementwise[x.dtype].value[op]
                y = new_tensor(x.dtype, x.ndim, x.shape)
                p[0], p[1] = y.data, x.data
                kernel_flat(f, 2, p, x.numel, ITEMSIZE[x.dtype], k, info.cost[0])
                if mtb_grad_mode and in_graph(x):
                    finish(recorded(op, x, None, None, k, 0, 0), y)
                return y
            if info.arity == 2:
                if isinstance(b, Tensor):
                    z = <Tensor> b
                    if z.dtype == x.dtype and z.contiguous and same_shape(x, z):
                        y = new_tensor(x.dtype, x.ndim, x.shape)
                        p[0], p[1], p[2] = y.data, x.data, z.data
                        kernel_flat(K.elementwise[x.dtype].value[op], 3, p, x.numel, ITEMSIZE[x.dtype], k,
                                    info.cost[0])
                        if mtb_grad_mode and (in_graph(x) or in_graph(z)):
                            finish(recorded(op, x, z, None, k, 0, 0), y)
                        return y
                elif x.numel <= FILL and (type(b) is float or type(b) is int):
                    value = b
                    repeat(fill, x, value)
                    y = new_tensor(x.dtype, x.ndim, x.shape)
                    p[0], p[1], p[2] = y.data, x.data, fill
                    K.elementwise[x.dtype].value[op](p, x.numel, k)
                    if mtb_grad_mode and in_graph(x):
                        finish(recorded(op, x, None, None, k, value, 2), y)
                    return y
    return elementwise_general(op, a, b, c, k, out, False)


cdef inline int repeat(double* fill, Tensor x, double value) noexcept:
    """The value in x's dtype, as often as x has elements (FILL at most)."""
    cdef int i
    if x.dtype == MTB_f32:
        for i in range(<int> x.numel):
            (<float*> fill)[i] = <float> value
    else:
        for i in range(<int> x.numel):
            fill[i] = value
    return 0


cdef object elementwise_inplace(int op, object a, object b, object c, const double* k):
    """The same, written over a."""
    cdef const mtb_op_info* info = &mtb_ops[op]
    cdef Tensor x, z = None
    cdef double[FILL] fill
    cdef (void*)[3] p
    if not isinstance(a, Tensor):
        raise TypeError(f"{op_names[op]}_(): the first argument must be a Tensor, not {type(a).__name__}")
    x = <Tensor> a
    if tracer is not None and (x.dtype != MTB_i64 or x.numel != 1):  # the count of batches has a path of its own, below
        return traced(op, a, b, c, k, a, True)
    if deferred and (op == OP_RELU or op == OP_ADD):
        y = fused(op, a, b, True)
        if y is not None:
            return y
    # The fast path: as above, where nothing is recorded and operands that share memory are one tensor.
    if info.kind <= MTB_KIND_arith and info.arity <= 2 and x.contiguous and x.dtype >= MTB_f32:
        p[0] = p[1] = x.data
        p[2] = NULL
        if info.arity == 2:
            if isinstance(b, Tensor):
                z = <Tensor> b
                if (z.dtype == x.dtype and z.contiguous and same_shape(x, z)
                        and (z.data == x.data or z.storage is not x.storage)):
                    p[2] = z.data
            elif x.numel <= FILL and (type(b) is float or type(b) is int):
                repeat(fill, x, b)
                p[2] = fill
        if (info.arity == 1 or p[2] != NULL) and not (mtb_grad_mode and (in_graph(x) or in_graph(z))):
            check_inplace(x)
            kernel_flat(K.elementwise[x.dtype].value[op], info.arity + 1, p, x.numel, ITEMSIZE[x.dtype], k,
                        info.cost[0])
            bump(x)
            return x
    if op == OP_ADD and x.dtype == MTB_i64 and x.numel == 1 and type(b) is int and \
            -LARGE < b < LARGE and not x.requires_grad_:  # a counter, such as that of batches
        check_writable(x)
        settle_for(x, None, None)
        (<i64*> x.data)[0] += <i64> b
        bump(x)
        return x
    return elementwise_general(op, a, b, c, k, a, True)


cdef int set_operand(operand* o, Tensor x, int want, int ndim) noexcept:
    """x as an operand of an iteration with ndim dims: missing and size-1 dims do not step."""
    cdef int d, shift = ndim - x.ndim
    o.data, o.dtype, o.want = x.data, x.dtype, want
    for d in range(ndim):
        o.strides[d] = 0 if d < shift or x.shape[d - shift] == 1 else x.strides[d - shift]
    return 0


cdef inline mtb_number_loop number_loop(int dtype, int i) noexcept:
    """A loop of the dtype where an operand is one number, or NULL."""
    return NULL if i < 0 or dtype < MTB_f32 else K.elementwise[dtype].number[i]


cdef inline int real_of(int dtype) noexcept:
    """The dtype that the loops compute in: float32 for the small floats."""
    return MTB_f32 if dtype == MTB_f16 or dtype == MTB_bf16 else dtype


cdef object not_for(int op, int dtype):
    return NotImplementedError(f'"{op_names[op]}_cpu" not implemented for \'{SCALAR_NAMES[dtype]}\'')


cdef object bool_error(int op):
    name = op_names[op]
    if name in ("sub", "rsub"):
        return RuntimeError("Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
                            "`logical_xor()` operator instead.")
    if name == "neg":
        return RuntimeError("Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
                            "invert a mask, use the `~` or `logical_not()` operator instead.")
    return not_for(op, MTB_b8)


cdef object elementwise_general(int op, object a, object b, object c, const double* k, object out, bint inplace):
    """Any dtypes, strides, broadcasting and scalars; `out` is written if given, else a new tensor is made."""
    cdef const mtb_op_info* info = &mtb_ops[op]
    cdef list given = [a, b, c][:info.arity]
    cdef list tensors = [None, None, None]
    cdef promotion p
    cdef operand[4] o
    cdef i64[MAXDIM] shape
    cdef char[3][8] slots
    cdef int i, code, want, result, arity, ndim = 0, scalar_at = 0
    cdef double scalar = 0
    cdef mtb_loop f
    cdef Tensor x, y
    cdef Node n = None
    p.dim = p.zero = p.wrapped = -1
    for i in range(info.arity):
        v = given[i]
        if isinstance(v, Tensor):
            tensors[i] = v
        elif v is None or isinstance(v, (list, tuple, str)):
            raise TypeError(f"{op_names[op]}(): argument {i + 1} must be a Tensor or a number, not {type(v).__name__}")
        elif hasattr(v, "__array__") and getattr(v, "ndim", 0) > 0:
            given[i] = tensors[i] = as_tensor(v)
        elif scalar_at or info.kind == MTB_KIND_where and i == 0:
            given[i] = tensors[i] = number_tensor(v, MTB_b8 if i == 0 else number_kind(v))
        else:
            scalar_at = i + 1
        if info.kind == MTB_KIND_where and i == 0:
            if (<Tensor> tensors[0]).dtype != MTB_b8 and (<Tensor> tensors[0]).dtype != MTB_u8:
                raise RuntimeError("where expected condition to be a boolean tensor, but got a tensor with dtype "
                                   f"{SCALAR_NAMES[(<Tensor> tensors[0]).dtype]}")
        else:
            consider(&p, given[i])
    if info.arity == 2 and isinstance(a, (int, float)) and isinstance(b, (int, float)) and op not in NUMBERS_TOO:
        raise TypeError(f"{op_names[op]}(): at least one argument must be a Tensor, got {type(a).__name__} and "
                        f"{type(b).__name__}")
    code = settle(&p)
    if info.kind == MTB_KIND_float and not is_float(code):
        code = default_float
    if info.no_bool and code == MTB_b8 and (op != OP_SUB or scalar_at == 0):
        if op == OP_SQUARE and not inplace:  # the square of a bool is an integer
            return elementwise_general(op, cast(a, MTB_i64), None, None, k, out, False)
        raise bool_error(op)
    want = real_of(code)
    f = K.elementwise[want].value[op]
    if f == NULL:
        raise not_for(op, code)
    result = MTB_b8 if MTB_KIND_compare <= info.kind <= MTB_KIND_predicate or info.kind == MTB_KIND_logical else code
    ndim = broadcast_all(tensors, shape)

    # operands
    for i in range(info.arity):
        if i + 1 == scalar_at:
            write_scalar(slots[i], want, given[i])
            if want >= MTB_f32:
                scalar = given[i]
            o[i + 1].data, o[i + 1].dtype, o[i + 1].want = slots[i], want, want
            memset(o[i + 1].strides, 0, sizeof(o[0].strides))
        else:
            set_operand(&o[i + 1], tensors[i], MTB_b8 if info.kind == MTB_KIND_where and i == 0 else want, ndim)
    if not is_float(code) and op in INTEGER_DIVISIONS:
        check_divisor(tensors[1], given[1])

    # the output, and the graph
    tracked = mtb_grad_mode and (in_graph(tensors[0]) or in_graph(tensors[1]) or in_graph(tensors[2]))
    if out is None:
        x = first_of_shape(tensors, ndim, shape)
        y = new_like(x, result) if x is not None else new_tensor(result, ndim, shape)
    else:
        y = check_out(op_names[op], out, tensors, result, ndim, shape, inplace, tracked)
        # an input that shares memory with the output, differently laid out, is copied first
        for i in range(info.arity):
            if tensors[i] is not None and overlaps(y, tensors[i]):
                x = raw_clone(tensors[i])
                set_operand(&o[i + 1], x, o[i + 1].want, ndim)
                given.append(x)  # keeps it alive
    if tracked and is_float(result):
        n = recorded(op, tensors[0], tensors[1], tensors[2], k, scalar, scalar_at)
        n.aux = geometry_of(tensors, result, ndim, shape)
        if inplace and n.s0 is y:  # its value is about to change: keep a copy
            save(n, 0, copied(raw_clone(y), y, "CloneBackward0"))
    set_operand(&o[0], y, want if result == code else MTB_b8, ndim)
    arity = info.arity
    if want != code and (op == OP_NEG or op == OP_ABS):  # the sign of a small float is a bit
        write_scalar(slots[1], MTB_i16, -0x8000 if op == OP_NEG else 0x7fff)
        o[2] = o[1]
        o[2].data = slots[1]
        memset(o[2].strides, 0, sizeof(o[0].strides))
        for i in range(3):
            o[i].dtype = o[i].want = MTB_i16
        f, arity = K.elementwise[<int> MTB_i16].value[OP_XOR if op == OP_NEG else OP_AND], 2
    kernel_run(f, arity + 1, o, ndim, shape, k, info.cost[0], number_loop(want, info.number[0][0]),
               number_loop(want, info.number[0][1]))
    if out is not None:
        bump(y)
    if n is not None:
        if out is not None:
            if read_mask(n, info) & 16:
                save_output(n, 0 if n.s0 is None else 1 if n.s1 is None else 2, y)
            inplace_history(y, n)
        else:
            finish(n, y)
    elif inplace:
        inplace_history(y, None)
    return y


cdef int number_kind(object v) except -1:
    return MTB_b8 if isinstance(v, bool) else MTB_i64 if isinstance(v, int) else default_float


cdef int broadcast_all(list tensors, i64* shape) except -1:
    """The shape that all the tensors broadcast to; returns its number of dims."""
    cdef int ndim = 0, d, shift
    cdef Tensor x
    for x in tensors:
        if x is not None and x.ndim > ndim:
            ndim = x.ndim
    for d in range(ndim):
        shape[d] = 1
    for x in tensors:
        if x is None:
            continue
        shift = ndim - x.ndim
        for d in range(x.ndim - 1, -1, -1):
            if shape[d + shift] == 1:
                shape[d + shift] = x.shape[d]
            elif x.shape[d] != 1 and x.shape[d] != shape[d + shift]:
                raise RuntimeError(f"The size of tensor a ({shape[d + shift]}) must match the size of tensor b "
                                   f"({x.shape[d]}) at non-singleton dimension {d + shift}: shapes "
                                   + " and ".join([str(list(shape_tuple(t))) for t in tensors if t is not None]))
    count_elements(ndim, shape)
    return ndim


cdef Tensor first_of_shape(list tensors, int ndim, const i64* shape):
    """The first tensor that has the result's shape already: the result takes its memory order."""
    cdef Tensor x
    cdef int d
    for x in tensors:
        if x is not None and x.ndim == ndim:
            for d in range(ndim):
                if x.shape[d] != shape[d]:
                    break
            else:
                return x
    return None


cdef object geometry_of(list tensors, int dtype, int ndim, const i64* shape):
    """((shape, dtype) of each input), or None if all are as the output: what undoing the broadcast needs."""
    cdef Tensor x
    for x in tensors:
        if x is not None and (x.dtype != dtype or x.ndim != ndim or first_of_shape([x], ndim, shape) is None):
            return tuple([(shape_tuple(t), (<Tensor> t).dtype) if t is not None else None for t in tensors])
    return None


cdef int check_divisor(Tensor b, object number) except -1:
    if b is None:
        if number == 0:
            raise RuntimeError("ZeroDivisionError")
    elif not is_float(b.dtype) and bool((b == 0).any()):
        raise RuntimeError("ZeroDivisionError")
    return 0


cdef Tensor check_out(str name, object out, list tensors, int result, int ndim, const i64* shape, bint inplace,
                      bint tracked):
    """`out` as a tensor that can take the result, or PyTorch's error."""
    cdef Tensor y, x
    cdef int d
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    y = out
    settle_all()
    wake_readers(y.storage)
    if not can_cast_code(result, y.dtype):
        raise RuntimeError(f"result type {SCALAR_NAMES[result]} can't be cast to the desired output type "
                           f"{SCALAR_NAMES[y.dtype]}")
    if inplace:
        check_inplace(y)
    elif tracked or y.requires_grad and mtb_grad_mode:
        raise RuntimeError(f"{name}(): functions with out=... arguments don't support automatic differentiation, but "
                           "one of the arguments requires grad.")
    if first_of_shape([y], ndim, shape) is None:
        if inplace:
            raise RuntimeError(f"output with shape {list(shape_tuple(y))} doesn't match the broadcast shape "
                               f"{[shape[d] for d in range(ndim)]}")
        resize_out(y, ndim, shape)
    check_no_overlap(y)
    if y.storage.readonly:
        raise RuntimeError(f"{name}(): the output shares the memory of a read-only array; clone() it first")
    return y


cdef int resize_out(Tensor y, int ndim, const i64* shape) except -1:
    """Give an `out=` tensor another shape; PyTorch warns unless it was empty."""
    if shape_tuple(y) == tuple([shape[d] for d in range(ndim)]):
        return 0
    if y.numel != 0:
        warnings.warn(f"An output with one or more elements was resized since it had shape {list(shape_tuple(y))}, "
                      f"which does not match the required output shape {[shape[d] for d in range(ndim)]}.",
                      stacklevel=2)
    resize_(y, tuple([shape[d] for d in range(ndim)]))
    return 0


cdef bint overlaps(Tensor y, Tensor x) noexcept:
    """Whether writing y could change what is still to be read of x: shared memory, but not the same elements in
    step."""
    cdef i64 y_end = 0, x_end = 0
    cdef int d
    if y.storage is not x.storage or y.numel == 0 or x.numel == 0:
        return False
    if y.data == x.data and y.dtype == x.dtype and same_shape(x, y):
        for d in range(x.ndim):
            if x.shape[d] > 1 and x.strides[d] != y.strides[d]:
                break
        else:
            return False
    for d in range(y.ndim):
        y_end += (y.shape[d] - 1) * y.strides[d]
    for d in range(x.ndim):
        x_end += (x.shape[d] - 1) * x.strides[d]
    return x.data < y.data + (y_end + 1) * ITEMSIZE[y.dtype] and y.data < x.data + (x_end + 1) * ITEMSIZE[x.dtype]
