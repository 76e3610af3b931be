"""Whole training steps (forward, loss, backward, optimizer) of small networks, and the optimizers alone."""

import models
from harness import case, ready


def stepper(t, model, optimizer, inputs, targets, shape_scores=lambda scores: scores):
    """One training step as a function."""
    loss_fn = t.nn.CrossEntropyLoss()
    model = ready(t, model)

    def step():
        loss = loss_fn(shape_scores(model(inputs)), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


@case("MLP 784-256-256-10 with batch norm, batch 64, SGD")
def mlp(t):
    nn = t.nn
    hidden = [nn.Linear(784, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 256), nn.BatchNorm1d(256), nn.ReLU()]
    model = nn.Sequential(*hidden, nn.Linear(256, 10))
    optimizer = t.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    return stepper(t, model, optimizer, t.randn(64, 784), t.randint(0, 10, (64,)))


@case("the network of examples/digits.py, batch 32, SGD")
def digits(t):
    nn = t.nn
    layers = []
    for channels_in, channels_out, shrink in [(1, 32, False), (32, 64, True), (64, 64, True)]:
        layers += [nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.BatchNorm2d(channels_out), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] * shrink
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(256, 10))
    optimizer = t.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    return stepper(t, model, optimizer, t.randn(32, 1, 8, 8), t.randint(0, 10, (32,)))


@case("CNN with batch norm on 32 x 3 x 32 x 32, AdamW")
def cnn(t):
    nn = t.nn
    layers = []
    for channels_in, channels_out in [(3, 32), (32, 64), (64, 128)]:
        layers += [nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False), nn.BatchNorm2d(channels_out)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))
    optimizer = t.optim.AdamW(model.parameters(), lr=1e-4)
    return stepper(t, model, optimizer, t.randn(32, 3, 32, 32), t.randint(0, 10, (32,)))


@case("LSTM(8, 96) over 8 rows, batch 32, Adam")
def lstm(t):
    return reader(t, 8, 96, t.randn(32, 8, 8))


@case("LSTM(64, 128) over 64 steps, batch 16, Adam")
def long_lstm(t):
    return reader(t, 64, 128, t.randn(16, 64, 64))


def reader(t, inputs, width, x):
    """A step of an LSTM that reads x (batch, steps, inputs) and tells one of ten classes."""
    nn = t.nn

    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(inputs, width, batch_first=True)
            self.head = nn.Linear(width, 10)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    model = Reader()
    optimizer = t.optim.Adam(model.parameters(), lr=1e-4)
    return stepper(t, model, optimizer, x, t.randint(0, 10, x.shape[:1]))


@case("transformer, 2 layers of width 96, 24 x 64 letters, AdamW")
def transformer(t):
    nn = t.nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(96), nn.LayerNorm(96)
            self.attention = nn.MultiheadAttention(96, 4, batch_first=True)
            self.mlp = nn.Sequential(nn.Linear(96, 384), nn.GELU(), nn.Linear(384, 96))

        def forward(self, x):
            h = self.norm1(x)
            x = x + self.attention(h, h, h, attn_mask=mask, need_weights=False)[0]
            return x + self.mlp(self.norm2(x))

    mask = t.ones(64, 64, dtype=t.bool).triu(1)
    model = nn.Sequential(nn.Embedding(94, 96), Block(), Block(), nn.LayerNorm(96), nn.Linear(96, 94))
    optimizer = t.optim.AdamW(model.parameters(), lr=1e-4)
    letters, targets = t.randint(0, 94, (24, 64)), t.randint(0, 94, (24 * 64,))
    return stepper(t, model, optimizer, letters, targets, lambda scores: scores.flatten(0, 1))


def jax_mlp(jax):
    """The case below for JAX: the same network and optimizer, the whole step compiled by jit."""
    np, key = jax.numpy, jax.random.key(0)
    sizes = (784, 512, 512, 512, 10)
    draws = jax.random.split(key, 2 * len(sizes))
    weights = [jax.random.normal(k, (a, b)) / a ** 0.5 for k, a, b in zip(draws, sizes, sizes[1:])]
    state = [(w, np.zeros(w.shape[1]), np.ones(w.shape[1])) for w in weights]
    speed = jax.tree.map(np.zeros_like, state)
    x, y = jax.random.normal(draws[-1], (128, 784)), jax.random.randint(draws[-2], (128,), 0, 10)

    def loss(state):
        h = x
        for i, (w, shift, scale) in enumerate(state):
            h = h @ w
            if i < len(state) - 1:
                h = jax.nn.relu((h - h.mean(0)) / np.sqrt(h.var(0) + 1e-5) * scale + shift)
            else:
                h = h + shift
        return -np.take_along_axis(jax.nn.log_softmax(h), y[:, None], 1).mean()

    @jax.jit
    def step(state, speed):
        value, slope = jax.value_and_grad(loss)(state)
        speed = jax.tree.map(lambda v, g: 0.9 * v + g, speed, slope)
        return jax.tree.map(lambda p, v: p - 1e-3 * v, state, speed), speed, value

    def run():
        nonlocal state, speed
        state, speed, value = step(state, speed)
        value.block_until_ready()

    return run


@case("MLP 784-512-512-512-10 with batch norm, batch 128, SGD", jax=jax_mlp)
def wide_mlp(t):
    model = models.wide_mlp(t)
    optimizer = t.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    return stepper(t, model, optimizer, t.randn(128, 784), t.randint(0, 10, (128,)))


@case("ResNet-20 on 32 x 3 x 32 x 32, SGD")
def resnet20(t):
    model = models.resnet20(t)
    optimizer = t.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    return stepper(t, model, optimizer, t.randn(32, 3, 32, 32), t.randint(0, 10, (32,)))


@case("ResNet-18 on 16 x 3 x 32 x 32, SGD")
def resnet18(t):
    model = models.resnet18(t)
    optimizer = t.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    return stepper(t, model, optimizer, t.randn(16, 3, 32, 32), t.randint(0, 10, (16,)))


@case("GPT, 4 layers of width 128, 8 x 128 letters, AdamW")
def gpt(t):
    model = models.gpt(t, 65, 128, 4, 4, 128)
    optimizer = t.optim.AdamW(model.parameters(), lr=1e-4)
    letters, targets = t.randint(0, 65, (8, 128)), t.randint(0, 65, (8 * 128,))
    return stepper(t, model, optimizer, letters, targets, lambda scores: scores.flatten(0, 1))


def optimizer_alone(name, kind, **options):
    def prepare(t):
        parameters = [t.nn.Parameter(t.randn(256, 64)) for _ in range(50)]
        for p in parameters:
            p.grad = t.randn(256, 64)
        return "step()", {"step": getattr(t.optim, kind)(parameters, lr=1e-4, **options).step}

    prepare.__module__ = __name__
    case(name)(prepare)


optimizer_alone("SGD with momentum, 50 tensors of 16k", "SGD", momentum=0.9)
optimizer_alone("Adam, 50 tensors of 16k", "Adam")
optimizer_alone("AdamW, 50 tensors of 16k", "AdamW", weight_decay=0.01)


@case("clip_grad_norm_, 50 tensors of 16k")
def clip(t):
    parameters = [t.nn.Parameter(t.randn(256, 64)) for _ in range(50)]
    for p in parameters:
        p.grad = t.randn(256, 64)
    return lambda: t.nn.utils.clip_grad_norm_(parameters, 1e9)
