"""Top-level functions that few scripts call: those of nn.functional with arguments in another order, and others."""
from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import minitorch_bn as torch
from minitorch_bn._core import Tensor
from minitorch_bn.nn import functional as F

REDUCTIONS = ("none", "mean", "sum")  # by the numbers that the top level's losses take


def batch_norm(input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None,
               running_var: Tensor | None, training: bool, momentum: float, eps: float,
               cudnn_enabled: bool = False) -> Tensor:
    """nn.functional.batch_norm with its arguments in this order."""
    return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None,
                  running_var: Tensor | None, use_input_stats: bool, momentum: float, eps: float,
                  cudnn_enabled: bool = False) -> Tensor:
    """nn.functional.instance_norm with its arguments in this order."""
    return F.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def layer_norm(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
               bias: Tensor | None = None, eps: float = 1e-05, cudnn_enable: bool = True) -> Tensor:
    """nn.functional.layer_norm."""
    return F.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None,
               eps: float = 1e-05, cudnn_enabled: bool = True) -> Tensor:
    """nn.functional.group_norm."""
    return F.group_norm(input, num_groups, weight, bias, eps)


def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """nn.functional.alpha_dropout."""
    return F.alpha_dropout(input, p, train)


def feature_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Whole channels of (N, C, ...) are zero with probability `p`, the others divided by 1 - p; only if `train`."""
    if not train or p == 0:
        return input
    keep = input.new_empty(input.shape[:2] + (1,) * (input.ndim - 2)).bernoulli_(1 - p)
    return input * (keep / (1 - p) if p < 1 else keep)


def cosine_embedding_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0,
                          reduction: int = 1) -> Tensor:
    """nn.functional.cosine_embedding_loss; reduction 0, 1, 2: none, mean, sum."""
    return F.cosine_embedding_loss(input1, input2, target, margin, reduction=REDUCTIONS[reduction])


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 1) -> Tensor:
    """nn.functional.hinge_embedding_loss; reduction 0, 1, 2: none, mean, sum."""
    return F.hinge_embedding_loss(input, target, margin, reduction=REDUCTIONS[reduction])


def margin_ranking_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0,
                        reduction: int = 1) -> Tensor:
    """nn.functional.margin_ranking_loss; reduction 0, 1, 2: none, mean, sum."""
    return F.margin_ranking_loss(input1, input2, target, margin, reduction=REDUCTIONS[reduction])


def triplet_margin_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2.0,
                        eps: float = 1e-06, swap: bool = False, reduction: int = 1) -> Tensor:
    """nn.functional.triplet_margin_loss; reduction 0, 1, 2: none, mean, sum."""
    return F.triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, reduction=REDUCTIONS[reduction])


def kl_div(input: Tensor, target: Tensor, reduction: int = 1, *, log_target: bool = False) -> Tensor:
    """nn.functional.kl_div; reduction 0, 1, 2: none, mean, sum."""
    return F.kl_div(input, target, reduction=REDUCTIONS[reduction], log_target=log_target)


def binary_cross_entropy_with_logits(input: Tensor, target: Tensor, weight: Tensor | None = None,
                                     pos_weight: Tensor | None = None, reduction: int = 1) -> Tensor:
    """nn.functional.binary_cross_entropy_with_logits; reduction 0, 1, 2: none, mean, sum."""
    return F.binary_cross_entropy_with_logits(input, target, weight, reduction=REDUCTIONS[reduction],
                                              pos_weight=pos_weight)


def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int) -> Tensor:
    """nn.functional.poisson_nll_loss; reduction 0, 1, 2: none, mean, sum."""
    return F.poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=REDUCTIONS[reduction])


def ctc_loss(log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any, blank: int = 0,
             reduction: int = 1, zero_infinity: bool = False) -> Tensor:
    """nn.functional.ctc_loss; reduction 0, 1, 2: none, mean, sum."""
    return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, REDUCTIONS[reduction], zero_infinity)


def asarray(obj: Any, *, dtype: torch.dtype | None = None, device: Any = None, copy: bool | None = None,
            requires_grad: bool = False) -> Tensor:
    """`obj` as a tensor: the same memory if it is a tensor or an array and nothing else is asked for.

    Raises:
        ValueError: copy=False, and a copy cannot be avoided.
    """
    made = torch.as_tensor(obj, dtype=dtype, device=device)
    source = obj.untyped_storage().data_ptr() if isinstance(obj, Tensor) else \
        getattr(obj, "__array_interface__", {"data": (None,)})["data"][0]
    shared = made is obj or source is not None and made.numel() > 0 and (
        made.untyped_storage().data_ptr() == source or made.data_ptr() == source)
    if copy and shared:
        made = made.clone()
    elif copy is False and not shared and made.numel():
        raise ValueError("asarray: can't alias the data of `obj`: it needs a copy")
    if made.requires_grad and not requires_grad:
        made = made.detach()
    return made.requires_grad_() if requires_grad and not made.requires_grad else made


def range(start: float, end: float | None = None, step: float = 1, **options: Any) -> Tensor:
    """start, start + step, ... up to `end` itself; arange, without the end, is what to use."""
    warnings.warn("torch.range is deprecated: use torch.arange, whose result does not contain the end", stacklevel=2)
    start, end = (0, start) if end is None else (start, end)
    count = int((end - start) / step + 1)
    if count <= 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    dtype = options.pop("dtype", None) or torch.get_default_dtype()
    return (torch.arange(count, dtype=torch.float64) * step + start).to(dtype).requires_grad_(
        options.pop("requires_grad", False))


def is_nonzero(input: Tensor) -> bool:
    """Whether the one element is not zero."""
    if input.numel() != 1:
        raise RuntimeError(f"Boolean value of Tensor with {'no' if input.numel() == 0 else 'more than one'} value"
                           f"{'s' if input.numel() == 0 else ''} is ambiguous")
    return bool(input.item() != 0)


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether the shapes are equal."""
    return input.shape == other.shape


def adjoint(input: Tensor) -> Tensor:
    """The last two dims transposed, as numbers are real."""
    return input.mH


def is_anomaly_enabled() -> bool:
    """Whether autograd.set_detect_anomaly is in force."""
    was = torch._core.set_anomaly_(False, True)
    torch._core.set_anomaly_(*was)
    return bool(was[0])


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """autograd.set_detect_anomaly."""
    torch._core.set_anomaly_(mode, check_nan)


def is_inference(input: Tensor) -> bool:
    """Whether it was made in inference mode."""
    return input.is_inference()


def get_device(input: Tensor) -> int:
    """-1, for the CPU."""
    return input.get_device()


def clamp_(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """In-place version of :func:`clamp`."""
    return input.clamp_(min, max)


clip_ = clamp_


def nan_to_num_(input: Tensor, nan: float | None = None, posinf: float | None = None,
                neginf: float | None = None) -> Tensor:
    """In-place version of :func:`nan_to_num`."""
    return input.nan_to_num_(nan, posinf, neginf)


def affine_grid_generator(theta: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """nn.functional.affine_grid."""
    return F.affine_grid(theta, size, align_corners)


def get_device_module(device: Any = None) -> Any:
    """torch.cpu: the module of the one device."""
    torch.empty(0, device=device)
    return torch.cpu


def set_warn_always(b: bool) -> None:
    """Accepted: Python's `warnings` decides how often a warning is shown."""


def is_warn_always_enabled() -> bool:
    """False."""
    return False


def compiled_with_cxx11_abi() -> bool:
    """True, as of PyTorch's builds."""
    return True
