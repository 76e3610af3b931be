"""Reductions over any axis, running sums, softmax, losses, sorting: from rows of ten to millions of elements."""

from cases import normal, simple, trained


def value(name, make, run):
    simple(__name__, name, make, run)


def gradient(name, make, run):
    trained(__name__, name, make, run)


one, rows, states, images = normal(1000, 1000), normal(128, 1000), normal(32, 128, 512), normal(16, 32, 56, 56)

# ---- sums and their kind
for size in (100, 10_000, 300_000, 1_000_000, 10_000_000):
    value(f"sum of all, {size:,}", normal(size), lambda t, a: a.sum())
for dim in (0, 1):
    value(f"sum over dim {dim}, 1000 x 1000", one, lambda t, a, dim=dim: a.sum(dim))
    value(f"sum over dim {dim}, 128 x 1000", rows, lambda t, a, dim=dim: a.sum(dim))
    value(f"sum over dim {dim}, 100000 x 16", normal(100_000, 16), lambda t, a, dim=dim: a.sum(dim))
    value(f"sum over dim {dim}, 16 x 100000", normal(16, 100_000), lambda t, a, dim=dim: a.sum(dim))
    value(f"max with indices over dim {dim}, 1000 x 1000", one, lambda t, a, dim=dim: a.max(dim))
    value(f"var over dim {dim}, 1000 x 1000", one, lambda t, a, dim=dim: a.var(dim))
    value(f"argmax over dim {dim}, 128 x 1000", rows, lambda t, a, dim=dim: a.argmax(dim))
    value(f"logsumexp over dim {dim}, 1000 x 1000", one, lambda t, a, dim=dim: a.logsumexp(dim))
    value(f"cumsum over dim {dim}, 1000 x 1000", one, lambda t, a, dim=dim: a.cumsum(dim))
    value(f"cumprod over dim {dim}, 128 x 1000", rows, lambda t, a, dim=dim: a.cumprod(dim))
value("mean over the middle, 64 x 256 x 64", normal(64, 256, 64), lambda t, a: a.mean(1))
value("mean over the last, 32 x 128 x 512", states, lambda t, a: a.mean(-1))
value("mean over (0, 2, 3), 16 x 32 x 56 x 56", images, lambda t, a: a.mean((0, 2, 3)))
value("mean over (2, 3), 16 x 32 x 56 x 56", images, lambda t, a: a.mean((2, 3)))
value("var over (0, 2, 3), 16 x 32 x 56 x 56", images, lambda t, a: a.var((0, 2, 3)))
value("std of all, 1M", one, lambda t, a: a.std())
value("sum over dim 1 of a.t(), 1000 x 1000", one, lambda t, a: a.t().sum(1))
value("sum of a[:, ::2], 1M", one, lambda t, a: a[:, ::2].sum())
value("sum of float64, 300k", lambda t: (t.randn(300_000).double(),), lambda t, a: a.sum())
value("sum of int64, 1M", lambda t: (t.arange(1_000_000),), lambda t, a: a.sum())
value("count of a mask, 1M", lambda t: (t.randn(1000, 1000) > 0,), lambda t, a: a.sum())
value("any of a mask, 1M", lambda t: (t.zeros(1000, 1000) > 0,), lambda t, a: a.any())
value("all over dim 1, 1M", lambda t: (t.randn(1000, 1000) < 9,), lambda t, a: a.all(1))
value(
    "(pred == y).sum(), 10k",
    lambda t: (t.randint(0, 10, (10_000,)), t.randint(0, 10, (10_000,))),
    lambda t, a, b: (a == b).sum(),
)
value("prod over dim 1, 1000 x 100", normal(1000, 100), lambda t, a: a.prod(1))
value("max of all, 1M", one, lambda t, a: a.max())
value("min over dim 2, 32 x 128 x 512", states, lambda t, a: a.amin(2))
value("argmax of 10, 10000 x 10", normal(10_000, 10), lambda t, a: a.argmax(1))
value("norm, 1M", one, lambda t, a: a.norm())
value("norm over dim 1, 1000 x 1000", one, lambda t, a: a.norm(dim=1))
value("norm over dim 1, p = 1, 128 x 1000", rows, lambda t, a: a.norm(p=1, dim=1))
value("median over dim 1, 1000 x 100", normal(1000, 100), lambda t, a: a.median(1))
gradient("sum over dim 1 forward and backward, 1M", one, lambda t, x: x.sum(1))
gradient("mean over (2, 3) forward and backward, 16 x 32 x 56 x 56", images, lambda t, x: x.mean((2, 3)))
gradient("var over dim 1 forward and backward, 1M", one, lambda t, x: x.var(1))
gradient("max over dim 1 forward and backward, 1M", one, lambda t, x: x.max(1).values)
gradient("norm forward and backward, 1M", one, lambda t, x: x.norm())
gradient("logsumexp forward and backward, 128 x 1000", rows, lambda t, x: x.logsumexp(1))
gradient("cumsum forward and backward, 128 x 1000", rows, lambda t, x: x.cumsum(1))

# ---- softmax
value("softmax over columns, 1M", one, lambda t, a: a.softmax(1))
value("softmax over rows (dim 0), 1M", one, lambda t, a: a.softmax(0))
value("softmax, 32 x 128 x 512", states, lambda t, a: a.softmax(-1))
value("softmax over channels, 8 x 21 x 64 x 64", normal(8, 21, 64, 64), lambda t, a: a.softmax(1))
value("softmax of short rows, 100000 x 10", normal(100_000, 10), lambda t, a: a.softmax(1))
value("softmax, 128 x 10", normal(128, 10), lambda t, a: a.softmax(1))
value("softmax, 16 x 50000", normal(16, 50_000), lambda t, a: a.softmax(1))
value("log_softmax float64, 128 x 1000", lambda t: (t.randn(128, 1000).double(),), lambda t, a: a.log_softmax(1))
gradient("softmax forward and backward, 64 x 128 x 128", normal(64, 128, 128), lambda t, x: x.softmax(-1))
gradient("log_softmax forward and backward, 1M", one, lambda t, x: x.log_softmax(1))
gradient("log_softmax forward and backward, 128 x 10", normal(128, 10), lambda t, x: x.log_softmax(1))
gradient(
    "log_softmax over channels forward and backward, 8 x 21 x 64 x 64",
    normal(8, 21, 64, 64),
    lambda t, x: x.log_softmax(1),
)


# ---- losses
def classes(*shape):
    """Logits, and the class of each."""
    return lambda t: (t.randn(*shape), t.randint(0, shape[1], (shape[0], *shape[2:])))


for shape in ((128, 10), (128, 1000), (1000, 1000), (64, 30000), (8, 21, 64, 64)):
    gradient(
        f"cross_entropy forward and backward, {' x '.join(map(str, shape))}",
        classes(*shape),
        lambda t, x, y: t.nn.functional.cross_entropy(x, y),
    )
gradient(
    "cross_entropy, label smoothing, forward and backward, 128 x 1000",
    classes(128, 1000),
    lambda t, x, y: t.nn.functional.cross_entropy(x, y, label_smoothing=0.1),
)
gradient(
    "cross_entropy of probabilities forward and backward, 128 x 1000",
    lambda t: (t.randn(128, 1000), t.randn(128, 1000).softmax(1)),
    lambda t, x, y: t.nn.functional.cross_entropy(x, y),
)
gradient(
    "nll_loss forward and backward, 128 x 1000", classes(128, 1000), lambda t, x, y: t.nn.functional.nll_loss(x, y)
)
gradient(
    "nll_loss forward and backward, 10000 x 10", classes(10_000, 10), lambda t, x, y: t.nn.functional.nll_loss(x, y)
)
for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
    for size in (1000, 300_000):
        gradient(
            f"{name} forward and backward, {size:,}",
            normal(size, count=2),
            lambda t, x, y, name=name: getattr(t.nn.functional, name)(x, y),
        )
gradient(
    "mse_loss forward and backward, 3M", normal(3_000_000, count=2), lambda t, x, y: t.nn.functional.mse_loss(x, y)
)
gradient(
    "binary_cross_entropy forward and backward, 300k",
    lambda t: (t.rand(300_000) * 0.9 + 0.05, t.rand(300_000)),
    lambda t, x, y: t.nn.functional.binary_cross_entropy(x, y),
)
for size in (1000, 300_000):
    gradient(
        f"binary_cross_entropy_with_logits forward and backward, {size:,}",
        lambda t, size=size: (t.randn(size), t.rand(size)),
        lambda t, x, y: t.nn.functional.binary_cross_entropy_with_logits(x, y),
    )
gradient(
    "kl_div forward and backward, 128 x 1000",
    lambda t: (t.randn(128, 1000).log_softmax(1), t.randn(128, 1000).softmax(1)),
    lambda t, x, y: t.nn.functional.kl_div(x, y, reduction="batchmean"),
)
gradient(
    "cosine_similarity forward and backward, 1000 x 128",
    normal(1000, 128, count=2),
    lambda t, x, y: t.nn.functional.cosine_similarity(x, y),
)

# ---- sorting
value("sort, 1000 x 100", normal(1000, 100), lambda t, a: a.sort(1))
value("sort, 100k", normal(100_000), lambda t, a: a.sort())
value("argsort of int64, 10k", lambda t: (t.randint(0, 1000, (10_000,)),), lambda t, a: a.argsort())
value("topk(10), 1000 x 1000", one, lambda t, a: a.topk(10, 1))
value("topk(5), 128 x 1000", rows, lambda t, a: a.topk(5, 1))
