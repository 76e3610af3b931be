"""Networks for deployment: batch norms become part of the layers before them, and a probe proves it.

In evaluation a batch norm is y = a x + c for each channel. After a convolution or linear layer W x + b it disappears
into the layer's own weight and bias: a W, and a b + c. (Scalers of the input do likewise: `fold_into`.)
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import minitorch_bn as torch
from minitorch_bn.nn import functional as F
from minitorch_bn.nn.conv import _ConvTransposeNd
from minitorch_bn.nn.linear import Identity, Linear
from minitorch_bn.nn.module import Module
from minitorch_bn.nn.norm import _BatchNorm
from minitorch_bn.nn.parameter import Parameter
from minitorch_bn.utils._pytree import tree_leaves

Tensor = torch.Tensor


@dataclass
class Proof:
    """What `fold` did: for each folded layer the largest difference on the probe, relative to the largest value."""

    folded: list[tuple[str, str, float]] = field(default_factory=list)  # layer, batch norm, difference
    kept: list[tuple[str, str]] = field(default_factory=list)  # batch norm, why it stayed
    difference: float = 0.0  # of the whole network's output

    def __str__(self) -> str:
        lines = [f"{layer} + {norm}: folded, largest difference {difference:.1e}"
                 for layer, norm, difference in self.folded]
        lines += [f"{norm}: kept, {reason}" for norm, reason in self.kept]
        return "\n".join([*lines, f"the whole network: largest difference {self.difference:.1e}"])


@dataclass
class _Call:
    """One call of a layer during the probe: its arguments and output, and the nodes of the graph they had then."""

    args: tuple
    kwargs: dict
    input: Tensor
    source: Any
    output: Any = None
    node: Any = None


def _is_conv(layer: Module) -> bool:
    return hasattr(layer, "kernel_size") and hasattr(layer, "groups") and hasattr(layer, "weight")


def _is_norm(layer: Module) -> bool:
    return isinstance(layer, _BatchNorm) or type(layer).__name__ == "FrozenBatchNorm2d"  # of vision, above us


def _axis(norm: Any) -> int:
    policy = getattr(norm, "_policy", None)
    return 1 if policy is None else policy.axis


def _traced(model: Module, probe: tuple) -> tuple[dict[Module, list[_Call]], dict[Any, int], set[Any]]:
    """The calls of each layer in evaluation; how many operations use each node's result; the nodes of the results."""
    from .parametrize import is_parametrized

    calls: dict[Module, list[_Call]] = {}

    def before(layer: Module, args: tuple, kwargs: dict) -> None:
        x = args[0] if args else kwargs["input"]
        calls[layer].append(_Call(args, kwargs, x, x.grad_fn))

    def after(layer: Module, args: tuple, output: Any) -> None:
        calls[layer][-1].output, calls[layer][-1].node = output, output.grad_fn

    for layer in model.modules():
        if _is_norm(layer) or isinstance(layer, Linear) or _is_conv(layer):
            calls[layer] = []
            if not is_parametrized(layer):
                layer.requires_grad_(True)
            layer.register_forward_pre_hook(before, with_kwargs=True)
            layer.register_forward_hook(after)
    with torch.enable_grad():
        result = [t for t in tree_leaves(model(*probe)) if isinstance(t, Tensor)]
    roots = {t.grad_fn for t in result if t.grad_fn is not None}
    uses: dict[Any, int] = {}
    waiting: list[Any] = list(roots)
    seen = set(waiting)
    while waiting:
        for node, _ in waiting.pop().next_functions:
            if node is not None:
                uses[node] = uses.get(node, 0) + 1
                if node not in seen:
                    seen.add(node)
                    waiting.append(node)
    return calls, uses, roots


def _scale_and_shift(norm: Any) -> tuple[Tensor, Tensor]:
    """a and c of a x + c, in float64."""
    a = (norm.running_var.double() + norm.eps).rsqrt()
    a = a if norm.weight is None else a * norm.weight.double()
    c = -norm.running_mean.double() * a
    return a, c if norm.bias is None else c + norm.bias.double()


@torch.no_grad()
def fold_norm(layer: Any, norm: Any) -> Any:
    """A copy of a convolution, transposed convolution or linear layer that includes the batch norm after it.

    With groups too; computed in float64 and rounded once. Both as in evaluation.
    """
    a, c = _scale_and_shift(norm)
    weight = layer.weight.double()
    if isinstance(layer, _ConvTransposeNd):  # (in, out / groups, *kernel)
        grouped = weight.reshape(layer.groups, -1, *weight.shape[1:])
        weight = (grouped * a.reshape([layer.groups, 1, -1] + [1] * (weight.dim() - 2))).reshape(weight.shape)
    else:
        weight = weight * a.reshape([-1] + [1] * (weight.dim() - 1))
    bias = c if layer.bias is None else c + a * layer.bias.double()
    made, like = copy.deepcopy(layer), layer.weight
    made.weight, made.bias = (Parameter(p.to(like.dtype).detach(), like.requires_grad) for p in (weight, bias))
    return made


def _why_not(layer: Any, norm: Any, calls: dict, uses: dict, roots: set, owners: dict[int, int]) -> str | None:
    """Why a batch norm must not be folded into the layer whose output it gets; None if it may."""
    from .parametrize import is_parametrized

    call, own = calls[layer][0], calls[norm][0]
    axis = _axis(norm) % own.input.dim()
    expected = own.input.dim() - 1 if isinstance(layer, Linear) else 1
    if len(calls[layer]) > 1 or len(calls[norm]) > 1:
        return f"it or the layer before it is called {max(len(calls[layer]), len(calls[norm]))} times"
    if own.source is not call.node:
        return "what it gets is the layer's output changed in place"
    if call.node not in uses and call.node not in roots:
        return "no path of gradients leads from the network's result to it"
    if call.node in roots or uses.get(call.node, 0) != 1:
        return "something else uses the layer's output too"
    if _is_conv(layer) and own.input.dim() != layer.weight.dim():
        return "the convolution's input has no batch axis"
    if axis != expected:
        return f"it normalizes axis {axis}, and the layer's output channels are axis {expected}"
    if is_parametrized(layer) or any(owners[id(p)] > 1 for p in layer.parameters()):
        return "the layer's weight is computed from others, or shared with another layer"
    if sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in (layer, norm)) > 4:  # two of each are ours
        return "there are hooks on it or on the layer before it"
    if own.kwargs.get("mask") is not None or len(own.args) > 1 + hasattr(norm, "act"):
        return "it was called with a mask"
    return None


def _relative(result: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    if expected.numel() == 0:
        return 0.0
    difference = (result.double() - expected.double()).abs().max().item()
    return difference / max(expected.double().abs().max().item(), 1e-300) if difference else 0.0


def fold(model: Module, probe: Any, rtol: float = 1e-5) -> tuple[Module, Proof]:
    """A copy of `model` for evaluation without the batch norms that can be made part of the layers before them.

    The network is run on the probe to see what follows what, whatever `forward` looks like. A batch norm stays where
    folding would be wrong; the proof tells why, and the difference that folding made to each layer.

    Args:
        probe: an input of the network, or a tuple of its arguments.
        rtol: the largest difference allowed, relative to the largest value, of each layer and of the whole.

    ValueError: the whole network differs by more, as when something looks at a folded layer's output unseen.
    """
    from minitorch_bn.nn.norms.act import Act

    probe = probe if isinstance(probe, tuple) else (probe,)
    folded, traced = copy.deepcopy(model).eval(), copy.deepcopy(model).eval()
    names = {module: name for name, module in traced.named_modules()}
    places = dict(folded.named_modules())
    owners: dict[int, int] = {}
    for module in traced.modules():
        for p in module._parameters.values():
            owners[id(p)] = owners.get(id(p), 0) + 1
    calls, uses, roots = _traced(traced, probe)
    made_by = {id(call.output): layer for layer, found in calls.items() for call in found
               if not _is_norm(layer)}
    proof = Proof()
    for norm, found in calls.items():
        if not _is_norm(norm):
            continue
        layer: Any = made_by.get(id(found[0].input)) if found else None
        reason = "the probe did not reach it" if not found else \
            "it has no running statistics" if norm.running_mean is None else \
            "what it gets is not the output of a convolution or linear layer" if layer is None else \
            _why_not(layer, norm, calls, uses, roots, owners)
        if reason is None:
            new = fold_norm(places[names[layer]], norm)
            with torch.no_grad():
                y = found[0].input.detach().movedim(_axis(norm), 1)
                y = F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
                call = calls[layer][0]
                difference = _relative(new(*call.args, **call.kwargs), y.movedim(1, _axis(norm)))
            if not difference <= rtol:
                reason = f"folding would change its output by {difference:.1e} of the largest value"
        if reason is not None:
            proof.kept.append((names[norm], reason))
            continue
        proof.folded.append((names[layer], names[norm], difference))
        own = places[names[layer]]
        own.weight, own.bias = new.weight, new.bias
        _replace(folded, names[norm], Act(norm.act) if hasattr(norm, "act") else Identity())
    with torch.no_grad():
        pairs = zip(tree_leaves(folded(*probe)), tree_leaves(copy.deepcopy(model).eval()(*probe)))
        proof.difference = max([_relative(a, b) for a, b in pairs if isinstance(a, Tensor) and a.is_floating_point()],
                               default=0.0)
    if not proof.difference <= rtol:
        raise ValueError(f"fold: the folded network differs by {proof.difference:.1e} of the largest value, more than "
                         f"rtol={rtol}:\n{proof}")
    return folded, proof


def _replace(model: Module, name: str, new: Module) -> None:
    path, _, last = name.rpartition(".")
    setattr(model.get_submodule(path), last, new)
