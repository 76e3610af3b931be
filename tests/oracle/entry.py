"""One operator of PyTorch's database, run on both libraries: values, forms, gradients of two orders, errors."""
from __future__ import annotations

import random
import zlib
from typing import Any

import torch
from torch.testing._internal import common_methods_invocations as database

import minitorch_bn as ours

from .bridge import DTYPES as DTYPE_OF
from .bridge import NotOurs, lookup, rebound, to_ours, to_torch
from .cases import TIES, TOLERANCES, UNINITIALIZED
from .compare import Mismatch, Skip, brief, compare, fresh, shares, tensors_in, without_indices

DTYPES = {"f32": torch.float32, "f64": torch.float64, "i64": torch.int64, "bool": torch.bool}
FAR = 300  # no more samples than this are made, to choose from


def name_of(op: Any) -> str:
    return op.name + (f"/{op.variant_test_name}" if op.variant_test_name else "")


ENTRIES = {name_of(op): op for op in database.op_db}
# The database seeds random operations with a constant, which would hide that they are random.
database.wrapper_set_seed = lambda function, *args, **kwargs: function(*args, **kwargs)


class Entry:
    """One entry of the database for one dtype."""

    def __init__(self, name: str, dtype: str, count: int) -> None:
        self.name, self.op, self.count = name, ENTRIES[name], count
        self.dtype = DTYPES[dtype]
        self.tolerance = TOLERANCES.get(name, (1e-5, 1e-9))
        self.outcome: dict[str, str] = {}

    def samples(self, grad: bool) -> list[Any]:
        """Up to `count` samples, spread evenly over the first of those that the database makes."""
        seed = zlib.crc32(f"{self.name} {self.dtype}".encode())
        torch.manual_seed(seed)
        random.seed(seed)
        made = []
        for sample in self.op.sample_inputs("cpu", self.dtype, requires_grad=grad):
            made.append(sample)
            if len(made) == min(FAR, 10 * self.count):
                break
        step = max(1, len(made) / self.count)
        return [made[int(i * step)] for i in range(min(len(made), self.count))]

    def differentiable(self) -> bool:
        return self.op.supports_autograd and self.dtype in (
            self.op.supported_backward_dtypes("cpu") if hasattr(self.op, "supported_backward_dtypes")
            else self.op.backward_dtypes) and self.dtype.is_floating_point

    def run(self) -> dict[str, str]:
        """aspect -> "pass" or the first reason of failure."""
        grad = self.differentiable()
        try:
            samples = self.samples(grad)
            plain_samples = self.samples(False) if grad and self.op.supports_out else samples
        except Exception as error:
            return {"forward": f"skipped: no samples ({error})"[:200]}
        function, absent = self.ours(self.op.op, self.op.name)
        checks: list[tuple[str, Any]] = [("forward", self.forward)]
        if self.op.method_variant is not None:
            checks.append(("method", self.method))
        if self.op.inplace_variant is not None:
            checks.append(("inplace", self.inplace))
        if self.op.supports_out and not self.name.startswith("nn."):  # there it is not documented
            checks.append(("out", self.out))
        if self.op.aliases:
            checks.append(("aliases", self.aliases))
        if grad:
            checks.append(("grad", self.grad))
        for aspect, check in checks:
            if absent and aspect != "method" and aspect != "inplace":
                self.outcome[aspect] = absent
                continue
            for sample in samples if aspect != "out" else plain_samples:
                if self.outcome.get(aspect, "pass") != "pass":
                    break
                try:
                    check(function, sample)
                    self.outcome[aspect] = "pass"
                except (Skip, NotOurs):
                    continue
                except Mismatch as error:
                    self.outcome[aspect] = f"{error} | {self.shown(sample)}"
                except Exception as error:
                    self.outcome[aspect] = f"{type(error).__name__}: {error} | {self.shown(sample)}"
        return self.outcome

    def shown(self, sample: Any) -> str:
        return f"{brief(sample.input)}; {brief(sample.args)}; {brief(sample.kwargs)}"[:400]

    def ours(self, function: Any, name: str) -> tuple[Any, str]:
        """Our function for one of PyTorch's; and why there is none."""
        module = getattr(function, "__module__", None) or ""
        name = name.removeprefix("torch.")
        try:
            if module.startswith("torch.testing") or name.startswith("__") or not hasattr(torch, name.split(".")[0]):
                return rebound(function), ""
            return lookup(name), ""
        except AttributeError as error:
            return None, f"absent: {error}"

    def call_torch(self, function: Any, sample: Any, wrapped: bool = False) -> tuple[Any, list[torch.Tensor]]:
        arguments = fresh(sample.input), fresh(sample.args), fresh(sample.kwargs)
        try:
            if wrapped:
                result = self.op.gradcheck_wrapper(function, arguments[0], *arguments[1], **arguments[2])
            else:
                result = function(arguments[0], *arguments[1], **arguments[2])
        except Exception as error:
            raise Skip(f"PyTorch: {error}") from None
        if any(t.dtype.is_complex or t.layout is not torch.strided for t in tensors_in(result)):
            raise Skip("complex or sparse result")
        return result, tensors_in(arguments)

    def call_ours(self, function: Any, sample: Any, wrapped: bool = False) -> tuple[Any, list[Any]]:
        arguments = to_ours(sample.input), to_ours(sample.args), to_ours(sample.kwargs)
        if wrapped:
            wrapper = rebound(self.op.gradcheck_wrapper)
            return wrapper(function, arguments[0], *arguments[1], **arguments[2]), tensors_in(arguments)
        return function(arguments[0], *arguments[1], **arguments[2]), tensors_in(arguments)

    def check(self, torch_function: Any, our_function: Any, sample: Any) -> None:
        torch.manual_seed(1)
        expected, inputs = self.call_torch(torch_function, sample)
        found, our_inputs = self.call_ours(our_function, sample)
        self.agree(expected, found, sample, torch_function)
        for a, b in zip(tensors_in(expected), tensors_in(found)):
            if a.numel() and self.op.name not in UNINITIALIZED and shares(a, inputs) != shares(b, our_inputs):
                raise Mismatch("a view of the input expected" if shares(a, inputs) else "is a view of the input")

    def agree(self, expected: Any, found: Any, sample: Any, torch_function: Any = None) -> None:
        """Compares values; but not random ones, and of ties the values only; where signs are free, what is not."""
        plain = self.op.name in UNINITIALIZED
        try:
            compare(expected, found, self.tolerance, "result", not plain)
        except Mismatch:
            if self.op.name in TIES and not self.dtype.is_floating_point and not sample.kwargs.get("stable"):
                compare(*map(without_indices, (expected, found)), self.tolerance, "result")
                return
            if torch_function is not None and self.random(torch_function, sample, expected):
                compare(expected, found, self.tolerance, "result", False)
                return
            process = sample.output_process_fn_grad
            if process is None:
                raise
            try:
                one, other = process(expected), rebound(process)(found)
            except Exception:
                raise Mismatch("cannot process the output") from None
            compare(one, other, self.tolerance, "result", not plain)

    def random(self, function: Any, sample: Any, expected: Any) -> bool:
        """Whether PyTorch's result depends on the seed. (A few numbers may be the same for two seeds.)"""
        for seed in range(2, 10):
            torch.manual_seed(seed)
            again, _ = self.call_torch(function, sample)
            if any(not torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(tensors_in(expected),
                                                                                  tensors_in(again))):
                return True
        return False

    def forward(self, function: Any, sample: Any) -> None:
        self.check(self.op.op, function, sample)

    def method(self, _: Any, sample: Any) -> None:
        function, absent = self.ours_variant(self.op.method_variant)
        if absent:
            to_ours((sample.input, sample.args, sample.kwargs))
            raise Mismatch(absent)
        self.check(self.op.method_variant, function, sample)

    def ours_variant(self, variant: Any) -> tuple[Any, str]:
        try:
            return rebound(variant), ""
        except AttributeError as error:
            return None, f"absent: {error}"

    def inplace(self, _: Any, sample: Any) -> None:
        if sample.broadcasts_input:
            raise Skip("broadcasts the input")
        function, absent = self.ours_variant(self.op.inplace_variant)
        if absent:
            to_ours((sample.input, sample.args, sample.kwargs))
            raise Mismatch(absent)

        def one(f: Any) -> Any:
            def called(input: Any, *args: Any, **kwargs: Any) -> Any:
                if not hasattr(input, "clone"):
                    raise Skip("no tensor to change")
                with_history = input.clone()
                result = f(with_history, *args, **kwargs)
                return result, with_history
            return called
        self.check(one(self.op.inplace_variant), one(function), sample)
        if self.differentiable() and self.op.supports_inplace_autograd and self.op.name not in UNINITIALIZED:
            results, inputs = self.call_torch(one(self.op.inplace_variant), sample)
            found, our_inputs = self.call_ours(one(function), sample)
            wanted = [(a, b) for a, b in zip(inputs, our_inputs) if a.requires_grad]
            if wanted and results[0].requires_grad and not self.random(one(self.op.inplace_variant), sample, results):
                self.derivatives([(results[0], found[0])], wanted, "in-place grad", 5)

    def out(self, function: Any, sample: Any) -> None:
        """The result written into tensors that are given, of the right shape and in the memory they have."""
        expected, _ = self.call_torch(self.op.op, sample)
        arguments = to_ours((sample.input, sample.args, sample.kwargs))
        targets = tuple(ours.empty(tuple(t.shape), dtype=DTYPE_OF[t.dtype]) for t in tensors_in(expected))
        flat = isinstance(expected, torch.Tensor) or isinstance(expected, (list, tuple)) and all(
            isinstance(t, torch.Tensor) for t in expected)
        if not targets or not flat or "out" in sample.kwargs or "as_tuple" in sample.kwargs:
            raise Skip("nothing to write to")
        places = [t.data_ptr() for t in targets]
        with ours.no_grad():
            function(arguments[0], *arguments[1], **arguments[2],
                     out=targets[0] if isinstance(expected, torch.Tensor) else targets)
        if [t.data_ptr() for t in targets if t.numel()] != [p for t, p in zip(targets, places) if t.numel()]:
            raise Mismatch("out: has other memory now")
        if not self.random(self.op.op, sample, expected):
            if isinstance(expected, torch.Tensor):
                self.agree(expected, targets[0], sample)
            else:
                self.agree(tuple(expected), targets, sample)

    def aliases(self, _: Any, sample: Any) -> None:
        """Other names of the operator: function, method, in-place method."""
        for alias in self.op.aliases:
            function, absent = self.ours(alias.op, alias.name)
            if absent:
                raise Mismatch(absent)
            for variant in (alias.method_variant, alias.inplace_variant):
                if variant is not None and self.ours_variant(variant)[1]:
                    raise Mismatch(self.ours_variant(variant)[1])
            self.check(alias.op, function, sample)

    def grad(self, function: Any, sample: Any) -> None:
        """First and second gradients; the second's outcome is kept apart."""
        torch.manual_seed(1)
        plain, _ = self.call_torch(self.op.op, sample)
        results, inputs = self.call_torch(self.op.op, sample, wrapped=True)
        found, our_inputs = self.call_ours(function, sample, wrapped=True)
        try:
            results, found = sample.output_process_fn_grad(results), rebound(sample.output_process_fn_grad)(found)
        except Exception as error:
            raise Skip(f"PyTorch: {error}") from None
        expected_outputs, our_outputs = tensors_in(results), tensors_in(found)
        if len(expected_outputs) != len(our_outputs):
            raise Mismatch("another number of outputs")
        pairs = [(a, b) for a, b in zip(expected_outputs, our_outputs)
                 if a.requires_grad and a.is_floating_point()]
        wanted = [(a, b) for a, b in zip(inputs, our_inputs) if a.requires_grad]
        if not pairs or not wanted:
            raise Skip("nothing to differentiate")
        if self.op.name in UNINITIALIZED or self.random(self.op.op, sample, plain):
            raise Skip("random or uninitialized")
        if not all(b.requires_grad for _, b in pairs):
            raise Mismatch("grad: the result has no gradient")
        first, cotangents = self.derivatives(pairs, wanted, "grad", 5)
        if self.op.supports_gradgrad and self.outcome.get("gradgrad", "pass") == "pass":
            again = [(a, b) for a, b in first if a is not None and a.requires_grad]
            if again:
                try:
                    if not all(b.requires_grad for _, b in again):
                        zero = [a for (a, b) in again if not b.requires_grad]
                        if any(self.depends(a, wanted) for a in zero):
                            raise Mismatch("the gradient has no gradient")
                        again = [(a, b) for a, b in again if b.requires_grad]
                    if again:
                        self.derivatives(again, wanted + cotangents, "gradgrad", 50)
                    self.outcome["gradgrad"] = "pass"
                except Skip:
                    pass
                except Mismatch as error:
                    self.outcome["gradgrad"] = f"{error} | {self.shown(sample)}"
                except Exception as error:
                    self.outcome["gradgrad"] = f"{type(error).__name__}: {error} | {self.shown(sample)}"

    @staticmethod
    def depends(a: torch.Tensor, wanted: list[tuple[Any, Any]]) -> bool:
        """Whether some derivative of a is not zero."""
        gradients = torch.autograd.grad(a, [x for x, _ in wanted], torch.ones_like(a), allow_unused=True,
                                        retain_graph=True)
        return any(g is not None and g.count_nonzero() for g in gradients)

    def derivatives(self, pairs: list[Any], wanted: list[Any], what: str, slack: float) -> tuple[list[Any], list[Any]]:
        """The gradients of both libraries for the same random cotangents, compared."""
        generator = torch.Generator().manual_seed(7)
        cotangents = [torch.randn(a.shape, generator=generator, dtype=torch.float64).to(a.dtype).requires_grad_()
                      for a, _ in pairs]
        our_cotangents = [to_ours(c) for c in cotangents]
        try:
            expected = torch.autograd.grad([a for a, _ in pairs], [a for a, _ in wanted], cotangents, allow_unused=True,
                                           create_graph=True)
        except Exception as error:
            raise Skip(f"PyTorch: {error}") from None
        found = ours.autograd.grad([b for _, b in pairs], [b for _, b in wanted], our_cotangents,
                                   allow_unused=True, create_graph=True)
        both = []
        for i, (a, b) in enumerate(zip(expected, found)):
            if a is None or b is None:
                for other in (a, b):  # an absent gradient is as good as zeros
                    if other is not None and to_torch(other.detach()).count_nonzero():
                        raise Mismatch(f"{what}[{i}]: {'no gradient' if a is None else 'a gradient'} expected")
                continue
            compare(a, b, (self.tolerance[0] * slack, self.tolerance[1] * slack), f"{what}[{i}]")
            both.append((a, b))
        return both, list(zip(cotangents, our_cotangents))


def errors(name: str) -> dict[str, str]:
    """Whether bad input raises; and with the class, which is noted only."""
    op = ENTRIES[name]
    if op.error_inputs_func is None:
        return {}
    entry = Entry(name, "f32", 1)
    function, absent = entry.ours(op.op, op.name)
    outcome: dict[str, str] = {}
    other = []
    try:
        cases = list(op.error_inputs("cpu"))
    except Exception:
        return {}
    for case in cases:
        sample = case.sample_input
        try:
            fresh_arguments = fresh(sample.input), fresh(sample.args), fresh(sample.kwargs)
            arguments = to_ours(sample.input), to_ours(sample.args), to_ours(sample.kwargs)
        except NotOurs:
            continue
        except RuntimeError:  # more dims than we have: an error, too
            outcome.setdefault("errors", "pass")
            continue
        try:
            op.op(fresh_arguments[0], *fresh_arguments[1], **fresh_arguments[2])
            continue  # PyTorch accepts it
        except Exception as error:
            expected = error
        if absent:
            return {"errors": absent}
        try:
            function(arguments[0], *arguments[1], **arguments[2])
        except Exception as error:
            if type(error).__name__ != type(expected).__name__:
                other.append(f"{type(expected).__name__} expected, found {type(error).__name__}: {str(error)[:80]} | "
                             f"{entry.shown(sample)}")
            outcome.setdefault("errors", "pass")
            continue
        outcome["errors"] = (f"no error; PyTorch: {type(expected).__name__}: {str(expected)[:150]} | "
                             f"{entry.shown(sample)}")
        break
    if other:
        outcome["classes"] = other[0]
    return outcome
