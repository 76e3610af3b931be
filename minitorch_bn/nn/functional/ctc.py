"""Connectionist temporal classification: the loss of a sequence of labels at unknown positions (Graves et al. 2006)."""

from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn._core import attach
from minitorch_bn.ops.softmax import ctc

from .losses import _reduced

Tensor = torch.Tensor
_NEVER = -1e30  # the logarithm of zero: finite, so that no gradient is inf - inf


def _lengths(lengths: Any, batch: int, name: str) -> Tensor:
    if not isinstance(lengths, torch.Tensor):
        lengths = torch.tensor(lengths) if batch else torch.tensor(lengths, dtype=torch.int64)
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise RuntimeError(f"{name} must be integral")
    lengths = lengths.reshape(-1).long()
    if lengths.numel() != batch:
        raise RuntimeError(f"{name} must be of size batch_size")
    return lengths


def _padded_targets(targets: Tensor, lengths: Tensor, batch: int) -> Tensor:
    """Targets as (N, longest); what is beyond a target's length is arbitrary."""
    longest = int(lengths.max()) if batch else 0
    if targets.dim() == 1:  # all targets one after the other
        total = int(lengths.sum())
        if targets.numel() != total:
            raise RuntimeError(f"Expected target_lengths to sum to the size of targets ({targets.numel()}), but got "
                               f"{total} (while checking arguments for ctc_loss_cpu)")
        place = (lengths.cumsum(0) - lengths).unsqueeze(1) + torch.arange(longest)
        if total == 0:
            return targets.new_zeros((batch, longest)).long()
        return targets.long()[place.clamp(max=total - 1)]
    if targets.dim() != 2 or targets.size(0) != batch:
        raise RuntimeError(f"Expected targets to be 1-dimensional or of size ({batch}, S), but got {targets.shape}")
    if targets.size(1) < longest:
        raise RuntimeError(f"Expected tensor to have size at least {longest} at dimension 1, but got size "
                           f"{targets.size(1)} for argument #2 'targets' (while checking arguments for ctc_loss_cpu)")
    return targets[:, :longest].long()


def ctc_loss(log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any, blank: int = 0,
             reduction: str = "mean", zero_infinity: bool = False) -> Tensor:
    """-log of the probability of all alignments of `targets` with the `log_probs` (T, N, C) or (T, C).

    Targets (N, S), or all in one row; lengths (N) or tuples. 'mean' divides each loss by its target's length first.
    An impossible target costs infinity, or 0 with `zero_infinity`.
    """
    if not log_probs.is_floating_point():
        raise RuntimeError(f'"ctc_loss_cpu" not implemented for {log_probs.dtype}')
    if log_probs.dim() == 2:
        loss = _losses(log_probs.unsqueeze(1), targets, input_lengths, target_lengths, blank, zero_infinity)
        loss = loss.squeeze(0)
    else:
        loss = _losses(log_probs, targets, input_lengths, target_lengths, blank, zero_infinity)
    if reduction == "mean":
        sizes = _lengths(target_lengths, max(loss.numel(), 1) if loss.dim() == 0 else loss.numel(), "target_lengths")
        loss = loss / sizes.clamp(min=1).to(loss.dtype).reshape(loss.shape)
    return _reduced(loss, reduction)


def _losses(log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any, blank: int,
            zero_infinity: bool) -> Tensor:
    """The loss of each sequence: (T, N, C) -> (N,)."""
    steps, batch, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    input_lengths = _lengths(input_lengths, batch, "input_lengths")
    target_lengths = _lengths(target_lengths, batch, "target_lengths")
    for lengths, name in (input_lengths, "input_lengths"), (target_lengths, "target_lengths"):
        if bool((lengths < 0).any()):
            raise RuntimeError(f"Expected {name} to have value at least 0, but got value {int(lengths.min())} (while "
                               "checking arguments for ctc_loss_cpu)")
    if batch and int(input_lengths.max()) > steps:
        raise RuntimeError(f"Expected input_lengths to have value at most {steps}, but got value "
                           f"{int(input_lengths.max())} (while checking arguments for ctc_loss_cpu)")
    targets = _padded_targets(targets, target_lengths, batch)
    if targets.numel() and bool(((targets < 0) | (targets >= classes)).any()):
        real = torch.arange(targets.size(1)) < target_lengths.unsqueeze(1)
        if bool((((targets < 0) | (targets >= classes)) & real).any()):
            raise RuntimeError("ctc_loss: targets must be class indices from 0 to the number of classes - 1")
        targets = targets.masked_fill(~real, blank)
    if steps == 0:
        return log_probs.new_full((batch,), float("inf"))
    loss, slopes = ctc(log_probs.detach(), targets, input_lengths, target_lengths, blank)

    def backward(g: Tensor) -> Tensor:
        if torch.is_grad_enabled():  # of higher order: by the derivative of the sums themselves
            sums = _by_sums(log_probs, targets, input_lengths, target_lengths, blank)
            return torch.autograd.grad(sums, log_probs, g, create_graph=True)[0]
        return slopes(g)

    loss = attach(loss, (log_probs,), backward, "CtcLossBackward0", (log_probs,))
    return loss.masked_fill(loss == float("inf"), 0.0) if zero_infinity else loss


def _by_sums(log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor, blank: int) -> Tensor:
    """The same losses as sums over all steps, which have derivatives of any order."""
    steps, batch = log_probs.shape[:2]
    # States: blank, label 1, blank, label 2, ..., blank. A path stays, moves one on, or two on if that skips a blank
    # between two different labels.
    states = torch.full((batch, 2 * targets.size(1) + 1), blank)
    states[:, 1::2] = targets
    may_skip = torch.zeros(states.shape, dtype=torch.bool)
    may_skip[:, 2:] = (states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])
    skip_cost = torch.where(may_skip, 0.0, _NEVER).to(log_probs.dtype)
    started = torch.where(torch.arange(states.size(1)) < 2, 0.0, _NEVER).to(log_probs.dtype)
    scores = log_probs.clamp_min(_NEVER).gather(2, states.expand(steps, *states.shape))
    alpha = scores[0] + started
    alphas = [alpha]
    for score in scores[1:].unbind(0):
        one_on = torch.nn.functional.pad(alpha, (1, 0), value=_NEVER)[:, :-1]
        two_on = torch.nn.functional.pad(alpha, (2, 0), value=_NEVER)[:, :-2] + skip_cost
        alpha = torch.logaddexp(torch.logaddexp(alpha, one_on), two_on) + score
        alphas.append(alpha)
    final = torch.stack(alphas)[(input_lengths - 1).clamp(min=0), torch.arange(batch)]  # (N, states)
    in_blank = final.gather(1, 2 * target_lengths.unsqueeze(1))
    in_label = final.gather(1, (2 * target_lengths - 1).clamp(min=0).unsqueeze(1))
    in_label = in_label.masked_fill(target_lengths.unsqueeze(1) == 0, _NEVER)
    loss = -torch.logaddexp(in_blank, in_label).squeeze(1)
    # PyTorch's gradient is that with respect to the logits below a log_softmax, which adds the probabilities. On the
    # way through the log_softmax it makes no difference; without one, it has to be there to be PyTorch's.
    used = (torch.arange(steps).unsqueeze(1) < input_lengths).unsqueeze(2)
    mass = log_probs.exp().masked_fill(~used, 0).sum((0, 2))
    loss = loss + (mass - mass.detach())
    empty = input_lengths == 0
    loss = torch.where(empty, torch.where(target_lengths == 0, 0.0, float("inf")).to(loss.dtype), loss)
    return loss.masked_fill(loss > -_NEVER / 10, float("inf"))
