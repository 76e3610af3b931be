"""Every module of PyTorch's own module table, built on both sides from the same arguments and weights and compared.

Run `python -m tests.oracle.modules [--only Conv] [--dtype float32]`: one line per module that differs, then totals.
"""

from __future__ import annotations

import argparse
import copy
import pickle
import random
import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.testing._internal.common_modules import FunctionInput, ModuleErrorEnum, ModuleInput, module_db

import minitorch_bn as ours
from minitorch_bn.nn.utils import rnn as our_rnn

from .module_cases import EXTRA

TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-4, torch.float16: 1e-2, torch.bfloat16: 6e-2}
# Reasons why a check of a module is not made. Everything else has to agree.
EXPECTED: dict[tuple[str, str], str] = {
    ("CrossMapLRN2d", "forward"): "PyTorch never lets channel 0 leave the window",
    ("Hardsigmoid", "gradient"): "PyTorch's 1/6 in the gradient is a float32 number, also for float64",
}


class Case(NamedTuple):
    """One way to build and call one module."""

    name: str
    build: FunctionInput
    call: FunctionInput
    dtype: torch.dtype | None = None  # convert the module to it
    error: Any = None  # an ErrorModuleInput


# -- carrying values over --------------------------------------------------------------------------------------------


def carried(value: Any) -> Any:
    """The same value for our side: tensors, dtypes, modules, functions and containers of them."""
    if isinstance(value, torch.nn.utils.rnn.PackedSequence):
        return our_rnn.PackedSequence(*(carried(part) for part in value))
    if isinstance(value, torch.Tensor):
        exact = value.detach().float() if value.dtype in (torch.bfloat16, torch.float16) else value.detach()
        result = ours.from_numpy(exact.numpy().copy()).to(carried(value.dtype))
        return result.requires_grad_(value.requires_grad)
    if isinstance(value, torch.dtype):
        return getattr(ours, str(value).removeprefix("torch."))
    if isinstance(value, torch.nn.TransformerEncoderLayer):
        attention = value.self_attn
        return ours.nn.TransformerEncoderLayer(
            attention.embed_dim, attention.num_heads, value.linear1.out_features, value.dropout.p,
            carried(value.activation), value.norm1.eps, attention.batch_first, value.norm_first,
            value.linear1.bias is not None, dtype=carried(value.linear1.weight.dtype))
    if isinstance(value, torch.nn.Module):
        return getattr(ours.nn, type(value).__name__)()
    if type(value).__name__ == "LinearCrossEntropyOptions":
        return ours.nn.LinearCrossEntropyOptions(**{name: carried(getattr(value, name)) for name in value.__slots__})
    if isinstance(value, dict):
        return {key: carried(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(carried(item) for item in value)
    if callable(value):
        return getattr(ours.nn.functional, getattr(value, "__name__", ""), value)
    return value


def flat(value: Any) -> list[Any]:
    """The tensors in any nesting of tuples, lists and dicts, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in flat(item)]
    return [value] if isinstance(value, (torch.Tensor, ours.Tensor)) else []


def array(tensor: Any) -> np.ndarray:
    tensor = tensor.detach()
    if isinstance(tensor, torch.Tensor) and tensor._is_zerotensor():
        return np.zeros(tuple(tensor.shape))
    return (tensor.double() if tensor.is_floating_point() else tensor).numpy()


def apart(theirs: Any, mine: Any, dtype: torch.dtype, ignore_nan: bool = False) -> str:
    """What distinguishes two lists of tensors; '' if nothing beyond rounding."""
    if len(theirs) != len(mine):
        return f"{len(mine)} tensors instead of {len(theirs)}"
    for i, (a, b) in enumerate(zip(theirs, mine)):
        if a is None or b is None:
            known = a if b is None else b
            if known is not None and np.any(array(known)):
                return f"tensor {i}: {'no gradient' if b is None else 'a gradient where PyTorch has none'}"
            continue
        if tuple(a.shape) != tuple(b.shape):
            return f"tensor {i}: shape {tuple(b.shape)} instead of {tuple(a.shape)}"
        if str(a.dtype).split(".")[-1] != str(b.dtype).split(".")[-1]:
            return f"tensor {i}: {b.dtype} instead of {a.dtype}"
        x, y = array(a), array(b)
        if ignore_nan:
            y = np.where(np.isnan(x), x, y)
        scale = max(1.0, float(np.abs(x[np.isfinite(x)]).max(initial=0))) if x.size else 1.0
        if not np.allclose(x, y, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * scale, equal_nan=True):
            return f"tensor {i}: differs by {np.nanmax(np.abs(x.astype(float) - y)):.3g} (values to {scale:.3g})"
    return ""


# -- one case --------------------------------------------------------------------------------------------------------


def attributes(module: Any) -> dict[str, Any]:
    """The public options that a module keeps: what scripts read, e.g. `conv.stride`."""
    plain = (int, float, str, bool, type(None), tuple, list)
    return {name: value for name, value in vars(module).items()
            if not name.startswith("_") and isinstance(value, plain)
            and not any(isinstance(item, torch.Tensor) for item in (value if isinstance(value, tuple) else ()))}


def make(package: Any, case: Case, training: bool) -> Any:
    convert = carried if package is ours else lambda value: value
    cls = getattr(package.nn, case.name)
    module = cls(*convert(case.build.args), **convert(case.build.kwargs)).train(training)
    return module if case.dtype is None else module.to(convert(case.dtype))


def call(package: Any, module: Any, case: Case) -> tuple[Any, list[Any], Any]:
    """The output, the inputs that want a gradient, and all inputs."""
    if package is ours:
        args, kwargs = carried(tuple(case.call.args)), carried(case.call.kwargs)
    else:
        args, kwargs = _fresh(tuple(case.call.args)), _fresh(case.call.kwargs)
    leaves = [tensor for tensor in flat((args, kwargs)) if tensor.requires_grad]
    inputs = args
    if getattr(module, "inplace", False):
        args = tuple(arg.clone() if isinstance(arg, (torch.Tensor, ours.Tensor)) else arg for arg in args)
    return module(*args, **kwargs), leaves, inputs


def _fresh(value: Any) -> Any:
    """A copy whose tensors are leaves."""
    if isinstance(value, torch.nn.utils.rnn.PackedSequence):
        return type(value)(*(_fresh(part) for part in value))
    if isinstance(value, torch.Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, dict):
        return {key: _fresh(item) for key, item in value.items()}
    return type(value)(_fresh(item) for item in value) if isinstance(value, (tuple, list)) else value


def gradients(package: Any, output: Any, leaves: list[Any], second: bool) -> list[list[Any]]:
    """First gradients of the outputs in fixed random directions, and second ones of those."""
    outputs = [tensor for tensor in flat(output) if tensor.requires_grad]
    if not outputs or not leaves:
        return []
    generator = np.random.default_rng(0)

    def direction(like: Any, wanted: bool = False) -> Any:
        values = torch.from_numpy(np.asarray(generator.standard_normal(tuple(like.shape))))
        values = values.to(getattr(torch, str(like.dtype).split(".")[-1]))
        return (values if package is torch else carried(values)).requires_grad_(wanted)

    cotangents = [direction(tensor, second) for tensor in outputs]
    first = package.autograd.grad(outputs, leaves, cotangents, create_graph=second, allow_unused=True)
    found = [list(first)]
    if second:
        differentiable = [g for g in first if g is not None and g.requires_grad]
        if differentiable:
            directions = [direction(g) for g in differentiable]
            try:
                found.append(list(package.autograd.grad(
                    differentiable, leaves + cotangents, directions, allow_unused=True)))
            except (RuntimeError, NotImplementedError) as error:
                if package is ours or "not implemented" not in str(error):
                    raise  # PyTorch lacks some second derivatives
    return found


def copied_weights(theirs: Any, mine: Any) -> None:
    mine.load_state_dict({name: carried(value) for name, value in theirs.state_dict().items()})


def compare(case: Case, dtype: torch.dtype, training: bool, second: bool, lazy: bool) -> Iterator[tuple[str, str]]:
    """(check, what differs) for all that differs."""
    theirs, mine = make(torch, case, training), make(ours, case, training)
    if repr(theirs) != repr(mine):
        yield "repr", f"{mine!r} instead of {theirs!r}"
    if lazy:
        pickle.loads(pickle.dumps(mine))
        call(torch, theirs, case), call(ours, mine, case)
        if type(theirs).__name__ != type(mine).__name__ or repr(theirs) != repr(mine):
            yield "repr", f"{mine!r} instead of {theirs!r}"
    if list(theirs.state_dict()) != list(mine.state_dict()):
        yield "keys", f"{list(mine.state_dict())} instead of {list(theirs.state_dict())}"
        return
    wanted, found = attributes(theirs), vars(mine)
    for name, value in wanted.items():
        if name not in found and not hasattr(mine, name):
            yield "attributes", f"no attribute {name} ({value!r})"
        elif getattr(mine, name) != value:
            yield "attributes", f"{name} = {getattr(mine, name)!r} instead of {value!r}"
    copied_weights(theirs, mine)
    for twin in (copy.deepcopy(mine), pickle.loads(pickle.dumps(mine))):
        same = all(np.array_equal(array(a), array(b), equal_nan=True) and str(a.dtype) == str(b.dtype)
                   for a, b in zip(mine.state_dict().values(), twin.state_dict().values()))
        if repr(twin) != repr(mine) or list(twin.state_dict()) != list(mine.state_dict()) or not same:
            yield "copies", "a copy or a pickle differs"
        if [p.requires_grad for p in mine.parameters()] != [p.requires_grad for p in twin.parameters()]:
            yield "copies", "requires_grad is lost"
    torch.manual_seed(0)
    their_output, their_leaves, _ = call(torch, theirs, case)
    my_output, my_leaves, _ = call(ours, mine, case)
    difference = apart(flat(their_output), flat(my_output), dtype)
    if difference:
        yield "forward", difference
        return
    if type(their_output).__name__ != type(my_output).__name__:
        yield "forward", f"{type(my_output)} instead of {type(their_output)}"
    difference = apart(list(theirs.state_dict().values()), list(mine.state_dict().values()), dtype)
    if difference:
        yield "state", f"after forward: {difference}"
    their_leaves += list(theirs.parameters())
    my_leaves += list(mine.parameters())
    reference = gradients(torch, their_output, their_leaves, second)
    result = gradients(ours, my_output, my_leaves, second)
    for kind, a, b in zip(("gradient", "second gradient"), reference, result):
        difference = apart(a, b, dtype, ignore_nan=kind == "second gradient")
        if difference:
            yield kind, difference
    if len(reference) > len(result):
        yield "second gradient", f"{len(result)} orders instead of {len(reference)}"


def refuses(case: Case, training: bool) -> str:
    """'' if our side raises the error that PyTorch raises, of its class and with the message that its table lists."""
    wanted, got = (_error(package, case, training) for package in (torch, ours))
    if wanted is None:  # an error in training only
        return ""
    if got is None:
        return f"accepted instead of {wanted!r}"
    if not isinstance(got, type(wanted)):
        return f"{got!r} instead of {wanted!r}"
    if re.search(case.error.error_regex, str(wanted)) and not re.search(case.error.error_regex, str(got)):
        return f"message {str(got)!r} instead of {case.error.error_regex!r}"
    return ""


def _error(package: Any, case: Case, training: bool) -> Exception | None:
    try:
        module = make(package, case, training)
        if case.error.error_on != ModuleErrorEnum.CONSTRUCTION_ERROR:
            call(package, module, case)
    except Exception as error:
        return error
    return None


# -- the whole table -------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """One module of the table, with how many of its cases there are and what differs."""

    name: str
    dtype: torch.dtype
    training: bool
    cases: int
    problems: list[str]
    known: set[tuple[str, str]]  # which of the EXPECTED differences there were


def _cases(info: Any, dtype: torch.dtype, training: bool) -> list[Case]:
    name = info.module_cls.__name__
    options = {"device": "cpu", "dtype": dtype, "requires_grad": True, "training": training}
    cases = [Case(name, sample.constructor_input, sample.forward_input, dtype)
             for sample in info.module_inputs_func(info, **options)]
    for wrong in info.module_error_inputs_func(info, **options) if info.module_error_inputs_func else ():
        sample = wrong.module_error_input
        cases.append(Case(name, sample.constructor_input, sample.forward_input, None, wrong))
    return cases


def _extra_cases(name: str, dtype: torch.dtype) -> list[Case]:
    return [Case(name, sample.constructor_input, sample.forward_input, dtype)
            for sample in EXTRA[name](dtype) if isinstance(sample, ModuleInput)]


def tables() -> dict[str, Any]:
    """Name to module info; None for modules that PyTorch's table leaves out and `module_cases.py` adds."""
    return {**{info.module_cls.__name__: info for info in module_db}, **dict.fromkeys(EXTRA)}


def check(name: str, info: Any, dtype: torch.dtype, training: bool, limit: int | None = None) -> Entry:
    """Compare all cases of one module (or the first `limit` of those that are no errors)."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    problems: list[str] = []
    known: set[tuple[str, str]] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = _extra_cases(name, dtype) if info is None else _cases(info, dtype, training)
        if limit is not None:
            cases = [case for case in cases if case.error is None][:limit] + [case for case in cases if case.error]
        for i, case in enumerate(cases):
            try:
                if case.error is not None:
                    problem = refuses(case, training)
                    found = [("error", problem)] if problem else []
                else:
                    second = name not in NO_SECOND and (info is None or info.supports_gradgrad)
                    found = list(compare(case, dtype, training, second, getattr(info, "is_lazy", False)))
            except Exception as error:
                frame = traceback.extract_tb(error.__traceback__)[-1]
                found = [("raises", f"{type(error).__name__}: {str(error)[:300]} ({frame.filename.split('/')[-1]}:"
                                    f"{frame.lineno})")]
            known |= {(name, check) for check, _ in found if (name, check) in EXPECTED}
            problems += [f"case {i} {_short(case.build)}: {check}: {what}" for check, what in found
                         if (name, check) not in EXPECTED]
    return Entry(name, dtype, training, len(cases), problems, known)


NO_SECOND = {"CrossMapLRN2d", "LinearCrossEntropyLoss"}  # PyTorch has no second gradient, or only of some cases


def _short(arguments: FunctionInput) -> str:
    text = ", ".join([*map(repr, arguments.args), *(f"{k}={v!r}" for k, v in arguments.kwargs.items())])
    return f"({' '.join(text.split())[:70]})"


def supported(info: Any, dtype: torch.dtype) -> bool:
    return info is None or dtype in info.supported_dtypes("cpu")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="regular expression that the name has to contain")
    parser.add_argument("--dtype", default="", help="one dtype instead of float64 and float32")
    parser.add_argument("--all-lines", action="store_true", help="every difference, not the first three per module")
    options = parser.parse_args()
    dtypes = [getattr(torch, options.dtype)] if options.dtype else [torch.float64, torch.float32]
    entries = []
    for name, info in tables().items():
        if re.search(options.only, name):
            for dtype in dtypes:
                for training in (True, False):
                    if supported(info, dtype):
                        entry = check(name, info, dtype, training)
                        entries.append(entry)
                        if entry.problems:
                            print(f"{name} {str(dtype)[6:]} {'train' if training else 'eval'}:")
                            shown = entry.problems[:None if options.all_lines else 3]
                            print("".join(f"    {problem[:600]}\n" for problem in shown), flush=True)
    names = {entry.name for entry in entries}
    bad = {entry.name for entry in entries if entry.problems}
    cases, failed = sum(e.cases for e in entries), sum(len({p.split(":")[0] for p in e.problems}) for e in entries)
    print(f"{len(names) - len(bad)} of {len(names)} modules agree; {cases - failed} of {cases} cases")
    print("differ:", ", ".join(sorted(bad)) or "none")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
