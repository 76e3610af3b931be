"""State of normalization layers: freezing, holding, recomputing, empty and single batches, conversion, printed form."""

import copy
import pickle

import numpy as np
import pytest

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn.nn import norms
from minitorch_bn.utils.checkpoint import checkpoint


def state(layer):
    return {name: value.tolist() for name, value in layer.state_dict().items()}


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Sequential(nn.Conv2d(4, 6, 3),
                                                                                        nn.BatchNorm2d(6)))


def images(n=4, seed=1):
    torch.manual_seed(seed)
    return torch.randn(n, 3, 7, 7)


LAYERS = [
    (lambda: nn.BatchNorm2d(3), ()), (lambda: nn.BatchNorm2d(3, ghost=2), ()),
    (lambda: nn.BatchNorm2d(3, renorm=norms.Renorm(warmup=0)), ()), (lambda: nn.BatchNorm2d(3, virtual_workers=2), ()),
    (lambda: nn.BatchNormAct2d(3), ()), (lambda: nn.BatchNormAct2d(3, act="elu", inplace=True), ()),
    (lambda: nn.DomainBatchNorm(3, 2), (1,)), (lambda: nn.SwitchNorm(3), ()), (lambda: nn.IterNorm(3), ()),
    (lambda: nn.InstanceNorm2d(3, track_running_stats=True), ()), (lambda: nn.SyncBatchNorm(3), ()),
]


@pytest.mark.parametrize("make, more", LAYERS)
def test_held_and_recomputed(make, more):
    layer, x = make(), images()
    before = state(layer)
    with nn.stats_frozen(layer):
        inside = layer(x, *more)
        with nn.stats_frozen(layer):
            layer(x, *more)
        layer(x, *more)
    assert state(layer) == before
    once = copy.deepcopy(layer)
    assert inside.tolist() == once(x, *more).tolist()  # by the batch's own statistics
    assert state(once) != before
    for reentrant in (True, False):
        again = copy.deepcopy(layer)
        checkpoint(lambda t, again=again: again(t, *more), x.clone().requires_grad_(),
                   use_reentrant=reentrant).square().sum().backward()
        assert state(again) == state(once)


@pytest.mark.parametrize("make, more", LAYERS)
def test_saved_and_copied(make, more):
    layer, x = make(), images()
    layer(x, *more)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), make()):
        twin.load_state_dict(layer.state_dict())
        assert state(twin) == state(layer) and repr(twin) == repr(layer)
        assert twin.eval()(x, *more).tolist() == layer.eval()(x, *more).tolist()
        assert twin.train()(x, *more).tolist() == layer.train()(x, *more).tolist()


@pytest.mark.parametrize("make, more", LAYERS[:9])
def test_empty_batches_leave_the_statistics_alone(make, more):
    layer = make()
    layer(images(), *more)
    before = state(layer)
    assert layer(images(0), *more).shape == (0, 3, 7, 7)
    assert state(layer) == before
    if type(layer) is nn.BatchNorm2d:
        layer(images(), mask=torch.zeros(4, 7, 7, dtype=torch.bool))
        assert state(layer) == before


@pytest.mark.parametrize("make, more", LAYERS[:7])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinity_stay_in_their_channel(make, more, bad):
    layer, x, clean = make(), images(), None
    x[0, 1, 2, 3] = bad
    clean = images()
    y, expected = layer(x, *more), make()(clean, *more)
    assert y[:, [0, 2]].tolist() == expected[:, [0, 2]].tolist()
    assert y[:, 1].isnan().any()
    assert all(value[..., [0, 2]].isfinite().all() for value in layer.buffers() if value.is_floating_point())


def test_frozen():
    model = network()
    model(images())
    assert nn.freeze_bn(model, affine=True) is model
    before = state(model)
    y = model.train()(images())
    assert state(model) == before and y.tolist() == model.eval()(images()).tolist()
    frozen = [p.requires_grad for p in model.parameters()]
    assert frozen == [True, True, False, False, True, True, False, False]
    assert "frozen=True" in repr(model[1])
    model.train()(images())
    nn.unfreeze_bn(model.train())(images())
    assert state(model) != before and all(p.requires_grad for p in model.parameters())
    assert "frozen" not in repr(model)
    bare = nn.freeze_bn(nn.BatchNorm1d(3, track_running_stats=False))
    assert bare._policy is None


def test_one_value_per_channel():
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Identity(), nn.BatchNorm1d(3)))
    x = torch.randn(1, 2)
    with pytest.raises(ValueError, match=r"Expected more than 1 value per channel when training, got input size "
                                         r"torch.Size\(\[1, 3\]\) in layer '1.1' \(BatchNorm1d\)\. Leave such a batch"):
        model(x)
    with pytest.raises(ValueError, match=r"got input size torch.Size\(\[1, 3\]\)$"):
        model[1][1](x @ torch.ones(2, 3))
    for policy in ({"ghost": 1}, {"virtual_workers": 2}, {"axis": -1}):
        model[1][1] = nn.BatchNorm1d(3, **policy)
        with pytest.raises(ValueError, match=r"more than 1 value.* in layer '1.1'"):
            model(x)
    model[1][1] = nn.BatchNorm1d(3, on_single="identity")
    assert model(x).tolist() == model[0](x).tolist()
    model[1][1] = nn.BatchNorm1d(3, on_single="running")
    model[1][1](torch.randn(5, 3))
    before = state(model)
    assert model(x).tolist() == model.eval()(x).tolist() and state(model) == before
    with pytest.raises(ValueError, match="on_single must be 'error', 'running' or 'identity', got 'skip'"):
        nn.BatchNorm1d(3, on_single="skip")


def test_printed_as_pytorch_unless_a_policy_is_chosen():
    plain = "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True"
    assert repr(nn.BatchNorm2d(3)) == plain + ")"
    assert repr(nn.BatchNorm2d(3, ghost=8, unbiased_running=False)) == plain + ", ghost=8, unbiased_running=False)"
    assert repr(nn.BatchNorm2d(3, axis=1, ghost=None)) == plain + ")"
    assert repr(nn.LazyBatchNorm2d(ghost=8)).endswith(", ghost=8)")


def test_lazy_layers_take_policies():
    layer = nn.LazyBatchNorm1d(axis=-1, ghost=3)
    y = layer(torch.randn(7, 2, 5), mask=torch.ones(7, 2))
    assert type(layer) is nn.BatchNorm1d and layer.num_features == 5 and y.shape == (7, 2, 5)
    assert layer.num_batches_tracked == 2


@pytest.mark.parametrize("to, options", [
    ("ghost", {"ghost": 2}), ("renorm", {"renorm": norms.Renorm()}), ("frozen", {}), ("sync", {"virtual_workers": 2}),
    ("batch", {})])
def test_conversion_keeps_state_and_evaluation(to, options):
    model = network()
    model(images())
    expected = copy.deepcopy(model).eval()(images())
    converted = nn.convert_norm(model, to, **options)
    assert converted is model and model[1].weight.tolist() == [1.0] * 4
    assert model.eval()(images()).tolist() == expected.tolist()
    if to not in ("sync", "batch"):
        assert f"{to}=" in repr(model[1])
        assert nn.convert_norm(model, "batch") is model and model[1]._policy is None


def test_conversion_to_other_layers():
    for to, kind in (("group", nn.GroupNorm), ("layer", nn.GroupNorm), ("instance", nn.InstanceNorm2d),
                     ("frn", nn.FilterResponseNorm), ("switch", nn.SwitchNorm), ("iter", nn.IterNorm)):
        model = network()
        weight = model[1].weight
        nn.convert_norm(model, to, when=lambda bn: bn.num_features == 4)
        assert type(model[1]) is kind and type(model[3][1]) is nn.BatchNorm2d
        assert model[1].weight is weight
        model(images())
    assert nn.convert_norm(network(), "group", groups=4)[3][1].num_groups == 2
    assert isinstance(nn.convert_norm(nn.BatchNorm2d(3), "none"), nn.Identity)
    x = images()
    bn = nn.BatchNorm2d(3)
    assert nn.convert_norm(copy.deepcopy(bn), "layer")(x).tolist() == nn.GroupNorm(1, 3)(x).tolist()


def test_conversions_that_would_be_wrong_are_refused():
    with pytest.raises(ValueError, match="make all of them zero"):
        nn.convert_norm(nn.BatchNorm1d(4), "group", groups=4)
    with pytest.raises(ValueError, match="one value per sample and channel"):
        nn.convert_norm(nn.BatchNorm1d(4), "instance")
    with pytest.raises(ValueError, match="'batch', 'frozen', 'ghost', 'renorm', 'sync'"):
        nn.convert_norm(nn.BatchNorm1d(4), "batchnorm")
    with pytest.raises(ValueError, match="needs its argument, ghost="):
        nn.convert_norm(nn.BatchNorm1d(4), "ghost")


def test_domains_from_and_to_the_plain_module():
    plain = nn.BatchNorm2d(3)
    torch.nn.init.normal_(plain.weight)
    plain(images())
    layer = nn.DomainBatchNorm.from_plain(plain, 2)
    layer(images(seed=2), 1)
    assert state(layer.plain(0)) == state(plain) and state(layer.plain(1)) != state(plain)
    x = images()
    assert layer.eval()(x, 1).tolist() == layer.plain(1).eval()(x).tolist()
    recurrent = nn.RecurrentBatchNorm(3, 4)
    recurrent(torch.randn(6, 3), 2)
    x = torch.randn(6, 3)
    assert recurrent.eval()(x, 2).tolist() == recurrent.plain(2).eval()(x).tolist()


@pytest.mark.parametrize("framework", ["keras", "flax"])
def test_conventions(framework):
    """Keras and Flax: running = momentum * running + (1 - momentum) * batch, the variance biased; channels last."""
    gamma, beta, mean, var = np.random.default_rng(0).uniform(0.5, 2, (4, 3)).astype(np.float32)
    names = dict(zip(norms.convert.NAMES[framework], (gamma, beta, mean, var)))
    layer = nn.import_bn(framework, names, momentum=0.9)
    eps = {"keras": 1e-3, "flax": 1e-5}[framework]
    x = np.random.default_rng(1).standard_normal((4, 5, 6, 3)).astype(np.float32)
    y = layer.eval()(torch.from_numpy(x))
    np.testing.assert_allclose(y.detach().numpy(), (x - mean) / np.sqrt(var + eps) * gamma + beta, rtol=2e-5, atol=2e-6)
    layer.train()(torch.from_numpy(x))
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.9 * mean + 0.1 * x.mean((0, 1, 2)), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.9 * var + 0.1 * x.var((0, 1, 2)), rtol=1e-6)
    back = nn.export_bn(framework, layer)
    assert back["epsilon"] == eps and abs(back["momentum"] - 0.9) < 1e-15
    np.testing.assert_array_equal(back[norms.convert.NAMES[framework][0]], gamma)
    again = nn.import_bn(framework, {k: v for k, v in back.items() if k not in ("epsilon", "momentum")})
    assert again.weight.tolist() == layer.weight.tolist() and again.momentum == pytest.approx(0.01)
    with pytest.raises(ValueError, match=f"{framework} has"):
        nn.import_bn(framework, {"weight": gamma, **names})


def test_what_an_inplace_norm_refuses():
    with pytest.raises(ValueError, match="can be inverted"):
        nn.BatchNormAct2d(3, inplace=True)
    with pytest.raises(ValueError, match="can be inverted"):
        nn.BatchNormAct2d(3, act=("leaky_relu", 0.0), inplace=True)
    with pytest.raises(ValueError, match="residual"):
        nn.BatchNormAct2d(3, act="elu", inplace=True)(images(), images())
    with pytest.raises(ValueError, match="plain batch norm only"):
        nn.BatchNormAct2d(3, act="elu", inplace=True, ghost=2)
