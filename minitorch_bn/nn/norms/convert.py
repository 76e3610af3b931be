"""From one normalization to another: in a whole network, and between the conventions of frameworks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import minitorch_bn as torch
from minitorch_bn.nn import norm as plain
from minitorch_bn.nn.linear import Identity
from minitorch_bn.nn.module import Module
from minitorch_bn.nn.norm import _BatchNorm

from .policy import Policy, set_policy

POLICIES = {"ghost", "renorm", "frozen"}
# The names of gamma, beta, mean and variance, and the defaults.
NAMES = {"torch": ("weight", "bias", "running_mean", "running_var"),
         "keras": ("gamma", "beta", "moving_mean", "moving_variance"), "flax": ("scale", "bias", "mean", "var")}
DEFAULTS = {"torch": {"eps": 1e-5, "momentum": 0.1}, "keras": {"eps": 1e-3, "momentum": 0.99},
            "flax": {"eps": 1e-5, "momentum": 0.99}}


def _group(layer: Any, groups: int) -> Module:
    """GroupNorm with as many groups as divide both."""
    groups = math.gcd(groups, layer.num_features)
    if isinstance(layer, plain.BatchNorm1d) and groups == layer.num_features:
        raise ValueError(f"of inputs (N, C), {groups} groups of {layer.num_features} channels have one value each, "
                         "and group norm would make all of them zero; choose fewer groups, or leave the layer out by "
                         "`when`")
    return plain.GroupNorm(groups, layer.num_features, layer.eps, layer.affine, bias=layer.bias is not None)


def _instance(layer: Any) -> Module:
    kinds = ((plain.BatchNorm2d, plain.InstanceNorm2d), (plain.BatchNorm3d, plain.InstanceNorm3d))
    for known, kind in kinds:
        if isinstance(layer, known):
            return kind(layer.num_features, layer.eps, affine=layer.affine, bias=layer.bias is not None)
    raise ValueError(f"a {type(layer).__name__} may get inputs (N, C), which have one value per sample and channel; "
                     "leave it out by `when`, or convert it to 'layer'")


def _made(layer: Any, to: str, options: dict[str, Any]) -> Module:
    from . import alternatives

    c = layer.num_features
    if to == "group":
        return _group(layer, **{"groups": 32, **options})
    if to == "layer":
        return _group(layer, 1)
    if to == "instance":
        return _instance(layer)
    if to == "sync":
        made = plain.SyncBatchNorm(c, layer.eps, layer.momentum, layer.affine, layer.track_running_stats,
                                   bias=layer.bias is not None)
        made._policy = layer._policy
        set_policy(made, **options)
        return made
    kind = {"frn": alternatives.FilterResponseNorm, "evonorm": alternatives.EvoNormS0,
            "switch": alternatives.SwitchNorm, "iter": alternatives.IterNorm}.get(to)
    if kind is None:
        raise ValueError(f"convert_norm: to={to!r} is not one of 'batch', {', '.join(map(repr, sorted(POLICIES)))}, "
                         "'sync', 'group', 'layer', 'instance', 'frn', 'evonorm', 'switch', 'iter', 'none'")
    return kind(c, affine=layer.affine, **options)


def _converted(layer: Any, to: str, options: dict[str, Any]) -> Module:
    if to == "none":
        return Identity()
    if to in POLICIES:
        options = {"frozen": True} if to == "frozen" else options
        if options.get(to) is None:
            raise ValueError(f"convert_norm: to={to!r} needs its argument, {to}=...")
        set_policy(layer, **options)
        return layer
    if to == "batch" and type(layer) is not plain.SyncBatchNorm:
        set_policy(layer, **{**vars(Policy()), "axis": 1 if layer._policy is None else layer._policy.axis})
        return layer
    if to == "batch":
        raise ValueError("convert_norm: a SyncBatchNorm does not know its number of axes")
    if layer._policy is not None and layer._policy.axis != 1:
        raise ValueError(f"convert_norm: only a batch norm has channels at axis {layer._policy.axis}")
    made = _made(layer, to, options)
    for own, values in (made._parameters, layer._parameters), (made._buffers, layer._buffers):
        own.update({name: value for name, value in values.items()
                    if own.get(name) is not None and value is not None and own[name].shape == value.shape})
    return made.train(layer.training)


def convert_norm(model: Module, to: str, when: Callable[[Any], bool] | None = None, **options: Any) -> Module:
    """`model`, changed in place: its batch norms become `to`, with the weights, biases and statistics they have.

    Args:
        to: "ghost", "renorm" or "frozen", a policy (with ghost=32, renorm=Renorm(...)); "batch", without policies;
            "sync" (virtual_workers=4); "group" (groups=32: as many as divide the channels), "layer", "instance", "frn",
            "evonorm", "switch", "iter", another layer; "none", no normalization.
        when: says of a batch norm whether it is converted; default: all are.
    """
    def change(module: Module) -> Module:
        if isinstance(module, _BatchNorm):
            return _converted(module, to, options) if when is None or when(module) else module
        for name, child in list(module.named_children()):
            new = change(child)
            if new is not child:
                setattr(module, name, new)
        return module

    return change(model)


def import_bn(framework: str, values: dict[str, Any], *, eps: float | None = None, momentum: float | None = None,
              axis: int | None = None, kind: type = plain.BatchNorm2d) -> Any:
    """A batch norm that does what one of another framework does, in evaluation and in further training.

    Keras and Flax write momentum as the weight of the *old* running value, so ours is 1 - momentum; they move the
    running variance towards the batch's biased one (`unbiased_running=False`); their channels are the last axis.

    Args:
        framework: "keras", "flax" or "torch"; it says what is meant by momentum, and the defaults.
        values: arrays under the framework's names (Keras: gamma, beta, moving_mean, moving_variance; Flax: scale, bias,
            mean, var); gamma and beta may be absent.
        axis: of the channels; default the framework's.
    """
    names, defaults, ours = NAMES[framework], DEFAULTS[framework], framework == "torch"
    unknown = set(values) - set(names) - {"num_batches_tracked"}
    if unknown:
        raise ValueError(f"import_bn: {framework} has {', '.join(names)}, got {', '.join(sorted(unknown))}")
    tensors = [None if name not in values else torch.as_tensor(values[name]).clone() for name in names]
    if tensors[2] is None or tensors[3] is None:
        raise ValueError(f"import_bn: {names[2]} and {names[3]} are needed")
    momentum = defaults["momentum"] if momentum is None else momentum
    made = kind(tensors[2].numel(), defaults["eps"] if eps is None else eps, momentum if ours else 1 - momentum,
                tensors[0] is not None or tensors[1] is not None, axis=(1 if ours else -1) if axis is None else axis,
                unbiased_running=ours, dtype=tensors[2].dtype)
    with torch.no_grad():
        for name, value in zip(NAMES["torch"], tensors):
            if value is not None:
                getattr(made, name).copy_(value)
    return made


def export_bn(framework: str, layer: Any) -> dict[str, Any]:
    """The arrays of a batch norm under a framework's names, and its "epsilon" and "momentum" as the framework means.

    The running variance is copied as it is, so evaluation is the same; one that PyTorch's convention made unbiased goes
    on from there as a biased one.
    """
    own = [getattr(layer, name) for name in NAMES["torch"]]
    found: dict[str, Any] = {name: value.detach().numpy() for name, value in zip(NAMES[framework], own)
                             if value is not None}
    found["eps" if framework == "torch" else "epsilon"] = layer.eps
    found["momentum"] = layer.momentum if framework == "torch" or layer.momentum is None else 1 - layer.momentum
    return found
