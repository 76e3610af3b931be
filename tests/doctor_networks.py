"""Twenty networks that each have one fault of batch norm, and twenty that nearly have it: (faulty, healthy) by rule.

Each builder returns a dict of what `lab.doctor` takes: model, loader, loss_fn, and what else the case needs.
"""
import numpy as np

import minitorch_bn as mt
from minitorch_bn import nn
from minitorch_bn.nn import functional as F
from minitorch_bn.utils.data import DataLoader, TensorDataset

PAIRS = {}


def pair(rule):
    """Register a function of `faulty` that builds both networks."""
    def keep(build):
        PAIRS[rule] = build
        return build
    return keep


def table(n=256, features=12, classes=4, seed=0, sort=False, scale=1.0, offset=0.0):
    """Samples of `classes` overlapping kinds, and their kinds."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    if sort:
        y = np.sort(y)
    centers = np.random.default_rng(seed + 1).normal(0, 1.5, (classes, features))
    x = (centers[y] + rng.normal(size=(n, features))) * scale + offset
    return mt.tensor(x.astype(np.float32)), mt.tensor(y)


def images(n=128, channels=3, size=8, seed=0):
    """Random images of two kinds, which differ in their pattern and, a little, in their brightness."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    kind = y[:, None, None, None]
    x = rng.normal(size=(n, channels, size, size)) + np.sin(np.arange(size) * (1 + kind)) + 0.3 * kind
    return mt.tensor(x.astype(np.float32)), mt.tensor(y)


def loader(data, batch=32, shuffle=True, **options):
    return DataLoader(TensorDataset(*data), batch_size=batch, shuffle=shuffle,
                      generator=mt.Generator().manual_seed(3), **options)


def mlp(features=12, hidden=24, classes=4, norm=nn.BatchNorm1d):
    return nn.Sequential(nn.Linear(features, hidden, bias=False), norm(hidden), nn.ReLU(),
                         nn.Linear(hidden, hidden, bias=False), norm(hidden), nn.ReLU(), nn.Linear(hidden, classes))


def cnn(bias=False):
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=bias), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(8, 16, 3, padding=1, bias=bias), nn.BatchNorm2d(16), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2))


def case(model, data=None, loss_fn=None, **more):
    return dict(model=model, loader=loader(table()) if data is None else data,
                loss_fn=loss_fn or nn.CrossEntropyLoss(), **more)


def settle(model, batches, passes=6):
    """A model whose running statistics are those of the data, as after training."""
    model.train()
    with mt.no_grad():
        for _ in range(passes):
            for batch in batches:
                model(batch[0])
    return model


@pair("BN101")
def small_batch(faulty):
    if faulty:
        return case(mlp(), loader(table(64), 4))
    return case(cnn(), loader(images(64), 4))  # four images, but 256 values per channel


@pair("BN102")
def drifted(faulty):
    data = loader(table())
    model = settle(mlp(), data)
    with mt.no_grad():
        var = model[1].running_var
        model[1].running_mean.add_(var.sqrt() * (1.0 if faulty else 0.1))
    return case(model, data)


@pair("BN103")
def immature(faulty):
    data = loader(table())
    return case(settle(mlp(), data, 1 if faulty else 5), data)  # 8 or 40 updates


@pair("BN104")
def dead(faulty):
    model = mlp()
    with mt.no_grad():  # ReLU opens at 6 or at 1.5 standard deviations
        model[1].bias[:4] = -6.0 if faulty else -1.5
        model[4].weight[:2] = 1e-6 if faulty else 0.05
    return case(model, **trained(model))


def trained(model):
    """Statistics of the data, for models whose weights say that they were trained."""
    data = loader(table())
    settle(model, data)
    return {"data": data}


@pair("BN105")
def tiny(faulty):
    return case(mlp(), loader(table(scale=1e-4 if faulty else 1e-1)))


@pair("BN106")
def far(faulty):
    model = nn.Sequential(nn.BatchNorm1d(12), *mlp())
    return case(model, loader(table(offset=1e4 if faulty else 1e2)))


@pair("BN107")
def bias(faulty):
    if faulty:
        return case(cnn(bias=True), loader(images()))
    return case(BiasElsewhere(), loader(images()))


class BiasElsewhere(nn.Module):
    """A convolution with a bias that a skip connection reads as well as batch norm: it has work to do."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        h = self.conv(x) * 1.0  # of its own, so that the convolution is not the norm's direct source in a fold
        return self.head((self.norm(h) + h).relu().mean((2, 3)))


@pair("BN108")
def decayed(faulty):
    model = mlp()
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = model.parameters() if faulty else [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    return case(model, optimizer=mt.optim.SGD(groups, lr=0.1, momentum=0.9, weight_decay=1e-4))


@pair("BN109")
def frozen(faulty):
    model, data = mlp(), loader(table())
    settle(model, data)
    model[:3].requires_grad_(False)
    if not faulty:
        model[1].eval()
    return case(model, data)


class Twice(nn.Module):
    """A network that looks at its input and at a noisy copy of it, by one batch norm or by two."""

    def __init__(self, one):
        super().__init__()
        self.first, self.norm, self.head = nn.Linear(12, 24, bias=False), nn.BatchNorm1d(24), nn.Linear(24, 4)
        self.other = self.norm if one else nn.BatchNorm1d(24)

    def forward(self, x):
        noise = mt.randn_like(x) * 0.1 if self.training else 0 * x
        return self.head(self.norm(self.first(x)).relu() + self.other(self.first(x + noise)).relu())


@pair("BN110")
def twice(faulty):
    return case(Twice(faulty))


@pair("BN111")
def dropped(faulty):
    layers = list(mlp())
    layers.insert(3 if faulty else 6, nn.Dropout(0.5))
    return case(nn.Sequential(*layers))


@pair("BN112")
def tail(faulty):
    return case(mlp(), loader(table(260 if faulty else 272)))


@pair("BN113")
def accumulated(faulty):
    return case(mlp(), loader(table(), 8 if faulty else 32), accumulate=8)


@pair("BN114")
def padded(faulty):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(128, 6, 24)).astype(np.float32)
    y = rng.integers(0, 2, 128)
    x[:, 0] += y[:, None]
    lengths = rng.integers(8, 25, 128) if faulty else rng.integers(23, 25, 128)
    x[np.arange(24) >= lengths[:, None, None] + np.zeros((1, 6, 1), int)] = 0
    model = nn.Sequential(nn.Conv1d(6, 8, 1, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.AdaptiveAvgPool1d(1),
                          nn.Flatten(), nn.Linear(8, 2))
    return case(model, loader((mt.tensor(x), mt.tensor(y))))


@pair("BN115")
def sorted_classes(faulty):
    return case(mlp(), loader(table(sort=True), shuffle=not faulty))


class Deep(nn.Module):
    """Twenty layers of linear, batch norm, ReLU, with or without a skip connection over each."""

    def __init__(self, skip):
        super().__init__()
        self.first = nn.Linear(12, 64, bias=False)
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(64, 64, bias=False), nn.BatchNorm1d(64), nn.ReLU())
                                    for _ in range(20))
        self.head, self.skip = nn.Linear(64, 4), skip

    def forward(self, x):
        x = self.first(x)
        for layer in self.layers:
            x = x + layer(x) if self.skip else layer(x)
        return self.head(x)


@pair("BN116")
def deep(faulty):
    return case(Deep(skip=not faulty), loader(table(), 64))


@pair("BN117")
def broken(faulty):
    model, data = mlp(), loader(table())
    settle(model, data)
    with mt.no_grad():
        model[1].running_var[3] = float("nan") if faulty else model[1].running_var[3] * 1.2
    return case(model, data)


@pair("BN118")
def imported(faulty):
    model = mlp(norm=lambda n: nn.BatchNorm1d(n, momentum=0.99 if faulty else 0.3))
    return case(model)


class Shared(nn.Module):
    """A skip connection around batch norm that starts behind the convolution, or before it."""

    def __init__(self, behind):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
        self.head, self.behind = nn.Linear(3, 2), behind

    def forward(self, x):
        h = self.conv(x)
        return self.head((self.norm(h) + (h if self.behind else x)).relu().mean((2, 3)))


@pair("BN119")
def unfoldable(faulty):
    data = loader(images())
    return case(settle(Shared(faulty), data, 12), data)


@pair("BN120")
def blind(faulty):
    model = nn.Sequential(*list(mlp())[:5])
    weights = mt.randn(32, 24, generator=mt.Generator().manual_seed(1))
    return case(model, loss_fn=(lambda y, t: y.sum()) if faulty else (lambda y, t: (y * weights).sum()))


def loss_of(output, target):
    return F.cross_entropy(output, target)
