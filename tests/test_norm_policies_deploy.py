"""Folding of batch norms, recalibration of running statistics, groups of parameters for weight decay."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn.nn.utils import fold, fold_norm, recalibrate
from minitorch_bn.optim import param_groups
from minitorch_bn.vision.models import resnet18


def randomized(model, seed=0):
    """Batch norms with the state of a trained network."""
    torch.manual_seed(seed)
    for layer in model.modules():
        if hasattr(layer, "running_var"):
            for name, low, high in (("running_mean", -1, 1), ("running_var", 0.5, 2), ("weight", -1.5, 1.5),
                                    ("bias", -1, 1)):
                with torch.no_grad():
                    getattr(layer, name).uniform_(low, high)
    return model


def transposed():
    return nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
                         nn.ConvTranspose2d(8, 12, 3, stride=2, groups=4), nn.BatchNorm2d(12), nn.ReLU(),
                         nn.ConvTranspose2d(12, 6, 4, padding=1, output_padding=0, groups=2, bias=False),
                         nn.BatchNorm2d(6), nn.ELU(), nn.Conv2d(6, 4, 3, groups=2, padding_mode="reflect", padding=1),
                         nn.BatchNorm2d(4))


@pytest.mark.parametrize("make, shape, count", [
    (lambda: resnet18(num_classes=10), (2, 3, 64, 64), 20), (transposed, (2, 3, 9, 11), 4),
    (lambda: nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 3, bias=False),
                           nn.BatchNorm1d(3)), (6, 5), 2)])
def test_whole_networks(make, shape, count):
    model = randomized(make())
    x = torch.randn(*shape)
    expected = model.eval()(x)
    model.train()
    folded, proof = fold(model, x)
    assert len(proof.folded) == count and not proof.kept
    assert proof.difference < 1e-5 and max(difference for *_, difference in proof.folded) < 1e-5
    assert not any(isinstance(m, nn.norm._BatchNorm) for m in folded.modules())
    difference = (folded(x) - expected).abs().max() / expected.abs().max()
    assert difference.item() == pytest.approx(proof.difference, rel=1e-6) and model.training
    assert "folded, largest difference" in str(proof) and len(str(proof).splitlines()) == count + 1


@settings(max_examples=60)
@given(st.sampled_from([(nn.Conv1d, 1), (nn.Conv2d, 2), (nn.Conv3d, 3), (nn.ConvTranspose1d, 1),
                        (nn.ConvTranspose2d, 2), (nn.ConvTranspose3d, 3)]), st.integers(1, 4), st.integers(1, 3),
       st.integers(1, 3), st.integers(1, 3), st.booleans(), st.booleans(), st.integers(0, 2**31))
def test_any_convolution(kind, groups, inputs, outputs, kernel, bias, affine, seed):
    make, dims = kind
    layer = make(groups * inputs, groups * outputs, kernel, groups=groups, bias=bias).double()
    norm = [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d][dims - 1](groups * outputs, affine=affine).double().eval()
    rng = np.random.default_rng(seed)
    norm.running_mean.copy_(torch.from_numpy(rng.standard_normal(groups * outputs)))
    norm.running_var.copy_(torch.from_numpy(rng.uniform(0.1, 3, groups * outputs)))
    if affine:
        with torch.no_grad():
            norm.weight.copy_(torch.from_numpy(rng.standard_normal(groups * outputs)))
            norm.bias.copy_(torch.from_numpy(rng.standard_normal(groups * outputs)))
    x = torch.from_numpy(rng.standard_normal((2, groups * inputs, *[4] * dims)))
    result, expected = fold_norm(layer, norm)(x), norm(layer(x))
    np.testing.assert_allclose(result.detach().numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-11)


class Net(nn.Module):
    """A convolution, a batch norm, and a `forward` that is given."""

    def __init__(self, run, **options):
        super().__init__()
        self.conv, self.norm, self.run = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, **options), run

    def forward(self, x):
        return self.run(self, x)


REFUSALS = {
    "something else uses": lambda net, x: (lambda y: net.norm(y) + y)(net.conv(x)),
    "something else uses the": lambda net, x: (lambda y: (net.norm(y), y))(net.conv(x)),
    "called 2 times": lambda net, x: net.norm(net.conv(x)) + net.norm(net.conv(x + 1)),
    "changed in place": lambda net, x: (lambda y: (y.relu_(), net.norm(y))[1])(net.conv(x)),
    "not the output of": lambda net, x: net.norm(net.conv(x).relu()),
    "did not reach": lambda net, x: net.conv(x),
    "with a mask": lambda net, x: net.norm(net.conv(x), mask=torch.ones(2, 5, 5)),
    "no path of gradients": lambda net, x: net.norm(net.conv(x)).argmax(1),
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_refused_where_it_would_be_wrong(reason):
    net = randomized(Net(REFUSALS[reason]))
    x = torch.randn(2, 3, 7, 7)
    folded, proof = fold(net, x)
    assert not proof.folded and reason in proof.kept[0][1] and "norm: kept" in str(proof)
    for mine, theirs in zip(*(y if isinstance(y, tuple) else (y,) for y in (folded(x), net.eval()(x)))):
        assert mine.tolist() == theirs.tolist()


def test_more_refusals():
    x = torch.randn(4, 5, 5)
    twin = nn.Conv2d(3, 3, 1)
    twin.weight = nn.Parameter(torch.randn(3, 3, 1, 1))
    other = nn.Conv2d(3, 3, 1)
    other.weight = twin.weight
    hooked = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    hooked[0].register_forward_hook(lambda *_: None)
    parametrized = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4))
    for model, probe, reason in [
        (nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5)), x, "normalizes axis 1"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)), torch.randn(2, 3, 5, 5),
         "no running statistics"),
        (nn.Sequential(nn.Conv2d(4, 5, 3), nn.BatchNorm1d(3)), x, "no batch axis"),
        (nn.Sequential(other, twin, nn.BatchNorm2d(3)), torch.randn(2, 3, 5, 5), "shared with another"),
        (hooked, torch.randn(2, 3, 5, 5), "there are hooks"),
        (parametrized, torch.randn(2, 3, 5, 5), "computed from others"),
    ]:
        _, proof = fold(model, probe)
        assert not proof.folded and reason in proof.kept[0][1], reason
    last = nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5, axis=-1))
    assert len(fold(randomized(last), x)[1].folded) == 1


def test_use_unseen_by_the_graph_is_found_by_the_probe():
    net = randomized(Net(lambda net, x: (lambda y: net.norm(y) + y.detach())(net.conv(x))))
    with pytest.raises(ValueError, match="the folded network differs by"):
        fold(net, torch.randn(2, 3, 7, 7))


def test_activation_stays():
    for inplace, act in (False, "relu"), (True, "elu"):
        model = randomized(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNormAct2d(4, act=act, inplace=inplace)))
        x = torch.randn(2, 3, 7, 7)
        folded, proof = fold(model, x)
        assert len(proof.folded) == 1 and repr(folded[1]) == f"Act({act!r})"
        np.testing.assert_allclose(folded(x).detach().numpy(), model.eval()(x).detach().numpy(), rtol=1e-4, atol=1e-5)


# -- recalibration -----------------------------------------------------------------------------------------------------

def data(sizes, seed=0):
    """Batches that differ in mean and size."""
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.standard_normal((n, 3)) + i) for i, n in enumerate(sizes)]


@settings(max_examples=30)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(lambda sizes: sum(sizes) > 1), st.booleans(),
       st.booleans())
def test_exact_is_the_population(sizes, unbiased, generator):
    batches = [x for x in data(sizes) if len(x) != 1] or data([3])
    layer = nn.BatchNorm1d(3, unbiased_running=unbiased).double()
    report = recalibrate(layer, iter(batches) if generator else batches)
    whole = np.concatenate([x.numpy() for x in batches])
    if len(whole):
        np.testing.assert_allclose(layer.running_mean.numpy(), whole.mean(0), rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(layer.running_var.numpy(), whole.var(0, ddof=int(unbiased)), rtol=1e-11)
        assert report.worst().mean < 1e-6 and report.worst().variance <= np.log(len(whole) / (len(whole) - 1)) + 1e-9
    assert report.batches == len(batches) and layer.num_batches_tracked == len(batches)


def test_precise_and_ema():
    batches = data([4, 9, 2])
    layer = nn.BatchNorm1d(3).double()
    recalibrate(layer, batches, "precise")
    arrays = [x.numpy() for x in batches]
    np.testing.assert_allclose(layer.running_mean.numpy(), np.mean([a.mean(0) for a in arrays], 0), rtol=1e-12)
    np.testing.assert_allclose(layer.running_var.numpy(), np.mean([a.var(0, ddof=1) for a in arrays], 0), rtol=1e-12)
    layer, plain = (nn.BatchNorm1d(3).double() for _ in range(2))
    recalibrate(layer, batches, "ema")
    for x in batches:
        plain(x)
    assert layer.running_var.tolist() == plain.running_var.tolist()
    with pytest.raises(ValueError, match="'exact', 'precise', 'ema' or 'sequential'"):
        recalibrate(layer, batches, "mean")


def test_sequential_closes_the_gap_of_every_layer():
    torch.manual_seed(0)
    model = nn.Sequential(*[layer for _ in range(4) for layer in (
        nn.Linear(8, 8), nn.BatchNorm1d(8, unbiased_running=False), nn.ReLU(), nn.Dropout(0.5))], nn.Linear(8, 2))
    batches = [torch.randn(4, 8) + i % 3 for i in range(12)]
    gaps = {}
    for method in "exact", "precise", "sequential":
        report = recalibrate(model, [(x, None) for x in batches], method)
        gaps[method] = report.worst()
        assert model.training and all(m.training for m in model.modules()) and "->" in str(report)
    assert gaps["sequential"].mean < 1e-5 and gaps["sequential"].variance < 1e-5
    assert gaps["sequential"].variance < gaps["exact"].variance < gaps["precise"].variance
    x = torch.cat(batches)
    expected = x  # the population, layer by layer
    for layer in model:
        if isinstance(layer, nn.BatchNorm1d):
            np.testing.assert_allclose(layer.running_mean.numpy(), expected.mean(0).detach().numpy(), atol=1e-5)
        expected = layer.eval()(expected)


def test_recalibration_of_few_batches_with_masks_and_frozen_layers():
    x, mask = torch.randn(5, 4, 3, dtype=torch.float64), torch.rand(5, 4) < 0.6
    layer = nn.BatchNorm1d(3, axis=-1).double()
    report = recalibrate(layer, [(x, mask)] * 5, forward=lambda model, b: model(b[0], mask=b[1]), max_batches=2)
    np.testing.assert_allclose(layer.running_mean.numpy(), x[mask].mean(0).numpy(), rtol=1e-12, atol=1e-14)
    assert report.batches == 2
    frozen = nn.freeze_bn(nn.BatchNorm1d(3).double())
    assert not recalibrate(frozen, [x[0]]).before and frozen.running_mean.tolist() == [0, 0, 0]


def test_no_decay_on_normalization_and_biases():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.LayerNorm((4, 5, 5)), nn.DomainBatchNorm(4, 2),
                          nn.PReLU(), nn.Flatten(), nn.Linear(100, 2), nn.Linear(2, 2).requires_grad_(False))
    model[6].weight_again = model[6].weight
    decay, rest = param_groups(model, 0.1, lr=0.5)
    assert [id(p) for p in decay["params"]] == [id(model[0].weight), id(model[6].weight)]
    assert (decay["weight_decay"], rest["weight_decay"], decay["lr"], rest["lr"]) == (0.1, 0.0, 0.5, 0.5)
    assert len(decay["params"]) + len(rest["params"]) == len([p for p in model.parameters() if p.requires_grad])
    optimizer = torch.optim.SGD([decay, rest])
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    before = {name: p.tolist() for name, p in model.named_parameters()}
    optimizer.step()
    changed = [name for name, p in model.named_parameters() if p.tolist() != before[name]]
    assert changed == ["0.weight", "6.weight"]
