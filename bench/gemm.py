"""Matrix products: square, long, thin and odd, transposed in place, batched, and the linear layer with its backward."""

import math

from harness import case


def product(name, a_shape, b_shape, view=lambda a, b: (a, b), dtype="float32"):
    def prepare(t):
        t.set_grad_enabled(False)
        a, b = view(t.randn(*a_shape, dtype=getattr(t, dtype)), t.randn(*b_shape, dtype=getattr(t, dtype)))
        return "a @ b", {"a": a, "b": b}

    prepare.__module__ = __name__
    case(name, *work(*view(Shape(a_shape), Shape(b_shape)), dtype), dtype)(prepare)


class Shape(tuple):
    """The shape of a factor, which a case may transpose as it does the factor itself."""

    def t(self):
        return Shape(self[::-1])

    def transpose(self, *_):
        return Shape((*self[:-2], *self[-2:][::-1]))


def work(a, b, dtype):
    """Operations, and bytes of both factors and the result, of a (batched) product of these shapes."""
    results = math.prod(a[:-1]) * (b[-1] if len(b) > 1 else 1)
    return 2 * results * a[-1], (math.prod(a) + math.prod(b) + results) * (8 if dtype == "float64" else 4)


def second_transposed(a, b):
    return a, b.transpose(-1, -2)


for n in (16, 64, 100, 128, 256, 333, 512, 1000, 1024, 2048):
    product(f"{n} x {n} x {n}", (n, n), (n, n))
for n in (128, 256, 512, 1024):
    product(f"{n} x {n} x {n}, float64", (n, n), (n, n), dtype="float64")
for n in (129, 512, 1024):
    product(f"{n}, first transposed", (n, n), (n, n), lambda a, b: (a.t(), b))
    product(f"{n}, second transposed", (n, n), (n, n), second_transposed)
    product(f"{n}, both transposed", (n, n), (n, n), lambda a, b: (a.t(), b.t()))
# m x k x n
product("long sum: 64 x 20000 x 64", (64, 20000), (20000, 64))
product("long sum: 10 x 50000 x 10", (10, 50000), (50000, 10))
product("long sum, first transposed: 100 x 10000 x 30", (10000, 100), (10000, 30), lambda a, b: (a.t(), b))
product("tall: 20000 x 64 x 64", (20000, 64), (64, 64))
product("tall: 20000 x 10 x 40", (20000, 10), (10, 40))
product("wide: 64 x 64 x 20000", (64, 64), (64, 20000))
product("thin: 1000 x 1000 x 8", (1000, 1000), (1000, 8))
product("flat: 8 x 1000 x 1000", (8, 1000), (1000, 1000))
product("rank 3: 1000 x 3 x 1000", (1000, 3), (3, 1000))
product("matrix times vector, 100 x 100", (100, 100), (100,))
product("matrix times vector, 1000 x 1000", (1000, 1000), (1000,))
product("matrix times vector, 4000 x 3000", (4000, 3000), (3000,))
product("matrix times vector, 1000 x 1000, float64", (1000, 1000), (1000,), dtype="float64")
product("transposed matrix times vector, 1000 x 1000", (1000, 1000), (1000,), lambda a, b: (a.t(), b))
product("vector times matrix, 1000 x 1000", (1000,), (1000, 1000))
product("vector times transposed matrix, 1000 x 1000", (1000,), (1000, 1000), second_transposed)
product("dot product, 1000", (1000,), (1000,))
product("dot product, 100k", (100000,), (100000,))
product("dot product, 1M", (1000000,), (1000000,))
product("dot product, 1M, float64", (1000000,), (1000000,), dtype="float64")
product("batched: 64 of 64 x 64 x 64", (64, 64, 64), (64, 64, 64))
product("batched: 512 of 16 x 16 x 16", (512, 16, 16), (512, 16, 16))
product("batched: 3 of 300 x 300 x 300", (3, 300, 300), (3, 300, 300))
product("batched, second transposed: 64 of 64 x 32 x 64", (64, 64, 32), (64, 64, 32), second_transposed)


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
    case(name, 6 * batch * inputs * outputs, 4 * (3 * inputs * outputs + 2 * batch * (inputs + outputs)))(prepare)


linear("Linear(784, 256) forward and backward, batch 32", 32, 784, 256)
linear("Linear(784, 256) forward and backward, batch 256", 256, 784, 256)
linear("Linear(512, 512) forward and backward, batch 2048", 2048, 512, 512)
linear("Linear(64, 10) forward and backward, batch 64", 64, 64, 10)
linear("Linear(300, 100) forward and backward, batch 1000", 1000, 300, 100)
linear("Linear(1000, 1) forward and backward, batch 500", 500, 1000, 1)
