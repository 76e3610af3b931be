"""Weight norm, spectral norm, parametrizations, pruning, fusion and packed sequences against PyTorch's."""

import copy
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
__import__("torch.nn.utils.prune")  # PyTorch does not import it by itself

import minitorch_bn as ours  # noqa: E402


def carried(tensor):
    return ours.from_numpy(tensor.detach().numpy().copy())


def near(mine, theirs, tolerance=1e-5):
    assert tuple(mine.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=tolerance, atol=tolerance)


def twins(build):
    """The same module on both sides, ours with PyTorch's weights."""
    torch.manual_seed(0)
    theirs, mine = build(torch), build(ours)
    mine.load_state_dict({name: carried(value) for name, value in theirs.state_dict().items()})
    return theirs, mine


def same_keys_and_text(mine, theirs):
    assert list(mine.state_dict()) == list(theirs.state_dict())
    assert repr(mine) == repr(theirs)
    assert [n for n, _ in mine.named_parameters()] == [n for n, _ in theirs.named_parameters()]


def same_step(mine, theirs, *shape):
    """Outputs and all gradients of one call agree, and the state afterwards."""
    x = torch.randn(*shape)
    inputs = [x.clone().requires_grad_(), carried(x).requires_grad_()]
    outputs = [theirs(inputs[0]), mine(inputs[1])]
    near(outputs[1], outputs[0])
    for output in outputs:
        (output ** 2).sum().backward()
    near(inputs[1].grad, inputs[0].grad, 1e-4)
    for a, b in zip(theirs.parameters(), mine.parameters()):
        near(b.grad, a.grad, 2e-4)
    for a, b in zip(theirs.state_dict().values(), mine.state_dict().values()):
        near(b, a)


def quiet(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_the_older_weight_norm(dim):
    theirs, mine = twins(lambda p: p.nn.Conv2d(3, 4, 2))
    for package, module in (torch, theirs), (ours, mine):
        assert quiet(package.nn.utils.weight_norm, module, dim=dim) is module
    same_keys_and_text(mine, theirs)
    same_step(mine, theirs, 2, 3, 5, 5)
    before = mine.weight.detach()
    for package, module in (torch, theirs), (ours, mine):
        package.nn.utils.remove_weight_norm(module)
        with pytest.raises(ValueError, match="weight_norm of 'weight' not found"):
            package.nn.utils.remove_weight_norm(module)
    same_keys_and_text(mine, theirs)
    near(mine.weight, before)
    assert isinstance(mine.weight, ours.nn.Parameter)


@pytest.mark.parametrize("transposed", [False, True])
def test_the_older_spectral_norm(transposed):
    build = (lambda p: p.nn.ConvTranspose2d(3, 4, 2)) if transposed else (lambda p: p.nn.Linear(5, 4))
    theirs, mine = twins(build)
    for package, module in (torch, theirs), (ours, mine):
        package.nn.utils.spectral_norm(module, n_power_iterations=2)
    mine.load_state_dict({name: carried(value) for name, value in theirs.state_dict().items()})
    same_keys_and_text(mine, theirs)
    shape = (2, 3, 4, 4) if transposed else (6, 5)
    for _ in range(2):
        same_step(mine, theirs, *shape)
        mine.zero_grad(), theirs.zero_grad()
    mine.eval(), theirs.eval()
    same_step(mine, theirs, *shape)
    for package, module in (torch, theirs), (ours, mine):
        package.nn.utils.remove_spectral_norm(module)
    same_keys_and_text(mine, theirs)
    near(mine.weight, theirs.weight)


def test_parametrized_weight_norm_and_old_checkpoints():
    theirs, mine = twins(lambda p: p.nn.Linear(5, 4))
    for package, module in (torch, theirs), (ours, mine):
        package.nn.utils.parametrizations.weight_norm(module)
    same_keys_and_text(mine, theirs)
    same_step(mine, theirs, 3, 5)
    old = quiet(ours.nn.utils.weight_norm, ours.nn.Linear(5, 4))
    mine.load_state_dict(old.state_dict())
    near(mine.weight, old.weight)


def test_parametrized_spectral_norm():
    theirs, mine = twins(lambda p: p.nn.Conv1d(3, 4, 2))
    for package, module in (torch, theirs), (ours, mine):
        package.nn.utils.parametrizations.spectral_norm(module)
    mine.load_state_dict({name: carried(value) for name, value in theirs.state_dict().items()})
    same_keys_and_text(mine, theirs)
    for _ in range(2):
        same_step(mine, theirs, 2, 3, 6)
        mine.zero_grad(), theirs.zero_grad()
    assert np.linalg.svd(mine.weight.detach().numpy().reshape(4, 6))[1][0] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("how", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("sizes", [(4, 4), (5, 3), (3, 5)])
@pytest.mark.parametrize("trivial", [True, False])
def test_orthogonal(how, sizes, trivial):
    theirs, mine = twins(lambda p: p.nn.Linear(*sizes))
    start = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0].astype(np.float32)
    for package, module in (torch, theirs), (ours, mine):
        package.nn.utils.parametrizations.orthogonal(module, orthogonal_map=how, use_trivialization=trivial)
    mine.load_state_dict({name: carried(value) for name, value in theirs.state_dict().items()})
    same_keys_and_text(mine, theirs)
    near(mine.weight, theirs.weight, 1e-4)
    weight = mine.weight.detach().numpy()
    tall = weight if weight.shape[0] >= weight.shape[1] else weight.T
    np.testing.assert_allclose(tall.T @ tall, np.eye(tall.shape[1]), atol=1e-5)
    same_step(mine, theirs, 3, sizes[0])
    value = start[:sizes[1], :sizes[0]]
    value = np.linalg.qr(value)[0] if sizes[1] >= sizes[0] else np.linalg.qr(value.T)[0].T
    if trivial:
        mine.weight = ours.from_numpy(value.copy())
        np.testing.assert_allclose(mine.weight.detach().numpy(), value, atol=1e-5)


def symmetric(package):
    class Symmetric(package.nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).transpose(-1, -2)

        def right_inverse(self, a):
            return a.triu()

    return Symmetric()


def test_parametrize():
    results = []
    for package in (torch, ours):
        parametrize = package.nn.utils.parametrize
        layer = package.nn.Linear(4, 4)
        layer.load_state_dict({"weight": package.arange(16.0).reshape(4, 4), "bias": package.zeros(4)})
        assert not parametrize.is_parametrized(layer)
        parametrize.register_parametrization(layer, "weight", symmetric(package))
        assert parametrize.is_parametrized(layer) and parametrize.is_parametrized(layer, "weight")
        assert not parametrize.is_parametrized(layer, "bias")
        assert type(layer).__name__ == "ParametrizedLinear" and isinstance(layer, package.nn.Linear)
        assert parametrize.type_before_parametrizations(layer) is package.nn.Linear
        parametrize.register_parametrization(layer, "weight", package.nn.Identity())
        with pytest.raises(RuntimeError, match="does not implement right_inverse"):
            layer.weight = package.ones(4, 4)
        with pytest.raises(ValueError, match="does not have a parameter"):
            parametrize.register_parametrization(layer, "nothing", package.nn.Identity())
        with pytest.raises(ValueError, match="may not change the shape"):
            parametrize.register_parametrization(layer, "bias", package.nn.Flatten(0, -1) if package is None
                                                 else Doubling.of(package))
        with parametrize.cached():
            assert layer.weight is layer.weight
        assert layer.weight is not layer.weight
        twin = copy.deepcopy(layer)
        assert list(twin.state_dict()) == list(layer.state_dict())
        with pytest.raises(RuntimeError, match="only supported through state_dict"):
            layer.__getstate__()
        results.append((list(layer.state_dict()), repr(layer), layer.weight.detach().numpy()))
        parametrize.remove_parametrizations(layer, "weight")
        assert type(layer) is package.nn.Linear and list(layer.state_dict()) == ["bias", "weight"]
        with pytest.raises(ValueError, match="does not have a parametrization"):
            parametrize.remove_parametrizations(layer, "weight")
        np.testing.assert_array_equal(layer.weight.detach().numpy(), results[-1][2])
    assert results[0][:2] == results[1][:2]
    np.testing.assert_array_equal(results[0][2], results[1][2])


class Doubling:
    """A parametrization that changes the shape."""

    @staticmethod
    def of(package):
        class Twice(package.nn.Module):
            def forward(self, x):
                return package.cat([x, x])

        return Twice()


@pytest.mark.parametrize("steps", [
    [("l1_unstructured", {"amount": 5})],
    [("l1_unstructured", {"amount": 0.3}), ("l1_unstructured", {"amount": 0.5})],
    [("ln_structured", {"amount": 0.5, "n": 2, "dim": 0}), ("l1_unstructured", {"amount": 4})],
    [("ln_structured", {"amount": 1, "n": 1, "dim": 0}), ("ln_structured", {"amount": 2, "n": 2, "dim": 1})],
    [("identity", {}), ("l1_unstructured", {"amount": 3})]])
def test_pruning(steps):
    theirs, mine = twins(lambda p: p.nn.Linear(6, 4))
    assert not ours.nn.utils.prune.is_pruned(mine)
    for name, options in steps:
        for package, module in (torch, theirs), (ours, mine):
            prune = package.nn.utils.prune
            assert getattr(prune, name)(module, "weight", **options) is module
    assert ours.nn.utils.prune.is_pruned(mine)
    same_keys_and_text(mine, theirs)
    near(mine.weight_mask, theirs.weight_mask)
    same_step(mine, theirs, 3, 6)
    for package, module in (torch, theirs), (ours, mine):
        package.nn.utils.prune.remove(module, "weight")
        with pytest.raises(ValueError, match="has to be pruned"):
            package.nn.utils.prune.remove(module, "weight")
    assert list(mine.state_dict()) == list(theirs.state_dict())
    near(mine.weight, theirs.weight)


def test_global_and_random_pruning():
    theirs, mine = twins(lambda p: p.nn.Sequential(p.nn.Linear(6, 4), p.nn.Linear(4, 3)))
    for package, net in (torch, theirs), (ours, mine):
        prune = package.nn.utils.prune
        prune.global_unstructured([(net[0], "weight"), (net[1], "weight")], prune.L1Unstructured, amount=0.4)
    for a, b in zip(theirs, mine):
        near(b.weight_mask, a.weight_mask)
    prune = ours.nn.utils.prune
    layer = prune.random_unstructured(ours.nn.Linear(10, 10), "weight", 0.25)
    assert int((layer.weight == 0).sum()) == 25
    layer = prune.random_structured(ours.nn.Linear(10, 10), "weight", 3, dim=0)
    assert int(layer.weight_mask.amax(1).sum()) == 7
    layer = prune.custom_from_mask(ours.nn.Linear(2, 2), "weight", ours.eye(2))
    assert float(layer.weight_mask.sum()) == 2
    for amount, error in (-0.1, ValueError), (1.5, ValueError), ("1", TypeError), (101, ValueError):
        with pytest.raises(error):
            prune.l1_unstructured(ours.nn.Linear(10, 10), "weight", amount)


def settle(package, norm):
    """Give a batch norm statistics that are not the initial ones."""
    values = torch.rand(4, generator=torch.Generator().manual_seed(1)) + 0.5
    for name in ("weight", "bias", "running_mean", "running_var"):
        tensor = getattr(norm, name)
        tensor.data.copy_(values if package is torch else carried(values))
    return norm.eval()


@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d", "Linear"])
@pytest.mark.parametrize("bias", [True, False])
def test_fusion(kind, bias):
    size = (3, 4) if kind == "Linear" else (3, 4, 2)
    theirs, mine = twins(lambda p: getattr(p.nn, kind)(*size, bias=bias).eval())
    fused = []
    for package, module in (torch, theirs), (ours, mine):
        norm = settle(package, (package.nn.BatchNorm1d if kind == "Linear" else package.nn.BatchNorm2d)(4))
        utils = package.nn.utils
        with pytest.raises(AssertionError, match="eval"):
            utils.fusion.fuse_conv_bn_eval(copy.deepcopy(module).train(), norm)
        fused.append(utils.fuse_linear_bn_eval(module, norm) if kind == "Linear" else
                     utils.fuse_conv_bn_eval(module, norm, transpose=kind != "Conv2d"))
    near(fused[1].weight, fused[0].weight)
    near(fused[1].bias, fused[0].bias)
    x = ours.randn(2, 3) if kind == "Linear" else ours.randn(2, 3, 4, 4)
    near(fused[1](x), norm(mine(x)), 1e-4)


@pytest.mark.parametrize("kind,options", [("LSTM", {"proj_size": 2}), ("LSTM", {}), ("GRU", {}), ("RNN", {})])
@pytest.mark.parametrize("two_ways", [False, True])
@pytest.mark.parametrize("lengths", [[6, 4, 4, 1], [3, 6, 1, 4]])
def test_recurrent_layers_on_packed_sequences(kind, options, two_ways, lengths):
    theirs, mine = twins(lambda p: getattr(p.nn, kind)(3, 4, 2, bidirectional=two_ways, **options))
    x = torch.randn(4, 6, 3)
    found = []
    for package, module in (torch, theirs), (ours, mine):
        rnn = package.nn.utils.rnn
        leaf = (x.clone() if package is torch else carried(x)).requires_grad_()
        packed = rnn.pack_padded_sequence(leaf, lengths, batch_first=True, enforce_sorted=sorted(lengths)[::-1]
                                          == lengths)
        output, last = module(packed)
        padded, sizes = rnn.pad_packed_sequence(output, batch_first=True, padding_value=-1.0, total_length=8)
        states = last if isinstance(last, tuple) else (last,)
        ((padded ** 2).sum() + sum((state ** 3).sum() for state in states)).backward()
        again, _ = module(packed, last)
        found.append([packed.data, packed.batch_sizes, padded, sizes, leaf.grad, again.data, *states,
                      *(p.grad for p in module.parameters())])
    for a, b in zip(*found):
        near(b, a, 1e-4)


def test_packing():
    for package in (torch, ours):
        rnn = package.nn.utils.rnn
        parts = [package.arange(float(n)) for n in (2, 5, 3)]
        packed = rnn.pack_sequence(parts, enforce_sorted=False)
        assert packed.batch_sizes.tolist() == [3, 3, 2, 1, 1]
        assert packed.sorted_indices.tolist() == [1, 2, 0] and packed.unsorted_indices.tolist() == [2, 0, 1]
        assert packed.data.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 3, 4]
        assert [part.tolist() for part in rnn.unpack_sequence(packed)] == [part.tolist() for part in parts]
        assert packed.double().data.dtype == package.float64 and not packed.is_cuda
        assert isinstance(packed, tuple) and len(packed) == 4
        with pytest.raises(RuntimeError, match="sorted in decreasing order"):
            rnn.pack_sequence(parts)
        with pytest.raises(RuntimeError, match="greater than 0"):
            rnn.pack_padded_sequence(package.zeros(3, 2, 1), [3, 0])
        with pytest.raises(RuntimeError, match="equal to batch_size"):
            rnn.pack_padded_sequence(package.zeros(3, 2, 1), [3])
        with pytest.raises(ValueError, match="total_length"):
            rnn.pad_packed_sequence(packed, total_length=4)


@pytest.mark.parametrize("options", [{}, {"norm_first": True}, {"activation": "gelu"}, {"bias": False}])
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("graph", [True, False])
def test_transformer_encoder_at_padded_places(options, nested, graph):
    """Without a graph, PyTorch leaves out what is padding at the end of a sequence, and so its output there is zero."""
    def build(p):
        layer = p.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, **options)
        return p.nn.TransformerEncoder(layer, 2, norm=p.nn.LayerNorm(8), enable_nested_tensor=nested)

    theirs, mine = quiet(twins, build)
    theirs.eval(), mine.eval()
    assert mine.use_nested_tensor == theirs.use_nested_tensor
    x = torch.randn(3, 5, 8)
    for padding in (torch.arange(5) >= torch.tensor([[5], [3], [2]]), torch.arange(5) < torch.tensor([[0], [1], [2]])):
        with torch.set_grad_enabled(graph), ours.set_grad_enabled(graph):
            near(mine(carried(x), src_key_padding_mask=carried(padding)),
                 quiet(theirs, x, src_key_padding_mask=padding), 1e-4)
