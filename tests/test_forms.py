"""The forms of an operation beside the plain one: out=, in place within a graph, views taken in place, results that own
their memory."""
import pytest

import minitorch_bn as torch


@pytest.mark.parametrize("make", [lambda out: torch.zeros(3, out=out), lambda out: torch.full((3,), 7.0, out=out),
                                  lambda out: torch.arange(3, out=out), lambda out: torch.linspace(0, 1, 3, out=out),
                                  lambda out: torch.cat((torch.ones(1), torch.ones(2)), out=out),
                                  lambda out: torch.sum(torch.ones(2, 3), 0, out=out),
                                  lambda out: torch.quantile(torch.ones(4, 3), 0.5, 0, out=out)])
def test_out_is_written_where_it_lies(make):
    """`out` may be a part of a larger tensor: what surrounds it stays, and the version counts the write."""
    whole = torch.full((8,), -1.0)
    part = whole[2:5]
    version = whole._version
    assert make(part) is part and part.data_ptr() == whole[2:].data_ptr() and whole._version > version
    assert whole[:2].tolist() == [-1, -1] and whole[5:].tolist() == [-1] * 3
    assert torch.equal(whole[2:5], make(torch.empty(3)))


def test_out_with_gaps_and_of_another_shape():
    columns = torch.full((3, 2), -1.0)
    torch.zeros(3, out=columns[:, 0])
    assert columns.tolist() == [[0, -1]] * 3
    y = torch.empty(0)
    assert torch.tril(torch.ones(2, 2), out=y) is y and y.tolist() == [[1, 0], [1, 1]]
    with pytest.raises(RuntimeError, match="single memory location"):
        torch.empty(1).expand(3).copy_(torch.ones(3))
    with pytest.raises(RuntimeError, match="automatic differentiation"):
        torch.tril(torch.ones(2, 2, requires_grad=True), out=torch.empty(2, 2))
    with pytest.raises(RuntimeError, match="can't be cast"):
        torch.tril(torch.ones(2, 2), out=torch.empty(2, 2, dtype=torch.int64))


def test_resize_keeps_the_memory_while_it_is_large_enough():
    x = torch.arange(6.0)
    view = x[:4]
    assert view.resize_(2, 2).data_ptr() == x.data_ptr() and view.tolist() == [[0, 1], [2, 3]]
    assert view.resize_(10).shape == (10,) and view.data_ptr() != x.data_ptr()


@pytest.mark.parametrize("change", [lambda y: y.clamp_(-0.5, 0.5), lambda y: y.pow_(3), lambda y: y.nan_to_num_(),
                                    lambda y: y.cumprod_(0), lambda y: y.renorm_(2, 0, 1.0),
                                    lambda y: y.addmm_(torch.eye(3), torch.ones(3, 3), beta=2),
                                    lambda y: y.scatter_reduce_(0, torch.zeros(1, 3, dtype=torch.int64),
                                                                torch.ones(1, 3), "prod"),
                                    lambda y: y.unsqueeze_(0).transpose_(0, 2).squeeze_()])
def test_in_place_gradients(change):
    """An in-place operation has the gradients of the plain one, which reads values that are gone by then."""
    x = torch.tensor([[0.3, -0.7, 0.2], [0.9, 0.4, -0.1], [0.6, -0.2, 0.8]], requires_grad=True)
    weight = torch.arange(9.0).reshape(3, 3)
    y = change(x * 2)
    (given,) = torch.autograd.grad((y * weight).sum(), x)
    step = 1e-2
    for i in range(3):
        for j in range(3):
            sides = []
            for sign in (1, -1):
                moved = x.detach().double()
                moved[i, j] += sign * step
                sides.append((change((moved * 2).float()).double() * weight.double()).sum().item())
            slope = (sides[0] - sides[1]) / (2 * step)
            assert abs(slope - given[i, j].item()) < 5e-2 * max(1, abs(slope)), (i, j)


def test_a_place_named_twice_is_filled_once():
    value = torch.tensor(2.0, requires_grad=True)
    torch.zeros(2, 3).index_fill(1, torch.tensor([0, 0, -3, 2]), value).backward(torch.arange(6.0).reshape(2, 3))
    assert value.grad.item() == 0 + 3 + 2 + 5


def test_results_own_their_memory():
    x = torch.tensor(1.0)
    for y in (x.repeat(2, 3), x.tile((2, 3)), x.repeat_interleave(2), torch.diff(torch.ones(1), n=0)):
        y[0] = 5
    assert x.item() == 1
    columns = torch.ones(2, 3).t()
    columns.ravel()[0] = 7
    assert columns[0, 0].item() == 1


def test_products_with_zeros():
    """d(prod) of scatter_reduce where one factor is zero, first and second order."""
    x = torch.tensor([2.0, 3.0], dtype=torch.float64, requires_grad=True)
    src = torch.tensor([0.0, 4.0, 5.0], dtype=torch.float64, requires_grad=True)
    index = torch.tensor([0, 0, 1])
    assert torch.autograd.gradcheck(lambda a, b: a.scatter_reduce(0, index, b, "prod"), (x, src))
    assert torch.autograd.gradgradcheck(lambda a, b: a.scatter_reduce(0, index, b, "prod"), (x, src))


def test_operands_have_to_be_tensors():
    x = torch.ones(2)
    for call in (lambda: torch.maximum(x, 1), lambda: torch.eq(1, x), lambda: torch.fmod(1, x),
                 lambda: torch.bitwise_and(1, 2), lambda: torch.pow(2, 3), lambda: torch.clamp(1, 0, 2)):
        with pytest.raises(TypeError):
            call()
    assert torch.add(1, 2).item() == 3 and torch.pow(2, x).tolist() == [2, 2] and torch.xlogy(2, x).tolist() == [0, 0]
