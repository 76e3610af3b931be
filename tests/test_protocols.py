"""Tensors as Python and NumPy see them: comparisons, copies, reversal, functions of NumPy; what is no data."""
import copy

import numpy as np
import pytest

import minitorch_bn as torch
import minitorch_bn.nn.functional as F


def test_comparison_with_what_is_no_number():
    x = torch.ones(2)
    assert (x == None) is False and (x != "a") is True and (None != x) is True  # noqa: E711
    for wrong in (lambda: x + None, lambda: x < "a", lambda: x - [1]):
        with pytest.raises(TypeError, match=r"not supported|unsupported operand"):
            wrong()
    assert (x == np.ones(2)).tolist() == (np.float32(1) == x).tolist() == [True, True]


def test_reversed_and_copied():
    x = torch.arange(3.0)
    assert list(reversed(x)) == [2, 1, 0] and isinstance(reversed(x), torch.Tensor)
    y = copy.copy(x)
    y[0] = 7
    assert x.tolist() == [7, 1, 2] and y is not x
    p = copy.copy(torch.nn.Parameter(x, requires_grad=False))
    assert isinstance(p, torch.nn.Parameter) and not p.requires_grad and p.data_ptr() == x.data_ptr()
    assert copy.copy(torch.ones(1, requires_grad=True)).requires_grad


def test_a_function_of_numpy_gives_a_tensor():
    y = np.exp(torch.zeros(2))
    assert isinstance(y, torch.Tensor) and y.tolist() == [1, 1] and np.isnan(y).dtype == torch.uint8
    assert np.sqrt(torch.tensor(4.0)) == 2 and isinstance(np.stack([y, y]), np.ndarray)


def test_what_is_no_data():
    for wrong in ({"a": 1}, None, [None]):
        with pytest.raises(RuntimeError, match="Could not infer dtype of"):
            torch.tensor(wrong)


def test_meta_is_the_cpu():
    layer = torch.nn.Linear(2, 3, device="meta")
    assert layer.to_empty(device="cpu").weight.shape == (3, 2)
    assert copy.deepcopy(layer).to("meta")(torch.ones(1, 2)).shape == (1, 3)


@pytest.mark.parametrize(("error", "mistake"), [
    (TypeError, lambda: ~torch.ones(2)), (TypeError, lambda: torch.ones(2).repeat()),
    (IndexError, lambda: torch.ones(3)[1.5]), (NotImplementedError, lambda: F.softmax(torch.ones(2).long(), 0)),
    (NotImplementedError, lambda: F.cross_entropy(torch.ones(2, 3).long(), torch.tensor([0, 1]))),
    (NotImplementedError, lambda: F.mse_loss(torch.ones(2).long(), torch.ones(2).long())),
    (RuntimeError, lambda: F.binary_cross_entropy(torch.ones(2), torch.ones(2).long())),
    (NotImplementedError, lambda: torch.empty(2, dtype=torch.int64).normal_()),
    (AssertionError, lambda: torch.compile(3)), (RuntimeError, lambda: torch.func.jacrev(lambda x: 3)(torch.ones(2)))])
def test_mistakes_raise_what_pytorch_raises(error, mistake):
    with pytest.raises(error) as caught:
        mistake()
    assert type(caught.value) is error
