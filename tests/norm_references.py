"""Batch norm from its formulas in NumPy float64, and what the tests of its policies draw."""

import numpy as np
from hypothesis import strategies as st

import minitorch_bn as torch
from minitorch_bn import nn

KINDS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
SHAPES = st.one_of(
    st.tuples(st.integers(2, 12), st.integers(1, 5)),
    st.tuples(st.integers(2, 9), st.integers(1, 4), st.integers(1, 6)),
    st.tuples(st.integers(2, 7), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(2, 4), st.integers(1, 3), *[st.integers(1, 3)] * 3))
SEEDS = st.integers(0, 2**31)
MOMENTA = st.sampled_from([0.0, 0.1, 0.5, 1.0, None])


def sample(shape, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) * rng.uniform(0.1, 5) + rng.uniform(-9, 9)


def tensor(array):
    return torch.from_numpy(np.array(array, np.float64))


def randomized(layer, seed):
    """The layer in float64, with weights, biases and statistics that are not the initial ones."""
    rng = np.random.default_rng(seed)
    layer.double()
    with torch.no_grad():
        for name, value in [*layer.named_parameters(), *layer.named_buffers()]:
            if value.is_floating_point():
                drawn = rng.standard_normal(tuple(value.shape))
                value.copy_(tensor(np.exp(drawn) if "var" in name else drawn))
    return layer


class Reference:
    """Batch norm of rows (n, C) with running statistics, from the formulas, in NumPy."""

    def __init__(self, layer):
        self.w, self.b = (p.detach().numpy().copy() for p in (layer.weight, layer.bias))
        self.mean, self.var = layer.running_mean.numpy().copy(), layer.running_var.numpy().copy()
        self.eps, self.momentum, self.seen = layer.eps, layer.momentum, 0

    def move(self, mean, var):
        self.seen += 1
        a = 1 / self.seen if self.momentum is None else self.momentum
        self.mean, self.var = (1 - a) * self.mean + a * mean, (1 - a) * self.var + a * var

    def train(self, rows, bessel=True):
        n = len(rows)
        if n == 0:
            return rows
        mean = rows.mean(0)
        var = ((rows - mean) ** 2).mean(0)
        self.move(mean, var * n / (n - 1) if bessel else var)
        return (rows - mean) / np.sqrt(var + self.eps) * self.w + self.b

    def evaluate(self, rows):
        return (rows - self.mean) / np.sqrt(self.var + self.eps) * self.w + self.b

    def check(self, layer, seen=None):
        np.testing.assert_allclose(layer.running_mean.numpy(), self.mean, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(layer.running_var.numpy(), self.var, rtol=1e-10, atol=1e-11)
        assert layer.num_batches_tracked.item() == self.seen


def rows_of(a):
    """(N, C, *size) as rows (N * size, C)."""
    return np.moveaxis(a, 1, -1).reshape(-1, a.shape[1])


def unrowed(rows, shape):
    return np.moveaxis(rows.reshape(shape[0], *shape[2:], shape[1]), -1, 1)


def close(result, expected):
    assert tuple(result.shape) == expected.shape
    scale = max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=0, atol=1e-10 * scale)


def usable(shape):
    return shape[0] * int(np.prod(shape[2:])) > 1
