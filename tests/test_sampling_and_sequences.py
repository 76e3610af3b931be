"""Reading images at coordinates, pooling at random places, and losses over alignments and many classes."""

import itertools

import numpy as np
import pytest

import minitorch_bn as mt
import minitorch_bn.nn.functional as F
from minitorch_bn import nn


def double(*shape):
    return mt.randn(*shape, dtype=mt.float64).requires_grad_()


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_grid_sample_derivatives(mode, padding):
    grid = (mt.rand(1, 2, 3, 2, dtype=mt.float64) * 1.7 - 0.85).requires_grad_()
    assert mt.autograd.gradcheck(lambda x, g: F.grid_sample(x, g, mode, padding, False), (double(1, 2, 4, 3), grid))


def test_grid_sample_at_the_elements_themselves():
    image = mt.randn(2, 3, 4, 5)
    identity = mt.tensor([[[1.0, 0, 0], [0, 1, 0]]]).expand(2, 2, 3)
    for align in (False, True):
        grid = F.affine_grid(identity, (2, 3, 4, 5), align)
        np.testing.assert_allclose(F.grid_sample(image, grid, align_corners=align).numpy(), image.numpy(), atol=1e-6)


def test_ctc_loss_sums_over_all_alignments():
    """By brute force: the probability of every path that collapses to the target."""
    log_probs = double(4, 1, 3).log_softmax(2)
    table, target = log_probs.detach().exp().numpy()[:, 0], [1, 2]
    total = 0.0
    for path in itertools.product(range(3), repeat=4):
        labels = [label for label, _ in itertools.groupby(path) if label != 0]
        total += np.prod(table[range(4), path]) if labels == target else 0.0
    loss = F.ctc_loss(log_probs, mt.tensor([target]), (4,), (2,), reduction="sum")
    assert loss.item() == pytest.approx(-np.log(total))
    assert mt.autograd.gradcheck(lambda x: F.ctc_loss(x.log_softmax(2), mt.tensor([target]), (4,), (2,)),
                                 (double(4, 1, 3),))


def test_fractional_pooling_takes_maxima_of_its_windows():
    x = mt.randn(2, 3, 9, 7)
    pooled, where = nn.FractionalMaxPool2d(2, output_size=(4, 3), return_indices=True)(x)
    assert pooled.shape == (2, 3, 4, 3)
    np.testing.assert_array_equal(x.flatten(2).gather(2, where.flatten(2)).numpy(), pooled.flatten(2).numpy())
    assert bool((nn.FractionalMaxPool2d(3, output_ratio=0.5)(x) <= x.amax((2, 3), keepdim=True)).all())


def test_adaptive_softmax_gives_probabilities():
    layer = nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], div_value=2.0)
    x, target = mt.randn(6, 8), mt.arange(0, 12, 2)
    everything = layer.log_prob(x)
    np.testing.assert_allclose(everything.exp().sum(1).detach().numpy(), np.ones(6), rtol=1e-5)
    output, loss = layer(x, target)
    np.testing.assert_allclose(output.detach().numpy(), everything.gather(1, target[:, None])[:, 0].detach().numpy(),
                               rtol=1e-5)
    assert loss.item() == pytest.approx(-output.mean().item())
    assert layer.predict(x).tolist() == everything.argmax(1).tolist()
