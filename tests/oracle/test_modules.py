"""Every module of PyTorch's module table, the first cases of each: `python -m tests.oracle.modules` runs all."""

import inspect
import itertools

import pytest

torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
pytest.importorskip("expecttest", reason="PyTorch's own tables import it")
import minitorch_bn as ours  # noqa: E402

from .modules import EXPECTED, check, tables  # noqa: E402

POLICIES = {"policies", "axis", "ghost", "renorm", "on_single", "unbiased_running", "virtual_workers", "mask"}
CASES = 3  # of each module; and all error inputs
TABLES = tables()
met = set()


@pytest.mark.parametrize("name", TABLES)
def test_module(name):
    info = TABLES[name]
    for training in (True, False) if getattr(info, "train_and_eval_differ", False) else (True,):
        entry = check(name, info, torch.float64, training, CASES)
        assert entry.cases and not entry.problems, "\n".join(entry.problems)
        met.update(entry.known)


def test_expected_differences_are_there():
    """The table of differences holds what differs and nothing else."""
    if len(met) < len(EXPECTED):  # the tests above ran in another process, or not at all
        for name in {name for name, _ in EXPECTED}:
            met.update(check(name, TABLES[name], torch.float64, True, CASES).known)
    assert met == set(EXPECTED)


ABSENT = {"Container"}  # deprecated since 2017


def shared_classes():
    classes = {name: value for name, value in vars(torch.nn).items() if isinstance(value, type)}
    return {name: (value, getattr(ours.nn, name)) for name, value in classes.items() if name not in ABSENT}


def test_every_class_is_there_and_derives_from_the_same():
    classes = shared_classes()
    for a, b in itertools.permutations(classes, 2):
        if "UninitializedBuffer" not in (a, b):
            assert issubclass(classes[a][0], classes[b][0]) == issubclass(classes[a][1], classes[b][1]), (a, b)


def parameters(function):
    """Names, kinds and plain defaults of a function's parameters; None where PyTorch hides them."""
    found = list(inspect.signature(function).parameters.values())
    if [p.name for p in found] == ["args", "kwargs"] or [p.name for p in found] == ["self", "args", "kwargs"]:
        return None
    return [(p.name, p.kind, p.default if isinstance(p.default, (int, float, str, type(None))) else "") for p in found]


@pytest.mark.parametrize("name", sorted(shared_classes()))
def test_same_arguments(name):
    theirs, mine = shared_classes()[name]
    for method in ("__init__", "forward"):
        wanted = parameters(getattr(theirs, method)) if hasattr(theirs, method) else None
        if wanted and not {"Module", "RNNCellBase", "RNNBase"} & {theirs.__name__} and not (
                method == "forward" and theirs.forward is torch.nn.Module.forward):
            if name != "LinearCrossEntropyOptions":  # a named tuple here
                have = parameters(getattr(mine, method))
                if "BatchNorm" in name or "InstanceNorm" in name:  # and, after them, the policies: ghost=, mask, ...
                    have = [p for p in have if p in wanted or p[0] not in POLICIES]
                assert have == wanted


NOT_OURS = {"assert_int_or_pair", "boolean_dispatch", "grouped_mm", "scaled_mm", "scaled_grouped_mm",
            "handle_torch_function", "has_torch_function", "has_torch_function_unary", "has_torch_function_variadic"}


@pytest.mark.parametrize("module", ["functional", "init"])
def test_functions_have_the_same_arguments(module):
    theirs, mine = getattr(torch.nn, module), getattr(ours.nn, module)
    for name, function in vars(theirs).items():
        if name[0] == "_" or isinstance(function, type) or not callable(function) or name in NOT_OURS:
            continue
        if getattr(function, "__module__", "").startswith("typing"):
            continue
        assert callable(getattr(mine, name)), name
        try:
            wanted = parameters(function)
            got = parameters(getattr(mine, name))
        except ValueError:  # a built-in function, which does not tell
            continue
        assert wanted is None or got == wanted, name
