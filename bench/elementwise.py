"""Element-wise operations at sizes in and out of cache: dtypes, broadcasts, strides, in place, activations, copies."""

from cases import normal, positive, simple, trained


def value(name, make, run):
    simple(__name__, name, make, run)


def gradient(name, make, run):
    trained(__name__, name, make, run)


one, two, above = normal(1000, 1000), normal(1000, 1000, count=2), positive(1000, 1000)

# ---- two operands
for size in (100, 10_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000):
    value(f"a + b, {size:,}", normal(size, count=2), lambda t, a, b: a + b)
value("a + row, 1M", lambda t: (t.randn(1000, 1000), t.randn(1000)), lambda t, a, b: a + b)
value("a + column, 1M", lambda t: (t.randn(1000, 1000), t.randn(1000, 1)), lambda t, a, b: a + b)
value("a + row, 4096 x 64", lambda t: (t.randn(4096, 64), t.randn(64)), lambda t, a, b: a + b)
value("a + row, 32 x 128 x 512", lambda t: (t.randn(32, 128, 512), t.randn(512)), lambda t, a, b: a + b)
value(
    "images * channel, 32 x 64 x 28 x 28", lambda t: (t.randn(32, 64, 28, 28), t.randn(64, 1, 1)), lambda t, a, b: a * b
)
value("column - row, 1000 x 1000", lambda t: (t.randn(1000, 1), t.randn(1000)), lambda t, a, b: a - b)
value("a + b.t(), 1M", two, lambda t, a, b: a + b.t())
value("a + b.t(), 300 x 200", lambda t: (t.randn(300, 200), t.randn(200, 300)), lambda t, a, b: a + b.t())
value("a[:, ::2] * 2, 1M", one, lambda t, a: a[:, ::2] * 2)
value("a[:, 1:] - a[:, :-1], 1M", one, lambda t, a: a[:, 1:] - a[:, :-1])
value(
    "x.permute(0, 2, 3, 1) + bias, 8 x 3 x 224 x 224",
    lambda t: (t.randn(8, 3, 224, 224), t.randn(3)),
    lambda t, a, b: a.permute(0, 2, 3, 1) + b,
)
value("a * 2, 1M", one, lambda t, a: a * 2)
value("1 - a, 1M", one, lambda t, a: 1 - a)
value("a * b, 1M float64", lambda t: [x.double() for x in two(t)], lambda t, a, b: a * b)
value("a / b, 1M", positive(1000, 1000, count=2), lambda t, a, b: a / b)
value("int64 a + b, 1M", lambda t: (t.arange(10**6), t.arange(10**6)), lambda t, a, b: a + b)
value("int32 a * b, 1M", lambda t: [t.randint(0, 100, (10**6,), dtype=t.int32)] * 2, lambda t, a, b: a * b)
value("float + int64, 300k", lambda t: (t.randn(300_000), t.arange(300_000)), lambda t, a, b: a + b)
value("bfloat16 a + b, 1M", lambda t: [x.bfloat16() for x in two(t)], lambda t, a, b: a + b)
value("bool a & b, 1M", lambda t: [x > 0 for x in two(t)], lambda t, a, b: a & b)
value("a < b, 1M", two, lambda t, a, b: a < b)
value("a == 0, 300k", normal(300_000), lambda t, a: a == 0)
value("maximum, 1M", two, lambda t, a, b: t.maximum(a, b))
value("where(a > 0, a, b), 1M", two, lambda t, a, b: t.where(a > 0, a, b))
value("where(mask, a, 0), 300k", lambda t: (t.randn(300_000), t.randn(300_000) > 0), lambda t, a, m: t.where(m, a, 0.0))
value("masked_fill, 1M", one, lambda t, a: a.masked_fill(a > 0, 0.0))
value("lerp, 1M", two, lambda t, a, b: t.lerp(a, b, 0.3))
value("addcmul, 1M", normal(1000, 1000, count=3), lambda t, a, b, c: t.addcmul(a, b, c, value=0.5))

# ---- in place
value("a.add_(b), 1M", lambda t: (t.zeros(1000, 1000), t.zeros(1000, 1000)), lambda t, a, b: a.add_(b))
value(
    "a.add_(b, alpha=0.1), 100k", lambda t: (t.zeros(100_000), t.zeros(100_000)), lambda t, a, b: a.add_(b, alpha=0.1)
)
value("a.mul_(0.999), 1M", lambda t: (t.zeros(1000, 1000),), lambda t, a: a.mul_(0.999))
value("a.clamp_(-1, 1), 1M", one, lambda t, a: a.clamp_(-1, 1))
value("a[:, 1:-1] += 1, 1M", lambda t: (t.zeros(1000, 1000),), lambda t, a: a[:, 1:-1].add_(1.0))
value("a.zero_(), 1M", one, lambda t, a: a.zero_())
value("a.copy_(b), 3M", normal(3000, 1000, count=2), lambda t, a, b: a.copy_(b))

# ---- one operand
for name in ("exp", "tanh", "sigmoid", "erf", "sin", "abs", "neg", "floor", "expm1", "relu", "square"):
    value(f"{name}, 1M", one, lambda t, a, name=name: getattr(a, name)())
for name in ("log", "log1p", "sqrt", "rsqrt", "reciprocal"):
    value(f"{name}, 1M", above, lambda t, a, name=name: getattr(a, name)())
value("exp, 3000", normal(3000), lambda t, a: a.exp())
value("exp, 100k float64", lambda t: (t.randn(100_000).double(),), lambda t, a: a.exp())
value("tanh, 100k float64", lambda t: (t.randn(100_000).double(),), lambda t, a: a.tanh())
value("clamp, 1M", one, lambda t, a: a.clamp(-1, 1))
value("pow(3), 1M", one, lambda t, a: a**3)
value("pow(0.5), 300k", positive(300_000), lambda t, a: a**0.5)
value("pow(a, b), 100k", positive(100_000, count=2), lambda t, a, b: a**b)
value("isnan, 1M", one, lambda t, a: a.isnan())
value("relu, 32 x 64 x 28 x 28", normal(32, 64, 28, 28), lambda t, a: a.relu())
for name in ("gelu", "silu", "leaky_relu", "elu", "softplus", "hardtanh", "hardswish", "mish"):
    value(f"{name}, 1M", one, lambda t, a, name=name: getattr(t.nn.functional, name)(a))
value("gelu(tanh), 300k", normal(300_000), lambda t, a: t.nn.functional.gelu(a, approximate="tanh"))

# ---- copies and casts
value("float32 to float64, 1M", one, lambda t, a: a.double())
value("float64 to float32, 1M", lambda t: (t.randn(1000, 1000).double(),), lambda t, a: a.float())
value("float32 to bfloat16, 1M", one, lambda t, a: a.bfloat16())
value("float16 to float32, 1M", lambda t: (t.randn(1000, 1000).half(),), lambda t, a: a.float())
value("float32 to int64, 300k", normal(300_000), lambda t, a: a.long())
value("int64 to float32, 1M", lambda t: (t.arange(10**6),), lambda t, a: a.float())
value(
    "uint8 images to float32 / 255, 64 x 3 x 64 x 64",
    lambda t: (t.randint(0, 256, (64, 3, 64, 64), dtype=t.uint8),),
    lambda t, a: a.float() / 255,
)
value("bool to float32, 1M", lambda t: (t.randn(1000, 1000) > 0,), lambda t, a: a.float())
value("a.clone(), 1M", one, lambda t, a: a.clone())
value("a.t().contiguous(), 1M", one, lambda t, a: a.t().contiguous())
value(
    "channels last to first, 8 x 224 x 224 x 3", normal(8, 224, 224, 3), lambda t, a: a.permute(0, 3, 1, 2).contiguous()
)
value("heads, 8 x 128 x 8 x 64 to 8 x 8 x 128 x 64", normal(8, 128, 8, 64), lambda t, a: a.transpose(1, 2).contiguous())
value("cat of ten, 1M", normal(10, 100, 1000), lambda t, a: t.cat(list(a), 1))
value("stack of 32 images", normal(32, 3, 64, 64), lambda t, a: t.stack(list(a)))
value("zeros, 1M", lambda t: (), lambda t: t.zeros(1000, 1000))
value("full, 300k", lambda t: (), lambda t: t.full((300_000,), 0.5))
value("arange, 1M", lambda t: (), lambda t: t.arange(1_000_000))

# ---- with backward
for name in ("relu", "tanh", "sigmoid", "exp"):
    gradient(f"{name} forward and backward, 1M", one, lambda t, x, name=name: getattr(x, name)())
for name in ("gelu", "silu", "leaky_relu"):
    gradient(
        f"{name} forward and backward, 300k", normal(300_000), lambda t, x, name=name: getattr(t.nn.functional, name)(x)
    )
gradient("relu forward and backward, 128 x 1000", normal(128, 1000), lambda t, x: x.relu())
gradient(
    "a * b forward and backward, 1M",
    lambda t: (t.randn(1000, 1000), t.randn(1000, 1000, requires_grad=True)),
    lambda t, a, b: a * b,
)
gradient(
    "x * row + row forward and backward, 1M",
    lambda t: (t.randn(1000, 1000), t.randn(1000, requires_grad=True), t.randn(1000, requires_grad=True)),
    lambda t, x, w, b: x * w + b,
)
gradient(
    "x + channel forward and backward, 32 x 64 x 28 x 28",
    lambda t: (t.randn(32, 64, 28, 28), t.randn(64, 1, 1, requires_grad=True)),
    lambda t, x, b: x + b,
)
gradient(
    "x / column forward and backward, 300k",
    lambda t: (t.randn(300, 1000), (t.rand(300, 1) + 1).requires_grad_()),
    lambda t, x, b: x / b,
)
gradient(
    "where forward and backward, 1M",
    lambda t: (t.randn(1000, 1000), t.randn(1000, 1000) > 0),
    lambda t, x, m: t.where(m, x, 0.5),
)
gradient("clamp forward and backward, 1M", one, lambda t, x: x.clamp(-1, 1))
