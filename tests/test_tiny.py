"""One of everything, in about a second: the first thing to run after a change."""
import numpy as np

import minitorch_bn as torch
import minitorch_bn.nn.functional as F
from minitorch_bn import nn


def test_add():
    assert (torch.ones(3) + torch.arange(3.0)).tolist() == [1, 2, 3]


def test_matmul_is_numpys():
    a, b = np.random.default_rng(0).normal(size=(2, 40, 40))
    np.testing.assert_allclose((torch.from_numpy(a) @ torch.from_numpy(b)).numpy(), a @ b, rtol=1e-12)


def test_backward_and_again():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    g, = torch.autograd.grad((x.exp() * x).sum(), x, create_graph=True)
    h, = torch.autograd.grad(g.sum(), x)
    assert torch.allclose(h, (x.exp() * (x + 2)).detach())


def test_views_and_writes():
    x = torch.zeros(3, 4)
    x.t()[1:3, 0] = 5
    assert x.sum() == 10 and x[0].tolist() == [0, 5, 5, 0]


def test_conv_batch_norm_pool():
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    y = F.max_pool2d(F.relu(nn.BatchNorm2d(4)(nn.Conv2d(3, 4, 3, padding=1)(x))), 2)
    y.square().sum().backward()
    assert y.shape == (2, 4, 4, 4) and x.grad.shape == x.shape and bool(x.grad.abs().sum() > 0)


def test_batch_norm_normalizes():
    y = nn.BatchNorm1d(5)(torch.randn(100, 5) * 3 + 1000)
    assert torch.allclose(y.mean(0), torch.zeros(5), atol=1e-5) and torch.allclose(y.var(0, correction=0),
                                                                                   torch.ones(5), rtol=1e-4)


def test_a_network_learns():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 2))
    x = torch.rand(64, 2) - 0.5
    y = (x[:, 0] * x[:, 1] > 0).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    first = None
    for _ in range(60):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        first = first or loss.item()
    assert loss.item() < first / 3


def test_random_numbers_repeat():
    torch.manual_seed(5)
    a = torch.randn(1000)
    torch.manual_seed(5)
    assert torch.equal(a, torch.randn(1000)) and abs(a.mean()) < 0.2


def test_printing():
    assert repr(torch.tensor([[1.0, 2.5], [-3.0, 4.0]])) == "tensor([[ 1.0000,  2.5000],\n        [-3.0000,  4.0000]])"
