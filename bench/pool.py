"""Pooling, dropout, embedding, indexing and random numbers."""

from cases import normal, simple, trained


def value(name, make, run):
    simple(__name__, name, make, run)


def gradient(name, make, run):
    trained(__name__, name, make, run)


images, small = normal(32, 32, 32, 32), normal(8, 16, 12, 12)

# ---- pooling
gradient("max_pool2d(2) forward and backward, 32 x 32 x 32 x 32", images, lambda t, x: t.nn.functional.max_pool2d(x, 2))
gradient(
    "max_pool2d(3, stride 2, padding 1) forward and backward",
    images,
    lambda t, x: t.nn.functional.max_pool2d(x, 3, 2, 1),
)
gradient("avg_pool2d(2) forward and backward", images, lambda t, x: t.nn.functional.avg_pool2d(x, 2))
gradient(
    "avg_pool2d(3, stride 1, padding 1) forward and backward",
    images,
    lambda t, x: t.nn.functional.avg_pool2d(x, 3, 1, 1),
)
gradient("adaptive_avg_pool2d(1) forward and backward", images, lambda t, x: t.nn.functional.adaptive_avg_pool2d(x, 1))
gradient("adaptive_avg_pool2d(7) forward and backward", images, lambda t, x: t.nn.functional.adaptive_avg_pool2d(x, 7))
gradient("max_pool2d(2) forward and backward, 8 x 16 x 12 x 12", small, lambda t, x: t.nn.functional.max_pool2d(x, 2))
gradient(
    "max_pool2d(3, stride 2) forward and backward, 8 x 64 x 55 x 55",
    normal(8, 64, 55, 55),
    lambda t, x: t.nn.functional.max_pool2d(x, 3, 2),
)
gradient(
    "max_pool2d(5, stride 1, padding 2) forward and backward, 8 x 32 x 20 x 20",
    normal(8, 32, 20, 20),
    lambda t, x: t.nn.functional.max_pool2d(x, 5, 1, 2),
)
value("max_pool2d(2), 8 x 64 x 112 x 112", normal(8, 64, 112, 112), lambda t, x: t.nn.functional.max_pool2d(x, 2))
value("adaptive_max_pool2d(6), 32 x 32 x 32 x 32", images, lambda t, x: t.nn.functional.adaptive_max_pool2d(x, 6))
gradient(
    "max_pool1d(2) forward and backward, 32 x 64 x 256",
    normal(32, 64, 256),
    lambda t, x: t.nn.functional.max_pool1d(x, 2),
)
gradient(
    "avg_pool1d(4) forward and backward, 32 x 64 x 256",
    normal(32, 64, 256),
    lambda t, x: t.nn.functional.avg_pool1d(x, 4),
)
gradient(
    "max_pool3d(2) forward and backward, 4 x 16 x 16 x 32 x 32",
    normal(4, 16, 16, 32, 32),
    lambda t, x: t.nn.functional.max_pool3d(x, 2),
)
gradient(
    "avg_pool3d(2) forward and backward, 4 x 16 x 16 x 32 x 32",
    normal(4, 16, 16, 32, 32),
    lambda t, x: t.nn.functional.avg_pool3d(x, 2),
)
gradient(
    "interpolate(2, nearest) forward and backward, 8 x 32 x 28 x 28",
    normal(8, 32, 28, 28),
    lambda t, x: t.nn.functional.interpolate(x, scale_factor=2),
)

# ---- dropout and random numbers
value("dropout, 1M", normal(1000, 1000), lambda t, a: t.nn.functional.dropout(a, 0.5, True))
for shape in ((1000, 1000), (128, 512), (32, 128, 512)):
    gradient(
        f"dropout(0.1) forward and backward, {' x '.join(map(str, shape))}",
        normal(*shape),
        lambda t, x: t.nn.functional.dropout(x, 0.1, True),
    )
gradient(
    "dropout2d forward and backward, 32 x 32 x 32 x 32", images, lambda t, x: t.nn.functional.dropout2d(x, 0.2, True)
)
value("randn, 1M", lambda t: (), lambda t: t.randn(1000, 1000))
value("rand, 10k", lambda t: (), lambda t: t.rand(10_000))
value("randint, 300k", lambda t: (), lambda t: t.randint(0, 100, (300_000,)))
value("bernoulli, 300k", lambda t: (t.rand(300_000),), lambda t, a: t.bernoulli(a))
value("randperm, 100k", lambda t: (), lambda t: t.randperm(100_000))
value("randperm, 1000", lambda t: (), lambda t: t.randperm(1000))
value("multinomial, 128 x 1000", lambda t: (t.rand(128, 1000),), lambda t, a: t.multinomial(a, 1))


# ---- embedding
def words(count, width, *shape):
    return lambda t: (t.randn(count, width), t.randint(0, count, shape))


gradient(
    "embedding forward and backward, 5000 x 128, 4096 words",
    words(5000, 128, 32, 128),
    lambda t, w, i: t.nn.functional.embedding(i, w),
)
gradient(
    "embedding forward and backward, 100 x 16, 32 x 10 words",
    words(100, 16, 32, 10),
    lambda t, w, i: t.nn.functional.embedding(i, w),
)
gradient(
    "embedding with padding_idx forward and backward, 30000 x 64, 2048 words",
    words(30_000, 64, 16, 128),
    lambda t, w, i: t.nn.functional.embedding(i, w, padding_idx=0),
)
value(
    "embedding, 30000 x 256, 8192 words", words(30_000, 256, 64, 128), lambda t, w, i: t.nn.functional.embedding(i, w)
)
gradient(
    "embedding_bag forward and backward, 5000 x 64, 256 x 20 words",
    words(5000, 64, 256, 20),
    lambda t, w, i: t.nn.functional.embedding_bag(i, w),
)
value("one_hot, 10000 of 100", lambda t: (t.randint(0, 100, (10_000,)),), lambda t, i: t.nn.functional.one_hot(i, 100))

# ---- indexing
rows = words(10_000, 100, 10_000)
value("x[rows], 10000 x 100", rows, lambda t, a, i: a[i])
value("x[rows], 60000 x 784, 64 rows", words(60_000, 784, 64), lambda t, a, i: a[i])
value("index_select, 10000 x 100", rows, lambda t, a, i: a.index_select(0, i))
value("index_select of columns, 1000 x 1000", words(1000, 1000, 500), lambda t, a, i: a.index_select(1, i))
value(
    "x[i, j], 10000 of 1M",
    lambda t: (t.randn(1000, 1000), *t.randint(0, 1000, (2, 10_000))),
    lambda t, a, i, j: a[i, j],
)
value(
    "x[arange, y], 128 x 1000",
    lambda t: (t.randn(128, 1000), t.arange(128), t.randint(0, 1000, (128,))),
    lambda t, a, i, j: a[i, j],
)
value("gather, 1M", lambda t: (t.randn(1000, 1000), t.randint(0, 1000, (1000, 1000))), lambda t, a, i: a.gather(1, i))
value(
    "gather over dim 0, 300 x 1000",
    lambda t: (t.randn(300, 1000), t.randint(0, 300, (300, 1000))),
    lambda t, a, i: a.gather(0, i),
)
gradient(
    "gather of one a row forward and backward, 10000 x 10",
    lambda t: (t.randn(10_000, 10), t.randint(0, 10, (10_000, 1))),
    lambda t, x, i: x.gather(1, i),
)
value(
    "scatter_add, 1M",
    lambda t: (t.zeros(1000, 1000), t.randint(0, 1000, (1000, 1000)), t.randn(1000, 1000)),
    lambda t, a, i, b: a.scatter_add(1, i, b),
)
value(
    "scatter_, one hot, 10000 x 100",
    lambda t: (t.zeros(10_000, 100), t.randint(0, 100, (10_000, 1))),
    lambda t, a, i: a.scatter_(1, i, 1.0),
)
value(
    "index_add_, 1000 x 64 rows of 10000",
    lambda t: (t.zeros(1000, 64), t.randint(0, 1000, (10_000,)), t.randn(10_000, 64)),
    lambda t, a, i, b: a.index_add_(0, i, b),
)
gradient("x[rows] forward and backward, 10000 x 100", rows, lambda t, x, i: x[i])
value("x[x > 0], 1M", normal(1000, 1000), lambda t, a: a[a > 0])
value("x[mask] of rows, 10000 x 100", lambda t: (t.randn(10_000, 100), t.rand(10_000) > 0.3), lambda t, a, m: a[m])
value("x[mask] = 0, 300k", lambda t: (t.randn(300_000), t.randn(300_000) > 0), lambda t, a, m: a.__setitem__(m, 0.0))
value("nonzero, 300k", lambda t: (t.randn(300_000) > 0,), lambda t, a: a.nonzero())
value("tril, 1000 x 1000", normal(1000, 1000), lambda t, a: a.tril())
value("flip, 32 x 3 x 64 x 64", normal(32, 3, 64, 64), lambda t, a: a.flip(3))
value("roll, 1M", normal(1000, 1000), lambda t, a: a.roll(7, 1))
value("repeat, 100 x 100 to 1M", normal(100, 100), lambda t, a: a.repeat(10, 10))
