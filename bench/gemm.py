"""Matrix products: square, long and thin, transposed in place, batched, and the linear layer with its backward."""

from harness import case


def product(name, a_shape, b_shape, view=lambda a, b: (a, b), dtype="float32"):
    def prepare(t):
        t.set_grad_enabled(False)
        a, b = view(t.randn(*a_shape, dtype=getattr(t, dtype)), t.randn(*b_shape, dtype=getattr(t, dtype)))
        return "a @ b", {"a": a, "b": b}

    prepare.__module__ = __name__
    case(name)(prepare)


for n in (16, 64, 128, 256, 512, 1024):
    product(f"{n} x {n} x {n}", (n, n), (n, n))
product("256 x 256 x 256, float64", (256, 256), (256, 256), dtype="float64")
product("512, first transposed", (512, 512), (512, 512), lambda a, b: (a.t(), b))
product("512, second transposed", (512, 512), (512, 512), lambda a, b: (a, b.t()))
product("long sum: 64 x 20000 x 64", (64, 20000), (20000, 64))
product("tall: 20000 x 64 x 64", (20000, 64), (64, 64))
product("thin: 1000 x 1000 x 8", (1000, 1000), (1000, 8))
product("matrix times vector, 1000 x 1000", (1000, 1000), (1000,))
product("vector times matrix, 1000 x 1000", (1000,), (1000, 1000))
product("dot product, 1M", (1000000,), (1000000,))
product("batched: 64 of 64 x 64 x 64", (64, 64, 64), (64, 64, 64))
product("batched: 512 of 16 x 16 x 16", (512, 16, 16), (512, 16, 16))
product(
    "batched, second transposed: 64 of 64 x 32 x 64", (64, 64, 32), (64, 64, 32), lambda a, b: (a, b.transpose(1, 2))
)


def linear(name, batch, inputs, outputs):
    def prepare(t):
        layer = t.nn.Linear(inputs, outputs)
        x = t.randn(batch, inputs, requires_grad=True)
        g = t.randn(batch, outputs)

        def run():
            x.grad = layer.weight.grad = layer.bias.grad = None
            layer(x).backward(g)

        return run

    prepare.__module__ = __name__
    case(name)(prepare)


linear("Linear(784, 256) forward and backward, batch 32", 32, 784, 256)
linear("Linear(784, 256) forward and backward, batch 256", 256, 784, 256)
linear("Linear(512, 512) forward and backward, batch 2048", 2048, 512, 512)
