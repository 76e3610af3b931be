"""What torch.nn.Module does (hooks, state, names, conversions, errors), told in the same words by both packages."""

import copy
import pickle
from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
from .scenarios import attempt, compare, plain  # noqa: E402

SCENARIOS = []


def scenario(function):
    SCENARIOS.append(function)
    return function


def net(p):
    """Linear, a batch norm, and the linear layer's weight again."""
    class Net(p.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = p.nn.Linear(2, 2)
            self.norm = p.nn.BatchNorm1d(2)
            self.again = p.nn.Linear(2, 2, bias=False)
            self.again.weight = self.first.weight
            self.same = self.norm
            self.register_buffer("kept", p.ones(1))
            self.register_buffer("dropped", p.zeros(1), persistent=False)
            self.register_buffer("nothing", None)
            self.register_parameter("no_parameter", None)

        def forward(self, x, scale=1.0):
            return self.again(self.norm(self.first(x))) * scale

    made = Net()
    made.first.weight.data = p.tensor([[1.0, -2.0], [0.5, 1.0]])
    made.again.weight = made.first.weight
    made.first.bias.data = p.tensor([0.1, -0.2])
    return made.eval()


@scenario
def names(p):
    n = net(p)
    yield [name for name, _ in n.named_parameters()]
    yield [name for name, _ in n.named_parameters(remove_duplicate=False)]
    yield [name for name, _ in n.named_parameters(prefix="x", recurse=False)]
    yield [name for name, _ in n.named_buffers()]
    yield [name for name, _ in n.named_buffers(prefix="a", recurse=False)]
    yield [name for name, _ in n.named_buffers(remove_duplicate=False)]
    yield [name for name, _ in n.named_modules()]
    yield [name for name, _ in n.named_modules(remove_duplicate=False)]
    yield [name for name, _ in n.named_modules(prefix="p")]
    yield [name for name, _ in n.named_children()]
    yield len(list(n.modules())), len(list(n.children())), len(list(n.parameters())), len(list(n.buffers()))
    yield len(list(n.parameters(recurse=False))), len(list(n.buffers(recurse=False)))
    yield list(n.state_dict()), list(n.state_dict(prefix="x."))
    yield repr(n)
    yield [name for name in dir(n) if name in ("first", "norm", "kept", "nothing", "no_parameter")]


@scenario
def reaching_members(p):
    n = net(p)
    yield n.get_submodule("") is n, n.get_submodule("norm") is n.norm
    yield n.get_parameter("first.weight") is n.first.weight, n.get_buffer("norm.running_mean") is n.norm.running_mean
    for what in ("first.nothing", "first.weight", "absent", "absent.x"):
        yield attempt(n.get_submodule, what)
        if what != "first.weight":
            yield attempt(n.get_parameter, what)
        yield attempt(n.get_buffer, what)
    n.set_submodule("first", p.nn.Identity())
    yield repr(n.first)
    yield attempt(n.set_submodule, "", p.nn.Identity())
    yield attempt(n.set_submodule, "norm.x.y", p.nn.Identity())
    yield attempt(n.set_submodule, "missing", p.nn.Identity(), strict=True)
    yield attempt(n.set_submodule, "first", 3)
    yield attempt(lambda: n.absent)


@scenario
def registering(p):
    n = net(p)
    yield attempt(n.register_parameter, "a.b", None)
    yield attempt(n.register_parameter, "", None)
    yield attempt(n.register_parameter, "first", None)
    yield attempt(n.register_parameter, 3, None)
    yield attempt(n.register_parameter, "q", p.ones(2))
    yield attempt(n.register_parameter, "q", (p.ones(2, requires_grad=True) * 2))
    yield attempt(n.register_buffer, "a.b", None)
    yield attempt(n.register_buffer, "", None)
    yield attempt(n.register_buffer, "forward", None)
    yield attempt(n.register_buffer, 3, None)
    yield attempt(n.register_buffer, "q", 3)
    yield attempt(n.add_module, "a.b", None)
    yield attempt(n.add_module, "", None)
    yield attempt(n.add_module, "kept", None)
    yield attempt(n.add_module, "q", 3)
    yield attempt(n.add_module, 3, None)
    yield attempt(setattr, n, "first", 3)
    yield attempt(setattr, n.first, "weight", p.ones(2))
    yield attempt(setattr, n, "kept", 3)
    n.kept = p.zeros(3)
    n.first = None
    n.kept = None
    yield list(n.state_dict())
    n.norm = p.nn.Parameter(p.ones(1))
    yield [name for name, _ in n.named_parameters()]
    del n.norm
    yield attempt(lambda: n.norm)
    yield attempt(delattr, n, "norm")

    class Early(p.nn.Module):
        def __init__(self, value):
            self.x = value

    yield attempt(Early, p.nn.Parameter(p.ones(1)))
    yield attempt(Early, p.nn.Identity())
    yield attempt(Early(3).register_buffer, "x", None)
    yield attempt(p.nn.Module, 1)
    yield attempt(p.nn.Module, a=1)
    yield attempt(p.nn.Module(), 1)


@scenario
def loading(p):
    n = net(p)
    state = n.state_dict()
    yield repr(n.load_state_dict(state))
    yield plain(dict(state._metadata))
    broken = OrderedDict(state)
    broken["first.weight"] = p.ones(3, 2)
    broken["first.extra"] = broken.pop("kept")
    broken["norm.running_mean"] = 3
    yield attempt(n.load_state_dict, broken)
    yield attempt(n.load_state_dict, broken, strict=False)
    missing = n.load_state_dict({"x": p.ones(1), "first.bias": p.ones(2)}, strict=False)
    yield missing.missing_keys, missing.unexpected_keys, repr(missing)
    yield n.first.bias
    yield attempt(n.load_state_dict, 3)
    yield attempt(n.load_state_dict, [1])
    layer = p.nn.Linear(2, 2)
    value = p.ones(2, 2, dtype=p.float64)
    layer.load_state_dict({"weight": value, "bias": p.zeros(2)}, assign=True)
    yield layer.weight, isinstance(layer.weight, p.nn.Parameter), layer.weight.data_ptr() == value.data_ptr()
    layer.load_state_dict({"weight": p.zeros(2, 2), "bias": p.zeros(2)})
    yield layer.weight
    norm = p.nn.BatchNorm1d(2)
    old = OrderedDict((k, v) for k, v in norm.state_dict().items() if k != "num_batches_tracked")
    yield repr(norm.load_state_dict(old))
    yield p.nn.Linear(1, 1).state_dict(keep_vars=True)["weight"].requires_grad


@scenario
def extra_state(p):
    class Extra(p.nn.Module):
        def __init__(self, value):
            super().__init__()
            self.value = value

        def get_extra_state(self):
            return {"value": self.value}

        def set_extra_state(self, state):
            self.value = state["value"]

    a = p.nn.Sequential(Extra(1), Extra(2))
    b = p.nn.Sequential(Extra(3), Extra(4))
    yield list(a.state_dict())
    b.load_state_dict(a.state_dict())
    yield b[0].value, b[1].value
    yield attempt(b.load_state_dict, {})
    yield attempt(p.nn.Sequential(p.nn.Identity()).load_state_dict, a.state_dict())
    yield attempt(p.nn.Identity().get_extra_state).split(":")[0]


@scenario
def forward_hooks(p):
    n = p.nn.Identity()
    n.train()
    log = []
    handles = [
        n.register_forward_pre_hook(lambda m, args: log.append(("pre", plain(args)))),
        n.register_forward_pre_hook(lambda m, args: args[0] + 1),
        n.register_forward_pre_hook(lambda m, args, kwargs: (args, kwargs), with_kwargs=True),
        n.register_forward_pre_hook(lambda m, args: log.append("first"), prepend=True),
        n.register_forward_hook(lambda m, args, output: log.append(("post", plain(args), plain(output)))),
        n.register_forward_hook(lambda m, args, output: output * 10),
        n.register_forward_hook(lambda m, args, kwargs, output: log.append(plain(kwargs)), with_kwargs=True),
        n.register_forward_hook(lambda m, args, output: log.append("before"), prepend=True)]
    yield n(p.ones(1))
    yield log
    for handle in handles:
        handle.remove()
    del log[:]
    yield n(p.ones(1)), log
    with n.register_forward_hook(lambda *args: p.zeros(1)):
        yield n(p.ones(1))
    yield n(p.ones(1))

    def fails(*args):
        raise ValueError("no")

    broken = p.nn.Identity()
    broken.forward = fails
    broken.register_forward_hook(lambda m, args, output: log.append(("always", output)), always_call=True)
    broken.register_forward_hook(lambda m, args, output: log.append("not this one"))
    yield attempt(broken, p.ones(1)), log
    wrong = p.nn.Identity()
    wrong.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    yield attempt(wrong, p.ones(1))


@scenario
def global_hooks(p):
    log = []
    module = p.nn.modules.module
    handles = [module.register_module_forward_pre_hook(lambda m, args: log.append(("pre", type(m).__name__))),
               module.register_module_forward_hook(lambda m, args, output: log.append(("post", type(m).__name__))),
               module.register_module_full_backward_hook(lambda m, a, b: log.append(("back", type(m).__name__))),
               module.register_module_full_backward_pre_hook(lambda m, a: log.append(("start", type(m).__name__)))]
    try:
        chain = p.nn.Sequential(p.nn.Identity(), p.nn.Tanh())
        chain(p.ones(2, requires_grad=True)).sum().backward()
    finally:
        for handle in handles:
            handle.remove()
    yield log
    registered = []
    handles = [module.register_module_parameter_registration_hook(
                   lambda m, name, value: registered.append(("parameter", name))),
               module.register_module_buffer_registration_hook(
                   lambda m, name, value: registered.append(("buffer", name))),
               module.register_module_module_registration_hook(
                   lambda m, name, value: registered.append(("module", name)))]
    try:
        p.nn.Sequential(p.nn.BatchNorm1d(2))
    finally:
        for handle in handles:
            handle.remove()
    p.nn.Linear(1, 1)
    yield sorted(registered)


@scenario
def backward_hooks(p):
    n = net(p)
    log = []
    n.first.register_full_backward_hook(lambda m, gi, go: log.append(("full", plain(gi), plain(go))))
    n.again.register_full_backward_pre_hook(lambda m, go: (go[0] * 2,))
    n.norm.register_full_backward_hook(lambda m, gi, go: (gi[0] * 0 + 1,))
    x = p.ones(3, 2, requires_grad=True)
    n(x).sum().backward()
    yield log[0][1][0][0], [len(part) for part in log[0][1:]]
    yield [[round(v, 4) for v in row] for row in x.grad.tolist()]
    n.first.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
    yield attempt(n(x).sum().backward)
    frozen = p.nn.Linear(2, 2)
    seen = []
    frozen.register_full_backward_hook(lambda m, gi, go: seen.append([part is None for part in gi]))
    frozen(p.ones(1, 2)).sum().backward()
    yield seen


@scenario
def state_hooks(p):
    log = []
    n = p.nn.Sequential(p.nn.Linear(1, 1))
    n.register_state_dict_pre_hook(lambda m, prefix, keep: log.append(("pre", prefix, keep)))
    n[0].register_state_dict_post_hook(lambda m, state, prefix, meta: log.append(("post", list(state), prefix,
                                                                                  dict(meta))))
    n[0].register_load_state_dict_pre_hook(
        lambda m, state, prefix, meta, strict, missing, unexpected, errors: log.append((type(m).__name__, prefix,
                                                                                        list(state), strict)))
    n.register_load_state_dict_post_hook(lambda m, keys: log.append((list(keys.missing_keys), len(keys))))
    state = n.state_dict()
    n.load_state_dict(state)
    yield log
    n.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    yield repr(n.load_state_dict({"0.weight": p.ones(1, 1)}))
    n._register_load_state_dict_pre_hook(lambda state, prefix, *rest: state.setdefault("0.bias", p.ones(1)))
    yield repr(n.load_state_dict({"0.weight": p.ones(1, 1)}))
    yield n[0].bias
    other = p.nn.Linear(1, 1)
    other._register_state_dict_hook(lambda m, state, prefix, meta: OrderedDict(a=1))
    yield other.state_dict()


@scenario
def conversions(p):
    n = net(p)
    for convert in (lambda m: m.double(), lambda m: m.half(), lambda m: m.bfloat16(), lambda m: m.float(),
                    lambda m: m.to(p.float64), lambda m: m.to("cpu"), lambda m: m.to("cpu", p.float32),
                    lambda m: m.to(p.ones(1, dtype=p.float64)), lambda m: m.to(dtype=p.float32, non_blocking=True),
                    lambda m: m.to(device=p.device("cpu")), lambda m: m.type(p.float64), lambda m: m.float(),
                    lambda m: m.to(memory_format=p.channels_last), lambda m: m.cpu()):
        yield convert(n) is n, {name: plain(t.dtype) for name, t in n.state_dict(keep_vars=True).items()}
        yield n.again.weight is n.first.weight
    yield attempt(n.to, p.int64)
    n.requires_grad_(False)
    yield [q.requires_grad for q in n.parameters()]
    n.requires_grad_()
    n(p.ones(3, 2)).sum().backward()
    n.zero_grad(set_to_none=False)
    yield n.first.bias.grad
    n.zero_grad()
    yield n.first.bias.grad is None
    yield n.train().training, n.norm.training, n.eval().norm.training
    yield attempt(n.train, 3)
    order = []
    yield n.apply(lambda m: order.append(type(m).__name__)) is n, order
    yield n.to_empty(device="cpu").first.weight.shape == (2, 2)
    yield n.share_memory() is n
    yield attempt(p.nn.Module().forward)


@scenario
def copies(p):
    n = net(p)
    n.first.weight.grad = p.ones(2, 2)
    for twin in (copy.deepcopy(n.first), pickle.loads(pickle.dumps(n.first))):
        yield twin.state_dict(), twin.weight.requires_grad
        yield twin.weight.data_ptr() != n.first.weight.data_ptr()
    yield copy.deepcopy(n.first).weight.grad is None
    twin = copy.deepcopy(n)
    yield twin.again.weight is twin.first.weight, twin.norm is twin.same
    shallow = copy.copy(n.first)
    yield shallow.weight is n.first.weight
    layer = p.nn.Linear(1, 1)
    state = layer.__dict__.copy()
    blank = p.nn.Linear.__new__(p.nn.Linear)
    blank.__setstate__(state)
    yield list(blank.state_dict()), blank(p.ones(1, 1)).shape == (1, 1)


@pytest.mark.parametrize("tell", SCENARIOS, ids=lambda f: f.__name__)
def test_both_packages_tell_the_same(tell):
    compare(tell)
