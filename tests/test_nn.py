"""Modules by themselves: names, modes, copies, state dicts, hooks, containers, initialization, clipping, masks."""

import copy
import pickle

import pytest

import minitorch_bn as mt
import minitorch_bn.nn.functional as F
from minitorch_bn import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())
        self.head = nn.Linear(4, 2)
        self.tied = self.head
        self.scale = nn.Parameter(mt.ones(1))
        self.register_buffer("seen", mt.zeros(1), persistent=False)
        self.offset = nn.Buffer(mt.zeros(2))

    def forward(self, x, extra=0.0):
        return self.head(self.body(x)) * self.scale + self.offset + extra


def test_tree_of_names():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "scale", "body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias", "head.weight", "head.bias"]
    assert [name for name, _ in net.named_parameters(remove_duplicate=False)][-2:] == ["tied.weight", "tied.bias"]
    assert [name for name, _ in net.named_buffers()] == [
        "seen", "offset", "body.1.running_mean", "body.1.running_var", "body.1.num_batches_tracked"]
    assert "seen" not in net.state_dict() and "offset" in net.state_dict()
    assert [name for name, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "body.2", "head"]
    assert net.get_submodule("body.0") is net.body[0]
    assert net.get_parameter("body.0.weight") is net.body[0].weight
    assert net.get_buffer("body.1.running_var") is net.body[1].running_var
    net.set_submodule("body.2", nn.Tanh())
    assert isinstance(net.body[2], nn.Tanh)
    del net.tied
    assert "tied" not in dir(net) and "head" in dir(net)


def test_modes_gradients_and_conversion():
    net = Net()
    assert net.eval() is net and not any(module.training for module in net.modules())
    net.train().requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    net.requires_grad_()
    weight = net.head.weight
    net(mt.ones(4, 3)).sum().backward()
    net.double()
    assert net.head.weight is weight and weight.dtype == weight.grad.dtype == mt.float64
    assert net.body[1].num_batches_tracked.dtype == mt.int64
    net.zero_grad(set_to_none=False)
    assert float(weight.grad.abs().sum()) == 0
    net.zero_grad()
    assert weight.grad is None
    seen = []
    net.apply(lambda module: seen.append(type(module).__name__))
    assert seen[-1] == "Net" and seen.count("Linear") == 2


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_are_independent_and_equal(clone):
    net = Net().eval()
    twin = clone(net)
    x = mt.ones(2, 3)
    assert mt.equal(net(x), twin(x))
    assert twin.head is twin.tied and isinstance(twin.scale, nn.Parameter) and twin.scale.requires_grad
    with mt.no_grad():
        twin.scale.add_(1)
    assert not mt.equal(net(x), twin(x))


def test_state_dict_round_trip_and_report():
    net, other = Net(), Net()
    x = mt.randn(4, 3)
    net(x)
    assert repr(other.load_state_dict(net.state_dict())) == "<All keys matched successfully>"
    assert mt.equal(net.eval()(x), other.eval()(x))
    state = net.state_dict(prefix="m.")
    assert all(key.startswith("m.") for key in state)
    partial = {"scale": mt.zeros(1), "other": mt.zeros(1)}
    report = other.load_state_dict(partial, strict=False)
    assert report.unexpected_keys == ["other"] and "head.weight" in report.missing_keys
    tensor = mt.zeros(1, dtype=mt.float64)
    other.load_state_dict({"scale": tensor}, strict=False, assign=True)
    assert other.scale.dtype == mt.float64 and isinstance(other.scale, nn.Parameter)


def test_state_dict_of_old_batch_norm_lacks_the_counter():
    norm = nn.BatchNorm1d(2)
    state = {key: value.clone() for key, value in norm.state_dict().items() if key != "num_batches_tracked"}
    norm(mt.randn(3, 2))
    norm.load_state_dict(state)
    assert norm.running_mean.tolist() == [0, 0] and norm.num_batches_tracked.item() == 1  # its own stays


def test_extra_state_and_state_hooks():
    class Extra(nn.Module):
        def get_extra_state(self):
            return {"n": 5}

        def set_extra_state(self, state):
            self.got = state

    net = nn.Sequential(Extra())
    calls = []
    net.register_state_dict_post_hook(lambda module, state, prefix, meta: calls.append("saved"))
    net.register_load_state_dict_post_hook(lambda module, keys: calls.append("loaded"))
    net.register_load_state_dict_pre_hook(lambda module, state, *rest: calls.append(type(module).__name__))
    state = net.state_dict()
    assert state == {"0._extra_state": {"n": 5}}
    net.load_state_dict(state)
    assert net[0].got == {"n": 5} and calls == ["saved", "Sequential", "loaded"]


def test_forward_hooks():
    layer = nn.Linear(2, 2)
    x = mt.ones(1, 2)
    plain = layer(x)
    with layer.register_forward_pre_hook(lambda m, args: (args[0] * 2,)):
        assert mt.allclose(layer(x), layer.forward(x * 2))
    with layer.register_forward_hook(lambda m, args, out: out + 1):
        assert mt.allclose(layer(x), plain + 1)
    assert mt.equal(layer(x), plain)
    net = Net().eval()
    with net.register_forward_pre_hook(lambda m, args, kwargs: (args, {"extra": 1.0}), with_kwargs=True):
        assert mt.allclose(net(mt.ones(1, 3)), net.forward(mt.ones(1, 3)) + 1)
    calls = []
    layer.register_forward_hook(lambda m, args, out: calls.append("last"), always_call=True)
    layer.register_forward_hook(lambda m, args, out: calls.append("first"), prepend=True)
    layer(x)
    with pytest.raises(RuntimeError):
        layer(mt.ones(1, 3))
    assert calls == ["first", "last", "last"]


def test_backward_hooks():
    layer = nn.Linear(2, 3)
    calls = []
    layer.register_full_backward_pre_hook(lambda m, grad_output: (grad_output[0] * 2,))
    layer.register_full_backward_hook(lambda m, grad_input, grad_output: calls.append((grad_input, grad_output)))
    x = mt.ones(4, 2, requires_grad=True)
    layer(x).sum().backward()
    (grad_input, grad_output), = calls
    assert mt.allclose(grad_output[0], mt.full((4, 3), 2.0))
    assert mt.allclose(grad_input[0], layer.weight.sum(0).expand(4, 2) * 2)
    assert mt.allclose(x.grad, grad_input[0])
    layer.register_full_backward_hook(lambda m, grad_input, grad_output: (grad_input[0] * 0,))
    x.grad = None
    layer(x).sum().backward()
    assert float(x.grad.abs().sum()) == 0
    first = nn.Linear(2, 3)
    first.register_full_backward_hook(lambda m, grad_input, grad_output: grad_output)
    with pytest.raises(RuntimeError, match="should always return None"):
        first(mt.ones(4, 2)).sum().backward()


def test_hooks_of_all_modules():
    from minitorch_bn.nn.hooks import register_module_forward_hook

    seen = []
    with register_module_forward_hook(lambda module, args, out: seen.append(type(module).__name__)):
        nn.Sequential(nn.ReLU(), nn.Tanh())(mt.zeros(1))
    assert seen == ["ReLU", "Tanh", "Sequential"]


def test_containers():
    net = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Linear(1, 1))
    assert isinstance(net[1:], nn.Sequential) and len(net[1:]) == 2 and net[-1] is net[2]
    net.insert(1, nn.GELU())
    net.append(nn.ELU()).extend([nn.SELU()])
    assert [type(m).__name__ for m in net] == ["ReLU", "GELU", "Tanh", "Linear", "ELU", "SELU"]
    del net[1:3]
    assert list(net._modules) == ["0", "1", "2", "3"] and isinstance(net.pop(0), nn.ReLU)
    assert len(net + net) == 6 and len(net * 2) == 6
    modules = nn.ModuleList([nn.ReLU()] * 3)
    modules += [nn.Tanh()]
    assert len(modules) == 4 and repr(modules) == "ModuleList(\n  (0-2): 3 x ReLU()\n  (3): Tanh()\n)"
    named = nn.ModuleDict({"a": nn.ReLU()})
    named.update([("b", nn.Tanh())])
    assert list(named) == ["a", "b"] and "a" in named and isinstance(named.pop("a"), nn.ReLU) and len(named) == 1
    params = nn.ParameterList([mt.zeros(2), nn.Parameter(mt.ones(3))])
    assert len(list(params.parameters())) == 2 and isinstance(params[0], nn.Parameter) and len(params[:1]) == 1
    assert list(params.state_dict()) == ["0", "1"]
    table = nn.ParameterDict({"w": mt.zeros(2), "n": 3})
    assert list(table.keys()) == ["n", "w"] and table["n"] == 3 and [n for n, _ in table.named_parameters()] == ["w"]
    assert table.setdefault("v", mt.ones(1)) is table.get("v") and table.popitem()[0] == "v"


def test_parameter_prints_and_wraps():
    data = mt.zeros(2)
    parameter = nn.Parameter(data)
    assert repr(parameter) == "Parameter containing:\ntensor([0., 0.], requires_grad=True)"
    with mt.no_grad():
        parameter.add_(1)
    assert float(data.sum()) == 2 and parameter.is_leaf
    with pytest.raises(RuntimeError):
        nn.Parameter(mt.zeros(2, dtype=mt.int64))
    assert not nn.Parameter(mt.zeros(2, dtype=mt.int64), requires_grad=False).requires_grad


def test_dropout_keeps_the_mean():
    mt.manual_seed(0)
    x = mt.ones(200, 50, 4)
    for layer in (nn.Dropout(0.3), nn.Dropout1d(0.3)):
        y = layer(x)
        zero = (y == 0).float()
        assert abs(float(zero.mean()) - 0.3) < 0.02 and abs(float(y.mean()) - 1) < 0.03
    assert float(((y == 0).sum(-1) % 4).sum()) == 0  # whole channels
    z = nn.AlphaDropout(0.2)(mt.randn(100000))
    assert abs(float(z.mean())) < 0.03 and abs(float(z.std()) - 1) < 0.03
    assert float(F.dropout(x, 1.0).abs().sum()) == 0


def test_initialization():
    mt.manual_seed(0)
    w = mt.empty(200, 100)
    for fill, std in ((nn.init.xavier_uniform_, (2 / 300) ** 0.5), (nn.init.xavier_normal_, (2 / 300) ** 0.5),
                      (nn.init.kaiming_uniform_, (2 / 100) ** 0.5), (nn.init.kaiming_normal_, (2 / 100) ** 0.5)):
        fill(w)
        assert abs(float(w.std()) / std - 1) < 0.03 and abs(float(w.mean())) < 0.1 * std
    nn.init.trunc_normal_(w, std=0.5, a=-0.6, b=0.6)
    assert float(w.abs().max()) <= 0.6
    nn.init.orthogonal_(w)
    assert mt.allclose(w.t() @ w, mt.eye(100), atol=1e-5)
    nn.init.eye_(w)
    assert float(w.sum()) == 100
    nn.init.sparse_(w, 0.5)
    assert (w == 0).sum(0).tolist() == [100] * 100
    kernel = nn.init.dirac_(mt.empty(4, 2, 3), groups=2)
    assert mt.equal(F.conv1d(mt.ones(1, 4, 5), kernel, padding=1, groups=2), mt.ones(1, 4, 5))
    assert float(nn.init.constant_(w, 0.3).mean()) == pytest.approx(0.3)


def test_clipping_and_vectors():
    layer = nn.Linear(3, 2)
    layer(mt.ones(1, 3)).sum().backward()
    norm = nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
    assert float(norm) == pytest.approx(8**0.5, rel=1e-6)
    assert float(nn.utils.get_total_norm([p.grad for p in layer.parameters()])) == pytest.approx(1.0, rel=1e-5)
    nn.utils.clip_grad_value_(layer.parameters(), 0.1)
    assert float(layer.weight.grad.max()) == pytest.approx(0.1)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (8,)
    nn.utils.vector_to_parameters(mt.arange(8.0), layer.parameters())
    assert layer.bias.tolist() == [6.0, 7.0] and isinstance(layer.bias, nn.Parameter)
    padded = nn.utils.rnn.pad_sequence([mt.ones(2), mt.ones(3)], batch_first=True, padding_side="left")
    assert padded.tolist() == [[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    assert [s.tolist() for s in nn.utils.rnn.unpad_sequence(
        nn.utils.rnn.pad_sequence([mt.ones(2), mt.ones(3)]), mt.tensor([2, 3]))] == [[1.0] * 2, [1.0] * 3]


def test_attention_masks():
    attention = nn.MultiheadAttention(4, 2, batch_first=True).eval()
    x = mt.randn(2, 3, 4)
    causal = nn.Transformer.generate_square_subsequent_mask(3)
    output, weights = attention(x, x, x, attn_mask=causal)
    assert weights[0, 0].tolist()[1:] == [0.0, 0.0]
    fast, none = attention(x, x, x, attn_mask=causal, need_weights=False)
    assert none is None and mt.allclose(output, fast, atol=1e-6)
    boolean, _ = attention(x, x, x, attn_mask=causal < 0)
    assert mt.allclose(output, boolean, atol=1e-6)
    padding = mt.tensor([[False, False, True]] * 2)
    _, weights = attention(x, x, x, key_padding_mask=padding, average_attn_weights=False)
    assert weights.shape == (2, 2, 3, 3) and float(weights[..., 2].detach().abs().sum()) == 0


def test_a_new_value_keeps_the_place_of_the_old():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.BatchNorm1d(3))
    model[0].weight = nn.Parameter(mt.zeros(3, 2))  # as tied weights are set
    assert list(model.state_dict())[:2] == ["0.weight", "0.bias"]
    setattr(model, "0", nn.Linear(2, 3, bias=False))
    assert [name for name, _ in model.named_children()] == ["0", "1", "2"]
    model[2].weight = None
    assert [name for name, _ in model[2].named_parameters()] == ["bias"]
    model[2].bias = nn.Buffer(mt.ones(3))  # of another kind: it leaves the parameters
    assert [name for name, _ in model[2].named_buffers()][-1] == "bias" and not list(model[2].parameters())


def test_removed_hooks_cost_nothing():
    """A module whose hooks are all gone is called as one that never had any; new hooks are called again."""
    layer, seen = nn.Identity(), []
    layer.register_forward_hook(lambda *args: seen.append(1)).remove()
    layer(mt.ones(1))
    assert layer._hooked is False
    handle = layer.register_forward_hook(lambda *args: seen.append(2))
    layer(mt.ones(1))
    handle.remove()
    layer(mt.ones(1))
    lazy = nn.LazyLinear(2)
    lazy(mt.ones(1, 3))
    lazy(mt.ones(1, 3))
    assert seen == [2] and lazy._hooked is False and type(lazy) is nn.Linear
