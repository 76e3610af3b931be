"""Element-wise operations, reductions, softmax, pooling and indexing at sizes where memory and arithmetic count."""

from harness import case


def cotangent(t, y):
    """A constant of the shape of `y`, to start a backward from."""
    return t.ones(y.shape)


def forward_backward(t, x, function):
    """Time `function(x)` and the gradient for x."""
    x.requires_grad_()
    g = cotangent(t, function(x))

    def run():
        x.grad = None
        function(x).backward(g)

    return run


def simple(name, make, run):
    """A case without grad: `make(t)` gives the inputs once, `run(t, *inputs)` is timed."""

    def prepare(t):
        inputs = make(t)
        return lambda: run(t, *inputs)

    prepare.__module__ = __name__
    case(name)(prepare)


def million(t):
    return (t.randn(1000, 1000),)


def two_millions(t):
    return t.randn(1000, 1000), t.randn(1000, 1000)


def positive(t):
    return (t.rand(1000, 1000) + 0.5,)


# ---- element-wise
simple("a + b, 1M", two_millions, lambda t, a, b: a + b)
simple("a + b, 10k", lambda t: (t.randn(10000), t.randn(10000)), lambda t, a, b: a + b)
simple("a + row, 1M", lambda t: (t.randn(1000, 1000), t.randn(1000)), lambda t, a, b: a + b)
simple("a + column, 1M", lambda t: (t.randn(1000, 1000), t.randn(1000, 1)), lambda t, a, b: a + b)
simple("a + b.t(), 1M", two_millions, lambda t, a, b: a + b.t())
simple("a * b, 1M float64", lambda t: [x.double() for x in two_millions(t)], lambda t, a, b: a * b)
simple("a / b, 1M", lambda t: positive(t) + positive(t), lambda t, a, b: a / b)
simple("a.add_(b), 1M", lambda t: (t.zeros(1000, 1000), t.zeros(1000, 1000)), lambda t, a, b: a.add_(b))
simple("exp, 1M", million, lambda t, a: a.exp())
simple("log, 1M", positive, lambda t, a: a.log())
simple("tanh, 1M", million, lambda t, a: a.tanh())
simple("sigmoid, 1M", million, lambda t, a: a.sigmoid())
simple("erf, 1M", million, lambda t, a: a.erf())
simple("sqrt, 1M", positive, lambda t, a: a.sqrt())
simple("relu, 1M", million, lambda t, a: a.relu())
simple("gelu, 1M", million, lambda t, a: t.nn.functional.gelu(a))
simple("clamp, 1M", million, lambda t, a: a.clamp(-1, 1))
simple("where, 1M", two_millions, lambda t, a, b: t.where(a > 0, a, b))
simple("a < b, 1M", two_millions, lambda t, a, b: a < b)
simple("int64 a + b, 1M", lambda t: (t.arange(10**6), t.arange(10**6)), lambda t, a, b: a + b)
simple("float32 to float64, 1M", million, lambda t, a: a.double())
simple("a.t().contiguous(), 1M", million, lambda t, a: a.t().contiguous())


@case("tanh forward and backward, 1M")
def tanh_backward(t):
    return forward_backward(t, t.randn(1000, 1000), lambda x: x.tanh())


@case("gelu forward and backward, 1M")
def gelu_backward(t):
    return forward_backward(t, t.randn(1000, 1000), t.nn.functional.gelu)


@case("x * row + row forward and backward, 1M")
def affine_backward(t):
    w, b = t.randn(1000, requires_grad=True), t.randn(1000, requires_grad=True)
    return forward_backward(t, t.randn(1000, 1000), lambda x: x * w + b)


# ---- reductions
simple("sum of all, 1M", million, lambda t, a: a.sum())
simple("sum over rows (dim 0), 1M", million, lambda t, a: a.sum(0))
simple("sum over columns (dim 1), 1M", million, lambda t, a: a.sum(1))
simple("mean over the middle, 64 x 256 x 64", lambda t: (t.randn(64, 256, 64),), lambda t, a: a.mean(1))
simple("var over columns, 1M", million, lambda t, a: a.var(1))
simple("max over columns with indices, 1M", million, lambda t, a: a.max(1))
simple("argmax over columns, 1M", million, lambda t, a: a.argmax(1))
simple("logsumexp over columns, 1M", million, lambda t, a: a.logsumexp(1))
simple("cumsum over columns, 1M", million, lambda t, a: a.cumsum(1))
simple("norm, 1M", million, lambda t, a: a.norm())

# ---- softmax and cross-entropy
simple("softmax over columns, 1M", million, lambda t, a: a.softmax(1))
simple("softmax over rows (dim 0), 1M", million, lambda t, a: a.softmax(0))
simple("softmax of short rows, 100000 x 10", lambda t: (t.randn(100000, 10),), lambda t, a: a.softmax(1))


@case("log_softmax forward and backward, 1M")
def log_softmax_backward(t):
    return forward_backward(t, t.randn(1000, 1000), lambda x: x.log_softmax(1))


@case("cross_entropy forward and backward, 1000 x 1000")
def cross_entropy(t):
    y = t.randint(0, 1000, (1000,))
    return forward_backward(t, t.randn(1000, 1000), lambda x: t.nn.functional.cross_entropy(x, y))


# ---- pooling
def images(t):
    return t.randn(32, 32, 32, 32)


@case("max_pool2d(2) forward and backward, 32 x 32 x 32 x 32")
def max_pool(t):
    return forward_backward(t, images(t), lambda x: t.nn.functional.max_pool2d(x, 2))


@case("max_pool2d(3, stride 2, padding 1) forward and backward")
def max_pool_overlap(t):
    return forward_backward(t, images(t), lambda x: t.nn.functional.max_pool2d(x, 3, 2, 1))


@case("avg_pool2d(2) forward and backward")
def avg_pool(t):
    return forward_backward(t, images(t), lambda x: t.nn.functional.avg_pool2d(x, 2))


@case("adaptive_avg_pool2d(1) forward and backward")
def global_pool(t):
    return forward_backward(t, images(t), lambda x: t.nn.functional.adaptive_avg_pool2d(x, 1))


# ---- indexing
def rows(t):
    return t.randn(10000, 100), t.randint(0, 10000, (10000,))


simple("x[rows], 10000 x 100", rows, lambda t, a, i: a[i])
simple("index_select, 10000 x 100", rows, lambda t, a, i: a.index_select(0, i))
simple("gather, 1M", lambda t: (t.randn(1000, 1000), t.randint(0, 1000, (1000, 1000))), lambda t, a, i: a.gather(1, i))
simple(
    "scatter_add, 1M",
    lambda t: (t.zeros(1000, 1000), t.randint(0, 1000, (1000, 1000)), t.randn(1000, 1000)),
    lambda t, a, i, b: a.scatter_add(1, i, b),
)
simple("x[x > 0], 1M", million, lambda t, a: a[a > 0])
simple("masked_fill, 1M", million, lambda t, a: a.masked_fill(a > 0, 0.0))
simple("cat of ten, 1M", lambda t: (t.randn(10, 100, 1000),), lambda t, a: t.cat(list(a), 1))
simple("sort, 1000 x 100", lambda t: (t.randn(1000, 100),), lambda t, a: a.sort(1))
simple("topk(10), 1000 x 1000", million, lambda t, a: a.topk(10, 1))


@case("embedding forward and backward, 5000 x 128, 4096 words")
def embedding(t):
    words = t.randint(0, 5000, (32, 128))
    return forward_backward(t, t.randn(5000, 128), lambda w: t.nn.functional.embedding(words, w))


# ---- random numbers
simple("randn, 1M", lambda t: (), lambda t: t.randn(1000, 1000))
simple("dropout, 1M", million, lambda t, a: t.nn.functional.dropout(a, 0.5, True))
simple("randperm, 100k", lambda t: (), lambda t: t.randperm(100000))
