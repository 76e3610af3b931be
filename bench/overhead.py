"""What a call costs when there is almost nothing to compute: eight floats, short graphs, a tiny network."""

from harness import case


@case("a + b, 8 floats")
def add(t):
    return "a + b", {"a": t.randn(8), "b": t.randn(8)}


@case("a + b, 8 floats, recorded for backward")
def add_grad(t):
    return "a + b", {"a": t.randn(8, requires_grad=True), "b": t.randn(8)}


@case("a + b, 8 floats, grad switched off")
def add_no_grad(t):
    a = t.randn(8, requires_grad=True)
    t.set_grad_enabled(False)
    return "a + b", {"a": a, "b": t.randn(8)}


@case("a * 2.0, 8 floats")
def scale(t):
    return "a * 2.0", {"a": t.randn(8)}


@case("a.add_(b), 8 floats")
def add_in_place(t):
    return "a.add_(b)", {"a": t.zeros(8), "b": t.zeros(8)}


@case("a.sum(), 8 floats")
def total(t):
    return "a.sum()", {"a": t.randn(8)}


@case("a.exp(), 8 floats")
def exp(t):
    return "a.exp()", {"a": t.randn(8)}


@case("a[2], 4 x 8")
def index(t):
    return "a[2]", {"a": t.randn(4, 8)}


@case("a[1:3, ::2], 4 x 8")
def slices(t):
    return "a[1:3, ::2]", {"a": t.randn(4, 8)}


@case("a.reshape(8, 4), 4 x 8")
def reshape(t):
    return "a.reshape(8, 4)", {"a": t.randn(4, 8)}


@case("a @ b, 8 x 8")
def small_product(t):
    return "a @ b", {"a": t.randn(8, 8), "b": t.randn(8, 8)}


@case("a.item()")
def item(t):
    return "a.item()", {"a": t.tensor(1.5)}


@case("torch.zeros(8)")
def zeros(t):
    return "zeros(8)", {"zeros": t.zeros}


@case("20 operations and their backward, 8 floats")
def chain(t):
    a, b = t.randn(8, requires_grad=True), t.randn(8)

    def step():
        x = a
        for _ in range(10):
            x = x * b
            x = x + b
        a.grad = None
        x.sum().backward()

    return step


@case("Linear(8, 8) on one row, no grad")
def linear(t):
    t.set_grad_enabled(False)
    return "layer(x)", {"layer": t.nn.Linear(8, 8), "x": t.randn(1, 8)}


@case("training step, MLP 64-64-10 with batch norm, batch 32")
def mlp_step(t):
    nn = t.nn
    model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = t.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss()
    x, y = t.randn(32, 64), t.randint(0, 10, (32,))

    def step():
        loss = loss_fn(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step
