"""Classes that a user derives from Tensor: they keep their type, and their `__torch_function__` is asked."""
import copy
import subprocess
import sys
from pathlib import Path

import pytest

import minitorch_bn as torch
import minitorch_bn.nn.functional as F


class Image(torch.Tensor):
    pass


class Small(Image):
    def edge(self):
        return self.shape[-1]


class Other(torch.Tensor):
    pass


class Logging(torch.Tensor):
    seen: list = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.seen.append(func)
        return super().__torch_function__(func, types, args, kwargs or {})


class Labelled(torch.Tensor):
    @staticmethod
    def __new__(cls, x, label, *args, **kwargs):
        return super().__new__(cls, x, *args, **kwargs)

    def __init__(self, x, label):
        self.label = label


class Silent(torch.Tensor):
    def __init__(self, *args):
        self.made = True


@pytest.mark.parametrize("make", [
    lambda x: x + 1, lambda x: 1 - x, lambda x: torch.ones(2, 3) * x, lambda x: x @ torch.ones(3, 2), lambda x: x[0],
    lambda x: x.T, lambda x: x.data, lambda x: torch.cat([x, torch.ones(2, 3)]), lambda x: F.relu(x),
    lambda x: x.clamp(0, 1), lambda x: x.max(1)[0], lambda x: x.max(1).indices, lambda x: x.chunk(2)[1],
    lambda x: next(iter(x)), lambda x: torch.linalg.norm(x), lambda x: torch.fft.fftfreq(4) * x.sum(), lambda x: -x,
    lambda x: torch.hstack([x, x]), lambda x: x.add_(1), lambda x: copy.deepcopy(x), lambda x: x.numpy() is None or x])
def test_the_type_is_kept(make):
    x = torch.ones(2, 3).as_subclass(Small)
    assert type(make(x)) is Small and make(x).edge() == make(x).size(-1) if make(x).ndim else True


def test_the_derived_class_wins_and_strangers_do_not_mix():
    small, image, other = (torch.ones(2).as_subclass(kind) for kind in (Small, Image, Other))
    assert type(small + image) is type(image + small) is Small
    for mix in (lambda: small + other, lambda: torch.add(small, other)):
        with pytest.raises(TypeError):
            mix()


def test_torch_function_is_told_the_public_function():
    x = torch.ones(2).as_subclass(Logging)
    Logging.seen.clear()
    y = torch.mean(x * 2)
    assert type(y) is Logging and Logging.seen == [torch.Tensor.mul, torch.mean]
    with torch._C.DisableTorchFunctionSubclass():
        assert type(x * 2) is torch.Tensor
    assert len(Logging.seen) == 2
    assert torch.overrides.has_torch_function((x,)) and not torch.overrides.has_torch_function((torch.ones(1),))


def test_history_goes_through_a_subclass():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    loss = (w.as_subclass(Image) * 3).exp().log().sum()
    assert type(loss) is Image
    loss.backward()
    assert w.grad.tolist() == [3, 3] and type(w.grad) is torch.Tensor
    p = Image([1.0, 2.0]).requires_grad_()
    (p * p).sum().backward()
    assert p.grad.tolist() == [2, 4]


def test_own_constructors():
    x = Labelled([1.0, 2.0], "a")
    assert x.label == "a" and x.tolist() == [1, 2] and type(x * 2) is Labelled
    assert Silent([1.0, 2.0]).sum() == 3 and Silent().made
    assert repr(Image([1.0])) == "Image([1.])"
    assert torch.Tensor.__new__(torch.Tensor).shape == (0,)
    for bad in (int, object, "Image", None, type(x.grad_fn)):
        with pytest.raises(TypeError):
            torch.ones(2).as_subclass(bad)
        with pytest.raises(TypeError):
            torch.Tensor.__new__(bad)


def test_parameters_are_no_subclasses_in_this_sense():
    class Own(torch.nn.Parameter):
        pass
    own = Own(torch.ones(2))
    assert type(own * 2) is torch.Tensor and type(torch.nn.Parameter(torch.ones(2)).sum()) is torch.Tensor


def test_nothing_is_loaded_or_changed_without_a_subclass():
    program = ("import sys, minitorch_bn as torch; torch.nn.Linear(2, 2); assert 'minitorch_bn.overrides' not in "
               "sys.modules; before = torch.sum; before2 = torch.Tensor.sum\n"
               "class A(torch.Tensor): pass\n"
               "assert torch.sum is not before and torch.Tensor.sum is before2")
    assert subprocess.run([sys.executable, "-c", program], timeout=60, cwd=Path(__file__).parent).returncode == 0
