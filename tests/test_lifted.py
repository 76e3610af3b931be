"""A convolution that does the batch norm and the ReLU before it on its way: nobody can tell, and the result in between
is not made where nobody looks."""
import ctypes
import gc

import numpy as np
import pytest
from fuzz_fusion import differs
from hypothesis import given
from hypothesis import strategies as st
from programs import AT_ONCE, DEFERRED, POISONED, everything, outcome

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn._core import set_fusion

F = nn.functional
SHAPE = (3, 8, 9, 10)


@pytest.fixture(autouse=True)
def restored():
    was = set_fusion(DEFERRED)
    yield
    set_fusion(was)


def conv(channels=8, **options):
    torch.manual_seed(5)
    return nn.Conv2d(channels, 8, 3, padding=1, **options)


def chain(x, other, norm):
    c, d = conv(), conv(bias=False)
    y = d(F.relu(norm(c(x))))
    y.backward(torch.randn(y.shape), retain_graph=True)
    return y, c.weight.grad, d.weight.grad


def without_relu(x, other, norm):
    return conv()(norm(x * 1))


def relu_in_place(x, other, norm):
    return nn.Sequential(norm, nn.ReLU(inplace=True), conv(), nn.BatchNorm2d(8), nn.ReLU(), conv(groups=1))(x * 1)


def residual_block(x, other, norm):
    a, b, second = conv(bias=False), conv(bias=False), nn.BatchNorm2d(8)
    y = F.relu(norm(a(x)))
    y = second(b(y))
    y += x
    return F.relu(y), a.weight, second.running_var


def stem_and_block(x, other, norm):
    second, third = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
    y = F.relu(norm(conv(bias=False)(x)))
    z = second(conv()(y))
    z = F.relu(z + y)
    w = F.relu(y + third(conv(bias=False)(z)))
    return z, w, second.running_mean, third.running_var


def sum_of_two_that_were_read(x, other, norm):
    second = nn.BatchNorm2d(8)
    y, z = F.relu(norm(x * 1)), second(other * 1)
    outputs = conv()(y), conv(bias=False)(z)
    return *outputs, F.relu(z + y)


def held_until_later(x, other, norm):
    y = F.relu(norm(x * 1))
    z = conv()(y)
    z = F.relu(z + other)
    return z + y, y


def held_in_a_list(x, other, norm):
    parts = [F.relu(norm(x * 1))]
    parts.append(conv()(parts[0]))
    return torch.cat(parts, 1)


def popped_from_a_list(x, other, norm):
    parts = [F.relu(norm(x * 1))]
    z = conv()(parts[0])
    return parts.pop() * 2, z


def read_twice(x, other, norm):
    y = F.relu(norm(x * 1))
    return conv()(y), conv(bias=False)(y)


def seen_through_a_view(x, other, norm):
    y = F.relu(norm(x * 1))
    view = y[:, 1:3]
    z = conv()(y)
    del y
    return z * 1, view + 1


def result_thrown_away(x, other, norm):
    y = F.relu(norm(x * 1))
    conv()(y)
    return y.sqrt(), y


def node_asked(x, other, norm):
    z = conv()(F.relu(norm(x * 1)))
    torch.zeros(3)
    saved = [t.clone() for t in z.grad_fn.saved_tensors]
    return (*saved, z)


def relu_node_asked(x, other, norm):
    z = conv()(F.relu(norm(x * 1)))
    torch.zeros(3)
    return z, z.grad_fn.next_functions[0][0].saved_tensors[0].detach().clone()


def input_changes(x, other, norm):
    source, c = (x * 1).detach(), conv()
    norm.requires_grad_(False)
    z = c(F.relu(norm(source)))
    torch.zeros(3)
    source.mul_(2)
    z.sum().backward()
    return c.weight.grad, source


def array_changes(x, other, norm):
    source = (x * 1).detach()
    z = conv()(F.relu(norm(source)))
    torch.zeros(3)
    source.numpy()[...] = 3
    return z, source


def data_changes(x, other, norm):
    source = (x * 1).detach()
    z = conv()(F.relu(norm(source)))
    torch.zeros(3)
    source.data.fill_(2)
    source.data = torch.zeros(source.shape)
    return z, source


def weight_changes(x, other, norm):
    z = conv()(F.relu(norm(x * 1)))
    torch.zeros(3)
    norm.weight.data.mul_(-2)
    norm.bias.data.add_(1)
    return z


def evaluation(x, other, norm):
    norm.eval()
    with torch.no_grad():
        return conv()(F.relu(norm(x))), conv()(norm(x))


def second_order(x, other, norm):
    c = conv()
    (g,) = torch.autograd.grad(c(F.relu(norm(x))).pow(3).sum(), x, create_graph=True)
    return g, g.square().sum(), torch.autograd.grad(g.square().sum(), c.weight, retain_graph=True)[0]


def twice_backward(x, other, norm):
    c = conv()
    z = c(F.relu(norm(x * 1)))
    z.sum().backward(retain_graph=True)
    z.square().sum().backward(retain_graph=True)
    return z, c.weight.grad


def hooked(x, other, norm):
    y = F.relu(norm(x * 1))
    seen = []
    y.register_hook(lambda g: seen.append(g.clone()) or g * 2)
    z = conv()(y)
    del y
    z.backward(torch.randn(z.shape), retain_graph=True)
    return seen[0], z


def module_hook(x, other, norm):
    kept, c = [], conv()
    c.register_forward_hook(lambda m, inputs, out: kept.append(inputs[0]))
    z = c(F.relu(norm(x * 1)))
    return z, kept[0] + 1


def odd_values(x, other, norm):
    source = (x * 1).detach()
    source[0, 0, 0, 0], source[1, 1, 3, 4] = float("nan"), float("inf")
    norm.eval()
    c = conv(bias=False)
    z = c(F.relu(norm(source)))
    z.nan_to_num(0.0, 0.0, 0.0).sum().backward(retain_graph=True)
    return z, c.weight.grad


def grouped(x, other, norm):
    torch.manual_seed(1)
    c = nn.Conv2d(16, 16, 3, padding=1, groups=2)
    y = torch.cat([x, other], 1)
    z = c(F.relu(nn.BatchNorm2d(16)(y)))
    z.backward(torch.randn(z.shape), retain_graph=True)
    return z, c.weight.grad, norm(x)


def five_and_dilated(x, other, norm):
    torch.manual_seed(1)
    c, d = nn.Conv2d(8, 8, 5, padding=2), nn.Conv2d(8, 9, 3, padding=2, dilation=2)
    return c(F.relu(norm(x * 1))), d(norm(other * 1))


PROGRAMS = [chain, without_relu, relu_in_place, residual_block, stem_and_block, sum_of_two_that_were_read,
            held_until_later, held_in_a_list, popped_from_a_list, read_twice, seen_through_a_view, result_thrown_away,
            node_asked, relu_node_asked, input_changes, array_changes, data_changes, weight_changes, evaluation,
            second_order, twice_backward, hooked, module_hook, odd_values, grouped, five_and_dilated]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_same_bits_as_at_once(program):
    expected = everything(AT_ONCE, program, shape=SHAPE)
    for mode in DEFERRED, POISONED:
        assert everything(mode, program, shape=SHAPE) == expected


STEPS = ["norm", "relu", "relu_", "conv", "conv other", "keep", "drop", "add kept", "add_", "scale_", "look", "array"]


@given(st.lists(st.sampled_from(STEPS), min_size=2, max_size=9), st.booleans())
def test_any_program(steps, training):
    def program(x, other, norm):
        norm.train(training)
        y, kept, c = x * 1, [other], conv()
        for step in steps:
            if step == "norm":
                y = norm(y)
            elif step == "relu":
                y = F.relu(y)
            elif step == "relu_":
                y = F.relu_(y)
            elif step == "conv":
                y = c(y)
            elif step == "conv other":
                kept.append(c(kept[-1]))
            elif step == "keep":
                kept.append(y)
            elif step == "drop" and len(kept) > 1:
                kept.pop()
            elif step == "add kept":
                y = y + kept[-1]
            elif step == "add_":
                y.add_(kept[-1])
            elif step == "scale_":
                y.detach().mul_(0.5)
            elif step == "look":
                float(kept[-1].sum())
            elif step == "array":
                y.detach().numpy()
        return y, kept[-1] * 1, c.weight * 1

    expected = outcome(AT_ONCE, program, (2, 8, 8, 8))
    assert outcome(DEFERRED, program, (2, 8, 8, 8)) == expected
    assert outcome(POISONED, program, (2, 8, 8, 8)) == expected


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_random_programs(first):
    assert [seed for seed in range(first, first + 50) if differs(seed)] == []


def test_it_happens():
    """What only the convolution reads is never made: its memory keeps the poison until the graph is asked for it."""
    set_fusion(POISONED)
    norm, x, c = nn.BatchNorm2d(8).requires_grad_(False), torch.randn(SHAPE), conv()
    blocks = [torch.empty(SHAPE) for _ in range(3)]      # the allocator gives these to the next that ask
    raw = [np.ctypeslib.as_array((ctypes.c_float * x.numel()).from_address(block.data_ptr())) for block in blocks]
    del blocks
    z = c(F.relu(norm(x)))
    torch.zeros(3)
    assert sum(np.isnan(values).all() for values in raw) == 1
    assert not torch.isnan(z.grad_fn.saved_tensors[0]).any() and not any(np.isnan(values).all() for values in raw)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_nothing_leaks(program):
    def bytes_after():
        everything(DEFERRED, program, shape=SHAPE)
        gc.collect()
        return torch.memory_stats()["allocated_bytes"]

    bytes_after()
    assert bytes_after() == bytes_after()


def test_a_failing_convolution_loses_nothing():
    norm, x = nn.BatchNorm2d(8), torch.randn(SHAPE)
    y = F.relu(norm(x))
    with pytest.raises(RuntimeError, match="should be the same"):
        F.conv2d(y, torch.ones(8, 8, 3, 3, dtype=torch.float64), padding=1)
    with pytest.raises(RuntimeError):
        F.conv2d(y, torch.ones(8, 9, 3, 3), padding=1)
    set_fusion(AT_ONCE)
    again = F.relu(nn.BatchNorm2d(8)(x))
    assert torch.equal(y, again)


def test_as_pytorch():
    theirs = pytest.importorskip("torch")
    torch.manual_seed(0)
    x = torch.randn(SHAPE)
    mine, other = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), conv()), theirs.nn
    theirs_net = other.Sequential(other.BatchNorm2d(8), other.ReLU(), other.Conv2d(8, 8, 3, padding=1))
    theirs_net.load_state_dict({k: theirs.tensor(v.numpy()) for k, v in mine.state_dict().items()})
    a, b = x.clone().requires_grad_(), theirs.tensor(x.numpy(), requires_grad=True)
    g = torch.randn(3, 8, 9, 10)
    mine(a).backward(g)
    theirs_net(b).backward(theirs.tensor(g.numpy()))
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-5, rtol=1e-4)
    for p, q in zip(mine.parameters(), theirs_net.parameters()):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), atol=1e-4, rtol=1e-4)
