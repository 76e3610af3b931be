"""Containers, parameters, lazy modules and SyncBatchNorm, told in the same words by both packages."""

import copy
import pickle
from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
from .scenarios import attempt, compare  # noqa: E402

SCENARIOS = []


def scenario(function):
    SCENARIOS.append(function)
    return function


@scenario
def sequences(p):
    make = [p.nn.ReLU(), p.nn.Tanh(), p.nn.Sigmoid()]
    s = p.nn.Sequential(*make)
    yield len(s), repr(s[1:]), repr(s[-1]), attempt(lambda: s[5]), attempt(lambda: s[-4])
    s.append(p.nn.Identity())
    s.insert(1, p.nn.GELU())
    s.extend([p.nn.ELU()])
    yield repr(s)
    del s[0]
    s[0] = p.nn.SiLU()
    yield repr(s), repr(s.pop(-1)), len(s)
    del s[1:3]
    yield repr(s), repr(s + p.nn.Sequential(p.nn.Mish())), repr(s * 2), attempt(lambda: s * 0), attempt(lambda: s + 3)
    s += p.nn.Sequential(p.nn.Mish())
    yield repr(s), attempt(s.insert, 100, p.nn.ReLU()), attempt(s.append, 3)
    yield s.insert(-1, p.nn.ReLU()) is s, repr(s), attempt(s.insert, 0, 3)[:14]
    named = p.nn.Sequential(OrderedDict(a=p.nn.ReLU(), b=p.nn.Tanh()))
    yield repr(named), repr(named.b), repr(named[:1])
    m = p.nn.ModuleList(make)
    m += [p.nn.ReLU()]
    m.insert(0, p.nn.ReLU())
    yield repr(m), repr(m[1:3]), len(m), attempt(m.extend, 3), attempt(lambda: m[9]), attempt(m, p.ones(1))
    yield repr(m + [p.nn.Tanh()]), make[0] in m, repr(m.pop(1))
    yield repr(p.nn.ModuleList([p.nn.Linear(1, 1) for _ in range(3)])), repr(p.nn.ModuleList())


@scenario
def dicts(p):
    d = p.nn.ModuleDict({"a": p.nn.ReLU(), "b": p.nn.Tanh()})
    yield repr(d), list(d), len(d), "a" in d, [k for k, _ in d.items()], repr(d.pop("a")), attempt(lambda: d["a"])
    d.update([("c", p.nn.ELU())])
    d["e"] = p.nn.GELU()
    yield repr(d), attempt(d.update, 3), attempt(d.update, [3])[:60], attempt(d.update, [(1, 2, 3)])
    d.clear()
    yield repr(d), attempt(d.__setitem__, "x", 3), attempt(d.__setitem__, "clear", p.nn.ReLU())
    one = p.nn.ParameterDict({"w": p.ones(2, 2), "n": 3})
    one["z"] = p.nn.Parameter(p.zeros(1))
    yield repr(one).replace("torch.FloatTensor", "T"), list(one.state_dict()), list(one), one.get("q", 5)
    yield one.setdefault("w2", p.ones(1)), list((one | p.nn.ParameterDict({"y": p.ones(1)})).keys())
    yield list(reversed(one)), list(one.fromkeys(["a", "b"], 1).items()), one.popitem()[0], list(one.copy())
    yield attempt(lambda: one["absent"]), attempt(one.__setitem__, 3, p.ones(1)), attempt(one.pop, "absent")
    yield attempt(one.update, 3)[:9], isinstance(one["w"], p.nn.Parameter)
    many = p.nn.ParameterList([p.ones(1), 3, p.nn.Parameter(p.ones(2))])
    many.append(p.zeros(1))
    many += [p.ones(1)]
    yield repr(many).replace("torch.FloatTensor", "T"), len(many), list(many.state_dict())
    yield repr(many[1:3]), many[-1], attempt(lambda: many[9]), attempt(many.extend, 3), many.pop() if hasattr(
        many, "pop") else None
    many[0] = p.ones(3)
    yield many[0]


@scenario
def printing_of_parameters(p):
    yield repr(p.nn.Parameter(p.ones(2))), repr(p.nn.Parameter(p.ones(1), requires_grad=False))
    yield isinstance(p.nn.Buffer(p.ones(1)), p.Tensor)

    class Holder(p.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = p.nn.Buffer(p.ones(1))
            self.b = p.nn.Buffer(p.ones(1), persistent=False)

    yield list(Holder().state_dict()), [name for name, _ in Holder().named_buffers()]


@scenario
def lazy_modules(p):
    lazy = p.nn.LazyLinear(3)
    yield repr(lazy), lazy.has_uninitialized_params(), repr(lazy.weight), attempt(lambda: lazy.weight.shape)[:40]
    state = lazy.state_dict()
    yield list(state), isinstance(state["weight"], p.nn.UninitializedParameter)
    twin = pickle.loads(pickle.dumps(copy.deepcopy(lazy)))
    yield repr(twin), twin.double().weight.dtype == p.float64
    lazy(p.ones(2, 5))
    yield repr(lazy), type(lazy).__name__, lazy.weight.shape, type(lazy.weight).__name__, len(lazy._forward_pre_hooks)
    yield twin(p.ones(2, 4, dtype=p.float64)).shape, twin.weight.shape
    fresh = p.nn.LazyLinear(3)
    fresh.load_state_dict(lazy.state_dict())
    yield fresh.weight.shape, type(fresh).__name__, fresh(p.ones(1, 5)).shape, type(fresh).__name__
    yield repr(p.nn.LazyLinear(3).load_state_dict(p.nn.LazyLinear(3).state_dict()))
    yield attempt(p.nn.Linear(5, 3).load_state_dict, p.nn.LazyLinear(3).state_dict()).split(":")[0]
    for name, shape in ("LazyBatchNorm1d", (2, 3, 4)), ("LazyBatchNorm2d", (2, 3, 4, 4)), (
            "LazyInstanceNorm1d", (2, 3, 4)), ("LazyBatchNorm3d", (2, 3, 1, 2, 2)):
        layer = getattr(p.nn, name)()
        yield repr(layer), layer(p.ones(shape)).shape, repr(layer), list(layer.state_dict())
    yield p.nn.LazyConv2d(3, 2)(p.ones(1, 2, 2)).shape, attempt(p.nn.LazyConv2d(3, 2), p.ones(2, 2))
    net = p.nn.Sequential(p.nn.LazyConv2d(4, 3), p.nn.Flatten(), p.nn.LazyLinear(2))
    net(p.ones(2, 3, 5, 5))
    yield repr(net), [q.shape for q in net.parameters()]


@scenario
def sync_batch_norm(p):
    net = p.nn.Sequential(p.nn.Conv1d(1, 2, 1), p.nn.BatchNorm1d(2), p.nn.Sequential(p.nn.BatchNorm2d(3, affine=False)))
    converted = p.nn.SyncBatchNorm.convert_sync_batchnorm(net)
    yield repr(converted), converted is net, list(converted.state_dict())
    yield attempt(p.nn.SyncBatchNorm(2), p.ones(3)), p.nn.SyncBatchNorm(2).eval()(p.ones(3, 2)).shape


@pytest.mark.parametrize("tell", SCENARIOS, ids=lambda f: f.__name__)
def test_both_packages_tell_the_same(tell):
    compare(tell)
