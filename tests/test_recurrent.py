"""A recurrent layer over all steps at once against the loop over its steps, which is its definition."""
import pytest

import minitorch_bn as mt
from minitorch_bn.autograd import gradcheck, gradgradcheck
from minitorch_bn.ops.recurrent import STEPS, loop, scan


def inputs(mode, steps, rows, n, dtype=mt.float64, seed=0):
    """x, h, c (None but for an LSTM), weight and bias, all tracked."""
    generator = mt.Generator().manual_seed(seed)
    gates = STEPS[mode][1] * n
    shapes = [(steps, rows, gates), (rows, n), (rows, n), (gates, n), (gates,)]
    x, h, c, weight, bias = (mt.randn(shape, dtype=dtype, generator=generator).requires_grad_() for shape in shapes)
    return x, h, c if mode == "LSTM" else None, weight, bias


def by_loop(mode, x, h, c, weight, bias, reverse):
    def recur(state):
        return state @ weight.t() if bias is None else state @ weight.t() + bias

    return loop(mode, x, (h,) if c is None else (h, c), recur, reverse)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("mode", STEPS)
@pytest.mark.parametrize("steps, rows, n", [(1, 1, 1), (5, 3, 4), (3, 70, 65), (2, 0, 3)])
def test_values_and_gradients_are_those_of_the_loop(mode, steps, rows, n, reverse):
    for bias_too in (True, False):
        results = []
        for function in scan, by_loop:
            x, h, c, weight, bias = inputs(mode, steps, rows, n)
            if not bias_too:
                bias = None
            outputs, cells = function(mode, x, h, c, weight, bias, reverse)
            total = (outputs * mt.arange(outputs.numel(), dtype=mt.float64).reshape(outputs.shape).sin()).sum()
            if cells is not None:
                total = total + (cells[-1] * cells[-1]).sum()
            total.backward()
            results.append([outputs, *([cells] if c is not None else []),
                            *(t.grad for t in (x, h, c, weight, bias) if t is not None)])
        for got, wanted in zip(*results):
            mt.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("mode", [mode for mode in STEPS if mode != "RNN_RELU"])  # relu has a kink
def test_derivatives_of_order_one_and_two(mode, reverse):
    tensors = [t for t in inputs(mode, 3, 2, 2) if t is not None]

    def function(x, h, *rest):
        outputs, cells = scan(mode, x, h, rest[0] if len(rest) == 3 else None, rest[-2], rest[-1], reverse)
        return outputs if cells is None else (outputs, cells)

    assert gradcheck(function, tensors)
    assert gradgradcheck(function, tensors)


def test_one_tensor_in_two_places():
    x, h, _, weight, bias = inputs("LSTM", 3, 2, 2)
    found = []
    for function in scan, by_loop:
        outputs, _ = function("LSTM", x, h, h, weight, bias, False)
        (first,) = mt.autograd.grad(outputs.square().sum(), h, create_graph=True)
        (second,) = mt.autograd.grad(first.sin().sum(), h)
        found.append((first, second))
    for got, wanted in zip(*found):
        mt.testing.assert_close(got, wanted)


def test_a_row_alone_has_the_bits_of_the_row_in_a_batch():
    x, h, c, weight, bias = inputs("LSTM", 4, 33, 40, mt.float32)
    outputs, _ = scan("LSTM", x, h, c, weight, bias, False)
    for row in (0, 7, 32):
        alone, _ = scan("LSTM", x[:, row:row + 1], h[row:row + 1], c[row:row + 1], weight, bias, False)
        assert mt.equal(alone[:, 0], outputs[:, row])


def test_output_changed_in_place_is_an_error():
    x, h, _, weight, bias = inputs("GRU", 3, 2, 2)
    outputs, _ = scan("GRU", x, h, None, weight, bias, False)
    outputs.detach().zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()


def test_shapes_that_do_not_fit():
    x, h, c, weight, bias = inputs("LSTM", 3, 2, 2)
    for wrong in ((x, h, None, weight, bias), (x[..., :4], h, c, weight, bias), (x, h[:1], c, weight, bias),
                  (x, h, c, weight[:4], bias), (x, h, c, weight, bias[:4]), (x.float(), h, c, weight, bias)):
        with pytest.raises(RuntimeError, match="do not fit"):
            scan("LSTM", *wrong, False)
    for wrong in ((x[0], h), (x, h[0]), (x, h.unsqueeze(2))):
        with pytest.raises(RuntimeError, match="expected x of 3 dims and h of 2"):
            scan("LSTM", *wrong, c, weight, bias, False)


def test_no_steps():
    x, h, c, weight, bias = inputs("LSTM", 0, 2, 3)
    outputs, cells = scan("LSTM", x, h, c, weight, bias, False)
    (outputs.sum() + cells.sum()).backward()
    assert outputs.shape == (0, 2, 3) and weight.grad.abs().sum().item() == 0 == h.grad.abs().sum().item()
