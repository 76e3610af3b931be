"""Looking up rows of a table, one at a time or a bag at a time."""

from __future__ import annotations

import warnings

import minitorch_bn as torch
from minitorch_bn import ops
from minitorch_bn.ops.indexing import bag_sums

Tensor = torch.Tensor


def _positive_index(padding_idx: int | None, rows: int) -> int | None:
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise AssertionError("Padding_idx must be within num_embeddings")
    return padding_idx % rows


def _shorten_rows(weight: Tensor, index: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale, in place, those rows of `weight` that are looked up and longer than `max_norm`."""
    with torch.no_grad():
        rows = torch.unique(index)
        norms = ops.vector_norm(weight[rows], norm_type, -1, keepdim=True)
        weight[rows] = torch.where(norms > max_norm, weight[rows] * (max_norm / (norms + 1e-7)), weight[rows])


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None,
              norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False) -> Tensor:
    """weight[input]: indices (*), weight (V, D) -> (*, D). Row `padding_idx` gets no gradient.

    `max_norm` first shortens, in the weight itself, the rows that are longer. `sparse` is ignored: gradients are dense.
    """
    if weight.dim() != 2:
        raise RuntimeError("'weight' must be 2-D")
    padding_idx = _positive_index(padding_idx, weight.size(0))
    if max_norm is not None:
        _shorten_rows(weight, input, max_norm, norm_type)
    return ops.embedding(input, weight, padding_idx, scale_grad_by_freq)


def embedding_bag(input: Tensor, weight: Tensor, offsets: Tensor | None = None, max_norm: float | None = None,
                  norm_type: float = 2, scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
                  per_sample_weights: Tensor | None = None, include_last_offset: bool = False,
                  padding_idx: int | None = None) -> Tensor:
    """The sum, mean or maximum of each bag of rows of `weight` (V, D) -> (bags, D); an empty bag gives zeros.

    Bags are the rows of a 2-d `input`, or the parts of a 1-d one that start at `offsets`. Entries equal to
    `padding_idx` do not count. `per_sample_weights`, of the shape of `input`, multiply the rows (mode 'sum' only).
    """
    if weight.dtype in (torch.int64, torch.int32) and input.is_floating_point():
        warnings.warn("Argument order of nn.functional.embedding_bag was changed. Usage `embedding_bag(weight, input, "
                      "...)` is deprecated, and should now be `embedding_bag(input, weight, ...)`.", stacklevel=2)
        weight, input = input, weight
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None:
        if input.size() != per_sample_weights.size():
            raise ValueError(f"embedding_bag: If per_sample_weights ({list(per_sample_weights.shape)}) is not None, "
                             f"then it must have the same shape as the input ({list(input.shape)})")
        if mode != "sum":
            raise NotImplementedError("embedding_bag: per_sample_weights was not None. per_sample_weights is only "
                                      f"supported for mode='sum' (got mode='{mode}'). Please open a feature request "
                                      "on GitHub.")
    padding_idx = _positive_index(padding_idx, weight.size(0))
    if input.dim() == 2 and offsets is None and padding_idx is None and input.numel():  # every entry counts
        if (mode != "max" and per_sample_weights is None and not scale_grad_by_freq and weight.dim() == 2
                and weight.dtype in (torch.float32, torch.float64)):
            if max_norm is not None:
                _shorten_rows(weight, input, max_norm, norm_type)
            total = bag_sums(input, weight)
            return total if mode == "sum" else total / input.size(1)
        rows = embedding(input, weight, None, max_norm, norm_type, scale_grad_by_freq, sparse)
        if per_sample_weights is not None:
            return torch.bmm(per_sample_weights.unsqueeze(1), rows).squeeze(1)
        return rows.amax(1) if mode == "max" else rows.mean(1) if mode == "mean" else rows.sum(1)
    if input.dim() == 1 and input.numel() and offsets is not None and offsets.dim() == 1 and offsets.numel() and not (
            include_last_offset or padding_idx is not None):
        length, rest = divmod(input.numel(), offsets.numel())
        if not rest and bool((offsets == torch.arange(offsets.numel()) * length).all()):  # bags of one size
            shape = (-1, length)
            weights = None if per_sample_weights is None else per_sample_weights.reshape(shape)
            return embedding_bag(input.reshape(shape), weight, None, max_norm, norm_type, scale_grad_by_freq, mode,
                                 sparse, weights)
        if mode != "max" and weight.dtype in (torch.float32, torch.float64) and int(offsets[0]) == 0:
            bag = torch.searchsorted(offsets, torch.arange(input.numel(), dtype=offsets.dtype), right=True) - 1
            rows = embedding(input, weight, None, max_norm, norm_type, scale_grad_by_freq, sparse)
            if per_sample_weights is not None:
                rows = rows * per_sample_weights.unsqueeze(-1)
            total = rows.new_zeros((offsets.numel(), weight.size(1))).index_add(0, bag, rows)
            if mode == "sum":
                return total
            return total / torch.bincount(bag, minlength=offsets.numel()).clamp(min=1).unsqueeze(1)
    place, counted = _bag_places(input, offsets, include_last_offset)
    flat = input.reshape(-1)
    if flat.numel() == 0:
        return weight.new_zeros((place.size(0), weight.size(1))) + 0 * weight[:0].sum()
    index = flat[place]
    if padding_idx is not None:
        counted = counted & (index != padding_idx)
    rows = embedding(index, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
    absent = ~counted.unsqueeze(-1)
    if mode == "max":
        empty = ~counted.any(1, keepdim=True)
        return rows.masked_fill(absent, float("-inf")).amax(1).masked_fill(empty, 0)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1)[place].unsqueeze(-1)
    total = rows.masked_fill(absent, 0).sum(1)
    return total if mode == "sum" else total / counted.sum(1, keepdim=True).clamp(min=1)


def _bag_places(input: Tensor, offsets: Tensor | None, include_last_offset: bool) -> tuple[Tensor, Tensor]:
    """For each bag, where its entries are in the flat input, padded to the longest bag; and which places count."""
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError("if input is 2D, then offsets has to be None, as input is treated is a mini-batch of "
                             f"fixed length sequences. However, found offsets of type {type(offsets)}")
        bags, length = input.shape
        starts = torch.arange(bags) * length
        ends = starts + length
    elif input.dim() == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.dim() != 1:
            raise ValueError("offsets has to be a 1D Tensor")
        starts = offsets[:-1] if include_last_offset else offsets
        ends = offsets[1:] if include_last_offset else torch.cat([offsets[1:], offsets.new_full((1,), input.numel())])
    else:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}")
    longest = int((ends - starts).max()) if starts.numel() else 0
    place = starts.unsqueeze(1) + torch.arange(longest)
    counted = place < ends.unsqueeze(1)
    return place.masked_fill(~counted, 0), counted
