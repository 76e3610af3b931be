"""A deferred batch norm cannot be told from one that computes at once: every bit of every program is the same."""
import ctypes
import gc
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import AT_ONCE, DEFERRED, POISONED, everything, outcome

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn._core import set_fusion

F = nn.functional


@pytest.fixture(autouse=True)
def restored():
    was = set_fusion(DEFERRED)
    yield
    set_fusion(was)


def sum_in_place(x, other, norm):
    y = norm(x * 1)
    y += other * 1
    return F.relu(y)


def sum_into_other(x, other, norm):
    y = other * 1
    y += norm(x * 1)
    return y.relu_()


def looked_at_later(x, other, norm):
    y = norm(x * 1)
    return F.relu(y), y, y.sum()


def sum_and_all_parts(x, other, norm):
    y = norm(x * 1)
    z = y + other
    return F.relu(z) * y, z


def input_changes_afterwards(x, other, norm):
    with torch.no_grad():
        source = x * 1
        y = norm(source)
        source.mul_(2)
        return F.relu(y), source


def array_changes_afterwards(x, other, norm):
    source = (x * 1).detach()
    array = source.numpy()
    y = norm(source)
    array[...] = 3
    return F.relu(y), source


def memory_changes_before_backward(x, other, norm):
    source = (x * 1).detach()
    y = F.relu(norm(source))
    source.numpy()[...] *= 2
    z = F.relu(norm(other * 1))
    norm.weight.data.mul_(-1)
    return y, z


def parameter_changes_afterwards(x, other, norm):
    with torch.no_grad():
        y = norm(x)
        norm.weight.mul_(2)
        return F.relu(y)


def through_a_view(x, other, norm):
    y = norm(x * 1)
    return F.relu(y.flatten(1)), F.relu(y[1:]), y.permute(1, 0, 2, 3).relu()


def written_in_part(x, other, norm):
    y = norm(x * 1)
    y[0] = 1.0
    return F.relu(y)


def evaluation(x, other, norm):
    norm.train(False)
    return F.relu(norm(x)), sum_in_place(x, other, norm)


def without_recording(x, other, norm):
    with torch.no_grad():
        return F.relu(norm(x) + other), F.relu_(norm(x))


def hooked(x, other, norm):
    y = norm(x * 1)
    seen = []
    y.register_hook(lambda g: seen.append(g.clone()) or g * 2)
    F.relu(y).backward(torch.randn(y.shape), retain_graph=True)
    return seen[0], F.relu(y)


def kept_gradient(x, other, norm):
    y = norm(x * 1)
    y.retain_grad()
    F.relu(y).sum().backward(retain_graph=True)
    return y.grad, F.relu(y)


def gradient_of_the_middle(x, other, norm):
    y = norm(x * 1)
    return torch.autograd.grad(F.relu(y).square().sum(), (y, x, norm.weight))


def second_order(x, other, norm):
    (g,) = torch.autograd.grad(F.relu(norm(x)).pow(3).sum(), x, create_graph=True)
    return g, g.square().sum()


def output_unused(x, other, norm):
    norm(x * 1)
    norm(other * 1)
    return norm(x)


def hooked_sum(x, other, norm):
    y = norm(x * 1) + other
    seen = []
    y.register_hook(lambda g: seen.append(g.clone()) or g * 2)
    F.relu(y).backward(torch.randn(y.shape), retain_graph=True)
    return seen[0], F.relu(y)


def kept_gradient_of_sum(x, other, norm):
    n = norm(x * 1)
    y = other + n
    n.retain_grad()
    F.relu(y).square().sum().backward(retain_graph=True)
    return n.grad, F.relu(y)


def sum_read_twice(x, other, norm):
    y = norm(x * 1) + other * 2
    return F.relu(y) + y


def same_norm_twice(x, other, norm):
    n = norm(x * 1)
    return F.relu(n + n), F.relu(norm(other) + n)


def one_norm_three_times(x, other, norm):
    extra = norm(other * 1)
    return F.relu(F.relu(norm(norm(x * 1))) + extra)


def summand_used_elsewhere(x, other, norm):
    y = x * 1
    z = F.relu(norm(y) + y)
    return F.relu(y * 2 + norm(z)) * y


def second_backward(x, other, norm):
    y = F.relu(norm(x * 1) + norm(other * 1)).square().sum()
    y.backward(retain_graph=True)
    return y


def odd_values(x, other, norm):
    source = (x * 1).detach()
    source[0, 0, 0, 0], source[1, 1, 0, 0] = float("nan"), float("inf")
    source[:, 2] = 5.0
    y = F.relu(norm(source * 1) + other), F.relu(norm(source))
    return *y, F.relu(norm(source.requires_grad_()))


def layers(x, other, norm):
    conv = nn.Conv2d(x.size(1), 6, 3, bias=False)
    return nn.Sequential(norm, nn.ReLU(inplace=True), conv, nn.BatchNorm2d(6), nn.ReLU())(x)


PROGRAMS = [sum_in_place, sum_into_other, looked_at_later, sum_and_all_parts, input_changes_afterwards,
            array_changes_afterwards, memory_changes_before_backward, parameter_changes_afterwards, through_a_view,
            written_in_part, evaluation,
            without_recording, hooked, kept_gradient, gradient_of_the_middle, second_order, output_unused, odd_values,
            layers, hooked_sum, kept_gradient_of_sum, sum_read_twice, same_norm_twice, second_backward,
            one_norm_three_times, summand_used_elsewhere,
            lambda x, other, norm: F.relu(norm(x * 1) + norm(other * 1)),
            lambda x, other, norm: F.relu_(other + norm(x)),
            lambda x, other, norm: F.relu(norm(x * 1)), lambda x, other, norm: F.relu_(norm(x * 1)),
            lambda x, other, norm: F.relu(norm(x * 1) + other), lambda x, other, norm: F.relu(other + norm(x * 1)),
            lambda x, other, norm: norm(x) + norm(other), lambda x, other, norm: norm(x) + norm(x),
            lambda x, other, norm: (norm(x) + other[:1]).relu(), lambda x, other, norm: norm(x * 1).add_(2).relu_(),
            lambda x, other, norm: norm(x).exp()]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__ if p.__name__ != "<lambda>" else "")
def test_same_bits_as_at_once(program, layout):
    expected = everything(AT_ONCE, program, layout=layout)
    for mode in DEFERRED, POISONED:
        assert everything(mode, program, layout=layout) == expected


@pytest.mark.parametrize("program", PROGRAMS[:6])
def test_rows_and_volumes(program):
    for layer, shape in (nn.BatchNorm1d, (7, 6)), (nn.BatchNorm1d, (3, 6, 4)), (nn.BatchNorm3d, (2, 3, 2, 3, 4)):
        expected = everything(AT_ONCE, program, layer, shape)
        assert everything(POISONED, program, layer, shape) == expected


STEPS = ["norm", "norm other", "relu", "relu_", "add", "add_", "add other", "into other", "scale", "scale_", "view",
         "look"]


def perform(steps):
    def program(x, other, norm):
        y, extra = x * 1, other * 1
        for step in steps:
            if step == "norm":
                y = norm(y)
            elif step == "norm other":
                extra = norm(extra)
            elif step == "relu":
                y = F.relu(y)
            elif step == "relu_":
                y = F.relu_(y)
            elif step == "add":
                y = y + extra
            elif step == "add_":
                y = y.clone().add_(extra) if y.requires_grad and y.is_leaf else y.add_(extra)
            elif step == "add other":
                extra = extra + y
            elif step == "into other":
                extra.add_(y)
            elif step == "scale":
                y = y * 0.5
            elif step == "scale_":
                y.detach().mul_(1.0)
            elif step == "view":
                y = y.view(y.shape)
            elif step == "look":
                float(y.sum())
        return y, extra

    return program


@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=8))
def test_any_program(steps):
    program, shape = perform(steps), (4, 6, 5, 7)
    assert outcome(POISONED, program, shape) == outcome(AT_ONCE, program, shape)


def test_fusion_happens():
    """What only a ReLU reads is never written: its memory still holds poison when it is read from outside."""
    set_fusion(POISONED)
    norm, x = nn.BatchNorm2d(4).requires_grad_(False), torch.randn(8, 4, 5, 5)
    address = torch.empty(8, 4, 5, 5).data_ptr()  # the allocator gives this block to the next that asks
    y = norm(x)
    z = F.relu(y)
    raw = np.ctypeslib.as_array((ctypes.c_float * y.numel()).from_address(address))
    assert np.isnan(raw).all()
    assert not np.isnan(z.numpy()).any()  # handing out memory settles everything
    assert y.data_ptr() == address and np.array_equal(raw.reshape(y.shape), y.numpy()) and not np.isnan(raw).any()


def test_stale_output_is_an_error_as_ever():
    for mode in AT_ONCE, DEFERRED:
        set_fusion(mode)
        norm, x = nn.BatchNorm2d(4), torch.randn(8, 4, 5, 5, requires_grad=True)
        y = F.relu(norm(x))
        y.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()


def test_memory_goes_when_nobody_looks():
    norm, x = nn.BatchNorm2d(4), torch.randn(64, 4, 32, 32)
    with torch.no_grad():
        y = norm(x)
        z = F.relu(y)
        before = torch.memory_stats()["allocated_bytes"]
        del y
        gc.collect()
        assert before - torch.memory_stats()["allocated_bytes"] >= z.nbytes
    assert float(norm.num_batches_tracked) == 1 and float(norm.running_mean.abs().sum()) > 0


def test_threads_settle_each_others_results():
    norm = nn.BatchNorm2d(16)
    x = torch.randn(16, 16, 24, 24)
    with torch.no_grad():
        expected = F.relu(norm(x)).numpy().copy()
    wrong = []

    def work():
        for _ in range(40):
            with torch.no_grad():
                y = norm(x)
                if not np.array_equal(F.relu(y).numpy(), expected) or np.isnan(y.numpy()).any():
                    wrong.append(1)

    set_fusion(POISONED)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
