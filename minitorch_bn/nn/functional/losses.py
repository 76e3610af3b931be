"""Losses: a value per element, then its mean ('mean', the default), its sum ('sum') or itself ('none')."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import minitorch_bn as torch
from minitorch_bn import ops
from minitorch_bn._core import named

from .distances import pairwise_distance

Tensor = torch.Tensor


def _reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction, taking account of the two flags that it replaced."""
    if size_average is None and reduce is None:
        return reduction
    size_average, reduce = size_average is not False, reduce is not False
    reduction = "none" if not reduce else "mean" if size_average else "sum"
    warnings.warn("size_average and reduce args will be deprecated, please use "
                  f"reduction='{reduction}' instead.", stacklevel=3)
    return reduction


def _reduced(loss: Tensor, reduction: str) -> Tensor:
    if _checked(reduction) == "none":
        return loss
    node = loss.grad_fn
    result = loss.mean() if reduction == "mean" else loss.sum()
    return result if node is None or node.name() not in _FUSED else named(result, node.name())


# Losses that PyTorch computes in one operation, by whose name a printed loss goes.
_FUSED = {f"{name}Backward0" for name in ("BinaryCrossEntropy", "BinaryCrossEntropyWithLogits", "HuberLoss", "MseLoss",
                                          "SmoothL1Loss", "SoftMarginLoss")}


def _checked(reduction: str) -> str:
    """`reduction`, if it is one of the three."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def _warn_if_sizes_differ(input: Tensor, target: Tensor) -> None:
    if target.shape != input.shape:
        warnings.warn(f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). "
                      "This will likely lead to incorrect results due to broadcasting. "
                      "Please ensure they have the same size.", stacklevel=3)


def _weighted(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """The reduction of weight * loss, where 'mean' divides by the sum of the weights."""
    if weight is None:
        return _reduced(loss, reduction)
    if weight.shape != loss.shape:
        raise ValueError("Inputs and weights must have the same size.")
    if reduction == "mean":
        return (loss * weight).sum() / weight.sum()
    return _reduced(loss * weight, reduction)


# -- regression ------------------------------------------------------------------------------------------------------


def mse_loss(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
             reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """(x - y)**2"""
    if not (input.is_floating_point() or target.is_floating_point()):
        raise NotImplementedError(f"\"mse_loss\" not implemented for {input.dtype}: convert both to a float dtype")
    _warn_if_sizes_differ(input, target)
    return _weighted(ops._mse(input, target), weight, _reduction(size_average, reduce, reduction))


def l1_loss(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
            reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """|x - y|"""
    _warn_if_sizes_differ(input, target)
    return _weighted(ops._l1(input, target), weight, _reduction(size_average, reduce, reduction))


def smooth_l1_loss(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
                   reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """(x - y)**2 / (2 beta) where |x - y| < beta, |x - y| - beta / 2 elsewhere (Girshick 2015)"""
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    _warn_if_sizes_differ(input, target)
    loss = ops._l1(input, target) if beta == 0 else ops._smooth_l1(input, target, beta=beta)
    return _reduced(loss, _reduction(size_average, reduce, reduction))


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0,
               weight: Tensor | None = None) -> Tensor:
    """(x - y)**2 / 2 where |x - y| <= delta, delta * (|x - y| - delta / 2) elsewhere (Huber 1964)"""
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    _warn_if_sizes_differ(input, target)
    return _weighted(ops._huber(input, target, delta=delta), weight, reduction)


def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool = True, full: bool = False,
                     size_average: bool | None = None, eps: float = 1e-8, reduce: bool | None = None,
                     reduction: str = "mean") -> Tensor:
    """-log of the Poisson probability of y at rate e^x (or x); with `full`, Stirling's approximation of log y!"""
    loss = ops._poisson_nll_log(input, target) if log_input else ops._poisson_nll(input, target, eps=eps)
    if full:
        stirling = target * torch.log(target) - target + 0.5 * torch.log(2 * math.pi * target)
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return _reduced(loss, _reduction(size_average, reduce, reduction))


def gaussian_nll_loss(input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6,
                      reduction: str = "mean") -> Tensor:
    """-log of the normal density of y at mean x and variance `var`, clamped from below to `eps` without gradient"""
    if not isinstance(var, Tensor):
        var = input.new_full(input.shape, var)
    if bool((var < 0).any()):
        raise ValueError("var has negative entry/entries")
    if var.size() != input.size():
        if input.size()[:-1] == var.size():
            var = var.unsqueeze(-1)
        elif not (input.size()[:-1] == var.size()[:-1] and var.size(-1) == 1):
            if input.dim() != var.dim() or any(v not in (1, n) for v, n in zip(var.shape, input.shape)):
                raise ValueError("var is of incorrect size")
    var = var.clone()
    with torch.no_grad():
        var.clamp_(min=eps)
    loss = ops._gaussian_nll(input, target, var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduced(loss, reduction)


# -- classification --------------------------------------------------------------------------------------------------


def nll_loss(input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
             ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """-weight[y] * x[y], x log-probabilities (N, C, ...) or (C), y class indices (N, ...) or ().

    'mean' divides by the sum of the weights of the targets that are not `ignore_index`.
    """
    return ops.nll_loss(input, target, weight, ignore_index, _reduction(size_average, reduce, reduction))


def cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
                  ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean",
                  label_smoothing: float = 0.0) -> Tensor:
    """-log softmax(x)[y] for logits x (N, C, ...) or (C) and class indices (N, ...) or (), or class probabilities
    of the shape of x."""
    reduction = _reduction(size_average, reduce, reduction)
    return ops.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def linear_cross_entropy(input: Tensor, linear_weight: Tensor, target: Tensor, *, linear_bias: Tensor | None = None,
                         weight: Tensor | None = None, reduction: str = "mean", ignore_index: int | None = None,
                         label_smoothing: float = 0.0, options: Any = None) -> Tensor:
    """cross_entropy(linear(x, W, b), y) for x (N, in) or (in) and W (C, in) or (C, d1, ..., in).

    `options` (how PyTorch cuts the product into pieces to save memory) is accepted and changes nothing.
    """
    if input.dim() not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if linear_weight.dim() < 2:
        raise RuntimeError(f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}")
    *batch, features = input.shape
    shape = tuple(linear_weight.shape[:-1])  # (C, d1, ...)
    if features != linear_weight.size(-1):
        raise RuntimeError("expected equal input and linear_weight last dimensions (in_features), got "
                           f"{features} and {linear_weight.size(-1)}, respectively")
    if linear_bias is not None and tuple(linear_bias.shape) != shape:
        raise RuntimeError(f"expected linear_bias shape {shape}, got {tuple(linear_bias.shape)}")
    if len(shape) > 1 and not batch:
        raise RuntimeError(f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires "
                           f"batched input, (N, {features}), got unbatched input with shape {tuple(input.shape)}")
    if ignore_index is not None and tuple(target.shape) == (*batch, *shape):
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = ops.linear(input, linear_weight.reshape(-1, features), bias).reshape(*batch, *shape)
    return cross_entropy(logits, target, weight, ignore_index=-100 if ignore_index is None else ignore_index,
                         reduction=reduction, label_smoothing=label_smoothing)


def binary_cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None,
                         size_average: bool | None = None, reduce: bool | None = None,
                         reduction: str = "mean") -> Tensor:
    """-(y log x + (1 - y) log(1 - x)) for probabilities x; each logarithm is at least -100"""
    reduction = _reduction(size_average, reduce, reduction)
    if target.size() != input.size():
        raise ValueError(f"Using a target size ({target.size()}) that is different to the input size ({input.size()}) "
                         "is deprecated. Please ensure they have the same size.")
    if target.dtype != input.dtype:
        raise RuntimeError(f"Found dtype {target.dtype} but expected {input.dtype}: convert the target with "
                           "target.to(input.dtype)")
    loss = ops._bce(input, target)
    result = _reduced(loss if weight is None else loss * weight, reduction)
    total = float(result.detach().sum())
    if total != total and not bool(((input >= 0) & (input <= 1)).all()):
        raise RuntimeError("all elements of input should be between 0 and 1")
    return result


def binary_cross_entropy_with_logits(input: Tensor, target: Tensor, weight: Tensor | None = None,
                                     size_average: bool | None = None, reduce: bool | None = None,
                                     reduction: str = "mean", pos_weight: Tensor | None = None) -> Tensor:
    """binary_cross_entropy(sigmoid(x), y) without its rounding; `pos_weight` multiplies the part of y = 1"""
    reduction = _reduction(size_average, reduce, reduction)
    if target.size() != input.size():
        raise ValueError(f"Target size ({target.size()}) must be the same as input size ({input.size()})")
    if pos_weight is None:
        loss = ops._bce_with_logits(input, target)
    else:
        loss = ops._bce_with_logits_weighted(input, target, pos_weight)
    return _reduced(loss if weight is None else loss * weight, reduction)


def kl_div(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
           reduction: str = "mean", log_target: bool = False) -> Tensor:
    """y * (log y - x) for log-probabilities x; 'batchmean' divides the sum by the batch size, as KL is defined"""
    reduction = _reduction(size_average, reduce, reduction)
    if reduction == "mean":
        warnings.warn("reduction: 'mean' divides the total loss by both the batch size and the support size."
                      "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
                      "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
                      stacklevel=2)
    loss = ops._kl_div_log(input, target) if log_target else ops._kl_div(input, target)
    if reduction == "batchmean":
        return loss.sum() / input.size(0) if input.dim() else loss.sum()
    return _reduced(loss, reduction)


def soft_margin_loss(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
                     reduction: str = "mean") -> Tensor:
    """log(1 + e^(-y x)) for y = 1 or -1"""
    return _reduced(ops._soft_margin(input, target), _reduction(size_average, reduce, reduction))


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, size_average: bool | None = None,
                         reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """x where y = 1, max(0, margin - x) where y = -1"""
    return _reduced(ops._hinge_embedding(input, target, margin=margin), _reduction(size_average, reduce, reduction))


def multilabel_soft_margin_loss(input: Tensor, target: Tensor, weight: Tensor | None = None,
                                size_average: bool | None = None, reduce: bool | None = None,
                                reduction: str = "mean") -> Tensor:
    """Mean over the classes (last axis) of binary_cross_entropy_with_logits"""
    loss = ops._bce_with_logits(input, target)
    loss = (loss if weight is None else loss * weight).mean(-1)
    return _reduced(loss, _reduction(size_average, reduce, reduction))


def multilabel_margin_loss(input: Tensor, target: Tensor, size_average: bool | None = None,
                           reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """sum of max(0, 1 - (x[y_j] - x[i])) / C over the labels y_j, listed up to the first -1, and the other classes i"""
    reduction = _checked(_reduction(size_average, reduce, reduction))
    if input.dim() == 0 and target.dim() == 0:
        input, target = input.unsqueeze(0), target.unsqueeze(0)
    if input.shape != target.shape or input.dim() not in (1, 2):
        raise RuntimeError(f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}")
    valid = (target < 0).cumsum(-1) == 0
    most = max(int(valid.sum(-1).max()), 1) if target.numel() else 1
    target, valid = target[..., :most], valid[..., :most]  # what follows grows with the labels
    index = target.masked_fill(~valid, 0)
    is_label = torch.zeros_like(input).scatter_add_(-1, index, valid.to(input.dtype)) > 0
    gap = 1 - (input.gather(-1, index).unsqueeze(-1) - input.unsqueeze(-2))
    counted = valid.unsqueeze(-1) & ~is_label.unsqueeze(-2)
    return _reduced(gap.clamp(min=0).masked_fill(~counted, 0).sum((-2, -1)) / input.size(-1), reduction)


def multi_margin_loss(input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None,
                      size_average: bool | None = None, reduce: bool | None = None,
                      reduction: str = "mean") -> Tensor:
    """sum over the wrong classes i of max(0, margin - x[y] + x[i])**p / C, times weight[y]"""
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    reduction = _checked(_reduction(size_average, reduce, reduction))
    if input.dim() == 0:
        input = input.unsqueeze(0)
    if input.dim() not in (1, 2) or input.size(-1) == 0:
        raise RuntimeError("Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
                           f"{list(input.shape)}")
    if target.numel() != (input.size(0) if input.dim() == 2 else 1) or target.dim() > 1:
        raise RuntimeError("multi_margin_loss: The target tensor should be 1-D with size equal to the batch size. "
                           f"Expected target size {[input.size(0) if input.dim() == 2 else 1]}, but got "
                           f"{list(target.shape)}")
    if weight is not None and weight.dim() != 1:
        raise ValueError(f"weight must be one-dimensional, got {weight.dim()} dimensions")
    if weight is not None and weight.numel() != input.size(-1):
        raise RuntimeError(f"inconsistent weight size, expected {input.size(-1)} but got {list(weight.shape)}")
    if input.dim() == 1:
        target = target.reshape(())
    index = target.unsqueeze(-1)
    loss = (margin - input.gather(-1, index) + input).clamp(min=0)
    loss = loss if p == 1 else loss * loss
    if weight is not None:
        loss = loss * weight[index]
    return _reduced(loss.scatter(-1, index, 0).sum(-1) / input.size(-1), reduction)


# -- ranking and embedding -------------------------------------------------------------------------------------------


def margin_ranking_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0,
                        size_average: bool | None = None, reduce: bool | None = None,
                        reduction: str = "mean") -> Tensor:
    """max(0, -y * (x1 - x2) + margin): y = 1 if x1 should rank higher, -1 if x2 should"""
    if not input1.dim() == input2.dim() == target.dim():
        raise RuntimeError(f"margin_ranking_loss : All input tensors should have same dimension but got sizes: "
                           f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} ")
    loss = ops._margin_ranking(input1, input2, target, margin=margin)
    return _reduced(loss, _reduction(size_average, reduce, reduction))


def cosine_embedding_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0,
                          size_average: bool | None = None, reduce: bool | None = None,
                          reduction: str = "mean") -> Tensor:
    """1 - cos(x1, x2) where y = 1, max(0, cos(x1, x2) - margin) where y = -1"""
    eps = 1e-12  # added to the squared norms, as PyTorch does
    dot = (input1 * input2).sum(-1)
    cos = dot / ((input1.square().sum(-1) + eps) * (input2.square().sum(-1) + eps)).sqrt()
    loss = torch.where(target == 1, 1 - cos, 0) + torch.where(target == -1, (cos - margin).clamp(min=0), 0)
    return _reduced(loss, _reduction(size_average, reduce, reduction))


def triplet_margin_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2,
                        eps: float = 1e-6, swap: bool = False, size_average: bool | None = None,
                        reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin), d the p-norm distance; with `swap`, d(p, n) if smaller than d(a, n)"""
    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=lambda a, b: pairwise_distance(a, b, p, eps), margin=margin,
        swap=swap, reduction=_reduction(size_average, reduce, reduction))


def triplet_margin_with_distance_loss(anchor: Tensor, positive: Tensor, negative: Tensor, *,
                                      distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
                                      margin: float = 1.0, swap: bool = False, reduction: str = "mean") -> Tensor:
    """triplet_margin_loss with any distance (default: pairwise_distance)"""
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    distance = distance_function or pairwise_distance
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = torch.minimum(far, distance(positive, negative))
    return _reduced((margin + near - far).clamp(min=0), reduction)
