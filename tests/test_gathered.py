"""Sums that convolutions gather for the batch norms around them: a residual network trains to the same bits without."""
import numpy as np
import pytest
from programs import AT_ONCE, DEFERRED, POISONED

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn._core import set_fusion

F = nn.functional


@pytest.fixture(autouse=True)
def restored():
    was, threads = set_fusion(DEFERRED), torch.get_num_threads()
    yield
    set_fusion(was)
    torch.set_num_threads(threads)


class Block(nn.Module):
    def __init__(self, channels, out, stride=1, groups=1, activation=True):
        super().__init__()
        self.first = nn.Conv2d(channels, out, 3, stride, 1, bias=False, groups=groups)
        self.second = nn.Conv2d(out, out, 3, padding=1, groups=groups)
        self.norms = nn.ModuleList([nn.BatchNorm2d(out), nn.BatchNorm2d(out)])
        self.shortcut = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        self.activation = activation

    def forward(self, x):
        y = self.norms[0](self.first(x))
        y = self.norms[1](self.second(F.relu(y) if self.activation else y))
        return F.relu(y + self.shortcut(x))


def training(mode, threads=2, steps=4, spoil=None, **options):
    """Losses, gradients and buffers of a few steps of training."""
    set_fusion(mode)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), Block(16, 16, **options),
                          Block(16, 16), Block(16, 32, 2), Block(32, 32), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                          nn.Linear(32, 5))
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, -1, 2)
            nn.init.normal_(m.bias)
    x, y = torch.randn(5, 3, 28, 28), torch.randint(0, 5, (5,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    shown = []
    for step in range(steps):
        if spoil is not None:
            spoil(model, step)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        shown += [loss.detach().numpy().tobytes(), *(p.grad.numpy().tobytes() for p in model.parameters())]
    return shown + [b.numpy().tobytes() for b in model.buffers()]


@pytest.mark.parametrize("options", [{}, {"groups": 2}, {"activation": False}], ids=str)
def test_same_bits_as_at_once(options):
    expected = training(AT_ONCE, **options)
    for mode, threads in (DEFERRED, 1), (DEFERRED, 2), (DEFERRED, 3), (POISONED, 2):
        assert training(mode, threads, **options) == expected


def test_what_was_gathered_is_void_once_the_tensor_changes():
    """Hooks that write to what a convolution made, and to gradients."""

    def scale(module, inputs, y):
        y.data.mul_(1.5)

    def halve(module, inputs, y):
        y.register_hook(lambda g: g.mul_(0.5))

    def spoil(model, step):
        if step == 2:
            for m in model.modules():
                if isinstance(m, nn.Conv2d):
                    m.register_forward_hook(scale)
            model[3].norms[0].register_forward_hook(halve)

    expected = training(AT_ONCE, spoil=spoil)
    assert training(DEFERRED, spoil=spoil) == expected
    assert training(DEFERRED) != expected


def test_frozen_and_evaluated():
    """Weights whose results were normalized in training: the same bits in evaluation, and with frozen statistics."""

    def evaluate(model, step):
        model.train(step < 2)

    assert training(DEFERRED, spoil=evaluate) == training(AT_ONCE, spoil=evaluate)


def test_infinities_and_nans_are_gathered_as_they_are():
    def gradients(mode):
        set_fusion(mode)
        torch.manual_seed(1)
        c, d, norm, second = (nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8),
                              nn.BatchNorm2d(8))
        x, g = torch.randn(3, 8, 16, 12), torch.randn(3, 8, 16, 12)
        x[1, 2, 3, 4], g[2, 0, 1, 1] = float("inf"), float("nan")
        for _ in range(2):
            y = second(d(F.relu(norm(c(x.requires_grad_())))))
            y.backward(g)
        return [t.detach().numpy() for t in (y, norm.running_mean, second.running_var, x.grad, c.weight.grad,
                                             norm.weight.grad, d.bias.grad)]

    for a, b in zip(gradients(DEFERRED), gradients(AT_ONCE), strict=True):
        np.testing.assert_array_equal(a, b)
