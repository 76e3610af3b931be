"""Random numbers: random tensors, filling in place, dropout. What few scripts draw is in `sampling.py`.

Element i of a draw is a function of (seed, draw, i) alone, i counting in row-major order: the numbers do not depend on
threads, memory layout or instruction set. Under stream="torch", `mersenne.py` draws PyTorch's numbers instead.
"""
from libc.stdint cimport uint8_t

from minitorch_bn._core cimport (Node, Tensor, bump, cast, check_inplace, copy_into, dtype_code,
                                 dtype_object, grad_enabled, index_arg, inplace_history, is_float, new_like,
                                 new_node, new_tensor, new_zeros, raw_cast, raw_contiguous, save, saved, set_history,
                                 shape_from, shape_tuple, tracks)
from minitorch_bn.kernels cimport random as kernels
from minitorch_bn.kernels.runtime cimport MTB_b8, MTB_f32, MTB_f64, MTB_i64, MTB_u8, i64
from minitorch_bn.ops.generator cimport next_draw, stream_of

from minitorch_bn._core import attach, empty, empty_like, zeros_like


# -- filling -----------------------------------------------------------------------------------------------------------

cdef enum:
    UNIFORM = 0
    NORMAL = 1


cdef Tensor draw_real(Tensor like, int kind, double a, double b, object generator):
    """Fresh numbers of like's shape, in `like` itself where it is contiguous float32 or float64."""
    stream = stream_of(generator)
    if stream is not None:
        return stream.uniform(like, a, b) if kind == UNIFORM else stream.normal(like, a, b)
    cdef int dtype = MTB_f64 if like.dtype == MTB_f64 else MTB_f32
    cdef Tensor x = like if like.contiguous and like.dtype == dtype else new_tensor(dtype, like.ndim, like.shape)
    if kind == UNIFORM:
        kernels.uniform(dtype - MTB_f32, x.data, x.numel, next_draw(generator), a, b)
    else:
        kernels.normal(dtype - MTB_f32, x.data, x.numel, next_draw(generator), a, b)
    return x


cdef object forget(Node node, object g):
    """What was overwritten gets no gradient."""
    return None


cpdef Tensor overwrite(Tensor x, Tensor values, object name):
    """After check_inplace: x = values, unless they are in x already."""
    cdef Node node = None
    if is_float(x.dtype) and tracks(x):
        node = new_node(forget, name, x, None, None)
    if values is not x:
        copy_into(x, values)
    bump(x)
    inplace_history(x, node)
    return x


cpdef int writable(Tensor x, str op) except -1:
    """Raise unless numbers can be drawn into x; only into real ones, if an operation is named."""
    if op is not None and not is_float(x.dtype):
        raise NotImplementedError(f"\"{op}\" not implemented for {dtype_object(x.dtype)}: use a floating dtype")
    return check_inplace(x)


def uniform_(Tensor self not None, double from_=0, double to=1, *, generator=None, **kwargs):
    """Fill with numbers from [from, to)."""
    from_ = kwargs.pop("from", from_)
    if kwargs:
        raise TypeError(f"uniform_() got an unexpected keyword argument '{next(iter(kwargs))}'")
    if not from_ <= to:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={from_} > to={to}")
    writable(self, "uniform_")
    return overwrite(self, draw_real(self, UNIFORM, from_, to, generator), "UniformBackward0")


def normal_(Tensor self not None, double mean=0, double std=1, *, generator=None):
    """Fill with numbers from N(mean, std**2)."""
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    writable(self, "normal_")
    return overwrite(self, draw_real(self, NORMAL, mean, std, generator), "NormalBackward0")


cdef Tensor draw_integers(Tensor like, object low, object high, object generator):
    """Integers of [low, high) of like's shape."""
    cdef Tensor x
    if not -1 << 63 <= low < high <= 1 << 64 or high - low > 1 << 64:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', both within 64 bits, but got from={low} >= "
                           f"to={high}")
    stream = stream_of(generator)
    if stream is not None:
        return stream.integers(like, low, high)
    x = new_tensor(MTB_i64, like.ndim, like.shape)
    kernels.integers(<i64*> x.data, x.numel, next_draw(generator), low, (high - low) % (1 << 64))
    return x


cdef object integer_limit(int dtype):
    """One more than the largest integer that `dtype` holds with all smaller ones."""
    return (2, 1 << 8, 1 << 7, 1 << 15, 1 << 31, 1 << 63, (1 << 11) + 1, (1 << 8) + 1, (1 << 24) + 1,
            (1 << 53) + 1)[dtype]


def random_(Tensor self not None, *args, generator=None, **kwargs):
    """random_(), random_(to), random_(from, to): integers of [from, to); without `to`, all that the dtype holds."""
    low, high = kwargs.pop("from", 0), kwargs.pop("to", None)
    if kwargs or len(args) > 2:
        raise TypeError(f"random_() takes from and to, got {args} {kwargs}")
    if len(args) == 1:
        high = args[0]
    elif args:
        low, high = args
    limit = integer_limit(self.dtype)
    check_inplace(self)
    stream = stream_of(generator)
    if stream is not None and not args and high is None and low == 0:
        return overwrite(self, stream.whole_range(self), "RandomBackward0")
    if high is None:
        high = limit
    if not (0 if self.dtype in (MTB_b8, MTB_u8) else -limit) <= low <= limit or high > limit:
        raise RuntimeError(f"random_: from={low}, to={high} is out of bounds for {dtype_object(self.dtype)}")
    return overwrite(self, draw_integers(self, low, high, generator), "RandomBackward0")


cdef Tensor tosses(Tensor like, double p, object generator):
    """A bool tensor of like's shape, True with probability p."""
    cdef Tensor mask
    stream = stream_of(generator)
    if stream is not None:
        return stream.tosses(like, p)
    mask = new_tensor(MTB_b8, like.ndim, like.shape)
    kernels.bernoulli(<uint8_t*> mask.data, mask.numel, next_draw(generator), p)
    return mask


cdef int check_probability(double p, str op) except -1:
    if not 0 <= p <= 1:
        raise RuntimeError(f"{op} expects p to be in [0, 1], but got p={p}")
    return 0


def bernoulli_(Tensor self not None, p=0.5, *, generator=None):
    """Fill with 1 at probability p (a number, or a tensor that broadcasts), else 0."""
    check_inplace(self)
    if isinstance(p, Tensor):
        return overwrite(self, bernoulli(p.expand(shape_tuple(self)), generator=generator), "BernoulliBackward0")
    check_probability(p, "bernoulli_")
    return overwrite(self, tosses(self, p, generator), "BernoulliBackward0")


def constant_in(tuple inputs, drawn):
    """`drawn`, in the graph of the inputs although it does not change with them: their gradients are 0."""
    return attach(drawn, inputs, lambda g: tuple([zeros_like(x) for x in inputs]), "RandomBackward0")


def bernoulli(Tensor input not None, p=None, *, generator=None, out=None):
    """1 at the probability that the input's element gives (or at probability p), else 0, in the input's dtype."""
    cdef Tensor x, u
    if p is not None:
        check_probability(p, "bernoulli")
        return into(out, raw_cast(tosses(new_tensor(MTB_b8, input.ndim, input.shape), p, generator), input.dtype))
    if not is_float(input.dtype):
        raise RuntimeError(f"\"bernoulli\" not implemented for {dtype_object(input.dtype)}: use a floating dtype")
    x = raw_cast(input.detach(), MTB_f64 if input.dtype == MTB_f64 else MTB_f32)
    if x.numel and not bool(((x >= 0) & (x <= 1)).all()):
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true: every probability of bernoulli must be in "
                           "[0, 1]")
    u = draw_real(new_tensor(x.dtype, x.ndim, x.shape), UNIFORM, 0, 1, generator)
    return into(out, constant_in((input,), (u < x).to(dtype_object(input.dtype))))


# -- new tensors -------------------------------------------------------------------------------------------------------

cdef object into(object out, Tensor values):
    """`values`, or `out` after they are copied there."""
    if out is None:
        return values
    if (<Tensor> out).numel == 0 or shape_tuple(out) != shape_tuple(values):
        out.resize_(shape_tuple(values))
    return out.copy_(values)


cdef Tensor blank(tuple size, object size_kw, object out, object dtype, object device):
    if size_kw is not None:
        size = (size_kw,)
    if out is None:
        return empty(*size, dtype=dtype, device=device)
    return empty(*size, out=out, dtype=dtype, device=device)


def rand(*sizes, size=None, generator=None, out=None, dtype=None, layout=None, device=None, requires_grad=False,
         pin_memory=False):
    """Numbers from [0, 1)."""
    return uniform_(blank(sizes, size, out, dtype, device), generator=generator).requires_grad_(requires_grad)


def randn(*sizes, size=None, generator=None, out=None, dtype=None, layout=None, device=None, requires_grad=False,
          pin_memory=False):
    """Numbers from the standard normal distribution."""
    return normal_(blank(sizes, size, out, dtype, device), generator=generator).requires_grad_(requires_grad)


def rand_like(Tensor input not None, *, generator=None, dtype=None, layout=None, device=None, requires_grad=False,
              memory_format=None):
    """Numbers from [0, 1), of the input's shape and dtype."""
    if stream_of(generator) is not None:  # PyTorch fills in the order of memory
        return uniform_(empty_like(input, dtype=dtype, device=device, memory_format=memory_format),
                        generator=generator).requires_grad_(requires_grad)
    return rand(shape_tuple(input), generator=generator, dtype=dtype_object(dtype_code(dtype, input.dtype)),
                device=device,
                requires_grad=requires_grad)


def randn_like(Tensor input not None, *, generator=None, dtype=None, layout=None, device=None, requires_grad=False,
               memory_format=None):
    """Numbers from the standard normal distribution, of the input's shape and dtype."""
    if stream_of(generator) is not None:
        return normal_(empty_like(input, dtype=dtype, device=device, memory_format=memory_format),
                       generator=generator).requires_grad_(requires_grad)
    return randn(shape_tuple(input), generator=generator, dtype=dtype_object(dtype_code(dtype, input.dtype)),
                 device=device,
                 requires_grad=requires_grad)


def randint(low, high=None, size=None, *, generator=None, out=None, dtype=None, layout=None, device=None,
            requires_grad=False, pin_memory=False):
    """randint(high, size) or randint(low, high, size): integers of [low, high), int64 unless a dtype is given."""
    cdef i64[8] shape
    cdef int ndim, code = dtype_code(dtype, MTB_i64)
    cdef Tensor x
    if size is None and isinstance(high, (tuple, list)):
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if size is None:
        raise TypeError("randint() needs a size: randint(high, size) or randint(low, high, size)")
    blank((0,), None, None, None, device)
    low, high = index_arg(low, "low"), index_arg(high, "high")
    if high > integer_limit(code) or low < -integer_limit(code):
        raise RuntimeError(f"randint: [{low}, {high}) is out of bounds for {dtype_object(code)}")
    ndim = shape_from((size,) if isinstance(size, int) else size, shape)
    x = draw_integers(new_tensor(code, ndim, shape), low, high, generator)
    return into(out, raw_cast(x, code)).requires_grad_(requires_grad)


def randperm(n, *, generator=None, out=None, dtype=None, layout=None, device=None, requires_grad=False,
             pin_memory=False):
    """A random permutation of 0 .. n-1 (Fisher and Yates), int64 unless a dtype is given."""
    cdef i64 count = index_arg(n, "n")
    cdef Tensor x
    if count < 0:
        raise RuntimeError(f"n must be non-negative, got {count}")
    stream = stream_of(generator)
    if stream is not None:
        x = stream.permutation(count)
    else:
        x = new_tensor(MTB_i64, 1, &count)
        kernels.permutation(<i64*> x.data, count, next_draw(generator))
    return into(out, raw_cast(x, dtype_code(dtype, MTB_i64))).requires_grad_(requires_grad)


# -- dropout -----------------------------------------------------------------------------------------------------------

cdef object dropout_vjp(Node node, object g):
    cdef Tensor mask = saved(node, 0), dy = <Tensor> g, dx
    if grad_enabled():
        return dy * (raw_cast(mask, dy.dtype) * node.k[0])
    dy = raw_contiguous(dy)
    dx = new_tensor(dy.dtype, dy.ndim, dy.shape)
    kernels.masked_scale(dy.dtype - MTB_f32, dx.data, <uint8_t*> mask.data, dy.data, dy.numel, node.k[0])
    return dx


def dropout(Tensor input not None, double p=0.5, bint train=True):
    """Zero each element with probability p and scale the others by 1 / (1 - p) (Srivastava et al. 2014)."""
    cdef Tensor source, x, y, mask
    cdef Node node
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not train or p == 0 or input.numel == 0:
        return input
    if not is_float(input.dtype):
        raise RuntimeError("result type Float can't be cast to the desired output type: dropout of "
                           f"{dtype_object(input.dtype)}")
    source = input if input.dtype >= MTB_f32 else cast(input, MTB_f32)
    x = raw_contiguous(source)
    y, mask = new_tensor(x.dtype, x.ndim, x.shape), new_tensor(MTB_b8, x.ndim, x.shape)
    if stream_of(None) is not None:
        mask = raw_contiguous(tosses(new_like(source, MTB_b8), 1 - p, None)) if p < 1 else new_zeros(MTB_b8, x.ndim,
                                                                                                     x.shape)
        kernels.masked_scale(x.dtype - MTB_f32, y.data, <uint8_t*> mask.data, x.data, x.numel,
                             1 / (1 - p) if p < 1 else 0.0)
    else:
        kernels.dropout(x.dtype - MTB_f32, y.data, <uint8_t*> mask.data, x.data, x.numel, next_draw(None), 1 - p)
    if tracks(source):
        node = new_node(dropout_vjp, "NativeDropoutBackward0", source, None, None)
        save(node, 0, mask)
        node.k[0] = 1 / (1 - p) if p < 1 else 0.0
        set_history(y, node)
    return cast(y, input.dtype)


def dropout_(Tensor self not None, double p=0.5, bint train=True):
    """dropout, in place."""
    y = dropout(self, p, train)
    return self if y is self else self.copy_(y)


METHODS = {f.__name__: f for f in (uniform_, normal_, random_, bernoulli_, bernoulli)}
FUNCTIONS = {f.__name__: f for f in (rand, randn, randint, randperm, rand_like, randn_like, bernoulli, dropout,
                                     dropout_)}
