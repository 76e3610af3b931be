"""Random programs around convolutions and batch norms: what waits, joins or is gathered must not change a single bit.

    python tests/fuzz_fusion.py 0 10000      # the programs of these seeds; exits with 1 if one shows other bits
"""
import random
import sys

from programs import AT_ONCE, DEFERRED, POISONED

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn._core import set_fusion

F = nn.functional
CHANNELS = 8
LONGEST = 14


class Program:
    """A few tensors and layers, and what has been seen of them."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        torch.manual_seed(seed)
        size = self.rng.choice([5, 12, 16, 24])
        self.x = torch.randn(self.rng.choice([1, 2, 3, 5]), CHANNELS, size, size).requires_grad_()
        self.norms = [nn.BatchNorm2d(CHANNELS) for _ in range(4)]
        self.convs = [nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=self.rng.random() < 0.5) for _ in range(3)]
        self.convs.append(nn.Conv2d(CHANNELS, CHANNELS, 5, padding=2))
        for norm in self.norms:
            nn.init.uniform_(norm.weight, -1, 2)
            nn.init.normal_(norm.bias)
        self.shown = []

    def show(self, t):
        self.shown.append(None if t is None else t.detach().numpy().tobytes())

    def run(self):
        """Two rounds of random steps and their backward passes, with other weights in the second."""
        parameters = [p for layer in self.norms + self.convs for p in layer.parameters()]
        for _ in range(2):
            self.y, self.kept = self.x * 1, []
            try:
                for step in self.rng.choices(STEPS, k=self.rng.randint(3, LONGEST)):
                    step(self, self.rng)
                if self.y.requires_grad:
                    self.y.backward(torch.randn(self.y.shape))
            except RuntimeError as error:  # something that backward needs was overwritten
                self.shown.append(str(error)[:50])
            for t in self.y, *self.kept, self.x.grad, *(p.grad for p in parameters):
                self.show(t)
            with torch.no_grad():
                for p in parameters:
                    if p.grad is not None and self.rng.random() < 0.5:
                        p.sub_(p.grad, alpha=1e-4)
                    p.grad = None
        for norm in self.norms:
            for buffer in norm.buffers():
                self.show(buffer)
        return self.shown


def norm(p, rng):
    p.y = rng.choice(p.norms)(p.y)


def relu(p, rng):
    p.y = F.relu(p.y)


def relu_(p, rng):
    p.y = F.relu_(p.y)


def norm_relu(p, rng):
    p.y = F.relu(rng.choice(p.norms)(p.y))


def conv(p, rng):
    p.y = rng.choice(p.convs)(p.y)


def block(p, rng):
    inner = F.relu(p.norms[0](p.convs[0](p.y)))
    p.y = F.relu(p.norms[1](p.convs[1](inner)) + p.y)


def keep(p, rng):
    p.kept.append(p.y)


def drop(p, rng):
    if p.kept:
        p.kept.pop(rng.randrange(len(p.kept)))


def swap(p, rng):
    if p.kept:
        i = rng.randrange(len(p.kept))
        p.y, p.kept[i] = p.kept[i], p.y


def add(p, rng):
    if p.kept:
        other = rng.choice(p.kept)
        p.y = p.y + other if rng.random() < 0.5 else other + p.y


def add_(p, rng):
    if p.kept:
        p.y.add_(rng.choice(p.kept))


def multiply(p, rng):
    if p.kept:
        p.y = p.y * rng.choice(p.kept) * 0.1


def look(p, rng):
    p.show(p.y)


def scale_unseen(p, rng):
    p.y.detach().mul_(0.5)


def cut(p, rng):
    if rng.random() < 0.3:
        p.y = p.y.detach()


def view(p, rng):
    p.kept.append(p.y[:, :])


def copy(p, rng):
    p.kept.append(p.y.clone())


def join(p, rng):
    p.y = torch.cat([p.y, p.y])[:p.y.shape[0]]


def reduce(p, rng):
    p.kept.append(F.avg_pool2d(p.y, 2).sum().expand(p.y.shape))


def without_grad(p, rng):
    with torch.no_grad():
        p.kept.append(rng.choice(p.norms)(p.y))


def backward(p, rng):
    if p.y.requires_grad:
        p.y.backward(torch.randn(p.y.shape), retain_graph=True)


def hook(p, rng):
    if p.y.requires_grad:
        p.y.register_hook(p.show)


def evaluate(p, rng):
    rng.choice(p.norms).eval()


def train(p, rng):
    rng.choice(p.norms).train()


def write_weight(p, rng):
    with torch.no_grad():
        rng.choice(p.norms).weight.mul_(0.9)


STEPS = [norm, norm, relu, relu_, norm_relu, conv, conv, conv, block, keep, keep, drop, swap, add, add, add_, multiply,
         look, scale_unseen, cut, view, copy, join, reduce, without_grad, backward, hook, evaluate, train, write_weight]


def shown(seed, mode, threads):
    before, was = torch.get_num_threads(), set_fusion(mode)
    torch.set_num_threads(threads)
    try:
        return Program(seed).run()
    finally:
        set_fusion(was)
        torch.set_num_threads(before)


def differs(seed):
    """Whether a program shows other bits when something waits than when nothing does."""
    expected = shown(seed, AT_ONCE, 1)
    return any(shown(seed, mode, threads) != expected for mode, threads in ((DEFERRED, 2), (POISONED, 1)))


def main():
    first, last = int(sys.argv[1]), int(sys.argv[2])
    bad = [seed for seed in range(first, last) if differs(seed)]
    print(f"{last - first} programs, {len(bad)} of them show other bits: {bad[:20]}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
